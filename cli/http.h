/*
 * http.h: the client's side of the API: one connection, JSON in and out, files streamed, problems turned into td_err.
 *
 * Where the server is: --server, $TIDEMARK_SERVER, a workspace that was named, what `tidemark login` remembers, or the
 * port file of the server that runs in the workspace at hand. Who asks: a token file (--token-file, --as in profile
 * demo, $TIDEMARK_TOKEN_FILE), the login's token, or, where a command allows it, nobody but the uid that may open the
 * workspace's admin socket. A token is never sent over plain HTTP to another machine.
 * Threads: one.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CLI_HTTP_H
#define TD_CLI_HTTP_H

#include "cli/cli.h"
#include "core/crypto/crypto.h"

typedef struct td_http td_http;
void td_http_close(td_http **http); /* TD_CLEANUP; NULL is fine */

/* From now on speak to this server with this token (NULL: none; only then plain HTTP to another
 * machine is fine); ca NULL: the system's authorities. INVALID: the address. */
TD_MUST_USE td_code td_cli_connect(td_cli *cli, const char *url, const char *ca, const char *token, td_err *err);
/* The same with a user's name and password (RFC 7617). INVALID: a name with a colon. */
TD_MUST_USE td_code td_cli_connect_basic(td_cli *cli, const char *url, const char *ca, const char *user,
                                         const char *password, td_err *err);
/* The server's address as it is used, without a slash at its end; "" before it is known. */
const char *td_cli_server(const td_cli *cli);

/* From now on speak to <workspace>/run/admin.sock if no token was named on the line or in the environment and the
 * socket is there. */
void td_cli_prefer_socket(td_cli *cli);

/* "/api/v1/models/pump/versions?project=default": segments are escaped; the list ends with NULL. Arena. */
const char *td_cli_path(td_cli *cli, const char *segment, ...);
/* Adds "&key=value", escaped; a NULL value adds nothing. */
const char *td_cli_query(td_cli *cli, const char *path, const char *key, const char *value);

/* One request. `body` (borrowed) may be NULL; out (owned by the caller) may be NULL. An answer of 4xx or 5xx becomes
 * its problem's code and detail. IO: no connection; the message says how to start a server. */
TD_MUST_USE td_code td_cli_call(td_cli *cli, const char *method, const char *path, const json_t *body, json_t **out,
                                td_err *err);
/* As td_cli_call with GET, waiting up to wait_ms longer for the answer. */
TD_MUST_USE td_code td_cli_poll(td_cli *cli, const char *path, int64_t wait_ms, json_t **out, td_err *err);
/* GET of raw bytes, at most `limit`. */
TD_MUST_USE td_code td_cli_fetch(td_cli *cli, const char *path, size_t limit, td_str *out, td_err *err);

/* Streams a file to POST /api/v1/uploads. The digest that the server computed is checked against our own: CORRUPT. */
TD_MUST_USE td_code td_cli_upload(td_cli *cli, const char *file, uint8_t digest_out[TD_DIGEST_SIZE], uint64_t *size_out,
                                  td_err *err);
/* Streams GET path into a file (temporary beside it, renamed when whole). digest (may be NULL) is demanded: CORRUPT.
 * CONFLICT: the file exists. */
TD_MUST_USE td_code td_cli_download(td_cli *cli, const char *path, const char *file, const uint8_t *digest,
                                    td_err *err);

/* The user named by --as or $TIDEMARK_AS, or NULL. */
const char *td_cli_as(td_cli *cli);
/* "<workspace>/users/NAME/<file>" of --as. INVALID without --as. */
TD_MUST_USE td_code td_cli_as_file(td_cli *cli, const char *file, const char **out, td_err *err);

#endif
