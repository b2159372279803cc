/*
 * backup_internal.h: the names in a backup, and what making, verifying and restoring share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_BACKUP_INTERNAL_H
#define TD_SERVER_BACKUP_INTERNAL_H

#include "audit/verify.h"
#include "core/db/db.h"
#include "registry/content.h"
#include "server/backup.h"

#include <stdio.h>

#define TD_BACKUP_FORMAT "tidemark-backup"
#define TD_BACKUP_HEAD "backup.json"
#define TD_BACKUP_DATABASE "tidemark.db"
#define TD_BACKUP_CHECKPOINT "checkpoint"
#define TD_BACKUP_LIST "content.list" /* "<sha256> <size>", a line an object */
#define TD_BACKUP_POOL "content"
#define TD_BACKUP_UNFINISHED ".unfinished"
#define TD_BACKUP_FILE_MAX ((size_t)4 * 1024 * 1024) /* a configuration, a key, a certificate */
#define TD_BACKUP_FILES_MAX 10000                    /* of them in one backup */
#define TD_BACKUP_HEAD_MAX ((size_t)4 * 1024 * 1024)

/* ---- backup_files.c ---- */

/* Copies configuration, keys and users from the workspace; each is added to `files`. */
TD_MUST_USE td_code td_backup__files(const char *workspace, const char *part, bool without_keys, json_t *files,
                                     td_err *err);
/* Adds {name, size, sha256, mode} of a file that is there. */
TD_MUST_USE td_code td_backup__file_add(const char *folder, const char *name, unsigned mode, json_t *files,
                                        td_err *err);
/* A name that we would have written: nothing leads out of the folder, nothing is the signer's memory. */
TD_MUST_USE td_code td_backup__name_check(const char *name, td_err *err);
/* Each file that `head` lists, against its digest. CORRUPT, INVALID: a name that is none of a backup's. */
TD_MUST_USE td_code td_backup__files_check(const char *folder, const json_t *head, td_err *err);
/* Copies those that belong into a workspace, with their modes. */
TD_MUST_USE td_code td_backup__files_restore(const char *folder, const json_t *head, const char *workspace,
                                             td_err *err);
/* Copies one small file; folders on the way are made. */
TD_MUST_USE td_code td_backup__file_copy(const char *from, const char *to, unsigned mode, td_err *err);

/* ---- backup_content.c ---- */

typedef struct td_backup_copied {
    uint64_t objects, bytes;         /* all of them */
    uint64_t new_objects, new_bytes; /* copied now */
} td_backup_copied;
/* Copies each object of `source` that the pool lacks and lists it in `list_path`. */
TD_MUST_USE td_code td_backup__content_copy(td_content *source, td_content *pool, const char *list_path,
                                            bool trust_older, const td_backup_watch *watch, td_backup_copied *out,
                                            td_err *err);
/* Of each object of a list. Anything but TD_OK ends the walk. */
typedef td_code (*td_backup_visit)(void *context, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err);
TD_MUST_USE td_code td_backup__list_read(FILE *list, td_backup_visit visit, void *context, td_err *err);
TD_MUST_USE td_code td_backup__list_each(const char *list_path, td_backup_visit visit, void *context, td_err *err);
/* Copies one object from store to store, checking its digest. */
TD_MUST_USE td_code td_backup__object_copy(const td_content *from, td_content *to,
                                           const uint8_t digest[TD_DIGEST_SIZE], td_err *err);

/* ---- backup.c ---- */

#define TD_BACKUP_BY_MAX 128
/* Who runs this command, for the record: "root (uid 0), sudo by ana". */
void td_backup__account(char out[TD_BACKUP_BY_MAX]);

/* One at a time may change a folder of backups. The caller closes *fd_out. BUSY. */
TD_MUST_USE td_code td_backup__lock(const char *place, int *fd_out, td_err *err);

/* ---- routes_backup.c ---- */

/* The record itself, inside the caller's transaction; `body` as td_backup_record_body makes it. */
TD_MUST_USE td_code td_backup__record(td_db *db, const td_actor *actor, const json_t *body, td_err *err);

/* ---- backup_verify.c ---- */

/* The database: pages, the log against its checkpoint under `vkey` (NULL: only itself), and each object that it names
 * in `pool`. Appends the newest checkpoint to note_out; nothing when there is none yet. */
TD_MUST_USE td_code td_backup__database_check(const char *path, const char *vkey, const td_content *pool,
                                              const td_clock *clock, json_t **log_out, td_str *note_out, td_err *err);
/* backup.json: format, version, the files that must be there. CORRUPT. */
TD_MUST_USE td_code td_backup__head_parse(const char *text, size_t size, const char *path, json_t **out, td_err *err);
/* From its file; its digest is demanded (check->digest) and added. NOT_FOUND: no finished backup. */
TD_MUST_USE td_code td_backup__head_read(const td_backup_check *check, json_t **out, td_err *err);
/* Everything but the objects' bytes. */
TD_MUST_USE td_code td_backup__check(const td_backup_check *check, json_t **head_out, td_err *err);
/* The folder of content beside the backup. */
TD_MUST_USE td_code td_backup__pool(const char *backup, td_content **out, td_err *err);

/* ---- backup_store.c ---- */

/* Each object that the database names. */
TD_MUST_USE td_code td_backup__each_reference(td_db *db, td_backup_visit visit, void *context, td_err *err);

#endif
