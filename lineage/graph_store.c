/*
 * graph_store.c: writing nodes and edges, each idempotent.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lineage/internal.h"

#include <string.h>

typedef struct found_node {
    int64_t id;
    bool has_title, has_digest;
    bool other_digest; /* it has one, and not ours */
} found_node;

/* id 0: not there. */
static td_code find_node(td_db *db, const char *project, const td_lineage_node *node, found_node *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT node_id, title, digest FROM lineage_node "
                         "WHERE project = :project AND kind = :kind AND name = :name",
                         &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":kind", node->kind);
    td_bind_text(stmt, ":name", node->name);
    TD_TRY(td_step(stmt, &row, err));
    found_node found = {.id = 0};
    if (row) {
        size_t size = 0;
        const void *digest = td_column_blob(stmt, "digest", &size);
        found.id = td_column_int(stmt, "node_id");
        found.has_title = !td_column_null(stmt, "title");
        found.has_digest = digest != NULL;
        found.other_digest = digest != NULL && node->digest != NULL &&
                             (size != TD_DIGEST_SIZE || memcmp(digest, node->digest, TD_DIGEST_SIZE) != 0);
    }
    td_reset(stmt);
    *out = found;
    return TD_OK;
}

static td_code insert_node(td_db *db, const char *project, const td_lineage_node *node, int64_t *id_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO lineage_node (project, kind, name, title, digest, made_at_ms) "
                         "VALUES (:project, :kind, :name, :title, :digest, :at)",
                         &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":kind", node->kind);
    td_bind_text(stmt, ":name", node->name);
    td_bind_text(stmt, ":title", node->title);
    td_bind_blob(stmt, ":digest", node->digest, node->digest != NULL ? TD_DIGEST_SIZE : 0);
    td_bind_int(stmt, ":at", td_db_now_ms(db));
    TD_TRY(td_run(stmt, err));
    *id_out = td_db_last_id(db);
    return TD_OK;
}

static td_code fill_node(td_db *db, int64_t id, const td_lineage_node *node, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db,
                      "UPDATE lineage_node SET title = coalesce(title, :title), digest = coalesce(digest, :digest) "
                      "WHERE node_id = :id",
                      &stmt, err));
    td_bind_text(stmt, ":title", node->title);
    td_bind_blob(stmt, ":digest", node->digest, node->digest != NULL ? TD_DIGEST_SIZE : 0);
    td_bind_int(stmt, ":id", id);
    return td_run(stmt, err);
}

td_code td_lineage_node_ensure(td_db *db, const char *project, const td_lineage_node *node, int64_t *id_out,
                               td_err *err)
{
    found_node found;
    TD_TRY(td_lineage__check_node(node, err));
    TD_TRY(find_node(db, project, node, &found, err));
    if (found.other_digest) {
        return td_fail(err, TD_CONFLICT, "the lineage node %s:%.100s is known with another digest", node->kind,
                       node->name);
    }
    if (found.id == 0) {
        TD_TRY(insert_node(db, project, node, &found.id, err));
    } else if ((!found.has_title && node->title != NULL) || (!found.has_digest && node->digest != NULL)) {
        TD_TRY(fill_node(db, found.id, node, err));
    }
    if (id_out != NULL) {
        *id_out = found.id;
    }
    return TD_OK;
}

static td_code insert_edge(td_db *db, int64_t from_id, int64_t to_id, const char *kind, const char *run, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO lineage_edge (from_id, to_id, kind, run, made_at_ms) "
                         "VALUES (:from, :to, :kind, :run, :at) ON CONFLICT DO NOTHING",
                         &stmt, err));
    td_bind_int(stmt, ":from", from_id);
    td_bind_int(stmt, ":to", to_id);
    td_bind_text(stmt, ":kind", kind);
    td_bind_text(stmt, ":run", run != NULL ? run : "");
    td_bind_int(stmt, ":at", td_db_now_ms(db));
    return td_run(stmt, err);
}

td_code td_lineage_edge_add(td_db *db, const char *project, const td_lineage_node *from, const td_lineage_node *to,
                            const char *kind, const char *run, td_err *err)
{
    int64_t from_id = 0;
    int64_t to_id = 0;
    if (!td_lineage__edge_kind(kind)) {
        return td_fail(err, TD_INVALID, "unknown kind of lineage edge \"%.40s\"", kind != NULL ? kind : "");
    }
    TD_TRY(td_lineage_node_ensure(db, project, from, &from_id, err));
    TD_TRY(td_lineage_node_ensure(db, project, to, &to_id, err));
    if (from_id == to_id) {
        return td_fail(err, TD_INVALID, "the lineage node %s:%.100s cannot come from itself", to->kind, to->name);
    }
    return insert_edge(db, from_id, to_id, kind, run, err);
}

td_code td_lineage_edges_end(td_db *db, const char *project, const char *kind, const td_lineage_node *to,
                             const td_lineage_node *keep_from, td_err *err)
{
    found_node target;
    found_node keep = {.id = 0};
    TD_TRY(find_node(db, project, to, &target, err));
    if (keep_from != NULL) {
        TD_TRY(find_node(db, project, keep_from, &keep, err));
    }
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE lineage_edge SET ended_at_ms = :at WHERE to_id = :to AND kind = :kind "
                         "AND from_id <> :keep AND ended_at_ms IS NULL",
                         &stmt, err));
    td_bind_int(stmt, ":at", td_db_now_ms(db));
    td_bind_int(stmt, ":to", target.id);
    td_bind_text(stmt, ":kind", kind);
    td_bind_int(stmt, ":keep", keep.id);
    return td_run(stmt, err);
}

td_code td_lineage_model_renamed(td_db *db, const char *project, const char *name, const char *new_name, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE lineage_node SET name = :new || substr(name, length(:old) + 1) "
                         "WHERE project = :project AND kind = 'version' AND name > :old || '/' AND name < :old || '0'",
                         &stmt, err));
    td_bind_text(stmt, ":new", new_name);
    td_bind_text(stmt, ":old", name); /* '0' is what follows '/' */
    td_bind_text(stmt, ":project", project);
    return td_run(stmt, err);
}
