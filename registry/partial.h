/*
 * partial.h: uploads that may break off and go on: what came is kept, by offset, until the whole is there or its time
 * is over.
 *
 * `<content>/partial/<id>` holds the bytes, `<id>.json` the announced size and digest, whose it is, and how many bytes
 * are surely on disk. After a restart an upload goes on from there. When all bytes have come and their digest is the
 * announced one, the file moves into content as any other object does (content.h).
 * Threads: any; a td_partial (one connection that sends) belongs to one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_PARTIAL_H
#define TD_REGISTRY_PARTIAL_H

#include "core/base/clock.h"
#include "registry/content.h"

#define TD_PARTIAL_ID_TEXT 33          /* 32 hexadecimal digits and NUL */
#define TD_PARTIALS_MAX 256            /* unfinished uploads in all */
#define TD_PARTIALS_PER_OWNER_MAX 32   /* of one user */

typedef struct td_partial_limits {
    uint64_t object_bytes_max; /* announced size of one */
    uint64_t bytes_max;        /* announced sizes of all together */
    int64_t keep_ms;           /* after the last byte */
} td_partial_limits;

typedef struct td_partial_facts {
    char id[TD_PARTIAL_ID_TEXT];
    uint8_t digest[TD_DIGEST_SIZE]; /* announced */
    uint64_t size, offset;          /* announced; durable so far */
    int64_t expires_ms;             /* wall */
} td_partial_facts;

typedef struct td_partials td_partials;
typedef struct td_partial td_partial;

/* Looks at what an earlier run left; cuts it back to what was surely on disk. `content` and `clock` must outlive it. */
TD_MUST_USE td_code td_partials_open(td_content *content, const td_clock *clock, const td_partial_limits *limits,
                                     td_partials **out, td_err *err);
void td_partials_close(td_partials **partials); /* TD_CLEANUP */
/* Removes those whose time is over. */
void td_partials_expire(td_partials *partials);

/* Finds the owner's unfinished upload of these bytes, or begins one (*new_out). LIMIT: too many, or too large. */
TD_MUST_USE td_code td_partial_announce(td_partials *partials, const char *owner, const uint8_t digest[TD_DIGEST_SIZE],
                                        uint64_t size, td_partial_facts *out, bool *new_out, td_err *err);
/* Makes durable what has come, and says how much that is. NOT_FOUND: no such upload of this owner. BUSY: a connection
 * is sending to it. */
TD_MUST_USE td_code td_partial_look(td_partials *partials, const char *owner, const char *id, td_partial_facts *out,
                                    td_err *err);
TD_MUST_USE td_code td_partial_drop(td_partials *partials, const char *owner, const char *id, td_err *err);

/* A connection wants to go on at `offset`. CONFLICT: that is not how much there is (*there_out says); BUSY: another
 * connection is sending; NOT_FOUND. */
TD_MUST_USE td_code td_partial_begin(td_partials *partials, const char *owner, const char *id, uint64_t offset,
                                     uint64_t *there_out, td_partial **out, td_err *err);
/* As td_content_put_write; LIMIT: more than was announced. */
TD_MUST_USE td_code td_partial_write(td_partial *partial, const void *data, size_t size, td_err *err);
/* Makes durable what came. With the last byte: checks the digest and puts the object into content (*whole_out);
 * CORRUPT: other bytes than announced; nothing is kept. Slow: not on a listener's thread. */
TD_MUST_USE td_code td_partial_end(td_partial *partial, td_partial_facts *out, bool *whole_out, td_err *err);
/* Lets go of it (TD_CLEANUP); what came stays for the next connection. */
void td_partial_free(td_partial **partial);

#endif
