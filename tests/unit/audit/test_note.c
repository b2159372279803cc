/*
 * test_note.c: signed notes and checkpoints: the specification's own example, and everything that is nearly one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/note.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The example of Go's golang.org/x/mod/sumdb/note, which C2SP's signed-note specification describes. */
static const char example_vkey[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char example_note[] =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\xe2\x80\x94 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

typedef struct own_log {
    td_key *key;
    td_note_key note_key;
    td_str note;
} own_log;

static void own_log_done(own_log *log)
{
    td_key_free(&log->key);
    td_str_done(&log->note);
}

static own_log make_log(const char *text)
{
    own_log log = {.key = NULL};
    td_err err = {.code = TD_OK};
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    assert_int_equal(td_key_generate(TD_KEY_ED25519, &log.key, &err), TD_OK);
    (void)td_key_public(log.key, public_key);
    td_note_key_of(public_key, &log.note_key);
    assert_int_equal(td_note_sign(text, log.note_key.name, log.key, &log.note, &err), TD_OK);
    return log;
}

static td_code verify(const char *note, const td_note_key *key, td_err *err)
{
    size_t text_size = 0;
    return td_note_verify(note, strlen(note), key, &text_size, err);
}

static void note__published_example_verifies(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    td_note_key key;
    size_t text_size = 0;
    assert_int_equal(td_note_key_parse(example_vkey, &key, &err), TD_OK);
    assert_int_equal(td_note_verify(example_note, strlen(example_note), &key, &text_size, &err), TD_OK);
    assert_int_equal(text_size, strstr(example_note, "\n\n") - example_note + 1);
    TD_CLEANUP(td_str_done) td_str vkey = {0};
    assert_int_equal(td_note_key_text(&key, &vkey, &err), TD_OK);
    assert_string_equal(td_str_text(&vkey), example_vkey);
    TD_CLEANUP(td_free_text) char *changed = td_dup(example_note);
    *strstr(changed, "answer") = 'A';
    assert_int_equal(verify(changed, &key, &err), TD_CORRUPT);
}

static void note__own_round_trip_and_foreign_key(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(own_log_done) own_log log = make_log("hello\n");
    TD_CLEANUP(own_log_done) own_log other = make_log("hello\n");
    assert_int_equal(verify(td_str_text(&log.note), &log.note_key, &err), TD_OK);
    assert_int_equal(verify(td_str_text(&log.note), &other.note_key, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "is not signed by"));
}

/* Signatures of strangers are passed over, before and behind ours; a forged one of ours spoils the note. */
static void note__strangers_are_ignored_forgeries_are_not(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(own_log_done) own_log log = make_log("hello\n");
    TD_CLEANUP(own_log_done) own_log other = make_log("hello\n");
    const char *ours = strstr(td_str_text(&log.note), "\xe2\x80\x94");
    const char *theirs = strstr(td_str_text(&other.note), "\xe2\x80\x94");
    TD_CLEANUP(td_str_done) td_str both = {0};
    td_str_addf(&both, "hello\n\n%s%s%s", theirs, ours, theirs);
    assert_int_equal(verify(td_str_text(&both), &log.note_key, &err), TD_OK);
    TD_CLEANUP(td_str_done) td_str forged = {0};
    td_str_addf(&forged, "hullo\n\n%s%s", ours, theirs);
    assert_int_equal(verify(td_str_text(&forged), &log.note_key, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "was changed"));
}

static void note__malformed_ones_are_refused(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(own_log_done) own_log log = make_log("hello\n");
    const char *line = strstr(td_str_text(&log.note), "\xe2\x80\x94");
    const char *const shapes[] = {
        "%s",                     /* no text */
        "hello\n%s",              /* no empty line */
        "hello\n\n%sx",           /* no newline at the end */
        "hello\n\n%s\n",          /* an empty line behind */
        "hello\n\n",              /* no signature: the argument is not used */
        "hel\x01lo\n\n%s",        /* a control character */
        "hel\xffo\n\n%s",         /* not UTF-8 */
        "hel\xc0\xafo\n\n%s",     /* overlong */
        "hel\xed\xa0\x80o\n\n%s", /* a surrogate */
        "hello\n\n- %s",          /* a hyphen instead of the dash */
    };
    for (size_t i = 0; i < TD_COUNT_OF(shapes); i++) {
        TD_CLEANUP(td_str_done) td_str note = {0};
        const char *hole = strstr(shapes[i], "%s");
        td_str_append(&note, shapes[i], hole != NULL ? (size_t)(hole - shapes[i]) : strlen(shapes[i]));
        if (hole != NULL) {
            td_str_add(&note, line);
            td_str_add(&note, hole + 2);
        }
        assert_int_equal(verify(td_str_text(&note), &log.note_key, &err), TD_CORRUPT);
    }
}

static void vkey__damaged_ones_are_refused(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    td_note_key key;
    static const char *const vkeys[] = {
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        "PeterNeumann+c74f20a3+AhpcaQcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    };
    for (size_t i = 0; i < TD_COUNT_OF(vkeys); i++) {
        assert_int_equal(td_note_key_parse(vkeys[i], &key, &err), TD_INVALID);
    }
}

static void checkpoint__round_trip(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    td_log_root root = {.size = 1234567, .hash = {9, 8, 7}}, again;
    char origin[TD_LOG_ORIGIN_MAX];
    TD_CLEANUP(td_str_done) td_str text = {0};
    assert_int_equal(td_checkpoint_text("example.com/log", &root, &text, &err), TD_OK);
    assert_string_equal(td_str_text(&text),
                        "example.com/log\n1234567\nCQgHAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    assert_int_equal(td_checkpoint_parse(td_str_text(&text), text.size, origin, &again, &err), TD_OK);
    assert_string_equal(origin, "example.com/log");
    assert_memory_equal(&root, &again, sizeof root);
}

static void checkpoint__malformed_ones_are_refused(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    char origin[TD_LOG_ORIGIN_MAX];
    td_log_root root;
#define ROOT "CQgHAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
    static const char *const texts[] = {"",
                                        "log\n",
                                        "log\n1\n",
                                        "\n1\n" ROOT,
                                        "log\n01\n" ROOT,
                                        "log\n-1\n" ROOT,
                                        "log\n1 \n" ROOT,
                                        "log\n\n" ROOT,
                                        "log\n99999999999999999999999\n" ROOT,
                                        "log\n1\nCQgH\n",
                                        "log\n1\nnot base64\n",
                                        "log\n1\nCQgHAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="};
    for (size_t i = 0; i < TD_COUNT_OF(texts); i++) {
        assert_int_equal(td_checkpoint_parse(texts[i], strlen(texts[i]), origin, &root, &err), TD_CORRUPT);
    }
    static const char extended[] = "log\n1\n" ROOT "extension\n";
    assert_int_equal(td_checkpoint_parse(extended, strlen(extended), origin, &root, &err), TD_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(note__published_example_verifies),
        cmocka_unit_test(note__own_round_trip_and_foreign_key),
        cmocka_unit_test(note__strangers_are_ignored_forgeries_are_not),
        cmocka_unit_test(note__malformed_ones_are_refused),
        cmocka_unit_test(vkey__damaged_ones_are_refused),
        cmocka_unit_test(checkpoint__round_trip),
        cmocka_unit_test(checkpoint__malformed_ones_are_refused),
    };
    return cmocka_run_group_tests_name("notes", tests, NULL, NULL);
}
