/*
 * register.c: tidemark model register and version derive: one spec from model.yaml and flags, then files up, then one
 * request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <errno.h>
#include <string.h>

#include "core/base/fs.h"
#include "monitor/baseline.h"
#include "registry/reference.h"

#define HEADER_MAX ((size_t)1024 * 1024)
#define METRICS_MAX ((size_t)1024 * 1024)

/* ---- the spec ---- */

/* Paths in model.yaml are relative to it. */
static td_code anchor(td_cli *cli, json_t *object, const char *key, const char *spec_path, td_err *err)
{
    const char *path = td_json_text(object, key, NULL);
    const char *slash = strrchr(spec_path, '/');
    if (path == NULL || path[0] == '/' || slash == NULL) {
        return TD_OK;
    }
    const char *full = td_cli_text(cli, "%.*s/%s", (int)(slash - spec_path), spec_path, path);
    return json_object_set_new(object, key, json_string(full)) == 0 ? TD_OK : td_cli_need(NULL, err);
}

static td_code anchor_all(td_cli *cli, json_t *spec, const char *spec_path, td_err *err)
{
    static const char *const lists[] = {"files", "datasets"};
    TD_TRY(anchor(cli, spec, "path", spec_path, err));
    TD_TRY(anchor(cli, json_object_get(spec, "baseline"), "path", spec_path, err));
    for (size_t l = 0; l < TD_COUNT_OF(lists); l++) {
        json_t *list = json_object_get(spec, lists[l]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            TD_TRY(anchor(cli, json_array_get(list, i), "path", spec_path, err));
        }
    }
    return TD_OK;
}

static td_code read_spec(td_cli *cli, json_t **out, td_err *err)
{
    const char *path = td_cli_value(cli, "file");
    td_yaml_lines *lines = NULL;
    json_t *spec = NULL;
    if (path == NULL) {
        *out = json_object();
        return td_cli_need(*out, err);
    }
    TD_TRY(td_yaml_read(path, &spec, &lines, err));
    td_code code = td_spec_check(spec, td_cli_base_name(path), lines, err);
    td_yaml_lines_done(&lines);
    if (code == TD_OK) {
        code = anchor_all(cli, spec, path, err);
    }
    if (code == TD_OK) {
        code = td_spec_settle(spec, err);
    }
    if (code != TD_OK) {
        json_decref(spec);
        return code;
    }
    *out = spec;
    return TD_OK;
}

/* The member `key` of spec, made as `fresh` (taken over) if it is not there. Borrowed. */
static json_t *ensure(json_t *spec, const char *key, json_t *fresh)
{
    json_t *member = json_object_get(spec, key);
    if (member == NULL) {
        return json_object_set_new(spec, key, fresh) == 0 ? fresh : NULL;
    }
    json_decref(fresh);
    return member;
}

static td_code add_pairs(td_cli *cli, json_t *spec, const char *option, const char *key, bool numbers, td_err *err)
{
    const char *text, *name, *value;
    double number;
    for (size_t i = 0; (text = td_cli_value_at(cli, option, i)) != NULL; i++) {
        TD_TRY(td_cli_pair(cli, option, text, &name, &value, err));
        json_t *item = numbers ? NULL : json_string(value);
        if (numbers) {
            TD_TRY(td_parse_double(value, td_cli_text(cli, "--%s %s", option, name), &number, err));
            item = json_real(number);
        }
        json_t *object = ensure(spec, key, json_object());
        if (object == NULL || json_object_set_new(object, name, item) != 0) {
            return td_fail(err, TD_INVALID, "--%s %.60s: not valid UTF-8", option, text);
        }
    }
    return TD_OK;
}

static td_code add_metrics_file(td_cli *cli, json_t *spec, td_err *err)
{
    const char *path = td_cli_value(cli, "metrics");
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_json_done) json_t *tree = NULL;
    const char *key;
    json_t *value;
    if (path == NULL) {
        return TD_OK;
    }
    TD_TRY(td_file_read(path, METRICS_MAX, &text, err));
    TD_TRY(td_json_parse(td_str_text(&text), text.size, path, &tree, err));
    const json_t *flat = json_is_object(json_object_get(tree, "metrics")) ? json_object_get(tree, "metrics") : tree;
    if (!json_is_object(flat)) {
        return td_fail(err, TD_INVALID, "%s: expected an object of numbers", path);
    }
    json_t *metrics = ensure(spec, "metrics", json_object());
    json_object_foreach ((json_t *)flat, key, value) {
        if (!json_is_number(value)) {
            return td_fail(err, TD_INVALID, "%s: metric \"%.60s\" is not a number", path, key);
        }
        if (json_object_set(metrics, key, value) != 0) {
            return td_cli_need(NULL, err);
        }
    }
    return TD_OK;
}

static td_code add_text(td_cli *cli, json_t *spec, const char *option, const char *key, td_err *err)
{
    const char *value = td_cli_value(cli, option);
    if (value != NULL && json_object_set_new(spec, key, json_string(value)) != 0) {
        return td_fail(err, TD_INVALID, "--%s: not valid UTF-8", option);
    }
    return TD_OK;
}

static td_code add_list(td_cli *cli, json_t *object, const char *option, const char *key, td_err *err)
{
    const char *text;
    for (size_t i = 0; (text = td_cli_value_at(cli, option, i)) != NULL; i++) {
        json_t *list = ensure(object, key, json_array());
        if (list == NULL || json_array_append_new(list, json_string(text)) != 0) {
            return td_fail(err, TD_INVALID, "--%s: not valid UTF-8", option);
        }
    }
    return TD_OK;
}

static td_code add_files(td_cli *cli, json_t *spec, td_err *err)
{
    const char *path = td_json_text(spec, "path", NULL);
    json_t *files = ensure(spec, "files", json_array());
    if (path != NULL && json_array_insert_new(files, 0, json_pack("{s:s}", "path", path)) != 0) {
        return td_cli_need(NULL, err);
    }
    bool named = td_json_text(spec, "name", NULL) != NULL;
    for (int i = named ? 0 : 1; i < cli->argument_count; i++) {
        if (json_array_append_new(files, json_pack("{s:s}", "path", cli->arguments[i])) != 0) {
            return td_cli_need(NULL, err);
        }
    }
    for (size_t i = 0; (path = td_cli_value_at(cli, "golden", i)) != NULL; i++) {
        if (json_array_append_new(files, json_pack("{s:s, s:s}", "path", path, "role", "golden")) != 0) {
            return td_cli_need(NULL, err);
        }
    }
    if (!named && cli->argument_count > 0) {
        (void)json_object_set_new(spec, "name", json_string(cli->arguments[0]));
    }
    if (td_json_text(spec, "name", NULL) == NULL || json_array_size(files) == 0) {
        return td_fail(err, TD_INVALID,
                       "name a model and at least one file: tidemark model register MODEL FILE, or -f "
                       "model.yaml");
    }
    return td_model_name_check(td_json_text(spec, "name", ""), err);
}

static td_code add_target(td_cli *cli, json_t *spec, td_err *err)
{
    int64_t ram;
    TD_TRY(td_cli_int(cli, "ram", 0, INT64_MAX / 2, -1, &ram, err));
    if (ram < 0 && !td_cli_has(cli, "hardware") && !td_cli_has(cli, "runtime")) {
        return TD_OK;
    }
    json_t *target = ensure(spec, "target", json_object());
    TD_TRY(add_text(cli, target, "hardware", "hardware", err));
    TD_TRY(add_list(cli, target, "runtime", "runtimes", err));
    return ram < 0 || json_object_set_new(target, "ram_bytes", json_integer(ram)) == 0 ? TD_OK : td_cli_need(NULL, err);
}

static td_code add_sources(td_cli *cli, json_t *spec, td_err *err)
{
    const char *text;
    json_t *item;
    for (size_t i = 0; (text = td_cli_value_at(cli, "dataset", i)) != NULL; i++) {
        TD_TRY(td_spec_dataset(text, &item, err));
        if (json_array_append_new(ensure(spec, "datasets", json_array()), item) != 0) {
            return td_cli_need(NULL, err);
        }
    }
    text = td_cli_value(cli, "code");
    if (text == NULL) {
        return TD_OK;
    }
    TD_TRY(td_spec_code(text, &item, err));
    return json_object_set_new(spec, "code", item) == 0 ? TD_OK : td_cli_need(NULL, err);
}

static td_code add_number(td_cli *cli, json_t *spec, td_err *err)
{
    int64_t number;
    TD_TRY(td_cli_int(cli, "version", 1, TD_VERSION_NUMBER_MAX, 0, &number, err));
    return number == 0 || json_object_set_new(spec, "version", json_integer(number)) == 0 ? TD_OK
                                                                                          : td_cli_need(NULL, err);
}

static td_code add_flags(td_cli *cli, json_t *spec, td_err *err)
{
    TD_TRY(add_files(cli, spec, err));
    TD_TRY(add_text(cli, spec, "description", "description", err));
    TD_TRY(add_text(cli, spec, "parent", "parent", err));
    TD_TRY(add_text(cli, spec, "cause", "cause", err));
    TD_TRY(add_metrics_file(cli, spec, err));
    TD_TRY(add_pairs(cli, spec, "metric", "metrics", true, err));
    TD_TRY(add_pairs(cli, spec, "param", "params", false, err));
    TD_TRY(add_pairs(cli, spec, "tag", "tags", false, err));
    TD_TRY(add_sources(cli, spec, err));
    TD_TRY(add_target(cli, spec, err));
    TD_TRY(add_number(cli, spec, err));
    return !td_cli_has(cli, "strict") || json_object_set_new(spec, "strict", json_true()) == 0 ? TD_OK
                                                                                               : td_cli_need(NULL, err);
}

/* ---- the baseline's columns ---- */

static td_code first_line(const char *path, char *line, size_t room, td_err *err)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return td_fail_errno(err, errno, "%s", path);
    }
    bool good = fgets(line, (int)room, file) != NULL;
    (void)fclose(file);
    return good ? TD_OK : td_fail(err, TD_INVALID, "%s: no rows", path);
}

static td_code column_flags(td_cli *cli, json_t *columns, td_err *err)
{
    double threshold;
    TD_TRY(add_text(cli, columns, "prediction", "prediction", err));
    TD_TRY(add_text(cli, columns, "score", "score", err));
    TD_TRY(add_text(cli, columns, "label", "label", err));
    TD_TRY(add_text(cli, columns, "group", "group", err));
    TD_TRY(add_list(cli, columns, "feature", "features", err));
    TD_TRY(add_list(cli, columns, "categorical", "categorical", err));
    TD_TRY(add_list(cli, columns, "ignore", "ignore", err));
    if (td_cli_value(cli, "threshold") == NULL) {
        return TD_OK;
    }
    TD_TRY(td_parse_double(td_cli_value(cli, "threshold"), "--threshold", &threshold, err));
    return json_object_set_new(columns, "decision_threshold", json_real(threshold)) == 0 ? TD_OK
                                                                                         : td_cli_need(NULL, err);
}

/* --columns YAML: checked here, while its lines are known. */
static td_code read_columns(const char *path, json_t *baseline, td_err *err)
{
    json_t *columns = NULL;
    td_yaml_lines *lines = NULL;
    TD_TRY(td_yaml_read(path, &columns, &lines, err));
    td_code code = td_baseline_check_columns(columns, td_cli_base_name(path), lines, err);
    td_yaml_lines_done(&lines);
    (void)json_object_set_new(baseline, "columns", columns);
    return code;
}

/* What tells columns of a CSV means nothing without one. */
static td_code no_columns(td_cli *cli, td_err *err)
{
    static const char *const options[] = {"columns", "feature", "categorical", "ignore",   "prediction",
                                          "score",   "label",   "group",       "threshold"};
    for (size_t i = 0; i < TD_COUNT_OF(options); i++) {
        if (td_cli_value(cli, options[i]) != NULL) {
            return td_fail(err, TD_INVALID, "--%s is about the reference data, and none is given: add --baseline CSV",
                           options[i]);
        }
    }
    return TD_OK;
}

static td_code add_baseline(td_cli *cli, json_t *spec, td_err *err)
{
    const char *path = td_cli_value(cli, "baseline");
    char *line = td_arena_alloc(&cli->arena, HEADER_MAX);
    if (path == NULL && json_object_get(spec, "baseline") == NULL) {
        return no_columns(cli, err);
    }
    json_t *baseline = ensure(spec, "baseline", json_object());
    if (path != NULL) {
        (void)json_object_set_new(baseline, "path", json_string(path));
    }
    path = td_json_text(baseline, "path", "");
    if (td_cli_value(cli, "columns") != NULL) {
        TD_TRY(read_columns(td_cli_value(cli, "columns"), baseline, err));
    }
    json_t *columns = ensure(baseline, "columns", json_object());
    if (line == NULL || !json_is_object(columns)) {
        return td_fail(err, TD_INVALID, "the columns of %s: expected a mapping", path);
    }
    TD_TRY(column_flags(cli, columns, err));
    TD_TRY(first_line(path, line, HEADER_MAX, err));
    TD_TRY(td_spec_guess_columns(line, columns, err));
    return td_baseline_check_columns(columns, "columns", NULL, err);
}

/* ---- files up, request out ---- */

static td_code upload(td_cli *cli, const char *path, char digest_text[7 + TD_DIGEST_TEXT], td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    uint64_t size;
    TD_TRY(td_cli_upload(cli, path, digest, &size, err));
    memcpy(digest_text, "sha256:", 7);
    td_hex_encode(digest, sizeof digest, digest_text + 7);
    return TD_OK;
}

static td_code upload_files(td_cli *cli, const json_t *spec, json_t *body, td_err *err)
{
    const json_t *list = json_object_get(spec, "files");
    json_t *files = ensure(body, "files", json_array());
    for (size_t i = 0; i < json_array_size(list); i++) {
        char digest[7 + TD_DIGEST_TEXT];
        const json_t *item = json_array_get(list, i);
        const char *path = td_json_text(item, "path", "");
        const char *name = td_json_text(item, "name", td_cli_base_name(path));
        if (td_check_file_name(name, strlen(name), err) != TD_OK) {
            return td_wrap(err, "%s", path);
        }
        TD_TRY(upload(cli, path, digest, err));
        json_t *entry =
            json_pack("{s:s, s:s, s:s}", "name", name, "digest", digest, "role", td_json_text(item, "role", "model"));
        if (entry == NULL || json_array_append_new(files, entry) != 0) {
            return td_cli_need(NULL, err);
        }
    }
    return TD_OK;
}

static td_code upload_baseline(td_cli *cli, const json_t *spec, json_t *body, td_err *err)
{
    char digest[7 + TD_DIGEST_TEXT];
    const json_t *baseline = json_object_get(spec, "baseline");
    if (baseline == NULL) {
        return TD_OK;
    }
    const char *path = td_json_text(baseline, "path", "");
    TD_TRY(upload(cli, path, digest, err));
    json_t *entry = json_pack("{s:s, s:s, s:O}", "digest", digest, "name", td_cli_base_name(path), "columns",
                              json_object_get(baseline, "columns"));
    return entry != NULL && json_object_set_new(body, "baseline_csv", entry) == 0 ? TD_OK : td_cli_need(NULL, err);
}

/* Datasets of model.yaml that name a file are hashed here. */
static td_code hash_datasets(json_t *spec, td_err *err)
{
    json_t *list = json_object_get(spec, "datasets");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);
        const char *path = td_json_text(item, "path", NULL);
        uint8_t digest[TD_DIGEST_SIZE];
        char text[7 + TD_DIGEST_TEXT] = "sha256:";
        if (path == NULL) {
            continue;
        }
        TD_TRY(td_sha256_file(path, digest, NULL, err));
        td_hex_encode(digest, sizeof digest, text + 7);
        (void)json_object_set_new(item, "digest", json_string(text));
        (void)json_object_del(item, "path");
    }
    return TD_OK;
}

static td_code make_body(td_cli *cli, json_t *spec, json_t *body, td_err *err)
{
    static const char *const same[] = {"description", "tags",   "datasets", "code",   "metrics",
                                       "params",      "parent", "cause",    "target", "security_counter",
                                       "strict",      "version"};
    TD_TRY(hash_datasets(spec, err));
    for (size_t i = 0; i < TD_COUNT_OF(same); i++) {
        json_t *value = json_object_get(spec, same[i]);
        if (value != NULL && json_object_set(body, same[i], value) != 0) {
            return td_cli_need(NULL, err);
        }
    }
    TD_TRY(upload_files(cli, spec, body, err));
    return upload_baseline(cli, spec, body, err);
}

static void print_registered(td_cli *cli, const json_t *answer)
{
    const json_t *warnings = td_json_list(json_object_get(answer, "warnings"), "");
    td_print_line(cli, "Registered %s/%lld as a draft.", td_json_text(answer, "model", ""),
                  (long long)td_json_int(answer, "version", 0));
    for (size_t i = 0; i < json_array_size(warnings); i++) {
        const char *text = json_string_value(json_array_get(warnings, i));
        td_print_line(cli, "%swarning:%s %s", td_tint_code(cli, TD_TINT_WARN), td_tint_code(cli, TD_TINT_NONE),
                      text == NULL ? "" : text);
    }
    td_print_line(cli, "Next: tidemark version submit %s/%lld", td_json_text(answer, "model", ""),
                  (long long)td_json_int(answer, "version", 0));
}

td_code td_cli_register(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *spec = NULL;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_CLEANUP(td_json_done) json_t *body = json_object();
    TD_TRY(td_cli_need(body, err));
    TD_TRY(read_spec(cli, &spec, err));
    TD_TRY(add_flags(cli, spec, err));
    TD_TRY(td_spec_folders(cli, spec, err));
    TD_TRY(add_baseline(cli, spec, err));
    TD_TRY(make_body(cli, spec, body, err));
    const char *model = td_json_text(spec, "name", "");
    TD_TRY(td_cli_call(cli, "POST", td_cli_path(cli, "models", model, "versions", NULL), body, &answer, err));
    td_cli_present(cli, answer, print_registered);
    return TD_OK;
}

/* ---- derive ---- */

static td_code files_of(td_cli *cli, const char *option, const char *role, json_t *files, td_err *err)
{
    const char *path;
    for (size_t i = 0; (path = td_cli_value_at(cli, option, i)) != NULL; i++) {
        if (json_array_append_new(files, json_pack("{s:s, s:s}", "path", path, "role", role)) != 0) {
            return td_fail(err, TD_INVALID, "--%s: not valid UTF-8", option);
        }
    }
    return TD_OK;
}

static td_code derive_body(td_cli *cli, json_t *spec, json_t *body, td_err *err)
{
    json_t *files = ensure(spec, "files", json_array());
    TD_TRY(files_of(cli, "file", "model", files, err));
    TD_TRY(files_of(cli, "golden", "golden", files, err));
    if (td_cli_value(cli, "by") == NULL) {
        return td_fail(err, TD_INVALID, "--by is needed: the tool that made the new files, such as skl2onnx");
    }
    TD_TRY(td_spec_folders(cli, spec, err));
    TD_TRY(add_text(cli, body, "by", "by", err));
    TD_TRY(add_text(cli, body, "reason", "reason", err));
    TD_TRY(add_text(cli, body, "description", "description", err));
    TD_TRY(add_list(cli, body, "without", "without", err));
    TD_TRY(add_target(cli, body, err));
    if (td_cli_has(cli, "strict")) {
        (void)json_object_set_new(body, "strict", json_true());
    }
    return upload_files(cli, spec, body, err);
}

static void print_derived(td_cli *cli, const json_t *answer)
{
    const json_t *gone = td_json_list(json_object_get(answer, "left_out"), "");
    td_print_line(cli, "Derived from %s.", td_json_text(answer, "parent", ""));
    for (size_t i = 0; i < json_array_size(gone); i++) {
        const char *name = json_string_value(json_array_get(gone, i));
        td_print_line(cli, "Left out: %s", name == NULL ? "" : name);
    }
    print_registered(cli, answer);
}

td_code td_cli_derive(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *spec = json_object();
    TD_CLEANUP(td_json_done) json_t *body = json_object();
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    const char *model, *version;
    TD_TRY(td_cli_need(body, err));
    TD_TRY(td_cli_need(spec, err));
    TD_TRY(td_cli_reference(cli, cli->arguments[0], &model, &version, err));
    TD_TRY(derive_body(cli, spec, body, err));
    TD_TRY(td_cli_call(cli, "POST", td_cli_path(cli, "models", model, "versions", version, "derive", NULL), body,
                       &answer, err));
    td_cli_present(cli, answer, print_derived);
    return TD_OK;
}
