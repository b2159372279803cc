/*
 * version_store.c: registering: a version with its files, numbers and texts, by a number that is never used again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "registry/mlflow.h"
#include "registry/registry_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is known once the options were checked. */
typedef struct plan {
    const char *project;
    const td_version_options *options;
    td_registry__model model;
    int64_t number, parent_id;  /* parent 0: none */
    char parent[TD_LABEL_SIZE]; /* its label, whatever it was called by; "" */
    uint32_t counter;
    td_version_file files[TD_MANIFEST_FILES_MAX]; /* names are final */
    char names[TD_MANIFEST_FILES_MAX][TD_FILE_NAME_MAX + 1];
} plan;

static void free_plan(plan **p)
{
    free(*p);
    *p = NULL;
}

/* ---- files ---- */

static const char *const role_folders[TD_FILE_ROLE_COUNT] = {"model/", "", "meta/", "golden/"};

static td_code final_name(const td_version_file *file, char out[TD_FILE_NAME_MAX + 1], td_err *err)
{
    if (file->role < 0 || file->role >= TD_FILE_ROLE_COUNT) {
        return td_fail(err, TD_INVALID, "file \"%.60s\" has no known role", file->name);
    }
    const char *folder = role_folders[file->role];
    const char *name = file->role == TD_FILE_BASELINE ? "baseline.pb" : file->name;
    const char *prefix = strncmp(name, folder, strlen(folder)) == 0 ? "" : folder;
    int length = snprintf(out, TD_FILE_NAME_MAX + 1, "%s%s", prefix, name);
    if (length < 0 || length > TD_FILE_NAME_MAX) {
        return td_fail(err, TD_INVALID, "the file name \"%.60s…\" is longer than %d characters", name,
                       TD_FILE_NAME_MAX);
    }
    return td_check_file_name(out, (size_t)length, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const td_version_file *)a)->name, ((const td_version_file *)b)->name);
}

/* Its files lie elsewhere, or it is words alone. */
static bool is_reference(const td_version_options *options)
{
    return options->origin != NULL && options->origin->reference;
}

static td_code check_roles(const plan *p, td_err *err)
{
    size_t roles[TD_FILE_ROLE_COUNT] = {0};
    for (size_t i = 0; i < p->options->file_count; i++) {
        roles[p->files[i].role]++;
        if (i > 0 && strcmp(p->files[i - 1].name, p->files[i].name) == 0) {
            return td_fail(err, TD_INVALID, "the file \"%s\" is given twice", p->files[i].name);
        }
    }
    if (roles[TD_FILE_MODEL] == 0 && !is_reference(p->options)) {
        return td_fail(err, TD_INVALID, "a version needs at least one model file");
    }
    bool edges = p->options->edges_digest != NULL;
    if ((roles[TD_FILE_BASELINE] == 1) != edges) {
        return td_fail(err, TD_INVALID,
                       "a baseline and the digest of its edges go together: found %zu baseline files and %s "
                       "digest",
                       roles[TD_FILE_BASELINE], edges ? "a" : "no");
    }
    return TD_OK;
}

static td_code plan_files(plan *p, td_err *err)
{
    size_t count = p->options->file_count;
    size_t least = is_reference(p->options) ? 0 : 1;
    if (count < least || count > TD_MANIFEST_FILES_MAX - 8) { /* packing adds files of its own */
        return td_fail(err, TD_INVALID, "a version has 1 to %d files, not %zu", TD_MANIFEST_FILES_MAX - 8, count);
    }
    for (size_t i = 0; i < count; i++) {
        TD_TRY(final_name(&p->options->files[i], p->names[i], err));
        p->files[i] = p->options->files[i];
        p->files[i].name = p->names[i];
    }
    qsort(p->files, count, sizeof p->files[0], by_name);
    return check_roles(p, err);
}

static td_code insert_files(td_db *db, const plan *p, int64_t version_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO version_file (version_id, name, role, size, digest) "
                         "VALUES (:version, :name, :role, :size, :digest)",
                         &stmt, err));
    for (size_t i = 0; i < p->options->file_count; i++) {
        const td_version_file *file = &p->files[i];
        td_bind_int(stmt, ":version", version_id);
        td_bind_text(stmt, ":name", file->name);
        td_bind_text(stmt, ":role", td_file_role_names[file->role]);
        td_bind_int(stmt, ":size", (int64_t)file->size);
        td_bind_blob(stmt, ":digest", file->digest, TD_DIGEST_SIZE);
        TD_TRY(td_run(stmt, err));
    }
    return TD_OK;
}

/* p->names are in the order of the options. */
static td_code insert_scans(td_db *db, const plan *p, int64_t version_id, td_err *err)
{
    for (size_t i = 0; i < p->options->found_count && i < p->options->file_count; i++) {
        TD_TRY(td_registry__scan_write(db, version_id, p->names[i], &p->options->found[i], err));
    }
    return TD_OK;
}

/* ---- the row ---- */

static td_code plan_model(td_db *db, const td_actor *actor, plan *p, td_err *err)
{
    const char *name = p->options->model;
    TD_TRY(td_model_name_check(name, err));
    td_err missing;
    td_code code = td_registry__model_find(db, p->project, name, &p->model, &missing);
    if (code == TD_NOT_FOUND && p->options->create_model) {
        td_model_options options = {.name = name};
        TD_TRY(td_registry__model_insert(db, actor, p->project, &options, err));
        return td_registry__model_find(db, p->project, name, &p->model, err);
    }
    return code == TD_OK ? TD_OK : td_fail(err, code, "%s", missing.text);
}

static td_code plan_counter(plan *p, td_err *err)
{
    uint32_t floor = (uint32_t)p->model.security_counter;
    p->counter = p->options->security_counter != 0 ? p->options->security_counter : floor;
    if (p->counter < floor) {
        return td_fail(err, TD_INVALID,
                       "security counter %u is lower than that of an approved version of %s (%u): devices would "
                       "refuse it",
                       p->counter, p->options->model, floor);
    }
    return TD_OK;
}

static td_code plan_parent(td_db *db, plan *p, td_err *err)
{
    if (p->options->parent == NULL) {
        return TD_OK;
    }
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_version parent;
    if (td_version_find(db, p->project, p->options->parent, &arena, &parent, err) != TD_OK) {
        return td_wrap(err, "parent");
    }
    p->parent_id = parent.version_id;
    snprintf(p->parent, sizeof p->parent, "%s", parent.label);
    return TD_OK;
}

static td_code take_number(td_db *db, plan *p, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE model SET next_number = next_number + 1 WHERE model_id = :model RETURNING next_number",
                         &stmt, err));
    td_bind_int(stmt, ":model", p->model.model_id);
    TD_TRY(td_step_one(stmt, err, "model \"%s\" is gone", p->options->model));
    p->number = td_column_int(stmt, "next_number") - 1;
    td_reset(stmt);
    int64_t wanted = p->options->number;
    if (wanted == 0 || wanted == p->number) {
        return TD_OK;
    }
    const char *model = p->options->model;
    return wanted < p->number
               ? td_fail(err, TD_CONFLICT, "%s/%lld was given out already; leave the version's number out, or say %lld",
                         model, (long long)wanted, (long long)p->number)
               : td_fail(err, TD_CONFLICT, "the next version of %s is %lld, not %lld: numbers are given in order",
                         model, (long long)p->number, (long long)wanted);
}

static td_code json_column(td_stmt *stmt, const char *column, const json_t *json, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {.limit = TD_FACTS_BYTES_MAX};
    if (json == NULL) {
        td_bind_null(stmt, column);
        return TD_OK;
    }
    if (td_json_write(json, &text, err) != TD_OK) {
        return td_wrap(err, "%s of the version", column + 1);
    }
    td_bind_text(stmt, column, td_str_text(&text));
    return TD_OK;
}

static td_code bind_requirement(td_stmt *stmt, const td_version_options *options, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *runtimes = json_array();
    const char *hardware = options->hardware != NULL ? options->hardware : "";
    TD_TRY(td_registry__text_check("hardware", hardware, 64, err));
    for (size_t i = 0; i < TD_COUNT_OF(options->runtimes) && options->runtimes[i] != NULL; i++) {
        TD_TRY(td_registry__text_check("runtime", options->runtimes[i], 32, err));
        if (json_array_append_new(runtimes, json_string(options->runtimes[i])) != 0) {
            return td_registry__json_ok(NULL, err);
        }
    }
    td_bind_text(stmt, ":hardware", hardware);
    td_bind_int(stmt, ":ram", (int64_t)options->ram_bytes);
    return json_column(stmt, ":runtimes", runtimes, err);
}

static void bind_mlflow(td_stmt *stmt, const td_version_origin *origin)
{
    static const td_version_origin none;
    origin = origin != NULL ? origin : &none;
    td_bind_text(stmt, ":source", origin->source != NULL ? origin->source : "");
    td_bind_text(stmt, ":run_id", origin->run_id != NULL ? origin->run_id : "");
    td_bind_text(stmt, ":run_link", origin->run_link != NULL ? origin->run_link : "");
    td_bind_text(stmt, ":logged_model", origin->logged_model != NULL ? origin->logged_model : "");
}

static td_code bind_origin(td_stmt *stmt, const td_actor *actor, const plan *p, td_err *err)
{
    const td_version_options *options = p->options;
    td_bind_text(stmt, ":registrar", actor->name);
    if (actor->user_id > 0) {
        td_bind_int(stmt, ":registrar_id", actor->user_id);
    }
    if (p->parent_id > 0) {
        td_bind_int(stmt, ":parent", p->parent_id);
    }
    td_bind_text(stmt, ":cause", options->cause);
    td_bind_text(stmt, ":derived_by", options->derived_by);
    bind_mlflow(stmt, options->origin);
    TD_TRY(json_column(stmt, ":facts", options->facts, err));
    return json_column(stmt, ":sources", options->sources, err);
}

static td_code insert_version(td_db *db, const td_actor *actor, const plan *p, int64_t *version_id_out, td_err *err)
{
    const td_version_options *options = p->options;
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "INSERT INTO version (model_id, number, state, description, format, facts, sources, registrar, "
        "registrar_id, parent_id, cause, derived_by, hardware, runtimes, ram_bytes, security_counter, edges_digest, "
        "created_ms, updated_ms, source, run_id, run_link, logged_model) VALUES (:model, :number, 'draft', "
        ":description, :format, :facts, :sources, :registrar, :registrar_id, :parent, :cause, :derived_by, :hardware, "
        ":runtimes, :ram, :counter, :edges, :now, :now, :source, :run_id, :run_link, :logged_model)",
        &stmt, err));
    td_bind_int(stmt, ":model", p->model.model_id);
    td_bind_int(stmt, ":number", p->number);
    td_bind_text(stmt, ":description", options->description != NULL ? options->description : "");
    td_bind_text(stmt, ":format", options->format);
    td_bind_int(stmt, ":counter", p->counter);
    td_bind_blob(stmt, ":edges", options->edges_digest, options->edges_digest != NULL ? TD_DIGEST_SIZE : 0);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_code code = bind_origin(stmt, actor, p, err);
    code = code == TD_OK ? bind_requirement(stmt, options, err) : code;
    if (code != TD_OK) {
        td_reset(stmt);
        return code;
    }
    TD_TRY(td_run(stmt, err));
    *version_id_out = td_db_last_id(db);
    return TD_OK;
}

static td_code check_texts(const td_version_options *options, td_err *err)
{
    if (options->format == NULL || strnlen(options->format, 17) > 16) {
        return td_fail(err, TD_INVALID, "the format of a version is a word of at most 16 characters");
    }
    TD_TRY(td_registry__text_check("cause", options->cause, 128, err));
    if (options->origin != NULL) {
        TD_TRY(td_registry__text_check("source", options->origin->source, TD_SOURCE_MAX, err));
        TD_TRY(td_registry__text_check("run_id", options->origin->run_id, TD_RUN_ID_MAX, err));
        TD_TRY(td_registry__text_check("run_link", options->origin->run_link, TD_SOURCE_MAX, err));
        TD_TRY(td_registry__text_check("model_id", options->origin->logged_model, TD_RUN_ID_MAX, err));
    }
    TD_TRY(td_registry__text_check("tool", options->derived_by, 128, err));
    TD_TRY(td_registry__text_check("reason", options->reason, TD_REASON_MAX, err));
    TD_TRY(td_registry__new_entries("tag", options->tags, err));
    TD_TRY(td_registry__new_entries("metric", options->metrics, err));
    TD_TRY(td_registry__new_entries("parameter", options->params, err));
    return td_registry__text_check("description", options->description, TD_DESCRIPTION_MAX, err);
}

/* ---- the record ---- */

/* Metrics as text: the log's canonical JSON holds no reals. */
static td_code metrics_text(const json_t *metrics, json_t **out, td_err *err)
{
    const char *key;
    json_t *value;
    TD_CLEANUP(td_json_done) json_t *texts = json_object();
    json_object_foreach ((json_t *)metrics, key, value) {
        char text[32];
        snprintf(text, sizeof text, "%.17g", json_number_value(value));
        if (json_object_set_new(texts, key, json_string(text)) != 0) {
            return td_registry__json_ok(NULL, err);
        }
    }
    TD_TRY(td_registry__json_ok(texts, err));
    *out = texts;
    texts = NULL;
    return TD_OK;
}

static td_code files_text(const plan *p, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *files = json_object();
    for (size_t i = 0; i < p->options->file_count; i++) {
        if (json_object_set_new(files, p->files[i].name, td_registry__json_digest(p->files[i].digest)) != 0) {
            return td_registry__json_ok(NULL, err);
        }
    }
    *out = files;
    files = NULL;
    return TD_OK;
}

/* Of the text that the row holds: whoever changes it there changes what the version was made from. */
static td_code sources_digest(const plan *p, char out[TD_DIGEST_LABEL_SIZE], td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    TD_CLEANUP(td_str_done) td_str text = {0};
    if (p->options->sources == NULL) {
        return TD_OK;
    }
    TD_TRY(td_json_write(p->options->sources, &text, err));
    td_sha256_of(text.data, text.size, digest);
    td_digest_format(digest, out);
    return TD_OK;
}

/* Names of quarantined files; NULL: there is none. */
static json_t *quarantined(const plan *p)
{
    json_t *names = NULL;
    for (size_t i = 0; i < p->options->found_count && i < p->options->file_count; i++) {
        if (p->options->found[i].verdict != TD_VERDICT_NONE) {
            names = names != NULL ? names : json_object();
            (void)json_object_set_new(names, p->names[i], json_string(td_verdict_name(p->options->found[i].verdict)));
        }
    }
    return names;
}

static td_code record(td_db *db, const td_actor *actor, const plan *p, td_err *err)
{
    char label[TD_LABEL_SIZE], sources[TD_DIGEST_LABEL_SIZE];
    TD_CLEANUP(td_json_done) json_t *metrics = NULL;
    TD_CLEANUP(td_json_done) json_t *files = NULL;
    snprintf(label, sizeof label, "%s/%lld", p->options->model, (long long)p->number);
    TD_TRY(metrics_text(p->options->metrics, &metrics, err));
    TD_TRY(files_text(p, &files, err));
    TD_TRY(sources_digest(p, sources, err));
    TD_CLEANUP(td_json_done)
    json_t *after =
        json_pack("{s:s, s:O, s:O, s:s*, s:s*, s:O*, s:s*, s:i, s:o*, s:s*, s:s*}", "format", p->options->format,
                  "files", files, "metrics", metrics, "parent", p->parent[0] != '\0' ? p->parent : NULL, "derived_by",
                  p->options->derived_by, "left_out", p->options->left_out, "cause", p->options->cause,
                  "security_counter", (int)p->counter, "quarantined", quarantined(p), "source",
                  p->options->origin != NULL ? p->options->origin->source : NULL, "sources",
                  p->options->sources != NULL ? sources : NULL);
    TD_TRY(td_registry__json_ok(after, err));
    td_audit_entry entry = {.actor = actor,
                            .action = "register.version",
                            .object_type = "version",
                            .object_id = label,
                            .project = p->project,
                            .reason = p->options->reason,
                            .after = after};
    return td_audit_append(db, &entry, NULL, err);
}

td_code td_version_create(td_db *db, const td_actor *actor, const char *project, const td_version_options *options,
                          int64_t *number_out, td_err *err)
{
    int64_t version_id;
    TD_CLEANUP(free_plan) plan *p = calloc(1, sizeof *p);
    if (p == NULL) {
        return td_fail(err, TD_NOMEM, "no memory to register a version");
    }
    p->project = project;
    p->options = options;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(check_texts(options, err));
    TD_TRY(plan_files(p, err));
    TD_TRY(plan_model(db, actor, p, err));
    TD_TRY(plan_counter(p, err));
    TD_TRY(plan_parent(db, p, err));
    TD_TRY(take_number(db, p, err));
    TD_TRY(insert_version(db, actor, p, &version_id, err));
    TD_TRY(insert_files(db, p, version_id, err));
    TD_TRY(insert_scans(db, p, version_id, err));
    TD_TRY(td_registry__tags_write(db, version_id, options->tags, err));
    TD_TRY(td_registry__metrics_write(db, version_id, options->metrics, err));
    TD_TRY(td_registry__params_write(db, version_id, options->params, err));
    TD_TRY(record(db, actor, p, err));
    TD_TRY(td_registry__touch(db, p->model.model_id, 0, err));
    TD_TRY(td_registry__event_version(db, p->model.model_id, p->number, options, err));
    *number_out = p->number;
    return TD_OK;
}
