/*
 * fuzz_spec.c: any bytes as model.yaml, as a CSV's header, and as the short forms of flags.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    td_err err;
    json_t *spec = NULL, *other = NULL, *columns = json_object();
    td_yaml_lines *lines = NULL;
    td_cli cli = {.project = "default"};
    const char *model, *version;
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    if (td_yaml_parse((const char *)data, size, "model.yaml", &spec, &lines, &err) == TD_OK) {
        if (td_spec_check(spec, "model.yaml", lines, &err) == TD_OK) {
            (void)!td_spec_settle(spec, &err);
        }
    }
    (void)!td_spec_guess_columns(text, columns, &err);
    if (strchr(text, '/') == NULL && td_spec_dataset(text, &other, &err) == TD_OK) {
        json_decref(other);
    }
    if (td_spec_code(text, &other, &err) == TD_OK) {
        json_decref(other);
    }
    (void)!td_cli_reference(&cli, text, &model, &version, &err);
    (void)td_cli_query(&cli, td_cli_path(&cli, text, NULL), "key", text);
    json_decref(columns);
    json_decref(spec);
    td_yaml_lines_done(&lines);
    td_cli_done(&cli);
    free(text);
    return 0;
}
