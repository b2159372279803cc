/*
 * mlflow_read.c: a field of a request, from the query of a GET or the JSON body of anything else.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/mlflow.h"

#include <stdio.h>
#include <string.h>

static td_code bad(td_request *request, const char *name, const char *expected, td_err *err)
{
    snprintf(request->field, sizeof request->field, "%s", name);
    return td_fail(err, TD_INVALID, "Invalid value for parameter '%.60s': expected %s", name, expected);
}

static td_code missing(td_request *request, const char *name, td_err *err)
{
    snprintf(request->field, sizeof request->field, "%s", name);
    return td_fail(err, TD_INVALID, "Missing value for required parameter '%.60s'", name);
}

/* JSON null is as good as absent. */
static const json_t *body_value(const td_request *request, const char *name)
{
    const json_t *value = json_object_get(request->body, name);
    return json_is_null(value) ? NULL : value;
}

td_code td_mlflow_text(td_request *request, const char *name, bool required, const char **out, td_err *err)
{
    const char *text = td_target_query(&request->target, name);
    if (request->body != NULL) {
        const json_t *value = body_value(request, name);
        if (value != NULL && !json_is_string(value)) {
            return bad(request, name, "text", err);
        }
        text = json_string_value(value);
    }
    if (required && (text == NULL || *text == 0)) {
        return missing(request, name, err);
    }
    *out = text;
    return TD_OK;
}

td_code td_mlflow_int(td_request *request, const char *name, int64_t minimum, int64_t maximum, int64_t fallback,
                      int64_t *out, td_err *err)
{
    const char *text = td_target_query(&request->target, name);
    if (request->body != NULL) {
        const json_t *value = body_value(request, name);
        if (json_is_integer(value)) {
            int64_t number = json_integer_value(value);
            if (number < minimum || number > maximum) {
                return td_fail(err, TD_INVALID, "Invalid value for parameter '%.60s': %lld is not within %lld and %lld",
                               name, (long long)number, (long long)minimum, (long long)maximum);
            }
            *out = number;
            return TD_OK;
        }
        if (value != NULL && !json_is_string(value)) {
            return bad(request, name, "a whole number", err);
        }
        text = json_string_value(value);
    }
    if (text == NULL) {
        *out = fallback;
        return TD_OK;
    }
    return td_parse_int(text, name, minimum, maximum, out, err);
}

td_code td_mlflow_bool(td_request *request, const char *name, bool fallback, bool *out, td_err *err)
{
    const char *text = td_target_query(&request->target, name);
    if (request->body != NULL) {
        const json_t *value = body_value(request, name);
        if (json_is_boolean(value)) {
            *out = json_is_true(value);
            return TD_OK;
        }
        if (value != NULL && !json_is_string(value)) {
            return bad(request, name, "true or false", err);
        }
        text = json_string_value(value);
    }
    if (text == NULL) {
        *out = fallback;
        return TD_OK;
    }
    bool yes = strcmp(text, "True") == 0 || strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
    if (!yes && strcmp(text, "False") != 0 && strcmp(text, "false") != 0 && strcmp(text, "0") != 0) {
        return bad(request, name, "true or false", err);
    }
    *out = yes;
    return TD_OK;
}

static size_t query_texts(const td_request *request, const char *name, const char **texts, size_t room)
{
    size_t count = 0;
    for (size_t i = 0; i < request->target.pair_count; i++) {
        if (strcmp(request->target.pairs[i].name, name) == 0 && count < room) {
            texts[count++] = request->target.pairs[i].value;
        }
    }
    return count;
}

static td_code body_texts(td_request *request, const char *name, const char **texts, size_t *count_out, td_err *err)
{
    const json_t *list;
    size_t index;
    json_t *value;
    TD_TRY(td_mlflow_json(request, name, JSON_ARRAY, &list, err));
    if (json_array_size(list) > TD_MLFLOW_LIST_MAX) {
        return td_fail(err, TD_LIMIT, "Invalid value for parameter '%.60s': at most %d entries", name,
                       TD_MLFLOW_LIST_MAX);
    }
    json_array_foreach ((json_t *)list, index, value) {
        if (!json_is_string(value)) {
            return bad(request, name, "a list of texts", err);
        }
        texts[index] = json_string_value(value);
    }
    *count_out = json_array_size(list);
    return TD_OK;
}

td_code td_mlflow_texts(td_request *request, const char *name, const char *const **out, size_t *count_out, td_err *err)
{
    const char **texts = td_arena_alloc(&request->arena, TD_MLFLOW_LIST_MAX * sizeof *texts);
    if (texts == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for a list of the request");
    }
    size_t count = 0;
    if (request->body != NULL) {
        TD_TRY(body_texts(request, name, texts, &count, err));
    } else {
        count = query_texts(request, name, texts, TD_MLFLOW_LIST_MAX);
    }
    *out = texts;
    *count_out = count;
    return TD_OK;
}

td_code td_mlflow_json(td_request *request, const char *name, json_type type, const json_t **out, td_err *err)
{
    const json_t *value = body_value(request, name);
    if (value != NULL && json_typeof(value) != type) {
        return bad(request, name, type == JSON_ARRAY ? "a list" : "an object", err);
    }
    *out = value;
    return TD_OK;
}

td_code td_mlflow_pairs(td_request *request, const char *name, json_t **out, td_err *err)
{
    const json_t *list;
    size_t index;
    json_t *pair;
    TD_CLEANUP(td_json_done) json_t *object = json_object();
    TD_TRY(td_mlflow_json(request, name, JSON_ARRAY, &list, err));
    json_array_foreach ((json_t *)list, index, pair) {
        json_t *key = json_object_get(pair, "key"), *value = json_object_get(pair, "value");
        if (!json_is_string(key) || (value != NULL && !json_is_string(value))) {
            return bad(request, name, "a list of {key, value}", err);
        }
        json_t *text = value != NULL ? json_incref(value) : json_string("");
        if (json_object_set_new(object, json_string_value(key), text) != 0) {
            return td_fail(err, TD_NOMEM, "no memory for tags");
        }
    }
    if (object == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for tags");
    }
    *out = object;
    object = NULL;
    return TD_OK;
}

td_code td_mlflow_version(td_request *request, int64_t *out, td_err *err)
{
    int64_t number;
    TD_TRY(td_mlflow_int(request, "version", 1, UINT32_MAX, 0, &number, err));
    if (number == 0) {
        return missing(request, "version", err);
    }
    *out = number;
    return TD_OK;
}

/* ---- lists ---- */

static td_code join_order(td_request *request, const char **out, td_err *err)
{
    const char *const *terms;
    size_t count;
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_mlflow_texts(request, "order_by", &terms, &count, err));
    for (size_t i = 0; i < count; i++) {
        td_str_addf(&text, "%s%s", i > 0 ? ", " : "", terms[i]);
    }
    TD_TRY(td_str_check(&text, err));
    *out = count > 0 ? td_arena_text(&request->arena, td_str_text(&text)) : NULL;
    return TD_OK;
}

td_code td_mlflow_page(td_request *request, int64_t fallback, int64_t maximum, td_page *out, td_err *err)
{
    td_page page = {0};
    TD_TRY(td_mlflow_int(request, "max_results", 1, TD_MLFLOW_RESULTS_MAX, fallback, &page.limit, err));
    TD_TRY(td_mlflow_text(request, "page_token", false, &page.cursor, err));
    TD_TRY(td_mlflow_text(request, "filter", false, &page.filter, err));
    TD_TRY(join_order(request, &page.order, err));
    page.limit = page.limit > maximum ? maximum : page.limit;
    page.cursor = page.cursor != NULL && *page.cursor != '\0' ? page.cursor : NULL;
    *out = page;
    return TD_OK;
}

/* ---- answering ---- */

td_code td_mlflow_answer_empty(td_request *request, td_err *err)
{
    return td_answer_json(request, 200, json_object(), err);
}

json_t *td_mlflow_pairs_json(const json_t *object)
{
    const char *key;
    json_t *value;
    json_t *list = json_array();
    json_object_foreach ((json_t *)object, key, value) {
        if (json_array_append_new(list, json_pack("{s:s, s:O}", "key", key, "value", value)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}
