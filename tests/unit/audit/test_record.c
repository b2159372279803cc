/*
 * test_record.c: what a record must have, its canonical bytes, listing and erasing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "tests/unit/audit/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const td_actor ben = {.kind = TD_ACTOR_USER,
                             .user_id = 2,
                             .name = "ben",
                             .authentication = "token",
                             .role = "approver",
                             .request_id = "req-1"};

static td_code append(fixture *f, const td_audit_entry *entry, int64_t *seq, td_err *err)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_TRY(td_txn_begin(f->db, &txn, err));
    TD_TRY(td_audit_append(f->db, entry, seq, err));
    return td_txn_commit(&txn, err);
}

static void read_record(fixture *f, int64_t seq, td_str *out)
{
    td_err err = {.code = TD_OK};
    assert_int_equal(td_audit_record(f->db, seq, out, &err), TD_OK);
}

/* The bytes of a record are a format that others verify: they may only grow by a new "v". Salt and build vary. */
static void record__golden(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    uint8_t digest[TD_DIGEST_SIZE] = {0xab};
    TD_CLEANUP(td_json_done) json_t *before = json_pack("{s:s}", "state", "pending");
    TD_CLEANUP(td_json_done) json_t *after = json_pack("{s:s}", "state", "approved");
    TD_CLEANUP(td_json_done) json_t *links = json_pack("{s:s}", "approval", "pump/3#ben");
    td_audit_entry entry = {.actor = &ben,
                            .action = "approve.version",
                            .object_type = "version",
                            .object_id = "pump/3",
                            .digest = digest,
                            .decision = "approved",
                            .reason = "Reviewed: \"gap\" < 2 %\n\xc3\xa6",
                            .before = before,
                            .after = after,
                            .links = links};
    assert_int_equal(append(f, &entry, NULL, &err), TD_OK);
    TD_CLEANUP(td_str_done) td_str body = {0};
    read_record(f, 0, &body);
    char *salt = strstr(body.data, "\"salt\":\"");
    assert_non_null(salt);
    assert_int_equal(strspn(salt + 8, "0123456789abcdef"), 32);
    memset(salt + 8, 'x', 32);
    assert_string_equal(
        td_str_text(&body),
        "{\"action\":\"approve.version\","
        "\"actor\":{\"authentication\":\"token\",\"id\":\"ben\",\"kind\":\"user\",\"role\":\"approver\"},"
        "\"after\":{\"digest\":\"sha256:844191aae4f9875124fee38ea62d5bfcaf56a3cdb98de0e3b7f3aa3a7d30397d\","
        "\"facts\":{\"state\":\"approved\"}},"
        "\"before\":{\"digest\":\"sha256:e08ff4aec917544328b4ca2be4a23ce025a53e3083cb259f6aa696c0c5b616c1\","
        "\"facts\":{\"state\":\"pending\"}},"
        "\"build\":\"tidemark " TD_VERSION "\",\"decision\":\"approved\",\"links\":{\"approval\":\"pump/3#ben\"},"
        "\"object\":{\"digest\":\"sha256:ab00000000000000000000000000000000000000000000000000000000000000\","
        "\"id\":\"pump/3\",\"type\":\"version\"},\"outcome\":\"done\",\"project\":\"default\","
        "\"reason\":\"Reviewed: \\\"gap\\\" < 2 %\\n\xc3\xa6\",\"request\":\"req-1\","
        "\"salt\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\",\"seq\":0,\"time\":\"2026-03-01T10:00:00.000Z\",\"v\":1}");
}

static void append__unknown_action_names_the_nearest(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_entry entry = {
        .actor = &ben, .action = "aprove.version", .object_type = "version", .object_id = "pump/3", .reason = "x"};
    assert_int_equal(append(f, &entry, NULL, &err), TD_INVALID);
    assert_non_null(strstr(err.text, "did you mean \"approve.version\"?"));
}

static void append__reason_is_mandatory_where_the_list_says_so(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    int64_t count = -1;
    static const char *const blanks[] = {NULL, "", " \n"};
    td_audit_entry entry = {
        .actor = &ben, .action = "approve.version", .object_type = "version", .object_id = "pump/3"};
    for (size_t i = 0; i < TD_COUNT_OF(blanks); i++) {
        entry.reason = blanks[i];
        assert_int_equal(append(f, &entry, NULL, &err), TD_INVALID);
        assert_non_null(strstr(err.text, "needs a reason"));
    }
    entry.denied = true; /* a refused attempt is recorded as it came */
    assert_int_equal(append(f, &entry, NULL, &err), TD_OK);
    entry.denied = false;
    entry.action = "submit.version";
    assert_int_equal(append(f, &entry, NULL, &err), TD_OK);
    assert_int_equal(td_audit_count(f->db, &count, &err), TD_OK);
    assert_int_equal(count, 2);
}

static void append__limits_and_form(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    char reason[TD_AUDIT_REASON_MAX + 2];
    memset(reason, 'r', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    td_audit_entry entry = {
        .actor = &ben, .action = "submit.version", .object_type = "version", .object_id = "pump/3", .reason = reason};
    assert_int_equal(append(f, &entry, NULL, &err), TD_LIMIT);
    reason[TD_AUDIT_REASON_MAX] = '\0';
    assert_int_equal(append(f, &entry, NULL, &err), TD_OK);
    entry.reason = "not \xff text";
    assert_int_equal(append(f, &entry, NULL, &err), TD_INVALID);
    entry.reason = NULL;
    TD_CLEANUP(td_json_done) json_t *real = json_pack("{s:f}", "auc", 0.94);
    entry.after = real;
    assert_int_equal(append(f, &entry, NULL, &err), TD_INVALID);
}

/* Facts of more than 4 KiB leave only their digest. */
static void append__large_facts_are_kept_as_digest(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    char text[TD_AUDIT_FACTS_MAX + 1];
    memset(text, 'f', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    TD_CLEANUP(td_json_done) json_t *large = json_pack("{s:s}", "note", text);
    td_audit_entry entry = {
        .actor = &ben, .action = "submit.version", .object_type = "version", .object_id = "p/1", .after = large};
    assert_int_equal(append(f, &entry, NULL, &err), TD_OK);
    TD_CLEANUP(td_str_done) td_str body = {0};
    read_record(f, 0, &body);
    assert_non_null(strstr(td_str_text(&body), "\"after\":{\"digest\":\"sha256:"));
    assert_null(strstr(td_str_text(&body), "ffff\""));
}

/* The caller's transaction decides: what is rolled back leaves no hole in the numbers. */
static void append__rolls_back_with_the_change(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_entry entry = {.actor = &ben, .action = "submit.version", .object_type = "version", .object_id = "p/1"};
    int64_t seq = -1;
    {
        TD_CLEANUP(td_txn_done) td_txn txn = {0};
        assert_int_equal(td_txn_begin(f->db, &txn, &err), TD_OK);
        assert_int_equal(td_audit_append(f->db, &entry, &seq, &err), TD_OK);
        assert_int_equal(seq, 0);
    }
    assert_int_equal(append(f, &entry, &seq, &err), TD_OK);
    assert_int_equal(seq, 0);
    assert_int_equal(append(f, &entry, &seq, &err), TD_OK);
    assert_int_equal(seq, 1);
}

static json_t *list(fixture *f, td_audit_query query)
{
    td_err err = {.code = TD_OK};
    json_t *answer = NULL;
    if (td_audit_list_json(f->db, &query, &answer, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    return answer;
}

static void assert_listed(fixture *f, td_audit_query query, size_t count, int64_t first)
{
    TD_CLEANUP(td_json_done) json_t *answer = list(f, query);
    const json_t *records = json_object_get(answer, "records");
    assert_int_equal(json_array_size(records), count);
    if (count > 0) {
        assert_int_equal(td_json_int(json_array_get(records, 0), "seq", -1), first);
    }
}

static void list__filters_and_pages(void **state)
{
    fixture *f = *state;
    fixture_append_many(f, 10); /* ana and ben by turns */
    (void)fixture_append(f, "ana", "create.model", "model", "pump-3");
    assert_listed(f, TD_AUDIT_QUERY_ALL, 11, 0);
    assert_listed(f, (td_audit_query){.after = -1, .limit = 3}, 3, 0);
    assert_listed(f, (td_audit_query){.after = 2, .limit = 3}, 3, 3);
    assert_listed(f, (td_audit_query){.after = -1, .limit = 3, .newest_first = true}, 3, 10);
    assert_listed(f, (td_audit_query){.after = -1, .actor = "ben"}, 5, 1);
    assert_listed(f, (td_audit_query){.after = -1, .action = "create.model"}, 1, 10);
    assert_listed(f, (td_audit_query){.after = -1, .object = "pump-3"}, 2, 3);
    assert_listed(f, (td_audit_query){.after = -1, .object = "device:pump-3"}, 1, 3);
    assert_listed(f, (td_audit_query){.after = -1, .object = "pump-3", .actor = "ana"}, 1, 10);
    assert_listed(f, (td_audit_query){.after = -1, .project = "other"}, 0, 0);
    TD_CLEANUP(td_json_done) json_t *page = list(f, (td_audit_query){.after = 4, .limit = 2});
    assert_int_equal(td_json_int(page, "next_after", -1), 6);
    TD_CLEANUP(td_json_done) json_t *empty = list(f, (td_audit_query){.after = 10});
    assert_int_equal(td_json_int(empty, "next_after", -1), 10);
}

static void list__refuses_what_is_not_there(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    json_t *answer = NULL;
    td_audit_query query = {.after = -1, .action = "eat.cake"};
    assert_int_equal(td_audit_list_json(f->db, &query, &answer, &err), TD_INVALID);
    query = (td_audit_query){.after = -1, .limit = TD_AUDIT_LIST_MAX + 1};
    assert_int_equal(td_audit_list_json(f->db, &query, &answer, &err), TD_INVALID);
    assert_null(answer);
}

static td_code erase(fixture *f, int64_t seq, const char *reason, td_err *err)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_TRY(td_txn_begin(f->db, &txn, err));
    TD_TRY(td_audit_erase(f->db, seq, &ben, reason, err));
    return td_txn_commit(&txn, err);
}

static void erase__is_a_record_and_needs_a_reason(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_str_done) td_str body = {0};
    fixture_append_many(f, 3);
    assert_int_equal(erase(f, 1, "request of the person", &err), TD_CONFLICT); /* not in the tree yet */
    fixture_seal(f);
    assert_int_equal(erase(f, 1, NULL, &err), TD_INVALID);
    assert_int_equal(erase(f, 9, "x", &err), TD_NOT_FOUND);
    assert_int_equal(erase(f, 1, "request of the person", &err), TD_OK);
    assert_int_equal(erase(f, 1, "again", &err), TD_NOT_FOUND);
    assert_int_equal(td_audit_record(f->db, 1, &body, &err), TD_NOT_FOUND);
    assert_listed(f, (td_audit_query){.after = -1, .actor = "ben"}, 1, 3); /* only who erased */
    assert_listed(f, (td_audit_query){.after = 0, .limit = 1}, 1, 1);
}

static void triggers__refuse_change_and_removal(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    fixture_append_many(f, 20);
    fixture_seal(f);
    static const char *const statements[] = {
        "UPDATE audit_record SET actor = 'eve' WHERE seq = 1",
        "UPDATE audit_record SET body = NULL, actor = '', object_id = '' WHERE seq = 1",
        "DELETE FROM audit_record WHERE seq = 19",
        "INSERT OR REPLACE INTO audit_record SELECT * FROM audit_record WHERE seq = 1",
        ("INSERT INTO audit_record SELECT 99, at_ms, project, actor, action, object_type, object_id, body "
         "FROM audit_record WHERE seq = 1"),
        "UPDATE log_leaf SET leaf = zeroblob(128) WHERE seq = 1",
        "DELETE FROM log_leaf WHERE seq = 19",
        "UPDATE log_node SET hash = zeroblob(32)",
        "DELETE FROM log_node",
        "UPDATE log_checkpoint SET note = 'x'",
        "DELETE FROM log_checkpoint",
    };
    for (size_t i = 0; i < TD_COUNT_OF(statements); i++) {
        if (td_db_exec(f->db, statements[i], &err) == TD_OK) {
            fail_msg("%s was let through", statements[i]);
        }
    }
}

static void actions__names_are_verb_dot_object_and_unique(void **state)
{
    (void)state;
    size_t count = 0;
    const td_action *all = td_action_all(&count);
    assert_true(count > 40);
    for (size_t i = 0; i < count; i++) {
        const char *dot = strchr(all[i].name, '.');
        assert_non_null(dot);
        assert_int_equal(strspn(all[i].name, "abcdefghijklmnopqrstuvwxyz_."), strlen(all[i].name));
        assert_ptr_equal(td_action_find(all[i].name), &all[i]); /* the first of its name */
        assert_int_equal(all[i].means[strlen(all[i].means) - 1], '.');
    }
}

static void actions__documents_list_them_in_the_same_words(void **state)
{
    (void)state;
    char path[4096];
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_str_done) td_str text = {0};
    const char *root = getenv("TD_SOURCE_DIR");
    size_t count = 0;
    const td_action *all = td_action_all(&count);
    snprintf(path, sizeof path, "%s/docs/audit.md", root != NULL ? root : ".");
    assert_int_equal(td_file_read(path, (size_t)1 << 20, &text, &err), TD_OK);
    for (size_t i = 0; i < count; i++) {
        char line[512];
        snprintf(line, sizeof line, "| `%s` | %s | %s |\n", all[i].name, all[i].reason_mandatory ? "yes" : "",
                 all[i].means);
        if (strstr(td_str_text(&text), line) == NULL) {
            fail_msg("docs/audit.md lacks the line: %s", line);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOG(record__golden),
        WITH_LOG(append__unknown_action_names_the_nearest),
        WITH_LOG(append__reason_is_mandatory_where_the_list_says_so),
        WITH_LOG(append__limits_and_form),
        WITH_LOG(append__large_facts_are_kept_as_digest),
        WITH_LOG(append__rolls_back_with_the_change),
        WITH_LOG(list__filters_and_pages),
        WITH_LOG(list__refuses_what_is_not_there),
        WITH_LOG(erase__is_a_record_and_needs_a_reason),
        WITH_LOG(triggers__refuse_change_and_removal),
        cmocka_unit_test(actions__names_are_verb_dot_object_and_unique),
        cmocka_unit_test(actions__documents_list_them_in_the_same_words),
    };
    return cmocka_run_group_tests_name("records", tests, NULL, NULL);
}
