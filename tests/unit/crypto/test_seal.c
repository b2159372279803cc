/*
 * test_seal.c: a sealed secret opens for its owner alone, and no changed byte goes unseen.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void must(td_code code, const td_err *err)
{
    if (code != TD_OK) {
        fail_msg("%s", err->text);
    }
}

static const uint8_t key[TD_SEAL_KEY_SIZE] = {1, 2, 3};
static const char secret[] = "correct horse";

static void seal__opens_with_the_same_key_and_name(void **state)
{
    (void)state;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str sealed = {0};
    TD_CLEANUP(td_str_done) td_str twice = {0};
    TD_CLEANUP(td_str_done) td_str open = {0};
    must(td_seal(key, "a", secret, sizeof secret, &sealed, &err), &err);
    must(td_seal(key, "a", secret, sizeof secret, &twice, &err), &err);
    assert_int_equal(sealed.size, sizeof secret + 28);
    assert_memory_not_equal(sealed.data, twice.data, sealed.size); /* equal secrets do not look equal */
    must(td_unseal(key, "a", sealed.data, sealed.size, &open, &err), &err);
    assert_int_equal(open.size, sizeof secret);
    assert_memory_equal(open.data, secret, sizeof secret);
}

static void seal__refuses_everything_else(void **state)
{
    (void)state;
    td_err err = {0};
    uint8_t other[TD_SEAL_KEY_SIZE] = {1, 2, 4};
    TD_CLEANUP(td_str_done) td_str sealed = {0};
    TD_CLEANUP(td_str_done) td_str open = {0};
    must(td_seal(key, "a", secret, sizeof secret, &sealed, &err), &err);
    assert_int_equal(td_unseal(other, "a", sealed.data, sealed.size, &open, &err), TD_CORRUPT);
    assert_int_equal(td_unseal(key, "b", sealed.data, sealed.size, &open, &err), TD_CORRUPT);
    for (size_t i = 0; i < sealed.size; i++) {
        sealed.data[i] ^= 1;
        assert_int_equal(td_unseal(key, "a", sealed.data, sealed.size, &open, &err), TD_CORRUPT);
        sealed.data[i] ^= 1;
        assert_int_equal(td_unseal(key, "a", sealed.data, i, &open, &err), TD_CORRUPT);
    }
    assert_int_equal(open.size, 0);
    char large[TD_SEAL_DATA_MAX + 1] = {0};
    assert_int_equal(td_seal(key, "a", large, sizeof large, &open, &err), TD_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seal__opens_with_the_same_key_and_name),
        cmocka_unit_test(seal__refuses_everything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
