/*
 * test_signer_wire.c: what server and signer say to each other: whole frames or nothing, and what a signer refuses.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/signer_wire.h"
#include "tests/unit/audit/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

static void request_of(fixture *f, td_signer_request *out)
{
    td_err err = {0};
    td_log_growth growth = {.last = td_log_signer_root(f->signer)};
    assert_int_equal(td_log_growth_read(f->db, &growth, &err), TD_OK);
    *out = (td_signer_request){
        .op = TD_SIGNER_SIGN, .last = growth.last, .next = growth.root, .proof = growth.proof};
    snprintf(out->origin, sizeof out->origin, "%s", td_log_signer_origin(f->signer));
}

static void grow(fixture *f, int count)
{
    td_err err = {0};
    fixture_append_many(f, count);
    assert_int_equal(fixture_sequence(f, &err), TD_OK);
}

static void signer_wire__what_is_written_is_read(void **state)
{
    fixture *f = *state;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str frame = {0};
    td_signer_request request, again;
    grow(f, 7);
    fixture_seal(f);
    grow(f, 30);
    request_of(f, &request);
    assert_true(request.proof.count > 1);
    assert_int_equal(td_signer_request_write(&request, &frame, &err), TD_OK);
    assert_int_equal(td_signer_request_read(frame.data, frame.size, &again, &err), TD_OK);
    assert_memory_equal(&request.next, &again.next, sizeof again.next);
    assert_memory_equal(&request.last, &again.last, sizeof again.last);
    assert_int_equal(request.proof.count, again.proof.count);
    assert_memory_equal(request.proof.hashes, again.proof.hashes, again.proof.count * TD_DIGEST_SIZE);
    for (size_t cut = 0; cut < frame.size; cut++) {
        assert_int_equal(td_signer_request_read(frame.data, cut, &again, &err), TD_CORRUPT);
    }
    td_str_add_char(&frame, 'x');
    assert_int_equal(td_signer_request_read(frame.data, frame.size, &again, &err), TD_CORRUPT);
}

static void signer_wire__replies_are_read_whole(void **state)
{
    (void)state;
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str frame = {0};
    td_signer_reply reply = {.code = TD_CONFLICT, .root = {.size = 77}, .text = "history was changed"}, again;
    assert_int_equal(td_signer_reply_write(&reply, &frame, &err), TD_OK);
    assert_int_equal(td_signer_reply_read(frame.data, frame.size, &again, &err), TD_OK);
    assert_int_equal(again.code, TD_CONFLICT);
    assert_int_equal(again.root.size, 77);
    assert_string_equal(again.text, reply.text);
    for (size_t cut = 0; cut < frame.size; cut++) {
        assert_int_equal(td_signer_reply_read(frame.data, cut, &again, &err), TD_CORRUPT);
    }
    frame.data[4] = 99; /* no such code */
    assert_int_equal(td_signer_reply_read(frame.data, frame.size, &again, &err), TD_CORRUPT);
}

static void signer_wire__a_signer_signs_growth_alone(void **state)
{
    fixture *f = *state;
    td_signer_request request, wrong;
    td_signer_reply reply;
    td_log_root root;
    td_err err = {0};
    grow(f, 5);
    fixture_seal(f);
    grow(f, 5);
    request_of(f, &request);
    wrong = request;
    wrong.origin[0] = 'x';
    td_signer_answer(f->signer, &wrong, &reply);
    assert_int_equal(reply.code, TD_DENIED);
    wrong = request;
    wrong.last.size = 4; /* a server that does not know what was signed */
    td_signer_answer(f->signer, &wrong, &reply);
    assert_int_equal(reply.code, TD_BUSY);
    assert_int_equal(reply.root.size, 5);
    wrong = request;
    wrong.next.hash[3] ^= 1;
    td_signer_answer(f->signer, &wrong, &reply);
    assert_int_equal(reply.code, TD_CONFLICT);
    wrong = request;
    wrong.next.size = 3;
    td_signer_answer(f->signer, &wrong, &reply);
    assert_int_equal(reply.code, TD_CONFLICT);
    assert_int_equal(td_log_signer_root(f->signer).size, 5); /* nothing moved it */
    td_signer_answer(f->signer, &request, &reply);
    assert_int_equal(reply.code, TD_OK);
    assert_int_equal(td_log_checkpoint_check(reply.text, strlen(reply.text), td_str_text(&f->vkey), &root, &err),
                     TD_OK);
    assert_int_equal(root.size, 10);
}

static void signer_wire__frames_over_a_stream(void **state)
{
    (void)state;
    int ends[2];
    td_err err = {0};
    TD_CLEANUP(td_str_done) td_str frame = {0};
    TD_CLEANUP(td_str_done) td_str got = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    td_signer_stream near = td_signer_stream_of(&ends[0]), far = td_signer_stream_of(&ends[1]);
    td_str_add(&frame, "hello");
    assert_int_equal(td_signer_send(&near, &frame, &err), TD_OK);
    assert_int_equal(td_signer_receive(&far, 1000, &got, &err), TD_OK);
    assert_string_equal(td_str_text(&got), "hello");
    assert_int_equal(td_signer_receive(&far, 0, &got, &err), TD_BUSY);
    assert_int_equal(send(ends[0], "\x00\x00\x10\x01", 4, 0), 4); /* one byte too long */
    assert_int_equal(td_signer_receive(&far, 1000, &got, &err), TD_CORRUPT);
    assert_int_equal(send(ends[0], "\x00\x00\x00\x05" "he", 6, 0), 6);
    close(ends[0]);
    assert_int_equal(td_signer_receive(&far, 1000, &got, &err), TD_IO); /* closed within a frame */
    assert_int_equal(td_signer_receive(&far, 1000, &got, &err), TD_NOT_FOUND);
    close(ends[1]);
    td_str_clear(&frame);
    for (int i = 0; i <= TD_SIGNER_FRAME_MAX; i++) {
        td_str_add_char(&frame, 'x');
    }
    assert_int_equal(td_signer_send(&near, &frame, &err), TD_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signer_wire__what_is_written_is_read, fixture_set_up, fixture_tear_down),
        cmocka_unit_test(signer_wire__replies_are_read_whole),
        cmocka_unit_test_setup_teardown(signer_wire__a_signer_signs_growth_alone, fixture_set_up, fixture_tear_down),
        cmocka_unit_test(signer_wire__frames_over_a_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
