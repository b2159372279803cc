/*
 * status.h: counts for the status page.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_STATUS_H
#define TD_SERVER_STATUS_H

#include "core/base/json.h"
#include "core/db/db.h"

/* {"records":{"models":n},"versions":{state:n},"rollouts":{…},"alerts":{…},"runs":{…}} of the project. */
TD_MUST_USE td_code td_status_counts_json(td_db *db, const char *project, json_t **out, td_err *err);
/* Is there a step that a worker of the project could take: ready, or with a lease that ran out? */
TD_MUST_USE td_code td_status_work_waiting(td_db *db, const char *project, bool *out, td_err *err);
/* Is a rollout or a run of the project under way? */
TD_MUST_USE td_code td_status_project_busy(td_db *db, const char *project, bool *out, td_err *err);

#endif
