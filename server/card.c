/*
 * card.c: the model card: what the record knows of a version, for people, as Markdown.
 *
 * It says nothing that is not recorded, and names what is missing. The same version gives the same bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/usecase.h"

#include <string.h>

/* Text from outside must not become markup: backslash before what Markdown takes for its own, no line breaks. */
static void add_plain(td_str *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("\\`*_{}[]<>#|", *text)) {
            td_str_add_char(out, '\\');
        }
        td_str_add_char(out, *text == '\n' || *text == '\r' ? ' ' : *text);
    }
}

static void add_scalar(td_str *out, const json_t *value)
{
    if (json_is_string(value)) {
        add_plain(out, json_string_value(value));
    } else if (json_is_integer(value)) {
        td_str_addf(out, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        td_str_addf(out, "%.6g", json_real_value(value));
    } else if (json_is_boolean(value)) {
        td_str_add(out, json_is_true(value) ? "yes" : "no");
    } else {
        td_str_add(out, "—");
    }
}

static void add_row(td_str *out, const char *name, const json_t *value)
{
    if (value && !json_is_null(value)) {
        td_str_addf(out, "| %s | ", name);
        add_scalar(out, value);
        td_str_add(out, " |\n");
    }
}

/* Objects as tables, keys sorted so that the bytes do not depend on their order. */
static void add_table(td_str *out, const char *title, const json_t *object)
{
    td_str_addf(out, "\n## %s\n\n", title);
    if (json_object_size(object) == 0) {
        td_str_add(out, "None recorded.\n");
        return;
    }
    const char *keys[TD_ENTRIES_MAX];
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)object, key, value) {
        size_t at = count;
        if (count == TD_COUNT_OF(keys)) {
            break;
        }
        for (; at > 0 && strcmp(keys[at - 1], key) > 0; at--) {
            keys[at] = keys[at - 1];
        }
        keys[at] = key;
        count++;
    }
    td_str_add(out, "| name | value |\n|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        td_str_add(out, "| ");
        add_plain(out, keys[i]);
        td_str_add(out, " | ");
        add_scalar(out, json_object_get(object, keys[i]));
        td_str_add(out, " |\n");
    }
}

static void add_ports(td_str *out, const char *title, const json_t *ports)
{
    size_t index;
    json_t *port;
    json_array_foreach ((json_t *)ports, index, port) {
        td_str_addf(out, "- %s `", title);
        add_plain(out, td_json_text(port, "name", "?"));
        td_str_addf(out, "` %s", td_json_text(port, "type", ""));
        const json_t *shape = json_object_get(port, "shape");
        for (size_t i = 0; i < json_array_size(shape); i++) {
            td_str_add(out, i ? "×" : " ");
            add_scalar(out, json_array_get(shape, i));
        }
        td_str_add(out, "\n");
    }
}

static void add_risks(td_str *out, const json_t *risks)
{
    size_t index;
    json_t *risk;
    td_str_add(out, json_array_size(risks) > 0 ? "\n## Risks of the model file\n\n" : "");
    json_array_foreach ((json_t *)risks, index, risk) {
        td_str_add(out, "- ");
        add_plain(out, td_json_text(risk, "text", ""));
        td_str_add(out, "\n");
    }
}

static void add_sources(td_str *out, const json_t *sources)
{
    td_str_add(out, "\n## Made from\n\n");
    const json_t *datasets = json_object_get(sources, "datasets");
    size_t index;
    json_t *dataset;
    json_array_foreach ((json_t *)datasets, index, dataset) {
        td_str_add(out, "- dataset ");
        add_plain(out, td_json_text(dataset, "name", "?"));
        td_str_addf(out, " (%s)\n", td_json_text(dataset, "digest", "no digest given"));
    }
    const json_t *code = json_object_get(sources, "code");
    if (code) {
        td_str_add(out, "- code ");
        add_plain(out, td_json_text(code, "repository", "?"));
        td_str_add(out, " at ");
        add_plain(out, td_json_text(code, "commit", "?"));
        td_str_add(out, "\n");
    }
    if (json_array_size(datasets) == 0 && !code) {
        td_str_add(out, "No dataset and no code were named at registration.\n");
    }
}

static void add_baseline(td_str *out, const json_t *baseline)
{
    td_str_add(out, "\n## Baseline\n\n");
    if (!baseline) {
        td_str_add(out, "None: drift and fairness cannot be watched.\n");
        return;
    }
    td_str_addf(out, "%zu features over %lld reference rows.\n", json_array_size(json_object_get(baseline, "features")),
                (long long)td_json_int(baseline, "rows", 0));
}

td_code td_card_text(const json_t *version, const json_t *baseline, td_str *out, td_err *err)
{
    const json_t *facts = json_object_get(version, "facts");
    td_str_add(out, "# ");
    add_plain(out, td_json_text(version, "model", ""));
    td_str_addf(out, " / %lld\n\n", (long long)td_json_int(version, "version", 0));
    add_plain(out, td_json_text(version, "description", "No description was given."));
    td_str_add(out, "\n\n| fact | value |\n|---|---|\n");
    add_row(out, "registered by", json_object_get(version, "created_by"));
    add_row(out, "registered at", json_object_get(version, "created_at"));
    add_row(out, "parent", json_object_get(version, "parent"));
    add_row(out, "cause", json_object_get(version, "cause"));
    add_row(out, "format", json_object_get(version, "format"));
    add_row(out, "producer", json_object_get(facts, "producer"));
    add_row(out, "derived by", json_object_get(version, "derived_by"));
    add_row(out, "parameters", json_object_get(facts, "parameters"));
    add_row(out, "bytes of weights", json_object_get(facts, "parameter_bytes"));
    add_row(out, "quantisation", json_object_get(facts, "quantization"));
    add_row(out, "architecture", json_object_get(json_object_get(facts, "details"), "architecture"));
    add_row(out, "licence", json_object_get(json_object_get(facts, "details"), "license"));
    td_str_add(out, "\n## Interface\n\n");
    add_ports(out, "input", json_object_get(facts, "inputs"));
    add_ports(out, "output", json_object_get(facts, "outputs"));
    if (!json_is_object(facts)) {
        td_str_add(out, "Not known: the model file is opaque to the registry.\n");
    }
    add_risks(out, json_object_get(facts, "risks"));
    add_table(out, "Metrics", json_object_get(version, "metrics"));
    add_table(out, "Parameters of training", json_object_get(version, "params"));
    add_table(out, "Tags", json_object_get(version, "tags"));
    add_sources(out, json_object_get(version, "sources"));
    add_baseline(out, baseline);
    return td_str_check(out, err);
}
