/*
 * flatbuf.h: FlatBuffers, read field by field with every offset checked against the buffer before it is followed.
 *
 * Tables may share parts, so a small file can describe a huge tree: each element of a vector that is visited is paid
 * for out of a budget that is a multiple of what a file of that size can honestly hold.
 * Source: flatbuffers.dev, "Internals": little-endian; a table begins with the signed distance to its vtable; a vtable
 * is {bytes of vtable, bytes of table, offset of each field}; offsets to others are unsigned and forward.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_FLATBUF_H
#define TD_REGISTRY_FLATBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct td_flatbuf {
    const uint8_t *data;
    size_t size;
    uint64_t budget;    /* elements that may still be visited */
    size_t failed_at;   /* where */
    const char *failed; /* what is wrong, or NULL; sticky */
} td_flatbuf;

typedef struct td_fb_table {
    size_t at, vtable; /* at 0: there is no such table */
    uint16_t vtable_size, table_size;
} td_fb_table;

typedef struct td_fb_vector {
    size_t at; /* of the first element */
    size_t count;
} td_fb_vector;

/* Once something is wrong (fb->failed), all functions give nothing. */
bool td_fb_root(td_flatbuf *fb, td_fb_table *out);
/* A field of 1, 2, 4 or 8 bytes as an unsigned number; `fallback` if the field is not there. */
uint64_t td_fb_number(td_flatbuf *fb, const td_fb_table *table, unsigned field, unsigned bytes, uint64_t fallback);
/* Sub-table, vector (of elements of `element` bytes) and text (bytes, without the NUL). Absent: at 0, count 0. */
td_fb_table td_fb_table_of(td_flatbuf *fb, const td_fb_table *table, unsigned field);
td_fb_vector td_fb_vector_of(td_flatbuf *fb, const td_fb_table *table, unsigned field, unsigned element);
/* The table that element i of a vector of offsets points to; costs one from the budget. */
td_fb_table td_fb_element(td_flatbuf *fb, td_fb_vector vector, size_t i);
int32_t td_fb_int_at(const td_flatbuf *fb, td_fb_vector vector, size_t i);
/* Takes `count` from the budget, for loops over plain numbers; false when it is spent. */
bool td_fb_spend(td_flatbuf *fb, uint64_t count);

#endif
