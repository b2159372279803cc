/*
 * workspace.h: the one folder in which a server lives.
 *
 *   tidemark.yaml   configuration               tidemark.db   records (SQLite)      content/   files by SHA-256
 *   keys/           private keys, certificates  broker/       Mosquitto's files     run/       port files, admin socket
 *   users/NAME/     profile demo only: token and key.pem (an approver's) of the users that init made
 *   offline/        profiles team and regulated: root.pem, to be taken to an offline machine and removed here
 *
 * Folders are 0700, secrets 0600. Nobody outside ever names a path in it.
 * Threads: a td_workspace belongs to the thread that opened it; its path, profile and settings are constant.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_WORKSPACE_H
#define TD_SERVER_WORKSPACE_H

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/db/db.h"

typedef struct td_workspace_init_options {
    const char *profile;   /* "demo", "team" or "regulated"; NULL: "team" */
    const char *host_name; /* further name or address in the server's certificate; NULL: none but the machine's own */
    const td_clock *clock; /* NULL: the system's */
} td_workspace_init_options;

/* Makes a workspace at `path` (not there, or an empty folder). On failure what was made is removed again. In profile
 * demo also: users ana (data-scientist, operator, admin), ben (approver, auditor) and the service account worker
 * (trainer), each with users/NAME/token; users/ben/key.pem, whose public half is in keyset 1. CONFLICT: the folder is
 * not empty. */
TD_MUST_USE td_code td_workspace_init(const char *path, const td_workspace_init_options *options, td_err *err);

/* What a profile is worth, in one or two plain sentences. Static storage; NULL for a profile that is not one. */
const char *td_profile_worth(const char *profile);

/* Offline (no server may be running): raises the profile ("demo" to "team" to "regulated"). `move_keys` (or NULL) runs
 * once nothing else can use the workspace and the step is known to be one up. The tokens and approver's keys that init
 * left in users/ must be gone by then: CONFLICT names those that are still there. Records the change. */
TD_MUST_USE td_code td_workspace_raise(const char *path, const char *profile, const char *reason,
                                       td_code (*move_keys)(void *context, td_err *err), void *context, td_err *err);

typedef struct td_workspace td_workspace;

/* Opens for serving: takes the lock, opens the writing connection, applies migrations. NOT_FOUND: no workspace there
 * (the message says `tidemark init`); BUSY: already in use by another server; CONFLICT: database newer than the
 * program. */
TD_MUST_USE td_code td_workspace_open(const char *path, const td_clock *clock, td_workspace **out, td_err *err);
void td_workspace_close(td_workspace **workspace);            /* TD_CLEANUP */
const char *td_workspace_path(const td_workspace *workspace); /* absolute */
td_db *td_workspace_db(td_workspace *workspace);              /* the writing connection; owned by the workspace */
/* Gives the writing connection away (to the writer thread, which closes it). */
td_db *td_workspace_take_db(td_workspace *workspace);
/* Another reading connection; close it with td_db_close. */
TD_MUST_USE td_code td_workspace_reader(const td_workspace *workspace, td_db **out, td_err *err);

/* "<workspace>/<name>" into out. LIMIT. */
TD_MUST_USE td_code td_workspace_file(const char *workspace, const char *name, char out[4096], td_err *err);

#endif
