/*
 * test_plans.c: no statement of the fleet reads a whole table, but for those that are meant to.
 *
 * Every literal that a full life of a fleet prepares is explained by SQLite against the migrated schema.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/fleet/fleet_fixture.h"

#define LITERALS_MAX 400

static char *literals[LITERALS_MAX]; /* copies: those of lists are put together */
static size_t literal_count;

static void note_literal(void *context, const char *sql)
{
    (void)context;
    for (size_t i = 0; i < literal_count; i++) {
        if (strcmp(literals[i], sql) == 0) {
            return;
        }
    }
    assert_true(literal_count < LITERALS_MAX);
    literals[literal_count++] = strdup(sql);
}

/* Whole tables are meant here: all keys, all revoked, and small sets that a rollout or a project bounds. */
static bool is_meant(const char *sql)
{
    static const char *const meant[] = {"SELECT count(*) AS n FROM device",
                                        "SELECT device_id, name, project, state, uplink_key FROM device",
                                        "SELECT name FROM device WHERE state = 'revoked'", "json_each"};
    for (size_t i = 0; i < TD_COUNT_OF(meant); i++) {
        if (strstr(sql, meant[i]) != NULL) {
            return true;
        }
    }
    return false;
}

/* A walk over a partial index is bounded by its condition: what is pending, active, expiring. */
static bool reads_all(const char *detail)
{
    static const char *const bounded[] = {"directive_pending", "directive_expiring", "device_by_nonce",
                                          "rollout_active",    "CONSTANT ROW",       "VIRTUAL TABLE",
                                          "SUBQUERY"};
    for (size_t i = 0; i < TD_COUNT_OF(bounded); i++) {
        if (strstr(detail, bounded[i]) != NULL) {
            return false;
        }
    }
    return strncmp(detail, "SCAN ", 5) == 0;
}

static void explain(fleet *self, const char *sql)
{
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_stmt_free) td_stmt *stmt = NULL;
    td_str_addf(&text, "EXPLAIN QUERY PLAN %s", sql);
    must(td_db_prepare_text(self->f->db, td_str_text(&text), &stmt, &err), &err);
    for (bool row = true;;) {
        must(td_step(stmt, &row, &err), &err);
        if (!row) {
            return;
        }
        if (reads_all(td_column_text(stmt, "detail"))) {
            fail_msg("%s\n  %s", td_column_text(stmt, "detail"), sql);
        }
    }
}

static void plans__read_no_whole_table(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    literal_count = 0;
    make_approved(self->f, "pump", "weights one");
    make_approved(self->f, "pump", "weights two");
    td_db_on_prepare(self->f->db, note_literal, NULL);
    enrol(self, "oslo", 6, "oslo");
    named(self, "oslo-02")->does = SLOW;
    named(self, "oslo-03")->does = OFFLINE;
    const char *id =
        roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"site=oslo\",\"waves\":\"50%,100%\","
                       "\"per_minute\":100,\"step_deadline\":\"1m\",\"stop_if\":\"failed>60%\",\"success\":0}");
    live(self, 80);
    TD_CLEANUP(td_json_done) json_t *shown = show(self, id);
    TD_CLEANUP(td_json_done) json_t *list = NULL, *rollouts = NULL, *codes = NULL, *one = NULL;
    assert_non_null(shown);
    td_page page = {.limit = 0};
    must(td_device_list_json(self->f->db, "default", "model=pump", &page, &list, &err), &err);
    must(td_rollout_list_json(self->f->db, "default", &page, &rollouts, &err), &err);
    must(td_enrol_code_list_json(self->f->db, "default", &page, &codes, &err), &err);
    must(td_device_json(self->f->db, "default", "oslo-01", &one, &err), &err);
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s}", "line", "b");
    must(td_device_tag(self->f->db, &td_actor_system, "default", "oslo-01", tags, &err), &err);
    must(td_device_revoke(self->f->db, &td_actor_system, "default", "oslo-06", "lost", &err), &err);
    must(td_rollout_abort(self->f->db, &td_actor_system, "default", id, "enough", &err), &err);
    live(self, 100);
    roll_out(self, "{\"model_version\":\"pump/2\",\"to\":\"all\"}");
    live(self, 5);
    td_db_on_prepare(self->f->db, NULL, NULL);
    assert_true(literal_count > 60);
    for (size_t i = 0; i < literal_count; i++) {
        if (!is_meant(literals[i])) {
            explain(self, literals[i]);
        }
    }
    for (size_t i = 0; i < literal_count; i++) {
        free(literals[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {FLEET_CASE(plans__read_no_whole_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
