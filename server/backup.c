/*
 * backup.c: making a backup beside a running server.
 *
 * The database comes first, in one state; content, which is only ever added to, comes after it and so holds all that
 * the database names. Whatever is not verified keeps the name of an unfinished one.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/backup_internal.h"
#include "server/workspace_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

void td_backup__account(char out[TD_BACKUP_BY_MAX])
{
    struct passwd entry, *found = NULL;
    char room[4096];
    const char *sudo = getenv("SUDO_USER");
    const char *name = getpwuid_r(getuid(), &entry, room, sizeof room, &found) == 0 && found ? found->pw_name : "?";
    snprintf(out, TD_BACKUP_BY_MAX, "%.40s (uid %ld)%s%.40s", name, (long)getuid(), sudo ? ", sudo by " : "",
             sudo ? sudo : "");
}

typedef struct backup_job {
    const td_backup_options *options;
    char workspace[PATH_MAX], to[PATH_MAX];
    char name[32];                                  /* 20261126T063411Z */
    char path[PATH_MAX + 64], part[PATH_MAX + 128]; /* finished, unfinished */
    int lock_fd;
    td_content *source, *pool;
    td_backup_copied copied;
    json_t *files, *log, *head;
    td_str note;
    uint8_t digest[TD_DIGEST_SIZE];
} backup_job;

static void job_done(backup_job *job)
{
    td_content_close(job->source);
    td_content_close(job->pool);
    json_decref(job->files);
    json_decref(job->log);
    json_decref(job->head);
    td_str_done(&job->note);
    td_close_fd(&job->lock_fd);
}

/* ---- the place ---- */

/* A backup in the workspace would be lost with it, and grow into the next one. */
static td_code find_places(backup_job *job, td_err *err)
{
    char path[4096];
    const td_backup_options *options = job->options;
    TD_TRY(td_path_join(path, options->workspace, "tidemark.db", err));
    if (!realpath(options->workspace, job->workspace) || !td_path_exists(path)) {
        return td_fail(err, TD_NOT_FOUND, "there is no workspace at %s", options->workspace);
    }
    TD_TRY(td_folder_make(options->to, 0700, err));
    if (!realpath(options->to, job->to)) {
        return td_fail_errno(err, errno, "%s", options->to);
    }
    size_t length = strlen(job->workspace);
    if (strncmp(job->to, job->workspace, length) == 0 && (job->to[length] == '/' || job->to[length] == 0)) {
        return td_fail(err, TD_CONFLICT, "%s lies in the workspace: a backup belongs on another disk", job->to);
    }
    return TD_OK;
}

/* One at a time: the unfinished ones that it finds are then nobody's. */
td_code td_backup__lock(const char *place, int *fd_out, td_err *err)
{
    char path[4096];
    TD_TRY(td_path_join(path, place, ".lock", err));
    TD_CLEANUP(td_close_fd) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return td_fail(err, TD_BUSY, "another backup is being made in %s; wait for it", place);
    }
    *fd_out = fd;
    fd = -1;
    return TD_OK;
}

static td_code remove_unfinished(const backup_job *job, td_err *err)
{
    DIR *folder = opendir(job->to);
    if (!folder) {
        return td_fail_errno(err, errno, "%s", job->to);
    }
    td_code code = TD_OK;
    for (const struct dirent *entry; code == TD_OK && (entry = readdir(folder)) != NULL;) {
        size_t length = strlen(entry->d_name), tail = strlen(TD_BACKUP_UNFINISHED);
        char path[PATH_MAX + 260];
        if (length > tail && strcmp(entry->d_name + length - tail, TD_BACKUP_UNFINISHED) == 0) {
            snprintf(path, sizeof path, "%s/%s", job->to, entry->d_name);
            code = td_folder_remove(path, err);
        }
    }
    closedir(folder);
    return code;
}

/* Named by its second; a second one in the same second gets the next. */
static td_code make_folder(backup_job *job, td_err *err)
{
    int64_t now_ms = td_now_ms(job->options->clock);
    do {
        char text[32];
        size_t length = 0;
        td_format_time(now_ms, text);
        for (const char *c = text; *c && *c != '.'; c++) {
            if (*c != '-' && *c != ':') {
                job->name[length++] = *c;
            }
        }
        memcpy(job->name + length, "Z", 2);
        snprintf(job->path, sizeof job->path, "%s/%s", job->to, job->name);
        now_ms += 1000;
    } while (td_path_exists(job->path));
    snprintf(job->part, sizeof job->part, "%s%s", job->path, TD_BACKUP_UNFINISHED);
    return td_folder_make(job->part, 0700, err);
}

static td_code prepare(backup_job *job, td_err *err)
{
    char path[4096];
    TD_TRY(find_places(job, err));
    TD_TRY(td_backup__lock(job->to, &job->lock_fd, err));
    TD_TRY(remove_unfinished(job, err));
    TD_TRY(make_folder(job, err));
    TD_TRY(td_path_join(path, job->workspace, "content", err));
    TD_TRY(td_content_attach(path, &job->source, err));
    TD_TRY(td_path_join(path, job->to, TD_BACKUP_POOL, err));
    TD_TRY(td_folder_make(path, 0700, err));
    TD_TRY(td_content_open(path, &job->pool, err));
    job->files = json_array();
    return job->files ? TD_OK : td_fail(err, TD_NOMEM, "no memory for a backup");
}

/* ---- copying ---- */

static void tell_pages(void *context, uint64_t done, uint64_t total)
{
    const td_backup_watch *watch = context;
    if (watch->tell) {
        watch->tell(watch->context, "database", done, total);
    }
}

static td_code copy_database(backup_job *job, td_err *err)
{
    char from[4096], to[4096];
    td_db *db = NULL;
    td_backup_watch watch = job->options->watch;
    const td_db_progress progress = {&watch, tell_pages};
    TD_TRY(td_path_join(from, job->workspace, "tidemark.db", err));
    TD_TRY(td_path_join(to, job->part, TD_BACKUP_DATABASE, err));
    TD_TRY(td_db_open(from, TD_DB_READ, job->options->clock, &db, err));
    td_code code = td_db_copy(db, to, &progress, err);
    td_db_close(db);
    return code;
}

static td_code copy_all(backup_job *job, td_err *err)
{
    char list[4096];
    TD_TRY(copy_database(job, err));
    TD_TRY(td_path_join(list, job->part, TD_BACKUP_LIST, err));
    TD_TRY(td_backup__content_copy(job->source, job->pool, list, job->options->trust_older, &job->options->watch,
                                   &job->copied, err));
    TD_TRY(td_backup__files(job->workspace, job->part, job->options->without_keys, job->files, err));
    TD_TRY(td_backup__file_add(job->part, TD_BACKUP_DATABASE, 0600, job->files, err));
    return td_backup__file_add(job->part, TD_BACKUP_LIST, 0600, job->files, err);
}

/* ---- verifying ---- */

static td_code verify(backup_job *job, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str vkey = {0};
    char path[4096];
    if (job->options->watch.tell) {
        job->options->watch.tell(job->options->watch.context, "verify", 0, 1);
    }
    TD_TRY(td_path_join(path, job->workspace, TD_FILE_LOG_VKEY, err));
    TD_TRY(td_file_read(path, TD_LOG_NOTE_MAX, &vkey, err));
    const char *key = td_str_text(&vkey);
    TD_CLEANUP(td_free_text) char *line = td_dup(key);
    if (!line) {
        return td_fail(err, TD_NOMEM, "no memory for the log's key");
    }
    line[strcspn(line, "\r\n")] = 0;
    TD_TRY(td_path_join(path, job->part, TD_BACKUP_DATABASE, err));
    TD_TRY(td_backup__database_check(path, line, job->pool, job->options->clock, &job->log, &job->note, err));
    if (job->note.size == 0) {
        return TD_OK;
    }
    TD_TRY(td_path_join(path, job->part, TD_BACKUP_CHECKPOINT, err));
    TD_TRY(td_file_create(path, job->note.data, job->note.size, 0644, err));
    return td_backup__file_add(job->part, TD_BACKUP_CHECKPOINT, 0644, job->files, err);
}

/* ---- backup.json ---- */

static td_code make_head(backup_job *job, td_err *err)
{
    char made[32], host[256] = "", path[4096];
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_format_time(td_now_ms(job->options->clock), made);
    (void)gethostname(host, sizeof host - 1);
    job->head =
        json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:b, s:O, s:{s:I, s:I}, s:O}", "format", TD_BACKUP_FORMAT, "v",
                  1, "name", job->name, "made", made, "program", TD_VERSION, "host", host, "workspace", job->workspace,
                  "keys", !job->options->without_keys, "log", job->log, "content", "objects",
                  (json_int_t)job->copied.objects, "bytes", (json_int_t)job->copied.bytes, "files", job->files);
    if (!job->head) {
        return td_fail(err, TD_NOMEM, "no memory for %s", TD_BACKUP_HEAD);
    }
    TD_TRY(td_json_canonical(job->head, &text, err));
    td_str_add_char(&text, '\n');
    TD_TRY(td_str_check(&text, err));
    td_sha256_of(text.data, text.size, job->digest);
    TD_TRY(td_path_join(path, job->part, TD_BACKUP_HEAD, err));
    return td_file_create(path, text.data, text.size, 0600, err);
}

static td_code finish(backup_job *job, td_err *err)
{
    TD_TRY(td_folder_sync(job->part, err));
    if (job->options->record) {
        TD_TRY(job->options->record(job->options->record_context, job->head, job->digest, err));
    }
    if (rename(job->part, job->path) != 0) {
        return td_fail_errno(err, errno, "%s", job->path);
    }
    return td_folder_sync(job->to, err);
}

static td_code make(backup_job *job, json_t **out, td_err *err)
{
    char label[TD_DIGEST_LABEL_SIZE];
    TD_TRY(prepare(job, err));
    TD_TRY(copy_all(job, err));
    TD_TRY(verify(job, err));
    TD_TRY(make_head(job, err));
    TD_TRY(finish(job, err));
    td_digest_format(job->digest, label);
    json_t *copied = json_pack("{s:I, s:I}", "objects", (json_int_t)job->copied.new_objects, "bytes",
                               (json_int_t)job->copied.new_bytes);
    (void)json_object_set_new(job->head, "path", json_string(job->path));
    (void)json_object_set_new(job->head, "digest", json_string(label));
    (void)json_object_set_new(job->head, "copied", copied);
    *out = json_incref(job->head);
    return TD_OK;
}

td_code td_backup_make(const td_backup_options *options, json_t **out, td_err *err)
{
    backup_job *job = calloc(1, sizeof *job); /* paths: too large for the stack of whoever calls */
    if (!job) {
        return td_fail(err, TD_NOMEM, "no memory for a backup");
    }
    job->options = options;
    job->lock_fd = -1;
    td_code code = make(job, out, err);
    job_done(job);
    free(job);
    return code;
}
