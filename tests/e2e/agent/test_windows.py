"""What applications say: counted, kept until receipted, never counted for another version.

SPDX-License-Identifier: Apache-2.0
"""

import os
import signal
import sys

from harness import check, eventually, run

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../firmware/linux/python"))
import tidemark_client  # noqa: E402 (found by the line above)


def running(stage):
    stage.enrol_by_hand()
    broker, peer = stage.start_broker(), stage.start_peer()
    model, csv = stage.make_models(1)[0]
    peer.say(f"release {model} {csv} 1")
    agent = stage.start_agent()
    stage.event(peer, event="birth", good=True)
    peer.say("direct 1 1")
    stage.report(peer, "committed")
    return broker, peer, agent


def add_windows(stage, peer, count):
    """Windows until `count` observations came; their sums."""
    sums = {"n": 0, "labelled": 0, "correct": 0, "errors": 0}
    while sums["n"] < count:
        window = stage.event(peer, event="window")
        for key in sums:
            sums[key] += window[key]
    return sums


def application_is_counted_exactly(stage):
    _, peer, _ = running(stage)
    app = stage.start_application("--count", "250", "--label-delay", "10ms")
    sums = add_windows(stage, peer, 250)
    check(sums["n"] == 250 and sums["errors"] == 0, sums)
    check(sums["labelled"] >= 240 and sums["correct"] > 0.85 * sums["labelled"], sums)
    check(app.child.wait(20) == 0, "the application ends")


def python_module_is_counted_too(stage):
    _, peer, _ = running(stage)
    row = [0.8, 2.7, 3.2, 0.1, 0.07, 0.65, 51.0, 1437.0]
    with tidemark_client.Client(stage.state, "pump") as tm:
        check(tm.model_path().endswith("/model/pump.onnx") and not tm.model_changed(), "the model's path")
        check(tm.attach(), "attach")
        for number in range(1, 41):
            tm.observe(row, prediction="1" if number % 2 else "0", score=0.5, group="oslo", id=number, latency_us=20)
        for number in range(1, 21):
            tm.label(number, "1")
        tm.observe(row[:3], prediction="0")  # another number of features
        tm.error(2)
        eventually(tm.flush, "the agent takes what waits")
        check(tm.dropped == 0, "nothing was dropped")
    eventually(lambda: stage.slot()["application"]["observations"] == 41, "41 observations")
    sums = add_windows(stage, peer, 40)
    check(sums == {"n": 40, "labelled": 20, "correct": 10, "errors": 3}, sums)


def another_versions_observations_are_not_counted(stage):
    running(stage)
    with tidemark_client.Client(stage.state, "pump") as tm:
        tm.model_path()
        tm._digest = "00112233445566778899aabbccddeeff"
        for _ in range(5):
            tm.observe([0.0] * 8, prediction="0")
        eventually(tm.flush, "the agent takes what waits")
    eventually(lambda: stage.slot()["application"]["stale"] == 5, "five stale observations")
    check(stage.slot()["application"]["observations"] == 0, stage.slot())


def windows_wait_for_the_receipt_through_kill_and_outage(stage):
    broker, peer, agent = running(stage)
    broker.stop()
    agent.wait_line(lambda line: "offline" in line, "that it is offline")
    with tidemark_client.Client(stage.state, "pump") as tm:
        tm.model_path()
        for number in range(30):
            tm.observe([1.0] * 8, prediction="0", score=0.1, id=number + 1)
        eventually(tm.flush, "the agent takes what waits")
    eventually(lambda: stage.slot()["application"]["windows"] >= 1, "the window is kept")
    agent.stop(signal.SIGKILL)
    stage.start_broker()
    stage.event(peer, event="online")
    agent = stage.start_agent()
    check(add_windows(stage, peer, 30)["n"] == 30, "what was counted before the kill arrives")
    eventually(lambda: stage.status()["outbox"]["kept"] == 0, "the receipt empties the outbox")
    peer.say("receipts off")
    with tidemark_client.Client(stage.state, "pump") as tm:
        tm.model_path()
        tm.observe([1.0] * 8, prediction="0")
        eventually(tm.flush, "the agent takes what waits")
    first = stage.event(peer, event="window", n=1)
    check(stage.status()["outbox"]["kept"] == 1, "no receipt: it is kept")
    check(agent.stop() == 0, "the agent stops cleanly")
    stage.start_agent()
    again = stage.event(peer, event="window", n=1)
    check(again["sequence"] == first["sequence"], f"sent again under the same number: {first} {again}")


def stopping_closes_the_window(stage):
    _, peer, agent = running(stage)
    with tidemark_client.Client(stage.state, "pump") as tm:
        tm.model_path()
        tm.observe([1.0] * 8, prediction="0")
        eventually(tm.flush, "the agent takes what waits")
    eventually(lambda: stage.slot()["application"]["observations"] == 1, "it is counted")
    check(agent.stop() == 0, "the agent stops cleanly")
    stage.start_agent()
    stage.event(peer, event="window", n=1)


def rubbish_on_the_socket_is_counted_and_survived(stage):
    import socket
    _, _, agent = running(stage)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        for rubbish in (b"", b"x", b"TM", b"TM\x01\x04" + bytes(16) + b"pump\x02\x00\xff\xff", os.urandom(16384)):
            sock.sendto(rubbish, stage.state + "/run/agent.sock")
    eventually(lambda: stage.status()["applications"]["refused"] == 5, "five refused datagrams")
    check(agent.child.poll() is None, "the agent is alive")


if __name__ == "__main__":
    run(application_is_counted_exactly, python_module_is_counted_too, another_versions_observations_are_not_counted,
        windows_wait_for_the_receipt_through_kill_and_outage, stopping_closes_the_window,
        rubbish_on_the_socket_is_counted_and_survived)
