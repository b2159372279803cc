/*
 * apps.c: see apps.h. Datagrams only count; td_apps_tick does what takes time (files, the core's durable writes), once
 * for many datagrams.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/apps.h"

#include "core/base/fs.h"
#include "core/base/log.h"
#include "firmware/edge/window.h"
#include "firmware/linux/slot_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMPONENT "apps"

td_code td_apps_open(td_apps *apps, tde_core *core, const td_world *world, const char *slots_root, size_t window_room,
                     td_err *err)
{
    *apps = (td_apps){.core = core, .world = world, .slots_root = slots_root, .window_room = window_room};
    apps->window = malloc(window_room);
    return apps->window != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory for a window");
}

static bool is_zero(const uint8_t digest[TDE_DIGEST_SIZE])
{
    static const uint8_t zeros[TDE_DIGEST_SIZE];
    return memcmp(digest, zeros, sizeof zeros) == 0;
}

static int64_t monotonic(const td_apps *apps)
{
    return apps->world->clock->monotonic_ms(apps->world->clock);
}

static td_app *find_app(const td_apps *apps, const char *slot)
{
    for (size_t i = 0; i < TDE_SLOTS_MAX; i++) {
        if (apps->apps[i].slot[0] != 0 && strcmp(apps->apps[i].slot, slot) == 0) {
            return (td_app *)&apps->apps[i];
        }
    }
    return NULL;
}

/* ---- Windows ------------------------------------------------------------------------------------------------------
 */

static void begin_window(const td_apps *apps, td_app *app)
{
    app->began_ms = monotonic(apps);
    app->start_ms = td_world_unix_ms(apps->world);
}

static void close_window(td_apps *apps, td_app *app)
{
    if (!app->counting || tde_bins_empty(&app->bins)) {
        begin_window(apps, app);
        return;
    }
    size_t size = 0;
    int64_t length = monotonic(apps) - app->began_ms;
    tde_window_head head = {.manifest_digest = app->digest,
                            .edges_digest = app->edges_digest,
                            .start_ms = app->start_ms,
                            .length_ms = length > 0 && length < UINT32_MAX ? (uint32_t)length : 0,
                            .slot = app->slot};
    int result = tde_window_encode(&app->bins, &head, apps->window, apps->window_room, &size);
    if (result == TDE_BINS_OK) {
        result = tde_outbox_add_window(apps->core, apps->window, size);
    }
    if (result != TDE_OK) {
        td_log_error(COMPONENT, "%s: a window of %u observations is lost: error %d", app->slot, app->bins.tally.n,
                     result);
    }
    app->windows++;
    tde_bins_reset(&app->bins);
    begin_window(apps, app);
}

static void hash_part(void *context, const void *data, size_t size)
{
    td_sha256_update(context, data, size);
}

static int digest_edges(const td_str *baseline, uint8_t digest[TD_DIGEST_SIZE])
{
    td_err err;
    TD_CLEANUP(td_sha256_free) td_sha256 *hash = NULL;
    if (td_sha256_new(&hash, &err) != TD_OK) {
        return TDE_IO;
    }
    int result = tde_edges_encode((const uint8_t *)baseline->data, baseline->size, hash_part, hash);
    td_sha256_final(hash, digest);
    return result;
}

static int lay_out(td_app *app, const td_str *baseline)
{
    size_t need = 0;
    const uint8_t *bytes = (const uint8_t *)baseline->data;
    int result = tde_bins_measure(bytes, baseline->size, &need);
    if (result != TDE_BINS_OK) {
        return result;
    }
    app->memory = calloc(1, need);
    app->pending = calloc(TD_APP_PENDING, sizeof *app->pending);
    if (app->memory == NULL || app->pending == NULL) {
        return TDE_BINS_ROOM;
    }
    result = tde_bins_init(&app->bins, bytes, baseline->size, app->memory, need);
    if (result == TDE_BINS_OK) {
        tde_bins_remember(&app->bins, app->pending, TD_APP_PENDING);
        result = digest_edges(baseline, app->edges_digest);
    }
    return result;
}

static void stop_counting(td_app *app)
{
    free(app->memory);
    free(app->pending);
    app->memory = NULL;
    app->pending = NULL;
    app->counting = false;
}

/* Lays out the bins of the version that is current now; one without a baseline is run without being watched. */
static void start_counting(const td_apps *apps, td_app *app)
{
    td_err err;
    char path[4096], id[TD_PLACE_ID_TEXT];
    TD_CLEANUP(td_str_done) td_str baseline = {0};
    td_place_id(app->digest, id);
    snprintf(path, sizeof path, "%s/%s/%s/baseline.pb", apps->slots_root, app->slot, id);
    if (!td_path_exists(path)) {
        td_log_warn(COMPONENT, "%s: version %s has no baseline: it is not watched", app->slot, id);
        return;
    }
    if (td_file_read(path, TDE_BASELINE_SIZE_MAX, &baseline, &err) != TD_OK) {
        td_log_err(TD_LOG_ERROR, COMPONENT, path, &err);
        return;
    }
    int result = lay_out(app, &baseline);
    if (result != TDE_BINS_OK) {
        td_log_error(COMPONENT, "%s: the baseline of version %s cannot be used: error %d; it is not watched", app->slot,
                     id, result);
        stop_counting(app);
        return;
    }
    app->counting = true;
    begin_window(apps, app);
}

/* ---- Records ------------------------------------------------------------------------------------------------------
 */

static bool by_current_version(const td_app *app, const td_local_head *head)
{
    return head->any_model || memcmp(head->model, app->digest, sizeof head->model) == 0;
}

/* Names of categories become their numbers. False: a text for a feature that is not there. */
static bool resolve_texts(const td_app *app, td_local_record *record)
{
    td_local_text text;
    while (td_local_text_next(record, &text)) {
        bool prediction = text.feature == TM_LOCAL_PREDICTION;
        if (!prediction && text.feature >= record->feature_count) {
            return false;
        }
        float number =
            (float)tde_category(&app->bins, prediction ? TDE_PREDICTION : text.feature, text.text, text.length);
        if (prediction) {
            record->prediction = number;
        } else {
            record->features[text.feature] = number;
        }
    }
    return true;
}

static void count_observation(td_apps *apps, td_app *app, td_local_record *record)
{
    app->observed++;
    app->inferences++;
    if (!app->counting) {
        return;
    }
    if (!resolve_texts(app, record)) {
        tde_observe_error(&app->bins);
        app->failed++;
        app->failures++;
        return;
    }
    tde_observation observation = {.features = record->features,
                                   .feature_count = record->feature_count,
                                   .prediction = record->prediction,
                                   .score = record->score,
                                   .id = record->id,
                                   .latency_us = record->latency_us,
                                   .group = (int32_t)tde_group_index(&app->bins, record->group, record->group_length)};
    int result = tde_observe(&app->bins, &observation);
    if (result == TDE_BINS_FULL) {
        close_window(apps, app);
        result = tde_observe(&app->bins, &observation);
    }
    if (result != TDE_BINS_OK) {
        app->failed++;
        app->failures++;
    }
}

static void count_label(td_apps *apps, td_app *app, const td_local_record *record)
{
    if (!app->counting) {
        return;
    }
    float value = record->prediction;
    if (record->group_length > 0) {
        value = (float)tde_category(&app->bins, TDE_PREDICTION, record->group, record->group_length);
    }
    int result = tde_label(&app->bins, record->id, value);
    if (result == TDE_BINS_FULL) {
        close_window(apps, app);
        result = tde_label(&app->bins, record->id, value);
    }
    app->labelled += result == TDE_BINS_OK;
    app->unmatched += result != TDE_BINS_OK;
}

static void count_errors(td_app *app, uint32_t errors)
{
    uint32_t taken = errors < 65535 ? errors : 65535; /* one record cannot keep the loop busy for long */
    app->failed += taken;
    app->failures += taken;
    for (uint32_t i = 0; i < taken && app->counting; i++) {
        tde_observe_error(&app->bins);
    }
}

static void take_record(td_apps *apps, td_app *app, const td_local_head *head, td_local_record *record)
{
    if (!by_current_version(app, head)) {
        app->stale += record->type == TM_RECORD_OBSERVE;
        return;
    }
    app->current_seen = true;
    if (record->type == TM_RECORD_OBSERVE) {
        count_observation(apps, app, record);
    } else if (record->type == TM_RECORD_LABEL) {
        count_label(apps, app, record);
    } else if (record->type == TM_RECORD_ERROR) {
        count_errors(app, record->errors);
    }
}

td_code td_apps_datagram(td_apps *apps, const uint8_t *datagram, size_t size, unsigned *reply_out, td_err *err)
{
    td_local_head head;
    apps->datagrams++;
    td_code code = td_local_read_head(datagram, size, &head, err);
    if (code != TD_OK) {
        apps->refused++;
        return code;
    }
    unsigned reply = 0;
    td_app *app = find_app(apps, head.slot);
    for (bool more = true; more;) {
        td_local_record record;
        code = td_local_read_record(&head.records, &head.records_size, apps->features, &record, &more, err);
        if (code != TD_OK) {
            apps->refused++;
            return code;
        }
        if (!more) {
            break;
        }
        reply = record.type == TM_RECORD_ATTACH   ? TM_RECORD_ATTACHED
                : record.type == TM_RECORD_STATUS ? TM_RECORD_STATUS_IS
                                                  : reply;
        if (app != NULL && record.type != TM_RECORD_STATUS) {
            app->renewed = true;
            take_record(apps, app, &head, &record);
        }
    }
    *reply_out = reply;
    return TD_OK;
}

size_t td_apps_attached_reply(const td_apps *apps, const uint8_t *datagram, size_t size, uint8_t *out, size_t room)
{
    td_err err;
    td_local_head head;
    const size_t body = 4 + TM_LOCAL_MODEL_SIZE;
    if (td_local_read_head(datagram, size, &head, &err) != TD_OK || room < TM_LOCAL_RECORD_HEAD + body) {
        return 0;
    }
    const td_app *app = find_app(apps, head.slot);
    bool runs = app != NULL && !is_zero(app->digest);
    memset(out, 0, TM_LOCAL_RECORD_HEAD + body);
    out[0] = TM_RECORD_ATTACHED;
    out[2] = (uint8_t)body;
    out[4] = runs ? 1 : 0;
    if (runs) {
        uint16_t features = app->counting ? app->bins.feature_count : 0;
        out[6] = (uint8_t)features;
        out[7] = (uint8_t)(features >> 8);
        memcpy(out + 8, app->digest, TM_LOCAL_MODEL_SIZE);
    }
    return TM_LOCAL_RECORD_HEAD + body;
}

/* ---- The tick -----------------------------------------------------------------------------------------------------
 */

static void tell_core(td_apps *apps, td_app *app)
{
    if (!app->renewed) {
        return;
    }
    if (!app->attached) {
        app->attached = tde_slot_attached(apps->core, app->slot) == TDE_OK;
    }
    static const uint8_t another[TDE_DIGEST_SIZE] = {0xFF, 0xFF, 0xFF, 0xFF};
    const uint8_t *digest = app->current_seen ? app->digest : another; /* another version: only the lease */
    (void)tde_slot_observed(apps->core, app->slot, digest, app->inferences, app->failures);
    app->renewed = app->current_seen = false;
    app->inferences = app->failures = 0;
}

static void follow(td_apps *apps, td_app *app, const tde_slot_view *view)
{
    app->window_seconds = view->window_seconds > 0 ? view->window_seconds : TD_APP_WINDOW_SECONDS;
    if (memcmp(app->digest, view->current, sizeof app->digest) == 0) {
        return;
    }
    tell_core(apps, app);
    close_window(apps, app);
    stop_counting(app);
    memcpy(app->digest, view->current, sizeof app->digest);
    if (!is_zero(app->digest)) {
        start_counting(apps, app);
    }
}

/* The counter of a slot of the core; slots are never taken away while the agent runs. */
static td_app *app_of(td_apps *apps, const char *slot)
{
    td_app *app = find_app(apps, slot);
    for (size_t i = 0; app == NULL && i < TDE_SLOTS_MAX; i++) {
        if (apps->apps[i].slot[0] == 0) {
            app = &apps->apps[i];
            snprintf(app->slot, sizeof app->slot, "%s", slot);
        }
    }
    return app;
}

static uint32_t tick_app(td_apps *apps, td_app *app)
{
    tell_core(apps, app);
    if (!app->counting) {
        return UINT32_MAX;
    }
    int64_t due = (int64_t)app->window_seconds * 1000 - (monotonic(apps) - app->began_ms);
    if (due <= 0 || tde_bins_full(&app->bins)) {
        close_window(apps, app);
        due = (int64_t)app->window_seconds * 1000;
    }
    return due < UINT32_MAX ? (uint32_t)due : UINT32_MAX;
}

uint32_t td_apps_tick(td_apps *apps)
{
    uint32_t next = UINT32_MAX;
    for (size_t i = 0; i < tde_slot_count(apps->core); i++) {
        tde_slot_view view;
        td_app *app = NULL;
        if (tde_slot_get(apps->core, i, &view) == TDE_OK) {
            app = app_of(apps, view.name);
        }
        if (app != NULL) {
            follow(apps, app, &view);
            uint32_t due = tick_app(apps, app);
            next = due < next ? due : next;
        }
    }
    return next;
}

void td_apps_close(td_apps *apps)
{
    for (size_t i = 0; i < TDE_SLOTS_MAX; i++) {
        td_app *app = &apps->apps[i];
        if (app->slot[0] != 0) {
            tell_core(apps, app);
            close_window(apps, app);
            stop_counting(app);
        }
    }
    free(apps->window);
    apps->window = NULL;
}

json_t *td_apps_json(const td_apps *apps, const char *slot)
{
    const td_app *app = find_app(apps, slot);
    if (app == NULL) {
        return NULL;
    }
    return json_pack("{s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "attached", app->attached, "watched", app->counting,
                     "features", (json_int_t)(app->counting ? app->bins.feature_count : 0), "observations",
                     (json_int_t)app->observed, "labels", (json_int_t)app->labelled, "labels_unmatched",
                     (json_int_t)app->unmatched, "errors", (json_int_t)app->failed, "stale", (json_int_t)app->stale,
                     "windows", (json_int_t)app->windows, "window_seconds", (json_int_t)app->window_seconds);
}
