/*
 * config.c: reading settings from file, environment and flags into one array of texts, in that order.
 *
 * Each value is kept as checked text with its number beside it; the table (settings.c) says what is allowed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/config.h"

#include "core/base/clock.h"
#include "core/base/fs.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SETTINGS_MAX 64
#define ENVIRONMENT_PREFIX "TIDEMARK_"

extern char **environ;

typedef struct value {
    char *text;
    int64_t number;
    const char *origin;
} value;

struct td_config {
    value values[SETTINGS_MAX];
};

static td_code set_value(td_config *config, const char *key, const char *text, const char *origin, const char *where,
                         td_err *err);
static td_code read_file(td_config *config, const json_t *object, const char *prefix, const char *name,
                         const td_yaml_lines *lines, td_err *err);
static td_code read_environment(td_config *config, char *const *environment, td_err *err);
static td_code read_overrides(td_config *config, const char *const *overrides, td_err *err);

static size_t setting_count(void)
{
    size_t count = 0;
    while (td_settings[count].key) {
        count++;
    }
    assert(count <= SETTINGS_MAX);
    return count;
}

static int find_setting(const char *key)
{
    for (int i = 0; td_settings[i].key; i++) {
        if (strcmp(td_settings[i].key, key) == 0) {
            return i;
        }
    }
    return -1;
}

static td_code unknown_key(const char *key, const char *where, td_err *err)
{
    const char *names[SETTINGS_MAX + 1];
    size_t count = setting_count();
    for (size_t i = 0; i < count; i++) {
        names[i] = td_settings[i].key;
    }
    names[count] = NULL;
    const char *near = td_nearest(key, names);
    if (near) {
        return td_fail(err, TD_INVALID, "%s: unknown key \"%.60s\"; did you mean \"%s\"?", where, key, near);
    }
    return td_fail(err, TD_INVALID, "%s: unknown key \"%.60s\"; `tidemark serve --dump-config` lists them all", where,
                   key);
}

td_code td_config_parse(const char *text, size_t size, const char *name, char *const *environment,
                        const char *const *overrides, td_config **out, td_err *err)
{
    TD_CLEANUP(td_config_free) td_config *config = calloc(1, sizeof *config);
    if (!config) {
        return td_fail(err, TD_NOMEM, "no memory for the configuration");
    }
    for (int i = 0; td_settings[i].key; i++) {
        TD_TRY(set_value(config, td_settings[i].key, td_settings[i].fallback, "default", "defaults", err));
    }
    if (size) {
        TD_CLEANUP(td_json_done) json_t *tree = NULL;
        TD_CLEANUP(td_yaml_lines_done) td_yaml_lines *lines = NULL;
        TD_TRY(td_yaml_parse(text, size, name, &tree, &lines, err));
        if (!json_is_object(tree)) {
            return td_fail(err, TD_INVALID, "%s: settings are expected as `key: value`", name);
        }
        TD_TRY(read_file(config, tree, "", name, lines, err));
    }
    TD_TRY(read_environment(config, environment, err));
    TD_TRY(read_overrides(config, overrides, err));
    *out = config;
    config = NULL;
    return TD_OK;
}

td_code td_config_read(const char *file, const char *const *overrides, td_config **out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    if (file && td_path_exists(file)) {
        TD_TRY(td_file_read(file, TD_YAML_BYTES_MAX, &text, err));
    }
    const char *slash = file ? strrchr(file, '/') : NULL;
    const char *name = slash ? slash + 1 : file ? file : "tidemark.yaml";
    return td_config_parse(td_str_text(&text), text.size, name, environ, overrides, out, err);
}

void td_config_free(td_config **config)
{
    if (*config) {
        for (size_t i = 0; i < SETTINGS_MAX; i++) {
            free((*config)->values[i].text);
        }
        free(*config);
        *config = NULL;
    }
}

static td_code parse_boolean(const char *text, int64_t *out, const char *where, const char *key, td_err *err)
{
    bool yes = strcmp(text, "true") == 0 || strcmp(text, "yes") == 0 || strcmp(text, "1") == 0;
    bool no = strcmp(text, "false") == 0 || strcmp(text, "no") == 0 || strcmp(text, "0") == 0;
    if (!yes && !no) {
        return td_fail(err, TD_INVALID, "%s: %s must be true or false, not \"%.40s\"", where, key, text);
    }
    *out = yes;
    return TD_OK;
}

static td_code parse_choice(const td_setting *setting, const char *text, const char *where, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str all = {0};
    for (size_t i = 0; setting->choices[i]; i++) {
        if (strcmp(setting->choices[i], text) == 0) {
            return TD_OK;
        }
        td_str_addf(&all, "%s%s", i ? ", " : "", setting->choices[i]);
    }
    return td_fail(err, TD_INVALID, "%s: %s must be one of %s, not \"%.40s\"", where, setting->key, td_str_text(&all),
                   text);
}

static td_code check_range(const td_setting *setting, int64_t number, const char *what, const char *where, td_err *err)
{
    if (number < setting->minimum || number > setting->maximum) {
        return td_fail(err, TD_INVALID, "%s: %s must %s from %lld to %lld", where, setting->key, what,
                       (long long)setting->minimum, (long long)setting->maximum);
    }
    return TD_OK;
}

static td_code check_value(const td_setting *setting, const char *text, const char *where, int64_t *number, td_err *err)
{
    *number = 0;
    switch (setting->type) {
    case TD_SETTING_TEXT:
    case TD_SETTING_SECRET:
        return check_range(setting, (int64_t)strlen(text), "have a length", where, err);
    case TD_SETTING_CHOICE:
        return parse_choice(setting, text, where, err);
    case TD_SETTING_BOOLEAN:
        return parse_boolean(text, number, where, setting->key, err);
    case TD_SETTING_INTEGER:
        if (td_parse_int(text, setting->key, INT64_MIN, INT64_MAX, number, err) != TD_OK) {
            return td_fail(err, TD_INVALID, "%s: %s must be a whole number, not \"%.40s\"", where, setting->key, text);
        }
        return check_range(setting, *number, "be", where, err);
    case TD_SETTING_DURATION:
        if (td_parse_duration(text, number, err) != TD_OK) {
            return td_fail(err, TD_INVALID, "%s: %s must be a duration such as 500ms, 30s or 2h, not \"%.40s\"", where,
                           setting->key, text);
        }
        return check_range(setting, *number, "be (in milliseconds)", where, err);
    default:
        return td_fail(err, TD_INTERNAL, "setting %s has no type", setting->key);
    }
}

static td_code set_value(td_config *config, const char *key, const char *text, const char *origin, const char *where,
                         td_err *err)
{
    int index = find_setting(key);
    if (index < 0) {
        return unknown_key(key, where, err);
    }
    int64_t number;
    TD_TRY(check_value(&td_settings[index], text, where, &number, err));
    char *copy = td_dup(text);
    if (!copy) {
        return td_fail(err, TD_NOMEM, "no memory for the configuration");
    }
    free(config->values[index].text);
    config->values[index] = (value){copy, number, origin};
    return TD_OK;
}

/* A scalar as text; arrays of texts become "a,b". */
static td_code scalar_text(const json_t *json, const char *where, const char *key, td_str *out, td_err *err)
{
    if (json_is_string(json)) {
        td_str_add(out, json_string_value(json));
    } else if (json_is_integer(json)) {
        td_str_addf(out, "%lld", (long long)json_integer_value(json));
    } else if (json_is_boolean(json)) {
        td_str_add(out, json_is_true(json) ? "true" : "false");
    } else if (json_is_array(json)) {
        for (size_t i = 0; i < json_array_size(json); i++) {
            const char *item = json_string_value(json_array_get(json, i));
            if (!item) {
                return td_fail(err, TD_INVALID, "%s: %s must list texts", where, key);
            }
            td_str_addf(out, "%s%s", i ? "," : "", item);
        }
    } else {
        return td_fail(err, TD_INVALID, "%s: %s has no usable value", where, key);
    }
    return td_str_check(out, err);
}

static bool is_section(const char *prefix)
{
    size_t length = strlen(prefix);
    for (int i = 0; td_settings[i].key; i++) {
        if (strncmp(td_settings[i].key, prefix, length) == 0 && td_settings[i].key[length] == '.') {
            return true;
        }
    }
    return false;
}

static td_code read_entry(td_config *config, const char *key, const json_t *json, const char *name,
                          const td_yaml_lines *lines, td_err *err)
{
    int line = td_yaml_line(lines, json);
    TD_CLEANUP(td_str_done) td_str where = {0};
    td_str_add(&where, name);
    if (line) {
        td_str_addf(&where, ":%d", line);
    }
    if (json_is_object(json) && is_section(key)) {
        return read_file(config, json, key, name, lines, err);
    }
    if (find_setting(key) < 0) {
        return unknown_key(key, td_str_text(&where), err);
    }
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(scalar_text(json, td_str_text(&where), key, &text, err));
    return set_value(config, key, td_str_text(&text), "file", td_str_text(&where), err);
}

static td_code read_file(td_config *config, const json_t *object, const char *prefix, const char *name,
                         const td_yaml_lines *lines, td_err *err)
{
    const char *key;
    json_t *json;
    json_object_foreach ((json_t *)object, key, json) {
        TD_CLEANUP(td_str_done) td_str full = {.limit = 200};
        td_str_addf(&full, "%s%s%s", prefix, *prefix ? "." : "", key);
        TD_TRY(td_str_check(&full, err));
        TD_TRY(read_entry(config, td_str_text(&full), json, name, lines, err));
    }
    return TD_OK;
}

/* "http.body_bytes_max" -> "TIDEMARK_HTTP_BODY_BYTES_MAX" */
static void environment_name(const char *key, char out[128])
{
    size_t used = 0;
    for (const char *p = ENVIRONMENT_PREFIX; *p; p++) {
        out[used++] = *p;
    }
    for (; *key && used < 127; key++) {
        out[used++] = *key == '.' ? '_' : (char)toupper((unsigned char)*key);
    }
    out[used] = 0;
}

static td_code read_environment(td_config *config, char *const *environment, td_err *err)
{
    for (int i = 0; environment && td_settings[i].key; i++) {
        char name[128];
        environment_name(td_settings[i].key, name);
        size_t length = strlen(name);
        for (char *const *entry = environment; *entry; entry++) {
            if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') {
                TD_TRY(set_value(config, td_settings[i].key, *entry + length + 1, "environment", name, err));
            }
        }
    }
    return TD_OK;
}

static td_code read_overrides(td_config *config, const char *const *overrides, td_err *err)
{
    for (; overrides && *overrides; overrides++) {
        const char *equals = strchr(*overrides, '=');
        if (!equals) {
            return td_fail(err, TD_INVALID, "flag: \"%.80s\" must have the form key=value", *overrides);
        }
        TD_CLEANUP(td_str_done) td_str key = {0};
        td_str_append(&key, *overrides, (size_t)(equals - *overrides));
        TD_TRY(set_value(config, td_str_text(&key), equals + 1, "flag", "flag", err));
    }
    return TD_OK;
}

static const value *get(const td_config *config, const char *key)
{
    int index = find_setting(key);
    assert(index >= 0);
    return &config->values[index];
}

const char *td_config_text(const td_config *config, const char *key)
{
    return get(config, key)->text;
}

int64_t td_config_int(const td_config *config, const char *key)
{
    return get(config, key)->number;
}

const char *td_config_origin(const td_config *config, const char *key)
{
    return get(config, key)->origin;
}

td_code td_config_dump(const td_config *config, td_str *out, td_err *err)
{
    for (int i = 0; td_settings[i].key; i++) {
        bool secret = td_settings[i].type == TD_SETTING_SECRET && *config->values[i].text;
        bool quote = td_settings[i].type == TD_SETTING_TEXT || secret;
        td_str_addf(out, "# %s (%s)\n%s: %s%s%s\n", td_settings[i].help, config->values[i].origin, td_settings[i].key,
                    quote ? "\"" : "", secret ? "***" : config->values[i].text, quote ? "\"" : "");
    }
    return td_str_check(out, err);
}

td_code td_config_table(td_str *out, td_err *err)
{
    td_str_add(out, "| key | default | reload | what |\n|---|---|---|---|\n");
    for (int i = 0; td_settings[i].key; i++) {
        td_str_addf(out, "| `%s` | %s%s%s | %s | %s |\n", td_settings[i].key, *td_settings[i].fallback ? "`" : "",
                    td_settings[i].fallback, *td_settings[i].fallback ? "`" : "",
                    td_settings[i].reloadable ? "yes" : "", td_settings[i].help);
    }
    return td_str_check(out, err);
}

void td_config_changed(const td_config *config, const td_config *fresh, td_str *names)
{
    for (int i = 0; td_settings[i].key; i++) {
        if (!td_settings[i].reloadable && strcmp(config->values[i].text, fresh->values[i].text) != 0) {
            td_str_addf(names, "%s%s", names->size ? ", " : "", td_settings[i].key);
        }
    }
}
