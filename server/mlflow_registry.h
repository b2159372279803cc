/*
 * mlflow_registry.h: what the handlers of MLflow's model registry share.
 *
 * Threads: as the request's handler. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_MLFLOW_REGISTRY_H
#define TD_SERVER_MLFLOW_REGISTRY_H

#include "registry/mlflow.h"
#include "server/mlflow.h"

/* The fields "name" and "version" as a reference: "pump/3". INVALID. */
TD_MUST_USE td_code td_mlflow_reference(td_request *request, const char **out, td_err *err);
/* {"model_version": …} */
TD_MUST_USE td_code td_mlflow_answer_version(td_request *request, const char *reference, td_err *err);

/* ---- where a version's files come from (mlflow_source.c) ---- */

/* Fills in the files, or says that they lie elsewhere: *reference_out, words alone or a store that is never asked.
 * INVALID: a local path, an unknown scheme, anything that climbs or hides; NOT_FOUND. Nothing is ever opened by the
 * name that a client gives. */
TD_MUST_USE td_code td_mlflow_source_read(td_request *request, const char *source, td_registration *out,
                                          bool *reference_out, td_err *err);

#endif
