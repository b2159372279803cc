/*
 * machine.c: the table of device states: names, phases and the arrows between them.
 *
 * This is docs/device-core.md's picture as data: a state moves only along an arrow that is set here, and each move is
 * one durable write (record.c). REJECTED is final for a directive: it is never retried without a new one.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/edge/machine.h"

#include <stddef.h>
#include <stdint.h>

#include "firmware/edge/edge.h"
#include "firmware/wire/tidemark.pb.h"

#define S(name) (1u << tidemark_DeviceState_STATE_##name)

typedef struct tde_state_row {
    const char *name;
    uint32_t arrows; /* bit i: may move to state i */
    tde_phase phase;
} tde_state_row;

/* Every state may be replaced by a new directive (OFFERED) once it rests; what is on its way is CANCELLED or SUPERSEDED
 * first. COMMITTED to COMMITTED: a directive that names what runs already. */
#define REST (S(OFFERED) | S(COMMITTED) | S(REJECTED))
#define DROP (S(CANCELLED) | S(SUPERSEDED))

static const tde_state_row table[] = {
    [tidemark_DeviceState_STATE_IDLE] = {"IDLE", REST, TDE_PHASE_REST},
    [tidemark_DeviceState_STATE_OFFERED] = {"OFFERED", S(REJECTED) | S(DEFERRED) | S(FETCHING) | S(VERIFYING) | DROP,
                                            TDE_PHASE_PREPARE},
    [tidemark_DeviceState_STATE_REJECTED] = {"REJECTED", REST, TDE_PHASE_REST},
    [tidemark_DeviceState_STATE_DEFERRED] = {"DEFERRED", S(OFFERED) | S(REJECTED) | DROP, TDE_PHASE_PREPARE},
    [tidemark_DeviceState_STATE_FETCHING] = {"FETCHING", S(PAUSED) | S(VERIFYING) | S(REJECTED) | DROP,
                                             TDE_PHASE_PREPARE},
    [tidemark_DeviceState_STATE_PAUSED] = {"PAUSED", S(FETCHING) | S(REJECTED) | DROP, TDE_PHASE_PREPARE},
    [tidemark_DeviceState_STATE_VERIFYING] = {"VERIFYING", S(STAGED) | S(ROLLING_BACK) | DROP, TDE_PHASE_PREPARE},
    [tidemark_DeviceState_STATE_STAGED] = {"STAGED",
                                           S(WAIT_WINDOW) | S(WAIT_APPROVAL) | S(ACTIVATING) | S(REJECTED) | DROP,
                                           TDE_PHASE_PREPARE},
    [tidemark_DeviceState_STATE_WAIT_WINDOW] = {"WAIT_WINDOW", S(ACTIVATING) | S(REJECTED) | DROP, TDE_PHASE_PREPARE},
    [tidemark_DeviceState_STATE_WAIT_APPROVAL] = {"WAIT_APPROVAL", S(ACTIVATING) | S(REJECTED) | DROP,
                                                  TDE_PHASE_PREPARE},
    [tidemark_DeviceState_STATE_ACTIVATING] = {"ACTIVATING", S(PROBATION) | S(ROLLING_BACK), TDE_PHASE_SWITCHED},
    [tidemark_DeviceState_STATE_PROBATION] = {"PROBATION", S(COMMITTED) | S(ROLLING_BACK), TDE_PHASE_SWITCHED},
    [tidemark_DeviceState_STATE_COMMITTED] = {"COMMITTED", REST, TDE_PHASE_REST},
    [tidemark_DeviceState_STATE_ROLLING_BACK] = {"ROLLING_BACK", S(ROLLED_BACK), TDE_PHASE_BACK},
    [tidemark_DeviceState_STATE_ROLLED_BACK] = {"ROLLED_BACK", REST, TDE_PHASE_REST},
    [tidemark_DeviceState_STATE_CANCELLED] = {"CANCELLED", REST, TDE_PHASE_REST},
    [tidemark_DeviceState_STATE_SUPERSEDED] = {"SUPERSEDED", REST, TDE_PHASE_REST},
};
#define STATES ((int)(sizeof table / sizeof table[0]))

static const char *const reasons[] = {
    [tidemark_Reason_REASON_NONE] = "none",
    [tidemark_Reason_REASON_NO_SPACE] = "no_space",
    [tidemark_Reason_REASON_SIGNATURE] = "signature",
    [tidemark_Reason_REASON_HASH] = "hash",
    [tidemark_Reason_REASON_COUNTER] = "counter",
    [tidemark_Reason_REASON_HARDWARE] = "hardware",
    [tidemark_Reason_REASON_OPERATOR_MISSING] = "operator_missing",
    [tidemark_Reason_REASON_GOLDEN_MISMATCH] = "golden_mismatch",
    [tidemark_Reason_REASON_LATENCY] = "latency",
    [tidemark_Reason_REASON_CRASH_LOOP] = "crash_loop",
    [tidemark_Reason_REASON_LEASE_LOST] = "lease_lost",
    [tidemark_Reason_REASON_BUDGET] = "budget",
    [tidemark_Reason_REASON_DEADLINE] = "deadline",
    [tidemark_Reason_REASON_OPERATOR] = "operator",
    [tidemark_Reason_REASON_EXPIRED] = "expired",
    [tidemark_Reason_REASON_REPLAYED] = "replayed",
    [tidemark_Reason_REASON_WRONG_DEVICE] = "wrong_device",
    [tidemark_Reason_REASON_REVOKED] = "revoked",
    [tidemark_Reason_REASON_MALFORMED] = "malformed",
    [tidemark_Reason_REASON_IO] = "io",
    [tidemark_Reason_REASON_ERRORS] = "errors",
    [tidemark_Reason_REASON_UNPROVEN] = "unproven",
    [tidemark_Reason_REASON_KEYSET] = "keyset",
};

bool tde_machine_known(int state)
{
    return state >= 0 && state < STATES;
}

bool tde_machine_may(int from, int to)
{
    return tde_machine_known(from) && tde_machine_known(to) && (table[from].arrows >> to & 1u) != 0;
}

tde_phase tde_machine_phase(int state)
{
    return tde_machine_known(state) ? table[state].phase : TDE_PHASE_REST;
}

const char *tde_state_name(int state)
{
    return tde_machine_known(state) ? table[state].name : "UNKNOWN";
}

const char *tde_reason_name(int reason)
{
    bool known = reason >= 0 && (size_t)reason < sizeof reasons / sizeof reasons[0];
    return known ? reasons[reason] : "unknown";
}
