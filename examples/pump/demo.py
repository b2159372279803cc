#!/usr/bin/env python3
"""The main job, end to end, on a fleet of pumps: register, approve, sign, push, run, observe, detect drift, retrain, again.

Every step is done by the real programs; this script only types what a person would type, waits for what must happen, and
stops with the reason if a step does not show what it promises. Python's standard library only.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import os
import shutil
import signal
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import demo_stage  # noqa: E402
from demo_fleet import Fleet  # noqa: E402
from demo_stage import DemoFailed, Stage  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = "pump"
DATASET = "dataset:historian://plants/2026-01"


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog="example: ./run demo --devices 8 --keep")
    parser.add_argument("--bin", default="build/release/bin", help="folder of the built programs")
    parser.add_argument("--devices", type=int, default=20, help="how many agents to run (2 to 60; default 20)")
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--json", action="store_true", help="one JSON object an event instead of sentences")
    parser.add_argument("--folder", help="where the workspace and the devices go (default: a fresh temporary folder)")
    chosen = parser.parse_args()
    if not 2 <= chosen.devices <= 60:
        parser.error("--devices: 2 to 60")
    return chosen


def make_model(stage):
    """Data, a trained network in ONNX, its reference rows and metrics."""
    train = stage.path("train")
    os.makedirs(train)
    stage.program("pump-data", "--regime", "0", "--seed", "11", "--rows", "12000", "--out", train + "/2026-01.csv")
    stage.program("pump-train", "--data", train + "/2026-01.csv", "--seed", "1", "--out", train + "/v1")
    metrics = stage.read_json(train + "/v1/metrics.json")["metrics"]
    stage.say("train", f"ana trains a bearing-fault detector on 12,000 rows of two plants: accuracy {metrics['accuracy']:.3f} "
                       f"on the rows kept apart, written as ONNX ({os.path.getsize(train + '/v1/model.onnx')} bytes)")
    return train, metrics


def register(stage, train, metrics):
    answer = stage.tidemark(
        "model", "register", MODEL, train + "/v1/model.onnx", "--baseline", train + "/v1/reference.csv",
        "--columns", HERE + "/columns.yaml", "--dataset", f"vibration-2026-01=historian://plants/2026-01@{train}/2026-01.csv",
        "--code", "examples/pump/train@" + stage.commit(), "--metrics", train + "/v1/metrics.json", "--tag", "plant=all",
        "--description", "Bearing faults from eight vibration features", as_="ana")
    stage.expect(answer.get("version") == 1, "the first version is number 1", answer)
    stage.say("register", "pump/1 is registered: files by their SHA-256, inputs and outputs read from the model file, a baseline "
                          "of bin edges from the reference rows, lineage to data and code")
    stage.tidemark("version", "submit", "pump/1", as_="ana")
    refused = stage.tidemark("version", "approve", "pump/1", "--reason", "it is mine", "--yes", as_="ana", fails=True)
    stage.say("four eyes", f"ana may not approve her own version: “{refused}”")
    stage.tidemark("version", "approve", "pump/1", "--reason", f"accuracy {metrics['accuracy']:.3f} on the hold-out, gap small",
                   "--yes", as_="ben")
    stage.say("approve", "ben approves: his own key signs the manifest; the standard model.sig is made; the log has both")


def bundle_check(stage):
    path = stage.path("pump-1.tidemark")
    stage.tidemark("bundle", "export", "pump/1", "--out", path, as_="ana")
    stage.tidemark("bundle", "verify", path, "--keyset", stage.workspace + "/keys/keyset.bin", json_=False)
    stage.say("bundle", f"exported and verified offline against the keyset ({os.path.getsize(path)} bytes)")


def rollout(stage, fleet, reference, note):
    """Creates a rollout in two waves and follows it to its end."""
    canaries = fleet.names[:1]
    answer = stage.tidemark("rollout", "create", reference, "--to", "fleet = 'demo'", "--waves", "20%,100%", "--canary",
                            canaries[0], "--success", "0.9", "--stop-if", "failed>10%", "--soak", "1s", "--step-deadline", "30s",
                            "--contact-wait", "6s", "--deadline", "120s", "--window", "2s", "--probation", "4s",
                            "--min-inferences", "5", as_="ana")
    identifier = answer["id"]
    stage.say("rollout", f"{reference} goes to {len(fleet.names)} devices in two waves, the canary {canaries[0]} first{note}")
    shown = set()

    def finished():
        now = stage.tidemark("rollout", "show", identifier, as_="ana")
        for wave in now["waves"]:
            key = (wave["number"], wave["state"])
            if key not in shown and wave["state"] in ("passed", "failed"):
                shown.add(key)
                stage.say("wave", f"wave {wave['number']} {wave['state']}: {wave['committed']} of {wave['devices']} devices "
                                  f"have proved and kept {reference}")
        stage.progress(f"{reference} on {now['counts']['committed']} of {now['counts']['devices']} devices")
        if now["state"] in ("aborted", "reverted", "aborting", "reverting"):
            raise DemoFailed(f"the rollout of {reference} ended as {now['state']}: {now.get('why', '')}")
        return now if now["state"] == "finished" else None

    end = stage.wait(f"the rollout of {reference} to finish", finished, 90)
    stage.expect(end["counts"]["committed"] == len(fleet.names), f"all {len(fleet.names)} devices run {reference}", end["counts"])
    fleet.check_running(stage, reference)


def watch(stage):
    """The monitor, the gate and the pipeline are fixed before anything drifts."""
    os.makedirs(stage.path("historian"))
    stage.start("worker", [os.path.join(stage.binaries, "tidemark"), "worker", "--workspace", stage.workspace, "--as", "worker",
                           "--jobs", stage.path("jobs")], "worker.log")
    stage.tidemark("gate", "set", "pump-gate", "-f", HERE + "/gate.yaml", as_="ana")
    stage.tidemark("pipeline", "set", "pump-retrain", "-f", stage.pipeline_file(), as_="ana")
    stage.tidemark("monitor", "set", MODEL, "-f", HERE + "/monitor.yaml", as_="ana")
    stage.say("monitor", "what is watched, the gate and the retraining pipeline are fixed now, before anything drifts")


def accuracy_of(stage, version):
    shown = stage.tidemark("monitor", "show", f"pump/{version}", as_="ana")
    performance = shown.get("performance") or {}
    value = performance.get("accuracy")
    if isinstance(value, dict):
        value = value.get("value")
    return value, shown


def steady(stage, fleet, version, least, what):
    """Waits until every device reports, realised accuracy is at least `least`, and no signal is firing."""
    def reached():
        value, shown = accuracy_of(stage, version)
        stage.progress(f"pump/{version}: accuracy {value if value is None else round(value, 3)} over "
                       f"{shown.get('observations', 0)} observations")
        firing = [s for s in shown["signals"] if s["state"] in ("firing", "acknowledged")]
        whole = shown.get("devices", 0) == len(fleet.names) and shown.get("observations", 0) >= 500
        return (value, shown) if value is not None and value >= least and whole and not firing else None
    value, shown = stage.wait(what, reached, 60)
    gap = (shown.get("fairness") or {}).get("demographic_parity_difference") or {}
    text = f"; demographic parity difference {gap['value']:.3f} [{gap['low']:.3f}, {gap['high']:.3f}]" \
        if isinstance(gap, dict) and "low" in gap else ""
    stage.say("observe", f"pump/{version} on {shown.get('devices', '?')} devices: accuracy {value:.3f} from labels over "
                         f"{shown['observations']} observations{text}; only counts left the devices")
    return value


def drift(stage, fleet):
    """The world changes; the monitor must notice by itself."""
    data = stage.path("historian")
    for seed, name, rows in ((21, "2026-02.csv", 12000), (22, "2026-02-holdout.csv", 6000)):
        stage.program("pump-data", "--regime", "1", "--seed", str(seed), "--rows", str(rows), "--out", data + "/" + name)
    fleet.refit()
    stage.say("the world", "the plants are refitted: roller bearings, faster drives. Nobody tells the model")
    worst = {"accuracy": 1.0}

    def alerted():
        value, _ = accuracy_of(stage, 1)
        if value is not None:
            worst["accuracy"] = min(worst["accuracy"], value)
        alerts = stage.tidemark("alert", "list", "--state", "open", as_="ana")["alerts"]
        stage.progress(f"accuracy {value if value is None else round(value, 3)}, open alerts {len(alerts)}")
        return alerts or None

    alerts = stage.wait("an alert", alerted, 60)
    first = stage.tidemark("alert", "show", alerts[-1]["alert"], as_="ana")
    stage.say("alert", demo_stage.alert_sentence(first))
    value = stage.wait("the accuracy to have fallen", lambda: next(
        (v for v, _ in [accuracy_of(stage, 1)] if v is not None and v < 0.85), None), 60)
    worst["accuracy"] = min(worst["accuracy"], value)
    stage.say("accuracy", f"pump/1 is right in {worst['accuracy']:.1%} of labelled cases now")
    return worst["accuracy"]


def retrain(stage):
    """The alert has started the pipeline; the worker trains, the gate judges, the result is version 2."""
    def registered():
        runs = stage.tidemark("pipeline", "runs", "pump-retrain", as_="ana")["runs"]
        if not runs:
            return None
        stage.progress(f"{runs[-1]['run']}: {runs[-1]['state']}")
        if runs[-1]["state"] in ("failed", "rejected", "cancelled"):
            raise DemoFailed(f"{runs[-1]['run']} {runs[-1]['state']}: {runs[-1].get('reason', '')}")
        return runs[-1] if runs[-1]["state"] == "registered" else None

    run = stage.wait("retraining", registered, 90)
    version = stage.wait("pump/2 to be submitted", lambda: next(
        (v for v in [stage.tidemark("version", "show", "pump/2", as_="ana")] if v["state"] == "pending"), None), 20)
    stage.expect(version.get("parent") == "pump/1" and version.get("cause"), "pump/2 knows its parent and its cause", version)
    stage.say("retrain", f"{run['run']} trained on the new rows; the gate passed; registered as pump/2 (parent pump/1, "
                         f"cause {version['cause']})")
    stage.tidemark("version", "approve", "pump/2", "--reason", "the gate passed on rows it had not seen", "--yes", as_="ben")
    stage.say("approve", "ben approves pump/2; without his key no device would take it")


def evidence(stage, before, during, after):
    export = stage.path("audit.tar")
    stage.tidemark("audit", "export", "--out", export, as_="ben")
    verified = stage.tidemark("audit", "verify", export, "--key", stage.workspace + "/keys/log.vkey")
    impact = stage.tidemark("lineage", "impact", DATASET, as_="ana")
    devices = impact["devices"]
    stage.say("audit", f"the log of {verified['records']} records verifies offline: every record, its place in the tree, "
                       "the checkpoint's signature")
    stage.say("impact", f"{len(devices)} devices ever ran a model made from {DATASET}")
    stage.expect(len(devices) > 0, "the impact query finds devices", impact)
    tree = stage.tidemark("lineage", "show", "version:pump/2", "--up", as_="ana", json_=False)
    stage.expect("historian://plants/2026-02@" in tree, "pump/2's lineage names the rows it was trained on", tree)
    stage.end_screen(before, during, after, tree)


def play(stage, chosen):
    stage.tidemark("init", stage.workspace, "--profile", "demo", json_=False)
    milliseconds = stage.start_server()
    stage.say("server", f"a workspace of profile demo (its keys lie in the workspace, so an approval is worth what this machine "
                        f"is worth); the server answered after {milliseconds} ms")
    train, metrics = make_model(stage)
    register(stage, train, metrics)
    bundle_check(stage)
    fleet = Fleet(stage, chosen.devices)
    fleet.enrol()
    watch(stage)
    rollout(stage, fleet, "pump/1", "")
    before = steady(stage, fleet, 1, 0.9, "accuracy on the devices")
    during = drift(stage, fleet)
    retrain(stage)
    rollout(stage, fleet, "pump/2", "; the old one stays beside it")
    after = steady(stage, fleet, 2, 0.9, "accuracy to return to normal")
    stage.expect(after > during, "accuracy is back", {"during": during, "after": after})
    evidence(stage, before, during, after)


def main():
    chosen = options()
    folder = chosen.folder or tempfile.mkdtemp(prefix="tidemark-demo-")
    stage = Stage(chosen.bin, folder, chosen.json)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    status = 1
    try:
        play(stage, chosen)
        status = 0
    except DemoFailed as reason:
        stage.fail(str(reason))
    except KeyboardInterrupt:
        status = 130
    finally:
        leave(stage, chosen, status)
    return status


def leave(stage, chosen, status):
    """Nothing stays behind unless --keep asks for it, or the logs of a failure do."""
    if chosen.keep and status == 0:
        stage.leave_running()
        return
    stage.stop()
    if status != 0:
        print(f"logs and state are kept in {stage.folder}", file=sys.stderr)
    elif not chosen.folder:
        shutil.rmtree(stage.folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
