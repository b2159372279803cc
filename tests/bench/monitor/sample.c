/*
 * sample.c: see sample.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/monitor/sample.h"

#include "core/base/json.h"
#include "core/base/str.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FEATURES 20
#define OBSERVATIONS 200
#define REFERENCE_ROWS 2000

const uint8_t sample_manifest[TD_DIGEST_SIZE] = {1};

static double uniform(void)
{
    static uint64_t state = 7;
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return ((double)(state >> 11) + 0.5) * 0x1p-53;
}

typedef struct text_source {
    td_str text;
    size_t at;
} text_source;

static long read_text(void *context, void *out, size_t room)
{
    text_source *source = context;
    size_t left = source->text.size - source->at, size = left < room ? left : room;
    memcpy(out, source->text.data + source->at, size);
    source->at += size;
    return (long)size;
}

static int rewind_text(void *context)
{
    ((text_source *)context)->at = 0;
    return 0;
}

static td_code make_baseline(td_baseline *out, td_err *err)
{
    text_source source = {.at = 0};
    for (int f = 0; f < FEATURES; f++) {
        td_str_addf(&source.text, "f%d,", f);
    }
    td_str_add(&source.text, "prediction\n");
    for (int i = 0; i < REFERENCE_ROWS; i++) {
        for (int f = 0; f < FEATURES; f++) {
            td_str_addf(&source.text, "%.5f,", uniform());
        }
        td_str_addf(&source.text, "%d\n", i % 3 == 0);
    }
    td_csv_source csv = {read_text, rewind_text, &source, "bench.csv"};
    TD_CLEANUP(td_json_done) json_t *columns = json_pack("{s:s}", "prediction", "prediction");
    td_code code = td_baseline_build(&csv, columns, out, err);
    td_str_done(&source.text);
    return code;
}

td_code sample_make(sample *out, td_err *err)
{
    TD_TRY(make_baseline(&out->baseline, err));
    const uint8_t *bytes = (const uint8_t *)out->baseline.bytes.data;
    size_t size = out->baseline.bytes.size, need = 0;
    if (tde_bins_measure(bytes, size, &need) != 0) {
        return td_fail(err, TD_CORRUPT, "the baseline has no bins");
    }
    out->memory = malloc(need);
    if (out->memory == NULL || tde_bins_init(&out->bins, bytes, size, out->memory, need) != 0) {
        return td_fail(err, TD_NOMEM, "no memory for bins");
    }
    sample_refill(out);
    return TD_OK;
}

void sample_done(sample *s)
{
    free(s->memory);
    td_baseline_done(&s->baseline);
}

void sample_refill(sample *s)
{
    tde_bins_reset(&s->bins);
    for (int n = 0; n < OBSERVATIONS; n++) {
        float values[FEATURES];
        for (int f = 0; f < FEATURES; f++) {
            values[f] = (float)uniform();
        }
        tde_observation o = {values, FEATURES, (float)(n % 3 == 0), NAN, -1, 0, 100};
        (void)tde_observe(&s->bins, &o);
    }
}

td_code sample_encode(const sample *s, uint64_t sequence, int64_t start_ms, uint8_t out[SAMPLE_WINDOW_MAX],
                      size_t *size_out, td_err *err)
{
    tde_window_head head = {.sequence = sequence,
                            .oldest_kept = 1,
                            .boot_id = 5,
                            .manifest_digest = sample_manifest,
                            .edges_digest = s->baseline.edges_digest,
                            .start_ms = (uint64_t)start_ms,
                            .length_ms = 60000,
                            .slot = "bench"};
    if (tde_window_encode(&s->bins, &head, out, SAMPLE_WINDOW_MAX, size_out) != 0) {
        return td_fail(err, TD_LIMIT, "a window needs more than %d bytes", SAMPLE_WINDOW_MAX);
    }
    return TD_OK;
}
