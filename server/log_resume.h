/*
 * log_resume.h: a workspace whose log is behind its signer goes on, under a new origin, because a person decided it.
 *
 * Offline: no server may run. Order: the new key is written beside the old one; one transaction writes resume.log and
 * pauses what was rolling out; then the old key and memory go to keys/retired/, the new ones into their places. A kill
 * between any two is taken up by the same command; a server that starts meanwhile stays read-only and says so.
 * Threads: any one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_LOG_RESUME_H
#define TD_SERVER_LOG_RESUME_H

#include "core/base/clock.h"
#include "core/base/json.h"

typedef struct td_log_resume_options {
    const char *workspace;
    bool accept;          /* the loss is accepted: without it only an error tells what it is */
    bool although_whole;  /* nothing is known to be missing, but a person knows better (a machine was set back) */
    const char *last;     /* text of the last checkpoint that is known from elsewhere, or NULL */
    const char *reason;
    const td_clock *clock;
} td_log_resume_options;

/* *out: "origin", "vkey", "old_origin", "old_vkey_file", "kept", "lost" (-1: nobody knows), "paused" (rollouts).
 * CONFLICT: the loss was not accepted, or nothing is missing; INVALID: `last` is no checkpoint of this log; BUSY. */
TD_MUST_USE td_code td_log_resume_workspace(const td_log_resume_options *options, json_t **out, td_err *err);

#endif
