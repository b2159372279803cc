"""What the server writes about itself: a line an event that belongs to a request, and no secret in any.

SPDX-License-Identifier: Apache-2.0
"""
import json
import re

import harness

ID = "X-Request-Id"


class RequestIds(harness.ServerTest):
    def test_a_sane_one_is_kept(self):
        for given in ("8f14e45f-ceea-467f-9d2c-1c7a8e0b3d55", "12345678", "a" * 64, "A.b_c-1234"):
            answer = self.server.call("GET", "/api/v1/models/none", headers={ID: given})
            self.assertEqual(answer.headers[ID], given)
            self.assertEqual(answer.json["request_id"], given)

    def test_any_other_is_replaced(self):
        for given in ("short", "a" * 65, "with space", "q\"uote-quote", "semi;colon", "<script>alert", "per%20cent", "ümlaut-ümlaut".encode()):
            answer = self.server.call("GET", "/healthz", headers={ID: given})
            self.assertRegex(answer.headers[ID], "^[0-9a-f]{32}$", given)
        twice = f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{ID}: aaaaaaaaaa\r\n{ID}: bbbbbbbbbb\r\nConnection: close\r\n\r\n"
        self.assertRegex(self.server.raw(twice.encode()), rb"X-Request-Id: [0-9a-f]{32}\r\n")

    def test_every_request_has_another(self):
        ids = {self.server.call("GET", "/healthz").headers[ID] for _ in range(20)}
        self.assertEqual(len(ids), 20)

    def test_it_is_in_the_audit_record(self):
        answer = self.server.call("POST", "/api/v1/models", {"name": "traced"}, headers={ID: "trace-0001"})
        self.assertEqual(answer.status, 201, answer)
        records = self.server.call("GET", "/api/v1/audit?limit=100", as_="ben").json["records"]
        self.assertIn("trace-0001", json.dumps(records))


class AccessLog(harness.ServerTest):
    settings = {"LOG_LEVEL": "info", "LOG_JSON": "true", "LOG_ACCESS": "all", "LOG_ACCESS_PER_SECOND": "100000"}

    def lines(self):
        return [json.loads(line) for line in self.server.log_text().splitlines() if line.startswith("{")]

    def line(self, request_id):
        return harness.wait_for(f"a line about {request_id}", lambda: [line for line in self.lines() if line.get("request_id") == request_id and
                                                                         line["component"] == "access"])[0]

    def test_a_line_says_what_was_asked_and_what_came_of_it(self):
        answer = self.server.call("GET", "/api/v1/models/none?project=default", headers={ID: "line-0001"})
        line = self.line("line-0001")
        self.assertEqual({key: line[key] for key in ("method", "path", "status", "peer", "user", "level")},
                         {"method": "GET", "path": "/api/v1/models/none", "status": answer.status, "peer": "127.0.0.1", "user": "ana",
                          "level": "info"})
        self.assertGreater(line["duration_us"], 0)

    def test_no_secret_is_in_it(self):
        server = self.server
        secret = "tmk_" + "5ec2e7" * 10 + "abcd"
        server.call("GET", f"/api/v1/models?token={secret}", as_=None)
        server.call("GET", "/api/v1/models", as_=None, headers={"Authorization": "Bearer " + secret})
        server.call("GET", "/api/v1/models", as_=None, headers={"Authorization": "Basic " + secret, "Cookie": secret})
        made = server.admin("POST", "/api/v1/users/ana/tokens", {"label": "x"}).json["token"]
        codes = server.call("POST", "/api/v1/enrolment-codes", {}).json["codes"]
        server.call("GET", "/api/v1/models", as_=None, headers={"Authorization": "Bearer " + made, ID: "last-of-them"})
        self.line("last-of-them")
        text = server.log_text()
        for word in (secret, "5ec2e7", made, made[4:20], server.token("ana"), *codes, *[code.replace("-", "") for code in codes]):
            self.assertNotIn(word, text)

    def test_nobody_forges_a_line(self):
        self.server.call("GET", '/x%0a{"level":"error"}%22', headers={ID: "forged-0001"})
        self.line("forged-0001")
        self.assertFalse([line for line in self.lines() if line["level"] == "error"])


class Flood(harness.ServerTest):
    settings = {"LOG_LEVEL": "info", "LOG_ACCESS": "errors", "LOG_ACCESS_PER_SECOND": "2"}

    def test_what_is_left_out_is_counted(self):
        def wait():
            self.server.call("GET", "/none")
            return re.search(r"requests without a line .* omitted=\d+", self.server.log_text())
        for _ in range(30):
            self.server.call("GET", "/none")
        harness.wait_for("the count of what was left out", wait)
        self.server.call("GET", "/healthz", headers={ID: "went-well-1"})
        text = self.server.log_text()
        self.assertIn(" access: request method=- path=/none status=404 ", text)
        self.assertNotIn("went-well-1", text)


if __name__ == "__main__":
    harness.main()
