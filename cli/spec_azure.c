/*
 * spec_azure.c: what Azure ML's model YAML says in its own words, said in ours.
 *
 * Nothing that was written is dropped: what has no place of its own here is kept as a tag, where search finds it.
 * Keys: https://learn.microsoft.com/azure/machine-learning/reference-yaml-model
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

#include "registry/reference.h"

#define TYPE_TAG "azureml.type"
#define FLAVORS_TAG "azureml.flavors"
#define FLAVORS_MAX 4096 /* bytes */

static td_code add_tag(json_t *tags, const char *key, const char *value, const char *from, td_err *err)
{
    const char *there = td_json_text(tags, key, value);
    if (strcmp(there, value) != 0) {
        return td_fail(err, TD_INVALID, "%s and tags both say \"%.60s\", but not the same; %s become tags here", from,
                       key, from);
    }
    return json_object_set_new(tags, key, json_string(value)) == 0 ? TD_OK : td_cli_need(NULL, err);
}

static td_code add_properties(json_t *tags, const json_t *properties, td_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)properties, key, value) {
        TD_TRY(add_tag(tags, key, json_string_value(value), "properties", err));
    }
    return TD_OK;
}

static td_code add_flavors(json_t *tags, const json_t *flavors, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {.limit = FLAVORS_MAX};
    if (flavors == NULL) {
        return TD_OK;
    }
    if (td_json_write(flavors, &text, err) != TD_OK) {
        return td_fail(err, TD_LIMIT, "flavors: more than %d bytes", FLAVORS_MAX);
    }
    return add_tag(tags, FLAVORS_TAG, td_str_text(&text), "flavors", err);
}

static td_code settle_number(json_t *spec, td_err *err)
{
    int64_t number;
    const char *text = td_json_text(spec, "version", NULL);
    if (text == NULL) {
        return TD_OK;
    }
    TD_TRY(td_parse_int(text, "version", 1, TD_VERSION_NUMBER_MAX, &number, err));
    return json_object_set_new(spec, "version", json_integer(number)) == 0 ? TD_OK : td_cli_need(NULL, err);
}

td_code td_spec_settle(json_t *spec, td_err *err)
{
    const char *type = td_json_text(spec, "type", NULL), *stage = td_json_text(spec, "stage", NULL);
    const json_t *properties = json_object_get(spec, "properties"), *flavors = json_object_get(spec, "flavors");
    TD_TRY(settle_number(spec, err));
    if (type == NULL && stage == NULL && properties == NULL && flavors == NULL) {
        return TD_OK;
    }
    if (json_object_get(spec, "tags") == NULL && json_object_set_new(spec, "tags", json_object()) != 0) {
        return td_cli_need(NULL, err);
    }
    json_t *tags = json_object_get(spec, "tags");
    if (type != NULL) {
        TD_TRY(add_tag(tags, TYPE_TAG, type, "type", err));
    }
    if (stage != NULL) {
        TD_TRY(add_tag(tags, "stage", stage, "stage", err));
    }
    TD_TRY(add_flavors(tags, flavors, err));
    return add_properties(tags, properties, err);
}
