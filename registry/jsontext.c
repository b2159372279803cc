/*
 * jsontext.c: the tokens of JSON (RFC 8259) that a safetensors header is made of.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/safetensors_internal.h"

#include <string.h>

static void skip(td_jsontext *json)
{
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r')) {
        json->at++;
    }
}

bool td_jsontext_char(td_jsontext *json, char c)
{
    skip(json);
    if (json->at == json->end || *json->at != (uint8_t)c) {
        return false;
    }
    json->at++;
    return true;
}

bool td_jsontext_done(td_jsontext *json)
{
    skip(json);
    return json->at == json->end;
}

static int hex_digit(uint8_t c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The code unit of "\uXXXX" at `at`, or -1. */
static int32_t unit_at(const uint8_t *at, const uint8_t *end)
{
    int32_t unit = 0;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u') {
        return -1;
    }
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0) {
            return -1;
        }
        unit = unit << 4 | digit;
    }
    return unit;
}

/* Bytes of the escape at `at`, 0 if it is none. */
static size_t escape_size(const uint8_t *at, const uint8_t *end)
{
    if (end - at >= 2 && at[1] != '\0' && strchr("\"\\/bfnrt", at[1]) != NULL) {
        return 2;
    }
    return unit_at(at, end) >= 0 ? 6 : 0;
}

bool td_jsontext_string(td_jsontext *json, td_text *out)
{
    skip(json);
    const uint8_t *at = json->at;
    if (at == json->end || *at != '"') {
        return false;
    }
    for (at++; at < json->end && *at != '"';) {
        size_t step = *at == '\\' ? escape_size(at, json->end) : *at >= 0x20;
        if (step == 0) {
            return false;
        }
        at += step;
    }
    if (at >= json->end) {
        return false;
    }
    *out = (td_text){json->at + 1, (size_t)(at - json->at - 1)};
    json->at = at + 1;
    return true;
}

bool td_jsontext_number(td_jsontext *json, uint64_t *out)
{
    skip(json);
    const uint8_t *at = json->at;
    uint64_t value = 0;
    while (at < json->end && *at >= '0' && *at <= '9') {
        if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value)) {
            return false;
        }
        at++;
    }
    if (at == json->at || (*json->at == '0' && at - json->at > 1)) {
        return false;
    }
    *out = value;
    json->at = at;
    return true;
}

static size_t put_point(uint32_t point, char out[4])
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(uint8_t)(0xC0 | point >> 6);
        out[1] = (char)(uint8_t)(0x80 | (point & 0x3f));
        return 2;
    }
    size_t size = point < 0x10000 ? 3 : 4;
    out[0] = (char)(uint8_t)((size == 3 ? 0xE0u : 0xF0u) | point >> 6 * (size - 1));
    for (size_t i = 1; i < size; i++) {
        out[i] = (char)(uint8_t)(0x80 | (point >> 6 * (size - 1 - i) & 0x3f));
    }
    return size;
}

/* One character from `*at`, which moves on; a lone surrogate becomes '?'. */
static size_t take_char(const uint8_t **at, const uint8_t *end, char out[4])
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    if (**at != '\\' || end - *at < 2) {
        out[0] = (char)*(*at)++;
        return 1;
    }
    int32_t unit = unit_at(*at, end);
    if (unit < 0) {
        const char *known = strchr(from, (*at)[1]);
        out[0] = known != NULL && *known != '\0' ? to[known - from] : (char)(*at)[1];
        *at += 2;
        return 1;
    }
    *at += 6;
    int32_t second = unit >= 0xD800 && unit < 0xDC00 ? unit_at(*at, end) : -1;
    if (second >= 0xDC00 && second < 0xE000) {
        *at += 6;
        return put_point(0x10000u + ((uint32_t)(unit - 0xD800) << 10) + (uint32_t)(second - 0xDC00), out);
    }
    return put_point(unit >= 0xD800 && unit < 0xE000 ? '?' : (uint32_t)unit, out);
}

size_t td_jsontext_unescape(td_text text, char *out, size_t room)
{
    const uint8_t *at = text.data, *end = at + text.size;
    size_t used = 0;
    while (at < end) {
        char one[4];
        size_t size = take_char(&at, end, one);
        if (used + size > room) {
            break;
        }
        memcpy(out + used, one, size);
        used += size;
    }
    return used;
}
