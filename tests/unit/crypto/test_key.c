/*
 * test_key.c: keys made, kept in files, used; signatures in both encodings; public keys as PEM.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/crypto/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct fixture {
    char folder[64];
    char path[96];
} fixture;

static int set_up(void **state)
{
    static fixture f;
    td_err err;
    snprintf(f.folder, sizeof f.folder, "/tmp/td-key-XXXXXX");
    if (mkdtemp(f.folder) == NULL || td_crypto_setup(&err) != TD_OK) {
        return -1;
    }
    snprintf(f.path, sizeof f.path, "%s/key.pem", f.folder);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    td_err err;
    return td_folder_remove(f->folder, &err) == TD_OK ? 0 : -1;
}

static bool verifies(const td_key *key, const void *data, size_t size, const uint8_t *signature)
{
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    (void)td_key_public(key, public_key);
    return (td_key_kind_of(key) == TD_KEY_P256 ? td_p256_verify(public_key, data, size, signature, NULL)
                                               : td_ed25519_verify(public_key, data, size, signature, NULL)) == TD_OK;
}

static void sign_and_check(td_key_kind kind)
{
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    assert_int_equal(td_key_generate(kind, &key, &err), TD_OK);
    uint8_t signature[TD_SIGNATURE_SIZE];
    for (int i = 0; i < 50; i++) { /* enough for short r and s to come up in DER */
        char text[16];
        int size = snprintf(text, sizeof text, "message %d", i);
        assert_int_equal(td_key_sign(key, text, (size_t)size, signature, &err), TD_OK);
        assert_true(verifies(key, text, (size_t)size, signature));
        assert_false(verifies(key, text, (size_t)size - 1, signature));
        signature[i] ^= 0x10;
        assert_false(verifies(key, text, (size_t)size, signature));
    }
    assert_int_equal(td_key_sign(key, NULL, 0, signature, &err), TD_OK);
    assert_true(verifies(key, NULL, 0, signature));
}

static void key__p256_signs_what_it_verifies(void **state)
{
    (void)state;
    sign_and_check(TD_KEY_P256);
}

static void key__ed25519_signs_what_it_verifies(void **state)
{
    (void)state;
    sign_and_check(TD_KEY_ED25519);
}

static void round_trip(const fixture *f, td_key_kind kind, const char *passphrase)
{
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_key_free) td_key *again = NULL;
    assert_int_equal(td_key_generate(kind, &key, &err), TD_OK);
    assert_int_equal(td_key_write(key, f->path, passphrase, &err), TD_OK);
    struct stat st;
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(td_key_write(key, f->path, passphrase, &err), TD_CONFLICT);
    assert_int_equal(td_key_read(f->path, passphrase, &again, &err), TD_OK);
    uint8_t a[TD_P256_PUBLIC_SIZE] = {0}, b[TD_P256_PUBLIC_SIZE] = {0};
    assert_int_equal(td_key_public(key, a), td_key_public(again, b));
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(unlink(f->path), 0);
}

static void key__file_round_trip(void **state)
{
    round_trip(*state, TD_KEY_P256, NULL);
    round_trip(*state, TD_KEY_ED25519, NULL);
    round_trip(*state, TD_KEY_ED25519, "korrekt hest batteri");
}

static void key__passphrase_is_demanded_and_checked(void **state)
{
    const fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_key_free) td_key *again = NULL;
    assert_int_equal(td_key_generate(TD_KEY_P256, &key, &err), TD_OK);
    assert_int_equal(td_key_write(key, f->path, "right", &err), TD_OK);
    assert_int_equal(td_key_read(f->path, NULL, &again, &err), TD_INVALID);
    assert_non_null(strstr(err.text, "passphrase"));
    assert_int_equal(td_key_read(f->path, "wrong", &again, &err), TD_INVALID);
    assert_null(again);
    assert_int_equal(unlink(f->path), 0);
}

static void key__readable_by_others_is_refused(void **state)
{
    const fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_key_free) td_key *again = NULL;
    assert_int_equal(td_key_generate(TD_KEY_P256, &key, &err), TD_OK);
    assert_int_equal(td_key_write(key, f->path, NULL, &err), TD_OK);
    assert_int_equal(chmod(f->path, 0640), 0);
    assert_int_equal(td_key_read(f->path, NULL, &again, &err), TD_DENIED);
    assert_non_null(strstr(err.text, "chmod 600"));
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(td_key_read(f->path, NULL, &again, &err), TD_NOT_FOUND);
}

/* A P-384 key, made by `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384`. */
static const char other_curve[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDBwIqcUAbmXDzY6gMK6\n"
                                  "pW1a0KMaNnvRSxb7RzIVXneERUfBNHxgGgq+DjnXP3iqZM+hZANiAAR1i56/14Tj\n"
                                  "RDSZZ1U4tk5t9Dm2UbpBsa2dEEPWQVyZ7+V6UbQPSG0RprL4gDpK9DVStVGpagja\n"
                                  "kVI4FWmF8JDvcgSAf/RgAwj65DTQnYrSX0IrZDR2LPDcA8WcYa7mKR4=\n"
                                  "-----END PRIVATE KEY-----\n";

static void key__other_curves_and_garbage_are_refused(void **state)
{
    const fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    assert_int_equal(td_file_replace(f->path, other_curve, strlen(other_curve), 0600, &err), TD_OK);
    assert_int_equal(td_key_read(f->path, NULL, &key, &err), TD_INVALID);
    assert_non_null(strstr(err.text, "neither a P-256 nor an Ed25519 key"));
    assert_int_equal(td_file_replace(f->path, "no key\n", 7, 0600, &err), TD_OK);
    assert_int_equal(td_key_read(f->path, NULL, &key, &err), TD_INVALID);
    assert_null(key);
    assert_int_equal(unlink(f->path), 0);
}

static void der__encodes_and_decodes_edges(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    static const uint8_t firsts[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    for (size_t i = 0; i < TD_COUNT_OF(firsts); i++) {
        uint8_t raw[TD_SIGNATURE_SIZE] = {0}, again[TD_SIGNATURE_SIZE], der[TD_SIGNATURE_DER_MAX];
        raw[0] = firsts[i];
        raw[31] = 1;
        raw[63] = firsts[i];
        size_t size = td_signature_to_der(raw, der);
        assert_true(size <= sizeof der);
        assert_int_equal(td_signature_from_der(der, size, again, &err), TD_OK);
        assert_memory_equal(raw, again, sizeof raw);
        assert_int_equal(td_signature_from_der(der, size - 1, again, &err), TD_CORRUPT);
    }
}

static void der__lax_forms_are_refused(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    uint8_t raw[TD_SIGNATURE_SIZE];
    static const struct {
        const char *hex;
        td_code want;
    } cases[] = {
        {"3006020101020101", TD_OK},
        {"300702020001020101", TD_CORRUPT}, /* a zero that the sign does not need */
        {"3006020181020101", TD_CORRUPT},   /* negative */
        {"308106020101020101", TD_CORRUPT}, /* long form of a short length */
        {"300602010102010100", TD_CORRUPT}, /* a byte behind the sequence */
        {"3007020101020101aa", TD_CORRUPT}, /* a byte inside behind s */
        {"30050200020101aa", TD_CORRUPT},   /* empty integer */
        {"3080020101020101", TD_CORRUPT},   /* indefinite length */
        {"3106020101020101", TD_CORRUPT},   /* not a sequence */
        {"3006030101020101", TD_CORRUPT},   /* not an integer */
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        uint8_t der[16];
        size_t size = strlen(cases[i].hex) / 2;
        assert_int_equal(td_hex_decode(cases[i].hex, 2 * size, der, size, &err), TD_OK);
        assert_int_equal(td_signature_from_der(der, size, raw, &err), cases[i].want);
    }
}

static void pem__public_key_round_trip(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    for (int kind = TD_KEY_P256; kind <= TD_KEY_ED25519; kind++) {
        TD_CLEANUP(td_key_free) td_key *key = NULL;
        TD_CLEANUP(td_str_done) td_str pem = {0};
        assert_int_equal(td_key_generate((td_key_kind)kind, &key, &err), TD_OK);
        uint8_t made[TD_P256_PUBLIC_SIZE], read[TD_P256_PUBLIC_SIZE];
        size_t size = td_key_public(key, made);
        assert_int_equal(td_public_pem((td_key_kind)kind, made, &pem, &err), TD_OK);
        td_key_kind found;
        assert_int_equal(td_public_from_pem(td_str_text(&pem), pem.size, &found, read, &err), TD_OK);
        assert_int_equal(found, kind);
        assert_memory_equal(made, read, size);
        assert_int_equal(td_public_from_pem(td_str_text(&pem), pem.size - 30, &found, read, &err), TD_INVALID);
    }
}

/* The PEM text is what other programs print: model.sig's key hint is a hash of it. */
static void pem__text_is_that_of_openssl(void **state)
{
    (void)state;
    static const char text[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZ805D3eqNZywjCI19lInBJOp7YMr\n"
                               "CrzAH3CVTAOQ0jgMeCvVTiaRJaRPRDOv8UMs6U4SvKc6pnrIDOoSYI3fdA==\n"
                               "-----END PUBLIC KEY-----\n";
    td_err err = {.code = TD_OK};
    td_key_kind kind;
    uint8_t key[TD_P256_PUBLIC_SIZE];
    assert_int_equal(td_public_from_pem(text, strlen(text), &kind, key, &err), TD_OK);
    TD_CLEANUP(td_str_done) td_str again = {0};
    assert_int_equal(td_public_pem(kind, key, &again, &err), TD_OK);
    assert_string_equal(td_str_text(&again), text);
}

static void pem__point_off_the_curve_is_refused(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    uint8_t key[TD_P256_PUBLIC_SIZE] = {4, 1, 2, 3}, out[TD_P256_PUBLIC_SIZE], signature[TD_SIGNATURE_SIZE] = {1};
    td_key_kind kind;
    TD_CLEANUP(td_str_done) td_str pem = {0};
    assert_int_equal(td_public_pem(TD_KEY_P256, key, &pem, &err), TD_OK);
    assert_int_equal(td_public_from_pem(td_str_text(&pem), pem.size, &kind, out, &err), TD_INVALID);
    assert_int_equal(td_p256_verify(key, "x", 1, signature, &err), TD_INVALID);
}

static void key_id__is_the_first_half_of_the_digest(void **state)
{
    (void)state;
    uint8_t id[TD_KEY_ID_SIZE], digest[TD_DIGEST_SIZE];
    td_key_id((const uint8_t *)"abc", 3, id);
    td_sha256_of("abc", 3, digest);
    assert_memory_equal(id, digest, sizeof id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key__p256_signs_what_it_verifies),
        cmocka_unit_test(key__ed25519_signs_what_it_verifies),
        cmocka_unit_test(key__file_round_trip),
        cmocka_unit_test(key__passphrase_is_demanded_and_checked),
        cmocka_unit_test(key__readable_by_others_is_refused),
        cmocka_unit_test(key__other_curves_and_garbage_are_refused),
        cmocka_unit_test(der__encodes_and_decodes_edges),
        cmocka_unit_test(der__lax_forms_are_refused),
        cmocka_unit_test(pem__public_key_round_trip),
        cmocka_unit_test(pem__text_is_that_of_openssl),
        cmocka_unit_test(pem__point_off_the_curve_is_refused),
        cmocka_unit_test(key_id__is_the_first_half_of_the_digest),
    };
    return cmocka_run_group_tests_name("keys", tests, set_up, tear_down);
}
