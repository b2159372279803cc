/*
 * login.h: the server that `tidemark login` remembers for this person on this machine.
 *
 * One at a time, in $XDG_CONFIG_HOME/tidemark (else ~/.config/tidemark): login.json, which only its owner can read, and
 * the certificate that signed the server's. Threads: one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CLI_LOGIN_H
#define TD_CLI_LOGIN_H

#include "core/base/err.h"

typedef struct td_login {
    char *server; /* "https://registry.example:7070"; NULL: nobody has logged in */
    char *token;  /* "tmk_…" */
    char *ca;     /* path of the certificate kept beside it, or NULL */
} td_login;

/* The folder, made with mode 0700 if it is not there. NOT_FOUND: neither variable names a home. */
TD_MUST_USE td_code td_config_folder(char out[4096], td_err *err);
/* OK with server NULL when there is no login. DENIED: others can read it; CORRUPT: it is not ours. */
TD_MUST_USE td_code td_login_read(td_login *out, td_err *err);
/* Remembers server and token durably; ca_file (may be NULL) is a certificate to keep beside them. */
TD_MUST_USE td_code td_login_write(const char *server, const char *token, const char *ca_file, td_err *err);
/* Forgets; *was_out: there was one. */
TD_MUST_USE td_code td_login_forget(bool *was_out, td_err *err);
void td_login_done(td_login *login); /* wipes; TD_CLEANUP */

#endif
