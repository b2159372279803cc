/*
 * edge_kit.c: see edge_kit.h.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fuzz/edge/edge_kit.h"

#include <assert.h>
#include <pb_encode.h>
#include <stdlib.h>
#include <string.h>

static int believe(void *context, const uint8_t public_key[TDE_PUBLIC_KEY_SIZE], const uint8_t digest[TDE_DIGEST_SIZE],
                   const uint8_t signature[TDE_SIGNATURE_SIZE])
{
    (void)context;
    (void)public_key;
    (void)digest;
    (void)signature;
    return TDE_OK;
}

sim *edge_kit_new(void)
{
    sim *s = sim_new();
    s->ports.world.verify = believe;
    (void)sim_add_content(s, (const uint8_t *)"", 0); /* a manifest may list an empty file: nobody has to send it */
    int rc = sim_boot(s);
    assert(rc == TDE_OK);
    edge_kit_turn(s, 2);
    return s;
}

static bool put(pb_ostream_t *out, uint32_t tag, const void *data, size_t size)
{
    return pb_encode_tag(out, PB_WT_STRING, tag) && pb_encode_string(out, data, size);
}

static size_t wrap(const uint8_t *payload, size_t size, const char *type, const td_key *key, uint8_t *out)
{
    pb_ostream_t stream = pb_ostream_from_buffer(out, EDGE_KIT_MAX + 256);
    tidemark_Signature signature = tidemark_Signature_init_zero;
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    td_key_id(public_key, td_key_public(key, public_key), signature.key_id);
    bool ok = put(&stream, tidemark_SignedMessage_payload_type_tag, type, strlen(type)) &&
              put(&stream, tidemark_SignedMessage_payload_tag, payload, size) &&
              pb_encode_tag(&stream, PB_WT_STRING, tidemark_SignedMessage_signatures_tag) &&
              pb_encode_submessage(&stream, tidemark_Signature_fields, &signature);
    assert(ok);
    return stream.bytes_written;
}

size_t edge_kit_message(sim *s, const uint8_t *data, size_t size, const char *type, const td_key *key, uint8_t *out)
{
    (void)s;
    bool raw = size == 0 || data[0] == 0;
    const uint8_t *rest = size == 0 ? data : data + 1;
    size_t length = size == 0 ? 0 : size - 1 < EDGE_KIT_MAX ? size - 1 : EDGE_KIT_MAX;
    if (!raw) {
        return wrap(rest, length, type, key, out);
    }
    if (length > 0) {
        memcpy(out, rest, length);
    }
    return length;
}

static bool never(sim *s)
{
    (void)s;
    return false;
}

void edge_kit_turn(sim *s, int turns)
{
    for (int i = 0; i < turns; i++) {
        (void)sim_run(s, never, 0);
    }
}
