/*
 * test_dsse.c: envelopes as the DSSE specification prints them, and every way to be wrong.
 *
 * The vector is protocol.md's (secure-systems-lab/dsse, version 1.0.0, Apache-2.0).
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the first ones */
#include <cmocka.h>

#include "claims/dsse.h"

#define VECTOR_KEY                                                                                                     \
    "04"                                                                                                               \
    "67cd390f77aa359cb08c2235f652270493a9ed832b0abcc01f70954c0390d238"                                                 \
    "0c782bd54e269125a44f4433aff1432ce94e12bca73aa67ac80cea12608ddf74"
#define VECTOR_SIGNATURE "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
#define VECTOR                                                                                                         \
    "{\"payload\": \"aGVsbG8gd29ybGQ=\",\n \"payloadType\": \"http://example.com/HelloWorld\",\n"                      \
    " \"signatures\": [{\"sig\": \"" VECTOR_SIGNATURE "\"}]}\n"

static void must(td_code code, const td_err *err)
{
    if (code != TD_OK) {
        fail_msg("%s", err->text);
    }
}

static td_public_key vector_key(void)
{
    td_err err = {0};
    td_public_key key = {.kind = TD_KEY_P256};
    must(td_hex_decode(VECTOR_KEY, strlen(VECTOR_KEY), key.bytes, TD_P256_PUBLIC_SIZE, &err), &err);
    return key;
}

static td_code read_text(const char *text, td_arena *arena, td_dsse *out, td_err *err)
{
    return td_dsse_read(text, strlen(text), arena, out, err);
}

static void dsse__published_envelope(void **state)
{
    (void)state;
    td_err err = {0};
    td_dsse envelope;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_str_done) td_str line = {0};
    td_public_key key = vector_key();
    must(read_text(VECTOR, &arena, &envelope, &err), &err);
    assert_string_equal(envelope.payload_type, "http://example.com/HelloWorld");
    assert_int_equal(envelope.payload_size, 11);
    assert_memory_equal(envelope.payload, "hello world", 11);
    assert_int_equal(envelope.signature_count, 1);
    must(td_dsse_verify(&envelope, &key, &err), &err);
    must(td_dsse_write(&envelope, &line, &err), &err);
    assert_string_equal(td_str_text(&line),
                        "{\"payload\":\"aGVsbG8gd29ybGQ=\",\"payloadType\":\"http://example.com/"
                        "HelloWorld\",\"signatures\":[{\"keyid\":\"\",\"sig\":\"" VECTOR_SIGNATURE "\"}]}");
}

/* The specification: verifiers must accept either alphabet. */
static void dsse__url_safe_base64_is_accepted(void **state)
{
    (void)state;
    td_err err = {0};
    td_dsse envelope;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_public_key key = vector_key();
    char text[] = VECTOR;
    char *signature = strstr(text, "A3Jq");
    for (char *c = signature; *c != '"'; c++) {
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    }
    assert_non_null(strchr(signature, '-'));
    must(read_text(text, &arena, &envelope, &err), &err);
    must(td_dsse_verify(&envelope, &key, &err), &err);
    char *end = strstr(text, "==\"");
    memmove(end, end + 2, strlen(end + 2) + 1);
    must(read_text(text, &arena, &envelope, &err), &err);
    must(td_dsse_verify(&envelope, &key, &err), &err);
}

static void dsse__what_was_changed_does_not_verify(void **state)
{
    (void)state;
    td_err err = {0};
    td_dsse envelope;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_public_key key = vector_key();
    must(read_text(VECTOR, &arena, &envelope, &err), &err);
    td_dsse changed = envelope;
    changed.payload = (const uint8_t *)"hello w0rld";
    assert_int_equal(td_dsse_verify(&changed, &key, &err), TD_CORRUPT);
    changed = envelope;
    changed.payload_type = "http://example.com/HelloWorle";
    assert_int_equal(td_dsse_verify(&changed, &key, &err), TD_CORRUPT);
    changed = envelope;
    changed.signatures[0].size--;
    assert_int_equal(td_dsse_verify(&changed, &key, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "no signature of the envelope is one of key"));
}

/* keyid is a hint: one that lies neither helps nor harms. */
static void dsse__keyid_decides_nothing(void **state)
{
    (void)state;
    td_err err = {0};
    td_dsse envelope;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_public_key key = vector_key();
    must(read_text("{\"payload\":\"aGVsbG8gd29ybGQ=\",\"payloadType\":\"http://example.com/HelloWorld\",\"signatures\":"
                   "[{\"keyid\":\"somebody else\",\"sig\":\"" VECTOR_SIGNATURE "\",\"more\":1}],\"more\":[]}",
                   &arena, &envelope, &err),
         &err);
    must(td_dsse_verify(&envelope, &key, &err), &err);
}

static void made_by(td_key_kind kind, size_t size_least)
{
    td_err err = {0};
    td_dsse envelope;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_str_done) td_str line = {0};
    TD_CLEANUP(td_str_done) td_str again = {0};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_key_free) td_key *other = NULL;
    td_public_key mine, others;
    must(td_key_generate(kind, &key, &err), &err);
    must(td_key_generate(kind, &other, &err), &err);
    td_public_key_of(key, &mine);
    td_public_key_of(other, &others);
    must(td_dsse_make("text/x", "a\0b", 3, key, &line, &err), &err);
    assert_null(strchr(td_str_text(&line), '\n'));
    must(td_dsse_read(line.data, line.size, &arena, &envelope, &err), &err);
    assert_memory_equal(envelope.payload, "a\0b", 3);
    assert_true(envelope.signatures[0].size >= size_least);
    must(td_dsse_verify(&envelope, &mine, &err), &err);
    assert_int_equal(td_dsse_verify(&envelope, &others, &err), TD_CORRUPT);
    must(td_dsse_write(&envelope, &again, &err), &err);
    assert_string_equal(td_str_text(&again), td_str_text(&line));
}

static void dsse__made_and_verified(void **state)
{
    (void)state;
    made_by(TD_KEY_P256, 66);
    made_by(TD_KEY_ED25519, 64);
}

static void dsse__malformed_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "not JSON"},
        {"[]", "payloadType"},
        {"{\"payloadType\":\"t\"}", "\"payload\" is missing"},
        {"{\"payloadType\":7,\"payload\":\"\"}", "payloadType"},
        {"{\"payloadType\":\"t\",\"payload\":\"a b\",\"signatures\":[{\"sig\":\"AA==\"}]}", "payload is not base64"},
        {"{\"payloadType\":\"t\",\"payload\":\"A\",\"signatures\":[{\"sig\":\"AA==\"}]}", "payload is not base64"},
        {"{\"payloadType\":\"t\",\"payload\":\"\"}", "no signature"},
        {"{\"payloadType\":\"t\",\"payload\":\"\",\"signatures\":[]}", "no signature"},
        {"{\"payloadType\":\"t\",\"payload\":\"\",\"signatures\":[{}]}", "no \"sig\""},
        {"{\"payloadType\":\"t\",\"payload\":\"\",\"signatures\":[{\"sig\":\"!\"}]}", "signature of the envelope is"},
        {"{\"payloadType\":\"t\",\"payload\":\"\",\"payload\":\"\",\"signatures\":[]}", "not JSON"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        td_err err = {0};
        td_dsse envelope;
        TD_CLEANUP(td_arena_done) td_arena arena = {0};
        assert_int_equal(read_text(cases[i].text, &arena, &envelope, &err), TD_CORRUPT);
        if (strstr(err.text, cases[i].message) == NULL) {
            fail_msg("%s: %s", cases[i].text, err.text);
        }
    }
}

static void dsse__limits(void **state)
{
    (void)state;
    td_err err = {0};
    td_dsse envelope;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_str_add(&text, "{\"payloadType\":\"t\",\"payload\":\"\",\"signatures\":[");
    for (int i = 0; i <= TD_DSSE_SIGNATURES_MAX; i++) {
        td_str_add(&text, i > 0 ? ",{\"sig\":\"AA==\"}" : "{\"sig\":\"AA==\"}");
    }
    td_str_add(&text, "]}");
    assert_int_equal(td_dsse_read(text.data, text.size, &arena, &envelope, &err), TD_LIMIT);
    td_str_clear(&text);
    for (size_t i = 0; i <= TD_DSSE_BYTES_MAX; i++) {
        td_str_add_char(&text, ' ');
    }
    assert_int_equal(td_dsse_read(text.data, text.size, &arena, &envelope, &err), TD_LIMIT);
    td_str_clear(&text);
    td_str_addf(&text, "{\"payloadType\":\"%0*d\",\"payload\":\"\"}", TD_DSSE_TYPE_MAX + 1, 0);
    assert_int_equal(td_dsse_read(text.data, text.size, &arena, &envelope, &err), TD_LIMIT);
    td_str_clear(&text);
    td_str_addf(&text, "{\"payloadType\":\"t\",\"payload\":\"\",\"signatures\":[{\"sig\":\"%0*d\"}]}",
                TD_DSSE_SIGNATURE_MAX * 4 / 3 + 8, 0);
    assert_int_equal(td_dsse_read(text.data, text.size, &arena, &envelope, &err), TD_LIMIT);
}

int main(void)
{
    td_err err = {0};
    if (td_crypto_setup(&err) != TD_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dsse__published_envelope),
        cmocka_unit_test(dsse__url_safe_base64_is_accepted),
        cmocka_unit_test(dsse__what_was_changed_does_not_verify),
        cmocka_unit_test(dsse__keyid_decides_nothing),
        cmocka_unit_test(dsse__made_and_verified),
        cmocka_unit_test(dsse__malformed_is_named),
        cmocka_unit_test(dsse__limits),
    };
    return cmocka_run_group_tests_name("dsse", tests, NULL, NULL);
}
