/*
 * states.c: looks an arrow up, and says which ways are open when there is none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/states.h"

#include "core/base/str.h"

#include <string.h>

td_code td_states_check(const td_states *states, const char *object, int from, int to, td_err *err)
{
    char ways[120] = "";
    size_t used = 0;
    for (size_t i = 0; i < states->arrow_count; i++) {
        if (states->arrows[i].from != from) {
            continue;
        }
        if (states->arrows[i].to == to) {
            return TD_OK;
        }
        const char *name = states->names[states->arrows[i].to];
        size_t length = strlen(name);
        if (used + length + 5 < sizeof ways) {
            if (used > 0) {
                memcpy(ways + used, " or ", 4);
                used += 4;
            }
            memcpy(ways + used, name, length + 1);
            used += length;
        }
    }
    if (used == 0) {
        return td_fail(err, TD_CONFLICT, "%s %s is %s, which is final", states->noun, object, states->names[from]);
    }
    return td_fail(err, TD_CONFLICT, "%s %s is %s; it can move to %s, not to %s", states->noun, object,
                   states->names[from], ways, states->names[to]);
}

td_code td_states_parse(const td_states *states, const char *name, int *out, td_err *err)
{
    for (int i = 0; states->names[i] != NULL; i++) {
        if (name != NULL && strcmp(states->names[i], name) == 0) {
            *out = i;
            return TD_OK;
        }
    }
    return td_fail(err, TD_CORRUPT, "\"%.40s\" is no state of a %s", name != NULL ? name : "(null)", states->noun);
}
