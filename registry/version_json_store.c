/*
 * version_json_store.c: versions as the API shows them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/registry_internal.h"

#include <string.h>

/* Makes one element from a row. */
typedef json_t *(*row_fn)(td_stmt *stmt);

static json_t *row_text(td_stmt *stmt)
{
    return json_string(td_column_text(stmt, "value"));
}

static json_t *row_real(td_stmt *stmt)
{
    return json_real(td_column_real(stmt, "value"));
}

static json_t *row_file(td_stmt *stmt)
{
    size_t size;
    return json_pack("{s:s, s:s, s:I, s:o}", "name", td_column_text(stmt, "name"), "role", td_column_text(stmt, "role"),
                     "size", (json_int_t)td_column_int(stmt, "size"), "digest",
                     td_registry__json_digest(td_column_blob(stmt, "digest", &size)));
}

static json_t *row_approval(td_stmt *stmt)
{
    char key[2 * TD_KEY_ID_SIZE + 1];
    size_t size;
    td_hex_encode(td_column_blob(stmt, "key_id", &size), TD_KEY_ID_SIZE, key);
    return json_pack("{s:s, s:s, s:s, s:o, s:I}", "user", td_column_text(stmt, "user_name"), "key_id", key, "reason",
                     td_column_text(stmt, "reason"), "at", td_registry__json_time(td_column_int(stmt, "approved_ms")),
                     "audit_seq", (json_int_t)td_column_int(stmt, "audit_seq"));
}

static json_t *row_move(td_stmt *stmt)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:I}", "from", td_column_text(stmt, "from_state"), "to",
                     td_column_text(stmt, "to_state"), "by", td_column_text(stmt, "actor"), "reason",
                     td_column_text(stmt, "reason"), "at", td_registry__json_time(td_column_int(stmt, "moved_ms")),
                     "audit_seq", (json_int_t)td_column_int(stmt, "audit_seq"));
}

/* Verdict none: nothing more to tell. */
static json_t *row_scan(td_stmt *stmt)
{
    const char *findings = td_column_text(stmt, "findings");
    json_t *scan = json_pack("{s:s, s:s, s:s, s:s}", "file", td_column_text(stmt, "name"), "format",
                             td_column_text(stmt, "format"), "verdict", td_column_text(stmt, "verdict"), "scanner",
                             td_column_text(stmt, "scanner"));
    json_t *more = NULL;
    if (findings != NULL && td_json_parse(findings, strlen(findings), "findings", &more, NULL) == TD_OK) {
        (void)json_object_update_missing(scan, more);
    }
    json_decref(more);
    return scan;
}

/* Rows of one version into json[name]: an object by column "key" where keyed, else an array. */
static td_code add_rows(json_t *json, const char *name, td_stmt *stmt, row_fn make, bool keyed, td_err *err)
{
    bool row;
    TD_CLEANUP(td_json_done) json_t *rows = keyed ? json_object() : json_array();
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        json_t *element = make(stmt);
        int failed = keyed ? json_object_set_new(rows, td_column_text(stmt, "key"), element)
                           : json_array_append_new(rows, element);
        if (failed) {
            td_reset(stmt);
            return td_registry__json_ok(NULL, err);
        }
        TD_TRY(td_step(stmt, &row, err));
    }
    return json_object_set(json, name, rows) == 0 ? TD_OK : td_registry__json_ok(NULL, err);
}

typedef struct part {
    const char *name;
    const char *sql;
    row_fn make;
    bool keyed;
} part;

static const char tags_sql[] = "SELECT key, value FROM version_tag WHERE version_id = :version";
static const char metrics_sql[] = "SELECT key, value FROM version_metric WHERE version_id = :version";
static const char params_sql[] = "SELECT key, value FROM version_param WHERE version_id = :version";
static const char aliases_sql[] = "SELECT name AS value FROM alias WHERE version_id = :version ORDER BY name";
static const char files_sql[] =
    "SELECT name, role, size, digest FROM version_file WHERE version_id = :version ORDER BY name";
static const char scans_sql[] =
    "SELECT name, format, verdict, scanner, findings FROM version_scan WHERE version_id = :version ORDER BY name";
static const char approvals_sql[] = "SELECT user_name, key_id, reason, approved_ms, audit_seq FROM approval "
                                    "WHERE version_id = :version ORDER BY audit_seq";
static const char moves_sql[] = "SELECT from_state, to_state, actor, reason, moved_ms, audit_seq FROM version_move "
                                "WHERE version_id = :version ORDER BY move_id";

static const part brief_parts[] = {
    {"tags", tags_sql, row_text, true},
    {"metrics", metrics_sql, row_real, true},
    {"aliases", aliases_sql, row_text, false},
};
static const part full_parts[] = {
    {"params", params_sql, row_text, true}, {"files", files_sql, row_file, false},
    {"scans", scans_sql, row_scan, false},  {"approvals", approvals_sql, row_approval, false},
    {"moves", moves_sql, row_move, false},
};

static td_code add_parts(td_db *db, int64_t version_id, const part *parts, size_t count, json_t *json, td_err *err)
{
    for (size_t i = 0; i < count; i++) {
        td_stmt *stmt;
        TD_TRY(td_db_prepare(db, parts[i].sql, &stmt, err));
        td_bind_int(stmt, ":version", version_id);
        TD_TRY(add_rows(json, parts[i].name, stmt, parts[i].make, parts[i].keyed, err));
    }
    return TD_OK;
}

/* ---- one version ---- */

static json_t *head_json(const td_version *v)
{
    return json_pack(
        "{s:s, s:s, s:I, s:s, s:s, s:s, s:o, s:o, s:o, s:s, s:s?, s:s?, s:s?, s:b, s:o}", "label", v->label, "model",
        v->model, "version", (json_int_t)v->number, "state", td_version_states.names[v->state], "description",
        v->description, "created_by", v->registrar, "created_at", td_registry__json_time(v->created_ms), "submitted_at",
        td_registry__json_time(v->submitted_ms), "decided_at", td_registry__json_time(v->decided_ms), "format",
        v->format, "parent", v->parent, "derived_by", v->derived_by, "cause", v->cause, "quarantined", v->quarantined,
        "content_id", td_registry__json_digest(v->manifest != NULL ? v->manifest_digest : NULL));
}

static td_code add_requirement(const td_version *v, json_t *json, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *runtimes = json_array();
    for (size_t i = 0; i < v->runtime_count; i++) {
        if (json_array_append_new(runtimes, json_string(v->runtimes[i])) != 0) {
            return td_registry__json_ok(NULL, err);
        }
    }
    json_t *requirement = json_pack("{s:s, s:O, s:I}", "hardware", v->hardware, "runtimes", runtimes, "ram_bytes",
                                    (json_int_t)v->ram_bytes);
    return json_object_set_new(json, "requirement", requirement) == 0 ? TD_OK : td_registry__json_ok(NULL, err);
}

static td_code add_digests(const td_version *v, json_t *json, td_err *err)
{
    bool packed = v->manifest != NULL;
    int failed = json_object_set_new(json, "security_counter", json_integer(v->security_counter));
    failed |= json_object_set_new(json, "device_bytes", json_integer((json_int_t)v->device_bytes));
    failed |= json_object_set_new(json, "bundle", td_registry__json_digest(packed ? v->bundle_digest : NULL));
    failed |= json_object_set_new(json, "bundle_size", json_integer((json_int_t)v->bundle_size));
    failed |=
        json_object_set_new(json, "envelope", td_registry__json_digest(v->has_envelope ? v->envelope_digest : NULL));
    failed |=
        json_object_set_new(json, "model_sig", td_registry__json_digest(v->has_model_sig ? v->model_sig_digest : NULL));
    failed |= json_object_set_new(json, "edges", td_registry__json_digest(v->has_edges ? v->edges_digest : NULL));
    return failed == 0 ? TD_OK : td_registry__json_ok(NULL, err);
}

static td_code add_stored_json(json_t *json, const char *name, const char *text, td_err *err)
{
    json_t *value = json_null();
    if (text != NULL) {
        TD_TRY(td_json_parse(text, strlen(text), name, &value, err));
    }
    return json_object_set_new(json, name, value) == 0 ? TD_OK : td_registry__json_ok(NULL, err);
}

static td_code add_facts(td_db *db, int64_t version_id, json_t *json, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT facts, sources FROM version WHERE version_id = :version", &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    TD_TRY(td_step_one(stmt, err, "the version is gone"));
    td_code code = add_stored_json(json, "facts", td_column_text(stmt, "facts"), err);
    code = code == TD_OK ? add_stored_json(json, "sources", td_column_text(stmt, "sources"), err) : code;
    td_reset(stmt);
    return code;
}

td_code td_version_json(td_db *db, const char *project, const char *reference, json_t **out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_version version;
    TD_TRY(td_version_find(db, project, reference, &arena, &version, err));
    TD_CLEANUP(td_json_done) json_t *json = head_json(&version);
    TD_TRY(td_registry__json_ok(json, err));
    TD_TRY(add_requirement(&version, json, err));
    TD_TRY(add_digests(&version, json, err));
    TD_TRY(add_facts(db, version.version_id, json, err));
    TD_TRY(add_parts(db, version.version_id, brief_parts, TD_COUNT_OF(brief_parts), json, err));
    TD_TRY(add_parts(db, version.version_id, full_parts, TD_COUNT_OF(full_parts), json, err));
    *out = json;
    json = NULL;
    return TD_OK;
}

/* ---- one of many ---- */

td_code td_registry__version_brief(td_db *db, int64_t version_id, json_t **out, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_version version;
    TD_TRY(td_registry__version_by_id(db, version_id, &arena, &version, err));
    TD_CLEANUP(td_json_done) json_t *json = head_json(&version);
    TD_TRY(td_registry__json_ok(json, err));
    TD_TRY(add_parts(db, version_id, brief_parts, TD_COUNT_OF(brief_parts), json, err));
    *out = json;
    json = NULL;
    return TD_OK;
}
