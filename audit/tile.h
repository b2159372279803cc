/*
 * tile.h: the log as static files: C2SP tlog-tiles, 256 hashes or 256 leaves a file.
 *
 * A tile of level L holds the hashes of perfect subtrees of 256^L leaves, side by side; an entry bundle holds the
 * leaves themselves, each behind its length. Only what a stored checkpoint covers is given out: nobody sees what is not
 * signed.
 * Format: https://c2sp.org/tlog-tiles. Threads: any connection.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_AUDIT_TILE_H
#define TD_AUDIT_TILE_H

#include "audit/log.h"

#define TD_TILE_WIDTH 256
#define TD_TILE_LEVEL_MAX 7 /* trees have at most 2^60 leaves */

typedef struct td_tile {
    bool entries;     /* leaves, not hashes; level is 0 then */
    int level;        /* 0 … TD_TILE_LEVEL_MAX */
    int64_t position; /* its first hash is that of the subtree position * 256 of the level */
    int width;        /* hashes: 1 … 255 of a partial tile, else 256 */
} td_tile;

/* Reads what follows "/tile/": "0/x001/067", "1/000.p/5", "entries/003". One tile has one path. INVALID. */
TD_MUST_USE td_code td_tile_parse(const char *path, td_tile *out, td_err *err);
/* Appends the tile's bytes. A partial tile of any width that the newest checkpoint covers is there. NOT_FOUND. */
TD_MUST_USE td_code td_tile_read(td_db *db, const td_tile *tile, td_str *out, td_err *err);

#endif
