/*
 * test_claims.c: which claims are taken in, and from whom; what is kept of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/registry/fixture.h"

#include "claims/claims.h"

#define P TD_PROJECT_DEFAULT
#define TEST_RESULT "{\"result\":\"PASSED\",\"configuration\":[]}"

/* ---- a workspace with claims ---- */

static int setup(void **state)
{
    td_err err = {0};
    const td_migration *const lists[] = {td_audit_migrations, td_access_migrations, td_registry_migrations,
                                         td_claims_migrations, NULL};
    (void)fixture_setup(state);
    fixture *f = *state;
    must(td_txn_commit(&f->txn, &err), &err);
    must(td_db_migrate(f->db, lists, &err), &err);
    must(td_txn_begin(f->db, &f->txn, &err), &err);
    make_version(f, "pump", "weights");
    submit(f, "pump/1", NULL);
    return 0;
}

static const td_actor root = {TD_ACTOR_SYSTEM, 0, "system", "internal", "", ""};

static td_about about_of(fixture *f, const char *reference)
{
    td_err err = {0};
    td_about about;
    td_version version = find(f, reference);
    must(td_about_read(version.manifest, version.manifest_size, &f->arena, &about, &err), &err);
    return about;
}

/* An envelope by `key` around a statement about the version. */
static td_dsse sign_json(fixture *f, const char *reference, const char *type, const char *predicate, const td_key *key)
{
    td_err err = {0};
    td_dsse envelope;
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_str_done) td_str statement = {0};
    TD_CLEANUP(td_str_done) td_str line = {0};
    td_about about = about_of(f, reference);
    must(td_json_parse(predicate, strlen(predicate), "predicate", &json, &err), &err);
    must(td_statement_make(&about, type, json, &statement, &err), &err);
    must(td_dsse_make(TD_STATEMENT_PAYLOAD, statement.data, statement.size, key, &line, &err), &err);
    must(td_dsse_read(line.data, line.size, &f->arena, &envelope, &err), &err);
    return envelope;
}

static td_code open_for(fixture *f, const char *reference, const td_dsse *envelope, td_claim *out, td_err *err)
{
    td_claim_key *keys;
    size_t count;
    td_about *about = td_arena_alloc(&f->arena, sizeof *about);
    *about = about_of(f, reference);
    TD_TRY(td_claim_keys(f->db, P, 0, &f->arena, &keys, &count, err));
    return td_claim_open(envelope, keys, count, about, out, err);
}

static td_code add_by(fixture *f, const td_actor *actor, const td_dsse *envelope, td_err *err)
{
    TD_CLEANUP(td_claim_done) td_claim claim = {.signer = NULL};
    TD_TRY(open_for(f, "pump/1", envelope, &claim, err));
    return td_claim_add(f->db, actor, P, "pump/1", &claim, err);
}

static json_t *list_of(fixture *f)
{
    td_err err = {0};
    json_t *list = NULL;
    must(td_claims_json(f->db, find(f, "pump/1").version_id, &list, &err), &err);
    return list;
}

/* ---- taking in ---- */

static void claim__is_listed_found_and_recorded(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    uint8_t digest[TD_DIGEST_SIZE];
    td_dsse envelope = sign_json(f, "pump/1", TD_PREDICATE_TEST_RESULT, TEST_RESULT, f->ben.key);
    must(TRY_WRITE(f, add_by(f, &f->ana.actor, &envelope, &err)), &err);
    TD_CLEANUP(td_json_done) json_t *list = list_of(f);
    const json_t *one = json_array_get(list, 0);
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(td_json_text(one, "kind", ""), "test-result");
    assert_string_equal(td_json_text(one, "covers", ""), "version");
    assert_string_equal(td_json_text(json_object_get(one, "signed_by"), "name", ""), "ben");
    assert_string_equal(td_json_text(json_object_get(one, "signed_by"), "source", ""), "person");
    assert_string_equal(td_json_text(json_object_get(one, "summary"), "result", ""), "PASSED");
    assert_string_equal(td_json_text(one, "added_by", ""), "ana");
    assert_int_equal(count_records(f, "add.claim"), 1);
    td_version version = find(f, "pump/1");
    char prefix[12 + 1];
    memcpy(prefix, td_json_text(one, "digest", "") + 7, 12);
    prefix[12] = '\0';
    must(td_claim_find(f->db, &version, prefix, digest, &err), &err);
    refused(td_claim_find(f->db, &version, "0000", digest, &err), &err, TD_NOT_FOUND, "no claim");
    refused(td_claim_find(f->db, &version, "xyz!", digest, &err), &err, TD_INVALID, "no digest");
    TD_CLEANUP(td_str_done) td_str record = {0};
    must(td_audit_record(f->db, td_json_int(one, "audit_seq", -1), &record, &err), &err);
    assert_non_null(strstr(td_str_text(&record), td_json_text(one, "digest", "")));
}

/* The facts of the record are a format that verifiers follow. */
static void claim__record_is_golden(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    char want[1024], key[2 * TD_KEY_ID_SIZE + 1];
    uint8_t key_id[TD_KEY_ID_SIZE];
    td_dsse envelope = sign_json(f, "pump/1", TD_PREDICATE_TEST_RESULT, TEST_RESULT, f->ben.key);
    must(TRY_WRITE(f, add_by(f, &f->ana.actor, &envelope, &err)), &err);
    TD_CLEANUP(td_json_done) json_t *list = list_of(f);
    TD_CLEANUP(td_str_done) td_str record = {0};
    const json_t *one = json_array_get(list, 0);
    must(td_audit_record(f->db, td_json_int(one, "audit_seq", -1), &record, &err), &err);
    td_key_id(f->ben.public_key, TD_P256_PUBLIC_SIZE, key_id);
    td_hex_encode(key_id, sizeof key_id, key);
    snprintf(want, sizeof want,
             "\"facts\":{\"claim\":\"%s\",\"covers\":\"version\",\"predicate_type\":\"" TD_PREDICATE_TEST_RESULT
             "\",\"signed_by\":{\"key_id\":\"%s\",\"name\":\"ben\",\"source\":\"person\"}}},\"build\":",
             td_json_text(one, "digest", ""), key);
    if (strstr(td_str_text(&record), want) == NULL) {
        fail_msg("%s\nlacks\n%s", td_str_text(&record), want);
    }
}

static void claim__by_a_stranger_is_refused(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_key_free) td_key *stranger = NULL;
    must(td_key_generate(TD_KEY_P256, &stranger, &err), &err);
    td_dsse envelope = sign_json(f, "pump/1", TD_PREDICATE_TEST_RESULT, TEST_RESULT, stranger);
    refused(add_by(f, &f->ana.actor, &envelope, &err), &err, TD_CORRUPT, "signed by none of the 3 trusted keys");
    envelope = sign_json(f, "pump/1", TD_PREDICATE_TEST_RESULT, TEST_RESULT, f->ben.key);
    uint8_t *payload = td_arena_copy(&f->arena, envelope.payload, envelope.payload_size);
    payload[envelope.payload_size - 3] ^= 1;
    envelope.payload = payload;
    refused(add_by(f, &f->ana.actor, &envelope, &err), &err, TD_CORRUPT, "signed by none");
}

static void claim__about_something_else_is_refused(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_claim_done) td_claim claim = {.signer = NULL};
    make_version(f, "pump", "other weights");
    submit(f, "pump/2", NULL);
    td_dsse envelope = sign_json(f, "pump/2", TD_PREDICATE_TEST_RESULT, TEST_RESULT, f->ben.key);
    refused(add_by(f, &f->ana.actor, &envelope, &err), &err, TD_CORRUPT, "about something else");
    TD_CLEANUP(td_str_done) td_str line = {0};
    must(td_dsse_make("text/plain", "hello", 5, f->ben.key, &line, &err), &err);
    must(td_dsse_read(line.data, line.size, &f->arena, &envelope, &err), &err);
    refused(open_for(f, "pump/1", &envelope, &claim, &err), &err, TD_CORRUPT, "\"text/plain\"");
}

static void claim__of_a_draft_and_twice_is_refused(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_claim_done) td_claim claim = {.signer = NULL};
    td_dsse envelope = sign_json(f, "pump/1", TD_PREDICATE_TEST_RESULT, TEST_RESULT, f->ben.key);
    make_version(f, "pump", "draft");
    must(open_for(f, "pump/1", &envelope, &claim, &err), &err);
    refused(td_claim_add(f->db, &f->ana.actor, P, "pump/2", &claim, &err), &err, TD_CONFLICT, "is a draft");
    must(TRY_WRITE(f, add_by(f, &f->ana.actor, &envelope, &err)), &err);
    refused(TRY_WRITE(f, add_by(f, &f->ana.actor, &envelope, &err)), &err, TD_CONFLICT, "this very claim already");
    assert_int_equal(count_records(f, "add.claim"), 1);
}

static void claim__needs_the_permission(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_actor nobody = {TD_ACTOR_USER, 4711, "eve", "token", "", ""};
    td_dsse envelope = sign_json(f, "pump/1", TD_PREDICATE_TEST_RESULT, TEST_RESULT, f->ben.key);
    assert_int_not_equal(add_by(f, &nobody, &envelope, &err), TD_OK);
    must(TRY_WRITE(f, add_by(f, &f->robo.actor, &envelope, &err)), &err); /* a trainer may carry it */
}

static void claim__never_changes(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_dsse envelope = sign_json(f, "pump/1", TD_PREDICATE_TEST_RESULT, TEST_RESULT, f->ben.key);
    must(TRY_WRITE(f, add_by(f, &f->ana.actor, &envelope, &err)), &err);
    assert_int_not_equal(td_db_exec(f->db, "UPDATE claim SET signer = 'carl'", &err), TD_OK);
    assert_non_null(strstr(err.text, "never changes"));
    assert_int_not_equal(td_db_exec(f->db, "DELETE FROM claim", &err), TD_OK);
}

/* ---- limits ---- */

static void claim__count_of_a_version_is_bounded(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    char predicate[128];
    for (int i = 0; i <= TD_CLAIMS_MAX; i++) {
        snprintf(predicate, sizeof predicate, "{\"n\":%d}", i);
        td_dsse envelope = sign_json(f, "pump/1", "https://example.com/n", predicate, f->ben.key);
        td_code code = TRY_WRITE(f, add_by(f, &f->ana.actor, &envelope, &err));
        if (i < TD_CLAIMS_MAX) {
            must(code, &err);
        } else {
            refused(code, &err, TD_LIMIT, "256 claims already");
        }
    }
}

static void claim__bytes_of_a_version_are_bounded(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    size_t bytes = 0;
    td_code code = TD_OK;
    static char predicate[720 * 1024];
    for (int i = 0; code == TD_OK; i++) {
        assert_true(i < 6);
        int head = snprintf(predicate, sizeof predicate, "{\"n\":\"%d", i);
        memset(predicate + head, 'x', sizeof predicate - (size_t)head);
        memcpy(predicate + sizeof predicate - 3, "\"}", 3);
        td_dsse envelope = sign_json(f, "pump/1", "https://example.com/n", predicate, f->ben.key);
        code = TRY_WRITE(f, add_by(f, &f->ana.actor, &envelope, &err));
        bytes += code == TD_OK ? envelope.payload_size / 3 * 4 : 0;
    }
    refused(code, &err, TD_LIMIT, "more than 4194304 bytes");
    assert_true(bytes > TD_CLAIMS_BYTES_MAX / 2);
}

/* ---- approvals ---- */

#define NOW 1767225600000 /* fixture_now_ms: 2026-01-01 */

static td_code check(fixture *f, const td_approval_said *said, const td_key *key, td_err *err)
{
    TD_CLEANUP(td_claim_done) td_claim claim = {.signer = NULL};
    TD_CLEANUP(td_json_done) json_t *predicate = NULL;
    TD_CLEANUP(td_str_done) td_str text = {0};
    const td_approval_said want = {"ben", NULL, "passed the bench", "pump/1", P, NOW};
    must(td_approval_predicate(said, &predicate, err), err);
    must(td_json_write(predicate, &text, err), err);
    td_dsse envelope = sign_json(f, "pump/1", TD_PREDICATE_APPROVAL, td_str_text(&text), key);
    TD_TRY(open_for(f, "pump/1", &envelope, &claim, err));
    TD_TRY(td_claim_check_approval(&claim, &want, err));
    return TRY_WRITE(f, td_claim_add(f->db, &f->ben.actor, P, "pump/1", &claim, err));
}

static void approval__says_what_was_done(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    const td_approval_said good = {"ben", "approved", "passed the bench", "pump/1", P, NOW};
    td_approval_said said = good;
    said.approver = "carl";
    refused(check(f, &said, f->ben.key, &err), &err, TD_CORRUPT, "approver \"carl\", not \"ben\"");
    said = good;
    said.reason = "x";
    refused(check(f, &said, f->ben.key, &err), &err, TD_CORRUPT, "reason");
    said = good;
    said.version = "pump/2";
    refused(check(f, &said, f->ben.key, &err), &err, TD_CORRUPT, "version");
    said = good;
    said.project = "mill";
    refused(check(f, &said, f->ben.key, &err), &err, TD_CORRUPT, "project");
    said = good;
    said.time_ms = NOW - TD_APPROVAL_SKEW_MS - 1;
    refused(check(f, &said, f->ben.key, &err), &err, TD_CORRUPT, "5 minutes");
    said.time_ms = NOW + TD_APPROVAL_SKEW_MS + 1;
    refused(check(f, &said, f->ben.key, &err), &err, TD_CORRUPT, "5 minutes");
    refused(check(f, &good, f->carl.key, &err), &err, TD_CORRUPT, "signed by carl's key, not ben's");
    said.time_ms = NOW + TD_APPROVAL_SKEW_MS;
    must(check(f, &said, f->ben.key, &err), &err);
}

static void approval__does_not_come_by_itself(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_dsse envelope = sign_json(f, "pump/1", TD_PREDICATE_APPROVAL,
                                 "{\"approver\":{\"name\":\"ben\"},\"meaning\":\"m\",\"reason\":\"r\",\"time\":"
                                 "\"2026-01-01T00:00:00Z\",\"version\":\"pump/1\",\"project\":\"default\"}",
                                 f->ben.key);
    refused(add_by(f, &f->ben.actor, &envelope, &err), &err, TD_CONFLICT, "tidemark version approve");
}

/* ---- keys ---- */

static void key__listed_counts_until_it_is_struck_off(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    td_public_key key;
    TD_CLEANUP(td_key_free) td_key *lab = NULL;
    TD_CLEANUP(td_claim_done) td_claim late = {.signer = NULL};
    TD_CLEANUP(td_json_done) json_t *listed = NULL;
    must(td_key_generate(TD_KEY_ED25519, &lab, &err), &err);
    td_public_key_of(lab, &key);
    td_dsse envelope = sign_json(f, "pump/1", TD_PREDICATE_TEST_RESULT, TEST_RESULT, lab);
    refused(add_by(f, &f->ana.actor, &envelope, &err), &err, TD_CORRUPT, "signed by none");
    refused(td_claim_key_trust(f->db, &f->ana.actor, P, "lab", &key, "audited", &err), &err, TD_DENIED, "");
    refused(td_claim_key_trust(f->db, &root, P, "la b", &key, "audited", &err), &err, TD_INVALID, "no name of a key");
    refused(TRY_WRITE(f, td_claim_key_trust(f->db, &root, P, "lab", &key, "", &err)), &err, TD_INVALID, "reason");
    must(TRY_WRITE(f, td_claim_key_trust(f->db, &root, P, "lab", &key, "audited", &err)), &err);
    must(TRY_WRITE(f, add_by(f, &f->ana.actor, &envelope, &err)), &err);
    refused(TRY_WRITE(f, td_claim_key_trust(f->db, &root, P, "lab2", &key, "again", &err)), &err, TD_CONFLICT,
            "listed");
    envelope = sign_json(f, "pump/1", "https://example.com/x", "{}", lab);
    must(open_for(f, "pump/1", &envelope, &late, &err), &err);
    must(TRY_WRITE(f, td_claim_key_distrust(f->db, &root, P, "lab", "contract ended", &err)), &err);
    refused(td_claim_add(f->db, &f->ana.actor, P, "pump/1", &late, &err), &err, TD_CORRUPT, "counts no more");
    refused(add_by(f, &f->ana.actor, &envelope, &err), &err, TD_CORRUPT, "signed by none");
    refused(td_claim_key_distrust(f->db, &root, P, "lab", "again", &err), &err, TD_CONFLICT, "no more already");
    refused(td_claim_key_distrust(f->db, &root, P, "bal", "again", &err), &err, TD_NOT_FOUND, "\"bal\"");
    must(td_claim_keys_json(f->db, P, &listed, &err), &err);
    assert_non_null(td_json_text(json_array_get(listed, 0), "removed_at", NULL));
    assert_int_equal(count_records(f, "trust.claim_key"), 1);
    assert_int_equal(count_records(f, "distrust.claim_key"), 1);
    TD_CLEANUP(td_json_done) json_t *claims = list_of(f); /* what it signed stays */
    const json_t *last = json_array_get(claims, json_array_size(claims) - 1);
    assert_string_equal(td_json_text(json_object_get(last, "signed_by"), "name", ""), "lab");
}

static void key__number_of_listed_is_bounded(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    for (int i = 0; i <= TD_CLAIM_KEYS_MAX; i++) {
        char name[16];
        td_public_key key = {.kind = TD_KEY_ED25519, .bytes = {(uint8_t)i}};
        snprintf(name, sizeof name, "key%d", i);
        td_code code = TRY_WRITE(f, td_claim_key_trust(f->db, &root, P, name, &key, "bound", &err));
        if (i < TD_CLAIM_KEYS_MAX) {
            must(code, &err);
        } else {
            refused(code, &err, TD_LIMIT, "64 keys already");
        }
    }
}

/* ---- offline ---- */

static void lines__a_bad_one_is_named(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    size_t bad = 0, count;
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_json_done) json_t *lines = NULL;
    td_claim_key *keys;
    td_about about = about_of(f, "pump/1");
    must(td_claim_keys(f->db, P, 0, &f->arena, &keys, &count, &err), &err);
    td_claim_check check = {keys, count, &about};
    td_dsse first = sign_json(f, "pump/1", TD_PREDICATE_TEST_RESULT, TEST_RESULT, f->ben.key);
    td_dsse second = sign_json(f, "pump/1", "https://example.com/x", "{}", f->carl.key);
    td_dsse foreign = sign_json(f, "pump/1", "https://example.com/x", "{}", f->root);
    must(td_dsse_write(&first, &text, &err), &err);
    td_str_add(&text, "\nnonsense\n");
    must(td_dsse_write(&foreign, &text, &err), &err);
    td_str_add_char(&text, '\n');
    must(td_dsse_write(&second, &text, &err), &err);
    must(td_claims_verify(text.data, text.size, &check, &bad, &lines, &err), &err);
    assert_int_equal(bad, 2);
    assert_int_equal(json_array_size(lines), 4);
    assert_true(td_json_bool(json_array_get(lines, 0), "good", false));
    assert_string_equal(td_json_text(json_array_get(lines, 1), "problem", ""), "the envelope is not JSON");
    assert_non_null(strstr(td_json_text(json_array_get(lines, 2), "problem", ""), "signed by none"));
    assert_string_equal(td_json_text(json_array_get(lines, 3), "signed_by", ""), "carl");
    assert_int_equal(td_json_int(json_array_get(lines, 3), "line", 0), 4);
}

/* ---- plans ---- */

static void explain(void *context, const char *sql)
{
    fixture *f = context;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_stmt_free) td_stmt *stmt = NULL;
    if (strstr(sql, "claim") == NULL) {
        return;
    }
    td_db_on_prepare(f->db, NULL, NULL);
    td_str_addf(&text, "EXPLAIN QUERY PLAN %s", sql);
    must(td_db_prepare_text(f->db, td_str_text(&text), &stmt, &err), &err);
    for (bool row = true; row;) {
        must(td_step(stmt, &row, &err), &err);
        if (row && strncmp(td_column_text(stmt, "detail"), "SCAN ", 5) == 0) {
            fail_msg("%s\n  %s", td_column_text(stmt, "detail"), sql);
        }
    }
    td_db_on_prepare(f->db, explain, f);
}

static void plans__read_no_whole_table(void **state)
{
    fixture *f = *state;
    td_db_on_prepare(f->db, explain, f);
    claim__is_listed_found_and_recorded(state);
    key__listed_counts_until_it_is_struck_off(&(void *){f});
}

#define WORKSPACE(name) cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORKSPACE(claim__is_listed_found_and_recorded),
        WORKSPACE(claim__record_is_golden),
        WORKSPACE(claim__by_a_stranger_is_refused),
        WORKSPACE(claim__about_something_else_is_refused),
        WORKSPACE(claim__of_a_draft_and_twice_is_refused),
        WORKSPACE(claim__needs_the_permission),
        WORKSPACE(claim__never_changes),
        WORKSPACE(claim__count_of_a_version_is_bounded),
        WORKSPACE(claim__bytes_of_a_version_are_bounded),
        WORKSPACE(approval__says_what_was_done),
        WORKSPACE(approval__does_not_come_by_itself),
        WORKSPACE(key__listed_counts_until_it_is_struck_off),
        WORKSPACE(key__number_of_listed_is_bounded),
        WORKSPACE(lines__a_bad_one_is_named),
        WORKSPACE(plans__read_no_whole_table),
    };
    return cmocka_run_group_tests_name("claims", tests, NULL, NULL);
}
