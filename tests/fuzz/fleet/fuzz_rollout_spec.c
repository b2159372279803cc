/*
 * fuzz_rollout_spec.c: any JSON as the specification of a rollout.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/rollout_internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    td_err err;
    td_plan plan;
    TD_CLEANUP(td_json_done) json_t *spec = NULL;
    if (td_json_parse((const char *)data, size, "spec", &spec, &err) == TD_OK &&
        td_plan__read(spec, &plan, &err) == TD_OK && (plan.wave_count < 1 || plan.shares[plan.wave_count - 1] != 1.0)) {
        abort();
    }
    return 0;
}
