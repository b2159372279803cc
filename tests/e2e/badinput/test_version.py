"""Wrong turns on a version's way: aliases, four eyes, frozen versions, rollouts of what nobody approved.

SPDX-License-Identifier: Apache-2.0
"""
import json
from urllib.parse import quote

from command import CONFLICT, DENIED, INVALID, NOT_FOUND, CommandTest, harness


class Versions(CommandTest):
    def register(self, model):
        self.file("model.onnx", harness.onnx_model())
        self.done("model", "register", model, "model.onnx")

    def test_an_alias_twice(self):
        self.register("twice")
        self.done("alias", "set", "twice@next", "1")
        self.refused(CONFLICT, ["next", "twice/1"], "alias", "set", "twice@next", "1")
        self.refused(NOT_FOUND, "there is no version twice/9; the newest is twice/1", "alias", "set", "twice@next", "9")
        self.refused(CONFLICT, ["champion may only name an approved version", "twice/1 is draft"], "alias", "set",
                     "twice@champion", "1", "--reason", "good", as_="ben")
        self.refused(DENIED, "approve", "alias", "set", "twice@champion", "1", "--reason", "mine")

    def test_approving_ones_own(self):
        self.register("own")
        self.refused(CONFLICT, ["own/1", "submit"], "version", "approve", "own/1", "--reason", "good", "--yes", as_="ben")
        self.done("version", "submit", "own/1")
        self.refused(DENIED, ["ana registered own/1", "always somebody else"], "version", "approve", "own/1", "--reason", "mine",
                     "--yes")
        self.refused(INVALID, "--reason", "version", "approve", "own/1", "--yes", as_="ben")
        stranger = harness.make_key(self.folder + "/stranger.pem")
        self.refused(DENIED, "key", "version", "approve", "own/1", "--reason", "good", "--yes", "--key", stranger, as_="ben")
        self.assertIn("pending", self.done("version", "show", "own/1"))

    def test_changing_what_was_submitted(self):
        self.register("ice")
        self.done("version", "submit", "ice/1")
        frozen = ["version ice/1 is pending and can no longer be changed", "--parent ice/1"]
        self.refused(CONFLICT, frozen, "version", "tag", "ice/1", "site=oslo")
        self.refused(CONFLICT, "ice/1 is pending", "version", "submit", "ice/1")

    def test_rolling_out_what_nobody_approved(self):
        self.register("early")
        way_on = ["only an approved version can be rolled out", "tidemark version approve early/1"]
        self.refused(CONFLICT, ["early/1 is draft", *way_on], "rollout", "create", "early/1", "--to", "all")
        self.done("version", "submit", "early/1")
        self.refused(CONFLICT, ["early/1 is pending", *way_on], "rollout", "create", "early/1", "--to", "all")
        self.done("version", "reject", "early/1", "--reason", "not good", as_="ben")
        self.refused(CONFLICT, "early/1 is rejected", "rollout", "create", "early/1", "--to", "all")

    def test_every_spelling_of_a_version(self):
        self.register("spell")
        self.done("version", "submit", "models:/spell/1")
        self.done("version", "approve", "azureml:spell:1", "--reason", "good", "--yes", as_="ben")
        self.done("alias", "set", "models:/spell@stable", "azureml:spell:1")
        self.done("alias", "set", "spell@best", "models:/spell@stable")
        for index, text in enumerate(("spell/1", "models:/spell/1", "azureml:spell:1", "spell@best", "models:/spell@best", "azureml:spell@best")):
            self.assertIn("834d58e48a3a", self.done("version", "show", text))
            self.assertIn("version:spell/1", self.done("lineage", "show", text, "--json"))
            self.done("lineage", "impact", text)
            record = "spell/1" if "@" not in text else "spell@best"  # setting an alias is a record of the alias
            listed = self.done("audit", "list", "--object", text, "--json", as_="ben")
            self.assertEqual({one["object"]["id"] for one in json.loads(listed)["records"]}, {record})
            answer = self.server.call("GET", "/api/v1/events?object=" + quote(text, safe=""))
            self.assertEqual({one["object"]["id"] for one in answer.json["records"]}, {record})
            self.done("model", "download", text, f"{self.folder}/{index}")
            self.done("bundle", "export", text, "--out", f"{self.folder}/{index}.tar")
    
            self.refused(CONFLICT, 'no device matches "site=oslo"', "rollout", "create", text, "--to", "site=oslo")
            self.assertIn(f"spell/{index + 2}", self.done("model", "register", "spell", "model.onnx", "--parent", text))
            self.refused(NOT_FOUND, "none", "pipeline", "run", "none", "--parent", text)
            self.assertNotIn("name", self.type("monitor", "show", text).stderr)

    def test_what_names_no_version(self):
        self.register("odd")
        forms = "write pump/3, pump@champion, models:/pump/3, models:/pump@champion or azureml:pump:3"
        for text in ("odd", "odd:1", "models:/odd", "azureml:odd/1", "odd/0", "odd/1/2", ""):
            self.refused(INVALID, ["names no version", forms], "version", "show", text)
        self.refused(INVALID, "an alias is written odd@champion", "version", "show", "models:/odd/champion")
        self.refused(NOT_FOUND, "there is no version odd/7; the newest is odd/1", "version", "show", "azureml:odd:7")
        self.refused(INVALID, [forms], "model", "register", "odd", "model.onnx", "--parent", "odd:1")
        self.refused(INVALID, ["odd/1 is a version of odd", "one of its own"], "alias", "set", "other@x", "odd/1")

    def test_rolling_out_to_nobody(self):
        self.register("lonely")
        self.done("version", "submit", "lonely/1")
        self.done("version", "approve", "lonely/1", "--reason", "good", "--yes", as_="ben")
        self.refused(CONFLICT, 'no device matches "site=oslo"', "rollout", "create", "lonely/1", "--to", "site=oslo")
        self.refused(INVALID, ["selector, column 7", "examples:"], "rollout", "create", "lonely/1", "--to", "sitte oslo")


if __name__ == "__main__":
    harness.main()
