"""Memory of an agent at rest: enrolled with a real server, connected over TLS, with nothing to do.

Private memory is what the agent alone costs (Private_* of smaps_rollup: heap, stacks, pages of libraries that no other process
uses); resident also counts pages of libraries that it shares.

Usage: python3 tests/bench/agent/bench_agent.py --bin build/release/bin [--minutes M] [--agents N]
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import measures  # noqa: E402 (its folder comes first)
import harness  # noqa: E402

MIB = measures.MIB


def start_agents(server, program, count):
    codes = server.call("POST", "/api/v1/enrolment-codes", {"count": count}).json["codes"]
    agents = []
    for number, code in enumerate(codes, 1):
        name = f"device-{number}"
        state = os.path.join(server.folder, name)
        subprocess.run([program, "enrol", "--server", f"https://127.0.0.1:{server.device_port}", "--code", code, "--id", name,
                        "--state", state], check=True, capture_output=True)
        agents.append(subprocess.Popen([program, "run", "--state", state, "--hardware", "bench", "--log", "error"]))
    return agents


def online(server):
    return sum(device["presence"] == "online" for device in server.call("GET", "/api/v1/devices?limit=500").json["devices"])


def measure(server, program, count, minutes):
    server.start()
    harness.wait_for("the broker", lambda: server.call("GET", "/api/v1/status").json["broker"]["connected"])
    agents = start_agents(server, program, count)
    try:
        harness.wait_for("all agents", lambda: online(server) == count)
        time.sleep(minutes * 60)  # poll-interval: memory at rest is the figure
        found = [measures.memory(agent.pid) for agent in agents]
    finally:
        for agent in agents:
            agent.terminate()
            agent.wait()
    private, resident = (statistics.median(pair[i] for pair in found) / MIB for i in (0, 2))
    measures.row("agent: memory at rest", private, "MiB private", floor="<= 4",
                 note=f"resident {resident:.1f} MiB, after {minutes:g} min, median of {count} agents")
    server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=os.environ.get("TD_BIN", "build/release/bin"))
    parser.add_argument("--minutes", type=float, default=1, help="rest before memory is read; the floor says 5")
    parser.add_argument("--agents", type=int, default=5)
    chosen = parser.parse_args()
    binaries = os.path.abspath(chosen.bin)
    harness.TIDEMARK = os.path.join(binaries, "tidemark")
    server = harness.Server()
    try:
        measure(server, os.path.join(binaries, "tidemark-agent"), chosen.agents, chosen.minutes)
    finally:
        server.close()


if __name__ == "__main__":
    main()
