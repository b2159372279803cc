/*
 * leaf_many.c: signatures of many leaves at once, on all processors.
 *
 * Ed25519 is nearly all of the time that `audit verify --signatures` takes, and no leaf needs another. Each thread
 * takes every n-th leaf up to the first that is not good; the caller looks at that one again, in its turn, and says so.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/leaf.h"

#include <pthread.h>
#include <unistd.h>

#define THREADS_MAX 8
#define WORTH_A_THREAD 16 /* leaves */

typedef struct share {
    const uint8_t *leaves, *submitter;
    size_t count, first, step;
    size_t good; /* number of the first leaf of this share that is not good; count if all are */
    pthread_t thread;
} share;

static void *verify_share(void *context)
{
    share *self = context;
    size_t at = self->first;
    while (at < self->count &&
           td_leaf_verify(self->leaves + at * TD_LOG_LEAF_SIZE, self->submitter, NULL) == TD_OK) {
        at += self->step;
    }
    self->good = at < self->count ? at : self->count;
    return NULL;
}

static size_t threads_for(size_t count)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    size_t most = online < 1 ? 1 : online > THREADS_MAX ? THREADS_MAX : (size_t)online;
    size_t worth = 1 + count / WORTH_A_THREAD;
    return worth < most ? worth : most;
}

size_t td_leaf_verify_many(const uint8_t *leaves, size_t count, const uint8_t submitter[TD_ED25519_PUBLIC_SIZE])
{
    share shares[THREADS_MAX];
    bool started[THREADS_MAX] = {false};
    size_t threads = threads_for(count), good = count;
    for (size_t i = 0; i < threads; i++) {
        shares[i] = (share){.leaves = leaves, .submitter = submitter, .count = count, .first = i, .step = threads};
        started[i] = i > 0 && pthread_create(&shares[i].thread, NULL, verify_share, &shares[i]) == 0;
    }
    for (size_t i = 0; i < threads; i++) {
        if (!started[i]) {
            verify_share(&shares[i]);
        }
    }
    for (size_t i = 0; i < threads; i++) {
        if (started[i]) {
            pthread_join(shares[i].thread, NULL);
        }
        good = shares[i].good < good ? shares[i].good : good;
    }
    return good;
}
