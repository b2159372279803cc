/*
 * show.c: the graph around a node, as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lineage/internal.h"

#include <string.h>

static td_code start_at(void *context, int64_t node_id, td_err *err)
{
    return td_walk_start(context, node_id, err);
}

static td_code append(json_t *array, json_t *owned, td_err *err)
{
    return json_array_append_new(array, owned) == 0 ? TD_OK
                                                    : td_fail(err, TD_NOMEM, "no memory for a lineage answer");
}

/* Appends what the walk met; `skip` (may be NULL) is an earlier walk whose nodes are in the array already. */
static td_code add_nodes(const td_walk *walk, const td_walk *skip, json_t *nodes, td_err *err)
{
    for (size_t i = 0; i < walk->node_count; i++) {
        json_t *json = NULL;
        if (skip != NULL && td_walk_has(skip, walk->nodes[i].id)) {
            continue;
        }
        TD_TRY(td_lineage__node_json(walk->db, walk->nodes[i].id, &json, err));
        int depth = walk->up ? -walk->nodes[i].depth : walk->nodes[i].depth;
        if (json_object_set_new(json, "depth", json_integer(depth)) != 0) {
            json_decref(json);
            return td_fail(err, TD_NOMEM, "no memory for a lineage answer");
        }
        TD_TRY(append(nodes, json, err));
    }
    return TD_OK;
}

static bool has_edge(const td_walk *walk, int64_t edge_id)
{
    for (size_t i = 0; i < walk->edge_count; i++) {
        if (walk->edges[i] == edge_id) {
            return true;
        }
    }
    return false;
}

static td_code add_edges(const td_walk *walk, const td_walk *skip, json_t *edges, td_err *err)
{
    for (size_t i = 0; i < walk->edge_count; i++) {
        json_t *json = NULL;
        if (skip != NULL && has_edge(skip, walk->edges[i])) {
            continue;
        }
        TD_TRY(td_lineage__edge_json(walk->db, walk->edges[i], &json, err));
        TD_TRY(append(edges, json, err));
    }
    return TD_OK;
}

typedef struct question {
    td_db *db;
    const char *project, *node;
    td_lineage_direction direction;
    int depth;
} question;

static td_code walk_from(const question *asked, bool up, td_walk *walk, td_err *err)
{
    *walk = (td_walk){.db = asked->db, .up = up, .depth_max = asked->depth, .nodes_max = TD_LINEAGE_NODES_MAX};
    TD_TRY(td_lineage__find(asked->db, asked->project, asked->node, start_at, walk, err));
    return td_walk_run(walk, err);
}

static td_code answer_question(const question *asked, json_t *nodes, json_t *edges, td_err *err)
{
    TD_CLEANUP(td_walk_done) td_walk up = {.db = NULL};
    TD_CLEANUP(td_walk_done) td_walk down = {.db = NULL};
    const td_walk *skip = NULL;
    if (asked->direction != TD_LINEAGE_DOWN) {
        TD_TRY(walk_from(asked, true, &up, err));
        TD_TRY(add_nodes(&up, NULL, nodes, err));
        TD_TRY(add_edges(&up, NULL, edges, err));
        skip = &up;
    }
    if (asked->direction != TD_LINEAGE_UP) {
        TD_TRY(walk_from(asked, false, &down, err));
        TD_TRY(add_nodes(&down, skip, nodes, err));
        TD_TRY(add_edges(&down, skip, edges, err));
    }
    return TD_OK;
}

td_code td_lineage_show_json(td_db *db, const char *project, const char *node, td_lineage_direction direction,
                             int depth, json_t **out, td_err *err)
{
    char kind[16];
    const char *name = NULL;
    TD_TRY(td_lineage__parse(node, kind, &name, err));
    if (depth < 0 || depth > TD_LINEAGE_DEPTH_MAX) {
        return td_fail(err, TD_INVALID, "depth is 0 (all) to %d, not %d", TD_LINEAGE_DEPTH_MAX, depth);
    }
    question asked = {db, project, node, direction, depth > 0 ? depth : TD_LINEAGE_DEPTH_MAX};
    TD_CLEANUP(td_json_done)
    json_t *answer = json_pack("{s:o, s:[], s:[]}", "node", json_sprintf("%s:%s", kind, name), "nodes", "edges");
    if (answer == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a lineage answer");
    }
    TD_TRY(answer_question(&asked, json_object_get(answer, "nodes"), json_object_get(answer, "edges"), err));
    *out = answer;
    answer = NULL;
    return TD_OK;
}
