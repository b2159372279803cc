/*
 * world.c: see world.h. Each function is a thin bridge to core/.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/world.h"

#include "core/base/log.h"

static uint64_t world_monotonic(void *context)
{
    const td_world *world = context;
    return (uint64_t)world->clock->monotonic_ms(world->clock);
}

uint64_t td_world_unix_ms(const td_world *world)
{
    int64_t now = td_now_ms(world->clock);
    return now > 0 && (uint64_t)now >= world->build_ms ? (uint64_t)now : 0;
}

static uint64_t world_unix(void *context)
{
    return td_world_unix_ms(context);
}

static int world_send(void *context, tde_uplink kind, const char *topic, const uint8_t *payload, size_t size)
{
    const td_world *world = context;
    td_err err;
    if (world->mqtt == NULL) {
        return TDE_AGAIN;
    }
    td_mqtt_publication publication = {.topic = topic,
                                       .payload = payload,
                                       .size = size,
                                       .qos = kind == TDE_UP_GET ? 0 : 1,
                                       .done = world->published,
                                       .done_context = world->published_context};
    td_code code = td_mqtt_publish(world->mqtt, &publication, &err);
    if (code == TD_LIMIT) {
        td_log_err(TD_LOG_ERROR, "mqtt", topic, &err);
        return TDE_LIMIT;
    }
    return code == TD_OK ? TDE_OK : TDE_AGAIN;
}

static int world_random(void *context, void *out, size_t size)
{
    (void)context;
    td_err err;
    return td_random(out, size, &err) == TD_OK ? TDE_OK : TDE_IO;
}

static void world_log(void *context, tde_log_level level, const char *slot, const char *text)
{
    static const td_log_level levels[] = {TD_LOG_DEBUG, TD_LOG_INFO, TD_LOG_WARN, TD_LOG_ERROR};
    (void)context;
    td_log_write(levels[level], "device", "%s%s%s", slot != NULL ? slot : "", slot != NULL ? ": " : "", text);
}

static int world_sha256(void *context, const tde_bytes *parts, size_t count, uint8_t digest[TDE_DIGEST_SIZE])
{
    const td_world *world = context;
    for (size_t i = 0; i < count; i++) {
        td_sha256_update(world->parts, parts[i].data, parts[i].size);
    }
    td_sha256_final(world->parts, digest);
    return TDE_OK;
}

static int world_hash_start(void *context)
{
    const td_world *world = context;
    uint8_t forgotten[TD_DIGEST_SIZE];
    td_sha256_final(world->running, forgotten); /* finishing restarts it */
    return TDE_OK;
}

static int world_hash_update(void *context, const void *data, size_t size)
{
    const td_world *world = context;
    td_sha256_update(world->running, data, size);
    return TDE_OK;
}

static int world_hash_finish(void *context, uint8_t digest[TDE_DIGEST_SIZE])
{
    const td_world *world = context;
    td_sha256_final(world->running, digest);
    return TDE_OK;
}

static int world_verify(void *context, const uint8_t public_key[TDE_PUBLIC_KEY_SIZE],
                        const uint8_t digest[TDE_DIGEST_SIZE], const uint8_t signature[TDE_SIGNATURE_SIZE])
{
    (void)context;
    td_err err;
    return td_p256_verify_digest(public_key, digest, signature, &err) == TD_OK ? TDE_OK : TDE_CORRUPT;
}

static int world_hmac(void *context, const void *data, size_t size, uint8_t mac[TDE_DIGEST_SIZE])
{
    const td_world *world = context;
    td_hmac_sha256(world->uplink_key, world->uplink_key_size, data, size, mac);
    return TDE_OK;
}

td_code td_world_open(td_world *world, const td_clock *clock, uint64_t build_ms, td_err *err)
{
    *world = (td_world){.clock = clock, .build_ms = build_ms};
    TD_TRY(td_sha256_new(&world->parts, err));
    return td_sha256_new(&world->running, err);
}

void td_world_close(td_world *world)
{
    td_sha256_free(&world->parts);
    td_sha256_free(&world->running);
}

tde_world_port td_world_port(td_world *world)
{
    return (tde_world_port){
        .context = world,
        .monotonic_ms = world_monotonic,
        .unix_ms = world_unix,
        .send = world_send,
        .random = world_random,
        .log = world_log,
        .sha256 = world_sha256,
        .hash_start = world_hash_start,
        .hash_update = world_hash_update,
        .hash_finish = world_hash_finish,
        .verify = world_verify,
        .hmac = world_hmac,
    };
}
