/*
 * content.h: bytes named by their SHA-256, in files that are wholly there or not there at all.
 *
 * `<folder>/aa/<sha256>`: bytes are hashed while they stream into `<folder>/tmp/`, fsynced, made read-only (0444),
 * renamed, and the folder is fsynced; the row that names them commits afterwards. A digest is the only name, so
 * nothing that a client sends is ever a path. Putting what is already there costs no second file. A file that fails
 * its check is moved to `<folder>/damaged/` and never served again; putting the good bytes once more heals it.
 *
 * Threads: a td_content may be used from any number of threads; a td_content_put belongs to one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_CONTENT_H
#define TD_REGISTRY_CONTENT_H

#include "core/base/err.h"
#include "core/base/str.h"
#include "core/crypto/crypto.h"

/* The largest object (1 TiB): the cap when a caller names none. */
#define TD_CONTENT_OBJECT_MAX ((uint64_t)1 << 40)
#define TD_DIGEST_LABEL_SIZE (7 + TD_DIGEST_TEXT) /* "sha256:" and 64 digits and NUL */

typedef struct td_content td_content;
typedef struct td_content_put td_content_put;

/* Makes the folder (0700) if need be and removes temporary files that a crash left. */
TD_MUST_USE td_code td_content_open(const char *folder, td_content **out, td_err *err);
/* Opens a folder that somebody else may be serving: makes and removes nothing. NOT_FOUND. */
TD_MUST_USE td_code td_content_attach(const char *folder, td_content **out, td_err *err);
void td_content_close(td_content *content); /* NULL is fine */

/* A streaming put. size_max 0 means TD_CONTENT_OBJECT_MAX. */
TD_MUST_USE td_code td_content_put_begin(td_content *content, uint64_t size_max, td_content_put **out, td_err *err);
/* LIMIT: more than size_max, or the disk is full; the put is then only good for td_content_put_free. */
TD_MUST_USE td_code td_content_put_write(td_content_put *put, const void *data, size_t size, td_err *err);
/* On OK the object is durable. CORRUPT: the bytes are not those of `expected` (may be NULL); nothing is kept then. */
TD_MUST_USE td_code td_content_put_finish(td_content_put *put, const uint8_t *expected,
                                          uint8_t digest_out[TD_DIGEST_SIZE], uint64_t *size_out, td_err *err);
void td_content_put_free(td_content_put **put); /* TD_CLEANUP; drops what was not finished */

TD_MUST_USE td_code td_content_put_bytes(td_content *content, const void *data, size_t size,
                                         uint8_t digest_out[TD_DIGEST_SIZE], td_err *err);
/* Copies a regular file in. size_max as above; size_out may be NULL. */
TD_MUST_USE td_code td_content_put_file(td_content *content, const char *path, uint64_t size_max,
                                        uint8_t digest_out[TD_DIGEST_SIZE], uint64_t *size_out, td_err *err);

/* Opens for reading (the caller closes fd_out). NOT_FOUND; CORRUPT: known to be damaged. size_out may be NULL. */
TD_MUST_USE td_code td_content_get(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE], int *fd_out,
                                   uint64_t *size_out, td_err *err);
/* Appends the whole object after checking its digest. LIMIT: larger than limit; CORRUPT: damaged (then also moved
 * away). */
TD_MUST_USE td_code td_content_read(td_content *content, const uint8_t digest[TD_DIGEST_SIZE], size_t limit,
                                    td_str *out, td_err *err);
/* size_out may be NULL. */
bool td_content_exists(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE], uint64_t *size_out);
TD_MUST_USE td_code td_content_path(const td_content *content, const uint8_t digest[TD_DIGEST_SIZE], char out[4096],
                                    td_err *err);

/* Hashes the object again. CORRUPT names it; it is moved to damaged/. */
TD_MUST_USE td_code td_content_verify(td_content *content, const uint8_t digest[TD_DIGEST_SIZE], td_err *err);

typedef struct td_content_report {
    uint64_t objects, bytes; /* looked at */
    uint64_t damaged;        /* failed their digest; now in damaged/ */
    uint64_t foreign;        /* names in the folder that are no objects (left alone) */
} td_content_report;

#define TD_CONTENT_SHARDS 256 /* folders 00 to ff */

/* Who is told while everything is hashed again; each function may be NULL. */
typedef struct td_content_watch {
    void *context;
    /* Of a damaged or foreign file: its path relative to the folder and a sentence. */
    void (*found)(void *context, const char *path, const char *problem);
    /* Before each shard. */
    void (*shard)(void *context, unsigned shard, const td_content_report *so_far);
    unsigned first; /* shard to begin with: where an earlier walk was cut off */
} td_content_watch;
/* Hashes everything again, shard by shard in their order. `watch` may be NULL. OK even when damage was found: look at
 * the report. */
TD_MUST_USE td_code td_content_verify_all(td_content *content, const td_content_watch *watch,
                                          td_content_report *report_out, td_err *err);

/* Every object by name and size, shard by shard, without reading it. Anything but TD_OK ends the walk. */
typedef td_code (*td_content_visit)(void *context, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err);
TD_MUST_USE td_code td_content_each(td_content *content, td_content_visit visit, void *context, td_err *err);

/* "sha256:…" of a digest, and back ("sha256:" + 64 hexadecimal digits, or the digits alone). INVALID. */
void td_digest_format(const uint8_t digest[TD_DIGEST_SIZE], char out[TD_DIGEST_LABEL_SIZE]);
TD_MUST_USE td_code td_digest_parse(const char *text, uint8_t digest_out[TD_DIGEST_SIZE], td_err *err);

#endif
