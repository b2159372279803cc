/*
 * message.c: signed messages: a payload, its type, and signatures over both (DSSE in Protocol Buffers form).
 *
 * A small walker of its own instead of a generated decoder: the payload is borrowed from the received bytes, since
 * what is verified must be what was received. Source of the signed text: DSSE 1.0.2, pre-authentication encoding.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/proto.h"
#include "registry/trust.h"

#include <string.h>

td_code td_signed_message_encode(const td_signed_message *message, td_str *out, td_err *err)
{
    td_proto_bytes(out, 1, message->payload_type, strlen(message->payload_type));
    td_proto_bytes(out, 2, message->payload, message->payload_size);
    for (size_t i = 0; i < message->signature_count; i++) {
        TD_CLEANUP(td_str_done) td_str one = {0};
        td_proto_bytes(&one, 1, message->signatures[i].key_id, TD_KEY_ID_SIZE);
        td_proto_bytes(&one, 2, message->signatures[i].signature, TD_SIGNATURE_SIZE);
        TD_TRY(td_str_check(&one, err));
        td_proto_bytes(out, 3, one.data, one.size);
    }
    return td_str_check(out, err);
}

/* ---- decoding ---- */

static td_code malformed(td_err *err, const char *what)
{
    return td_fail(err, TD_CORRUPT, "this is no signed message: %s", what);
}

static td_code read_signature(const td_proto_field *field, td_signature *out, td_err *err)
{
    td_proto_reader reader = td_proto_open(field->data, field->size);
    td_proto_field part;
    bool key = false;
    bool signature = false;
    while (td_proto_next(&reader, &part)) {
        if (part.wire == TD_PROTO_BYTES && part.number == 1 && part.size == TD_KEY_ID_SIZE && !key) {
            memcpy(out->key_id, part.data, TD_KEY_ID_SIZE);
            key = true;
        } else if (part.wire == TD_PROTO_BYTES && part.number == 2 && part.size == TD_SIGNATURE_SIZE && !signature) {
            memcpy(out->signature, part.data, TD_SIGNATURE_SIZE);
            signature = true;
        } else {
            return malformed(err, "a signature has an unexpected field");
        }
    }
    return reader.failed || !key || !signature ? malformed(err, "a signature is incomplete") : TD_OK;
}

static td_code read_type(const td_proto_field *field, td_signed_message *message, td_err *err)
{
    if (message->payload_type[0] != '\0' || field->size == 0 || field->size >= sizeof message->payload_type ||
        memchr(field->data, '\0', field->size) != NULL) {
        return malformed(err, "its payload type is missing, doubled or too long");
    }
    memcpy(message->payload_type, field->data, field->size);
    return TD_OK;
}

static td_code read_field(const td_proto_field *field, td_signed_message *message, td_err *err)
{
    if (field->wire != TD_PROTO_BYTES) {
        return malformed(err, "unexpected field");
    }
    switch (field->number) {
    case 1:
        return read_type(field, message, err);
    case 2:
        if (message->payload != NULL) {
            return malformed(err, "it has two payloads");
        }
        message->payload = field->data;
        message->payload_size = field->size;
        return TD_OK;
    case 3:
        if (message->signature_count == TD_SIGNATURES_MAX) {
            return malformed(err, "it has too many signatures");
        }
        return read_signature(field, &message->signatures[message->signature_count++], err);
    default:
        return malformed(err, "unexpected field");
    }
}

td_code td_signed_message_decode(const void *bytes, size_t size, td_signed_message *out, td_err *err)
{
    td_signed_message message = {.payload = NULL};
    td_proto_field field;
    if (size > TD_SIGNED_MESSAGE_MAX) {
        return td_fail(err, TD_CORRUPT, "a signed message has at most %zu bytes, not %zu", TD_SIGNED_MESSAGE_MAX, size);
    }
    td_proto_reader reader = td_proto_open(bytes, size);
    while (td_proto_next(&reader, &field)) {
        TD_TRY(read_field(&field, &message, err));
    }
    if (reader.failed || message.payload_type[0] == '\0' || message.payload == NULL) {
        return malformed(err, reader.failed ? "it is cut short or garbled" : "type or payload is missing");
    }
    *out = message;
    return TD_OK;
}

/* ---- signing ---- */

td_code td_signed_payload_sign(const char *payload_type, const void *payload, size_t size, const td_key *key,
                               td_signature *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pae = {0};
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    td_signature signature;
    if (td_key_kind_of(key) != TD_KEY_P256) {
        return td_fail(err, TD_INVALID, "messages are signed with P-256 keys");
    }
    TD_TRY(td_dsse_pae(payload_type, payload, size, &pae, err));
    TD_TRY(td_key_sign(key, pae.data, pae.size, signature.signature, err));
    td_key_id(public_key, td_key_public(key, public_key), signature.key_id);
    *out = signature;
    return TD_OK;
}

td_code td_signed_message_make(const char *payload_type, const void *payload, size_t size, const td_key *key,
                               td_str *out, td_err *err)
{
    td_signed_message message = {.payload = payload, .payload_size = size, .signature_count = 1};
    size_t length = strlen(payload_type);
    if (length >= sizeof message.payload_type) {
        return td_fail(err, TD_INVALID, "the payload type is too long");
    }
    memcpy(message.payload_type, payload_type, length + 1);
    TD_TRY(td_signed_payload_sign(payload_type, payload, size, key, &message.signatures[0], err));
    return td_signed_message_encode(&message, out, err);
}

td_code td_envelope_sign(const void *envelope, size_t size, const td_key *key, td_str *out, td_err *err)
{
    td_signed_message message;
    TD_TRY(td_signed_message_decode(envelope, size, &message, err));
    if (message.signature_count == TD_SIGNATURES_MAX) {
        return td_fail(err, TD_LIMIT, "the message has %d signatures already", TD_SIGNATURES_MAX);
    }
    td_signature signature;
    TD_TRY(td_signed_payload_sign(message.payload_type, message.payload, message.payload_size, key, &signature, err));
    for (size_t i = 0; i < message.signature_count; i++) {
        if (memcmp(message.signatures[i].key_id, signature.key_id, TD_KEY_ID_SIZE) == 0) {
            return td_fail(err, TD_CONFLICT, "this key has signed the message already");
        }
    }
    message.signatures[message.signature_count++] = signature;
    return td_signed_message_encode(&message, out, err);
}
