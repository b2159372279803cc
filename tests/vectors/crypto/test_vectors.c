/*
 * test_vectors.c: Wycheproof's cases, RFC 6979's and DSSE's own example through core/crypto, every case counted, none
 * skipped.
 *
 * A file is one JSON object a line; tests/vectors/README.md names the sources.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/base/json.h"
#include "core/crypto/ec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* ---- signatures that follow from key and message alone (RFC 6979) ---- */

/* The named curve's oid with its context tag, as SEC1 has it. */
static void add_curve(const char *curve, td_str *der)
{
    static const struct {
        const char *name, *bytes;
        size_t size;
    } curves[] = {{"P-256", "\xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 12},
                  {"P-384", "\xa0\x07\x06\x05\x2b\x81\x04\x00\x22", 9},
                  {"P-521", "\xa0\x07\x06\x05\x2b\x81\x04\x00\x23", 9}};
    for (size_t i = 0; i < TD_COUNT_OF(curves); i++) {
        if (strcmp(curve, curves[i].name) == 0) {
            td_str_append(der, curves[i].bytes, curves[i].size);
            return;
        }
    }
    fail_msg("no such curve: %s", curve);
}

/* A private key out of its number, by way of a file in PEM (SEC1) as a person would have it. */
static td_key *key_of(const char *curve, const char *private_hex)
{
    char path[] = "/tmp/td-vectors-XXXXXX";
    td_err err = {.code = TD_OK};
    td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str tail = {0};
    TD_CLEANUP(td_str_done) td_str der = {0};
    TD_CLEANUP(td_str_done) td_str pem = {0};
    uint8_t scalar[TD_EC_SCALAR_MAX];
    size_t size = strlen(private_hex) / 2;
    assert_true(size <= sizeof scalar);
    assert_int_equal(td_hex_decode(private_hex, 2 * size, scalar, size, &err), TD_OK);
    add_curve(curve, &tail);
    const char head[] = {0x30, (char)(3 + 2 + size + tail.size), 0x02, 0x01, 0x01, 0x04, (char)size};
    td_str_append(&der, head, sizeof head);
    td_str_append(&der, (const char *)scalar, size);
    td_str_append(&der, tail.data, tail.size);
    td_str_add(&pem, "-----BEGIN EC PRIVATE KEY-----\n");
    td_base64_add(&pem, der.data, der.size);
    td_str_add(&pem, "\n-----END EC PRIVATE KEY-----\n");
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(write(file, pem.data, pem.size), (ssize_t)pem.size);
    assert_int_equal(close(file), 0);
    if (td_key_read_ec(path, NULL, &key, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    assert_int_equal(unlink(path), 0);
    return key;
}

/* Our signature in DER of the data is the one in raw hexadecimal? */
static bool signs_as(const td_key *key, const void *data, size_t size, const char *raw_hex)
{
    uint8_t want[TD_EC_RAW_MAX], raw[TD_EC_RAW_MAX];
    td_err err = {.code = TD_OK};
    td_ec_public public_key;
    TD_CLEANUP(td_str_done) td_str der = {0};
    assert_int_equal(td_key_ec_public(key, &public_key, &err), TD_OK);
    size_t raw_size = 2 * td_curve_scalar(public_key.curve);
    assert_int_equal(strlen(raw_hex), 2 * raw_size);
    assert_int_equal(td_hex_decode(raw_hex, 2 * raw_size, want, raw_size, &err), TD_OK);
    assert_int_equal(td_key_ec_sign(key, data, size, &der, &err), TD_OK);
    assert_int_equal(td_ec_verify(&public_key, data, size, (const uint8_t *)der.data, der.size, &err), TD_OK);
    return td_ec_from_der(public_key.curve, (const uint8_t *)der.data, der.size, raw) && memcmp(raw, want, raw_size) == 0;
}

static bool signs_so(const json_t *item)
{
    const char *message = td_json_text(item, "msg", "");
    TD_CLEANUP(td_key_free) td_key *key = key_of(td_json_text(item, "curve", ""), td_json_text(item, "private", ""));
    return signs_as(key, message, strlen(message), td_json_text(item, "sig", ""));
}

static void rfc6979__signatures_are_the_published_bytes(void **state)
{
    (void)state;
    run_file("rfc6979.jsonl", "rfc 6979 signatures byte for byte", signs_so, 7, 0);
}

/* The example of DSSE's protocol.md: deterministic ECDSA P-256, so the published bytes must verify as they stand, and be
 * what we make of the published key. */
static void dsse__published_example_is_made_and_verifies(void **state)
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
    TD_CLEANUP(td_key_free)
    td_key *private_key = key_of("P-256", "d73ec437fd6346e3619c5ebfdfff0f6916804955ad32ac9ac492b0ede1f6ffb7");
    char raw_hex[2 * TD_SIGNATURE_SIZE + 1];
    td_hex_encode(raw, sizeof raw, raw_hex);
    bool same = signs_as(private_key, pae.data, pae.size, raw_hex);
    printf("dsse example byte for byte: %d of 1\n", same ? 1 : 0);
    assert_true(same);
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
        cmocka_unit_test(rfc6979__signatures_are_the_published_bytes),
        cmocka_unit_test(dsse__published_example_is_made_and_verifies),
    };
    return cmocka_run_group_tests_name("crypto vectors", tests, NULL, NULL);
}
