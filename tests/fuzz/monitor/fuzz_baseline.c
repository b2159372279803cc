/*
 * fuzz_baseline.c: any bytes as a Baseline message: the device's reader and the server's must agree on what is one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/edge/window.h"
#include "monitor/baseline.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count_something(const uint8_t *data, size_t size, size_t need)
{
    tde_bins bins;
    void *memory = malloc(need > 0 ? need : 1);
    int code = memory != NULL ? tde_bins_init(&bins, data, size, memory, need) : -1;
    assert(code == TDE_BINS_OK);
    float values[TDE_FEATURES_MAX] = {1};
    tde_observation observation = {values, bins.feature_count, 1, 0.5f, 0, 7, 100};
    code = tde_observe(&bins, &observation);
    assert(code == TDE_BINS_OK);
    static const uint8_t digest[32];
    tde_window_head head = {1, 1, 1, digest, digest, 0, 0, 0, "fuzz"};
    size_t room = tde_window_size_max(&bins), written = 0;
    uint8_t *out = malloc(room);
    assert(out != NULL && tde_window_encode(&bins, &head, out, room, &written) == TDE_BINS_OK);
    free(out);
    free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t need = 0;
    int code = tde_bins_measure(data, size, &need);
    if (code == TDE_BINS_OK) {
        count_something(data, size, need);
    }
    json_t *json = NULL;
    td_err err;
    if (td_baseline_json(data, size, &json, &err) == TD_OK) {
        assert(code == TDE_BINS_OK);
        json_decref(json);
        uint8_t digest[TD_DIGEST_SIZE];
        td_code hashed = td_baseline_edges_digest(data, size, digest, &err);
        assert(hashed == TD_OK);
    }
    return 0;
}
