/*
 * keys.h: one device's key in the table in memory (private to fleet).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_FLEET_KEYS_H
#define TD_FLEET_KEYS_H

#include "fleet/uplink.h"

typedef struct td_uplink_key {
    int64_t device_id;
    bool revoked;
    char device[TD_DEVICE_ID_MAX + 1];
    char project[129];
    uint8_t key[TD_UPLINK_KEY_SIZE];
} td_uplink_key;

/* Copies the device's entry; false if there is none. Wipe it after use. */
bool td_uplink__key(td_uplink_keys *keys, const char *device, td_uplink_key *out);

#endif
