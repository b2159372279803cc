/*
 * test_vectors.c: Wycheproof's cases and DSSE's own example through core/crypto, every case counted, none skipped.
 *
 * A file is one JSON object a line; tests/vectors/README.md names the sources.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/base/json.h"
#include "core/crypto/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES_MAX 65536

typedef struct bytes {
    uint8_t data[BYTES_MAX];
    size_t size;
} bytes;

/* A case's verdict by our code: does it accept? */
typedef bool (*judge_fn)(const json_t *item);

static bytes unhex(const json_t *item, const char *key)
{
    bytes out = {.size = 0};
    td_err err;
    const char *text = td_json_text(item, key, NULL);
    assert_non_null(text);
    out.size = strlen(text) / 2;
    assert_true(out.size <= sizeof out.data);
    assert_int_equal(td_hex_decode(text, strlen(text), out.data, out.size, &err), TD_OK);
    return out;
}

static void read_vectors(const char *name, td_str *out)
{
    char path[4096];
    td_err err = {.code = TD_OK};
    const char *root = getenv("TD_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/tests/vectors/crypto/%s", root != NULL ? root : ".", name);
    if (td_file_read(path, (size_t)4 << 20, out, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
}

/* Runs the judge over each line; asserts agreement with "result" and the number of lines of each kind, and says it. */
static void run_file(const char *name, const char *what, judge_fn accepts, int want_valid, int want_invalid)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    read_vectors(name, &text);
    int valid = 0, invalid = 0, wrong = 0;
    for (const char *line = td_str_text(&text); *line != '\0';) {
        const char *end = strchr(line, '\n');
        assert_non_null(end);
        TD_CLEANUP(td_json_done) json_t *item = NULL;
        td_err err = {.code = TD_OK};
        assert_int_equal(td_json_parse(line, (size_t)(end - line), name, &item, &err), TD_OK);
        bool expected = strcmp(td_json_text(item, "result", ""), "valid") == 0;
        valid += expected ? 1 : 0;
        invalid += expected ? 0 : 1;
        if (accepts(item) != expected) {
            wrong++;
            print_error("%s case %d (%s) should be %s\n", name, (int)td_json_int(item, "id", 0),
                        td_json_text(item, "comment", ""), td_json_text(item, "result", ""));
        }
        line = end + 1;
    }
    printf("%s: %d of %d\n", what, valid + invalid - wrong, want_valid + want_invalid);
    assert_int_equal(wrong, 0);
    assert_int_equal(valid, want_valid);
    assert_int_equal(invalid, want_invalid);
}

static bool accepts_der(const json_t *item)
{
    bytes key = unhex(item, "key"), message = unhex(item, "msg"), signature = unhex(item, "sig");
    uint8_t raw[TD_SIGNATURE_SIZE];
    assert_int_equal(key.size, TD_P256_PUBLIC_SIZE);
    return td_signature_from_der(signature.data, signature.size, raw, NULL) == TD_OK &&
           td_p256_verify(key.data, message.data, message.size, raw, NULL) == TD_OK;
}

static bool accepts_p1363(const json_t *item)
{
    bytes key = unhex(item, "key"), message = unhex(item, "msg"), signature = unhex(item, "sig");
    assert_int_equal(key.size, TD_P256_PUBLIC_SIZE);
    return signature.size == TD_SIGNATURE_SIZE &&
           td_p256_verify(key.data, message.data, message.size, signature.data, NULL) == TD_OK;
}

static bool accepts_ed25519(const json_t *item)
{
    bytes key = unhex(item, "key"), message = unhex(item, "msg"), signature = unhex(item, "sig");
    assert_int_equal(key.size, TD_ED25519_PUBLIC_SIZE);
    return signature.size == TD_SIGNATURE_SIZE &&
           td_ed25519_verify(key.data, message.data, message.size, signature.data, NULL) == TD_OK;
}

static bool accepts_hmac(const json_t *item)
{
    bytes key = unhex(item, "key"), message = unhex(item, "msg"), tag = unhex(item, "tag");
    uint8_t mac[TD_DIGEST_SIZE];
    td_hmac_sha256(key.data, key.size, message.data, message.size, mac);
    assert_int_equal(tag.size * 8, td_json_int(item, "tag_bits", 0));
    return td_equal_secret(mac, tag.data, tag.size); /* some cases are truncated tags */
}

static void ecdsa__der_cases_agree(void **state)
{
    (void)state;
    run_file("ecdsa_p256_der.jsonl", "wycheproof ecdsa p256 der", accepts_der, 174, 310);
}

static void ecdsa__p1363_cases_agree(void **state)
{
    (void)state;
    run_file("ecdsa_p256_p1363.jsonl", "wycheproof ecdsa p256 p1363", accepts_p1363, 173, 89);
}

static void ed25519__cases_agree(void **state)
{
    (void)state;
    run_file("ed25519.jsonl", "wycheproof ed25519", accepts_ed25519, 88, 63);
}

static void hmac__cases_agree(void **state)
{
    (void)state;
    run_file("hmac_sha256.jsonl", "wycheproof hmac sha256", accepts_hmac, 66, 108);
}

/* The example of DSSE's protocol.md: deterministic ECDSA P-256, so the published bytes must verify as they stand. */
static void dsse__published_example_verifies(void **state)
{
    (void)state;
    static const char key[] = "04"
                              "67cd390f77aa359cb08c2235f652270493a9ed832b0abcc01f70954c0390d238"
                              "0c782bd54e269125a44f4433aff1432ce94e12bca73aa67ac80cea12608ddf74";
    static const char signature[] =
        "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==";
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_str_done) td_str pae = {0};
    assert_int_equal(td_dsse_pae("http://example.com/HelloWorld", "hello world", 11, &pae, &err), TD_OK);
    assert_string_equal(td_str_text(&pae), "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    uint8_t public_key[TD_P256_PUBLIC_SIZE], raw[TD_SIGNATURE_SIZE];
    size_t size = 0;
    assert_int_equal(td_hex_decode(key, strlen(key), public_key, sizeof public_key, &err), TD_OK);
    assert_int_equal(td_base64_decode(signature, strlen(signature), raw, sizeof raw, &size, &err), TD_OK);
    assert_int_equal(td_p256_verify(public_key, pae.data, pae.size, raw, &err), TD_OK);
    pae.data[0] = 'd';
    assert_int_equal(td_p256_verify(public_key, pae.data, pae.size, raw, &err), TD_CORRUPT);
}

int main(void)
{
    td_err err = {.code = TD_OK};
    if (td_crypto_setup(&err) != TD_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ecdsa__der_cases_agree),
        cmocka_unit_test(ecdsa__p1363_cases_agree),
        cmocka_unit_test(ed25519__cases_agree),
        cmocka_unit_test(hmac__cases_agree),
        cmocka_unit_test(dsse__published_example_verifies),
    };
    return cmocka_run_group_tests_name("crypto vectors", tests, NULL, NULL);
}
