/*
 * test_identity.c: the files of an enrolled device are read whole or refused with the way on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/identity.h"

#include "tests/unit/linux/folder.h"

#define GOOD                                                                                                           \
    "{\"device\":\"pump-07\",\"server\":\"https://h:1\",\"mqtt\":{\"host\":\"h\",\"port\":8883,\"prefix\":\"tm/v1\"}," \
    "\"hardware\":\"gateway\",\"runtimes\":[\"onnx\",\"tflite\"]}"

static void put(void **state, const char *name, const void *data, size_t size)
{
    td_err err;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", (char *)*state, name);
    assert_int_equal(td_file_replace(path, data, size, 0600, &err), TD_OK);
}

static void put_good(void **state)
{
    uint8_t key[TD_IDENTITY_UPLINK_KEY] = {1, 2, 3};
    put(state, "device.json", GOOD, strlen(GOOD));
    put(state, "uplink.key", key, sizeof key);
    put(state, "keyset.bin", "keyset", 6);
}

static void identity__is_read_whole(void **state)
{
    td_err err;
    TD_CLEANUP(td_identity_done) td_identity identity = {0};
    put_good(state);
    assert_int_equal(td_identity_read(*state, &identity, &err), TD_OK);
    assert_string_equal(identity.device, "pump-07");
    assert_string_equal(identity.host, "h");
    assert_int_equal(identity.port, 8883);
    assert_string_equal(identity.hardware, "gateway");
    assert_int_equal(identity.runtime_count, 2);
    assert_string_equal(identity.runtimes[1], "tflite");
    assert_int_equal(identity.uplink_key[2], 3);
    assert_int_equal(identity.keyset.size, 6);
    assert_int_equal(td_identity_set_runtimes(&identity, "a,b,c", &err), TD_OK);
    assert_int_equal(identity.runtime_count, 3);
    assert_int_equal(td_identity_set_runtimes(&identity, "a,,c", &err), TD_INVALID);
    assert_int_equal(td_identity_set_runtimes(&identity, "a b", &err), TD_INVALID);
}

static void identity__a_folder_without_enrolment_says_how_to(void **state)
{
    td_err err;
    td_identity identity;
    assert_int_equal(td_identity_read(*state, &identity, &err), TD_NOT_FOUND);
    assert_non_null(strstr(err.text, "tidemark-agent enrol"));
    assert_int_equal(td_identity_read("/nowhere/at/all", &identity, &err), TD_NOT_FOUND);
}

static void identity__bad_files_are_refused(void **state)
{
    td_err err;
    td_identity identity;
    put_good(state);
    put(state, "uplink.key", "short", 5);
    assert_int_equal(td_identity_read(*state, &identity, &err), TD_CORRUPT);
    put_good(state);
    static const char bad_name[] =
        "{\"device\":\"Pump_07\",\"server\":\"s\",\"mqtt\":{\"host\":\"h\",\"port\":1,\"prefix\":\"p\"}}";
    put(state, "device.json", bad_name, strlen(bad_name));
    assert_int_equal(td_identity_read(*state, &identity, &err), TD_INVALID);
    static const char bad_port[] =
        "{\"device\":\"p\",\"server\":\"s\",\"mqtt\":{\"host\":\"h\",\"port\":70000,\"prefix\":\"p\"}}";
    put(state, "device.json", bad_port, strlen(bad_port));
    assert_int_equal(td_identity_read(*state, &identity, &err), TD_INVALID);
    put(state, "device.json", "{", 1);
    assert_int_not_equal(td_identity_read(*state, &identity, &err), TD_OK);
}

static void identity__an_expired_certificate_is_named_with_its_date(void **state)
{
    td_err err;
    uint8_t serial[16], public_key[TD_P256_PUBLIC_SIZE];
    TD_CLEANUP(td_identity_done) td_identity identity = {0};
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str ca = {0};
    TD_CLEANUP(td_str_done) td_str certificate = {0};
    put_good(state);
    assert_int_equal(td_identity_read(*state, &identity, &err), TD_OK);
    assert_int_equal(td_key_generate(TD_KEY_P256, &key, &err), TD_OK);
    td_key_public(key, public_key);
    assert_int_equal(td_x509_make_ca(key, "ca", &ca, &err), TD_OK);
    const td_x509_leaf leaf = {.common_name = "pump-07", .not_before_ms = 0, .not_after_ms = INT64_C(1767225600000)};
    assert_int_equal(td_x509_issue(key, td_str_text(&ca), public_key, &leaf, &certificate, serial, &err), TD_OK);
    put(state, "device.crt", certificate.data, certificate.size);
    assert_int_equal(td_identity_check_certificate(&identity, INT64_C(1767225599000), &err), TD_OK);
    assert_int_equal(td_identity_check_certificate(&identity, INT64_C(1767225601000), &err), TD_DENIED);
    assert_non_null(strstr(err.text, "2026-01-01"));
}

int main(void)
{
    td_err err;
    const struct CMUnitTest tests[] = {
        folder_test(identity__is_read_whole),
        folder_test(identity__a_folder_without_enrolment_says_how_to),
        folder_test(identity__bad_files_are_refused),
        folder_test(identity__an_expired_certificate_is_named_with_its_date),
    };
    return td_crypto_setup(&err) == TD_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
