/*
 * fuzz_public_pem.c: public keys in PEM: what is accepted must print to a PEM that reads to the same key.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/ec.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    td_key_kind kind;
    td_key_kind kind_again;
    uint8_t key[TD_P256_PUBLIC_SIZE] = {0};
    uint8_t again[TD_P256_PUBLIC_SIZE] = {0};
    if (td_public_from_pem((const char *)data, size, &kind, key, NULL) == TD_OK) {
        TD_CLEANUP(td_str_done) td_str pem = {0};
        td_code code = td_public_pem(kind, key, &pem, NULL);
        assert(code == TD_OK);
        code = td_public_from_pem(pem.data, pem.size, &kind_again, again, NULL);
        assert(code == TD_OK && kind == kind_again && memcmp(key, again, sizeof key) == 0);
    }
    td_ec_public wide, wide_again;
    if (td_ec_public_from_pem((const char *)data, size, &wide, NULL) == TD_OK) {
        TD_CLEANUP(td_str_done) td_str pem = {0};
        td_code code = td_ec_public_pem(&wide, &pem, NULL);
        assert(code == TD_OK);
        code = td_ec_public_from_pem(pem.data, pem.size, &wide_again, NULL);
        assert(code == TD_OK && memcmp(wide.point, wide_again.point, wide.size) == 0);
    }
    return 0;
}
