"""A version's way onto the device, and everything that must not get there.

SPDX-License-Identifier: Apache-2.0
"""

import os
import signal

from harness import LIMIT_S, check, eventually, run


def ready(stage, count=2, application=False):
    """Broker, peer, agent; `count` versions are released."""
    stage.enrol_by_hand()
    broker, peer = stage.start_broker(), stage.start_peer()
    for number, (model, csv) in enumerate(stage.make_models(count), 1):
        peer.say(f"release {model} {csv} 1")
        stage.event(peer, event="released", version=number)
    agent = stage.start_agent()
    birth = stage.event(peer, event="birth", good=True)
    check(birth["device"] == "pump-07" and birth["hardware"] == "gateway" and birth["clock"], birth)
    return broker, peer, agent, stage.start_application() if application else None


def same_file(a, b):
    with open(a, "rb") as one, open(b, "rb") as two:
        return one.read() == two.read()


def version_is_installed_and_proven(stage):
    _, peer, agent, application = ready(stage, application=True)
    peer.say("direct 1 1 proof")
    stage.report(peer, "probation")
    stage.report(peer, "committed", "none")
    check(same_file(stage.state + "/slots/pump/current/model/pump.onnx", stage.path("v1/model.onnx")), "another file is current")
    application.wait_line(lambda line: '"event":"report"' in line and f'"model":"{stage.current()}"' in line, "a report")
    first = stage.current()
    peer.say("direct 2 2 proof")
    stage.report(peer, "committed", "none")
    check(stage.current() != first, "the second version is current")
    application.wait_line(lambda line: '"event":"report"' in line and f'"model":"{stage.current()}"' in line, "the new model")
    slot = stage.slot()
    check(slot["previous"].startswith("sha256:" + first), slot)
    check(os.path.isdir(stage.state + "/slots/pump/" + first), "the previous version is kept")
    check(agent.stop() == 0, "the agent stops cleanly")


def no_application_commits_as_unproven(stage):
    _, peer, _, _ = ready(stage, 1)
    peer.say("direct 1 1")
    stage.report(peer, "committed", "unproven")


def version_that_never_proves_itself_is_rolled_back(stage):
    _, peer, agent, application = ready(stage, application=True)
    peer.say("direct 1 1 proof")
    stage.report(peer, "committed", "none")
    first = stage.current()
    application.stop()
    peer.say("direct 2 2 proof short")
    stage.report(peer, "probation")
    stage.report(peer, "rolled_back")
    check(stage.current() == first, "the first version runs again")
    check(agent.stop() == 0, "the agent stops cleanly")


def hostile_directives_change_nothing(stage):
    _, peer, agent, _ = ready(stage)
    peer.say("direct 5 1")
    stage.report(peer, "committed")
    before = stage.current()
    for words, sequence in (("forged", 6), ("foreign", 7), ("expired", 8), ("", 4), ("", 5)):
        refused = stage.status()["refused"]
        peer.say(f"direct {sequence} 2 {words}")
        eventually(lambda refused=refused, words=words: words == "" or stage.status()["refused"] > refused,
                   f"the directive is refused: {words} {sequence}")
    peer.say("direct 9 1")  # a good one afterwards: everything before was handled
    eventually(lambda: stage.status()["directive_sequence"] == 9, "the good directive is accepted")
    check(stage.current() == before, "a hostile directive changed what runs")
    check(agent.child.poll() is None, "the agent is alive")


def tampered_content_and_forged_approval_are_refused(stage):
    _, peer, _, _ = ready(stage)
    model, csv = stage.path("v1/model.onnx"), stage.path("v1/reference.csv")
    peer.say("direct 1 1")
    stage.report(peer, "committed")
    before = stage.current()
    peer.say(f"release {model} {csv} 1 forged")
    stage.event(peer, event="released", version=3)
    peer.say("direct 2 3")
    stage.report(peer, "rejected", "signature")
    peer.say("tamper on")
    peer.say("direct 3 2")
    stage.report(peer, "rejected", "hash")
    check(stage.current() == before, "tampered bytes run")
    peer.say("tamper off")
    peer.say("direct 4 2")
    stage.report(peer, "committed")
    check(stage.current() != before, "the whole version is installed when it is asked for again")


def older_security_counter_is_refused(stage):
    _, peer, _, _ = ready(stage, 1)
    model, csv = stage.path("v1/model.onnx"), stage.path("v1/reference.csv")
    peer.say(f"release {model} {csv} 7")
    stage.event(peer, event="released", version=2)
    peer.say("direct 1 2")
    stage.report(peer, "committed")
    peer.say("direct 2 1")
    stage.report(peer, "rejected", "counter")


def a_full_device_says_no_space(stage):
    _, peer, _, _ = ready(stage, 1)
    model, csv = stage.path("v1/model.onnx"), stage.path("v1/reference.csv")
    with open(model + ".sparse", "wb") as file:
        file.truncate(60 << 20)
    peer.say(f"release {model}.sparse {csv} 1 huge")
    stage.event(peer, event="released", version=2)
    peer.say("direct 1 1")
    stage.report(peer, "committed")
    before = stage.current()
    peer.say("direct 2 2")
    found = stage.event(peer, event="report", reason=1)
    check(found["state"] in (2, 3), f"rejected or deferred for want of room: {found}")
    check(stage.current() == before, "what ran still runs")


def kill_at_any_moment_ends_with_the_new_version(stage):
    _, peer, agent, _ = ready(stage)
    peer.say("direct 1 1")
    stage.report(peer, "committed")
    first = stage.current()
    peer.say("direct 2 2")
    for _ in range(8):
        agent.stop(signal.SIGKILL)
        check(stage.current() is not None and os.path.exists(stage.state + "/slots/pump/current/model/pump.onnx"),
              "after a kill the old or the new model is whole")
        agent = stage.start_agent()
        agent.wait_line(lambda line: "runs on" in line, "that it runs")
    eventually(lambda: stage.current() not in (None, first), "the new version is current", LIMIT_S)
    check(same_file(stage.state + "/slots/pump/current/model/pump.onnx", stage.path("v2/model.onnx")), "another file is current")


def broker_down_at_start_and_in_the_middle(stage):
    stage.enrol_by_hand()
    agent = stage.start_agent("--log", "info")
    agent.wait_line(lambda line: "offline:" in line, "that it is offline")
    broker, peer = stage.start_broker(), stage.start_peer()
    stage.event(peer, event="birth", good=True)
    check(sum("offline:" in line for line in agent.lines) == 1, "said once: " + "\n".join(agent.lines))
    broker.stop()
    agent.wait_line(lambda line: "offline:" in line, "that it is offline again")
    stage.start_broker()
    stage.event(peer, event="birth", good=True)
    model, csv = stage.make_models(1)[0]
    peer.say(f"release {model} {csv} 1")
    peer.say("direct 1 1")
    stage.report(peer, "committed")


def second_agent_and_missing_enrolment_are_refused(stage):
    import subprocess
    from harness import BIN
    program = os.path.join(BIN, "tidemark-agent")
    done = subprocess.run([program, "run", "--state", stage.state], capture_output=True, text=True, check=False)
    check(done.returncode == 4 and "tidemark-agent enrol" in done.stderr, done)
    stage.enrol_by_hand(days=-1)
    agent = stage.start_agent()
    agent.wait_line(lambda line: "expired at" in line, "that its certificate expired")
    agent.wait_line(lambda line: "offline:" in line, "that it is offline")
    done = subprocess.run([program, "run", "--state", stage.state], capture_output=True, text=True, check=False)
    check(done.returncode == 7 and "another agent" in done.stderr, done)
    done = subprocess.run([program, "run", "--stat", "x"], capture_output=True, text=True, check=False)
    check(done.returncode == 2 and "did you mean --state" in done.stderr, done)


def a_revoked_device_says_so(stage):
    broker, peer, agent, _ = ready(stage, 1)
    with open(stage.path("acl"), encoding="ascii") as file:
        patterns = file.read()
    with open(stage.path("acl"), "w", encoding="ascii") as file:
        file.write("user pump-07\ntopic deny #\n\n" + patterns)
    broker.child.send_signal(signal.SIGHUP)
    broker.wait_line(lambda line: "Reloading config" in line, "that it reloads")
    agent.child.send_signal(signal.SIGHUP)  # it says something: its birth
    agent.wait_line(lambda line: "revoked" in line, "that it was revoked")
    check(agent.stop() == 0, "the agent stops cleanly")
    agent = stage.start_agent()
    agent.wait_line(lambda line: "revoked" in line, "that it was revoked, after a restart too")


def systemd_and_signals_are_served(stage):
    import socket
    import subprocess
    from harness import BIN
    stage.enrol_by_hand()
    stage.start_broker()
    peer = stage.start_peer()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(stage.path("notify"))
        sock.settimeout(LIMIT_S)
        os.environ.update(NOTIFY_SOCKET=stage.path("notify"), WATCHDOG_USEC="200000")
        try:
            agent = stage.start_agent()
        finally:
            del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
        check(sock.recv(200).startswith(b"READY=1"), "ready")
        check([sock.recv(200) for _ in range(3)] == [b"WATCHDOG=1"] * 3, "the watchdog is fed")
        stage.event(peer, event="birth", good=True)
        agent.child.send_signal(signal.SIGHUP)
        stage.event(peer, event="birth", good=True)
        done = subprocess.run([os.path.join(BIN, "tidemark-agent"), "status", "--state", stage.state], capture_output=True,
                              text=True, check=False)
        check(done.returncode == 0 and done.stdout.startswith("pump-07  online"), done)
        check(agent.stop() == 0, "the agent stops cleanly")
        message = b""
        while message != b"STOPPING=1":
            message = sock.recv(200)
    done = subprocess.run([os.path.join(BIN, "tidemark-agent"), "status", "--state", stage.state], capture_output=True,
                          text=True, check=False)
    check(done.returncode == 4 and "no agent runs" in done.stderr, done)


if __name__ == "__main__":
    run(version_is_installed_and_proven, no_application_commits_as_unproven, version_that_never_proves_itself_is_rolled_back,
        hostile_directives_change_nothing, tampered_content_and_forged_approval_are_refused, older_security_counter_is_refused,
        a_full_device_says_no_space, kill_at_any_moment_ends_with_the_new_version, broker_down_at_start_and_in_the_middle,
        second_agent_and_missing_enrolment_are_refused, systemd_and_signals_are_served,
        a_revoked_device_says_so)
