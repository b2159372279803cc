/*
 * proto.c: reading and writing of Protocol Buffers fields: every length is checked against what is left before it is
 * used.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/proto.h"

td_proto_reader td_proto_open(const void *data, size_t size)
{
    static const uint8_t nothing[1];
    const uint8_t *bytes = size > 0 ? data : nothing;
    return (td_proto_reader){.start = bytes, .next = bytes, .end = bytes + size};
}

bool td_proto_varint(td_proto_reader *reader, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && reader->next < reader->end; shift += 7) {
        uint8_t byte = *reader->next++;
        if (shift == 63 && byte > 1) {
            break; /* more than 64 bits */
        }
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *out = value;
            return true;
        }
    }
    reader->failed = true;
    return false;
}

static bool take(td_proto_reader *reader, uint64_t size, const uint8_t **out)
{
    if (size > (uint64_t)(reader->end - reader->next)) {
        reader->failed = true;
        return false;
    }
    *out = reader->next;
    reader->next += size;
    return true;
}

static bool take_fixed(td_proto_reader *reader, size_t size, uint64_t *out)
{
    const uint8_t *bytes;
    if (!take(reader, size, &bytes)) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = size; i > 0; i--) {
        value = value << 8 | bytes[i - 1];
    }
    *out = value;
    return true;
}

static bool take_value(td_proto_reader *reader, td_proto_field *field)
{
    switch (field->wire) {
    case TD_PROTO_VARINT:
        return td_proto_varint(reader, &field->value);
    case TD_PROTO_FIXED64:
        return take_fixed(reader, 8, &field->value);
    case TD_PROTO_FIXED32:
        return take_fixed(reader, 4, &field->value);
    case TD_PROTO_BYTES:
        if (!td_proto_varint(reader, &field->value) || !take(reader, field->value, &field->data)) {
            return false;
        }
        field->size = (size_t)field->value;
        return true;
    default:
        reader->failed = true; /* groups are long gone */
        return false;
    }
}

bool td_proto_next(td_proto_reader *reader, td_proto_field *field)
{
    uint64_t tag;
    if (reader->failed || reader->next == reader->end) {
        return false;
    }
    *field = (td_proto_field){.offset = (size_t)(reader->next - reader->start), .data = reader->next};
    if (!td_proto_varint(reader, &tag)) {
        return false;
    }
    field->number = (uint32_t)(tag >> 3);
    field->wire = (int)(tag & 7);
    if (tag >> 3 == 0 || tag >> 3 > 536870911) {
        reader->failed = true;
        return false;
    }
    return take_value(reader, field);
}

/* ---- writing ---- */

static void add_varint(td_str *out, uint64_t value)
{
    while (value >= 0x80) {
        td_str_add_char(out, (char)(uint8_t)(value | 0x80));
        value >>= 7;
    }
    td_str_add_char(out, (char)(uint8_t)value);
}

void td_proto_number(td_str *out, uint32_t field, uint64_t value)
{
    if (value != 0) {
        add_varint(out, (uint64_t)field << 3 | TD_PROTO_VARINT);
        add_varint(out, value);
    }
}

void td_proto_bytes(td_str *out, uint32_t field, const void *data, size_t size)
{
    add_varint(out, (uint64_t)field << 3 | TD_PROTO_BYTES);
    add_varint(out, size);
    td_str_append(out, data, size);
}

void td_proto_text(td_str *out, uint32_t field, const char *text)
{
    if (text[0] != '\0') {
        td_proto_bytes(out, field, text, strlen(text));
    }
}
