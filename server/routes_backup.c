/*
 * routes_backup.c: that a backup was made is a record, whoever writes it: the server, or the command when none runs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/backup_internal.h"
#include "server/routes_access.h"

#define NAME_MAX_LENGTH 64
#define COUNT_MAX 1e15

td_code td_backup_record_body(const json_t *facts, const uint8_t digest[TD_DIGEST_SIZE], json_t **out, td_err *err)
{
    const json_t *content = json_object_get(facts, "content");
    char label[TD_DIGEST_LABEL_SIZE];
    td_digest_format(digest, label);
    *out = json_pack("{s:s, s:s, s:b, s:I, s:I, s:I}", "name", td_json_text(facts, "name", ""), "digest", label, "keys",
                     td_json_bool(facts, "keys", false), "records",
                     (json_int_t)td_json_int(json_object_get(facts, "log"), "records", 0), "objects",
                     (json_int_t)td_json_int(content, "objects", 0), "bytes",
                     (json_int_t)td_json_int(content, "bytes", 0));
    return *out ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the record of a backup");
}

td_code td_backup__record(td_db *db, const td_actor *actor, const json_t *body, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    TD_TRY(td_digest_parse(td_json_text(body, "digest", ""), digest, err));
    td_audit_entry entry = {.actor = actor,
                            .action = "create.backup",
                            .object_type = "backup",
                            .object_id = td_json_text(body, "name", ""),
                            .digest = digest,
                            .after = body};
    return td_audit_append(db, &entry, NULL, err);
}

td_code td_backup_record_offline(const char *workspace, const json_t *facts, const uint8_t digest[TD_DIGEST_SIZE],
                                 td_err *err)
{
    TD_CLEANUP(td_workspace_close) td_workspace *opened = NULL;
    TD_CLEANUP(td_json_done) json_t *body = NULL;
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_TRY(td_backup_record_body(facts, digest, &body, err));
    TD_TRY(td_workspace_open(workspace, &td_clock_system, &opened, err));
    TD_TRY(td_txn_begin(td_workspace_db(opened), &txn, err));
    TD_TRY(td_backup__record(td_workspace_db(opened), &td_actor_system, body, err));
    return td_txn_commit(&txn, err);
}

static td_code write_record(td_db *db, void *context, td_err *err)
{
    td_request *request = context;
    TD_TRY(td_backup__record(db, &request->actor, request->body, err));
    return td_answer_json(request, 201, json_incref(request->body), err);
}

static td_code record_backup(td_request *request, td_err *err)
{
    static const td_json_field fields[] = {
        {.name = "name", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = NAME_MAX_LENGTH},
        {.name = "digest", .type = TD_JSON_STRING, .required = true},
        {.name = "keys", .type = TD_JSON_BOOLEAN, .required = true},
        {.name = "records", .type = TD_JSON_INTEGER, .required = true, .minimum = 0, .maximum = COUNT_MAX},
        {.name = "objects", .type = TD_JSON_INTEGER, .required = true, .minimum = 0, .maximum = COUNT_MAX},
        {.name = "bytes", .type = TD_JSON_INTEGER, .required = true, .minimum = 0, .maximum = COUNT_MAX},
        {.name = NULL},
    };
    TD_TRY(td_request_need_admin(request, err));
    TD_TRY(td_request_check(request, fields, err));
    return td_request_write(request, write_record, request, err);
}

const td_route td_routes_backup[] = {
    TD_SEND("POST", "/api/v1/backups", TD_MAY_MANAGE_USER, record_backup, "Record that a backup was made"),
    TD_ROUTES_END,
};
