/*
 * search_store.c: the list of records by what may be asked of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/internal.h"
#include "core/db/list_json.h"

/* What is erased from a record cannot be asked for either: its columns are empty. */
static const td_filter_field fields[] = {
    {.name = "seq", .type = TD_FILTER_INTEGER, .sql = "r.seq", .narrows = true},
    {.name = "time", .type = TD_FILTER_TIME, .sql = "r.at_ms"},
    {.name = "project", .type = TD_FILTER_TEXT, .sql = "r.project"},
    {.name = "actor", .type = TD_FILTER_TEXT, .sql = "r.actor"},
    {.name = "action", .type = TD_FILTER_TEXT, .sql = "r.action"},
    {.name = "object_type", .type = TD_FILTER_TEXT, .sql = "r.object_type"},
    {.name = "object", .type = TD_FILTER_TEXT, .sql = "r.object_id"},
    {.name = NULL},
};
static const td_filter_table table = {.fields = fields, .prefix = "record", .order = "seq", .tie = "seq"};

static td_code record_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    (void)context;
    return td_record__listed(stmt, out, err);
}

td_code td_audit_search_json(td_db *db, const char *project, const td_page *page, json_t **out, td_err *err)
{
    td_list_query query = {.name = "records",
                           .table = &table,
                           .columns = "r.seq, r.body",
                           .from = "audit_record r",
                           .where = project != NULL ? "r.project = :project" : NULL,
                           .limit_max = TD_AUDIT_LIST_MAX};
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_TRY(td_list_open(db, &query, project, page, &list, err));
    if (project != NULL) {
        td_bind_text(td_list_stmt(list), ":project", project);
    }
    return td_list_json(list, record_row, NULL, out, err);
}
