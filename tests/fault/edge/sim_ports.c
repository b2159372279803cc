/*
 * sim_ports.c: the ports of the simulated device, with power cuts.
 *
 * Flash is durable a call at a time; slots have a cache and a disk, and only sync() and commit() carry one to the
 * other. SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fault/edge/sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Power ---- */

/* True at the operation during which the power goes. */
static bool counts(sim *s)
{
    assert(!s->dark);
    s->operations++;
    return s->cut_at != 0 && s->operations == s->cut_at;
}

static void go_dark(sim *s)
{
    s->dark = true;
    longjmp(s->powerless, 1);
}

/* How much of `size` bytes happens before the power goes. */
static size_t torn(const sim *s, size_t size)
{
    return s->cut_mode == SIM_CUT_BEFORE ? 0 : s->cut_mode == SIM_CUT_HALF ? size / 2 : size;
}

static int flash_read(void *context, uint32_t offset, void *data, size_t size)
{
    sim *s = context;
    assert(offset + size <= SIM_FLASH);
    memcpy(data, s->flash + offset, size);
    return TDE_OK;
}

static int flash_program(void *context, uint32_t offset, const void *data, size_t size)
{
    sim *s = context;
    const uint8_t *bytes = data;
    assert(offset + size <= SIM_FLASH);
    assert(offset % s->ports.state.program_size == 0 && size % s->ports.state.program_size == 0);
    bool cut = counts(s);
    size_t done = cut ? torn(s, size) : size;
    for (size_t i = 0; i < done; i++) {
        assert(s->flash[offset + i] == 0xFF); /* programmed once between erases */
        s->flash[offset + i] = bytes[i];
    }
    if (cut) {
        go_dark(s);
    }
    return TDE_OK;
}

static int flash_erase(void *context, uint32_t offset, uint32_t size)
{
    sim *s = context;
    assert(offset % s->ports.state.erase_size == 0 && size % s->ports.state.erase_size == 0);
    assert(offset + size <= SIM_FLASH);
    bool cut = counts(s);
    memset(s->flash + offset, 0xFF, cut ? torn(s, size) : size);
    if (cut) {
        go_dark(s);
    }
    return TDE_OK;
}

/* ---- Slots ---- */

static sim_place *find_place(sim *s, const tde_place *place)
{
    for (size_t i = 0; i < SIM_PLACES; i++) {
        sim_place *p = &s->places[i];
        if (p->used && strcmp(p->slot, place->slot) == 0 && memcmp(p->digest, place->digest, TDE_DIGEST_SIZE) == 0) {
            return p;
        }
    }
    return NULL;
}

static sim_object *find_object(sim_place *place, const tde_object *object)
{
    for (size_t i = 0; place != NULL && i < SIM_OBJECTS; i++) {
        sim_object *o = &place->objects[i];
        if (o->used && o->kind == object->kind && strcmp(o->name, object->name) == 0) {
            return o;
        }
    }
    return NULL;
}

void sim_drop_object(sim_object *object)
{
    free(object->cache);
    free(object->disk);
    memset(object, 0, sizeof *object);
}

void sim_drop_place(sim_place *place)
{
    for (size_t i = 0; i < SIM_OBJECTS; i++) {
        sim_drop_object(&place->objects[i]);
    }
    memset(place, 0, sizeof *place);
}

static uint64_t bytes_in(const sim_place *place)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < SIM_OBJECTS; i++) {
        sum += place->objects[i].kind == TDE_OBJECT_FILE ? place->objects[i].cache_size : 0;
    }
    return sum;
}

/* The storage fails now, if the test says so. */
static bool fails(sim *s)
{
    if (s->fail_io > 0) {
        s->fail_io--;
        return true;
    }
    return false;
}

static uint64_t all_bytes(sim *s)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < SIM_PLACES; i++) {
        sum += s->places[i].used ? bytes_in(&s->places[i]) : 0;
    }
    return sum;
}

static int slots_begin(void *context, const tde_place *place, uint64_t size)
{
    sim *s = context;
    sim_place *p = find_place(s, place);
    uint64_t have = p != NULL ? bytes_in(p) : 0;
    if (fails(s)) {
        return TDE_IO;
    }
    if (size > have && all_bytes(s) + (size - have) > s->room) {
        return TDE_NO_SPACE;
    }
    bool cut = counts(s);
    if (p == NULL && !(cut && s->cut_mode == SIM_CUT_BEFORE)) {
        for (size_t i = 0; i < SIM_PLACES && p == NULL; i++) {
            p = s->places[i].used ? NULL : &s->places[i];
        }
        assert(p != NULL); /* the core keeps at most three */
        p->used = true;
        snprintf(p->slot, sizeof p->slot, "%s", place->slot);
        memcpy(p->digest, place->digest, TDE_DIGEST_SIZE);
    }
    if (cut) {
        go_dark(s);
    }
    return TDE_OK;
}

static sim_object *make_object(sim_place *place, const tde_object *object)
{
    for (size_t i = 0; i < SIM_OBJECTS; i++) {
        sim_object *o = &place->objects[i];
        if (!o->used) {
            o->used = true;
            o->kind = object->kind;
            snprintf(o->name, sizeof o->name, "%s", object->name);
            return o;
        }
    }
    return NULL;
}

void sim_grow(uint8_t **bytes, size_t *size, size_t to)
{
    assert(to <= SIM_OBJECT_MAX);
    if (to > *size || *bytes == NULL) {
        *bytes = realloc(*bytes, to > 0 ? to : 1);
        assert(*bytes != NULL);
        memset(*bytes + *size, 0, to - *size);
        *size = to;
    }
}

static int slots_write(void *context, const tde_place *place, const tde_object *object, uint64_t offset,
                       const void *data, size_t size)
{
    sim *s = context;
    sim_place *p = find_place(s, place);
    if (fails(s) || p == NULL) {
        return TDE_IO;
    }
    assert(!p->committed || object->kind == TDE_OBJECT_ENVELOPE); /* verified content is never written to again */
    bool cut = counts(s);
    sim_object *o = find_object(p, object);
    if (o == NULL) {
        o = make_object(p, object);
        assert(o != NULL);
    }
    size_t done = cut ? torn(s, size) : size;
    size_t end = (size_t)offset + done;
    sim_grow(&o->cache, &o->cache_size, end > o->cache_size ? end : o->cache_size);
    memcpy(o->cache + offset, data, done);
    if (cut) {
        go_dark(s);
    }
    return TDE_OK;
}

static int slots_read(void *context, const tde_place *place, const tde_object *object, uint64_t offset, void *data,
                      size_t size)
{
    sim *s = context;
    sim_object *o = find_object(find_place(s, place), object);
    if (o == NULL || offset + size > o->cache_size) {
        return TDE_NOT_FOUND;
    }
    memcpy(data, o->cache + offset, size);
    return TDE_OK;
}

static void to_disk(sim_object *object, size_t size)
{
    size = size < object->cache_size ? size : object->cache_size;
    sim_grow(&object->disk, &object->disk_size, size);
    if (size > 0) {
        memcpy(object->disk, object->cache, size);
    }
    object->on_disk = true;
}

static int slots_sync(void *context, const tde_place *place, const tde_object *object)
{
    sim *s = context;
    sim_object *o = find_object(find_place(s, place), object);
    if (o == NULL || fails(s)) {
        return TDE_IO;
    }
    bool cut = counts(s);
    if (!cut || s->cut_mode != SIM_CUT_BEFORE) {
        to_disk(o, cut ? torn(s, o->cache_size) : o->cache_size);
    }
    if (cut) {
        go_dark(s);
    }
    return TDE_OK;
}

static int slots_size(void *context, const tde_place *place, const tde_object *object, uint64_t *size_out)
{
    sim_object *o = find_object(find_place(context, place), object);
    if (o == NULL) {
        return TDE_NOT_FOUND;
    }
    *size_out = o->cache_size;
    return TDE_OK;
}

static int slots_reuse(void *context, const tde_place *place, const tde_object *object,
                       const uint8_t digest[TDE_DIGEST_SIZE], uint64_t size)
{
    sim *s = context;
    sim_place *to = find_place(s, place);
    for (size_t i = 0; i < SIM_PLACES; i++) {
        sim_place *p = &s->places[i];
        for (size_t k = 0; p->used && p->committed && p != to && k < SIM_OBJECTS; k++) {
            sim_object *o = &p->objects[k];
            uint8_t is[TDE_DIGEST_SIZE];
            if (!o->used || o->kind != TDE_OBJECT_FILE || o->cache_size != size) {
                continue;
            }
            td_sha256_of(o->cache, o->cache_size, is);
            if (memcmp(is, digest, sizeof is) != 0) {
                continue;
            }
            int rc = slots_write(s, place, object, 0, o->cache, o->cache_size);
            return rc == TDE_OK && slots_sync(s, place, object) == TDE_OK ? 1 : 0;
        }
    }
    return 0;
}

static int slots_commit(void *context, const tde_place *place)
{
    sim *s = context;
    sim_place *p = find_place(s, place);
    if (p == NULL || fails(s)) {
        return TDE_IO;
    }
    bool cut = counts(s);
    for (size_t i = 0; i < SIM_OBJECTS && !(cut && s->cut_mode == SIM_CUT_BEFORE); i++) {
        if (p->objects[i].used) {
            to_disk(&p->objects[i], p->objects[i].cache_size);
        }
    }
    p->committed = !cut || s->cut_mode == SIM_CUT_AFTER;
    if (cut) {
        go_dark(s);
    }
    return TDE_OK;
}

static size_t slot_index(const char *slot)
{
    return strcmp(slot, "pump") == 0 ? 0 : 1;
}

static int slots_activate(void *context, const tde_place *place)
{
    sim *s = context;
    size_t index = slot_index(place->slot);
    if (fails(s)) {
        return TDE_IO;
    }
    bool cut = counts(s);
    if (!cut || s->cut_mode == SIM_CUT_AFTER) {
        s->has_current[index] = place->digest != NULL;
        if (place->digest != NULL) {
            memcpy(s->current[index], place->digest, TDE_DIGEST_SIZE);
        }
        assert(sim_current_is_whole(s));
    }
    if (cut) {
        go_dark(s);
    }
    return TDE_OK;
}

static int slots_current(void *context, const char *slot, uint8_t digest_out[TDE_DIGEST_SIZE])
{
    sim *s = context;
    size_t index = slot_index(slot);
    if (s->has_current[index]) {
        memcpy(digest_out, s->current[index], TDE_DIGEST_SIZE);
    }
    return s->has_current[index] ? 1 : 0;
}

static int slots_keep(void *context, const char *slot, const uint8_t (*digests)[TDE_DIGEST_SIZE], size_t count)
{
    sim *s = context;
    for (size_t i = 0; i < SIM_PLACES; i++) {
        sim_place *p = &s->places[i];
        bool kept = !p->used || strcmp(p->slot, slot) != 0;
        for (size_t k = 0; k < count && !kept; k++) {
            kept = memcmp(p->digest, digests[k], TDE_DIGEST_SIZE) == 0;
        }
        if (kept) {
            continue;
        }
        if (counts(s)) {
            if (s->cut_mode == SIM_CUT_HALF) {
                sim_drop_object(&p->objects[1]); /* some of it is gone */
            } else if (s->cut_mode == SIM_CUT_AFTER) {
                sim_drop_place(p);
            }
            go_dark(s);
        }
        sim_drop_place(p);
    }
    return TDE_OK;
}

static int slots_self_test(void *context, const tde_place *place)
{
    sim *s = context;
    assert(find_place(s, place) != NULL);
    return s->self_test;
}

static uint64_t slots_room(void *context)
{
    sim *s = context;
    return s->room - all_bytes(s);
}

/* ---- World ---- */

static uint64_t world_monotonic(void *context)
{
    return ((sim *)context)->now;
}

static uint64_t world_unix(void *context)
{
    sim *s = context;
    return s->unix_base == 0 ? 0 : s->unix_base + s->now;
}

static int world_send(void *context, tde_uplink kind, const char *topic, const uint8_t *payload, size_t size)
{
    sim *s = context;
    if (s->full_queue) {
        return TDE_AGAIN;
    }
    sim_server_take(s, kind, topic, payload, size);
    return TDE_OK;
}

/* xorshift64: the same run each time. */
static int world_random(void *context, void *out, size_t size)
{
    sim *s = context;
    uint8_t *bytes = out;
    for (size_t i = 0; i < size; i++) {
        s->random_state ^= s->random_state << 13;
        s->random_state ^= s->random_state >> 7;
        s->random_state ^= s->random_state << 17;
        bytes[i] = (uint8_t)(s->random_state >> 24);
    }
    return TDE_OK;
}

static void world_log(void *context, tde_log_level level, const char *slot, const char *text)
{
    (void)context;
    if (getenv("SIM_LOG") != NULL) {
        fprintf(stderr, "  [%d] %s: %s\n", (int)level, slot != NULL ? slot : "-", text);
    }
}

static int world_sha256(void *context, const tde_bytes *parts, size_t count, uint8_t digest[TDE_DIGEST_SIZE])
{
    td_err err;
    td_sha256 *hash = NULL;
    (void)context;
    if (td_sha256_new(&hash, &err) != TD_OK) {
        return TDE_IO;
    }
    for (size_t i = 0; i < count; i++) {
        td_sha256_update(hash, parts[i].data, parts[i].size);
    }
    td_sha256_final(hash, digest);
    td_sha256_free(&hash);
    return TDE_OK;
}

static int world_hash_start(void *context)
{
    sim *s = context;
    td_err err;
    td_sha256_free(&s->hash);
    return td_sha256_new(&s->hash, &err) == TD_OK ? TDE_OK : TDE_IO;
}

static int world_hash_update(void *context, const void *data, size_t size)
{
    td_sha256_update(((sim *)context)->hash, data, size);
    return TDE_OK;
}

static int world_hash_finish(void *context, uint8_t digest[TDE_DIGEST_SIZE])
{
    td_sha256_final(((sim *)context)->hash, digest);
    return TDE_OK;
}

/* Real verification, remembered: thousands of boots verify the same few messages. */
static int world_verify(void *context, const uint8_t public_key[TDE_PUBLIC_KEY_SIZE],
                        const uint8_t digest[TDE_DIGEST_SIZE], const uint8_t signature[TDE_SIGNATURE_SIZE])
{
    static struct {
        uint8_t id[TDE_DIGEST_SIZE];
        int result;
    } memo[1024];
    static size_t used;
    uint8_t id[TDE_DIGEST_SIZE];
    td_err err;
    tde_bytes parts[] = {{public_key, TDE_PUBLIC_KEY_SIZE}, {digest, TDE_DIGEST_SIZE}, {signature, TDE_SIGNATURE_SIZE}};
    world_sha256(context, parts, 3, id);
    for (size_t i = 0; i < used; i++) {
        if (memcmp(memo[i].id, id, sizeof id) == 0) {
            return memo[i].result;
        }
    }
    int result = td_p256_verify_digest(public_key, digest, signature, &err) == TD_OK ? TDE_OK : TDE_CORRUPT;
    if (used < sizeof memo / sizeof memo[0]) {
        memcpy(memo[used].id, id, sizeof id);
        memo[used++].result = result;
    }
    return result;
}

static int world_hmac(void *context, const void *data, size_t size, uint8_t mac[TDE_DIGEST_SIZE])
{
    sim *s = context;
    td_hmac_sha256(s->uplink_key, sizeof s->uplink_key, data, size, mac);
    return TDE_OK;
}

void sim_wire_ports(sim *s)
{
    s->ports.state = (tde_state_port){s, SIM_FLASH, 4096, 4, flash_read, flash_program, flash_erase};
    s->ports.slots = (tde_slots_port){s,          slots_begin,     slots_write,  slots_read,     slots_sync,
                                      slots_size, slots_reuse,     slots_commit, slots_activate, slots_current,
                                      slots_keep, slots_self_test, slots_room};
    s->ports.world = (tde_world_port){s,
                                      world_monotonic,
                                      world_unix,
                                      world_send,
                                      world_random,
                                      world_log,
                                      world_sha256,
                                      world_hash_start,
                                      world_hash_update,
                                      world_hash_finish,
                                      world_verify,
                                      world_hmac};
}
