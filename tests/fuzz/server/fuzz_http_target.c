/*
 * fuzz_http_target.c: any request target: decoded, matched, and nothing outside the alphabet gets through.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/router.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[TD_TARGET_LENGTH_MAX + 8];
    if (size >= sizeof text) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = 0;
    td_request request = {0};
    td_err err = {0};
    if (td_target_parse(text, &request.arena, &request.target, &err) == TD_OK) {
        for (size_t i = 0; i < request.target.segment_count; i++) {
            const char *segment = request.target.segments[i];
            assert(*segment && !strpbrk(segment, "/\\;%") && strcmp(segment, "..") != 0);
        }
        const td_route *route;
        td_str allowed = {0};
        (void)td_router_find(&td_server_router, "GET", TD_LISTENER_API, &request.target, &request, &route, &allowed);
        (void)td_target_query(&request.target, "project");
        td_str_done(&allowed);
    }
    td_arena_done(&request.arena);
    return 0;
}
