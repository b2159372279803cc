/*
 * keyset.c: reading, writing and checking keysets, and counting signatures by them.
 *
 * A signature counts once a key, only if it verifies, and only over what was received.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/proto.h"
#include "registry/trust.h"

#include <string.h>

td_code td_keyset_encode(const td_keyset *keyset, td_str *out, td_err *err)
{
    td_proto_number(out, 1, keyset->version);
    td_proto_number(out, 2, keyset->expires_ms);
    td_proto_number(out, 3, keyset->root_threshold);
    td_proto_number(out, 4, keyset->approver_threshold);
    td_proto_number(out, 5, keyset->director_threshold);
    for (size_t i = 0; i < keyset->key_count; i++) {
        TD_CLEANUP(td_str_done) td_str key = {0};
        td_proto_number(&key, 1, (uint64_t)keyset->keys[i].role);
        td_proto_bytes(&key, 2, keyset->keys[i].public_key, TD_P256_PUBLIC_SIZE);
        TD_TRY(td_str_check(&key, err));
        td_proto_bytes(out, 6, key.data, key.size);
    }
    return td_str_check(out, err);
}

/* ---- decoding ---- */

static td_code malformed(td_err *err, const char *what)
{
    return td_fail(err, TD_CORRUPT, "this is no keyset: %s", what);
}

static td_code read_key(const td_proto_field *field, td_keyset *keyset, td_err *err)
{
    td_proto_reader reader = td_proto_open(field->data, field->size);
    td_proto_field part;
    if (keyset->key_count == TD_KEYSET_KEYS_MAX) {
        return malformed(err, "it has too many keys");
    }
    td_signer_key *key = &keyset->keys[keyset->key_count];
    bool point = false;
    while (td_proto_next(&reader, &part)) {
        if (part.number == 1 && part.wire == TD_PROTO_VARINT && part.value >= TD_SIGNER_ROOT &&
            part.value <= TD_SIGNER_DIRECTOR) {
            key->role = (td_signer)part.value;
        } else if (part.number == 2 && part.wire == TD_PROTO_BYTES && part.size == TD_P256_PUBLIC_SIZE) {
            memcpy(key->public_key, part.data, TD_P256_PUBLIC_SIZE);
            point = key->public_key[0] == 4;
        } else {
            return malformed(err, "a key has an unexpected field");
        }
    }
    if (reader.failed || !point || key->role == 0) {
        return malformed(err, "a key is incomplete");
    }
    keyset->key_count++;
    return TD_OK;
}

static td_code read_field(const td_proto_field *field, td_keyset *keyset, td_err *err)
{
    uint32_t *const numbers[] = {&keyset->version, NULL, &keyset->root_threshold, &keyset->approver_threshold,
                                 &keyset->director_threshold};
    if (field->number == 6 && field->wire == TD_PROTO_BYTES) {
        return read_key(field, keyset, err);
    }
    if (field->wire != TD_PROTO_VARINT || field->number < 1 || field->number > 5) {
        return malformed(err, "unexpected field");
    }
    if (field->number == 2) {
        keyset->expires_ms = field->value;
        return TD_OK;
    }
    if (field->value > UINT32_MAX) {
        return malformed(err, "a number is too large");
    }
    *numbers[field->number - 1] = (uint32_t)field->value;
    return TD_OK;
}

static uint32_t count_role(const td_keyset *keyset, td_signer role)
{
    uint32_t count = 0;
    for (size_t i = 0; i < keyset->key_count; i++) {
        count += keyset->keys[i].role == role;
    }
    return count;
}

static td_code check(const td_keyset *keyset, td_err *err)
{
    for (size_t i = 0; i < keyset->key_count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (memcmp(&keyset->keys[i].public_key, &keyset->keys[j].public_key, TD_P256_PUBLIC_SIZE) == 0) {
                return malformed(err, "a key is listed twice");
            }
        }
    }
    if (keyset->version == 0 || keyset->root_threshold == 0 || keyset->approver_threshold == 0 ||
        keyset->director_threshold == 0) {
        return malformed(err, "version and thresholds must be at least 1");
    }
    if (count_role(keyset, TD_SIGNER_ROOT) < keyset->root_threshold) {
        return malformed(err, "it has fewer root keys than its root threshold");
    }
    return TD_OK;
}

td_code td_keyset_decode(const void *bytes, size_t size, td_keyset *out, td_err *err)
{
    td_keyset keyset = {.version = 0};
    td_proto_reader reader = td_proto_open(bytes, size);
    td_proto_field field;
    while (td_proto_next(&reader, &field)) {
        TD_TRY(read_field(&field, &keyset, err));
    }
    if (reader.failed) {
        return malformed(err, "it is cut short or garbled");
    }
    TD_TRY(check(&keyset, err));
    *out = keyset;
    return TD_OK;
}

/* ---- counting ---- */

/* Whether this key of the keyset has a good signature on the message. */
static bool has_signed(const td_signer_key *key, const td_signed_message *message, const td_str *pae)
{
    uint8_t key_id[TD_KEY_ID_SIZE];
    td_key_id(key->public_key, TD_P256_PUBLIC_SIZE, key_id);
    for (size_t i = 0; i < message->signature_count; i++) {
        const td_signature *signature = &message->signatures[i];
        if (memcmp(signature->key_id, key_id, sizeof key_id) == 0 &&
            td_p256_verify(key->public_key, pae->data, pae->size, signature->signature, NULL) == TD_OK) {
            return true;
        }
    }
    return false;
}

td_code td_keyset_count(const td_keyset *keyset, td_signer role, const td_signed_message *message,
                        const char *payload_type, uint32_t *count_out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pae = {0};
    uint32_t count = 0;
    if (strcmp(message->payload_type, payload_type) != 0) {
        return td_fail(err, TD_CORRUPT, "the signed message is of type \"%s\", not \"%s\"", message->payload_type,
                       payload_type);
    }
    TD_TRY(td_dsse_pae(message->payload_type, message->payload, message->payload_size, &pae, err));
    for (size_t i = 0; i < keyset->key_count; i++) {
        count += keyset->keys[i].role == role && has_signed(&keyset->keys[i], message, &pae);
    }
    *count_out = count;
    return TD_OK;
}

td_code td_keyset_verify(const td_keyset *keyset, td_signer role, const td_signed_message *message,
                         const char *payload_type, td_err *err)
{
    static const char *const names[] = {"", "root", "approver", "director"};
    const uint32_t thresholds[] = {0, keyset->root_threshold, keyset->approver_threshold, keyset->director_threshold};
    uint32_t count;
    TD_TRY(td_keyset_count(keyset, role, message, payload_type, &count, err));
    if (count < thresholds[role]) {
        return td_fail(err, TD_CORRUPT,
                       "%u good signatures by %s keys of keyset %u; %u are needed (the message carries %zu)", count,
                       names[role], keyset->version, thresholds[role], message->signature_count);
    }
    return TD_OK;
}

/* ---- opening an envelope ---- */

static td_code check_pinned(const td_keyset *keyset, const td_signed_message *message, const uint8_t *root, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pae = {0};
    td_signer_key pinned = {.role = TD_SIGNER_ROOT};
    bool listed = false;
    memcpy(pinned.public_key, root, TD_P256_PUBLIC_SIZE);
    for (size_t i = 0; i < keyset->key_count; i++) {
        listed |= keyset->keys[i].role == TD_SIGNER_ROOT &&
                  memcmp(keyset->keys[i].public_key, root, TD_P256_PUBLIC_SIZE) == 0;
    }
    TD_TRY(td_dsse_pae(message->payload_type, message->payload, message->payload_size, &pae, err));
    if (!listed || !has_signed(&pinned, message, &pae)) {
        return td_fail(err, TD_CORRUPT, "keyset %u is not signed by the given root key", keyset->version);
    }
    return TD_OK;
}

static td_code check_chain(const td_keyset *keyset, const td_keyset *previous, const td_signed_message *message,
                           td_err *err)
{
    if (keyset->version != previous->version + 1) {
        return td_fail(err, TD_CORRUPT, "keyset %u does not follow keyset %u", keyset->version, previous->version);
    }
    if (td_keyset_verify(previous, TD_SIGNER_ROOT, message, TD_KEYSET_TYPE, err) != TD_OK) {
        return td_wrap(err, "keyset %u by its predecessor's root", keyset->version);
    }
    return TD_OK;
}

td_code td_keyset_open(const void *envelope, size_t size, const td_keyset *previous, const uint8_t *root,
                       td_keyset *out, td_err *err)
{
    td_signed_message message;
    td_keyset keyset;
    TD_TRY(td_signed_message_decode(envelope, size, &message, err));
    TD_TRY(td_keyset_decode(message.payload, message.payload_size, &keyset, err));
    TD_TRY(td_keyset_verify(&keyset, TD_SIGNER_ROOT, &message, TD_KEYSET_TYPE, err));
    if (previous != NULL) {
        TD_TRY(check_chain(&keyset, previous, &message, err));
    }
    if (root != NULL) {
        TD_TRY(check_pinned(&keyset, &message, root, err));
    }
    *out = keyset;
    return TD_OK;
}
