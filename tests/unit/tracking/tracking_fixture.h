/*
 * tracking_fixture.h: the registry's fixture with the tables of tracking, one run of user ana, and JSON by text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TESTS_UNIT_TRACKING_FIXTURE_H
#define TD_TESTS_UNIT_TRACKING_FIXTURE_H

#include "tests/unit/registry/fixture.h"

#include "lineage/lineage.h"
#include "tracking/artifact.h"
#include "tracking/logged.h"
#include "tracking/resolve.h"
#include "tracking/tracking.h"

#define P "default"

typedef struct trial {
    fixture *f;
    td_db *db;
    const td_actor *ana, *ben; /* may register; may not */
    char run[TD_TRIAL_UUID_SIZE];
    td_arena arena;
} trial;

int trial_setup(void **state);
int trial_teardown(void **state);
#define TRIAL(name) cmocka_unit_test_setup_teardown(name, trial_setup, trial_teardown)
/* Parses, with ' for ". The caller decrefs. */
json_t *parse(const char *text);
/* The value at a path such as "info/run_id" or "data/metrics/0/value" as compact text; in a static buffer. */
const char *at(const json_t *json, const char *path);
#define assert_at(json, path, text) assert_string_equal(at(json, path), text)

char *start_run(trial *t, const char *experiment, char uuid[TD_TRIAL_UUID_SIZE]);
td_code log_batch(trial *t, const char *uuid, const char *metrics, const char *params, const char *tags, td_err *err);
/* Puts ROOT-of-run/NAME with that text as content. */
td_code put_artifact(trial *t, const char *uuid, const char *name, const char *text, td_err *err);
/* How many audit records have this action. */
int64_t records(trial *t, const char *action);

#endif
