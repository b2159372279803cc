/*
 * fuzz_x509_pem.c: certificates and requests in PEM, as a device at the enrolment door may send them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/x509.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    td_x509_facts facts;
    uint8_t key[TD_P256_PUBLIC_SIZE];
    char name[65];
    if (td_x509_read_request((const char *)data, size, key, name, NULL) == TD_OK) {
        assert(key[0] == 0x04 && strlen(name) > 0);
    }
    if (td_x509_read((const char *)data, size, &facts, NULL) == TD_OK) {
        assert(strlen(facts.common_name) > 0 && facts.serial_size <= sizeof facts.serial);
    }
    return 0;
}
