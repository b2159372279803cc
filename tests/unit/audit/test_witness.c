/*
 * test_witness.c: cosignatures in the database: what is published when, and what is asked of a witness.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/witness.h"
#include "tests/unit/audit/fixture.h"
#include "tests/unit/audit/witness_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define AT 1772359300

typedef struct scene {
    fixture *f;
    test_witness a, b;
    td_policy *policy;
    td_str policy_text;
} scene;

static int set_up(void **state)
{
    scene *s = calloc(1, sizeof *s);
    void *made = NULL;
    if (s == NULL || fixture_set_up(&made) != 0) {
        return -1;
    }
    s->f = made;
    s->a = witness_make("a.example/w");
    s->b = witness_make("b.example/w");
    td_str_addf(&s->policy_text, "witness a %s http://127.0.0.1:1/\nwitness b %s\ngroup both all a b\nquorum both\n",
                td_str_text(&s->a.vkey), td_str_text(&s->b.vkey));
    assert_int_equal(td_policy_parse(s->policy_text.data, s->policy_text.size, "p", &s->policy, NULL), TD_OK);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    scene *s = *state;
    void *made = s->f;
    td_policy_free(&s->policy);
    td_str_done(&s->policy_text);
    witness_done(&s->a);
    witness_done(&s->b);
    free(s);
    return fixture_tear_down(&made);
}

static void install(scene *s, td_policy *policy, const char *text)
{
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    assert_int_equal(td_txn_begin(s->f->db, &txn, &err), TD_OK);
    assert_int_equal(td_log_policy_install(s->f->db, policy, text, &err), TD_OK);
    assert_int_equal(td_txn_commit(&txn, &err), TD_OK);
}

static void install_ours(scene *s)
{
    install(s, s->policy, td_str_text(&s->policy_text));
}

static int64_t published(const scene *s)
{
    int64_t size = -1, at = 0;
    td_err err = {.code = TD_OK};
    assert_int_equal(td_log_published_read(s->f->db, &size, &at, &err), TD_OK);
    return size;
}

/* The body that this witness would answer for the newest signed checkpoint, and the note it is about. */
static void answer_of(const scene *s, const test_witness *witness, td_str *note, td_str *body)
{
    td_log_root root;
    td_err err = {.code = TD_OK};
    assert_int_equal(td_log_signed_read(s->f->db, &root, note, &err), TD_OK);
    char *end = strstr(note->data, "\n\n");
    end[1] = '\0';
    witness_cosign(witness, note->data, AT, body);
    end[1] = '\n';
}

static td_code take(const scene *s, size_t index, const char *note, const char *body, td_cosignature *out, td_err *err)
{
    *out = (td_cosignature){.policy = s->policy, .vkey = td_str_text(&s->f->vkey), .witness = index};
    return td_witness_take(out, note, body, strlen(body), err);
}

static bool cosign(scene *s, size_t index)
{
    TD_CLEANUP(td_str_done) td_str note = {0};
    TD_CLEANUP(td_str_done) td_str body = {0};
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    td_err err = {.code = TD_OK};
    td_cosignature cosignature;
    td_log_root root;
    bool reached = false;
    answer_of(s, index == 0 ? &s->a : &s->b, &note, &body);
    assert_int_equal(take(s, index, td_str_text(&note), td_str_text(&body), &cosignature, &err), TD_OK);
    assert_int_equal(td_log_signed_read(s->f->db, &root, NULL, &err), TD_OK);
    cosignature.size = root.size;
    assert_int_equal(td_txn_begin(s->f->db, &txn, &err), TD_OK);
    assert_int_equal(td_witness_store(s->f->db, &cosignature, &reached, &err), TD_OK);
    assert_int_equal(td_txn_commit(&txn, &err), TD_OK);
    return reached;
}

static void grow(scene *s)
{
    fixture_append_many(s->f, 5);
    fixture_seal(s->f);
}

static void witness__quorum_publishes_with_its_cosignatures(void **state)
{
    scene *s = *state;
    td_err err = {.code = TD_OK};
    td_policy_verdict verdict;
    TD_CLEANUP(td_str_done) td_str note = {0};
    install_ours(s); /* is a record itself */
    grow(s);
    assert_int_equal(published(s), 0);
    assert_int_equal(td_log_checkpoint_read(s->f->db, &note, &err), TD_NOT_FOUND);
    assert_false(cosign(s, 0));
    assert_int_equal(published(s), 0);
    assert_true(cosign(s, 1));
    assert_int_equal(published(s), 6);
    assert_int_equal(td_log_checkpoint_read(s->f->db, &note, &err), TD_OK);
    assert_int_equal(td_policy_check(s->policy, td_str_text(&s->f->vkey), note.data, note.size, &verdict, &err), TD_OK);
    assert_int_equal(verdict.times[1], AT);
}

/* Proofs and exports stay under what is published while the log grows on. */
static void witness__proofs_and_exports_wait_for_the_quorum(void **state)
{
    scene *s = *state;
    td_err err = {.code = TD_OK};
    td_audit_verdict verdict;
    td_audit_verify_options options = fixture_options(s->f);
    TD_CLEANUP(td_str_done) td_str proof = {0};
    TD_CLEANUP(td_str_done) td_str export = {0};
    install_ours(s);
    grow(s);
    (void)(cosign(s, 0) && cosign(s, 1));
    (void)cosign(s, 1);
    grow(s);
    assert_int_equal(td_log_proof_text(s->f->db, 8, &proof, &err), TD_BUSY);
    assert_int_equal(td_log_proof_text(s->f->db, 5, &proof, &err), TD_OK);
    fixture_export(s->f, &export);
    FILE *file = fopen(s->f->export_path, "wb");
    assert_int_equal(fwrite(export.data, 1, export.size, file), export.size);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(td_audit_verify_export(s->f->export_path, &options, &verdict, &err), TD_OK);
    assert_int_equal(verdict.root.size, 6);
}

static void witness__new_policy_takes_nothing_back(void **state)
{
    scene *s = *state;
    int64_t records = 0;
    grow(s);
    assert_int_equal(published(s), 5);
    install_ours(s);
    install_ours(s); /* the same again is nothing */
    assert_int_equal(td_audit_count(s->f->db, &records, NULL), TD_OK);
    assert_int_equal(records, 6);
    assert_int_equal(published(s), 5);
    grow(s);
    assert_int_equal(published(s), 5);
    install(s, NULL, NULL); /* none any more */
    assert_int_equal(published(s), 11);
    install_ours(s);
    assert_int_equal(published(s), 11);
}

static void witness__request_has_a_proof_from_what_it_saw(void **state)
{
    scene *s = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_str_done) td_str first = {0};
    TD_CLEANUP(td_str_done) td_str later = {0};
    grow(s);
    grow(s);
    assert_int_equal(td_witness_request(s->f->db, 0, 10, "note\n", &first, &err), TD_OK);
    assert_string_equal(td_str_text(&first), "old 0\n\nnote\n");
    assert_int_equal(td_witness_request(s->f->db, 5, 10, "note\n", &later, &err), TD_OK);
    td_log_proof proof;
    assert_int_equal(td_log_consistency(s->f->db, 5, 10, &proof, &err), TD_OK);
    size_t lines = 0;
    for (const char *p = td_str_text(&later); *p != '\0'; p++) {
        lines += *p == '\n';
    }
    assert_int_equal(lines, proof.count + 3);
    assert_int_equal(td_witness_request(s->f->db, 11, 10, "note\n", &first, &err), TD_CONFLICT);
}

static void witness__only_its_own_good_cosignature_is_taken(void **state)
{
    scene *s = *state;
    td_err err = {.code = TD_OK};
    td_cosignature cosignature;
    TD_CLEANUP(td_str_done) td_str note = {0};
    TD_CLEANUP(td_str_done) td_str ours = {0};
    TD_CLEANUP(td_str_done) td_str other = {0};
    grow(s);
    answer_of(s, &s->a, &note, &ours);
    assert_int_equal(take(s, 0, td_str_text(&note), td_str_text(&ours), &cosignature, &err), TD_OK);
    assert_string_equal(cosignature.line, td_str_text(&ours));
    assert_int_equal(take(s, 1, td_str_text(&note), td_str_text(&ours), &cosignature, &err), TD_CORRUPT);
    witness_cosign(&s->a, "another text\n", AT, &other);
    const char *bad[] = {td_str_text(&other), "", "\n", "ok\n", "\xe2\x80\x94 a.example/w",
                                     "\xe2\x80\x94 a.example/w AAAA\n"};
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        assert_int_equal(take(s, 0, td_str_text(&note), bad[i], &cosignature, &err), TD_CORRUPT);
    }
}

static void witness__size_is_read_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "\n", "12", "012\n", "-1\n", "+1\n", " 1\n", "1 \n", "1\n\n",
        "99999999999999999999\n"};
    int64_t size = -1;
    assert_int_equal(td_witness_size("0\n", 2, &size, NULL), TD_OK);
    assert_int_equal(size, 0);
    assert_int_equal(td_witness_size("1234567\n", 8, &size, NULL), TD_OK);
    assert_int_equal(size, 1234567);
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        assert_int_equal(td_witness_size(bad[i], strlen(bad[i]), &size, NULL), TD_CORRUPT);
    }
}

static void explain(void *context, const char *sql)
{
    scene *s = context;
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_stmt_free) td_stmt *stmt = NULL;
    if (strncmp(sql, "EXPLAIN ", 8) == 0 || strstr(sql, "log_") == NULL) {
        return; /* our own question, or not about the log's tables */
    }
    td_str_addf(&text, "EXPLAIN QUERY PLAN %s", sql);
    assert_int_equal(td_db_prepare_text(s->f->db, td_str_text(&text), &stmt, NULL), TD_OK);
    for (bool row = true; td_step(stmt, &row, NULL) == TD_OK && row;) {
        const char *detail = td_column_text(stmt, "detail");
        /* The newest row of a table is found through its key, which SQLite calls a scan. */
        bool newest = strstr(sql, "DESC LIMIT 1") != NULL || strstr(sql, "max(seq)") != NULL;
        if (strncmp(detail, "SCAN ", 5) == 0 && !newest && strstr(detail, "CONSTANT") == NULL) {
            fail_msg("%s\n  %s", detail, sql);
        }
    }
}

static void witness__statements_read_no_whole_table(void **state)
{
    scene *s = *state;
    int64_t size = 0, time = 0;
    td_db_on_prepare(s->f->db, explain, s);
    grow(s);
    install_ours(s);
    grow(s);
    (void)cosign(s, 0);
    assert_true(cosign(s, 1));
    assert_int_equal(td_witness_newest(s->f->db, s->policy, 0, &size, &time, NULL), TD_OK);
    assert_int_equal(size, 11);
    assert_int_equal(time, AT);
    assert_int_equal(published(s), 11);
    td_db_on_prepare(s->f->db, NULL, NULL);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(witness__quorum_publishes_with_its_cosignatures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(witness__proofs_and_exports_wait_for_the_quorum, set_up, tear_down),
        cmocka_unit_test_setup_teardown(witness__new_policy_takes_nothing_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(witness__request_has_a_proof_from_what_it_saw, set_up, tear_down),
        cmocka_unit_test_setup_teardown(witness__only_its_own_good_cosignature_is_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(witness__size_is_read_strictly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(witness__statements_read_no_whole_table, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
