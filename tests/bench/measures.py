"""What benches of whole programs share: rows of the table, memory and processor time of a process, wrk.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e", "server"))
os.environ["PATH"] += ":/usr/sbin"  # where Debian puts nginx

MIB = 1024 * 1024


def row(bench, figure, unit, reference="", ratio="", floor="", note=""):
    print(json.dumps({"bench": bench, "figure": float(f"{figure:.4g}"), "unit": unit, "reference": reference,
                      "ratio": round(ratio, 3) if ratio else "", "floor": floor, "note": note}), flush=True)


def without(bench, *programs):
    """True, and said so, when a program that a bench needs is not there."""
    missing = [name for name in programs if not shutil.which(name)]
    if missing:
        print(json.dumps({"bench": bench, "note": f"not run: {', '.join(missing)} missing (./run setup bench)"}), flush=True)
    return bool(missing)


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


def cpu_us(pid):
    """Microseconds of processor time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1e6 / os.sysconf("SC_CLK_TCK")


class Peak:
    """The largest private memory of a process while something runs."""

    def __init__(self, pid):
        self.pid, self.bytes, self.done = pid, 0, threading.Event()
        self.thread = threading.Thread(target=self._look)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def _look(self):
        while not self.done.wait(0.1):
            self.bytes = max(self.bytes, memory(self.pid)[0])


def fdatasync_rate(folder, seconds):
    """Appends of 4 KiB with fdatasync a second: what durability costs on this disk."""
    path = os.path.join(folder, "fdatasync")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        os.write(fd, b"x" * 4096)
        os.fdatasync(fd)
        count += 1
    os.close(fd)
    os.unlink(path)
    return count / seconds


class Wrk:
    """What one run of `wrk -t1` said: answers a second that were a success, errors, quantiles in milliseconds."""

    def __init__(self, url, seconds, connections, token=None, script=None):
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency"]
        command += ["-H", "Authorization: Bearer " + token] if token else []
        command += ["-s", script] if script else []
        text = subprocess.run([*command, url], capture_output=True, text=True, check=True).stdout
        lines = text.splitlines()
        refused = sum(int(line.rsplit(":", 1)[1]) for line in lines if "Non-2xx" in line)
        self.errors = refused + sum(int(number) for line in lines if "Socket errors" in line
                                    for number in re.findall(r"\d+", line.split(":", 1)[1]))
        self.rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)) - refused / seconds
        self.p50, self.p99 = (self._quantile(text, name) for name in ("50%", "99%"))

    @staticmethod
    def _quantile(text, name):
        number, unit = re.search(name + r"\s+([\d.]+)(us|ms|s|m)\b", text).groups()
        return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]
