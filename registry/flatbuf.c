/*
 * flatbuf.c: FlatBuffers: no offset is followed before it and what it points to lie inside the buffer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/flatbuf.h"

#include "registry/inspect_internal.h"

static void fail(td_flatbuf *fb, size_t at, const char *what)
{
    if (fb->failed == NULL) {
        fb->failed = what;
        fb->failed_at = at;
    }
}

bool td_fb_spend(td_flatbuf *fb, uint64_t count)
{
    if (fb->failed != NULL) {
        return false;
    }
    if (count > fb->budget) {
        fail(fb, 0, "describes more than a file of its size can hold");
        return false;
    }
    fb->budget -= count;
    return true;
}

/* The table at `at`: its vtable and its own bytes must be inside. */
static bool open_table(td_flatbuf *fb, size_t at, td_fb_table *out)
{
    *out = (td_fb_table){0};
    if (fb->failed != NULL || at == 0 || at > fb->size || fb->size - at < 4) {
        fail(fb, at, "a table lies outside the file");
        return false;
    }
    int64_t vtable = (int64_t)at - (int32_t)td_get32(fb->data + at);
    if (vtable < 0 || (uint64_t)vtable + 4 > fb->size) {
        fail(fb, at, "a table's description lies outside the file");
        return false;
    }
    uint16_t vtable_size = td_get16(fb->data + vtable), table_size = td_get16(fb->data + vtable + 2);
    if (vtable_size < 4 || vtable_size % 2 != 0 || vtable_size > fb->size - (size_t)vtable || table_size < 4 ||
        table_size > fb->size - at) {
        fail(fb, at, "a table is larger than the file");
        return false;
    }
    *out = (td_fb_table){at, (size_t)vtable, vtable_size, table_size};
    return true;
}

bool td_fb_root(td_flatbuf *fb, td_fb_table *out)
{
    if (fb->size < 8) {
        fail(fb, 0, "too short");
        return false;
    }
    return open_table(fb, td_get32(fb->data), out);
}

/* Where a field's bytes are, 0 if it is not there. */
static size_t field_at(td_flatbuf *fb, const td_fb_table *table, unsigned field, unsigned bytes)
{
    size_t slot = 4 + (size_t)2 * field;
    if (fb->failed != NULL || table->at == 0 || slot + 2 > table->vtable_size) {
        return 0;
    }
    uint16_t offset = td_get16(fb->data + table->vtable + slot);
    if (offset == 0) {
        return 0;
    }
    if (offset < 4 || (size_t)offset + bytes > table->table_size) {
        fail(fb, table->at, "a field lies outside its table");
        return 0;
    }
    return table->at + offset;
}

uint64_t td_fb_number(td_flatbuf *fb, const td_fb_table *table, unsigned field, unsigned bytes, uint64_t fallback)
{
    size_t at = field_at(fb, table, field, bytes);
    if (at == 0) {
        return fallback;
    }
    switch (bytes) {
    case 1:
        return fb->data[at];
    case 2:
        return td_get16(fb->data + at);
    case 4:
        return td_get32(fb->data + at);
    default:
        return td_get64(fb->data + at);
    }
}

/* Follows the unsigned offset at `at`. 0 with fb->failed set if it leads outside. */
static size_t follow(td_flatbuf *fb, size_t at)
{
    uint32_t offset = td_get32(fb->data + at);
    if (offset == 0 || offset > fb->size - at) {
        fail(fb, at, "an offset leads outside the file");
        return 0;
    }
    return at + offset;
}

td_fb_table td_fb_table_of(td_flatbuf *fb, const td_fb_table *table, unsigned field)
{
    td_fb_table out = {0};
    size_t at = field_at(fb, table, field, 4);
    at = at != 0 ? follow(fb, at) : 0;
    if (at != 0) {
        (void)open_table(fb, at, &out);
    }
    return out;
}

td_fb_vector td_fb_vector_of(td_flatbuf *fb, const td_fb_table *table, unsigned field, unsigned element)
{
    size_t at = field_at(fb, table, field, 4);
    at = at != 0 ? follow(fb, at) : 0;
    if (at == 0) {
        return (td_fb_vector){0};
    }
    if (fb->size - at < 4 || td_get32(fb->data + at) > (fb->size - at - 4) / element) {
        fail(fb, at, "a list is longer than the file");
        return (td_fb_vector){0};
    }
    return (td_fb_vector){at + 4, td_get32(fb->data + at)};
}

td_fb_table td_fb_element(td_flatbuf *fb, td_fb_vector vector, size_t i)
{
    td_fb_table out = {0};
    if (!td_fb_spend(fb, 1)) {
        return out;
    }
    size_t at = follow(fb, vector.at + 4 * i);
    if (at != 0) {
        (void)open_table(fb, at, &out);
    }
    return out;
}

int32_t td_fb_int_at(const td_flatbuf *fb, td_fb_vector vector, size_t i)
{
    return (int32_t)td_get32(fb->data + vector.at + 4 * i);
}
