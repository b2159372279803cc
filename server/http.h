/*
 * http.h: three listeners, one pool of workers.
 *
 * A listener's threads (libmicrohttpd) only parse, stream uploads into content, and send. Once a request is complete
 * its connection is suspended and a worker, which has a reading connection of its own, runs the handler; then the
 * connection is resumed and the answer goes out. Requests that wait for something to happen (long polls) are parked
 * without a thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_HTTP_H
#define TD_SERVER_HTTP_H

#include "registry/partial.h"
#include "server/router.h"

struct MHD_Connection;
typedef struct td_listener td_listener;
typedef struct td_pool td_pool;

typedef enum td_call_state { TD_CALL_NEW, TD_CALL_READING, TD_CALL_WORKING, TD_CALL_ANSWERED } td_call_state;

/* One HTTP request from its first line to its last byte of answer. */
typedef struct td_call {
    td_request request; /* first */
    struct MHD_Connection *connection;
    td_listener *listener;
    td_call_state state;
    char *raw_target; /* as received, bounded */
    bool target_too_long;
    bool refused; /* the answer is there already; what is left of the body is thrown away */
    td_str body;
    td_content_put *put; /* a streamed body */
    td_partial *partial; /* a streamed piece of one */
    int64_t started_us;  /* td_traffic_now_us */
    bool waited;         /* it was parked */
    struct td_call *next_parked;
} td_call;

/* ---- workers (http_pool.c) ---- */

/* Starts `workers` threads. `limit`: calls that may wait for one. */
TD_MUST_USE td_code td_pool_start(struct td_server *server, size_t workers, size_t limit, td_pool **out, td_err *err);
/* Answers what is queued and parked, then joins. Call it before the listeners stop. NULL is fine. */
void td_pool_stop(td_pool *pool);
void td_pool_free(td_pool **pool);
/* The call's connection is suspended already. BUSY: no room, or stopping. */
bool td_pool_push(td_pool *pool, td_call *call);
/* The call's text is sent: it waits for a commit or its heartbeat. False: stopping, or no room. */
bool td_pool_rest(td_pool *pool, td_call *call);
/* Something committed: parked calls are asked again. Any thread, short. */
void td_pool_wake(td_pool *pool);
/* Parked calls whose time has come are asked for the last time; returns ms until the next one, at most `most`. */
int td_pool_tick(td_pool *pool, int most);
size_t td_pool_parked(td_pool *pool);

/* ---- what a worker does with a call (http_call.c) ---- */

void td_call_work(td_call *call, td_db *db);
/* Who calls? Fills principal and actor; on failure the answer is there. For streamed bodies also called by the
 * listener. */
bool td_call_authorize(td_call *call, td_db *db);
/* Right after the headers: target, host, route, length. On failure the answer is there. */
bool td_call_begin(td_call *call, const char *method);

/* ---- listeners (http_listener.c) ---- */

typedef struct td_listener_options {
    unsigned kind;                         /* TD_LISTENER_… */
    const char *host;                      /* numeric address or name; for the admin socket its path */
    int port;                              /* 0: a free one */
    const char *certificate_pem, *key_pem; /* of the device listener */
    bool tls;                              /* of the API: what http_tls.h has */
} td_listener_options;
/* INVALID: address; CONFLICT: the port is taken. */
TD_MUST_USE td_code td_listener_start(struct td_server *server, const td_listener_options *options, td_listener **out,
                                      td_err *err);
int td_listener_port(const td_listener *listener);
unsigned td_listener_kind(const td_listener *listener);
const char *td_listener_host(const td_listener *listener);
bool td_listener_tls(const td_listener *listener);
/* No new connections from now on. */
void td_listener_quiesce(td_listener *listener);
void td_listener_stop(td_listener **listener); /* TD_CLEANUP */
/* Closes connections that are too slow; about once a second. */
void td_listener_watch(td_listener *listener, int64_t now_ms);

/* What the caller's connection says. */
const char *td_call_header(const td_call *call, const char *name); /* or NULL */
/* How often the header stands there. */
int td_call_header_count(const td_call *call, const char *name);
void td_call_peer(const td_call *call, char out[64]);              /* address, or "uid-1000" */
/* The address as bytes that limits go by: IPv4, or an IPv6 network; 0: none, or loopback that is not counted. */
size_t td_call_address(const td_call *call, unsigned char out[16]);
unsigned td_call_uid(const td_call *call);                         /* of an admin socket's peer */
/* The listener goes on with this call: the answer is there. */
void td_call_resume(td_call *call);

#endif
