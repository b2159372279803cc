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

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import measures  # noqa: E402 (its folder comes first)
import harness  # noqa: E402

MIB = measures.MIB


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


def row(bench, *values, **named):
    measures.row("server: " + bench, *values, **named)


def register_rows(server, text):
    """One client in Python, and 32 of wrk: each version with two tags and its audit record is on disk before the answer."""
    fsync = measures.fdatasync_rate(server.folder, 2)
    found = rate(server, 1, 3, lambda c, h, n: exchange(c, "POST", "/api/v1/models/bench/versions", text, h, 201))
    row("register, 1 client", found, "/s", f"fdatasync of 4 KiB: {fsync:.0f}", found / fsync, "", "durable before the answer")
    if measures.without("server: register, 32 clients", "wrk"):
        return
    script = os.path.join(server.folder, "register.lua")
    with open(script, "w", encoding="ascii") as file:
        file.write(f"wrk.method, wrk.body = 'POST', [==[{text.decode()}]==]\nwrk.headers['Content-Type'] = 'application/json'\n")
    url, ratios, found = f"http://127.0.0.1:{server.port}/api/v1/models/bench/versions", [], []
    for _ in range(3):
        fsync = measures.fdatasync_rate(server.folder, 2)
        found.append(measures.Wrk(url, 4, 32, server.token("ana"), script))
        ratios.append(found[-1].rate / fsync)
    row("register, 32 clients", statistics.median(one.rate for one in found), "/s", f"fdatasync of 4 KiB: {fsync:.0f}",
        statistics.median(ratios), ">= 2", f"p99 {statistics.median(one.p99 for one in found):.1f} ms; "
        f"{sum(one.errors for one in found)} errors; turns: {min(ratios):.2f} to {max(ratios):.2f}")


def rates(server):
    server.register("bench")
    body = {"files": [{"name": "model.onnx", "digest": server.upload(harness.onnx_model()), "role": "model"}],
            "tags": {"site": "oslo", "line": "7"}}
    text = json.dumps(body).encode()
    empty = rate(server, 4, 3, lambda c, h, n: exchange(c, "GET", "/healthz", None, h, 200))
    row("GET /healthz", empty, "/s", note="4 clients in Python, which are the limit")
    one = rate(server, 4, 3, lambda c, h, n: exchange(c, "GET", "/api/v1/models/bench/versions/1", None, h, 200))
    row("GET one version", one, "/s", f"GET /healthz: {empty:.0f}", one / empty)
    register_rows(server, text)


def memory_row(what, server, idle_s, floor=""):
    time.sleep(idle_s)  # poll-interval: memory at rest is the figure
    private, dirty, resident = measures.memory(server.process.pid)
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
    parser.add_argument("--minutes", type=float, default=2.5, help="rest before memory is read: it is given back once a minute; the floor says 5")
    chosen = parser.parse_args()
    harness.TIDEMARK = os.path.join(os.path.abspath(chosen.bin), "tidemark")
    measure(chosen.minutes * 60)


if __name__ == "__main__":
    main()
