/*
 * keras.c: Keras models whose configuration carries code: Lambda layers (marshalled Python) and names of anything.
 *
 * A configuration names each layer's class and, in Keras 3, the module to import it from: loading follows both. Known
 * modules of Keras hold layers and the like; a configuration that names another makes the loading program import it.
 * Source: keras/src/saving/serialization_lib.py of github.com/keras-team/keras (Apache-2.0); CVE-2025-1550.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/inspect_internal.h"

#include <string.h>

#define DEPTH_MAX 64

static const char *const modules[] = {"builtins",
                                      "keras",
                                      "keras.activations",
                                      "keras.constraints",
                                      "keras.dtype_policies",
                                      "keras.initializers",
                                      "keras.layers",
                                      "keras.losses",
                                      "keras.metrics",
                                      "keras.models",
                                      "keras.optimizers",
                                      "keras.optimizers.schedules",
                                      "keras.random",
                                      "keras.regularizers",
                                      "keras.src.engine.functional",
                                      "keras.src.models",
                                      "keras.src.models.functional",
                                      "keras.src.models.sequential",
                                      "keras.src.dtype_policies.dtype_policy"};

static void lambda(td_scan *scan)
{
    td_scan__note(scan, TD_VERDICT_DANGEROUS, "keras_lambda", "a Lambda layer of Keras carries Python code that runs");
}

static void judge_object(td_scan *scan, const json_t *object)
{
    const char *class = td_json_text(object, "class_name", NULL);
    const json_t *module = json_object_get(object, "module");
    if (class == NULL) {
        return;
    }
    if (strcmp(class, "Lambda") == 0 || strcmp(class, "__lambda__") == 0) {
        lambda(scan);
    }
    if (module == NULL || json_is_null(module)) {
        return;
    }
    const char *name = json_is_string(module) ? json_string_value(module) : "?";
    for (size_t i = 0; i < TD_COUNT_OF(modules); i++) {
        if (strcmp(modules[i], name) == 0) {
            return;
        }
    }
    td_scan__global(scan, (td_text){name, strlen(name)}, (td_text){class, strlen(class)});
    td_scan__note(scan, TD_VERDICT_DANGEROUS, "keras_module", "its configuration makes Keras import a foreign module");
}

static void walk(td_scan *scan, const json_t *node, int depth)
{
    const char *key;
    json_t *value;
    if (json_is_object(node) && depth < DEPTH_MAX) {
        judge_object(scan, node);
        json_object_foreach ((json_t *)node, key, value) {
            walk(scan, value, depth + 1);
        }
    }
    for (size_t i = 0; json_is_array(node) && depth < DEPTH_MAX && i < json_array_size(node); i++) {
        walk(scan, json_array_get(node, i), depth + 1);
    }
}

void td_keras__config(td_scan *scan, const uint8_t *data, size_t size)
{
    TD_CLEANUP(td_json_done) json_t *config = NULL;
    if (td_json_parse((const char *)data, size, "config.json", &config, NULL) != TD_OK) {
        td_scan__note(scan, TD_VERDICT_SUSPICIOUS, "keras_config", "the configuration of a Keras model cannot be read");
        return;
    }
    walk(scan, config, 0);
}

/* HDF5 keeps the configuration as JSON text in one piece. Its classes are looked for where they are named: one that is
 * written with escapes hides. */
void td_keras__hdf5(td_scan *scan, const uint8_t *data, size_t size)
{
    static const char mark[] = "\"class_name\"";
    const uint8_t *at = data, *end = data + size;
    while ((at = memmem(at, (size_t)(end - at), mark, sizeof mark - 1)) != NULL) {
        at += sizeof mark - 1;
        const uint8_t *value = at;
        while (value < end && (*value == ' ' || *value == ':' || *value == '\t' || *value == '\n' || *value == '\r')) {
            value++;
        }
        size_t left = (size_t)(end - value);
        bool named = (left >= 8 && memcmp(value, "\"Lambda\"", 8) == 0) ||
                     (left >= 12 && memcmp(value, "\"__lambda__\"", 12) == 0);
        if (named) {
            lambda(scan);
        } else if (left >= 32 && value[0] == '"' && memchr(value, '\\', 32) != NULL &&
                   (const uint8_t *)memchr(value, '\\', 32) < (const uint8_t *)memchr(value + 1, '"', left - 1)) {
            td_scan__note(scan, TD_VERDICT_SUSPICIOUS, "keras_escape",
                          "the name of a Keras layer is written in escapes");
        }
    }
}
