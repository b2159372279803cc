/*
 * scheduler.h: what happens by time: rollouts, evaluation of signals, finished runs, upkeep, slow connections.
 *
 * One thread; it posts work to the writer and never holds it. A kick makes it look at once (at most ten times a
 * second).
 * Threads: any.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_SCHEDULER_H
#define TD_SERVER_SCHEDULER_H

#include "server/internal.h"

TD_MUST_USE td_code td_scheduler_new(td_server *server, td_scheduler **out, td_err *err);
TD_MUST_USE td_code td_scheduler_start(td_scheduler *scheduler, td_err *err);
/* Joins the thread; kicks do nothing from then on. NULL is fine. */
void td_scheduler_stop(td_scheduler *scheduler);
void td_scheduler_free(td_scheduler **scheduler); /* TD_CLEANUP; stops it if need be */
void td_scheduler_kick(td_scheduler *scheduler);

/* Forgets mapped pages of code and constants until they are needed again (text_pages.c). */
void td_text_pages_drop(void);

#endif
