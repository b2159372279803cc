/*
 * fit_store.c: a version's wants held against a device's inventory, one rule after the other.
 *
 * The first three rules are those of the device itself (firmware/edge/manifest.c): what they refuse here would be
 * refused there, after the way. The others can only warn, but for an operator set that the device says it lacks.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/fit.h"
#include "fleet/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *td_fit_name(td_fit fit)
{
    static const char *const names[] = {"yes", "unsure", "no"};
    return names[fit];
}

/* ---- what a version asks for ---- */

void td_fit_need_done(td_fit_need *need)
{
    td_arena_done(&need->arena);
}

static td_code read_domains(const json_t *operators, td_fit_need *need, td_err *err)
{
    for (size_t i = 0; i < json_array_size(operators) && need->domain_count < TD_FIT_DOMAINS_MAX; i++) {
        const json_t *op = json_array_get(operators, i);
        const char *domain = td_json_text(op, "domain", "");
        bool known = !td_json_bool(op, "custom", false);
        for (size_t k = 0; k < need->domain_count && !known; k++) {
            known = strcmp(need->domains[k], domain) == 0;
        }
        if (known) {
            continue;
        }
        const char *copy = td_arena_text(&need->arena, domain);
        if (copy == NULL) {
            return td_fail(err, TD_NOMEM, "no memory to compare a version with devices");
        }
        need->domains[need->domain_count++] = copy;
    }
    return TD_OK;
}

static td_code read_bytes(td_db *db, td_fit_need *need, td_err *err)
{
    td_version_file *files;
    size_t count;
    TD_TRY(td_version_files(db, need->version.version_id, &need->arena, &files, &count, err));
    for (size_t i = 0; i < count; i++) {
        need->bytes += files[i].role != TD_FILE_META ? files[i].size : 0;
    }
    return TD_OK;
}

td_code td_fit_need_read(td_db *db, const char *project, const char *reference, td_fit_need *out, td_err *err)
{
    TD_CLEANUP(td_fit_need_done) td_fit_need need = {.opset = 0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_TRY(td_version_find(db, project, reference, &need.arena, &need.version, err));
    TD_TRY(td_version_json(db, project, need.version.label, &json, err));
    const json_t *facts = json_object_get(json, "facts");
    need.opset = strcmp(need.version.format, "onnx") == 0
                     ? td_json_int(json_object_get(facts, "opsets"), "ai.onnx", 0)
                     : 0;
    need.weights = td_json_int(facts, "parameter_bytes", 0);
    TD_TRY(read_domains(json_object_get(facts, "operators"), &need, err));
    TD_TRY(read_bytes(db, &need, err));
    *out = need;
    need = (td_fit_need){.opset = 0};
    return TD_OK;
}

/* ---- what a device has ---- */

typedef struct inventory {
    const char *name, *hardware, *state;
    json_t *runtimes; /* owned */
    int64_t ram_bytes, storage_free;
    bool heard; /* it was born once */
} inventory;

typedef struct judgement {
    const td_fit_need *need;
    const inventory *device;
    json_t *reasons; /* or NULL */
    td_fit fit;
} judgement;

static void TD_PRINTF(4, 5) say(judgement *self, td_fit fit, const char *code, const char *format, ...)
{
    self->fit = fit > self->fit ? fit : self->fit;
    if (self->reasons == NULL) {
        return;
    }
    char text[400];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    (void)json_array_append_new(self->reasons, json_pack("{s:s, s:s, s:s}", "code", code, "fit", td_fit_name(fit),
                                                         "text", text));
}

/* ---- the rules ---- */

/* The number at the end of the highest runtime called prefixN; -1: there is none. */
static int64_t number_after(const json_t *runtimes, const char *prefix)
{
    int64_t best = -1, number;
    size_t length = strlen(prefix);
    for (size_t i = 0; i < json_array_size(runtimes); i++) {
        const char *name = json_string_value(json_array_get(runtimes, i));
        td_err ignored;
        if (name != NULL && strncmp(name, prefix, length) == 0 &&
            td_parse_int(name + length, "opset", 0, 1000, &number, &ignored) == TD_OK && number > best) {
            best = number;
        }
    }
    return best;
}

static bool has_runtime(const json_t *runtimes, const char *wanted)
{
    for (size_t i = 0; i < json_array_size(runtimes); i++) {
        const char *name = json_string_value(json_array_get(runtimes, i));
        if (name != NULL && strcmp(name, wanted) == 0) {
            return true;
        }
    }
    return false;
}

/* word, or word-anything. */
static bool has_family(const json_t *runtimes, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i < json_array_size(runtimes); i++) {
        const char *name = json_string_value(json_array_get(runtimes, i));
        if (name != NULL && strncmp(name, word, length) == 0 && (name[length] == '\0' || name[length] == '-')) {
            return true;
        }
    }
    return false;
}

static void judge_requirement(judgement *self)
{
    const td_version *version = &self->need->version;
    const inventory *device = self->device;
    bool any = version->runtime_count == 0;
    if (version->hardware[0] != '\0' && strcmp(version->hardware, device->hardware) != 0) {
        say(self, TD_FIT_NO, "hardware", "it is for %s, the device is %s", version->hardware,
            device->hardware[0] != '\0' ? device->hardware : "of unknown hardware");
    }
    if (version->ram_bytes > (uint64_t)device->ram_bytes) {
        say(self, TD_FIT_NO, "ram", "it needs %llu bytes of memory, the device has %lld",
            (unsigned long long)version->ram_bytes, (long long)device->ram_bytes);
    }
    for (size_t i = 0; i < version->runtime_count; i++) {
        any = any || has_runtime(device->runtimes, version->runtimes[i]);
    }
    if (!any) {
        say(self, TD_FIT_NO, "runtime", "it needs %s%s, which the device does not have", version->runtimes[0],
            version->runtime_count > 1 ? " or another of its runtimes" : "");
    }
}

/* Only where the version itself asks for no runtime, and the device names any. */
static void judge_format(judgement *self)
{
    static const char *const runs[][4] = {{"onnx", "onnx", "onnxruntime", NULL},
                                          {"tflite", "tflite", "tflm", "litert"},
                                          {"gguf", "gguf", "llama.cpp", NULL}};
    const td_version *version = &self->need->version;
    for (size_t i = 0; i < TD_COUNT_OF(runs); i++) {
        if (strcmp(runs[i][0], version->format) != 0 || version->runtime_count > 0 ||
            json_array_size(self->device->runtimes) == 0) {
            continue;
        }
        bool found = false;
        for (size_t k = 1; k < TD_COUNT_OF(runs[i]) && runs[i][k] != NULL; k++) {
            found = found || has_family(self->device->runtimes, runs[i][k]);
        }
        if (!found) {
            say(self, TD_FIT_UNSURE, "format", "none of the device's runtimes is known to run %s", version->format);
        }
    }
}

static void judge_operators(judgement *self)
{
    const td_fit_need *need = self->need;
    int64_t opset = number_after(self->device->runtimes, "onnx-opset");
    if (need->opset > 0 && opset >= 0 && need->opset > opset) {
        say(self, TD_FIT_NO, "opset", "its operators are of ONNX's set %lld, the device has them up to %lld",
            (long long)need->opset, (long long)opset);
    }
    for (size_t i = 0; i < need->domain_count; i++) {
        char name[300];
        snprintf(name, sizeof name, "onnx-domain-%.256s", need->domains[i]);
        if (!has_runtime(self->device->runtimes, name)) {
            say(self, TD_FIT_UNSURE, "operators",
                "it has operators of %s; the device does not say that it has them (runtime %.60s)",
                need->domains[i][0] != '\0' ? need->domains[i] : "its own", name);
            break;
        }
    }
}

static void judge_size(judgement *self)
{
    const td_fit_need *need = self->need;
    const inventory *device = self->device;
    if (need->version.ram_bytes == 0 && device->ram_bytes > 0 && need->weights > device->ram_bytes) {
        say(self, TD_FIT_UNSURE, "weights", "its weights alone take %lld bytes, the device has %lld of memory",
            (long long)need->weights, (long long)device->ram_bytes);
    }
    if (device->storage_free > 0 && need->bytes > (uint64_t)device->storage_free) {
        say(self, TD_FIT_UNSURE, "storage",
            "its files take %llu bytes, the device had %lld free; it may make room by letting an older version go",
            (unsigned long long)need->bytes, (long long)device->storage_free);
    }
}

static void judge(judgement *self)
{
    if (self->need->version.quarantined) {
        say(self, TD_FIT_NO, "quarantined", "a file of it can hold a pickle: it is never sent to a device");
    }
    if (strcmp(self->device->state, "revoked") == 0) {
        say(self, TD_FIT_NO, "revoked", "the device is revoked");
    }
    if (!self->device->heard) {
        say(self, TD_FIT_UNSURE, "unheard", "the device has not told its inventory yet");
        return;
    }
    judge_requirement(self);
    judge_format(self);
    judge_operators(self);
    judge_size(self);
}

td_code td_fit_device(td_db *db, const td_fit_need *need, int64_t device_id, td_fit *out, json_t **reasons_out,
                      td_err *err)
{
    td_stmt *stmt;
    TD_CLEANUP(td_json_done) json_t *reasons = reasons_out != NULL ? json_array() : NULL;
    TD_TRY(td_db_prepare(db,
                         "SELECT name, hardware, state, runtimes, ram_bytes, storage_free, birth_ms FROM device "
                         "WHERE device_id = :device_id",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    TD_TRY(td_step_one(stmt, err, "there is no device in row %lld", (long long)device_id));
    TD_CLEANUP(td_json_done) json_t *runtimes = json_loads(td_column_text(stmt, "runtimes"), 0, NULL);
    inventory device = {.name = td_column_text(stmt, "name"),
                        .hardware = td_column_text(stmt, "hardware"),
                        .state = td_column_text(stmt, "state"),
                        .runtimes = runtimes,
                        .ram_bytes = td_column_int(stmt, "ram_bytes"),
                        .storage_free = td_column_int(stmt, "storage_free"),
                        .heard = !td_column_null(stmt, "birth_ms")};
    judgement self = {.need = need, .device = &device, .reasons = reasons};
    judge(&self);
    td_reset(stmt);
    *out = self.fit;
    if (reasons_out != NULL) {
        *reasons_out = reasons;
        reasons = NULL;
    }
    return TD_OK;
}

/* ---- many devices ---- */

typedef struct survey {
    td_db *db;
    const td_fit_need *need;
    bool all;           /* also list those that fit */
    int64_t counts[3];  /* by td_fit */
    json_t *listed[3];  /* by td_fit; owned */
} survey;

static void survey_done(survey *self)
{
    for (size_t i = 0; i < TD_COUNT_OF(self->listed); i++) {
        td_json_done(&self->listed[i]);
    }
}

static td_code look(void *context, int64_t device_id, const char *name, td_err *err)
{
    survey *self = context;
    td_fit fit;
    TD_CLEANUP(td_json_done) json_t *reasons = NULL;
    TD_TRY(td_fit_device(self->db, self->need, device_id, &fit, &reasons, err));
    self->counts[fit]++;
    if ((fit == TD_FIT_YES && !self->all) || json_array_size(self->listed[fit]) >= TD_FIT_LISTED_MAX) {
        return TD_OK;
    }
    json_t *row = json_pack("{s:s, s:s, s:O}", "device", name, "fit", td_fit_name(fit), "reasons", reasons);
    return row != NULL && json_array_append_new(self->listed[fit], row) == 0
               ? TD_OK
               : td_fail(err, TD_NOMEM, "no memory to compare a version with devices");
}

static json_t *needs_json(const td_fit_need *need)
{
    json_t *runtimes = json_array(), *domains = json_array();
    for (size_t i = 0; i < need->version.runtime_count; i++) {
        (void)json_array_append_new(runtimes, json_string(need->version.runtimes[i]));
    }
    for (size_t i = 0; i < need->domain_count; i++) {
        (void)json_array_append_new(domains, json_string(need->domains[i]));
    }
    return json_pack("{s:s, s:I, s:o, s:s, s:o, s:I, s:I, s:I}", "format", need->version.format, "opset",
                     (json_int_t)need->opset, "domains", domains, "hardware", need->version.hardware, "runtimes",
                     runtimes, "ram_bytes", (json_int_t)need->version.ram_bytes, "weights_bytes",
                     (json_int_t)need->weights, "bytes", (json_int_t)need->bytes);
}

/* The worst first. */
static json_t *listed_json(const survey *self)
{
    json_t *list = json_array();
    for (int fit = TD_FIT_NO; fit >= TD_FIT_YES; fit--) {
        for (size_t i = 0; i < json_array_size(self->listed[fit]); i++) {
            if (json_array_size(list) < TD_FIT_LISTED_MAX) {
                (void)json_array_append(list, json_array_get(self->listed[fit], i));
            }
        }
    }
    return list;
}

td_code td_fit_json(td_db *db, const char *project, const char *reference, const td_fit_query *query, json_t **out,
                    td_err *err)
{
    TD_CLEANUP(td_fit_need_done) td_fit_need need = {.opset = 0};
    TD_CLEANUP(survey_done)
    survey self = {.db = db,
                   .need = &need,
                   .all = query->device != NULL,
                   .listed = {json_array(), json_array(), json_array()}};
    TD_TRY(td_fit_need_read(db, project, reference, &need, err));
    if (query->device != NULL) {
        td_device_row device;
        TD_TRY(td_fleet__device_by_name(db, project, query->device, &device, err));
        TD_TRY(look(&self, device.device_id, device.name, err));
    } else {
        td_selector selector;
        int64_t revision;
        TD_TRY(td_selector__parse(query->to != NULL ? query->to : "all", &selector, err));
        TD_TRY(td_fleet__select(db, project, &selector, -1, look, &self, &revision, err));
    }
    return td_fleet__json_out(
        json_pack("{s:s, s:o, s:{s:I, s:I, s:I}, s:o}", "version", need.version.label, "needs", needs_json(&need),
                  "counts", "yes", (json_int_t)self.counts[TD_FIT_YES], "unsure",
                  (json_int_t)self.counts[TD_FIT_UNSURE], "no", (json_int_t)self.counts[TD_FIT_NO], "devices",
                  listed_json(&self)),
        out, err);
}
