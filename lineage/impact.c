/*
 * impact.c: what a dataset (or any node) reached: versions, bundles, roll-outs, and the devices that ran them, now or
 * ever.
 *
 * Only edges of matter are followed: what was made of it, packed with it, installed. An alert or an approval passes
 * nothing on. A version that was reached only because its parent was is marked as not direct.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lineage/internal.h"

#include <string.h>

static bool passes_directly(const char *kind)
{
    static const char *const kinds[] = {"input", "code", "output", "derived", "packed", "rolled_out", "installed"};
    for (size_t i = 0; i < TD_COUNT_OF(kinds); i++) {
        if (strcmp(kind, kinds[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool passes_on(const char *kind)
{
    return passes_directly(kind) || strcmp(kind, "parent") == 0;
}

static td_code start_at(void *context, int64_t node_id, td_err *err)
{
    return td_walk_start(context, node_id, err);
}

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory for a lineage answer");
}

static td_code walk_matter(td_db *db, const char *project, const char *node, bool (*follow)(const char *),
                           td_walk *walk, td_err *err)
{
    *walk =
        (td_walk){.db = db, .depth_max = TD_LINEAGE_DEPTH_MAX, .nodes_max = TD_IMPACT_NODES_MAX, .follow = follow};
    TD_TRY(td_lineage__find(db, project, node, start_at, walk, err));
    return td_walk_run(walk, err);
}

/* The array of the answer for a kind of node, or NULL for kinds that are not listed. */
static json_t *list_for(json_t *answer, const char *kind)
{
    static const char *const lists[][2] = {{"dataset", "datasets"},
                                           {"version", "versions"},
                                           {"bundle", "bundles"},
                                           {"rollout", "rollouts"},
                                           {"run", "runs"}};
    for (size_t i = 0; i < TD_COUNT_OF(lists); i++) {
        if (strcmp(kind, lists[i][0]) == 0) {
            return json_object_get(answer, lists[i][1]);
        }
    }
    return NULL;
}

static td_code add_node(json_t *answer, const td_walk *all, const td_walk *direct, size_t i, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_TRY(td_lineage__node_json(all->db, all->nodes[i].id, &json, err));
    json_t *list = all->nodes[i].depth == 0 ? json_object_get(answer, "roots")
                                            : list_for(answer, td_json_text(json, "kind", ""));
    bool is_direct = td_walk_has(direct, all->nodes[i].id);
    if (list != NULL &&
        (json_object_set_new(json, "direct", json_boolean(is_direct)) != 0 || json_array_append(list, json) != 0)) {
        return no_memory(err);
    }
    return TD_OK;
}

/* The device's entry in `devices` (an object by name), made if need be. Borrowed. */
static json_t *device_entry(json_t *devices, const char *name)
{
    json_t *entry = json_object_get(devices, name);
    if (entry == NULL) {
        entry = json_pack("{s:s, s:[], s:b, s:n, s:n}", "device", name, "versions", "now", 0, "first_at", "last_at");
        if (entry == NULL || json_object_set_new(devices, name, entry) != 0) {
            return NULL;
        }
    }
    return entry;
}

/* Folds one "installed" edge into the device's entry. Times compare as text: they are of one form. */
static bool fold(json_t *entry, const char *version, const json_t *edge)
{
    json_t *versions = json_object_get(entry, "versions");
    json_t *made = json_object_get(edge, "made_at");
    json_t *ended = json_object_get(edge, "ended_at");
    const char *first = td_json_text(entry, "first_at", NULL);
    const char *last = td_json_text(entry, "last_at", NULL);
    bool known = false;
    for (size_t i = 0; i < json_array_size(versions); i++) {
        known = known || strcmp(json_string_value(json_array_get(versions, i)), version) == 0;
    }
    bool good = known || json_array_append_new(versions, json_string(version)) == 0;
    if (first == NULL || strcmp(json_string_value(made), first) < 0) {
        good = good && json_object_set(entry, "first_at", made) == 0;
    }
    if (json_is_null(ended)) {
        good = good && json_object_set_new(entry, "now", json_true()) == 0 &&
               json_object_set_new(entry, "last_at", json_null()) == 0;
    } else if (!td_json_bool(entry, "now", false) && (last == NULL || strcmp(json_string_value(ended), last) > 0)) {
        good = good && json_object_set(entry, "last_at", ended) == 0;
    }
    return good;
}

static td_code add_installation(json_t *devices, td_db *db, int64_t edge_id, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *edge = NULL;
    TD_TRY(td_lineage__edge_json(db, edge_id, &edge, err));
    if (strcmp(td_json_text(edge, "kind", ""), "installed") != 0) {
        return TD_OK;
    }
    const char *device = strchr(td_json_text(edge, "to", ":"), ':') + 1;
    const char *version = strchr(td_json_text(edge, "from", ":"), ':') + 1;
    json_t *entry = device_entry(devices, device);
    return entry != NULL && fold(entry, version, edge) ? TD_OK : no_memory(err);
}

static td_code add_devices(json_t *answer, const td_walk *all, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *devices = json_object();
    for (size_t i = 0; devices != NULL && i < all->edge_count; i++) {
        TD_TRY(add_installation(devices, all->db, all->edges[i], err));
    }
    const char *name;
    json_t *entry;
    json_object_foreach(devices, name, entry)
    {
        if (json_array_append(json_object_get(answer, "devices"), entry) != 0) {
            return no_memory(err);
        }
    }
    return devices != NULL ? TD_OK : no_memory(err);
}

td_code td_lineage_impact_json(td_db *db, const char *project, const char *node, json_t **out, td_err *err)
{
    TD_CLEANUP(td_walk_done) td_walk all = {.db = NULL};
    TD_CLEANUP(td_walk_done) td_walk direct = {.db = NULL};
    TD_TRY(walk_matter(db, project, node, passes_on, &all, err));
    TD_TRY(walk_matter(db, project, node, passes_directly, &direct, err));
    TD_CLEANUP(td_json_done)
    json_t *answer = json_pack("{s:s, s:[], s:[], s:[], s:[], s:[], s:[], s:[]}", "node", node, "roots", "datasets",
                               "runs", "versions", "bundles", "rollouts", "devices");
    if (answer == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < all.node_count; i++) {
        TD_TRY(add_node(answer, &all, &direct, i, err));
    }
    TD_TRY(add_devices(answer, &all, err));
    *out = answer;
    answer = NULL;
    return TD_OK;
}
