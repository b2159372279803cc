"""The API document held against what the server really says.

The tests' HTTP client (harness.py) hands every answer to `Contract.answer`, so each flow of each test checks the document for
free: a status, header, key or type that docs/openapi.yaml does not name fails the test. What was seen is written to
<build>/api-seen/, where test_contract_seen.py looks for what nobody ever saw.
SPDX-License-Identifier: Apache-2.0
"""
import atexit
import json
import os
import re
import sys
import urllib.parse

import schema

BIN = os.path.abspath(os.environ.get("TD_BIN", "build/dev/bin"))
PATH = os.path.join(os.path.dirname(BIN), "openapi.json")  # docs/openapi.yaml, read by the server's own YAML reader
SEEN = os.path.join(os.path.dirname(BIN), "api-seen")
METHODS = ("get", "put", "post", "delete", "patch")
HTTP_OWN = {"content-type", "content-length", "date", "connection", "keep-alive", "transfer-encoding"}
DOCUMENT = "docs/openapi.yaml"


class Broken(AssertionError):
    """An answer that the document does not describe."""


def strict_json(data):
    def refuse(text):
        raise ValueError(f"{text} is not JSON")
    return json.loads(data, parse_constant=refuse)


class Operation:
    def __init__(self, contract, path, method, item, own):
        self.path, self.method, self.own = path, method.upper(), own
        self.id = own["operationId"]
        schemas = contract.schemas
        listed = [schemas.resolve(one) for one in item.get("parameters", []) + own.get("parameters", [])]
        self.parameters = {(one["in"], one["name"]): one for one in listed}
        self.query = {one["name"]: schemas.compile(one["schema"]) for one in listed if one["in"] == "query"}
        self.responses = {status: schemas.resolve(one) for status, one in own["responses"].items()}
        body = schemas.resolve(own.get("requestBody", {}))
        self.body = body.get("content", {}).get("application/json", {})
        self.body_schema = schemas.compile(self.body["schema"]) if "schema" in self.body else None
        rest = {one["name"] for one in listed if one.get("x-rest")}
        # {name} with x-rest stands for one or more segments: {name...} in the server's table
        self.pattern = re.sub(r"\{(\w+)\}", lambda m: "{%s...}" % m[1] if m[1] in rest else m[0], path)
        self.regex = re.compile("^" + re.sub(r"\\\{(\w+)\\\}", lambda m: "(.+)" if m[1] in rest else "([^/]+)", re.escape(path)) + "$")


class Contract:
    def __init__(self, document):
        self.document = document
        self.schemas = schema.Schemas(document)
        self.operations = [Operation(self, path, method, item, item[method])
                           for path, item in document["paths"].items() for method in METHODS if method in item]
        self.by_id = {one.id: one for one in self.operations}
        common = document["x-common"]
        self.common = {status: self.schemas.resolve(one) for status, one in common["responses"].items()}
        self.common_headers = {name.lower(): self.schemas.resolve(one) for name, one in common["headers"].items()}
        self.optional_headers = {name.lower(): self.schemas.resolve(one) for name, one in common["optionalHeaders"].items()}
        self.foreign = document["x-foreign-prefixes"]
        self.headers = {}
        self.media = {}
        self.seen = {}

    def find(self, method, path):
        """(operation or None, the path is documented with other methods)."""
        method = "GET" if method == "HEAD" else method
        found = [one for one in self.operations if one.regex.match(path)]
        # a literal segment goes before a {parameter}, as in the server's table
        found.sort(key=lambda one: one.path.count("{"))
        return next((one for one in found if one.method == method), None), bool(found)

    def is_foreign(self, path):
        return any(path.startswith(one) if one.endswith("/") else path == one for one in self.foreign)

    # ---- answers ----

    def answer(self, method, target, status, headers, body, sent=None, loose=False):
        """Raises Broken unless the document describes this answer. headers: pairs. sent: the request's JSON, if it had any.
        loose: parameters of the query that nobody knows may stand there (the server ignores them)."""
        path, _, query = target.partition("?")
        path = urllib.parse.unquote(path)
        if self.is_foreign(path):
            return None
        operation, known = self.find(method, path)
        key = str(status)
        response = (operation.responses.get(key) if operation else None) or self.common.get(key)
        label = f"{method} {operation.path if operation else path}"
        if not operation and 200 <= status < 400:
            raise Broken(f"{label} answered {status}, but the route is not in {DOCUMENT}: add it under `paths`")
        if response is None:
            raise Broken(f"{label} answered {status}, which {DOCUMENT} does not name: add '{key}' to the operation's responses "
                         f"(or to x-common if any route may answer it)\n  body: {body[:300]!r}")
        self.note(operation, key)
        wrong = self.judge_headers(response, headers) or self.judge_body(response, method, status, headers, body)
        if not wrong and operation and 200 <= status < 300:
            wrong = self.judge_request(operation, query, sent, loose)
        if wrong:
            raise Broken(f"{label} answered {status} in a way that {DOCUMENT} does not describe: {wrong}\n  body: {body[:600]!r}")
        return operation

    def note(self, operation, status):
        place = self.seen.setdefault(operation.id if operation else "", {})
        place[status] = place.get(status, 0) + 1

    def judge_headers(self, response, headers):
        if response.get("x-bare"):
            return ""
        own = response.get("headers", {})
        mine = {name.lower(): self.schemas.resolve(one) for name, one in own.items()} if own else {}
        names = set()
        for name, value in headers:
            low = name.lower()
            names.add(low)
            place = mine.get(low) or self.common_headers.get(low) or self.optional_headers.get(low)
            if place is None:
                if low in HTTP_OWN:
                    continue
                return f"header {name}: {value} is not named; add it to the response's headers"
            if id(place) not in self.headers:
                self.headers[id(place)] = self.schemas.compile(place["schema"])
            wrong = self.headers[id(place)](value, f"header {name}")
            if wrong:
                return wrong
        for name in self.common_headers:
            if name not in names:
                return f"header {name} is missing"
        for name, place in mine.items():
            if place.get("required") and name not in names:
                return f"header {name} is missing"
        return ""

    def judge_body(self, response, method, status, headers, body):
        content = response.get("content", {})
        if response.get("x-bare"):
            return ""
        kind = next((value for name, value in headers if name.lower() == "content-type"), "").split(";")[0].strip()
        if kind not in content:
            return f"Content-Type {kind!r} is none of {sorted(content)}"
        media = content[kind]
        if method == "HEAD":
            return "" if not body else "an answer to HEAD has a body"
        if kind.endswith("json"):
            try:
                value = strict_json(body)
            except ValueError as error:
                return f"the body is not JSON: {error}"
        else:
            value = body.decode(errors="replace") if "schema" in media else None
        if "schema" not in media:
            return ""
        if id(media) not in self.media:
            self.media[id(media)] = self.schemas.compile(media["schema"])
        wrong = self.media[id(media)](value, "body")
        if not wrong and kind == "application/problem+json" and value["status"] != status:
            wrong = f"body.status is {value['status']}"
        return wrong

    def judge_request(self, operation, query, sent, loose):
        """What the server accepted must be what the document admits."""
        for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
            if name not in operation.query and loose:
                continue
            if name not in operation.query:
                return f"the request's ?{name}= is not named; add it to the operation's parameters"
            kind = self.schemas.resolve(operation.parameters["query", name]["schema"]).get("type")
            if kind == "integer" and re.fullmatch(r"-?\d+", value):
                value = int(value)
            wrong = operation.query[name](value, f"?{name}=")
            if wrong:
                return f"{wrong}, yet it was accepted"
        if sent is not None and operation.own["x-body"] == "json":
            if operation.body_schema is None:
                return f"the request had a body ({schema.brief(sent)}) but none is documented" if sent else ""
            wrong = operation.body_schema(sent, "request")
            return f"{wrong}, yet it was accepted" if wrong else ""
        return ""


_contract = None


def contract():
    """The document of this build, or None where there is none (a build without tests, as for the benchmarks)."""
    global _contract
    if _contract is None and os.path.exists(PATH):
        with open(PATH, encoding="utf-8") as file:
            _contract = Contract(json.load(file))
        atexit.register(write_seen)
    elif _contract is None and os.environ.get("CI") and "/dev/" in PATH:
        raise AssertionError(f"{PATH} is missing: build the target openapi_json")
    return _contract


def write_seen():
    """One file a test program; the next run of the same program replaces it."""
    os.makedirs(SEEN, exist_ok=True)
    folder, name = os.path.split(os.path.abspath(sys.argv[0]))
    place = os.path.join(SEEN, f"{os.path.basename(folder)}.{os.path.splitext(name)[0]}.json")
    with open(place + ".new", "w", encoding="utf-8") as file:
        json.dump(_contract.seen, file, indent=1, sort_keys=True)
    os.replace(place + ".new", place)
