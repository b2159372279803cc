/*
 * signer_child.h: the log's signer as a child: the same program again, with one socket and nothing else of ours.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_SIGNER_CHILD_H
#define TD_SERVER_SIGNER_CHILD_H

#include "core/base/err.h"

#include <sys/types.h>

#define TD_SIGNER_CHILD_FD 3 /* the child's end of the line */

/* It dies with the calling thread (PR_SET_PDEATHSIG). */
TD_MUST_USE td_code td_signer_child_start(const char *key, const char *state, int *fd_out, pid_t *child_out,
                                          td_err *err);
/* The line must be closed already. Returns when the child is gone. */
void td_signer_child_stop(pid_t child);

#endif
