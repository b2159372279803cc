/*
 * proto.h: the Protocol Buffers wire format, for small messages whose bytes must be deterministic or borrowed.
 *
 * Writing goes into a td_str (sticky error); reading walks fields without copying and never past the end.
 * Source: protobuf.dev/programming-guides/encoding.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_PROTO_H
#define TD_REGISTRY_PROTO_H

#include "core/base/str.h"

#include <string.h>

enum { TD_PROTO_VARINT = 0, TD_PROTO_FIXED64 = 1, TD_PROTO_BYTES = 2, TD_PROTO_FIXED32 = 5 };

typedef struct td_proto_reader {
    const uint8_t *start, *next, *end;
    bool failed; /* garbled or cut short; td_proto_next then returns false */
} td_proto_reader;

typedef struct td_proto_field {
    uint32_t number;
    int wire;
    uint64_t value;      /* of a varint or a fixed number */
    const uint8_t *data; /* of bytes; borrowed, never NULL */
    size_t size;
    size_t offset; /* of the field's tag from the reader's start */
} td_proto_field;

td_proto_reader td_proto_open(const void *data, size_t size);
/* False at the end, or with reader->failed set. */
bool td_proto_next(td_proto_reader *reader, td_proto_field *field);
/* One varint at reader->next (for packed numbers). */
bool td_proto_varint(td_proto_reader *reader, uint64_t *out);

void td_proto_number(td_str *out, uint32_t field, uint64_t value); /* left out when 0, as proto3 does */
void td_proto_bytes(td_str *out, uint32_t field, const void *data, size_t size);
void td_proto_text(td_str *out, uint32_t field, const char *text); /* left out when empty */

#endif
