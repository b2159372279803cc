/*
 * window.h: a device's summary of a stretch of time, written from its bins and read back within bounds.
 *
 * A window is one Window message (firmware/wire/tidemark.proto); what it counts is in bins.h. The reader trusts
 * nothing: it takes at most as many features, bins and groups as its caller made room for.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TDE_WINDOW_H
#define TDE_WINDOW_H

#include "firmware/edge/bins.h"

#include "firmware/wire/tidemark.pb.h"

#define TDE_DIGEST_SIZE_WINDOW 32

/* What the bins do not know. */
typedef struct tde_window_head {
    uint64_t sequence; /* durable, per device, shared with reports */
    uint64_t oldest_kept;
    uint64_t boot_id;
    const uint8_t *manifest_digest; /* 32 bytes */
    const uint8_t *edges_digest;    /* 32 bytes */
    uint64_t start_ms;              /* 0: the clock is unset */
    uint32_t length_ms;
    uint32_t dropped; /* windows lost before this one */
    const char *slot; /* at most 128 bytes */
} tde_window_head;

/* Upper bound of tde_window_encode's output for these bins. */
size_t tde_window_size_max(const tde_bins *bins);
/* Writes the Window message; *size_out is its length. The bins are not changed (tde_bins_reset does that). ROOM. */
int tde_window_encode(const tde_bins *bins, const tde_window_head *head, uint8_t *out, size_t room, size_t *size_out);

/* Reads a Window of any origin: `features` has `room` elements, *count_out are used. `window->features` is of no use
 * afterwards. MALFORMED, LIMIT (more features than room), SCHEMA. */
int tde_window_decode(const uint8_t *data, size_t size, tidemark_Window *window, tidemark_FeatureWindow *features,
                      uint32_t room, uint32_t *count_out);

#endif
