/*
 * diff.c: tidemark model diff: what differs between two versions, a line a difference: + new, - gone, ~ changed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

#define BINS_SHOWN 6

/* Appends what there is to say of an element beside its name. */
typedef void (*describe_fn)(td_str *out, const json_t *element);

/* Numbers as short as they are. */
static void add_value(td_str *out, const json_t *value)
{
    if (json_is_real(value)) {
        td_str_addf(out, "%.6g", json_real_value(value));
    } else {
        td_cell_add(out, value, TD_CELL_TEXT);
    }
}

static void describe_value(td_str *out, const json_t *element)
{
    add_value(out, json_object_get(element, "value"));
}

static void describe_file(td_str *out, const json_t *element)
{
    td_cell_add(out, json_object_get(element, "size"), TD_CELL_BYTES);
    td_str_add_char(out, ' ');
    td_cell_add(out, json_object_get(element, "digest"), TD_CELL_DIGEST);
}

/* "float32[1, N, ?]" */
static void describe_port(td_str *out, const json_t *element)
{
    const json_t *shape = json_object_get(element, "shape");
    td_cell_add(out, json_object_get(element, "type"), TD_CELL_TEXT);
    for (size_t i = 0; i < json_array_size(shape); i++) {
        const json_t *dim = json_array_get(shape, i);
        td_str_add(out, i == 0 ? "[" : ", ");
        if (json_is_null(dim)) {
            td_str_add_char(out, '?');
        } else {
            td_cell_add(out, dim, TD_CELL_TEXT);
        }
    }
    td_str_add(out, json_array_size(shape) > 0 ? "]" : "");
}

static void describe_operator(td_str *out, const json_t *element)
{
    td_str_add(out, "×");
    td_cell_add(out, json_object_get(element, "count"), TD_CELL_TEXT);
    td_str_add(out, json_is_true(json_object_get(element, "custom")) ? " (custom)" : "");
}

/* "numeric, 10 edges: 1, 2.5 …" */
static void describe_feature(td_str *out, const json_t *element)
{
    const json_t *edges = json_object_get(element, "edges");
    bool numeric = json_is_array(edges);
    edges = numeric ? edges : json_object_get(element, "categories");
    td_cell_add(out, json_object_get(element, "type"), TD_CELL_TEXT);
    td_str_addf(out, ", %zu %s", json_array_size(edges), numeric ? "edges" : "categories");
    for (size_t i = 0; i < json_array_size(edges) && i < BINS_SHOWN; i++) {
        td_str_add(out, i == 0 ? ": " : ", ");
        add_value(out, json_array_get(edges, i));
    }
    td_str_add(out, json_array_size(edges) > BINS_SHOWN ? " …" : "");
}

static void describe_nothing(td_str *out, const json_t *element)
{
    (void)out;
    (void)element;
}

/* ---- lines ---- */

static void print_difference(td_cli *cli, char sign, const char *name, const td_str *text)
{
    td_tint tint = sign == '+' ? TD_TINT_GOOD : sign == '-' ? TD_TINT_BAD : TD_TINT_WARN;
    TD_CLEANUP(td_str_done) td_str tame = {0};
    td_text_add(&tame, name);
    td_print_line(cli, "  %s%c %s%s  %s", td_tint_code(cli, tint), sign, td_str_text(&tame),
                  td_tint_code(cli, TD_TINT_NONE), td_str_text(text));
}

static void print_side(td_cli *cli, const json_t *part, const char *list, char sign, describe_fn describe)
{
    size_t i;
    json_t *element;
    json_array_foreach (json_object_get(part, list), i, element) {
        TD_CLEANUP(td_str_done) td_str text = {0};
        describe(&text, element);
        print_difference(cli, sign, td_json_text(element, "name", "?"), &text);
    }
}

/* " (+0.02)" between two numbers. */
static void add_change(td_str *out, const json_t *from, const json_t *to)
{
    const json_t *before = json_object_get(from, "value"), *after = json_object_get(to, "value");
    if (json_is_number(before) && json_is_number(after)) {
        td_str_addf(out, " (%+.4g)", json_number_value(after) - json_number_value(before));
    }
}

static void print_changed(td_cli *cli, const json_t *part, describe_fn describe)
{
    size_t i;
    json_t *element;
    json_array_foreach (json_object_get(part, "changed"), i, element) {
        const json_t *from = json_object_get(element, "from"), *to = json_object_get(element, "to");
        TD_CLEANUP(td_str_done) td_str text = {0};
        describe(&text, from);
        td_str_add(&text, text.size > 0 ? " → " : "");
        describe(&text, to);
        add_change(&text, from, to);
        print_difference(cli, '~', td_json_text(element, "name", "?"), &text);
    }
}

/* False when there was nothing to print. */
static bool print_part(td_cli *cli, const char *title, const json_t *part, describe_fn describe)
{
    bool any = json_array_size(json_object_get(part, "added")) + json_array_size(json_object_get(part, "removed")) +
                   json_array_size(json_object_get(part, "changed")) > 0;
    if (any) {
        td_print_title(cli, title);
        print_side(cli, part, "removed", '-', describe);
        print_changed(cli, part, describe);
        print_side(cli, part, "added", '+', describe);
    }
    return any;
}

static void print_warnings(td_cli *cli, const json_t *diff)
{
    size_t i;
    json_t *text;
    const json_t *warnings = json_object_get(diff, "warnings");
    if (json_array_size(warnings) > 0) {
        td_print_title(cli, "Mind");
    }
    json_array_foreach ((json_t *)warnings, i, text) {
        TD_CLEANUP(td_str_done) td_str tame = {0};
        td_text_add(&tame, json_string_value(text));
        td_print_line(cli, "  %s", td_str_text(&tame));
    }
}

static void print_diff(td_cli *cli, const json_t *diff)
{
    static const struct {
        const char *key, *title;
        describe_fn describe;
    } parts[] = {
        {"files", "Files", describe_file},
        {"facts", "Model file", describe_value},
        {"inputs", "Inputs", describe_port},
        {"outputs", "Outputs", describe_port},
        {"operators", "Operators", describe_operator},
        {"metrics", "Metrics", describe_value},
        {"params", "Parameters", describe_value},
        {"tags", "Tags", describe_value},
        {"baseline.facts", "Reference data", describe_value},
        {"baseline.features", "Baseline", describe_feature},
        {"lineage", "Made from", describe_nothing},
    };
    bool any = false;
    td_print_line(cli, "%s (%s) → %s (%s)", td_json_text(json_object_get(diff, "from"), "label", "?"),
                  td_json_text(json_object_get(diff, "from"), "state", "?"),
                  td_json_text(json_object_get(diff, "to"), "label", "?"),
                  td_json_text(json_object_get(diff, "to"), "state", "?"));
    for (size_t i = 0; i < TD_COUNT_OF(parts); i++) {
        any |= print_part(cli, parts[i].title, td_json_at(diff, parts[i].key), parts[i].describe);
    }
    print_warnings(cli, diff);
    if (!any) {
        td_print_line(cli, "No difference.");
    }
}

td_code td_cli_diff(td_cli *cli, td_err *err)
{
    const char *model, *version, *other = NULL, *other_version;
    bool two = cli->argument_count > 1;
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    if (two) {
        TD_TRY(td_cli_reference(cli, cli->arguments[1], &other, &other_version, err));
        const char *from = td_cli_text(cli, "%s%s%s", model, version[0] == '@' ? "" : "/", version);
        const char *path = td_cli_path(cli, "models", other, "versions", other_version, "diff", NULL);
        return td_cli_show(cli, td_cli_query(cli, path, "from", from), print_diff, err);
    }
    return td_cli_show(cli, td_cli_path(cli, "models", model, "versions", version, "diff", NULL), print_diff,
                       err);
}
