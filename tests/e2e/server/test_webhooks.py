"""Webhooks: what changes is told, signed, in order, once it is on disk and as often as it takes; and never to a private address.

The receiver is real and on this machine, which webhooks.private_networks lists for it.
SPDX-License-Identifier: Apache-2.0
"""
import base64
import glob
import hashlib
import hmac
import http.server
import json
import socket
import threading

import harness

HOOKS = "/api/2.0/mlflow/webhooks"
SECRET = "correct-horse-battery-staple"


class Receiver:
    """Keeps what it is sent; `answers` are the statuses of its next answers, then 200."""

    def __init__(self, port=0):
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.lock:
                    receiver.got.append((dict(self.headers), body, self.path))
                    status = receiver.answers.pop(0) if receiver.answers else 200
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                if status == 503:
                    self.send_header("Retry-After", "1")
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        self.got, self.answers, self.lock = [], [], threading.Lock()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/hook"

    def bodies(self):
        with self.lock:
            return [json.loads(body) for _, body, _ in self.got]

    def wait(self, count):
        harness.wait_for(f"{count} deliveries", lambda: len(self.got) >= count)
        return self.bodies()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def every_event():
    pairs = [("REGISTERED_MODEL", "CREATED"), ("MODEL_VERSION", "CREATED"), ("MODEL_VERSION_TAG", "SET"), ("MODEL_VERSION_TAG", "DELETED"),
             ("MODEL_VERSION_ALIAS", "CREATED"), ("MODEL_VERSION_ALIAS", "DELETED"), ("PROMPT", "CREATED"), ("PROMPT_VERSION", "CREATED"),
             ("PROMPT_TAG", "SET"), ("PROMPT_TAG", "DELETED")]
    return [{"entity": entity, "action": action} for entity, action in pairs]


class Hooked(harness.ServerTest):
    def hook(self, url, events=None, secret=SECRET, project=None, **more):
        body = {"name": "n", "url": url, "events": events or every_event(), **more}
        if secret:
            body["secret"] = secret
        answer = self.server.call("POST", HOOKS, body, headers={"X-MLFLOW-WORKSPACE": project} if project else None)
        self.assertEqual(answer.status, 200, answer)
        return answer.json["webhook"]

    def state(self, hook):
        return self.server.call("GET", f"{HOOKS}/{hook['webhook_id']}").json["webhook"]["last_delivery"]

    def make(self, name):
        self.check(self.server.call("POST", "/api/v1/models", {"name": name}), 201)


class Told(Hooked):
    settings = {"WEBHOOKS_PRIVATE_NETWORKS": "127.0.0.1"}

    def setUp(self):
        self.receiver = Receiver()
        self.addCleanup(self.receiver.close)

    def tearDown(self):
        for hook in self.server.call("GET", HOOKS).json["webhooks"]:
            self.check(self.server.call("DELETE", f"{HOOKS}/{hook['webhook_id']}", {}), 200)

    def test_changes_are_told_in_order_and_signed(self):
        self.hook(self.receiver.url)
        self.check(self.server.call("POST", "/api/v1/models", {"name": "told", "tags": {"a": "b"}}), 201)
        self.check(self.server.register("told"), 201)
        tag = "/api/2.0/mlflow/model-versions/"
        self.check(self.server.call("POST", tag + "set-tag", {"name": "told", "version": "1", "key": "k", "value": "v"}), 200)
        self.check(self.server.call("DELETE", tag + "delete-tag", {"name": "told", "version": "1", "key": "k"}), 200)
        alias = "/api/2.0/mlflow/registered-models/alias"
        self.check(self.server.call("POST", alias, {"name": "told", "alias": "best", "version": "1"}), 200)
        self.check(self.server.call("DELETE", alias, {"name": "told", "alias": "best"}), 200)
        bodies = self.receiver.wait(6)
        self.assertEqual([f"{body['entity']}.{body['action']}" for body in bodies],
                         ["registered_model.created", "model_version.created", "model_version_tag.set", "model_version_tag.deleted",
                          "model_version_alias.created", "model_version_alias.deleted"])
        self.assertEqual(bodies[0]["data"], {"name": "told", "tags": {"a": "b"}, "description": None})
        self.assertEqual(bodies[1]["data"]["source"], "models:/told/1")
        self.assertEqual(bodies[2]["data"], {"name": "told", "version": "1", "key": "k", "value": "v"})
        self.assertEqual(bodies[4]["data"], {"name": "told", "alias": "best", "version": "1"})
        self.assertEqual({body["workspace"] for body in bodies}, {"default"})
        for headers, body, _ in self.receiver.got:
            text = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.".encode() + body
            mac = base64.b64encode(hmac.new(SECRET.encode(), text, hashlib.sha256).digest()).decode()
            self.assertEqual(headers["X-MLflow-Signature"], "v1," + mac)
        self.assertEqual(len({headers["X-MLflow-Delivery-Id"] for headers, _, _ in self.receiver.got}), 6)

    def test_prompts_are_told_as_prompts(self):
        self.hook(self.receiver.url)
        tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}, {"key": "own", "value": "x"}]
        models, versions = "/api/2.0/mlflow/registered-models/", "/api/2.0/mlflow/model-versions/"
        self.check(self.server.call("POST", models + "create", {"name": "greet", "tags": tags}), 200)
        text = {"key": "mlflow.prompt.text", "value": "Hello {{name}}"}
        self.check(self.server.call("POST", versions + "create",
                                    {"name": "greet", "source": "prompt-template", "tags": tags[:1] + [text]}), 200)
        self.check(self.server.call("POST", models + "set-tag", {"name": "greet", "key": "k", "value": "v"}), 200)
        bodies = self.receiver.wait(3)
        self.assertEqual([body["entity"] for body in bodies], ["prompt", "prompt_version", "prompt_tag"])
        self.assertEqual(bodies[0]["data"]["tags"], {"own": "x"})
        self.assertEqual((bodies[1]["data"]["template"], bodies[1]["data"]["tags"]), ("Hello {{name}}", {}))

    def test_only_what_was_asked_for_is_told_and_only_while_active(self):
        hook = self.hook(self.receiver.url, [{"entity": "MODEL_VERSION", "action": "CREATED"}])
        self.make("quiet")
        self.check(self.server.register("quiet"), 201)
        self.receiver.wait(1)
        self.check(self.server.call("PATCH", f"{HOOKS}/{hook['webhook_id']}", {"status": "DISABLED"}), 200)
        self.check(self.server.register("quiet"), 201)
        self.check(self.server.call("PATCH", f"{HOOKS}/{hook['webhook_id']}", {"status": "ACTIVE"}), 200)
        self.check(self.server.register("quiet"), 201)
        self.assertEqual([body["data"]["version"] for body in self.receiver.wait(2)], ["1", "3"])

    def test_what_fails_is_sent_again_under_the_same_id(self):
        self.receiver.answers = [500, 503]
        hook = self.hook(self.receiver.url)
        self.make("again-a")
        self.make("again-b")
        bodies = self.receiver.wait(4)
        self.assertEqual([body["data"]["name"] for body in bodies], ["again-a"] * 3 + ["again-b"])
        ids = [headers["X-MLflow-Delivery-Id"] for headers, _, _ in self.receiver.got]
        self.assertEqual(len(set(ids[:3])), 1)
        harness.wait_for("the note", lambda: self.state(hook)["answer"] == "status 200")
        self.assertEqual((self.state(hook)["waiting"], self.state(hook)["lost"]), (0, 0))

    def test_what_is_refused_for_good_is_given_up(self):
        self.receiver.answers = [410]
        hook = self.hook(self.receiver.url)
        self.make("gone-a")
        self.make("gone-b")
        self.assertEqual([body["data"]["name"] for body in self.receiver.wait(2)], ["gone-a", "gone-b"])
        harness.wait_for("the count", lambda: self.state(hook)["lost"] == 1)

    def test_a_redirect_is_not_followed(self):
        self.receiver.answers = [307]
        hook = self.hook(self.receiver.url)
        self.make("astray")
        harness.wait_for("the end of it", lambda: self.state(hook)["answer"] == "status 307")
        self.assertEqual([path for _, _, path in self.receiver.got], ["/hook"])

    def test_nothing_is_lost_by_kill_9_nor_by_a_receiver_that_is_away(self):
        port = self.receiver.port
        self.receiver.close()
        hook = self.hook(self.receiver.url)
        for name in ("away-a", "away-b", "away-c"):
            self.make(name)
        self.server.kill()
        self.server.start()
        harness.wait_for("an attempt", lambda: self.state(hook)["answer"] not in ("", "status 200"))
        self.assertEqual(self.state(hook)["waiting"], 3)
        self.receiver = Receiver(port)
        self.addCleanup(self.receiver.close)
        self.assertEqual([body["data"]["name"] for body in self.receiver.wait(3)], ["away-a", "away-b", "away-c"])

    def test_a_receiver_that_hangs_stops_nobody(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.hook(f"http://127.0.0.1:{silent.getsockname()[1]}/")
            self.hook(self.receiver.url)
            self.make("patient")
            self.assertEqual(self.receiver.wait(1)[0]["data"]["name"], "patient")
            self.server.stop()  # and a server does not wait for it
            self.server.start()

    def test_an_example_is_sent_on_demand(self):
        hook = self.hook(self.receiver.url)
        answer = self.server.call("POST", f"{HOOKS}/{hook['webhook_id']}/test", {"event": {"entity": "MODEL_VERSION_TAG", "action": "SET"}})
        self.assertEqual(answer.json["result"], {"success": True, "response_status": 200, "response_body": "ok"})
        self.assertEqual(self.receiver.wait(1)[0]["data"],
                         {"name": "example_model", "version": "1", "key": "example_key", "value": "example_value"})

    def test_the_secret_is_shown_to_nobody_and_lies_sealed(self):
        hook = self.hook(self.receiver.url)
        self.make("hush")
        self.receiver.wait(1)
        answers = self.server.call("GET", f"{HOOKS}/{hook['webhook_id']}").bytes + self.server.call("GET", HOOKS).bytes
        answers += self.server.call("GET", "/api/v1/audit?limit=100").bytes + self.server.log_text().encode()
        self.assertNotIn(SECRET.encode(), answers)
        for path in glob.glob(self.server.path("tidemark.db*")):
            with open(path, "rb") as file:
                self.assertNotIn(SECRET.encode(), file.read(), path)

    def test_changes_of_webhooks_are_on_record(self):
        hook = self.hook(self.receiver.url)
        self.check(self.server.call("PATCH", f"{HOOKS}/{hook['webhook_id']}", {"name": "other"}), 200)
        self.check(self.server.call("DELETE", f"{HOOKS}/{hook['webhook_id']}", {}), 200)
        records = self.server.call("GET", f"/api/v1/audit?filter=object%3D%27{hook['webhook_id']}%27").json["records"]
        self.assertEqual([record["action"] for record in records], ["create.webhook", "update.webhook", "delete.webhook"])

    def test_wrong_input_is_named(self):
        good = {"name": "n", "url": "https://example.com/", "events": [{"entity": "PROMPT", "action": "CREATED"}]}
        for change, text in (({"url": "ftp://example.com/"}, "https://HOST"), ({"url": "https://u:p@example.com/"}, "user name"),
                             ({"url": "https://example.com/ x"}, "white space"), ({"url": "https:///x"}, "https://HOST"),
                             ({"url": "https://example.com/" + "a" * 2048}, "longer"), ({"name": ""}, "name"), ({"events": []}, "event"),
                             ({"events": [{"entity": "MODEL", "action": "EATEN"}]}, "model.eaten"), ({"status": "MAYBE"}, "ACTIVE"),
                             ({"secret": "s" * 1001}, "longer"), ({"description": "d" * 1001}, "description")):
            answer = self.server.call("POST", HOOKS, {**good, **change})
            self.assertIn(answer.status, (400, 413), answer)
            self.assertEqual(answer.problem[0], "invalid_parameter_value")
            self.assertIn(text, answer.problem[1])
        self.assertEqual(self.server.call("GET", HOOKS + "/0").problem[0], "resource_does_not_exist")
        self.check(self.server.call("POST", HOOKS, good, as_="ben"), 403)


class Private(Hooked):
    """The settings of a new workspace: nothing private is listed."""

    def test_webhook_to_private_addresses_is_refused(self):
        receiver = Receiver()
        self.addCleanup(receiver.close)
        port = receiver.port
        hosts = ("127.0.0.1", "localhost", "127.1", "0x7f.0.0.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]",
                 "169.254.169.254", "10.0.0.1", "192.168.0.1", "[fd00::1]", "[fe80::1]", "100.64.0.1", "224.0.0.1", "[64:ff9b::7f00:1]")
        for host in hosts:
            for scheme in ("http", "https"):
                answer = self.server.call("POST", HOOKS, {"name": "n", "url": f"{scheme}://{host}:{port}/",
                                                          "events": [{"entity": "PROMPT", "action": "CREATED"}]})
                self.check(answer, 200)
                tried = self.server.call("POST", f"{HOOKS}/{answer.json['webhook']['webhook_id']}/test", {}).json["result"]
                self.assertFalse(tried["success"], host)
                self.assertRegex(tried["error_message"], "private_networks|resolve|URL", (scheme, host))
        self.assertEqual(receiver.got, [])

    def test_plain_http_goes_to_no_public_address(self):
        hook = self.hook("http://192.0.9.1/")
        tried = self.server.call("POST", f"{HOOKS}/{hook['webhook_id']}/test", {}).json["result"]
        self.assertIn("plain HTTP", tried["error_message"])


if __name__ == "__main__":
    harness.main()
