/*
 * mlflow.h: what the handlers of MLflow's REST API share: one reader of fields, and MLflow's own shape of errors.
 *
 * An unmodified client of MLflow sends the fields of a GET in the query and those of everything else, DELETE and PATCH
 * included, as a JSON body. td_mlflow_text and its like read a field wherever it is. Unknown fields are ignored: newer
 * clients send more. An empty text counts as absent where a field is required.
 * Every answer below /api/2.0/ and /api/3.0/ that is no success is {"error_code","message"} (mlflow_error.c).
 * Wire facts: MLflow 3.17 and 2.22, mlflow/utils/rest_utils.py and mlflow/exceptions.py.
 *
 * Threads: as the request's handler.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_MLFLOW_H
#define TD_SERVER_MLFLOW_H

#include "server/routes.h"

#define TD_MLFLOW_LIST_MAX 64               /* entries of a repeated field: order_by, stages, tags … */
#define TD_MLFLOW_WORKSPACE "X-MLFLOW-WORKSPACE" /* the header that names our project */

/* ---- reading ---- */

/* A text. `required`: INVALID when it is absent or empty; else *out is NULL when absent. Borrowed from the request. */
TD_MUST_USE td_code td_mlflow_text(td_request *request, const char *name, bool required, const char **out, td_err *err);
/* A whole number, as JSON number or as decimal text. Absent: the fallback. */
TD_MUST_USE td_code td_mlflow_int(td_request *request, const char *name, int64_t minimum, int64_t maximum,
                                  int64_t fallback, int64_t *out, td_err *err);
/* true, false, or how Python spells them in a query. Absent: the fallback. */
TD_MUST_USE td_code td_mlflow_bool(td_request *request, const char *name, bool fallback, bool *out, td_err *err);
/* A repeated text: a key that stands several times in the query, or a JSON array. In the request's arena. */
TD_MUST_USE td_code td_mlflow_texts(td_request *request, const char *name, const char *const **out, size_t *count_out,
                                    td_err *err);
/* A JSON value of the body, of that jansson type; *out is NULL when absent. Borrowed. */
TD_MUST_USE td_code td_mlflow_json(td_request *request, const char *name, json_type type, const json_t **out,
                                   td_err *err);
/* [{"key","value"}] as an object; the last of equal keys counts. *out is new: an empty object when absent. */
TD_MUST_USE td_code td_mlflow_pairs(td_request *request, const char *name, json_t **out, td_err *err);
/* "version": a whole number from 1 on, as text or number. */
TD_MUST_USE td_code td_mlflow_version(td_request *request, int64_t *out, td_err *err);

#define TD_MLFLOW_RESULTS_MAX 200000 /* what a client may ask for */
/* max_results, page_token, filter and order_by of a search, as list.h takes them; of more than `maximum` results a page
 * has that many, and the client comes back for more. */
TD_MUST_USE td_code td_mlflow_page(td_request *request, int64_t fallback, int64_t maximum, td_page *out, td_err *err);

/* ---- answering ---- */

/* 200 with {} */
TD_MUST_USE td_code td_mlflow_answer_empty(td_request *request, td_err *err);
/* [{"key","value"}] of an object of texts. NULL when memory is out. */
json_t *td_mlflow_pairs_json(const json_t *object);

/* The next error of this request is told under this name ("RESOURCE_ALREADY_EXISTS") and its status. */
void td_mlflow_error_name(td_request *request, const char *error_code);

/* ---- what the rest of HTTP asks ---- */

/* Is the raw target below one of MLflow's prefixes? */
bool td_mlflow_owns(const char *raw_target);
/* The project that the header names (NULL: the default one). INVALID. */
TD_MUST_USE td_code td_mlflow_project(const char *header, const char **out, td_err *err);
/* Writes the error answer; `status` and `code` as in problem details. */
void td_mlflow_problem(td_request *request, int status, const char *code, const char *detail);

#endif
