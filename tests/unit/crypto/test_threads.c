/*
 * test_threads.c: four threads hammer everything that reaches mbedTLS.
 *
 * PSA 2.28 is not thread-safe: without the mutex in core/crypto/mbed.c this test ends in a double free.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/x509.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define THREADS 4
#define ROUNDS 60
#define IMPORTS 600

typedef struct hammer_job {
    const td_key *key;
    int failures;
} hammer_job;

static void one_round(hammer_job *job, int round)
{
    td_err err = {.code = TD_OK};
    uint8_t public_key[TD_P256_PUBLIC_SIZE], found[TD_P256_PUBLIC_SIZE], signature[TD_SIGNATURE_SIZE];
    (void)td_key_public(job->key, public_key);
    job->failures += td_key_sign(job->key, &round, sizeof round, signature, &err) == TD_OK ? 0 : 1;
    job->failures += td_p256_verify(public_key, &round, sizeof round, signature, &err) == TD_OK ? 0 : 1;
    signature[5] ^= 1;
    job->failures += td_p256_verify(public_key, &round, sizeof round, signature, &err) == TD_CORRUPT ? 0 : 1;
    /* A good key and a signature of zeros: imported, refused at once, destroyed. Here threads meet most often. */
    static const uint8_t zeros[TD_SIGNATURE_SIZE];
    for (int i = 0; i < IMPORTS; i++) {
        job->failures += td_p256_verify(public_key, &round, sizeof round, zeros, &err) == TD_CORRUPT ? 0 : 1;
    }
    if (round % 10 == 0) {
        TD_CLEANUP(td_str_done) td_str pem = {0};
        char name[65];
        job->failures += td_x509_make_request(job->key, "pump-07", &pem, &err) == TD_OK ? 0 : 1;
        job->failures += td_x509_read_request(td_str_text(&pem), pem.size, found, name, &err) == TD_OK ? 0 : 1;
    }
}

static void *hammer(void *context)
{
    for (int round = 0; round < ROUNDS; round++) {
        one_round(context, round);
    }
    return NULL;
}

static void psa__four_threads_at_once(void **state)
{
    (void)state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    assert_int_equal(td_key_generate(TD_KEY_P256, &key, &err), TD_OK);
    pthread_t threads[THREADS];
    hammer_job jobs[THREADS];
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (hammer_job){.key = key};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(jobs[i].failures, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(psa__four_threads_at_once)};
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
