/*
 * list_json.c: the rows of a page into one JSON object, or its text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/list_json.h"

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory for a list");
}

static td_code add_rows(td_list *list, td_list_row make, void *context, json_t *rows, td_err *err)
{
    for (bool row = true;;) {
        json_t *element = NULL;
        TD_TRY(td_list_step(list, &row, err));
        if (!row) {
            return TD_OK;
        }
        TD_TRY(make(td_list_stmt(list), context, &element, err));
        if (json_array_append_new(rows, element) != 0) {
            return no_memory(err);
        }
    }
}

td_code td_list_json(td_list *list, td_list_row row, void *context, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *rows = json_array();
    TD_TRY(add_rows(list, row, context, rows, err));
    json_t *answer = json_pack("{s:O, s:s*}", td_list_name(list), rows, "next_cursor", td_list_next(list));
    if (answer == NULL) {
        return no_memory(err);
    }
    *out = answer;
    return TD_OK;
}

static td_code write_rows(td_list *list, td_list_row make, void *context, td_str *out, td_err *err)
{
    for (size_t count = 0;; count++) {
        bool row;
        TD_CLEANUP(td_json_done) json_t *element = NULL;
        TD_TRY(td_list_step(list, &row, err));
        if (!row) {
            return TD_OK;
        }
        TD_TRY(make(td_list_stmt(list), context, &element, err));
        td_str_add(out, count > 0 ? "," : "");
        TD_TRY(td_json_write(element, out, err));
    }
}

td_code td_list_text(td_list *list, td_list_row row, void *context, const char *cursor_name, td_str *out, td_err *err)
{
    td_str_addf(out, "{\"%s\":[", td_list_name(list));
    TD_TRY(write_rows(list, row, context, out, err));
    td_str_add(out, "]");
    const char *next = td_list_next(list);
    if (next != NULL) { /* a cursor is base64: nothing in it is escaped */
        td_str_addf(out, ",\"%s\":\"%s\"", cursor_name, next);
    }
    td_str_add(out, "}");
    return td_str_check(out, err);
}
