#!/usr/bin/env python3
"""Each house rule is seen to bite: a file that breaks it is found, one that keeps it is not.

SPDX-License-Identifier: Apache-2.0
"""
import unittest

import tidy

TABLE = {"fleet": {"registry", "base"}, "monitor": {"base"}, "base": set(), "registry": {"base"}}
GOOD = "/*\n * a.c: an idea.\n *\n * SPDX-License-Identifier: Apache-2.0\n */\n"


class Bite(unittest.TestCase):
    def found(self, text, path="fleet/a.c"):
        return [what for _, what in tidy.breaches(path, GOOD + text, TABLE)]

    def test_clean_file(self):
        self.assertEqual(self.found('#include "core/base/err.h"\n#include "registry/registry.h"\n'), [])

    def test_arrow(self):
        self.assertIn("may not use monitor", self.found('#include "monitor/x.h"\n')[0])

    def test_library(self):
        self.assertIn("belongs to", self.found("#include <sqlite3.h>\n")[0])

    def test_relative_include(self):
        self.assertIn("root", self.found('#include "a.h"\n')[0])

    def test_banned(self):
        self.assertIn("banned", self.found("    strcpy(a, b);\n")[0])
        self.assertEqual(self.found('    /* strcpy(a, b) */ td_fail(err, X, "strcpy(");\n    my_strcpy(a);\n'), [])

    def test_sql(self):
        self.assertIn("SQL", self.found('    "SELECT name FROM t"\n')[0])
        self.assertEqual([w for w in self.found('    "SELECT name FROM t"\n', "fleet/a_store.c") if "SQL" in w], [])

    def test_sleep(self):
        self.assertTrue(any("sleeps" in w for w in self.found("    sleep(1);\n", "tests/unit/a.c")))

    def test_lengths(self):
        self.assertTrue(any("lines, at most 600" in w for w in self.found("\n" * 600 + "x\n")))
        self.assertTrue(any("a function of" in w for w in self.found("int f(void)\n{\n" + "    x;\n" * 61 + "}\n")))
        self.assertTrue(any("columns" in w for w in self.found("x" * 121 + "\n")))

    def test_head(self):
        self.assertEqual(len(tidy.breaches("fleet/a.c", "int x;\n", TABLE)), 2)

    def test_place(self):
        self.assertTrue(any("outside the project" in w for w in self.found("/* see ../sha" + "red/x */\n")))


if __name__ == "__main__":
    unittest.main()
