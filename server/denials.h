/*
 * denials.h: refused attempts, counted by source and minute, so that strangers cannot fill the log at will.
 *
 * Threads: any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_DENIALS_H
#define TD_SERVER_DENIALS_H

#include "core/db/writer.h"
#include "server/internal.h"

#define TD_DENIALS_MAX 64 /* different (source, what, who) a minute; more are counted as "other" */
#define TD_DENIALS_EVERY_MS 60000

TD_MUST_USE td_code td_denials_new(td_denials **out, td_err *err);
void td_denials_free(td_denials **denials);
/* actor: an authenticated one that lacked the permission, or NULL. */
void td_denials_note(td_denials *denials, const td_actor *actor, const char *source, const char *what);
/* Writes what is due to the audit log (a first attempt at once, repeats once a minute); `all`: at the end. */
void td_denials_flush(td_denials *denials, td_server *server, int64_t now_ms, bool all);

#endif
