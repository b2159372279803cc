/*
 * list_store.c: lists of devices, of what they ran, of enrolment codes and of rollouts, by what may be asked of them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/list_json.h"
#include "fleet/enrol.h"
#include "fleet/rollout_internal.h"
#include "fleet/selector.h"

#include <stdio.h>

/* Born, not dead, and heard of within three of its own contact intervals; :now is bound. */
#define ONLINE                                                                                                         \
    "(d.live = 1 AND c.heard_ms >= :now - 3000 * CASE WHEN d.contact_every_s > 0 THEN d.contact_every_s ELSE 60 END)"

/* ---- devices ---- */

static const char *const device_states[] = {"enrolled", "revoked", NULL};
static const td_filter_rows device_runtimes = {
    "(SELECT r.device_id, j.value AS name FROM device r, json_each(r.runtimes) j)", "device_id", "d.device_id"};
static const td_filter_rows device_running = {
    "(SELECT r.device_id, r.model || '/' || r.version AS label FROM device_run r WHERE r.ended_ms IS NULL)",
    "device_id", "d.device_id"};
static const td_filter_field device_fields[] = {
    {.name = "device", .type = TD_FILTER_TEXT, .sql = "d.name", .narrows = true},
    {.name = "name", .type = TD_FILTER_TEXT, .sql = "d.name", .narrows = true},
    {.name = "state", .type = TD_FILTER_TEXT, .sql = "d.state", .choices = device_states},
    {.name = "online", .type = TD_FILTER_BOOLEAN, .sql = ONLINE},
    {.name = "hardware", .type = TD_FILTER_TEXT, .sql = "d.hardware"},
    {.name = "runtime", .type = TD_FILTER_TEXT, .sql = "name", .rows = &device_runtimes},
    {.name = "running", .type = TD_FILTER_TEXT, .sql = "label", .rows = &device_running},
    {.name = "agent", .type = TD_FILTER_TEXT, .sql = "d.agent"},
    {.name = "ram_bytes", .type = TD_FILTER_INTEGER, .sql = "d.ram_bytes"},
    {.name = "storage_free", .type = TD_FILTER_INTEGER, .sql = "d.storage_free"},
    {.name = "enrolled_at", .type = TD_FILTER_TIME, .sql = "d.enrolled_ms"},
    {.name = "last_contact_at", .type = TD_FILTER_TIME, .sql = "nullif(c.heard_ms, 0)", .nullable = true},
    {.name = NULL},
};
static const td_filter_family device_families[] = {
    {.names = td_filter_tags,
     .type = TD_FILTER_TEXT,
     .rows = {"(SELECT r.device_id, j.key, j.value FROM device r, json_each(r.tags) j)", "device_id", "d.device_id"},
     .key = "key",
     .value = "value"},
    {.names = NULL},
};
static const td_filter_table device_table = {
    .fields = device_fields, .families = device_families, .prefix = "device", .order = "device", .tie = "device"};

static td_code device_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    (void)context;
    (void)err;
    *out = td_fleet__device_row(stmt);
    return TD_OK;
}

static td_code add_id(void *context, int64_t device_id, const char *name, td_err *err)
{
    td_str *ids = context;
    (void)name;
    td_str_addf(ids, "%s%lld", ids->size > 1 ? "," : "", (long long)device_id);
    return td_str_check(ids, err);
}

/* What the selector finds, as a JSON array of rows. */
static td_code select_ids(td_db *db, const char *project, const char *selector, td_str *ids, td_err *err)
{
    td_selector parsed;
    int64_t revision = 0;
    TD_TRY(td_selector__parse(selector, &parsed, err));
    td_str_add_char(ids, '[');
    TD_TRY(td_fleet__select(db, project, &parsed, -1, add_id, ids, &revision, err));
    td_str_add_char(ids, ']');
    return td_str_check(ids, err);
}

static const td_list_query device_query = {
    .name = "devices",
    .table = &device_table,
    .columns = "d.*, c.heard_ms, c.settled, " ONLINE " AS online, (SELECT group_concat(r.model || '/' || r.version, "
               "' ') FROM device_run r WHERE r.device_id = d.device_id AND r.ended_ms IS NULL) AS running",
    .from = "device d CROSS JOIN device_contact c ON c.device_id = d.device_id",
    .where = "d.project = :project AND (:ids IS NULL OR d.device_id IN (SELECT value FROM json_each(:ids))) "
             "AND (:revoked OR d.state = 'enrolled')"};

td_code td_device_list_json(td_db *db, const char *project, const char *selector, const td_page *page, json_t **out,
                            td_err *err)
{
    bool all = selector == NULL || selector[0] == '\0';
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_CLEANUP(td_str_done) td_str ids = {0}, scope = {0};
    td_str_addf(&scope, "%s %s", project, all ? "" : selector);
    TD_TRY(td_str_check(&scope, err));
    if (!all) {
        TD_TRY(select_ids(db, project, selector, &ids, err));
    }
    TD_TRY(td_list_open(db, &device_query, td_str_text(&scope), page, &list, err));
    td_bind_text(td_list_stmt(list), ":project", project);
    td_bind_text(td_list_stmt(list), ":ids", all ? NULL : td_str_text(&ids));
    td_bind_bool(td_list_stmt(list), ":revoked", !all || td_list_asks(list, "state"));
    td_bind_int(td_list_stmt(list), ":now", td_db_now_ms(db));
    return td_list_json(list, device_row, NULL, out, err);
}

/* ---- what a device ran ---- */

static const td_filter_field run_fields[] = {
    {.name = "id", .type = TD_FILTER_INTEGER, .sql = "r.run_id"},
    {.name = "model", .type = TD_FILTER_TEXT, .sql = "r.model", .nullable = true},
    {.name = "version", .type = TD_FILTER_INTEGER, .sql = "r.version", .nullable = true},
    {.name = "slot", .type = TD_FILTER_TEXT, .sql = "r.slot"},
    {.name = "started_at", .type = TD_FILTER_TIME, .sql = "r.started_ms"},
    {.name = "ended_at", .type = TD_FILTER_TIME, .sql = "r.ended_ms", .nullable = true},
    {.name = NULL},
};
static const td_filter_table run_table = {.fields = run_fields, .order = "started_at DESC", .tie = "id DESC"};

static td_code run_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    (void)context;
    (void)err;
    *out = td_fleet__run_row(stmt);
    return TD_OK;
}

td_code td_device_run_list_json(td_db *db, const char *project, const char *device, const td_page *page, json_t **out,
                                td_err *err)
{
    static const td_list_query query = {
        .name = "runs",
        .table = &run_table,
        .columns = "d.name, r.model, r.version, r.slot, r.manifest_digest, r.started_ms, r.ended_ms",
        .from = "device_run r CROSS JOIN device d ON d.device_id = r.device_id",
        .where = "r.device_id = :device"};
    td_device_row row;
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_TRY(td_fleet__device_by_name(db, project, device, &row, err));
    TD_TRY(td_list_open(db, &query, device, page, &list, err));
    td_bind_int(td_list_stmt(list), ":device", row.device_id);
    return td_list_json(list, run_row, NULL, out, err);
}

/* ---- enrolment codes ---- */

static const td_filter_field code_fields[] = {
    {.name = "id", .type = TD_FILTER_INTEGER, .sql = "e.code_id"},
    {.name = "created_at", .type = TD_FILTER_TIME, .sql = "e.created_ms"},
    {.name = "created_by", .type = TD_FILTER_TEXT, .sql = "e.created_by"},
    {.name = "expires_at", .type = TD_FILTER_TIME, .sql = "e.expires_ms"},
    {.name = "uses", .type = TD_FILTER_INTEGER, .sql = "e.uses"},
    {.name = "used", .type = TD_FILTER_INTEGER, .sql = "e.used"},
    {.name = "spent", .type = TD_FILTER_BOOLEAN, .sql = "(e.used >= e.uses)"},
    {.name = NULL},
};
static const td_filter_family code_families[] = {
    {.names = td_filter_tags,
     .type = TD_FILTER_TEXT,
     .rows = {"(SELECT r.code_id, j.key, j.value FROM enrol_code r, json_each(r.tags) j)", "code_id", "e.code_id"},
     .key = "key",
     .value = "value"},
    {.names = NULL},
};
static const td_filter_table code_table = {
    .fields = code_fields, .families = code_families, .order = "id DESC", .tie = "id DESC"};

static td_code code_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    (void)context;
    (void)err;
    *out = json_pack("{s:I, s:o, s:s, s:o, s:I, s:I, s:o}", "id", (json_int_t)td_column_int(stmt, "code_id"),
                     "created_at", td_fleet__time_json(td_column_int(stmt, "created_ms")), "created_by",
                     td_column_text(stmt, "created_by"), "expires_at",
                     td_fleet__time_json(td_column_int(stmt, "expires_ms")), "uses",
                     (json_int_t)td_column_int(stmt, "uses"), "used", (json_int_t)td_column_int(stmt, "used"), "tags",
                     json_loads(td_column_text(stmt, "tags"), 0, NULL));
    return TD_OK;
}

td_code td_enrol_code_list_json(td_db *db, const char *project, const td_page *page, json_t **out, td_err *err)
{
    static const td_list_query query = {
        .name = "codes",
        .table = &code_table,
        .columns = "e.code_id, e.created_ms, e.created_by, e.expires_ms, e.uses, e.used, e.tags",
        .from = "enrol_code e",
        .where = "e.project = :project"};
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_TRY(td_list_open(db, &query, project, page, &list, err));
    td_bind_text(td_list_stmt(list), ":project", project);
    return td_list_json(list, code_row, NULL, out, err);
}

/* ---- rollouts ---- */

static const td_filter_field rollout_fields[] = {
    {.name = "id", .type = TD_FILTER_TEXT, .sql = "r.id"},
    {.name = "number", .type = TD_FILTER_INTEGER, .sql = "r.rollout_id"},
    {.name = "model", .type = TD_FILTER_TEXT, .sql = "r.model"},
    {.name = "version", .type = TD_FILTER_INTEGER, .sql = "r.version"},
    {.name = "slot", .type = TD_FILTER_TEXT, .sql = "r.slot"},
    {.name = "state", .type = TD_FILTER_TEXT, .sql = "r.state", .choices = td_rollout_state_names},
    {.name = "ended", .type = TD_FILTER_BOOLEAN, .sql = "(r.ended_ms IS NOT NULL)"},
    {.name = "to", .type = TD_FILTER_TEXT, .sql = "r.selector", .no_order = true},
    {.name = "created_by", .type = TD_FILTER_TEXT, .sql = "r.created_by"},
    {.name = "created_at", .type = TD_FILTER_TIME, .sql = "r.created_ms"},
    {.name = "deadline_at", .type = TD_FILTER_TIME, .sql = "r.deadline_ms"},
    {.name = "ended_at", .type = TD_FILTER_TIME, .sql = "r.ended_ms", .nullable = true},
    {.name = NULL},
};
static const td_filter_table rollout_table = {
    .fields = rollout_fields, .prefix = "rollout", .order = "number DESC", .tie = "number DESC"};

static td_code rollout_row(td_stmt *stmt, void *context, json_t **out, td_err *err)
{
    static const char *const counts[] = {"devices", "committed", "failed"};
    (void)context;
    (void)err;
    json_t *rollout = td_fleet__rollout_row(stmt);
    for (size_t i = 0; i < TD_COUNT_OF(counts); i++) {
        (void)json_object_set_new(rollout, counts[i], json_integer(td_column_int(stmt, counts[i])));
    }
    *out = rollout;
    return TD_OK;
}

td_code td_rollout_list_json(td_db *db, const char *project, const td_page *page, json_t **out, td_err *err)
{
    static const td_list_query query = {
        .name = "rollouts",
        .table = &rollout_table,
        .columns = "r.id, r.project, r.model, r.version, r.slot, r.selector, r.state, r.why, r.created_by, "
                   "r.created_ms, r.deadline_ms, r.ended_ms, "
                   "(SELECT count(*) FROM rollout_device p WHERE p.rollout_id = r.rollout_id) AS devices, "
                   "(SELECT count(*) FROM rollout_device p WHERE p.rollout_id = r.rollout_id AND "
                   "p.state = 'committed') AS committed, "
                   "(SELECT count(*) FROM rollout_device p WHERE p.rollout_id = r.rollout_id AND p.state = 'failed') "
                   "AS failed",
        .from = "rollout r",
        .where = "r.project = :project"};
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    TD_TRY(td_list_open(db, &query, project, page, &list, err));
    td_bind_text(td_list_stmt(list), ":project", project);
    return td_list_json(list, rollout_row, NULL, out, err);
}
