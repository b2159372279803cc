/*
 * http_tls.h: with which certificate the API listener answers, and whether it speaks TLS at all.
 *
 * http.tls says where the certificate comes from: `workspace` issues one at each start from the workspace's CA, with
 * every name that a client may use; `files` reads http.cert_file and http.key_file, and again at SIGHUP. `auto` (the
 * default) is plain HTTP on loopback and `workspace` everywhere else; `off` is plain HTTP wherever http.host says.
 * Threads: the listener's thread asks for the certificate; td_tls_reload runs on the main thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_HTTP_TLS_H
#define TD_SERVER_HTTP_TLS_H

#include "core/base/err.h"

/* What GnuTLS is told: 1.2 and 1.3, nothing older. */
#define TD_TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct td_server;
typedef struct td_tls td_tls;

/* *out is NULL when the API speaks plain HTTP. INVALID: settings that contradict each other, a key that is not the
 * certificate's, an expired certificate; DENIED: a key file that others can read; NOT_FOUND: a file. Once a process. */
TD_MUST_USE td_code td_tls_new(struct td_server *server, td_tls **out, td_err *err);
void td_tls_free(td_tls **tls); /* TD_CLEANUP; after the listener has stopped */
/* Reads http.cert_file and http.key_file again; on failure what there was stays in use. NULL is fine. */
TD_MUST_USE td_code td_tls_reload(td_tls *tls, td_err *err);
/* For MHD_OPTION_HTTPS_CERT_CALLBACK. */
void *td_tls_callback(void);
/* A numeric loopback address, or "localhost". */
bool td_host_is_loopback(const char *host);

#endif
