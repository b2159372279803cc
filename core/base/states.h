/*
 * states.h: states that move only along a table.
 *
 * A table lists its arrows as pairs; anything else is refused with the names of both ends and of the ways that are
 * open. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_BASE_STATES_H
#define TD_CORE_BASE_STATES_H

#include "core/base/err.h"

typedef struct td_arrow {
    int from, to;
} td_arrow;

typedef struct td_states {
    const char *noun;         /* "version" */
    const char *const *names; /* by state, as stored in SQL; NULL-terminated */
    const td_arrow *arrows;
    size_t arrow_count;
} td_states;

/* CONFLICT: "version pump/3 is draft; it can move to pending, not to approved". */
TD_MUST_USE td_code td_states_check(const td_states *states, const char *object, int from, int to, td_err *err);
/* The state of that name. CORRUPT. */
TD_MUST_USE td_code td_states_parse(const td_states *states, const char *name, int *out, td_err *err);

#endif
