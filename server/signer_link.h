/*
 * signer_link.h: the server's end of the line to the log's signer.
 *
 * The signer is a child of the server (`tidemark signer run`), started with it, started again when it ends, gone when
 * the server is gone. Whatever goes wrong with the line is BUSY: the log goes on without signatures, and the line is
 * tried again after a growing pause.
 * Threads: one at a time, but td_signer_link_facts, which any may call.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_SIGNER_LINK_H
#define TD_SERVER_SIGNER_LINK_H

#include "audit/log.h"
#include "server/internal.h"

#define TD_SIGNER_ANSWER_MS 5000 /* that the signer may take; it syncs a file */
#define TD_SIGNER_PAUSE_MAX_MS 5000

typedef struct td_signer_link td_signer_link;

typedef struct td_signer_facts {
    const char *worth; /* what the separation is worth, in a sentence */
    int64_t starts;    /* of the child */
} td_signer_facts;

/* Starts the child at once, without waiting for it. */
TD_MUST_USE td_code td_signer_link_new(const td_server *server, td_signer_link **out, td_err *err);
void td_signer_link_free(td_signer_link **link); /* TD_CLEANUP; the child ends */
/* The tree that the signer remembers. BUSY: it is away. Else what it says itself: NOT_FOUND, its memory is lost;
 * CORRUPT, it is damaged; DENIED, it is of another log. */
TD_MUST_USE td_code td_signer_link_look(td_signer_link *link, td_log_root *out, td_err *err);
/* Appends the note that was signed, checked against keys/log.vkey. BUSY; CONFLICT: the signer refuses. */
TD_MUST_USE td_code td_signer_link_sign(td_signer_link *link, const td_log_growth *growth, td_str *note, td_err *err);
/* How long until the line may be tried again; 0: now. */
int64_t td_signer_link_pause_ms(const td_signer_link *link);
void td_signer_link_facts(td_signer_link *link, td_signer_facts *out);

#endif
