"""How a device gets in, what it may then do on the broker, and how it is shut out.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import hashlib
import hmac
import os

import harness
import mqtt


def secret_of(code):
    """(secret, committed digest) of a code's text."""
    text = code.replace("-", "")
    raw = base64.b32decode(text + "=" * (-len(text) % 8))
    return raw[:10], raw[10:26]


def sealed(grant, topic, message):
    """An uplink as a device sends it: the message and its MAC."""
    key = bytes.fromhex(grant.json["uplink_key"])
    return message + hmac.new(key, topic.encode() + b"\0" + message, hashlib.sha256).digest()[:16]


class Enrolment(harness.ServerTest):
    def codes(self, **more):
        answer = self.server.call("POST", "/api/v1/enrolment-codes", more)
        self.assertEqual(answer.status, 201, answer)
        return answer.json["codes"]

    def enrol(self, code, name, request=None):
        body = {"code_secret": secret_of(code)[0].hex(), "device": name,
                "csr_pem": request or harness.make_request(self.server.folder, name), "hardware": "test-board", "runtimes": ["onnx"],
                "tags": {"own": "yes"}}
        return self.server.device("POST", "/enrol/v1/device", body)

    def files(self, name, answer):
        """Certificate and key of an enrolled device, as files."""
        certificate = os.path.join(self.server.folder, name + ".crt")
        with open(certificate, "w", encoding="utf-8") as file:
            file.write(answer.json["certificate_pem"])
        return certificate, os.path.join(self.server.folder, name + ".key")

    def connect(self, name, answer):
        certificate, key = self.files(name, answer)
        return mqtt.Client(answer.json["mqtt"]["port"], self.server.path("keys/ca.crt.pem"), certificate, key, "whatever")

    def test_the_code_commits_to_what_the_server_shows(self):
        code, = self.codes(count=1)
        trust = self.server.device("GET", "/enrol/v1/trust", verify=False).json
        der = base64.b64decode("".join(trust["ca_pem"].strip().splitlines()[1:-1]))
        keyset = base64.b64decode(trust["keyset"])
        digest = hashlib.sha256(hashlib.sha256(der).digest() + hashlib.sha256(keyset).digest()).digest()[:16]
        self.assertEqual(secret_of(code)[1], digest)

    def test_in_by_a_code_once(self):
        code, = self.codes(count=1, tags={"site": "oslo"})
        answer = self.enrol(code, "pump-01")
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(len(answer.json["uplink_key"]), 64)
        device = self.server.call("GET", "/api/v1/devices/pump-01").json
        self.assertEqual(device["tags"]["site"], "oslo")
        self.check(self.enrol(code, "pump-02"), 403, "denied")
        self.check(self.server.call("GET", "/api/v1/devices/pump-02"), 404, "not_found")
        self.check_door(answer)

    def check_door(self, answer):
        """What a device may and may not do on the broker."""
        other, = self.codes(count=1)
        second = self.enrol(other, "pump-03")
        harness.wait_for("the server to listen", lambda: self.broker()["connected"])
        one = harness.wait_for("the broker", lambda: self.try_connect("pump-01", answer))
        two = self.connect("pump-03", second)
        self.assertTrue(one.subscribe("tm/v1/pump-01/down/#"))
        two.subscribe("tm/v1/pump-01/down/#")
        two.subscribe("tm/v1/+/up/#")
        two.subscribe("#")
        two.subscribe("$SYS/#")
        one.publish("tm/v1/pump-01/up/report", b"without a MAC")
        one.publish("tm/v1/pump-01/up/report", sealed(answer, "tm/v1/pump-01/up/report", b"\x08\x01\x10\x01"))
        one.publish("tm/v1/pump-03/up/report", b"not mine")
        two.publish("tm/v1/pump-01/down/directive", b"forged")
        self.assertEqual([topic for topic, _ in one.messages(1)], ["tm/v1/pump-01/down/receipt"])
        self.assertEqual([topic for topic, _ in two.messages(1) if topic != "tm/v1/_/server"], [])
        harness.wait_for("the report without a MAC to be dropped", lambda: sum(self.broker()["dropped"].values()) == 1)
        one.close()
        two.close()

    def broker(self):
        return self.server.call("GET", "/api/v1/status").json["broker"]

    def try_connect(self, name, answer):
        try:
            return self.connect(name, answer)
        except mqtt.Refused:
            return None

    def test_nobody_gets_on_the_broker_without_a_certificate(self):
        code, = self.codes(count=1)
        port = self.enrol(code, "pump-08").json["mqtt"]["port"]
        harness.wait_for("the broker", lambda: self.broker()["connected"])
        with self.assertRaises(mqtt.Refused):
            mqtt.Client(port, self.server.path("keys/ca.crt.pem"), None, None)

    def test_wrong_codes(self):
        good, = self.codes(count=1)
        foreign = base64.b32encode(b"0123456789" + secret_of(good)[1]).decode()
        self.check(self.enrol(foreign, "pump-04"), 403, "denied")
        short, = self.codes(count=1, ttl="1s")
        harness.wait_for("the code to expire", lambda: self.enrol(short, "Pump!").status == 403 or
                         self.enrol(short, "pump-05").status in (201, 403))
        self.check(self.server.device("POST", "/enrol/v1/device", {"code_secret": "zz" * 10, "device": "a", "csr_pem": "x"}), 400,
                   "invalid")

    def test_names_that_are_taken_or_none(self):
        codes = self.codes(count=3)
        self.assertEqual(self.enrol(codes[0], "pump-06").status, 201)
        self.check(self.enrol(codes[1], "pump-06"), 409, "conflict", "pump-06")
        for name in ("Pump", "a/b", "+", "#", "-a", "_server"):
            self.check(self.enrol(codes[1], name, harness.make_request(self.server.folder, "pump-07")), 400, "invalid")
        self.check(self.enrol(codes[1], "pump-09", harness.make_request(self.server.folder, "pump-10")), 400, "invalid")
        self.check(self.enrol(codes[1], "pump-09", "no request at all"), 400)
        self.assertEqual(self.enrol(codes[1], "pump-09").status, 201)

    def test_a_revoked_device_is_cut_off(self):
        code, = self.codes(count=1)
        answer = self.enrol(code, "pump-11")
        client = harness.wait_for("the broker", lambda: self.try_connect("pump-11", answer))
        client.subscribe("tm/v1/_/server")
        harness.wait_for("the server to say hello", lambda: client.messages(0.5))
        self.check(self.server.call("POST", "/api/v1/devices/pump-11/revoke", {}), 400, "invalid", field="reason")
        done = self.server.call("POST", "/api/v1/devices/pump-11/revoke", {"reason": "stolen"})
        self.assertEqual(done.status, 200, done)
        client.close()

        def deaf():
            again = self.try_connect("pump-11", answer)
            if not again:
                return True
            again.subscribe("tm/v1/_/server")
            silent = again.messages(0.5) == []
            again.close()
            return silent
        harness.wait_for("the access list to be read again", deaf)
        self.check(self.server.call("POST", "/api/v1/devices/pump-11/revoke", {"reason": "again"}), 409, "conflict")


if __name__ == "__main__":
    harness.main()
