/*
 * test_evaluate.c: from reported windows to alerts: what must fire, what must not, and what an alert carries.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/evaluate.h"
#include "tests/unit/monitor/support.h"

#define WINDOW_MS 10000

static const char spec_text[] =
    "{\"window\":\"10s\",\"grace\":\"1s\",\"minimum\":{\"observations\":200,\"labels\":100,\"group\":100}}";

static void set_spec(world *w, const char *text)
{
    json_t *spec = json_loads(text, 0, NULL);
    assert_non_null(spec);
    MUST(td_monitor_set(w->db, &w->ana, "default", "pump", spec, err));
    json_decref(spec);
}

static td_transition transitions[256];
static size_t transition_count;

static void evaluate(world *w)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    MUST(td_txn_begin(w->db, &txn, err));
    MUST(td_monitor_evaluate(w->db, &td_actor_system, w->now_ms, transitions, 256, &transition_count, err));
    MUST(td_txn_commit(&txn, err));
}

/* One evaluation window of 5 devices; then the evaluation of it. */
static void window(world *w, const batch_options *options)
{
    world_report(w, 5, options, WINDOW_MS / 2);
    w->now_ms += WINDOW_MS / 2 + 1000;
    evaluate(w);
    w->now_ms -= 1000;
}

static void start(world *w)
{
    world_watch(w, 1);
    set_spec(w, spec_text);
}

static bool moved(const char *signal, const char *feature, const char *to)
{
    for (size_t i = 0; i < transition_count; i++) {
        if (strcmp(transitions[i].signal, signal) == 0 && strcmp(transitions[i].feature, feature) == 0 &&
            strcmp(transitions[i].to, to) == 0) {
            return true;
        }
    }
    return false;
}

static const batch_options calm = {.n = 100, .accuracy = 0.95};
static const batch_options shifted = {.n = 100, .accuracy = 0.95, .shift = 1};

static void calm_fleet__never_fires(void **state)
{
    world *w = *state;
    start(w);
    for (int i = 0; i < 40; i++) {
        window(w, &calm);
    }
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM alert"), 0);
    assert_true(world_query(w, "SELECT COUNT(*) AS x FROM monitor_signal WHERE tested_ms > 0") >= 8);
}

static void drift__fires_after_two_windows_and_resolves_after_three(void **state)
{
    world *w = *state;
    start(w);
    window(w, &calm);
    window(w, &shifted);
    assert_true(moved("data_drift", "speed", "pending"));
    window(w, &shifted);
    assert_true(moved("data_drift", "speed", "firing"));
    assert_int_equal(
        world_query(w, "SELECT COUNT(*) AS x FROM alert WHERE signal = 'data_drift' AND feature = 'speed'"), 1);
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM alert WHERE feature = 'load'"), 0);
    window(w, &shifted);
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM alert WHERE signal = 'data_drift'"), 1); /* not again */
    window(w, &calm);
    window(w, &calm);
    assert_int_equal(
        world_query(w, "SELECT COUNT(*) AS x FROM alert WHERE state = 'resolved' AND signal = 'data_drift'"), 0);
    window(w, &calm);
    assert_true(moved("data_drift", "speed", "resolved"));
    window(w, &calm);
    assert_true(moved("data_drift", "speed", "ok"));
}

static void one_bad_window__does_not_fire(void **state)
{
    world *w = *state;
    start(w);
    window(w, &calm);
    window(w, &shifted);
    for (int i = 0; i < 4; i++) {
        window(w, &calm);
    }
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM alert"), 0);
}

static void missing_values__fire(void **state)
{
    world *w = *state;
    start(w);
    batch_options lossy = {.n = 100, .accuracy = 0.95, .missing = 0.2};
    window(w, &lossy);
    window(w, &lossy);
    assert_true(moved("missing_rate", "speed", "firing"));
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM alert"), 1);
}

static void accuracy__that_falls_fires(void **state)
{
    world *w = *state;
    start(w);
    batch_options wrong = {.n = 100, .accuracy = 0.8};
    window(w, &wrong);
    window(w, &wrong);
    assert_true(moved("performance", "", "firing"));
}

static void unfairness__fires_with_its_interval(void **state)
{
    world *w = *state;
    start(w);
    batch_options unfair = {.n = 200, .accuracy = -1, .unfair = 0.35};
    window(w, &unfair);
    window(w, &unfair);
    assert_true(moved("fairness", "", "firing"));
    json_t *alert = NULL;
    char name[24] = "";
    for (size_t i = 0; i < transition_count; i++) {
        if (strcmp(transitions[i].signal, "fairness") == 0) {
            snprintf(name, sizeof name, "%s", transitions[i].alert);
        }
    }
    MUST(td_alert_show_json(w->db, "default", name, &alert, err));
    const json_t *interval = json_object_get(json_object_get(alert, "evidence"), "interval");
    assert_true(td_json_number(interval, "low", 0) > 0.1 && td_json_number(interval, "high", 1) < 0.6);
    json_decref(alert);
}

static void thin_data__is_carried_forward(void **state)
{
    world *w = *state;
    start(w);
    batch_options thin = {.n = 15, .accuracy = 0.95, .shift = 1}; /* 75 an evaluation window: 3 make one test */
    for (int i = 0; i < 5; i++) {
        window(w, &thin);
    }
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM alert"), 0);
    window(w, &thin);
    assert_true(moved("data_drift", "speed", "firing"));
}

static void evidence__lets_the_alert_be_computed_again(void **state)
{
    world *w = *state;
    start(w);
    window(w, &shifted);
    window(w, &shifted);
    json_t *alert = NULL;
    MUST(td_alert_show_json(w->db, "default", "al-1", &alert, err));
    assert_string_equal(td_json_text(alert, "version", ""), "pump/1");
    const json_t *evidence = json_object_get(alert, "evidence");
    uint64_t sum = 0;
    const json_t *bins = json_object_get(evidence, "bins");
    for (size_t i = 0; i < json_array_size(bins); i++) {
        sum += (uint64_t)td_json_int(json_array_get(bins, i), "current", 0);
    }
    assert_int_equal(sum, td_json_int(evidence, "n", -1));
    assert_int_equal(sum, 500);
    const json_t *devices = json_object_get(evidence, "devices");
    assert_int_equal(td_json_int(devices, "reporting", 0), 5);
    assert_int_equal(td_json_int(devices, "affected", 0), 5);
    const json_t *log_mean = json_object_get(evidence, "evidence");
    assert_true(td_json_number(log_mean, "log_mean", 0) >= td_json_number(log_mean, "log_threshold", 1e9));
    json_decref(alert);
}

static void alert__is_acknowledged_once_and_audited(void **state)
{
    world *w = *state;
    start(w);
    window(w, &shifted);
    window(w, &shifted);
    td_err failure = {0};
    MUST(td_alert_acknowledge(w->db, &w->ana, "default", "al-1", "looking into it", err));
    assert_int_equal(td_alert_acknowledge(w->db, &w->ana, "default", "al-1", NULL, &failure), TD_CONFLICT);
    assert_int_equal(td_alert_acknowledge(w->db, &w->ana, "other", "al-1", NULL, &failure), TD_NOT_FOUND);
    assert_int_equal(td_alert_acknowledge(w->db, &w->ana, "default", "al-99", NULL, &failure), TD_NOT_FOUND);
    assert_int_equal(td_alert_acknowledge(w->db, &w->ana, "default", "1", NULL, &failure), TD_INVALID);
    td_page page = {.filter = "open = true AND value > threshold", .limit = 10};
    json_t *list = NULL;
    assert_int_equal(td_alert_list_json(w->db, "default", &page, &list, &failure), TD_INVALID);
    page.filter = "open = true AND fired_at > '2000-01-01' AND acknowledged_by = 'ana'";
    MUST(td_alert_list_json(w->db, "default", &page, &list, err));
    bool seen = false;
    for (size_t i = 0; i < json_array_size(json_object_get(list, "alerts")); i++) {
        const json_t *alert = json_array_get(json_object_get(list, "alerts"), i);
        seen |= strcmp(td_json_text(alert, "state", ""), "acknowledged") == 0;
    }
    assert_true(seen);
    json_decref(list);
    for (int i = 0; i < 3; i++) {
        window(w, &calm);
    }
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM alert WHERE state <> 'resolved'"), 0);
}

static void show__tells_how_a_version_does(void **state)
{
    world *w = *state;
    start(w);
    window(w, &calm);
    window(w, &calm);
    json_t *json = NULL;
    MUST(td_monitor_json(w->db, "default", "pump", 1, &json, err));
    assert_int_equal(td_json_int(json, "observations", 0), 1000);
    assert_int_equal(td_json_int(json, "devices", 0), 5);
    assert_int_equal(json_array_size(json_object_get(json, "history")), 2);
    assert_int_equal(json_array_size(json_object_get(json, "groups")), 2);
    const json_t *accuracy = json_object_get(json_object_get(json, "performance"), "accuracy");
    assert_true(fabs(td_json_number(accuracy, "value", 0) - 0.95) < 0.04);
    assert_true(json_array_size(json_object_get(json, "signals")) >= 8);
    json_decref(json);
    td_err failure = {0};
    assert_int_equal(td_monitor_json(w->db, "default", "pump", 9, &json, &failure), TD_NOT_FOUND);
}

static void spec__is_refused_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *message;
    } cases[] = {
        {"windw: 1h\n", "window"},
        {"window: 1h\nmonitoring_signals:\n  data_drft:\n    alert: 1\n", "did you mean \"data_drift\""},
        {"monitoring_signals:\n  data_drift:\n    alert: 0.1\n    warning: 0.2\n", "warning is above alert"},
        {"monitoring_signals:\n  data_drift:\n    metric: psi\n", "metric"},
        {"persistence: {breaches: 4, tests: 3}\n", "more breaches than tests"},
        {"window: 10ms\n", "expected 1s to 7d"},
        {"retraining:\n  pipeline: p\n  on: [nonsense]\n", "unknown signal nonsense"},
        {"retraining: {cooldown: 1h}\n", "pipeline"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        json_t *spec = NULL;
        td_yaml_lines *lines = NULL;
        td_err failure = {0};
        MUST(td_yaml_parse(cases[i].yaml, strlen(cases[i].yaml), "monitor.yaml", &spec, &lines, err));
        td_code code = td_monitor_check(spec, "monitor.yaml", lines, &failure);
        if (code != TD_INVALID || strstr(failure.text, cases[i].message) == NULL ||
            strstr(failure.text, "monitor.yaml") == NULL) {
            fail_msg("%s gave %d \"%s\"", cases[i].yaml, code, failure.text);
        }
        json_decref(spec);
        td_yaml_lines_done(&lines);
    }
}

static void spec__bounds_hold_for_one_feature(void **state)
{
    world *w = *state;
    world_watch(w, 1);
    set_spec(w, "{\"window\":\"10s\",\"grace\":\"1s\",\"monitoring_signals\":{\"data_drift\":{\"features\":{\"speed\":"
                "{\"alert\":50}}},\"out_of_range_rate\":{\"enabled\":false}}}");
    window(w, &shifted);
    window(w, &shifted);
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM alert"), 0);
    json_t *json = NULL;
    MUST(td_monitor_spec_json(w->db, "default", "pump", &json, err));
    assert_int_equal(td_json_int(json, "window_ms", 0), 10000);
    json_decref(json);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        CASE(calm_fleet__never_fires),
        CASE(drift__fires_after_two_windows_and_resolves_after_three),
        CASE(one_bad_window__does_not_fire),
        CASE(missing_values__fire),
        CASE(accuracy__that_falls_fires),
        CASE(unfairness__fires_with_its_interval),
        CASE(thin_data__is_carried_forward),
        CASE(evidence__lets_the_alert_be_computed_again),
        CASE(alert__is_acknowledged_once_and_audited),
        CASE(show__tells_how_a_version_does),
        CASE(spec__is_refused_with_the_place),
        CASE(spec__bounds_hold_for_one_feature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
