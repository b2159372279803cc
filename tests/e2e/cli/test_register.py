"""Registering by the command line: what works, and what is said about input that does not.

SPDX-License-Identifier: Apache-2.0
"""
import os
import unittest

from case import Case


class Register(Case):
    def test_files_and_facts_come_back(self):
        version = self.register("whole", "--tag", "plant=all", "--param", "epochs=8")["version"]
        shown = self.well("version", "show", f"whole/{version}", "--json", as_="ana").json
        self.assertEqual(shown["tags"], {"plant": "all"})
        self.assertEqual(shown["params"], {"epochs": "8"})
        self.assertEqual(shown["format"], "onnx")
        self.assertIn("accuracy", shown["metrics"])
        target = self.path("down")
        self.well("model", "download", f"whole/{version}", target, as_="ana")
        with open(self.path("v1/model.onnx"), "rb") as one, open(os.path.join(target, "model/model.onnx"), "rb") as two:
            self.assertEqual(one.read(), two.read())
        self.refused(5, "exists already", "model", "download", f"whole/{version}", target, as_="ana")

    def test_a_spec_file_says_the_same(self):
        spec = self.write("model.yaml", "name: by-file\npath: v1/model.onnx\nbaseline: {path: v1/reference.csv}\n"
                                        "datasets: [{name: vibration, uri: 'historian://x', path: train.csv}]\n"
                                        "metrics: {accuracy: 0.9}\nparams: {epochs: 8}\n")
        self.well("model", "register", "-f", spec, "--metric", "auc=0.99", as_="ana")
        shown = self.well("version", "show", "by-file/1", "--json", as_="ana").json
        self.assertEqual(shown["metrics"], {"accuracy": 0.9, "auc": 0.99})

    def test_azure_mls_yaml_registers_a_folder(self):
        """The keys of its reference page, in a folder of its own; paths are relative to the YAML."""
        os.makedirs(self.path("azure/model/data"))
        with open(self.path("v1/model.onnx"), "rb") as file:
            onnx = file.read()
        with open(self.path("azure/model/data/model.onnx"), "wb") as file:
            file.write(onnx)
        self.write("azure/model/MLmodel", "flavors:\n  onnx: {data: data/model.onnx}\nmodel_uuid: 1\n")
        spec = self.write("azure/model.yml", "$schema: https://azuremlschemas.azureedge.net/latest/model.schema.json\n"
                          "name: from-azure\nversion: '1'\npath: ./model\ntype: mlflow_model\ndescription: Bearing faults\n"
                          "tags: {team: vibration}\nproperties: {source: job-7}\nstage: Production\n"
                          "flavors: {onnx: {data: data/model.onnx}}\n")
        self.well("model", "register", "-f", spec, as_="ana")
        shown = self.well("version", "show", "azureml:from-azure:1", "--json", as_="ana").json
        self.assertEqual(shown["tags"], {"team": "vibration", "source": "job-7", "stage": "Production", "azureml.type": "mlflow_model",
                                         "azureml.flavors": '{"onnx":{"data":"data/model.onnx"}}'})
        self.assertEqual(shown["description"], "Bearing faults")
        self.assertEqual(sorted(one["name"] for one in shown["files"]), ["model/MLmodel", "model/data/model.onnx"])
        self.refused(5, "from-azure/1 was given out already", "model", "register", "-f", spec, as_="ana")
        target = self.path("azure/down")
        self.well("model", "download", "from-azure/1", target, as_="ana")
        with open(os.path.join(target, "model/data/model.onnx"), "rb") as file:
            self.assertEqual(file.read(), onnx)
        self.well("model", "register", "from-azure", self.path("azure/model"), "--version", "2", as_="ana")

    def test_a_model_and_a_draft_are_changed(self):
        self.well("model", "create", "made", "--description", "Empty", "--tag", "a=1", "--tag", "b=2", as_="ana")
        self.well("model", "change", "made", "-d", "Still empty", "--tag", "a=", "--tag", "c=3", as_="ana")
        shown = self.well("model", "show", "made", "--json", as_="ana").json
        self.assertEqual((shown["description"], shown["tags"], shown["latest_version"]), ("Still empty", {"b": "2", "c": "3"}, None))
        self.refused(5, "made", "model", "create", "made", as_="ana")
        self.refused(2, "nothing to change", "model", "change", "made", as_="ana")
        self.refused(4, "nowhere", "model", "change", "nowhere", "-d", "x", as_="ana")
        self.well("model", "register", "made", self.path("v1/model.onnx"), "--metric", "auc=0.5", "--param", "seed=1", as_="ana")
        self.well("version", "change", "models:/made/1", "--metric", "auc=", "--metric", "accuracy=0.75", "--param", "seed=2", "--tag",
                  "site=oslo", "-d", "better", as_="ana")
        shown = self.well("version", "show", "made/1", "--json", as_="ana").json
        self.assertEqual((shown["metrics"], shown["params"], shown["tags"], shown["description"]),
                         ({"accuracy": 0.75}, {"seed": "2"}, {"site": "oslo"}, "better"))
        self.refused(2, "--metric accuracy", "version", "change", "made/1", "--metric", "accuracy=high", as_="ana")
        self.refused(2, "nothing to change", "version", "change", "made/1", as_="ana")
        self.well("version", "submit", "made/1", as_="ana")
        self.refused(5, "pending", "version", "change", "made/1", "--tag", "a=b", as_="ana")

    def test_gates_and_codes_are_listed(self):
        self.well("gate", "set", "good", "-f", self.write("gate.yaml", "rules: [{metric: auc, at_least: 0.9}]\n"))
        self.assertEqual([one["gate"] for one in self.well("gate", "list", "--json", as_="ana").json["gates"]], ["good"])
        code = self.well("device", "enrol-code", "--tag", "site=oslo", as_="ana").out.strip()
        listed = self.well("device", "codes", as_="ana").out
        self.assertIn("site=oslo", listed)
        self.assertNotIn(code, listed)

    def test_mistakes_in_a_spec_name_the_line(self):
        spec = self.write("bad.yaml", "name: p\npath: v1/model.onnx\ndescripton: x\n")
        self.refused(2, 'bad.yaml:3: unknown key "descripton"; did you mean "description"?', "model", "register", "-f", spec,
                     as_="ana")
        spec = self.write("bad.yaml", "name: p\nmetrics:\n  accuracy: high\n")
        self.refused(2, "bad.yaml:3", "model", "register", "-f", spec, as_="ana")
        spec = self.write("bad.yaml", "name: [p\n")
        self.refused(2, "bad.yaml:", "model", "register", "-f", spec, as_="ana")

    def test_files_that_are_not_there(self):
        self.refused(4, "none.onnx", "model", "register", "pump", self.path("none.onnx"), as_="ana")
        self.refused(4, "none.csv", "model", "register", "pump", self.path("v1/model.onnx"), "--baseline",
                     self.path("none.csv"), as_="ana")

    def test_bad_references_name_place_and_way_on(self):
        with open(self.path("v1/reference.csv"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        worse = {
            "speed": (lines[:1] + [lines[1].replace(lines[1].split(",")[7], "fast")] + lines[2:], [], "speed_rpm"),
            "ragged": (lines[:3] + [lines[3] + ",1"] + lines[4:], [], "ragged.csv:4"),
            "empty": (lines[:1], [], "no rows"),
            "column": (lines, ["--label", "lable"], "lable"),
        }
        for name, (rows, flags, sentence) in worse.items():
            with self.subTest(name):
                path = self.write(name + ".csv", "\n".join(rows) + "\n")
                self.refused(2, sentence, "model", "register", "refs", self.path("v1/model.onnx"), "--baseline", path, *flags,
                             as_="ana")
        self.refused(4, "refs", "model", "show", "refs", as_="ana")  # nothing was changed

    def test_a_constant_column_is_a_warning(self):
        with open(self.path("v1/reference.csv"), encoding="utf-8") as file:
            rows = [line.split(",") for line in file.read().splitlines()]
        for row in rows[1:]:
            row[6] = "48"
        path = self.write("constant.csv", "\n".join(",".join(row) for row in rows) + "\n")
        done = self.well("model", "register", "constant", self.path("v1/model.onnx"), "--baseline", path, as_="ana")
        self.assertIn("temperature", done.out)

    def test_what_is_only_named_onnx(self):
        path = self.write("fake.onnx", "not a model")
        done = self.well("model", "register", "opaque", path, as_="ana")
        self.assertIn("opaque", done.out)
        self.assertIn("warning", done.out)
        self.refused(2, "fake.onnx", "model", "register", "strict", path, "--strict", as_="ana")

    def test_names_outside_the_grammar(self):
        self.refused(2, "name", "model", "register", "no/slash", self.path("v1/model.onnx"), as_="ana")
        self.refused(2, "name", "model", "register", "../up", self.path("v1/model.onnx"), as_="ana")

    def test_a_submitted_version_does_not_change(self):
        version = f"frozen/{self.register('frozen')['version']}"
        self.well("version", "tag", version, "a=b", as_="ana")
        self.well("version", "submit", version, as_="ana")
        self.refused(5, "pending", "version", "tag", version, "a=c", as_="ana")

    def test_four_eyes(self):
        version = f"own/{self.register('own')['version']}"
        self.well("version", "submit", version, as_="ana")
        self.refused(3, "somebody else", "version", "approve", version, "--reason", "mine", as_="ana")
        self.refused(2, "--reason", "version", "approve", version, as_="ben")
        self.refused(5, "approved", "rollout", "create", version, "--to", "all", as_="ana")

    def test_the_same_alias_again(self):
        version = self.register("alias")["version"]
        self.well("alias", "set", "alias@candidate", str(version), as_="ana")
        self.refused(5, "candidate", "alias", "set", "alias@candidate", str(version), as_="ana")
        self.assertEqual(self.well("version", "show", "alias@candidate", "--json", as_="ana").json["version"], version)


if __name__ == "__main__":
    unittest.main()
