/*
 * http_rate.c: buckets in sets of a few, found by a hash; time is counted in parts of a request.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http_rate.h"

#include <pthread.h>
#include <stdlib.h>

#define SETS 256
#define WAYS 8
#define WHOLE INT64_C(1000) /* a request, in parts: one a millisecond and request a second */

typedef struct bucket {
    uint64_t key; /* 0: free */
    int64_t parts;
    int64_t seen_ms;
} bucket;

struct td_rate {
    int64_t per_s;
    pthread_mutex_t lock;
    bucket sets[SETS][WAYS];
};

td_code td_rate_new(int64_t per_s, td_rate **out, td_err *err)
{
    *out = NULL;
    if (per_s == 0) {
        return TD_OK;
    }
    td_rate *rate = calloc(1, sizeof *rate);
    if (!rate) {
        return td_fail(err, TD_NOMEM, "no memory for the limits of requests");
    }
    rate->per_s = per_s;
    pthread_mutex_init(&rate->lock, NULL);
    *out = rate;
    return TD_OK;
}

void td_rate_free(td_rate **rate)
{
    if (*rate) {
        pthread_mutex_destroy(&(*rate)->lock);
        free(*rate);
        *rate = NULL;
    }
}

/* FNV-1a, never 0. */
static uint64_t hash_of(const void *key, size_t size)
{
    const unsigned char *bytes = key;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    }
    return hash ? hash : 1;
}

static bucket *find(td_rate *rate, uint64_t key, int64_t now_ms)
{
    bucket *set = rate->sets[(key >> 32) % SETS];
    bucket *oldest = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].key == key) {
            return &set[i];
        }
        if (set[i].key == 0 || (oldest->key != 0 && set[i].seen_ms < oldest->seen_ms)) {
            oldest = &set[i];
        }
    }
    *oldest = (bucket){key, rate->per_s * TD_RATE_BURST_S * WHOLE, now_ms};
    return oldest;
}

bool td_rate_take(td_rate *rate, const void *key, size_t size, int64_t now_ms, int64_t *wait_ms_out)
{
    if (!rate) {
        return true;
    }
    int64_t most = rate->per_s * TD_RATE_BURST_S * WHOLE;
    pthread_mutex_lock(&rate->lock);
    bucket *own = find(rate, hash_of(key, size), now_ms);
    int64_t passed_ms = now_ms - own->seen_ms;
    int64_t gained = passed_ms > TD_RATE_BURST_S * 1000 ? most : passed_ms * rate->per_s;
    own->parts = own->parts + gained < most ? own->parts + gained : most;
    own->seen_ms = now_ms;
    bool may = own->parts >= WHOLE;
    if (may) {
        own->parts -= WHOLE;
    } else {
        *wait_ms_out = (WHOLE - own->parts + rate->per_s - 1) / rate->per_s;
    }
    pthread_mutex_unlock(&rate->lock);
    return may;
}
