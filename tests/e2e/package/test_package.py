"""The Debian packages, installed by dpkg into a copy-on-write view of this machine, run, reinstalled, removed and purged;
and the units' sandboxes as systemd judges them.

The view is an overlay in a mount namespace: nothing of it is left behind. It needs root; elsewhere those tests are skipped.
SPDX-License-Identifier: Apache-2.0
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ.get("TD_SOURCE_DIR", os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "..")))
SCORE_MAX = 15  # tenths of systemd-analyze's exposure

# What a new user types, in the view; $D is where the packages are. Each line of the story prints what it found.
STORY = r"""
set -eu
export DEBIAN_FRONTEND=noninteractive
dpkg -i "$D"/tidemark_*.deb "$D"/tidemark-server_*.deb "$D"/tidemark-agent_*.deb >"$D"/install.log 2>&1
grep -q 'tidemark init /var/lib/tidemark' "$D"/install.log && echo said-what-to-do
getent passwd tidemark tidemark-signer tidemark-worker tidemark-agent >/dev/null && getent group tidemark-apps >/dev/null && echo users
test "$(stat -c %a:%U /var/lib/tidemark /var/lib/tidemark-signer | tr '\n' ' ')" = "700:tidemark 700:tidemark-signer " && echo state-folder
runuser -u tidemark -- tidemark init /var/lib/tidemark --profile team >/dev/null && echo initialised
install -d -o tidemark-signer -m 0755 /run/signer
tidemark signer adopt --workspace /var/lib/tidemark --state /var/lib/tidemark-signer --owner tidemark-signer --url unix:/run/signer/s >/dev/null && echo adopted
runuser -u tidemark-signer -- tidemark signer serve --state /var/lib/tidemark-signer --socket /run/signer/s --server-user tidemark \
    >"$D"/signer.out 2>"$D"/signer.err & signer=$!
until grep -q ready "$D"/signer.out; do kill -0 $signer || { cat "$D"/signer.err; exit 1; }; sleep 0.1; done
runuser -u tidemark -- env TIDEMARK_HTTP_PORT=0 tidemark serve --workspace /var/lib/tidemark >"$D"/serve.out 2>"$D"/serve.err &
until grep -q ready "$D"/serve.out; do kill -0 $! || { cat "$D"/serve.err; exit 1; }; sleep 0.1; done
runuser -u tidemark -- tidemark status --workspace /var/lib/tidemark --json | tee "$D"/status.json | grep -q '"profile": "team"' && echo serves
grep -q '"signer_apart": "another_user"' "$D"/status.json && echo signed-by-another-user
kill "$(cat /var/lib/tidemark/run/pid)" && wait $! && echo stopped
kill $signer
runuser -u nobody -- ls /var/lib/tidemark 2>/dev/null || echo closed-to-others
runuser -u tidemark -- cat /var/lib/tidemark-signer/log.pem 2>/dev/null || echo key-closed-to-the-server
tidemark-agent --version >/dev/null && man -w tidemark tidemark-agent tidemark-agent-enrol >/dev/null && echo agent
bash -c 'source /usr/share/bash-completion/completions/tidemark; complete -p tidemark' >/dev/null && echo completes
dpkg -i "$D"/tidemark-server_*.deb >"$D"/again.log 2>&1
grep -q 'tidemark init' "$D"/again.log || echo upgrade-says-nothing
dpkg -r tidemark-server tidemark tidemark-agent >/dev/null 2>&1
test -e /var/lib/tidemark/tidemark.db && test ! -e /usr/bin/tidemark && echo removed
dpkg -P tidemark-server tidemark tidemark-agent >"$D"/purge.log 2>&1
test -e /var/lib/tidemark/tidemark.db && grep -q 'workspace /var/lib/tidemark stays' "$D"/purge.log && echo records-survive-purge
test -e /var/lib/tidemark-signer/log.pem && test ! -e /var/lib/tidemark-agent && echo agent-purged
"""
TOLD = ["said-what-to-do", "users", "state-folder", "initialised", "adopted", "serves", "signed-by-another-user", "stopped",
        "closed-to-others", "key-closed-to-the-server", "agent", "completes",
        "upgrade-says-nothing", "removed", "records-survive-purge", "agent-purged"]

# $V is empty and on a file system of its own, because an overlay cannot lie on an overlay.
VIEW = r"""
set -eu
mount -t tmpfs tmpfs "$V"
mkdir "$V"/up "$V"/work "$V"/root
mount -t overlay overlay -o lowerdir=/,upperdir="$V"/up,workdir="$V"/work "$V"/root
for folder in proc dev sys; do mount --rbind /$folder "$V"/root/$folder; done
mkdir -p "$V"/root/"$D" && mount --bind "$D" "$V"/root/"$D"
exec chroot "$V"/root env D="$D" PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c "$STORY"
"""


def tool(name):
    """A program that the machine may lack: then the test is skipped, and in CI it fails."""
    if shutil.which(name) is None:
        if os.environ.get("CI") == "true":
            raise AssertionError(f"{name} is missing")
        raise unittest.SkipTest(f"{name} is missing")
    return name


def output(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, check=True, **more).stdout


class Packages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        subprocess.run([os.path.join(SOURCE, "run"), "package", "-y"], check=True, stdout=sys.stderr)
        cls.files = sorted(glob.glob(os.path.join(SOURCE, "build/release/*.deb")))

    def test_there_are_three_and_they_name_what_they_need(self):
        depends = {output("dpkg-deb", "-f", file, "Package").strip(): output("dpkg-deb", "-f", file, "Depends")
                   for file in self.files}
        self.assertEqual(sorted(depends), ["tidemark", "tidemark-agent", "tidemark-server"])
        self.assertIn("libcurl4", depends["tidemark"])  # loaded by name: no tool finds it
        self.assertIn("libsqlite3-0", depends["tidemark"])
        self.assertIn("mosquitto", depends["tidemark-server"])
        self.assertNotIn("libarchive", depends["tidemark-agent"])

    def test_no_path_of_the_build_is_in_them(self):
        with tempfile.TemporaryDirectory() as folder:
            for file in self.files:
                subprocess.run(["dpkg-deb", "-R", file, folder + "/x"], check=True)
                found = subprocess.run(["grep", "-rlF", SOURCE + "/", folder + "/x"], capture_output=True, text=True, check=False)
                self.assertEqual(found.stdout, "")
                shutil.rmtree(folder + "/x")

    def test_installed_run_removed_and_purged(self):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root")
        with tempfile.TemporaryDirectory() as debs, tempfile.TemporaryDirectory() as view:
            os.chmod(debs, 0o755)
            for file in self.files:
                shutil.copy(file, debs)
            done = subprocess.run(["unshare", "--mount", "sh", "-c", VIEW], capture_output=True, text=True, check=False,
                                  timeout=300, env={**os.environ, "V": view, "D": debs, "STORY": STORY})
            logs = subprocess.run(f"cat {debs}/*.log {debs}/*.err", shell=True, capture_output=True, text=True, check=False).stdout
            self.assertEqual((done.stdout.split(), done.returncode), (TOLD, 0), done.stderr + logs)


class Units(unittest.TestCase):
    def exposure(self, unit):
        text = output(tool("systemd-analyze"), "security", "--offline=true", os.path.join(SOURCE, "packaging", unit))
        return round(10 * float(re.search(r"exposure level for \S+: ([\d.]+)", text)[1]))

    def test_the_servers_sandbox_is_tight(self):
        self.assertLessEqual(self.exposure("tidemark.service"), SCORE_MAX)

    def test_the_signers_sandbox_is_tighter(self):
        self.assertLess(self.exposure("tidemark-signer.service"), self.exposure("tidemark.service"))

    def test_the_agents_and_the_workers_are_not_open(self):
        self.assertLess(self.exposure("tidemark-agent.service"), 50)
        self.assertLess(self.exposure("tidemark-worker.service"), 50)

    def test_units_are_well_formed(self):
        for unit in ("tidemark.service", "tidemark-signer.service", "tidemark-signer.socket", "tidemark-worker.service",
                     "tidemark-agent.service"):
            done = subprocess.run([tool("systemd-analyze"), "verify", "--man=no", os.path.join(SOURCE, "packaging", unit)],
                                  capture_output=True, text=True, check=False)
            problems = [line for line in done.stderr.splitlines() if unit in line and "is not executable" not in line]
            self.assertEqual(problems, [])

    def allowed(self, unit):
        """The calls that the unit's filter lets through."""
        with open(os.path.join(SOURCE, "packaging", unit), encoding="utf-8") as file:
            filters = re.findall(r"^SystemCallFilter=(.*)$", file.read(), re.M)
        return self.calls(filters[0].split()) - self.calls(filters[1].lstrip("~").split())

    def calls(self, names):
        found = set()
        for name in names:
            if not name.startswith("@"):
                found.add(name)
                continue
            lines = output("systemd-analyze", "syscall-filter", name).splitlines()
            inner = [line.strip() for line in lines[1:] if line.startswith("    ") and not line.strip().startswith("#")]
            found |= self.calls(inner)
        return found

    def traced(self, folder, name, *arguments):
        """The program under strace, once it is ready, and how to tell what it called."""
        process = subprocess.Popen(["strace", "-f", "-qq", "-o", f"{folder}/{name}", self.program, *arguments], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, text=True, env={**os.environ, "TIDEMARK_HTTP_PORT": "0"})
        self.assertTrue(process.stdout.readline().startswith("ready"))
        self.addCleanup(process.stdout.close)
        return process

    def check_calls(self, folder, name, unit, least):
        with open(f"{folder}/{name}", encoding="utf-8", errors="replace") as file:
            used = set(re.findall(r"^\d+ +(\w+)\(", file.read(), re.M))
        self.assertGreater(len(used), least)
        as_root_only = {"fchown"}  # SQLite gives a new file its folder's owner
        self.assertEqual(used - self.allowed(unit) - {"execve"} - as_root_only, set(), unit)

    def test_what_server_and_signer_call_passes_the_units_filters(self):
        tool("systemd-analyze")
        tool("strace")
        self.program = os.path.join(SOURCE, "build/release/bin/tidemark")
        with tempfile.TemporaryDirectory() as folder:
            workspace, home, sock = folder + "/ws", folder + "/home", folder + "/signer.sock"
            subprocess.run([self.program, "init", workspace, "--profile", "demo"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run([self.program, "signer", "adopt", "--workspace", workspace, "--state", home, "--url", "unix:" + sock], check=True,
                           stdout=subprocess.DEVNULL)
            signer = self.traced(folder, "signer", "signer", "serve", "--state", home, "--socket", sock, "--server-user", str(os.geteuid()))
            server = self.traced(folder, "server", "serve", "--workspace", workspace)
            subprocess.run([self.program, "status", "--workspace", workspace], check=True, stdout=subprocess.DEVNULL)
            with open(workspace + "/run/pid", encoding="utf-8") as file:
                os.kill(int(file.read()), 15)
            self.assertEqual(server.wait(60), 0)
            child = int(output("pgrep", "-P", str(signer.pid)))
            os.kill(child, 15)
            signer.wait(60)
            self.check_calls(folder, "server", "tidemark.service", 30)
            self.check_calls(folder, "signer", "tidemark-signer.service", 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
