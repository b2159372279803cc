/*
 * origin_store.c: which run made a version, with what was pinned when it began.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/crypto.h"
#include "monitor/run.h"

static td_code find_run(td_db *db, const char *project, const char *model, int64_t version, int64_t *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT run_id FROM pipeline_run WHERE project = :project AND model = :model AND "
                         "result_version = :version",
                         &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":model", model);
    td_bind_int(stmt, ":version", version);
    TD_TRY(td_step(stmt, &row, err));
    *out = row ? td_column_int(stmt, "run_id") : 0;
    td_reset(stmt);
    return TD_OK;
}

static td_code add_pinned(td_db *db, const char *project, const char *name, json_t *run, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_revision_done) td_revision pipeline = {0};
    td_run_row row;
    char hex[TD_DIGEST_TEXT];
    TD_TRY(td_run_read(db, project, name, &arena, &row, err));
    TD_TRY(td_pipeline_read(db, project, row.pipeline, row.pipeline_revision, &pipeline, err));
    td_hex_encode(pipeline.digest, sizeof pipeline.digest, hex);
    return json_object_set_new(run, "pipeline_digest", json_string(hex)) == 0
               ? TD_OK
               : td_fail(err, TD_NOMEM, "no memory for a run");
}

td_code td_run_of_version_json(td_db *db, const char *project, const char *model, int64_t version, json_t **out,
                               td_err *err)
{
    int64_t id;
    char name[24];
    TD_CLEANUP(td_json_done) json_t *run = NULL;
    TD_TRY(find_run(db, project, model, version, &id, err));
    if (id > 0) {
        td_run_name(id, name);
        TD_TRY(td_run_json(db, project, name, &run, err));
        TD_TRY(add_pinned(db, project, name, run, err));
    }
    *out = run;
    run = NULL;
    return TD_OK;
}
