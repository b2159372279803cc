/*
 * health.c: the verdict of the monitor on a rollout's wave.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/health.h"

#include "monitor/windows.h"
#include "registry/registry.h"

#include <math.h>
#include <stdio.h>

#define LOOK_BACK_MS (INT64_C(24) * 3600 * 1000)
#define ERROR_RATE_MAX 0.05
#define LABELLED_MIN 100

static td_code read_health(td_db *db, const char *project, const char *reference, td_arena *arena, td_version *version,
                           td_health *out, td_err *err)
{
    TD_TRY(td_version_find(db, project, reference, arena, version, err));
    return td_monitor_health(db, version->manifest_digest, NULL, 0, td_db_now_ms(db) - LOOK_BACK_MS, out, err);
}

static bool worse_than_parent(td_db *db, const td_version *version, const td_health *health, td_arena *arena,
                              char text_out[160])
{
    td_err err = {0};
    td_version parent;
    td_health control;
    if (!version->parent || health->labelled < LABELLED_MIN ||
        read_health(db, version->project, version->parent, arena, &parent, &control, &err) != TD_OK ||
        control.labelled < LABELLED_MIN || !(health->accuracy_high < control.accuracy_low)) {
        return false;
    }
    snprintf(text_out, 160, "accuracy %.3f is below that of %.60s, %.3f", health->accuracy, version->parent,
             control.accuracy);
    return true;
}

td_rollout_health td_rollout_health_ask(void *context, td_db *db, const char *rollout, const char *project,
                                        const char *model, int64_t number, char text_out[160])
{
    (void)context;
    (void)rollout;
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    char reference[TD_MODEL_NAME_MAX + 32];
    snprintf(reference, sizeof reference, "%s/%lld", model, (long long)number);
    td_err err = {0};
    td_version version;
    td_health health;
    td_code code = read_health(db, project, reference, &arena, &version, &health, &err);
    if (code == TD_NOT_FOUND) {
        snprintf(text_out, 160, "the version has no baseline: nothing to judge by");
        return TD_HEALTH_PASS;
    }
    if (code != TD_OK || health.windows == 0) {
        snprintf(text_out, 160, "%.150s", code == TD_OK ? "no telemetry yet" : err.text);
        return TD_HEALTH_WAIT;
    }
    if (health.alerts_open) {
        snprintf(text_out, 160, "%lld open alert(s) on %.80s", (long long)health.alerts_open, reference);
        return TD_HEALTH_FAIL;
    }
    if (!isnan(health.error_rate) && health.error_rate > ERROR_RATE_MAX) {
        snprintf(text_out, 160, "%.1f %% of the inferences fail", health.error_rate * 100);
        return TD_HEALTH_FAIL;
    }
    if (worse_than_parent(db, &version, &health, &arena, text_out)) {
        return TD_HEALTH_FAIL;
    }
    snprintf(text_out, 160, "%lld observations, no alert", (long long)health.observations);
    return TD_HEALTH_PASS;
}
