/*
 * encoding.c: hexadecimal and base64, strict in what they accept.
 *
 * A text that decodes has exactly one spelling (but for the case of hexadecimal digits).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/str.h"

static const char hex_digits[] = "0123456789abcdef";
static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void td_hex_encode(const void *data, size_t size, char *out)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = hex_digits[bytes[i] >> 4];
        out[2 * i + 1] = hex_digits[bytes[i] & 15];
    }
    out[2 * size] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

td_code td_hex_decode(const char *text, size_t length, void *out, size_t size, td_err *err)
{
    if (length != 2 * size) {
        return td_fail(err, TD_INVALID, "expected %zu hexadecimal digits, found %zu characters", 2 * size, length);
    }
    for (size_t i = 0; i < length; i++) {
        if (hex_value(text[i]) < 0) {
            return td_fail(err, TD_INVALID, "not a hexadecimal digit at character %zu", i + 1);
        }
    }
    uint8_t *bytes = out;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(hex_value(text[2 * i]) << 4 | hex_value(text[2 * i + 1]));
    }
    return TD_OK;
}

void td_base64_add(td_str *str, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t word = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (left > 2 ? (uint32_t)bytes[i + 2] : 0);
        char quad[4] = {base64_digits[word >> 18], base64_digits[word >> 12 & 63],
                        left > 1 ? base64_digits[word >> 6 & 63] : '=', left > 2 ? base64_digits[word & 63] : '='};
        td_str_append(str, quad, sizeof quad);
    }
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes one quad with `have` data characters (2, 3 or 4); false on a bad digit or bits that would be lost. */
static bool decode_quad(const char *quad, size_t have, uint8_t *out)
{
    uint32_t word = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < have ? base64_value(quad[i]) : 0;
        if (value < 0) {
            return false;
        }
        word = word << 6 | (uint32_t)value;
    }
    if ((have == 2 && (word & 0xFFFF) != 0) || (have == 3 && (word & 0xFF) != 0)) {
        return false;
    }
    out[0] = (uint8_t)(word >> 16);
    if (have > 2) {
        out[1] = (uint8_t)(word >> 8);
    }
    if (have > 3) {
        out[2] = (uint8_t)word;
    }
    return true;
}

td_code td_base64_decode(const char *text, size_t length, void *out, size_t out_room, size_t *size_out, td_err *err)
{
    if (length % 4 != 0) {
        return td_fail(err, TD_INVALID, "base64 text has %zu characters, not a multiple of 4", length);
    }
    size_t padding =
        length == 0 ? 0
                    : (size_t)(text[length - 1] == '=') + (size_t)(text[length - 2] == '=' && text[length - 1] == '=');
    size_t size = length / 4 * 3 - padding;
    if (size > out_room) {
        return td_fail(err, TD_LIMIT, "base64 text holds %zu bytes, at most %zu are allowed", size, out_room);
    }
    uint8_t *bytes = out;
    for (size_t i = 0; i < length; i += 4) {
        size_t have = i + 4 == length ? 4 - padding : 4;
        if (!decode_quad(text + i, have, bytes + i / 4 * 3)) {
            return td_fail(err, TD_INVALID, "not base64 at character %zu", i + 1);
        }
    }
    *size_out = size;
    return TD_OK;
}
