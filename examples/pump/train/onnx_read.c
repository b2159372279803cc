/*
 * onnx_read.c: takes the weights out of a file of ours again, to measure the champion on the same rows as its
 * challenger.
 *
 * Only the six initializers are looked at, by name and size; everything is bounded by the bytes that are there.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "examples/pump/train/onnx_file.h"

#include <string.h>

#define WIRE_VARINT 0
#define WIRE_FIXED64 1
#define WIRE_BYTES 2
#define WIRE_FIXED32 5

typedef struct reader {
    const uint8_t *at, *end;
} reader;

typedef struct field {
    unsigned number, wire;
    uint64_t value; /* of a varint */
    reader bytes;   /* of a length-delimited field */
} field;

static bool read_varint(reader *r, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        uint8_t byte = *r->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* 1: a field; 0: the end; -1: broken. */
static int next_field(reader *r, field *out)
{
    uint64_t tag;
    if (r->at == r->end) {
        return 0;
    }
    if (!read_varint(r, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF) {
        return -1;
    }
    *out = (field){.number = (unsigned)(tag >> 3), .wire = (unsigned)(tag & 7)};
    size_t skip = out->wire == WIRE_FIXED64 ? 8 : out->wire == WIRE_FIXED32 ? 4 : 0;
    if (out->wire == WIRE_VARINT) {
        return read_varint(r, &out->value) ? 1 : -1;
    }
    if (out->wire == WIRE_BYTES) {
        uint64_t length;
        if (!read_varint(r, &length) || length > (uint64_t)(r->end - r->at)) {
            return -1;
        }
        out->bytes = (reader){r->at, r->at + length};
        r->at += length;
        return 1;
    }
    if (skip == 0 || (size_t)(r->end - r->at) < skip) {
        return -1;
    }
    r->at += skip;
    return 1;
}

typedef struct tensor {
    char name[32];
    reader raw;
} tensor;

static bool read_tensor(reader r, tensor *out)
{
    field f;
    int more;
    *out = (tensor){0};
    while ((more = next_field(&r, &f)) == 1) {
        if (f.number == 8 && f.wire == WIRE_BYTES) {
            size_t length = (size_t)(f.bytes.end - f.bytes.at);
            if (length < sizeof out->name) {
                memcpy(out->name, f.bytes.at, length);
                out->name[length] = '\0';
            }
        } else if (f.number == 9 && f.wire == WIRE_BYTES) {
            out->raw = f.bytes;
        }
    }
    return more == 0;
}

static bool take(const tensor *t, float *out, int count)
{
    if (t->raw.at == NULL || t->raw.end - t->raw.at != (ptrdiff_t)count * 4) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        const uint8_t *b = t->raw.at + 4 * i;
        uint32_t bits = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
        memcpy(&out[i], &bits, sizeof bits);
    }
    return true;
}

enum { HAS_MEAN = 1, HAS_DEVIATION = 2, HAS_W1 = 4, HAS_B1 = 8, HAS_W2 = 16, HAS_B2 = 32, HAS_ALL = 63 };

static unsigned take_hidden(const tensor *t, mlp *model)
{
    float w1[PUMP_FEATURES * MLP_HIDDEN_MAX];
    ptrdiff_t hidden = (t->raw.end - t->raw.at) / (4 * PUMP_FEATURES);
    if (t->raw.at == NULL || hidden < 1 || hidden > MLP_HIDDEN_MAX || !take(t, w1, (int)hidden * PUMP_FEATURES)) {
        return 0;
    }
    model->hidden = (int)hidden;
    for (int k = 0; k < PUMP_FEATURES; k++) {
        memcpy(model->w1[k], w1 + k * hidden, (size_t)hidden * sizeof(float));
    }
    return HAS_W1;
}

/* The writer puts hidden.weight before what depends on its size. */
static unsigned take_tensor(const tensor *t, mlp *model)
{
    if (strcmp(t->name, "mean") == 0) {
        return take(t, model->mean, PUMP_FEATURES) ? HAS_MEAN : 0;
    }
    if (strcmp(t->name, "deviation") == 0) {
        return take(t, model->deviation, PUMP_FEATURES) ? HAS_DEVIATION : 0;
    }
    if (strcmp(t->name, "hidden.weight") == 0) {
        return take_hidden(t, model);
    }
    if (strcmp(t->name, "hidden.bias") == 0) {
        return take(t, model->b1, model->hidden) ? HAS_B1 : 0;
    }
    if (strcmp(t->name, "output.weight") == 0) {
        return take(t, model->w2, model->hidden) ? HAS_W2 : 0;
    }
    return strcmp(t->name, "output.bias") == 0 && take(t, &model->b2, 1) ? HAS_B2 : 0;
}

td_code onnx_file_read(const void *data, size_t size, mlp *out, td_err *err)
{
    mlp model = {0};
    unsigned found = 0;
    field f, inner;
    tensor t;
    int more, more_inner = 0;
    reader r = {data, (const uint8_t *)data + size};
    while ((more = next_field(&r, &f)) == 1) {
        if (f.number != 7 || f.wire != WIRE_BYTES) {
            continue;
        }
        while ((more_inner = next_field(&f.bytes, &inner)) == 1) {
            if (inner.number == 5 && inner.wire == WIRE_BYTES && read_tensor(inner.bytes, &t)) {
                found |= take_tensor(&t, &model);
            }
        }
        if (more_inner < 0) {
            break;
        }
    }
    if (more < 0 || more_inner < 0) {
        return td_fail(err, TD_CORRUPT, "the ONNX file is cut short or broken");
    }
    if (found != HAS_ALL) {
        return td_fail(err, TD_INVALID, "the ONNX file is not a network that pump-train made");
    }
    *out = model;
    return TD_OK;
}
