/*
 * hasher.h: SHA-256 of a long stream beside the work that makes the stream.
 *
 * Short streams are hashed at once. From 1 MiB on a thread of its own takes the blocks through a small ring, so that
 * decompressing and hashing (or hashing twice) use two cores. Without a thread (none to be had) it goes on alone.
 * Threads: a hasher belongs to one thread; its helper ends in td_hasher_free.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_HASHER_H
#define TD_REGISTRY_HASHER_H

#include "core/crypto/crypto.h"

typedef struct td_hasher td_hasher;

TD_MUST_USE td_code td_hasher_new(td_hasher **out, td_err *err);
void td_hasher_update(td_hasher *hasher, const void *data, size_t size); /* copies */
void td_hasher_final(td_hasher *hasher, uint8_t digest[TD_DIGEST_SIZE]); /* waits; and starts anew */
void td_hasher_free(td_hasher **hasher);                                 /* TD_CLEANUP */

#endif
