/*
 * fuzz_http_config.c: any bytes as tidemark.yaml.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    td_config *config = NULL;
    td_err err = {0};
    if (td_config_parse((const char *)data, size, "tidemark.yaml", NULL, NULL, &config, &err) == TD_OK) {
        td_str dump = {0};
        (void)!td_config_dump(config, &dump, &err);
        td_str_done(&dump);
    }
    td_config_free(&config);
    return 0;
}
