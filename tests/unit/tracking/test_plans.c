/*
 * test_plans.c: no statement of tracking reads a whole table.
 *
 * Every literal that a run's life prepares is explained by SQLite against the migrated schema.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/tracking/tracking_fixture.h"

#define LITERALS_MAX 200

static const char *literals[LITERALS_MAX];
static size_t literal_count;

static void note_literal(void *context, const char *sql)
{
    (void)context;
    for (size_t i = 0; i < literal_count; i++) {
        if (literals[i] == sql) {
            return;
        }
    }
    assert_true(literal_count < LITERALS_MAX);
    literals[literal_count++] = sql;
}

static void explain(trial *t, const char *sql)
{
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_stmt_free) td_stmt *stmt = NULL;
    td_str_addf(&text, "EXPLAIN QUERY PLAN %s", sql);
    must(td_db_prepare_text(t->db, td_str_text(&text), &stmt, &err), &err);
    for (bool row = true;;) {
        must(td_step(stmt, &row, &err), &err);
        if (!row) {
            return;
        }
        const char *detail = td_column_text(stmt, "detail");
        if (strncmp(detail, "SCAN ", 5) == 0 && strstr(detail, "CONSTANT ROW") == NULL) {
            fail_msg("%s\n  %s", detail, sql);
        }
    }
}

/* Everything that a training script and a registration ask for, once. */
static void live(trial *t)
{
    td_err err = {0};
    int64_t number;
    char model[TD_LOGGED_UUID_SIZE], uuid[TD_TRIAL_UUID_SIZE], text[512];
    TD_CLEANUP(td_json_done) json_t *tags = parse("[{'key':'a','value':'b'}]");
    TD_CLEANUP(td_json_done) json_t *data = parse("[{'dataset':{'name':'d','digest':'1','source_type':'s3','source':"
                                                  "'{}'}}]");
    must(td_experiment_create(t->db, t->ana, P, "pumps", tags, &number, &err), &err);
    must(td_experiment_set_tag(t->db, t->ana, P, "1", "a", NULL, &err), &err);
    start_run(t, "0", uuid);
    td_logged_options options = {.experiment = "0", .name = "net", .source_run = uuid, .params = tags, .tags = tags};
    must(td_logged_create(t->db, t->ana, P, &options, model, &err), &err);
    snprintf(text, sizeof text, "[{'key':'m','value':1,'model_id':'%s'},{'key':'m','value':2,'step':2}]", model);
    must(log_batch(t, uuid, text, "[{'key':'p','value':'1'}]", "[{'key':'g','value':'1'}]", &err), &err);
    must(td_trial_delete_tag(t->db, t->ana, P, uuid, "g", &err), &err);
    snprintf(text, sizeof text, "[{'model_id':'%s'}]", model);
    TD_CLEANUP(td_json_done) json_t *outputs = parse(text);
    must(td_trial_add_inputs(t->db, t->ana, P, uuid, data, outputs, &err), &err);
    must(put_artifact(t, uuid, "m/a", "x", &err), &err);
    must(put_artifact(t, uuid, "b", "x", &err), &err);
    must(put_artifact(t, model, "a", "x", &err), &err);
    must(td_logged_finish(t->db, t->ana, P, model, "LOGGED_MODEL_READY", &err), &err);
    must(td_logged_set_tags(t->db, t->ana, P, model, tags, &err), &err);
    must(td_logged_delete_tag(t->db, t->ana, P, model, "a", &err), &err);
    must(td_trial_update(t->db, t->ana, P, uuid, &(td_trial_change){.status = "FINISHED", .name = "n"}, &err), &err);
    td_artifact_tree tree;
    snprintf(text, sizeof text, "runs:/%s/net", uuid);
    must(td_artifact_resolve(t->db, P, text, &t->arena, &tree, &err), &err);
    must(td_artifact_settle(t->db, t->ana, P, &tree, "pump/1", &err), &err);
    snprintf(text, sizeof text, "0/%s/artifacts/m", uuid);
    TD_CLEANUP(td_json_done) json_t *list = NULL;
    must(td_artifact_list_json(t->db, P, text, &list, &err), &err);
    must(td_artifact_delete(t->db, t->ana, P, text, &err), &err);
    TD_CLEANUP(td_json_done) json_t *run = NULL;
    TD_CLEANUP(td_json_done) json_t *shown = NULL;
    TD_CLEANUP(td_json_done) json_t *history = NULL;
    TD_CLEANUP(td_json_done) json_t *experiment = NULL;
    must(td_trial_json(t->db, P, uuid, &run, &err), &err);
    must(td_logged_json(t->db, P, model, &shown, &err), &err);
    must(td_trial_history_json(t->db, P, uuid, &(td_history_page){.key = "m"}, &history, &err), &err);
    must(td_trial_interval_json(t->db, P, uuid, &(td_history_range){"m", 0, 9, 5}, list, &err), &err);
    must(td_experiment_named_json(t->db, P, "pumps", &experiment, &err), &err);
    must(td_trial_delete(t->db, t->ana, P, uuid, &err), &err);
    must(td_logged_delete(t->db, t->ana, P, model, &err), &err);
    must(td_experiment_delete(t->db, t->ana, P, "1", &err), &err);
}

static void plans__read_no_whole_table(void **state)
{
    trial *t = *state;
    literal_count = 0;
    td_db_on_prepare(t->db, note_literal, NULL);
    live(t);
    td_db_on_prepare(t->db, NULL, NULL);
    assert_true(literal_count > 40);
    for (size_t i = 0; i < literal_count; i++) {
        explain(t, literals[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(plans__read_no_whole_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
