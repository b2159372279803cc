/*
 * spec.c: model.yaml: what may be in it, and the short forms that flags have for the same things.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

#include "core/crypto/crypto.h"
#include "monitor/baseline.h"
#include "registry/reference.h"

static const td_json_field file_fields[] = {
    {.name = "path", .type = TD_JSON_STRING, .required = true},
    {.name = "name", .type = TD_JSON_STRING},
    {.name = "role", .type = TD_JSON_STRING, .choices = (const char *const[]){"model", "golden", "meta", NULL}},
    {0},
};

static const td_json_field baseline_fields[] = {
    {.name = "path", .type = TD_JSON_STRING, .required = true},
    {.name = "columns", .type = TD_JSON_OBJECT},
    {0},
};

static const td_json_field dataset_fields[] = {
    {.name = "name", .type = TD_JSON_STRING, .required = true},
    {.name = "uri", .type = TD_JSON_STRING},
    {.name = "path", .type = TD_JSON_STRING},
    {.name = "digest", .type = TD_JSON_STRING},
    {0},
};

static const td_json_field code_fields[] = {
    {.name = "repository", .type = TD_JSON_STRING, .required = true},
    {.name = "commit", .type = TD_JSON_STRING, .required = true},
    {0},
};

static const td_json_field target_fields[] = {
    {.name = "hardware", .type = TD_JSON_STRING},
    {.name = "runtimes", .type = TD_JSON_ARRAY, .item_type = TD_JSON_STRING, .minimum = 0, .maximum = 4},
    {.name = "ram_bytes", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 1e15},
    {0},
};

static const char *const types[] = {"custom_model", "mlflow_model", "triton_model", NULL};

static const td_json_field spec_fields[] = {
    {.name = "$schema", .type = TD_JSON_STRING},
    {.name = "version", .type = TD_JSON_ANY},
    {.name = "type", .type = TD_JSON_STRING, .choices = types},
    {.name = "flavors", .type = TD_JSON_OBJECT},
    {.name = "properties", .type = TD_JSON_OBJECT},
    {.name = "stage", .type = TD_JSON_STRING, .minimum = 1, .maximum = 128},
    {.name = "name", .type = TD_JSON_STRING},
    {.name = "path", .type = TD_JSON_STRING},
    {.name = "files", .type = TD_JSON_ARRAY, .item_type = TD_JSON_OBJECT, .fields = file_fields},
    {.name = "description", .type = TD_JSON_STRING},
    {.name = "tags", .type = TD_JSON_OBJECT},
    {.name = "baseline", .type = TD_JSON_OBJECT, .fields = baseline_fields},
    {.name = "datasets", .type = TD_JSON_ARRAY, .item_type = TD_JSON_OBJECT, .fields = dataset_fields},
    {.name = "code", .type = TD_JSON_OBJECT, .fields = code_fields},
    {.name = "metrics", .type = TD_JSON_OBJECT},
    {.name = "params", .type = TD_JSON_OBJECT},
    {.name = "parent", .type = TD_JSON_STRING},
    {.name = "cause", .type = TD_JSON_STRING},
    {.name = "target", .type = TD_JSON_OBJECT, .fields = target_fields},
    {.name = "security_counter", .type = TD_JSON_INTEGER, .minimum = 0, .maximum = 4294967295.0},
    {.name = "strict", .type = TD_JSON_BOOLEAN},
    {0},
};

static td_code check_metrics(const json_t *metrics, const char *name, const td_yaml_lines *lines, td_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)metrics, key, value) {
        if (!json_is_number(value)) {
            int line = lines == NULL ? 0 : td_yaml_line(lines, value);
            return td_fail(err, TD_INVALID, "%s:%d: metric \"%.60s\" is not a number", name, line, key);
        }
    }
    return TD_OK;
}

static td_code check_texts(const json_t *pairs, const char *what, const char *name, const td_yaml_lines *lines,
                           td_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)pairs, key, value) {
        if (!json_is_string(value)) {
            return td_fail(err, TD_INVALID, "%s:%d: %s \"%.60s\" is no text; write its value in quotes", name,
                           td_yaml_line(lines, value), what, key);
        }
    }
    return TD_OK;
}

/* Azure ML's versions are texts; ours are numbers. "3" is both. */
static td_code check_number(const json_t *version, const char *name, const td_yaml_lines *lines, td_err *err)
{
    int64_t number = json_integer_value(version);
    const char *text = json_string_value(version);
    if (version == NULL || (json_is_integer(version) && number >= 1 && number <= TD_VERSION_NUMBER_MAX) ||
        (text != NULL && td_parse_int(text, "version", 1, TD_VERSION_NUMBER_MAX, &number, NULL) == TD_OK)) {
        return TD_OK;
    }
    return td_fail(err, TD_INVALID,
                   "%s:%d: version: versions are numbered 1, 2, 3 …; leave it out to get the next number, and keep "
                   "another name as a tag",
                   name, td_yaml_line(lines, version));
}

/* The server fetches nothing from anywhere, so the files must be here. */
static td_code check_path(const json_t *path, const char *name, const td_yaml_lines *lines, td_err *err)
{
    static const char *const schemes[] = {"azureml:", "runs:/", "models:/", "mlflow-artifacts:", "dbfs:/"};
    const char *text = path != NULL ? json_string_value(path) : "";
    bool remote = strstr(text, "://") != NULL;
    for (size_t i = 0; i < TD_COUNT_OF(schemes); i++) {
        remote = remote || strncmp(text, schemes[i], strlen(schemes[i])) == 0;
    }
    return remote
               ? td_fail(err, TD_INVALID,
                         "%s:%d: path: %.80s lies elsewhere; download it, and name the file or folder on this machine",
                         name, td_yaml_line(lines, path), text)
               : TD_OK;
}

td_code td_spec_check(const json_t *spec, const char *name, const td_yaml_lines *lines, td_err *err)
{
    if (!json_is_object(spec)) {
        return td_fail(err, TD_INVALID, "%s: expected a mapping with name, path, baseline, …", name);
    }
    TD_TRY(td_json_check(spec, spec_fields, name, lines, err));
    TD_TRY(check_metrics(json_object_get(spec, "metrics"), name, lines, err));
    TD_TRY(check_texts(json_object_get(spec, "tags"), "tag", name, lines, err));
    TD_TRY(check_texts(json_object_get(spec, "properties"), "property", name, lines, err));
    TD_TRY(check_number(json_object_get(spec, "version"), name, lines, err));
    TD_TRY(check_path(json_object_get(spec, "path"), name, lines, err));
    const json_t *columns = json_object_get(json_object_get(spec, "baseline"), "columns");
    return columns == NULL ? TD_OK : td_baseline_check_columns(columns, name, lines, err);
}

/* Is `name` one of the comma-separated cells of the header? */
static bool has_column(const char *header, const char *name)
{
    size_t length = strlen(name);
    for (const char *cell = header; *cell != '\0';) {
        size_t size = strcspn(cell, ",\r\n");
        bool quoted = size == length + 2 && cell[0] == '"';
        if ((size == length && strncmp(cell, name, length) == 0) || (quoted && strncmp(cell + 1, name, length) == 0)) {
            return true;
        }
        if (cell[size] != ',') {
            return false;
        }
        cell += size + 1;
    }
    return false;
}

td_code td_spec_guess_columns(const char *header, json_t *columns, td_err *err)
{
    static const char *const roles[] = {"prediction", "score", "label", "group"};
    for (size_t i = 0; i < TD_COUNT_OF(roles); i++) {
        if (json_object_get(columns, roles[i]) == NULL && has_column(header, roles[i]) &&
            json_object_set_new(columns, roles[i], json_string(roles[i])) != 0) {
            return td_fail(err, TD_NOMEM, "no memory for the columns");
        }
    }
    return TD_OK;
}

/* Cuts text at the last '@'. */
static const char *last_at(const char *text)
{
    const char *at = strrchr(text, '@');
    return at == NULL || at == text || at[1] == '\0' ? NULL : at;
}

static td_code dataset_digest(const char *source, char out[7 + TD_DIGEST_TEXT], td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    if (strncmp(source, "sha256:", 7) == 0) {
        TD_TRY(td_hex_decode(source + 7, strlen(source + 7), digest, sizeof digest, err));
    } else {
        TD_TRY(td_sha256_file(source, digest, NULL, err));
    }
    memcpy(out, "sha256:", 7);
    td_hex_encode(digest, sizeof digest, out + 7);
    return TD_OK;
}

td_code td_spec_dataset(const char *text, json_t **out, td_err *err)
{
    char digest[7 + TD_DIGEST_TEXT];
    const char *at = last_at(text);
    const char *equals = at == NULL ? NULL : memchr(text, '=', (size_t)(at - text));
    size_t name = at == NULL ? 0 : (size_t)((equals != NULL ? equals : at) - text);
    if (name == 0 || (equals != NULL && at < equals + 2)) {
        return td_fail(err, TD_INVALID, "--dataset %.80s: expected NAME@FILE, NAME=URI@FILE or NAME=URI@sha256:DIGEST",
                       text);
    }
    if (dataset_digest(at + 1, digest, err) != TD_OK) {
        return td_wrap(err, "--dataset %.40s", text);
    }
    json_t *dataset = json_pack("{s:s%, s:s}", "name", text, name, "digest", digest);
    TD_TRY(td_cli_need(dataset, err));
    if (equals != NULL) {
        (void)json_object_set_new(dataset, "uri", json_stringn(equals + 1, (size_t)(at - equals - 1)));
    }
    *out = dataset;
    return TD_OK;
}

td_code td_spec_code(const char *text, json_t **out, td_err *err)
{
    const char *at = last_at(text);
    if (at == NULL) {
        return td_fail(err, TD_INVALID, "--code %.80s: expected REPOSITORY@COMMIT", text);
    }
    json_t *code = json_pack("{s:s%, s:s}", "repository", text, (size_t)(at - text), "commit", at + 1);
    TD_TRY(td_cli_need(code, err));
    *out = code;
    return TD_OK;
}
