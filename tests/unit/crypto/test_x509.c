/*
 * test_x509.c: certificates that mbedTLS wrote for us, judged by OpenSSL, and requests that lie.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/clock.h"
#include "core/crypto/x509.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#define YEAR_MS ((int64_t)365 * 86400 * 1000)

static const td_x509_leaf server_leaf = {
    .common_name = "_server",
    .dns_names = (const char *const[]){"localhost", "hub.example", NULL},
    .ip_addresses = (const char *const[]){"127.0.0.1", "::1", NULL},
    .server = true,
    .not_before_ms = 0,
    .not_after_ms = 100 * YEAR_MS,
};

static X509 *parse(const td_str *pem)
{
    BIO *bio = BIO_new_mem_buf(td_str_text(pem), (int)pem->size);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(cert);
    return cert;
}

/* OpenSSL's own verification of leaf under ca for a purpose; X509_V_OK or its error. */
static int judge(X509 *ca, X509 *leaf, int purpose, const char *host, const char *address)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_STORE_add_cert(store, ca);
    X509_STORE_CTX_init(context, store, leaf, NULL);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_purpose(param, purpose);
    if (host != NULL) {
        X509_VERIFY_PARAM_set1_host(param, host, 0);
    }
    if (address != NULL) {
        X509_VERIFY_PARAM_set1_ip_asc(param, address);
    }
    int result = X509_verify_cert(context) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return result;
}

typedef struct authority {
    td_key *key;
    td_str pem;
} authority;

static authority make_authority(void)
{
    authority made = {.key = NULL};
    td_err err = {.code = TD_OK};
    assert_int_equal(td_key_generate(TD_KEY_P256, &made.key, &err), TD_OK);
    assert_int_equal(td_x509_make_ca(made.key, "Tidemark workspace 1", &made.pem, &err), TD_OK);
    return made;
}

static void authority_done(authority *ca)
{
    td_key_free(&ca->key);
    td_str_done(&ca->pem);
}

static void issue__openssl_accepts_the_server_strictly(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(authority_done) authority ca = make_authority();
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str pem = {0};
    uint8_t public_key[TD_P256_PUBLIC_SIZE], serial[16];
    assert_int_equal(td_key_generate(TD_KEY_P256, &key, &err), TD_OK);
    (void)td_key_public(key, public_key);
    assert_int_equal(td_x509_issue(ca.key, td_str_text(&ca.pem), public_key, &server_leaf, &pem, serial, &err),
                     TD_OK);
    X509 *root = parse(&ca.pem);
    X509 *leaf = parse(&pem);
    assert_int_equal(judge(root, leaf, X509_PURPOSE_SSL_SERVER, "localhost", NULL), X509_V_OK);
    assert_int_equal(judge(root, leaf, X509_PURPOSE_SSL_SERVER, NULL, "127.0.0.1"), X509_V_OK);
    assert_int_equal(judge(root, leaf, X509_PURPOSE_SSL_SERVER, NULL, "::1"), X509_V_OK);
    assert_int_equal(judge(root, leaf, X509_PURPOSE_SSL_SERVER, "other.example", NULL), X509_V_ERR_HOSTNAME_MISMATCH);
    assert_int_equal(judge(root, leaf, X509_PURPOSE_SSL_CLIENT, NULL, NULL), X509_V_ERR_INVALID_PURPOSE);
    X509_free(root);
    X509_free(leaf);
}

static void issue__facts_read_back(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(authority_done) authority ca = make_authority();
    TD_CLEANUP(td_str_done) td_str pem = {0};
    uint8_t public_key[TD_P256_PUBLIC_SIZE], serial[16];
    (void)td_key_public(ca.key, public_key);
    td_x509_leaf device = {.common_name = "pump-07", .not_before_ms = 0, .not_after_ms = 1900000000000};
    assert_int_equal(td_x509_issue(ca.key, td_str_text(&ca.pem), public_key, &device, &pem, serial, &err), TD_OK);
    td_x509_facts facts;
    assert_int_equal(td_x509_read(td_str_text(&pem), pem.size, &facts, &err), TD_OK);
    assert_string_equal(facts.common_name, "pump-07");
    assert_memory_equal(facts.public_key, public_key, sizeof public_key);
    assert_int_equal(facts.serial_size, 16);
    assert_memory_equal(facts.serial, serial, 16);
    assert_int_equal(facts.not_before_ms, 0);
    assert_int_equal(facts.not_after_ms, 1900000000000);
    assert_int_equal(td_x509_read(td_str_text(&ca.pem), ca.pem.size, &facts, &err), TD_OK);
    assert_int_equal(facts.not_before_ms, 0); /* 1970, because clocks on devices lie */
    X509 *root = parse(&ca.pem);
    X509 *leaf = parse(&pem);
    assert_int_equal(judge(root, leaf, X509_PURPOSE_SSL_CLIENT, NULL, NULL), X509_V_OK);
    X509_free(root);
    X509_free(leaf);
}

static void issue__refuses_bad_names_times_and_keys(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(authority_done) authority ca = make_authority();
    TD_CLEANUP(authority_done) authority other = make_authority();
    TD_CLEANUP(td_str_done) td_str pem = {0};
    uint8_t public_key[TD_P256_PUBLIC_SIZE] = {4}, good[TD_P256_PUBLIC_SIZE], serial[16];
    (void)td_key_public(ca.key, good);
    const char *text = td_str_text(&ca.pem);
    static const char *const names[] = {
        "",    "a,CN=b", "a+b", "\xc3\xa6",
        "x=y", "a\nb",   " a",  "12345678901234567890123456789012345678901234567890123456789012345"};
    for (size_t i = 0; i < TD_COUNT_OF(names); i++) {
        td_x509_leaf leaf = {.common_name = names[i], .not_after_ms = YEAR_MS};
        assert_int_equal(td_x509_issue(ca.key, text, good, &leaf, &pem, serial, &err), TD_INVALID);
    }
    td_x509_leaf leaf = {.common_name = "a", .not_after_ms = YEAR_MS};
    assert_int_equal(td_x509_issue(ca.key, text, public_key, &leaf, &pem, serial, &err), TD_INVALID);
    assert_int_equal(td_x509_issue(other.key, text, good, &leaf, &pem, serial, &err), TD_INVALID);
    leaf.not_before_ms = 2 * YEAR_MS;
    assert_int_equal(td_x509_issue(ca.key, text, good, &leaf, &pem, serial, &err), TD_INVALID);
    leaf.not_before_ms = 0;
    leaf.ip_addresses = (const char *const[]){"1.2.3", NULL};
    assert_int_equal(td_x509_issue(ca.key, text, good, &leaf, &pem, serial, &err), TD_INVALID);
    assert_int_equal(pem.size, 0);
}

static void request__round_trip(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str pem = {0};
    assert_int_equal(td_key_generate(TD_KEY_P256, &key, &err), TD_OK);
    assert_int_equal(td_x509_make_request(key, "pump-07", &pem, &err), TD_OK);
    uint8_t made[TD_P256_PUBLIC_SIZE], found[TD_P256_PUBLIC_SIZE];
    char name[65];
    (void)td_key_public(key, made);
    assert_int_equal(td_x509_read_request(td_str_text(&pem), pem.size, found, name, &err), TD_OK);
    assert_memory_equal(made, found, sizeof made);
    assert_string_equal(name, "pump-07");
}

/* The key in the request is replaced by another: the signature no longer proves possession. */
static void request__foreign_key_is_refused(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_key_free) td_key *victim = NULL;
    TD_CLEANUP(td_str_done) td_str pem = {0};
    assert_int_equal(td_key_generate(TD_KEY_P256, &key, &err), TD_OK);
    assert_int_equal(td_key_generate(TD_KEY_P256, &victim, &err), TD_OK);
    assert_int_equal(td_x509_make_request(key, "pump-07", &pem, &err), TD_OK);
    uint8_t mine[TD_P256_PUBLIC_SIZE], other[TD_P256_PUBLIC_SIZE], der[1024];
    (void)td_key_public(key, mine);
    (void)td_key_public(victim, other);
    BIO *bio = BIO_new_mem_buf(td_str_text(&pem), (int)pem.size);
    char *label = NULL, *header = NULL;
    unsigned char *data = NULL;
    long size = 0;
    assert_int_equal(PEM_read_bio(bio, &label, &header, &data, &size), 1);
    BIO_free(bio);
    memcpy(der, data, (size_t)size);
    uint8_t *at = memmem(der, (size_t)size, mine, sizeof mine);
    assert_non_null(at);
    memcpy(at, other, sizeof other);
    TD_CLEANUP(td_str_done) td_str forged = {0};
    td_str_add(&forged, "-----BEGIN CERTIFICATE REQUEST-----\n");
    td_base64_add(&forged, der, (size_t)size);
    td_str_add(&forged, "\n-----END CERTIFICATE REQUEST-----\n");
    OPENSSL_free(label);
    OPENSSL_free(header);
    OPENSSL_free(data);
    char name[65] = "untouched";
    assert_int_equal(td_x509_read_request(td_str_text(&forged), forged.size, other, name, &err), TD_CORRUPT);
    assert_non_null(strstr(err.text, "not signed with its own key"));
    assert_string_equal(name, "untouched");
}

static void read__garbage_is_refused(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    uint8_t key[TD_P256_PUBLIC_SIZE];
    char name[65];
    td_x509_facts facts;
    static const char *const texts[] = {
        "", "x", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
    for (size_t i = 0; i < TD_COUNT_OF(texts); i++) {
        assert_int_equal(td_x509_read_request(texts[i], strlen(texts[i]), key, name, &err), TD_INVALID);
        assert_int_equal(td_x509_read(texts[i], strlen(texts[i]), &facts, &err), TD_INVALID);
    }
    assert_int_equal(td_x509_read("a\0b", 3, &facts, &err), TD_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(issue__openssl_accepts_the_server_strictly),
        cmocka_unit_test(issue__facts_read_back),
        cmocka_unit_test(issue__refuses_bad_names_times_and_keys),
        cmocka_unit_test(request__round_trip),
        cmocka_unit_test(request__foreign_key_is_refused),
        cmocka_unit_test(read__garbage_is_refused),
    };
    return cmocka_run_group_tests_name("x509", tests, NULL, NULL);
}
