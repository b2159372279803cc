/*
 * fuzz_reference.c: any text as a reference: refused with a message, or read into what, written our way, reads the
 * same.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/reference.h"

#include <stdlib.h>
#include <string.h>

static void demand(bool holds)
{
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), written[TD_REFERENCE_TEXT_SIZE];
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    td_reference first, again;
    td_err err = {0};
    if (td_reference_parse(text, &first, &err) != TD_OK) {
        demand(err.code == TD_INVALID && err.text[0] != '\0');
    } else {
        td_reference_write(&first, written);
        demand(td_reference_parse(written, &again, NULL) == TD_OK);
        demand(strcmp(first.model, again.model) == 0 && strcmp(first.alias, again.alias) == 0);
        demand(first.number == again.number && td_model_name_check(first.model, NULL) == TD_OK);
    }
    free(text);
    return 0;
}
