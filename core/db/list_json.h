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

/* The same page appended to `out` as text, its cursor under `cursor_name`. A row's tree is gone before the next one is
 * made, so that a page of thousands takes the memory of its text. On failure `out` holds a part of it. */
TD_MUST_USE td_code td_list_text(td_list *list, td_list_row row, void *context, const char *cursor_name, td_str *out,
                                 td_err *err);

#endif
