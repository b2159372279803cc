/*
 * attack_kit.c: the stage of the attack tests: a device that runs version 1, and the check that it still does.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/edge/attack_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

sim_version kit_one; /* what runs */

sim_version_options kit_version_two(void)
{
    return (sim_version_options){.number = 2, .counter = 5, .model_size = 10500, .seed = 2};
}

/* A device that runs version 1 with security counter 5, by directive 10. */
sim *kit_set_out(void)
{
    sim *s = sim_new();
    sim_make_version(s, &(sim_version_options){.number = 1, .counter = 5, .model_size = 10000, .seed = 1}, &kit_one);
    sim_make_directive(s, &(sim_directive_options){.sequence = 10, .version = &kit_one});
    assert_int_equal(sim_boot(s), TDE_OK);
    assert_true(sim_run(s, sim_is_committed, 10 * KIT_MINUTES));
    return s;
}

/* Publishes what was made, lets all come to rest, and checks that version 1 still runs; ends the simulation. */
void kit_expect_refusal(sim *s, tidemark_Reason reason)
{
    sim_publish(s);
    (void)sim_run(s, sim_is_idle, 5 * KIT_MINUTES);
    (void)sim_run(s, sim_is_idle, 5 * KIT_MINUTES);
    assert_true(sim_current_is(s, kit_one.manifest_digest));
    assert_true(sim_current_is_whole(s));
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_COMMITTED, tidemark_Reason_REASON_NONE), 0);
    if (reason != tidemark_Reason_REASON_NONE) {
        assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_REJECTED, reason), 1);
    }
    sim_free(s);
}

void kit_expect_quiet_refusal(sim *s)
{
    size_t reports = s->reports_count;
    uint64_t gets = s->gets;
    tde_status before, after;
    tde_get_status(&s->core, &before);
    sim_publish(s);
    (void)sim_run(s, sim_is_idle, 5 * KIT_MINUTES);
    tde_get_status(&s->core, &after);
    assert_int_equal(after.refused, before.refused + 1);
    assert_int_equal(after.directive_sequence, before.directive_sequence);
    assert_int_equal(s->reports_count, reports);
    assert_int_equal(s->gets, gets);
    kit_expect_refusal(s, tidemark_Reason_REASON_NONE);
}
