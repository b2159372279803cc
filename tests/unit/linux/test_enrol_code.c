/*
 * test_enrol_code.c: codes are read as RFC 4648 says and bound to one server.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/enrol_code.h"

#include "core/crypto/x509.h"
#include "tests/unit/linux/folder.h"

/* As Python's base64.b32encode(bytes(range(26))).rstrip(b"="). */
static const char counted[] = "AAAQ-EAYE-AUDA-OCAJ-BIFQ-YDIO-B4IB-CEQT-CQKR-MFYY-DE";

static void code__is_base32(void **state)
{
    (void)state;
    td_err err;
    td_enrol_secret code;
    assert_int_equal(td_enrol_code_parse(counted, &code, &err), TD_OK);
    for (uint8_t i = 0; i < 10; i++) {
        assert_int_equal(code.secret[i], i);
    }
    for (uint8_t i = 0; i < 16; i++) {
        assert_int_equal(code.digest[i], 10 + i);
    }
    assert_int_equal(td_enrol_code_parse("aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyyde", &code, &err), TD_OK);
}

static void code__bad_ones_are_refused_with_the_reason(void **state)
{
    (void)state;
    td_err err;
    td_enrol_secret code;
    assert_int_equal(td_enrol_code_parse("AAAQ-0AYE", &code, &err), TD_INVALID);
    assert_non_null(strstr(err.text, "character 6"));
    assert_int_equal(td_enrol_code_parse("AAAQ", &code, &err), TD_INVALID);
    assert_non_null(strstr(err.text, "4 letters, expected 42"));
    assert_int_equal(td_enrol_code_parse("AAAQ-EAYE-AUDA-OCAJ-BIFQ-YDIO-B4IB-CEQT-CQKR-MFYY-DEA", &code, &err),
                     TD_INVALID);
    assert_int_equal(td_enrol_code_parse("AAAQ-EAYE-AUDA-OCAJ-BIFQ-YDIO-B4IB-CEQT-CQKR-MFYY-DF", &code, &err),
                     TD_INVALID);
    assert_int_equal(td_enrol_code_parse("", &code, &err), TD_INVALID);
}

static void code__belongs_to_one_ca_and_keyset(void **state)
{
    (void)state;
    td_err err;
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str ca = {0};
    TD_CLEANUP(td_str_done) td_str other = {0};
    td_enrol_secret code;
    assert_int_equal(td_enrol_code_parse(counted, &code, &err), TD_OK);
    assert_int_equal(td_key_generate(TD_KEY_P256, &key, &err), TD_OK);
    assert_int_equal(td_x509_make_ca(key, "workspace", &ca, &err), TD_OK);
    assert_int_equal(td_x509_make_ca(key, "another", &other, &err), TD_OK);
    assert_int_equal(td_enrol_code_check(&code, td_str_text(&ca), "keyset", 6, &err), TD_DENIED);
    assert_int_equal(td_enrol_code_check(&code, "no certificate", "keyset", 6, &err), TD_INVALID);
    assert_int_equal(
        td_enrol_code_check(&code, "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "keyset", 6, &err),
        TD_INVALID);
}

int main(void)
{
    td_err err;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code__is_base32),
        cmocka_unit_test(code__bad_ones_are_refused_with_the_reason),
        cmocka_unit_test(code__belongs_to_one_ca_and_keyset),
    };
    return td_crypto_setup(&err) == TD_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
