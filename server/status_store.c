/*
 * status_store.c: counts over the records of a project, for the status page.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/status.h"

static td_code add_counts(td_stmt *stmt, const char *project, const char *group, json_t *out, td_err *err)
{
    bool row;
    json_t *counts = json_object();
    if (!counts || json_object_set_new(out, group, counts) != 0) {
        return td_fail(err, TD_NOMEM, "no memory for the status");
    }
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        (void)json_object_set_new(counts, td_column_text(stmt, "name"), json_integer(td_column_int(stmt, "n")));
        TD_TRY(td_step(stmt, &row, err));
    }
    return TD_OK;
}

td_code td_status_counts_json(td_db *db, const char *project, json_t **out, td_err *err)
{
    static const struct {
        const char *group, *sql;
    } counts[] = {
        {"records", "SELECT 'models' AS name, count(*) AS n FROM model JOIN project USING (project_id) "
                    "WHERE project.name = :project"},
        {"versions", "SELECT version.state AS name, count(*) AS n FROM project JOIN model USING (project_id) "
                     "JOIN version USING (model_id) WHERE project.name = :project GROUP BY version.state"},
        {"rollouts", "SELECT state AS name, count(*) AS n FROM rollout WHERE project = :project GROUP BY state"},
        {"alerts", "SELECT state AS name, count(*) AS n FROM alert WHERE project = :project GROUP BY state"},
        {"runs", "SELECT state AS name, count(*) AS n FROM pipeline_run WHERE project = :project GROUP BY state"},
    };
    TD_CLEANUP(td_json_done) json_t *all = json_object();
    for (size_t i = 0; i < TD_COUNT_OF(counts); i++) {
        td_stmt *stmt;
        TD_TRY(td_db_prepare(db, counts[i].sql, &stmt, err));
        TD_TRY(add_counts(stmt, project, counts[i].group, all, err));
    }
    *out = all;
    all = NULL;
    return TD_OK;
}

td_code td_status_work_waiting(td_db *db, const char *project, bool *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(
        db,
        "SELECT step.position AS position FROM pipeline_run AS run JOIN pipeline_step AS step USING (run_id) "
        "WHERE run.state IN ('pending', 'running') AND run.project = :project AND (step.state = 'ready' OR "
        "(step.state = 'leased' AND step.lease_ms <= :now)) LIMIT 1",
        &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    TD_TRY(td_step(stmt, &row, err));
    td_reset(stmt);
    *out = row;
    return TD_OK;
}

td_code td_status_project_busy(td_db *db, const char *project, bool *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT rollout_id AS id FROM rollout WHERE ended_ms IS NULL AND project = :project UNION ALL "
                         "SELECT run_id FROM pipeline_run WHERE state IN ('pending', 'running', 'judging') "
                         "AND project = :project LIMIT 1",
                         &stmt, err));
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step(stmt, &row, err));
    td_reset(stmt);
    *out = row;
    return TD_OK;
}
