/*
 * uplink.c: from a topic and bytes to a proved, bounded message, or to a counted drop.
 *
 * The order is the cheap first: form of the topic, size, known device, then the HMAC, and only then a parser.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/keys.h"

#include <pb_decode.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const td_uplink_drop_names[TD_DROP_COUNT + 1] = {"topic", "size", "unknown_device", "revoked", "mac",
                                                             "form",  NULL};

static const char *const kinds[TD_UPLINK_KIND_COUNT] = {"birth", "death", "report", "get", "window"};

struct td_uplink_reader {
    td_uplink_keys *keys;
    char prefix[TD_TOPIC_PREFIX_MAX + 1];
    size_t prefix_length;
    atomic_uint_least64_t dropped[TD_DROP_COUNT], accepted[TD_UPLINK_KIND_COUNT];
    uint8_t scratch[TD_UPLINK_BYTES_MAX + 512]; /* topic ‖ 0 ‖ message, for the HMAC */
};

td_code td_uplink_reader_new(td_uplink_keys *keys, const char *prefix, td_uplink_reader **out, td_err *err)
{
    size_t length = strlen(prefix);
    if (length == 0 || length > TD_TOPIC_PREFIX_MAX || strpbrk(prefix, "+#") != NULL) {
        return td_fail(err, TD_INVALID, "a topic prefix has 1 to %d bytes and no wildcards", TD_TOPIC_PREFIX_MAX);
    }
    td_uplink_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        return td_fail(err, TD_NOMEM, "out of memory");
    }
    reader->keys = keys;
    reader->prefix_length = length;
    memcpy(reader->prefix, prefix, length + 1);
    *out = reader;
    return TD_OK;
}

void td_uplink_reader_free(td_uplink_reader *reader)
{
    free(reader);
}

uint64_t td_uplink_dropped(const td_uplink_reader *reader, td_uplink_drop why)
{
    return atomic_load_explicit(&reader->dropped[why], memory_order_relaxed);
}

uint64_t td_uplink_accepted(const td_uplink_reader *reader, td_uplink_kind kind)
{
    return atomic_load_explicit(&reader->accepted[kind], memory_order_relaxed);
}

static td_code drop(td_uplink_reader *reader, td_uplink_drop why, td_code code, const char *topic, td_err *err)
{
    atomic_fetch_add_explicit(&reader->dropped[why], 1, memory_order_relaxed);
    return td_fail(err, code, "uplink on \"%.120s\" dropped: %s", topic, td_uplink_drop_names[why]);
}

/* PREFIX/DEVICE/up/KIND */
static bool parse_topic(const td_uplink_reader *reader, const char *topic, td_uplink *out)
{
    if (strncmp(topic, reader->prefix, reader->prefix_length) != 0 || topic[reader->prefix_length] != '/') {
        return false;
    }
    const char *device = topic + reader->prefix_length + 1;
    size_t length = strcspn(device, "/");
    td_err ignored;
    if (length == 0 || length > TD_DEVICE_ID_MAX || strncmp(device + length, "/up/", 4) != 0) {
        return false;
    }
    memcpy(out->device, device, length);
    out->device[length] = '\0';
    for (int i = 0; i < TD_UPLINK_KIND_COUNT; i++) {
        if (strcmp(device + length + 4, kinds[i]) == 0) {
            out->kind = (td_uplink_kind)i;
            return td_device_check_name(out->device, &ignored) == TD_OK;
        }
    }
    return false;
}

static bool authentic(td_uplink_reader *reader, const td_uplink_key *key, const char *topic, const uint8_t *payload,
                      size_t message_size)
{
    size_t head = strlen(topic) + 1;
    memcpy(reader->scratch, topic, head);
    memcpy(reader->scratch + head, payload, message_size);
    uint8_t mac[TD_DIGEST_SIZE];
    td_hmac_sha256(key->key, TD_UPLINK_KEY_SIZE, reader->scratch, head + message_size, mac);
    return td_equal_secret(mac, payload + message_size, TD_UPLINK_MAC_SIZE);
}

/* Only the two numbers of a window that receipts need; the rest is skipped here and decoded by the monitor. */
static bool read_window_head(td_uplink *out)
{
    pb_istream_t stream = pb_istream_from_buffer(out->message, out->message_size);
    while (stream.bytes_left > 0) {
        pb_wire_type_t type;
        uint32_t tag;
        bool end;
        if (!pb_decode_tag(&stream, &type, &tag, &end)) {
            return end;
        }
        bool varint = type == PB_WT_VARINT;
        uint64_t *field = tag == tidemark_Window_sequence_tag      ? &out->sequence
                          : tag == tidemark_Window_oldest_kept_tag ? &out->oldest_kept
                                                                   : NULL;
        if (field != NULL ? !varint || !pb_decode_varint(&stream, field) : !pb_skip_field(&stream, type)) {
            return false;
        }
    }
    return true;
}

static bool decode(td_uplink *out)
{
    pb_istream_t stream = pb_istream_from_buffer(out->message, out->message_size);
    switch (out->kind) {
    case TD_UPLINK_BIRTH:
        out->as.birth = (tidemark_Birth)tidemark_Birth_init_zero;
        return pb_decode(&stream, tidemark_Birth_fields, &out->as.birth) &&
               strcmp(out->as.birth.device, out->device) == 0;
    case TD_UPLINK_DEATH:
        out->as.death = (tidemark_Death)tidemark_Death_init_zero;
        return pb_decode(&stream, tidemark_Death_fields, &out->as.death);
    case TD_UPLINK_REPORT:
        out->as.report = (tidemark_Report)tidemark_Report_init_zero;
        if (!pb_decode(&stream, tidemark_Report_fields, &out->as.report)) {
            return false;
        }
        out->sequence = out->as.report.sequence;
        out->oldest_kept = out->as.report.oldest_kept;
        return true;
    case TD_UPLINK_GET:
        out->as.get = (tidemark_Get)tidemark_Get_init_zero;
        return pb_decode(&stream, tidemark_Get_fields, &out->as.get);
    case TD_UPLINK_WINDOW:
        return read_window_head(out);
    case TD_UPLINK_KIND_COUNT:
        break;
    }
    return false;
}

static bool sequences_make_sense(const td_uplink *uplink)
{
    if (uplink->kind != TD_UPLINK_REPORT && uplink->kind != TD_UPLINK_WINDOW) {
        return true;
    }
    bool progress = uplink->kind == TD_UPLINK_REPORT && uplink->sequence == 0 && uplink->oldest_kept == 0 &&
                    uplink->as.report.state == tidemark_DeviceState_STATE_FETCHING; /* a hint that nobody keeps */
    return progress ||
           (uplink->sequence >= 1 && uplink->sequence <= INT64_MAX && uplink->oldest_kept <= uplink->sequence);
}

td_code td_uplink_read(td_uplink_reader *reader, const char *topic, const void *payload, size_t size, td_uplink *out,
                       td_err *err)
{
    td_uplink head = {0};
    if (!parse_topic(reader, topic, &head)) {
        return drop(reader, TD_DROP_TOPIC, TD_INVALID, topic, err);
    }
    if (size < TD_UPLINK_MAC_SIZE || size > TD_UPLINK_BYTES_MAX) {
        return drop(reader, TD_DROP_SIZE, TD_LIMIT, topic, err);
    }
    td_uplink_key key;
    if (!td_uplink__key(reader->keys, head.device, &key)) {
        return drop(reader, TD_DROP_UNKNOWN_DEVICE, TD_DENIED, topic, err);
    }
    bool ok = authentic(reader, &key, topic, payload, size - TD_UPLINK_MAC_SIZE);
    head.device_id = key.device_id;
    memcpy(head.project, key.project, sizeof head.project);
    bool revoked = key.revoked;
    td_wipe(&key, sizeof key);
    if (revoked || !ok) {
        return drop(reader, revoked ? TD_DROP_REVOKED : TD_DROP_MAC, TD_DENIED, topic, err);
    }
    head.message = payload;
    head.message_size = size - TD_UPLINK_MAC_SIZE;
    if (!decode(&head) || !sequences_make_sense(&head)) {
        return drop(reader, TD_DROP_FORM, TD_INVALID, topic, err);
    }
    atomic_fetch_add_explicit(&reader->accepted[head.kind], 1, memory_order_relaxed);
    *out = head;
    return TD_OK;
}

td_code td_uplink_filter(const char *prefix, td_uplink_kind kind, char *out, size_t room, td_err *err)
{
    int length = snprintf(out, room, "%s/+/up/%s", prefix, kinds[kind]);
    if (length < 0 || (size_t)length >= room) {
        return td_fail(err, TD_LIMIT, "topic prefix \"%.40s…\" is too long", prefix);
    }
    return TD_OK;
}

td_code td_uplink_seal(const uint8_t key[TD_UPLINK_KEY_SIZE], const char *topic, const void *message, size_t size,
                       td_str *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_str_append(&text, topic, strlen(topic) + 1);
    td_str_append(&text, message, size);
    TD_TRY(td_str_check(&text, err));
    uint8_t mac[TD_DIGEST_SIZE];
    td_hmac_sha256(key, TD_UPLINK_KEY_SIZE, text.data, text.size, mac);
    td_str_append(out, message, size);
    td_str_append(out, mac, TD_UPLINK_MAC_SIZE);
    return td_str_check(out, err);
}
