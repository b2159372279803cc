/*
 * audit_store.c: appending and reading records.
 *
 * Appending is one insert inside the caller's transaction; the number is taken from the table itself, on the only
 * writing connection, so it has no gaps and needs no counter. SPDX-License-Identifier: Apache-2.0
 */
#include "audit/internal.h"

#include <string.h>

td_code td_audit_count(td_db *db, int64_t *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT coalesce(max(seq), -1) + 1 AS next FROM audit_record", &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    *out = td_column_int(stmt, "next");
    td_reset(stmt);
    return TD_OK;
}

td_code td_audit_append(td_db *db, const td_audit_entry *entry, int64_t *seq_out, td_err *err)
{
    int64_t seq = 0;
    TD_TRY(td_audit_count(db, &seq, err));
    int64_t at_ms = td_db_now_ms(db);
    TD_CLEANUP(td_str_done) td_str body = {0};
    TD_TRY(td_record__build(entry, seq, at_ms, &body, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO audit_record (seq, at_ms, project, actor, action, object_type, object_id, body) "
                         "VALUES (:seq, :at, :project, :actor, :action, :type, :id, :body)",
                         &stmt, err));
    td_bind_int(stmt, ":seq", seq);
    td_bind_int(stmt, ":at", at_ms);
    td_bind_text(stmt, ":project", entry->project != NULL ? entry->project : "default");
    td_bind_text(stmt, ":actor", entry->actor->name);
    td_bind_text(stmt, ":action", entry->action);
    td_bind_text(stmt, ":type", entry->object_type);
    td_bind_text(stmt, ":id", entry->object_id);
    td_bind_text(stmt, ":body", td_str_text(&body));
    TD_TRY(td_run(stmt, err));
    if (seq_out != NULL) {
        *seq_out = seq;
    }
    return TD_OK;
}

td_code td_audit_record(td_db *db, int64_t seq, td_str *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT body FROM audit_record WHERE seq = :seq", &stmt, err));
    td_bind_int(stmt, ":seq", seq);
    TD_TRY(td_step_one(stmt, err, "the log has no record %lld", (long long)seq));
    const char *body = td_column_text(stmt, "body");
    td_code code =
        body != NULL ? TD_OK : td_fail(err, TD_NOT_FOUND, "the body of record %lld was erased", (long long)seq);
    if (body != NULL) {
        td_str_add(out, body);
    }
    td_reset(stmt);
    TD_TRY(code);
    return td_str_check(out, err);
}

td_code td_audit_check_project(td_db *db, int64_t seq, const char *project, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT seq FROM audit_record WHERE seq = :seq AND project = :project", &stmt, err));
    td_bind_int(stmt, ":seq", seq);
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step_one(stmt, err, "the log has no record %lld of project %s", (long long)seq, project));
    td_reset(stmt);
    return TD_OK;
}

td_code td_record__each(td_db *db, int64_t first, int64_t end, td_record_visit visit, void *context, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT r.seq AS seq, r.at_ms AS at_ms, r.project AS project, r.actor AS actor, "
                         "r.action AS action, r.object_type AS object_type, r.object_id AS object_id, r.body AS body, "
                         "coalesce(e.by_seq, -1) AS erased_by "
                         "FROM audit_record r LEFT JOIN audit_erasure e ON e.seq = r.seq "
                         "WHERE r.seq >= :first AND r.seq < :end ORDER BY r.seq",
                         &stmt, err));
    td_bind_int(stmt, ":first", first);
    td_bind_int(stmt, ":end", end);
    for (;;) {
        bool more;
        TD_TRY(td_step(stmt, &more, err));
        if (!more) {
            return TD_OK;
        }
        td_record_row row = {.seq = td_column_int(stmt, "seq"),
                             .at_ms = td_column_int(stmt, "at_ms"),
                             .project = td_column_text(stmt, "project"),
                             .actor = td_column_text(stmt, "actor"),
                             .action = td_column_text(stmt, "action"),
                             .object_type = td_column_text(stmt, "object_type"),
                             .object_id = td_column_text(stmt, "object_id"),
                             .body = td_column_text(stmt, "body"),
                             .erased_by = td_column_int(stmt, "erased_by")};
        row.body_size = row.body != NULL ? strlen(row.body) : 0;
        td_code code = visit(context, &row, err);
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
    }
}

/* --- listing --- */

static td_code check_query(const td_audit_query *query, td_err *err)
{
    if (query->limit < 0 || query->limit > TD_AUDIT_LIST_MAX) {
        return td_fail(err, TD_INVALID, "limit is %d; at most %d records are listed at a time", query->limit,
                       TD_AUDIT_LIST_MAX);
    }
    if (query->action != NULL && td_action_find(query->action) == NULL) {
        return td_fail(err, TD_INVALID, "unknown audit action \"%s\"", query->action);
    }
    return TD_OK;
}

/* One text for all filters: a filter that is off is NULL. The planner takes the index of the filter that is bound. */
#define LIST_COLUMNS "SELECT seq, body FROM audit_record "
#define LIST_WHERE                                                                                                     \
    "WHERE seq > :after AND (:project IS NULL OR project = :project) AND (:id IS NULL OR object_id = :id) "            \
    "AND (:type IS NULL OR object_type = :type) AND (:actor IS NULL OR actor = :actor) "                               \
    "AND (:action IS NULL OR action = :action) "
#define LIST_BY_OBJECT                                                                                                 \
    "WHERE object_id = :id AND seq > :after AND (:project IS NULL OR project = :project) "                             \
    "AND (:type IS NULL OR object_type = :type) AND (:actor IS NULL OR actor = :actor) "                               \
    "AND (:action IS NULL OR action = :action) "
#define LIST_BY_ACTOR                                                                                                  \
    "WHERE actor = :actor AND seq > :after AND (:project IS NULL OR project = :project) "                              \
    "AND (:id IS NULL OR object_id = :id) AND (:type IS NULL OR object_type = :type) "                                 \
    "AND (:action IS NULL OR action = :action) "
#define LIST_BY_ACTION                                                                                                 \
    "WHERE action = :action AND seq > :after AND (:project IS NULL OR project = :project) "                            \
    "AND (:id IS NULL OR object_id = :id) AND (:type IS NULL OR object_type = :type) "                                 \
    "AND (:actor IS NULL OR actor = :actor) "
#define LIST_OLDEST "ORDER BY seq LIMIT :limit"
#define LIST_NEWEST "ORDER BY seq DESC LIMIT :limit"

static td_code prepare_list(td_db *db, const td_audit_query *query, td_stmt **out, td_err *err)
{
    bool newest = query->newest_first;
    if (query->object != NULL) {
        return newest ? td_db_prepare(db, LIST_COLUMNS LIST_BY_OBJECT LIST_NEWEST, out, err)
                      : td_db_prepare(db, LIST_COLUMNS LIST_BY_OBJECT LIST_OLDEST, out, err);
    }
    if (query->actor != NULL) {
        return newest ? td_db_prepare(db, LIST_COLUMNS LIST_BY_ACTOR LIST_NEWEST, out, err)
                      : td_db_prepare(db, LIST_COLUMNS LIST_BY_ACTOR LIST_OLDEST, out, err);
    }
    if (query->action != NULL) {
        return newest ? td_db_prepare(db, LIST_COLUMNS LIST_BY_ACTION LIST_NEWEST, out, err)
                      : td_db_prepare(db, LIST_COLUMNS LIST_BY_ACTION LIST_OLDEST, out, err);
    }
    return newest ? td_db_prepare(db, LIST_COLUMNS LIST_WHERE LIST_NEWEST, out, err)
                  : td_db_prepare(db, LIST_COLUMNS LIST_WHERE LIST_OLDEST, out, err);
}

/* "version:pump/3" is a type and an id; an id alone has no colon of a known form before it. */
static void bind_object(td_stmt *stmt, const char *object)
{
    const char *colon = object != NULL ? strchr(object, ':') : NULL;
    size_t type_size = colon != NULL ? (size_t)(colon - object) : 0;
    bool typed = type_size > 0 && type_size < 32 && strspn(object, "abcdefghijklmnopqrstuvwxyz_") == type_size;
    char type[32] = "";
    if (typed) {
        memcpy(type, object, type_size);
    }
    td_bind_text(stmt, ":type", typed ? type : NULL);
    td_bind_text(stmt, ":id", typed ? colon + 1 : object);
}

td_code td_record__listed(td_stmt *stmt, json_t **out, td_err *err)
{
    int64_t seq = td_column_int(stmt, "seq");
    const char *body = td_column_text(stmt, "body");
    if (body == NULL) {
        *out = json_pack("{s:I, s:b}", "seq", (json_int_t)seq, "erased", 1);
    } else if (td_json_parse(body, strlen(body), "audit record", out, NULL) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "record %lld of the log is not JSON; run: tidemark audit verify",
                       (long long)seq);
    }
    return *out != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory to list the log");
}

/* Adds the row at hand. */
static td_code add_listed(td_stmt *stmt, json_t *records, int64_t *last, td_err *err)
{
    json_t *record = NULL;
    int64_t seq = td_column_int(stmt, "seq");
    TD_TRY(td_record__listed(stmt, &record, err));
    *last = seq > *last ? seq : *last;
    return json_array_append_new(records, record) == 0 ? TD_OK : td_fail(err, TD_NOMEM, "no memory to list the log");
}

static td_code fill_list(td_stmt *stmt, json_t *records, int64_t *last, td_err *err)
{
    for (;;) {
        bool row;
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        TD_TRY(add_listed(stmt, records, last, err));
    }
}

td_code td_audit_list_json(td_db *db, const td_audit_query *query, json_t **out, td_err *err)
{
    TD_TRY(check_query(query, err));
    td_stmt *stmt;
    TD_TRY(prepare_list(db, query, &stmt, err));
    td_bind_int(stmt, ":after", query->after);
    td_bind_int(stmt, ":limit", query->limit > 0 ? query->limit : 100);
    td_bind_text(stmt, ":project", query->project);
    td_bind_text(stmt, ":actor", query->actor);
    td_bind_text(stmt, ":action", query->action);
    bind_object(stmt, query->object);
    TD_CLEANUP(td_json_done) json_t *answer = json_object();
    json_t *records = json_array();
    int64_t last = query->after;
    if (answer == NULL || json_object_set_new(answer, "records", records) != 0) {
        return td_fail(err, TD_NOMEM, "no memory to list the log");
    }
    td_code code = fill_list(stmt, records, &last, err);
    td_reset(stmt);
    TD_TRY(code);
    if (json_object_set_new(answer, "next_after", json_integer(last)) != 0) {
        return td_fail(err, TD_NOMEM, "no memory to list the log");
    }
    *out = answer;
    answer = NULL;
    return TD_OK;
}
