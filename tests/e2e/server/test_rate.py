"""Rate limits: each token and each address has its own, health has none, and the answer says when to come again.

SPDX-License-Identifier: Apache-2.0
"""
import harness


class Rates(harness.ServerTest):
    settings = {"HTTP_RATE_PER_TOKEN": "5"}

    def burst(self, as_, count=40):
        return [self.server.call("GET", "/api/v1/models", as_=as_) for _ in range(count)]

    def test_a_token_that_asks_too_often_waits(self):
        answers = self.burst("ana")
        refused = [answer for answer in answers if answer.status == 429]
        self.assertEqual({answer.status for answer in answers}, {200, 429})
        self.assertGreaterEqual(len(answers) - len(refused), 10)
        self.check(refused[0], 429, "rate_limited", "of this token")
        self.assertEqual(refused[0].headers["Retry-After"], "1")
        self.assertEqual(self.server.call("GET", "/api/v1/models", as_="ben").status, 200)  # another's is another's
        harness.wait_for("the bucket to fill", lambda: self.server.call("GET", "/api/v1/models").status == 200)

    def test_the_admin_socket_has_none(self):
        self.assertEqual({self.server.admin("GET", "/api/v1/users").status for _ in range(40)}, {200})


class Addresses(harness.ServerTest):
    settings = {"HTTP_RATE_PER_ADDRESS": "5", "HTTP_RATE_ON_LOOPBACK": "true"}

    def test_an_address_that_asks_too_often_waits_whoever_it_is(self):
        answers = [self.server.call("GET", "/api/v1/models", as_=None) for _ in range(40)]
        self.assertEqual({answer.status for answer in answers}, {401, 429})
        self.check(self.server.call("POST", "/api/v1/uploads", b"x" * 1_000_000), 429, "rate_limited", "of this address")

    def test_health_is_always_told(self):
        self.assertEqual({self.server.call("GET", "/healthz").status for _ in range(60)}, {200})


class Defaults(harness.ServerTest):
    def test_loopback_is_not_counted_unless_told(self):
        self.assertEqual({self.server.call("GET", "/api/v1/models").status for _ in range(300)}, {200})


if __name__ == "__main__":
    harness.main()
