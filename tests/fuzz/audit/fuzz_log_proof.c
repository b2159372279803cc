/*
 * fuzz_log_proof.c: proof texts, as an auditor gets them from anyone. The corpus' key is in log.vkey of the seed's
 * maker; no input that differs from a true proof may be accepted, so reaching OK needs a signature that the fuzzer
 * cannot make.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char vkey[] = "sigsum.org/v1/tree/"
                           "1c61736b6c4e9adf949487919ed436806f6f355fbc90bf23c37301ef8231982d+c7a21d23+"
                           "AcQ7FHCvtk8zsgVfObeGlxKavGV/nFT2cTju/vlWO4Sl";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t index = 0;
    td_log_root root;
    if (td_log_proof_check((const char *)data, size, "record", 6, vkey, &index, &root, NULL) == TD_OK) {
        __builtin_trap();
    }
    return 0;
}
