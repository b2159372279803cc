/*
 * signer_process.h: the log's signer as a process of its own: one key, one state file, one client at a time.
 *
 * It knows nothing of databases or of HTTP: requests come over a stream (audit/signer_wire.h) and are judged by its
 * own memory. A lock beside the state file keeps a second signer of the same log out, and with it a second server.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_SIGNER_PROCESS_H
#define TD_SERVER_SIGNER_PROCESS_H

#include "core/base/err.h"

/* Serves requests on `fd` until it is closed. `key` and `state` are the files of the log's key and of the memory. A
 * key, state or lock that cannot be used is told in each reply, so that the server knows why. `cage` (or NULL) is
 * called when all files are open. */
TD_MUST_USE td_code td_signer_process(const char *key, const char *state, int fd, td_code (*cage)(td_err *err),
                                      td_err *err);

#endif
