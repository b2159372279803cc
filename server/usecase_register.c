/*
 * usecase_register.c: a set of uploaded files becomes a numbered version with facts, baseline and lineage.
 *
 * The model file is read, never run; a file that only pretends to be a model is registered as opaque with a warning.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "lineage/lineage.h"
#include "monitor/baseline.h"
#include "registry/mlflow.h"
#include "server/usecase.h"

#include <stdio.h>
#include <string.h>

typedef struct prepared_version {
    const td_registration *registration;
    const td_case *work;
    td_version_options options;
    td_version_file files[TD_MANIFEST_FILES_MAX];
    td_inspection found[TD_MANIFEST_FILES_MAX]; /* of the registration's files, in their order */
    json_t *facts, *sources;
    uint8_t edges_digest[TD_DIGEST_SIZE];
    json_t *warnings;
    int64_t number;
} prepared_version;

static void prepared_done(prepared_version *prepared)
{
    for (size_t i = 0; i < TD_COUNT_OF(prepared->found); i++) {
        td_inspection_done(&prepared->found[i]);
    }
    td_json_done(&prepared->facts);
    td_json_done(&prepared->sources);
    td_json_done(&prepared->warnings);
}

static void name_field(const td_case *work, const char *field)
{
    if (work->field) {
        snprintf(work->field, 64, "%s", field);
    }
}

static void warn(prepared_version *prepared, const char *text)
{
    (void)json_array_append_new(prepared->warnings, json_string(text));
}

/* ---- files ---- */

td_code td_case_content(const td_case *work, const uint8_t digest[TD_DIGEST_SIZE], uint64_t *size_out, bool *there_out,
                        td_err *err)
{
    bool visible;
    TD_TRY(td_content_visible(work->db, work->project, digest, &visible, err));
    *there_out = visible && td_content_exists(work->server->content, digest, size_out);
    return TD_OK;
}

static td_code fill_sizes(const td_case *work, td_registration *registration, td_err *err)
{
    for (size_t i = 0; i < registration->file_count; i++) {
        td_version_file *file = &registration->files[i];
        bool there;
        TD_TRY(td_case_content(work, file->digest, &file->size, &there, err));
        if (!there) {
            char label[TD_DIGEST_LABEL_SIZE];
            td_digest_format(file->digest, label);
            name_field(work, "files");
            return td_fail(err, TD_NOT_FOUND,
                           "file \"%.80s\": its content %.19s… was not uploaded; POST it to /api/v1/uploads",
                           file->name, label);
        }
    }
    return TD_OK;
}

/* Fills format and facts from the main model file; every other file is looked at as well. */
static td_code introspect(prepared_version *prepared, td_err *err)
{
    const td_registration *registration = prepared->registration;
    if (registration->origin && registration->origin->reference) {
        prepared->options.format = "reference";
        return TD_OK;
    }
    name_field(prepared->work, "files");
    TD_TRY(td_look(prepared->work, registration->files, registration->file_count, prepared->found, err));
    prepared->options.found = prepared->found;
    prepared->options.found_count = registration->file_count;
    TD_TRY(td_look_warnings(registration, prepared->found, prepared->warnings, err));
    prepared->work->field[0] = 0;
    prepared->options.format =
        td_look_main(registration->files, registration->file_count, prepared->found, &prepared->facts);
    return TD_OK;
}

/* ---- baseline ---- */

static td_code build_baseline(prepared_version *prepared, td_err *err)
{
    const td_registration *registration = prepared->registration;
    td_content *content = prepared->work->server->content;
    name_field(prepared->work, "baseline_csv");
    TD_CLEANUP(td_close_fd) int fd = -1;
    bool there;
    TD_TRY(td_case_content(prepared->work, registration->baseline_digest, NULL, &there, err));
    if (!there) {
        return td_fail(err, TD_NOT_FOUND, "the baseline's CSV was not uploaded; POST it to /api/v1/uploads");
    }
    TD_TRY(td_content_get(content, registration->baseline_digest, &fd, NULL, err));
    td_csv_source source = td_csv_source_fd(&fd, registration->baseline_name);
    TD_CLEANUP(td_json_done) json_t *none = json_object();
    TD_CLEANUP(td_baseline_done) td_baseline baseline = {0};
    TD_TRY(td_baseline_build(&source, registration->columns ? registration->columns : none, &baseline, err));
    size_t index;
    json_t *text;
    json_array_foreach (json_object_get(baseline.summary, "warnings"), index, text) {
        warn(prepared, json_string_value(text) ? json_string_value(text) : "");
    }
    td_version_file *file = &prepared->files[prepared->options.file_count++];
    *file = (td_version_file){.name = "baseline.pb", .size = baseline.bytes.size, .role = TD_FILE_BASELINE};
    TD_TRY(td_content_put_bytes(content, baseline.bytes.data, baseline.bytes.size, file->digest, err));
    memcpy(prepared->edges_digest, baseline.edges_digest, TD_DIGEST_SIZE);
    prepared->options.edges_digest = prepared->edges_digest;
    prepared->work->field[0] = 0;
    return TD_OK;
}

static td_code gather_sources(prepared_version *prepared, td_err *err)
{
    const td_registration *registration = prepared->registration;
    if (registration->sources) {
        prepared->sources = json_incref((json_t *)registration->sources);
        return TD_OK;
    }
    json_t *sources = prepared->sources = json_object();
    int failed = sources == NULL;
    if (registration->datasets) {
        failed |= json_object_set(sources, "datasets", (json_t *)registration->datasets);
    }
    if (registration->code) {
        failed |= json_object_set(sources, "code", (json_t *)registration->code);
    }
    if (registration->has_baseline) {
        char label[TD_DIGEST_LABEL_SIZE];
        td_digest_format(registration->baseline_digest, label);
        json_t *baseline = json_pack("{s:s, s:s, s:O?}", "name", registration->baseline_name, "digest", label,
                                     "columns", registration->columns);
        failed |= json_object_set_new(sources, "baseline", baseline);
    }
    return failed ? td_fail(err, TD_NOMEM, "no memory for the version's sources") : TD_OK;
}

static td_code prepare(prepared_version *prepared, td_err *err)
{
    const td_registration *r = prepared->registration;
    if (r->file_count + 1 > TD_COUNT_OF(prepared->files)) {
        return td_fail(err, TD_LIMIT, "a version has at most %zu files", TD_COUNT_OF(prepared->files) - 1);
    }
    if (r->file_count > 0) {
        memcpy(prepared->files, r->files, r->file_count * sizeof *r->files);
    }
    prepared->options =
        (td_version_options){.model = r->model,
                             .create_model = r->create_model,
                             .files = prepared->files,
                             .file_count = r->file_count,
                             .metrics = r->metrics,
                             .params = r->params,
                             .tags = r->tags,
                             .description = r->description,
                             .parent = r->parent,
                             .origin = r->origin,
                             .derived_by = r->derived_by,
                             .left_out = r->left_out,
                             .reason = r->reason,
                             .edges_digest = r->edges_digest,
                             .cause = r->cause,
                             .hardware = r->hardware,
                             .ram_bytes = r->ram_bytes,
                             .security_counter = r->security_counter,
                             .number = r->number,
                             .runtimes = {r->runtimes[0], r->runtimes[1], r->runtimes[2], r->runtimes[3]}};
    TD_TRY(introspect(prepared, err));
    if (r->has_baseline) {
        TD_TRY(build_baseline(prepared, err));
    }
    TD_TRY(gather_sources(prepared, err));
    prepared->options.facts = prepared->facts;
    prepared->options.sources = prepared->sources;
    return TD_OK;
}

/* ---- the transaction ---- */

static td_code add_dataset(td_db *db, const prepared_version *prepared, const char *label, const char *name,
                           const char *digest_text, td_err *err)
{
    const td_registration *registration = prepared->registration;
    char full[TD_LINEAGE_NAME_MAX + 14];
    uint8_t digest[TD_DIGEST_SIZE];
    snprintf(full, sizeof full, "%s", name);
    if (digest_text) {
        TD_TRY(td_digest_parse(digest_text, digest, err));
        td_lineage_dataset_name(name, digest, full);
    }
    td_lineage_node dataset = {"dataset", full, NULL, digest_text ? digest : NULL};
    if (registration->run) {
        return td_lineage_edge_add(db, prepared->work->project, &dataset, TD_NODE("run", registration->run), "input",
                                   registration->run, err);
    }
    return td_lineage_edge_add(db, prepared->work->project, &dataset, TD_NODE("version", label), "input", NULL, err);
}

static td_code add_datasets(td_db *db, const prepared_version *prepared, const char *label, td_err *err)
{
    size_t index;
    json_t *dataset;
    json_array_foreach ((json_t *)prepared->registration->datasets, index, dataset) {
        const char *uri = td_json_text(dataset, "uri", td_json_text(dataset, "name", ""));
        const char *digest = td_json_text(dataset, "digest", NULL);
        TD_TRY(add_dataset(db, prepared, label, uri, digest, err));
    }
    if (prepared->registration->has_baseline) {
        const json_t *baseline = json_object_get(prepared->sources, "baseline");
        TD_TRY(add_dataset(db, prepared, label, prepared->registration->baseline_name,
                           td_json_text(baseline, "digest", NULL), err));
    }
    return TD_OK;
}

static td_code add_code(td_db *db, const prepared_version *prepared, const char *label, td_err *err)
{
    const json_t *code = prepared->registration->code;
    if (!code) {
        return TD_OK;
    }
    char name[TD_LINEAGE_NAME_MAX + 1];
    snprintf(name, sizeof name, "%.400s@%.100s", td_json_text(code, "repository", ""),
             td_json_text(code, "commit", ""));
    const char *run = prepared->registration->run;
    return td_lineage_edge_add(db, prepared->work->project, TD_NODE("code", name),
                               run ? TD_NODE("run", run) : TD_NODE("version", label), "code", run, err);
}

static td_code add_lineage(td_db *db, const prepared_version *prepared, const char *label, td_err *err)
{
    const td_registration *registration = prepared->registration;
    const char *project = prepared->work->project;
    td_lineage_node version = {"version", label, registration->description, NULL};
    TD_TRY(td_lineage_node_ensure(db, project, &version, NULL, err));
    TD_TRY(add_datasets(db, prepared, label, err));
    TD_TRY(add_code(db, prepared, label, err));
    if (registration->parent) {
        TD_CLEANUP(td_arena_done) td_arena arena = {0};
        td_version parent;
        TD_TRY(td_version_find(db, project, registration->parent, &arena, &parent, err));
        const char *kind = registration->derived_by ? "derived" : "parent";
        TD_TRY(td_lineage_edge_add(db, project, TD_NODE("version", parent.label), &version, kind, registration->run,
                                   err));
    }
    if (registration->cause && strncmp(registration->cause, "al-", 3) == 0) {
        TD_TRY(td_lineage_edge_add(db, project, TD_NODE("alert", registration->cause), &version, "caused",
                                   registration->run, err));
    }
    return TD_OK;
}

static td_code write_version(td_db *db, void *context, td_err *err)
{
    prepared_version *prepared = context;
    const td_case *work = prepared->work;
    TD_TRY(td_version_create(db, work->actor, work->project, &prepared->options, &prepared->number, err));
    char label[TD_MODEL_NAME_MAX + 32];
    snprintf(label, sizeof label, "%s/%lld", prepared->registration->model, (long long)prepared->number);
    TD_TRY(add_lineage(db, prepared, label, err));
    const td_registration *registration = prepared->registration;
    if (registration->artifacts) {
        TD_TRY(td_artifact_settle(db, work->actor, work->project, registration->artifacts, label, err));
    }
    return registration->also ? registration->also(db, registration->also_context, prepared->number, err) : TD_OK;
}

td_code td_register(const td_case *work, td_registration *registration, td_registered *out, td_err *err)
{
    TD_CLEANUP(prepared_done) prepared_version prepared = {.registration = registration, .work = work};
    prepared.warnings = json_array();
    if (!prepared.warnings) {
        return td_fail(err, TD_NOMEM, "no memory for a registration");
    }
    TD_TRY(fill_sizes(work, registration, err));
    TD_TRY(prepare(&prepared, err));
    registration->warnings = prepared.warnings;
    TD_TRY(td_case_write(work, write_version, &prepared, err));
    out->number = prepared.number;
    out->warnings = prepared.warnings;
    prepared.warnings = NULL;
    return TD_OK;
}
