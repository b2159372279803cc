/*
 * walk.c: breadth-first walk over the graph, each edge at most once.
 *
 * Devices live long and run one version after another, so a path through a device counts only if it is one in time:
 * an alert of a device comes from what it ran when the alert was raised, not from what it ran before or after. Every
 * other node is of one moment and needs no such rule. (A recursive query cannot keep that window without visiting
 * nodes many times.) SPDX-License-Identifier: Apache-2.0
 */
#include "lineage/internal.h"

#include <stdlib.h>
#include <string.h>

/* A node to expand, and the stretch of time in which it was entered. */
typedef struct td_visit {
    int64_t node_id;
    int64_t from_ms, to_ms;
    int depth;
    bool device;
} td_visit;

typedef struct expansion {
    td_walk *walk;
    td_visit at;
} expansion;

void td_walk_done(td_walk *walk)
{
    free(walk->nodes);
    free(walk->edges);
    free(walk->node_set);
    free(walk->edge_set);
    free(walk->queue);
    walk->nodes = NULL;
    walk->edges = NULL;
    walk->node_set = NULL;
    walk->edge_set = NULL;
    walk->queue = NULL;
}

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory to walk the lineage graph");
}

/* Makes room for one more item. */
static td_code grow(void **items, size_t count, size_t *room, size_t item_size, td_err *err)
{
    if (count < *room) {
        return TD_OK;
    }
    size_t wanted = *room == 0 ? 64 : 2 * *room;
    void *grown = realloc(*items, wanted * item_size);
    if (grown == NULL) {
        return no_memory(err);
    }
    *items = grown;
    *room = wanted;
    return TD_OK;
}

static size_t slot_of(const int64_t *set, size_t slots, int64_t id)
{
    size_t at = (size_t)((uint64_t)id * 0x9e3779b97f4a7c15ULL >> 20) & (slots - 1);
    while (set[at] != 0 && set[at] != id) {
        at = (at + 1) & (slots - 1);
    }
    return at;
}

/* *added_out: it was not in the set. `count`: how many are. */
static td_code set_add(int64_t **set, size_t *slots, size_t count, int64_t id, bool *added_out, td_err *err)
{
    if (2 * (count + 1) > *slots) {
        size_t wanted = *slots == 0 ? 256 : 2 * *slots;
        int64_t *bigger = calloc(wanted, sizeof *bigger);
        if (bigger == NULL) {
            return no_memory(err);
        }
        for (size_t i = 0; i < *slots; i++) {
            if ((*set)[i] != 0) {
                bigger[slot_of(bigger, wanted, (*set)[i])] = (*set)[i];
            }
        }
        free(*set);
        *set = bigger;
        *slots = wanted;
    }
    size_t at = slot_of(*set, *slots, id);
    *added_out = (*set)[at] == 0;
    (*set)[at] = id;
    return TD_OK;
}

bool td_walk_has(const td_walk *walk, int64_t node_id)
{
    return walk->node_slots > 0 && walk->node_set[slot_of(walk->node_set, walk->node_slots, node_id)] == node_id;
}

static td_code add_node(td_walk *walk, const td_visit *visit, bool *added_out, td_err *err)
{
    TD_TRY(set_add(&walk->node_set, &walk->node_slots, walk->node_count, visit->node_id, added_out, err));
    if (!*added_out) {
        return TD_OK;
    }
    if (walk->node_count == walk->nodes_max) {
        return td_fail(err, TD_LIMIT, "the answer has more than %zu nodes; ask with a smaller depth",
                       walk->nodes_max);
    }
    TD_TRY(grow((void **)&walk->nodes, walk->node_count, &walk->node_room, sizeof *walk->nodes, err));
    walk->nodes[walk->node_count++] =
        (td_walk_node){.id = visit->node_id, .depth = visit->depth, .device = visit->device};
    return TD_OK;
}

static td_code enqueue(td_walk *walk, const td_visit *visit, td_err *err)
{
    TD_TRY(grow((void **)&walk->queue, walk->queue_count, &walk->queue_room, sizeof *walk->queue, err));
    walk->queue[walk->queue_count++] = *visit;
    return TD_OK;
}

td_code td_walk_start(td_walk *walk, int64_t node_id, td_err *err)
{
    /* A start has no window, not even if it is a device: everything it ever met is asked for. */
    td_visit visit = {.node_id = node_id, .from_ms = INT64_MIN, .to_ms = INT64_MAX};
    bool added = false;
    TD_TRY(add_node(walk, &visit, &added, err));
    return added ? enqueue(walk, &visit, err) : TD_OK;
}

/* Being installed is a state and lasts; everything else on an edge happened at one moment. */
static int64_t lasts_until(const td_step_row *row)
{
    return strcmp(row->kind, "installed") == 0 ? row->ended_at_ms : row->made_at_ms;
}

/* Through a device only what held in the same stretch of time. */
static bool in_window(const td_visit *at, const td_step_row *row)
{
    return !at->device || (row->made_at_ms <= at->to_ms && lasts_until(row) >= at->from_ms);
}

static td_visit enter(const td_visit *at, const td_step_row *row)
{
    return (td_visit){.node_id = row->other_id,
                      .from_ms = row->made_at_ms,
                      .to_ms = lasts_until(row),
                      .depth = at->depth + 1,
                      .device = strcmp(row->other_kind, "device") == 0};
}

static td_code take_edge(void *context, const td_step_row *row, td_err *err)
{
    expansion *now = context;
    td_walk *walk = now->walk;
    bool fresh_edge = false;
    bool fresh_node = false;
    if (!in_window(&now->at, row) || (walk->follow != NULL && !walk->follow(row->kind))) {
        return TD_OK;
    }
    TD_TRY(set_add(&walk->edge_set, &walk->edge_slots, walk->edge_count, row->edge_id, &fresh_edge, err));
    if (!fresh_edge) {
        return TD_OK;
    }
    if (walk->edge_count == TD_WALK_EDGES_MAX) {
        return td_fail(err, TD_LIMIT, "the answer has more than %zu edges; ask with a smaller depth",
                       TD_WALK_EDGES_MAX);
    }
    TD_TRY(grow((void **)&walk->edges, walk->edge_count, &walk->edge_room, sizeof *walk->edges, err));
    walk->edges[walk->edge_count++] = row->edge_id;
    td_visit next = enter(&now->at, row);
    TD_TRY(add_node(walk, &next, &fresh_node, err));
    return fresh_node || next.device ? enqueue(walk, &next, err) : TD_OK;
}

td_code td_walk_run(td_walk *walk, td_err *err)
{
    for (size_t i = 0; i < walk->queue_count; i++) {
        expansion now = {.walk = walk, .at = walk->queue[i]};
        if (now.at.depth < walk->depth_max) {
            TD_TRY(td_lineage__neighbours(walk->db, now.at.node_id, walk->up, take_edge, &now, err));
        }
    }
    return TD_OK;
}
