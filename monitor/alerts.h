/*
 * alerts.h: an alert's evidence, and its way into and out of the database. Private to monitor/.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_MONITOR_ALERTS_H
#define TD_MONITOR_ALERTS_H

#include "monitor/signals.h"
#include "monitor/store.h"

/* The stretch of counts that one test looked at. */
typedef struct td_stretch {
    int64_t from_ms, to_ms;
    int64_t windows, first_window, last_window; /* raw windows */
    uint64_t *sum;
} td_stretch;

typedef struct td_evidence_facts {
    bool used; /* drift only */
    double log_mean, log_threshold;
} td_evidence_facts;

/* One tested signal on its way to an alert. */
typedef struct td_finding {
    const td_watched *watched;
    const td_spec *spec;
    const td_result *result;
    const td_stretch *stretch;
    td_evidence_facts evidence;
} td_finding;

/* The newest test of a signal, as stored and shown. */
json_t *td_finding_report(const td_finding *finding, td_severity severity);
/* Everything needed to compute the alert again. Reads the raw windows behind it for the share of devices. */
TD_MUST_USE td_code td_finding_evidence(td_db *db, const td_finding *finding, json_t **out, td_err *err);

/* Writes the alert with audit record and lineage. */
TD_MUST_USE td_code td_alert_fire(td_db *db, const td_actor *actor, const td_finding *finding, int64_t now_ms,
                                  int64_t *alert_out, td_err *err);
TD_MUST_USE td_code td_alert_resolve(td_db *db, const td_actor *actor, int64_t alert_id, int64_t now_ms, td_err *err);
/* What the alert started: "run-3", or why nothing was. */
TD_MUST_USE td_code td_alert_started(td_db *db, int64_t alert_id, const char *what, td_err *err);

void td_alert_name(int64_t alert_id, char out[24]); /* "al-12" */
/* The row of "al-12". INVALID, NOT_FOUND. */
TD_MUST_USE td_code td_alert_number(const char *alert, int64_t *out, td_err *err);
json_t *td_time_json(int64_t ms); /* RFC 3339; null for 0 */

#endif
