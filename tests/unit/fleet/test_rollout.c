/*
 * test_rollout.c: whole rollouts over a virtual clock: how they succeed, how they stop, whom they count.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/fleet/fleet_fixture.h"

static void rollout__brings_a_version_to_all_in_waves(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 20, "oslo");
    enrol(self, "bergen", 3, "bergen");
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"site=oslo\",\"waves\":\"5%,50%,100%\","
                                    "\"soak\":\"5s\"}");
    tick(self);
    assert_int_equal(count_of(self, id, "issued"), 1); /* one canary of twenty, nobody else yet */
    assert_int_equal(count_of(self, id, "devices"), 20);
    devices_act(self);
    assert_int_equal(count_of(self, id, "committed"), 1);
    live(self, 3);
    assert_int_equal(count_of(self, id, "waiting"), 19); /* it soaks */
    live(self, 5);
    assert_int_equal(count_of(self, id, "committed"), 10);
    live(self, 20);
    assert_string_equal(state_of(self, id), "finished");
    assert_int_equal(count_of(self, id, "committed"), 20);
    assert_int_equal(self->directives_seen, 20); /* each device heard one order, the other site none */
    assert_string_equal(part_of(self, id, "bergen-01"), "not in it");
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *runs = NULL;
    must(td_device_runs_json(self->f->db, "default", NULL, "pump", 1, &runs, &err), &err);
    assert_int_equal(json_array_size(runs), 20);
    assert_int_equal(count_records(self->f, "issue.directive"), 20);
    assert_int_equal(count_records(self->f, "pass.wave"), 3);
    assert_int_equal(count_records(self->f, "finish.rollout"), 1);
}

static void rollout__lineage_says_which_devices_ever_ran_it(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    make_approved(self->f, "pump", "weights one");
    make_approved(self->f, "pump", "weights two");
    enrol(self, "oslo", 2, "oslo");
    roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\"}");
    live(self, 5);
    roll_out(self, "{\"model_version\":\"pump/2\",\"to\":\"all\"}");
    live(self, 5);
    TD_CLEANUP(td_json_done) json_t *impact = NULL;
    must(td_lineage_impact_json(self->f->db, "default", "version:pump/1", &impact, &err), &err);
    json_t *devices = json_object_get(impact, "devices");
    assert_int_equal(json_array_size(devices), 2);
    assert_false(td_json_bool(json_array_get(devices, 0), "now", true)); /* it moved on */
    TD_CLEANUP(td_json_done) json_t *runs = NULL;
    must(td_device_runs_json(self->f->db, "default", "oslo-01", NULL, 0, &runs, &err), &err);
    assert_int_equal(json_array_size(runs), 2);
    assert_true(json_is_null(json_object_get(json_array_get(runs, 0), "ended_at")));
    assert_true(json_is_string(json_object_get(json_array_get(runs, 1), "ended_at")));
}

static void rollout__stops_by_itself_above_the_failure_ceiling(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 20, "oslo");
    for (size_t i = 0; i < self->count; i++) {
        self->devices[i].does = FAILS;
    }
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"waves\":\"10%,100%\","
                                    "\"stop_if\":\"failed>2%\"}");
    live(self, 10);
    assert_string_equal(state_of(self, id), "aborted");
    assert_int_equal(count_of(self, id, "failed"), 2);     /* the two canaries */
    assert_int_equal(count_of(self, id, "cancelled"), 18); /* the rest never heard of it */
    assert_int_equal(self->directives_seen, 2);
    TD_CLEANUP(td_json_done) json_t *json = show(self, id);
    assert_string_equal(td_json_text(json_array_get(json_object_get(json, "waves"), 0), "state", ""), "failed");
    assert_int_equal(count_records(self->f, "abort.rollout"), 1);
}

static void rollout__silence_after_a_yes_is_a_failure(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 4, "oslo");
    named(self, "oslo-02")->does = GOES_QUIET;
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"step_deadline\":\"1m\","
                                    "\"stop_if\":\"failed>50%\",\"success\":0.7}");
    live(self, 55);
    assert_string_equal(state_of(self, id), "running");
    assert_int_equal(count_of(self, id, "working"), 1);
    live(self, 10);
    assert_string_equal(part_of(self, id, "oslo-02"), "failed:deadline");
    assert_string_equal(state_of(self, id), "finished"); /* 3 of 4 suffice here */
}

static void rollout__a_wave_waits_for_those_at_work(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 8, "oslo");
    for (size_t i = 0; i < self->count; i++) {
        self->devices[i].does = SLOW;
    }
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"waves\":\"50%,100%\"}");
    live(self, 1);
    for (size_t i = 0, done = 0; i < self->count && done < 3; i++) { /* three of the wave's four succeed */
        device *d = &self->devices[i];
        if (d->directive > 0) {
            send_report(self, d, tidemark_DeviceState_STATE_COMMITTED, 0, find(self->f, "pump/1").manifest_digest);
            done++;
        }
    }
    live(self, 60);
    assert_int_equal(count_of(self, id, "committed"), 3);
    assert_int_equal(count_of(self, id, "waiting"), 4); /* the second wave has not begun */
}

static void rollout__deadlines_are_at_least_three_contacts(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 1, "oslo"); /* declares contact every 10 s */
    self->devices[0].does = GOES_QUIET;
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"step_deadline\":\"1s\"}");
    live(self, 25);
    assert_int_equal(count_of(self, id, "working"), 1);
    live(self, 10);
    assert_int_equal(count_of(self, id, "failed"), 1);
}

static void rollout__the_unreached_are_outside_the_share(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 10, "oslo");
    for (size_t i = 0; i < 6; i++) {
        self->devices[i].does = OFFLINE;
    }
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"deadline\":\"10m\",\"success\":1}");
    live(self, 60);
    assert_int_equal(count_of(self, id, "committed"), 4);
    assert_string_equal(state_of(self, id), "running"); /* the wave passed, the rest may still come */
    self->devices[0].does = OBEYS;
    live(self, 5);
    assert_string_equal(part_of(self, id, "oslo-01"), "committed");
    live(self, 600);
    assert_string_equal(state_of(self, id), "finished");
    assert_int_equal(count_of(self, id, "unreached"), 5);
    assert_int_equal(count_of(self, id, "failed"), 0);
}

static void rollout__a_wave_without_enough_answers_does_not_pass(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 10, "oslo");
    for (size_t i = 0; i < self->count; i++) {
        self->devices[i].does = OFFLINE;
    }
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"waves\":\"20%,100%\","
                                    "\"deadline\":\"5m\",\"min_sample\":2}");
    live(self, 200);
    assert_string_equal(state_of(self, id), "running");
    assert_int_equal(count_of(self, id, "issued"), 2); /* the second wave never opened */
    live(self, 200);
    assert_string_equal(state_of(self, id), "aborted");
}

static void rollout__abort_reaches_devices_at_work(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 6, "oslo");
    for (size_t i = 0; i < 3; i++) {
        self->devices[i].does = SLOW;
    }
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\"}");
    live(self, 3);
    assert_int_equal(count_of(self, id, "working"), 3);
    refused(TRY_WRITE(self->f, td_rollout_abort(self->f->db, &td_actor_system, "default", id, "", &err)), &err,
            TD_INVALID, "reason");
    must(td_rollout_abort(self->f->db, &td_actor_system, "default", id, "changed my mind", &err), &err);
    assert_string_equal(state_of(self, id), "aborting");
    live(self, 3);
    assert_string_equal(state_of(self, id), "aborted");
    assert_int_equal(count_of(self, id, "cancelled"), 3);
    assert_int_equal(count_of(self, id, "committed"), 3); /* what is installed stays */
    assert_int_equal(self->directives_seen, 9);
    refused(TRY_WRITE(self->f, td_rollout_abort(self->f->db, &td_actor_system, "default", id, "again", &err)), &err,
            TD_CONFLICT, "aborted");
}

static void rollout__revert_is_one_directive_each(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    make_approved(self->f, "pump", "weights one");
    make_approved(self->f, "pump", "weights two");
    enrol(self, "oslo", 3, "oslo");
    roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\"}");
    live(self, 5);
    uint8_t first[TD_DIGEST_SIZE];
    memcpy(first, self->devices[0].running, sizeof first);
    const char *id = roll_out(self, "{\"model_version\":\"pump/2\",\"to\":\"all\",\"soak\":\"1h\"}");
    live(self, 5);
    assert_memory_not_equal(first, self->devices[0].running, sizeof first);
    self->directives_seen = 0;
    must(td_rollout_revert(self->f->db, &td_actor_system, "default", id, "it smells", &err), &err);
    live(self, 5);
    assert_string_equal(state_of(self, id), "reverted");
    assert_int_equal(count_of(self, id, "reverted"), 3);
    assert_int_equal(self->directives_seen, 3);
    assert_memory_equal(first, self->devices[0].running, sizeof first);
}

static void rollout__a_device_that_joins_late_finds_its_wave(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 10, "oslo");
    named(self, "oslo-01")->does = OFFLINE;
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"site=oslo\",\"deadline\":\"1h\"}");
    live(self, 40);
    enrol(self, "late", 2, "oslo");
    enrol(self, "elsewhere", 1, "bergen");
    live(self, 5);
    assert_string_equal(part_of(self, id, "late-01"), "committed");
    assert_string_equal(part_of(self, id, "late-02"), "committed");
    assert_string_equal(part_of(self, id, "elsewhere-01"), "not in it");
}

static td_rollout_health health_says;
static td_rollout_health say(void *context, td_db *db, const char *rollout, const char *project, const char *model,
                             int64_t version, char text_out[160])
{
    (void)context;
    (void)db;
    assert_true(rollout[0] == 'r' && strcmp(project, "default") == 0 && strcmp(model, "pump") == 0 && version == 1);
    snprintf(text_out, 160, "drift of 0.4 on vibration");
    return health_says;
}

static void rollout__health_gate_decides(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 4, "oslo");
    self->tick.health = say;
    health_says = TD_HEALTH_WAIT;
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"waves\":\"25%,100%\","
                                    "\"on_failure\":\"revert\"}");
    live(self, 10);
    assert_int_equal(count_of(self, id, "committed"), 1); /* the first wave waits for the monitor */
    health_says = TD_HEALTH_FAIL;
    live(self, 1);
    assert_string_equal(state_of(self, id), "reverting");
    TD_CLEANUP(td_json_done) json_t *json = show(self, id);
    assert_non_null(strstr(td_json_text(json, "why", ""), "drift of 0.4"));
    live(self, 3);
    assert_string_equal(state_of(self, id), "reverted");
}

static void rollout__pause_starts_nothing_new(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 4, "oslo");
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"waves\":\"25%,100%\"}");
    live(self, 1);
    must(td_rollout_pause(self->f->db, &td_actor_system, "default", id, "lunch", &err), &err);
    live(self, 20);
    assert_int_equal(count_of(self, id, "committed"), 1);
    must(td_rollout_resume(self->f->db, &td_actor_system, "default", id, &err), &err);
    live(self, 20);
    assert_string_equal(state_of(self, id), "finished");
}

static void rollout__rate_and_canaries_are_obeyed(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 20, "oslo");
    const char *id =
        roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"waves\":\"5%,100%\",\"per_minute\":6,"
                       "\"canaries\":[\"oslo-13\",\"oslo-17\"]}");
    tick(self);
    TD_CLEANUP(td_json_done) json_t *json = show(self, id);
    size_t i, in_first = 0;
    json_t *part;
    json_array_foreach (json_object_get(json, "devices"), i, part) {
        in_first += td_json_int(part, "wave", 0) == 1;
    }
    assert_true(in_first >= 2 && in_first <= 3);
    assert_string_equal(part_of(self, id, "oslo-13"), "issued");
    assert_string_equal(part_of(self, id, "oslo-17"), "issued");
    live(self, 30);
    assert_int_equal(count_of(self, id, "committed"), 6);
    live(self, 180);
    assert_string_equal(state_of(self, id), "finished");
}

static void rollout__late_failure_during_soak_counts(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 4, "oslo");
    const char *id =
        roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"waves\":\"50%,100%\",\"soak\":\"1m\"}");
    live(self, 5);
    for (size_t i = 0; i < self->count; i++) {
        if (self->devices[i].runs) {
            send_report(self, &self->devices[i], tidemark_DeviceState_STATE_ROLLED_BACK,
                        tidemark_Reason_REASON_CRASH_LOOP, self->devices[i].running);
            break;
        }
    }
    live(self, 5);
    assert_string_equal(state_of(self, id), "aborted");
}

static void rollout__refuses_what_it_must(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    char id[TD_ROLLOUT_ID_TEXT];
    make_version(self->f, "pump", "weights one");
    make_approved(self->f, "pump", "weights two");
    enrol(self, "oslo", 2, "oslo");
    static const struct {
        const char *spec;
        td_code code;
        const char *part;
    } cases[] = {
        {"{\"model_version\":\"pump/1\",\"to\":\"all\"}", TD_CONFLICT, "only an approved version"},
        {"{\"model_version\":\"pump/9\",\"to\":\"all\"}", TD_NOT_FOUND, "pump"},
        {"{\"model_version\":\"pump/2\",\"to\":\"site=olso\"}", TD_CONFLICT, "site=oslo"},
        {"{\"model_version\":\"pump/2\",\"to\":\"site==\"}", TD_INVALID, "column"},
        {"{\"model_version\":\"pump/2\"}", TD_INVALID, "to"},
        {"{\"model_version\":\"pump/2\",\"to\":\"all\",\"waves\":\"5%,50%\"}", TD_INVALID, "100%"},
        {"{\"model_version\":\"pump/2\",\"to\":\"all\",\"waves\":\"50%,5%,100%\"}", TD_INVALID, "must grow"},
        {"{\"model_version\":\"pump/2\",\"to\":\"all\",\"stop_if\":\"fails\"}", TD_INVALID, "failed>2%"},
        {"{\"model_version\":\"pump/2\",\"to\":\"all\",\"wave\":\"100%\"}", TD_INVALID, "waves"},
        {"{\"model_version\":\"pump/2\",\"to\":\"all\",\"canaries\":[\"nobody\"]}", TD_INVALID, "canaries"},
        {"{\"model_version\":\"pump/2\",\"to\":\"all\",\"soak\":\"soon\"}", TD_INVALID, "soak"},
    };
    for (size_t i = 0; i < TD_COUNT_OF(cases); i++) {
        TD_CLEANUP(td_json_done) json_t *spec = NULL;
        must(td_json_parse(cases[i].spec, strlen(cases[i].spec), "spec", &spec, &err), &err);
        td_code code = TRY_WRITE(self->f, td_rollout_create(self->f->db, &td_actor_system, "default", spec, id, &err));
        refused(code, &err, cases[i].code, cases[i].part);
    }
    TD_CLEANUP(td_json_done) json_t *spec = json_pack("{s:s, s:s}", "model_version", "pump/2", "to", "all");
    refused(TRY_WRITE(self->f, td_rollout_create(self->f->db, &self->f->ana.actor, "default", spec, id, &err)), &err,
            TD_DENIED, "roll_out");
    roll_out(self, "{\"model_version\":\"pump/2\",\"to\":\"all\"}");
    refused(TRY_WRITE(self->f, td_rollout_create(self->f->db, &td_actor_system, "default", spec, id, &err)), &err,
            TD_CONFLICT, "stop it first");
    assert_int_equal(count_records(self->f, "create.rollout"), 1); /* what is refused leaves nothing */
}

static void rollout__a_newer_one_supersedes_one_that_only_waits(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    make_approved(self->f, "pump", "weights two");
    enrol(self, "oslo", 3, "oslo");
    named(self, "oslo-02")->does = OFFLINE;
    char first[TD_ROLLOUT_ID_TEXT];
    memcpy(first, roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\"}"), sizeof first);
    live(self, 40);
    assert_string_equal(state_of(self, first), "running");
    const char *id = roll_out(self, "{\"model_version\":\"pump/2\",\"to\":\"all\"}");
    assert_string_equal(state_of(self, first), "superseded");
    named(self, "oslo-02")->does = OBEYS;
    self->directives_seen = 0;
    live(self, 10);
    assert_string_equal(state_of(self, id), "finished");
    assert_int_equal(self->directives_seen, 3); /* the one that was away did one thing: the newest */
}

static void rollout__expiring_directives_are_renewed(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 1, "oslo");
    self->devices[0].does = OFFLINE;
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\",\"deadline\":\"60d\"}");
    tick(self);
    fixture_now_ms += (int64_t)29 * 24 * 3600 * 1000 + 3600 * 1000;
    tick(self);
    tick(self);
    assert_int_equal(count_records(self->f, "issue.directive"), 2);
    self->devices[0].does = OBEYS;
    live(self, 3);
    assert_string_equal(part_of(self, id, "oslo-01"), "committed");
}

static void rollout__a_device_without_a_clock_gets_its_nonce(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 2, "oslo");
    self->devices[0].does = OFFLINE;
    self->devices[1].does = OFFLINE;
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\"}");
    tick(self);
    tidemark_Birth birth = tidemark_Birth_init_zero;
    snprintf(birth.device, sizeof birth.device, "%s", self->devices[0].name);
    birth.boot_id = 8;
    birth.nonce = UINT64_MAX - 5;
    must(td_fleet_birth(self->f->db, self->devices[0].id, &birth, &err), &err);
    tick(self);
    tick(self); /* once a birth, not for ever */
    assert_int_equal(count_records(self->f, "issue.directive"), 3);
    tidemark_Directive directive;
    assert_true(newest_directive(self, &self->devices[0], &directive));
    assert_true(directive.nonce == UINT64_MAX - 5 && directive.sequence == 2);
    self->devices[0].does = OBEYS;
    live(self, 2);
    assert_string_equal(part_of(self, id, "oslo-01"), "committed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLEET_CASE(rollout__brings_a_version_to_all_in_waves),
        FLEET_CASE(rollout__lineage_says_which_devices_ever_ran_it),
        FLEET_CASE(rollout__stops_by_itself_above_the_failure_ceiling),
        FLEET_CASE(rollout__silence_after_a_yes_is_a_failure),
        FLEET_CASE(rollout__a_wave_waits_for_those_at_work),
        FLEET_CASE(rollout__deadlines_are_at_least_three_contacts),
        FLEET_CASE(rollout__the_unreached_are_outside_the_share),
        FLEET_CASE(rollout__a_wave_without_enough_answers_does_not_pass),
        FLEET_CASE(rollout__abort_reaches_devices_at_work),
        FLEET_CASE(rollout__revert_is_one_directive_each),
        FLEET_CASE(rollout__a_device_that_joins_late_finds_its_wave),
        FLEET_CASE(rollout__health_gate_decides),
        FLEET_CASE(rollout__pause_starts_nothing_new),
        FLEET_CASE(rollout__rate_and_canaries_are_obeyed),
        FLEET_CASE(rollout__late_failure_during_soak_counts),
        FLEET_CASE(rollout__refuses_what_it_must),
        FLEET_CASE(rollout__a_newer_one_supersedes_one_that_only_waits),
        FLEET_CASE(rollout__expiring_directives_are_renewed),
        FLEET_CASE(rollout__a_device_without_a_clock_gets_its_nonce),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
