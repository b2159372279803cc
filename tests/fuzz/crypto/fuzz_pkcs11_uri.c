/*
 * fuzz_pkcs11_uri.c: names of keys in tokens: what is accepted has none of what is refused, and says so twice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/crypto/pkcs11.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    td_err err = {0};
    char *text = malloc(size + 1);
    assert(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    td_code code = td_pkcs11_uri_check(text, &err);
    assert(code == td_pkcs11_uri_check(text, NULL));
    if (code == TD_OK) {
        assert(td_pkcs11_named(text) && strlen(text) <= TD_PKCS11_URI_MAX);
        assert(strcasestr(text, "%00") == NULL && strchr(text, ' ') == NULL);
    } else {
        assert(err.text[0] != '\0');
    }
    free(text);
    return 0;
}
