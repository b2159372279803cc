/*
 * doctor.h: what is wrong with a workspace and its server, and what to do about each thing.
 *
 * Looks only: nothing is changed, so it may run beside the server. What a running server knows of itself comes in as
 * the answer of its status route; everything else is read from the files, so that a server that does not start can be
 * examined as well.
 * Threads: one an examination.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_DOCTOR_H
#define TD_SERVER_DOCTOR_H

#include "core/base/clock.h"
#include "core/base/json.h"

#define TD_DOCTOR_FREE_MIN ((int64_t)1024 * 1024 * 1024) /* room on the disk below which writes are in danger */
#define TD_DOCTOR_EXPIRY_MS ((int64_t)30 * 24 * 3600 * 1000)
#define TD_DOCTOR_BACKUP_MS ((int64_t)7 * 24 * 3600 * 1000) /* how old the newest backup may be */
#define TD_DOCTOR_AHEAD_MS ((int64_t)60000) /* how far the newest record may lie in the future */

typedef enum td_finding_state { TD_FINDING_WELL, TD_FINDING_WARNING, TD_FINDING_BAD } td_finding_state;

typedef struct td_finding {
    const char *check; /* "broker"; one check may find several things */
    td_finding_state state;
    const char *found;  /* one sentence */
    const char *advice; /* what to do; "" when all is well */
} td_finding;

typedef struct td_doctor_options {
    const char *workspace;
    const td_clock *clock;
    int64_t free_min;     /* bytes */
    const json_t *status; /* of GET /api/v1/status; NULL: no server answers */
    const char *why;      /* then the reason */
} td_doctor_options;

/* Tells each finding, in a fixed order; `finding` is only good during the call. */
void td_doctor_examine(const td_doctor_options *options, void (*tell)(void *context, const td_finding *finding),
                       void *context);
/* "well", "warning", "bad". */
const char *td_finding_state_name(td_finding_state state);

#endif
