/*
 * machine.h: the device state machine of one slot: which arrows exist.
 * Private to firmware/edge.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TDE_MACHINE_H
#define TDE_MACHINE_H

#include <stdbool.h>

/* What a state means for the rest of the core; see machine.c for the table. */
typedef enum tde_phase {
    TDE_PHASE_REST,     /* nothing on its way */
    TDE_PHASE_PREPARE,  /* a candidate is on its way and can be dropped at any moment */
    TDE_PHASE_SWITCHED, /* the candidate is (being) switched on */
    TDE_PHASE_BACK      /* the switch is being undone */
} tde_phase;

bool tde_machine_may(int from, int to);
bool tde_machine_known(int state);
tde_phase tde_machine_phase(int state);

#endif
