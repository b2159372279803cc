/*
 * attack_kit.h: the stage of the attack tests.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ATTACK_KIT_H
#define ATTACK_KIT_H

#include "tests/fault/edge/sim.h"

#define KIT_MINUTES 60000u
#define KIT_DAYS ((uint64_t)86400000)

extern sim_version kit_one; /* what runs */

/* A device that runs version 1 with security counter 5, by directive 10. */
sim *kit_set_out(void);
sim_version_options kit_version_two(void);
/* Publishes what was made, lets all come to rest, and checks that version 1 still runs and that one report says why
 * (REASON_NONE: do not look); ends the simulation. */
void kit_expect_refusal(sim *s, tidemark_Reason reason);
/* The same where the device only counts: nothing accepted, asked for or reported. */
void kit_expect_quiet_refusal(sim *s);

#endif
