/*
 * yaml_json.c: a YAML file as JSON, through the server's own reader, so that tests in Python need no library for YAML.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/json.h"

#include <stdio.h>

static td_code convert(const char *path, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *tree = NULL;
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_yaml_read(path, &tree, NULL, err));
    TD_TRY(td_json_write(tree, &text, err));
    return puts(td_str_text(&text)) < 0 ? td_fail(err, TD_IO, "cannot write") : TD_OK;
}

int main(int count, char **arguments)
{
    td_err err = {0};
    if (count != 2) {
        fprintf(stderr, "usage: yaml_json FILE.yaml\n");
        return 2;
    }
    if (convert(arguments[1], &err) != TD_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}
