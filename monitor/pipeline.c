/*
 * pipeline.c: the form of pipeline.yaml: steps whose references to each other's outputs make the graph.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/baseline.h"
#include "monitor/run.h"

#include <stdio.h>
#include <string.h>

#define NAME_LENGTH_MAX 64
#define ARGUMENTS_MAX 64

static const char *const roles[] = {"model", "baseline_csv", "metrics", "dataset", "golden", "file", NULL};

static const td_json_field input_fields[] = {
    {.name = "name", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = NAME_LENGTH_MAX},
    {.name = "path", .type = TD_JSON_STRING, .minimum = 1, .maximum = 4000},
    {.name = "digest", .type = TD_JSON_STRING, .minimum = 71, .maximum = 72},
    {.name = "from", .type = TD_JSON_STRING, .minimum = 3, .maximum = 2 * NAME_LENGTH_MAX},
    {.name = "parent_file", .type = TD_JSON_STRING, .minimum = 1, .maximum = 200},
    {.name = "dataset", .type = TD_JSON_STRING, .minimum = 1, .maximum = 480},
    {.name = NULL},
};
static const td_json_field output_fields[] = {
    {.name = "name", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = NAME_LENGTH_MAX},
    {.name = "path", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = 200},
    {.name = "role", .type = TD_JSON_STRING, .choices = roles},
    {.name = "file", .type = TD_JSON_STRING, .minimum = 1, .maximum = 200},
    {.name = "required", .type = TD_JSON_BOOLEAN},
    {.name = NULL},
};
static const td_json_field step_fields[] = {
    {.name = "name", .type = TD_JSON_STRING, .required = true, .minimum = 1, .maximum = NAME_LENGTH_MAX},
    {.name = "command",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_STRING,
     .required = true,
     .minimum = 1,
     .maximum = ARGUMENTS_MAX},
    {.name = "environment", .type = TD_JSON_OBJECT},
    {.name = "inputs",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_OBJECT,
     .fields = input_fields,
     .minimum = 0,
     .maximum = 64},
    {.name = "outputs",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_OBJECT,
     .fields = output_fields,
     .minimum = 0,
     .maximum = 64},
    {.name = "timeout", .type = TD_JSON_DURATION},
    {.name = "retries", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 10},
    {.name = "network", .type = TD_JSON_BOOLEAN},
    {.name = NULL},
};
static const td_json_field pipeline_fields[] = {
    {.name = "description", .type = TD_JSON_STRING, .minimum = 0, .maximum = 1000},
    {.name = "gate", .type = TD_JSON_STRING, .minimum = 1, .maximum = 128},
    {.name = "registrar", .type = TD_JSON_STRING, .minimum = 1, .maximum = 64},
    {.name = "submit", .type = TD_JSON_BOOLEAN},
    {.name = "columns", .type = TD_JSON_OBJECT},
    {.name = "steps",
     .type = TD_JSON_ARRAY,
     .item_type = TD_JSON_OBJECT,
     .fields = step_fields,
     .required = true,
     .minimum = 1,
     .maximum = TD_STEPS_MAX},
    {.name = NULL},
};

/* ---- Reading --------------------------------------------------------------------------------- */

const json_t *td_pipeline_step(const json_t *spec, const char *name)
{
    const json_t *steps = json_object_get(spec, "steps");
    for (size_t i = 0; i < json_array_size(steps); i++) {
        if (strcmp(td_json_text(json_array_get(steps, i), "name", ""), name) == 0) {
            return json_array_get(steps, i);
        }
    }
    return NULL;
}

void td_input_step(const json_t *input, char out[65])
{
    const char *from = td_json_text(input, "from", "");
    size_t length = strcspn(from, ".");
    snprintf(out, 65, "%.*s", (int)(length < 64 ? length : 64), from);
}

const char *td_input_output(const json_t *input)
{
    const char *dot = strchr(td_json_text(input, "from", ""), '.');
    return dot != NULL ? dot + 1 : "";
}

static const json_t *find_named(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strcmp(td_json_text(json_array_get(list, i), "name", ""), name) == 0) {
            return json_array_get(list, i);
        }
    }
    return NULL;
}

/* ---- Checking -------------------------------------------------------------------------------- */

typedef struct checking {
    const json_t *spec;
    const char *name;
    const td_yaml_lines *lines;
} checking;

static td_code refuse(const checking *c, const json_t *node, td_err *err, const char *what, const char *value)
{
    int line = c->lines != NULL ? td_yaml_line(c->lines, node) : 0;
    if (line > 0) {
        return td_fail(err, TD_INVALID, "%s:%d: %s \"%.80s\"", c->name, line, what, value);
    }
    return td_fail(err, TD_INVALID, "%s: %s \"%.80s\"", c->name, what, value);
}

static bool plain_name(const char *name)
{
    return name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")] == '\0';
}

/* Names of files below the job folder: the worker makes them, so they must not lead out of it. */
static bool inner_path(const char *path)
{
    return path[0] != '/' && strstr(path, "..") == NULL && strstr(path, "//") == NULL;
}

static td_code check_input(const checking *c, const json_t *input, td_err *err)
{
    static const char *const kinds[] = {"path", "digest", "from", "parent_file"};
    size_t given = 0;
    for (size_t i = 0; i < TD_COUNT_OF(kinds); i++) {
        given += json_object_get(input, kinds[i]) != NULL;
    }
    const char *name = td_json_text(input, "name", "");
    if (given != 1) {
        return refuse(c, input, err, "give one of path, digest, from, parent_file for input", name);
    }
    if (!inner_path(name)) {
        return refuse(c, input, err, "an input's name is a file name below inputs/, not", name);
    }
    const char *path = td_json_text(input, "path", "/");
    if (path[0] != '/') {
        return refuse(c, input, err, "expected an absolute path, found", path);
    }
    if (json_object_get(input, "from") == NULL) {
        return TD_OK;
    }
    char step_name[65];
    td_input_step(input, step_name);
    const json_t *step = td_pipeline_step(c->spec, step_name);
    if (step == NULL || find_named(json_object_get(step, "outputs"), td_input_output(input)) == NULL) {
        return refuse(c, input, err, "no step has an output", td_json_text(input, "from", ""));
    }
    return TD_OK;
}

static td_code check_unique(const checking *c, const json_t *list, const char *what, td_err *err)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (find_named(list, td_json_text(item, "name", "")) != item) {
            return refuse(c, item, err, what, td_json_text(item, "name", ""));
        }
    }
    return TD_OK;
}

static td_code check_step(const checking *c, const json_t *step, td_err *err)
{
    const char *name = td_json_text(step, "name", ""), *key;
    if (!plain_name(name)) {
        return refuse(c, step, err, "a step's name is made of letters, digits, _ and -, not", name);
    }
    json_t *value, *environment = json_object_get(step, "environment");
    json_object_foreach (environment, key, value) {
        if (!json_is_string(value)) {
            return refuse(c, environment, err, "expected text for environment variable", key);
        }
    }
    const json_t *inputs = json_object_get(step, "inputs"), *outputs = json_object_get(step, "outputs");
    for (size_t i = 0; i < json_array_size(inputs); i++) {
        TD_TRY(check_input(c, json_array_get(inputs, i), err));
    }
    for (size_t i = 0; i < json_array_size(outputs); i++) {
        const json_t *output = json_array_get(outputs, i);
        const char *path = td_json_text(output, "path", "");
        if (!plain_name(td_json_text(output, "name", "")) || !inner_path(path)) {
            return refuse(c, output, err, "an output needs a plain name and a path below the job folder, not", path);
        }
    }
    TD_TRY(check_unique(c, inputs, "two inputs are called", err));
    return check_unique(c, outputs, "two outputs are called", err);
}

/* Takes away steps whose inputs come from steps already taken away; what then remains is a cycle. */
static td_code check_cycles(const checking *c, td_err *err)
{
    const json_t *steps = json_object_get(c->spec, "steps");
    bool gone[TD_STEPS_MAX] = {false};
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < json_array_size(steps); i++) {
            const json_t *inputs = json_object_get(json_array_get(steps, i), "inputs");
            bool free = !gone[i];
            for (size_t k = 0; free && k < json_array_size(inputs); k++) {
                char from[65];
                td_input_step(json_array_get(inputs, k), from);
                for (size_t j = 0; from[0] != '\0' && j < json_array_size(steps); j++) {
                    free = free && (gone[j] || strcmp(td_json_text(json_array_get(steps, j), "name", ""), from) != 0);
                }
            }
            gone[i] = gone[i] || free;
            changed |= free;
        }
    }
    for (size_t i = 0; i < json_array_size(steps); i++) {
        if (!gone[i]) {
            return refuse(c, json_array_get(steps, i), err, "steps wait for each other in a circle, among them",
                          td_json_text(json_array_get(steps, i), "name", ""));
        }
    }
    return TD_OK;
}

td_code td_pipeline_check(const json_t *spec, const char *name, const td_yaml_lines *lines, td_err *err)
{
    checking c = {spec, name, lines};
    TD_TRY(td_json_check(spec, pipeline_fields, name, lines, err));
    const json_t *columns = json_object_get(spec, "columns");
    if (columns != NULL) {
        TD_TRY(td_baseline_check_columns(columns, name, lines, err));
    }
    const json_t *steps = json_object_get(spec, "steps");
    for (size_t i = 0; i < json_array_size(steps); i++) {
        TD_TRY(check_step(&c, json_array_get(steps, i), err));
    }
    TD_TRY(check_unique(&c, steps, "two steps are called", err));
    return check_cycles(&c, err);
}
