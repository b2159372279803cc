/*
 * fuzz_selector.c: any text as a selector: refused with a message, or parsed and asked about a device.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/selector.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    td_err err;
    td_selector selector;
    if (td_selector__parse(text, &selector, &err) == TD_OK) {
        TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s}", "site", "oslo");
        TD_CLEANUP(td_json_done) json_t *runtimes = json_pack("[s]", "onnx");
        td_device_facts facts = {.device = "d",
                                 .hardware = "h",
                                 .state = "enrolled",
                                 .tags = tags,
                                 .runtimes = runtimes,
                                 .running = "pump/3",
                                 .ram_mb = 1,
                                 .storage_mb = 2};
        (void)td_selector__matches(&selector, &facts);
    }
    free(text);
    return 0;
}
