/*
 * signer_line.h: one line to the log's signer: where it is, reaching it, asking it.
 *
 * The signer is a child of the server, a service of another user behind a Unix socket, or a service on another host
 * behind TLS in which both sides show certificates: audit.signer_url says which. The bytes are the same
 * (audit/signer_wire.h), and so is the judgement; only what the separation is worth differs.
 * Threads: a line belongs to one at a time.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_SIGNER_LINE_H
#define TD_SERVER_SIGNER_LINE_H

#include "audit/signer_wire.h"
#include "server/config.h"

#include <sys/types.h>

#define TD_SIGNER_ANSWER_MS 5000 /* that the signer may take, to be reached and to answer; it syncs a file */

typedef enum td_signer_kind { TD_SIGNER_CHILD, TD_SIGNER_SOCKET, TD_SIGNER_TLS } td_signer_kind;

typedef struct td_signer_where {
    td_signer_kind kind;
    char key[4096], state[4096]; /* the child's files */
    char path[4096];             /* the socket's */
    char host[256], port[8];     /* TLS, with these files: */
    char ca[4096], certificate[4096], certificate_key[4096];
} td_signer_where;

/* INVALID: audit.signer_url is no url of a signer, or other settings contradict it. */
TD_MUST_USE td_code td_signer_where_read(const char *workspace, const td_config *config, td_signer_where *out,
                                         td_err *err);

/* Kind, path, host and port alone. INVALID: no url of a signer that is a service. */
TD_MUST_USE td_code td_signer_url_read(const char *url, td_signer_where *out, td_err *err);

/* What it is worth that the signer is apart. */
typedef enum td_signer_apart {
    TD_APART_UNKNOWN, /* it has not been reached yet */
    TD_APART_PROCESS, /* a process of the same user */
    TD_APART_USER,    /* of another user on this machine */
    TD_APART_HOST,    /* on another host */
    TD_APART_COUNT
} td_signer_apart;
const char *td_signer_apart_name(td_signer_apart apart); /* "same_user" */
const char *td_signer_apart_worth(td_signer_apart apart); /* a sentence */

typedef struct td_signer_line td_signer_line;
/* A child is started at once, and not waited for. */
TD_MUST_USE td_code td_signer_line_open(const td_signer_where *where, td_signer_line **out, td_err *err);
void td_signer_line_close(td_signer_line **line); /* TD_CLEANUP; a child ends */
/* Fails when no whole reply comes; what the signer thinks of the request is in the reply. */
TD_MUST_USE td_code td_signer_line_ask(td_signer_line *line, const td_signer_request *request, td_signer_reply *reply,
                                       td_err *err);
/* Known after the first TD_SIGNER_LOOK that was answered with OK. */
td_signer_apart td_signer_line_apart(const td_signer_line *line);

#endif
