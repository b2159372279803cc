/*
 * tile.c: the grammar of a tile's path, read so that no two paths name one tile.
 *
 * A position is written in groups of three digits, all but the last with an "x" before them: 1234067 is x001/x234/067.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/merkle.h"
#include "audit/tile.h"

#include <string.h>

#define GROUP 3 /* digits */

static bool digits(const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
    }
    return true;
}

/* "entries/" or "0/" … "7/"; returns what follows, or NULL. */
static const char *read_level(const char *path, td_tile *tile)
{
    static const char entries[] = "entries/";
    if (strncmp(path, entries, sizeof entries - 1) == 0) {
        tile->entries = true;
        return path + sizeof entries - 1;
    }
    if (path[0] < '0' || path[0] > '0' + TD_TILE_LEVEL_MAX || path[1] != '/') {
        return NULL;
    }
    tile->level = path[0] - '0';
    return path + 2;
}

/* The groups of the position; returns what follows the last one, or NULL. */
static const char *read_position(const char *at, td_tile *tile)
{
    bool first = true, more = true;
    while (more) {
        more = *at == 'x';
        at += more;
        if (!digits(at, GROUP) || (more && first && memcmp(at, "000", GROUP) == 0)) {
            return NULL;
        }
        int64_t group = (at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0');
        if (tile->position > (TD_MERKLE_SIZE_MAX - group) / 1000) {
            return NULL;
        }
        tile->position = tile->position * 1000 + group;
        at += GROUP;
        if (more && *at++ != '/') {
            return NULL;
        }
        first = false;
    }
    return at;
}

/* Nothing, or ".p/" and 1 … 255. */
static bool read_width(const char *at, td_tile *tile)
{
    tile->width = TD_TILE_WIDTH;
    if (*at == '\0') {
        return true;
    }
    size_t length = strncmp(at, ".p/", 3) == 0 ? strlen(at + 3) : 0;
    if (length < 1 || length > 3 || !digits(at + 3, length) || at[3] == '0') {
        return false;
    }
    tile->width = 0;
    for (at += 3; *at; at++) {
        tile->width = tile->width * 10 + (*at - '0');
    }
    return tile->width < TD_TILE_WIDTH;
}

td_code td_tile_parse(const char *path, td_tile *out, td_err *err)
{
    td_tile tile = {.level = 0};
    const char *at = read_level(path, &tile);
    at = at != NULL ? read_position(at, &tile) : NULL;
    if (at == NULL || !read_width(at, &tile)) {
        return td_fail(err, TD_INVALID,
                       "\"%.80s\" names no tile: expected LEVEL/N or entries/N, with N as 067 or x001/x234/067, "
                       "and .p/W behind it for a partial one (c2sp.org/tlog-tiles)",
                       path);
    }
    *out = tile;
    return TD_OK;
}
