/*
 * list_json.h: a list's page as the API answers it: {NAME: [row…], "next_cursor"?}.
 *
 * Threads: as list.h. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_DB_LIST_JSON_H
#define TD_CORE_DB_LIST_JSON_H

#include "core/base/json.h"
#include "core/db/list.h"

/* Makes *out (owned by the caller) from the row at hand. It may run other statements of the same td_db. */
typedef td_code (*td_list_row)(td_stmt *stmt, void *context, json_t **out, td_err *err);

/* The page of an opened list whose own parameters are bound; NAME is the query's. A row that is NULL means NOMEM. */
TD_MUST_USE td_code td_list_json(td_list *list, td_list_row row, void *context, json_t **out, td_err *err);

#endif
