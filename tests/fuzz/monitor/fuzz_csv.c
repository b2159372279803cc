/*
 * fuzz_csv.c: any bytes as reference data: a baseline that can be read back, or an error that says why.
 *
 * The first line of the input, up to a newline, is the columns spec if it is JSON; the rest is the CSV.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/baseline.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct bytes {
    const uint8_t *data;
    size_t size, at;
} bytes;

static long read_bytes(void *context, void *out, size_t room)
{
    bytes *b = context;
    size_t left = b->size - b->at, take = left < room ? left : room;
    if (take > 0) {
        memcpy(out, b->data + b->at, take);
    }
    b->at += take;
    return (long)take;
}

static int rewind_bytes(void *context)
{
    ((bytes *)context)->at = 0;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t first = newline != NULL ? (size_t)(newline - data) : 0;
    json_t *columns = NULL;
    td_err err = {0};
    if (newline == NULL || td_json_parse((const char *)data, first, "columns", &columns, &err) != TD_OK) {
        columns = json_object();
        first = 0;
    } else {
        first++;
    }
    bytes rest = {data + first, size - first, 0};
    td_csv_source source = {read_bytes, rewind_bytes, &rest, "fuzz.csv"};
    td_baseline baseline = {0};
    td_code code = td_baseline_build(&source, columns, &baseline, &err);
    if (code == TD_OK) {
        assert(baseline.bytes.size > 0 && json_is_object(baseline.summary));
        td_baseline_done(&baseline);
    } else {
        assert(err.text[0] != '\0' && code != TD_INTERNAL);
    }
    json_decref(columns);
    return 0;
}
