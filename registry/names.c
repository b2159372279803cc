/*
 * names.c: the grammar of names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/registry_internal.h"

#include <stdio.h>
#include <string.h>

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z') || is_digit(c);
}

static bool is_inner(char c)
{
    return is_word(c) || c == '.' || c == '_' || c == '-';
}

td_code td_model_name_check(const char *name, td_err *err)
{
    size_t length = strnlen(name, TD_MODEL_NAME_MAX + 1);
    bool good = length > 0 && length <= TD_MODEL_NAME_MAX && is_word(name[0]);
    for (size_t i = 1; good && i < length; i++) {
        good = is_inner(name[i]);
    }
    if (!good) {
        return td_fail(err, TD_INVALID,
                       "\"%.60s\" is no model name: 1 to %d of A-Z a-z 0-9 . _ - are allowed, beginning "
                       "with a letter or digit",
                       name, TD_MODEL_NAME_MAX);
    }
    return TD_OK;
}

td_code td_alias_name_check(const char *name, td_err *err)
{
    size_t length = strnlen(name, TD_ALIAS_NAME_MAX + 1);
    bool good = length > 0 && length <= TD_ALIAS_NAME_MAX && name[0] != '.' && name[strspn(name, "0123456789")] != '\0';
    for (size_t i = 0; good && i < length; i++) {
        good = is_inner(name[i]);
    }
    if (!good) {
        return td_fail(err, TD_INVALID,
                       "\"%.60s\" is no alias: 1 to %d of A-Z a-z 0-9 . _ - are allowed, no dot at the beginning, and "
                       "not digits alone",
                       name, TD_ALIAS_NAME_MAX);
    }
    return TD_OK;
}

td_code td_registry__key_check(const char *what, const char *key, td_err *err)
{
    size_t length = strnlen(key, TD_TAG_KEY_MAX + 1);
    bool good = length > 0 && length <= TD_TAG_KEY_MAX;
    for (size_t i = 0; good && i < length; i++) {
        good = key[i] >= 0x20 && key[i] < 0x7f;
    }
    good = good && key[0] != ' ' && key[length - 1] != ' ';
    if (!good) {
        return td_fail(err, TD_INVALID,
                       "\"%.60s\" is no name of a %s: 1 to %d printable characters, no space at the ends", key, what,
                       TD_TAG_KEY_MAX);
    }
    return TD_OK;
}

td_code td_registry__text_check(const char *what, const char *text, size_t length_max, td_err *err)
{
    if (text != NULL && strnlen(text, length_max + 1) > length_max) {
        return td_fail(err, TD_LIMIT, "the %s is longer than %zu bytes", what, length_max);
    }
    return TD_OK;
}

td_code td_registry__reason_check(const char *reason, td_err *err)
{
    if (reason == NULL || reason[strspn(reason, " \t\r\n")] == '\0') {
        return td_fail(err, TD_INVALID, "a reason is needed here (--reason \"…\"): it becomes part of the audit log");
    }
    return td_registry__text_check("reason", reason, TD_REASON_MAX, err);
}

td_code td_registry__new_entries(const char *what, const json_t *entries, td_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)entries, key, value) {
        if (json_is_null(value)) {
            return td_fail(err, TD_INVALID, "%s \"%.60s\" is null: leave it out (null removes one, in a change)", what,
                           key);
        }
    }
    return TD_OK;
}

/* ---- small JSON ---- */

td_code td_registry__json_ok(const json_t *json, td_err *err)
{
    return json != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory to build the answer");
}

json_t *td_registry__json_time(int64_t ms)
{
    char text[32];
    if (ms == 0) {
        return json_null();
    }
    td_format_time(ms, text);
    return json_string(text);
}

json_t *td_registry__json_digest(const void *digest)
{
    char label[TD_DIGEST_LABEL_SIZE];
    if (digest == NULL) {
        return json_null();
    }
    td_digest_format(digest, label);
    return json_string(label);
}
