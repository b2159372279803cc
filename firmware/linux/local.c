/*
 * local.c: see local.h. A cursor that cannot pass its end does all the reading.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/local.h"

#include <string.h>

typedef struct cursor {
    const uint8_t *at;
    size_t left;
    bool short_of; /* something was asked for that is not there */
} cursor;

static const uint8_t *take(cursor *from, size_t size)
{
    if (size > from->left) {
        from->short_of = true;
        from->left = 0;
        return NULL;
    }
    const uint8_t *at = from->at;
    from->at += size;
    from->left -= size;
    return at;
}

static uint64_t take_integer(cursor *from, size_t size)
{
    const uint8_t *at = take(from, size);
    uint64_t value = 0;
    for (size_t i = size; at != NULL && i > 0; i--) {
        value = value << 8 | at[i - 1];
    }
    return value;
}

static float take_float(cursor *from)
{
    uint32_t bits = (uint32_t)take_integer(from, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static bool slot_character(char c, bool first)
{
    bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return word || (!first && (c == '.' || c == '_' || c == '-'));
}

td_code td_local_read_head(const uint8_t *datagram, size_t size, td_local_head *out, td_err *err)
{
    cursor from = {.at = datagram, .left = size};
    const uint8_t *mark = take(&from, 4);
    const uint8_t *model = take(&from, TM_LOCAL_MODEL_SIZE);
    if (from.short_of || mark[0] != 'T' || mark[1] != 'M') {
        return td_fail(err, TD_INVALID, "a datagram of %zu bytes is not of the local API", size);
    }
    if (mark[2] != TM_LOCAL_VERSION) {
        return td_fail(err, TD_INVALID, "a datagram of version %u of the local API; this agent speaks %d", mark[2],
                       TM_LOCAL_VERSION);
    }
    const uint8_t *slot = take(&from, mark[3]);
    if (from.short_of || mark[3] < 1 || mark[3] > TM_LOCAL_SLOT_MAX) {
        return td_fail(err, TD_INVALID, "a datagram whose slot name has %u bytes, expected 1 to %d", mark[3],
                       TM_LOCAL_SLOT_MAX);
    }
    td_local_head head = {.any_model = true, .records = from.at, .records_size = from.left};
    for (size_t i = 0; i < mark[3]; i++) {
        if (!slot_character((char)slot[i], i == 0)) {
            return td_fail(err, TD_INVALID, "a datagram whose slot name has the byte 0x%02x at %zu", slot[i], i);
        }
        head.slot[i] = (char)slot[i];
    }
    memcpy(head.model, model, sizeof head.model);
    for (size_t i = 0; i < sizeof head.model; i++) {
        head.any_model = head.any_model && head.model[i] == 0;
    }
    *out = head;
    return TD_OK;
}

/* The texts of an observation must fill the rest of the record exactly. */
static bool texts_are_whole(const cursor *rest, unsigned count)
{
    cursor from = *rest;
    for (unsigned i = 0; i < count && !from.short_of; i++) {
        (void)take_integer(&from, 2);
        uint64_t length = take_integer(&from, 1);
        if (length < 1 || length > TM_LOCAL_TEXT_MAX || take(&from, (size_t)length) == NULL) {
            return false;
        }
    }
    return !from.short_of && from.left == 0;
}

static bool read_observation(cursor *from, float *features, td_local_record *out)
{
    out->id = take_integer(from, 8);
    out->latency_us = (uint32_t)take_integer(from, 4);
    out->prediction = take_float(from);
    out->score = take_float(from);
    out->feature_count = (uint16_t)take_integer(from, 2);
    out->group_length = (uint8_t)take_integer(from, 1);
    out->text_count = (uint8_t)take_integer(from, 1);
    if (from->short_of || out->feature_count > TM_LOCAL_FEATURES_MAX || out->group_length > TM_LOCAL_TEXT_MAX ||
        from->left < 4 * (size_t)out->feature_count) {
        return false;
    }
    for (size_t i = 0; i < out->feature_count; i++) {
        features[i] = take_float(from);
    }
    out->features = features;
    out->group = (const char *)take(from, out->group_length);
    out->texts = from->at;
    out->texts_size = from->left;
    return !from->short_of && texts_are_whole(from, out->text_count);
}

/* The class name is kept in the group fields. */
static bool read_label(cursor *from, td_local_record *out)
{
    out->id = take_integer(from, 8);
    out->prediction = take_float(from);
    out->group_length = (uint8_t)take_integer(from, 1);
    if (from->short_of || out->group_length > TM_LOCAL_TEXT_MAX || out->id == 0) {
        return false;
    }
    out->group = (const char *)take(from, out->group_length);
    return !from->short_of && from->left == 0;
}

static bool read_body(cursor *body, float *features, td_local_record *out)
{
    switch (out->type) {
    case TM_RECORD_ATTACH:
    case TM_RECORD_STATUS:
        return body->left == 0;
    case TM_RECORD_OBSERVE:
        return read_observation(body, features, out);
    case TM_RECORD_LABEL:
        return read_label(body, out);
    case TM_RECORD_ERROR:
        out->errors = (uint32_t)take_integer(body, 4);
        return !body->short_of && body->left == 0;
    default:
        return false;
    }
}

td_code td_local_read_record(const uint8_t **at, size_t *left, float *features, td_local_record *out, bool *more_out,
                             td_err *err)
{
    if (*left == 0) {
        *more_out = false;
        return TD_OK;
    }
    cursor from = {.at = *at, .left = *left};
    td_local_record record = {.type = (unsigned)take_integer(&from, 1)};
    (void)take_integer(&from, 1);
    size_t length = (size_t)take_integer(&from, 2);
    const uint8_t *start = from.at;
    if (from.short_of || take(&from, length) == NULL) {
        return td_fail(err, TD_INVALID, "a record of type %u is cut short", record.type);
    }
    cursor body = {.at = start, .left = length};
    if (!read_body(&body, features, &record)) {
        return td_fail(err, TD_INVALID, "a record of type %u with %zu bytes makes no sense", record.type, length);
    }
    *at = from.at;
    *left = from.left;
    *out = record;
    *more_out = true;
    return TD_OK;
}

bool td_local_text_next(td_local_record *record, td_local_text *out)
{
    if (record->text_count == 0) {
        return false;
    }
    cursor from = {.at = record->texts, .left = record->texts_size};
    out->feature = (uint16_t)take_integer(&from, 2);
    out->length = (uint8_t)take_integer(&from, 1);
    out->text = (const char *)take(&from, out->length);
    record->texts = from.at;
    record->texts_size = from.left;
    record->text_count--;
    return !from.short_of;
}
