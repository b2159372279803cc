/*
 * http_path.c: decode once, then judge what came out by a list of what is allowed.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http_path.h"

#include <string.h>

static const char segment_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~@:+-";

static td_code parse_path(const char *raw, size_t length, td_arena *arena, td_target *out, td_err *err);
static td_code parse_query(const char *raw, size_t length, td_arena *arena, td_target *out, td_err *err);

td_code td_target_parse(const char *raw, td_arena *arena, td_target *out, td_err *err)
{
    size_t length = strnlen(raw, TD_TARGET_LENGTH_MAX + 1);
    if (length > TD_TARGET_LENGTH_MAX) {
        return td_fail(err, TD_LIMIT, "the request target is longer than %zu bytes", TD_TARGET_LENGTH_MAX);
    }
    if (length == 0 || raw[0] != '/') {
        return td_fail(err, TD_INVALID, "the request target must start with '/'");
    }
    const char *mark = memchr(raw, '?', length);
    size_t path_length = mark ? (size_t)(mark - raw) : length;
    td_target target = {.segment_count = 0};
    TD_TRY(parse_path(raw, path_length, arena, &target, err));
    if (mark) {
        TD_TRY(parse_query(mark + 1, length - path_length - 1, arena, &target, err));
    }
    *out = target;
    return TD_OK;
}

const char *td_target_query(const td_target *target, const char *name)
{
    for (size_t i = 0; i < target->pair_count; i++) {
        if (strcmp(target->pairs[i].name, name) == 0) {
            return target->pairs[i].value;
        }
    }
    return NULL;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes %XX (and '+' as a space in a query) into the arena; refuses broken escapes and control characters. */
static td_code decode(const char *raw, size_t length, bool query, td_arena *arena, char **text_out, td_err *err)
{
    char *text = td_arena_alloc(arena, length + 1);
    if (!text) {
        return td_fail(err, TD_NOMEM, "no memory for the request target");
    }
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)raw[i];
        if (c == '%') {
            int high = i + 2 < length ? hex_value(raw[i + 1]) : -1;
            int low = high >= 0 ? hex_value(raw[i + 2]) : -1;
            if (low < 0) {
                return td_fail(err, TD_INVALID,
                               "the request target holds a '%%' that two hexadecimal digits do not follow");
            }
            c = (unsigned char)(high * 16 + low);
            i += 2;
        } else if (query && c == '+') {
            c = ' ';
        }
        if (c < 0x20 || c == 0x7f) {
            return td_fail(err, TD_INVALID, "the request target holds a control character");
        }
        text[used++] = (char)c;
    }
    text[used] = 0;
    *text_out = text;
    return TD_OK;
}

/* Strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool is_utf8(const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    while (*p) {
        unsigned length = *p < 0x80                  ? 1
                          : *p >= 0xc2 && *p <= 0xdf ? 2
                          : *p >= 0xe0 && *p <= 0xef ? 3
                          : *p >= 0xf0 && *p <= 0xf4 ? 4
                                                     : 0;
        if (length == 0) {
            return false;
        }
        for (unsigned i = 1; i < length; i++) {
            if ((p[i] & 0xc0) != 0x80) {
                return false;
            }
        }
        if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
            (*p == 0xf4 && p[1] > 0x8f)) {
            return false;
        }
        p += length;
    }
    return true;
}

/* Below these, names are foreign: see http_path.h. */
static bool names_are_foreign(const td_target *target)
{
    const char *const *part = target->segments;
    return target->segment_count >= 3 && strcmp(part[0], "api") == 0 && strcmp(part[1], "2.0") == 0 &&
           (strcmp(part[2], "mlflow-artifacts") == 0 ||
            (target->segment_count >= 4 && strcmp(part[2], "mlflow") == 0 && strcmp(part[3], "logged-models") == 0));
}

static td_code check_segment(const char *text, bool foreign, td_err *err)
{
    if (!*text) {
        return td_fail(err, TD_INVALID, "the path has an empty part (\"//\" or a trailing '/')");
    }
    if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0) {
        return td_fail(err, TD_INVALID, "the path has a part \"%s\"", text);
    }
    if (foreign && !is_utf8(text)) {
        return td_fail(err, TD_INVALID, "the path holds text that is not UTF-8");
    }
    size_t good = foreign ? strcspn(text, "/\\;%") : strspn(text, segment_alphabet);
    if (text[good]) {
        return td_fail(err, TD_INVALID, "the path has a character that no name of ours may hold (byte 0x%02x)",
                       (unsigned char)text[good]);
    }
    return TD_OK;
}

static td_code parse_path(const char *raw, size_t length, td_arena *arena, td_target *out, td_err *err)
{
    size_t at = 1;
    while (at < length || (length > 1 && at == length)) {
        const char *slash = memchr(raw + at, '/', length - at);
        size_t end = slash ? (size_t)(slash - raw) : length;
        if (out->segment_count == TD_SEGMENTS_MAX) {
            return td_fail(err, TD_LIMIT, "the path has more than %d parts", TD_SEGMENTS_MAX);
        }
        char *text;
        TD_TRY(decode(raw + at, end - at, false, arena, &text, err));
        bool foreign = names_are_foreign(out);
        if (foreign && !slash && end == at) {
            break;
        }
        TD_TRY(check_segment(text, foreign, err));
        out->segments[out->segment_count++] = text;
        if (!slash) {
            break;
        }
        at = end + 1;
    }
    return TD_OK;
}

static td_code add_pair(const char *raw, size_t length, td_arena *arena, td_target *out, td_err *err)
{
    const char *equals = memchr(raw, '=', length);
    size_t name_length = equals ? (size_t)(equals - raw) : length;
    char *name, *value;
    TD_TRY(decode(raw, name_length, true, arena, &name, err));
    TD_TRY(decode(equals ? equals + 1 : "", equals ? length - name_length - 1 : 0, true, arena, &value, err));
    if (!*name || !is_utf8(name) || !is_utf8(value)) {
        return td_fail(err, TD_INVALID, "the query holds %s",
                       *name ? "text that is not UTF-8" : "a value without a name");
    }
    if (td_target_query(out, name)) {
        out->repeated = name;
    }
    if (out->pair_count == TD_QUERY_PAIRS_MAX) {
        return td_fail(err, TD_LIMIT, "the query has more than %d values", TD_QUERY_PAIRS_MAX);
    }
    out->pairs[out->pair_count++] = (td_query_pair){name, value};
    return TD_OK;
}

static td_code parse_query(const char *raw, size_t length, td_arena *arena, td_target *out, td_err *err)
{
    size_t at = 0;
    while (at < length) {
        const char *amp = memchr(raw + at, '&', length - at);
        size_t end = amp ? (size_t)(amp - raw) : length;
        if (end > at) {
            TD_TRY(add_pair(raw + at, end - at, arena, out, err));
        }
        at = end + 1;
    }
    return TD_OK;
}
