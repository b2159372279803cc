/*
 * fuzz_window.c: any bytes as a window: decoded within bounds, or refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/windows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    td_window *window = NULL;
    td_err err;
    if (td_window_decode(data, size, &window, &err) == TD_OK) {
        (void)td_window_observations(window);
        td_window_free(&window);
    }
    return 0;
}
