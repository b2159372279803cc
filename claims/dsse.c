/*
 * dsse.c: reading, checking and making DSSE envelopes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "claims/dsse.h"

#include "core/crypto/ec.h"

#include <string.h>

/* ---- keys ---- */

size_t td_public_key_size(const td_public_key *key)
{
    return key->kind == TD_KEY_P256 ? TD_P256_PUBLIC_SIZE : TD_ED25519_PUBLIC_SIZE;
}

void td_public_key_id(const td_public_key *key, uint8_t out[TD_KEY_ID_SIZE])
{
    td_key_id(key->bytes, td_public_key_size(key), out);
}

td_code td_public_key_read(const char *pem, size_t size, td_public_key *out, td_err *err)
{
    td_public_key key = {.kind = TD_KEY_P256};
    TD_TRY(td_public_from_pem(pem, size, &key.kind, key.bytes, err));
    *out = key;
    return TD_OK;
}

void td_public_key_of(const td_key *key, td_public_key *out)
{
    out->kind = td_key_kind_of(key);
    (void)td_key_public(key, out->bytes);
}

/* ---- reading ---- */

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory to read an envelope");
}

/* RFC 4648's two alphabets differ in two characters; the decoder knows the first. */
static char standard(char c)
{
    return c == '-' ? '+' : c == '_' ? '/' : c;
}

static td_code decode(const char *text, const char *what, td_arena *arena, const uint8_t **out, size_t *size_out,
                      td_err *err)
{
    size_t length = strlen(text), pad = (4 - length % 4) % 4;
    char *copy = td_arena_alloc(arena, length + pad + 1);
    uint8_t *bytes = td_arena_alloc(arena, length / 4 * 3 + 4);
    if (copy == NULL || bytes == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < length; i++) {
        copy[i] = standard(text[i]);
    }
    memset(copy + length, '=', pad); /* the URL form is often written without */
    if (td_base64_decode(copy, length + pad, bytes, length / 4 * 3 + 3, size_out, NULL) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "%s is not base64", what);
    }
    *out = bytes;
    return TD_OK;
}

static td_code read_signature(const json_t *json, td_arena *arena, td_dsse_signature *out, td_err *err)
{
    const char *text = td_json_text(json, "sig", "");
    if (*text == '\0') {
        return td_fail(err, TD_CORRUPT, "a signature of the envelope has no \"sig\"");
    }
    if (strlen(text) > TD_DSSE_SIGNATURE_MAX * 4 / 3 + 4) {
        return td_fail(err, TD_LIMIT, "a signature of the envelope has more than %d bytes", TD_DSSE_SIGNATURE_MAX);
    }
    out->key_id = td_arena_text(arena, td_json_text(json, "keyid", ""));
    if (out->key_id == NULL) {
        return no_memory(err);
    }
    return decode(text, "a signature of the envelope", arena, &out->bytes, &out->size, err);
}

static td_code read_signatures(const json_t *list, td_arena *arena, td_dsse *out, td_err *err)
{
    size_t count = json_array_size(list);
    if (count == 0) {
        return td_fail(err, TD_CORRUPT, "the envelope has no signature");
    }
    if (count > TD_DSSE_SIGNATURES_MAX) {
        return td_fail(err, TD_LIMIT, "the envelope has %zu signatures; %d are the most", count,
                       TD_DSSE_SIGNATURES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        TD_TRY(read_signature(json_array_get(list, i), arena, &out->signatures[i], err));
    }
    out->signature_count = count;
    return TD_OK;
}

td_code td_dsse_read_json(const json_t *json, td_arena *arena, td_dsse *out, td_err *err)
{
    td_dsse envelope = {.payload_type = NULL};
    const char *type = td_json_text(json, "payloadType", "");
    const char *payload = td_json_text(json, "payload", NULL);
    if (*type == '\0' || payload == NULL) {
        return td_fail(err, TD_CORRUPT, "this is no DSSE envelope: \"%s\" is missing",
                       *type == '\0' ? "payloadType" : "payload");
    }
    if (strlen(type) > TD_DSSE_TYPE_MAX) {
        return td_fail(err, TD_LIMIT, "the envelope's payloadType has more than %d bytes", TD_DSSE_TYPE_MAX);
    }
    envelope.payload_type = td_arena_text(arena, type);
    if (envelope.payload_type == NULL) {
        return no_memory(err);
    }
    TD_TRY(decode(payload, "the envelope's payload", arena, &envelope.payload, &envelope.payload_size, err));
    TD_TRY(read_signatures(json_object_get(json, "signatures"), arena, &envelope, err));
    *out = envelope;
    return TD_OK;
}

td_code td_dsse_read(const char *text, size_t size, td_arena *arena, td_dsse *out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    if (size > TD_DSSE_BYTES_MAX) {
        return td_fail(err, TD_LIMIT, "the envelope has %zu bytes; %zu are the most", size, TD_DSSE_BYTES_MAX);
    }
    if (td_json_parse(text, size, "envelope", &json, err) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "the envelope is not JSON");
    }
    return td_dsse_read_json(json, arena, out, err);
}

/* ---- checking ---- */

static bool signature_holds(const td_dsse_signature *signature, const td_public_key *key, const td_str *encoded)
{
    td_err ignored;
    uint8_t raw[TD_SIGNATURE_SIZE];
    if (key->kind == TD_KEY_ED25519) {
        return signature->size == TD_SIGNATURE_SIZE &&
               td_ed25519_verify(key->bytes, encoded->data, encoded->size, signature->bytes, &ignored) == TD_OK;
    }
    if (td_signature_from_der(signature->bytes, signature->size, raw, &ignored) != TD_OK) {
        if (signature->size != TD_SIGNATURE_SIZE) {
            return false;
        }
        memcpy(raw, signature->bytes, sizeof raw);
    }
    return td_p256_verify(key->bytes, encoded->data, encoded->size, raw, &ignored) == TD_OK;
}

td_code td_dsse_verify(const td_dsse *envelope, const td_public_key *key, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str encoded = {0};
    TD_TRY(td_dsse_pae(envelope->payload_type, envelope->payload, envelope->payload_size, &encoded, err));
    for (size_t i = 0; i < envelope->signature_count; i++) {
        if (signature_holds(&envelope->signatures[i], key, &encoded)) {
            return TD_OK;
        }
    }
    uint8_t key_id[TD_KEY_ID_SIZE];
    char hex[2 * TD_KEY_ID_SIZE + 1];
    td_public_key_id(key, key_id);
    td_hex_encode(key_id, sizeof key_id, hex);
    return td_fail(err, TD_CORRUPT, "no signature of the envelope is one of key %s over its payload", hex);
}

/* ---- writing ---- */

static td_code signatures_json(const td_dsse *envelope, json_t *list, td_err *err)
{
    for (size_t i = 0; i < envelope->signature_count; i++) {
        TD_CLEANUP(td_str_done) td_str text = {0};
        const td_dsse_signature *one = &envelope->signatures[i];
        td_base64_add(&text, one->bytes, one->size);
        TD_TRY(td_str_check(&text, err));
        json_t *json = json_pack("{s:s, s:s}", "keyid", one->key_id, "sig", td_str_text(&text));
        if (json_array_append_new(list, json) != 0) {
            return td_fail(err, TD_NOMEM, "no memory to write an envelope");
        }
    }
    return TD_OK;
}

td_code td_dsse_write(const td_dsse *envelope, td_str *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str payload = {0};
    TD_CLEANUP(td_json_done) json_t *signatures = json_array();
    td_base64_add(&payload, envelope->payload, envelope->payload_size);
    TD_TRY(td_str_check(&payload, err));
    TD_TRY(signatures_json(envelope, signatures, err));
    TD_CLEANUP(td_json_done)
    json_t *json = json_pack("{s:s, s:s, s:O}", "payload", td_str_text(&payload), "payloadType", envelope->payload_type,
                             "signatures", signatures);
    return json != NULL ? td_json_write(json, out, err) : td_fail(err, TD_NOMEM, "no memory to write an envelope");
}

td_code td_dsse_make(const char *payload_type, const void *payload, size_t size, const td_key *key, td_str *out,
                     td_err *err)
{
    TD_CLEANUP(td_str_done) td_str encoded = {0};
    TD_CLEANUP(td_str_done) td_str der = {0};
    td_public_key public_key;
    uint8_t raw[TD_SIGNATURE_SIZE], key_id[TD_KEY_ID_SIZE];
    char hex[2 * TD_KEY_ID_SIZE + 1];
    TD_TRY(td_dsse_pae(payload_type, payload, size, &encoded, err));
    td_public_key_of(key, &public_key);
    TD_TRY(public_key.kind == TD_KEY_P256 ? td_key_ec_sign(key, encoded.data, encoded.size, &der, err)
                                          : td_key_sign(key, encoded.data, encoded.size, raw, err));
    td_public_key_id(&public_key, key_id);
    td_hex_encode(key_id, sizeof key_id, hex);
    td_dsse envelope = {.payload_type = payload_type,
                        .payload = payload,
                        .payload_size = size,
                        .signatures = {{.bytes = raw, .size = sizeof raw, .key_id = hex}},
                        .signature_count = 1};
    if (public_key.kind == TD_KEY_P256) {
        envelope.signatures[0].bytes = (const uint8_t *)der.data;
        envelope.signatures[0].size = der.size;
    }
    return td_dsse_write(&envelope, out, err);
}
