/*
 * sequencer.h: committed records become leaves of the tree, and the tree gets its signed checkpoint, within a second.
 *
 * Threads: td_sequencer_wake from any thread, short; the rest from the main thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_SEQUENCER_H
#define TD_SERVER_SEQUENCER_H

#include "server/internal.h"

/* A log that is behind what was signed, or whose signer has lost its memory, makes the server read-only:
 * server->read_only says why. */
TD_MUST_USE td_code td_sequencer_new(td_server *server, td_sequencer **out, td_err *err);
TD_MUST_USE td_code td_sequencer_start(td_sequencer *sequencer, td_err *err);
/* Sequences and signs what is left, then joins the thread. NULL is fine. */
void td_sequencer_stop(td_sequencer *sequencer);
void td_sequencer_free(td_sequencer **sequencer); /* TD_CLEANUP; stops it if need be */
void td_sequencer_wake(td_sequencer *sequencer);
/* Why nothing is signed any more, or "" when all is well. */
void td_sequencer_trouble(td_sequencer *sequencer, char out[240]);

#endif
