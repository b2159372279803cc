/*
 * router.c: matching a decoded path against the table, and refusing a table with holes.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/router.h"

#include <string.h>

static const char *next_part(const char *pattern, size_t *length_out)
{
    const char *slash = strchr(pattern, '/');
    *length_out = slash ? (size_t)(slash - pattern) : strlen(pattern);
    return slash ? slash + 1 : pattern + *length_out;
}

static bool is_parameter(const char *part, size_t length)
{
    return length > 2 && part[0] == '{';
}

static bool is_rest(const char *part, size_t length)
{
    return length > 5 && part[0] == '{' && memcmp(part + length - 4, "...}", 4) == 0;
}

static const char *join_rest(const td_target *target, size_t from, td_arena *arena)
{
    size_t size = 1;
    for (size_t i = from; i < target->segment_count; i++) {
        size += strlen(target->segments[i]) + 1;
    }
    char *text = td_arena_alloc(arena, size);
    size_t used = 0;
    for (size_t i = from; text && i < target->segment_count; i++) {
        size_t length = strlen(target->segments[i]);
        if (i > from) {
            text[used++] = '/';
        }
        memcpy(text + used, target->segments[i], length);
        used += length;
    }
    return text ? text : "";
}

static bool match_pattern(const char *pattern, const td_target *target, td_request *request)
{
    size_t parameter = 0;
    const char *part = pattern + 1;
    for (size_t i = 0; i < target->segment_count; i++) {
        size_t length;
        const char *next = next_part(part, &length);
        if (length == 0) {
            return false;
        }
        if (is_rest(part, length)) {
            request->parameters[parameter] = join_rest(target, i, &request->arena);
            return true;
        }
        if (is_parameter(part, length)) {
            request->parameters[parameter++] = target->segments[i];
        } else if (strlen(target->segments[i]) != length || memcmp(part, target->segments[i], length) != 0) {
            return false;
        }
        part = next;
    }
    return *part == 0;
}

static bool method_matches(const char *route, const char *method)
{
    return strcmp(route, method) == 0 || (strcmp(method, "HEAD") == 0 && strcmp(route, "GET") == 0);
}

td_match td_router_find(const td_router *router, const char *method, unsigned listener, const td_target *target,
                        td_request *request, const td_route **route_out, td_str *allowed)
{
    bool path_known = false;
    for (const td_route *const *table = router->tables; *table; table++) {
        for (const td_route *route = *table; route->method; route++) {
            if (!(route->listeners & listener) || !match_pattern(route->pattern, target, request)) {
                continue;
            }
            if (method_matches(route->method, method)) {
                *route_out = route;
                return TD_MATCH_OK;
            }
            if (allowed) {
                td_str_addf(allowed, "%s%s", path_known ? ", " : "", route->method);
            }
            path_known = true;
        }
    }
    return path_known ? TD_MATCH_NO_METHOD : TD_MATCH_NO_PATH;
}

const char *td_route_access_name(const td_route *route)
{
    switch (route->access) {
    case TD_ROUTE_PUBLIC:
        return "public";
    case TD_ROUTE_LOGIN:
        return "login";
    default:
        return route->access > 0 ? td_permission_name((td_permission)(route->access - 1)) : "undeclared";
    }
}

static bool access_declared(int access)
{
    return access == TD_ROUTE_PUBLIC || access == TD_ROUTE_LOGIN || (access > 0 && access <= TD_PERMISSION_COUNT);
}

/* Two patterns collide when each segment pair is equal or both are parameters. */
static bool same_shape(const char *a, const char *b)
{
    while (*a && *b) {
        size_t length_a, length_b;
        const char *next_a = next_part(a + (*a == '/'), &length_a), *next_b = next_part(b + (*b == '/'), &length_b);
        const char *part_a = a + (*a == '/'), *part_b = b + (*b == '/');
        bool both = is_parameter(part_a, length_a) && is_parameter(part_b, length_b);
        if (!both && (length_a != length_b || memcmp(part_a, part_b, length_a) != 0)) {
            return false;
        }
        a = next_a;
        b = next_b;
    }
    return *a == *b;
}

static size_t parameter_count(const char *pattern)
{
    size_t count = 0;
    for (; *pattern; pattern++) {
        count += *pattern == '{';
    }
    return count;
}

static td_code check_route(const td_route *route, td_err *err)
{
    if (!access_declared(route->access)) {
        return td_fail(err, TD_INTERNAL, "route %s %s declares no permission", route->method, route->pattern);
    }
    if (!route->handler || !route->listeners || route->pattern[0] != '/') {
        return td_fail(err, TD_INTERNAL, "route %s %s lacks a handler or a listener", route->method, route->pattern);
    }
    if (parameter_count(route->pattern) > TD_ROUTE_PARAMETERS_MAX) {
        return td_fail(err, TD_INTERNAL, "route %s %s has too many parameters", route->method, route->pattern);
    }
    return TD_OK;
}

static td_code check_unique(const td_router *router, const td_route *route, td_err *err)
{
    for (const td_route *const *table = router->tables; *table; table++) {
        for (const td_route *other = *table; other->method; other++) {
            if (other == route) {
                return TD_OK; /* only what stands before it can shadow it */
            }
            if ((other->listeners & route->listeners) && strcmp(other->method, route->method) == 0 &&
                same_shape(other->pattern, route->pattern)) {
                return td_fail(err, TD_INTERNAL, "route %s %s stands twice in the table", route->method,
                               route->pattern);
            }
        }
    }
    return TD_OK;
}

td_code td_router_check(const td_router *router, td_err *err)
{
    for (const td_route *const *table = router->tables; *table; table++) {
        for (const td_route *route = *table; route->method; route++) {
            TD_TRY(check_route(route, err));
            TD_TRY(check_unique(router, route, err));
        }
    }
    return TD_OK;
}
