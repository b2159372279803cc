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
#include "server/signer_link.h"

/* A log that is behind what was signed, or whose signer has lost its memory, makes the server read-only:
 * server->read_only says why. A signer that is a service of its own may be away: the log goes on, and it is asked
 * later; if it refuses then, server->failed is set and the server ends. */
TD_MUST_USE td_code td_sequencer_new(td_server *server, td_sequencer **out, td_err *err);
TD_MUST_USE td_code td_sequencer_start(td_sequencer *sequencer, td_err *err);
/* Sequences and signs what is left, then joins the thread. NULL is fine. */
void td_sequencer_stop(td_sequencer *sequencer);
void td_sequencer_free(td_sequencer **sequencer); /* TD_CLEANUP; stops it if need be */
void td_sequencer_wake(td_sequencer *sequencer);
/* How it stands with the log's signer. Any thread. */
typedef struct td_sequencer_state {
    td_signer_facts signer;
    int64_t away_ms;   /* nothing could be signed for so long; 0: all is well */
    bool refused;      /* the signer is there and refuses: the log is not what it signed before */
    bool judged;       /* the signer was asked, since the start, whether this log may go on */
    char trouble[240]; /* why nothing is signed, or "" */
} td_sequencer_state;
void td_sequencer_look(td_sequencer *sequencer, td_sequencer_state *out);
/* BUSY: nothing was signed for longer than audit.signer_patience, so nothing new may be rolled out. */
TD_MUST_USE td_code td_sequencer_check_signed(td_sequencer *sequencer, td_err *err);

#endif
