/*
 * evidence.c: what a test reports and what an alert carries, so that anyone can compute it again from stored counts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "monitor/alerts.h"

#include "core/base/clock.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES_LISTED 10
#define DEVICE_COUNTS_MIN 50 /* below this a device is not judged alone */

json_t *td_time_json(int64_t ms)
{
    char text[32];
    if (ms == 0) {
        return json_null();
    }
    td_format_time(ms, text);
    return json_string(text);
}

static json_t *evidence_json(const td_evidence_facts *evidence)
{
    json_t *json = json_object();
    json_object_set_new(json, "method", json_string("mixture e-detector on bin counts"));
    json_object_set_new(json, "log_mean", td_number_json(evidence->log_mean));
    json_object_set_new(json, "log_threshold", td_number_json(evidence->log_threshold));
    json_object_set_new(json, "overdispersion", json_real(1));
    json_object_set_new(json, "calibrated", json_false()); /* the baseline carries no chunk statistics */
    return json;
}

json_t *td_finding_report(const td_finding *finding, td_severity severity)
{
    const td_result *r = finding->result;
    json_t *json = json_object();
    json_object_set_new(json, "metric", json_string(r->bounds.metric));
    json_object_set_new(json, "value", td_number_json(r->value));
    json_object_set_new(json, "warning", json_real(r->bounds.warning));
    json_object_set_new(json, "alert", json_real(r->bounds.alert));
    json_object_set_new(json, "severity", json_string(td_severity_name(severity)));
    json_object_set_new(json, "n", json_integer((json_int_t)r->n));
    json_object_set_new(json, "from_at", td_time_json(finding->stretch->from_ms));
    json_object_set_new(json, "to_at", td_time_json(finding->stretch->to_ms));
    json_object_set(json, "statistics", r->statistics);
    if (finding->evidence.used) {
        json_object_set_new(json, "evidence", evidence_json(&finding->evidence));
    }
    return json;
}

/* ---- Bins ------------------------------------------------------------------------------------ */

static double contribution(double c, double n, double c0, double n0, double bins)
{
    double q = (c + 0.5) / (n + bins / 2), p = (c0 + 0.5) / (n0 + bins / 2);
    return (q - p) * log(q / p);
}

static json_t *bins_json(const td_stream *stream, const uint64_t *sum)
{
    double n = 0, n0 = 0;
    for (size_t i = 0; i < stream->bins; i++) {
        n += (double)sum[stream->first + i];
        n0 += (double)stream->counts[i];
    }
    json_t *bins = json_array();
    for (size_t i = 0; i < stream->bins; i++) {
        char name[160];
        double c = (double)sum[stream->first + i], c0 = (double)stream->counts[i];
        td_stream_bin_name(stream, i, name, sizeof name);
        json_t *bin = json_object();
        json_t *text = json_string(name);
        json_object_set_new(bin, "bin", text != NULL ? text : json_string("?"));
        json_object_set_new(bin, "reference", json_integer((json_int_t)stream->counts[i]));
        json_object_set_new(bin, "current", json_integer((json_int_t)sum[stream->first + i]));
        json_object_set_new(bin, "psi_contribution", td_number_json(contribution(c, n, c0, n0, (double)stream->bins)));
        json_array_append_new(bins, bin);
    }
    return bins;
}

static json_t *specials_json(const td_stream *stream, const uint64_t *sum)
{
    static const char *const names[TDE_SPECIALS] = {"missing", "infinite", "below_minimum", "above_maximum"};
    json_t *json = json_object();
    for (size_t i = 0; i < TDE_SPECIALS; i++) {
        json_object_set_new(json, names[i], json_integer((json_int_t)sum[stream->first + stream->bins + i]));
    }
    return json;
}

/* ---- Devices --------------------------------------------------------------------------------- */

typedef struct device_part {
    char name[65];
    uint64_t counts[TDE_BINS_MAX];
    uint64_t labelled, correct, n;
    double score; /* how far off, in the statistic's own terms */
} device_part;

typedef struct device_list {
    const td_finding *finding;
    device_part *items; /* sorted by name */
    size_t count, room;
} device_list;

static td_code device_find(device_list *list, const char *name, device_part **out, td_err *err)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(list->items[middle].name, name);
        if (order == 0) {
            *out = &list->items[middle];
            return TD_OK;
        }
        *(order < 0 ? &low : &high) = order < 0 ? middle + 1 : middle;
    }
    if (list->count == list->room) {
        size_t room = list->room == 0 ? 64 : list->room * 2;
        device_part *grown = realloc(list->items, room * sizeof *grown);
        if (grown == NULL) {
            return td_fail(err, TD_NOMEM, "out of memory");
        }
        list->items = grown;
        list->room = room;
    }
    memmove(&list->items[low + 1], &list->items[low], (list->count - low) * sizeof *list->items);
    list->items[low] = (device_part){.score = NAN};
    snprintf(list->items[low].name, sizeof list->items[low].name, "%s", name);
    list->count++;
    *out = &list->items[low];
    return TD_OK;
}

static td_code device_visit(void *context, const char *device, const uint64_t *vector, td_err *err)
{
    device_list *list = context;
    const td_result *result = list->finding->result;
    const uint64_t *tallies = vector + list->finding->watched->reference.tallies_first;
    device_part *part = NULL;
    TD_TRY(device_find(list, device, &part, err));
    for (size_t i = 0; result->stream != NULL && i < result->stream->bins; i++) {
        part->counts[i] += vector[result->stream->first + i];
    }
    part->n += tallies[TD_TALLY_N];
    part->labelled += tallies[TD_TALLY_LABELLED];
    part->correct += tallies[TD_TALLY_CORRECT];
    return TD_OK;
}

/* NAN: too few counts to judge this device alone. */
static double device_score(const td_finding *finding, const device_part *part)
{
    const td_result *result = finding->result;
    if (result->kind == TD_SIGNAL_PERFORMANCE) {
        double accuracy = part->labelled > 0 ? (double)part->correct / (double)part->labelled : 0;
        return part->labelled < DEVICE_COUNTS_MIN ? NAN : finding->watched->reference.accuracy - accuracy;
    }
    if (!result->streams || part->n < DEVICE_COUNTS_MIN) {
        return NAN;
    }
    uint64_t reference[TD_STATS_BINS_MAX], current[TD_STATS_BINS_MAX];
    td_histograms all = {result->stream->counts, part->counts, result->stream->bins};
    td_histograms joined = all;
    if (result->stream->numeric) {
        joined = (td_histograms){reference, current, td_join_deciles(&all, reference, current, NULL)};
    }
    return td_psi_corrected(&joined);
}

static int compare_scores(const void *a, const void *b)
{
    double x = ((const device_part *)a)->score, y = ((const device_part *)b)->score;
    if (isnan(x) || isnan(y)) {
        return isnan(x) - isnan(y);
    }
    return (x < y) - (x > y);
}

static json_t *devices_json(device_list *list)
{
    const td_bounds *bounds = &list->finding->result->bounds;
    size_t judged = 0, affected = 0;
    for (size_t i = 0; i < list->count; i++) {
        list->items[i].score = device_score(list->finding, &list->items[i]);
        judged += !isnan(list->items[i].score);
        affected += list->items[i].score > bounds->alert;
    }
    if (list->count > 0) {
        qsort(list->items, list->count, sizeof *list->items, compare_scores);
    }
    json_t *worst = json_array();
    for (size_t i = 0; i < list->count && i < DEVICES_LISTED && !isnan(list->items[i].score); i++) {
        json_t *device = json_object();
        json_object_set_new(device, "device", json_string(list->items[i].name));
        json_object_set_new(device, "value", json_real(list->items[i].score));
        json_object_set_new(device, "n", json_integer((json_int_t)list->items[i].n));
        json_array_append_new(worst, device);
    }
    json_t *json = json_object();
    json_object_set_new(json, "reporting", json_integer((json_int_t)list->count));
    json_object_set_new(json, "judged", json_integer((json_int_t)judged));
    json_object_set_new(json, "affected", json_integer((json_int_t)affected));
    json_object_set_new(json, "share", judged > 0 ? json_real((double)affected / (double)judged) : json_null());
    json_object_set_new(json, "worst", worst);
    return json;
}

/* ---- All ------------------------------------------------------------------------------------- */

static void put_digest(json_t *json, const char *key, const uint8_t digest[TD_DIGEST_SIZE])
{
    char text[7 + TD_DIGEST_TEXT] = "sha256:";
    td_hex_encode(digest, TD_DIGEST_SIZE, text + 7);
    json_object_set_new(json, key, json_string(text));
}

td_code td_finding_evidence(td_db *db, const td_finding *finding, json_t **out, td_err *err)
{
    const td_watched *watched = finding->watched;
    const td_stretch *stretch = finding->stretch;
    device_list devices = {.finding = finding};
    td_code code =
        td_window_each(db, watched, stretch->first_window, stretch->last_window, device_visit, &devices, err);
    if (code != TD_OK) {
        free(devices.items);
        return code;
    }
    json_t *json = td_finding_report(finding, TD_SEVERITY_ALERT);
    json_object_set_new(json, "interval", td_interval_json(finding->result->interval));
    json_object_set_new(json, "reference_rows", json_integer((json_int_t)watched->reference.rows));
    put_digest(json, "manifest_digest", watched->manifest_digest);
    put_digest(json, "edges_digest", watched->edges_digest);
    json_object_set_new(json, "windows", json_integer(stretch->windows));
    json_object_set_new(json, "first_window", json_integer(stretch->first_window));
    json_object_set_new(json, "last_window", json_integer(stretch->last_window));
    if (finding->result->stream != NULL) {
        json_object_set_new(json, "bins", bins_json(finding->result->stream, stretch->sum));
        json_object_set_new(json, "special", specials_json(finding->result->stream, stretch->sum));
    }
    json_object_set_new(json, "devices", devices_json(&devices));
    free(devices.items);
    *out = json;
    return TD_OK;
}
