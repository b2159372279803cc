/*
 * metrics_store.c: families of metrics that are counts over the records of all projects.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/metrics.h"
#include "server/metrics_text.h"

/* Rows of (a, b, n); columns `b` and its label may be missing. A state that no row has is not a series: the rules say
 * `or vector(0)` where that matters. */
typedef struct grouped {
    const char *name, *help;
    const char *labels[2]; /* the second may be NULL */
} grouped;

static td_code add_rows(td_stmt *stmt, const grouped *family, td_str *out, td_err *err)
{
    td_metrics_family(out, family->name, "gauge", family->help);
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    while (row) {
        td_label labels[2] = {{family->labels[0], td_column_text(stmt, "a")}};
        if (family->labels[1]) {
            labels[1] = (td_label){family->labels[1], td_column_text(stmt, "b")};
        }
        td_metrics_sample(out, family->name, labels, family->labels[1] ? 2 : 1, (double)td_column_int(stmt, "n"));
        TD_TRY(td_step(stmt, &row, err));
    }
    return TD_OK;
}

static td_code add_devices(td_db *db, td_str *out, td_err *err)
{
    static const grouped family = {"tidemark_devices", "Devices by state.", {"state", NULL}};
    td_stmt *stmt;
    /* Online as in fleet/device_json_store.c: heard of within three of the intervals that it promised. */
    TD_TRY(td_db_prepare(
        db,
        "WITH counted AS (SELECT "
        "  coalesce(sum(d.state = 'revoked'), 0) AS revoked, "
        "  coalesce(sum(d.state <> 'revoked' AND d.birth_ms IS NULL), 0) AS never, "
        "  coalesce(sum(d.state <> 'revoked' AND d.birth_ms IS NOT NULL), 0) AS known, "
        "  coalesce(sum(d.state <> 'revoked' AND d.live = 1 AND c.heard_ms >= :now - 3000 * "
        "    CASE WHEN d.contact_every_s > 0 THEN d.contact_every_s ELSE 60 END), 0) AS online "
        "  FROM device AS d JOIN device_contact AS c USING (device_id)) "
        "SELECT 'online' AS a, online AS n FROM counted UNION ALL SELECT 'offline', known - online FROM counted "
        "UNION ALL SELECT 'never_seen', never FROM counted UNION ALL SELECT 'revoked', revoked FROM counted",
        &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    return add_rows(stmt, &family, out, err);
}

static td_code add_device_certificates(td_db *db, td_str *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT coalesce(sum(certificate_end_ms < :soon), 0) AS n FROM device "
                         "WHERE state <> 'revoked'",
                         &stmt, err));
    td_bind_int(stmt, ":soon", td_db_now_ms(db) + INT64_C(30) * 24 * 3600 * 1000);
    TD_TRY(td_step(stmt, &row, err));
    td_metrics_single(out, "tidemark_device_certificates_expiring", "gauge",
                      "Devices whose certificate ends within 30 days.", row ? (double)td_column_int(stmt, "n") : 0);
    td_reset(stmt);
    return TD_OK;
}

static td_code add_rollouts(td_db *db, td_str *out, td_err *err)
{
    static const grouped states = {"tidemark_rollouts", "Rollouts by state.", {"state", NULL}};
    static const grouped devices = {
        "tidemark_rollout_devices", "Devices of the newest rollouts under way, by state.", {"rollout", "state"}};
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT state AS a, count(*) AS n FROM rollout GROUP BY state", &stmt, err));
    TD_TRY(add_rows(stmt, &states, out, err));
    TD_TRY(td_db_prepare(db,
                         "WITH running AS (SELECT rollout_id, id FROM rollout WHERE ended_ms IS NULL "
                         "  ORDER BY rollout_id DESC LIMIT :most) "
                         "SELECT running.id AS a, device.state AS b, count(*) AS n FROM running "
                         "JOIN rollout_device AS device USING (rollout_id) "
                         "GROUP BY running.rollout_id, device.state",
                         &stmt, err));
    td_bind_int(stmt, ":most", TD_METRICS_ROLLOUTS_MAX);
    return add_rows(stmt, &devices, out, err);
}

static td_code add_work(td_db *db, td_str *out, td_err *err)
{
    static const grouped alerts = {"tidemark_alerts", "Alerts by state and severity.", {"state", "severity"}};
    static const grouped runs = {"tidemark_pipeline_runs", "Runs of pipelines by state.", {"state", NULL}};
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT state AS a, severity AS b, count(*) AS n FROM alert GROUP BY state, severity",
                         &stmt, err));
    TD_TRY(add_rows(stmt, &alerts, out, err));
    TD_TRY(td_db_prepare(db, "SELECT state AS a, count(*) AS n FROM pipeline_run GROUP BY state", &stmt, err));
    return add_rows(stmt, &runs, out, err);
}

static td_code add_steps(td_db *db, td_str *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT count(*) AS n FROM pipeline_step AS step JOIN pipeline_run AS run USING (run_id) "
                         "WHERE step.state = 'ready' AND run.state IN ('pending', 'running')",
                         &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    td_metrics_single(out, "tidemark_pipeline_steps_waiting", "gauge", "Steps that wait for a worker.",
                      row ? (double)td_column_int(stmt, "n") : 0);
    td_reset(stmt);
    return TD_OK;
}

static td_code add_content(td_db *db, td_str *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT coalesce(sum(size), 0) AS bytes, count(*) AS n FROM (SELECT digest, max(size) AS size "
                         "FROM version_file GROUP BY digest)",
                         &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    td_metrics_single(out, "tidemark_content_bytes", "gauge", "Bytes of the files of all versions, each file once.",
                      (double)td_column_int(stmt, "bytes"));
    td_metrics_single(out, "tidemark_content_files", "gauge", "Different files of all versions.",
                      (double)td_column_int(stmt, "n"));
    td_reset(stmt);
    return TD_OK;
}

static td_code add_log(td_db *db, td_str *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT (SELECT coalesce(max(seq), -1) + 1 FROM audit_record) AS records, "
                         "coalesce((SELECT max(size) FROM log_checkpoint), 0) AS signed, "
                         "(SELECT at_ms FROM log_checkpoint ORDER BY size DESC LIMIT 1) AS at_ms",
                         &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    int64_t records = td_column_int(stmt, "records");
    td_metrics_single(out, "tidemark_audit_records", "gauge", "Records in the audit log.", (double)records);
    td_metrics_single(out, "tidemark_audit_records_unsigned", "gauge",
                      "Records that no signed checkpoint covers yet.",
                      (double)(records - td_column_int(stmt, "signed")));
    if (!td_column_null(stmt, "at_ms")) {
        td_metrics_single(out, "tidemark_checkpoint_age_seconds", "gauge",
                          "Since the newest checkpoint; it grows while there is nothing new to sign.",
                          (double)(td_db_now_ms(db) - td_column_int(stmt, "at_ms")) / 1000);
    }
    td_reset(stmt);
    return TD_OK;
}

td_code td_metrics_records(td_db *db, td_str *out, td_err *err)
{
    TD_TRY(add_devices(db, out, err));
    TD_TRY(add_device_certificates(db, out, err));
    TD_TRY(add_rollouts(db, out, err));
    TD_TRY(add_work(db, out, err));
    TD_TRY(add_steps(db, out, err));
    return add_log(db, out, err);
}

td_code td_metrics_totals(td_db *db, td_str *out, td_err *err)
{
    static const grouped versions = {"tidemark_versions", "Versions of models by state.", {"state", NULL}};
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT state AS a, count(*) AS n FROM version GROUP BY state", &stmt, err));
    TD_TRY(add_rows(stmt, &versions, out, err));
    return add_content(db, out, err);
}
