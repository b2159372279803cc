/*
 * test_policy.c: policy files and what a cosigned checkpoint is worth under them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/policy.h"
#include "tests/unit/audit/witness_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define AT 1800000000

/* A log, three witnesses and a stranger, and a checkpoint that only the log has signed. */
typedef struct scene {
    td_key *log_key;
    td_note_key log;
    td_str log_vkey;
    test_witness a, b, c, stranger;
    td_str text, note;
} scene;

static int set_up(void **state)
{
    scene *s = calloc(1, sizeof *s);
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    td_log_root root = {.size = 17};
    assert_non_null(s);
    assert_int_equal(td_key_generate(TD_KEY_ED25519, &s->log_key, NULL), TD_OK);
    (void)td_key_public(s->log_key, public_key);
    td_note_key_of(public_key, &s->log);
    assert_int_equal(td_note_key_text(&s->log, &s->log_vkey, NULL), TD_OK);
    s->a = witness_make("a.example/w1");
    s->b = witness_make("b.example/w\xc3\xbc");
    s->c = witness_make("c.example/w");
    s->stranger = witness_make("stranger.example");
    assert_int_equal(td_checkpoint_text(s->log.name, &root, &s->text, NULL), TD_OK);
    assert_int_equal(td_note_sign(td_str_text(&s->text), s->log.name, s->log_key, &s->note, NULL), TD_OK);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    scene *s = *state;
    td_key_free(&s->log_key);
    witness_done(&s->a);
    witness_done(&s->b);
    witness_done(&s->c);
    witness_done(&s->stranger);
    td_str_done(&s->log_vkey);
    td_str_done(&s->text);
    td_str_done(&s->note);
    free(s);
    return 0;
}

/* The keys of the scene in front of `rest`. */
static td_code read_policy(const scene *s, const char *rest, td_policy **out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_str_addf(&text, "# ours\nlog %s https://log.example/\nwitness A %s\n\twitness  B\t%s https://b.example \n",
                td_str_text(&s->log_vkey), td_str_text(&s->a.vkey), td_str_text(&s->b.vkey));
    td_str_addf(&text, "witness C %s\n\n%s", s->c.hex, rest);
    return td_policy_parse(td_str_text(&text), text.size, "test.policy", out, err);
}

static td_code judge(const scene *s, const char *rest, const char *note, td_policy_verdict *out, td_err *err)
{
    TD_CLEANUP(td_policy_free) td_policy *policy = NULL;
    assert_int_equal(read_policy(s, rest, &policy, err), TD_OK);
    return td_policy_check(policy, NULL, note, strlen(note), out, err);
}

static void policy__is_read_with_names_and_urls(void **state)
{
    scene *s = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_policy_free) td_policy *policy = NULL;
    assert_int_equal(read_policy(s, "group G 2 A B C\nquorum G", &policy, &err), TD_OK);
    assert_int_equal(td_policy_logs(policy), 1);
    assert_int_equal(td_policy_witnesses(policy), 3);
    assert_string_equal(td_policy_witness_name(policy, 1), "B");
    assert_string_equal(td_policy_witness_url(policy, 1), "https://b.example");
    assert_string_equal(td_policy_witness_url(policy, 0), "");
    assert_string_equal(td_policy_quorum(policy), "G");
}

static void policy__quorum_is_counted_over_groups(void **state)
{
    scene *s = *state;
    static const char rest[] = "group X 1 A B\ngroup Y all X C\nquorum Y\n";
    td_err err = {.code = TD_OK};
    td_policy_verdict verdict;
    assert_int_equal(judge(s, "quorum none\n", td_str_text(&s->note), &verdict, &err), TD_OK);
    assert_int_equal(verdict.root.size, 17);
    assert_int_equal(judge(s, rest, td_str_text(&s->note), &verdict, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "no witness it names"));
    witness_cosign(&s->a, td_str_text(&s->text), AT, &s->note);
    witness_cosign(&s->b, td_str_text(&s->text), AT, &s->note);
    assert_int_equal(judge(s, rest, td_str_text(&s->note), &verdict, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "cosignatures of A, B: not enough for the policy's quorum (Y)"));
    witness_cosign(&s->c, td_str_text(&s->text), AT + 5, &s->note); /* a bare key, under its own name */
    assert_int_equal(judge(s, rest, td_str_text(&s->note), &verdict, &err), TD_OK);
    assert_true(verdict.quorum);
    assert_int_equal(verdict.cosigned, 3);
    assert_int_equal(verdict.times[2], AT + 5);
}

/* Twice by one is one, with the later time; strangers count nothing and spoil nothing, whatever they sign with. */
static void policy__each_witness_counts_once_and_strangers_never(void **state)
{
    scene *s = *state;
    td_err err = {.code = TD_OK};
    td_policy_verdict verdict;
    uint8_t wide[4 + 8 + 2420] = {1}; /* as large as an ML-DSA-44 cosignature */
    witness_cosign(&s->a, td_str_text(&s->text), AT + 9, &s->note);
    witness_cosign(&s->a, td_str_text(&s->text), AT, &s->note);
    witness_cosign(&s->stranger, td_str_text(&s->text), AT, &s->note);
    td_str_add(&s->note, "\xe2\x80\x94 b.example/w\xc3\xbc ");
    td_base64_add(&s->note, wide, sizeof wide);
    td_str_add_char(&s->note, '\n');
    assert_int_equal(judge(s, "group G 2 A B C\nquorum G\n", td_str_text(&s->note), &verdict, &err), TD_CORRUPT);
    assert_int_equal(judge(s, "group G any A B C\nquorum G\n", td_str_text(&s->note), &verdict, &err), TD_OK);
    assert_int_equal(verdict.cosigned, 1);
    assert_int_equal(verdict.times[0], AT + 9);
}

static void policy__bad_cosignature_by_a_known_key_spoils_the_note(void **state)
{
    scene *s = *state;
    td_err err = {.code = TD_OK};
    td_policy_verdict verdict;
    witness_cosign(&s->a, td_str_text(&s->text), AT, &s->note);
    witness_cosign(&s->b, "another text\n", AT, &s->note);
    assert_int_equal(judge(s, "quorum A\n", td_str_text(&s->note), &verdict, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "b.example"));
}

/* A plain signature of the text by a witness's key is no cosignature; nor is one without a time. */
static void policy__cosignature_must_carry_a_time(void **state)
{
    scene *s = *state;
    td_err err = {.code = TD_OK};
    td_policy_verdict verdict;
    TD_CLEANUP(td_str_done) td_str timeless = {0};
    td_str_add(&timeless, td_str_text(&s->note));
    witness_cosign(&s->a, td_str_text(&s->text), 0, &timeless);
    assert_int_equal(judge(s, "quorum A\n", td_str_text(&timeless), &verdict, &err), TD_CORRUPT);
    uint8_t blob[TD_NOTE_KEY_ID_SIZE + TD_SIGNATURE_SIZE];
    memcpy(blob, s->a.note_key.id, TD_NOTE_KEY_ID_SIZE);
    assert_int_equal(td_key_sign(s->a.key, s->text.data, s->text.size, blob + TD_NOTE_KEY_ID_SIZE, NULL), TD_OK);
    td_str_addf(&s->note, "\xe2\x80\x94 %s ", s->a.note_key.name);
    td_base64_add(&s->note, blob, sizeof blob);
    td_str_add_char(&s->note, '\n');
    assert_int_equal(judge(s, "quorum A\n", td_str_text(&s->note), &verdict, &err), TD_CORRUPT);
}

static void policy__log_must_sign_under_its_own_name(void **state)
{
    scene *s = *state;
    td_err err = {.code = TD_OK};
    td_policy_verdict verdict;
    td_log_root root = {.size = 17};
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_str_done) td_str note = {0};
    assert_int_equal(td_checkpoint_text("another.example/log", &root, &text, NULL), TD_OK);
    assert_int_equal(td_note_sign(td_str_text(&text), s->log.name, s->log_key, &note, NULL), TD_OK);
    assert_int_equal(judge(s, "quorum none\n", td_str_text(&note), &verdict, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "another.example/log"));
    /* Cosignatures without the log are nothing. */
    td_str_clear(&note);
    td_str_addf(&note, "%s\n", td_str_text(&s->text));
    witness_cosign(&s->a, td_str_text(&s->text), AT, &note);
    assert_int_equal(judge(s, "quorum A\n", td_str_text(&note), &verdict, &err), TD_CORRUPT);
}

static void policy__without_logs_needs_the_callers_key(void **state)
{
    scene *s = *state;
    td_err err = {.code = TD_OK};
    td_policy_verdict verdict;
    TD_CLEANUP(td_policy_free) td_policy *policy = NULL;
    const char *note = td_str_text(&s->note);
    assert_int_equal(td_policy_parse("quorum none", 11, "p", &policy, &err), TD_OK);
    assert_int_equal(td_policy_check(policy, NULL, note, s->note.size, &verdict, &err), TD_INVALID);
    assert_int_equal(td_policy_check(policy, td_str_text(&s->log_vkey), note, s->note.size, &verdict, &err), TD_OK);
}

static void policy__sigsums_bare_log_key_is_its_origin(void **state)
{
    scene *s = *state;
    td_err err = {.code = TD_OK};
    td_policy_verdict verdict;
    char hex[2 * TD_ED25519_PUBLIC_SIZE + 1];
    TD_CLEANUP(td_policy_free) td_policy *policy = NULL;
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_hex_encode(s->log.public_key, TD_ED25519_PUBLIC_SIZE, hex);
    td_str_addf(&text, "log %s\nquorum none\n", hex);
    assert_int_equal(td_policy_parse(td_str_text(&text), text.size, "p", &policy, &err), TD_OK);
    assert_int_equal(td_policy_check(policy, NULL, td_str_text(&s->note), s->note.size, &verdict, &err), TD_OK);
    assert_string_equal(verdict.origin, s->log.name);
}

static void policy__bad_lines_are_named(void **state)
{
    static const struct {
        const char *rest, *words;
    } bad[] = {
        {"", "no quorum line"},
        {"quorum D\n", "line 7: no witness or group \"D\""},
        {"quorum A\nquorum none\n", "line 8: the quorum stands on an earlier line"},
        {"group A any B\nquorum A\n", "the name \"A\" is taken"},
        {"group none any B\nquorum A\n", "the name \"none\" is taken"},
        {"group G any B G\nquorum G\n", "no witness or group \"G\""},
        {"group G 0 A B\nquorum G\n", "from 1 to its 2 members"},
        {"group G 3 A B\nquorum G\n", "from 1 to its 2 members"},
        {"group G 01 A B\nquorum G\n", "from 1 to its 2 members"},
        {"group G some A B\nquorum G\n", "from 1 to its 2 members"},
        {"group G any\nquorum G\n", "a group line is"},
        {"group G all A A\nquorum G\n", "\"A\" is a member already"},
        {"group G all A\ngroup H all A B\nquorum H\n", "line 8: \"A\" is a member already"},
        {"qourum A\n", "not \"qourum\""},
        {"quorum A B\n", "a quorum line is"},
        {"quorum A\r\n", "a control character"},
        {"witness D key\nquorum A\n", "not an Ed25519 witness's verifier key"},
        {"log\nquorum A\n", "a log line is"},
        {"witness D\nquorum A\n", "a witness line is"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        td_err err = {.code = TD_OK};
        td_policy *policy = NULL;
        assert_int_equal(read_policy(*state, bad[i].rest, &policy, &err), TD_INVALID);
        assert_null(policy);
        if (strstr(err.text, bad[i].words) == NULL) {
            fail_msg("%s, not: %s", err.text, bad[i].words);
        }
    }
}

static void policy__keys_of_the_wrong_kind_or_twice_are_refused(void **state)
{
    scene *s = *state;
    const char *texts[] = {"witness D %s\nquorum none\n", "log %s\nquorum none\n",
                           "witness D %s ftp://x.example\nquorum none\n"};
    const char *keys[] = {td_str_text(&s->log_vkey), td_str_text(&s->a.vkey), td_str_text(&s->stranger.vkey)};
    const char *words[] = {"not an Ed25519 witness's", "not an Ed25519 verifier key", "the url must begin"};
    td_err err = {.code = TD_OK};
    td_policy *policy = NULL;
    for (size_t i = 0; i < TD_COUNT_OF(texts); i++) {
        TD_CLEANUP(td_str_done) td_str text = {0};
        const char *put = strstr(texts[i], "%s");
        td_str_addf(&text, "%.*s%s%s", (int)(put - texts[i]), texts[i], keys[i], put + 2);
        assert_int_equal(read_policy(s, td_str_text(&text), &policy, &err), TD_INVALID);
        assert_non_null(strstr(err.text, words[i]));
    }
    TD_CLEANUP(td_str_done) td_str twice = {0}; /* the same key under another name is the same witness */
    td_str_addf(&twice, "witness D %s\nquorum none\n", s->a.hex);
    assert_int_equal(read_policy(s, td_str_text(&twice), &policy, &err), TD_INVALID);
    assert_non_null(strstr(err.text, "the same public key"));
}

static void policy__limits_hold(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    td_policy *policy = NULL;
    for (int count = 32; count <= 33; count++) {
        TD_CLEANUP(td_str_done) td_str text = {0};
        for (int i = 0; i < count; i++) {
            td_str_addf(&text, "witness w%d %064x\ngroup g%d any w%d\nlog %064x\n", i, i + 1, i, i, i + 1);
        }
        td_str_add(&text, "quorum none\n");
        td_code code = td_policy_parse(td_str_text(&text), text.size, "p", &policy, &err);
        assert_int_equal(code, count == 32 ? TD_OK : TD_LIMIT);
        td_policy_free(&policy);
    }
    TD_CLEANUP(td_str_done) td_str large = {0};
    while (large.size <= TD_POLICY_SIZE_MAX) {
        td_str_add(&large, "# a comment, and another one\n");
    }
    assert_int_equal(td_policy_parse(td_str_text(&large), large.size, "p", &policy, &err), TD_LIMIT);
}

/* ---- the auditor's judgement ---- */

static td_code hold(scene *s, const char *rest, int64_t not_before_s, const char *const *others,
                    td_policy_findings *found, td_err *err)
{
    TD_CLEANUP(td_policy_free) td_policy *policy = NULL;
    assert_int_equal(read_policy(s, rest, &policy, err), TD_OK);
    td_policy_demand demand = {.policy = policy, .not_before_s = not_before_s, .others = others};
    return td_policy_judge(&demand, td_str_text(&s->note), s->note.size, found, err);
}

static void judge__names_each_witness_and_what_stands_in_its_place(void **state)
{
    scene *s = *state;
    static const char rest[] = "group G 2 A B C\nquorum G\n";
    TD_CLEANUP(witness_done) test_witness imposter = witness_make("a.example/w1");
    td_err err = {.code = TD_OK};
    td_policy_findings found;
    witness_cosign(&imposter, td_str_text(&s->text), AT, &s->note);
    witness_cosign(&s->b, td_str_text(&s->text), AT, &s->note);
    assert_int_equal(hold(s, rest, 0, NULL, &found, &err), TD_CORRUPT);
    assert_int_equal(found.states[0], TD_COSIGN_KEY);
    assert_int_equal(found.states[1], TD_COSIGN_GOOD);
    assert_int_equal(found.states[2], TD_COSIGN_MISSING);
    assert_non_null(strstr(err.text, "quorum (G); A: a cosignature bears its name"));
    assert_non_null(strstr(err.text, "C: has not cosigned it"));
    witness_cosign(&s->c, td_str_text(&s->text), AT + 5, &s->note);
    assert_int_equal(hold(s, rest, AT, NULL, &found, &err), TD_OK);
    assert_int_equal(found.verdict.cosigned, 2);
    assert_int_equal(hold(s, rest, AT + 1, NULL, &found, &err), TD_CORRUPT);
    assert_int_equal(found.states[1], TD_COSIGN_OLD);
    assert_non_null(strstr(err.text, "B: cosigned it before the time"));
}

/* One wrong line spoils the note, whoever else has signed: with enough luck it would have counted. */
static void judge__a_forged_cosignature_outweighs_a_quorum(void **state)
{
    scene *s = *state;
    static const char other[] = "an older checkpoint\n7\nAAAA\n\n\xe2\x80\x94 x AAAA\n";
    static const char *const others[] = {other, NULL};
    td_err err = {.code = TD_OK};
    td_policy_findings found;
    witness_cosign(&s->a, td_str_text(&s->text), AT, &s->note);
    witness_cosign(&s->b, "an older checkpoint\n7\nAAAA\n", AT, &s->note);
    witness_cosign(&s->b, td_str_text(&s->text), AT, &s->note);
    assert_int_equal(hold(s, "quorum A\n", 0, NULL, &found, &err), TD_CORRUPT);
    assert_int_equal(found.states[1], TD_COSIGN_FORGED);
    assert_int_equal(hold(s, "quorum A\n", 0, others, &found, &err), TD_CORRUPT);
    assert_int_equal(found.states[1], TD_COSIGN_OTHER);
    assert_non_null(strstr(err.text, "B: its cosignature is over an older checkpoint"));
}

static void judge__a_policy_for_another_log_says_so(void **state)
{
    scene *s = *state;
    char text[256];
    td_err err = {.code = TD_OK};
    td_policy_findings found;
    TD_CLEANUP(td_policy_free) td_policy *policy = NULL;
    (void)snprintf(text, sizeof text, "log %s\nquorum none\n", s->a.hex);
    assert_int_equal(td_policy_parse(text, strlen(text), "p", &policy, &err), TD_OK);
    td_policy_demand demand = {.policy = policy};
    assert_int_equal(td_policy_judge(&demand, td_str_text(&s->note), s->note.size, &found, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "the policy is for another log"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(policy__is_read_with_names_and_urls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policy__quorum_is_counted_over_groups, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policy__each_witness_counts_once_and_strangers_never, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policy__bad_cosignature_by_a_known_key_spoils_the_note, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policy__cosignature_must_carry_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policy__log_must_sign_under_its_own_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policy__without_logs_needs_the_callers_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policy__sigsums_bare_log_key_is_its_origin, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policy__bad_lines_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policy__keys_of_the_wrong_kind_or_twice_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(policy__limits_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(judge__names_each_witness_and_what_stands_in_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(judge__a_forged_cosignature_outweighs_a_quorum, set_up, tear_down),
        cmocka_unit_test_setup_teardown(judge__a_policy_for_another_log_says_so, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
