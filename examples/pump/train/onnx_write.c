/*
 * onnx_write.c: ONNX is Protocol Buffers; the few messages that a small network needs are put together by hand.
 *
 * A message is built in a td_str and then appended to its parent with its length. Field numbers: onnx.proto, IR
 * version 8. SPDX-License-Identifier: Apache-2.0
 */
#include "examples/pump/train/onnx_file.h"

#include <string.h>

#define WIRE_VARINT 0
#define WIRE_BYTES 2
#define ONNX_FLOAT 1

static void add_varint(td_str *out, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7F) | (value > 0x7F ? 0x80 : 0));
        td_str_append(out, &byte, 1);
        value >>= 7;
    } while (value > 0);
}

static void add_number(td_str *out, unsigned field, uint64_t value)
{
    add_varint(out, field << 3 | WIRE_VARINT);
    add_varint(out, value);
}

static void add_bytes(td_str *out, unsigned field, const void *data, size_t size)
{
    add_varint(out, field << 3 | WIRE_BYTES);
    add_varint(out, size);
    td_str_append(out, data, size);
}

static void add_text(td_str *out, unsigned field, const char *text)
{
    add_bytes(out, field, text, strlen(text));
}

/* Appends a message that was built apart, and empties it. */
static void add_message(td_str *out, unsigned field, td_str *message)
{
    add_bytes(out, field, td_str_text(message), message->size);
    if (message->failed != TD_OK) {
        out->failed = message->failed;
    }
    td_str_done(message);
}

static void add_node(td_str *graph, const char *type, const char *const *inputs, const char *output)
{
    td_str node = {0};
    for (int i = 0; inputs[i] != NULL; i++) {
        add_text(&node, 1, inputs[i]);
    }
    add_text(&node, 2, output);
    add_text(&node, 3, output); /* the node is named after what it makes */
    add_text(&node, 4, type);
    add_message(graph, 1, &node);
}

/* values are little-endian floats on the wire. */
static void add_tensor(td_str *graph, const char *name, int rows, int columns, const float *values)
{
    td_str tensor = {0}, raw = {0};
    int count = (rows > 0 ? rows : 1) * columns;
    if (rows > 0) {
        add_number(&tensor, 1, (uint64_t)rows);
    }
    add_number(&tensor, 1, (uint64_t)columns);
    add_number(&tensor, 2, ONNX_FLOAT);
    add_text(&tensor, 8, name);
    for (int i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
        td_str_append(&raw, bytes, sizeof bytes);
    }
    add_message(&tensor, 9, &raw);
    add_message(graph, 5, &tensor);
}

/* ValueInfoProto of a float tensor [N, columns]. */
static void add_value(td_str *graph, unsigned field, const char *name, unsigned columns, const char *doc)
{
    td_str dimension = {0}, shape = {0}, tensor = {0}, type = {0}, value = {0};
    add_text(&dimension, 2, "N");
    add_message(&shape, 1, &dimension);
    add_number(&dimension, 1, columns);
    add_message(&shape, 1, &dimension);
    add_number(&tensor, 1, ONNX_FLOAT);
    add_message(&tensor, 2, &shape);
    add_message(&type, 1, &tensor);
    add_text(&value, 1, name);
    add_message(&value, 2, &type);
    add_text(&value, 3, doc);
    add_message(graph, field, &value);
}

static void add_weights(td_str *graph, const mlp *model)
{
    float w1[PUMP_FEATURES * MLP_HIDDEN_MAX];
    for (int k = 0; k < PUMP_FEATURES; k++) {
        memcpy(w1 + k * model->hidden, model->w1[k], (size_t)model->hidden * sizeof(float));
    }
    add_tensor(graph, "mean", 0, PUMP_FEATURES, model->mean);
    add_tensor(graph, "deviation", 0, PUMP_FEATURES, model->deviation);
    add_tensor(graph, "hidden.weight", PUMP_FEATURES, model->hidden, w1);
    add_tensor(graph, "hidden.bias", 0, model->hidden, model->b1);
    add_tensor(graph, "output.weight", model->hidden, 1, model->w2);
    add_tensor(graph, "output.bias", 0, 1, &model->b2);
}

static void add_graph(td_str *out, const mlp *model)
{
    td_str graph = {0};
    add_node(&graph, "Sub", (const char *const[]){"features", "mean", NULL}, "centred");
    add_node(&graph, "Div", (const char *const[]){"centred", "deviation", NULL}, "standardised");
    add_node(&graph, "Gemm", (const char *const[]){"standardised", "hidden.weight", "hidden.bias", NULL}, "hidden");
    add_node(&graph, "Relu", (const char *const[]){"hidden", NULL}, "active");
    add_node(&graph, "Gemm", (const char *const[]){"active", "output.weight", "output.bias", NULL}, "logit");
    add_node(&graph, "Sigmoid", (const char *const[]){"logit", NULL}, "score");
    add_text(&graph, 2, "pump_anomaly");
    add_weights(&graph, model);
    add_value(&graph, 11, "features", PUMP_FEATURES,
              "rms, kurtosis, crest_factor, bpfo_energy, bpfi_energy, shaft_1x, temperature, speed_rpm");
    add_value(&graph, 12, "score", 1, "probability that the bearing is damaged");
    add_message(out, 7, &graph);
}

static void add_metadata(td_str *out, const char *key, const char *value)
{
    td_str entry = {0};
    add_text(&entry, 1, key);
    add_text(&entry, 2, value);
    add_message(out, 14, &entry);
}

td_code onnx_file_write(const mlp *model, uint64_t seed, td_str *out, td_err *err)
{
    td_str opset = {0};
    TD_CLEANUP(td_str_done) td_str seed_text = {0};
    td_str_addf(&seed_text, "%llu", (unsigned long long)seed);
    add_number(out, 1, 8); /* ir_version */
    add_text(out, 2, "pump-train");
    add_text(out, 3, TD_VERSION);
    add_text(out, 6, "Bearing damage of a pump from eight vibration features.");
    add_graph(out, model);
    add_text(&opset, 1, "");
    add_number(&opset, 2, 13);
    add_message(out, 8, &opset);
    add_metadata(out, "seed", td_str_text(&seed_text));
    add_metadata(out, "decision_threshold", "0.5");
    return td_str_check(out, err);
}
