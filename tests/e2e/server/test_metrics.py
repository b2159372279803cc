"""GET /metrics as a scraper sees it: well formed, true, bounded, and closed to whoever may not read it.

SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import sqlite3

import harness

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
LABELS = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (-?[0-9.e+-]+)")
PROMISED = {"tidemark_build_info", "tidemark_devices", "tidemark_rollout_devices", "tidemark_ingest_lag_seconds", "tidemark_writer_queue",
            "tidemark_ca_expiry_seconds", "tidemark_checkpoint_age_seconds"}


def parse(text):
    """({family: kind}, {(name, labels…): value}); strict: an unknown line, a family that comes twice or is left and taken up again fails."""
    kinds, samples, family, helped = {}, {}, None, None
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            helped, words = line.split(" ", 3)[2:]
            assert words
            continue
        if line.startswith("# TYPE "):
            family, kind = line.split(" ")[2:]
            assert family == helped and family not in kinds and kind in ("counter", "gauge", "histogram"), line
            assert (kind == "counter") == family.endswith("_total"), line
            kinds[family] = kind
            continue
        name, labels, value = SAMPLE.fullmatch(line).groups()
        pairs = tuple(LABELS.findall(labels or ""))
        assert LABELS.sub("", labels or "") == "", line
        endings = ("_bucket", "_sum", "_count") if kinds[family] == "histogram" else ("",)
        assert name in [family + ending for ending in endings], line
        assert (name, *pairs) not in samples, line
        samples[(name, *pairs)] = float(value)
    return kinds, samples


class MetricsCase(harness.ServerTest):
    def scrape(self, as_="ana"):
        answer = self.server.call("GET", "/metrics", as_=as_)
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        return parse(answer.bytes.decode())

    def value(self, name, **labels):
        return self.scrape()[1].get((name, *labels.items()))


class Metrics(MetricsCase):
    tampers = True  # rows of many roll-outs, without the work that makes records

    def test_the_page_names_every_family_and_no_other(self):
        kinds, _ = self.scrape()
        with open(os.path.join(TOP, "docs/operations.md"), encoding="utf-8") as file:
            told = re.findall(r"^\| `(\w+)(?:\{[a-z_, ]*\})?` \| (counter|gauge|histogram) \|", file.read(), re.M)
        self.assertEqual(sorted(told), sorted(kinds.items()))
        self.assertLessEqual(PROMISED, set(kinds))

    def test_what_runs(self):
        name, = [key for key in self.scrape()[1] if key[0] == "tidemark_build_info"]
        labels = dict(name[1:])
        self.assertEqual(labels["profile"], "demo")
        self.assertEqual(labels["version"], self.server.call("GET", "/api/v1/status").json["version"])
        self.assertGreater(self.value("tidemark_ca_expiry_seconds"), 300 * 86400)
        self.assertGreater(self.value("process_resident_memory_bytes"), 1e6)
        self.assertEqual(self.value("tidemark_writer_queue"), 0)

    def test_requests_are_counted_by_route_and_status(self):
        def seen(**labels):
            return self.value("tidemark_http_requests_total", **labels) or 0
        missing = {"method": "GET", "route": "/api/v1/models/{model}", "status": "404"}
        before = seen(**missing)
        for name in ("a", "b", "c"):
            self.server.call("GET", "/api/v1/models/no-" + name)
        # a request is counted when its connection is done with it, which may be after the client has its answer
        harness.wait_for("three more requests", lambda: seen(**missing) == before + 3)

    def test_nobody_makes_a_series_of_his_own(self):
        def count():
            return sum(key[0] == "tidemark_http_requests_total" for key in self.scrape()[1])
        for path in ("/x-first", "/metrics"):
            self.server.call("GET", path)
        harness.wait_for("the first of them", lambda: self.value("tidemark_http_requests_total", method="other", route="none", status="404"))
        before = count()
        for i in range(30):
            self.server.call("GET", f"/x-{i}/{i}?{i}={i}")
            self.server.call("BREW", f"/x-{i}")
        self.assertLessEqual(count(), before + 1)

    def test_histograms_add_up(self):
        _, samples = self.scrape()
        buckets = [(dict(key[1:])["le"], value) for key, value in samples.items()
                   if key[0] == "tidemark_http_request_duration_seconds_bucket" and key[1] == ("listener", "api")]
        self.assertEqual([value for _, value in buckets], sorted(value for _, value in buckets))
        self.assertEqual(buckets[-1][0], "+Inf")
        self.assertEqual(buckets[-1][1], samples[("tidemark_http_request_duration_seconds_count", ("listener", "api"))])

    def test_devices_versions_and_the_log(self):
        server = self.server
        self.assertEqual(server.register("pump").status, 201)
        server.upload(b"x")
        before = self.value("tidemark_devices", state="never_seen")
        code = server.call("POST", "/api/v1/enrolment-codes", {}).json["codes"][0].replace("-", "")
        import base64
        secret = base64.b32decode(code + "=" * (-len(code) % 8))[:10].hex()
        csr = harness.make_request(server.folder, "press-1")
        self.assertEqual(server.device("POST", "/enrol/v1/device", {"code_secret": secret, "device": "press-1", "csr_pem": csr}).status, 201)
        self.assertEqual(self.value("tidemark_devices", state="never_seen"), before + 1)
        self.assertEqual(server.call("POST", "/api/v1/devices/press-1/revoke", {"reason": "sold"}).status, 200)
        self.assertEqual(self.value("tidemark_devices", state="never_seen"), before)
        self.assertEqual(self.value("tidemark_devices", state="revoked"), 1)
        self.assertGreater(self.value("tidemark_audit_records"), 3)
        harness.wait_for("a checkpoint over everything", lambda: self.value("tidemark_audit_records_unsigned") == 0)
        self.assertGreaterEqual(self.value("tidemark_checkpoint_age_seconds"), 0)

    def test_rollouts_under_way_alone_and_the_newest_of_them(self):
        with sqlite3.connect(self.server.path("tidemark.db"), timeout=20) as db:  # 60 rollouts by hand would show no more
            columns = {row[1]: row for row in db.execute("PRAGMA table_info(rollout)")}
            needed = [name for name, row in columns.items() if row[3] and row[4] is None and name not in ("rollout_id", "id")]
            filled = ", ".join(needed)
            texts = {"state": "'running'", "project": "'default'", "project_id": "1"}
            values = ", ".join(texts.get(name) or {"INTEGER": "1", "BLOB": "zeroblob(32)"}.get(columns[name][2], "'x'") for name in needed)
            db.execute("PRAGMA ignore_check_constraints = 1")
            db.execute("PRAGMA foreign_keys = 0")
            for i in range(60):
                row = db.execute(f"INSERT INTO rollout (id, {filled}) VALUES ('r-t{i}', {values})").lastrowid
                more = {info[1]: info for info in db.execute("PRAGMA table_info(rollout_device)")}
                need = [name for name, info in more.items() if info[3] and info[4] is None and name not in ("rollout_id", "state")]
                db.execute(f"INSERT INTO rollout_device (rollout_id, state, {', '.join(need)}) VALUES (?, 'waiting', " +
                           ", ".join({"INTEGER": "1", "BLOB": "zeroblob(32)"}.get(more[name][2], "'x'") for name in need) + ")", (row,))
        db.close()
        named = {dict(key[1:])["rollout"] for key in self.scrape()[1] if key[0] == "tidemark_rollout_devices"}
        self.assertEqual(len(named), 50)
        self.assertIn("r-t59", named)
        self.assertNotIn("r-t0", named)


class Doors(MetricsCase):
    def test_who_may(self):
        server = self.server
        self.check(server.call("GET", "/metrics", as_=None), 401, "unauthenticated")
        self.assertEqual(server.admin("GET", "/metrics").status, 200)
        made = server.admin("POST", "/api/v1/users", {"name": "prometheus", "service": True, "roles": ["metrics"], "reason": "scrapes"})
        self.assertEqual(made.status, 201, made)
        token = server.admin("POST", "/api/v1/users/prometheus/tokens", {}).json["token"]
        headers = {"Authorization": "Bearer " + token}
        self.assertEqual(server.call("GET", "/metrics", None, None, headers).status, 200)
        self.check(server.call("GET", "/api/v1/models", None, None, headers), 403, "denied")

    def test_it_is_about_the_whole_server(self):
        self.assertEqual(self.server.admin("POST", "/api/v1/projects", {"name": "mill", "description": ""}).status, 201)
        self.check(self.server.admin("GET", "/metrics?project=mill"), 400, "invalid", "whole server")
        self.check(self.server.device("GET", "/metrics"), 404)


class OpenToThisMachine(MetricsCase):
    settings = {"METRICS_PUBLIC": "true"}

    def test_without_a_token(self):
        self.scrape(as_=None)
        self.check(self.server.call("GET", "/api/v1/models", as_=None), 401, "unauthenticated")

    def test_what_a_proxy_forwards_is_not_local(self):
        for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"):
            self.check(self.server.call("GET", "/metrics", as_=None, headers={name: "1.1 x"}), 401, "unauthenticated")


if __name__ == "__main__":
    harness.main()
