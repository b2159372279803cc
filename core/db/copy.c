/*
 * copy.c: a copy of a database that is in use, page by page out of one read transaction.
 *
 * The read transaction pins one state: SQLite's backup would begin again at each commit otherwise. A reader in WAL mode
 * holds up nobody; the log only cannot be cut back to its beginning before the copy is made.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "core/db/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PAGES_AT_ONCE 1024 /* between two reports of progress */

typedef struct copy_job {
    sqlite3 *to;
    sqlite3_backup *backup;
} copy_job;

static void copy_job_done(copy_job *job)
{
    (void)sqlite3_backup_finish(job->backup);
    (void)sqlite3_close(job->to);
}

/* Any statement that reads makes the transaction's state. */
static td_code pin(td_db *from, td_err *err)
{
    return td_db_exec(from, "SELECT count(*) FROM sqlite_schema", err);
}

static td_code copy_pages(td_db *from, copy_job *job, const td_db_progress *progress, td_err *err)
{
    int result = SQLITE_OK;
    while (result == SQLITE_OK) {
        result = sqlite3_backup_step(job->backup, PAGES_AT_ONCE);
        uint64_t total = (uint64_t)sqlite3_backup_pagecount(job->backup);
        uint64_t left = (uint64_t)sqlite3_backup_remaining(job->backup);
        if (progress != NULL && progress->tell != NULL) {
            progress->tell(progress->context, total - left, total);
        }
    }
    if (result == SQLITE_DONE) {
        return TD_OK;
    }
    bool full = result == SQLITE_FULL || (result == SQLITE_IOERR_WRITE && sqlite3_system_errno(job->to) == ENOSPC);
    return full ? td_fail(err, TD_LIMIT, "copying the database: the disk is full")
                : td_fail(err, (result & 0xFF) == SQLITE_CORRUPT ? TD_CORRUPT : TD_IO, "copying the database: %s",
                          sqlite3_errmsg(from->handle));
}

static td_code copy_into(td_db *from, const char *path, const td_db_progress *progress, td_err *err)
{
    TD_CLEANUP(copy_job_done) copy_job job = {0};
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    if (sqlite3_open_v2(path, &job.to, flags, NULL) != SQLITE_OK) {
        return td_fail(err, TD_IO, "%s: %s", path, sqlite3_errmsg(job.to));
    }
    job.backup = sqlite3_backup_init(job.to, "main", from->handle, "main");
    if (job.backup == NULL) {
        return td_fail(err, TD_IO, "%s: %s", path, sqlite3_errmsg(job.to));
    }
    TD_TRY(copy_pages(from, &job, progress, err));
    int result = sqlite3_backup_finish(job.backup);
    job.backup = NULL;
    if (result == SQLITE_OK) { /* one file, without a log beside it */
        result = sqlite3_exec(job.to, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    }
    return result == SQLITE_OK ? TD_OK : td_fail(err, TD_IO, "%s: %s", path, sqlite3_errmsg(job.to));
}

/* Made by us as 0600: SQLite would go by the umask. */
static td_code make_file(const char *path, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0 ? TD_OK : td_fail_errno(err, errno, "%s", path);
}

static td_code sync_file(const char *path, td_err *err)
{
    TD_CLEANUP(td_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && fsync(fd) == 0 ? TD_OK : td_fail_errno(err, errno, "%s", path);
}

td_code td_db_copy(td_db *from, const char *path, const td_db_progress *progress, td_err *err)
{
    TD_TRY(make_file(path, err));
    td_code code = td_db_read_begin(from, err);
    if (code == TD_OK) {
        code = pin(from, err);
        code = code == TD_OK ? copy_into(from, path, progress, err) : code;
        td_db_read_end(from);
    }
    code = code == TD_OK ? sync_file(path, err) : code;
    if (code != TD_OK) {
        (void)unlink(path);
    }
    return code;
}

td_code td_db_check(td_db *db, td_err *err)
{
    TD_CLEANUP(td_stmt_free) td_stmt *stmt = NULL;
    bool row;
    TD_TRY(td_db_prepare_text(db, "PRAGMA integrity_check(1)", &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    const char *verdict = row ? td_column_text(stmt, "integrity_check") : NULL;
    if (verdict == NULL || strcmp(verdict, "ok") != 0) {
        return td_fail(err, TD_CORRUPT, "the database is damaged: %.150s", verdict != NULL ? verdict : "no verdict");
    }
    TD_CLEANUP(td_stmt_free) td_stmt *keys = NULL;
    TD_TRY(td_db_prepare_text(db, "PRAGMA foreign_key_check", &keys, err));
    TD_TRY(td_step(keys, &row, err));
    return row ? td_fail(err, TD_CORRUPT, "the database is damaged: a row of %.60s names one that is not there",
                         td_column_text(keys, "table"))
               : TD_OK;
}
