/*
 * internal.h: the walk over the graph, and the rows that it meets.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_LINEAGE_INTERNAL_H
#define TD_LINEAGE_INTERNAL_H

#include "lineage/lineage.h"

#define TD_WALK_EDGES_MAX ((size_t)1000000)
#define TD_IMPACT_NODES_MAX ((size_t)200000)

/* --- kinds.c --- */
bool td_lineage__edge_kind(const char *kind);
td_code td_lineage__check_node(const td_lineage_node *node, td_err *err);
/* "version:pump/3", or "pump/3" for a version. kind_out and *name_out (borrowed from text). INVALID. */
td_code td_lineage__parse(const char *text, char kind_out[16], const char **name_out, td_err *err);

/* --- walk.c --- */
typedef struct td_step_row { /* one edge as seen from one of its ends */
    int64_t edge_id, other_id;
    const char *kind;
    const char *other_kind;
    int64_t made_at_ms, ended_at_ms; /* INT64_MAX: it still holds */
} td_step_row;

typedef struct td_walk_node {
    int64_t id;
    int depth;
    bool device;
} td_walk_node;

typedef struct td_walk {
    td_db *db;
    bool up;
    int depth_max;
    size_t nodes_max;
    bool (*follow)(const char *edge_kind); /* NULL: all */
    td_walk_node *nodes;                   /* in order of distance */
    size_t node_count, node_room;
    int64_t *edges; /* ids of the edges that were followed */
    size_t edge_count, edge_room;
    int64_t *node_set, *edge_set; /* open addressing, 0 is free; a power of two of slots */
    size_t node_slots, edge_slots;
    struct td_visit *queue;
    size_t queue_count, queue_room;
} td_walk;

void td_walk_done(td_walk *walk);
/* Adds a start (depth 0), then td_walk_run goes from all of them. LIMIT: more nodes than nodes_max. */
td_code td_walk_start(td_walk *walk, int64_t node_id, td_err *err);
td_code td_walk_run(td_walk *walk, td_err *err);
bool td_walk_has(const td_walk *walk, int64_t node_id);

/* --- walk_store.c --- */
typedef td_code (*td_step_visit)(void *context, const td_step_row *row, td_err *err);
td_code td_lineage__neighbours(td_db *db, int64_t node_id, bool up, td_step_visit visit, void *context, td_err *err);
/* Ids of the nodes that a query's text means; NOT_FOUND if there is none. */
td_code td_lineage__find(td_db *db, const char *project, const char *text,
                         td_code (*visit)(void *, int64_t, td_err *), void *context, td_err *err);
/* {"node","kind","name","title","digest","made_at"} */
td_code td_lineage__node_json(td_db *db, int64_t node_id, json_t **out, td_err *err);
/* {"from","to","kind","run","made_at","ended_at"} */
td_code td_lineage__edge_json(td_db *db, int64_t edge_id, json_t **out, td_err *err);

#endif
