/*
 * db.c: opening a connection with the settings that durability and hostile files ask for.
 *
 * One writer a workspace is enforced by a lock file of our own (flock), since SQLite's locks are per transaction.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOKASIDE_SIZE 1200 /* SQLite's own default is a hundred such, in each connection, touched or not */
#define LOOKASIDE_SLOTS 24
#define BUSY_MS 5000 /* how long a connection waits for another's lock */

td_code td_db__fail(td_db *db, int result, const char *what, td_err *err)
{
    const char *text = sqlite3_errmsg(db->handle);
    switch (result & 0xFF) {
    case SQLITE_CONSTRAINT: {
        int extended = sqlite3_extended_errcode(db->handle);
        bool exists = extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY ||
                      extended == SQLITE_CONSTRAINT_ROWID;
        return td_fail(err, exists ? TD_CONFLICT : TD_INVALID, "%s: %s", what, text);
    }
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return td_fail(err, TD_BUSY, "%s: the database is busy; try again", what);
    case SQLITE_FULL:
        return td_fail(err, TD_LIMIT, "%s: the disk is full; free space and try again", what);
    case SQLITE_NOMEM:
        return td_fail(err, TD_NOMEM, "%s: no memory", what);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return td_fail(err, TD_CORRUPT, "%s: %s", what, text);
    case SQLITE_TOOBIG:
        return td_fail(err, TD_LIMIT, "%s: %s", what, text);
    case SQLITE_IOERR:
        if (sqlite3_system_errno(db->handle) == ENOSPC) {
            return td_fail(err, TD_LIMIT, "%s: the disk is full; free space and try again", what);
        }
        return td_fail(err, TD_IO, "%s: %s", what, text);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
        return td_fail(err, TD_IO, "%s: %s", what, text);
    default:
        return td_fail(err, TD_INTERNAL, "%s: %s", what, text);
    }
}

td_code td_db_exec(td_db *db, const char *sql, td_err *err)
{
    int result = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? TD_OK : td_db__fail(db, result, "database", err);
}

/* Limits of sqlite.org/security.html: nothing of ours comes near them. */
static void set_limits(sqlite3 *handle)
{
    sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, 64 * 1024 * 1024);
    sqlite3_limit(handle, SQLITE_LIMIT_SQL_LENGTH, 200 * 1000);
    sqlite3_limit(handle, SQLITE_LIMIT_COLUMN, 200);
    sqlite3_limit(handle, SQLITE_LIMIT_EXPR_DEPTH, 100);
    sqlite3_limit(handle, SQLITE_LIMIT_COMPOUND_SELECT, 20);
    sqlite3_limit(handle, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(handle, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 500);
}

static td_code set_pragmas(td_db *db, td_err *err)
{
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_LOOKASIDE, NULL, LOOKASIDE_SIZE, LOOKASIDE_SLOTS);
    sqlite3_busy_timeout(db->handle, BUSY_MS);
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    set_limits(db->handle);
    TD_TRY(td_db_exec(db,
                      "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA cache_size = -2048;"
                      "PRAGMA temp_store = MEMORY;",
                      err));
    if (db->mode == TD_DB_READ) {
        return td_db_exec(db, "PRAGMA query_only = ON;", err);
    }
    return td_db_exec(db,
                      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;"
                      "PRAGMA journal_size_limit = 67108864;",
                      err);
}

static td_code read_number(td_db *db, const char *sql, int64_t *out, td_err *err)
{
    sqlite3_stmt *stmt = NULL;
    int result = sqlite3_prepare_v2(db->handle, sql, -1, &stmt, NULL);
    if (result == SQLITE_OK) {
        result = sqlite3_step(stmt);
    }
    if (result == SQLITE_ROW) {
        *out = sqlite3_column_int64(stmt, 0);
        result = SQLITE_OK;
    }
    td_code code = result == SQLITE_OK ? TD_OK : td_db__fail(db, result, "database", err);
    sqlite3_finalize(stmt);
    return code;
}

/* A file of ours carries our application id; an empty one gets it. */
static td_code check_identity(td_db *db, const char *path, td_err *err)
{
    int64_t id = 0, pages = 0;
    TD_TRY(read_number(db, "PRAGMA application_id", &id, err));
    TD_TRY(read_number(db, "SELECT count(*) FROM sqlite_schema", &pages, err));
    if (id == TD_DB_APPLICATION_ID) {
        return TD_OK;
    }
    if (id != 0 || pages != 0 || db->mode == TD_DB_READ) {
        return td_fail(err, TD_CORRUPT, "%s is not a Tidemark database", path);
    }
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d", TD_DB_APPLICATION_ID);
    return td_db_exec(db, sql, err);
}

static td_code take_lock(td_db *db, const char *path, td_err *err)
{
    char lock[4096];
    int length = snprintf(lock, sizeof lock, "%s.lock", path);
    if (length < 0 || (size_t)length >= sizeof lock) {
        return td_fail(err, TD_LIMIT, "the path of the database is too long");
    }
    db->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (db->lock_fd < 0) {
        return td_fail_errno(err, errno, "%s", lock);
    }
    if (flock(db->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        return td_fail(err, TD_BUSY, "%s is already in use by another server; stop it, or talk to it instead", path);
    }
    return TD_OK;
}

/* Page caches grow page by page: a server has a dozen connections, most of them at rest. SQLite's own statistics of
 * memory take a process-wide lock around each allocation; nobody reads them. */
static void configure_once(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* Made as 0600, whatever the umask; a reading connection creates nothing, and the umask is everybody's. */
static int open_handle(td_db *db, const char *path)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, configure_once);
    if (db->mode == TD_DB_READ) {
        return sqlite3_open_v2(path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW,
                               NULL);
    }
    mode_t old = umask(077);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    int result = sqlite3_open_v2(path, &db->handle, flags, NULL);
    umask(old);
    return result;
}

td_code td_db_open(const char *path, td_db_mode mode, const td_clock *clock, td_db **out, td_err *err)
{
    td_db *db = calloc(1, sizeof *db);
    if (db == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a database connection");
    }
    db->mode = mode;
    db->clock = clock;
    db->lock_fd = -1;
    td_code code = mode == TD_DB_WRITE ? take_lock(db, path, err) : TD_OK;
    if (code == TD_OK) {
        int result = open_handle(db, path);
        code = result == SQLITE_OK ? set_pragmas(db, err) : td_db__fail(db, result, path, err);
    }
    if (code == TD_OK) {
        code = check_identity(db, path, err);
    }
    if (code != TD_OK) {
        td_db_close(db);
        return code;
    }
    *out = db;
    return TD_OK;
}

/* Statements of the bucket that nobody asked for since the last time. */
static void drop_unused(td_stmt **link)
{
    while (*link != NULL) {
        td_stmt *stmt = *link;
        if (stmt->used || sqlite3_stmt_busy(stmt->handle)) {
            stmt->used = false;
            link = &stmt->next;
        } else {
            *link = stmt->next;
            sqlite3_finalize(stmt->handle);
            free(stmt);
        }
    }
}

void td_db_shrink(td_db *db)
{
    for (size_t i = 0; i < TD_DB_CACHE_BUCKETS; i++) {
        drop_unused(&db->cache[i]);
    }
    (void)sqlite3_db_release_memory(db->handle);
}

void td_db_close(td_db *db)
{
    if (db == NULL) {
        return;
    }
    for (size_t i = 0; i < TD_DB_CACHE_BUCKETS; i++) {
        while (db->cache[i] != NULL) {
            td_stmt *next = db->cache[i]->next;
            sqlite3_finalize(db->cache[i]->handle);
            free(db->cache[i]);
            db->cache[i] = next;
        }
    }
    sqlite3_finalize(db->begin);
    sqlite3_finalize(db->end);
    sqlite3_close(db->handle);
    if (db->lock_fd >= 0) {
        close(db->lock_fd);
    }
    free(db);
}

const char *td_db_library_version(void)
{
    return sqlite3_libversion();
}

int64_t td_db_now_ms(const td_db *db)
{
    return td_now_ms(db->clock);
}

int64_t td_db_last_id(const td_db *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

int64_t td_db_changes(const td_db *db)
{
    return sqlite3_changes64(db->handle);
}

td_code td_db_checkpoint(td_db *db, bool truncate, td_err *err)
{
    int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    (void)sqlite3_busy_timeout(db->handle, 0); /* a reader that takes its time must not hold up the writer */
    int result = sqlite3_wal_checkpoint_v2(db->handle, NULL, mode, NULL, NULL);
    (void)sqlite3_busy_timeout(db->handle, BUSY_MS);
    if (result == SQLITE_OK || result == SQLITE_BUSY || result == SQLITE_LOCKED) {
        return TD_OK; /* readers hold it up: next time */
    }
    return td_db__fail(db, result, "checkpoint", err);
}

void td_db_on_prepare(td_db *db, void (*hook)(void *context, const char *sql), void *context)
{
    db->on_prepare = hook;
    db->on_prepare_context = context;
}
