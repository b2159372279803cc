"""The stage of the demo: running programs, waiting for events, and telling the story.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess
import sys
import time
import urllib.request

COLOURS = {"alert": 31, "the world": 33, "accuracy": 33, "approve": 32, "audit": 32, "four eyes": 33}


class DemoFailed(Exception):
    """A step did not show what it promises."""


def alert_sentence(alert):
    evidence = alert.get("evidence") or {}
    what = alert["signal"] + (f" of {alert['feature']}" if alert.get("feature") else "")
    value, limit = alert.get("value", evidence.get("value")), alert.get("threshold", evidence.get("threshold"))
    count = evidence.get("n", alert.get("n"))
    numbers = f": {value:.3f} where {limit:.3f} is the limit" if isinstance(value, float) and limit is not None else ""
    return f"{alert['alert']} fires for {alert['version']}: {what}{numbers}" + (f" (n = {count})" if count else "")


class Stage:
    """One performance: a folder, the programs, the processes that were started."""

    def __init__(self, binaries, folder, as_json):
        self.binaries = os.path.abspath(binaries)
        self.folder = os.path.abspath(folder)
        self.workspace = self.path("workspace")
        self.as_json = as_json
        self.colour = sys.stdout.isatty() and not as_json
        self.started = time.monotonic()
        self.processes = []  # in the order of their start
        self.progress_shown = False

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def commit(self):
        """The commit of the checkout, or "archive" without git or outside it."""
        try:
            done = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=os.path.dirname(os.path.abspath(__file__)),
                                  capture_output=True, text=True, check=False)
        except OSError:
            return "archive"
        return done.stdout.strip() or "archive"

    # ---- telling ----

    def say(self, what, sentence):
        seconds = time.monotonic() - self.started
        self._clear_progress()
        if self.as_json:
            line = json.dumps({"at_s": round(seconds, 1), "event": what, "text": sentence}, ensure_ascii=False)
        elif self.colour:
            line = f"\033[2m{seconds:6.1f} s\033[0m  \033[1;{COLOURS.get(what, 36)}m{what:<10}\033[0m {sentence}"
        else:
            line = f"{seconds:6.1f} s  {what:<10} {sentence}"
        print(line, flush=True)

    def progress(self, text):
        if self.colour:
            print(f"\r\033[K\033[2m          … {text}\033[0m", end="", flush=True)
            self.progress_shown = True

    def _clear_progress(self):
        if self.progress_shown:
            print("\r\033[K", end="")
            self.progress_shown = False

    def fail(self, reason):
        self._clear_progress()
        print(f"demo: FAILED: {reason}", file=sys.stderr)
        for name in ("server.log", "worker.log"):
            if os.path.exists(self.path(name)):
                with open(self.path(name), encoding="utf-8", errors="replace") as log:
                    tail = log.readlines()[-8:]
                print(f"--- the end of {name}", *[line.rstrip() for line in tail], sep="\n", file=sys.stderr)

    def expect(self, condition, promise, found):
        if not condition:
            raise DemoFailed(f"promised: {promise}; found: {json.dumps(found)[:600]}")

    # ---- running ----

    def program(self, name, *arguments):
        done = subprocess.run([os.path.join(self.binaries, name), *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise DemoFailed(f"{name} {' '.join(arguments)}: exit {done.returncode}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def tidemark(self, *arguments, as_=None, json_=True, fails=False):
        """What a person types. Returns the JSON answer (or the text); with fails, the refusal's sentence."""
        command = [os.path.join(self.binaries, "tidemark"), *arguments]
        if as_:
            command += ["--as", as_]
        if json_:
            command += ["--json"]
        environment = dict(os.environ, TIDEMARK_WORKSPACE=self.workspace)
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if fails:
            if done.returncode == 0:
                raise DemoFailed(f"tidemark {' '.join(arguments[:3])} was to be refused, and was not")
            return self.sentence(done.stderr or done.stdout)
        if done.returncode != 0:
            raise DemoFailed(f"tidemark {' '.join(arguments)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()[-600:]}")
        return json.loads(done.stdout) if json_ else done.stdout

    @staticmethod
    def sentence(text):
        try:
            return json.loads(text)["detail"]
        except (ValueError, KeyError, TypeError):
            return text.strip().split("\n")[0].removeprefix("tidemark: ")

    def start(self, name, command, log, **extra):
        out = open(self.path(log), "ab")  # noqa: SIM115: the child keeps it
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **extra)
        out.close()
        self.processes.append((name, process))
        return process

    def wait(self, what, check, seconds):
        """Polls until check() gives something; the event is the server's own state."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = check()
            if found:
                return found
            for name, process in self.processes:
                if process.poll() is not None and name != "worker":
                    raise DemoFailed(f"{name} ended with code {process.returncode} while waiting for {what}")
            time.sleep(0.25)
        raise DemoFailed(f"waited {seconds} s for {what}")

    @staticmethod
    def read_json(path):
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def start_server(self):
        """Starts the server on free ports and returns the milliseconds to its first answer."""
        began = time.monotonic()
        self.start("server", [os.path.join(self.binaries, "tidemark"), "serve", "--workspace", self.workspace, "--set",
                              "http.port=0", "--set", "device.port=0"], "server.log")

        def answers():
            try:
                with open(os.path.join(self.workspace, "run/http.port"), encoding="ascii") as file:
                    url = f"http://127.0.0.1:{int(file.read())}/healthz"
                with urllib.request.urlopen(url, timeout=1) as reply:
                    return reply.status == 200
            except (OSError, ValueError):
                return False

        end = began + 10
        while not answers():
            if time.monotonic() > end or self.processes[-1][1].poll() is not None:
                raise DemoFailed("the server did not come up within 10 s")
            time.sleep(0.002)
        milliseconds = int((time.monotonic() - began) * 1000)
        self.wait("the broker", lambda: self.tidemark("status", as_="ana")["broker"]["state"] == "running", 10)
        return milliseconds

    def pipeline_file(self):
        """pipeline.yaml with the places of this run filled in."""
        here = os.path.dirname(os.path.abspath(__file__))
        with open(os.path.join(here, "pipeline.yaml"), encoding="utf-8") as file:
            text = file.read()
        text = text.replace("@BIN@", self.binaries).replace("@DATA@", self.path("historian"))
        with open(self.path("pipeline.yaml"), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path("pipeline.yaml")

    # ---- the end ----

    def end_screen(self, before, during, after, tree):
        seconds = time.monotonic() - self.started
        if self.as_json:
            print(json.dumps({"at_s": round(seconds, 1), "event": "done", "accuracy": {"before": before, "drifted": during,
                                                                                       "after": after}, "lineage": tree}))
            return
        bar = "─" * 78
        print(f"\n{bar}\nWhere pump/2 comes from:\n\n{tree.rstrip()}\n")
        print(f"Accuracy on the devices: {before:.1%} at first, {during:.1%} after the refit, {after:.1%} with pump/2.")
        print(f"Done in {seconds:.0f} s. Try next (with ./run demo --keep):\n"
              "  tidemark lineage impact dataset:historian://plants/2026-01 --as ana\n"
              "  tidemark alert show al-1 --as ana        tidemark monitor show pump/2 --as ana\n"
              "  tidemark audit list --as ben             tidemark rollout list --as ana\n" + bar)

    def leave_running(self):
        print(f"Everything is left running ({len(self.processes)} processes). To talk to it:\n"
              f"  export TIDEMARK_WORKSPACE={self.workspace} PATH={self.binaries}:$PATH\n"
              f"To stop it: kill {' '.join(str(p.pid) for _, p in self.processes)}")

    def stop(self):
        """Stops what was started, newest first: asks, then insists."""
        for _, process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        for _, process in reversed(self.processes):
            try:
                process.wait(timeout=8)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
