/*
 * fuzz_local.c: any bytes as a datagram of an application.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/local.h"

#include <stdlib.h>

/* Every byte that a record names is read, so that the sanitizer sees one outside. */
static volatile uint8_t touched;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float features[TM_LOCAL_FEATURES_MAX];
    td_err err;
    td_local_head head;
    if (td_local_read_head(data, size, &head, &err) != TD_OK) {
        return 0;
    }
    for (bool more = true; more;) {
        td_local_record record;
        td_local_text text;
        if (td_local_read_record(&head.records, &head.records_size, features, &record, &more, &err) != TD_OK || !more) {
            return 0;
        }
        for (size_t i = 0; i < record.group_length; i++) {
            touched = (uint8_t)record.group[i];
        }
        while (td_local_text_next(&record, &text)) {
            for (size_t i = 0; i < text.length; i++) {
                touched = (uint8_t)text.text[i];
            }
        }
    }
    return 0;
}
