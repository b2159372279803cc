/*
 * server.h: `tidemark serve`: one process that joins the records, the HTTP API, the broker and the devices.
 *
 * td_server_run opens the workspace, starts the threads that docs/architecture.md names (listeners, workers, writer,
 * sequencer, scheduler, ingest, broker watch), answers, and returns after SIGTERM or SIGINT with everything stopped and
 * the database closed. SIGHUP reads the configuration again (the settings that say so).
 * Threads: call it from the main
 * thread, once a process.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_SERVER_H
#define TD_SERVER_SERVER_H

#include "server/config.h"
#include "server/workspace.h"

typedef struct td_server_options {
    const char *workspace;        /* folder made by td_workspace_init */
    const char *const *overrides; /* "http.port=0" …, NULL-terminated, from flags; or NULL */
    bool quiet;                   /* no line "ready" on standard output */
} td_server_options;

/* Files that a running server keeps under <workspace>/run: http.port, http.url, device.port, mqtt.port (text),
 * http.ca (when the API's certificate is from the workspace's CA), admin.sock, pid. They are written before the
 * server is ready and removed when it stops cleanly. When ready it prints one line on standard output ("ready
 * http://127.0.0.1:7070") and tells NOTIFY_SOCKET, if set. BUSY: the workspace is in use by another server; CONFLICT:
 * its database is newer than this program; INVALID: configuration. */
TD_MUST_USE td_code td_server_run(const td_server_options *options, td_err *err);

/* The route table for people and tests: an array of {method, path, permission, listener, body}. */
TD_MUST_USE td_code td_server_routes_json(json_t **out, td_err *err);

#endif
