/*
 * metrics_text.c: Prometheus' text format.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/metrics_text.h"

#include <math.h>

void td_metrics_family(td_str *out, const char *name, const char *kind, const char *help)
{
    td_str_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

static void add_escaped(td_str *out, const char *value)
{
    for (; *value; value++) {
        if (*value == '\n') {
            td_str_add(out, "\\n");
        } else if (*value == '"' || *value == '\\') {
            td_str_addf(out, "\\%c", *value);
        } else {
            td_str_add_char(out, *value);
        }
    }
}

static void add_number(td_str *out, double value)
{
    if (value == floor(value) && fabs(value) < 9e15) {
        td_str_addf(out, " %lld\n", (long long)value);
    } else {
        td_str_addf(out, " %.15g\n", value);
    }
}

void td_metrics_sample(td_str *out, const char *name, const td_label *labels, size_t count, double value)
{
    td_str_add(out, name);
    for (size_t i = 0; i < count; i++) {
        td_str_addf(out, "%s%s=\"", i ? "," : "{", labels[i].name);
        add_escaped(out, labels[i].value);
        td_str_add(out, "\"");
    }
    td_str_add(out, count ? "}" : "");
    add_number(out, value);
}

void td_metrics_single(td_str *out, const char *name, const char *kind, const char *help, double value)
{
    td_metrics_family(out, name, kind, help);
    td_metrics_sample(out, name, NULL, 0, value);
}
