/*
 * test_hasher.c: hashing beside the work gives the digest of the bytes, whatever their number and however they come.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/hasher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above */
#include <cmocka.h>

#define MIB ((size_t)1024 * 1024)
#define SIZE_MAX_TESTED (4 * MIB)

static uint8_t *bytes;

static int setup(void **state)
{
    (void)state;
    bytes = malloc(SIZE_MAX_TESTED);
    for (size_t i = 0; i < SIZE_MAX_TESTED; i++) {
        bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    }
    return bytes != NULL && td_crypto_setup(NULL) == TD_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(bytes);
    return 0;
}

static void check(td_hasher *hasher, size_t size, size_t step)
{
    uint8_t want[TD_DIGEST_SIZE];
    uint8_t found[TD_DIGEST_SIZE];
    td_sha256_of(bytes, size, want);
    for (size_t done = 0; done < size; done += step) {
        td_hasher_update(hasher, bytes + done, size - done < step ? size - done : step);
    }
    td_hasher_final(hasher, found);
    if (memcmp(want, found, sizeof want) != 0) {
        fail_msg("%zu bytes in steps of %zu", size, step);
    }
}

static void hasher__every_size_and_step(void **state)
{
    (void)state;
    static const size_t sizes[] = {
        0, 1, MIB - 1, MIB, MIB + 1, MIB + 262144, 2 * MIB + 7, 3 * MIB - 1, SIZE_MAX_TESTED - 1, SIZE_MAX_TESTED};
    static const size_t steps[] = {4099, 131072, 262144, 1000003, SIZE_MAX_TESTED};
    TD_CLEANUP(td_hasher_free) td_hasher *hasher = NULL; /* one for all: it starts anew after each */
    assert_int_equal(td_hasher_new(&hasher, NULL), TD_OK);
    for (size_t i = 0; i < TD_COUNT_OF(sizes); i++) {
        for (size_t k = 0; k < TD_COUNT_OF(steps); k++) {
            check(hasher, sizes[i], steps[k]);
        }
    }
}

static void hasher__freed_in_the_middle(void **state)
{
    (void)state;
    for (size_t size = 0; size <= SIZE_MAX_TESTED; size += MIB) {
        TD_CLEANUP(td_hasher_free) td_hasher *hasher = NULL;
        assert_int_equal(td_hasher_new(&hasher, NULL), TD_OK);
        td_hasher_update(hasher, bytes, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hasher__every_size_and_step),
        cmocka_unit_test(hasher__freed_in_the_middle),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
