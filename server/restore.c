/*
 * restore.c: a workspace out of a backup, made beside its place and renamed when it is whole.
 *
 * The signer's memory comes from outside or not at all. Whether the log may go on under its old origin is not decided
 * here: the server asks the memory when it starts, and stays read-only when that knows more than the database
 * (docs/backup.md).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "core/base/fs.h"
#include "server/backup_internal.h"
#include "server/workspace_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct restore_job {
    const td_restore_options *options;
    char part[4096]; /* the workspace while it is made */
    json_t *head;
    json_t *lacks;
    int64_t records;
    const char *log;
} restore_job;

/* ---- the place ---- */

static td_code check_place(const char *path, td_err *err)
{
    DIR *folder = opendir(path);
    if (!folder) {
        return errno == ENOENT ? TD_OK : td_fail_errno(err, errno, "%s", path);
    }
    bool empty = true;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    }
    closedir(folder);
    return empty ? TD_OK
                 : td_fail(err, TD_CONFLICT, "%s is not empty, and nothing is overwritten: move it aside first", path);
}

/* What an interrupted restore left is taken up again: its content counts, the rest is written anew. */
static td_code make_part(restore_job *job, td_err *err)
{
    static const char *const folders[] = {"keys", "broker", "run", "content", NULL};
    char path[4096];
    size_t length = strlen(job->options->workspace);
    while (length > 1 && job->options->workspace[length - 1] == '/') {
        length--;
    }
    int size = snprintf(job->part, sizeof job->part, "%.*s.restoring", (int)length, job->options->workspace);
    if (size < 0 || (size_t)size >= sizeof job->part) {
        return td_fail(err, TD_LIMIT, "the workspace's path is too long");
    }
    TD_TRY(td_folder_make(job->part, 0700, err));
    static const char *const leftovers[] = {"tidemark.db", "tidemark.db-wal", "tidemark.db-shm", "keys", "users", NULL};
    for (size_t i = 0; leftovers[i]; i++) {
        TD_TRY(td_path_join(path, job->part, leftovers[i], err));
        TD_TRY(td_folder_remove(path, err));
    }
    for (size_t i = 0; folders[i]; i++) {
        TD_TRY(td_path_join(path, job->part, folders[i], err));
        TD_TRY(td_folder_make(path, 0700, err));
    }
    return TD_OK;
}

/* ---- copying ---- */

typedef struct object_copy {
    td_content *from, *to;
    const td_backup_watch *watch;
    uint64_t total, done;
} object_copy;

static td_code copy_object(void *context, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err)
{
    object_copy *copy = context;
    uint64_t found = 0;
    char label[TD_DIGEST_LABEL_SIZE];
    if (!td_content_exists(copy->to, digest, &found) || found != size) {
        if (td_backup__object_copy(copy->from, copy->to, digest, err) != TD_OK) {
            td_digest_format(digest, label);
            return td_wrap(err, "%s", label);
        }
    }
    copy->done += size;
    if (copy->watch->tell) {
        copy->watch->tell(copy->watch->context, "content", copy->done, copy->total);
    }
    return TD_OK;
}

static td_code copy_content(const restore_job *job, td_err *err)
{
    char path[4096];
    object_copy copy = {.watch = &job->options->check.watch,
                        .total = (uint64_t)td_json_int(json_object_get(job->head, "content"), "bytes", 0)};
    TD_TRY(td_backup__pool(job->options->check.backup, &copy.from, err));
    td_code code = td_path_join(path, job->part, "content", err);
    code = code == TD_OK ? td_content_open(path, &copy.to, err) : code;
    code = code == TD_OK ? td_path_join(path, job->options->check.backup, TD_BACKUP_LIST, err) : code;
    code = code == TD_OK ? td_backup__list_each(path, copy_object, &copy, err) : code;
    td_content_close(copy.from);
    td_content_close(copy.to);
    return code;
}

static td_code copy_database(const restore_job *job, td_err *err)
{
    char from[4096], to[4096];
    td_db *db = NULL;
    TD_TRY(td_path_join(from, job->options->check.backup, TD_BACKUP_DATABASE, err));
    TD_TRY(td_path_join(to, job->part, "tidemark.db", err));
    TD_TRY(td_db_open(from, TD_DB_READ, job->options->clock, &db, err));
    td_code code = td_db_copy(db, to, NULL, err);
    td_db_close(db);
    return code;
}

/* ---- keys ---- */

static const char *const needed[] = {TD_FILE_DIRECTOR,   TD_FILE_PUBLISHER, TD_FILE_SUBMITTER, TD_FILE_LOG,
                                     TD_FILE_CA_KEY,     TD_FILE_CA,        TD_FILE_SERVER,    TD_FILE_SERVER_KEY,
                                     TD_FILE_MQTT_KEY,   TD_FILE_MQTT,      TD_FILE_LOG_VKEY};

/* Takes what the backup lacks from the folder of keys; notes what is lacking still. */
static td_code find_keys(restore_job *job, td_err *err)
{
    for (size_t i = 0; i < TD_COUNT_OF(needed); i++) {
        char to[4096], from[4096];
        TD_TRY(td_path_join(to, job->part, needed[i], err));
        if (td_path_exists(to)) {
            continue;
        }
        if (job->options->keys) {
            TD_TRY(td_path_join(from, job->options->keys, needed[i] + strlen("keys/"), err));
        }
        if (job->options->keys && td_path_exists(from)) {
            TD_TRY(td_backup__file_copy(from, to, 0600, err));
        } else if (json_array_append_new(job->lacks, json_string(needed[i])) != 0) {
            return td_fail(err, TD_NOMEM, "no memory for a list");
        }
    }
    return TD_OK;
}

/* A memory that the configuration puts elsewhere is read where it is, and never written: the configuration came with
 * the backup. */
static td_code place_memory(const restore_job *job, char state_out[4096], td_err *err)
{
    char path[4096], own[4096];
    TD_CLEANUP(td_config_free) td_config *config = NULL;
    TD_TRY(td_path_join(path, job->part, TD_FILE_CONFIG, err));
    TD_TRY(td_config_read(path, NULL, &config, err));
    TD_TRY(td_workspace__signer_state(job->part, config, state_out, err));
    TD_TRY(td_path_join(own, job->part, TD_FILE_LOG_STATE, err));
    if (!job->options->signer_state) {
        return TD_OK;
    }
    if (strcmp(own, state_out) != 0) {
        return td_fail(err, TD_CONFLICT,
                       "the configuration in the backup keeps the signer's memory in %s: put it there yourself, and "
                       "leave --signer-state out",
                       state_out);
    }
    return td_backup__file_copy(job->options->signer_state, own, 0600, err);
}

/* The memory must be that of this log's key; what it remembers is compared when the server starts. */
static td_code take_memory(restore_job *job, td_err *err)
{
    char state[4096], path[4096];
    job->log = "no memory";
    TD_TRY(place_memory(job, state, err));
    if (!td_path_exists(state)) {
        return TD_OK;
    }
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_log_signer_close) td_log_signer *signer = NULL;
    TD_TRY(td_path_join(path, job->part, TD_FILE_LOG, err));
    TD_TRY(td_key_read(path, NULL, &key, err));
    TD_TRY(td_log_signer_open(key, state, false, &signer, err));
    const json_t *log = json_object_get(job->head, "log");
    job->log = td_log_signer_root(signer).size <= td_json_int(log, "records", 0) ? "goes on" : "behind";
    return TD_OK;
}

/* ---- the record ---- */

static td_code append_record(td_db *db, const restore_job *job, td_err *err)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    uint8_t digest[TD_DIGEST_SIZE];
    char by[TD_BACKUP_BY_MAX];
    const json_t *head = job->head;
    td_backup__account(by);
    TD_TRY(td_digest_parse(td_json_text(head, "digest", ""), digest, err));
    TD_CLEANUP(td_json_done)
    json_t *after =
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:b}", "by", by, "made", td_json_text(head, "made", ""), "host",
                  td_json_text(head, "host", ""), "program", td_json_text(head, "program", ""), "records",
                  (json_int_t)td_json_int(json_object_get(head, "log"), "records", 0), "keys",
                  td_json_bool(head, "keys", false));
    td_audit_entry entry = {.actor = &td_actor_system,
                            .action = "restore.backup",
                            .object_type = "backup",
                            .object_id = td_json_text(head, "name", ""),
                            .digest = digest,
                            .reason = job->options->reason,
                            .after = after};
    TD_TRY(td_txn_begin(db, &txn, err));
    TD_TRY(td_audit_append(db, &entry, NULL, err));
    return td_txn_commit(&txn, err);
}

static td_code record(restore_job *job, td_err *err)
{
    TD_CLEANUP(td_workspace_close) td_workspace *workspace = NULL;
    TD_TRY(td_workspace_open(job->part, job->options->clock, &workspace, err));
    TD_TRY(append_record(td_workspace_db(workspace), job, err));
    return td_audit_count(td_workspace_db(workspace), &job->records, err);
}

static td_code sync_parent(const char *path, td_err *err)
{
    char parent[4096];
    snprintf(parent, sizeof parent, "%s/..", path);
    return td_folder_sync(parent, err);
}

static td_code restore(restore_job *job, td_err *err)
{
    const td_restore_options *options = job->options;
    TD_TRY(check_place(options->workspace, err));
    TD_TRY(td_backup__check(&options->check, &job->head, err));
    TD_TRY(make_part(job, err));
    TD_TRY(copy_content(job, err));
    TD_TRY(copy_database(job, err));
    TD_TRY(td_backup__files_restore(options->check.backup, job->head, job->part, err));
    TD_TRY(find_keys(job, err));
    TD_TRY(take_memory(job, err));
    TD_TRY(record(job, err));
    TD_TRY(td_folder_sync(job->part, err));
    if (rename(job->part, options->workspace) != 0) {
        return td_fail_errno(err, errno, "%s", options->workspace);
    }
    return sync_parent(options->workspace, err);
}

td_code td_backup_restore(const td_restore_options *options, json_t **out, td_err *err)
{
    restore_job job = {.options = options, .lacks = json_array()};
    td_code code = job.lacks ? restore(&job, err) : td_fail(err, TD_NOMEM, "no memory for a restore");
    if (code == TD_OK) {
        *out = json_pack("{s:s, s:s, s:s, s:s, s:I, s:O, s:s, s:b}", "workspace", options->workspace, "backup",
                         options->check.backup, "digest", td_json_text(job.head, "digest", ""), "made",
                         td_json_text(job.head, "made", ""), "records", (json_int_t)job.records, "lacks", job.lacks,
                         "log", job.log, "trusted", td_json_bool(job.head, "trusted", false));
        code = *out ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the answer");
    }
    json_decref(job.head);
    json_decref(job.lacks);
    return code;
}
