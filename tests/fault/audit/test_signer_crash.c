/*
 * test_signer_crash.c: a signer that dies at its 1st, 2nd, 3rd … system call has either told nobody of a signature,
 * or remembers what it signed; and then still refuses every other history.
 *
 * The linker redirects the calls that saving makes (--wrap). Each round forks a signer that dies at call n; what it
 * told comes over a pipe; the parent then opens the memory again and looks.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/merkle.h"
#include "audit/signer_wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above */
#include <cmocka.h>

#include "core/base/fs.h"

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define DIED 77
#define CALLS_MAX 60

static int calls_left = -1; /* -1: off */

static void maybe_die(void)
{
    if (calls_left >= 0 && calls_left-- == 0) {
        _exit(DIED);
    }
}

#define WRAP(result, name, parameters, arguments)                                                                      \
    result __real_##name parameters;                                                                                   \
    result __wrap_##name parameters;                                                                                   \
    result __wrap_##name parameters                                                                                    \
    {                                                                                                                  \
        maybe_die();                                                                                                   \
        return __real_##name arguments;                                                                                \
    }
WRAP(int, mkostemp, (char *path, int flags), (path, flags))
WRAP(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, rename, (const char *from, const char *to), (from, to))

typedef struct room {
    char folder[64], state[96];
    td_key *key;
    td_merkle_range tree; /* 5 leaves, then 9 */
    td_signer_request request, forged;
} room;

static uint8_t leaves[16][TD_DIGEST_SIZE];

static td_code leaf_only(void *context, int level, int64_t position, uint8_t *out, td_err *err)
{
    const int *swapped = context; /* a leaf that history replaced, or -1 */
    if (level > 0) {
        uint8_t left[TD_DIGEST_SIZE], right[TD_DIGEST_SIZE];
        TD_TRY(leaf_only(context, level - 1, 2 * position, left, err));
        TD_TRY(leaf_only(context, level - 1, 2 * position + 1, right, err));
        td_merkle_node(left, right, out);
        return TD_OK;
    }
    memcpy(out, leaves[position], TD_DIGEST_SIZE);
    out[0] = (uint8_t)(out[0] ^ (position == *swapped ? 0xff : 0));
    return TD_OK;
}

static void tree_of(int64_t size, int swapped, td_log_root *out)
{
    td_merkle_range range;
    td_err err;
    assert_int_equal(td_merkle_load(size, leaf_only, &swapped, &range, &err), TD_OK);
    out->size = size;
    td_merkle_root(&range, out->hash);
}

static void make_request(const room *r, int swapped, td_signer_request *out)
{
    td_err err;
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    *out = (td_signer_request){.op = TD_SIGNER_SIGN};
    (void)td_key_public(r->key, public_key);
    td_log_origin(public_key, out->origin);
    tree_of(5, -1, &out->last);
    tree_of(9, swapped, &out->next);
    assert_int_equal(td_merkle_consistency(5, 9, leaf_only, &swapped, &out->proof, &err), TD_OK);
}

/* A signer that has signed 5 leaves. */
static td_log_signer *open_fresh(const room *r)
{
    td_err err;
    td_log_signer *signer = NULL;
    TD_CLEANUP(td_str_done) td_str note = {0};
    td_log_proof none = {.count = 0};
    td_log_root five;
    (void)unlink(r->state);
    tree_of(5, -1, &five);
    assert_int_equal(td_log_signer_open(r->key, r->state, true, &signer, &err), TD_OK);
    assert_int_equal(td_log_signer_sign(signer, &five, &none, &note, &err), TD_OK);
    return signer;
}

static int set_up(void **state)
{
    td_err err;
    room *r = calloc(1, sizeof *r);
    snprintf(r->folder, sizeof r->folder, "/tmp/td-signer-XXXXXX");
    if (mkdtemp(r->folder) == NULL || td_crypto_setup(&err) != TD_OK ||
        td_key_generate(TD_KEY_ED25519, &r->key, &err) != TD_OK) {
        return -1;
    }
    for (size_t i = 0; i < TD_COUNT_OF(leaves); i++) {
        memset(leaves[i], (int)i + 1, sizeof leaves[i]);
    }
    snprintf(r->state, sizeof r->state, "%s/log.state", r->folder);
    make_request(r, -1, &r->request);
    make_request(r, 2, &r->forged);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    room *r = *state;
    td_err err;
    td_key_free(&r->key);
    td_code code = td_folder_remove(r->folder, &err);
    free(r);
    return code == TD_OK ? 0 : -1;
}

/* Dies at call n, or tells over the pipe. */
static void run_signer(const room *r, td_log_signer *signer, int n, int told)
{
    td_signer_reply reply;
    calls_left = n;
    td_signer_answer(signer, &r->request, &reply);
    calls_left = -1;
    (void)!__real_write(told, &reply, sizeof reply);
    _exit(0);
}

static void signer__killed_at_each_step(void **state)
{
    room *r = *state;
    bool finished = false, remembered_untold = false, forgotten = false;
    for (int n = 0; n < CALLS_MAX && !finished; n++) {
        int ends[2], status = 0;
        td_err err;
        td_signer_reply told = {.code = TD_BUSY}, after;
        td_log_signer *signer = open_fresh(r);
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            run_signer(r, signer, n, ends[1]);
        }
        close(ends[1]);
        bool heard = read(ends[0], &told, sizeof told) == (ssize_t)sizeof told;
        close(ends[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        finished = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        td_log_signer_close(&signer);
        assert_int_equal(td_log_signer_open(r->key, r->state, false, &signer, &err), TD_OK); /* never half a memory */
        int64_t size = td_log_signer_root(signer).size;
        assert_true(size == 5 || size == 9);
        assert_true(!heard || (told.code == TD_OK && size == 9));
        remembered_untold = remembered_untold || (!heard && size == 9);
        forgotten = forgotten || size == 5;
        td_signer_answer(signer, &r->forged, &after); /* another history of the same size */
        assert_true(after.code == TD_CONFLICT || after.code == TD_BUSY);
        assert_string_not_equal(after.text, "");
        r->request.last = td_log_signer_root(signer); /* the line was lost: look again, then sign */
        r->request.proof.count = size == 5 ? r->request.proof.count : 0;
        td_signer_answer(signer, &r->request, &after);
        assert_int_equal(after.code, TD_OK);
        make_request(r, -1, &r->request);
        td_log_signer_close(&signer);
    }
    assert_true(finished && remembered_untold && forgotten); /* both sides of the rename were met */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signer__killed_at_each_step, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
