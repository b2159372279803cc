#!/usr/bin/env python3
"""Runs the bench programs and the benches of whole programs, and prints one table.

A bench prints JSON lines {"bench", "figure", "unit", "reference", "ratio", "floor", "note"}; `ratio` is against `reference`,
measured in the same run. Other lines are passed through. The table is also written as build/release/bench.json.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import glob
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def commands(binaries, names):
    """Programs of tests/bench (compiled) and scripts tests/bench/*/bench_*.py, by name."""
    found = {os.path.basename(p).removeprefix("bench_"): [p] for p in glob.glob(os.path.join(binaries, "bench", "bench_*"))}
    for script in glob.glob(os.path.join(HERE, "*", "bench_*.py")):
        name = os.path.basename(script).removeprefix("bench_").removesuffix(".py")
        found[name] = [sys.executable, script, "--bin", os.path.join(binaries, "bin")]
    if names:
        missing = [name for name in names if name not in found]
        if missing:
            sys.exit(f"bench: unknown: {', '.join(missing)}; known: {', '.join(sorted(found))}")
        found = {name: found[name] for name in names}
    return sorted(found.items())


def run(name, command):
    print(f"== {name}", flush=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = []
    for line in done.stdout.splitlines():
        try:
            row = json.loads(line)
            rows += row if isinstance(row, list) else [row]
        except ValueError:
            print(line)
    if done.returncode != 0:
        print(f"bench {name}: exit {done.returncode}: {done.stderr.strip()[-800:]}")
    return [row for row in rows if isinstance(row, dict)]


def table(rows):
    head = ("bench", "figure", "unit", "reference", "ratio", "floor", "note")
    lines = [head] + [tuple(f"{row.get(k, ''):.4g}" if isinstance(row.get(k), float) else str(row.get(k, "")) for k in head)
                      for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default="build/release", help="the build folder")
    parser.add_argument("--leaves", type=int, help="of the log that bench audit makes")
    parser.add_argument("names", nargs="*")
    chosen = parser.parse_args()
    rows = []
    for name, command in commands(os.path.abspath(chosen.bin), chosen.names):
        sizes = ["--leaves", str(chosen.leaves)] if chosen.leaves and name == "audit" else []
        rows += run(name, command + sizes)
    if rows:
        table(rows)
        with open(os.path.join(chosen.bin, "bench.json"), "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
