/*
 * sim.c: the simulated device: birth, boots, loss of power, the application, the loop.
 *
 * The loop delivers what lies in the inbox, polls, and otherwise moves the clock to when the core wants to be called.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/fault/edge/sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The device ---- */

static void make_keys(sim_keys *keys)
{
    /* One set of keys for the whole program: what was verified once is known. */
    static sim_keys made;
    td_err err;
    td_key **all[] = {&made.root[0],     &made.root[1],     &made.root[2],     &made.approver[0], &made.approver[1],
                      &made.approver[2], &made.director[0], &made.director[1], &made.stranger};
    for (size_t i = 0; i < sizeof all / sizeof all[0] && made.stranger == NULL; i++) {
        td_code code = td_key_generate(TD_KEY_P256, all[i], &err);
        assert(code == TD_OK);
    }
    *keys = made;
}

sim *sim_new(void)
{
    static const char *const runtimes[] = {"onnx", "tflite"};
    td_err err;
    sim *s = calloc(1, sizeof *s);
    assert(s != NULL && td_crypto_setup(&err) == TD_OK);
    memset(s->flash, 0xFF, sizeof s->flash);
    memset(s->uplink_key, 7, sizeof s->uplink_key);
    s->random_state = 88172645463325252u;
    s->room = 1u << 30;
    s->now = 1000;
    s->unix_base = SIM_START_MS;
    s->receipts = true;
    s->config = (tde_config){.device = "pump-07",
                             .prefix = "tm/v1",
                             .agent = "sim 1",
                             .hardware = "sim-board",
                             .runtimes = runtimes,
                             .runtimes_count = 2,
                             .ram_bytes = 1 << 20,
                             .build_ms = SIM_START_MS - 86400000u,
                             .contact_every_s = 60,
                             .block_size = 1024,
                             .credit = 8,
                             .outbox_cell = 1024,
                             .fetch_seconds_max = 3600};
    s->memory = (tde_memory){s->message, sizeof s->message, s->directive_memory, sizeof s->directive_memory,
                             s->work,    sizeof s->work};
    sim_wire_ports(s);
    make_keys(&s->keys);
    sim_keyset_options keyset = SIM_KEYSET(1);
    sim_make_keyset(s, &keyset);
    return s;
}

void sim_free(sim *s)
{
    for (size_t i = 0; i < SIM_PLACES; i++) {
        sim_drop_place(&s->places[i]);
    }
    for (size_t i = 0; i < s->contents; i++) {
        free(s->content[i].bytes);
    }
    for (size_t i = 0; i < s->inbox_count; i++) {
        free(s->inbox[i].bytes);
    }
    td_sha256_free(&s->hash);
    free(s);
}

void sim_lose_power(sim *s)
{
    for (size_t i = 0; i < SIM_PLACES; i++) {
        for (size_t k = 0; s->places[i].used && k < SIM_OBJECTS; k++) {
            sim_object *o = &s->places[i].objects[k];
            if (o->used && !o->on_disk) {
                sim_drop_object(o);
            } else if (o->used) {
                o->cache_size = 0;
                sim_grow(&o->cache, &o->cache_size, o->disk_size);
                memcpy(o->cache, o->disk, o->disk_size);
            }
        }
    }
    for (size_t i = 0; i < s->inbox_count; i++) {
        free(s->inbox[i].bytes);
    }
    free(s->delivering);
    s->delivering = NULL;
    s->inbox_count = 0;
    s->connected = false;
    s->dark = false;
    memset(&s->core, 0xA5, sizeof s->core);
}

static void connect_again(sim *s)
{
    tde_on_connected(&s->core);
    s->connected = true;
    if (s->directive_size != 0) {
        sim_publish(s); /* retained */
    }
    if (s->app) {
        (void)tde_slot_attached(&s->core, "pump");
    }
}

int sim_boot(sim *s)
{
    if (setjmp(s->powerless) != 0) {
        return TDE_IO;
    }
    int rc = tde_start(&s->core, &s->config, &s->memory, &s->ports);
    if (rc == TDE_OK && tde_keyset_version(&s->core) == 0) {
        rc = tde_trust_pin(&s->core, s->keyset, s->keyset_size);
    }
    if (rc == TDE_OK) {
        connect_again(s);
    }
    return rc;
}

static void deliver_one(sim *s)
{
    size_t pick = 0;
    uint32_t roll;
    (void)s->ports.world.random(s, &roll, sizeof roll);
    if (s->inbox_count > 1 && roll % 100 < s->shuffle_percent) {
        pick = roll / 100 % s->inbox_count;
    }
    sim_message m = s->inbox[pick];
    memmove(&s->inbox[pick], &s->inbox[pick + 1], (s->inbox_count - pick - 1) * sizeof m);
    s->inbox_count--;
    s->delivering = m.bytes;
    switch (m.kind) {
    case 0:
        (void)tde_on_directive(&s->core, m.bytes, m.size);
        break;
    case 1:
        s->block_bytes += m.bytes[10] == 0 ? m.size - 12 : 0;
        (void)tde_on_block(&s->core, m.bytes, m.size);
        break;
    case 2:
        (void)tde_on_receipt(&s->core, m.bytes, m.size);
        break;
    default:
        (void)tde_on_server(&s->core, m.bytes, m.size);
        break;
    }
    free(m.bytes);
    s->delivering = NULL;
}

static void run_application(sim *s)
{
    if (!s->app || s->app_silent || !s->has_current[0]) {
        return;
    }
    (void)tde_slot_observed(&s->core, "pump", s->current[0], s->app_inferences, s->app_errors);
}

bool sim_run(sim *s, sim_until until, uint64_t limit_ms)
{
    volatile uint64_t end = s->now + limit_ms;
    if (setjmp(s->powerless) != 0) {
        return false;
    }
    while (!until(s)) {
        if (s->now > end) {
            return false;
        }
        if (s->inbox_count > 0) {
            deliver_one(s);
            (void)tde_poll(&s->core);
            continue;
        }
        run_application(s);
        uint32_t wait = tde_poll(&s->core);
        if (s->inbox_count == 0) {
            s->now += wait > 1000 ? 1000 : wait > 0 ? wait : 1;
        }
    }
    return true;
}

tde_slot_view sim_slot(sim *s)
{
    tde_slot_view view = {.name = ""};
    for (size_t i = 0; i < tde_slot_count(&s->core); i++) {
        if (tde_slot_get(&s->core, i, &view) == TDE_OK && strcmp(view.name, "pump") == 0) {
            return view;
        }
    }
    return (tde_slot_view){.name = ""};
}

static bool is_settled(sim *s)
{
    tde_outbox_status outbox;
    tde_outbox_get_status(&s->core, &outbox);
    return s->inbox_count == 0 && (outbox.kept == 0 || !s->receipts);
}

bool sim_is_committed(sim *s)
{
    return sim_slot(s).state == tidemark_DeviceState_STATE_COMMITTED && is_settled(s);
}

bool sim_is_rolled_back(sim *s)
{
    return sim_slot(s).state == tidemark_DeviceState_STATE_ROLLED_BACK && is_settled(s);
}

bool sim_is_rejected(sim *s)
{
    return sim_slot(s).state == tidemark_DeviceState_STATE_REJECTED && is_settled(s);
}

bool sim_is_idle(sim *s)
{
    return is_settled(s) && tde_poll(&s->core) > 0 && s->inbox_count == 0;
}

bool sim_current_is(sim *s, const uint8_t *digest)
{
    if (digest == NULL) {
        return !s->has_current[0];
    }
    return s->has_current[0] && memcmp(s->current[0], digest, TDE_DIGEST_SIZE) == 0;
}

bool sim_current_is_whole(sim *s)
{
    for (size_t i = 0; i < 2; i++) {
        if (!s->has_current[i]) {
            continue;
        }
        sim_place *place = NULL;
        for (size_t k = 0; k < SIM_PLACES; k++) {
            sim_place *p = &s->places[k];
            place = p->used && memcmp(p->digest, s->current[i], TDE_DIGEST_SIZE) == 0 ? p : place;
        }
        if (place == NULL || !place->committed) {
            return false;
        }
        for (size_t k = 0; k < SIM_OBJECTS; k++) {
            sim_object *o = &place->objects[k];
            uint8_t digest[TDE_DIGEST_SIZE];
            if (!o->used || o->kind != TDE_OBJECT_FILE) {
                continue;
            }
            td_sha256_of(o->disk, o->disk_size, digest);
            if (!o->on_disk || sim_find_content(s, digest) == NULL) {
                return false;
            }
        }
    }
    return true;
}

size_t sim_count_reports(sim *s, tidemark_DeviceState state, tidemark_Reason reason)
{
    size_t count = 0;
    for (size_t i = 0; i < s->reports_count; i++) {
        count += s->reports[i].state == state && s->reports[i].reason == reason ? 1 : 0;
    }
    return count;
}
