/*
 * status_store.c: counts over all records, for the status page.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/status.h"

static td_code add_counts(td_db *db, const char *group, const char *sql_literal, json_t *out, td_err *err)
{
    td_stmt *stmt;
    json_t *counts = json_object();
    if (!counts || json_object_set_new(out, group, counts) != 0) {
        return td_fail(err, TD_NOMEM, "no memory for the status");
    }
    TD_TRY(td_db_prepare(db, sql_literal, &stmt, err));
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        (void)json_object_set_new(counts, td_column_text(stmt, "name"), json_integer(td_column_int(stmt, "n")));
        TD_TRY(td_step(stmt, &row, err));
    }
    return TD_OK;
}

td_code td_status_counts_json(td_db *db, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *counts = json_object();
    if (!counts) {
        return td_fail(err, TD_NOMEM, "no memory for the status");
    }
    TD_TRY(add_counts(db, "records",
                      "SELECT 'models' AS name, count(*) AS n FROM model UNION ALL "
                      "SELECT 'users', count(*) FROM user",
                      counts, err));
    TD_TRY(add_counts(db, "versions", "SELECT state AS name, count(*) AS n FROM version GROUP BY state", counts, err));
    TD_TRY(add_counts(db, "rollouts", "SELECT state AS name, count(*) AS n FROM rollout GROUP BY state", counts, err));
    TD_TRY(add_counts(db, "alerts", "SELECT state AS name, count(*) AS n FROM alert GROUP BY state", counts, err));
    TD_TRY(add_counts(db, "runs", "SELECT state AS name, count(*) AS n FROM pipeline_run GROUP BY state", counts, err));
    *out = counts;
    counts = NULL;
    return TD_OK;
}

td_code td_status_work_waiting(td_db *db, bool *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(
        db,
        "SELECT step.position AS position FROM pipeline_run AS run JOIN pipeline_step AS step USING (run_id) "
        "WHERE run.state IN ('pending', 'running') AND (step.state = 'ready' OR "
        "(step.state = 'leased' AND step.lease_ms <= :now)) LIMIT 1",
        &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    TD_TRY(td_step(stmt, &row, err));
    td_reset(stmt);
    *out = row;
    return TD_OK;
}
