"""ETag, If-Match and Idempotency-Key: no lost update, nothing made twice.

SPDX-License-Identifier: Apache-2.0
"""
import threading

import harness


class Conditions(harness.ServerTest):
    def setUp(self):
        self.name = self.id().rsplit(".", 1)[1].replace("_", "-")[:60]
        self.path = "/api/v1/models/" + self.name
        self.check(self.server.call("POST", "/api/v1/models", {"name": self.name}), 201)

    def patch(self, text, tag, path=None):
        return self.server.call("PATCH", path or self.path, {"description": text}, headers={"If-Match": tag})

    def test_a_get_answers_a_tag_and_304_to_who_has_it(self):
        first = self.server.call("GET", self.path)
        tag = first.headers["ETag"]
        self.assertRegex(tag, '^"[0-9a-f]{32}"$')
        for sent in (tag, 'W/' + tag, '"x", ' + tag, "*"):
            again = self.server.call("GET", self.path, headers={"If-None-Match": sent})
            self.assertEqual((again.status, again.bytes, again.headers["ETag"]), (304, b"", tag), sent)
        self.assertEqual(self.server.call("GET", self.path, headers={"If-None-Match": '"x"'}).status, 200)
        self.patch("changed", tag)
        self.assertEqual(self.server.call("GET", self.path, headers={"If-None-Match": tag}).status, 200)

    def test_a_stale_tag_changes_nothing(self):
        tag = self.server.call("GET", self.path).headers["ETag"]
        self.check(self.patch("one", tag), 200)
        self.check(self.patch("two", tag), 412, "precondition_failed", "read it again")
        self.check(self.patch("two", '"nonsense"'), 412, "precondition_failed")
        self.check(self.patch("two", "W/" + self.server.call("GET", self.path).headers["ETag"]), 412, "precondition_failed")
        self.assertEqual(self.server.call("GET", self.path).json["description"], "one")
        self.check(self.patch("three", "*"), 200)
        self.check(self.patch("four", "*", "/api/v1/models/nobody"), 412, "precondition_failed")

    def test_of_two_racing_changes_with_one_tag_one_wins(self):
        for turn in range(20):
            tag = self.server.call("GET", self.path).headers["ETag"]
            results, barrier = [], threading.Barrier(4)

            def change(index):
                barrier.wait()
                results.append((self.patch(f"{turn}-{index}", tag).status, index))
            threads = [threading.Thread(target=change, args=(index,)) for index in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(sorted(status for status, _ in results), [200, 412, 412, 412])
            winner = next(index for status, index in results if status == 200)
            self.assertEqual(self.server.call("GET", self.path).json["description"], f"{turn}-{winner}")

    def test_every_kind_of_object(self):
        """The tag of an object holds for its PATCH, PUT, and for the verbs below it."""
        server = self.server
        version = server.register(self.name).json["version"]
        path = f"{self.path}/versions/{version}"
        tag = server.call("GET", path).headers["ETag"]
        stale = {"If-Match": '"stale"'}
        for method, target, body, as_ in (
                ("PATCH", path, {"description": "x"}, "ana"), ("POST", path + "/submit", {}, "ana"),
                ("PUT", path + "/tags/a", {"value": "b"}, "ana"), ("PUT", self.path + "/aliases/blue", {"version": version}, "ana"),
                ("POST", "/api/v1/users/worker/disable", {"reason": "x"}, "ana"),
                ("PUT", "/api/v1/users/worker/roles", {"roles": ["trainer"], "reason": "x"}, "ana"),
                ("PUT", self.path + "/monitor", {}, "ana")):
            self.check(server.call(method, target, body, as_, headers=stale), 412, "precondition_failed")
        self.check(server.call("POST", path + "/submit", {}, headers={"If-Match": tag}), 200)
        self.check(server.call("POST", path + "/reject", {"reason": "x"}, "ben", headers={"If-Match": tag}), 412,
                   "precondition_failed")

    def test_make_only_what_is_not_there(self):
        version = self.server.register(self.name).json["version"]
        for expected in (200, 412):
            answer = self.server.call("PUT", self.path + "/aliases/green", {"version": version}, headers={"If-None-Match": "*"})
            self.assertEqual(answer.status, expected, answer)

    def test_files_have_their_digest_as_tag(self):
        data = b"0123456789" * 100
        path = "/api/v1/content/" + self.server.upload(data)
        tag = self.server.call("GET", path).headers["ETag"]
        self.assertEqual(self.server.call("GET", path, headers={"If-None-Match": tag}).status, 304)
        part = self.server.call("GET", path, headers={"Range": "bytes=10-19", "If-Range": tag})
        self.assertEqual((part.status, part.bytes), (206, data[10:20]))
        whole = self.server.call("GET", path, headers={"Range": "bytes=10-19", "If-Range": '"other"'})
        self.assertEqual((whole.status, whole.bytes), (200, data))


class Keys(harness.ServerTest):
    def post(self, path, body, key, as_="ana"):
        return self.server.call("POST", path, body, as_, headers={"Idempotency-Key": key})

    def test_the_same_request_again_gets_the_same_answer(self):
        first = self.check(self.post("/api/v1/models", {"name": "once"}, "k-1"), 201)
        again = self.check(self.post("/api/v1/models", {"name": "once"}, "k-1"), 201)
        self.assertEqual((first.bytes, first.headers["Location"]), (again.bytes, again.headers["Location"]))
        self.assertEqual(again.headers["Idempotency-Replayed"], "true")
        self.check(self.server.call("POST", "/api/v1/models", {"name": "once"}), 409, "conflict")

    def test_another_request_with_the_key_is_refused(self):
        self.check(self.post("/api/v1/models", {"name": "a1"}, "k-2"), 201)
        self.check(self.post("/api/v1/models", {"name": "a2"}, "k-2"), 422, "idempotency_key_reused", "choose a new one")
        self.check(self.server.call("GET", "/api/v1/models/a2"), 404)

    def test_keys_belong_to_their_user(self):
        self.check(self.post("/api/v1/users", {"name": "u1", "roles": ["data-scientist"]}, "k-3"), 201)
        token = self.server.call("POST", "/api/v1/users/u1/tokens", {}).json["token"]
        answer = self.server.call("POST", "/api/v1/models", {"name": "a3"}, None,
                                  headers={"Idempotency-Key": "k-3", "Authorization": "Bearer " + token})
        self.check(answer, 201)

    def test_a_refused_create_leaves_no_key(self):
        self.check(self.post("/api/v1/models", {"name": "!"}, "k-4"), 400)
        self.check(self.post("/api/v1/models", {"name": "a4"}, "k-4"), 201)

    def test_versions_users_and_runs(self):
        body = {"files": [{"name": "model.onnx", "digest": self.server.upload(harness.onnx_model()), "role": "model"}]}
        path = "/api/v1/models/twice/versions"
        numbers = [self.check(self.post(path, body, "k-5"), 201).json["version"] for _ in range(3)]
        self.assertEqual(numbers, [1, 1, 1])
        self.assertEqual(self.check(self.post(path, body, "k-6"), 201).json["version"], 2)
        for _ in range(2):
            self.check(self.post("/api/v1/users", {"name": "u2"}, "k-7"), 201)

    def test_at_once(self):
        answers, barrier = [], threading.Barrier(8)

        def send():
            barrier.wait()
            answers.append(self.post("/api/v1/models", {"name": "racing"}, "k-8"))
        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({answer.status for answer in answers}, {201})
        self.assertEqual(len({answer.bytes for answer in answers}), 1)

    def test_answers_with_a_secret_are_never_kept(self):
        self.check(self.post("/api/v1/users/ana/tokens", {}, "k-9"), 400, "invalid", "takes none")
        self.check(self.post("/api/v1/enrolment-codes", {"count": 1}, "k-10"), 400, "invalid", "takes none")

    def test_bad_keys(self):
        for key in ("", "a b", "x" * 129, "caf\u00e9"):
            self.check(self.post("/api/v1/models", {"name": "bad"}, key), 400, "invalid", "Idempotency-Key")

    def test_kept_over_a_kill(self):
        server = harness.Server()
        self.addCleanup(server.close)
        server.start()
        first = server.call("POST", "/api/v1/models", {"name": "m"}, headers={"Idempotency-Key": "k"})
        server.kill()
        server.start()
        again = server.call("POST", "/api/v1/models", {"name": "m"}, headers={"Idempotency-Key": "k"})
        self.assertEqual((first.status, first.bytes), (again.status, again.bytes))


if __name__ == "__main__":
    harness.main()
