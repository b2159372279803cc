/*
 * parse.c: numbers in full or not at all, and the nearest known name for a mistyped one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/str.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

td_code td_parse_int(const char *text, const char *what, int64_t minimum, int64_t maximum, int64_t *out, td_err *err)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    bool digits = (text[0] >= '0' && text[0] <= '9') || (text[0] == '-' && text[1] >= '0' && text[1] <= '9');
    if (!digits || *end != '\0') {
        return td_fail(err, TD_INVALID, "%s: expected a whole number, found \"%.40s\"", what, text);
    }
    if (errno != 0 || value < minimum || value > maximum) {
        return td_fail(err, TD_INVALID, "%s: %.40s is outside %" PRId64 " … %" PRId64, what, text, minimum, maximum);
    }
    *out = value;
    return TD_OK;
}

td_code td_parse_double(const char *text, const char *what, double *out, td_err *err)
{
    char *end = NULL;
    bool start = (text[0] >= '0' && text[0] <= '9') || text[0] == '-' || text[0] == '.' || text[0] == '+';
    double value = start ? strtod(text, &end) : 0;
    if (!start || end == text || *end != '\0' || !isfinite(value) || strpbrk(text, "xX") != NULL) {
        return td_fail(err, TD_INVALID, "%s: expected a number, found \"%.40s\"", what, text);
    }
    *out = value;
    return TD_OK;
}

/* Levenshtein distance, capped by the buffers: names longer than 63 are never "near". */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b);
    if (rows > 63 || columns > 63) {
        return SIZE_MAX;
    }
    size_t line[64];
    for (size_t j = 0; j <= columns; j++) {
        line[j] = j;
    }
    for (size_t i = 1; i <= rows; i++) {
        size_t diagonal = line[0];
        line[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t above = line[j];
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = line[j - 1] + 1 < best ? line[j - 1] + 1 : best;
            diagonal = above;
            line[j] = best;
        }
    }
    return line[columns];
}

const char *td_nearest(const char *text, const char *const *names)
{
    const char *best = NULL;
    size_t best_distance = strlen(text) / 3 + 2; /* one typo in three letters, plus one */
    for (; *names != NULL; names++) {
        size_t distance = edit_distance(text, *names);
        if (distance < best_distance) {
            best_distance = distance;
            best = *names;
        }
    }
    return best;
}

void td_format_bytes(uint64_t bytes, char out[24])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < TD_COUNT_OF(units)) {
        value /= 1024;
        unit++;
    }
    snprintf(out, 24, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}
