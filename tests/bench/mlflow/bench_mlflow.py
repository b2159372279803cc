"""A model registry by MLflow's API: this server beside a real `mlflow server` on SQLite, the same requests in turns.

500 models of 10 versions with 2 tags each are registered at both by HTTP. Then: the first page of search_registered_models(), one
client after the other; registrations by 4 clients, which here are on disk, in the log too, before the answer; memory.

Usage: python3 tests/bench/mlflow/bench_mlflow.py --bin build/release/bin [--models N] [--seconds S] [--turns N]
Needs wrk (`./run setup bench`), and PyPI once for the environment that the interop tests keep as well (build/venv/mlflow-3).
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import threading
import urllib.parse

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path[:0] = [os.path.join(TOP, "tests", "bench"), os.path.join(TOP, "tests", "interop", "mlflow")]
import measures  # noqa: E402 (its folder comes first)
import harness  # noqa: E402
import theirs  # noqa: E402
import venv  # noqa: E402

FILLERS = 4
CLIENTS = 4
VERSIONS = 10
API = "/api/2.0/mlflow/"
# What MLflow's client of today appends to every search of models.
PAGE = API + "registered-models/search?max_results=100&filter=" + urllib.parse.quote("tag.`mlflow.prompt.is_prompt` != 'true'")
SEARCH = """
import statistics, time, mlflow
client = mlflow.MlflowClient()
took = []
for _ in range(21):
    began = time.monotonic()
    found = client.search_registered_models()
    took.append(1000 * (time.monotonic() - began))
print(len(found), statistics.median(took))
"""


class Side:
    """One of the two: where it answers, what one must say to it, and its processes."""

    def __init__(self, port, token, processes):
        self.port, self.token, self.processes = port, token, processes
        self.url = f"http://127.0.0.1:{port}"
        self.pages, self.writes, self.client_ms = [], [], []

    def post(self, connection, path, body):
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        connection.request("POST", API + path, json.dumps(body), headers)
        answer = connection.getresponse()
        data = answer.read()
        assert answer.status == 200, (answer.status, data[:300])

    def fill(self, models):
        problems = []

        def work(first):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                for number in range(first, models, FILLERS):
                    name = f"model-{number}"
                    self.post(connection, "registered-models/create", {"name": name, "tags": [{"key": "line", "value": "7"}]})
                    for version in range(VERSIONS):
                        self.post(connection, "model-versions/create", {
                            "name": name, "source": f"s3://models/{number}/{version}",
                            "tags": [{"key": "site", "value": "oslo"}, {"key": "build", "value": str(version)}]})
            except BaseException as problem:  # noqa: B902 (handed to the main thread)
                problems.append(problem)
            connection.close()
        threads = [threading.Thread(target=work, args=(index,)) for index in range(FILLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]

    def page(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", PAGE, headers={"Authorization": "Bearer " + self.token} if self.token else {})
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        models = json.loads(answer.read())["registered_models"]
        connection.close()
        return [(model["name"], model["latest_versions"][0]["version"], model["tags"]) for model in models]

    def turn(self, seconds, script):
        self.pages.append(measures.Wrk(self.url + PAGE, seconds, 1, self.token))
        self.writes.append(measures.Wrk(self.url + API + "model-versions/create", seconds, CLIENTS, self.token, script))

    def real_client(self, python):
        environment = dict(os.environ, MLFLOW_TRACKING_URI=self.url, MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
        environment.update({"MLFLOW_TRACKING_TOKEN": self.token} if self.token else {})
        text = subprocess.run([python, "-c", SEARCH], env=environment, capture_output=True, text=True, check=True).stdout.split()
        assert text[0] == "100", text
        self.client_ms.append(float(text[1]))

    def memory(self):
        """(private, resident) MiB, of all its processes."""
        found = [measures.memory(pid) for pid in self.processes()]
        return tuple(sum(one[part] for one in found) / measures.MIB for part in (0, 2))


def write_script(folder, models):
    """Versions with two tags each; the clients' turns go over the models, so that no two wait for the same one."""
    path = os.path.join(folder, "register.lua")
    with open(path, "w", encoding="ascii") as file:
        file.write(f"""
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
local n = 0
request = function()
  n = n + 1
  return wrk.format(nil, nil, nil, string.format('{{"name":"model-%d","source":"s3://models/%d",' ..
    '"tags":[{{"key":"site","value":"oslo"}},{{"key":"build","value":"%d"}}]}}', n % {models}, n, n))
end
""")
    return path


def middle(values):
    return statistics.median(values)


def report(ours, their, models):
    size = f"{models} models x {VERSIONS} versions"
    measures.row(f"mlflow: page of 100 models, {size}", middle(one.p50 for one in ours.pages), "ms p50",
                 f"mlflow server: {middle(one.p50 for one in their.pages):.3g}",
                 middle(b.p50 / a.p50 for a, b in zip(ours.pages, their.pages)), ">= 20, and <= 3 ms",
                 f"loopback HTTP, 1 client; p99 {middle(one.p99 for one in ours.pages):.3g} ms "
                 f"(theirs {middle(one.p99 for one in their.pages):.3g}); errors {sum(one.errors for one in ours.pages)} "
                 f"(theirs {sum(one.errors for one in their.pages)})")
    measures.row("mlflow: the same by MLflow's own client", middle(ours.client_ms), "ms p50", f"mlflow server: {middle(their.client_ms):.3g}",
                 middle(their.client_ms) / middle(ours.client_ms), "", "the client's own work is in both")
    measures.row(f"mlflow: register a version with 2 tags, {CLIENTS} clients", middle(one.rate for one in ours.writes), "/s",
                 f"mlflow server: {middle(one.rate for one in their.writes):.3g}",
                 middle(a.rate / b.rate for a, b in zip(ours.writes, their.writes)), ">= 30",
                 f"ours with its audit record, on disk before the answer; errors {sum(one.errors for one in ours.writes)} "
                 f"(theirs {sum(one.errors for one in their.writes)})")
    measures.row(f"mlflow: p99 of that", middle(one.p99 for one in ours.writes), "ms",
                 f"mlflow server: {middle(one.p99 for one in their.writes):.3g}",
                 middle(b.p99 / a.p99 for a, b in zip(ours.writes, their.writes)), ">= 50")
    private, resident = ours.memory()
    their_private, their_resident = their.memory()
    measures.row("mlflow: memory after that", private, "MiB private", f"mlflow server: {their_private:.0f}", their_private / private, "",
                 f"resident {resident:.1f} MiB (theirs {their_resident:.0f} in {len(their.processes())} processes)")


def measure(server, other, python, chosen):
    server.start()
    harness.wait_for("the MLflow server", other.is_up, 180)
    ours = Side(server.port, server.token("ana"), lambda: [server.process.pid])
    their = Side(other.port, None, other.processes)
    for side in (ours, their):
        side.fill(chosen.models)
    assert ours.page() == their.page(), "the two answer differently"
    script = write_script(server.folder, chosen.models)
    for _ in range(chosen.turns):
        for side in (their, ours):
            side.turn(chosen.seconds, script)
            side.real_client(python)
    report(ours, their, chosen.models)
    server.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=os.environ.get("TD_BIN", "build/release/bin"))
    parser.add_argument("--models", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=6, help="of each turn of wrk")
    parser.add_argument("--turns", type=int, default=3)
    chosen = parser.parse_args()
    if measures.without("mlflow", "wrk"):
        return
    harness.TIDEMARK = os.path.join(os.path.abspath(chosen.bin), "tidemark")
    folder = os.path.join(TOP, "build", "venv", "mlflow-3")
    venv.make(folder, os.path.join(TOP, "tests", "interop", "mlflow", "requirements-3.txt"))
    python = os.path.join(folder, "bin", "python")
    server, other = harness.Server(), theirs.Theirs(python)
    try:
        measure(server, other, python, chosen)
    finally:
        server.close()
        other.close()


if __name__ == "__main__":
    main()
