/*
 * test_downlink.c: content within bounds and rights, directives that come out again after a reconnect.
 *
 * The sender is the test's own: it keeps what is published and decides when it is delivered.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/fleet/fleet_fixture.h"

#include <pb_decode.h>

#define KEPT 512

typedef struct outbox {
    struct {
        char topic[TD_TOPIC_MAX];
        uint8_t bytes[TD_BLOCK_HEADER_SIZE + TD_BLOCK_SIZE_MAX];
        size_t size;
        bool retain;
        uint32_t expiry_s;
        void (*done)(void *context, td_code code, const td_err *err);
        void *done_context;
    } kept[KEPT];
    size_t count, room;
} outbox;

static td_code keep(void *context, const td_mqtt_publication *p, td_err *err)
{
    outbox *self = context;
    if (self->count >= self->room) {
        return td_fail(err, TD_BUSY, "full");
    }
    assert_true(p->size <= sizeof self->kept[0].bytes);
    snprintf(self->kept[self->count].topic, TD_TOPIC_MAX, "%s", p->topic);
    memcpy(self->kept[self->count].bytes, p->payload, p->size);
    self->kept[self->count].size = p->size;
    self->kept[self->count].retain = p->retain;
    self->kept[self->count].expiry_s = p->expiry_s;
    self->kept[self->count].done = p->done;
    self->kept[self->count].done_context = p->done_context;
    self->count++;
    return TD_OK;
}

static void deliver(outbox *self, td_code code)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->kept[i].done != NULL) {
            self->kept[i].done(self->kept[i].done_context, code, NULL);
        }
    }
    self->count = 0;
}

static uint8_t kind_of(const outbox *self, size_t i)
{
    return self->kept[i].bytes[10];
}

typedef struct scene {
    fleet *fleet;
    outbox *out;
    td_content_server *server;
    td_version version;
    td_manifest manifest;
} scene;

static char weights[200000];

static void open_scene(fleet *self, scene *out, size_t memory_max, size_t device_max)
{
    td_err err = {0};
    for (size_t i = 0; i < sizeof weights - 1; i++) {
        weights[i] = (char)('a' + i * 31 % 26);
    }
    make_approved(self->f, "pump", weights);
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    uint8_t digest[TD_DIGEST_SIZE];
    must(td_version_envelope(self->f->db, "default", "pump/1", NULL, &envelope, &err), &err);
    must(td_content_put_bytes(self->f->content, envelope.data, envelope.size, digest, &err), &err);
    enrol(self, "oslo", 2, "oslo");
    enrol(self, "bergen", 1, "bergen");
    roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"site=oslo\"}");
    self->tick.keyset_digest[0] = 0;
    tick(self);
    out->fleet = self;
    out->out = calloc(1, sizeof *out->out);
    out->out->room = KEPT;
    out->version = find(self->f, "pump/1");
    must(td_manifest_read(out->version.manifest, out->version.manifest_size, &self->f->arena, &out->manifest, &err),
         &err);
    td_content_server_options options = {.db = self->f->db,
                                         .content = self->f->content,
                                         .prefix = "tm/v1",
                                         .sender = {.context = out->out, .publish = keep},
                                         .memory_max = memory_max,
                                         .device_max = device_max};
    must(td_content_server_new(&options, &out->server, &err), &err);
}

static void close_scene(scene *self)
{
    deliver(self->out, TD_OK);
    td_content_stats stats;
    td_content_server_stats(self->server, &stats);
    assert_int_equal(stats.memory, 0);
    td_content_server_free(self->server);
    free(self->out);
}

static const td_manifest_file *model_file(const scene *self)
{
    for (size_t i = 0; i < self->manifest.file_count; i++) {
        if (self->manifest.files[i].role == TD_FILE_MODEL) {
            return &self->manifest.files[i];
        }
    }
    fail_msg("no model file");
    return NULL;
}

static void ask(scene *self, const char *name, const uint8_t *digest, uint32_t first, uint64_t wanted, uint32_t credit)
{
    td_err err = {0};
    tidemark_Get get = {.transfer = 77, .block_size = 4096, .first_block = first, .wanted = wanted, .credit = credit};
    memcpy(get.digest, digest, TD_DIGEST_SIZE);
    device *d = named(self->fleet, name);
    must(td_content_server_get(self->server, d->id, d->name, &get, &err), &err);
}

static void content__a_device_gets_every_byte(void **state)
{
    scene s = {0};
    open_scene(*state, &s, 0, 0);
    const td_manifest_file *file = model_file(&s);
    assert_int_equal(file->size, sizeof weights - 1);
    char *got = calloc(1, sizeof weights);
    uint32_t blocks = (uint32_t)((file->size + 4095) / 4096);
    for (uint32_t first = 0; first < blocks; first += 64) {
        uint64_t wanted = blocks - first >= 64 ? UINT64_MAX : (UINT64_C(1) << (blocks - first)) - 1;
        ask(&s, "oslo-01", file->digest, first, wanted, 64);
        for (size_t i = 0; i < s.out->count; i++) {
            const uint8_t *b = s.out->kept[i].bytes;
            assert_string_equal(s.out->kept[i].topic, "tm/v1/oslo-01/down/block");
            assert_int_equal(b[0] | b[1] << 8, 77);
            uint32_t block = (uint32_t)(b[4] | b[5] << 8);
            size_t length = (size_t)(b[8] | b[9] << 8);
            assert_int_equal(kind_of(s.out, i), 0);
            assert_int_equal(length + TD_BLOCK_HEADER_SIZE, s.out->kept[i].size);
            memcpy(got + block * 4096, b + TD_BLOCK_HEADER_SIZE, length);
        }
        deliver(s.out, TD_OK);
    }
    assert_memory_equal(got, weights, sizeof weights - 1);
    free(got);
    if (file->has_pieces) {
        ask(&s, "oslo-01", file->piece_table_digest, 0, 1, 1);
        assert_int_equal(kind_of(s.out, 0), 0);
    }
    close_scene(&s);
}

static void content__only_what_a_goal_refers_to(void **state)
{
    scene s = {0};
    open_scene(*state, &s, 0, 0);
    uint8_t nothing[TD_DIGEST_SIZE] = {1};
    ask(&s, "bergen-01", model_file(&s)->digest, 0, 1, 1);  /* not its directive */
    ask(&s, "oslo-01", nothing, 0, 1, 1);                   /* no such object */
    ask(&s, "oslo-01", s.version.bundle_digest, 0, 1, 1);   /* there, but nobody's to fetch */
    ask(&s, "oslo-01", model_file(&s)->digest, 1000, 1, 1); /* beyond the end */
    ask(&s, "oslo-01", model_file(&s)->digest, 0, 0, 1);    /* nothing wanted */
    ask(&s, "oslo-01", model_file(&s)->digest, UINT32_MAX, UINT64_MAX, 64);
    assert_int_equal(s.out->count, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(kind_of(s.out, i), 2);
    }
    ask(&s, "oslo-01", s.version.envelope_digest, 0, 1, 1);
    assert_int_equal(kind_of(s.out, 6), 0);
    td_err err = {0};
    tidemark_Get odd = {.transfer = 1, .block_size = 5000, .wanted = 1, .credit = 1};
    memcpy(odd.digest, s.version.envelope_digest, TD_DIGEST_SIZE);
    must(td_content_server_get(s.server, named(*state, "oslo-01")->id, "oslo-01", &odd, &err), &err);
    assert_int_equal(kind_of(s.out, 7), 2);
    close_scene(&s);
}

static void content__memory_and_credit_are_bounds(void **state)
{
    scene s = {0};
    open_scene(*state, &s, 10 * 4200, 6 * 4200);
    ask(&s, "oslo-01", model_file(&s)->digest, 0, UINT64_MAX, 3);
    assert_int_equal(s.out->count, 3); /* its credit */
    ask(&s, "oslo-01", model_file(&s)->digest, 3, UINT64_MAX, 64);
    assert_int_equal(s.out->count, 6); /* its share of the memory */
    ask(&s, "oslo-01", model_file(&s)->digest, 6, UINT64_MAX, 64);
    assert_int_equal(kind_of(s.out, 6), 1); /* later, please */
    ask(&s, "oslo-02", model_file(&s)->digest, 0, UINT64_MAX, 64);
    assert_int_equal(s.out->count, 11); /* what is left in all */
    td_content_stats stats;
    td_content_server_stats(s.server, &stats);
    assert_true(stats.memory_peak <= 10 * 4200);
    assert_int_equal(stats.blocks, 10);
    assert_int_equal(stats.deferred, 1);
    deliver(s.out, TD_BUSY); /* lost on the way: held no longer */
    ask(&s, "oslo-01", model_file(&s)->digest, 6, UINT64_MAX, 4);
    assert_int_equal(s.out->count, 4);
    s.out->room = s.out->count;
    ask(&s, "oslo-01", model_file(&s)->digest, 6, UINT64_MAX, 4); /* the broker takes nothing: no error, nothing held */
    s.out->room = KEPT;
    close_scene(&s);
}

static void publisher__brings_out_and_repeats_what_is_unacknowledged(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 5, "oslo");
    roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\"}");
    tick(self);
    outbox *out = calloc(1, sizeof *out);
    out->room = 3;
    td_publisher *publisher = NULL;
    must(td_publisher_new(self->f->db, (td_sender){out, keep}, "tm/v1", &publisher, &err), &err);
    int64_t sent = 0;
    bool more = false;
    must(td_publisher_run(publisher, 100, &sent, &more, &err), &err);
    assert_int_equal(sent, 3);
    assert_true(more); /* the broker was busy */
    assert_true(out->kept[0].retain);
    assert_true(out->kept[0].expiry_s > 29 * 24 * 3600 && out->kept[0].expiry_s <= 30 * 24 * 3600);
    assert_string_equal(out->kept[0].topic, "tm/v1/oslo-01/down/directive");
    out->room = KEPT;
    must(td_publisher_run(publisher, 1, &sent, &more, &err), &err);
    assert_true(sent == 1 && more); /* the rate that was asked for */
    must(td_publisher_run(publisher, 100, &sent, &more, &err), &err);
    assert_true(sent == 1 && !more);
    must(td_publisher_run(publisher, 100, &sent, &more, &err), &err);
    assert_int_equal(sent, 0);
    self->devices[0].does = OFFLINE;
    devices_act(self); /* four of five acknowledge */
    out->count = 0;
    td_publisher_restart(publisher);
    must(td_publisher_run(publisher, 100, &sent, &more, &err), &err);
    assert_int_equal(sent, 1);
    assert_string_equal(out->kept[0].topic, "tm/v1/oslo-01/down/directive");
    deliver(out, TD_BUSY); /* lost on the way */
    must(td_publisher_run(publisher, 100, &sent, &more, &err), &err);
    assert_int_equal(sent, 1);
    td_publisher_free(publisher);
    free(out);
}

static void publisher__a_wiped_device_hears_it_again(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 1, "oslo");
    roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\"}");
    live(self, 3);
    outbox *out = calloc(1, sizeof *out);
    out->room = KEPT;
    td_publisher *publisher = NULL;
    int64_t sent = 0;
    bool more = false;
    must(td_publisher_new(self->f->db, (td_sender){out, keep}, "tm/v1", &publisher, &err), &err);
    must(td_publisher_run(publisher, 100, &sent, &more, &err), &err);
    assert_int_equal(sent, 0);
    self->devices[0].directive = 0;
    self->devices[0].runs = false;
    fixture_now_ms += 1000;
    send_birth(self, &self->devices[0]);
    td_publisher_restart(publisher);
    must(td_publisher_run(publisher, 100, &sent, &more, &err), &err);
    assert_int_equal(sent, 1);
    td_publisher_free(publisher);
    free(out);
}

static void downlink__server_state_is_signed(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    must(td_server_state_message(self->f->director, true, 5, fixture_now_ms, &bytes, &err), &err);
    td_signed_message message;
    td_trust trust;
    must(td_signed_message_decode(bytes.data, bytes.size, &message, &err), &err);
    must(td_trust_current(self->f->db, &self->f->arena, &trust, &err), &err);
    must(td_keyset_verify(&trust.keyset, TD_SIGNER_DIRECTOR, &message, TD_SERVER_STATE_TYPE, &err), &err);
    char topic[TD_TOPIC_MAX];
    must(td_topic_down("tm/v1", "_", "server", topic, &err), &err);
    assert_string_equal(topic, "tm/v1/_/server");
    uint8_t receipt[16];
    assert_int_equal(td_receipt_encode(300, receipt), 3);
    assert_memory_equal(receipt, "\x08\xac\x02", 3);
    assert_true(td_receipt_encode(UINT64_MAX, receipt) <= 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLEET_CASE(content__a_device_gets_every_byte),
        FLEET_CASE(content__only_what_a_goal_refers_to),
        FLEET_CASE(content__memory_and_credit_are_bounds),
        FLEET_CASE(publisher__brings_out_and_repeats_what_is_unacknowledged),
        FLEET_CASE(publisher__a_wiped_device_hears_it_again),
        FLEET_CASE(downlink__server_state_is_signed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
