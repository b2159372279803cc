/*
 * test_slot_files.c: versions as folders: written whole, switched atomically, and never lost to a power cut at any
 * step.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/slot_files.h"

#include "tests/unit/linux/folder.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CUT 77 /* exit code of a child whose power was cut */

static const tde_object model = {TDE_OBJECT_FILE, "model/pump.onnx"};
static const tde_object envelope = {TDE_OBJECT_ENVELOPE, ""};
static const tde_object table = {TDE_OBJECT_TABLE, "model/pump.onnx"};

static tde_place place_of(const uint8_t *digest)
{
    return (tde_place){.slot = "pump", .digest = digest};
}

static void digest_of(const char *text, uint8_t digest[TD_DIGEST_SIZE])
{
    td_sha256_of(text, strlen(text), digest);
}

/* Everything that the core does to bring a version in. */
static int install(const tde_slots_port *port, const uint8_t *digest, const char *content)
{
    tde_place place = place_of(digest);
    size_t size = strlen(content), half = size / 2;
    int result = port->begin(port->context, &place, size);
    result = result != 0 ? result : port->write(port->context, &place, &envelope, 0, "signed", 6);
    result = result != 0 ? result : port->write(port->context, &place, &table, 0, "table", 5);
    result = result != 0 ? result : port->write(port->context, &place, &model, 0, content, half);
    result = result != 0 ? result : port->write(port->context, &place, &model, half, content + half, size - half);
    result = result != 0 ? result : port->sync(port->context, &place, &model);
    result = result != 0 ? result : port->commit(port->context, &place);
    return result != 0 ? result : port->activate(port->context, &place);
}

static void expect_text(const char *folder, const char *name, const char *expected)
{
    td_err err;
    char path[4096];
    TD_CLEANUP(td_str_done) td_str text = {0};
    assert_int_equal(td_path_join(path, folder, name, &err), TD_OK);
    assert_int_equal(td_file_read(path, 1000, &text, &err), TD_OK);
    assert_string_equal(td_str_text(&text), expected);
}

static void slots__installed_version_is_current(void **state)
{
    td_err err;
    td_slot_files files;
    uint8_t one[TD_DIGEST_SIZE], now[TD_DIGEST_SIZE];
    digest_of("one", one);
    assert_int_equal(td_slot_files_open(&files, *state, &err), TD_OK);
    tde_slots_port port = td_slot_files_port(&files);
    assert_int_equal(port.current(port.context, "pump", now), 0);
    assert_int_equal(install(&port, one, "weights of one"), 0);
    assert_int_equal(port.current(port.context, "pump", now), 1);
    assert_memory_equal(now, one, sizeof now);
    expect_text(*state, "slots/pump/current/model/pump.onnx", "weights of one");
    td_slot_files_close(&files);
}

static void slots__objects_are_read_back_and_tables_go(void **state)
{
    td_err err;
    td_slot_files files;
    uint64_t size = 0;
    char text[16] = "";
    uint8_t one[TD_DIGEST_SIZE];
    digest_of("one", one);
    tde_place place = place_of(one);
    assert_int_equal(td_slot_files_open(&files, *state, &err), TD_OK);
    tde_slots_port port = td_slot_files_port(&files);
    assert_int_equal(install(&port, one, "weights"), 0);
    assert_int_equal(port.size(port.context, &place, &model, &size), 0);
    assert_int_equal(size, 7);
    assert_int_equal(port.read(port.context, &place, &model, 2, text, 5), 0);
    assert_string_equal(text, "ights");
    assert_int_equal(port.read(port.context, &place, &model, 3, text, 5), TDE_NOT_FOUND); /* past the end */
    assert_int_equal(port.read(port.context, &place, &envelope, 0, text, 6), 0);
    assert_memory_equal(text, "signed", 6);
    assert_int_equal(port.size(port.context, &place, &table, &size), TDE_NOT_FOUND);
    td_slot_files_close(&files);
}

static void slots__names_that_lead_out_are_refused(void **state)
{
    td_err err;
    td_slot_files files;
    static const char *const names[] = {"../x", "/etc/x", "a//b", "a/../b", "", "a/./b", "x\ny"};
    uint8_t one[TD_DIGEST_SIZE];
    digest_of("one", one);
    tde_place place = place_of(one);
    assert_int_equal(td_slot_files_open(&files, *state, &err), TD_OK);
    tde_slots_port port = td_slot_files_port(&files);
    assert_int_equal(port.begin(port.context, &place, 1), 0);
    for (size_t i = 0; i < TD_COUNT_OF(names); i++) {
        tde_object object = {TDE_OBJECT_FILE, names[i]};
        assert_int_equal(port.write(port.context, &place, &object, 0, "x", 1), TDE_INVALID);
    }
    tde_place outside = {.slot = "../pump", .digest = one};
    assert_int_equal(port.begin(port.context, &outside, 1), TDE_INVALID);
    outside.slot = ".meta";
    assert_int_equal(port.begin(port.context, &outside, 1), TDE_INVALID);
    td_slot_files_close(&files);
}

static void slots__more_than_the_disk_holds_is_no_space(void **state)
{
    td_err err;
    td_slot_files files;
    uint8_t one[TD_DIGEST_SIZE];
    digest_of("one", one);
    tde_place place = place_of(one);
    assert_int_equal(td_slot_files_open(&files, *state, &err), TD_OK);
    tde_slots_port port = td_slot_files_port(&files);
    uint64_t room = port.room(port.context);
    assert_true(room > 0);
    assert_int_equal(port.begin(port.context, &place, room + (UINT64_C(1) << 40)), TDE_NO_SPACE);
    td_slot_files_close(&files);
}

static void slots__reuse_copies_a_file_of_the_same_digest(void **state)
{
    td_err err;
    td_slot_files files;
    uint8_t one[TD_DIGEST_SIZE], two[TD_DIGEST_SIZE], content[TD_DIGEST_SIZE];
    char text[16] = "";
    digest_of("one", one);
    digest_of("two", two);
    digest_of("weights", content);
    assert_int_equal(td_slot_files_open(&files, *state, &err), TD_OK);
    tde_slots_port port = td_slot_files_port(&files);
    assert_int_equal(install(&port, one, "weights"), 0);
    tde_place place = place_of(two);
    assert_int_equal(port.begin(port.context, &place, 7), 0);
    assert_int_equal(port.reuse(port.context, &place, &model, two, 7), 0); /* nothing has that digest */
    assert_int_equal(port.reuse(port.context, &place, &model, content, 8), 0);
    assert_int_equal(port.reuse(port.context, &place, &model, content, 7), 1);
    assert_int_equal(port.read(port.context, &place, &model, 0, text, 7), 0);
    assert_string_equal(text, "weights");
    /* A copy: writing it must not change the version that runs. */
    assert_int_equal(port.write(port.context, &place, &model, 0, "X", 1), 0);
    expect_text(*state, "slots/pump/current/model/pump.onnx", "weights");
    td_slot_files_close(&files);
}

static void slots__keep_removes_only_what_is_not_named(void **state)
{
    td_err err;
    td_slot_files files;
    uint64_t size;
    uint8_t digests[3][TD_DIGEST_SIZE];
    assert_int_equal(td_slot_files_open(&files, *state, &err), TD_OK);
    tde_slots_port port = td_slot_files_port(&files);
    for (int i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "v%d", i);
        digest_of(name, digests[i]);
        assert_int_equal(install(&port, digests[i], name), 0);
    }
    assert_int_equal(port.keep(port.context, "pump", (const uint8_t(*)[TD_DIGEST_SIZE])(digests + 1), 2), 0);
    tde_place gone = place_of(digests[0]), there = place_of(digests[1]);
    assert_int_equal(port.size(port.context, &gone, &model, &size), TDE_NOT_FOUND);
    assert_int_equal(port.size(port.context, &there, &model, &size), 0);
    expect_text(*state, "slots/pump/current/model/pump.onnx", "v2");
    assert_int_equal(port.keep(port.context, "never-seen", NULL, 0), 0);
    td_slot_files_close(&files);
}

static void slots__nothing_runs_after_a_null_digest(void **state)
{
    td_err err;
    td_slot_files files;
    uint8_t one[TD_DIGEST_SIZE], now[TD_DIGEST_SIZE];
    digest_of("one", one);
    assert_int_equal(td_slot_files_open(&files, *state, &err), TD_OK);
    tde_slots_port port = td_slot_files_port(&files);
    tde_place none = place_of(NULL), one_place = place_of(one);
    assert_int_equal(port.activate(port.context, &none), 0);
    assert_int_equal(install(&port, one, "one"), 0);
    assert_int_equal(port.activate(port.context, &one_place), 0); /* idempotent */
    assert_int_equal(port.activate(port.context, &none), 0);
    assert_int_equal(port.activate(port.context, &none), 0);
    assert_int_equal(port.current(port.context, "pump", now), 0);
    td_slot_files_close(&files);
}

/* ---- Power cuts ---------------------------------------------------------------------------------------------------
 */

static void cut_here(void *context, const char *what)
{
    int *left = context;
    (void)what;
    if ((*left)-- == 0) {
        _exit(CUT);
    }
}

/* In a child: installs version two over one, cut at the given step. True: it was cut. */
static bool install_and_cut(const char *folder, int step)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        td_err err;
        td_slot_files files;
        uint8_t two[TD_DIGEST_SIZE];
        digest_of("two", two);
        if (td_slot_files_open(&files, folder, &err) != TD_OK) {
            _exit(1);
        }
        files.step = cut_here;
        files.step_context = &step;
        tde_slots_port port = td_slot_files_port(&files);
        int result = install(&port, two, "weights of two");
        if (result == 0) {
            result = port.keep(port.context, "pump", (const uint8_t(*)[TD_DIGEST_SIZE])two, 1);
        }
        _exit(result == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == CUT);
    return WEXITSTATUS(status) == CUT;
}

/* Always the old or the new version as a whole; then the install goes through. */
static void check_after_cut(const char *folder)
{
    td_err err;
    td_slot_files files;
    uint8_t one[TD_DIGEST_SIZE], two[TD_DIGEST_SIZE], now[TD_DIGEST_SIZE];
    digest_of("one", one);
    digest_of("two", two);
    assert_int_equal(td_slot_files_open(&files, folder, &err), TD_OK);
    tde_slots_port port = td_slot_files_port(&files);
    assert_int_equal(port.current(port.context, "pump", now), 1);
    bool is_two = memcmp(now, two, sizeof now) == 0;
    assert_true(is_two || memcmp(now, one, sizeof now) == 0);
    expect_text(folder, "slots/pump/current/model/pump.onnx", is_two ? "weights of two" : "weights of one");
    assert_int_equal(install(&port, two, "weights of two"), 0);
    expect_text(folder, "slots/pump/current/model/pump.onnx", "weights of two");
    td_slot_files_close(&files);
}

static void slots__a_power_cut_at_any_step_leaves_old_or_new(void **state)
{
    int step = 0;
    for (bool cut = true; cut; step++) {
        td_err err;
        char folder[4096];
        td_slot_files files;
        uint8_t one[TD_DIGEST_SIZE];
        digest_of("one", one);
        snprintf(folder, sizeof folder, "%s/%d", (char *)*state, step);
        assert_int_equal(td_slot_files_open(&files, folder, &err), TD_OK);
        tde_slots_port port = td_slot_files_port(&files);
        assert_int_equal(install(&port, one, "weights of one"), 0);
        td_slot_files_close(&files);
        cut = install_and_cut(folder, step);
        check_after_cut(folder);
    }
    assert_true(step > 15); /* the loop really went through the steps */
}

int main(void)
{
    td_err err;
    const struct CMUnitTest tests[] = {
        folder_test(slots__installed_version_is_current),
        folder_test(slots__objects_are_read_back_and_tables_go),
        folder_test(slots__names_that_lead_out_are_refused),
        folder_test(slots__more_than_the_disk_holds_is_no_space),
        folder_test(slots__reuse_copies_a_file_of_the_same_digest),
        folder_test(slots__keep_removes_only_what_is_not_named),
        folder_test(slots__nothing_runs_after_a_null_digest),
        folder_test(slots__a_power_cut_at_any_step_leaves_old_or_new),
    };
    return td_crypto_setup(&err) == TD_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
