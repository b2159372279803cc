/*
 * test_uplink.c: what is believed of what comes in, and that nothing counts twice.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/fleet/fleet_fixture.h"

#include <pb_encode.h>

typedef struct sealed {
    char topic[128];
    td_str bytes;
} sealed;

static void sealed_done(sealed *self)
{
    td_str_done(&self->bytes);
}

static void seal(const device *d, const char *kind, const void *message, size_t size, sealed *out)
{
    td_err err = {0};
    snprintf(out->topic, sizeof out->topic, "tm/v1/%s/up/%s", d->name, kind);
    td_str_clear(&out->bytes);
    must(td_uplink_seal(d->key, out->topic, message, size, &out->bytes, &err), &err);
}

static size_t death_bytes(uint8_t out[32])
{
    tidemark_Death death = {.boot_id = 7};
    pb_ostream_t stream = pb_ostream_from_buffer(out, 32);
    assert_true(pb_encode(&stream, tidemark_Death_fields, &death));
    return stream.bytes_written;
}

static void uplink__believes_only_what_is_sealed_for_its_topic(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    td_uplink up;
    enrol(self, "pump", 2, "oslo");
    device *one = named(self, "pump-01"), *two = named(self, "pump-02");
    uint8_t bytes[32];
    size_t size = death_bytes(bytes);
    TD_CLEANUP(sealed_done) sealed s = {0};
    seal(one, "death", bytes, size, &s);
    must(td_uplink_read(self->reader, s.topic, s.bytes.data, s.bytes.size, &up, &err), &err);
    assert_string_equal(up.device, "pump-01");
    assert_int_equal(up.as.death.boot_id, 7);
    for (size_t bit = 0; bit < 8 * s.bytes.size; bit++) { /* any flipped bit is noticed */
        s.bytes.data[bit / 8] = (char)(s.bytes.data[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(td_uplink_read(self->reader, s.topic, s.bytes.data, s.bytes.size, &up, &err), TD_DENIED);
        s.bytes.data[bit / 8] = (char)(s.bytes.data[bit / 8] ^ (1 << bit % 8));
    }
    assert_int_equal(td_uplink_read(self->reader, "tm/v1/pump-02/up/death", s.bytes.data, s.bytes.size, &up, &err),
                     TD_DENIED);
    assert_int_equal(td_uplink_read(self->reader, "tm/v1/pump-01/up/get", s.bytes.data, s.bytes.size, &up, &err),
                     TD_DENIED);
    memcpy(two->key, one->key, sizeof two->key); /* a stolen key is only good for its own device */
    seal(two, "death", bytes, size, &s);
    assert_int_equal(td_uplink_read(self->reader, s.topic, s.bytes.data, s.bytes.size, &up, &err), TD_DENIED);
    assert_true(td_uplink_dropped(self->reader, TD_DROP_MAC) > 100);
    assert_int_equal(td_uplink_accepted(self->reader, TD_UPLINK_DEATH), 1);
}

static void uplink__drops_by_reason(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    td_uplink up;
    enrol(self, "pump", 1, "oslo");
    static const char *const topics[] = {"",
                                         "tm/v1",
                                         "tm/v1/",
                                         "tm/v1/pump-01/up/",
                                         "tm/v1/pump-01/up/death/x",
                                         "xx/v1/pump-01/up/death",
                                         "tm/v1/PUMP/up/death",
                                         "tm/v1//up/death",
                                         "tm/v1/pump-01/down/death",
                                         "tm/v1/_/up/death"};
    for (size_t i = 0; i < TD_COUNT_OF(topics); i++) {
        assert_int_equal(td_uplink_read(self->reader, topics[i], "0123456789abcdef", 16, &up, &err), TD_INVALID);
    }
    assert_int_equal(td_uplink_dropped(self->reader, TD_DROP_TOPIC), TD_COUNT_OF(topics));
    char *large = calloc(1, TD_UPLINK_BYTES_MAX + 1);
    assert_int_equal(td_uplink_read(self->reader, "tm/v1/pump-01/up/death", large, 15, &up, &err), TD_LIMIT);
    assert_int_equal(td_uplink_read(self->reader, "tm/v1/pump-01/up/death", large, TD_UPLINK_BYTES_MAX + 1, &up, &err),
                     TD_LIMIT);
    assert_int_equal(td_uplink_read(self->reader, "tm/v1/nobody/up/death", large, 64, &up, &err), TD_DENIED);
    assert_int_equal(td_uplink_dropped(self->reader, TD_DROP_UNKNOWN_DEVICE), 1);
    free(large);
    TD_CLEANUP(sealed_done) sealed s = {0};
    seal(named(self, "pump-01"), "report", "\xff\xff\xff", 3, &s);
    assert_int_equal(td_uplink_read(self->reader, s.topic, s.bytes.data, s.bytes.size, &up, &err), TD_INVALID);
    seal(named(self, "pump-01"), "report", "\x38\x04", 2, &s); /* progress: FETCHING without a sequence */
    must(td_uplink_read(self->reader, s.topic, s.bytes.data, s.bytes.size, &up, &err), &err);
    seal(named(self, "pump-01"), "report", "", 0, &s); /* sequence 0 */
    assert_int_equal(td_uplink_read(self->reader, s.topic, s.bytes.data, s.bytes.size, &up, &err), TD_INVALID);
    assert_int_equal(td_uplink_dropped(self->reader, TD_DROP_FORM), 2);
}

static void uplink__revoked_devices_are_not_heard(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    td_uplink up;
    uint8_t bytes[32];
    enrol(self, "pump", 1, "oslo");
    TD_CLEANUP(sealed_done) sealed s = {0};
    seal(named(self, "pump-01"), "death", bytes, death_bytes(bytes), &s);
    must(td_device_revoke(self->f->db, &td_actor_system, "default", "pump-01", "stolen", &err), &err);
    must(td_uplink_keys_load(self->keys, self->f->db, &err), &err);
    assert_int_equal(td_uplink_read(self->reader, s.topic, s.bytes.data, s.bytes.size, &up, &err), TD_DENIED);
    assert_int_equal(td_uplink_dropped(self->reader, TD_DROP_REVOKED), 1);
}

static void uplink__a_window_gives_its_sequence(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    td_uplink up;
    enrol(self, "pump", 1, "oslo");
    uint8_t bytes[64];
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, sizeof bytes);
    assert_true(pb_encode_tag(&stream, PB_WT_STRING, tidemark_Window_features_tag) &&
                pb_encode_string(&stream, (const pb_byte_t *)"\x08\x01", 2) &&
                pb_encode_tag(&stream, PB_WT_VARINT, 2) && pb_encode_varint(&stream, 41) &&
                pb_encode_tag(&stream, PB_WT_VARINT, 3) && pb_encode_varint(&stream, 40));
    TD_CLEANUP(sealed_done) sealed s = {0};
    seal(named(self, "pump-01"), "window", bytes, stream.bytes_written, &s);
    must(td_uplink_read(self->reader, s.topic, s.bytes.data, s.bytes.size, &up, &err), &err);
    assert_int_equal(up.sequence, 41);
    assert_int_equal(up.oldest_kept, 40);
    assert_int_equal(up.message_size, stream.bytes_written);
}

static void settle(fleet *self, uint64_t sequence, uint64_t oldest, bool fresh_wanted, uint64_t settled_wanted)
{
    td_err err = {0};
    bool fresh = !fresh_wanted;
    uint64_t settled = 999999;
    must(td_fleet_settle(self->f->db, self->devices[0].id, sequence, oldest, &fresh, &settled, &err), &err);
    if (fresh != fresh_wanted || settled != settled_wanted) {
        fail_msg("sequence %d: fresh %d, settled %d", (int)sequence, fresh, (int)settled);
    }
}

static void settle__names_the_highest_without_a_gap(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    enrol(self, "pump", 1, "oslo");
    settle(self, 1, 1, true, 1);
    settle(self, 2, 1, true, 2);
    settle(self, 2, 1, false, 2); /* again */
    settle(self, 1, 1, false, 2); /* an older one replayed */
    settle(self, 5, 3, true, 2);  /* 3 and 4 are missing */
    settle(self, 5, 3, false, 2);
    settle(self, 4, 3, true, 2);
    settle(self, 3, 3, true, 5); /* closes the gap */
    settle(self, 9, 8, true, 7); /* 6 and 7 are given up by the device */
    settle(self, 7, 7, false, 7);
    settle(self, 8, 8, true, 9);
    settle(self, 10, 9, true, 10);
    bool fresh;
    uint64_t settled;
    refused(td_fleet_settle(self->f->db, self->devices[0].id, 10 + TD_SETTLE_AHEAD_MAX + 1, 1, &fresh, &settled, &err),
            &err, TD_BUSY, "too far ahead");
    refused(td_fleet_settle(self->f->db, self->devices[0].id, 3, 4, &fresh, &settled, &err), &err, TD_INVALID,
            "no sense");
    settle(self, 1000000, 1000000, true, 1000000); /* a device that lost everything below */
}

static void report__a_replay_changes_nothing(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 1, "oslo");
    device *d = &self->devices[0];
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\"}");
    live(self, 3);
    assert_string_equal(part_of(self, id, "oslo-01"), "committed");
    tidemark_Report old = tidemark_Report_init_zero;
    old.sequence = 2;
    old.oldest_kept = 1;
    old.directive_sequence = 1;
    old.state = tidemark_DeviceState_STATE_ROLLED_BACK;
    uint64_t settled = 0;
    must(td_fleet_report(self->f->db, d->id, &old, &settled, &err), &err);
    assert_int_equal(settled, 3);
    assert_string_equal(part_of(self, id, "oslo-01"), "committed");
    assert_int_equal(send_report(self, d, tidemark_DeviceState_STATE_FETCHING, 0, NULL),
                     4); /* late progress: no way back */
    assert_string_equal(part_of(self, id, "oslo-01"), "committed");
}

static void report__a_foreign_digest_is_no_success(void **state)
{
    fleet *self = *state;
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 1, "oslo");
    device *d = &self->devices[0];
    d->does = OFFLINE;
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\"}");
    tick(self);
    d->directive = 1;
    uint8_t other[TD_DIGEST_SIZE] = {9};
    send_report(self, d, tidemark_DeviceState_STATE_COMMITTED, 0, other);
    assert_string_equal(part_of(self, id, "oslo-01"), "working");
    d->directive = 50; /* a number that was never issued: no report about anything, and no acknowledgement */
    send_report(self, d, tidemark_DeviceState_STATE_COMMITTED, 0, other);
    TD_CLEANUP(td_json_done) json_t *shown = NULL;
    td_err err = {0};
    must(td_device_json(self->f->db, "default", "oslo-01", &shown, &err), &err);
    assert_int_equal(td_json_int(shown, "directive_accepted", -1), 1);
}

static void report__progress_moves_the_bytes_and_settles_nothing(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    make_approved(self->f, "pump", "weights one");
    enrol(self, "oslo", 1, "oslo");
    device *d = &self->devices[0];
    d->does = OFFLINE;
    const char *id = roll_out(self, "{\"model_version\":\"pump/1\",\"to\":\"all\"}");
    tick(self);
    d->directive = 1;
    assert_int_equal(send_report(self, d, tidemark_DeviceState_STATE_FETCHING, 0, NULL), 1);
    tidemark_Report progress = tidemark_Report_init_zero;
    progress.directive_sequence = 1;
    progress.state = tidemark_DeviceState_STATE_FETCHING;
    progress.bytes_done = 300;
    progress.bytes_total = 1000;
    uint64_t settled = 0;
    must(td_fleet_report(self->f->db, d->id, &progress, &settled, &err), &err);
    assert_int_equal(settled, 1);
    TD_CLEANUP(td_json_done) json_t *json = show(self, id);
    json_t *part = json_array_get(json_object_get(json, "devices"), 0);
    assert_int_equal(td_json_int(part, "bytes_done", -1), 300);
    progress.state = tidemark_DeviceState_STATE_COMMITTED; /* no step can be taken without a sequence */
    refused(td_fleet_report(self->f->db, d->id, &progress, &settled, &err), &err, TD_INVALID, "makes no sense");
}

static void birth__refuses_text_that_is_none(void **state)
{
    fleet *self = *state;
    td_err err = {0};
    enrol(self, "oslo", 1, "oslo");
    tidemark_Birth birth = tidemark_Birth_init_zero;
    snprintf(birth.device, sizeof birth.device, "oslo-01");
    snprintf(birth.hardware, sizeof birth.hardware, "\xff\xfe");
    refused(td_fleet_birth(self->f->db, self->devices[0].id, &birth, &err), &err, TD_INVALID, "UTF-8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FLEET_CASE(uplink__believes_only_what_is_sealed_for_its_topic),
        FLEET_CASE(uplink__drops_by_reason),
        FLEET_CASE(uplink__revoked_devices_are_not_heard),
        FLEET_CASE(uplink__a_window_gives_its_sequence),
        FLEET_CASE(settle__names_the_highest_without_a_gap),
        FLEET_CASE(report__a_replay_changes_nothing),
        FLEET_CASE(report__a_foreign_digest_is_no_success),
        FLEET_CASE(report__progress_moves_the_bytes_and_settles_nothing),
        FLEET_CASE(birth__refuses_text_that_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
