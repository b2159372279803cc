/*
 * signer_tls.h: the line to a signer on another host: TLS 1.3 in which both sides show a certificate.
 *
 * The server connects and checks the signer's name; the signer demands a certificate of the CA for clients, and of that
 * CA only the one with the server's name: devices have certificates of it, too.
 * Threads: credentials may be shared once made; a session belongs to one thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_SIGNER_TLS_H
#define TD_SERVER_SIGNER_TLS_H

#include "core/base/err.h"

#include <gnutls/gnutls.h>
#include <sys/types.h>

typedef struct td_signer_tls_files {
    const char *certificate, *key, *ca; /* our own, its key (0600), and whose certificates the other side may have */
} td_signer_tls_files;

/* INVALID names the file; DENIED: others can read the key; NOT_FOUND. */
TD_MUST_USE td_code td_signer_tls_read(const td_signer_tls_files *files, gnutls_certificate_credentials_t *out,
                                       td_err *err);
void td_signer_tls_free(gnutls_certificate_credentials_t *credentials); /* TD_CLEANUP */
void td_signer_tls_close(gnutls_session_t *session);                   /* TD_CLEANUP; the socket stays open */

/* The server's side, over a connected socket that blocks: shakes hands within timeout_ms, and waits as long for each
 * answer. `host` must live as long as the session. DENIED: its certificate is not to be trusted; IO. */
TD_MUST_USE td_code td_signer_tls_connect(gnutls_certificate_credentials_t credentials, int fd, const char *host,
                                          unsigned timeout_ms, gnutls_session_t *out, td_err *err);
/* For td_signer_stream; `context` is a session. */
TD_MUST_USE td_code td_signer_tls_send(void *context, const void *data, size_t size, td_err *err);
TD_MUST_USE td_code td_signer_tls_receive(void *context, int timeout_ms, void *out, size_t size, td_err *err);

/* The signer's side, over a socket that does not block. */
TD_MUST_USE td_code td_signer_tls_accept(gnutls_certificate_credentials_t credentials, int fd, gnutls_session_t *out,
                                         td_err *err);
/* One step; *done_out: hands are shaken, and the other side is `name`. DENIED: it is not. */
TD_MUST_USE td_code td_signer_tls_shake(gnutls_session_t session, const char *name, bool *done_out, td_err *err);
/* As recv(2) and send(2), with EAGAIN. */
ssize_t td_signer_tls_recv(gnutls_session_t session, void *out, size_t size);
ssize_t td_signer_tls_write(gnutls_session_t session, const void *data, size_t size);

#endif
