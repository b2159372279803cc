/*
 * spec_store.c: the stored monitors of models.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/spec.h"

#include <string.h>

static td_code write_spec(td_db *db, const char *project, const char *model, const td_spec *spec, const td_str *text,
                          const uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "INSERT INTO monitor_spec (project, model, spec, digest, window_ms, set_ms) VALUES (:project, :model, "
        ":spec, :digest, :window, :now) ON CONFLICT (project, model) DO UPDATE SET spec = excluded.spec, "
        "digest = excluded.digest, window_ms = excluded.window_ms, set_ms = excluded.set_ms",
        &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":model", model);
    td_bind_text(stmt, ":spec", td_str_text(text));
    td_bind_blob(stmt, ":digest", digest, TD_DIGEST_SIZE);
    td_bind_int(stmt, ":window", spec->window_ms);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    return td_run(stmt, err);
}

td_code td_monitor_set(td_db *db, const td_actor *actor, const char *project, const char *model, const json_t *spec,
                       td_err *err)
{
    TD_CLEANUP(td_spec_done) td_spec filled = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    uint8_t digest[TD_DIGEST_SIZE];
    TD_TRY(td_monitor_check(spec, "monitor", NULL, err));
    TD_TRY(td_spec_fill(spec, &filled, err));
    TD_TRY(td_json_write(spec, &text, err));
    td_sha256_of(text.data, text.size, digest);
    TD_TRY(write_spec(db, project, model, &filled, &text, digest, err));
    td_audit_entry entry = {.actor = actor,
                            .action = "configure.monitor",
                            .object_type = "model",
                            .object_id = model,
                            .digest = digest,
                            .project = project};
    return td_audit_append(db, &entry, NULL, err);
}

td_code td_spec_load(td_db *db, const char *project, const char *model, td_spec *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT spec FROM monitor_spec WHERE project = :project AND model = :model", &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":model", model);
    bool row;
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return td_spec_fill(NULL, out, err);
    }
    const char *text = td_column_text(stmt, "spec");
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    td_code code = td_json_parse(text, strlen(text), "stored monitor", &json, err);
    td_reset(stmt);
    TD_TRY(code);
    return td_spec_fill(json, out, err);
}

static json_t *signal_json(const td_spec *spec, td_signal_kind kind)
{
    td_bounds bounds = td_spec_bounds(spec, kind, "");
    json_t *json = json_pack("{s:b,s:s,s:f,s:f}", "enabled", bounds.enabled, "metric", bounds.metric, "warning",
                             bounds.warning, "alert", bounds.alert);
    json_t *given = json_object_get(json_object_get(spec->json, "monitoring_signals"), td_signal_name(kind));
    json_t *features = json_object_get(given, "features");
    if (features != NULL) {
        json_object_set(json, "features", features);
    }
    return json;
}

td_code td_monitor_spec_json(td_db *db, const char *project, const char *model, json_t **out, td_err *err)
{
    TD_CLEANUP(td_spec_done) td_spec spec = {0};
    TD_TRY(td_spec_load(db, project, model, &spec, err));
    json_t *list = json_object();
    for (int kind = 0; kind < TD_SIGNALS; kind++) {
        json_object_set_new(list, td_signal_name((td_signal_kind)kind), signal_json(&spec, (td_signal_kind)kind));
    }
    json_t *json =
        json_pack("{s:s,s:I,s:I,s:{s:I,s:I,s:I},s:{s:i,s:i,s:i},s:{s:b,s:I},s:o}", "model", model, "window_ms",
                  (json_int_t)spec.window_ms, "grace_ms", (json_int_t)spec.grace_ms, "minimum", "observations",
                  (json_int_t)spec.minimum_observations, "labels", (json_int_t)spec.minimum_labels, "group",
                  (json_int_t)spec.minimum_group, "persistence", "breaches", spec.breaches, "tests", spec.tests,
                  "clear", spec.clear, "evidence", "required", spec.evidence, "false_alarm_every_ms",
                  (json_int_t)spec.false_alarm_ms, "monitoring_signals", list);
    if (json == NULL) {
        json_decref(list);
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    json_t *retraining = json_object_get(spec.json, "retraining");
    json_object_set(json, "retraining", retraining != NULL ? retraining : json_null());
    *out = json;
    return TD_OK;
}
