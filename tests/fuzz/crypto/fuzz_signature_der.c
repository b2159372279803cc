/*
 * fuzz_signature_der.c: strict DER of ECDSA signatures: what is accepted must encode back to the very same bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/ec.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t raw[TD_SIGNATURE_SIZE];
    uint8_t again[TD_SIGNATURE_DER_MAX];
    if (td_signature_from_der(data, size, raw, NULL) == TD_OK) {
        assert(td_signature_to_der(raw, again) == size);
        assert(memcmp(again, data, size) == 0);
    }
    for (int curve = 0; curve < TD_CURVE_COUNT; curve++) {
        uint8_t wide[TD_EC_RAW_MAX], made[TD_EC_DER_MAX];
        if (td_ec_from_der((td_curve)curve, data, size, wide)) {
            assert(td_ec_to_der((td_curve)curve, wide, made) == size);
            assert(memcmp(made, data, size) == 0);
        }
    }
    return 0;
}
