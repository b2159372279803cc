#!/usr/bin/env python3
"""The house rules that a program can check (CONTRIBUTING.md). Prints one line a breach: path:line: rule.

A rule is a function (path, lines) -> [(line, text)]; `RULES` says which files it looks at.
SPDX-License-Identifier: Apache-2.0
"""
import os
import re
import subprocess
import sys

SKIP = ("tests/vectors/", "tests/fuzz/corpus/", "tests/golden/", "build/")
BANNED = ("strcpy", "strcat", "sprintf", "vsprintf", "strtok", "gmtime", "localtime", "atoi", "atol", "atof", "alloca", "gets",
          "system", "popen", "tmpnam", "mktemp")
# What knows which library: a header may be included below these folders only.
LIBRARIES = {
    "sqlite3.h": ("core/db/",),
    "mbedtls/": ("core/crypto/",),
    "psa/": ("core/crypto/",),
    "openssl/": ("core/crypto/",),
    "p11-kit/": ("core/crypto/",),
    "MQTTAsync.h": ("core/mqtt/",),
    "archive.h": ("registry/", "audit/", "server/", "cli/"),
    "archive_entry.h": ("registry/", "audit/", "server/", "cli/"),
    "microhttpd.h": ("server/",),
    "curl/": ("core/http/", "firmware/linux/"),
    "yaml.h": ("core/base/",),
}
FOLDER_OF_MODULE = {"base": "core/base", "crypto": "core/crypto", "db": "core/db", "mqtt": "core/mqtt", "http": "core/http",
                    "wire": "firmware/wire", "edge": "firmware/edge", "linux": "firmware/linux"}
C_LINES, H_LINES, FUNCTION_LINES, LINE_LENGTH = 600, 250, 60, 120


def arrows(root):
    """The table of allowed arrows, read from cmake/Module.cmake: module -> set of modules."""
    table = {}
    with open(os.path.join(root, "cmake/Module.cmake"), encoding="utf-8") as file:
        for match in re.finditer(r'^set\(TD_MAY_USE_(\w+) "([^"]*)"\)', file.read(), re.M):
            table[match[1]] = set(filter(None, match[2].split(";")))
    return table


def module_of(path):
    for module, folder in FOLDER_OF_MODULE.items():
        if path.startswith(folder + "/"):
            return module
    return path.split("/")[0]


def strip_comments(lines):
    """The lines with comments and string contents blanked, so that words in them do not count."""
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m[0]), "\n".join(lines), flags=re.S)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', lambda m: '"' + " " * (len(m[0]) - 2) + '"', text)
    return text.split("\n")


def rule_include_arrows(path, lines, table):
    found = []
    mine = module_of(path)
    for number, line in enumerate(lines, 1):
        match = re.match(r'#include "([^"]+)"', line)
        if not match:
            continue
        target = match[1]
        if "/" not in target:
            found.append((number, f'include "{target}": write it from the repository\'s root'))
            continue
        used = module_of(target)
        if mine in table and used in table and used != mine and used not in table[mine]:
            found.append((number, f"{mine} may not use {used} (docs/architecture.md)"))
    return found


def rule_libraries(path, lines, _table):
    found = []
    for number, line in enumerate(lines, 1):
        match = re.match(r"#include <([^>]+)>", line)
        for prefix, folders in LIBRARIES.items():
            if match and match[1].startswith(prefix) and not path.startswith(folders + ("tests/",)):
                found.append((number, f"<{match[1]}> belongs to {' and '.join(folders)} only"))
    return found


def rule_length(path, lines, _table):
    limit = H_LINES if path.endswith(".h") else C_LINES
    return [(limit, f"{len(lines)} lines, at most {limit}: split by idea")] if len(lines) > limit else []


def rule_line_length(_path, lines, _table):
    return [(n, f"{len(line)} columns, at most {LINE_LENGTH}") for n, line in enumerate(lines, 1) if len(line) > LINE_LENGTH]


def rule_functions(path, lines, _table):
    """Bodies start with '{' in column 0 after a line that ends a signature, and end with '}' in column 0."""
    if not path.endswith(".c"):
        return []
    found, start = [], None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start - 1 > FUNCTION_LINES:
                found.append((start, f"a function of {number - start - 1} lines, at most {FUNCTION_LINES}"))
            start = None
    return found


def rule_banned(_path, lines, _table):
    found = []
    for number, line in enumerate(strip_comments(lines), 1):
        for name in BANNED:
            if re.search(rf"(?<![\w.>]){name}\s*\(", line):
                found.append((number, f"{name}() is banned"))
    return found


def rule_sql(path, lines, _table):
    if path.endswith("_store.c") or path.startswith(("core/db/", "tests/")):
        return []
    pattern = re.compile(r'"\s*(SELECT\s+\S|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|WITH\s+RECURSIVE|CREATE\s+TABLE)')
    return [(n, "SQL outside a *_store.c file") for n, line in enumerate(lines, 1) if pattern.search(line)]


def rule_sleep(path, lines, _table):
    if not path.startswith("tests/") or path.startswith(("tests/bench/", "tests/tidy/")):
        return []
    return [(n, "a test sleeps: wait for an event") for n, line in enumerate(strip_comments(lines), 1)
            if re.search(r"(?<![\w])(u?sleep|nanosleep|time\.sleep)\s*\(", line) and "poll-interval" not in lines[n - 1]]


def rule_head(path, lines, _table):
    head = "\n".join(lines[:40])
    found = []
    if "SPDX-License-Identifier: Apache-2.0" not in head:
        found.append((1, "no SPDX line in the first 40 lines"))
    if path.endswith((".c", ".h")):
        name = os.path.basename(path)
        if not re.match(rf"/\*\n \* {re.escape(name)}: \S", "\n".join(lines[:2]) + "\n"):
            found.append((1, f'the file does not open with its idea: "/*\\n * {name}: …"'))
    return found


def rule_machine(_path, lines, _table):
    pattern = re.compile("|".join(["/wo" + r"rk/(main|shared)", r"\.\./sha" + "red", "farm-" + "(bench|studio)"]))
    return [(n, "names a place outside the project") for n, line in enumerate(lines, 1) if pattern.search(line)]


C_RULES = (rule_include_arrows, rule_libraries, rule_length, rule_line_length, rule_functions, rule_banned, rule_sql)
RULES = ((("c", "h"), C_RULES), (("c", "h", "py", "sh", "cmake", "sql", "proto"), (rule_head,)),
         (("c", "py"), (rule_sleep,)), (("c", "h", "py", "sh", "md", "txt", "json", "yaml", "cmake", ""), (rule_machine,)))


def breaches(path, text, table):
    """All breaches in one file: [(line, text)]."""
    lines = text.rstrip("\n").split("\n")
    ending = os.path.basename(path).rpartition(".")[2] if "." in os.path.basename(path) else ""
    found = []
    for endings, rules in RULES:
        if ending in endings:
            for rule in rules:
                found += rule(path, lines, table)
    return found


def main(root):
    table = arrows(root)
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, check=False)
    if listed.returncode == 0:
        files = [name for name in listed.stdout.decode().split("\0") if name]
    else:  # a source archive without git
        files = [os.path.relpath(os.path.join(folder, name), root) for folder, _, names in os.walk(root) for name in names]
    count = 0
    for path in sorted(files):
        full = os.path.join(root, path)
        if path.startswith(SKIP) or not os.path.isfile(full):
            continue
        try:
            with open(full, encoding="utf-8") as file:
                text = file.read()
        except UnicodeDecodeError:
            continue
        for line, what in breaches(path, text, table):
            print(f"{path}:{line}: {what}")
            count += 1
    print(f"{len(files)} files, {count} breaches of the house rules")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "."))
