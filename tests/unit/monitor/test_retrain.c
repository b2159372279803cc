/*
 * test_retrain.c: an alert starts a run, a worker takes its steps under leases, a gate judges, the result is
 * registered.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "lineage/lineage.h"
#include "monitor/evaluate.h"
#include "monitor/retrain.h"
#include "tests/unit/monitor/support.h"

#define DIGEST_A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const char pipeline_yaml[] = "gate: pump-gate\n"
                                    "registrar: ana\n"
                                    "steps:\n"
                                    "  - name: gather\n"
                                    "    command: [/bin/cp, inputs/all.csv, out.csv]\n"
                                    "    inputs: [{name: all.csv, path: /data/all.csv, dataset: \"historian://all\"}]\n"
                                    "    outputs: [{name: rows, path: out.csv, role: dataset}]\n"
                                    "  - name: train\n"
                                    "    command: [train, --data, inputs/rows.csv]\n"
                                    "    timeout: 10m\n"
                                    "    retries: 1\n"
                                    "    inputs:\n"
                                    "      - {name: rows.csv, from: gather.rows}\n"
                                    "      - {name: champion.onnx, parent_file: model/pump.onnx}\n"
                                    "    outputs:\n"
                                    "      - {name: model, path: model.onnx, role: model, file: model/pump.onnx}\n"
                                    "      - {name: metrics, path: metrics.json, role: metrics, required: false}\n";
static const char gate_yaml[] = "rules:\n"
                                "  - {metric: accuracy, compare: champion, no_worse_by: 0.01}\n"
                                "  - {metric: accuracy, at_least: 0.8}\n"
                                "  - {metric: demographic_parity_difference, at_most: 0.1}\n";
static const char monitor_yaml[] = "window: 10s\n"
                                   "grace: 1s\n"
                                   "retraining: {pipeline: retrain, cooldown: 1h, budget: 2, budget_period: 7d}\n";

static json_t *yaml(const char *text)
{
    json_t *json = NULL;
    MUST(td_yaml_parse(text, strlen(text), "spec.yaml", &json, NULL, err));
    return json;
}

static void define(world *w)
{
    json_t *gate = yaml(gate_yaml), *pipeline = yaml(pipeline_yaml), *monitor = yaml(monitor_yaml);
    MUST(td_gate_set(w->db, &w->ana, "default", "pump-gate", gate, err));
    MUST(td_pipeline_set(w->db, &w->ana, "default", "retrain", pipeline, err));
    MUST(td_monitor_set(w->db, &w->ana, "default", "pump", monitor, err));
    json_decref(gate);
    json_decref(pipeline);
    json_decref(monitor);
}

static void run_start(world *w, char run[24])
{
    td_run_request request = {.project = "default", .pipeline = "retrain", .model = "pump", .parent_version = 1};
    MUST(td_run_start(w->db, &w->ana, &request, run, err));
}

static json_t *claim(world *w)
{
    json_t *json = NULL;
    MUST(
        td_worker_claim(w->db, &(td_lease){.actor = &w->ana, .project = "default", .worker = "w1"}, 60000, &json, err));
    return json;
}

/* For the attempt that the text names, or the one that is leased. */
static td_code report_as(world *w, const td_actor *actor, const char *run, const char *step, const char *text,
                         bool *done, td_err *err)
{
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    if (json_object_get(json, "attempt") == NULL) {
        int64_t attempt = world_query(
            w, "SELECT attempt AS x FROM pipeline_step ORDER BY state = 'leased' DESC, run_id DESC, position LIMIT 1");
        assert_int_equal(json_object_set_new(json, "attempt", json_integer(attempt)), 0);
    }
    td_lease lease = {.actor = actor, .project = "default", .run = run, .step = step};
    td_code code = td_step_result(w->db, &lease, json, done, err);
    json_decref(json);
    return code;
}

static td_code report(world *w, const char *run, const char *step, const char *text, bool *done, td_err *err)
{
    return report_as(w, &w->ana, run, step, text, done, err);
}

static const char gathered[] =
    "{\"worker\":\"w1\",\"exit_code\":0,\"log\":\"ok\",\"outputs\":[{\"name\":\"rows\",\"digest\":\"" DIGEST_A
    "\",\"size\":10}]}";

static void trained(char *out, size_t room, double accuracy, double champion, int positive)
{
    snprintf(out, room,
             "{\"worker\":\"w1\",\"exit_code\":0,\"outputs\":[{\"name\":\"model\",\"digest\":\"" DIGEST_B
             "\",\"size\":20}],"
             "\"metrics\":{\"metrics\":{\"accuracy\":%.3f},\"champion\":{\"accuracy\":%.3f},\"groups\":{\"oslo\":{"
             "\"n\":1000,"
             "\"positive\":300},\"bergen\":{\"n\":1000,\"positive\":%d}}}}",
             accuracy, champion, positive);
}

static void do_steps(world *w, const char *run, double accuracy, double champion, int positive)
{
    bool done = false;
    char text[1024];
    json_t *first = claim(w);
    assert_string_equal(td_json_text(first, "step", ""), "gather");
    json_decref(first);
    json_t *none = claim(w);
    assert_null(none); /* train waits for gather */
    MUST(report(w, run, "gather", gathered, &done, err));
    assert_false(done);
    json_t *second = claim(w);
    assert_string_equal(td_json_text(second, "step", ""), "train");
    const json_t *inputs = json_object_get(second, "inputs");
    assert_string_equal(td_json_text(json_array_get(inputs, 0), "digest", ""), DIGEST_A);
    assert_string_equal(td_json_text(json_array_get(inputs, 1), "kind", ""), "parent_file");
    assert_int_equal(td_json_int(second, "timeout_ms", 0), 600000);
    json_decref(second);
    trained(text, sizeof text, accuracy, champion, positive);
    MUST(report(w, run, "train", text, &done, err));
    assert_true(done);
}

static void run__passes_its_gate_and_is_registered(void **state)
{
    world *w = *state;
    define(w);
    char run[24];
    run_start(w, run);
    do_steps(w, run, 0.93, 0.935, 320);
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_run_result result;
    MUST(td_run_result_read(w->db, "default", run, &arena, &result, err));
    assert_string_equal(result.state, "judging");
    assert_int_equal(result.file_count, 2);
    assert_string_equal(result.files[1].name, "model/pump.onnx");
    assert_string_equal(result.files[1].role, "model");
    assert_string_equal(result.registrar, "ana");
    assert_non_null(strstr(result.metrics, "accuracy"));
    bool passed = false;
    json_t *verdict = NULL;
    MUST(td_gate_judge(w->db, &td_actor_system, "default", run, NULL, &passed, &verdict, err));
    assert_true(passed);
    assert_int_equal(json_array_size(json_object_get(verdict, "rules")), 3);
    json_decref(verdict);
    MUST(td_run_finish(w->db, &td_actor_system, "default", run, 2, err));
    json_t *json = NULL;
    MUST(td_run_json(w->db, "default", run, &json, err));
    assert_string_equal(td_json_text(json, "state", ""), "registered");
    assert_int_equal(td_json_int(json, "version", 0), 2);
    json_decref(json);
    td_err failure = {0};
    assert_int_equal(td_run_finish(w->db, &td_actor_system, "default", run, 3, &failure), TD_CONFLICT);
}

static void judged(world *w, double accuracy, double champion, int positive, bool expected)
{
    char run[24];
    run_start(w, run);
    do_steps(w, run, accuracy, champion, positive);
    bool passed = !expected;
    MUST(td_gate_judge(w->db, &td_actor_system, "default", run, NULL, &passed, NULL, err));
    assert_int_equal(passed, expected);
    td_err failure = {0};
    assert_int_equal(td_gate_judge(w->db, &td_actor_system, "default", run, NULL, &passed, NULL, &failure),
                     TD_CONFLICT);
}

static void gate__judges_each_rule(void **state)
{
    world *w = *state;
    define(w);
    judged(w, 0.93, 0.93, 300, true);
    judged(w, 0.91, 0.93, 300, false); /* worse than the champion by more than 0.01 */
    judged(w, 0.79, 0.79, 300, false); /* below 0.8 */
    judged(w, 0.93, 0.93, 500, false); /* gap of 0.2 between the plants */
    assert_int_equal(
        world_query(w, "SELECT COUNT(*) AS x FROM pipeline_run WHERE state = 'rejected' AND reason IS NOT NULL"), 3);
}

static void gate__is_pinned_when_the_run_starts(void **state)
{
    world *w = *state;
    define(w);
    char run[24];
    run_start(w, run);
    json_t *lax = yaml("rules: [{metric: accuracy, at_least: 0}]\n");
    MUST(td_gate_set(w->db, &w->ana, "default", "pump-gate", lax, err));
    MUST(td_gate_set(w->db, &w->ana, "default", "pump-gate", lax, err)); /* the same again: no revision */
    json_decref(lax);
    assert_int_equal(world_query(w, "SELECT MAX(revision) AS x FROM gate"), 2);
    do_steps(w, run, 0.5, 0.9, 300);
    bool passed = true;
    MUST(td_gate_judge(w->db, &td_actor_system, "default", run, NULL, &passed, NULL, err));
    assert_false(passed);
}

static void step__is_retried_and_then_fails_the_run(void **state)
{
    world *w = *state;
    define(w);
    char run[24];
    bool done;
    run_start(w, run);
    json_decref(claim(w));
    MUST(report(w, run, "gather", gathered, &done, err));
    static const char broken[] = "{\"worker\":\"w1\",\"exit_code\":3,\"log\":\"boom\"}";
    json_decref(claim(w));
    MUST(report(w, run, "train", broken, &done, err));
    json_t *again = claim(w);
    assert_int_equal(td_json_int(again, "attempt", 0), 2);
    json_decref(again);
    static const char nothing_made[] = "{\"worker\":\"w1\",\"exit_code\":0,\"outputs\":[]}";
    MUST(report(w, run, "train", nothing_made, &done, err));
    json_t *json = NULL;
    MUST(td_run_json(w->db, "default", run, &json, err));
    assert_string_equal(td_json_text(json, "state", ""), "failed");
    assert_non_null(strstr(td_json_text(json, "reason", ""), "did not make its output \"model\""));
    json_decref(json);
    json_t *none = claim(w);
    assert_null(none);
}

static void lease__that_runs_out_is_lost(void **state)
{
    world *w = *state;
    define(w);
    char run[24];
    bool done;
    td_err failure = {0};
    run_start(w, run);
    json_decref(claim(w));
    td_lease lease = {
        .actor = &w->ana, .project = "default", .worker = "w2", .run = run, .step = "gather", .attempt = 1};
    assert_int_equal(td_worker_renew(w->db, &lease, 60000, &failure), TD_CONFLICT);
    lease.worker = "w1";
    MUST(td_worker_renew(w->db, &lease, 120000, err));
    w->now_ms += 100000;
    json_t *none = claim(w);
    assert_null(none);
    w->now_ms += 30000; /* gather has no retries: the run fails */
    none = claim(w);
    assert_null(none);
    assert_int_equal(report(w, run, "gather", gathered, &done, &failure), TD_CONFLICT);
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM pipeline_run WHERE state = 'failed'"), 1);
}

static void lease__is_its_users(void **state)
{
    world *w = *state;
    define(w);
    char run[24];
    bool done;
    td_err failure = {0};
    td_actor other = w->ana;
    other.user_id = 2;
    run_start(w, run);
    json_decref(claim(w));
    td_lease lease = {
        .actor = &other, .project = "default", .worker = "w1", .run = run, .step = "gather", .attempt = 1};
    assert_int_equal(td_worker_renew(w->db, &lease, 60000, &failure), TD_CONFLICT);
    assert_int_equal(report_as(w, &other, run, "gather", gathered, &done, &failure), TD_CONFLICT);
    MUST(report(w, run, "gather", gathered, &done, err));
}

static void lease__is_of_one_attempt(void **state)
{
    world *w = *state;
    define(w);
    char run[24];
    bool done;
    td_err failure = {0};
    run_start(w, run);
    json_decref(claim(w));
    MUST(report(w, run, "gather", gathered, &done, err));
    json_decref(claim(w));
    w->now_ms += 70000;
    json_decref(claim(w)); /* train again, by a worker of the same name */
    static const char late[] = "{\"worker\":\"w1\",\"attempt\":1,\"exit_code\":3}";
    static const char mine[] = "{\"worker\":\"w1\",\"attempt\":2,\"exit_code\":3}";
    td_lease lease = {
        .actor = &w->ana, .project = "default", .worker = "w1", .run = run, .step = "train", .attempt = 1};
    assert_int_equal(td_worker_renew(w->db, &lease, 60000, &failure), TD_CONFLICT);
    assert_int_equal(report(w, run, "train", late, &done, &failure), TD_CONFLICT);
    assert_non_null(strstr(failure.text, "attempt 2"));
    MUST(report(w, run, "train", mine, &done, err));
}

static void report__inputs_with_a_dataset_name_become_lineage(void **state)
{
    world *w = *state;
    char run[24];
    bool done = false;
    json_t *graph = NULL;
    define(w);
    run_start(w, run);
    json_decref(claim(w));
    td_err local = {0};
    assert_int_equal(report(w, run, "gather",
                            "{\"worker\":\"w1\",\"exit_code\":0,\"outputs\":[{\"name\":\"rows\",\"digest\":\"" DIGEST_A
                            "\",\"size\":10}],\"inputs\":[{\"name\":\"other\",\"digest\":\"" DIGEST_A
                            "\",\"size\":10}]}",
                            &done, &local),
                     TD_INVALID);
    assert_non_null(strstr(local.text, "other"));
    MUST(report(w, run, "gather",
                "{\"worker\":\"w1\",\"exit_code\":0,\"outputs\":[{\"name\":\"rows\",\"digest\":\"" DIGEST_A
                "\",\"size\":10}],\"inputs\":[{\"name\":\"all.csv\",\"digest\":\"" DIGEST_A "\",\"size\":10}]}",
                &done, err));
    char node[32];
    snprintf(node, sizeof node, "run:%s", run);
    MUST(td_lineage_show_json(w->db, "default", node, TD_LINEAGE_UP, 0, &graph, err));
    char *text = json_dumps(graph, JSON_COMPACT);
    assert_non_null(strstr(text, "dataset:historian://all@"));
    free(text);
    json_decref(graph);
}

static void report__is_checked(void **state)
{
    world *w = *state;
    define(w);
    char run[24];
    bool done;
    td_err failure = {0};
    run_start(w, run);
    json_decref(claim(w));
    assert_int_equal(report(w, run, "gather", "{\"worker\":\"w1\"}", &done, &failure), TD_INVALID);
    assert_int_equal(report(w, run, "gather",
                            "{\"worker\":\"w1\",\"exit_code\":0,\"outputs\":[{\"name\":\"x\",\"digest\":\"" DIGEST_A
                            "\",\"size\":1}]}",
                            &done, &failure),
                     TD_INVALID);
    assert_int_equal(report(w, run, "nosuch", gathered, &done, &failure), TD_NOT_FOUND);
    assert_int_equal(report(w, "run-77", "gather", gathered, &done, &failure), TD_NOT_FOUND);
    MUST(report(w, run, "gather", gathered, &done, err));
}

static void evaluate(world *w)
{
    td_transition transitions[64];
    size_t count = 0;
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    MUST(td_txn_begin(w->db, &txn, err));
    MUST(td_monitor_evaluate(w->db, &td_actor_system, w->now_ms, transitions, 64, &count, err));
    MUST(td_txn_commit(&txn, err));
}

static void drift_until_alert(world *w, const batch_options *options)
{
    for (int i = 0; i < 3; i++) {
        world_report(w, 5, options, 5000);
        w->now_ms += 6000;
        evaluate(w);
        w->now_ms -= 1000;
    }
}

static void alert__starts_one_run_and_the_cooldown_holds(void **state)
{
    world *w = *state;
    define(w);
    world_watch(w, 1);
    batch_options bad = {.n = 100, .accuracy = 0.7, .shift = 1};
    drift_until_alert(w, &bad); /* drift and accuracy fire: one run */
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM pipeline_run"), 1);
    assert_true(world_query(w, "SELECT COUNT(*) AS x FROM alert") >= 2);
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM alert WHERE started = 'run-1'"), 1);
    assert_int_equal(world_query(w, "SELECT parent_version AS x FROM pipeline_run"), 1);
    bool started = true;
    char run[24];
    const char *why = "";
    MUST(td_retrain_consider(w->db, &td_actor_system, 1, &started, run, &why, err));
    assert_false(started);
    assert_string_equal(why, "a run for this model is still going on");
    MUST(td_run_fail(w->db, &w->ana, "default", "run-1", "stopped by hand", err));
    MUST(td_retrain_consider(w->db, &td_actor_system, 1, &started, run, &why, err));
    assert_string_equal(why, "the cooldown after the last run is not over");
    w->now_ms += 3700000;
    MUST(td_retrain_consider(w->db, &td_actor_system, 1, &started, run, &why, err));
    assert_true(started);
    MUST(td_run_fail(w->db, &w->ana, "default", run, "stopped by hand", err));
    w->now_ms += 3700000;
    MUST(td_retrain_consider(w->db, &td_actor_system, 1, &started, run, &why, err));
    assert_string_equal(why, "the budget of runs is used up");
}

static void specs__are_refused_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *message;
    } cases[] = {
        {"steps: []\n", "steps"},
        {"stps: []\nsteps: [{name: a, command: [x]}]\n", "stps"},
        {"steps:\n  - {name: a, command: [x]}\n  - {name: a, command: [x]}\n",
         "spec.yaml:3: two steps are called \"a\""},
        {"steps:\n  - name: a\n    command: [x]\n    inputs: [{name: i, from: b.c}]\n",
         "no step has an output \"b.c\""},
        {"steps:\n  - name: a\n    command: [x]\n    inputs: [{name: i}]\n",
         "give one of path, digest, from, parent_file"},
        {"steps:\n  - name: a\n    command: [x]\n    inputs: [{name: i, path: data.csv}]\n",
         "expected an absolute path"},
        {"steps:\n  - name: a\n    command: [x]\n    outputs: [{name: o, path: ../o}]\n", "below the job folder"},
        {"steps:\n"
         "  - {name: a, command: [x], inputs: [{name: i, from: b.o}], outputs: [{name: o, path: o}]}\n"
         "  - {name: b, command: [x], inputs: [{name: i, from: a.o}], outputs: [{name: o, path: o}]}\n",
         "in a circle"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        json_t *spec = NULL;
        td_yaml_lines *lines = NULL;
        td_err failure = {0};
        MUST(td_yaml_parse(cases[i].yaml, strlen(cases[i].yaml), "spec.yaml", &spec, &lines, err));
        if (td_pipeline_check(spec, "spec.yaml", lines, &failure) != TD_INVALID ||
            strstr(failure.text, cases[i].message) == NULL) {
            fail_msg("%s gave \"%s\"", cases[i].yaml, failure.text);
        }
        json_decref(spec);
        td_yaml_lines_done(&lines);
    }
    json_t *gate = yaml("rules: [{metric: accuracy}]\n");
    td_err failure = {0};
    assert_int_equal(td_gate_check(gate, "gate.yaml", NULL, &failure), TD_INVALID);
    json_decref(gate);
}

static void start__of_the_unknown_is_refused(void **state)
{
    world *w = *state;
    char run[24];
    td_err failure = {0};
    td_run_request request = {.project = "default", .pipeline = "none", .model = "pump"};
    assert_int_equal(td_run_start(w->db, &w->ana, &request, run, &failure), TD_NOT_FOUND);
    json_t *pipeline = yaml(pipeline_yaml), *json = NULL; /* its gate is not defined */
    MUST(td_pipeline_set(w->db, &w->ana, "default", "retrain", pipeline, err));
    json_decref(pipeline);
    request.pipeline = "retrain";
    assert_int_equal(td_run_start(w->db, &w->ana, &request, run, &failure), TD_NOT_FOUND);
    assert_int_equal(td_gate_json(w->db, "default", "pump-gate", &json, &failure), TD_NOT_FOUND);
    assert_int_equal(td_run_json(w->db, "default", "run-9", &json, &failure), TD_NOT_FOUND);
    assert_int_equal(world_query(w, "SELECT COUNT(*) AS x FROM pipeline_run"), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        CASE(run__passes_its_gate_and_is_registered),
        CASE(gate__judges_each_rule),
        CASE(gate__is_pinned_when_the_run_starts),
        CASE(step__is_retried_and_then_fails_the_run),
        CASE(lease__that_runs_out_is_lost),
        CASE(lease__is_its_users),
        CASE(lease__is_of_one_attempt),
        CASE(report__inputs_with_a_dataset_name_become_lineage),
        CASE(report__is_checked),
        CASE(alert__starts_one_run_and_the_cooldown_holds),
        CASE(specs__are_refused_with_the_place),
        CASE(start__of_the_unknown_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
