/*
 * enrol_store.c: rows of codes, and the one transaction that spends a code and makes a device.
 *
 * A secret is looked up by its SHA-256, so that neither the database nor the time of an answer tells anything about it.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"
#include "fleet/enrol_internal.h"

#include <string.h>

#define TTL_DEFAULT_MS ((int64_t)7 * 24 * 3600 * 1000)
#define USES_MAX 100000

static td_code check_code_options(const td_enrol_code_options *options, td_err *err)
{
    if (options->count < 1 || options->count > TD_ENROL_CODES_MAX) {
        return td_fail(err, TD_INVALID, "codes are made 1 to %d at a time, not %lld", TD_ENROL_CODES_MAX,
                       (long long)options->count);
    }
    if (options->ttl_ms < 0 || options->ttl_ms > TD_ENROL_TTL_MAX_MS) {
        return td_fail(err, TD_INVALID, "a code lives at most 365 days");
    }
    if (options->uses < 0 || options->uses > USES_MAX) {
        return td_fail(err, TD_INVALID, "a code lets in 1 to %d devices, not %lld", USES_MAX, (long long)options->uses);
    }
    return td_fleet__check_tags(options->tags, false, err);
}

typedef struct new_code {
    const char *project, *tags, *created_by;
    int64_t expires_ms, uses;
} new_code;

static td_code insert_code(td_db *db, const new_code *code, const uint8_t secret[TD_ENROL_SECRET_SIZE], td_err *err)
{
    uint8_t hash[TD_DIGEST_SIZE];
    td_sha256_of(secret, TD_ENROL_SECRET_SIZE, hash);
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db,
                      "INSERT INTO enrol_code (secret_hash, project, tags, created_ms, created_by, expires_ms, uses) "
                      "VALUES (:hash, :project, :tags, :now, :created_by, :expires, :uses)",
                      &stmt, err));
    td_bind_blob(stmt, ":hash", hash, sizeof hash);
    td_bind_text(stmt, ":project", code->project);
    td_bind_text(stmt, ":tags", code->tags);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_text(stmt, ":created_by", code->created_by);
    td_bind_int(stmt, ":expires", code->expires_ms);
    td_bind_int(stmt, ":uses", code->uses);
    return td_run(stmt, err);
}

static td_code make_codes(td_db *db, const td_enrol_code_options *options, const new_code *code, json_t *texts,
                          td_err *err)
{
    for (int64_t i = 0; i < options->count; i++) {
        uint8_t secret[TD_ENROL_SECRET_SIZE];
        char text[TD_ENROL_CODE_TEXT];
        TD_TRY(td_random(secret, sizeof secret, err));
        td_enrol__code_text(secret, options->trust_digest, text);
        TD_TRY(insert_code(db, code, secret, err));
        td_wipe(secret, sizeof secret);
        if (json_array_append_new(texts, json_string(text)) != 0) {
            return td_fail(err, TD_NOMEM, "out of memory");
        }
    }
    return TD_OK;
}

td_code td_enrol_code_create(td_db *db, const td_actor *actor, const td_enrol_code_options *options, json_t **out,
                             td_err *err)
{
    TD_TRY(check_code_options(options, err));
    const char *project = options->project != NULL ? options->project : TD_PROJECT_DEFAULT;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_MANAGE_DEVICE, err));
    TD_CLEANUP(td_json_done) json_t *tags = options->tags != NULL ? json_deep_copy(options->tags) : json_object();
    TD_CLEANUP(td_str_done) td_str tags_text = {0};
    TD_TRY(td_json_write(tags, &tags_text, err));
    new_code code = {.project = project,
                     .tags = td_str_text(&tags_text),
                     .created_by = actor->name,
                     .expires_ms = td_db_now_ms(db) + (options->ttl_ms > 0 ? options->ttl_ms : TTL_DEFAULT_MS),
                     .uses = options->uses > 0 ? options->uses : 1};
    TD_CLEANUP(td_json_done) json_t *texts = json_array();
    TD_TRY(make_codes(db, options, &code, texts, err));
    char id[40];
    snprintf(id, sizeof id, "code-%lld", (long long)td_db_last_id(db));
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:I, s:I, s:O, s:o}", "count", (json_int_t)options->count, "uses",
                              (json_int_t)code.uses, "tags", tags, "expires_at", td_fleet__time_json(code.expires_ms));
    TD_TRY(td_fleet__audit(db,
                           &(td_fleet_record){.actor = actor,
                                              .action = "create.enrolment_code",
                                              .object_type = "enrolment_code",
                                              .object_id = id,
                                              .project = project,
                                              .after = after},
                           err));
    return td_fleet__json_out(json_pack("{s:O, s:o, s:I}", "codes", texts, "expires_at",
                                        td_fleet__time_json(code.expires_ms), "uses", (json_int_t)code.uses),
                              out, err);
}

typedef struct found_code {
    int64_t code_id;
    char project[129];
    json_t *tags;
} found_code;

static void found_code_done(found_code *code)
{
    json_decref(code->tags);
}

static td_code judge_code(td_db *db, td_stmt *stmt, td_err *err)
{
    char when[32];
    if (td_column_int(stmt, "expires_ms") < td_db_now_ms(db)) {
        td_format_time(td_column_int(stmt, "expires_ms"), when);
        return td_fail(err, TD_DENIED,
                       "this enrolment code expired at %s; ask for a new one (tidemark device enrol-code)", when);
    }
    if (td_column_int(stmt, "used") >= td_column_int(stmt, "uses")) {
        return td_fail(err, TD_DENIED,
                       "this enrolment code is spent: it has let in %lld of %lld devices; ask for a new one "
                       "(tidemark device enrol-code)",
                       (long long)td_column_int(stmt, "used"), (long long)td_column_int(stmt, "uses"));
    }
    return TD_OK;
}

static td_code find_code(td_db *db, const uint8_t secret[TD_ENROL_SECRET_SIZE], found_code *out, td_err *err)
{
    uint8_t hash[TD_DIGEST_SIZE];
    td_sha256_of(secret, TD_ENROL_SECRET_SIZE, hash);
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT code_id, project, tags, expires_ms, uses, used FROM enrol_code "
                         "WHERE secret_hash = :hash",
                         &stmt, err));
    td_bind_blob(stmt, ":hash", hash, sizeof hash);
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return td_fail(err, TD_DENIED, "this enrolment code is not one of this server's");
    }
    td_code code = judge_code(db, stmt, err);
    if (code == TD_OK) {
        out->code_id = td_column_int(stmt, "code_id");
        snprintf(out->project, sizeof out->project, "%s", td_column_text(stmt, "project"));
        out->tags = json_loads(td_column_text(stmt, "tags"), 0, NULL);
    }
    td_reset(stmt);
    return code;
}

static td_code check_request(const td_enrol_request *request, td_err *err)
{
    TD_TRY(td_device_check_name(request->device, err));
    TD_TRY(td_fleet__check_tags(request->tags, false, err));
    if (request->hardware != NULL && (strlen(request->hardware) > 64 || strpbrk(request->hardware, "'\"\n") != NULL)) {
        return td_fail(err, TD_INVALID, "hardware is text of at most 64 bytes without quotes");
    }
    size_t count = json_array_size(request->runtimes);
    if (request->runtimes != NULL && (!json_is_array(request->runtimes) || count > 8)) {
        return td_fail(err, TD_INVALID, "runtimes are an array of at most 8 names");
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(request->runtimes, i));
        if (name == NULL || strlen(name) > 32) {
            return td_fail(err, TD_INVALID, "a runtime is a name of at most 32 bytes");
        }
    }
    return TD_OK;
}

static td_code check_free(td_db *db, const char *device, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT 1 AS one FROM device WHERE name = :name", &stmt, err));
    td_bind_text(stmt, ":name", device);
    TD_TRY(td_step(stmt, &row, err));
    td_reset(stmt);
    return row ? td_fail(err, TD_CONFLICT, "the identifier \"%s\" is taken; propose another one (--id)", device)
               : TD_OK;
}

td_code td_enrol_check(td_db *db, const td_enrol_request *request, td_err *err)
{
    TD_TRY(check_request(request, err));
    TD_CLEANUP(found_code_done) found_code code = {0};
    TD_TRY(find_code(db, request->secret, &code, err));
    return check_free(db, request->device, err);
}

static td_code spend(td_db *db, int64_t code_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE enrol_code SET used = used + 1 WHERE code_id = :code_id", &stmt, err));
    td_bind_int(stmt, ":code_id", code_id);
    return td_run(stmt, err);
}

static td_code insert_device(td_db *db, const td_enrol_request *request, const td_enrol_grant *grant,
                             const found_code *code, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *tags = request->tags != NULL ? json_deep_copy(request->tags) : json_object();
    json_object_update(tags, code->tags); /* the code's tags win: whoever made it says where its devices belong */
    TD_TRY(td_fleet__check_tags(tags, false, err));
    TD_CLEANUP(td_str_done) td_str tags_text = {0}, runtimes_text = {0};
    TD_TRY(td_json_write(tags, &tags_text, err));
    if (request->runtimes != NULL) {
        TD_TRY(td_json_write(request->runtimes, &runtimes_text, err));
    }
    char serial[33];
    td_hex_encode(grant->serial, sizeof grant->serial, serial);
    int64_t revision = 0;
    TD_TRY(td_fleet__next_revision(db, &revision, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO device (name, project, hardware, runtimes, tags, uplink_key, certificate_serial, "
                         "certificate_end_ms, "
                         "code_id, enrolled_ms, revision) VALUES (:name, :project, :hardware, :runtimes, :tags, "
                         ":uplink_key, :serial, :end, "
                         ":code_id, :now, :revision)",
                         &stmt, err));
    td_bind_text(stmt, ":name", request->device);
    td_bind_text(stmt, ":project", code->project);
    td_bind_text(stmt, ":hardware", request->hardware != NULL ? request->hardware : "");
    td_bind_text(stmt, ":runtimes", runtimes_text.size > 0 ? td_str_text(&runtimes_text) : "[]");
    td_bind_text(stmt, ":tags", td_str_text(&tags_text));
    td_bind_blob(stmt, ":uplink_key", grant->uplink_key, sizeof grant->uplink_key);
    td_bind_text(stmt, ":serial", serial);
    td_bind_int(stmt, ":end", grant->not_after_ms);
    td_bind_int(stmt, ":code_id", code->code_id);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":revision", revision);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(db, "INSERT INTO device_contact (device_id) VALUES (:device_id)", &stmt, err));
    td_bind_int(stmt, ":device_id", td_db_last_id(db));
    return td_run(stmt, err);
}

td_code td_enrol_device(td_db *db, const td_enrol_request *request, const td_enrol_grant *grant, td_err *err)
{
    TD_TRY(check_request(request, err));
    TD_CLEANUP(found_code_done) found_code code = {0};
    TD_TRY(find_code(db, request->secret, &code, err));
    TD_TRY(check_free(db, request->device, err));
    TD_TRY(insert_device(db, request, grant, &code, err));
    TD_TRY(spend(db, code.code_id, err));
    TD_TRY(td_lineage_node_ensure(db, code.project, TD_NODE("device", request->device), NULL, err));
    char serial[33], id[40];
    td_hex_encode(grant->serial, sizeof grant->serial, serial);
    snprintf(id, sizeof id, "code-%lld", (long long)code.code_id);
    td_actor actor = td_fleet__device_actor(request->device);
    actor.authentication = "enrolment-code";
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:s, s:s, s:s, s:O?}", "certificate_serial", serial, "code", id, "hardware",
                              request->hardware != NULL ? request->hardware : "", "tags", code.tags);
    return td_fleet__audit(db,
                           &(td_fleet_record){.actor = &actor,
                                              .action = "enrol.device",
                                              .object_type = "device",
                                              .object_id = request->device,
                                              .project = code.project,
                                              .after = after},
                           err);
}
