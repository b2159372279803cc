/*
 * create_store.c: how a rollout begins: everything is checked, the waves' bounds are fixed, devices take their places.
 *
 * The bound of a wave is the place of the device that makes its share full, so that waves have exact sizes in the fleet
 * of today and yet a device that joins tomorrow finds its wave from its identifier alone.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"
#include "core/base/arena.h"
#include "fleet/fit.h"
#include "fleet/rollout_internal.h"
#include "registry/registry.h"

#include <math.h>
#include <pb_encode.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct draft {
    td_plan plan;
    td_selector selector;
    td_db *db;
    td_fit_need need;
    td_version version; /* its texts live in `need` */
    const char *slot, *to;
    uint8_t salt[16];
    td_str places; /* int64_t each, sorted */
    const json_t *canaries;
    size_t canaries_found;
    size_t unfit;     /* devices that cannot take the version; not among the places unless they are to try */
    char example[200]; /* one of them, and why */
} draft;

static void draft_done(draft *self)
{
    td_fit_need_done(&self->need);
    td_str_done(&self->places);
}

static td_code check_version(const td_version *version, td_err *err)
{
    if (version->state != TD_VERSION_APPROVED || !version->has_envelope) {
        return td_fail(err, TD_CONFLICT,
                       "version %s is %s; only an approved version can be rolled out (tidemark version "
                       "submit %s, then somebody else: tidemark version approve %s)",
                       version->label, td_version_states.names[version->state], version->label, version->label);
    }
    if (version->quarantined) {
        return td_quarantine_refuse(version->label, "a file of it", "quarantined", err);
    }
    return TD_OK;
}

/* Counts a device that cannot take the version and remembers why the first of them cannot. */
static td_code check_fit(draft *self, int64_t device_id, const char *name, bool *fits_out, td_err *err)
{
    td_fit fit;
    TD_CLEANUP(td_json_done) json_t *reasons = NULL;
    TD_TRY(td_fit_device(self->db, &self->need, device_id, &fit, &reasons, err));
    *fits_out = fit != TD_FIT_NO;
    if (!*fits_out && self->unfit++ == 0) {
        size_t at = 0;
        while (strcmp(td_json_text(json_array_get(reasons, at), "fit", "no"), "no") != 0) {
            at++;
        }
        snprintf(self->example, sizeof self->example, "%s: %.120s", name,
                 td_json_text(json_array_get(reasons, at), "text", ""));
    }
    return TD_OK;
}

static td_code take_place(void *context, int64_t device_id, const char *name, td_err *err)
{
    draft *self = context;
    bool fits;
    TD_TRY(check_fit(self, device_id, name, &fits, err));
    int64_t place = td_plan__place(self->salt, name);
    if (fits || self->plan.unfit == 't') {
        td_str_append(&self->places, &place, sizeof place);
    }
    for (size_t i = 0; i < json_array_size(self->canaries); i++) {
        const char *canary = json_string_value(json_array_get(self->canaries, i));
        self->canaries_found += canary != NULL && strcmp(canary, name) == 0;
    }
    return td_str_check(&self->places, err);
}

static int by_place(const void *a, const void *b)
{
    int64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static td_code find_targets(td_db *db, const char *project, draft *self, td_err *err)
{
    int64_t revision = 0;
    TD_TRY(td_random(self->salt, sizeof self->salt, err));
    TD_TRY(td_fleet__select(db, project, &self->selector, -1, take_place, self, &revision, err));
    if (self->places.size == 0 && self->unfit > 0) {
        return td_fail(err, TD_CONFLICT, "none of the %zu devices can take %.60s (%s)", self->unfit,
                       self->version.label, self->example);
    }
    if (self->places.size == 0) {
        TD_CLEANUP(td_str_done) td_str hint = {.limit = 150};
        (void)!td_fleet__suggest_tags(db, project, &self->selector, &hint, err);
        return td_fail(err, TD_CONFLICT, "no device matches \"%.60s\"%.140s", self->to, td_str_text(&hint));
    }
    if (self->canaries_found < json_array_size(self->canaries)) {
        return td_fail(err, TD_INVALID, "rollout: of %zu canaries only %zu are devices that \"%.80s\" selects",
                       json_array_size(self->canaries), self->canaries_found, self->to);
    }
    qsort(self->places.data, self->places.size / sizeof(int64_t), sizeof(int64_t), by_place);
    return TD_OK;
}

static td_code read_draft(td_db *db, const char *project, const json_t *spec, draft *self, td_err *err)
{
    TD_TRY(td_plan__read(spec, &self->plan, err));
    self->to = td_json_text(spec, "to", "");
    self->canaries = json_object_get(spec, "canaries");
    TD_TRY(td_selector__parse(self->to, &self->selector, err));
    self->db = db;
    TD_TRY(td_fit_need_read(db, project, td_json_text(spec, "model_version", ""), &self->need, err));
    self->version = self->need.version;
    TD_TRY(check_version(&self->version, err));
    self->slot = td_json_text(spec, "slot", self->version.model);
    return find_targets(db, project, self, err);
}

/* The place of the device that fills wave k. */
static int64_t bound_of(const draft *self, int64_t k)
{
    size_t count = self->places.size / sizeof(int64_t);
    if (k == self->plan.wave_count - 1) {
        return INT64_MAX;
    }
    double wanted = ceil(self->plan.shares[k] * (double)count - 1e-9);
    size_t rank = wanted < 1 ? 1 : (size_t)wanted;
    int64_t bound;
    memcpy(&bound, self->places.data + (rank - 1) * sizeof bound, sizeof bound);
    return bound;
}

td_code td_rollout_preview_json(td_db *db, const char *project, const json_t *spec, json_t **out, td_err *err)
{
    TD_CLEANUP(draft_done) draft self = {0};
    TD_TRY(read_draft(db, project, spec, &self, err));
    size_t count = self.places.size / sizeof(int64_t), before = 0;
    TD_CLEANUP(td_json_done) json_t *waves = json_array();
    for (int64_t k = 0; k < self.plan.wave_count; k++) {
        int64_t bound = bound_of(&self, k), place;
        size_t upto = before;
        for (; upto < count; upto++) {
            memcpy(&place, self.places.data + upto * sizeof place, sizeof place);
            if (place > bound) {
                break;
            }
        }
        json_array_append_new(waves, json_integer((json_int_t)(upto - before)));
        before = upto;
    }
    TD_CLEANUP(td_json_done) json_t *fit = NULL;
    td_fit_query query = {.to = self.to};
    TD_TRY(td_fit_json(db, project, self.version.label, &query, &fit, err));
    const json_t *counts = json_object_get(fit, "counts");
    return td_fleet__json_out(json_pack("{s:I, s:O, s:O, s:O, s:O}", "devices", (json_int_t)count, "waves", waves,
                                        "unfit", json_object_get(counts, "no"), "unsure",
                                        json_object_get(counts, "unsure"), "not_fitting",
                                        json_object_get(fit, "devices")),
                              out, err);
}

static td_code encode_goal(const draft *self, uint8_t *out, size_t room, size_t *size_out, td_err *err)
{
    const td_version *version = &self->version;
    tidemark_Goal goal = tidemark_Goal_init_zero;
    snprintf(goal.slot, sizeof goal.slot, "%s", self->slot);
    memcpy(goal.manifest_digest, version->manifest_digest, TD_DIGEST_SIZE);
    memcpy(goal.envelope_digest, version->envelope_digest, TD_DIGEST_SIZE);
    goal.envelope_size = version->envelope_size;
    goal.total_size = version->device_bytes;
    goal.min_security_counter = version->security_counter;
    goal.has_probation = true;
    goal.probation = (tidemark_Probation){.seconds = self->plan.probation_s,
                                          .min_inferences = self->plan.min_inferences,
                                          .max_errors = self->plan.max_errors,
                                          .lease_seconds = self->plan.lease_s};
    goal.byte_budget = self->plan.byte_budget;
    goal.roads_count = 1;
    goal.roads[0] = tidemark_Road_ROAD_MQTT;
    goal.window_seconds = self->plan.window_s;
    pb_ostream_t stream = pb_ostream_from_buffer(out, room);
    if (!pb_encode(&stream, tidemark_Goal_fields, &goal)) {
        return td_fail(err, TD_INTERNAL, "encoding a goal: %s", PB_GET_ERROR(&stream));
    }
    *size_out = stream.bytes_written;
    return TD_OK;
}

static td_code allow(td_db *db, const uint8_t *manifest, const uint8_t *digest, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO goal_content (manifest_digest, digest) VALUES (:manifest, :digest) "
                         "ON CONFLICT (manifest_digest, digest) DO NOTHING",
                         &stmt, err));
    td_bind_blob(stmt, ":manifest", manifest, TD_DIGEST_SIZE);
    td_bind_blob(stmt, ":digest", digest, TD_DIGEST_SIZE);
    return td_run(stmt, err);
}

/* What a device may fetch for this version: the envelope, the files it needs, their piece tables. */
static td_code allow_content(td_db *db, const td_version *version, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_manifest manifest;
    TD_TRY(td_manifest_read(version->manifest, version->manifest_size, &arena, &manifest, err));
    TD_TRY(allow(db, version->manifest_digest, version->envelope_digest, err));
    for (size_t i = 0; i < manifest.file_count; i++) {
        const td_manifest_file *file = &manifest.files[i];
        if (file->role == TD_FILE_META) {
            continue;
        }
        TD_TRY(allow(db, version->manifest_digest, file->digest, err));
        if (file->has_pieces) {
            TD_TRY(allow(db, version->manifest_digest, file->piece_table_digest, err));
        }
    }
    return TD_OK;
}

static td_code insert_rollout(td_db *db, const td_actor *actor, const char *project, const json_t *spec,
                              const draft *self, td_rollout *out, td_err *err)
{
    uint8_t random[8], goal[tidemark_Goal_size];
    size_t goal_size = 0;
    char hex[17];
    TD_TRY(td_random(random, sizeof random, err));
    td_hex_encode(random, sizeof random, hex);
    snprintf(out->id, sizeof out->id, "r-%s", hex);
    TD_TRY(encode_goal(self, goal, sizeof goal, &goal_size, err));
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_json_write(spec, &text, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "INSERT INTO rollout (id, project, model, version, slot, manifest_digest, selector, spec, goal, salt, state, "
        "created_ms, created_by, deadline_ms) VALUES (:id, :project, :model, :version, :slot, :manifest, :selector, "
        ":spec, "
        ":goal, :salt, 'scheduled', :now, :created_by, :deadline)",
        &stmt, err));
    td_bind_text(stmt, ":id", out->id);
    td_bind_text(stmt, ":project", project);
    td_bind_text(stmt, ":model", self->version.model);
    td_bind_int(stmt, ":version", self->version.number);
    td_bind_text(stmt, ":slot", self->slot);
    td_bind_blob(stmt, ":manifest", self->version.manifest_digest, TD_DIGEST_SIZE);
    td_bind_text(stmt, ":selector", self->to);
    td_bind_text(stmt, ":spec", td_str_text(&text));
    td_bind_blob(stmt, ":goal", goal, goal_size);
    td_bind_blob(stmt, ":salt", self->salt, sizeof self->salt);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_text(stmt, ":created_by", actor->name);
    td_bind_int(stmt, ":deadline", td_db_now_ms(db) + self->plan.deadline_ms);
    TD_TRY(td_run(stmt, err));
    out->rollout_id = td_db_last_id(db);
    return TD_OK;
}

static td_code insert_waves(td_db *db, int64_t rollout_id, const draft *self, td_err *err)
{
    for (int64_t k = 0; k < self->plan.wave_count; k++) {
        td_stmt *stmt;
        TD_TRY(td_db_prepare(db,
                             "INSERT INTO rollout_wave (rollout_id, number, share, bound) "
                             "VALUES (:rollout_id, :number, :share, :bound)",
                             &stmt, err));
        td_bind_int(stmt, ":rollout_id", rollout_id);
        td_bind_int(stmt, ":number", k + 1);
        td_bind_real(stmt, ":share", self->plan.shares[k]);
        td_bind_int(stmt, ":bound", bound_of(self, k));
        TD_TRY(td_run(stmt, err));
    }
    return TD_OK;
}

/* An older rollout of the slot that only waits for devices it cannot reach gives way; any other is in the way. */
static td_code make_way(td_db *db, const td_actor *actor, const char *project, const td_rollout *by, td_err *err)
{
    int64_t rival_id = 0;
    TD_TRY(td_rollout__rival(db, project, by->slot, by->rollout_id, &rival_id, err));
    if (rival_id == 0) {
        return TD_OK;
    }
    TD_CLEANUP(td_rollout__done) td_rollout rival = {0};
    td_wave waves[TD_ROLLOUT_WAVES_MAX];
    size_t count = 0;
    TD_TRY(td_rollout__by_id(db, rival_id, &rival, err));
    TD_TRY(td_wave__list(db, rival_id, waves, &count, err));
    bool only_waits = rival.state == TD_ROLLOUT_RUNNING && count > 0 && waves[count - 1].state == TD_WAVE_PASSED;
    if (!only_waits) {
        return td_fail(err, TD_CONFLICT,
                       "rollout %s of %s/%lld is %s in slot %s; wait for its end or stop it first (tidemark "
                       "rollout abort %s)",
                       rival.id, rival.model, (long long)rival.version, td_rollout_states.names[rival.state],
                       rival.slot, rival.id);
    }
    char why[64];
    snprintf(why, sizeof why, "superseded by %s", by->id);
    TD_TRY(td_part__move_all(db, &rival, TD_PART_WAITING, TD_PART_CANCELLED, "superseded", err));
    TD_TRY(td_part__move_all(db, &rival, TD_PART_ISSUED, TD_PART_UNREACHED, "superseded", err));
    return td_rollout__move(db, &rival, TD_ROLLOUT_SUPERSEDED, actor, why, err);
}

static td_code record_creation(td_db *db, const td_actor *actor, const td_rollout *rollout, const draft *self,
                               td_err *err)
{
    TD_CLEANUP(td_json_done)
    json_t *after = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s}", "model_version", self->version.label, "to",
                              self->to, "slot", self->slot, "waves", (json_int_t)self->plan.wave_count, "devices",
                              (json_int_t)(self->places.size / sizeof(int64_t)), "unfit", (json_int_t)self->unfit,
                              "unfit_devices", self->plan.unfit == 't' ? "try" : "skip");
    TD_TRY(td_lineage_edge_add(db, rollout->project, TD_NODE("version", self->version.label),
                               TD_NODE("rollout", rollout->id), "rolled_out", NULL, err));
    return td_fleet__audit(db,
                           &(td_fleet_record){.actor = actor,
                                              .action = "create.rollout",
                                              .object_type = "rollout",
                                              .object_id = rollout->id,
                                              .project = rollout->project,
                                              .after = after},
                           err);
}

static td_code refuse_unfit(const draft *self, td_err *err)
{
    if (self->unfit == 0 || self->plan.unfit != 'r') {
        return TD_OK;
    }
    return td_fail(err, TD_CONFLICT,
                   "%zu of the devices cannot take %.40s (%.100s); narrow --to, or say --unfit skip or --unfit try",
                   self->unfit, self->version.label, self->example);
}

td_code td_rollout_create(td_db *db, const td_actor *actor, const char *project, const json_t *spec,
                          char id_out[TD_ROLLOUT_ID_TEXT], td_err *err)
{
    TD_CLEANUP(draft_done) draft self = {0};
    TD_CLEANUP(td_rollout__done) td_rollout rollout = {0};
    td_rollout made = {0};
    int64_t admitted = 0;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_ROLL_OUT, err));
    TD_TRY(read_draft(db, project, spec, &self, err));
    TD_TRY(refuse_unfit(&self, err));
    TD_TRY(insert_rollout(db, actor, project, spec, &self, &made, err));
    TD_TRY(insert_waves(db, made.rollout_id, &self, err));
    TD_TRY(allow_content(db, &self.version, err));
    TD_TRY(td_rollout__by_id(db, made.rollout_id, &rollout, err));
    TD_TRY(record_creation(db, actor, &rollout, &self, err));
    TD_TRY(make_way(db, actor, project, &rollout, err));
    TD_TRY(td_rollout__admit(db, &rollout, &admitted, err));
    TD_TRY(td_rollout__move(db, &rollout, TD_ROLLOUT_RUNNING, actor, "", err));
    memcpy(id_out, rollout.id, sizeof rollout.id);
    return TD_OK;
}
