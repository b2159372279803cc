/*
 * mlflow_tracking.h: what the routes of experiments, runs and logged models share: pages, and which rows to show.
 *
 * Threads: as the request's handler.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_MLFLOW_TRACKING_H
#define TD_SERVER_MLFLOW_TRACKING_H

#include "server/mlflow.h"
#include "tracking/artifact.h"
#include "tracking/logged.h"
#include "tracking/tracking.h"


/* view_type or run_view_type: ACTIVE_ONLY, DELETED_ONLY, ALL. INVALID. */
TD_MUST_USE td_code td_mlflow_view(td_request *request, const char *name, td_tracking_view *out, td_err *err);
/* run_id, or its old name run_uuid. INVALID when both are absent. */
TD_MUST_USE td_code td_mlflow_run_id(td_request *request, const char **out, td_err *err);
/* The actor and the project of a request, for writing functions. */
#define TD_WHO(request) &(request)->actor, (request)->project

#endif
