/*
 * test_digest.c: hashing of memory and files, HMAC of RFC 4231, and comparing.
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
#include <unistd.h>

#include <cmocka.h>

static void assert_digest(const uint8_t digest[TD_DIGEST_SIZE], const char *hex)
{
    char text[TD_DIGEST_TEXT];
    td_hex_encode(digest, TD_DIGEST_SIZE, text);
    assert_string_equal(text, hex);
}

static void sha256__known_answers(void **state)
{
    (void)state;
    uint8_t digest[TD_DIGEST_SIZE];
    td_sha256_of("", 0, digest);
    assert_digest(digest, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    td_sha256_of("abc", 3, digest);
    assert_digest(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void sha256__in_parts_and_again(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_sha256_free) td_sha256 *hash = NULL;
    assert_int_equal(td_sha256_new(&hash, &err), TD_OK);
    uint8_t digest[TD_DIGEST_SIZE];
    for (int round = 0; round < 2; round++) { /* final restarts the hash */
        td_sha256_update(hash, "a", 1);
        td_sha256_update(hash, "", 0);
        td_sha256_update(hash, "bc", 2);
        td_sha256_final(hash, digest);
        assert_digest(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

static void sha256_file__whole_file_and_size(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    char folder[] = "/tmp/td-digest-XXXXXX";
    assert_non_null(mkdtemp(folder));
    char path[64];
    snprintf(path, sizeof path, "%s/a", folder);
    size_t size = 700001; /* more than two read blocks */
    char *data = malloc(size);
    assert_non_null(data);
    memset(data, 'x', size);
    assert_int_equal(td_file_create(path, data, size, 0600, &err), TD_OK);
    uint8_t of_file[TD_DIGEST_SIZE], of_memory[TD_DIGEST_SIZE];
    uint64_t counted = 0;
    assert_int_equal(td_sha256_file(path, of_file, &counted, &err), TD_OK);
    td_sha256_of(data, size, of_memory);
    assert_memory_equal(of_file, of_memory, TD_DIGEST_SIZE);
    assert_int_equal(counted, size);
    free(data);
    assert_int_equal(td_folder_remove(folder, &err), TD_OK);
    memset(of_memory, 7, sizeof of_memory);
    memcpy(of_file, of_memory, sizeof of_file);
    assert_int_equal(td_sha256_file(path, of_file, &counted, &err), TD_NOT_FOUND);
    assert_non_null(strstr(err.text, path));
    assert_memory_equal(of_file, of_memory, TD_DIGEST_SIZE); /* untouched on failure */
}

static void sha256_file__a_folder_is_an_error(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    uint8_t digest[TD_DIGEST_SIZE];
    assert_int_not_equal(td_sha256_file("/tmp", digest, NULL, &err), TD_OK);
}

static void hmac__rfc4231_case_2(void **state)
{
    (void)state;
    uint8_t mac[TD_DIGEST_SIZE];
    td_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac);
    assert_digest(mac, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    td_hmac_sha256(NULL, 0, NULL, 0, mac); /* an empty key is not "the key of the call before" */
    assert_digest(mac, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void random__differs_and_equal_compares_all(void **state)
{
    (void)state;
    uint8_t a[32] = {0}, b[32] = {0};
    assert_int_equal(td_random(a, sizeof a, NULL), TD_OK);
    assert_int_equal(td_random(b, sizeof b, NULL), TD_OK);
    assert_false(td_equal_secret(a, b, sizeof a));
    memcpy(b, a, sizeof a);
    assert_true(td_equal_secret(a, b, sizeof a));
    b[31] ^= 1;
    assert_false(td_equal_secret(a, b, sizeof a));
    td_wipe(a, sizeof a);
    static const uint8_t zero[32];
    assert_memory_equal(a, zero, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256__known_answers),
        cmocka_unit_test(sha256__in_parts_and_again),
        cmocka_unit_test(sha256_file__whole_file_and_size),
        cmocka_unit_test(sha256_file__a_folder_is_an_error),
        cmocka_unit_test(hmac__rfc4231_case_2),
        cmocka_unit_test(random__differs_and_equal_compares_all),
    };
    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
