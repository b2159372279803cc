/*
 * fuzz_log_signer.c: requests to the log's signer and its replies, as a broken or hostile other side may send them.
 * What is read is written as the same bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/signer_wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same(const td_str *made, const uint8_t *data, size_t size)
{
    if (made->size != size || memcmp(made->data, data, size) != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TD_CLEANUP(td_str_done) td_str made = {0};
    td_signer_request request;
    td_signer_reply reply;
    if (td_signer_request_read(data, size, &request, NULL) == TD_OK &&
        td_signer_request_write(&request, &made, NULL) == TD_OK) {
        same(&made, data, size);
    }
    td_str_clear(&made);
    if (td_signer_reply_read(data, size, &reply, NULL) == TD_OK &&
        td_signer_reply_write(&reply, &made, NULL) == TD_OK) {
        same(&made, data, size);
    }
    return 0;
}
