/*
 * downlink.c: topics and small messages that go to devices.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/downlink.h"
#include "registry/trust.h"

#include <pb_encode.h>
#include <stdio.h>
#include <string.h>

td_code td_topic_down(const char *prefix, const char *device, const char *name, char out[TD_TOPIC_MAX], td_err *err)
{
    bool all = strcmp(device, "_") == 0;
    char topic[TD_TOPIC_MAX];
    int length = snprintf(topic, sizeof topic, all ? "%s/%s/%s" : "%s/%s/down/%s", prefix, device, name);
    if (length < 0 || (size_t)length >= sizeof topic) {
        return td_fail(err, TD_INVALID, "topic %.40s/%.64s/…/%.40s is longer than %d bytes", prefix, device, name,
                       TD_TOPIC_MAX - 1);
    }
    memcpy(out, topic, sizeof topic);
    return TD_OK;
}

size_t td_receipt_encode(uint64_t settled, uint8_t out[16])
{
    tidemark_Receipt receipt = {.settled = settled};
    pb_ostream_t stream = pb_ostream_from_buffer(out, 16);
    (void)pb_encode(&stream, tidemark_Receipt_fields, &receipt); /* at most 11 bytes */
    return stream.bytes_written;
}

td_code td_downlink_sign(const td_key *key, const char *payload_type, const void *payload, size_t size, td_str *out,
                         td_err *err)
{
    return td_signed_message_make(payload_type, payload, size, key, out, err);
}

td_code td_server_state_message(const td_key *director, bool online, uint64_t epoch, int64_t now_ms, td_str *out,
                                td_err *err)
{
    tidemark_ServerState state = {
        .online = online, .epoch = epoch, .now_ms = (uint64_t)now_ms, .largest_block = TD_BLOCK_SIZE_MAX};
    uint8_t bytes[tidemark_ServerState_size];
    pb_ostream_t stream = pb_ostream_from_buffer(bytes, sizeof bytes);
    if (!pb_encode(&stream, tidemark_ServerState_fields, &state)) {
        return td_fail(err, TD_INTERNAL, "encoding the server's state: %s", PB_GET_ERROR(&stream));
    }
    return td_signed_message_make(TD_SERVER_STATE_TYPE, bytes, stream.bytes_written, director, out, err);
}

static td_code publish_mqtt(void *context, const td_mqtt_publication *publication, td_err *err)
{
    return td_mqtt_publish(context, publication, err);
}

td_sender td_sender_mqtt(td_mqtt *mqtt)
{
    return (td_sender){.context = mqtt, .publish = publish_mqtt};
}
