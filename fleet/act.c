/*
 * act.c: what people do to a rollout: pause, resume, abort, revert. The tick does the rest.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"
#include "fleet/rollout_internal.h"

#include <string.h>

#define REASON_MAX 1024
#define ACTIVE_MAX 1000 /* rollouts that have not ended */

static td_code act(td_db *db, const td_actor *actor, const char *project, const char *id, td_rollout_state to,
                   const char *reason, td_err *err)
{
    if (reason != NULL && strlen(reason) > REASON_MAX) {
        return td_fail(err, TD_INVALID, "a reason has at most %d bytes", REASON_MAX);
    }
    TD_CLEANUP(td_rollout__done) td_rollout rollout = {0};
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_ROLL_OUT, err));
    TD_TRY(td_rollout__find(db, project, id, &rollout, err));
    return td_rollout__move(db, &rollout, to, actor, reason != NULL ? reason : "", err);
}

td_code td_rollout_pause(td_db *db, const td_actor *actor, const char *project, const char *id, const char *reason,
                         td_err *err)
{
    return act(db, actor, project, id, TD_ROLLOUT_PAUSED, reason, err);
}

td_code td_rollout_pause_all(td_db *db, const char *reason, int64_t *count_out, td_err *err)
{
    int64_t ids[ACTIVE_MAX];
    size_t count = 0;
    *count_out = 0;
    TD_TRY(td_rollout__active(db, ids, ACTIVE_MAX, &count, err));
    for (size_t i = 0; i < count; i++) {
        TD_CLEANUP(td_rollout__done) td_rollout rollout = {0};
        TD_TRY(td_rollout__by_id(db, ids[i], &rollout, err));
        if (rollout.state == TD_ROLLOUT_RUNNING) {
            TD_TRY(td_rollout__move(db, &rollout, TD_ROLLOUT_PAUSED, &td_actor_system, reason, err));
            (*count_out)++;
        }
    }
    return TD_OK;
}

td_code td_rollout_resume(td_db *db, const td_actor *actor, const char *project, const char *id, td_err *err)
{
    return act(db, actor, project, id, TD_ROLLOUT_RUNNING, NULL, err);
}

td_code td_rollout_abort(td_db *db, const td_actor *actor, const char *project, const char *id, const char *reason,
                         td_err *err)
{
    return act(db, actor, project, id, TD_ROLLOUT_ABORTING, reason, err);
}

td_code td_rollout_revert(td_db *db, const td_actor *actor, const char *project, const char *id, const char *reason,
                          td_err *err)
{
    return act(db, actor, project, id, TD_ROLLOUT_REVERTING, reason, err);
}
