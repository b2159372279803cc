/*
 * fuzz_claims.c: any bytes as claims.jsonl; each line is told of once, and without a key none is good.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "claims/claims.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TD_CLEANUP(td_json_done) json_t *lines = NULL;
    static const td_claim_check check = {.key_count = 0};
    static const td_claims_log log = {.count = 0};
    size_t bad = 0;
    td_err err;
    if (td_claims_verify((const char *)data, size, &check, &bad, &lines, &err) != TD_OK) {
        return 0;
    }
    if (json_array_size(lines) != bad || (bad == 0) != (size == 0) ||
        (td_claims_match_log(lines, &log, &err) == TD_OK) != (bad == 0)) {
        __builtin_trap();
    }
    return 0;
}
