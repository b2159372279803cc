/*
 * walk_store.c: what a walk reads: neighbours, starting points, and the facts of what it met.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lineage/internal.h"

#include <stdio.h>
#include <string.h>

static td_code prepare_neighbours(td_db *db, bool up, td_stmt **out, td_err *err)
{
    if (up) {
        return td_db_prepare(
            db,
            "SELECT e.edge_id AS edge_id, e.from_id AS other_id, e.kind AS kind, n.kind AS other_kind, "
            "e.made_at_ms AS made_at_ms, coalesce(e.ended_at_ms, 9223372036854775807) AS ended_at_ms "
            "FROM lineage_edge e JOIN lineage_node n ON n.node_id = e.from_id "
            "WHERE e.to_id = :id ORDER BY e.edge_id",
            out, err);
    }
    return td_db_prepare(db,
                         "SELECT e.edge_id AS edge_id, e.to_id AS other_id, e.kind AS kind, n.kind AS other_kind, "
                         "e.made_at_ms AS made_at_ms, coalesce(e.ended_at_ms, 9223372036854775807) AS ended_at_ms "
                         "FROM lineage_edge e JOIN lineage_node n ON n.node_id = e.to_id "
                         "WHERE e.from_id = :id ORDER BY e.edge_id",
                         out, err);
}

td_code td_lineage__neighbours(td_db *db, int64_t node_id, bool up, td_step_visit visit, void *context, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(prepare_neighbours(db, up, &stmt, err));
    td_bind_int(stmt, ":id", node_id);
    for (;;) {
        bool more;
        TD_TRY(td_step(stmt, &more, err));
        if (!more) {
            return TD_OK;
        }
        td_step_row row = {.edge_id = td_column_int(stmt, "edge_id"),
                           .other_id = td_column_int(stmt, "other_id"),
                           .kind = td_column_text(stmt, "kind"),
                           .other_kind = td_column_text(stmt, "other_kind"),
                           .made_at_ms = td_column_int(stmt, "made_at_ms"),
                           .ended_at_ms = td_column_int(stmt, "ended_at_ms")};
        td_code code = visit(context, &row, err);
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
    }
}

/* A dataset's name alone means all its digests: "NAME@" and twelve hexadecimal digits. */
static td_code prepare_find(td_db *db, bool dataset, td_stmt **out, td_err *err)
{
    if (dataset) {
        return td_db_prepare(db,
                             "SELECT node_id FROM lineage_node WHERE project = :project AND kind = :kind "
                             "AND (name = :name OR (name > :name || '@' AND name < :name || 'A' "
                             "AND length(name) = length(:name) + 13)) ORDER BY node_id",
                             out, err);
    }
    return td_db_prepare(
        db, "SELECT node_id FROM lineage_node WHERE project = :project AND kind = :kind AND name = :name", out, err);
}

static td_code visit_found(td_stmt *stmt, td_code (*visit)(void *, int64_t, td_err *), void *context, int *count_out,
                           td_err *err)
{
    for (;;) {
        bool row;
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        TD_TRY(visit(context, td_column_int(stmt, "node_id"), err));
        (*count_out)++;
    }
}

td_code td_lineage__find(td_db *db, const char *project, const char *text,
                         td_code (*visit)(void *, int64_t, td_err *), void *context, td_err *err)
{
    char kind[16];
    const char *name = NULL;
    td_stmt *stmt;
    int count = 0;
    TD_TRY(td_lineage__parse(text, kind, &name, err));
    TD_TRY(prepare_find(db, strcmp(kind, "dataset") == 0, &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":kind", kind);
    td_bind_text(stmt, ":name", name);
    td_code code = visit_found(stmt, visit, context, &count, err);
    td_reset(stmt);
    TD_TRY(code);
    return count > 0 ? TD_OK
                     : td_fail(err, TD_NOT_FOUND, "the lineage graph of project %s has no %s \"%.120s\"", project,
                               kind, name);
}

/* Sets key to an owned value. */
static bool put(json_t *object, const char *key, json_t *owned)
{
    return owned != NULL && json_object_set_new(object, key, owned) == 0;
}

static json_t *time_or_null(int64_t at_ms, bool null)
{
    char text[32];
    if (null) {
        return json_null();
    }
    td_format_time(at_ms, text);
    return json_string(text);
}

static json_t *text_or_null(const char *text)
{
    return text != NULL && text[0] != '\0' ? json_string(text) : json_null();
}

static json_t *digest_or_null(const void *digest, size_t size)
{
    char text[8 + TD_DIGEST_TEXT] = "sha256:";
    if (digest == NULL || size != TD_DIGEST_SIZE) {
        return json_null();
    }
    td_hex_encode(digest, TD_DIGEST_SIZE, text + 7);
    return json_string(text);
}

static json_t *node_of_row(td_stmt *stmt)
{
    size_t size = 0;
    const void *digest = td_column_blob(stmt, "digest", &size);
    const char *kind = td_column_text(stmt, "kind");
    const char *name = td_column_text(stmt, "name");
    json_t *json = json_object();
    bool good = json != NULL && put(json, "node", json_sprintf("%s:%s", kind, name)) &&
                put(json, "kind", json_string(kind)) && put(json, "name", json_string(name)) &&
                put(json, "title", text_or_null(td_column_text(stmt, "title"))) &&
                put(json, "digest", digest_or_null(digest, size)) &&
                put(json, "made_at", time_or_null(td_column_int(stmt, "made_at_ms"), false));
    if (!good) {
        json_decref(json);
        return NULL;
    }
    return json;
}

td_code td_lineage__node_json(td_db *db, int64_t node_id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT kind, name, title, digest, made_at_ms FROM lineage_node WHERE node_id = :id",
                         &stmt, err));
    td_bind_int(stmt, ":id", node_id);
    TD_TRY(td_step_one(stmt, err, "the lineage graph has no node %lld", (long long)node_id));
    json_t *json = node_of_row(stmt);
    td_reset(stmt);
    if (json == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a lineage node");
    }
    *out = json;
    return TD_OK;
}

td_code td_lineage__edge_json(td_db *db, int64_t edge_id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db,
                      "SELECT f.kind || ':' || f.name AS source, t.kind || ':' || t.name AS target, e.kind AS kind, "
                      "e.run AS run, e.made_at_ms AS made_at_ms, e.ended_at_ms AS ended_at_ms "
                      "FROM lineage_edge e JOIN lineage_node f ON f.node_id = e.from_id "
                      "JOIN lineage_node t ON t.node_id = e.to_id WHERE e.edge_id = :id",
                      &stmt, err));
    td_bind_int(stmt, ":id", edge_id);
    TD_TRY(td_step_one(stmt, err, "the lineage graph has no edge %lld", (long long)edge_id));
    json_t *json = json_object();
    bool good =
        json != NULL && put(json, "from", json_string(td_column_text(stmt, "source"))) &&
        put(json, "to", json_string(td_column_text(stmt, "target"))) &&
        put(json, "kind", json_string(td_column_text(stmt, "kind"))) &&
        put(json, "run", text_or_null(td_column_text(stmt, "run"))) &&
        put(json, "made_at", time_or_null(td_column_int(stmt, "made_at_ms"), false)) &&
        put(json, "ended_at", time_or_null(td_column_int(stmt, "ended_at_ms"), td_column_null(stmt, "ended_at_ms")));
    td_reset(stmt);
    if (!good) {
        json_decref(json);
        return td_fail(err, TD_NOMEM, "no memory for a lineage edge");
    }
    *out = json;
    return TD_OK;
}
