/*
 * version_find_store.c: from a reference to a version's facts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/registry_internal.h"

#include <stdio.h>
#include <string.h>

#define ALIASES_COMPARED_MAX 100

/* ---- from a reference to a row ---- */

static td_code read_aliases(td_db *db, int64_t model_id, const char **names, td_arena *arena, td_err *err)
{
    td_stmt *stmt;
    bool row;
    size_t count = 0;
    TD_TRY(td_db_prepare(db, "SELECT name FROM alias WHERE model_id = :model ORDER BY name LIMIT 100", &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        names[count] = td_arena_text(arena, td_column_text(stmt, "name"));
        if (names[count] == NULL) {
            td_reset(stmt);
            return td_fail(err, TD_NOMEM, "no memory to read aliases");
        }
        count++;
        TD_TRY(td_step(stmt, &row, err));
    }
    names[count] = NULL;
    return TD_OK;
}

static td_code no_such_alias(td_db *db, const td_reference *ref, int64_t model_id, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    const char *names[ALIASES_COMPARED_MAX + 1];
    TD_TRY(read_aliases(db, model_id, names, &arena, err));
    const char *nearest = td_nearest(ref->alias, names);
    if (nearest != NULL) {
        return td_fail(err, TD_NOT_FOUND, "model %s has no alias \"%s\"; did you mean %s@%s?", ref->model, ref->alias,
                       ref->model, nearest);
    }
    return td_fail(err, TD_NOT_FOUND, "model %s has no alias \"%s\"; set it with `tidemark alias set %s@%s NUMBER`",
                   ref->model, ref->alias, ref->model, ref->alias);
}

static td_code find_alias(td_db *db, const td_reference *ref, int64_t model_id, int64_t *id_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT version_id FROM alias WHERE model_id = :model AND name = :name", &stmt, err));
    td_bind_int(stmt, ":model", model_id);
    td_bind_text(stmt, ":name", ref->alias);
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return no_such_alias(db, ref, model_id, err);
    }
    *id_out = td_column_int(stmt, "version_id");
    td_reset(stmt);
    return TD_OK;
}

static td_code find_number(td_db *db, const td_reference *ref, const td_registry__model *model,
                           int64_t *id_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(
        td_db_prepare(db, "SELECT version_id FROM version WHERE model_id = :model AND number = :number", &stmt, err));
    td_bind_int(stmt, ":model", model->model_id);
    td_bind_int(stmt, ":number", ref->number);
    TD_TRY(td_step(stmt, &row, err));
    if (!row && model->next_number <= 1) {
        return td_fail(err, TD_NOT_FOUND, "model %s has no versions yet", ref->model);
    }
    if (!row) {
        return td_fail(err, TD_NOT_FOUND, "there is no version %s/%lld; the newest is %s/%lld", ref->model,
                       (long long)ref->number, ref->model, (long long)model->next_number - 1);
    }
    *id_out = td_column_int(stmt, "version_id");
    td_reset(stmt);
    return TD_OK;
}

td_code td_registry__version_id(td_db *db, const char *project, const char *reference, int64_t *version_id_out,
                                td_err *err)
{
    td_reference ref;
    td_registry__model model;
    TD_TRY(td_reference_parse(reference, &ref, err));
    TD_TRY(td_registry__model_find_any(db, project, ref.model, &model, err)); /* devices may run what is archived */
    if (ref.alias[0] != '\0') {
        return find_alias(db, &ref, model.model_id, version_id_out, err);
    }
    return find_number(db, &ref, &model, version_id_out, err);
}

/* ---- from a row to facts ---- */

static td_code text_of(td_stmt *stmt, const char *column, td_arena *arena, const char **out, td_err *err)
{
    const char *text = td_column_text(stmt, column);
    *out = td_arena_text(arena, text);
    return text == NULL || *out != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory to read a version");
}

/* Copies a digest; false when the column is NULL. */
static bool digest_of(td_stmt *stmt, const char *column, uint8_t out[TD_DIGEST_SIZE])
{
    size_t size;
    const void *digest = td_column_blob(stmt, column, &size);
    if (digest == NULL || size != TD_DIGEST_SIZE) {
        return false;
    }
    memcpy(out, digest, TD_DIGEST_SIZE);
    return true;
}

static td_code read_texts(td_stmt *stmt, td_arena *arena, td_version *v, td_err *err)
{
    char label[TD_LABEL_SIZE];
    TD_TRY(text_of(stmt, "project", arena, &v->project, err));
    TD_TRY(text_of(stmt, "model", arena, &v->model, err));
    TD_TRY(text_of(stmt, "registrar", arena, &v->registrar, err));
    TD_TRY(text_of(stmt, "format", arena, &v->format, err));
    TD_TRY(text_of(stmt, "description", arena, &v->description, err));
    TD_TRY(text_of(stmt, "cause", arena, &v->cause, err));
    TD_TRY(text_of(stmt, "derived_by", arena, &v->derived_by, err));
    TD_TRY(text_of(stmt, "hardware", arena, &v->hardware, err));
    if (!td_column_null(stmt, "parent_number")) {
        snprintf(label, sizeof label, "%s/%lld", td_column_text(stmt, "parent_model"),
                 (long long)td_column_int(stmt, "parent_number"));
        v->parent = td_arena_text(arena, label);
    }
    snprintf(label, sizeof label, "%s/%lld", v->model, (long long)v->number);
    v->label = td_arena_text(arena, label);
    return v->label != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory to read a version");
}

static td_code read_runtimes(td_stmt *stmt, td_arena *arena, td_version *v, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *list = NULL;
    const char *text = td_column_text(stmt, "runtimes");
    TD_TRY(td_json_parse(text, strlen(text), "runtimes", &list, err));
    for (size_t i = 0; i < json_array_size(list) && i < TD_COUNT_OF(v->runtimes); i++) {
        v->runtimes[i] = td_arena_text(arena, json_string_value(json_array_get(list, i)));
        if (v->runtimes[i] == NULL) {
            return td_fail(err, TD_NOMEM, "no memory to read a version");
        }
        v->runtime_count = i + 1;
    }
    return TD_OK;
}

static td_code read_packed(td_stmt *stmt, td_arena *arena, td_version *v, td_err *err)
{
    const void *manifest = td_column_blob(stmt, "manifest", &v->manifest_size);
    if (manifest != NULL) {
        v->manifest = td_arena_copy(arena, manifest, v->manifest_size);
        if (v->manifest == NULL) {
            return td_fail(err, TD_NOMEM, "no memory to read a manifest");
        }
    }
    (void)digest_of(stmt, "manifest_digest", v->manifest_digest);
    (void)digest_of(stmt, "bundle_digest", v->bundle_digest);
    v->bundle_size = (uint64_t)td_column_int(stmt, "bundle_size");
    v->device_bytes = (uint64_t)td_column_int(stmt, "device_bytes");
    v->has_envelope = digest_of(stmt, "envelope_digest", v->envelope_digest);
    v->envelope_size = (uint32_t)td_column_int(stmt, "envelope_size");
    v->has_model_sig = digest_of(stmt, "model_sig_digest", v->model_sig_digest);
    v->has_edges = digest_of(stmt, "edges_digest", v->edges_digest);
    v->approval_seq = td_column_null(stmt, "approval_seq") ? -1 : td_column_int(stmt, "approval_seq");
    return TD_OK;
}

static td_code read_row(td_stmt *stmt, td_arena *arena, td_version *v, td_err *err)
{
    int state;
    TD_TRY(td_states_parse(&td_version_states, td_column_text(stmt, "state"), &state, err));
    v->version_id = td_column_int(stmt, "version_id");
    v->model_id = td_column_int(stmt, "model_id");
    v->number = td_column_int(stmt, "number");
    v->state = (td_version_state)state;
    v->registrar_id = td_column_int(stmt, "registrar_id");
    v->quarantined = td_column_int(stmt, "quarantined") != 0;
    v->created_ms = td_column_int(stmt, "created_ms");
    v->submitted_ms = td_column_int(stmt, "submitted_ms");
    v->decided_ms = td_column_int(stmt, "decided_ms");
    v->archived_ms = td_column_int(stmt, "archived_ms");
    v->ram_bytes = (uint64_t)td_column_int(stmt, "ram_bytes");
    v->security_counter = (uint32_t)td_column_int(stmt, "security_counter");
    TD_TRY(read_texts(stmt, arena, v, err));
    TD_TRY(read_runtimes(stmt, arena, v, err));
    return read_packed(stmt, arena, v, err);
}

td_code td_registry__version_by_id(td_db *db, int64_t version_id, td_arena *arena, td_version *out, td_err *err)
{
    td_stmt *stmt;
    td_version v = {0};
    TD_TRY(td_db_prepare(
        db,
        "SELECT p.name AS project, m.name AS model, v.version_id, v.model_id, v.number, v.state, v.description, "
        "v.format, v.registrar, v.registrar_id, v.cause, v.hardware, v.runtimes, v.ram_bytes, "
        "v.security_counter, v.edges_digest, v.device_bytes, v.created_ms, v.submitted_ms, v.decided_ms, "
        "v.archived_ms, v.manifest, v.manifest_digest, v.bundle_digest, v.bundle_size, v.envelope_digest, "
        "v.envelope_size, "
        "v.model_sig_digest, v.approval_seq, v.derived_by, "
        "EXISTS (SELECT 1 FROM version_scan s WHERE s.version_id = v.version_id AND s.verdict <> 'none') AS "
        "quarantined, "
        "pv.number AS parent_number, pm.name AS parent_model "
        "FROM version v JOIN model m ON m.model_id = v.model_id JOIN project p ON p.project_id = m.project_id "
        "LEFT JOIN version pv ON pv.version_id = v.parent_id LEFT JOIN model pm ON pm.model_id = pv.model_id "
        "WHERE v.version_id = :version",
        &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    TD_TRY(td_step_one(stmt, err, "there is no version with row %lld", (long long)version_id));
    td_code code = read_row(stmt, arena, &v, err);
    td_reset(stmt);
    if (code == TD_OK) {
        *out = v;
    }
    return code;
}

td_code td_version_find(td_db *db, const char *project, const char *reference, td_arena *arena, td_version *out,
                        td_err *err)
{
    int64_t version_id;
    TD_TRY(td_registry__version_id(db, project, reference, &version_id, err));
    return td_registry__version_by_id(db, version_id, arena, out, err);
}

td_code td_version_of_manifest(td_db *db, const uint8_t manifest_digest[TD_DIGEST_SIZE], td_arena *arena,
                               td_version *out, td_err *err)
{
    td_stmt *stmt;
    char label[TD_DIGEST_LABEL_SIZE];
    td_digest_format(manifest_digest, label);
    TD_TRY(td_db_prepare(db, "SELECT version_id FROM version WHERE manifest_digest = :digest", &stmt, err));
    td_bind_blob(stmt, ":digest", manifest_digest, TD_DIGEST_SIZE);
    TD_TRY(td_step_one(stmt, err, "no version has the content id %s", label));
    int64_t version_id = td_column_int(stmt, "version_id");
    td_reset(stmt);
    return td_registry__version_by_id(db, version_id, arena, out, err);
}

/* ---- files ---- */

static td_code read_file(td_stmt *stmt, td_arena *arena, td_version_file *file, td_err *err)
{
    file->size = (uint64_t)td_column_int(stmt, "size");
    (void)digest_of(stmt, "digest", file->digest);
    TD_TRY(td_file_role_parse(td_column_text(stmt, "role"), &file->role, err));
    return text_of(stmt, "name", arena, &file->name, err);
}

td_code td_version_files(td_db *db, int64_t version_id, td_arena *arena, td_version_file **files_out, size_t *count_out,
                         td_err *err)
{
    td_stmt *stmt;
    bool row;
    size_t count = 0;
    td_version_file *files = td_arena_alloc(arena, TD_MANIFEST_FILES_MAX * sizeof *files);
    if (files == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to read a version's files");
    }
    TD_TRY(td_db_prepare(
        db, "SELECT name, role, size, digest FROM version_file WHERE version_id = :version ORDER BY name", &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    TD_TRY(td_step(stmt, &row, err));
    while (row && count < TD_MANIFEST_FILES_MAX) {
        td_code code = read_file(stmt, arena, &files[count], err);
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
        count++;
        TD_TRY(td_step(stmt, &row, err));
    }
    td_reset(stmt);
    *files_out = files;
    *count_out = count;
    return TD_OK;
}
