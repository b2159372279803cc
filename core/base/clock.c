/*
 * clock.c: the system's clock, and times and durations as text.
 *
 * Civil dates are computed here (proleptic Gregorian calendar, days-from-civil), without the C library's time zones.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY_MS INT64_C(86400000)

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_wall_ms(const td_clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_REALTIME);
}

static int64_t system_monotonic_ms(const td_clock *clock)
{
    (void)clock;
    return read_clock(CLOCK_MONOTONIC);
}

const td_clock td_clock_system = {system_wall_ms, system_monotonic_ms, NULL};

/* Days since 1970-01-01 of a civil date (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted + (shifted < 10 ? 3 : -9));
    *year = year_of_era + era * 400 + (*month <= 2);
}

void td_format_time(int64_t wall_ms, char out[32])
{
    int64_t days = wall_ms >= 0 ? wall_ms / DAY_MS : -((-wall_ms + DAY_MS - 1) / DAY_MS);
    int64_t rest = wall_ms - days * DAY_MS;
    int64_t year;
    int month, day;
    civil_from_days(days, &year, &month, &day);
    if (year < 0 || year > 9999) {
        snprintf(out, 32, "(out of range)");
        return;
    }
    snprintf(out, 32, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)year, month, day, (int)(rest / 3600000),
             (int)(rest / 60000 % 60), (int)(rest / 1000 % 60), (int)(rest % 1000));
}

/* Reads exactly `digits` digits at *text. */
static bool read_digits(const char **text, int digits, int minimum, int maximum, int *out)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        char c = (*text)[i];
        if (c < '0' || c > '9') {
            return false;
        }
        value = value * 10 + (c - '0');
    }
    *text += digits;
    *out = value;
    return value >= minimum && value <= maximum;
}

static bool skip(const char **text, char c)
{
    if (**text != c) {
        return false;
    }
    (*text)++;
    return true;
}

static bool read_date(const char **text, int64_t *days_out)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!read_digits(text, 4, 0, 9999, &year) || !skip(text, '-') || !read_digits(text, 2, 1, 12, &month) ||
        !skip(text, '-') || !read_digits(text, 2, 1, 31, &day)) {
        return false;
    }
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > month_days[month - 1] + (leap && month == 2)) {
        return false;
    }
    *days_out = days_from_civil(year, month, day);
    return true;
}

static bool read_fraction(const char **text, int *ms_out)
{
    int scale = 100;
    *ms_out = 0;
    if (!skip(text, '.')) {
        return true;
    }
    int digits = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++, digits++, scale /= 10) {
        *ms_out += (**text - '0') * scale;
    }
    return digits > 0 && digits <= 9;
}

static bool read_zone(const char **text, int *minutes_out)
{
    *minutes_out = 0;
    if (skip(text, 'Z')) {
        return true;
    }
    int sign = **text == '-' ? -1 : 1;
    int hours, minutes;
    if ((!skip(text, '+') && !skip(text, '-')) || !read_digits(text, 2, 0, 23, &hours) || !skip(text, ':') ||
        !read_digits(text, 2, 0, 59, &minutes)) {
        return false;
    }
    *minutes_out = sign * (hours * 60 + minutes);
    return true;
}

static bool read_time(const char **text, int64_t *ms_out)
{
    int hour, minute, second = 0, fraction = 0, zone = 0;
    if ((!skip(text, 'T') && !skip(text, ' ')) || !read_digits(text, 2, 0, 23, &hour) || !skip(text, ':') ||
        !read_digits(text, 2, 0, 59, &minute)) {
        return false;
    }
    if (skip(text, ':') && (!read_digits(text, 2, 0, 60, &second) || !read_fraction(text, &fraction))) {
        return false;
    }
    if (!read_zone(text, &zone)) {
        return false;
    }
    *ms_out = ((int64_t)hour * 3600 + ((int64_t)minute - zone) * 60 + second) * 1000 + fraction;
    return true;
}

td_code td_parse_time(const char *text, int64_t *wall_ms_out, td_err *err)
{
    const char *at = text;
    int64_t days = 0, ms = 0;
    if (!read_date(&at, &days) || (*at != '\0' && !read_time(&at, &ms)) || *at != '\0') {
        return td_fail(err, TD_INVALID, "\"%.40s\" is not a time; write it as 2026-03-01T10:00:00Z", text);
    }
    *wall_ms_out = days * DAY_MS + ms;
    return TD_OK;
}

td_code td_parse_duration(const char *text, int64_t *ms_out, td_err *err)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"", 1000}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", DAY_MS}};
    int64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && value < INT64_C(100000000000); at++) {
        value = value * 10 + (*at - '0');
    }
    for (size_t i = 0; at != text && i < TD_COUNT_OF(units); i++) {
        if (strcmp(at, units[i].unit) == 0 && value <= INT64_MAX / units[i].ms) {
            *ms_out = value * units[i].ms;
            return TD_OK;
        }
    }
    return td_fail(err, TD_INVALID, "\"%.40s\" is not a duration; write it as 90s, 15m, 24h or 7d", text);
}
