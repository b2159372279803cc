/*
 * http_path.h: the request target, decoded exactly once and checked afterwards.
 *
 * Identifiers and digests are all that a path may hold, so a segment admits [A-Za-z0-9._~@:+-] and nothing else once it
 * is decoded: no second '%', '/', '\', ';', NUL, "." or "..". Below /api/2.0/mlflow-artifacts and
 * /api/2.0/mlflow/logged-models files and tags of other people's making are named: there a segment admits any UTF-8
 * text but those, and one '/' may end the path. The query admits any UTF-8 text but control characters.
 * Threads: no shared state; results live in the caller's arena.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_HTTP_PATH_H
#define TD_SERVER_HTTP_PATH_H

#include "core/base/arena.h"
#include "core/base/err.h"

#define TD_TARGET_LENGTH_MAX ((size_t)4096) /* the raw target: path and query */
#define TD_SEGMENTS_MAX 40
#define TD_QUERY_PAIRS_MAX 32

typedef struct td_query_pair {
    const char *name, *value;
} td_query_pair;

typedef struct td_target {
    const char *segments[TD_SEGMENTS_MAX]; /* decoded; "/" has none */
    size_t segment_count;
    td_query_pair pairs[TD_QUERY_PAIRS_MAX];
    size_t pair_count;
    const char *repeated; /* a name that stands more than once in the query, or NULL */
} td_target;

/* INVALID names the rule that was broken. */
TD_MUST_USE td_code td_target_parse(const char *raw, td_arena *arena, td_target *out, td_err *err);
/* The value of a query parameter (the first, if it is repeated), or NULL. */
const char *td_target_query(const td_target *target, const char *name);

#endif
