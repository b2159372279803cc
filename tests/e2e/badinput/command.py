"""Commands as a person types them, and the proof that a refused one changed nothing.

SPDX-License-Identifier: Apache-2.0
"""
import hashlib
import os
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "server"))
import harness  # noqa: E402 (its folder comes first)

AGENT = os.path.join(harness.BIN, "tidemark-agent")
INVALID, DENIED, NOT_FOUND, CONFLICT, LIMIT, BUSY, CORRUPT, IO = 2, 3, 4, 5, 6, 7, 8, 9  # exit codes of docs/cli.md
# Tables that the server writes by itself, and the one that says whose the uploaded bytes are (they stay).
OWN_PACE = ("log_", "monitor_evaluated", "device_contact", "sqlite_sequence", "project_content")


def run(*arguments, cwd, environment=None):
    return subprocess.run(arguments, capture_output=True, text=True, cwd=cwd, env=environment, check=False,
                          timeout=harness.PATIENCE_S * 2)


def records_of(workspace):
    """A digest of each table of the workspace's database."""
    db = sqlite3.connect("file:" + os.path.join(workspace, "tidemark.db") + "?mode=ro", uri=True)
    try:
        tables = [name for name, in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                  if not name.startswith(OWN_PACE)]
        digests = {}
        for table in tables:
            columns = [row[1] for row in db.execute(f'PRAGMA table_info("{table}")') if row[1] != "used_ms"]
            names = ", ".join(f'"{column}"' for column in columns)
            # That somebody tried what he may not is itself put on record.
            denied = " WHERE json_extract(body, '$.outcome') <> 'denied'" if table == "audit_record" else ""
            rows = sorted(repr(row) for row in db.execute(f'SELECT {names} FROM "{table}"{denied}'))
            digests[table] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
        return digests
    finally:
        db.close()


def files_of(folder):
    """Every file of a folder with its digest."""
    found = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            if os.path.islink(path) or not os.path.isfile(path):
                found[path] = "no regular file"
            else:
                with open(path, "rb") as file:
                    found[path] = hashlib.sha256(file.read()).hexdigest()
    return found


class CommandTest(harness.ServerTest):
    """One server for a class; each test types commands in a folder of its own."""

    def setUp(self):
        self.folder = os.path.join(self.server.folder, self._testMethodName)
        os.makedirs(self.folder, exist_ok=True)

    def file(self, name, data):
        with open(os.path.join(self.folder, name), "wb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
        return name

    def type(self, *arguments, as_="ana"):
        return run(harness.TIDEMARK, *arguments, "--workspace", self.server.workspace, "--as", as_, cwd=self.folder,
                   environment=self.server.environment())

    def done(self, *arguments, as_="ana"):
        """A command that must succeed; returns what it printed."""
        result = self.type(*arguments, as_=as_)
        self.assertEqual(result.returncode, 0, f"{arguments}: {result.stdout}{result.stderr}")
        return result.stdout + result.stderr

    def said(self, result, code, *parts):
        """The exit code, and one line on standard error that has all these parts."""
        self.assertEqual(result.returncode, code, f"{result.args}: {result.stdout}{result.stderr}")
        self.assertNotIn("Sanitizer", result.stderr)
        self.assertEqual(result.stderr.strip().count("\n"), 0, result.stderr)
        for part in parts:
            self.assertIn(part, result.stderr)
        return result.stderr

    def refused(self, code, parts, *arguments, as_="ana"):
        """The command is refused so, and neither the server's records nor the folder have changed."""
        before = records_of(self.server.workspace), files_of(self.folder)
        text = self.said(self.type(*arguments, as_=as_), code, *([parts] if isinstance(parts, str) else parts))
        records, files = records_of(self.server.workspace), files_of(self.folder)
        self.assertEqual([table for table in records if records[table] != before[0].get(table)], [], f"changed by {arguments}")
        self.assertEqual(files, before[1], f"changed by {arguments}")
        return text
