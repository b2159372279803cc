/*
 * test_power.c: cuts the power at every operation that changes storage, three ways each, and boots again.
 *
 * After each cut and boot: the old or the new model is switched on, whole and byte for byte, never neither; the device
 * then finishes what it was told; the server has every report once; and it fetched at most one piece (or one small
 * object) again. The number of cut points is found by running once without a cut, and printed.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fault/edge/sim.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PIECE 4096u
#define MINUTES 60000u

/* What a scenario runs, and what must hold at its end. */
typedef struct scenario {
    const char *name;
    void (*prepare)(sim *s, sim_version *old, sim_version *next); /* no cuts yet */
    sim_until until;
    bool new_at_end;  /* the new version is switched on at the end; else the old one */
    bool old_may_run; /* some version ran before */
    tidemark_DeviceState end_state;
    uint64_t fetched; /* bytes of content that a run without cuts fetches; filled in */
} scenario;

static void install_old(sim *s, sim_version *old)
{
    sim_make_version(s, &(sim_version_options){.number = 1, .counter = 1, .model_size = 10000, .seed = 1}, old);
    sim_make_directive(s, &(sim_directive_options){.sequence = 1, .version = old});
    assert_int_equal(sim_boot(s), TDE_OK);
    assert_true(sim_run(s, sim_is_committed, 10 * MINUTES));
    assert_true(sim_current_is(s, old->manifest_digest));
}

static void make_next(sim *s, sim_version *next)
{
    sim_make_version(s, &(sim_version_options){.number = 2, .counter = 1, .model_size = 10500, .seed = 2}, next);
}

static void prepare_first(sim *s, sim_version *old, sim_version *next)
{
    (void)old;
    make_next(s, next);
    sim_make_directive(s, &(sim_directive_options){.sequence = 1, .version = next});
}

static void prepare_upgrade(sim *s, sim_version *old, sim_version *next)
{
    install_old(s, old);
    make_next(s, next);
    s->app = true;
    s->app_inferences = 10;
    assert_int_equal(tde_slot_attached(&s->core, "pump"), TDE_OK);
    sim_make_directive(s,
                       &(sim_directive_options){
                           .sequence = 2, .version = next, .min_inferences = 30, .lease_seconds = 30, .seconds = 600});
}

static void prepare_rollback(sim *s, sim_version *old, sim_version *next)
{
    prepare_upgrade(s, old, next);
    s->app_inferences = 1;
    s->app_errors = 5;
}

static void prepare_revert(sim *s, sim_version *old, sim_version *next)
{
    sim_version other;
    install_old(s, old);
    make_next(s, &other);
    sim_make_directive(s, &(sim_directive_options){.sequence = 2, .version = &other});
    sim_publish(s);
    assert_true(sim_run(s, sim_is_committed, 10 * MINUTES));
    assert_true(sim_current_is(s, other.manifest_digest));
    *next = *old; /* back to what is still held */
    *old = other;
    sim_make_directive(s, &(sim_directive_options){.sequence = 3, .version = next});
}

static void prepare_keyset(sim *s, sim_version *old, sim_version *next)
{
    sim_keyset_options keyset = SIM_KEYSET(2);
    install_old(s, old);
    keyset.approvers = 2;
    keyset.roots = 2;
    keyset.first_director = 1;
    sim_make_keyset(s, &keyset);
    make_next(s, next);
    sim_make_directive(s, &(sim_directive_options){
                              .sequence = 2, .version = next, .names_keyset = true, .director = s->keys.director[1]});
}

/* Sets up the scenario in a new simulator; from here on operations count. */
static sim *set_out(const scenario *of, sim_version *old, sim_version *next)
{
    sim *s = sim_new();
    memset(old, 0, sizeof *old);
    of->prepare(s, old, next);
    sim_publish(s);
    s->operations = 0;
    s->block_bytes = 0;
    return s;
}

static void check_old_or_new(sim *s, const scenario *of, const sim_version *old, const sim_version *next)
{
    bool is_old = of->old_may_run ? sim_current_is(s, old->manifest_digest) : sim_current_is(s, NULL);
    assert_true(is_old || sim_current_is(s, next->manifest_digest));
    assert_true(sim_current_is_whole(s));
}

/* Boots until the device stays up, with the given cut still to come, and checks what runs after each boot. */
static bool boot_and_run(sim *s, const scenario *of, const sim_version *old, const sim_version *next)
{
    if (sim_boot(s) != TDE_OK) {
        assert_true(s->dark);
        return false;
    }
    check_old_or_new(s, of, old, next);
    return sim_run(s, of->until, 60 * MINUTES);
}

/* For the one who has to find out. */
static void show_reports(const sim *s, const char *name, uint64_t at, int mode)
{
    if (getenv("SIM_LOG") != NULL) {
        print_message("%s: cut at %llu, mode %d\n", name, (unsigned long long)at, mode);
        for (size_t i = 0; i < s->reports_count; i++) {
            const sim_report *r = &s->reports[i];
            print_message("  report %llu: directive %llu, %s %s\n", (unsigned long long)r->sequence,
                          (unsigned long long)r->directive_sequence, tde_state_name((int)r->state),
                          tde_reason_name((int)r->reason));
        }
    }
}

static void check_end(sim *s, const scenario *of, const sim_version *old, const sim_version *next, uint64_t cuts)
{
    const uint8_t *want = of->new_at_end ? next->manifest_digest : old->manifest_digest;
    assert_true(sim_current_is(s, want));
    assert_true(sim_current_is_whole(s));
    assert_int_equal(sim_slot(s).state, of->end_state);
    assert_false(s->bad_mac);
    /* The envelope, a table or a keyset is one object smaller than a piece; so is a piece of the model. */
    assert_true(s->block_bytes <= of->fetched + cuts * PIECE);
    assert_true(s->reports_count > 0);
    const sim_report *last = &s->reports[s->reports_count - 1];
    assert_int_equal(last->state, of->end_state);
    for (size_t i = 1; i < s->reports_count; i++) {
        const sim_report *a = &s->reports[i - 1], *b = &s->reports[i];
        assert_int_equal(b->sequence, a->sequence + 1); /* none lost */
        bool same = a->state == b->state && a->directive_sequence == b->directive_sequence;
        assert_false(same && a->state != tidemark_DeviceState_STATE_PROBATION); /* none said twice */
    }
}

/* Runs with one cut; true when the run was long enough for it to happen. */
static bool cut_once(const scenario *of, uint64_t at, sim_cut mode)
{
    sim_version old, next;
    sim *s = set_out(of, &old, &next);
    s->cut_at = at;
    s->cut_mode = mode;
    bool up = s->connected || sim_boot(s) == TDE_OK;
    bool done = up && sim_run(s, of->until, 60 * MINUTES);
    bool happened = s->dark;
    if (happened) {
        s->cut_at = 0;
        sim_lose_power(s);
        done = boot_and_run(s, of, &old, &next);
    }
    show_reports(s, of->name, at, mode);
    assert_true(done);
    check_end(s, of, &old, &next, happened ? 1 : 0);
    sim_free(s);
    return happened;
}

static bool cut_twice(const scenario *of, uint64_t first, uint64_t second, sim_cut mode)
{
    sim_version old, next;
    sim *s = set_out(of, &old, &next);
    s->cut_at = first;
    s->cut_mode = mode;
    bool up = s->connected || sim_boot(s) == TDE_OK;
    bool done = up && sim_run(s, of->until, 60 * MINUTES);
    bool again = false;
    if (s->dark) {
        sim_lose_power(s);
        s->operations = 0;
        s->cut_at = second;
        done = boot_and_run(s, of, &old, &next);
        again = s->dark;
    }
    if (again) {
        s->cut_at = 0;
        sim_lose_power(s);
        done = boot_and_run(s, of, &old, &next);
    }
    assert_true(done);
    check_end(s, of, &old, &next, 2);
    sim_free(s);
    return again;
}

static uint64_t run_without_cut(scenario *of)
{
    sim_version old, next;
    sim *s = set_out(of, &old, &next);
    bool up = s->connected || sim_boot(s) == TDE_OK;
    bool done = up && sim_run(s, of->until, 60 * MINUTES);
    show_reports(s, of->name, 0, 0);
    assert_true(done);
    of->fetched = s->block_bytes;
    check_end(s, of, &old, &next, 0);
    uint64_t operations = s->operations;
    sim_free(s);
    return operations;
}

static void cut_everywhere(scenario *of)
{
    uint64_t operations = run_without_cut(of), cuts = 0, pairs = 0;
    for (uint64_t at = 1; at <= operations; at++) {
        for (int mode = 0; mode < SIM_CUTS; mode++) {
            assert_true(cut_once(of, at, (sim_cut)mode));
            cuts++;
        }
    }
    for (uint64_t at = 1; at <= operations; at++) {
        for (uint64_t second = 1; cut_twice(of, at, second, SIM_CUT_HALF); second++) {
            pairs++;
        }
    }
    print_message("%s: %llu operations, %llu cuts, %llu pairs of cuts\n", of->name, (unsigned long long)operations,
                  (unsigned long long)cuts, (unsigned long long)pairs);
    assert_true(cuts > 0);
}

static void power__cut_during_the_first_install(void **state)
{
    (void)state;
    cut_everywhere(&(scenario){.name = "first install",
                               .prepare = prepare_first,
                               .until = sim_is_committed,
                               .new_at_end = true,
                               .end_state = tidemark_DeviceState_STATE_COMMITTED});
}

static bool is_new_committed(sim *s)
{
    return sim_is_committed(s) && sim_slot(s).directive_sequence >= 2;
}

static bool is_reverted(sim *s)
{
    return sim_is_committed(s) && sim_slot(s).directive_sequence >= 3;
}

static void power__cut_during_an_upgrade_and_its_confirmation(void **state)
{
    (void)state;
    cut_everywhere(&(scenario){.name = "upgrade and confirm",
                               .prepare = prepare_upgrade,
                               .until = is_new_committed,
                               .new_at_end = true,
                               .old_may_run = true,
                               .end_state = tidemark_DeviceState_STATE_COMMITTED});
}

static void power__cut_during_a_failed_probation_and_rollback(void **state)
{
    (void)state;
    cut_everywhere(&(scenario){.name = "rollback",
                               .prepare = prepare_rollback,
                               .until = sim_is_rolled_back,
                               .old_may_run = true,
                               .end_state = tidemark_DeviceState_STATE_ROLLED_BACK});
}

static void power__cut_during_a_keyset_change(void **state)
{
    (void)state;
    cut_everywhere(&(scenario){.name = "keyset change",
                               .prepare = prepare_keyset,
                               .until = is_new_committed,
                               .new_at_end = true,
                               .old_may_run = true,
                               .end_state = tidemark_DeviceState_STATE_COMMITTED});
}

static void power__cut_during_a_revert_without_download(void **state)
{
    (void)state;
    cut_everywhere(&(scenario){.name = "revert",
                               .prepare = prepare_revert,
                               .until = is_reverted,
                               .new_at_end = true,
                               .old_may_run = true,
                               .end_state = tidemark_DeviceState_STATE_COMMITTED});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power__cut_during_the_first_install),
        cmocka_unit_test(power__cut_during_an_upgrade_and_its_confirmation),
        cmocka_unit_test(power__cut_during_a_failed_probation_and_rollback),
        cmocka_unit_test(power__cut_during_a_keyset_change),
        cmocka_unit_test(power__cut_during_a_revert_without_download),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
