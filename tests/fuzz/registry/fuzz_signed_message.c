/*
 * fuzz_signed_message.c: any bytes as a signed message, and its payload as a keyset.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/trust.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TD_CLEANUP(td_str_done) td_str again = {0};
    td_signed_message message;
    td_keyset keyset;
    td_err err;
    if (td_signed_message_decode(data, size, &message, &err) != TD_OK) {
        return 0;
    }
    if (td_signed_message_encode(&message, &again, &err) != TD_OK) {
        __builtin_trap();
    }
    if (td_keyset_decode(message.payload, message.payload_size, &keyset, &err) == TD_OK) {
        td_str_clear(&again);
        if (td_keyset_encode(&keyset, &again, &err) != TD_OK) {
            __builtin_trap();
        }
    }
    return 0;
}
