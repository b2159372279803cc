/*
 * witness.h: the thread that asks the outside world about the log: each new checkpoint goes to the policy's witnesses.
 *
 * It never holds anybody up: records are acknowledged, sequenced and signed as ever; only what is *published* waits for
 * the quorum. Each witness has its own backoff, and one that is slow or gone delays no other one's cosignature.
 * Threads: td_witnesses_wake and td_witnesses_json from any thread; the rest from the main thread. All take NULL.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_WITNESS_H
#define TD_SERVER_WITNESS_H

#include "server/internal.h"

/* Reads audit.policy_file and puts it into force; *out NULL: there is no witness to ask. INVALID: the file, or it is
 * for other logs. Before other threads start. */
TD_MUST_USE td_code td_witnesses_new(td_server *server, td_witnesses **out, td_err *err);
TD_MUST_USE td_code td_witnesses_start(td_witnesses *witnesses, td_err *err);
void td_witnesses_stop(td_witnesses *witnesses); /* drops what is under way, joins the thread */
void td_witnesses_free(td_witnesses **witnesses);
void td_witnesses_wake(td_witnesses *witnesses);
/* {"quorum","signed_size","published_size","published_at"?,"witnesses":[{"name","url"?,"state","size","time"?,
 * "error"?}]}; db is any connection. */
TD_MUST_USE td_code td_witnesses_json(td_witnesses *witnesses, td_db *db, json_t **out, td_err *err);
/* Adds "published_size" and, where witnesses are asked, "witnesses" in words to the log's status. */
TD_MUST_USE td_code td_witnesses_add_status(td_witnesses *witnesses, td_db *db, json_t *log, td_err *err);

#endif
