/*
 * backup_verify.c: is a backup what it says it is?
 *
 * From small to large: backup.json, the files that it lists, the database's pages, the log against its checkpoint, the
 * content that the records name, and every object's bytes. Somebody who rewrites all of it alike is found by the digest
 * of backup.json, which the log's create.backup and the command told, or by the log's key.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/backup_internal.h"
#include "server/workspace_internal.h"

#include <stdio.h>
#include <string.h>

typedef struct reference_check {
    const td_content *pool;
    uint64_t found;
} reference_check;

static td_code check_reference(void *context, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err)
{
    reference_check *check = context;
    char label[TD_DIGEST_LABEL_SIZE];
    (void)size;
    if (td_content_exists(check->pool, digest, NULL)) {
        check->found++;
        return TD_OK;
    }
    td_digest_format(digest, label);
    return td_fail(err, TD_CORRUPT,
                   "a record names %s, which is not there (or damaged): upload the good bytes again, then go on",
                   label);
}

static td_code log_json(td_db *db, const char *vkey, json_t **out, td_str *note_out, td_err *err)
{
    td_audit_verify_options options = {.vkey = vkey};
    td_audit_verdict verdict;
    int64_t records;
    char root[TD_DIGEST_TEXT];
    TD_TRY(td_audit_verify_db(db, &options, &verdict, err));
    TD_TRY(td_audit_count(db, &records, err));
    td_code code = td_log_checkpoint_read(db, note_out, err);
    if (code != TD_OK && code != TD_NOT_FOUND) {
        return code;
    }
    td_hex_encode(verdict.root.hash, TD_DIGEST_SIZE, root);
    *out = json_pack("{s:I, s:I, s:s}", "records", (json_int_t)records, "size", (json_int_t)verdict.root.size, "root",
                     code == TD_OK ? root : "");
    return *out ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the log's facts");
}

static td_code check_database(td_db *db, const char *vkey, const td_content *pool, json_t **log_out, td_str *note_out,
                              td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *log = NULL;
    reference_check check = {.pool = pool};
    TD_TRY(td_db_check(db, err));
    if (log_json(db, vkey, &log, note_out, err) != TD_OK) {
        return td_wrap(err, "the audit log");
    }
    TD_TRY(td_backup__each_reference(db, check_reference, &check, err));
    *log_out = json_incref(log);
    return TD_OK;
}

td_code td_backup__database_check(const char *path, const char *vkey, const td_content *pool, const td_clock *clock,
                                  json_t **log_out, td_str *note_out, td_err *err)
{
    td_db *db = NULL;
    TD_TRY(td_db_open(path, TD_DB_READ, clock, &db, err));
    td_code code = check_database(db, vkey, pool, log_out, note_out, err);
    td_db_close(db);
    return code;
}

td_code td_backup__pool(const char *backup, td_content **out, td_err *err)
{
    char path[4096];
    TD_TRY(td_path_join(path, backup, "../" TD_BACKUP_POOL, err));
    return td_content_attach(path, out, err);
}

/* ---- backup.json ---- */

static bool lists(const json_t *head, const char *name)
{
    size_t i;
    const json_t *file;
    json_array_foreach ((json_t *)json_object_get(head, "files"), i, file) {
        if (strcmp(td_json_text(file, "name", ""), name) == 0) {
            return true;
        }
    }
    return false;
}

td_code td_backup__head_parse(const char *text, size_t size, const char *path, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *head = NULL;
    TD_TRY(td_json_parse(text, size, path, &head, err));
    if (strcmp(td_json_text(head, "format", ""), TD_BACKUP_FORMAT) != 0 || td_json_int(head, "v", 0) != 1) {
        return td_fail(err, TD_CORRUPT, "%s: format \"%s\", v 1, is expected", path, TD_BACKUP_FORMAT);
    }
    if (!lists(head, TD_BACKUP_DATABASE) || !lists(head, TD_BACKUP_LIST) || !lists(head, TD_FILE_CONFIG)) {
        return td_fail(err, TD_CORRUPT, "%s does not list the database, the content and the configuration", path);
    }
    *out = json_incref(head);
    return TD_OK;
}

td_code td_backup__head_read(const td_backup_check *check, json_t **out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_json_done) json_t *head = NULL;
    char path[4096], label[TD_DIGEST_LABEL_SIZE];
    uint8_t digest[TD_DIGEST_SIZE], wanted[TD_DIGEST_SIZE];
    TD_TRY(td_path_join(path, check->backup, TD_BACKUP_HEAD, err));
    td_code code = td_file_read(path, TD_BACKUP_HEAD_MAX, &text, err);
    if (code == TD_NOT_FOUND) {
        return td_fail(err, TD_NOT_FOUND, "%s is no finished backup: it has no %s", check->backup, TD_BACKUP_HEAD);
    }
    TD_TRY(code);
    td_sha256_of(td_str_text(&text), text.size, digest);
    td_digest_format(digest, label);
    if (check->digest) {
        TD_TRY(td_digest_parse(check->digest, wanted, err));
        if (memcmp(digest, wanted, sizeof digest) != 0) {
            return td_fail(err, TD_CORRUPT, "%s is %s, not the %s that was asked for: it is another backup, or it was "
                                            "changed",
                           path, label, check->digest);
        }
    }
    TD_TRY(td_backup__head_parse(td_str_text(&text), text.size, path, &head, err));
    (void)json_object_set_new(head, "digest", json_string(label));
    *out = json_incref(head);
    return TD_OK;
}

/* ---- the whole ---- */

typedef struct list_check {
    td_content *pool;
    const td_backup_watch *watch;
    uint64_t total, done;
    bool bytes;
} list_check;

static td_code check_object(void *context, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err)
{
    list_check *check = context;
    uint64_t found = 0;
    char label[TD_DIGEST_LABEL_SIZE];
    td_digest_format(digest, label);
    if (!td_content_exists(check->pool, digest, &found) || found != size) {
        return td_fail(err, TD_CORRUPT, "%s is missing from the backups' content, or was cut", label);
    }
    if (check->bytes) {
        TD_TRY(td_content_verify(check->pool, digest, err));
    }
    check->done += size;
    if (check->bytes && check->watch->tell) {
        check->watch->tell(check->watch->context, "content", check->done, check->total);
    }
    return TD_OK;
}

/* The key of the log: as the caller knows it, else as the backup has it. */
static td_code read_vkey(const td_backup_check *check, td_str *out, td_err *err)
{
    char path[4096];
    if (check->vkey) {
        td_str_add(out, check->vkey);
        return td_str_check(out, err);
    }
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_path_join(path, check->backup, TD_FILE_LOG_VKEY, err));
    TD_TRY(td_file_read(path, TD_LOG_NOTE_MAX, &text, err));
    td_str_append(out, td_str_text(&text), strcspn(td_str_text(&text), "\r\n"));
    return td_str_check(out, err);
}

/* The checkpoint beside the database must be the database's own. */
static td_code check_log(const td_backup_check *check, const json_t *head, const td_content *pool, td_err *err)
{
    char path[4096];
    TD_CLEANUP(td_str_done) td_str vkey = {0}, note = {0}, kept = {0};
    TD_CLEANUP(td_json_done) json_t *log = NULL;
    TD_TRY(read_vkey(check, &vkey, err));
    TD_TRY(td_path_join(path, check->backup, TD_BACKUP_DATABASE, err));
    TD_TRY(td_backup__database_check(path, td_str_text(&vkey), pool, &td_clock_system, &log, &note, err));
    if (lists(head, TD_BACKUP_CHECKPOINT)) {
        TD_TRY(td_path_join(path, check->backup, TD_BACKUP_CHECKPOINT, err));
        TD_TRY(td_file_read(path, TD_LOG_NOTE_MAX, &kept, err));
    }
    if (!json_equal(log, json_object_get(head, "log")) || strcmp(td_str_text(&kept), td_str_text(&note)) != 0) {
        return td_fail(err, TD_CORRUPT, "the log in %s is not the one that %s tells of", TD_BACKUP_DATABASE,
                       TD_BACKUP_HEAD);
    }
    return TD_OK;
}

static td_code check_parts(const td_backup_check *check, const json_t *head, td_content *pool, td_err *err)
{
    char path[4096];
    list_check list = {.pool = pool, .watch = &check->watch};
    TD_TRY(td_backup__files_check(check->backup, head, err));
    TD_TRY(td_path_join(path, check->backup, TD_BACKUP_LIST, err));
    TD_TRY(td_backup__list_each(path, check_object, &list, err));
    return check_log(check, head, pool, err);
}

td_code td_backup__check(const td_backup_check *check, json_t **head_out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *head = NULL;
    td_content *pool = NULL;
    TD_TRY(td_backup__head_read(check, &head, err));
    TD_TRY(td_backup__pool(check->backup, &pool, err));
    td_code code = check_parts(check, head, pool, err);
    td_content_close(pool);
    TD_TRY(code);
    (void)json_object_set_new(head, "path", json_string(check->backup));
    (void)json_object_set_new(head, "trusted", json_boolean(check->digest || check->vkey));
    *head_out = json_incref(head);
    return TD_OK;
}

td_code td_backup_verify(const td_backup_check *check, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *head = NULL;
    td_content *pool = NULL;
    char path[4096];
    TD_TRY(td_backup__check(check, &head, err));
    TD_TRY(td_path_join(path, check->backup, TD_BACKUP_LIST, err));
    TD_TRY(td_backup__pool(check->backup, &pool, err));
    list_check list = {.pool = pool,
                       .watch = &check->watch,
                       .total = (uint64_t)td_json_int(json_object_get(head, "content"), "bytes", 0),
                       .bytes = true};
    td_code code = td_backup__list_each(path, check_object, &list, err);
    td_content_close(pool);
    TD_TRY(code);
    *out = json_incref(head);
    return TD_OK;
}
