/*
 * test_transfer.c: content over a bad network: loss, doubles, disorder, deferral, silence; and the outbox that
 * survives. SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/edge/attack_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A new device that is told to install a model of that size. */
static sim *set_out_install(uint32_t model_size, uint32_t block_size, sim_version *version)
{
    sim *s = sim_new();
    s->config.block_size = block_size;
    sim_make_version(s, &(sim_version_options){.number = 1, .model_size = model_size, .seed = 4}, version);
    sim_make_directive(s, &(sim_directive_options){.sequence = 1, .version = version});
    assert_int_equal(sim_boot(s), TDE_OK);
    return s;
}

static void expect_installed(sim *s, const sim_version *version)
{
    assert_true(sim_run(s, sim_is_committed, 600 * KIT_MINUTES));
    assert_true(sim_current_is(s, version->manifest_digest));
    assert_true(sim_current_is_whole(s));
    sim_free(s);
}

static void transfer__every_block_size_and_piece_size(void **state)
{
    (void)state;
    static const uint32_t blocks[] = {512, 1024, 4096, 32768};
    static const uint32_t models[] = {1, 4095, 4096, 4097, 262144, 1048576, 1048577, 1300000};
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < 8; k++) {
            sim_version version;
            sim *s = set_out_install(models[k], blocks[i], &version);
            uint64_t pieces = models[k] <= 1048576 ? (models[k] + 4095) / 4096 : (models[k] + 65535) / 65536;
            assert_true(sim_run(s, sim_is_committed, 600 * KIT_MINUTES));
            /* Without loss each byte comes once. */
            uint64_t table = pieces > 1 ? pieces * TDE_DIGEST_SIZE : 0;
            assert_int_equal(s->block_bytes, version.total_size + version.envelope_size + table);
            expect_installed(s, &version);
        }
    }
}

static void transfer__loss_doubles_and_disorder(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sim_version version;
        sim *s = set_out_install(300000, 1024, &version);
        s->random_state ^= seed * 0x9E3779B97F4A7C15u;
        s->config.fetch_seconds_max = 0;
        s->drop_percent = 20;
        s->double_percent = 20;
        s->shuffle_percent = 50;
        expect_installed(s, &version);
    }
}

static void transfer__deferral_is_obeyed(void **state)
{
    (void)state;
    sim_version version;
    sim *s = set_out_install(50000, 1024, &version);
    s->defer_next = 5;
    uint64_t start = s->now;
    assert_true(sim_run(s, sim_is_committed, 10 * KIT_MINUTES));
    assert_true(s->now - start >= 5000); /* each put off by a second */
    expect_installed(s, &version);
}

static bool has_asked(sim *s)
{
    return s->gets > 0;
}

static void transfer__silence_backs_off(void **state)
{
    (void)state;
    sim_version version;
    sim *s = set_out_install(50000, 1024, &version);
    s->mute = true;
    assert_true(sim_run(s, has_asked, KIT_MINUTES));
    (void)sim_run(s, sim_is_committed, KIT_MINUTES);
    assert_true(s->gets >= 4 && s->gets <= 7);
    (void)sim_run(s, sim_is_committed, 30 * KIT_MINUTES);
    assert_true(s->gets >= 20 && s->gets <= 60); /* 2, 4, … 60 seconds, and jitter */
    s->mute = false;
    expect_installed(s, &version);
}

static void transfer__goes_on_after_a_lost_connection(void **state)
{
    (void)state;
    sim_version version;
    sim *s = set_out_install(50000, 1024, &version);
    assert_true(sim_run(s, has_asked, KIT_MINUTES));
    tde_on_disconnected(&s->core);
    s->connected = false;
    uint64_t gets = s->gets;
    (void)sim_run(s, sim_is_committed, 30 * KIT_MINUTES);
    assert_int_equal(s->gets, gets); /* nothing is asked for offline */
    tde_on_connected(&s->core);
    s->connected = true;
    expect_installed(s, &version);
}

static void transfer__blocks_of_another_transfer_are_nothing(void **state)
{
    (void)state;
    sim_version version;
    sim *s = set_out_install(50000, 1024, &version);
    uint8_t block[12 + 1024] = {0};
    tde_status before, after;
    s->mute = true;
    assert_true(sim_run(s, has_asked, KIT_MINUTES));
    tde_get_status(&s->core, &before);
    block[8] = (uint8_t)version.envelope_size; /* just what is waited for, but of another transfer */
    block[9] = (uint8_t)(version.envelope_size >> 8);
    memcpy(block + 12, version.envelope, version.envelope_size);
    for (int i = 0; i < 50; i++) {
        memcpy(block, s->last_transfer, 4);
        block[i % 4] ^= (uint8_t)(i + 1);
        sim_deliver(s, 1, block, 12 + version.envelope_size);
    }
    (void)sim_run(s, sim_is_committed, 1000);
    tde_get_status(&s->core, &after);
    assert_int_equal(after.refused, before.refused + 50);
    assert_int_equal(sim_slot(s).state, tidemark_DeviceState_STATE_OFFERED);
    s->mute = false;
    expect_installed(s, &version);
}

static void transfer__malformed_blocks_are_nothing(void **state)
{
    (void)state;
    static const uint8_t blocks[][13] = {
        {0}, {0, 0, 0, 0, 0, 0, 0, 0, 2}, {0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 9}, {0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 7}};
    sim_version version;
    sim *s = set_out_install(50000, 1024, &version);
    for (size_t i = 0; i < 4; i++) {
        assert_int_not_equal(tde_on_block(&s->core, blocks[i], i == 0 ? 5 : 13), TDE_OK);
    }
    expect_installed(s, &version);
}

static void transfer__a_stopped_server_is_not_asked(void **state)
{
    (void)state;
    sim_version version;
    sim *s = set_out_install(50000, 1024, &version);
    static const uint8_t off[] = {0x10, 3, 0x20, 0x80, 0x08}, on[] = {0x08, 1, 0x10, 4, 0x20, 0x80, 0x04};
    uint8_t message[4096];
    const char *type = "application/vnd.tidemark.server.v1";
    size_t size = sim_sign(type, off, sizeof off, &s->keys.director[0], 1, message);
    assert_int_equal(tde_on_server(&s->core, message, size), TDE_OK);
    (void)sim_run(s, sim_is_committed, 10 * KIT_MINUTES);
    assert_int_equal(s->gets, 0);
    size = sim_sign(type, on, sizeof on, &s->keys.stranger, 1, message);
    assert_int_equal(tde_on_server(&s->core, message, size), TDE_CORRUPT);
    size = sim_sign(type, on, sizeof on, &s->keys.director[0], 1, message);
    assert_int_equal(tde_on_server(&s->core, message, size), TDE_OK);
    size = sim_sign(type, off, sizeof off, &s->keys.director[0], 1, message);
    assert_int_equal(tde_on_server(&s->core, message, size), TDE_DENIED); /* an older epoch again */
    expect_installed(s, &version);
}

static uint64_t births_before;

static bool has_said_birth(sim *s)
{
    return s->births > births_before;
}

/* The broker came back and we were there before the server: our birth went to nobody. */
static void birth__is_said_again_whenever_the_server_has_just_come(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    static const uint8_t first[] = {0x08, 1, 0x10, 4, 0x18, 5, 0x20, 0x80, 0x04};
    static const uint8_t again[] = {0x08, 1, 0x10, 4, 0x18, 6, 0x20, 0x80, 0x04}; /* same server, new connection */
    const uint8_t *const states[] = {first, again};
    const char *type = "application/vnd.tidemark.server.v1";
    uint8_t message[4096];
    for (size_t i = 0; i < 2; i++) {
        births_before = s->births;
        size_t size = sim_sign(type, states[i], sizeof first, &s->keys.director[0], 1, message);
        assert_int_equal(tde_on_server(&s->core, message, size), TDE_OK);
        assert_true(sim_run(s, has_said_birth, KIT_MINUTES));
        births_before = s->births;
        assert_int_equal(tde_on_server(&s->core, message, size), TDE_OK); /* the retained copy says nothing new */
        assert_false(sim_run(s, has_said_birth, KIT_MINUTES));
    }
    sim_free(s);
}

/* ---- Outbox ---- */

static const uint8_t window[] = {0x08, 0x01, 0x48, 0x05}; /* schema 1, n 5 */

static void outbox__windows_survive_until_the_receipt(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    tde_outbox_status box;
    s->receipts = false;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tde_outbox_add_window(&s->core, window, sizeof window), TDE_OK);
    }
    sim_lose_power(s);
    assert_int_equal(sim_boot(s), TDE_OK);
    tde_outbox_get_status(&s->core, &box);
    assert_true(box.kept >= 3);
    s->receipts = true;
    assert_true(sim_run(s, sim_is_idle, KIT_MINUTES));
    tde_outbox_get_status(&s->core, &box);
    assert_int_equal(box.kept, 0);
    assert_int_equal(s->windows, 3);
    assert_int_equal(s->settled, box.next - 1);
    sim_free(s);
}

static void outbox__the_oldest_goes_first_and_is_counted(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    tde_outbox_status box;
    uint64_t first = s->settled + 1;
    tde_on_disconnected(&s->core);
    s->connected = false;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(tde_outbox_add_window(&s->core, window, sizeof window), TDE_OK);
    }
    tde_outbox_get_status(&s->core, &box);
    assert_int_equal(box.kept, 12); /* 48 KiB in cells of 4 KiB */
    assert_int_equal(box.dropped, 8);
    assert_int_equal(box.settled, first + 7);
    tde_on_connected(&s->core);
    s->connected = true;
    assert_true(sim_run(s, sim_is_idle, KIT_MINUTES));
    assert_int_equal(s->windows, 12);
    sim_free(s);
}

static void outbox__what_is_not_settled_is_sent_again(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    uint64_t before = s->windows;
    uint64_t start = s->now;
    s->settled += 1000; /* the server forgets: it settles nothing new */
    s->receipts = false;
    assert_int_equal(tde_outbox_add_window(&s->core, window, sizeof window), TDE_OK);
    (void)sim_run(s, sim_is_rejected, 10 * KIT_MINUTES);
    assert_int_equal(s->windows, before);
    s->settled -= 1000;
    s->receipts = true;
    assert_true(sim_run(s, sim_is_idle, 20 * KIT_MINUTES));
    assert_int_equal(s->windows, before + 1);
    assert_true(s->now - start < 30 * KIT_MINUTES);
    sim_free(s);
}

static void outbox__a_full_queue_of_the_client_is_waited_for(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    s->full_queue = true;
    assert_int_equal(tde_outbox_add_window(&s->core, window, sizeof window), TDE_OK);
    for (int i = 0; i < 10; i++) {
        s->now += tde_poll(&s->core);
    }
    assert_true(tde_poll(&s->core) > 0); /* no busy loop */
    assert_int_equal(s->windows, 0);
    s->full_queue = false;
    assert_true(sim_run(s, sim_is_idle, KIT_MINUTES));
    assert_int_equal(s->windows, 1);
    sim_free(s);
}

static void outbox__a_window_larger_than_a_cell_is_refused(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    uint8_t large[1025] = {0};
    assert_int_equal(tde_outbox_add_window(&s->core, large, sizeof large), TDE_LIMIT);
    sim_free(s);
}

static void death__is_sealed_for_its_topic(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    char topic[64];
    uint8_t payload[64];
    size_t size;
    assert_int_equal(tde_death(&s->core, topic, sizeof topic, payload, sizeof payload, &size), TDE_OK);
    assert_string_equal(topic, "tm/v1/pump-07/up/death");
    sim_server_take(s, TDE_UP_DEATH, topic, payload, size);
    assert_false(s->bad_mac);
    assert_int_equal(tde_death(&s->core, topic, 4, payload, sizeof payload, &size), TDE_LIMIT);
    sim_free(s);
}

static void start__refuses_senseless_values(void **state)
{
    (void)state;
    sim *s = sim_new();
    tde_config config = s->config;
    config.block_size = 1000;
    assert_int_equal(tde_start(&s->core, &config, &s->memory, &s->ports), TDE_INVALID);
    config = s->config;
    config.device = "";
    assert_int_equal(tde_start(&s->core, &config, &s->memory, &s->ports), TDE_INVALID);
    tde_memory memory = s->memory;
    memory.work_size = 100;
    assert_int_equal(tde_start(&s->core, &s->config, &memory, &s->ports), TDE_INVALID);
    tde_ports ports = s->ports;
    ports.state.size = 8192;
    assert_int_equal(tde_start(&s->core, &s->config, &s->memory, &ports), TDE_LIMIT);
    ports.state.size = tde_state_size(4096, 4, s->config.outbox_cell, 4);
    assert_int_equal(tde_start(&s->core, &s->config, &s->memory, &ports), TDE_OK);
    sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transfer__every_block_size_and_piece_size),
        cmocka_unit_test(transfer__loss_doubles_and_disorder),
        cmocka_unit_test(transfer__deferral_is_obeyed),
        cmocka_unit_test(transfer__silence_backs_off),
        cmocka_unit_test(transfer__goes_on_after_a_lost_connection),
        cmocka_unit_test(transfer__blocks_of_another_transfer_are_nothing),
        cmocka_unit_test(transfer__malformed_blocks_are_nothing),
        cmocka_unit_test(transfer__a_stopped_server_is_not_asked),
        cmocka_unit_test(birth__is_said_again_whenever_the_server_has_just_come),
        cmocka_unit_test(outbox__windows_survive_until_the_receipt),
        cmocka_unit_test(outbox__the_oldest_goes_first_and_is_counted),
        cmocka_unit_test(outbox__what_is_not_settled_is_sent_again),
        cmocka_unit_test(outbox__a_full_queue_of_the_client_is_waited_for),
        cmocka_unit_test(outbox__a_window_larger_than_a_cell_is_refused),
        cmocka_unit_test(death__is_sealed_for_its_topic),
        cmocka_unit_test(start__refuses_senseless_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
