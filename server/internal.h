/*
 * internal.h: the server as one struct: who owns what, which thread touches it.
 *
 * Everything is made before the threads that use it and freed after they are joined. Shared between threads: queues,
 * the log, atomic counters, and what has a lock of its own.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_INTERNAL_H
#define TD_SERVER_INTERNAL_H

#include "core/crypto/crypto.h"
#include "core/db/writer.h"
#include "registry/partial.h"
#include "server/config.h"
#include "server/http.h"
#include "server/http_rate.h"
#include "server/http_tls.h"
#include "server/workspace.h"

#include <pthread.h>
#include <stdatomic.h>

/* The server's keys; constant once loaded. */
typedef struct td_server_keys {
    td_key *director, *publisher, *submitter, *ca;
    td_key *root; /* only in profile demo */
    uint8_t log_public[TD_ED25519_PUBLIC_SIZE]; /* the private half is the signer's alone (signer_link.h) */
    td_str ca_pem, server_pem, server_key_pem;
} td_server_keys;

typedef struct td_denials td_denials;     /* denials.h */
typedef struct td_broker td_broker;       /* broker.h */
typedef struct td_link td_link;           /* link.h: MQTT and ingest */
typedef struct td_sequencer td_sequencer; /* sequencer.h */
typedef struct td_witnesses td_witnesses; /* witness.h */
typedef struct td_scheduler td_scheduler; /* scheduler.h */
typedef struct td_webhooks td_webhooks;   /* webhooks.h */
struct td_traffic;                        /* traffic.h */

typedef struct td_server {
    const td_clock *clock;
    char path[4096];   /* of the workspace */
    td_config *config; /* constant; a reload touches only log.level */
    char profile[16];
    td_server_keys keys;
    td_content *content;
    td_partials *partials;
    td_writer *writer;
    td_workspace *workspace;
    td_pool *pool;
    td_tls *tls; /* NULL: the API speaks plain HTTP */
    td_listener *api, *device, *admin;
    td_denials *denials;
    td_rate *address_rate, *token_rate; /* NULL: no limit */
    td_broker *broker;            /* NULL with an own broker */
    _Atomic(td_link *) link_slot; /* set a little after the server is ready; see td_server_link */
    td_sequencer *sequencer;
    char read_only[240]; /* why nothing is written, and the way on; "" when all is well. Constant once it serves */
    td_err failed; /* why the server ends by itself; the sequencer's until that is joined */
    td_witnesses *witnesses; /* NULL: no policy names any */
    td_scheduler *scheduler;
    td_webhooks *webhooks;
    struct td_traffic *traffic;
    pthread_mutex_t totals_lock; /* of what follows: server/routes_metrics.c */
    td_str totals;
    int64_t totals_ms;
    int64_t started_ms; /* wall */
    bool recorded;      /* the start is in the log: so will be the stop */
    atomic_int api_port, device_port; /* 0 until it listens */
    atomic_bool stopping;
    atomic_uint_fast64_t commits;
    atomic_uint_fast64_t requests;
    atomic_int streams; /* open event streams */
    atomic_int calls; /* requests whose answer has not gone out yet */
} td_server;

int64_t td_server_monotonic_ms(const td_server *server);
/* NULL while the link is not up yet. */
td_link *td_server_link(td_server *server);
/* Runs fn through the writer and wakes who must know; for threads of the server itself. */
TD_MUST_USE td_code td_server_write(td_server *server, td_write_fn fn, void *context, td_err *err);

#endif
