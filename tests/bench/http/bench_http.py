"""The HTTP side against nginx and the machine: small JSON reads, a file of 1 GiB up and down, memory meanwhile.

Usage: python3 tests/bench/http/bench_http.py --bin build/release/bin [--size MIB] [--seconds S]
Needs wrk, nginx and curl (`./run setup bench`); without them it says so and measures nothing. Prints one JSON row a figure
(see tests/bench/bench.py): references are measured in the same run, turn by turn with what they are compared to; figures are
medians. Processor time an answer is told beside the rate: on a machine that others use too it is the steadier figure.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import measures  # noqa: E402 (its folder comes first)
import harness  # noqa: E402

MIB = measures.MIB


def row(bench, *values, **named):
    measures.row("http: " + bench, *values, **named)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


class Nginx:
    """One worker with sendfile, and `return 200` of as many bytes as ours answers."""

    def __init__(self, folder, body, root):
        self.port = free_port()
        os.makedirs(os.path.join(folder, "logs"), exist_ok=True)
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"""
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; default_type application/octet-stream;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{self.port}; root {root}; location = /json {{ default_type application/json; return 200 '{body}'; }} }}
}}""")
        self.process = subprocess.Popen(["nginx", "-p", folder, "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_for("nginx", self.answers)

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()


def turn(pid, url, seconds, token=None):
    """wrk once: (answers a second, errors, p99 in ms, microseconds of processor time an answer)."""
    before = measures.cpu_us(pid)
    found = measures.Wrk(url, seconds, 16, token)
    return found.rate, found.errors, found.p99, (measures.cpu_us(pid) - before) / (found.rate * seconds)


def small_reads(server, folder, seconds):
    server.register("bench")
    path = "/api/v1/models/bench/aliases/stable"
    answer = server.call("PUT", path, {"version": 1})
    assert answer.status == 200, answer
    nginx = Nginx(folder, server.call("GET", path).bytes.decode().strip(), folder)
    token, ours, theirs = server.token("ana"), [], []
    url = f"http://127.0.0.1:{server.port}{path}"
    measures.Wrk(url, 1, 16, token)
    with measures.Peak(server.process.pid) as peak:
        for _ in range(5):
            theirs.append(turn(nginx.process.pid, f"http://127.0.0.1:{nginx.port}/json", seconds))
            ours.append(turn(server.process.pid, url, seconds, token))
    nginx.stop()
    rate, _, p99, cpu = (statistics.median(column) for column in zip(*ours))
    reference, _, their_p99, their_cpu = (statistics.median(column) for column in zip(*theirs))
    ratios = sorted(our[0] / their[0] for our, their in zip(ours, theirs))
    row("GET one alias, wrk -t1 -c16", rate, "/s", f"nginx return 200: {reference:.0f}", statistics.median(ratios), ">= 0.4",
        f"authenticated; {sum(errors for _, errors, _, _ in ours)} errors; turns: {ratios[0]:.2f} to {ratios[-1]:.2f}; "
        f"p99 {p99:.2f} ms (nginx {their_p99:.2f}); processor {cpu:.1f} us an answer (nginx {their_cpu:.1f}); "
        f"peak {peak.bytes / MIB:.1f} MiB private")


def timed(function, *arguments):
    began = time.monotonic()
    function(*arguments)
    return time.monotonic() - began


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def upload(server, file, token):
    run("curl", "-sf", "-o", "/dev/null", "-H", "Authorization: Bearer " + token, "-H", "Expect:", "-X", "POST", "-T", file,
        f"http://127.0.0.1:{server.port}/api/v1/uploads")


def freshen(file):
    """Other bytes than before, so that no turn finds them stored already."""
    fd = os.open(file, os.O_WRONLY)
    os.pwrite(fd, os.urandom(16), 0)
    os.fsync(fd)
    os.close(fd)


def large_file(server, folder, mib, rounds):
    file, copy, token = os.path.join(folder, "large"), os.path.join(folder, "copy"), server.token("ana")
    with open(file, "wb") as out:
        for _ in range(mib // 4):
            out.write(os.urandom(4 * MIB))
        out.flush()
        os.fsync(out.fileno())  # or the disk would still be writing it while it is measured
    up, disk, sha = [], [], []
    with measures.Peak(server.process.pid) as peak:
        for turn_number in range(rounds):
            freshen(file)
            if turn_number % 2:
                up.append(timed(upload, server, file, token))
            disk.append(timed(run, "dd", "if=" + file, "of=" + copy, "bs=1M", "conv=fsync"))
            os.unlink(copy)
            sha.append(timed(run, "openssl", "dgst", "-sha256", file))
            if turn_number % 2 == 0:
                up.append(timed(upload, server, file, token))
    mb = mib * MIB / 1e6
    ratios = sorted(max(pair) / took for *pair, took in zip(disk, sha, up))
    row(f"upload of {mib} MiB", mb / statistics.median(up), "MB/s",
        f"disk {mb / statistics.median(disk):.0f}, SHA-256 {mb / statistics.median(sha):.0f}", statistics.median(ratios), ">= 0.8",
        f"hashed and fsynced; against the slower one of its turn, {ratios[0]:.2f} to {ratios[-1]:.2f}; "
        f"peak {peak.bytes / MIB:.1f} MiB private")
    digest = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout.split()[0]
    nginx = Nginx(folder, "x", os.path.dirname(server.path(f"content/{digest[:2]}/{digest}")))
    ours, theirs = [], []
    with measures.Peak(server.process.pid) as peak:
        for _ in range(rounds + 2):
            theirs.append(timed(run, "curl", "-sf", "-o", "/dev/null", f"http://127.0.0.1:{nginx.port}/{digest}"))
            ours.append(timed(run, "curl", "-sf", "-o", "/dev/null", "-H", "Authorization: Bearer " + token,
                              f"http://127.0.0.1:{server.port}/api/v1/content/{digest}"))
    nginx.stop()
    ratios = sorted(their / our for their, our in zip(theirs, ours))
    row(f"download of {mib} MiB", mb / statistics.median(ours), "MB/s", f"nginx sendfile: {mb / statistics.median(theirs):.0f}",
        statistics.median(ratios), ">= 0.8", f"turns: {ratios[0]:.2f} to {ratios[-1]:.2f}; peak {peak.bytes / MIB:.1f} MiB private")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=os.environ.get("TD_BIN", "build/release/bin"))
    parser.add_argument("--size", type=int, default=1024, help="MiB of the large file")
    parser.add_argument("--seconds", type=int, default=3, help="of each turn of wrk")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    if measures.without("http", "wrk", "nginx", "curl"):
        return
    harness.TIDEMARK = os.path.join(os.path.abspath(chosen.bin), "tidemark")
    server = harness.Server()
    try:
        server.start()
        os.makedirs(os.path.join(server.folder, "peer"))
        small_reads(server, os.path.join(server.folder, "peer"), chosen.seconds)
        large_file(server, os.path.join(server.folder, "peer"), chosen.size, chosen.rounds)
        server.stop()
    finally:
        server.close()


if __name__ == "__main__":
    main()
