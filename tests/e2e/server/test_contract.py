"""docs/openapi.yaml and the server's table of routes say the same, both ways; so does the table in docs/server.md.

The document's answers are held by every other test, through harness.py. SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess
import unittest

import contract
import harness
import schema

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))


def entry(route):
    """What to add to the document for a route that it lacks."""
    return (f"  {route['path'].replace('...}', '}')}:\n    {route['method'].lower()}:\n      operationId: CHOOSE\n      summary: {route['help']}\n"
            f"      x-permission: {route['permission']}\n      x-listener: {route['listener']}\n      x-body: {route['body']}\n"
            "      responses:\n        '200': {description: …, content: {application/json: {schema: {$ref: '#/components/schemas/…'}}}}\n"
            "        default: {$ref: '#/components/responses/Problem'}\n")


class ContractTest(harness.ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.document = contract.contract()
        assert cls.document, f"{contract.PATH} is missing: build the target openapi_json"
        routes = cls.server.call("GET", "/api/v1/routes").json["routes"]
        cls.routes = [one for one in routes if not cls.document.is_foreign(one["path"])]

    def test_every_route_is_in_the_document(self):
        known = {(one.method, one.pattern): one for one in self.document.operations}
        for route in self.routes:
            with self.subTest(route=f"{route['method']} {route['path']}"):
                operation = known.get((route["method"], route["path"]))
                self.assertIsNotNone(operation, f"\n{contract.DOCUMENT} lacks this route; add under `paths`:\n{entry(route)}")
                for key in ("permission", "listener", "body"):
                    self.assertEqual(operation.own["x-" + key], route[key], f"x-{key} of {operation.id} in {contract.DOCUMENT}")

    def test_every_operation_is_a_route(self):
        served = {(route["method"], route["path"]) for route in self.routes}
        for operation in self.document.operations:
            self.assertIn((operation.method, operation.pattern), served, f"{contract.DOCUMENT} promises a route that is not served")

    def test_the_document_is_consistent(self):
        ids = [one.id for one in self.document.operations]
        self.assertEqual(len(ids), len(set(ids)), "an operationId stands twice")
        for operation in self.document.operations:
            with self.subTest(operation=operation.id):
                named = {name for place, name in operation.parameters if place == "path"}
                self.assertEqual(named, set(re.findall(r"\{(\w+)\}", operation.path)))
                self.assertIn("default", operation.responses)
                self.assertEqual(operation.own.get("security") == [], operation.own["x-permission"] == "public")
                self.assertTrue(any(status.startswith("2") for status in operation.responses))

    def test_every_schema_can_be_checked_and_is_used(self):
        named = self.document.document["components"]["schemas"]
        for name in named:
            self.document.schemas.check("#/components/schemas/" + name)
        with open(os.path.join(TOP, contract.DOCUMENT), encoding="utf-8") as file:
            text = file.read()
        for part, names in self.document.document["components"].items():
            for name in names if part != "securitySchemes" else ():
                self.assertIn(f"'#/components/{part}/{name}'", text, "nothing refers to it")

    def test_examples_hold(self):
        count = 0
        for operation in self.document.operations:
            for name, example in operation.body.get("examples", {}).items():
                wrong = operation.body_schema(example["value"], "example")
                self.assertEqual(wrong, "", f"{operation.id}, example {name}")
                count += 1
        self.assertGreater(count, 20)

    def test_the_command_line_is_reachable_by_the_api(self):
        """docs/api.md: each command with its operations, or why it has none; and no operation is forgotten."""
        done = subprocess.run([harness.TIDEMARK, "help"], capture_output=True, text=True, check=True)
        commands = set(re.findall(r"^  ([a-z]+(?: [a-z-]+)?)  +[A-Z]", done.stdout, re.MULTILINE))
        self.assertGreater(len(commands), 70)
        with open(os.path.join(TOP, "docs/api.md"), encoding="utf-8") as file:
            page = file.read().split("## What the command line does", 1)[1]
        rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `") and not line.startswith("| `tidemark")]
        listed = [command for row in rows for command in re.findall(r"`([^`]+)`", row[0])]
        self.assertEqual(sorted(listed), sorted(commands), "docs/api.md lists each command once")
        named = set(re.findall(r"`([a-z]+[A-Z]\w*|upload)`", page))
        self.assertEqual(named - set(self.document.by_id), set(), "docs/api.md names operations that are not there")
        self.assertEqual(set(self.document.by_id) - named, set(), "docs/api.md says which command is which operation, or that none is")

    def test_the_table_in_docs_server_md(self):
        rows = [f"| `{one['method']} {one['path']}` | {one['permission']} | {one['listener']} | {one['body']} | {one['help'].replace('|', chr(92) + '|')} |"
                for one in self.routes]
        with open(os.path.join(TOP, "docs/server.md"), encoding="utf-8") as file:
            found = [line.rstrip() for line in file if re.match(r"\| `(GET|POST|PUT|PATCH|DELETE) /", line)]
        found = [line for line in found if not self.document.is_foreign(line.split("`")[1].split(" ")[1])]
        plain = [row.replace("\\|", "|") for row in rows]
        self.assertEqual(sorted(line.replace("\\|", "|") for line in found), sorted(plain), "docs/server.md, the table of routes")


class SchemaTest(unittest.TestCase):
    """The validator itself says no where it should."""

    def judge(self, one, value):
        return schema.Schemas({}).compile(one)(value, "x")

    def test_it_refuses(self):
        closed = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
        for one, value in [(closed, {}), (closed, {"a": 1, "b": 2}), (closed, {"a": True}), (closed, {"a": "1"}), (closed, []),
                           ({"type": "string", "pattern": "^a+$"}, "b"), ({"type": "string", "maxLength": 1}, "aa"),
                           ({"type": "array", "items": {"type": "null"}}, [0]), ({"minimum": 1}, 0), ({"const": 1}, True),
                           ({"anyOf": [{"type": "null"}, {"type": "string"}]}, 1), ({"enum": ["a"]}, "b"),
                           ({"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False}, {"b": 1}),
                           ({"propertyNames": {"enum": ["a"]}}, {"b": 1}), ({"maxProperties": 0}, {"b": 1})]:
            self.assertNotEqual(self.judge(one, value), "", (one, value))
        self.assertEqual(self.judge(closed, {"a": 1}), "")

    def test_it_does_not_guess(self):
        with self.assertRaises(ValueError):
            self.judge({"minItem": 1}, [])


if __name__ == "__main__":
    harness.main()
