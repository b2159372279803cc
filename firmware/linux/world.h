/*
 * world.h: the core's third port: clocks, randomness, hashes, signatures, and the way out over MQTT.
 *
 * Threads: belongs to the agent's loop.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FIRMWARE_LINUX_WORLD_H
#define TD_FIRMWARE_LINUX_WORLD_H

#include "core/base/clock.h"
#include "core/crypto/crypto.h"
#include "core/mqtt/mqtt.h"
#include "firmware/edge/ports.h"

typedef struct td_world {
    const td_clock *clock;
    uint64_t build_ms; /* a wall clock that is before this one is not set */
    const uint8_t *uplink_key;
    size_t uplink_key_size;
    td_mqtt *mqtt; /* set once there is one; NULL: nothing can be sent */
    void (*published)(void *context, td_code code, const td_err *err); /* told the fate of each message; may be NULL */
    void *published_context;
    td_sha256 *parts;
    td_sha256 *running;
} td_world;

/* `world` must outlive the port; what it points to is borrowed. */
TD_MUST_USE td_code td_world_open(td_world *world, const td_clock *clock, uint64_t build_ms, td_err *err);
void td_world_close(td_world *world);
tde_world_port td_world_port(td_world *world);
/* Wall time, or 0 if the clock is not set. */
uint64_t td_world_unix_ms(const td_world *world);

#endif
