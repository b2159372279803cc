/*
 * test_ec.c: the three curves of model.sig: keys from files, signatures in strict DER, and what is refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/crypto/ec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

static char folder[64];

static int set_up(void **state)
{
    (void)state;
    td_err err;
    snprintf(folder, sizeof folder, "/tmp/td-ec-XXXXXX");
    return mkdtemp(folder) != NULL && td_crypto_setup(&err) == TD_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    td_err err;
    return td_folder_remove(folder, &err) == TD_OK ? 0 : -1;
}

/* A private key as another program writes it; the path is static. */
static const char *make_file(const char *group)
{
    static char path[128];
    char *text = NULL;
    td_err err = {0};
    EVP_PKEY *pkey = EVP_EC_gen(group);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_non_null(pkey);
    assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    long size = BIO_get_mem_data(bio, &text);
    snprintf(path, sizeof path, "%s/%s.pem", folder, group);
    assert_int_equal(td_file_replace(path, text, (size_t)size, 0600, &err), TD_OK);
    BIO_free_all(bio);
    EVP_PKEY_free(pkey);
    return path;
}

static const struct {
    const char *group, *name;
    size_t scalar;
} groups[] = {{"P-256", "P-256", 32}, {"P-384", "P-384", 48}, {"P-521", "P-521", 66}};

static td_code verify(const td_ec_public *key, const td_str *der, const char *text)
{
    return td_ec_verify(key, text, strlen(text), (const uint8_t *)der->data, der->size, NULL);
}

static void ec__signs_and_verifies_on_each_curve(void **state)
{
    (void)state;
    for (size_t i = 0; i < TD_COUNT_OF(groups); i++) {
        td_err err = {0};
        TD_CLEANUP(td_key_free) td_key *key = NULL;
        TD_CLEANUP(td_str_done) td_str pem = {0};
        td_ec_public public_key, again;
        assert_int_equal(td_key_read_ec(make_file(groups[i].group), NULL, &key, &err), TD_OK);
        assert_int_equal(td_key_ec_public(key, &public_key, &err), TD_OK);
        assert_string_equal(td_curve_name(public_key.curve), groups[i].name);
        assert_int_equal(public_key.size, 1 + 2 * groups[i].scalar);
        assert_int_equal(td_ec_public_pem(&public_key, &pem, &err), TD_OK);
        assert_int_equal(td_ec_public_from_pem(pem.data, pem.size, &again, &err), TD_OK);
        assert_memory_equal(&again, &public_key, sizeof again);
        for (int n = 0; n < 40; n++) { /* enough for short numbers to come up in DER */
            TD_CLEANUP(td_str_done) td_str der = {0};
            char text[16];
            (void)snprintf(text, sizeof text, "message %d", n);
            assert_int_equal(td_key_ec_sign(key, text, strlen(text), &der, &err), TD_OK);
            assert_int_equal(verify(&public_key, &der, text), TD_OK);
            assert_int_equal(verify(&public_key, &der, "another"), TD_CORRUPT);
            uint8_t raw[TD_EC_RAW_MAX], made[TD_EC_DER_MAX];
            assert_true(td_ec_from_der(public_key.curve, (const uint8_t *)der.data, der.size, raw));
            assert_int_equal(td_ec_to_der(public_key.curve, raw, made), der.size);
            assert_memory_equal(made, der.data, der.size);
        }
    }
}

static void ec__every_changed_byte_of_a_signature_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < TD_COUNT_OF(groups); i++) {
        td_err err = {0};
        TD_CLEANUP(td_key_free) td_key *key = NULL;
        TD_CLEANUP(td_str_done) td_str der = {0};
        td_ec_public public_key;
        assert_int_equal(td_key_read_ec(make_file(groups[i].group), NULL, &key, &err), TD_OK);
        assert_int_equal(td_key_ec_public(key, &public_key, &err), TD_OK);
        assert_int_equal(td_key_ec_sign(key, "text", 4, &der, &err), TD_OK);
        for (size_t at = 0; at < der.size; at++) {
            der.data[at] = (char)(der.data[at] ^ 1);
            assert_int_equal(verify(&public_key, &der, "text"), TD_CORRUPT);
            der.data[at] = (char)(der.data[at] ^ 1);
        }
        td_str_add_char(&der, '\0'); /* something after the end */
        assert_int_equal(verify(&public_key, &der, "text"), TD_CORRUPT);
    }
}

/* A length of 128 and more takes two bytes, a shorter one may not. */
static void ec__lengths_have_one_form(void **state)
{
    (void)state;
    uint8_t raw[TD_EC_RAW_MAX];
    const uint8_t good[] = {0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01};
    const uint8_t longer[] = {0x30, 0x81, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01};
    const uint8_t padded[] = {0x30, 0x07, 0x02, 0x02, 0x00, 0x01, 0x02, 0x01, 0x01};
    const uint8_t negative[] = {0x30, 0x06, 0x02, 0x01, 0x81, 0x02, 0x01, 0x01};
    const uint8_t endless[] = {0x30, 0x80, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01, 0x00, 0x00};
    assert_true(td_ec_from_der(TD_CURVE_P521, good, sizeof good, raw));
    assert_false(td_ec_from_der(TD_CURVE_P521, longer, sizeof longer, raw));
    assert_false(td_ec_from_der(TD_CURVE_P521, padded, sizeof padded, raw));
    assert_false(td_ec_from_der(TD_CURVE_P521, negative, sizeof negative, raw));
    assert_false(td_ec_from_der(TD_CURVE_P521, endless, sizeof endless, raw));
}

/* Where only P-256 can be meant, a wide key is refused when it is read. */
static void ec__wide_keys_stay_where_they_are_wanted(void **state)
{
    (void)state;
    td_err err = {0};
    td_key *key = NULL;
    assert_int_equal(td_key_read(make_file("P-384"), NULL, &key, &err), TD_INVALID);
    assert_non_null(strstr(err.text, "neither a P-256 nor an Ed25519 key"));
    assert_int_equal(td_key_read_ec(make_file("secp256k1"), NULL, &key, &err), TD_INVALID);
    assert_null(key);
    TD_CLEANUP(td_key_free) td_key *edwards = NULL;
    td_ec_public public_key;
    assert_int_equal(td_key_generate(TD_KEY_ED25519, &edwards, &err), TD_OK);
    assert_int_equal(td_key_ec_public(edwards, &public_key, &err), TD_INVALID);
}

static void ec__points_off_the_curve_are_no_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < TD_COUNT_OF(groups); i++) {
        td_err err = {0};
        TD_CLEANUP(td_key_free) td_key *key = NULL;
        TD_CLEANUP(td_str_done) td_str pem = {0};
        td_ec_public public_key, out;
        assert_int_equal(td_key_read_ec(make_file(groups[i].group), NULL, &key, &err), TD_OK);
        assert_int_equal(td_key_ec_public(key, &public_key, &err), TD_OK);
        public_key.point[public_key.size - 1] ^= 1;
        assert_int_equal(td_ec_public_pem(&public_key, &pem, &err), TD_OK);
        assert_int_equal(td_ec_public_from_pem(pem.data, pem.size, &out, &err), TD_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ec__signs_and_verifies_on_each_curve),
        cmocka_unit_test(ec__every_changed_byte_of_a_signature_is_refused),
        cmocka_unit_test(ec__lengths_have_one_form),
        cmocka_unit_test(ec__wide_keys_stay_where_they_are_wanted),
        cmocka_unit_test(ec__points_off_the_curve_are_no_keys),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
