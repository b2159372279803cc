"""Requests made from the API document: valid ones, and such with one thing wrong, in each place. Seeded: the same again.

A request starts out as the document wants it; values that exist come from pools by name, others from the schema, often at its
borders. Then, mostly, one of MUTATIONS spoils one place: a field of the body (beyond a border, of another type, hostile, gone,
unknown), the bytes of the body, a segment of the path, a parameter of the query, a header, the method.
SPDX-License-Identifier: Apache-2.0
"""
import copy
import json
import urllib.parse

HOSTILE_TEXT = ["", " ", "a" * 300, "x" * 70000, "\u0000", "a\u0000b", "\u001b[31m", "\r\nX: y", "ünï", "\U0001f600" * 20, "\ud800", "%00", "%s%n%x",
                "../../etc/passwd", "..", "/", "\\", "';--", "\" OR \"\"=\"", "${jndi:x}", "<script>", "null", "-1", "0", "1e999",
                "@champion", "@", "*", "sha256:" + "0" * 64, "sha256:" + "g" * 64, "9" * 30, "models:/pump/3", "azureml:pump:3", "pump/3/",
                "file:///etc/passwd", "http://127.0.0.1:1/", "1.5h", "-1s", "9" * 18 + "d", "a=b and", "((((", "((" * 200, "x LIKE '%'"]
HOSTILE_VALUE = [None, True, False, 0, -1, 1, 1.5, 2 ** 31, 2 ** 53, 2 ** 63 - 1, -2 ** 63, 1e308, [], {}, [[]], [None], {"": None},
                 {"a": {"b": {"c": [1, {"d": None}]}}}, "x", ["x"] * 300]
RAW_BODIES = [b"", b"{", b"[]", b"null", b"1", b"\"x\"", b"{\"a\":NaN}", b"{\"a\":Infinity}", b"{\"a\":1e999}", b"{\"a\":1,\"a\":2}", b"\xff\xfe",
              b"{\"a\":\"\xc3\x28\"}", b"{}x", b"{\"a\":\"\\u0000\"}", b"{\"a\":\"\\ud800\"}", b"[" * 5000, b"{\"a\":" * 100 + b"1" + b"}" * 100,
              b"{\"a\":" + b"9" * 400 + b"}", b"\xef\xbb\xbf{}"]
HOSTILE_SEGMENT = ["..", ".", "%2e%2e", "%2f", "%252f", "%00", "%", "%zz", "%c0%af", ";a=b", "a;b", "\\", "%5c", "a" * 300, "~", "-", "@", "@@", "@x", "0", "-1",
                   "1" * 25, "NaN", "%ff", "%0a", "a%20b", "champion", "run-0", "run-99999999999999999999", "al-x", "al-0", "sha256:" + "0" * 64, "nobody"]
HOSTILE_HEADERS = [("Range", "bytes=0-"), ("Range", "bytes=-1"), ("Range", "bytes=9-1"), ("Range", "bytes=99999999999999999999-"), ("Range", "x"),
                   ("If-Match", "*"), ("If-Match", "\"x\""), ("If-Match", "W/\"x\""), ("If-Match", "x" * 3000), ("If-None-Match", "*"),
                   ("Idempotency-Key", "k"), ("Idempotency-Key", ""), ("Idempotency-Key", "k" * 500), ("Upload-Offset", "0"), ("Upload-Offset", "-1"),
                   ("Upload-Offset", "x"), ("Origin", "http://evil.example"), ("Authorization", "Bearer"), ("Authorization", "Basic !!!"),
                   ("Authorization", "Basic " + "QUFB" * 300), ("Authorization", "Bearer tmk_" + "0" * 64), ("Cookie", "a=b"),
                   ("Content-Type", "text/plain"), ("Content-Type", "application/json; charset=utf-16"), ("Content-Type", ""),
                   ("Last-Event-ID", "x"), ("Accept", "x/y"), ("X-Forwarded-For", "1.2.3.4"), ("Expect", "100-continue"), ("X-Long", "y" * 9000),
                   ("X-MLFLOW-WORKSPACE", "../x"), ("Host", "evil.example")]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO"]
VALID_SHARE = 0.25


class Made:
    """One request. sent: its JSON, where it has any that is well-formed."""

    def __init__(self, operation):
        self.method, self.segments = operation.method, operation.path.strip("/").split("/")
        self.query, self.headers = [], []
        self.body = self.raw = None

    def target(self):
        quoted = [part if "%" in part else urllib.parse.quote(part, safe=";\\@:~+-._/") for part in self.segments]
        pairs = "&".join(f"{urllib.parse.quote(name, errors='replace')}={urllib.parse.quote(value, errors='replace', safe='')}"
                         for name, value in self.query)
        return "/" + "/".join(quoted) + ("?" + pairs if pairs else "")

    def bytes(self, host, token):
        body = self.raw if self.raw is not None or self.body is None else json.dumps(self.body).encode()
        headers = {"Host": host}
        if token:
            headers["Authorization"] = "Bearer " + token
        if body is not None:
            headers.update({"Content-Length": str(len(body)), "Content-Type": "application/json"})
        headers.update(self.headers)
        lines = [f"{self.method} {self.target()} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + (body or b"")

    @property
    def sent(self):
        return self.body if self.raw is None else None


class Generator:
    """document: contract.Contract. pools: values that exist, by the name of the field or {parameter}; "?name" of the query."""

    def __init__(self, document, pools, random):
        self.document, self.pools, self.random = document, pools, random
        self.mutations = [self.spoil_field, self.spoil_field, self.spoil_field, self.add_field, self.spoil_bytes, self.spoil_segment,
                          self.spoil_query, self.spoil_header, self.spoil_header, self.other_method, self.other_path]

    def next(self, operation):
        made = self.valid(operation)
        if self.random.random() >= VALID_SHARE:
            self.random.choice(self.mutations)(made, operation)
        return made

    # ---- as the document wants it ----

    def valid(self, operation):
        random, made = self.random, Made(operation)
        made.segments = [self.segment(operation, part) for part in made.segments]
        for (place, name), one in operation.parameters.items():
            if place == "query" and name != "project" and (one.get("required") or random.random() < 0.2):
                made.query.append((name, self.parameter(name, one)))
            elif place == "header" and (one.get("required") or random.random() < 0.3):
                made.headers.append((name, str(one.get("example", "0"))))
        if operation.body_schema:
            examples = list(operation.body.get("examples", {}).values())
            take = examples and random.random() < 0.5
            made.body = copy.deepcopy(random.choice(examples)["value"]) if take else self.value(operation.body["schema"])
            if isinstance(made.body, dict) and "wait_ms" in made.body:
                made.body["wait_ms"] = 0
        if operation.own["x-body"] == "stream":
            made.raw = random.choice([b"", b"abc", b"\0" * 1000])
        return made

    def segment(self, operation, part):
        if not part.startswith("{"):
            return part
        name = part[1:-1]
        family = operation.path.split("/")[-2 if operation.path.endswith(part) else 3]
        pool = self.pools.get(operation.id + "/" + name) or self.pools.get(family + "/" + name) or self.pools.get(name) or ["a"]
        return str(self.random.choice(pool))

    def parameter(self, name, one):
        if name == "wait_ms":
            return "0"
        value = self.value(one["schema"], 0, "?" + name)
        return str(value) if value is not None else ""

    def value(self, one, depth=0, name=""):
        """What the schema admits, more or less: patterns are left to the pools."""
        random = self.random
        if name in self.pools and random.random() < 0.8:
            return copy.deepcopy(random.choice(self.pools[name]))
        one = self.document.schemas.resolve(one)
        if "const" in one:
            return one["const"]
        if "enum" in one:
            return random.choice(one["enum"])
        if "anyOf" in one:
            return self.value(random.choice(one["anyOf"]), depth + 1)
        kind = one.get("type", "string")
        kind = random.choice(kind) if isinstance(kind, list) else kind
        return getattr(self, "make_" + kind)(one, depth)

    def make_object(self, one, depth):
        made = {}
        for name, part in one.get("properties", {}).items():
            if name in one.get("required", []) or depth < 4 and self.random.random() < 0.3:
                made[name] = self.value(part, depth + 1, name)
        if isinstance(one.get("additionalProperties"), dict) and self.random.random() < 0.5:
            made[self.random.choice(["a", "site", "auc"])] = self.value(one["additionalProperties"], depth + 1)
        return made

    def make_array(self, one, depth):
        count = max(one.get("minItems", 0), self.random.choice([0, 1, 2, min(one.get("maxItems", 2), 40)]))
        return [self.value(one.get("items", {}), depth + 1) for _ in range(count)]

    def make_integer(self, one, _depth):
        low, high = one.get("minimum", 0), one.get("maximum", 2 ** 31)
        return self.random.choice([low, low + 1, min(low + 7, high), high])

    def make_number(self, one, _depth):
        return self.random.choice([one.get("minimum", 0), 0.5, one.get("maximum", 1)])

    def make_string(self, one, _depth):
        return self.random.choice(["a", "oslo", "1h", "pump", "x" * min(one.get("maxLength", 30), 5000)])

    def make_boolean(self, _one, _depth):
        return self.random.random() < 0.5

    def make_null(self, _one, _depth):
        return None

    # ---- one thing wrong ----

    def spots(self, value, found):
        """Every (container, key) in value."""
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, one in pairs:
            found.append((value, key))
            self.spots(one, found)
        return found

    def beyond(self, value):
        """Just across where a border may be."""
        if isinstance(value, str):
            return value * self.random.choice([2, 70, 5000]) + "x"
        if isinstance(value, (int, float)):
            return self.random.choice([-value - 1, value + 1, value * 1000 + 1, str(value)])
        return [value] * self.random.choice([1, 2, 600])

    def hostile(self):
        return copy.deepcopy(self.random.choice(self.random.choice([HOSTILE_TEXT, HOSTILE_VALUE])))

    def spoil_field(self, made, operation):
        found = self.spots(made.body, [])
        if not found:
            self.spoil_query(made, operation)
            return
        container, key = self.random.choice(found)
        if isinstance(container, dict) and self.random.random() < 0.2:
            del container[key]
        elif self.random.random() < 0.3:
            container[key] = self.beyond(container[key])
        else:
            container[key] = self.hostile()

    def add_field(self, made, _operation):
        if not isinstance(made.body, dict):
            made.body = {}
        made.body[self.random.choice(HOSTILE_TEXT)] = self.hostile()

    def spoil_bytes(self, made, _operation):
        made.raw = self.random.choice(RAW_BODIES)

    def spoil_segment(self, made, _operation):
        made.segments[self.random.randrange(len(made.segments))] = self.random.choice(HOSTILE_SEGMENT)

    def spoil_query(self, made, operation):
        names = list(operation.query) + ["x", "", "project"]
        made.query.append((self.random.choice(names), self.random.choice(HOSTILE_TEXT)[:600]))

    def spoil_header(self, made, _operation):
        made.headers.append(self.random.choice(HOSTILE_HEADERS))

    def other_method(self, made, _operation):
        made.method = self.random.choice(METHODS)

    def other_path(self, made, _operation):
        keep = self.random.randrange(len(made.segments))
        made.segments = made.segments[:keep] if self.random.random() < 0.5 else made.segments + ["x"]


def pairs(*names):
    return {"type": "array", "maxItems": 3, "items": {"type": "object", "required": list(names),
                                                      "properties": {name: {"type": "integer" if name in ("timestamp", "step") else "string"}
                                                                     for name in names}}}


class Foreign:
    """The shape of contract.Operation for a route that is somebody else's contract (MLflow's): words of that contract in any
    place, three of them always there."""
    TEXT = {"type": ["string", "integer"]}
    WORDS = {**dict.fromkeys(("name", "new_name", "version", "key", "value", "alias", "stage", "source", "run_id", "description", "filter",
                              "page_token", "experiment_id", "artifact_location", "path", "run_uuid", "user_id", "run_name", "model_id"), TEXT),
             **dict.fromkeys(("max_results", "timestamp", "step", "start_time", "end_time"), {"type": "integer", "minimum": 0, "maximum": 2 ** 53}),
             **dict.fromkeys(("order_by", "experiment_ids", "datasets", "models", "inputs"), {"type": "array", "items": TEXT}),
             "metrics": pairs("key", "value", "timestamp", "step"), "params": pairs("key", "value"), "tags": pairs("key", "value"),
             "archive_existing_versions": {"type": "boolean"}, "view_type": {"enum": ["ACTIVE_ONLY", "DELETED_ONLY", "ALL", "x"]},
             "status": {"enum": ["RUNNING", "FINISHED", "FAILED", "x"]}}
    SETS = (("name", "version", "value"), ("run_id", "key", "value"), ("experiment_id", "run_id", "path"), ("name", "alias", "key"))

    def __init__(self, route, always):
        self.method, self.path, self.id = route["method"], route["path"].replace("...}", "}"), "foreign"
        self.parameters = {} if self.method != "GET" else {("query", name): {"schema": one, "required": name in always}
                                                           for name, one in self.WORDS.items()}
        self.query = dict.fromkeys(self.WORDS)
        self.body = {"schema": {"type": "object", "properties": self.WORDS, "required": list(always)}}
        self.body_schema = self.method != "GET"
        self.own = {"x-body": route["body"], "x-listener": "api admin", "x-permission": route["permission"]}
