/*
 * cursor.c: the place in a list as opaque text that only its own query understands.
 *
 * Bytes: a digest of 8 (FNV-1a of the query's texts and of what follows; against accidents and guesses, not a secret),
 * then for each term a letter and a value: n | i and 8 bytes | r and 8 bytes (IEEE 754) | t, 2 bytes of length, text.
 * Numbers are big-endian. The text is base64url without padding (RFC 4648 §5).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/list_internal.h"

#include <math.h>
#include <string.h>

#define DIGEST_SIZE 8
#define BYTES_MAX (TD_CURSOR_LENGTH_MAX / 4 * 3)

/* ---- digest ---- */

static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    return mix(hash, text != NULL ? text : "", text != NULL ? strlen(text) + 1 : 1);
}

static uint64_t digest_of(const td_cursor__query *query, const void *data, size_t size)
{
    uint64_t hash = mix_text(UINT64_C(0xcbf29ce484222325), "tidemark cursor 1");
    hash = mix_text(hash, query->name);
    hash = mix_text(hash, query->scope);
    hash = mix_text(hash, query->filter);
    hash = mix_text(hash, query->order);
    hash = mix(hash, data, size);
    hash ^= hash >> 32; /* the last bytes reach all of it */
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

/* ---- bytes ---- */

static void put_number(uint64_t number, size_t size, td_str *out)
{
    for (size_t i = size; i-- > 0;) {
        td_str_add_char(out, (char)(number >> (8 * i)));
    }
}

static uint64_t get_number(const uint8_t *bytes, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

static void put_value(const td_filter__value *value, td_str *out)
{
    uint64_t bits = 0;
    size_t length;
    switch (value->type) {
    case TD_VALUE_INTEGER:
        td_str_add_char(out, 'i');
        put_number((uint64_t)value->integer, 8, out);
        break;
    case TD_VALUE_REAL:
        memcpy(&bits, &value->real, sizeof bits);
        td_str_add_char(out, 'r');
        put_number(bits, 8, out);
        break;
    case TD_VALUE_TEXT:
        length = strlen(value->text);
        td_str_add_char(out, 't');
        put_number(length, 2, out);
        td_str_append(out, value->text, length);
        break;
    default:
        td_str_add_char(out, 'n');
    }
}

typedef struct bytes {
    const uint8_t *at, *end;
} bytes;

static const uint8_t *take(bytes *in, size_t size)
{
    if ((size_t)(in->end - in->at) < size) {
        return NULL;
    }
    const uint8_t *taken = in->at;
    in->at += size;
    return taken;
}

static bool get_text(bytes *in, td_arena *arena, td_filter__value *out)
{
    const uint8_t *length_bytes = take(in, 2);
    size_t length = length_bytes != NULL ? (size_t)get_number(length_bytes, 2) : 0;
    const uint8_t *text = length_bytes != NULL ? take(in, length) : NULL;
    char *copy = text != NULL && memchr(text, 0, length) == NULL ? td_arena_alloc(arena, length + 1) : NULL;
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, text, length);
    *out = (td_filter__value){.type = TD_VALUE_TEXT, .text = copy};
    return true;
}

static bool get_value(bytes *in, td_arena *arena, td_filter__value *out)
{
    const uint8_t *letter = take(in, 1), *number;
    uint64_t bits;
    switch (letter != NULL ? *letter : 0) {
    case 'n':
        *out = (td_filter__value){.type = TD_VALUE_NULL};
        return true;
    case 't':
        return get_text(in, arena, out);
    case 'i':
        number = take(in, 8);
        *out = (td_filter__value){.type = TD_VALUE_INTEGER,
                                  .integer = number != NULL ? (int64_t)get_number(number, 8) : 0};
        return number != NULL;
    case 'r':
        number = take(in, 8);
        bits = number != NULL ? get_number(number, 8) : 0;
        *out = (td_filter__value){.type = TD_VALUE_REAL};
        memcpy(&out->real, &bits, sizeof bits);
        return number != NULL && !isnan(out->real);
    default:
        return false;
    }
}

/* ---- base64url ---- */

static void to_url(char *text)
{
    text[strcspn(text, "=")] = '\0';
    for (; *text != '\0'; text++) {
        *text = *text == '+' ? '-' : *text == '/' ? '_' : *text;
    }
}

/* Back to padded base64; false on a character that is not base64url's. */
static bool from_url(const char *text, td_str *out)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (strchr("+/=", *p) != NULL) {
            return false;
        }
        td_str_add_char(out, *p == '-' ? '+' : *p == '_' ? '/' : *p);
    }
    while (out->size % 4 != 0) {
        td_str_add_char(out, '=');
    }
    return out->failed == TD_OK;
}

/* ---- cursors ---- */

void td_cursor__write(const td_cursor__query *query, const td_filter__value *values, size_t count, td_str *out)
{
    TD_CLEANUP(td_str_done) td_str payload = {0}, all = {0}, text = {0};
    for (size_t i = 0; i < count; i++) {
        put_value(&values[i], &payload);
    }
    put_number(digest_of(query, td_str_text(&payload), payload.size), DIGEST_SIZE, &all);
    td_str_append(&all, td_str_text(&payload), payload.size);
    td_base64_add(&text, td_str_text(&all), all.size);
    if (payload.failed == TD_OK && all.failed == TD_OK && text.failed == TD_OK) {
        to_url(text.data);
        td_str_add(out, text.data);
        out->failed = out->size > TD_CURSOR_LENGTH_MAX ? TD_LIMIT : out->failed;
    } else {
        out->failed = TD_NOMEM;
    }
}

static bool read_values(bytes in, td_arena *arena, td_filter__value *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!get_value(&in, arena, &values[i])) {
            return false;
        }
    }
    return in.at == in.end;
}

td_code td_cursor__read(const td_cursor__query *query, const char *text, td_arena *arena, td_filter__value *values,
                        size_t count, td_err *err)
{
    static const char message[] = "cursor: not one that this list gave for this filter and order; leave it out to begin"
                                  " at the first page";
    TD_CLEANUP(td_str_done) td_str padded = {0};
    uint8_t data[BYTES_MAX + 3];
    size_t size = 0;
    td_err ignored;
    if (strlen(text) > TD_CURSOR_LENGTH_MAX || !from_url(text, &padded) ||
        td_base64_decode(td_str_text(&padded), padded.size, data, sizeof data, &size, &ignored) != TD_OK ||
        size < DIGEST_SIZE ||
        get_number(data, DIGEST_SIZE) != digest_of(query, data + DIGEST_SIZE, size - DIGEST_SIZE)) {
        return td_fail(err, TD_INVALID, "%s", message);
    }
    bytes in = {data + DIGEST_SIZE, data + size};
    return read_values(in, arena, values, count) ? TD_OK : td_fail(err, TD_INVALID, "%s", message);
}
