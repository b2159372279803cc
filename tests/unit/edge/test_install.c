/*
 * test_install.c: the device state machine on its usual and unusual ways: commit, probation, rollback, hold, cancel.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/edge/attack_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A device with version 1 and an application; version 2 directed with the given probation, not yet published. */
static sim *set_out_upgrade(sim_version *two, sim_directive_options directive)
{
    sim *s = kit_set_out();
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, two);
    s->app = true;
    assert_int_equal(tde_slot_attached(&s->core, "pump"), TDE_OK);
    directive.sequence = 11;
    directive.version = two;
    sim_make_directive(s, &directive);
    sim_publish(s);
    return s;
}

static void expect_rolled_back(sim *s, tidemark_Reason reason)
{
    assert_true(sim_run(s, sim_is_rolled_back, 30 * KIT_MINUTES));
    assert_true(sim_current_is(s, kit_one.manifest_digest));
    assert_true(sim_current_is_whole(s));
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_ROLLED_BACK, reason), 1);
    sim_free(s);
}

static void install__first_version_commits_as_unproven(void **state)
{
    (void)state;
    static const tidemark_DeviceState way[] = {
        tidemark_DeviceState_STATE_OFFERED,    tidemark_DeviceState_STATE_FETCHING,
        tidemark_DeviceState_STATE_VERIFYING,  tidemark_DeviceState_STATE_STAGED,
        tidemark_DeviceState_STATE_ACTIVATING, tidemark_DeviceState_STATE_PROBATION,
        tidemark_DeviceState_STATE_COMMITTED};
    sim *s = kit_set_out();
    assert_int_equal(s->reports_count, 7);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(s->reports[i].state, way[i]);
        assert_int_equal(s->reports[i].directive_sequence, 10);
        assert_memory_equal(s->reports[i].digest, kit_one.manifest_digest, TDE_DIGEST_SIZE);
    }
    assert_int_equal(s->reports[6].reason, tidemark_Reason_REASON_UNPROVEN);
    assert_int_equal(s->reports[6].bytes_done, kit_one.total_size);
    assert_true(sim_current_is(s, kit_one.manifest_digest) && sim_current_is_whole(s));
    tde_slot_view view = sim_slot(s);
    assert_memory_equal(view.running, kit_one.manifest_digest, TDE_DIGEST_SIZE);
    assert_int_equal(view.security_counter, 5);
    assert_int_equal(view.window_seconds, 60);
    sim_free(s);
}

static void install__application_proves_the_version(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.min_inferences = 100, .seconds = 600});
    s->app_inferences = 10;
    assert_true(sim_run(s, sim_is_idle, KIT_MINUTES) || true);
    assert_true(sim_run(s, sim_is_committed, 10 * KIT_MINUTES));
    assert_true(sim_current_is(s, two.manifest_digest));
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_COMMITTED, tidemark_Reason_REASON_NONE), 1);
    assert_memory_equal(sim_slot(s).previous, kit_one.manifest_digest, TDE_DIGEST_SIZE);
    sim_free(s);
}

static void install__errors_roll_back(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.min_inferences = 100, .max_errors = 3, .seconds = 600});
    s->app_inferences = 1;
    s->app_errors = 2;
    expect_rolled_back(s, tidemark_Reason_REASON_ERRORS);
}

static void install__a_lost_lease_rolls_back(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.min_inferences = 100, .lease_seconds = 20, .seconds = 600});
    s->app_silent = true;
    expect_rolled_back(s, tidemark_Reason_REASON_LEASE_LOST);
}

static void install__too_few_inferences_roll_back(void **state)
{
    (void)state;
    sim_version two;
    sim *s =
        set_out_upgrade(&two, (sim_directive_options){.min_inferences = 100000, .lease_seconds = 20, .seconds = 120});
    s->app_inferences = 1;
    expect_rolled_back(s, tidemark_Reason_REASON_DEADLINE);
}

static bool is_in_probation(sim *s)
{
    return sim_slot(s).state == tidemark_DeviceState_STATE_PROBATION;
}

static void install__boots_in_probation_are_a_crash_loop(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.min_inferences = 100000, .seconds = 6000});
    assert_true(sim_run(s, is_in_probation, 10 * KIT_MINUTES));
    for (int boot = 0; boot < 3; boot++) {
        sim_lose_power(s);
        assert_int_equal(sim_boot(s), TDE_OK);
        assert_true(is_in_probation(s));
        assert_true(sim_current_is(s, two.manifest_digest));
    }
    sim_lose_power(s);
    assert_int_equal(sim_boot(s), TDE_OK);
    expect_rolled_back(s, tidemark_Reason_REASON_CRASH_LOOP);
}

static void install__golden_mismatch_rolls_back_before_any_switch(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.seconds = 60});
    s->self_test = TDE_DENIED;
    assert_true(sim_run(s, sim_is_rolled_back, 10 * KIT_MINUTES));
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_ACTIVATING, tidemark_Reason_REASON_NONE), 1);
    expect_rolled_back(s, tidemark_Reason_REASON_GOLDEN_MISMATCH);
}

static bool is_verifying(sim *s)
{
    return sim_slot(s).state == tidemark_DeviceState_STATE_VERIFYING;
}

/* The candidate's model as it lies in its slot. */
static sim_object *model_of(sim *s, const uint8_t *manifest_digest)
{
    for (size_t i = 0; i < SIM_PLACES; i++) {
        for (size_t k = 0; k < SIM_OBJECTS; k++) {
            sim_object *o = &s->places[i].objects[k];
            if (s->places[i].used && memcmp(s->places[i].digest, manifest_digest, TDE_DIGEST_SIZE) == 0 && o->used &&
                o->kind == TDE_OBJECT_FILE && strcmp(o->name, "model/pump.onnx") == 0) {
                return o;
            }
        }
    }
    return NULL;
}

static void install__damage_after_arrival_is_found(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.seconds = 60});
    assert_true(sim_run(s, is_verifying, 10 * KIT_MINUTES));
    model_of(s, two.manifest_digest)->cache[5000] ^= 1;
    assert_true(sim_run(s, sim_is_rolled_back, 10 * KIT_MINUTES));
    /* And it heals: the next directive fetches it again. */
    sim_make_directive(s, &(sim_directive_options){.sequence = 12, .version = &two, .min_inferences = 1});
    s->app_inferences = 1;
    sim_publish(s);
    (void)sim_run(s, sim_is_committed, 10 * KIT_MINUTES);
    assert_true(sim_current_is(s, two.manifest_digest) && sim_current_is_whole(s));
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_ROLLED_BACK, tidemark_Reason_REASON_HASH), 1);
    sim_free(s);
}

static void install__a_file_with_more_bytes_than_listed_is_found(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.seconds = 60});
    assert_true(sim_run(s, is_verifying, 10 * KIT_MINUTES));
    sim_object *model = model_of(s, two.manifest_digest);
    sim_grow(&model->cache, &model->cache_size, model->cache_size + 1);
    expect_rolled_back(s, tidemark_Reason_REASON_HASH);
}

static void install__files_that_are_held_are_not_fetched_again(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.min_inferences = 1});
    uint64_t before = s->block_bytes;
    s->app_inferences = 1;
    (void)sim_run(s, is_in_probation, 10 * KIT_MINUTES);
    assert_true(sim_run(s, sim_is_committed, 10 * KIT_MINUTES));
    /* The baseline is the same in both: only envelope, table and model came over the wire. */
    assert_int_equal(s->block_bytes - before, two.envelope_size + 3 * TDE_DIGEST_SIZE + 10500);
    sim_free(s);
}

static bool is_committed_again(sim *s)
{
    return sim_is_committed(s) && sim_slot(s).directive_sequence == 12;
}

static void install__going_back_needs_no_download(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.min_inferences = 1});
    s->app_inferences = 1;
    (void)sim_run(s, is_in_probation, 10 * KIT_MINUTES);
    assert_true(sim_run(s, sim_is_committed, 10 * KIT_MINUTES));
    uint64_t gets = s->gets;
    sim_make_directive(s, &(sim_directive_options){.sequence = 12, .version = &kit_one, .min_inferences = 1});
    sim_publish(s);
    assert_true(sim_run(s, is_committed_again, 10 * KIT_MINUTES));
    assert_true(sim_current_is(s, kit_one.manifest_digest));
    assert_int_equal(s->gets, gets);
    sim_free(s);
}

/* ---- Other directives in between ---- */

static bool is_fetching(sim *s)
{
    return sim_slot(s).state == tidemark_DeviceState_STATE_FETCHING && sim_slot(s).bytes_done >= 4096;
}

static void install__cancel_stops_a_transfer(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.seconds = 60});
    assert_true(sim_run(s, is_fetching, 10 * KIT_MINUTES));
    sim_make_directive(s, &(sim_directive_options){.sequence = 12, .version = &kit_one, .cancel = true});
    sim_publish(s);
    assert_true(sim_run(s, is_committed_again, 10 * KIT_MINUTES));
    assert_true(sim_current_is(s, kit_one.manifest_digest));
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_CANCELLED, tidemark_Reason_REASON_OPERATOR), 1);
    assert_null(model_of(s, two.manifest_digest)); /* its content is gone */
    sim_free(s);
}

static void install__a_newer_goal_supersedes(void **state)
{
    (void)state;
    sim_version two, three;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.seconds = 60});
    assert_true(sim_run(s, is_fetching, 10 * KIT_MINUTES));
    sim_make_version(s, &(sim_version_options){.number = 3, .counter = 5, .model_size = 9000, .seed = 3}, &three);
    sim_make_directive(s, &(sim_directive_options){.sequence = 12, .version = &three, .min_inferences = 1});
    s->app_inferences = 1;
    sim_publish(s);
    assert_true(sim_run(s, is_committed_again, 10 * KIT_MINUTES));
    assert_true(sim_current_is(s, three.manifest_digest));
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_SUPERSEDED, tidemark_Reason_REASON_OPERATOR), 1);
    sim_free(s);
}

static void install__a_renewed_directive_does_not_start_over(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.min_inferences = 1});
    s->app_inferences = 1;
    assert_true(sim_run(s, is_fetching, 10 * KIT_MINUTES));
    sim_make_directive(s, &(sim_directive_options){.sequence = 12, .version = &two, .min_inferences = 1});
    sim_publish(s);
    assert_true(sim_run(s, is_committed_again, 10 * KIT_MINUTES));
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_OFFERED, tidemark_Reason_REASON_NONE), 2);
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_SUPERSEDED, tidemark_Reason_REASON_OPERATOR), 0);
    sim_free(s);
}

static void install__an_abort_ends_a_probation(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.min_inferences = 100000, .seconds = 6000});
    assert_true(sim_run(s, is_in_probation, 10 * KIT_MINUTES));
    sim_make_directive(s, &(sim_directive_options){.sequence = 12, .version = &kit_one, .cancel = true});
    sim_publish(s);
    assert_true(sim_run(s, is_committed_again, 10 * KIT_MINUTES));
    assert_true(sim_current_is(s, kit_one.manifest_digest));
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_ROLLED_BACK, tidemark_Reason_REASON_OPERATOR), 1);
    sim_free(s);
}

static void install__a_directive_without_goals_is_acknowledged(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_make_directive(s, &(sim_directive_options){.sequence = 11});
    sim_publish(s);
    assert_true(sim_run(s, sim_is_idle, 5 * KIT_MINUTES));
    const sim_report *last = &s->reports[s->reports_count - 1];
    assert_int_equal(last->directive_sequence, 11);
    assert_int_equal(last->state, tidemark_DeviceState_STATE_IDLE);
    assert_true(sim_current_is(s, kit_one.manifest_digest));
    sim_free(s);
}

/* ---- The device's own wishes and troubles ---- */

static void install__holding_defers_pauses_and_waits(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.min_inferences = 1});
    s->app_inferences = 1;
    tde_set_hold(&s->core, TDE_HOLD_FETCH);
    assert_true(sim_run(s, sim_is_idle, 5 * KIT_MINUTES) || true);
    assert_int_equal(sim_slot(s).state, tidemark_DeviceState_STATE_DEFERRED);
    tde_set_hold(&s->core, TDE_HOLD_ACTIVATE);
    assert_true(sim_run(s, is_fetching, 5 * KIT_MINUTES));
    tde_set_hold(&s->core, TDE_HOLD_FETCH | TDE_HOLD_ACTIVATE);
    (void)sim_run(s, sim_is_committed, 5 * KIT_MINUTES);
    assert_int_equal(sim_slot(s).state, tidemark_DeviceState_STATE_PAUSED);
    tde_set_hold(&s->core, TDE_HOLD_ACTIVATE);
    (void)sim_run(s, sim_is_committed, 5 * KIT_MINUTES);
    assert_int_equal(sim_slot(s).state, tidemark_DeviceState_STATE_WAIT_WINDOW);
    assert_true(sim_current_is(s, kit_one.manifest_digest));
    tde_set_hold(&s->core, 0);
    assert_true(sim_run(s, sim_is_committed, 5 * KIT_MINUTES));
    assert_true(sim_current_is(s, two.manifest_digest));
    sim_free(s);
}

static void install__a_few_storage_errors_do_no_harm(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.min_inferences = 1});
    s->app_inferences = 1;
    s->fail_io = 3;
    (void)sim_run(s, is_in_probation, 10 * KIT_MINUTES);
    assert_true(sim_run(s, sim_is_committed, 10 * KIT_MINUTES));
    assert_true(sim_current_is(s, two.manifest_digest) && sim_current_is_whole(s));
    sim_free(s);
}

static void install__storage_that_stays_broken_ends_it(void **state)
{
    (void)state;
    sim_version two;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.min_inferences = 1});
    s->fail_io = UINT32_MAX;
    assert_true(sim_run(s, sim_is_rejected, 30 * KIT_MINUTES));
    s->fail_io = 0;
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_REJECTED, tidemark_Reason_REASON_IO), 1);
    assert_true(sim_current_is(s, kit_one.manifest_digest));
    sim_free(s);
}

static void install__the_way_back_is_given_up_only_for_room(void **state)
{
    (void)state;
    sim_version two, three;
    sim *s = set_out_upgrade(&two, (sim_directive_options){.min_inferences = 1});
    s->app_inferences = 1;
    (void)sim_run(s, is_in_probation, 10 * KIT_MINUTES);
    assert_true(sim_run(s, sim_is_committed, 10 * KIT_MINUTES));
    s->room = 30000; /* two versions fit, three do not */
    sim_make_version(s, &(sim_version_options){.number = 3, .counter = 5, .model_size = 11000, .seed = 3}, &three);
    sim_make_directive(s, &(sim_directive_options){.sequence = 12, .version = &three, .min_inferences = 1});
    sim_publish(s);
    assert_true(sim_run(s, is_committed_again, 10 * KIT_MINUTES));
    assert_true(sim_current_is(s, three.manifest_digest));
    assert_null(model_of(s, kit_one.manifest_digest));
    sim_free(s);
}

static void install__what_is_switched_on_is_repaired(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_lose_power(s);
    s->has_current[0] = false; /* somebody removed the link */
    assert_int_equal(sim_boot(s), TDE_OK);
    assert_true(sim_current_is(s, kit_one.manifest_digest));
    sim_free(s);
}

static void install__a_new_device_runs_nothing_and_says_so(void **state)
{
    (void)state;
    sim *s = sim_new();
    assert_int_equal(sim_boot(s), TDE_OK);
    assert_true(sim_run(s, sim_is_idle, KIT_MINUTES));
    assert_int_equal(s->births, 1);
    assert_string_equal(s->birth.device, "pump-07");
    assert_string_equal(s->birth.hardware, "sim-board");
    assert_int_equal(s->birth.runtimes_count, 2);
    assert_int_equal(s->birth.slots_count, 0);
    assert_int_equal(s->birth.keyset_version, 1);
    assert_true(s->birth.clock_known);
    sim_free(s);
}

static void install__slots_live_side_by_side(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version other;
    tde_slot_view view;
    sim_make_version(s, &(sim_version_options){.number = 1, .counter = 1, .model_size = 6000, .seed = 7}, &other);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &other, .slot = "fan"});
    sim_publish(s);
    assert_true(sim_run(s, sim_is_idle, 5 * KIT_MINUTES));
    (void)sim_run(s, sim_is_rejected, KIT_MINUTES);
    assert_int_equal(tde_slot_count(&s->core), 2);
    assert_int_equal(tde_slot_get(&s->core, 1, &view), TDE_OK);
    assert_string_equal(view.name, "fan");
    assert_int_equal(view.state, tidemark_DeviceState_STATE_COMMITTED);
    assert_memory_equal(view.running, other.manifest_digest, TDE_DIGEST_SIZE);
    assert_true(sim_current_is(s, kit_one.manifest_digest)); /* "pump" was not named: it goes on */
    sim_free(s);
}

static void install__more_slots_than_fit_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d"};
    sim *s = kit_set_out();
    sim_version other;
    sim_make_version(s, &(sim_version_options){.number = 1, .counter = 1, .model_size = 600, .seed = 7}, &other);
    for (size_t i = 0; i < 4; i++) {
        sim_make_directive(s, &(sim_directive_options){.sequence = 11 + i, .version = &other, .slot = names[i]});
        sim_publish(s);
        (void)sim_run(s, sim_is_rejected, KIT_MINUTES);
    }
    assert_int_equal(tde_slot_count(&s->core), TDE_SLOTS_MAX);
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_REJECTED, tidemark_Reason_REASON_NO_SPACE), 1);
    sim_free(s);
}

static void install__names_of_states_and_reasons(void **state)
{
    (void)state;
    assert_string_equal(tde_state_name(tidemark_DeviceState_STATE_ROLLING_BACK), "ROLLING_BACK");
    assert_string_equal(tde_state_name(99), "UNKNOWN");
    assert_string_equal(tde_reason_name(tidemark_Reason_REASON_KEYSET), "keyset");
    assert_string_equal(tde_reason_name(-1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(install__first_version_commits_as_unproven),
        cmocka_unit_test(install__application_proves_the_version),
        cmocka_unit_test(install__errors_roll_back),
        cmocka_unit_test(install__a_lost_lease_rolls_back),
        cmocka_unit_test(install__too_few_inferences_roll_back),
        cmocka_unit_test(install__boots_in_probation_are_a_crash_loop),
        cmocka_unit_test(install__golden_mismatch_rolls_back_before_any_switch),
        cmocka_unit_test(install__damage_after_arrival_is_found),
        cmocka_unit_test(install__a_file_with_more_bytes_than_listed_is_found),
        cmocka_unit_test(install__files_that_are_held_are_not_fetched_again),
        cmocka_unit_test(install__going_back_needs_no_download),
        cmocka_unit_test(install__cancel_stops_a_transfer),
        cmocka_unit_test(install__a_newer_goal_supersedes),
        cmocka_unit_test(install__a_renewed_directive_does_not_start_over),
        cmocka_unit_test(install__an_abort_ends_a_probation),
        cmocka_unit_test(install__a_directive_without_goals_is_acknowledged),
        cmocka_unit_test(install__holding_defers_pauses_and_waits),
        cmocka_unit_test(install__a_few_storage_errors_do_no_harm),
        cmocka_unit_test(install__storage_that_stays_broken_ends_it),
        cmocka_unit_test(install__the_way_back_is_given_up_only_for_room),
        cmocka_unit_test(install__what_is_switched_on_is_repaired),
        cmocka_unit_test(install__a_new_device_runs_nothing_and_says_so),
        cmocka_unit_test(install__slots_live_side_by_side),
        cmocka_unit_test(install__more_slots_than_fit_are_refused),
        cmocka_unit_test(install__names_of_states_and_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
