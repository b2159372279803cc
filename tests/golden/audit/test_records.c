/*
 * test_records.c: each action of audit/actions.c has its golden record, and each golden record is what a record must be.
 *
 * The records are what real servers wrote (tests/e2e/server/test_records.py makes most of them again and compares), with
 * fixed values for what differs from run to run; those that no test of a server makes come from a table (collect.py).
 * A change of a record's form shows here: it needs a new `v`, and verifiers must go on reading the old one.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/audit.h"
#include "core/base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FILE_MAX ((size_t)4 * 1024 * 1024)

typedef struct records {
    td_str text;
    json_t *by_action; /* action → record */
} records;

static void take_line(records *self, const char *line, size_t size)
{
    td_err err = {0};
    json_t *record = NULL;
    TD_CLEANUP(td_str_done) td_str canonical = {0};
    assert_int_equal(td_json_parse(line, size, "golden record", &record, &err), TD_OK);
    assert_int_equal(td_json_canonical(record, &canonical, &err), TD_OK);
    if (canonical.size != size || memcmp(canonical.data, line, size) != 0) {
        fail_msg("not canonical:\n%.*s\n%s", (int)size, line, td_str_text(&canonical));
    }
    const char *action = td_json_text(record, "action", "");
    assert_null(json_object_get(self->by_action, action));
    assert_int_equal(json_object_set_new(self->by_action, action, record), 0);
}

static int read_all(void **state)
{
    records *self = calloc(1, sizeof *self);
    char path[4096];
    td_err err = {0};
    const char *root = getenv("TD_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/tests/golden/audit/records.jsonl", root != NULL ? root : ".");
    assert_int_equal(td_file_read(path, FILE_MAX, &self->text, &err), TD_OK);
    self->by_action = json_object();
    for (const char *at = self->text.data, *end = at + self->text.size; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        assert_non_null(newline);
        take_line(self, at, (size_t)(newline - at));
        at = newline + 1;
    }
    *state = self;
    return 0;
}

static int forget_all(void **state)
{
    records *self = *state;
    json_decref(self->by_action);
    td_str_done(&self->text);
    free(self);
    return 0;
}

static void golden__each_action_has_a_record(void **state)
{
    const records *self = *state;
    size_t count = 0;
    const td_action *all = td_action_all(&count);
    for (size_t i = 0; i < count; i++) {
        if (json_object_get(self->by_action, all[i].name) == NULL) {
            fail_msg("%s has no golden record: make one in tests/e2e/server/test_records.py (TD_UPDATE=1), or put it "
                     "into the table of tests/golden/audit/collect.py",
                     all[i].name);
        }
    }
    assert_int_equal(json_object_size(self->by_action), count);
}

static void expect_keys(const json_t *object, const char *const *needed, const char *const *allowed, const char *action)
{
    const char *key;
    json_t *value;
    for (size_t i = 0; needed[i] != NULL; i++) {
        if (json_object_get(object, needed[i]) == NULL) {
            fail_msg("%s lacks \"%s\"", action, needed[i]);
        }
    }
    json_object_foreach((json_t *)object, key, value)
    {
        bool known = false;
        for (size_t i = 0; needed[i] != NULL; i++) {
            known |= strcmp(key, needed[i]) == 0;
        }
        for (size_t i = 0; allowed[i] != NULL; i++) {
            known |= strcmp(key, allowed[i]) == 0;
        }
        if (!known) {
            fail_msg("%s has \"%s\", which docs/audit.md does not know", action, key);
        }
    }
}

static void golden__records_have_the_documented_keys(void **state)
{
    static const char *const needed[] = {"v",       "seq",     "time",  "actor", "action", "object",
                                         "project", "request", "build", "salt",  "outcome", NULL};
    static const char *const allowed[] = {"before", "after", "decision", "reason", "links", NULL};
    static const char *const actor[] = {"id", "kind", "authentication", "role", NULL};
    static const char *const object[] = {"type", "id", NULL}, *const digest[] = {"digest", NULL};
    static const char *const facts[] = {"facts", NULL}, *const none[] = {NULL};
    const records *self = *state;
    const char *action;
    json_t *record;
    json_object_foreach(self->by_action, action, record)
    {
        expect_keys(record, needed, allowed, action);
        expect_keys(json_object_get(record, "actor"), actor, none, action);
        expect_keys(json_object_get(record, "object"), object, digest, action);
        const json_t *after = json_object_get(record, "after");
        if (after != NULL) {
            expect_keys(after, digest, facts, action);
        }
        assert_int_equal(td_json_int(record, "v", 0), 1);
    }
}

static void golden__reasons_are_there_where_they_are_mandatory(void **state)
{
    const records *self = *state;
    size_t count = 0;
    const td_action *all = td_action_all(&count);
    for (size_t i = 0; i < count; i++) {
        const json_t *record = json_object_get(self->by_action, all[i].name);
        if (all[i].reason_mandatory && td_json_text(record, "reason", "")[0] == '\0') {
            fail_msg("the golden record of %s has no reason", all[i].name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden__each_action_has_a_record),
        cmocka_unit_test(golden__records_have_the_documented_keys),
        cmocka_unit_test(golden__reasons_are_there_where_they_are_mandatory),
    };
    return cmocka_run_group_tests(tests, read_all, forget_all);
}
