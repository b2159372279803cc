/*
 * signed.c: signed messages: who signed these very bytes, and is that enough?
 *
 * The message is read in place and never re-encoded; what is signed is DSSE's pre-authentication encoding
 * (https://github.com/secure-systems-lab/dsse, protocol.md): "DSSEv1" SP len SP type SP len SP payload.
 * A signature counts once a key, whatever key identifier it claims, and unknown or wrong ones count nothing.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "firmware/edge/parts.h"

#define KEY_ID_SIZE 16
#define TYPE_MAX 47

/* Reads Protocol Buffers fields in place. */
typedef struct reader {
    const uint8_t *at, *end;
} reader;

static bool read_varint(reader *in, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (in->at == in->end) {
            return false;
        }
        uint8_t byte = *in->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* Next field; these messages have length-delimited fields only, so anything else is refused. */
static bool read_field(reader *in, uint64_t *tag_out, tde_bytes *out)
{
    uint64_t key, size;
    if (!read_varint(in, &key) || (key & 7u) != 2 || !read_varint(in, &size) || size > (uint64_t)(in->end - in->at)) {
        return false;
    }
    *tag_out = key >> 3;
    *out = (tde_bytes){in->at, (size_t)size};
    in->at += size;
    return true;
}

static int parse_signature(tde_bytes bytes, tde_signature *out)
{
    reader in = {bytes.data, bytes.data + bytes.size};
    *out = (tde_signature){NULL, NULL};
    while (in.at < in.end) {
        uint64_t tag;
        tde_bytes value;
        if (!read_field(&in, &tag, &value)) {
            return TDE_INVALID;
        }
        if (tag == tidemark_Signature_key_id_tag && value.size == KEY_ID_SIZE && out->key_id == NULL) {
            out->key_id = value.data;
        } else if (tag == tidemark_Signature_signature_tag && value.size == TDE_SIGNATURE_SIZE && out->bytes == NULL) {
            out->bytes = value.data;
        } else {
            return TDE_INVALID;
        }
    }
    return out->key_id != NULL && out->bytes != NULL ? TDE_OK : TDE_INVALID;
}

int tde_signed_parse(const uint8_t *message, size_t size, tde_signed *out)
{
    reader in = {message, message + size};
    memset(out, 0, sizeof *out);
    while (in.at < in.end) {
        uint64_t tag;
        tde_bytes value;
        if (!read_field(&in, &tag, &value)) {
            return TDE_INVALID;
        }
        if (tag == tidemark_SignedMessage_payload_type_tag && out->type.data == NULL && value.size <= TYPE_MAX) {
            out->type = value;
        } else if (tag == tidemark_SignedMessage_payload_tag && out->payload.data == NULL) {
            out->payload = value;
        } else if (tag == tidemark_SignedMessage_signatures_tag && out->count < TDE_SIGNATURES_MAX) {
            if (parse_signature(value, &out->signatures[out->count]) != TDE_OK) {
                return TDE_INVALID;
            }
            out->count++;
        } else {
            return TDE_INVALID;
        }
    }
    return out->type.data != NULL && out->payload.data != NULL ? TDE_OK : TDE_INVALID;
}

static size_t put_decimal(uint8_t *at, size_t value)
{
    uint8_t digits[20];
    size_t count = 0;
    do {
        digits[count++] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    for (size_t i = 0; i < count; i++) {
        at[i] = digits[count - 1 - i];
    }
    return count;
}

/* Digest of the pre-authentication encoding. */
static int pae_digest(tde *core, const tde_signed *message, uint8_t digest[TDE_DIGEST_SIZE])
{
    uint8_t head[8 + 20 + TYPE_MAX + 20 + 4];
    size_t size = 0;
    memcpy(head, "DSSEv1 ", 7);
    size = 7;
    size += put_decimal(head + size, message->type.size);
    head[size++] = ' ';
    memcpy(head + size, message->type.data, message->type.size);
    size += message->type.size;
    head[size++] = ' ';
    size += put_decimal(head + size, message->payload.size);
    head[size++] = ' ';
    tde_bytes parts[2] = {{head, size}, message->payload};
    return core->ports.world.sha256(core->ports.world.context, parts, 2, digest);
}

int tde_sha256(tde *core, const uint8_t *data, size_t size, uint8_t digest[TDE_DIGEST_SIZE])
{
    tde_bytes part = {data, size};
    return core->ports.world.sha256(core->ports.world.context, &part, 1, digest);
}

/* The key of the role with this identifier, or -1. */
static int key_of(tde *core, const tde_keyset *set, uint8_t role, const uint8_t *key_id)
{
    for (uint32_t i = 0; i < set->count; i++) {
        uint8_t digest[TDE_DIGEST_SIZE];
        if (set->keys[i].role == role && tde_sha256(core, set->keys[i].bytes, TDE_PUBLIC_KEY_SIZE, digest) == TDE_OK &&
            memcmp(digest, key_id, KEY_ID_SIZE) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int tde_signed_check(tde *core, const tde_signed *message, const char *type, const tde_keyset *set, uint8_t role)
{
    const tde_world_port *world = &core->ports.world;
    uint8_t digest[TDE_DIGEST_SIZE];
    uint32_t good = 0, used = 0;
    if (message->type.size != strlen(type) || memcmp(message->type.data, type, message->type.size) != 0) {
        return TDE_CORRUPT;
    }
    if (set->threshold[role] == 0 || pae_digest(core, message, digest) != TDE_OK) {
        return TDE_CORRUPT;
    }
    for (uint32_t i = 0; i < message->count; i++) {
        int key = key_of(core, set, role, message->signatures[i].key_id);
        if (key < 0 || (used >> key & 1u) != 0) {
            continue;
        }
        if (world->verify(world->context, set->keys[key].bytes, digest, message->signatures[i].bytes) == TDE_OK) {
            used |= 1u << key;
            if (++good >= set->threshold[role]) {
                return TDE_OK;
            }
        }
    }
    return TDE_CORRUPT;
}
