/*
 * evaluate.h: from counts to alerts: what a model's monitor watches, where the limits lie, and what is firing now.
 *
 * An alert needs three things: effect (a statistic over its threshold), evidence (an anytime-valid e-detector on the
 * bin counts, or the bound of an interval), and persistence (2 of 3 evaluation windows). Each alert carries what is
 * needed to compute it again from the stored counts. Signals move along one table: ok → pending → firing → acknowledged
 * → resolved. Thin or late data is carried forward rather than tested.
 *
 * Threads: where the connection lives. Writing functions run inside the caller's transaction.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_MONITOR_EVALUATE_H
#define TD_MONITOR_EVALUATE_H

#include "audit/audit.h"
#include "core/db/list.h"
#include "monitor/windows.h"

/* ---- The monitor of a model (monitor.yaml; keys and defaults: docs/monitoring.md) ------------ */

/* Checks a spec read from YAML or JSON: unknown keys with line and nearest key, ranges, warning <= alert. INVALID. */
TD_MUST_USE td_code td_monitor_check(const json_t *spec, const char *name, const td_yaml_lines *lines, td_err *err);
/* Sets the model's monitor (checked again), with an audit record. An absent key means its default. */
TD_MUST_USE td_code td_monitor_set(td_db *db, const td_actor *actor, const char *project, const char *model,
                                   const json_t *spec, td_err *err);
/* The model's monitor with every default filled in; a model without one has the defaults. */
TD_MUST_USE td_code td_monitor_spec_json(td_db *db, const char *project, const char *model, json_t **out, td_err *err);

/* ---- Evaluation ------------------------------------------------------------------------------ */

/* One line of what happened, for the caller's log, webhooks and triggers. */
typedef struct td_transition {
    int64_t alert_id; /* row; 0: none yet (ok → pending and back) */
    char alert[24];   /* "al-12", or "" */
    char project[130], model[130];
    int64_t version;
    char signal[40], feature[66];
    const char *from, *to; /* static */
} td_transition;

/* Tests every evaluation window that is complete by `now_ms` and was not tested yet, of all versions. Alerts, audit
 * records and lineage edges (version → alert) are written; transitions (at most room; more are dropped from the list,
 * not from the database) tell the caller. Call it every second or so: it is cheap when nothing is due. A firing alert
 * whose model has a `retraining` section creates a pending run (retrain.h) in the same transaction. */
TD_MUST_USE td_code td_monitor_evaluate(td_db *db, const td_actor *actor, int64_t now_ms, td_transition *transitions,
                                        size_t room, size_t *count_out, td_err *err);

/* ---- Reading --------------------------------------------------------------------------------- */

/* Current signals of a version: {"version","edges_digest","window_ms","from_at","to_at","observations","devices",
 * "signals":[{"signal","feature","metric","value","warning","alert","severity","state","n","statistics":{…},"since_at",
 * "alert_id"}], "performance":{…}, "groups":[{"group","n","positive_rate":{"value","low","high"},…}], "fairness":{…},
 * "history":[{"from_at","n","accuracy","worst_psi"}…]}. NOT_FOUND: never submitted. */
TD_MUST_USE td_code td_monitor_json(td_db *db, const char *project, const char *model, int64_t version, json_t **out,
                                    td_err *err);

/* {"alerts":[…],"next_cursor"?} without evidence, newest first, or as the page says. INVALID, LIMIT. */
TD_MUST_USE td_code td_alert_list_json(td_db *db, const char *project, const td_page *page, json_t **out, td_err *err);
/* One alert ("al-12") with its evidence and what it started. NOT_FOUND. */
TD_MUST_USE td_code td_alert_show_json(td_db *db, const char *project, const char *alert, json_t **out, td_err *err);
/* NOT_FOUND; CONFLICT: not firing. `reason` may be NULL. */
TD_MUST_USE td_code td_alert_acknowledge(td_db *db, const td_actor *actor, const char *project, const char *alert,
                                         const char *reason, td_err *err);

#endif
