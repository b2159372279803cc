/*
 * usecase_retrain.c: a run that has ended is judged by its gate, and what passed becomes a version with parent, cause,
 * lineage.
 *
 * The rules were pinned when the run began. Whatever fails here fails the run with its reason, once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"
#include "core/base/log.h"
#include "lineage/lineage.h"
#include "monitor/retrain.h"
#include "server/usecase.h"

#include <stdio.h>
#include <string.h>

typedef struct run_work {
    td_case base;
    td_run_result result;
    td_actor registrar;
    bool passed;
    int64_t version;
    const char *reason;
} run_work;

/* ---- gate ---- */

typedef struct judgement {
    run_work *work;
    const json_t *champion;
} judgement;

static td_code judge(td_db *db, void *context, td_err *err)
{
    judgement *call = context;
    run_work *work = call->work;
    return td_gate_judge(db, &td_actor_system, work->base.project, work->result.run, call->champion, &work->passed,
                         NULL, err);
}

static td_code judge_run(run_work *work, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *parent = NULL;
    judgement call = {.work = work};
    if (work->result.parent_version > 0) {
        char reference[TD_MODEL_NAME_MAX + 32];
        snprintf(reference, sizeof reference, "%s/%lld", work->result.model, (long long)work->result.parent_version);
        TD_TRY(td_version_json(work->base.db, work->base.project, reference, &parent, err));
        call.champion = json_object_get(parent, "metrics");
    }
    return td_server_write(work->base.server, judge, &call, err);
}

/* ---- registration ---- */

static td_code find_registrar(run_work *work, td_err *err)
{
    if (!work->result.registrar) {
        work->registrar = td_actor_system;
        return TD_OK;
    }
    bool service;
    int64_t user_id;
    TD_TRY(td_user_find(work->base.db, work->result.registrar, &user_id, &service, err));
    work->registrar = (td_actor){
        service ? TD_ACTOR_SERVICE : TD_ACTOR_USER, user_id, work->result.registrar, "internal", "", work->result.run};
    return TD_OK;
}

static const char *bare_name(const char *name, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(name, folder, length) == 0 ? name + length : name;
}

static void add_file(const td_run_file *file, td_registration *out)
{
    if (strcmp(file->role, "baseline_csv") == 0) {
        out->has_baseline = true;
        out->baseline_name = file->name;
        memcpy(out->baseline_digest, file->digest, TD_DIGEST_SIZE);
        return;
    }
    bool model = strcmp(file->role, "model") == 0, golden = strcmp(file->role, "golden") == 0;
    if (!model && !golden) {
        return;
    }
    out->files[out->file_count++] = (td_version_file){.name = bare_name(file->name, model ? "model/" : "golden/"),
                                                      .role = model ? TD_FILE_MODEL : TD_FILE_GOLDEN};
    memcpy(out->files[out->file_count - 1].digest, file->digest, TD_DIGEST_SIZE);
}

/* Output datasets of the run are what the version was made from. */
static td_code add_datasets(const run_work *work, json_t *datasets, td_err *err)
{
    for (size_t i = 0; i < work->result.file_count; i++) {
        const td_run_file *file = &work->result.files[i];
        char label[TD_DIGEST_LABEL_SIZE];
        td_digest_format(file->digest, label);
        if (strcmp(file->role, "dataset") == 0 &&
            json_array_append_new(datasets, json_pack("{s:s, s:s}", "name", file->name, "digest", label)) != 0) {
            return td_fail(err, TD_NOMEM, "no memory for the run's datasets");
        }
    }
    return TD_OK;
}

/* The columns of the parent's baseline describe the new one as well, unless the pipeline says otherwise. */
static td_code find_columns(const run_work *work, json_t **columns, td_err *err)
{
    if (work->result.columns) {
        return td_json_parse(work->result.columns, strlen(work->result.columns), "columns", columns, err);
    }
    if (work->result.parent_version == 0) {
        return TD_OK;
    }
    char reference[TD_MODEL_NAME_MAX + 32];
    snprintf(reference, sizeof reference, "%s/%lld", work->result.model, (long long)work->result.parent_version);
    TD_CLEANUP(td_json_done) json_t *parent = NULL;
    TD_TRY(td_version_json(work->base.db, work->base.project, reference, &parent, err));
    const json_t *baseline = json_object_get(json_object_get(parent, "sources"), "baseline");
    *columns = json_incref(json_object_get(baseline, "columns"));
    return TD_OK;
}

static td_code fill_registration(run_work *work, td_registration *out, td_err *err)
{
    out->files = td_arena_alloc(work->base.arena, (work->result.file_count + 1) * sizeof *out->files);
    if (!out->files) {
        return td_fail(err, TD_NOMEM, "no memory for a registration");
    }
    for (size_t i = 0; i < work->result.file_count; i++) {
        add_file(&work->result.files[i], out);
    }
    if (out->file_count == 0) {
        return td_fail(err, TD_INVALID, "run %s declares no output of role model: nothing to register",
                       work->result.run);
    }
    out->model = work->result.model;
    out->strict = true;
    out->run = work->result.run;
    out->cause = work->result.alert ? work->result.alert : work->result.run;
    char *text = td_arena_alloc(work->base.arena, TD_MODEL_NAME_MAX + 32);
    if (text && work->result.parent_version > 0) {
        snprintf(text, TD_MODEL_NAME_MAX + 32, "%s/%lld", work->result.model, (long long)work->result.parent_version);
        out->parent = text;
    }
    return TD_OK;
}

/* In the transaction that writes the version: a crash leaves either both or neither. */
static td_code finish(td_db *db, void *context, int64_t number, td_err *err)
{
    run_work *work = context;
    work->version = number;
    return td_run_finish(db, &td_actor_system, work->base.project, work->result.run, number, err);
}

static td_code register_run(run_work *work, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *datasets = json_array();
    TD_CLEANUP(td_json_done) json_t *columns = NULL;
    TD_CLEANUP(td_json_done) json_t *metrics = NULL;
    TD_TRY(find_registrar(work, err));
    td_registration registration = {0};
    TD_TRY(fill_registration(work, &registration, err));
    TD_TRY(add_datasets(work, datasets, err));
    TD_TRY(find_columns(work, &columns, err));
    if (work->result.metrics) {
        TD_TRY(td_json_parse(work->result.metrics, strlen(work->result.metrics), "metrics", &metrics, err));
    }
    registration.datasets = datasets;
    registration.columns = columns;
    registration.metrics = metrics;
    registration.also = finish;
    registration.also_context = work;
    td_case as_registrar = work->base;
    as_registrar.actor = &work->registrar;
    td_registered registered = {0};
    TD_TRY(td_register(&as_registrar, &registration, &registered, err));
    td_json_done(&registered.warnings);
    return TD_OK;
}

static td_code submit_version(run_work *work, td_err *err)
{
    if (!work->result.submit && !td_config_int(work->base.server->config, "retraining.auto_submit")) {
        return TD_OK;
    }
    char reference[TD_MODEL_NAME_MAX + 32];
    snprintf(reference, sizeof reference, "%s/%lld", work->result.model, (long long)work->version);
    td_case as_registrar = work->base;
    as_registrar.actor = &work->registrar;
    td_db_read_end(work->base.db); /* see the version that was just written */
    TD_TRY(td_db_read_begin(work->base.db, err));
    TD_TRY(td_submit(&as_registrar, reference, "submitted by its pipeline: the gate passed", err));
    td_db_read_end(work->base.db);
    TD_TRY(td_db_read_begin(work->base.db, err));
    return td_auto_approve(&work->base, reference, work->result.run, err);
}

/* ---- one run after the other ---- */

static td_code fail_run(td_db *db, void *context, td_err *err)
{
    run_work *work = context;
    return td_run_fail(db, &td_actor_system, work->base.project, work->result.run, work->reason, err);
}

static td_code advance(run_work *work, const char *run, td_err *err)
{
    TD_TRY(td_run_result_read(work->base.db, work->base.project, run, work->base.arena, &work->result, err));
    work->passed = strcmp(work->result.state, "passed") == 0;
    if (!work->passed) {
        TD_TRY(judge_run(work, err));
    }
    if (!work->passed) {
        td_log_info("retrain", "%s: the gate rejected the result", run);
        return TD_OK;
    }
    TD_TRY(register_run(work, err));
    td_log_info("retrain", "%s: registered as %s/%lld", run, work->result.model, (long long)work->version);
    td_err later = {0};
    if (submit_version(work, &later) != TD_OK) { /* the version is there: a person can submit it */
        td_log_err(TD_LOG_WARN, "retrain", "the new version was not submitted or approved", &later);
    }
    return TD_OK;
}

static void advance_one(td_server *server, td_db *db, const char *project, const char *run)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    char field[64] = "";
    run_work work = {.base = {.server = server,
                              .db = db,
                              .arena = &arena,
                              .actor = &td_actor_system,
                              .project = project,
                              .field = field}};
    td_err err = {0};
    td_code code = td_db_read_begin(db, &err);
    code = code == TD_OK ? advance(&work, run, &err) : code;
    td_db_read_end(db);
    if (code == TD_OK || code == TD_BUSY || code == TD_NOMEM) {
        return; /* busy: at the next look */
    }
    td_log_err(TD_LOG_WARN, "retrain", run, &err);
    char reason[240];
    snprintf(reason, sizeof reason, "%s", err.text);
    work.reason = reason;
    work.result.run = run;
    td_err ignored = {0};
    if (td_server_write(server, fail_run, &work, &ignored) != TD_OK) {
        td_log_err(TD_LOG_ERROR, "retrain", "the run could not be marked as failed", &ignored);
    }
}

void td_retraining_advance(td_server *server, td_db *db)
{
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *waiting = NULL;
    if (td_run_waiting_json(db, &waiting, &err) != TD_OK) {
        td_log_err(TD_LOG_ERROR, "retrain", "looking for runs that wait", &err);
        return;
    }
    size_t index;
    json_t *run;
    json_array_foreach (json_object_get(waiting, "runs"), index, run) {
        const char *name = json_is_string(run) ? json_string_value(run) : td_json_text(run, "run", NULL);
        const char *project =
            json_is_object(run) ? td_json_text(run, "project", TD_PROJECT_DEFAULT) : TD_PROJECT_DEFAULT;
        if (name) {
            advance_one(server, db, project, name);
        }
    }
}
