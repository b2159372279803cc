"""Enrolment against an HTTPS server that keeps to the protocol, and against ones that do not.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import http.server
import json
import os
import ssl
import stat
import subprocess
import threading

from harness import BIN, check, run

AGENT = os.path.join(BIN, "tidemark-agent")


class Server:
    """GET /enrol/v1/trust and POST /enrol/v1/device of docs/fleet.md, on a port of its own."""

    def __init__(self, stage):
        self.stage, self.requests, self.refusal, self.cut, self.keyset = stage, [], None, False, None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, code, body):
                data = json.dumps(body).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                check(self.path == "/enrol/v1/trust", self.path)
                with open(stage.path("ca.pem"), encoding="ascii") as ca, open(stage.path("keyset.bin"), "rb") as keyset:
                    self.answer(200, {"ca_pem": ca.read(), "keyset": base64.b64encode(outer.keyset or keyset.read()).decode()})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(body)
                if outer.cut:
                    self.connection.close()
                    return
                if outer.refusal:
                    self.answer(outer.refusal[0], {"title": "Refused", "detail": outer.refusal[1]})
                    return
                with open(stage.path("csr.pem"), "w", encoding="ascii") as file:
                    file.write(body["csr_pem"])
                stage.peer_run("issue", stage.folder, stage.path("csr.pem"), stage.path("issued.crt"), "3650")
                with open(stage.path("issued.crt"), encoding="ascii") as file:
                    self.answer(201, {"device": body["device"], "certificate_pem": file.read(), "uplink_key": "ab" * 32,
                                      "mqtt": {"host": "127.0.0.1", "port": stage.broker_port, "prefix": "tm/v1"},
                                      "server_time": "2026-01-01T00:00:00.000Z"})

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(stage.path("broker.crt"), stage.path("broker.key"))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def enrol(server, state, code, *more, name="pump-07"):
    return subprocess.run([AGENT, "enrol", "--server", server.url, "--code", code, "--id", name, "--state", state, *more],
                          capture_output=True, text=True, check=False)


def device_gets_in(stage):
    server, code = Server(stage), stage.peer_run("code", stage.folder).strip()
    done = enrol(server, stage.state, code, "--hardware", "gateway", "--runtime", "onnx", "--tag", "site=oslo")
    check(done.returncode == 0, done)
    request = server.requests[0]
    check(request["code_secret"] == "0102030405060708090a" and request["device"] == "pump-07" and
          request["runtimes"] == ["onnx"] and request["tags"] == {"site": "oslo"} and request["hardware"] == "gateway", request)
    for name in ("device.json", "device.key", "device.crt", "ca.pem", "uplink.key", "keyset.bin"):
        mode = stat.S_IMODE(os.stat(os.path.join(stage.state, name)).st_mode)
        check(mode == 0o600, f"{name} has mode {mode:o}")
    check(sorted(os.listdir(stage.state)) == sorted(["device.json", "device.key", "device.crt", "ca.pem", "uplink.key",
                                                     "keyset.bin"]), os.listdir(stage.state))
    with open(stage.state + "/uplink.key", "rb") as file:
        key = file.read()
    check(key == b"\xab" * 32, key)
    with open(stage.path("uplink.key"), "wb") as file:
        file.write(key)
    stage.start_broker()
    peer = stage.start_peer()
    stage.start_agent()
    stage.event(peer, event="birth", good=True, device="pump-07", hardware="gateway")
    again = enrol(server, stage.state, code)
    check(again.returncode == 5 and "already" in again.stderr, again)


def wrong_codes_and_servers_are_refused(stage):
    server, code = Server(stage), stage.peer_run("code", stage.folder).strip()
    done = enrol(server, stage.state, "AAAA" + code[4:-2] + ("AE" if code[-2:] != "AE" else "AI"))
    check(done.returncode == 3 and "not of this server" in done.stderr, done)
    check(server.requests == [], "nothing was said to a server that is not of the code")
    server.keyset = b"another keyset"
    done = enrol(server, stage.state, code)
    check(done.returncode == 3 and "not of this server" in done.stderr, done)
    server.keyset = None
    for status, words, exit_code in ((403, "the code is spent", 3), (409, "the identifier pump-07 is taken", 5)):
        server.refusal = (status, words)
        done = enrol(server, stage.state, code)
        check(done.returncode == exit_code and words in done.stderr, done)
    for more, words in ((("--id", "Pump 7"), "--id"), (("--code", "0000"), "character 1"), (("--coed", "x"), "--code?"),
                        (("--tag", "oops"), "KEY=VALUE")):
        done = enrol(server, stage.state, code, *more)
        check(done.returncode == 2 and words in done.stderr, done)
    check(not os.path.exists(stage.state + "/device.json"), "not enrolled")
    server.url = "http://127.0.0.1:1"
    done = enrol(server, stage.state, code)
    check(done.returncode == 2 and "https://" in done.stderr, done)
    server.url = "https://127.0.0.1:1"
    done = enrol(server, stage.state, code)
    check(done.returncode == 9 and "cannot be reached" in done.stderr, done)


def a_cut_enrolment_goes_on_with_the_same_key(stage):
    server, code = Server(stage), stage.peer_run("code", stage.folder).strip()
    server.cut = True
    check(enrol(server, stage.state, code).returncode == 9, "the connection was cut")
    with open(stage.state + "/device.key", "rb") as file:
        key = file.read()
    server.cut = False
    check(enrol(server, stage.state, code).returncode == 0, "the second try gets in")
    with open(stage.state + "/device.key", "rb") as file:
        check(file.read() == key, "with the same key")
    # Cut after the answer was stored: finished without the server, which would say that the code is spent.
    with open(stage.path("issued.crt"), encoding="ascii") as file:
        part = {"device": "pump-07", "certificate_pem": file.read(), "uplink_key": "cd" * 32,
                "mqtt": {"host": "127.0.0.1", "port": 1, "prefix": "tm/v1"}}
    os.unlink(stage.state + "/device.json")
    with open(stage.state + "/enrolment.part", "w", encoding="ascii") as file:
        json.dump(part, file)
    server.refusal = (403, "the code is spent")
    done = enrol(server, stage.state, code, name="other")
    check(done.returncode == 5 and "--id pump-07" in done.stderr, done)
    done = enrol(server, stage.state, code)
    check(done.returncode == 0 and not os.path.exists(stage.state + "/enrolment.part"), done)


if __name__ == "__main__":
    run(device_gets_in, wrong_codes_and_servers_are_refused, a_cut_enrolment_goes_on_with_the_same_key)
