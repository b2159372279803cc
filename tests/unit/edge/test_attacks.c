/*
 * test_attacks.c: one named test for each attack on content and directives that TUF and Uptane list.
 *
 * In each the device runs version 1 and must go on running it, whole, and say why it refused.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/edge/attack_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- Which software ---- */

static void attack__arbitrary_software(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    options.approvers[0] = s->keys.stranger;
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
    kit_expect_refusal(s, tidemark_Reason_REASON_SIGNATURE);
}

static void attack__wrong_software_for_the_hardware(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    options.hardware = "other-board";
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
    kit_expect_refusal(s, tidemark_Reason_REASON_HARDWARE);
}

static void attack__software_for_a_missing_runtime(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    options.runtime = "npu-9000";
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
    kit_expect_refusal(s, tidemark_Reason_REASON_OPERATOR_MISSING);
}

static void attack__extraneous_dependency(void **state)
{
    /* Content that the manifest does not list is never asked for; sent all the same, it goes nowhere. */
    (void)state;
    sim *s = kit_set_out();
    uint8_t block[12 + 1024] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 4};
    tde_status before, after;
    tde_get_status(&s->core, &before);
    for (uint32_t transfer = 0; transfer < 300; transfer++) {
        block[0] = (uint8_t)transfer;
        block[1] = (uint8_t)(transfer >> 8);
        sim_deliver(s, 1, block, sizeof block);
        (void)sim_run(s, sim_is_idle, KIT_MINUTES);
    }
    tde_get_status(&s->core, &after);
    assert_int_equal(after.refused, before.refused + 300);
    for (size_t i = 0; i < SIM_PLACES; i++) {
        for (size_t k = 0; s->places[i].used && k < SIM_OBJECTS; k++) {
            const sim_object *o = &s->places[i].objects[k];
            assert_false(o->used && strcmp(o->name, "meta/card.md") == 0); /* listed, but not for devices */
        }
    }
    sim_free(s);
}

static void attack__file_outside_of_its_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"../evil", "zz/../../evil", "zz//evil", "zz/./evil", "zz/", "zz\\evil", "z z"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        sim *s = kit_set_out();
        sim_version two;
        sim_version_options options = kit_version_two();
        options.bad_name = names[i];
        sim_make_version(s, &options, &two);
        sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
        kit_expect_refusal(s, tidemark_Reason_REASON_MALFORMED);
    }
}

static void attack__file_listed_twice(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    options.bad_name = "model/pump.onnx";
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
    kit_expect_refusal(s, tidemark_Reason_REASON_MALFORMED);
}

static void attack__mix_and_match(void **state)
{
    /* The envelope of one version with the manifest digest of another: each is signed, the pair is not. */
    (void)state;
    sim *s = kit_set_out();
    sim_version two, mixed;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    mixed = two;
    memcpy(mixed.envelope_digest, kit_one.envelope_digest, TDE_DIGEST_SIZE);
    mixed.envelope_size = kit_one.envelope_size;
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &mixed});
    kit_expect_refusal(s, tidemark_Reason_REASON_HASH);
}

static void attack__tampered_content(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    sim_find_content(s, two.model_digest)->corrupt = true;
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
    kit_expect_refusal(s, tidemark_Reason_REASON_HASH);
}

static void attack__partial_bundle(void **state)
{
    /* One file is withheld: the version is never staged, and the device does not ask for ever. */
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    sim_find_content(s, two.model_digest)->refuse = true;
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
    uint64_t gets = s->gets;
    sim_publish(s);
    (void)sim_run(s, sim_is_rejected, 10 * KIT_MINUTES);
    assert_true(s->gets < gets + 20);
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_STAGED, tidemark_Reason_REASON_NONE),
                     1); /* v1's */
    assert_int_equal(sim_count_reports(s, tidemark_DeviceState_STATE_REJECTED, tidemark_Reason_REASON_IO), 1);
    assert_true(sim_current_is(s, kit_one.manifest_digest));
    sim_free(s);
}

/* ---- Too much, too slow ---- */

static void attack__endless_data_more_files_than_directed(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two, .total_size = two.total_size - 1});
    kit_expect_refusal(s, tidemark_Reason_REASON_MALFORMED);
}

static void attack__endless_data_envelope_without_end(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    two.envelope_size = 1u << 30;
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
    kit_expect_refusal(s, tidemark_Reason_REASON_MALFORMED);
}

static void attack__endless_data_same_block_again_and_again(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    s->double_percent = 100;
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two, .byte_budget = 9000});
    kit_expect_refusal(s, tidemark_Reason_REASON_BUDGET);
}

static void attack__slow_retrieval(void **state)
{
    /* A block every minute keeps a transfer alive for ever, but the transfer's time is limited. */
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    options.model_size = 400000;
    sim_make_version(s, &options, &two);
    s->slow_ms = KIT_MINUTES;
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
    sim_publish(s);
    assert_true(sim_run(s, sim_is_rejected, 120 * KIT_MINUTES));
    s->slow_ms = 0;
    kit_expect_refusal(s, tidemark_Reason_REASON_DEADLINE);
}

static void attack__device_that_is_full(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    s->room = kit_one.total_size + 5000;
    uint64_t bytes = s->block_bytes;
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
    sim_publish(s);
    assert_true(sim_run(s, sim_is_rejected, 10 * KIT_MINUTES));
    assert_true(s->block_bytes - bytes <= two.envelope_size); /* not one byte of content */
    kit_expect_refusal(s, tidemark_Reason_REASON_NO_SPACE);
}

/* ---- Which directive ---- */

static void attack__freeze_with_an_expired_directive(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11,
                                                   .version = &two,
                                                   .issued_ms = SIM_START_MS - 40 * KIT_DAYS,
                                                   .not_after_ms = SIM_START_MS - 10 * KIT_DAYS});
    kit_expect_refusal(s, tidemark_Reason_REASON_EXPIRED);
}

static void attack__freeze_of_a_device_without_a_clock(void **state)
{
    /* No clock: the highest signed time that it ever saw is the floor. */
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    s->unix_base = 0;
    sim_make_directive(s, &(sim_directive_options){.sequence = 11,
                                                   .version = &two,
                                                   .issued_ms = SIM_START_MS - 40 * KIT_DAYS,
                                                   .not_after_ms = SIM_START_MS - 1});
    kit_expect_refusal(s, tidemark_Reason_REASON_EXPIRED);
}

static void freeze__heals_by_the_nonce_of_this_boot(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    tde_status status;
    sim_make_version(s, &options, &two);
    s->unix_base = 0;
    tde_get_status(&s->core, &status);
    assert_true(status.nonce != 0 && status.nonce == s->birth.nonce);
    sim_make_directive(
        s, &(sim_directive_options){
               .sequence = 11, .version = &two, .nonce = status.nonce, .not_after_ms = SIM_START_MS - 10 * KIT_DAYS});
    sim_publish(s);
    assert_true(sim_run(s, sim_is_idle, 5 * KIT_MINUTES) && sim_run(s, sim_is_committed, 5 * KIT_MINUTES));
    assert_true(sim_current_is(s, two.manifest_digest));
    sim_free(s);
}

static void attack__rollback_by_an_older_directive(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 9, .version = &two});
    kit_expect_quiet_refusal(s);
}

static void attack__rollback_by_an_older_security_counter(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    options.counter = 4;
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
    kit_expect_refusal(s, tidemark_Reason_REASON_COUNTER);
}

static void attack__revoked_version(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two, .revoked = two.manifest_digest});
    kit_expect_refusal(s, tidemark_Reason_REASON_REVOKED);
}

static void attack__wrong_device(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two, .device = "pump-08"});
    kit_expect_quiet_refusal(s);
}

static void attack__replayed_directive(void **state)
{
    /* The very same one again is what a retained message does: no harm, nothing new, no report. */
    (void)state;
    sim *s = kit_set_out();
    size_t reports = s->reports_count;
    uint64_t operations = s->operations;
    sim_publish(s);
    assert_true(sim_run(s, sim_is_idle, 5 * KIT_MINUTES));
    assert_int_equal(s->reports_count, reports);
    assert_int_equal(s->operations, operations);
    sim_free(s);
}

static void attack__other_message_of_the_director_as_a_directive(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    sim_make_directive(s, &(sim_directive_options){
                              .sequence = 11, .version = &two, .payload_type = "application/vnd.tidemark.server.v1"});
    kit_expect_refusal(s, tidemark_Reason_REASON_SIGNATURE);
}

static void attack__changed_bit_in_a_directive(void **state)
{
    (void)state;
    sim *s = kit_set_out();
    sim_version two;
    sim_version_options options = kit_version_two();
    sim_make_version(s, &options, &two);
    for (size_t i = 0; i < 40; i++) {
        sim_make_directive(s, &(sim_directive_options){.sequence = 11, .version = &two});
        s->directive[i * (s->directive_size - 1) / 39] ^= 0x10;
        sim_publish(s);
        assert_true(sim_run(s, sim_is_idle, 5 * KIT_MINUTES));
        assert_true(sim_current_is(s, kit_one.manifest_digest));
    }
    assert_int_equal(sim_slot(s).directive_sequence, 10);
    sim_free(s);
}

/* ---- Uplinks ---- */

static void attack__replayed_report(void **state)
{
    /* Each uplink carries sequence and boot, and ends in a trailer over topic and payload: see sim_server_take(). */
    (void)state;
    sim *s = kit_set_out();
    assert_false(s->bad_mac);
    for (size_t i = 0; i < s->reports_count; i++) {
        assert_int_equal(s->reports[i].sequence, i + 1);
    }
    memset(s->uplink_key, 9, 1);
    uint8_t forged[64] = {8, 1};
    sim_server_take(s, TDE_UP_REPORT, "tm/v1/pump-07/up/report", forged, sizeof forged);
    assert_true(s->bad_mac);
    sim_free(s);
}

static void attack__forged_receipt(void **state)
{
    (void)state;
    static const uint8_t far[] = {0x08, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01};
    sim *s = kit_set_out();
    tde_outbox_status before, after;
    s->receipts = false;
    tde_outbox_get_status(&s->core, &before);
    assert_int_equal(tde_on_receipt(&s->core, far, sizeof far), TDE_OK);
    assert_int_equal(tde_outbox_add_window(&s->core, (const uint8_t *)"\x08\x01", 2), TDE_OK);
    tde_outbox_get_status(&s->core, &after);
    assert_int_equal(after.next, before.next + 1);
    assert_int_equal(after.kept, 1); /* the new one is not settled by it */
    sim_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attack__arbitrary_software),
        cmocka_unit_test(attack__wrong_software_for_the_hardware),
        cmocka_unit_test(attack__software_for_a_missing_runtime),
        cmocka_unit_test(attack__extraneous_dependency),
        cmocka_unit_test(attack__file_outside_of_its_folder),
        cmocka_unit_test(attack__file_listed_twice),
        cmocka_unit_test(attack__mix_and_match),
        cmocka_unit_test(attack__tampered_content),
        cmocka_unit_test(attack__partial_bundle),
        cmocka_unit_test(attack__endless_data_more_files_than_directed),
        cmocka_unit_test(attack__endless_data_envelope_without_end),
        cmocka_unit_test(attack__endless_data_same_block_again_and_again),
        cmocka_unit_test(attack__slow_retrieval),
        cmocka_unit_test(attack__device_that_is_full),
        cmocka_unit_test(attack__freeze_with_an_expired_directive),
        cmocka_unit_test(attack__freeze_of_a_device_without_a_clock),
        cmocka_unit_test(freeze__heals_by_the_nonce_of_this_boot),
        cmocka_unit_test(attack__rollback_by_an_older_directive),
        cmocka_unit_test(attack__rollback_by_an_older_security_counter),
        cmocka_unit_test(attack__revoked_version),
        cmocka_unit_test(attack__wrong_device),
        cmocka_unit_test(attack__replayed_directive),
        cmocka_unit_test(attack__other_message_of_the_director_as_a_directive),
        cmocka_unit_test(attack__changed_bit_in_a_directive),
        cmocka_unit_test(attack__replayed_report),
        cmocka_unit_test(attack__forged_receipt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
