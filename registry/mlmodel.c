/*
 * mlmodel.c: MLflow's MLmodel file: flavours, signature, the run that made it.
 *
 * Nothing that it names is opened: its files are judged one by one, as files of the version.
 * Source: mlflow.org/docs/latest/ml/model and /signatures (Apache-2.0).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/inspect_internal.h"

#include <stdio.h>
#include <string.h>

#define FLAVORS_MAX 32
#define FLAVOR_KEYS_MAX 32

static json_t *text_json(const char *text)
{
    return td_facts_text(text, strlen(text), TD_FACTS_KEY_MAX);
}

/* Scalars only, numbers as text; NULL for everything else. */
static json_t *scalar_text(const json_t *value)
{
    char number[40];
    if (json_is_string(value)) {
        return text_json(json_string_value(value));
    }
    if (json_is_number(value)) {
        snprintf(number, sizeof number, "%.15g", json_number_value(value));
        return json_string(number);
    }
    return json_is_boolean(value) ? json_string(json_is_true(value) ? "true" : "false") : NULL;
}

/* ---- flavours ---- */

static void judge_flavor(td_facts *facts, const char *name, const json_t *flavor)
{
    static const char *const pickles[] = {"pickled_model", "python_model", "model_data", "pickle_module_info"};
    for (size_t i = 0; i < TD_COUNT_OF(pickles); i++) {
        const char *file = td_json_text(flavor, pickles[i], NULL);
        if (file != NULL &&
            (td_name__ends(file, ".pkl") || td_name__ends(file, ".pth") || td_name__ends(file, ".pt"))) {
            td_facts_risk(facts, "pickle", "its flavour %.40s loads %.80s, a pickle: loading it runs what it names",
                          name, file);
        }
    }
    if (json_object_get(flavor, "code") != NULL && !json_is_null(json_object_get(flavor, "code"))) {
        td_facts_risk(facts, "code", "its flavour %.40s brings Python code that runs when it is loaded", name);
    }
}

static json_t *flavor_json(const json_t *flavor)
{
    json_t *out = json_object();
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)flavor, key, value) {
        json_t *text = scalar_text(value);
        if (text != NULL && json_object_size(out) < FLAVOR_KEYS_MAX && strlen(key) <= 64) {
            (void)json_object_set_new(out, key, text);
        } else {
            json_decref(text);
        }
    }
    return out;
}

static void show_flavors(td_facts *facts, const json_t *flavors)
{
    json_t *out = json_object();
    const char *name;
    json_t *flavor;
    json_object_foreach ((json_t *)flavors, name, flavor) {
        if (json_object_size(out) < FLAVORS_MAX && strlen(name) <= 64) {
            (void)json_object_set_new(out, name, flavor_json(flavor));
            judge_flavor(facts, name, flavor);
        }
    }
    td_facts_detail(facts, "flavors", out);
}

/* ---- signature: JSON inside a text ---- */

static json_t *shape_json(const json_t *shape)
{
    if (!json_is_array(shape)) {
        return json_null();
    }
    json_t *out = json_array();
    for (size_t i = 0; i < json_array_size(shape) && i <= TD_FACTS_DIMS_MAX; i++) {
        const json_t *dim = json_array_get(shape, i);
        bool fixed = json_is_integer(dim) && json_integer_value(dim) >= 0;
        (void)json_array_append_new(out, fixed ? json_integer(json_integer_value(dim)) : json_null());
    }
    return out;
}

/* {"name", "type": "double"}, {"type": "tensor", "tensor-spec": {"dtype", "shape"}}, or nested types by their kind. */
static void show_column(td_facts *facts, const char *list, const json_t *column)
{
    const char *name = td_json_text(column, "name", "");
    const json_t *spec = json_object_get(column, "tensor-spec");
    const char *type = td_json_text(spec, "dtype", td_json_text(column, "type", "unknown"));
    json_t *clean = text_json(type);
    json_t *shape = shape_json(json_object_get(spec != NULL ? spec : column, "shape"));
    td_facts_port(facts, list, (td_text){name, strlen(name)}, clean != NULL ? json_string_value(clean) : "unknown",
                  shape);
    json_decref(clean);
}

static void show_columns(td_facts *facts, const char *list, const json_t *signature)
{
    TD_CLEANUP(td_json_done) json_t *columns = NULL;
    const char *text = td_json_text(signature, list, NULL);
    if (text == NULL) {
        return;
    }
    if (td_json_parse(text, strlen(text), "signature", &columns, NULL) != TD_OK) {
        td_facts_risk(facts, "signature", "the %s of its signature are no JSON", list);
        return;
    }
    for (size_t i = 0; i < json_array_size(columns); i++) {
        show_column(facts, list, json_array_get(columns, i));
    }
}

/* ---- the whole ---- */

static void show_rest(td_facts *facts, const json_t *model)
{
    static const char *const kept[] = {"run_id",        "model_uuid",       "model_id",          "utc_time_created",
                                       "artifact_path", "model_size_bytes", "databricks_runtime"};
    for (size_t i = 0; i < TD_COUNT_OF(kept); i++) {
        json_t *text = scalar_text(json_object_get(model, kept[i]));
        if (text != NULL) {
            td_facts_detail(facts, kept[i], text);
        }
    }
    const char *version = td_json_text(model, "mlflow_version", NULL);
    td_facts_set(facts, "producer", json_string("mlflow"));
    if (version != NULL) {
        td_facts_set(facts, "producer_version", text_json(version));
    }
    const char *key;
    json_t *value;
    json_object_foreach (json_object_get(model, "metadata"), key, value) {
        json_t *text = scalar_text(value);
        if (text != NULL) {
            td_facts_metadata(facts, (td_text){key, strlen(key)},
                              (td_text){json_string_value(text), strlen(json_string_value(text))});
        }
        json_decref(text);
    }
}

td_code td_mlmodel__read(const td_view *view, td_facts *facts, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *model = NULL;
    td_code code = td_yaml_parse((const char *)view->data, view->size, view->name, &model, NULL, err);
    if (code == TD_INVALID) { /* names the line */
        char why[sizeof err->text];
        snprintf(why, sizeof why, "%s", err != NULL ? err->text : "no YAML");
        return td_fail(err, TD_CORRUPT, "%s", why);
    }
    TD_TRY(code);
    const json_t *flavors = json_object_get(model, "flavors");
    if (!json_is_object(flavors)) {
        return td_fail(err, TD_CORRUPT, "%s: no key \"flavors\": this is no MLmodel file of MLflow", view->name);
    }
    const json_t *signature = json_object_get(model, "signature");
    show_flavors(facts, flavors);
    show_columns(facts, "inputs", signature);
    show_columns(facts, "outputs", signature);
    show_columns(facts, "params", signature);
    show_rest(facts, model);
    return TD_OK;
}
