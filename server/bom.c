/*
 * bom.c: a version's bill of materials: CycloneDX 1.6 with a machine-learning model, from what the registry knows.
 *
 * It says nothing that is not recorded; the same version gives the same bytes (its number follows from the content id,
 * its time is the manifest's). Source: https://cyclonedx.org/docs/1.6/json. SPDX-License-Identifier: Apache-2.0
 */
#include "server/usecase_claim.h"

#include <stdio.h>
#include <string.h>

#define DATASETS_MAX 256 /* listed; of more the number is told */

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory for a bill of materials");
}

static td_code add(json_t *list, json_t *one, td_err *err)
{
    return json_array_append_new(list, one) == 0 ? TD_OK : no_memory(err);
}

static json_t *hashes(const uint8_t digest[TD_DIGEST_SIZE])
{
    char hex[TD_DIGEST_TEXT];
    td_hex_encode(digest, TD_DIGEST_SIZE, hex);
    return json_pack("[{s:s, s:s}]", "alg", "SHA-256", "content", hex);
}

static td_code add_property(json_t *list, const char *name, const char *value, td_err *err)
{
    return add(list, json_pack("{s:s, s:s}", "name", name, "value", value), err);
}

/* ---- the model card ---- */

/* "float32[1,n]" */
static void add_port(td_str *out, const json_t *port)
{
    const json_t *shape = json_object_get(port, "shape");
    td_str_addf(out, "%s: %s[", td_json_text(port, "name", ""), td_json_text(port, "type", ""));
    for (size_t i = 0; i < json_array_size(shape); i++) {
        const json_t *one = json_array_get(shape, i);
        td_str_add(out, i > 0 ? "," : "");
        if (json_is_integer(one)) {
            td_str_addf(out, "%lld", (long long)json_integer_value(one));
        } else {
            td_str_add(out, json_is_string(one) ? json_string_value(one) : "?");
        }
    }
    td_str_add_char(out, ']');
}

static td_code ports(const json_t *facts, const char *key, json_t *parameters, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    size_t index;
    json_t *port;
    json_array_foreach (json_object_get(facts, key), index, port) {
        TD_CLEANUP(td_str_done) td_str text = {0};
        add_port(&text, port);
        TD_TRY(td_str_check(&text, err));
        TD_TRY(add(list, json_pack("{s:s}", "format", td_str_text(&text)), err));
    }
    return json_array_size(list) == 0 || json_object_set(parameters, key, list) == 0 ? TD_OK : no_memory(err);
}

static td_code metrics(const json_t *version, json_t *card, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    const char *name;
    json_t *value;
    json_object_foreach (json_object_get(version, "metrics"), name, value) {
        char text[40];
        snprintf(text, sizeof text, "%.17g", json_number_value(value));
        TD_TRY(add(list, json_pack("{s:s, s:s}", "type", name, "value", text), err));
    }
    json_t *analysis = json_pack("{s:O}", "performanceMetrics", list);
    return json_array_size(list) == 0                                         ? (json_decref(analysis), TD_OK)
           : json_object_set_new(card, "quantitativeAnalysis", analysis) == 0 ? TD_OK
                                                                              : no_memory(err);
}

/* ---- components ---- */

static td_code file_components(const td_about *about, json_t *components, json_t *refs, td_err *err)
{
    for (size_t i = 0; i < about->manifest.file_count; i++) {
        const td_manifest_file *file = &about->manifest.files[i];
        char ref[TD_FILE_NAME_MAX + 8];
        snprintf(ref, sizeof ref, "file:%s", file->name);
        TD_TRY(add(components,
                   json_pack("{s:s, s:s, s:s, s:o}", "type", "file", "bom-ref", ref, "name", file->name, "hashes",
                             hashes(file->digest)),
                   err));
        TD_TRY(add(refs, json_string(ref), err));
    }
    return TD_OK;
}

static json_t *dataset_component(const json_t *dataset, const char *ref)
{
    const char *name = td_json_text(dataset, "name", ""), *uri = td_json_text(dataset, "uri", NULL);
    const char *digest = td_json_text(dataset, "digest", "");
    uint8_t bytes[TD_DIGEST_SIZE];
    json_t *data = json_pack("{s:s, s:s}", "type", "dataset", "name", name);
    if (uri != NULL) {
        (void)json_object_set_new(data, "contents", json_pack("{s:s}", "url", uri));
    }
    json_t *json = json_pack("{s:s, s:s, s:s, s:[o]}", "type", "data", "bom-ref", ref, "name", name, "data", data);
    if (td_digest_parse(digest, bytes, NULL) == TD_OK) {
        (void)json_object_set_new(json, "hashes", hashes(bytes));
    }
    return json;
}

/* A space or a control character in somebody's URI would make the document invalid: then the name has to do. */
static td_code dataset_components(const json_t *version, json_t *components, json_t *refs, json_t *used, td_err *err)
{
    const json_t *datasets = json_object_get(json_object_get(version, "sources"), "datasets");
    for (size_t i = 0; i < json_array_size(datasets) && i < DATASETS_MAX; i++) {
        char ref[32];
        TD_CLEANUP(td_json_done) json_t *dataset = json_copy(json_array_get(datasets, i));
        const char *uri = td_json_text(dataset, "uri", "");
        if (uri[strspn(uri, "!#$%&'()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~")] !=
            '\0') {
            (void)json_object_del(dataset, "uri");
        }
        snprintf(ref, sizeof ref, "dataset:%zu", i + 1);
        TD_TRY(add(components, dataset_component(dataset, ref), err));
        TD_TRY(add(refs, json_string(ref), err));
        TD_TRY(add(used, json_pack("{s:s}", "ref", ref), err));
    }
    return TD_OK;
}

static td_code model_properties(const json_t *version, const td_about *about, json_t *list, td_err *err)
{
    char root[TD_DIGEST_LABEL_SIZE], number[24];
    td_digest_format(about->model_root, root);
    TD_TRY(add_property(list, "tidemark:project", about->manifest.project, err));
    TD_TRY(add_property(list, "tidemark:format", about->manifest.format, err));
    TD_TRY(add_property(list, "tidemark:model_root", root, err));
    if (td_json_text(version, "parent", NULL) != NULL) {
        TD_TRY(add_property(list, "tidemark:parent", td_json_text(version, "parent", ""), err));
    }
    const json_t *code = json_object_get(json_object_get(version, "sources"), "code");
    if (code != NULL) {
        TD_TRY(add_property(list, "tidemark:code:repository", td_json_text(code, "repository", ""), err));
        TD_TRY(add_property(list, "tidemark:code:commit", td_json_text(code, "commit", ""), err));
    }
    size_t datasets = json_array_size(json_object_get(json_object_get(version, "sources"), "datasets"));
    snprintf(number, sizeof number, "%zu", datasets);
    return datasets > DATASETS_MAX ? add_property(list, "tidemark:datasets", number, err) : TD_OK;
}

static td_code model_component(const json_t *version, const td_about *about, const json_t *used, json_t **out,
                               td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *properties = json_array();
    TD_CLEANUP(td_json_done) json_t *parameters = json_object();
    TD_CLEANUP(td_json_done) json_t *card = json_object();
    char number[16];
    const json_t *facts = json_object_get(version, "facts");
    TD_TRY(model_properties(version, about, properties, err));
    TD_TRY(ports(facts, "inputs", parameters, err));
    TD_TRY(ports(facts, "outputs", parameters, err));
    if (json_array_size(used) > 0 && json_object_set(parameters, "datasets", (json_t *)used) != 0) {
        return no_memory(err);
    }
    if (json_object_size(parameters) > 0 && json_object_set(card, "modelParameters", parameters) != 0) {
        return no_memory(err);
    }
    TD_TRY(metrics(version, card, err));
    snprintf(number, sizeof number, "%u", about->manifest.version);
    *out = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:O, s:O}", "type", "machine-learning-model", "bom-ref",
                     about->label, "name", about->manifest.model, "version", number, "description",
                     td_json_text(version, "description", ""), "hashes", hashes(about->content_id), "modelCard", card,
                     "properties", properties);
    return *out != NULL ? TD_OK : no_memory(err);
}

/* A UUID of version 8 (RFC 9562) out of the content id. */
static void serial_number(const uint8_t digest[TD_DIGEST_SIZE], char out[64])
{
    char hex[33];
    uint8_t bytes[16];
    memcpy(bytes, digest, sizeof bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x80);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    td_hex_encode(bytes, sizeof bytes, hex);
    snprintf(out, 64, "urn:uuid:%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

td_code td_bom_json(const json_t *version, const td_about *about, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *components = json_array();
    TD_CLEANUP(td_json_done) json_t *refs = json_array();
    TD_CLEANUP(td_json_done) json_t *used = json_array();
    TD_CLEANUP(td_json_done) json_t *model = NULL;
    char serial[64], time[32];
    TD_TRY(file_components(about, components, refs, err));
    TD_TRY(dataset_components(version, components, refs, used, err));
    TD_TRY(model_component(version, about, used, &model, err));
    serial_number(about->content_id, serial);
    td_format_time((int64_t)about->manifest.created_ms, time);
    *out =
        json_pack("{s:s, s:s, s:s, s:i, s:{s:s, s:{s:[{s:s, s:s, s:s}]}, s:O}, s:O, s:[{s:s, s:O}]}", "bomFormat",
                  "CycloneDX", "specVersion", "1.6", "serialNumber", serial, "version", 1, "metadata", "timestamp",
                  time, "tools", "components", "type", "application", "name", "tidemark", "version", TD_VERSION,
                  "component", model, "components", components, "dependencies", "ref", about->label, "dependsOn", refs);
    return *out != NULL ? TD_OK : no_memory(err);
}
