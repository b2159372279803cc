"""The server's figures: cold start to first answer, memory at rest, requests and registrations a second, upload and download.

Usage: python3 tests/bench/server/bench_server.py --bin build/release/bin [--minutes M]
Prints one JSON row a figure (see tests/bench/bench.py). References are measured in the same run.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import hashlib
import http.client
import json
import os
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "e2e", "server"))
import harness  # noqa: E402 (its folder comes first)

MIB = 1024 * 1024


def cold_start(rounds):
    """Milliseconds from fork to the first answer of /healthz, polled by connecting to the port that was told beforehand."""
    server = harness.Server()
    took = []
    try:
        server.start()
        server.settings["HTTP_PORT"] = str(server.port)
        server.stop()
        for _ in range(rounds):
            began = time.monotonic()
            server.spawn()
            while True:
                try:
                    with socket.create_connection(("127.0.0.1", int(server.settings["HTTP_PORT"]))) as sock:
                        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                        if sock.recv(64).startswith(b"HTTP/1.1 200"):
                            break
                except OSError:
                    time.sleep(0.0005)  # poll-interval
            took.append((time.monotonic() - began) * 1000)
            server.process.stdout.readline()
            server.stop()
    finally:
        server.close()
    return statistics.median(took)


def memory(pid):
    """(private, dirty, resident) bytes of smaps_rollup; dirty is the part of private that no file backs."""
    private = dirty = resident = 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith(("Private_Clean", "Private_Dirty")):
                private += int(line.split()[1]) * 1024
                dirty += int(line.split()[1]) * 1024 if line.startswith("Private_Dirty") else 0
            elif line.startswith("Rss"):
                resident = int(line.split()[1]) * 1024
    return private, dirty, resident


def rate(server, clients, seconds, request):
    """Answers a second of `request(connection, headers, n)` on keep-alive connections."""
    counts = [0] * clients
    end = time.monotonic() + seconds

    def work(index):
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        headers = {"Authorization": "Bearer " + server.token("ana"), "Content-Type": "application/json"}
        while time.monotonic() < end:
            request(connection, headers, index * 10**6 + counts[index])
            counts[index] += 1
        connection.close()
    threads = [threading.Thread(target=work, args=(index,)) for index in range(clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began)


def fsync_rate(folder, seconds):
    """Appends of 4 KiB with fdatasync a second: what durability costs on this disk."""
    fd = os.open(os.path.join(folder, "fsync"), os.O_CREAT | os.O_WRONLY, 0o600)
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        os.write(fd, b"x" * 4096)
        os.fdatasync(fd)
        count += 1
    os.close(fd)
    return count / seconds


def exchange(connection, method, path, body, headers, status):
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    data = answer.read()
    assert answer.status == status, (answer.status, data[:300])
    return data


def transfer(server, size):
    """MB/s of upload (hashed, fsynced) and download, and of sha256 over the same bytes in this process."""
    data = os.urandom(size)
    began = time.monotonic()
    hashlib.sha256(data).hexdigest()
    hashing = size / (time.monotonic() - began) / 1e6
    began = time.monotonic()
    digest = server.call("POST", "/api/v1/uploads", data).json["digest"]
    up = size / (time.monotonic() - began) / 1e6
    began = time.monotonic()
    assert len(server.call("GET", "/api/v1/content/" + digest).bytes) == size
    return up, size / (time.monotonic() - began) / 1e6, hashing


def row(bench, figure, unit, reference="", ratio="", floor="", note=""):
    print(json.dumps({"bench": "server: " + bench, "figure": float(f"{figure:.4g}"), "unit": unit, "reference": reference,
                      "ratio": round(ratio, 3) if ratio else "", "floor": floor, "note": note}), flush=True)


def rates(server):
    server.register("bench")
    body = {"files": [{"name": "model.onnx", "digest": server.upload(harness.onnx_model()), "role": "model"}]}
    text = json.dumps(body).encode()
    empty = rate(server, 4, 3, lambda c, h, n: exchange(c, "GET", "/healthz", None, h, 200))
    row("GET /healthz", empty, "/s", note="4 clients in Python, which are the limit")
    one = rate(server, 4, 3, lambda c, h, n: exchange(c, "GET", "/api/v1/models/bench/versions/1", None, h, 200))
    row("GET one version", one, "/s", f"GET /healthz: {empty:.0f}", one / empty)
    fsync = fsync_rate(server.folder, 2)
    for clients in (1, 16):
        found = rate(server, clients, 3, lambda c, h, n: exchange(
            c, "POST", "/api/v1/models/bench/versions", text, h, 201))
        row(f"register, {clients} clients", found, "/s", f"fdatasync of 4 KiB: {fsync:.0f}", found / fsync, "",
            "durable before the answer")


def memory_row(what, server, idle_s, floor=""):
    time.sleep(idle_s)  # poll-interval: memory at rest is the figure
    private, dirty, resident = memory(server.process.pid)
    row(what, private / MIB, "MiB private", floor=floor, note=f"dirty {dirty / MIB:.1f}, resident {resident / MIB:.1f} MiB, after {idle_s:g} s without work")


def measure(idle_s):
    row("cold start to first answer", cold_start(15), "ms", floor="< 50", note="median of 15")
    server = harness.Server()
    try:
        server.start()
        harness.wait_for("the broker", lambda: server.call("GET", "/api/v1/status").json["broker"]["connected"])
        memory_row("memory at rest", server, idle_s, "<= 6")
        rates(server)
        up, down, hashing = transfer(server, 256 * MIB)
        row("upload of 256 MiB", up, "MB/s", f"sha256 in memory: {hashing:.0f}", up / hashing, note="hashed and fsynced")
        row("download of 256 MiB", down, "MB/s", f"sha256 in memory: {hashing:.0f}", down / hashing)
        memory_row("memory just after work", server, 0, "<= 16")
        memory_row("memory at rest after work", server, idle_s, "<= 6")
        server.stop()
    finally:
        server.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=os.environ.get("TD_BIN", "build/release/bin"))
    parser.add_argument("--minutes", type=float, default=1, help="rest before memory is read; the floor says 5")
    chosen = parser.parse_args()
    harness.TIDEMARK = os.path.join(os.path.abspath(chosen.bin), "tidemark")
    measure(chosen.minutes * 60)


if __name__ == "__main__":
    main()
