/*
 * router.h: one table of routes, each with its permission; the server does not start when one is missing.
 *
 * A pattern is a path with {name} for one segment and, at its end only, {name...} for one or more (joined by '/').
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_SERVER_ROUTER_H
#define TD_SERVER_ROUTER_H

#include "server/request.h"

/* How a request's body comes. TD_BODY_POINT: none, and the answer is a few rows found by their key, so that the
 * listener's own thread gives it: handing it to a worker and back would cost more than the work. */
typedef enum td_route_body { TD_BODY_NONE, TD_BODY_JSON, TD_BODY_STREAM, TD_BODY_POINT } td_route_body;

/* What a route demands. 0 is "not declared", so that a forgotten one is found. */
#define TD_ROUTE_PUBLIC (-1) /* nobody needs to log in */
#define TD_ROUTE_LOGIN (-2)  /* any good token; the handler narrows it down */
#define TD_ROUTE_MAY(permission) (1 + (int)(permission))

/* Where a route can be reached: a set of bits. */
#define TD_LISTENER_API 1u    /* plain HTTP, loopback by default */
#define TD_LISTENER_DEVICE 2u /* HTTPS, for devices */
#define TD_LISTENER_ADMIN 4u  /* the admin socket */
#define TD_LISTENER_USERS (TD_LISTENER_API | TD_LISTENER_ADMIN)

typedef struct td_route {
    const char *method;
    const char *pattern;
    int access; /* TD_ROUTE_… */
    unsigned listeners;
    td_route_body body;
    td_handler handler;
    const char *help;
} td_route;

/* A module's routes; the list ends with a NULL method. */
typedef struct td_router {
    const td_route *const *tables; /* ends with NULL */
} td_router;

typedef enum td_match { TD_MATCH_OK, TD_MATCH_NO_PATH, TD_MATCH_NO_METHOD } td_match;

/* INVALID names the first route without permission, listener or handler, or that another one shadows. */
TD_MUST_USE td_code td_router_check(const td_router *router, td_err *err);
/* Finds the route; values of {name} go to request->parameters (in the target's arena). With NO_METHOD, `allowed` (may
 * be NULL) gets the methods that the path has: "GET, POST". */
td_match td_router_find(const td_router *router, const char *method, unsigned listener, const td_target *target,
                        td_request *request, const td_route **route_out, td_str *allowed);
/* Text of what a route demands: "public", "login", "read" … */
const char *td_route_access_name(const td_route *route);

/* All of the server's routes (routes.c). */
extern const td_router td_server_router;

#endif
