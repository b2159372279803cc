/*
 * signer_work.h: the signer's side without the line: its key, its memory, its lock; a request in, a reply out.
 *
 * It knows nothing of databases or of HTTP: requests are judged by its own memory (audit/signer_wire.h). A lock beside
 * the state file keeps a second signer of the same log out, and with it a second server.
 * Threads: one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_SIGNER_WORK_H
#define TD_SERVER_SIGNER_WORK_H

#include "audit/signer_wire.h"

/* What a reply to TD_SIGNER_LOOK says beside the tree: "uid " and a number, whose process this is. */
#define TD_SIGNER_UID "uid "
/* In the folder of a signer that is a service. */
#define TD_SIGNER_HOME_KEY "log.pem"
#define TD_SIGNER_HOME_STATE "log.state"
#define TD_SIGNER_HOME_TLS "tls.crt.pem" /* for servers on another host */
#define TD_SIGNER_HOME_TLS_KEY "tls.key.pem"
#define TD_SIGNER_HOME_CA "ca.crt.pem" /* of the server's certificate */

typedef struct td_signer_work td_signer_work;

/* `key` and `state`: the files of the log's key and of the memory. Opens nothing yet. */
TD_MUST_USE td_code td_signer_work_new(const char *key, const char *state, td_signer_work **out, td_err *err);
void td_signer_work_free(td_signer_work **work); /* TD_CLEANUP */
/* Key, lock and memory, if they are not open yet; half-written memories of killed signers go. A key, lock or memory
 * that cannot be used is told in each reply, so that the server knows why, and tried again with the next request. */
TD_MUST_USE td_code td_signer_work_open(td_signer_work *work, td_err *err);
/* The reply to a frame, with its length before it. CORRUPT: not a request. */
TD_MUST_USE td_code td_signer_work_answer(td_signer_work *work, const void *data, size_t size,
                                          uint8_t out[4 + TD_SIGNER_FRAME_MAX], size_t *size_out, td_err *err);

/* The lock beside a state file: whoever holds it is the log's only signer. BUSY. */
TD_MUST_USE td_code td_signer_lock(const char *state, int *out, td_err *err);

#endif
