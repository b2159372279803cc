/*
 * test_runs.c: experiments and runs: what is logged is what is read, what was logged never changes silently.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/tracking/tracking_fixture.h"

/* ---- experiments ---- */

static void experiment__default_is_there_and_numbers_are_never_reused(void **state)
{
    trial *t = *state;
    td_err err = {0};
    int64_t first = 0, second = 0;
    TD_CLEANUP(td_json_done) json_t *zero = NULL;
    must(td_experiment_json(t->db, P, "0", &zero, &err), &err);
    assert_at(zero, "name", "Default");
    assert_at(zero, "artifact_location", "mlflow-artifacts:/0");
    must(td_experiment_create(t->db, t->ana, P, "pumps", NULL, &first, &err), &err);
    must(td_experiment_delete(t->db, t->ana, P, "1", &err), &err);
    refused(TRY_WRITE(t->f, td_experiment_create(t->db, t->ana, P, "pumps", NULL, &second, &err)), &err, TD_CONFLICT,
            "already exists");
    must(td_experiment_create(t->db, t->ana, P, "fans", NULL, &second, &err), &err);
    assert_int_equal(first, 1);
    assert_int_equal(second, 2);
    assert_int_equal(records(t, "create.experiment"), 2);
    assert_int_equal(records(t, "delete.experiment"), 1);
}

static void experiment__is_changed_only_by_who_may_register_and_while_it_lives(void **state)
{
    trial *t = *state;
    td_err err = {0};
    int64_t number = 0;
    refused(td_experiment_create(t->db, t->ben, P, "pumps", NULL, &number, &err), &err, TD_DENIED, "");
    must(td_experiment_create(t->db, t->ana, P, "pumps", NULL, &number, &err), &err);
    must(td_experiment_set_tag(t->db, t->ana, P, "1", "plant", "oslo", &err), &err);
    must(td_experiment_rename(t->db, t->ana, P, "1", "pumps 2", &err), &err);
    must(td_experiment_delete(t->db, t->ana, P, "1", &err), &err);
    must(td_experiment_delete(t->db, t->ana, P, "1", &err), &err); /* again: no record */
    assert_int_equal(records(t, "delete.experiment"), 1);
    refused(td_experiment_rename(t->db, t->ana, P, "1", "x", &err), &err, TD_INVALID, "restore it");
    td_trial_options options = {.experiment = "1"};
    char uuid[TD_TRIAL_UUID_SIZE];
    refused(td_trial_start(t->db, t->ana, P, &options, uuid, &err), &err, TD_INVALID, "restore it");
    must(td_experiment_restore(t->db, t->ana, P, "1", &err), &err);
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    must(td_experiment_named_json(t->db, P, "pumps 2", &json, &err), &err);
    assert_at(json, "tags/0/value", "oslo");
}

/* ---- runs ---- */

static void run__shows_all_that_was_logged(void **state)
{
    trial *t = *state;
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *run = NULL;
    must(log_batch(t, t->run,
                   "[{'key':'loss','value':0.5,'timestamp':1000,'step':1},"
                   "{'key':'loss','value':0.25,'timestamp':2000,'step':2},"
                   "{'key':'loss','value':9,'timestamp':'3000','step':'1'},"
                   "{'key':'bad','value':'NaN','timestamp':1},{'key':'top','value':'Infinity','timestamp':1}]",
                   "[{'key':'lr','value':'0.01'}]", "[{'key':'mlflow.runName','value':'named'}]", &err),
         &err);
    must(td_trial_json(t->db, P, t->run, &run, &err), &err);
    assert_at(run, "info/status", "RUNNING");
    assert_at(run, "info/run_name", "named");
    assert_at(run, "data/metrics/0/value", "NaN");
    assert_at(run, "data/metrics/1/value", "0.25"); /* the highest step, not the last to come */
    assert_at(run, "data/metrics/1/step", "2");
    assert_at(run, "data/metrics/2/value", "Infinity");
    assert_at(run, "data/params/0/value", "0.01");
    assert_at(run, "info/end_time", "(absent)");
}

static void run__parameters_never_change_and_a_batch_is_all_or_nothing(void **state)
{
    trial *t = *state;
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *run = NULL;
    must(log_batch(t, t->run, NULL, "[{'key':'lr','value':'1'}]", NULL, &err), &err);
    must(log_batch(t, t->run, NULL, "[{'key':'lr','value':'1'}]", NULL, &err), &err); /* the same again */
    refused(log_batch(t, t->run, "[{'key':'m','value':1}]", "[{'key':'lr','value':'2'}]", NULL, &err), &err,
            TD_INVALID, "Changing param values is not allowed");
    must(td_trial_json(t->db, P, t->run, &run, &err), &err);
    assert_at(run, "data/metrics", "[]");
    assert_at(run, "data/params/0/value", "1");
}

static void run__refuses_hostile_entries(void **state)
{
    trial *t = *state;
    td_err err = {0};
    static const char *const bad[] = {
        "[{'key':'','value':1}]",           "[{'value':1}]",
        "[{'key':'a\\u0001','value':1}]",   "[{'key':'a','value':'1'}]",
        "[{'key':'a','value':null}]",       "[{'key':'a'}]",
        "[{'key':'a','value':1,'step':1.5}]", "[{'key':'a','value':1,'timestamp':'x'}]",
        "[1]",                              "[{'key':'a','value':1,'model_id':'m-none'}]",
    };
    for (size_t i = 0; i < TD_COUNT_OF(bad); i++) {
        assert_int_not_equal(log_batch(t, t->run, bad[i], NULL, NULL, &err), TD_OK);
    }
    refused(log_batch(t, t->run, NULL, "[{'key':'a','value':7}]", NULL, &err), &err, TD_INVALID, "must be text");
    refused(log_batch(t, "0123456789abcdef0123456789abcdef", NULL, NULL, NULL, &err), &err, TD_NOT_FOUND, "no run");
}

static void run__history_goes_on_page_by_page(void **state)
{
    trial *t = *state;
    td_err err = {0};
    char metrics[4096] = "[";
    for (int i = 0; i < 10; i++) {
        snprintf(metrics + strlen(metrics), 100, "%s{'key':'loss','value':%d,'timestamp':%d,'step':%d}",
                 i > 0 ? "," : "", i, 1000 - i, i);
    }
    strncat(metrics, ",{'key':'loss','value':'NaN','timestamp':990,'step':3}]", 100);
    must(log_batch(t, t->run, metrics, NULL, NULL, &err), &err);
    must(log_batch(t, t->run, metrics, NULL, NULL, &err), &err); /* again: nothing twice */
    int seen = 0;
    char token[64] = "", last[32] = "";
    do {
        TD_CLEANUP(td_json_done) json_t *page = NULL;
        td_history_page ask = {.key = "loss", .limit = 4, .token = token};
        must(td_trial_history_json(t->db, P, t->run, &ask, &page, &err), &err);
        seen += (int)json_array_size(json_object_get(page, "metrics"));
        snprintf(last, sizeof last, "%s", at(page, "metrics/0/timestamp"));
        snprintf(token, sizeof token, "%s", td_json_text(page, "next_page_token", ""));
    } while (*token != '\0');
    assert_int_equal(seen, 11);
    td_history_page bad = {.key = "loss", .token = "00ff"};
    TD_CLEANUP(td_json_done) json_t *none = NULL;
    refused(td_trial_history_json(t->db, P, t->run, &bad, &none, &err), &err, TD_INVALID, "page_token");
    TD_CLEANUP(td_json_done) json_t *curve = json_array();
    td_history_range range = {.key = "loss", .first_step = 0, .last_step = 8, .limit = 3};
    must(td_trial_interval_json(t->db, P, t->run, &range, curve, &err), &err);
    assert_in_range(json_array_size(curve), 3, 4);
    assert_at(curve, "3/step", "0"); /* the latest in time */
}

static void run__its_end_is_recorded_with_a_digest_and_later_changes_too(void **state)
{
    trial *t = *state;
    td_err err = {0};
    td_trial_change change = {.status = "FINISHED"};
    must(td_trial_update(t->db, t->ana, P, t->run, &change, &err), &err);
    assert_int_equal(records(t, "finish.experiment_run"), 1);
    assert_int_equal(records(t, "update.experiment_run"), 0);
    must(log_batch(t, t->run, "[{'key':'late','value':1}]", NULL, NULL, &err), &err);
    assert_int_equal(records(t, "update.experiment_run"), 1);
    must(td_trial_delete(t->db, t->ana, P, t->run, &err), &err);
    refused(log_batch(t, t->run, "[{'key':'late','value':2}]", NULL, NULL, &err), &err, TD_INVALID, "deleted");
    must(td_trial_restore(t->db, t->ana, P, t->run, &err), &err);
    change = (td_trial_change){.status = "DONE"};
    refused(TRY_WRITE(t->f, td_trial_update(t->db, t->ana, P, t->run, &change, &err)), &err, TD_INVALID, "FINISHED");
}

static void run__datasets_become_lineage_down_to_the_version(void **state)
{
    trial *t = *state;
    td_err err = {0};
    TD_CLEANUP(td_json_done)
    json_t *inputs = parse("[{'dataset':{'name':'s3://plant/vibration','digest':'abc123','source_type':'s3','source':"
                           "'{}','schema':'{}'},'tags':[{'key':'mlflow.data.context','value':'training'}]}]");
    TD_CLEANUP(td_json_done) json_t *bad = parse("[{'dataset':{'name':'x','digest':'a'}}]");
    must(td_trial_add_inputs(t->db, t->ana, P, t->run, inputs, NULL, &err), &err);
    must(td_trial_add_inputs(t->db, t->ana, P, t->run, inputs, NULL, &err), &err);
    refused(TRY_WRITE(t->f, td_trial_add_inputs(t->db, t->ana, P, t->run, bad, NULL, &err)), &err, TD_INVALID,
            "source");
    must(td_trial_link_version(t->db, P, t->run, "pump/3", &err), &err);
    TD_CLEANUP(td_json_done) json_t *run = NULL;
    must(td_trial_json(t->db, P, t->run, &run, &err), &err);
    assert_at(run, "inputs/dataset_inputs/0/dataset/name", "s3://plant/vibration");
    assert_at(run, "inputs/dataset_inputs/0/tags/0/value", "training");
    assert_at(run, "inputs/dataset_inputs/1", "(absent)");
    TD_CLEANUP(td_json_done) json_t *graph = NULL;
    must(td_lineage_show_json(t->db, P, "version:pump/3", TD_LINEAGE_UP, 0, &graph, &err), &err);
    assert_at(graph, "nodes/2/node", "dataset:s3://plant/vibration@abc123");
}

static void run__logged_models_have_their_own_metrics(void **state)
{
    trial *t = *state;
    td_err err = {0};
    char uuid[TD_LOGGED_UUID_SIZE], text[512];
    TD_CLEANUP(td_json_done) json_t *params = parse("[{'key':'depth','value':'3'}]");
    td_logged_options options = {.experiment = "0", .name = "net", .source_run = t->run, .params = params};
    must(td_logged_create(t->db, t->ana, P, &options, uuid, &err), &err);
    snprintf(text, sizeof text, "[{'key':'auc','value':0.9,'model_id':'%s','dataset_name':'d','dataset_digest':'1'}]",
             uuid);
    must(log_batch(t, t->run, text, NULL, NULL, &err), &err);
    must(td_logged_finish(t->db, t->ana, P, uuid, "LOGGED_MODEL_READY", &err), &err);
    refused(td_logged_finish(t->db, t->ana, P, uuid, "READY", &err), &err, TD_INVALID, "LOGGED_MODEL_READY");
    refused(TRY_WRITE(t->f, td_logged_add_params(t->db, t->ana, P, uuid, params, &err)), &err, TD_INVALID, "already");
    snprintf(text, sizeof text, "[{'model_id':'%s','step':5}]", uuid);
    TD_CLEANUP(td_json_done) json_t *outputs = parse(text);
    must(td_trial_add_outputs(t->db, t->ana, P, t->run, outputs, &err), &err);
    TD_CLEANUP(td_json_done) json_t *run = NULL;
    TD_CLEANUP(td_json_done) json_t *model = NULL;
    must(td_trial_json(t->db, P, t->run, &run, &err), &err);
    must(td_logged_json(t->db, P, uuid, &model, &err), &err);
    assert_at(run, "outputs/model_outputs/0/step", "5");
    assert_at(model, "info/status", "LOGGED_MODEL_READY");
    assert_at(model, "info/source_run_id", t->run);
    assert_at(model, "data/metrics/0/dataset_name", "d");
    assert_at(model, "data/params/0/value", "3");
    must(td_logged_delete(t->db, t->ana, P, uuid, &err), &err);
    json_t *gone = NULL;
    refused(td_logged_json(t->db, P, uuid, &gone, &err), &err, TD_NOT_FOUND, "no logged model");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(experiment__default_is_there_and_numbers_are_never_reused),
        TRIAL(experiment__is_changed_only_by_who_may_register_and_while_it_lives),
        TRIAL(run__shows_all_that_was_logged),
        TRIAL(run__parameters_never_change_and_a_batch_is_all_or_nothing),
        TRIAL(run__refuses_hostile_entries),
        TRIAL(run__history_goes_on_page_by_page),
        TRIAL(run__its_end_is_recorded_with_a_digest_and_later_changes_too),
        TRIAL(run__datasets_become_lineage_down_to_the_version),
        TRIAL(run__logged_models_have_their_own_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
