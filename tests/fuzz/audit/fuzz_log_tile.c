/*
 * fuzz_log_tile.c: paths of tiles, as any client may ask for them. A path that is taken is the one way to write what
 * was read from it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/tile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_position(int64_t position, char *out, size_t room)
{
    char rest[64] = "";
    int64_t above = position / 1000;
    while (above > 0) {
        char longer[64];
        snprintf(longer, sizeof longer, "x%03d/%.50s", (int)(above % 1000), rest);
        memcpy(rest, longer, sizeof rest);
        above /= 1000;
    }
    snprintf(out, room, "%s%03d", rest, (int)(position % 1000));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[256], position[96], again[256];
    td_tile tile;
    if (size >= sizeof text) {
        return 0;
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    if (td_tile_parse(text, &tile, NULL) != TD_OK) {
        return 0;
    }
    write_position(tile.position, position, sizeof position);
    int length = tile.entries ? snprintf(again, sizeof again, "entries/%s", position)
                              : snprintf(again, sizeof again, "%d/%s", tile.level, position);
    if (tile.width != TD_TILE_WIDTH) {
        snprintf(again + length, sizeof again - (size_t)length, ".p/%d", tile.width);
    }
    if (strcmp(text, again) != 0) {
        abort();
    }
    return 0;
}
