/*
 * routes_log.c: the log as files that never change, for mirrors, caches and strangers' verifiers.
 *
 * Tiles and leaves hold hashes alone, of all projects: one tree. Records' bodies name people and stay where permissions
 * hold them, below /api/v1/audit. SPDX-License-Identifier: Apache-2.0
 */
#include "audit/tile.h"
#include "server/routes.h"

#include <stdio.h>
#include <string.h>

#define CHECKPOINT_SECONDS 1
#define PARTIAL_SECONDS 3600     /* its bytes never change, but nobody asks for it once the tree has grown */
#define FULL_SECONDS 31536000 /* a year */

bool td_log_open(const td_request *request, unsigned listener)
{
    return strncmp(request->route->pattern, TD_LOG_PREFIX, strlen(TD_LOG_PREFIX)) == 0 &&
           td_config_int(request->server->config, "audit.public") != 0 && listener == TD_LISTENER_API;
}

/* A cache that several share may keep what anybody may read, and nothing else. */
static void set_cache(td_request *request, int seconds)
{
    bool public = td_config_int(request->server->config, "audit.public") != 0;
    char text[64];
    snprintf(text, sizeof text, "%s, max-age=%d%s", public ? "public" : "private", seconds,
             seconds > CHECKPOINT_SECONDS ? ", immutable" : "");
    td_answer_header(request, "Cache-Control", text);
}

static td_code get_log_checkpoint(td_request *request, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str note = {0};
    TD_TRY(td_log_checkpoint_read(request->db, &note, err));
    set_cache(request, CHECKPOINT_SECONDS);
    return td_answer_bytes(request, 200, "text/plain; charset=utf-8", &note, err);
}

static td_code get_tile(td_request *request, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    td_tile tile;
    TD_TRY(td_tile_parse(request->parameters[0], &tile, err));
    TD_TRY(td_tile_read(request->db, &tile, &bytes, err));
    set_cache(request, tile.width == TD_TILE_WIDTH ? FULL_SECONDS : PARTIAL_SECONDS);
    return td_answer_bytes(request, 200, "application/octet-stream", &bytes, err);
}

const td_route td_routes_log[] = {
    {"GET", TD_LOG_PREFIX "checkpoint", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_POINT, get_log_checkpoint,
     "The newest signed checkpoint (audit.public: without a token)"},
    {"GET", TD_LOG_PREFIX "tile/{tile...}", TD_ROUTE_LOGIN, TD_LISTENER_USERS, TD_BODY_NONE, get_tile,
     "Hashes or leaves of the log as C2SP tlog-tiles (audit.public: without a token)"},
    TD_ROUTES_END,
};
