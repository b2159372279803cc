/*
 * fuzz_log_export.c: exports of the log: tar, head, records, leaves, checkpoint, rules.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/verify_memory.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const td_audit_verify_options self_consistent = {.signatures = true};
    td_audit_verdict verdict;
    if (td_audit_verify_memory(data, size, &self_consistent, &verdict, NULL) == TD_OK) {
        assert(!verdict.trusted && verdict.records + verdict.erased == verdict.root.size);
    }
    return 0;
}
