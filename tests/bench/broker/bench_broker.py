"""Windows a second over a broker: the real server against a raw loop of Paho and SQLite, in turns, in the same run.

Devices with keys of their own publish sealed windows with QoS 1 through a real Mosquitto (plain TCP, so that TLS is not what is
measured). The server checks the key, decodes, adds up, stores, commits and sends a receipt; the raw loop only inserts the bytes.
Time runs from the first publish to the last COMMIT. The other consumer stays connected and has nothing to do.

Usage: python3 tests/bench/broker/bench_broker.py --bin build/release/bin [--rounds N] [--windows N]
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "e2e", "server"))
import harness  # noqa: E402 (its folder comes first)

DEVICES = 200
PATIENCE_S = 60
BROKER = ("allow_anonymous true\npersistence false\nset_tcp_nodelay true\nmax_inflight_messages 20\n"
          "max_queued_messages 0\nmax_queued_bytes 0\nlog_type error\n")  # as the server's own, but for the bounds of queues


def start_broker(folder):
    import socket
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    config = os.path.join(folder, "mosquitto.conf")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"listener {port} 127.0.0.1\n" + BROKER)
    return port, subprocess.Popen([shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", config])


class Contest:
    def __init__(self, load, server, port, file, windows):
        self.load, self.server, self.port, self.file, self.windows = load, server, port, file, windows
        self.first = self.raw_rows = self.stored = 0
        self.raw = subprocess.Popen([load, "raw", str(port), os.path.join(server.folder, "raw.db")], stdout=subprocess.PIPE, text=True)
        assert self.raw.stdout.readline() == "ready\n"

    def publish(self, first, kind):
        """(began, the broker had all)."""
        done = subprocess.run([self.load, "publish", str(self.port), self.file, str(first), str(self.windows), kind],
                              stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE_S)
        return [float(number) for number in done.stdout.split()]

    def raw_round(self):
        self.raw_rows += self.windows
        began, _ = self.publish(0, "raw")
        rows, at = 0, 0.0
        while rows < self.raw_rows:
            text = self.raw.stdout.readline().split()
            rows, at = int(text[0]), float(text[1])
        return self.windows / (at - began)

    def link(self):
        return self.server.call("GET", "/api/v1/status").json["broker"]

    def server_round(self):
        before = self.link()
        goal = before["windows"]["stored"] + self.windows
        began, _ = self.publish(self.first, "tidemark")
        self.first += self.windows
        end = time.monotonic() + PATIENCE_S
        while True:  # only now, because asking takes time from the server
            now, at = self.link(), time.monotonic()
            if now["windows"]["stored"] >= goal:
                return self.windows / (at - began)
            if now["queue_full"] > before["queue_full"] or at > end:
                sys.exit(f"bench_broker: windows were lost: {json.dumps(now)}")
            time.sleep(0.005)  # poll-interval


def row(what, figure, reference, ratio, floor, note):
    print(json.dumps({"bench": what, "figure": round(figure), "unit": "windows/s", "reference": reference, "ratio": round(ratio, 3),
                      "floor": floor, "note": note}), flush=True)


def measure(load, server, port, rounds, windows):
    file = os.path.join(server.folder, "windows")
    subprocess.run([load, "make", server.workspace, file, str(DEVICES), str(windows * (rounds + 1))], check=True)
    server.start()
    harness.wait_for("the broker", lambda: server.call("GET", "/api/v1/status").json["broker"]["connected"])
    contest = Contest(load, server, port, file, windows)
    try:
        contest.raw_round()  # both once for warmth
        contest.server_round()
        pairs = [(contest.server_round(), contest.raw_round()) for _ in range(rounds)]
    finally:
        contest.raw.kill()
        contest.raw.wait()
    size = os.path.getsize(file) // (windows * (rounds + 1))
    ours, raw = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
    row("ingest over the broker", ours, f"raw Paho to SQLite: {raw:.0f}", statistics.median(a / b for a, b in pairs), 0.7,
        f"{DEVICES} devices, {size} bytes a window, bursts of {windows}, QoS 1; median of {rounds} pairs")
    server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=os.environ.get("TD_BIN", "build/release/bin"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--windows", type=int, default=8000, help="a burst; the server's queue holds 8192")
    chosen = parser.parse_args()
    binaries = os.path.abspath(chosen.bin)
    harness.TIDEMARK = os.path.join(binaries, "tidemark")
    server = harness.Server()
    broker = None
    try:
        port, broker = start_broker(server.folder)
        server.settings["MQTT_URL"] = f"mqtt://127.0.0.1:{port}"
        measure(os.path.join(os.path.dirname(binaries), "bench", "broker-load"), server, port, chosen.rounds, chosen.windows)
    finally:
        server.close()
        if broker:
            broker.terminate()
            broker.wait()


if __name__ == "__main__":
    main()
