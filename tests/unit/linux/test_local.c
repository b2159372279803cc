/*
 * test_local.c: the client library and the agent's reader understand each other, and the reader refuses everything
 * else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/local.h"

#include "firmware/linux/client/tidemark_client.h"
#include "firmware/linux/socket.h"
#include "tests/unit/linux/folder.h"

#include <math.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static float features[TM_LOCAL_FEATURES_MAX];

/* Receives one datagram as the agent would. */
static size_t receive(const td_agent_socket *sock, uint8_t *datagram, size_t room)
{
    ssize_t got = recv(sock->fd, datagram, room, MSG_DONTWAIT);
    return got > 0 ? (size_t)got : 0;
}

static void client__an_observation_arrives_as_it_was_made(void **state)
{
    td_err err;
    td_agent_socket sock;
    tm_client *client;
    uint8_t datagram[TM_LOCAL_DATAGRAM_MAX];
    assert_int_equal(td_agent_socket_open(&sock, *state, NULL, &err), TD_OK);
    assert_int_equal(tm_open(*state, "pump", &client), TM_OK);
    const float x[3] = {1.5f, NAN, -2.0f};
    const tm_text texts[2] = {{1, "brass"}, {TM_IS_PREDICTION, "fault"}};
    assert_int_equal(tm_observe(client, &(tm_observation){.features = x,
                                                          .feature_count = 3,
                                                          .prediction = 1.0f,
                                                          .score = 0.25f,
                                                          .group = "oslo",
                                                          .id = 77,
                                                          .latency_us = 40,
                                                          .texts = texts,
                                                          .text_count = 2}),
                     TM_OK);
    td_local_head head;
    td_local_record record;
    td_local_text text;
    bool more;
    size_t size = receive(&sock, datagram, sizeof datagram);
    assert_int_equal(td_local_read_head(datagram, size, &head, &err), TD_OK);
    assert_string_equal(head.slot, "pump");
    assert_true(head.any_model);
    assert_int_equal(td_local_read_record(&head.records, &head.records_size, features, &record, &more, &err), TD_OK);
    assert_true(more);
    assert_int_equal(record.type, TM_RECORD_OBSERVE);
    assert_int_equal(record.id, 77);
    assert_int_equal(record.latency_us, 40);
    assert_true(record.prediction == 1.0f && record.score == 0.25f);
    assert_int_equal(record.feature_count, 3);
    assert_true(features[0] == 1.5f && isnan(features[1]) && features[2] == -2.0f);
    assert_int_equal(record.group_length, 4);
    assert_memory_equal(record.group, "oslo", 4);
    assert_true(td_local_text_next(&record, &text));
    assert_int_equal(text.feature, 1);
    assert_memory_equal(text.text, "brass", 5);
    assert_true(td_local_text_next(&record, &text));
    assert_int_equal(text.feature, TM_LOCAL_PREDICTION);
    assert_false(td_local_text_next(&record, &text));
    assert_int_equal(td_local_read_record(&head.records, &head.records_size, features, &record, &more, &err), TD_OK);
    assert_false(more);
    tm_close(client);
    td_agent_socket_close(&sock);
}

static void client__waits_in_a_batch_while_the_agent_is_away(void **state)
{
    td_err err;
    td_agent_socket sock;
    tm_client *client;
    uint8_t datagram[TM_LOCAL_DATAGRAM_MAX];
    assert_int_equal(tm_open(*state, "pump", &client), TM_OK);
    for (uint64_t id = 1; id <= 10; id++) {
        assert_int_equal(tm_label(client, id, 1.0f), TM_OK);
    }
    assert_int_equal(tm_flush(client), TM_DROPPED);
    assert_int_equal(td_agent_socket_open(&sock, *state, NULL, &err), TD_OK);
    assert_int_equal(tm_flush(client), TM_OK);
    td_local_head head;
    td_local_record record;
    size_t size = receive(&sock, datagram, sizeof datagram);
    assert_int_equal(td_local_read_head(datagram, size, &head, &err), TD_OK);
    uint64_t labels = 0;
    for (bool more = true; more; labels += more) {
        assert_int_equal(td_local_read_record(&head.records, &head.records_size, features, &record, &more, &err),
                         TD_OK);
        assert_true(!more || (record.type == TM_RECORD_LABEL && record.id == labels + 1));
    }
    assert_int_equal(labels, 10);
    assert_int_equal(tm_dropped(client), 0);
    tm_close(client);
    td_agent_socket_close(&sock);
}

static void client__drops_and_counts_what_does_not_fit(void **state)
{
    tm_client *client;
    int result = TM_OK;
    assert_int_equal(tm_open(*state, "pump", &client), TM_OK);
    for (int i = 0; i < 2000 && result == TM_OK; i++) {
        result = tm_label(client, 1, 1.0f);
    }
    assert_int_equal(result, TM_DROPPED);
    assert_int_equal(tm_dropped(client), 1);
    tm_close(client);
}

static void client__bad_arguments_are_refused(void **state)
{
    tm_client *client = NULL;
    char longer[TM_LOCAL_TEXT_MAX + 2];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(tm_open(*state, "../etc", &client), TM_INVALID);
    assert_int_equal(tm_open(*state, "", &client), TM_INVALID);
    assert_null(client);
    assert_int_equal(tm_open(*state, "pump", &client), TM_OK);
    assert_int_equal(tm_observe(client, &(tm_observation){.feature_count = TM_LOCAL_FEATURES_MAX + 1}), TM_INVALID);
    assert_int_equal(tm_observe(client, &(tm_observation){.group = longer}), TM_INVALID);
    assert_int_equal(tm_label(client, 0, 1.0f), TM_INVALID);
    assert_int_equal(tm_label_text(client, 1, ""), TM_INVALID);
    tm_close(client);
}

static void put_version(const char *folder, const char *id)
{
    td_err err;
    char path[4096], link[4096];
    snprintf(path, sizeof path, "%s/slots/pump/%s/model", folder, id);
    assert_int_equal(td_folder_make(path, 0755, &err), TD_OK);
    snprintf(path, sizeof path, "%s/slots/pump/%s/model/pump.onnx", folder, id);
    assert_int_equal(td_file_create(path, id, strlen(id), 0644, &err), TD_OK);
    snprintf(link, sizeof link, "%s/slots/pump/current", folder);
    unlink(link);
    assert_int_equal(symlink(id, link), 0);
}

static void client__notices_a_new_version(void **state)
{
    static const char one[] = "0123456789abcdef0123456789abcdef", two[] = "fedcba9876543210fedcba9876543210";
    tm_client *client;
    char path[TM_PATH_MAX];
    assert_int_equal(tm_open(*state, "pump", &client), TM_OK);
    assert_int_equal(tm_model_path(client, NULL, path, sizeof path), TM_NO_MODEL);
    assert_false(tm_model_changed(client));
    put_version(*state, one);
    assert_true(tm_model_changed(client));
    assert_int_equal(tm_model_path(client, NULL, path, sizeof path), TM_OK);
    assert_non_null(strstr(path, "0123456789abcdef0123456789abcdef/model/pump.onnx"));
    assert_false(tm_model_changed(client));
    put_version(*state, two);
    assert_true(tm_model_changed(client));
    assert_int_equal(tm_model_path(client, "pump.onnx", path, sizeof path), TM_OK);
    assert_string_equal(tm_model_digest(client), two);
    assert_int_equal(tm_model_path(client, "other.onnx", path, sizeof path), TM_SYSTEM);
    tm_close(client);
}

/* ---- Hostile datagrams --------------------------------------------------------------------------------------------
 */

static td_code read_all(const uint8_t *bytes, size_t size)
{
    td_err err;
    td_local_head head;
    TD_TRY(td_local_read_head(bytes, size, &head, &err));
    for (bool more = true; more;) {
        td_local_record record;
        TD_TRY(td_local_read_record(&head.records, &head.records_size, features, &record, &more, &err));
    }
    return TD_OK;
}

static void local__bad_heads_are_refused(void **state)
{
    (void)state;
    uint8_t good[21] = {'T', 'M', 1, 1};
    good[20] = 'x';
    assert_int_equal(read_all(good, sizeof good), TD_OK);
    for (size_t size = 0; size < sizeof good; size++) {
        assert_int_equal(read_all(good, size), TD_INVALID);
    }
    good[2] = 2;
    assert_int_equal(read_all(good, sizeof good), TD_INVALID);
    good[2] = 1;
    static const char bad[] = {'/', '.', '-', 0, '\n', (char)0xC3};
    for (size_t i = 0; i < sizeof bad; i++) {
        good[20] = (uint8_t)bad[i];
        assert_int_equal(read_all(good, sizeof good), TD_INVALID);
    }
}

static void local__bad_records_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[40];
        size_t size;
    } records[] = {
        {{TM_RECORD_ATTACH, 0, 1, 0, 0}, 5},      /* an attach with a body */
        {{TM_RECORD_ATTACH, 0, 1, 0}, 4},         /* cut short */
        {{99, 0, 0, 0}, 4},                       /* an unknown type */
        {{TM_RECORD_ERROR, 0, 3, 0, 1, 2, 3}, 7}, /* three of four bytes */
        {{TM_RECORD_LABEL, 0, 13, 0}, 17},        /* the id 0 */
        {{TM_RECORD_LABEL, 0, 13, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9},
         17},                                          /* a name of 9 bytes that is not there */
        {{TM_RECORD_OBSERVE, 0, 24, 0, [24] = 1}, 28}, /* one feature that is not there */
        {{TM_RECORD_OBSERVE, 0, 24, 0, [27] = 1}, 28}, /* one text that is not there */
        {{TM_RECORD_OBSERVE, 0, 28, 0, 0}, 32},        /* four bytes too many */
    };
    for (size_t i = 0; i < TD_COUNT_OF(records); i++) {
        uint8_t datagram[64] = {'T', 'M', 1, 1};
        datagram[20] = 'x';
        memcpy(datagram + 21, records[i].bytes, records[i].size);
        assert_int_equal(read_all(datagram, 21 + records[i].size), TD_INVALID);
    }
}

static void socket__a_second_agent_is_refused(void **state)
{
    td_err err;
    td_agent_socket one, two;
    struct stat st;
    assert_int_equal(td_agent_socket_open(&one, *state, NULL, &err), TD_OK);
    assert_int_equal(stat(one.path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(td_agent_socket_open(&two, *state, NULL, &err), TD_BUSY);
    td_agent_socket_close(&one);
    assert_int_equal(td_agent_socket_open(&two, *state, "no-such-group-here", &err), TD_NOT_FOUND);
    assert_int_equal(td_agent_socket_open(&two, *state, NULL, &err), TD_OK);
    td_agent_socket_close(&two);
    uint8_t answer[16];
    size_t size = sizeof answer;
    assert_int_equal(td_agent_ask(*state, "x", 1, 100, answer, &size, &err), TD_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        folder_test(client__an_observation_arrives_as_it_was_made),
        folder_test(client__waits_in_a_batch_while_the_agent_is_away),
        folder_test(client__drops_and_counts_what_does_not_fit),
        folder_test(client__bad_arguments_are_refused),
        folder_test(client__notices_a_new_version),
        cmocka_unit_test(local__bad_heads_are_refused),
        cmocka_unit_test(local__bad_records_are_refused),
        folder_test(socket__a_second_agent_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
