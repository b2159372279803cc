/*
 * mlflow.h: models and versions in the shape that MLflow's clients know.
 *
 * Names of fields and attributes are MLflow's (3.17: protos/model_registry.proto, store/model_registry); what is
 * archived is not shown. A version that was registered here and not by such a client has the source models:/NAME/N.
 * Threads: as the td_db that is passed. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_MLFLOW_H
#define TD_REGISTRY_MLFLOW_H

#include "registry/registry.h"

#define TD_MLFLOW_MODELS_PAGE_MAX 1000
#define TD_MLFLOW_VERSIONS_PAGE_MAX 10000
#define TD_SOURCE_MAX 2048 /* bytes of a source URI */
#define TD_RUN_ID_MAX 64
/* What MLflow's clients say of where a version came from. Each may be NULL. */
typedef struct td_version_origin {
    const char *source, *run_id, *run_link;
    const char *logged_model; /* "m-…" */
    bool reference;           /* the files lie elsewhere: the version has none, and can never be submitted */
} td_version_origin;

/* {"name","description","tags":[{key,value}],"aliases":[{alias,version}],"latest_versions":[…]…}: the newest version of
 * each stage. NOT_FOUND. */
TD_MUST_USE td_code td_mlflow_model_json(td_db *db, const char *project, const char *name, json_t **out, td_err *err);
/* The newest versions of some stages, or of all with count 0: [version…]. */
TD_MUST_USE td_code td_mlflow_latest_json(td_db *db, const char *project, const char *name, const char *const *stages,
                                          size_t count, json_t **out, td_err *err);
/* One version by a reference ("pump/3", "pump@champion"), with its metrics and parameters. NOT_FOUND: also archived. */
TD_MUST_USE td_code td_mlflow_version_json(td_db *db, const char *project, const char *reference, json_t **out,
                                           td_err *err);
/* Appends {"registered_models":[…],"next_page_token"?}. Attributes: name, creation_timestamp,
 * last_updated_timestamp. */
TD_MUST_USE td_code td_mlflow_models_text(td_db *db, const char *project, const td_page *page, td_str *out,
                                          td_err *err);
/* Appends {"model_versions":[…],"next_page_token"?}. Attributes: name, version_number, run_id, source_path, the two
 * times. */
TD_MUST_USE td_code td_mlflow_versions_text(td_db *db, const char *project, const td_page *page, td_str *out,
                                            td_err *err);

#endif
