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

/* {"records":{"models":n,"users":n},"versions":{state:n},"rollouts":{…},"alerts":{…},"runs":{…}}: all projects. */
TD_MUST_USE td_code td_status_counts_json(td_db *db, json_t **out, td_err *err);
/* Is there a step that a worker could take: ready, or with a lease that ran out? */
TD_MUST_USE td_code td_status_work_waiting(td_db *db, bool *out, td_err *err);

#endif
