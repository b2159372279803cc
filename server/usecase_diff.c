/*
 * usecase_diff.c: what differs between two versions, over all records: registry, baseline, lineage.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lineage/lineage.h"
#include "monitor/baseline.h"
#include "registry/diff.h"
#include "server/usecase.h"

#include <string.h>

/* One of the two. */
typedef struct side {
    td_version version;
    json_t *json, *baseline, *sources; /* baseline NULL: it has none */
} side;

static void side_done(side *one)
{
    json_decref(one->json);
    json_decref(one->baseline);
    json_decref(one->sources);
}

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory to compare versions");
}

static td_code read_baseline(const td_case *work, side *one, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    bool there;
    TD_TRY(td_case_baseline(work, one->version.version_id, &bytes, &there, err));
    return there ? td_baseline_json(bytes.data, bytes.size, &one->baseline, err) : TD_OK;
}

/* What the version was made from: everything one edge upwards but people's approvals. */
static td_code read_sources(const td_case *work, side *one, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *graph = NULL;
    const char *node = td_arena_text(work->arena, one->version.label);
    TD_TRY(td_lineage_show_json(work->db, work->project, node, TD_LINEAGE_UP, 1, &graph, err));
    one->sources = json_array();
    size_t i;
    json_t *each;
    json_array_foreach (json_object_get(graph, "nodes"), i, each) {
        const char *kind = td_json_text(each, "kind", "");
        if (td_json_int(each, "depth", 0) == -1 && strcmp(kind, "approval") != 0) {
            (void)json_array_append_new(one->sources,
                                        json_pack("{s:s, s:s, s:O?}", "name", td_json_text(each, "node", ""), "kind",
                                                  kind, "digest", json_object_get(each, "digest")));
        }
    }
    return one->sources != NULL ? TD_OK : no_memory(err);
}

static td_code read_side(const td_case *work, const char *reference, side *out, td_err *err)
{
    TD_TRY(td_version_find(work->db, work->project, reference, work->arena, &out->version, err));
    TD_TRY(td_version_json(work->db, work->project, out->version.label, &out->json, err));
    TD_TRY(read_baseline(work, out, err));
    return read_sources(work, out, err);
}

/* ---- baselines ---- */

/* A feature by what devices count with: its name, type, and where its bins end. */
static int add_stream(json_t *streams, const json_t *stream, const char *name)
{
    static const char *const keys[] = {"type", "edges", "categories"};
    if (!json_is_object(stream)) {
        return 0;
    }
    json_t *bare = json_pack("{s:s}", "name", name);
    for (size_t i = 0; i < TD_COUNT_OF(keys); i++) {
        json_t *value = json_object_get(stream, keys[i]);
        (void)(value != NULL ? json_object_set(bare, keys[i], value) : 0);
    }
    return json_array_append_new(streams, bare);
}

static json_t *streams_of(const json_t *baseline)
{
    size_t i;
    json_t *feature, *streams = json_array();
    json_array_foreach (json_object_get(baseline, "features"), i, feature) {
        (void)add_stream(streams, feature, td_json_text(feature, "name", "?"));
    }
    (void)add_stream(streams, json_object_get(baseline, "prediction"), "(prediction)");
    (void)add_stream(streams, json_object_get(baseline, "score"), "(score)");
    return streams;
}

static td_code add_baseline(const side *from, const side *to, json_t *diff, td_err *err)
{
    static const char *const keys[] = {"rows", "accuracy", "positive_class", "decision_threshold"};
    TD_CLEANUP(td_json_done) json_t *before = streams_of(from->baseline);
    TD_CLEANUP(td_json_done) json_t *after = streams_of(to->baseline);
    TD_CLEANUP(td_json_done) json_t *old = json_object();
    TD_CLEANUP(td_json_done) json_t *new = json_object();
    for (size_t i = 0; i < TD_COUNT_OF(keys); i++) {
        (void)json_object_set(old, keys[i], json_object_get(from->baseline, keys[i]));
        (void)json_object_set(new, keys[i], json_object_get(to->baseline, keys[i]));
    }
    json_t *features = NULL, *facts = NULL;
    TD_TRY(td_diff_lists(before, after, "name", &features, err));
    td_code code = td_diff_maps(old, new, &facts, err);
    if (code != TD_OK) {
        json_decref(features);
        return code;
    }
    bool same = from->version.has_edges == to->version.has_edges &&
                memcmp(from->version.edges_digest, to->version.edges_digest, TD_DIGEST_SIZE) == 0;
    json_t *part = json_pack("{s:b, s:b, s:b, s:o, s:o}", "from", from->baseline != NULL, "to", to->baseline != NULL,
                             "same_edges", same, "facts", facts, "features", features);
    return part != NULL && json_object_set_new(diff, "baseline", part) == 0 ? TD_OK : no_memory(err);
}

td_code td_compare(const td_case *work, const char *from, const char *to, json_t **out, td_err *err)
{
    TD_CLEANUP(side_done) side before = {.json = NULL}, after = {.json = NULL};
    TD_TRY(read_side(work, from, &before, err));
    TD_TRY(read_side(work, to, &after, err));
    TD_CLEANUP(td_json_done) json_t *diff = NULL;
    json_t *lineage;
    TD_TRY(td_version_diff(before.json, after.json, &diff, err));
    TD_TRY(add_baseline(&before, &after, diff, err));
    TD_TRY(td_diff_lists(before.sources, after.sources, "name", &lineage, err));
    if (json_object_set_new(diff, "lineage", lineage) != 0) {
        return no_memory(err);
    }
    *out = json_incref(diff);
    return TD_OK;
}
