/*
 * test_key_attacks.c: one named test for each key that an attacker may hold: director, approver, root; and the cures.
 *
 * In each the device runs version 1 and must go on running it, whole, and say why it refused.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/edge/attack_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void attack__director_key_unknown(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two, .director = s->keys.stranger});
    kit_expect_refusal(s, tidemark_Reason_REASON_SIGNATURE);
}

static void attack__director_key_stolen(void **state)
{
    /* A stolen director can choose, but only among what approvers signed. */
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    options.approvers[0] = s->keys.director[0];
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
    kit_expect_refusal(s, tidemark_Reason_REASON_SIGNATURE);
}

static void attack__approver_key_stolen(void **state)
{
    /* A stolen approver can approve, but not direct. */
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two, .director = s->keys.approver[0]});
    kit_expect_refusal(s, tidemark_Reason_REASON_SIGNATURE);
}

/* A device whose keyset wants two approvers. */
static sim *set_out_with_two_approvers(void)
{
    sim *s = sim_new();
    sim_keyset_options keyset = SIM_KEYSET(1);
    keyset.approvers = 2;
    keyset.approver_threshold = 2;
    sim_make_keyset(s, &keyset);
    sim_make_version(s,
                     &(sim_version_options){.number = 1,
                                            .counter = 5,
                                            .model_size = 10000,
                                            .seed = 1,
                                            .approvers = {s->keys.approver[0], s->keys.approver[1]}},
                     &kit_one);
    sim_make_directive(s, &(sim_directive_options){.sequence = 10, .version = &kit_one});
    assert_int_equal(sim_boot(s), TDE_OK);
    assert_true(sim_run(s, sim_is_committed, 10 * KIT_MINUTES));
    return s;
}

static void attack__approvers_below_the_threshold(void **state)
{
    (void)state;
    for (int twice = 0; twice < 2; twice++) { /* signing twice with one key is still one approver */
        sim *s = set_out_with_two_approvers();
        sim_version two;
        sim_version_options options = kit_version_two();
        options.twice = twice == 1;
        sim_make_version(s, &options, &two);
        sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
        kit_expect_refusal(s, tidemark_Reason_REASON_SIGNATURE);
    }
}

/* Offers keyset 2, signed as the options say, with a directive of its director; it must be refused. */
static void expect_keyset_refused(sim *s, const sim_keyset_options *keyset, td_key *director)
{
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    sim_make_keyset(s, keyset);
    sim_make_directive(
        s, &(sim_directive_options){.sequence = 11, .version = &two, .names_keyset = true, .director = director});
    sim_publish(s);
    (void)sim_run(s, sim_is_idle, 5 * KIT_MINUTES);
    assert_int_equal(tde_keyset_version(&s->core), 1);
    kit_expect_refusal(s, tidemark_Reason_REASON_KEYSET);
}

static void attack__root_key_unknown(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_keyset_options keyset = SIM_KEYSET(2);
    keyset.first_director = 1;
    keyset.signers[0] = s->keys.stranger;
    expect_keyset_refused(s, &keyset, s->keys.director[1]);
}

static void attack__root_of_the_new_keyset_only(void **state)
{
    /* Signed by its own roots, but not by those that the device holds. */
    (void)state;
    sim *s = sim_new();
    sim_keyset_options old = SIM_KEYSET(1), keyset = SIM_KEYSET(2);
    sim_make_keyset(s, &old);
    sim_free(s);
    s = kit_set_out();
    keyset.roots = 2;
    keyset.signers[0] = s->keys.root[1];
    expect_keyset_refused(s, &keyset, NULL);
}

static void attack__root_below_the_new_threshold(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_keyset_options keyset = SIM_KEYSET(2);
    keyset.roots = 3;
    keyset.root_threshold = 2;
    keyset.signers[0] = s->keys.root[0];
    expect_keyset_refused(s, &keyset, NULL);
}

static void attack__older_keyset_again(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_keyset_options keyset = SIM_KEYSET(1);
    sim_make_keyset(s, &keyset);
    assert_int_equal(tde_trust_pin(&s->core, s->keyset, s->keyset_size), TDE_DENIED);
    assert_int_equal(tde_keyset_version(&s->core), 1);
    sim_free(s);
}

static void attack__approver_taken_away_before_activation(void **state)
{
    /* Staged and waiting when the approver's key is taken away: it must not be switched on any more. */
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    tde_set_hold(&s->core, TDE_HOLD_ACTIVATE);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
    sim_publish(s);
    (void)sim_run(s, sim_is_rejected, 5 * KIT_MINUTES);
    assert_int_equal(sim_slot(s).state, tidemark_DeviceState_STATE_WAIT_WINDOW);
    td_key *kept = s->keys.approver[0];
    sim_keyset_options keyset = SIM_KEYSET(2);
    s->keys.approver[0] = s->keys.approver[1];
    sim_make_keyset(s, &keyset);
    s->keys.approver[0] = kept;
    assert_int_equal(tde_trust_pin(&s->core, s->keyset, s->keyset_size), TDE_OK);
    tde_set_hold(&s->core, 0);
    (void)sim_run(s, sim_is_rejected, 5 * KIT_MINUTES);
    s->directive_size = 0;
    kit_expect_refusal(s, tidemark_Reason_REASON_SIGNATURE);
}

static void attack__fast_forward(void **state)
{
    /* A stolen director drives sequence and clock to the end of time; a new keyset with a new director heals it. */
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    tde_status status;
    sim_make_version(s, &options, &two);
    sim_make_directive(
        s, &(sim_directive_options){
               .sequence = UINT64_MAX, .version = &kit_one, .issued_ms = UINT64_MAX - 1, .not_after_ms = UINT64_MAX});
    sim_publish(s);
    assert_true(sim_run(s, sim_is_idle, 5 * KIT_MINUTES));
    tde_get_status(&s->core, &status);
    assert_true(status.directive_sequence == UINT64_MAX);
    assert_true(status.time_floor_ms <=
                SIM_START_MS + s->now + KIT_DAYS); /* the clock bounds what a message may claim */
    sim_keyset_options keyset = SIM_KEYSET(2);
    keyset.first_director = 1;
    sim_make_keyset(s, &keyset);
    sim_make_directive(s, &(sim_directive_options){
                              .sequence = 12, .version = &two, .names_keyset = true, .director = s->keys.director[1]});
    sim_publish(s);
    assert_true(sim_run(s, sim_is_idle, 5 * KIT_MINUTES) && sim_run(s, sim_is_committed, 5 * KIT_MINUTES));
    assert_true(sim_current_is(s, two.manifest_digest));
    sim_free(s);
}

static void attack__expired_keyset_installs_nothing_new(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_keyset_options keyset = SIM_KEYSET(2);
    keyset.expires_ms = SIM_START_MS - 1;
    sim_make_keyset(s, &keyset);
    assert_int_equal(tde_trust_pin(&s->core, s->keyset, s->keyset_size), TDE_OK);
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
    kit_expect_refusal(s, tidemark_Reason_REASON_KEYSET);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attack__director_key_unknown),
        cmocka_unit_test(attack__director_key_stolen),
        cmocka_unit_test(attack__approver_key_stolen),
        cmocka_unit_test(attack__approvers_below_the_threshold),
        cmocka_unit_test(attack__root_key_unknown),
        cmocka_unit_test(attack__root_of_the_new_keyset_only),
        cmocka_unit_test(attack__root_below_the_new_threshold),
        cmocka_unit_test(attack__older_keyset_again),
        cmocka_unit_test(attack__approver_taken_away_before_activation),
        cmocka_unit_test(attack__fast_forward),
        cmocka_unit_test(attack__expired_keyset_installs_nothing_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
