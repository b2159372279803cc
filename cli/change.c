/*
 * change.c: --description, --tag, --metric and --param as the body of a change: what is named is set, NAME= removes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

static td_code value_json(td_cli *cli, const char *option, const char *name, const char *value, bool numbers,
                          json_t **out, td_err *err)
{
    double number;
    if (*value == '\0') {
        *out = json_null();
    } else if (numbers) {
        TD_TRY(td_parse_double(value, td_cli_text(cli, "--%s %s", option, name), &number, err));
        *out = json_real(number);
    } else {
        *out = json_string(value);
    }
    return TD_OK;
}

static td_code add_pairs(td_cli *cli, json_t *body, const char *option, const char *key, bool numbers, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *pairs = json_object();
    const char *text, *name, *value;
    json_t *item;
    for (size_t i = 0; (text = td_cli_value_at(cli, option, i)) != NULL; i++) {
        TD_TRY(td_cli_pair(cli, option, text, &name, &value, err));
        TD_TRY(value_json(cli, option, name, value, numbers, &item, err));
        if (json_object_set_new(pairs, name, item) != 0) {
            return td_fail(err, TD_INVALID, "--%s %.60s: not valid UTF-8", option, text);
        }
    }
    return json_object_size(pairs) == 0 || json_object_set(body, key, pairs) == 0 ? TD_OK : td_cli_need(NULL, err);
}

td_code td_cli_change(td_cli *cli, bool measured, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *body = json_object();
    const char *description = td_cli_value(cli, "description");
    TD_TRY(td_cli_need(body, err));
    if (description != NULL && json_object_set_new(body, "description", json_string(description)) != 0) {
        return td_fail(err, TD_INVALID, "--description: not valid UTF-8");
    }
    TD_TRY(add_pairs(cli, body, "tag", "tags", false, err));
    if (measured) {
        TD_TRY(add_pairs(cli, body, "metric", "metrics", true, err));
        TD_TRY(add_pairs(cli, body, "param", "params", false, err));
    }
    *out = json_incref(body);
    return TD_OK;
}
