/*
 * hasher.c: one producer, one helper thread, a ring of blocks between them.
 *
 * The producer fills the block at `made`; the helper hashes the one at `done`. Both only ever grow; a block is free
 * when it is not between them. SPDX-License-Identifier: Apache-2.0
 */
#include "registry/hasher.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK ((size_t)256 * 1024)
#define BLOCKS 4
#define ALONE_MAX ((uint64_t)1024 * 1024) /* shorter streams are not worth a thread */

struct td_hasher {
    td_sha256 *hash;
    uint64_t size;   /* of the stream so far */
    size_t filled;   /* of the block that is being made */
    uint8_t *blocks; /* BLOCKS of BLOCK bytes, once there is a helper */
    size_t sizes[BLOCKS];
    uint64_t made, done;
    bool helped, no_help, closing;
    pthread_t helper;
    pthread_mutex_t lock;
    pthread_cond_t moved; /* made, done or closing changed */
};

static uint8_t *block_at(td_hasher *hasher, uint64_t number)
{
    return hasher->blocks + (size_t)(number % BLOCKS) * BLOCK;
}

static void *help(void *context)
{
    td_hasher *hasher = context;
    pthread_mutex_lock(&hasher->lock);
    for (;;) {
        while (hasher->done == hasher->made && !hasher->closing) {
            pthread_cond_wait(&hasher->moved, &hasher->lock);
        }
        if (hasher->done == hasher->made) {
            break;
        }
        const uint8_t *block = block_at(hasher, hasher->done);
        size_t size = hasher->sizes[hasher->done % BLOCKS];
        pthread_mutex_unlock(&hasher->lock);
        td_sha256_update(hasher->hash, block, size);
        pthread_mutex_lock(&hasher->lock);
        hasher->done++;
        pthread_cond_signal(&hasher->moved);
    }
    pthread_mutex_unlock(&hasher->lock);
    return NULL;
}

td_code td_hasher_new(td_hasher **out, td_err *err)
{
    td_hasher *hasher = calloc(1, sizeof *hasher);
    if (hasher == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to hash");
    }
    td_code code = td_sha256_new(&hasher->hash, err);
    if (code != TD_OK) {
        free(hasher);
        return code;
    }
    pthread_mutex_init(&hasher->lock, NULL);
    pthread_cond_init(&hasher->moved, NULL);
    *out = hasher;
    return TD_OK;
}

/* Once a hasher: whether there is a helper from now on. */
static bool get_help(td_hasher *hasher)
{
    if (hasher->helped || hasher->no_help) {
        return hasher->helped;
    }
    hasher->blocks = malloc(BLOCKS * BLOCK);
    hasher->helped = hasher->blocks != NULL && pthread_create(&hasher->helper, NULL, help, hasher) == 0;
    hasher->no_help = !hasher->helped;
    return hasher->helped;
}

/* Hands the block over and waits until the next one is free. */
static void push(td_hasher *hasher)
{
    pthread_mutex_lock(&hasher->lock);
    hasher->sizes[hasher->made % BLOCKS] = hasher->filled;
    hasher->made++;
    pthread_cond_signal(&hasher->moved);
    while (hasher->made - hasher->done == BLOCKS) {
        pthread_cond_wait(&hasher->moved, &hasher->lock);
    }
    pthread_mutex_unlock(&hasher->lock);
    hasher->filled = 0;
}

void td_hasher_update(td_hasher *hasher, const void *data, size_t size)
{
    hasher->size += size;
    if (hasher->size <= ALONE_MAX || !get_help(hasher)) {
        td_sha256_update(hasher->hash, data, size);
        return;
    }
    const uint8_t *next = data;
    while (size > 0) {
        size_t part = size < BLOCK - hasher->filled ? size : BLOCK - hasher->filled;
        memcpy(block_at(hasher, hasher->made) + hasher->filled, next, part);
        hasher->filled += part;
        next += part;
        size -= part;
        if (hasher->filled == BLOCK) {
            push(hasher);
        }
    }
}

/* Until the helper has nothing left. */
static void drain(td_hasher *hasher)
{
    if (hasher->filled > 0) {
        push(hasher);
    }
    pthread_mutex_lock(&hasher->lock);
    while (hasher->done != hasher->made) {
        pthread_cond_wait(&hasher->moved, &hasher->lock);
    }
    pthread_mutex_unlock(&hasher->lock);
}

void td_hasher_final(td_hasher *hasher, uint8_t digest[TD_DIGEST_SIZE])
{
    if (hasher->helped) {
        drain(hasher);
    }
    td_sha256_final(hasher->hash, digest);
    hasher->size = 0;
}

void td_hasher_free(td_hasher **hasher_in)
{
    td_hasher *hasher = *hasher_in;
    if (hasher == NULL) {
        return;
    }
    if (hasher->helped) {
        pthread_mutex_lock(&hasher->lock);
        hasher->closing = true;
        pthread_cond_signal(&hasher->moved);
        pthread_mutex_unlock(&hasher->lock);
        pthread_join(hasher->helper, NULL);
    }
    pthread_cond_destroy(&hasher->moved);
    pthread_mutex_destroy(&hasher->lock);
    td_sha256_free(&hasher->hash);
    free(hasher->blocks);
    free(hasher);
    *hasher_in = NULL;
}
