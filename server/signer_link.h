/*
 * signer_link.h: the server's end of the line to the log's signer, kept up.
 *
 * Whatever goes wrong with the line (server/signer_line.h) is BUSY: the log goes on without signatures, and the line is
 * tried again after a growing pause. A signer that is the server's child is started again so, and gone with the server.
 * Threads: one at a time, but td_signer_link_facts, which any may call.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_SIGNER_LINK_H
#define TD_SERVER_SIGNER_LINK_H

#include "audit/log.h"
#include "server/internal.h"
#include "server/signer_line.h"

#define TD_SIGNER_PAUSE_MAX_MS 5000

typedef struct td_signer_link td_signer_link;

typedef struct td_signer_facts {
    td_signer_apart apart; /* what the separation is worth */
    int64_t starts;        /* of the child */
} td_signer_facts;

/* Starts a child at once, without waiting for it. INVALID: audit.signer_url. */
TD_MUST_USE td_code td_signer_link_new(const td_server *server, td_signer_link **out, td_err *err);
void td_signer_link_free(td_signer_link **link); /* TD_CLEANUP; a child ends */
/* The tree that the signer remembers. BUSY: it is away. Else what it says itself: NOT_FOUND, its memory is lost;
 * CORRUPT, it is damaged; DENIED, it is of another log. */
TD_MUST_USE td_code td_signer_link_look(td_signer_link *link, td_log_root *out, td_err *err);
/* Appends the note that was signed, checked against keys/log.vkey. BUSY; CONFLICT: the signer refuses. */
TD_MUST_USE td_code td_signer_link_sign(td_signer_link *link, const td_log_growth *growth, td_str *note, td_err *err);
/* True: a signer that the server does not start itself. It may come later than the server. */
bool td_signer_link_is_service(const td_signer_link *link);
/* How long until the line may be tried again; 0: now. */
int64_t td_signer_link_pause_ms(const td_signer_link *link);
void td_signer_link_facts(td_signer_link *link, td_signer_facts *out);

#endif
