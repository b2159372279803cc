/*
 * signal_states.c: the only place where a signal's state changes: ok → pending → firing → acknowledged → resolved.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/signals.h"

#include <assert.h>

static const char *const names[] = {"ok", "pending", "firing", "acknowledged", "resolved", NULL};

static const td_arrow arrows[] = {
    {TD_STATE_OK, TD_STATE_PENDING},      {TD_STATE_PENDING, TD_STATE_OK},
    {TD_STATE_PENDING, TD_STATE_FIRING},  {TD_STATE_FIRING, TD_STATE_ACKNOWLEDGED},
    {TD_STATE_FIRING, TD_STATE_RESOLVED}, {TD_STATE_ACKNOWLEDGED, TD_STATE_RESOLVED},
    {TD_STATE_RESOLVED, TD_STATE_OK},     {TD_STATE_RESOLVED, TD_STATE_PENDING},
};

const td_states td_signal_states = {"alert", names, arrows, TD_COUNT_OF(arrows)};

const char *td_signal_state_name(td_signal_state state)
{
    return names[state];
}

bool td_signal_open(td_signal_state state)
{
    return state == TD_STATE_FIRING || state == TD_STATE_ACKNOWLEDGED;
}

static void move(td_signal_track *track, td_signal_state to)
{
    td_code code = td_states_check(&td_signal_states, "", track->state, to, NULL);
    assert(code == TD_OK);
    track->state = to;
}

static int breaches(const td_signal_track *track, const td_spec *spec)
{
    return __builtin_popcount(track->history & (uint32_t)((1ULL << spec->tests) - 1));
}

static void step_closed(td_signal_track *track, const td_spec *spec, bool breach)
{
    if (track->state != TD_STATE_PENDING && breach) {
        move(track, TD_STATE_PENDING);
    }
    if (track->state == TD_STATE_PENDING) {
        int count = breaches(track, spec);
        if (count >= spec->breaches) {
            track->clear_count = 0;
            move(track, TD_STATE_FIRING);
        } else if (count == 0) {
            move(track, TD_STATE_OK);
        }
    } else if (track->state == TD_STATE_RESOLVED) {
        move(track, TD_STATE_OK);
    }
}

td_signal_state td_signal_step(td_signal_track *track, const td_spec *spec, bool breach, bool clear)
{
    track->history = (track->history << 1) | (breach ? 1u : 0u);
    if (!td_signal_open(track->state)) {
        step_closed(track, spec, breach);
        return track->state;
    }
    track->clear_count = clear ? track->clear_count + 1 : 0;
    if (track->clear_count >= spec->clear) {
        track->history = 0;
        move(track, TD_STATE_RESOLVED);
    }
    return track->state;
}
