/*
 * test_verify.c: what is done to a log behind our back, and what the verifiers say of it.
 *
 * The database is edited through SQLite directly, triggers dropped, as an attacker with the file would do it.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/leaf.h"
#include "audit/verify_memory.h"
#include "core/base/fs.h"
#include "tests/unit/audit/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

/* A short life: register, approve, roll out; and some devices, so that the tree has stored nodes. */
static void tell_story(fixture *f)
{
    (void)fixture_append(f, "ana", "register.version", "version", "pump/1"); /* 0 */
    (void)fixture_append(f, "ana", "submit.version", "version", "pump/1");
    (void)fixture_append(f, "ben", "approve.version", "version", "pump/1"); /* 2 */
    (void)fixture_deploy(f, "create.rollout", "r-1", "pump/1");
    fixture_append_many(f, 36);
    fixture_seal(f);
    fixture_append_many(f, 10);
    fixture_seal(f); /* 50 */
}

static const char drop_triggers[] =
    "DROP TRIGGER audit_record_fixed; DROP TRIGGER audit_record_keep; DROP TRIGGER audit_record_in_order;"
    "DROP TRIGGER log_leaf_fixed; DROP TRIGGER log_leaf_keep; DROP TRIGGER log_node_fixed; DROP TRIGGER "
    "log_node_keep;"
    "DROP TRIGGER log_checkpoint_fixed; DROP TRIGGER log_checkpoint_keep;";

/* Runs SQL on the file behind our back. */
static void edit(fixture *f, const char *sql)
{
    sqlite3 *raw = NULL;
    char *message = NULL;
    td_db_close(f->db);
    f->db = NULL;
    assert_int_equal(sqlite3_open(f->db_path, &raw), SQLITE_OK);
    (void)sqlite3_exec(raw, drop_triggers, NULL, NULL, NULL);
    if (sqlite3_exec(raw, sql, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s: %s", sql, message);
    }
    assert_true(sqlite3_total_changes(raw) > 0);
    sqlite3_close(raw);
    fixture_reopen(f);
}

static td_code verify_db(fixture *f, td_audit_verdict *out, td_err *err)
{
    td_audit_verify_options options = fixture_options(f);
    return td_audit_verify_db(f->db, &options, out, err);
}

static td_code verify_export(fixture *f, td_audit_verdict *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str tar = {0};
    td_audit_verify_options options = fixture_options(f);
    fixture_export(f, &tar);
    TD_TRY(td_file_replace(f->export_path, tar.data, tar.size, 0600, err));
    return td_audit_verify_export(f->export_path, &options, out, err);
}

static void expect(td_code code, const td_err *err, const char *text)
{
    if (code != TD_CORRUPT || strstr(err->text, text) == NULL) {
        fail_msg("expected \"%s\", got %s \"%s\"", text, td_code_lookup(code)->name, code == TD_OK ? "" : err->text);
    }
}

/* The edit, and what each verifier must say of it. */
static void edit_and_expect(fixture *f, const char *sql, const char *by_db, const char *by_export)
{
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    tell_story(f);
    assert_int_equal(verify_db(f, &verdict, &err), TD_OK);
    edit(f, sql);
    expect(verify_db(f, &verdict, &err), &err, by_db);
    if (by_export != NULL) {
        expect(verify_export(f, &verdict, &err), &err, by_export);
    }
}

static void verify__good_log_passes_both_ways(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict = {.records = -1};
    tell_story(f);
    fixture_append_many(f, 3); /* not sealed */
    if (verify_export(f, &verdict, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(verdict.records, 50);
    assert_int_equal(verdict.root.size, 50);
    assert_true(verdict.trusted);
    assert_string_equal(verdict.first_time, "2026-03-01T10:00:01.000Z");
    if (verify_db(f, &verdict, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(verdict.records, 53);
    assert_int_equal(verdict.pending, 3);
    assert_int_equal(verdict.root.size, 50);
    td_audit_verify_options options = fixture_options(f);
    options.signatures = true;
    assert_int_equal(td_audit_verify_db(f->db, &options, &verdict, &err), TD_OK);
    assert_int_equal(td_audit_verify_export(f->export_path, &options, &verdict, &err), TD_OK);
}

static void verify__without_a_key_nothing_is_trusted(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    td_audit_verify_options options = {.vkey = NULL};
    TD_CLEANUP(td_str_done) td_str tar = {0};
    tell_story(f);
    fixture_export(f, &tar);
    assert_int_equal(td_audit_verify_memory(tar.data, tar.size, &options, &verdict, &err), TD_OK);
    assert_false(verdict.trusted);
    TD_CLEANUP(td_str_done) td_str other = {0};
    assert_int_equal(td_log_vkey(f->keys.submitter, &other, &err), TD_OK);
    options.vkey = td_str_text(&other);
    assert_int_equal(td_audit_verify_memory(tar.data, tar.size, &options, &verdict, &err), TD_CORRUPT);
}

static void verify__changed_body_names_the_record(void **state)
{
    edit_and_expect(*state, "UPDATE audit_record SET body = replace(body, '\"ben\"', '\"eve\"') WHERE seq = 2",
                    "record 2 (approve.version pump/1): its text was changed",
                    "record 2 (approve.version pump/1): its text was changed");
}

static void verify__changed_column_names_the_record(void **state)
{
    edit_and_expect(*state, "UPDATE audit_record SET actor = 'eve' WHERE seq = 2",
                    "record 2 (approve.version pump/1): the columns of its row were changed", NULL);
}

static void verify__deleted_record_in_the_middle(void **state)
{
    edit_and_expect(*state, "DELETE FROM audit_record WHERE seq = 7", "record 7 is missing", "record 7");
}

static void verify__deleted_tail(void **state)
{
    edit_and_expect(*state, "DELETE FROM audit_record WHERE seq >= 48", "record 48 is missing", "record 48");
}

/* Record, leaf and checkpoint cut off in step: the newest checkpoint is older than it was, which only memory outside
 * the database notices: the signer's, or an auditor's older checkpoint. */
static void verify__tail_cut_off_in_step(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    TD_CLEANUP(td_str_done) td_str kept = {0};
    tell_story(f);
    assert_int_equal(td_log_checkpoint_read(f->db, &kept, &err), TD_OK);
    edit(f, "DELETE FROM log_checkpoint WHERE size > 40; DELETE FROM log_leaf WHERE seq >= 40;"
            "DELETE FROM audit_record WHERE seq >= 40; DELETE FROM log_node WHERE level = 4 AND position >= 2;");
    assert_int_equal(verify_db(f, &verdict, &err), TD_OK);
    td_audit_verify_options options = fixture_options(f);
    options.older = (const char *[]){td_str_text(&kept), NULL};
    expect(td_audit_verify_db(f->db, &options, &verdict, &err), &err, "fewer than the 50 of the older checkpoint");
    TD_CLEANUP(td_str_done) td_str note = {0};
    bool fresh = false;
    assert_int_equal(td_log_checkpoint_make(f->db, f->signer, &note, &fresh, &err), TD_CONFLICT);
    assert_non_null(strstr(err.text, "records are missing"));
}

static void verify__missing_leaf(void **state)
{
    edit_and_expect(*state, "DELETE FROM log_leaf WHERE seq = 9", "record 9: its leaf is missing", NULL);
}

static void verify__changed_node(void **state)
{
    edit_and_expect(*state, "UPDATE log_node SET hash = zeroblob(32) WHERE level = 4 AND position = 1",
                    "the tree's node 4/1 does not fit the leaves of records 16 to 31", NULL);
}

static void verify__changed_checkpoint(void **state)
{
    edit_and_expect(*state,
                    "UPDATE log_checkpoint SET note = replace(note, char(10) || '40' || char(10), char(10) || '41' "
                    "|| char(10)) WHERE size = 40",
                    "the stored checkpoint of 40 records", NULL);
}

/* Body and leaf's checksum changed together: the leaf's signature, which the attacker cannot make, gives the record
 * away. */
static void verify__changed_body_and_checksum(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_str_done) td_str body = {0};
    TD_CLEANUP(td_str_done) td_str sql = {0};
    uint8_t checksum[TD_DIGEST_SIZE];
    char hex[TD_DIGEST_TEXT];
    td_audit_verdict verdict;
    tell_story(f);
    assert_int_equal(td_audit_record(f->db, 20, &body, &err), TD_OK);
    memcpy(strstr(body.data, "\"pump-16\""), "\"pump-99\"", 9);
    td_leaf_checksum(body.data, body.size, checksum);
    td_hex_encode(checksum, sizeof checksum, hex);
    td_str_addf(&sql,
                "UPDATE audit_record SET body = '%s', object_id = 'pump-99' WHERE seq = 20;"
                "UPDATE log_leaf SET leaf = CAST(x'%s' || substr(leaf, 33) AS BLOB) WHERE seq = 20;",
                td_str_text(&body), hex);
    edit(f, td_str_text(&sql));
    expect(verify_export(f, &verdict, &err), &err, "record 20 (enrol.device pump-99): its leaf is not signed");
    expect(verify_db(f, &verdict, &err), &err, "records 16 to 31");
    td_audit_verify_options options = fixture_options(f);
    options.signatures = true;
    expect(td_audit_verify_db(f->db, &options, &verdict, &err), &err, "record 20 (enrol.device pump-99)");
}

/* The attacker holds the submitter's key: all records still fit their leaves, but not the signed root. */
static void verify__rewritten_with_the_submitters_key(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_str_done) td_str body = {0};
    TD_CLEANUP(td_str_done) td_str sql = {0};
    uint8_t leaf[TD_LOG_LEAF_SIZE];
    char hex[2 * TD_LOG_LEAF_SIZE + 1];
    td_audit_verdict verdict;
    tell_story(f);
    assert_int_equal(td_audit_record(f->db, 20, &body, &err), TD_OK);
    memcpy(strstr(body.data, "\"pump-16\""), "\"pump-99\"", 9);
    assert_int_equal(td_leaf_make(f->submitter, body.data, body.size, leaf, &err), TD_OK);
    td_hex_encode(leaf, sizeof leaf, hex);
    td_str_addf(&sql,
                "UPDATE audit_record SET body = '%s', object_id = 'pump-99' WHERE seq = 20;"
                "UPDATE log_leaf SET leaf = x'%s' WHERE seq = 20;",
                td_str_text(&body), hex);
    edit(f, td_str_text(&sql));
    expect(verify_export(f, &verdict, &err), &err, "do not add up to the signed checkpoint");
    expect(verify_db(f, &verdict, &err), &err, "records 16 to 31");
}

static void verify__older_checkpoint_of_another_history(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    TD_CLEANUP(td_str_done) td_str tar = {0};
    TD_CLEANUP(td_str_done) td_str older = {0};
    TD_CLEANUP(td_str_done) td_str fork = {0};
    (void)fixture_append(f, "ana", "create.model", "model", "pump");
    fixture_seal(f);
    assert_int_equal(td_log_checkpoint_read(f->db, &older, &err), TD_OK);
    tell_story(f);
    fixture_export(f, &tar);
    td_audit_verify_options options = fixture_options(f);
    options.older = (const char *[]){td_str_text(&older), NULL};
    assert_int_equal(td_audit_verify_memory(tar.data, tar.size, &options, &verdict, &err), TD_OK);
    td_str_add(&fork, "log\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    options = (td_audit_verify_options){.older = (const char *[]){td_str_text(&fork), NULL}};
    expect(td_audit_verify_memory(tar.data, tar.size, &options, &verdict, &err), &err, "history was rewritten");
}

/* --- the rules --- */

static void expect_rule(fixture *f, const char *text)
{
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    fixture_seal(f);
    expect(verify_db(f, &verdict, &err), &err, text);
    expect(verify_export(f, &verdict, &err), &err, text);
}

static void rules__own_version_approved(void **state)
{
    fixture *f = *state;
    (void)fixture_append(f, "ana", "register.version", "version", "pump/1");
    (void)fixture_append(f, "ana", "approve.version", "version", "pump/1");
    expect_rule(f, "record 1 (approve.version pump/1): four-eyes is broken: the approver also registered it: ana");
}

/* Such records are read another way (audit/record_view.h). */
static void rules__hold_for_records_with_escapes(void **state)
{
    fixture *f = *state;
    (void)fixture_append(f, "an\"a", "register.version", "version", "pump/1");
    (void)fixture_append(f, "an\"a", "approve.version", "version", "pump/1");
    expect_rule(f, "record 1 (approve.version pump/1): four-eyes is broken: the approver also registered it: an\"a");
}

static void count_told(void *context, int64_t seq, const json_t *record)
{
    int *told = context;
    assert_true(json_is_object(record) && td_json_int(record, "seq", -1) == seq);
    ++*told;
}

static void verify__tells_of_the_actions_that_were_asked_for(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    static const char *const two[] = {"approve.version", "create.rollout", NULL};
    td_audit_verify_options options = fixture_options(f);
    int told = 0;
    options.seen = count_told;
    options.seen_context = &told;
    tell_story(f);
    assert_int_equal(td_audit_verify_db(f->db, &options, &verdict, &err), TD_OK);
    assert_int_equal(told, 50);
    told = 0;
    options.seen_actions = two;
    assert_int_equal(td_audit_verify_db(f->db, &options, &verdict, &err), TD_OK);
    assert_int_equal(told, 2);
}

static void rules__edited_version_approved(void **state)
{
    fixture *f = *state;
    (void)fixture_append(f, "ana", "register.version", "version", "pump/1");
    (void)fixture_append(f, "ben", "update.version", "version", "pump/1");
    (void)fixture_append(f, "ben", "approve.version", "version", "pump/1");
    expect_rule(f, "record 2 (approve.version pump/1): four-eyes is broken: the approver also edited it: ben");
}

static void rules__source_of_a_derived_version_approved(void **state)
{
    fixture *f = *state;
    (void)fixture_append(f, "ana", "register.version", "version", "pump/1");
    (void)fixture_derive(f, "ben", "pump/2", "pump/1");
    (void)fixture_derive(f, "cid", "pump/3", "pump/2");
    (void)fixture_append(f, "ana", "approve.version", "version", "pump/3");
    expect_rule(f, "record 3 (approve.version pump/3): four-eyes is broken: the approver registered what it was "
                   "derived from: ana");
}

static void rules__unapproved_version_rolled_out(void **state)
{
    fixture *f = *state;
    (void)fixture_append(f, "ana", "register.version", "version", "pump/1");
    (void)fixture_deploy(f, "create.rollout", "r-1", "pump/1");
    expect_rule(f, "record 1 (create.rollout r-1): it deploys a version that nobody had approved: pump/1");
}

static td_code append_directive(fixture *f, uint8_t first, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE] = {first};
    char text[TD_DIGEST_TEXT];
    td_actor ben = {.kind = TD_ACTOR_USER, .name = "ben"};
    td_audit_entry approval = {.actor = &ben,
                               .action = "approve.version",
                               .object_type = "version",
                               .object_id = "pump/1",
                               .digest = (const uint8_t[TD_DIGEST_SIZE]){0xaa},
                               .reason = "good"};
    td_hex_encode(digest, sizeof digest, text);
    TD_CLEANUP(td_json_done)
    json_t *after =
        json_pack("{s:[{s:s, s:o}]}", "goals", "slot", "main", "manifest", json_sprintf("sha256:%s", text));
    td_audit_entry directive = {.actor = &td_actor_system,
                                .action = "issue.directive",
                                .object_type = "device",
                                .object_id = "pump-07",
                                .after = after};
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_TRY(td_txn_begin(f->db, &txn, err));
    TD_TRY(td_audit_append(f->db, &approval, NULL, err));
    TD_TRY(td_audit_append(f->db, &directive, NULL, err));
    return td_txn_commit(&txn, err);
}

static void rules__directive_for_an_unapproved_manifest(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    (void)fixture_append(f, "ana", "register.version", "version", "pump/1");
    assert_int_equal(append_directive(f, 0xaa, &err), TD_OK);
    fixture_seal(f);
    assert_int_equal(verify_db(f, &verdict, &err), TD_OK);
    assert_int_equal(append_directive(f, 0xbb, &err), TD_OK);
    expect_rule(f,
                "record 4 (issue.directive pump-07): it orders a device to run a manifest that nobody had approved");
}

static void rules__unknown_version_approved(void **state)
{
    fixture *f = *state;
    (void)fixture_append(f, "ben", "approve.version", "version", "pump/1");
    expect_rule(f, "record 0 (approve.version pump/1): a version is approved that was never registered");
}

static td_code erase(fixture *f, int64_t seq, td_err *err)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_TRY(td_txn_begin(f->db, &txn, err));
    TD_TRY(td_audit_erase(f->db, seq, &td_actor_system, "a person asked for it", err));
    return td_txn_commit(&txn, err);
}

static void rules__erasure_is_accounted_for(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    tell_story(f);
    assert_int_equal(erase(f, 30, &err), TD_OK);
    assert_int_equal(verify_db(f, &verdict, &err), TD_OK);
    fixture_seal(f);
    assert_int_equal(verify_export(f, &verdict, &err), TD_OK);
    assert_int_equal(verdict.erased, 1);
    assert_int_equal(verdict.records, 50);
    edit(f, "UPDATE audit_record SET body = NULL, actor = '', object_id = '' WHERE seq = 31");
    expect(verify_db(f, &verdict, &err), &err, "record 31: its body is gone");
    expect(verify_export(f, &verdict, &err), &err, "record 31: its body is gone");
}

/* --- what was checked --- */

static void checks__say_how_far_each_got(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    td_audit_checks checks;
    td_audit_verify_options options = fixture_options(f);
    tell_story(f);
    options.checks = &checks;
    assert_int_equal(td_audit_verify_db(f->db, &options, &verdict, &err), TD_OK);
    assert_int_equal(checks.count[TD_AUDIT_SIGNATURE], 2);
    assert_int_equal(checks.count[TD_AUDIT_TREE], 50);
    assert_int_equal(checks.count[TD_AUDIT_RECORD], 50);
    assert_int_equal(checks.count[TD_AUDIT_NUMBER], 50);
    assert_int_equal(checks.count[TD_AUDIT_TIME], 50);
    assert_int_equal(checks.count[TD_AUDIT_FOUR_EYES], 1);
    assert_int_equal(checks.count[TD_AUDIT_DEPLOYMENT], 1);
    assert_int_equal(checks.count[TD_AUDIT_OLDER], 0);
    assert_int_equal(checks.clock_set_back, 0);
    edit(f, "UPDATE audit_record SET body = replace(body, '\"ben\"', '\"eve\"') WHERE seq = 2");
    assert_int_equal(td_audit_verify_db(f->db, &options, &verdict, &err), TD_CORRUPT);
    assert_int_equal(checks.now, TD_AUDIT_RECORD);
    assert_int_equal(checks.record, 2);
    assert_int_equal(checks.count[TD_AUDIT_RECORD], 2);
}

/* Order is given by numbers; that the clock was set back is told. */
static void checks__a_clock_that_was_set_back_is_told(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    td_audit_checks checks;
    td_audit_verify_options options = fixture_options(f);
    fixture_append_many(f, 5);
    f->now -= 3600 * 1000;
    fixture_append_many(f, 5);
    f->now -= 60 * 1000;
    fixture_append_many(f, 5);
    fixture_seal(f);
    options.checks = &checks;
    assert_int_equal(td_audit_verify_db(f->db, &options, &verdict, &err), TD_OK);
    assert_int_equal(checks.clock_set_back, 2);
    assert_int_equal(checks.set_back_at, 5);
    assert_int_equal(checks.set_back_ms, 3600 * 1000 - 1000);
}

/* --- the tar --- */

static void export__any_changed_or_missing_byte_is_noticed(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    TD_CLEANUP(td_str_done) td_str tar = {0};
    td_audit_verify_options options = fixture_options(f);
    (void)fixture_append(f, "ana", "register.version", "version", "pump/1");
    (void)fixture_append(f, "ben", "approve.version", "version", "pump/1");
    fixture_seal(f);
    fixture_export(f, &tar);
    assert_int_equal(td_audit_verify_memory(tar.data, tar.size, &options, &verdict, &err), TD_OK);
    /* format.json is for information and the tar's own header fields are libarchive's; everything of ours is covered.
     */
    const char *content = strstr(tar.data, "format.json"); /* the first header */
    assert_non_null(content);
    for (size_t i = 1024; i < tar.size; i += 7) {
        bool padding = tar.data[i] == '\0';
        tar.data[i] ^= 4;
        td_code code = td_audit_verify_memory(tar.data, tar.size, &options, &verdict, &err);
        tar.data[i] ^= 4;
        if (code == TD_OK && !padding) {
            fail_msg("a changed byte at %zu (%c) went unnoticed", i, tar.data[i]);
        }
    }
    for (size_t size = 0; size < tar.size - 1536; size += 61) {
        assert_int_not_equal(td_audit_verify_memory(tar.data, size, &options, &verdict, &err), TD_OK);
    }
}

static void export__many_chunks(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    fixture_append_many(f, 2 * 1024 + 1);
    fixture_seal(f);
    assert_int_equal(verify_export(f, &verdict, &err), TD_OK);
    assert_int_equal(verdict.records, 2 * 1024 + 1);
}

static void export__needs_a_checkpoint_and_a_file(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    td_audit_verify_options options = fixture_options(f);
    assert_int_equal(td_audit_verify_export("/nonexistent/log.tar", &options, &verdict, &err), TD_NOT_FOUND);
    assert_int_equal(td_audit_export(f->db, &f->keys, NULL, NULL, &err), TD_NOT_FOUND);
    assert_int_equal(td_audit_verify_memory("nonsense", 8, &options, &verdict, &err), TD_CORRUPT);
}

static td_code refuse(void *context, const void *data, size_t size, td_err *err)
{
    (void)context;
    (void)data;
    (void)size;
    return td_fail(err, TD_LIMIT, "the disk is full");
}

static void export__sink_that_refuses_stops_it(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    tell_story(f);
    assert_int_equal(td_audit_export(f->db, &f->keys, refuse, NULL, &err), TD_LIMIT);
    assert_string_equal(err.text, "the disk is full");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOG(verify__good_log_passes_both_ways),
        WITH_LOG(verify__without_a_key_nothing_is_trusted),
        WITH_LOG(verify__changed_body_names_the_record),
        WITH_LOG(verify__changed_column_names_the_record),
        WITH_LOG(verify__deleted_record_in_the_middle),
        WITH_LOG(verify__deleted_tail),
        WITH_LOG(verify__tail_cut_off_in_step),
        WITH_LOG(verify__missing_leaf),
        WITH_LOG(verify__changed_node),
        WITH_LOG(verify__changed_checkpoint),
        WITH_LOG(verify__changed_body_and_checksum),
        WITH_LOG(verify__rewritten_with_the_submitters_key),
        WITH_LOG(verify__older_checkpoint_of_another_history),
        WITH_LOG(verify__tells_of_the_actions_that_were_asked_for),
        WITH_LOG(rules__own_version_approved),
        WITH_LOG(rules__hold_for_records_with_escapes),
        WITH_LOG(rules__edited_version_approved),
        WITH_LOG(rules__source_of_a_derived_version_approved),
        WITH_LOG(rules__unapproved_version_rolled_out),
        WITH_LOG(rules__directive_for_an_unapproved_manifest),
        WITH_LOG(rules__unknown_version_approved),
        WITH_LOG(rules__erasure_is_accounted_for),
        WITH_LOG(checks__say_how_far_each_got),
        WITH_LOG(checks__a_clock_that_was_set_back_is_told),
        WITH_LOG(export__any_changed_or_missing_byte_is_noticed),
        WITH_LOG(export__many_chunks),
        WITH_LOG(export__needs_a_checkpoint_and_a_file),
        WITH_LOG(export__sink_that_refuses_stops_it),
    };
    return cmocka_run_group_tests_name("verification", tests, NULL, NULL);
}
