"""What a person may hand to `tidemark model register` and to the commands that read a YAML file, and should not.

SPDX-License-Identifier: Apache-2.0
"""
import os

from command import CONFLICT, CORRUPT, DENIED, INVALID, IO, LIMIT, NOT_FOUND, CommandTest, harness

_field = harness._field
HEADER = "speed,load,prediction\n"


class Files(CommandTest):
    def setUp(self):
        super().setUp()
        self.model = self.file("model.onnx", harness.onnx_model())

    def test_a_missing_file(self):
        self.refused(NOT_FOUND, "nowhere.onnx: No such file", "model", "register", "pump", "nowhere.onnx")
        self.refused(NOT_FOUND, "nowhere.csv: No such file", "model", "register", "pump", self.model, "--baseline", "nowhere.csv")
        self.refused(NOT_FOUND, "nowhere.yaml: No such file", "model", "register", "-f", "nowhere.yaml")
        self.refused(NOT_FOUND, "train.csv: No such file", "model", "register", "pump", self.model, "--dataset",
                     "train=s3://plant/x@train.csv")

    def test_an_unreadable_file(self):
        os.symlink("loop.onnx", os.path.join(self.folder, "loop.onnx"))
        self.refused(IO, "loop.onnx: Too many levels of symbolic links", "model", "register", "pump", "loop.onnx")
        os.mkdir(os.path.join(self.folder, "folder.onnx"))
        self.refused(INVALID, "folder.onnx: the folder holds no files", "model", "register", "pump", "folder.onnx")
        if os.geteuid() != 0:  # root may read everything
            self.file("locked.onnx", harness.onnx_model())
            os.chmod(os.path.join(self.folder, "locked.onnx"), 0)
            result = self.type("model", "register", "pump", "locked.onnx")
            self.said(result, DENIED, "locked.onnx: Permission denied")

    def test_no_onnx_although_named_so(self):
        self.file("fake.onnx", "a diary, and no model at all, whatever its name says\n")
        self.refused(INVALID, ["fake.onnx is no ONNX file", "--strict"], "model", "register", "fake", "fake.onnx", "--strict")
        text = self.done("model", "register", "fake", "fake.onnx")
        self.assertIn("warning: fake.onnx is no ONNX file although it is named so: registered as opaque", text)
        self.assertIn("opaque", self.done("version", "show", "fake/1"))

    def test_truncated_and_hostile_onnx(self):
        whole = harness.onnx_model()
        self.file("cut.onnx", whole[:-7])
        self.refused(CORRUPT, ["cut.onnx: byte ", "cut short or garbled"], "model", "register", "pump", "cut.onnx")
        self.file("claims.onnx", b"\x08\x08\x3a\xff\xff\xff\xff\x7f" + b"x" * 50)
        self.refused(CORRUPT, ["claims.onnx: byte ", "cut short or garbled"], "model", "register", "pump", "claims.onnx")
        self.file("deep.onnx", nested(400))
        self.refused(CORRUPT, "deep.onnx: ", "model", "register", "pump", "deep.onnx")
        self.file("leads-out.onnx", external("../../etc/passwd"))
        self.refused(CORRUPT, ["leads-out.onnx", "../../etc/passwd", "no name of a file beside the model"], "model", "register",
                     "pump", "leads-out.onnx")

    def test_names_outside_the_grammar(self):
        for name in ("../x", "a b", ".a", "-", "Ä", "a" * 129):
            self.refused(INVALID, ["is no model name", "A-Z a-z 0-9 . _ -"], "model", "register", "--", name, self.model)
        self.done("model", "register", "named", self.model)
        self.refused(INVALID, ['"77" is no alias', "not digits alone"], "alias", "set", "named@77", "1")
        os.mkdir(os.path.join(self.folder, "odd"))
        self.file("odd/a b.onnx", harness.onnx_model())
        self.refused(INVALID, "a b.onnx", "model", "register", "named", "odd/a b.onnx")


class Folders(CommandTest):
    def test_a_number_that_is_not_next(self):
        self.file("model.onnx", harness.onnx_model())
        register = ("model", "register", "counted", "model.onnx", "--version")
        self.refused(CONFLICT, "the next version of counted is 1, not 2: numbers are given in order", *register, "2")
        self.assertIn("counted/1", self.done(*register, "1"))
        self.refused(CONFLICT, ["counted/1 was given out already", "say 2"], *register, "1")
        self.refused(INVALID, "--version", *register, "x")

    def test_what_a_folder_may_not_hold(self):
        os.makedirs(os.path.join(self.folder, "empty", "inner"))
        self.refused(INVALID, "empty: the folder holds no files", "model", "register", "pump", "empty")
        os.makedirs(os.path.join(self.folder, "links"))
        os.symlink("/etc/passwd", os.path.join(self.folder, "links", "notes.txt"))
        self.refused(INVALID, "links/notes.txt is a link; only regular files", "model", "register", "pump", "links")
        os.makedirs(os.path.join(self.folder, "pipes"))
        os.mkfifo(os.path.join(self.folder, "pipes", "p"))
        self.refused(INVALID, "pipes/p is no file", "model", "register", "pump", "pipes")
        os.makedirs(os.path.join(self.folder, "names"))
        self.file("names/a b.onnx", harness.onnx_model())
        self.refused(INVALID, "names/a b.onnx", "model", "register", "pump", "names")
        os.makedirs(os.path.join(self.folder, "deep", *["d"] * 17))
        self.refused(LIMIT, "folders more than 16 deep", "model", "register", "pump", "deep")
        os.makedirs(os.path.join(self.folder, "many"))
        for index in range(257):
            self.file(f"many/{index}", b"x")
        self.refused(LIMIT, "more than 256 files", "model", "register", "pump", "many")


class Plain(CommandTest):
    def test_a_file_of_no_size_that_has_content(self):
        self.refused(INVALID, "/proc/version says that it has 0 bytes", "model", "register", "pump", "/proc/version")
        self.file("empty.txt", b"")
        self.done("model", "register", "nothing", "empty.txt")

    def test_columns_of_no_data(self):
        self.file("m.onnx", harness.onnx_model())
        self.file("c.yaml", "features: [speed]\n")
        self.refused(INVALID, ["--columns is about the reference data", "--baseline"], "model", "register", "pump", "m.onnx", "--columns",
                     "c.yaml")
        self.refused(INVALID, "--label is about the reference data", "model", "register", "pump", "m.onnx", "--label", "x")


class Baselines(CommandTest):
    def refuse(self, name, text, parts, *more):
        self.file(name, text)
        self.file("model.onnx", harness.onnx_model())
        self.refused(INVALID, parts, "model", "register", "pump", "model.onnx", "--baseline", name, *more)

    def test_a_missing_column(self):
        self.refuse("ref.csv", HEADER + "1,2,0\n" * 50, ['ref.csv: no column "truth" (label)', "3 columns"], "--label", "truth")

    def test_text_in_a_numeric_column(self):
        self.refuse("ref.csv", HEADER + "1,2,0\n" * 40 + "fast,2,0\n",
                    ['ref.csv:42: column "speed": expected a number, found "fast"', '"categorical"'])

    def test_a_ragged_line(self):
        self.refuse("ref.csv", HEADER + "1,2,0\n3,4\n", "ref.csv:3: 2 fields, but the header has 3")
        self.refuse("ref.csv", HEADER + "1,2,0\n3,4,5,6\n", "ref.csv:3: 4 fields, but the header has 3")

    def test_no_rows(self):
        self.refuse("ref.csv", HEADER, "ref.csv has a header but no rows")
        self.refuse("ref.csv", "", "ref.csv: no rows")

    def test_a_constant_column_is_said_and_taken(self):
        self.file("ref.csv", HEADER + "".join(f"5,{row},{row % 2}\n" for row in range(100)))
        self.file("model.onnx", harness.onnx_model())
        text = self.done("model", "register", "constant", "model.onnx", "--baseline", "ref.csv")
        self.assertIn('warning: column "speed" is constant', text)


class Specs(CommandTest):
    """An unknown key: the file, its line, the nearest key."""

    def refuse(self, text, key, line, nearest, *command):
        self.file("spec.yaml", text)
        self.file("model.onnx", harness.onnx_model())
        self.file("ref.csv", HEADER + "".join(f"{row},{row},{row % 2}\n" for row in range(50)))
        text = self.refused(INVALID, [f'unknown key "{key}"; did you mean "{nearest}"?'], *command)
        self.assertIn(f"spec.yaml:{line}: ", text)

    def test_of_a_model(self):
        command = ("model", "register", "-f", "spec.yaml")
        self.refuse("name: pump\npath: model.onnx\ndescripton: x\n", "descripton", 3, "description", *command)
        self.refuse("name: pump\npath: model.onnx\nbaseline:\n  path: ref.csv\n  columns:\n    lable: load\n", "lable", 6, "label",
                    *command)

    def test_of_azure(self):
        command = ("model", "register", "-f", "spec.yaml")
        self.file("pump.onnx", harness.onnx_model())
        self.refuse("$schema: x\nname: pump\npath: pump.onnx\nproprties: {a: b}\n", "proprties", 4, "properties", *command)
        cases = (
            ("version: 2023-01\n", ["spec.yaml:3: version: versions are numbered", "keep another name as a tag"]),
            ("version: 0\n", "spec.yaml:3: version: "),
            ("version: [1]\n", "spec.yaml:3: version: "),
            ("type: pickle\n", ["spec.yaml:3: type", "custom_model, mlflow_model, triton_model"]),
            ("type: mlflow_model\n", "no file MLmodel at the top"),
            ("tags: {year: 2026}\n", ['spec.yaml:3: tag "year" is no text', "in quotes"]),
            ("properties:\n  a: 1.5\n", ['spec.yaml:4: property "a" is no text', "in quotes"]),
            ("stage: ''\n", "spec.yaml:3: stage"),
            ("tags: {a: b}\nproperties: {a: c}\n", 'properties and tags both say "a", but not the same'),
            ("flavors: {x: {y: %s}}\n" % ("z" * 100001), "flavors: more than 4096 bytes"),
        )
        for text, said in cases:
            self.file("spec.yaml", "name: pump\npath: pump.onnx\n" + text)
            self.refused(LIMIT if "flavors" in said else INVALID, said, *command)
        for path in ("azureml://jobs/x/outputs/y", "runs:/1/model", "azureml:pump:3", "https://example.com/m.onnx", "s3://b/m"):
            self.file("spec.yaml", f"name: pump\npath: {path}\n")
            self.refused(INVALID, ["spec.yaml:2: path: " + path, "download it"], *command)

    def test_of_columns(self):
        self.refuse("features: [speed]\nprediktion: prediction\n", "prediktion", 2, "prediction", "model", "register", "pump",
                    "model.onnx", "--baseline", "ref.csv", "--columns", "spec.yaml")

    def test_of_a_rollout(self):
        command = ("rollout", "create", "pump/1", "--to", "all", "-f", "spec.yaml")
        self.refuse("soak: 1m\nwavess: 50%,100%\n", "wavess", 2, "waves", *command)
        self.refuse("probation:\n  secconds: 3\n", "secconds", 2, "seconds", *command)

    def test_of_gate_pipeline_and_monitor(self):
        self.refuse("description: x\nrulez: []\n", "rulez", 2, "rules", "gate", "set", "g", "-f", "spec.yaml")
        self.refuse("rules:\n  - {metric: accuracy, at_leest: 0.9}\n", "at_leest", 2, "at_least", "gate", "set", "g", "-f",
                    "spec.yaml")
        self.refuse("description: x\ngate: g\nstepz: []\n", "stepz", 3, "steps", "pipeline", "set", "p", "-f", "spec.yaml")
        self.refuse("windw: 10m\n", "windw", 1, "window", "monitor", "set", "pump", "-f", "spec.yaml")

    def test_what_is_no_yaml(self):
        self.file("spec.yaml", "rules: [\n")
        self.refused(INVALID, "spec.yaml:", "gate", "set", "g", "-f", "spec.yaml")
        self.file("spec.yaml", "- a\n- b\n")
        self.refused(INVALID, "spec.yaml", "rollout", "create", "pump/1", "--to", "all", "-f", "spec.yaml")
        self.file("spec.yaml", "waves: 100%\nwaves: 50%\n")
        self.refused(INVALID, ["spec.yaml:2", "waves"], "rollout", "create", "pump/1", "--to", "all", "-f", "spec.yaml")


def nested(depth):
    """A graph in an attribute of a node of a graph, and so on."""
    graph = _field(2, "g")
    for _ in range(depth):
        attribute = _field(1, "body") + _field(6, graph) + _field(20, 5)
        graph = _field(1, _field(4, "Loop") + _field(5, attribute)) + _field(2, "g")
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 17))


def external(location):
    """A model whose weights lie in another file."""
    entry = _field(1, "location") + _field(2, location)
    tensor = _field(1, 4) + _field(2, 1) + _field(8, "w") + _field(13, entry) + _field(14, 1)
    graph = _field(1, _field(1, "w") + _field(2, "y") + _field(4, "Identity")) + _field(2, "g") + _field(5, tensor) + \
        _field(12, harness._port("y", 4))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 17))


if __name__ == "__main__":
    harness.main()
