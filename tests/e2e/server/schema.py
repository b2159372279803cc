"""JSON Schema 2020-12, as far as docs/openapi.yaml uses it: a schema becomes a function once, which then judges many values.

A keyword that is not known here is an error, so that the document cannot promise what nobody checks. `$ref` points into the
same document. `format` and `contentEncoding` are notes; what they mean stands beside them as a pattern.
SPDX-License-Identifier: Apache-2.0
"""
import re

NOTES = {"description", "summary", "example", "examples", "default", "format", "contentEncoding", "deprecated"}
TYPES = {
    "null": lambda v: v is None,
    "boolean": lambda v: isinstance(v, bool),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool) or isinstance(v, float) and v.is_integer(),
    "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool),
    "string": lambda v: isinstance(v, str),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}


def same(a, b):
    """Equality in JSON: true is not 1."""
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def brief(value):
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


class Schemas:
    """Compiles schemas of one document. A compiled schema takes (value, where) and returns "" or what is wrong."""

    def __init__(self, document):
        self.document = document
        self.by_ref = {}

    def resolve(self, node):
        """Follows $ref of anything that is not a schema (parameters, responses …)."""
        while isinstance(node, dict) and "$ref" in node:
            node = self.at(node["$ref"])
        return node

    def at(self, ref):
        if not ref.startswith("#/"):
            raise ValueError(f"$ref {ref}: only references into the document itself are understood")
        node = self.document
        for part in ref[2:].split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            if part not in node:
                raise ValueError(f"$ref {ref} points nowhere")
            node = node[part]
        return node

    def check(self, ref):
        """The compiled schema behind a $ref; compiled once, recursion included."""
        if ref not in self.by_ref:
            self.by_ref[ref] = lambda value, where: self.by_ref[ref](value, where)
            self.by_ref[ref] = self.compile(self.at(ref))
        return self.by_ref[ref]

    def compile(self, schema):
        if schema is True or schema == {}:
            return lambda value, where: ""
        parts = []
        known = set(NOTES)
        for keywords, make in MAKERS:
            if any(keyword in schema for keyword in keywords):
                parts.append(make(self, schema))
            known.update(keywords)
        strange = set(schema) - known
        if strange:
            raise ValueError(f"keyword {sorted(strange)} is not understood by tests/e2e/server/schema.py")
        if len(parts) == 1:
            return parts[0]

        def every(value, where):
            for part in parts:
                wrong = part(value, where)
                if wrong:
                    return wrong
            return ""
        return every

    def names(self, schema):
        """All properties that a schema evaluates, through $ref and allOf; for unevaluatedProperties."""
        found = set(schema.get("properties", {}))
        if "$ref" in schema:
            found |= self.names(self.at(schema["$ref"]))
        for part in schema.get("allOf", []):
            found |= self.names(part)
        if {"anyOf", "oneOf", "patternProperties"} & set(schema):
            raise ValueError("unevaluatedProperties beside anyOf, oneOf or patternProperties is not understood")
        return found


def make_ref(schemas, schema):
    return schemas.check(schema["$ref"])


def make_type(_, schema):
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    tests = [TYPES[name] for name in names]
    if len(tests) == 1:
        test = tests[0]
        return lambda value, where: "" if test(value) else f"{where}: {brief(value)} is no {names[0]}"
    return lambda value, where: "" if any(t(value) for t in tests) else f"{where}: {brief(value)} is none of {names}"


def make_values(_, schema):
    allowed = [schema["const"]] if "const" in schema else schema["enum"]

    def judge(value, where):
        return "" if any(same(value, one) for one in allowed) else f"{where}: {brief(value)} is none of {allowed}"
    return judge


def make_number(_, schema):
    low, high = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))

    def judge(value, where):
        if isinstance(value, (int, float)) and not isinstance(value, bool) and not low <= value <= high:
            return f"{where}: {value} is not within {low} … {high}"
        return ""
    return judge


def make_text(_, schema):
    low, high = schema.get("minLength", 0), schema.get("maxLength", float("inf"))
    pattern = re.compile(schema["pattern"]) if "pattern" in schema else None

    def judge(value, where):
        if not isinstance(value, str):
            return ""
        if not low <= len(value) <= high:
            return f"{where}: {len(value)} characters; {low} to {high} are allowed"
        if pattern and not pattern.search(value):
            return f"{where}: {brief(value)} does not match {pattern.pattern}"
        return ""
    return judge


def make_array(schemas, schema):
    low, high = schema.get("minItems", 0), schema.get("maxItems", float("inf"))
    item = schemas.compile(schema["items"]) if "items" in schema else None

    def judge(value, where):
        if not isinstance(value, list):
            return ""
        if not low <= len(value) <= high:
            return f"{where}: {len(value)} entries; {low} to {high} are allowed"
        for index, one in enumerate(value if item else ()):
            wrong = item(one, f"{where}[{index}]")
            if wrong:
                return wrong
        return ""
    return judge


def make_object(schemas, schema):
    required = schema.get("required", [])
    properties = {name: schemas.compile(part) for name, part in schema.get("properties", {}).items()}
    most = schema.get("maxProperties", float("inf"))
    names = schemas.compile(schema["propertyNames"]) if "propertyNames" in schema else None
    more = schema.get("additionalProperties", True)
    rest = schemas.compile(more) if isinstance(more, dict) else None
    evaluated = schemas.names(schema) if schema.get("unevaluatedProperties") is False else None

    def judge_key(key, value, where):
        if names and names(key, where):
            return f"{where}: {names(key, 'key')}"
        if key in properties:
            return properties[key](value, f"{where}.{key}")
        if rest:
            return rest(value, f"{where}.{key}")
        if more is False or evaluated is not None and key not in evaluated:
            return f"{where}: {key!r} (= {brief(value)}) is not documented"
        return ""

    def judge(value, where):
        if not isinstance(value, dict):
            return ""
        for name in required:
            if name not in value:
                return f"{where}: {name!r} is missing"
        if len(value) > most:
            return f"{where}: {len(value)} keys; at most {most} are allowed"
        for key, one in value.items():
            wrong = judge_key(key, one, where)
            if wrong:
                return wrong
        return ""
    return judge


def make_all(schemas, schema):
    parts = [schemas.compile(part) for part in schema["allOf"]]

    def judge(value, where):
        return next((wrong for wrong in (part(value, where) for part in parts) if wrong), "")
    return judge


def make_any(schemas, schema):
    parts = [schemas.compile(part) for part in schema.get("anyOf", schema.get("oneOf"))]
    exactly = "oneOf" in schema

    def judge(value, where):
        wrongs = [part(value, where) for part in parts]
        good = wrongs.count("")
        if good == 0:
            return min(wrongs, key=len) if len(wrongs) == 1 else f"{where}: fits nothing of: " + " | ".join(wrongs)
        return f"{where}: fits {good} of the alternatives, not one" if exactly and good > 1 else ""
    return judge


MAKERS = [
    (("$ref",), make_ref),
    (("type",), make_type),
    (("enum", "const"), make_values),
    (("minimum", "maximum"), make_number),
    (("minLength", "maxLength", "pattern"), make_text),
    (("items", "minItems", "maxItems"), make_array),
    (("properties", "required", "additionalProperties", "unevaluatedProperties", "propertyNames", "maxProperties"), make_object),
    (("allOf",), make_all),
    (("anyOf", "oneOf"), make_any),
]
