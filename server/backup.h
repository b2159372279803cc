/*
 * backup.h: copies of a workspace that are verified before they are called done, and the way back from one.
 *
 * A folder of backups holds one store of content that all of them share, and a folder a backup: database,
 * configuration, keys, the list of content, the log's checkpoint, and backup.json, whose SHA-256 names the whole. It is
 * made beside the running server under a name that ends in ".unfinished" and renamed when it has been verified; what a
 * kill leaves behind is no backup, and the next run goes on with the content that is already there.
 *
 * The memory of the log's signer (keys/log.state) is in no backup: it must never become older (docs/backup.md).
 * Threads: a backup belongs to one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_BACKUP_H
#define TD_SERVER_BACKUP_H

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/crypto/crypto.h"

/* How far it is: "database", "content", "verify"; done and total in the stage's own unit (pages, bytes, files). */
typedef struct td_backup_watch {
    void *context;
    void (*tell)(void *context, const char *stage, uint64_t done, uint64_t total); /* may be NULL */
} td_backup_watch;

typedef struct td_backup_options {
    const char *workspace;
    const char *to;      /* folder of backups: made if need be; not in the workspace */
    bool without_keys;   /* private keys and tokens stay out */
    bool trust_older;    /* content that is there already is compared by size only */
    const td_clock *clock;
    td_backup_watch watch;
    /* Told what backup.json says and its digest once all is verified, before the backup gets its name: writes the audit
     * record. An error of it ends the backup. */
    td_code (*record)(void *context, const json_t *facts, const uint8_t digest[TD_DIGEST_SIZE], td_err *err);
    void *record_context;
} td_backup_options;

/* Writes create.backup into the log of a workspace that no server runs in; `facts` as td_backup_options' record gets
 * them. BUSY: a server runs. */
TD_MUST_USE td_code td_backup_record_offline(const char *workspace, const json_t *facts,
                                             const uint8_t digest[TD_DIGEST_SIZE], td_err *err);
/* The body of POST /api/v1/backups, of which the server makes the same record. */
TD_MUST_USE td_code td_backup_record_body(const json_t *facts, const uint8_t digest[TD_DIGEST_SIZE], json_t **out,
                                          td_err *err);

/* *out: backup.json, and "path", "digest", "copied" {objects, bytes}. CORRUPT names what is damaged in the workspace;
 * BUSY: another one is being made there; CONFLICT: the place will not do; LIMIT: disk full. */
TD_MUST_USE td_code td_backup_make(const td_backup_options *options, json_t **out, td_err *err);

typedef struct td_backup_check {
    const char *backup; /* the folder of one backup */
    const char *digest; /* "sha256:…" as it was told when the backup was made, or NULL */
    const char *vkey;   /* the log's key as the caller knows it, or NULL: the one in the backup */
    td_backup_watch watch;
} td_backup_check;

/* Reads all of it: files against backup.json, the database, the log against its checkpoint, each object. *out:
 * backup.json and "path", "digest", "trusted" (digest or key was given). CORRUPT. */
TD_MUST_USE td_code td_backup_verify(const td_backup_check *check, json_t **out, td_err *err);

/* Finished backups in a folder of backups, oldest first: backup.json without "files", with "path", "digest"; one that
 * cannot be read has "trouble" instead. */
TD_MUST_USE td_code td_backup_list(const char *place, json_t **out, td_err *err);
/* Lets all but the newest `keep` go, then content that no other one lists. *out: "kept", "removed" [as listed],
 * "content" {objects, bytes}. BUSY; CORRUPT: one cannot be read, so nothing was removed. */
TD_MUST_USE td_code td_backup_prune(const char *place, size_t keep, json_t **out, td_err *err);

typedef struct td_restore_options {
    td_backup_check check;
    const char *workspace;    /* is not there, or an empty folder */
    const char *reason;       /* goes into the log */
    const char *keys;         /* folder with the keys that the backup lacks, or NULL */
    const char *signer_state; /* the log.state of the lost server, or NULL: it is lost, too */
    const td_clock *clock;
} td_restore_options;

/* Verifies, makes the workspace beside its place, records restore.backup and renames it. *out: "workspace", "backup",
 * "digest", "records", "made", "lacks" [names of keys], "log" ("goes on", "behind", "no memory"), "trusted". */
TD_MUST_USE td_code td_backup_restore(const td_restore_options *options, json_t **out, td_err *err);

#endif
