/*
 * trust.c: the keyset that a device believes, how it is replaced, and the lowest time that it can be.
 *
 * A keyset is accepted when its own root threshold signed it and, if one is held already, that one's root threshold
 * too. Replacing all directors' keys is the cure for a stolen director: it also forgets how far that director had
 * driven the directive's sequence and the clock (the fast-forward attack). Only root can do this.
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pb_decode.h>
#include <string.h>

#include "firmware/edge/parts.h"

#define KEYSET_TYPE "application/vnd.tidemark.keyset.v1"

uint64_t tde_now_signed(const tde *core)
{
    uint64_t clock = core->ports.world.unix_ms(core->ports.world.context);
    uint64_t floor =
        core->record.time_floor_ms > core->config.build_ms ? core->record.time_floor_ms : core->config.build_ms;
    return clock > floor ? clock : floor;
}

/* Raises the floor in memory; the next durable write carries it. */
void tde_time_seen(tde *core, uint64_t signed_ms)
{
    uint64_t clock = core->ports.world.unix_ms(core->ports.world.context);
    if (clock != 0 && signed_ms > clock + TDE_CLOCK_SLACK_MS) {
        signed_ms = clock + TDE_CLOCK_SLACK_MS;
    }
    if (signed_ms > core->record.time_floor_ms) {
        core->record.time_floor_ms = signed_ms;
    }
}

bool tde_keyset_usable(const tde *core)
{
    const tde_keyset *set = &core->record.keyset;
    return set->version != 0 && (set->expires_ms == 0 || tde_now_signed(core) <= set->expires_ms);
}

static bool holds_key(const tde_keyset *set, uint8_t role, const uint8_t *key)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->keys[i].role == role && memcmp(set->keys[i].bytes, key, TDE_PUBLIC_KEY_SIZE) == 0) {
            return true;
        }
    }
    return false;
}

static bool add_key(tde_keyset *set, uint32_t role, const uint8_t *key)
{
    if (role == 0 || role >= TDE_ROLES || key[0] != 0x04 || holds_key(set, (uint8_t)role, key)) {
        return false;
    }
    set->keys[set->count].role = (uint8_t)role;
    memcpy(set->keys[set->count].bytes, key, TDE_PUBLIC_KEY_SIZE);
    set->count++;
    return true;
}

static bool thresholds_make_sense(const tde_keyset *set)
{
    uint32_t keys[TDE_ROLES] = {0};
    for (uint32_t i = 0; i < set->count; i++) {
        keys[set->keys[i].role]++;
    }
    for (int role = 1; role < TDE_ROLES; role++) {
        if (set->threshold[role] == 0 || set->threshold[role] > keys[role]) {
            return false;
        }
    }
    return true;
}

static int decode_keyset(tde_bytes payload, tde_keyset *out)
{
    tidemark_Keyset wire = tidemark_Keyset_init_zero;
    pb_istream_t stream = pb_istream_from_buffer(payload.data, payload.size);
    memset(out, 0, sizeof *out);
    if (!pb_decode(&stream, tidemark_Keyset_fields, &wire) || wire.version == 0) {
        return TDE_INVALID;
    }
    out->version = wire.version;
    out->expires_ms = wire.expires_ms;
    out->threshold[tidemark_Role_ROLE_ROOT] = wire.root_threshold;
    out->threshold[tidemark_Role_ROLE_APPROVER] = wire.approver_threshold;
    out->threshold[tidemark_Role_ROLE_DIRECTOR] = wire.director_threshold;
    for (pb_size_t i = 0; i < wire.keys_count; i++) {
        if (!add_key(out, (uint32_t)wire.keys[i].role, wire.keys[i].public_key)) {
            return TDE_INVALID;
        }
    }
    return thresholds_make_sense(out) ? TDE_OK : TDE_INVALID;
}

/* None of the directors that we believed is left: whatever they drove forward counts no more. */
static bool lost_all_directors(const tde_keyset *before, const tde_keyset *after)
{
    bool had_any = false;
    for (uint32_t i = 0; i < before->count; i++) {
        if (before->keys[i].role == tidemark_Role_ROLE_DIRECTOR) {
            had_any = true;
            if (holds_key(after, tidemark_Role_ROLE_DIRECTOR, before->keys[i].bytes)) {
                return false;
            }
        }
    }
    return had_any;
}

int tde_keyset_install(tde *core, const uint8_t *message, size_t size)
{
    tde_signed parsed;
    tde_keyset next;
    tde_keyset *held = &core->record.keyset;
    if (tde_signed_parse(message, size, &parsed) != TDE_OK || decode_keyset(parsed.payload, &next) != TDE_OK) {
        return TDE_INVALID;
    }
    if (next.version <= held->version) {
        return TDE_DENIED;
    }
    if (tde_signed_check(core, &parsed, KEYSET_TYPE, &next, tidemark_Role_ROLE_ROOT) != TDE_OK) {
        return TDE_CORRUPT;
    }
    if (held->count != 0 && tde_signed_check(core, &parsed, KEYSET_TYPE, held, tidemark_Role_ROLE_ROOT) != TDE_OK) {
        return TDE_CORRUPT;
    }
    if (lost_all_directors(held, &next)) {
        core->record.directive_sequence = 0;
        core->record.time_floor_ms = 0;
    }
    *held = next;
    int rc = tde_record_store(core);
    if (rc == TDE_OK) {
        core->message_slot = TDE_NO_SLOT; /* what is on its way is checked again, by the new keys */
        tde_say(core, TDE_LOG_INFO, NULL, "a new keyset is held");
    }
    return rc;
}

int tde_trust_pin(tde_core *public_core, const uint8_t *message, size_t size)
{
    return tde_keyset_install(tde_of(public_core), message, size);
}

int tde_trust_birth(tde_core *public_core, const uint8_t (*roots)[TDE_PUBLIC_KEY_SIZE], size_t count,
                    uint32_t threshold)
{
    tde *core = tde_of(public_core);
    tde_keyset set = {.version = 0};
    if (core->record.keyset.count != 0) {
        return TDE_DENIED;
    }
    if (threshold == 0 || threshold > count || count > TDE_KEYS_MAX) {
        return TDE_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        if (!add_key(&set, tidemark_Role_ROLE_ROOT, roots[i])) {
            return TDE_INVALID;
        }
    }
    set.threshold[tidemark_Role_ROLE_ROOT] = threshold;
    core->record.keyset = set;
    return tde_record_store(core);
}

uint32_t tde_keyset_version(const tde_core *core)
{
    return tde_of_const(core)->record.keyset.version;
}
