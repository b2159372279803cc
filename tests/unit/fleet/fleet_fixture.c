/*
 * fleet_fixture.c: enrolment and simulated devices for the fleet's tests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/fleet/fleet_fixture.h"

#include "core/crypto/x509.h"

#include <pb_decode.h>
#include <pb_encode.h>

int fleet_setup(void **state)
{
    void *inner = NULL;
    td_err err = {0};
    assert_int_equal(fixture_setup(&inner), 0);
    fleet *self = calloc(1, sizeof *self);
    self->f = inner;
    const td_migration *const lists[] = {td_audit_migrations,   td_access_migrations, td_registry_migrations,
                                         td_lineage_migrations, td_fleet_migrations,  NULL};
    must(td_txn_commit(&self->f->txn, &err), &err);
    must(td_db_migrate(self->f->db, lists, &err), &err);
    must(td_txn_begin(self->f->db, &self->f->txn, &err), &err);
    must(td_key_generate(TD_KEY_P256, &self->ca_key, &err), &err);
    must(td_x509_make_ca(self->ca_key, "test CA", &self->ca_pem, &err), &err);
    must(td_uplink_keys_new(&self->keys, &err), &err);
    must(td_uplink_reader_new(self->keys, TD_TOPIC_PREFIX, &self->reader, &err), &err);
    self->tick = (td_rollout_tick_options){.director = self->f->director, .keyset_version = 1};
    *state = self;
    return 0;
}

int fleet_teardown(void **state)
{
    fleet *self = *state;
    void *inner = self->f;
    td_uplink_reader_free(self->reader);
    td_uplink_keys_free(self->keys);
    td_key_free(&self->ca_key);
    td_str_done(&self->ca_pem);
    free(self);
    return fixture_teardown(&inner);
}

/* Base32 of the first 16 symbols: the secret. */
void secret_of(const char *code, uint8_t out[TD_ENROL_SECRET_SIZE])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    memset(out, 0, TD_ENROL_SECRET_SIZE);
    size_t bit = 0;
    for (const char *at = code; bit < 8 * TD_ENROL_SECRET_SIZE; at++) {
        if (*at == '-') {
            continue;
        }
        unsigned value = (unsigned)(strchr(alphabet, *at) - alphabet);
        for (int i = 4; i >= 0; i--, bit++) {
            out[bit / 8] |= (uint8_t)(((value >> i) & 1u) << (7 - bit % 8));
        }
    }
}

void make_code(fleet *self, const json_t *tags, int64_t ttl_ms, int64_t uses, uint8_t secret_out[TD_ENROL_SECRET_SIZE])
{
    td_err err = {0};
    td_enrol_code_options options = {.count = 1, .tags = tags, .ttl_ms = ttl_ms, .uses = uses};
    TD_CLEANUP(td_json_done) json_t *made = NULL;
    must(td_enrol_code_create(self->f->db, &td_actor_system, &options, &made, &err), &err);
    secret_of(json_string_value(json_array_get(json_object_get(made, "codes"), 0)), secret_out);
}

td_code try_enrol(fleet *self, const char *name, const uint8_t *secret, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str csr = {0};
    TD_CLEANUP(td_enrol_grant_done) td_enrol_grant grant = {0};
    must(td_key_generate(TD_KEY_P256, &key, err), err);
    must(td_x509_make_request(key, name, &csr, err), err);
    TD_CLEANUP(td_json_done) json_t *runtimes = json_pack("[s]", "onnx");
    td_enrol_request request = {
        .device = name, .csr_pem = csr.data, .csr_size = csr.size, .hardware = "test-board", .runtimes = runtimes};
    memcpy(request.secret, secret, sizeof request.secret);
    td_enrol_authority authority = {.ca_key = self->ca_key, .ca_pem = td_str_text(&self->ca_pem)};
    TD_TRY(td_enrol_check(self->f->db, &request, err));
    TD_TRY(td_enrol_certify(&request, &authority, fixture_now_ms, &grant, err));
    TD_TRY(TRY_WRITE(self->f, td_enrol_device(self->f->db, &request, &grant, err)));
    device *d = &self->devices[self->count++];
    snprintf(d->name, sizeof d->name, "%s", name);
    memcpy(d->key, grant.uplink_key, sizeof d->key);
    must(td_uplink_keys_load(self->keys, self->f->db, err), err);
    return TD_OK;
}

/* Without the keys and certificates, which test_enrol.c looks at: what rollouts need is the row. */
static void enrol_quickly(fleet *self, const char *name, const uint8_t *secret)
{
    td_err err = {0};
    td_enrol_grant grant = {.not_after_ms = INT64_MAX};
    td_enrol_request request = {.device = name, .hardware = "test-board"};
    memcpy(request.secret, secret, sizeof request.secret);
    must(td_random(grant.uplink_key, sizeof grant.uplink_key, &err), &err);
    must(td_enrol_device(self->f->db, &request, &grant, &err), &err);
    device *d = &self->devices[self->count++];
    snprintf(d->name, sizeof d->name, "%s", name);
    memcpy(d->key, grant.uplink_key, sizeof d->key);
}

void enrol(fleet *self, const char *name, size_t count, const char *site)
{
    td_err err = {0};
    uint8_t secret[TD_ENROL_SECRET_SIZE];
    TD_CLEANUP(td_json_done) json_t *tags = json_pack("{s:s}", "site", site);
    make_code(self, tags, 0, (int64_t)count, secret);
    size_t first = self->count;
    for (size_t i = 1; i <= count; i++) {
        char full[TD_DEVICE_ID_MAX + 1];
        snprintf(full, sizeof full, "%.40s-%02zu", name, i);
        enrol_quickly(self, full, secret);
    }
    must(td_uplink_keys_load(self->keys, self->f->db, &err), &err);
    for (size_t i = first; i < self->count; i++) {
        send_birth(self, &self->devices[i]);
    }
}

device *named(fleet *self, const char *name)
{
    for (size_t i = 0; i < self->count; i++) {
        if (strcmp(self->devices[i].name, name) == 0) {
            return &self->devices[i];
        }
    }
    fail_msg("no device %s", name);
    return NULL;
}

/* Encodes, seals, and reads back as the server would. */
static void uplink(fleet *self, device *d, const char *kind, const pb_msgdesc_t *fields, const void *message,
                   td_uplink *out)
{
    td_err err = {0};
    uint8_t bytes[4096];
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, sizeof bytes);
    assert_true(pb_encode(&stream, fields, message));
    char topic[128];
    snprintf(topic, sizeof topic, "%s/%s/up/%s", TD_TOPIC_PREFIX, d->name, kind);
    TD_CLEANUP(td_str_done) td_str sealed = {0};
    must(td_uplink_seal(d->key, topic, bytes, stream.bytes_written, &sealed, &err), &err);
    must(td_uplink_read(self->reader, topic, sealed.data, sealed.size, out, &err), &err);
    d->id = out->device_id;
}

void send_birth(fleet *self, device *d)
{
    td_err err = {0};
    td_uplink up;
    tidemark_Birth birth = tidemark_Birth_init_zero;
    snprintf(birth.device, sizeof birth.device, "%s", d->name);
    snprintf(birth.hardware, sizeof birth.hardware, "test-board");
    birth.boot_id = 7;
    birth.clock_known = true;
    birth.now_ms = (uint64_t)fixture_now_ms;
    birth.contact_every_s = 10;
    birth.ram_bytes = 512u << 20;
    birth.directive_sequence = d->directive;
    if (d->runs) {
        birth.slots_count = 1;
        snprintf(birth.slots[0].slot, sizeof birth.slots[0].slot, "pump");
        birth.slots[0].manifest_digest.size = TD_DIGEST_SIZE;
        memcpy(birth.slots[0].manifest_digest.bytes, d->running, TD_DIGEST_SIZE);
        birth.slots[0].state = tidemark_DeviceState_STATE_COMMITTED;
    }
    uplink(self, d, "birth", tidemark_Birth_fields, &birth, &up);
    must(td_fleet_birth(self->f->db, up.device_id, &up.as.birth, &err), &err);
}

uint64_t send_report(fleet *self, device *d, int state, int reason, const uint8_t *digest)
{
    td_err err = {0};
    td_uplink up;
    uint64_t settled = 0;
    tidemark_Report report = tidemark_Report_init_zero;
    report.sequence = ++d->sequence;
    report.oldest_kept = 1;
    report.boot_id = 7;
    report.directive_sequence = d->directive;
    snprintf(report.slot, sizeof report.slot, "pump");
    report.state = (tidemark_DeviceState)state;
    report.reason = (tidemark_Reason)reason;
    if (digest != NULL) {
        report.manifest_digest.size = TD_DIGEST_SIZE;
        memcpy(report.manifest_digest.bytes, digest, TD_DIGEST_SIZE);
    }
    uplink(self, d, "report", tidemark_Report_fields, &report, &up);
    must(td_fleet_report(self->f->db, up.device_id, &up.as.report, &settled, &err), &err);
    return settled;
}

bool newest_directive(fleet *self, device *d, tidemark_Directive *out)
{
    td_err err = {0};
    td_stmt *stmt;
    bool row;
    must(td_db_prepare(self->f->db,
                       "SELECT sequence, envelope FROM directive WHERE device_id = :device_id AND newest = 1", &stmt,
                       &err),
         &err);
    td_bind_int(stmt, ":device_id", d->id);
    must(td_step(stmt, &row, &err), &err);
    if (!row || (uint64_t)td_column_int(stmt, "sequence") <= d->directive) {
        td_reset(stmt);
        return false;
    }
    size_t size = 0;
    const void *envelope = td_column_blob(stmt, "envelope", &size);
    td_signed_message message;
    td_trust trust;
    must(td_signed_message_decode(envelope, size, &message, &err), &err);
    must(td_trust_current(self->f->db, &self->f->arena, &trust, &err), &err);
    must(td_keyset_verify(&trust.keyset, TD_SIGNER_DIRECTOR, &message, TD_DIRECTIVE_TYPE, &err), &err);
    *out = (tidemark_Directive)tidemark_Directive_init_zero;
    pb_istream_t stream = pb_istream_from_buffer(message.payload, message.payload_size);
    assert_true(pb_decode(&stream, tidemark_Directive_fields, out));
    td_reset(stmt);
    assert_string_equal(out->device, d->name);
    return true;
}

static void install(fleet *self, device *d, const uint8_t *digest)
{
    send_report(self, d, tidemark_DeviceState_STATE_FETCHING, 0, digest);
    if (d->does == OBEYS) {
        d->kept = d->runs;
        memcpy(d->before, d->running, TD_DIGEST_SIZE);
        memcpy(d->running, digest, TD_DIGEST_SIZE);
        d->runs = true;
        send_report(self, d, tidemark_DeviceState_STATE_PROBATION, 0, digest);
        send_report(self, d, tidemark_DeviceState_STATE_COMMITTED, 0, digest);
    } else if (d->does == FAILS) {
        send_report(self, d, tidemark_DeviceState_STATE_ROLLED_BACK, tidemark_Reason_REASON_GOLDEN_MISMATCH, digest);
    }
}

static void act(fleet *self, device *d)
{
    tidemark_Directive directive;
    if (!newest_directive(self, d, &directive) || directive.sequence <= d->directive) {
        return;
    }
    d->directive = directive.sequence;
    self->directives_seen++;
    const uint8_t *goal = directive.goals_count > 0 ? directive.goals[0].manifest_digest : NULL;
    if (directive.cancel && (goal == NULL || (d->runs && memcmp(goal, d->running, TD_DIGEST_SIZE) == 0))) {
        send_report(self, d, tidemark_DeviceState_STATE_CANCELLED, 0, NULL);
    } else if (goal != NULL && d->runs && memcmp(goal, d->running, TD_DIGEST_SIZE) == 0) {
        send_report(self, d, tidemark_DeviceState_STATE_COMMITTED, 0, goal);
    } else if (goal != NULL) {
        install(self, d, goal);
    }
}

void devices_act(fleet *self)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->devices[i].does != OFFLINE) {
            act(self, &self->devices[i]);
        }
    }
}

void tick(fleet *self)
{
    td_err err = {0};
    td_rollout_tick_result result;
    must(td_rollout_tick(self->f->db, &self->tick, &result, &err), &err);
}

void live(fleet *self, int times)
{
    for (int i = 0; i < times; i++) {
        tick(self);
        devices_act(self);
        fixture_now_ms += 1000;
    }
}

const char *roll_out(fleet *self, const char *spec)
{
    static char id[TD_ROLLOUT_ID_TEXT];
    td_err err = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    must(td_json_parse(spec, strlen(spec), "spec", &json, &err), &err);
    must(td_rollout_create(self->f->db, &td_actor_system, "default", json, id, &err), &err);
    return id;
}

json_t *show(fleet *self, const char *id)
{
    td_err err = {0};
    json_t *json = NULL;
    must(td_rollout_json(self->f->db, "default", id, &json, &err), &err);
    return json;
}

const char *state_of(fleet *self, const char *id)
{
    static char state[32];
    TD_CLEANUP(td_json_done) json_t *json = show(self, id);
    snprintf(state, sizeof state, "%s", td_json_text(json, "state", "?"));
    return state;
}

int64_t count_of(fleet *self, const char *id, const char *part_state)
{
    TD_CLEANUP(td_json_done) json_t *json = show(self, id);
    return td_json_int(json_object_get(json, "counts"), part_state, -1);
}

const char *part_of(fleet *self, const char *id, const char *device_name)
{
    static char state[64];
    TD_CLEANUP(td_json_done) json_t *json = show(self, id);
    size_t i;
    json_t *part;
    snprintf(state, sizeof state, "not in it");
    json_array_foreach (json_object_get(json, "devices"), i, part) {
        if (strcmp(td_json_text(part, "device", ""), device_name) == 0) {
            const char *reason = td_json_text(part, "reason", "");
            snprintf(state, sizeof state, "%s%s%s", td_json_text(part, "state", ""), reason[0] != '\0' ? ":" : "",
                     reason);
        }
    }
    return state;
}
