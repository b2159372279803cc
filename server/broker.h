/*
 * broker.h: Mosquitto as a child: configured, started, watched, restarted, stopped.
 *
 * Only certificates of the workspace's CA connect; the common name is user name and client id, so that a device can
 * write its own up/# and read its own down/# and nothing else. A revoked device is denied by name; from the reload on
 * Mosquitto refuses each of its messages (2.0.11 leaves the TCP session open). The child dies with us
 * (PR_SET_PDEATHSIG). Nothing waits for it: a server whose broker is down answers all the same.
 * Threads: td_broker_revoked from any; start and stop from the main thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_BROKER_H
#define TD_SERVER_BROKER_H

#include "server/internal.h"

#define TD_BROKER_BACKOFF_MAX_MS 30000

/* Picks (or remembers) the port, writes broker/mosquitto.conf and broker/acl. */
TD_MUST_USE td_code td_broker_new(td_server *server, const json_t *revoked, td_broker **out, td_err *err);
/* Starts the watching thread, which starts the child. */
TD_MUST_USE td_code td_broker_start(td_broker *broker, td_err *err);
void td_broker_stop(td_broker **broker);
int td_broker_port(const td_broker *broker);
/* Writes the access list anew (names of revoked devices) and has the child read it. */
TD_MUST_USE td_code td_broker_revoked(td_broker *broker, const json_t *revoked, td_err *err);
/* "running", "starting", "failed" … and how often it was started; `why_out` says the last reason. */
const char *td_broker_state(td_broker *broker, int64_t *starts_out, char why_out[160]);

/* The texts, for tests. */
TD_MUST_USE td_code td_broker_config_text(const td_server *server, int port, td_str *out, td_err *err);
TD_MUST_USE td_code td_broker_acl_text(const char *prefix, const json_t *revoked, td_str *out, td_err *err);

#endif
