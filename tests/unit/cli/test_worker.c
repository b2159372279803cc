/*
 * test_worker.c: what a step can do and what it cannot: environment, cage, deadline, log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/worker.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
/* cmocka wants the first ones */
#include <cmocka.h>

#include "core/base/fs.h"

static char folder[64], secret[96];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/td-worker-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(secret, sizeof secret, "%s.secret", folder);
    assert_int_equal(td_file_replace(secret, "the key\n", 8, 0600, NULL), TD_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unlink(secret);
    return td_folder_remove(folder, NULL) == TD_OK ? 0 : -1;
}

static td_job job_of(const char *script)
{
    return (td_job){.folder = folder,
                    .command = {"/bin/sh", "-c", script},
                    .environment = {"PATH=/usr/bin:/bin", "WORD=hello"},
                    .caged = td_cage_version() > 0,
                    .timeout_ms = 20000};
}

static td_job_result run(const td_job *job)
{
    td_job_result result = {0};
    td_err err = {0};
    if (td_job_run(job, NULL, NULL, &result, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    return result;
}

static void job__has_only_its_own_environment(void **state)
{
    (void)state;
    (void)setenv("TIDEMARK_TOKEN_FILE", "/secret", 1);
    td_job job = job_of("env; pwd");
    td_job_result result = run(&job);
    assert_int_equal(result.exit_code, 0);
    assert_non_null(strstr(td_str_text(&result.log), "WORD=hello"));
    assert_non_null(strstr(td_str_text(&result.log), folder));
    assert_null(strstr(td_str_text(&result.log), "TIDEMARK_TOKEN_FILE"));
    td_str_done(&result.log);
}

static void job__exit_code_and_output_come_back(void **state)
{
    (void)state;
    td_job job = job_of("echo out; echo err >&2; exit 7");
    td_job_result result = run(&job);
    assert_int_equal(result.exit_code, 7);
    assert_string_equal(td_str_text(&result.log), "out\nerr\n");
    td_str_done(&result.log);
}

static void job__log_keeps_the_end(void **state)
{
    (void)state;
    td_job job = job_of("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo the end");
    td_job_result result = run(&job);
    assert_int_equal(result.exit_code, 0);
    assert_true(result.log.size <= TD_JOB_LOG_MAX);
    assert_non_null(strstr(td_str_text(&result.log), "the end"));
    td_str_done(&result.log);
}

static void job__is_ended_at_its_deadline_with_its_children(void **state)
{
    (void)state;
    td_job job = job_of("(exec cat /dev/zero >/dev/null) & exec cat /dev/zero >/dev/null");
    job.timeout_ms = 300;
    td_job_result result = run(&job);
    assert_true(result.timed_out);
    assert_int_equal(result.exit_code, 128 + 15);
    td_str_done(&result.log);
}

static void job__is_not_outlived_by_what_left_its_group(void **state)
{
    (void)state;
    char path[128];
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_job job = job_of("setsid sh -c 'setsid sh -c \"echo \\$\\$ > pid; exec cat /dev/zero >/dev/null\" & "
                        "exec cat /dev/zero >/dev/null' & while [ ! -s pid ]; do :; done");
    td_job_result result = run(&job);
    assert_int_equal(result.exit_code, 0);
    td_str_done(&result.log);
    (void)snprintf(path, sizeof path, "%s/pid", folder);
    assert_int_equal(td_file_read(path, 64, &text, NULL), TD_OK);
    pid_t pid = (pid_t)strtol(td_str_text(&text), NULL, 10);
    assert_true(pid > 1);
    assert_int_equal(kill(pid, SIGKILL), -1); /* and no leftover if this fails */
    assert_int_equal(errno, ESRCH);
}

static void job__unknown_program_is_named(void **state)
{
    (void)state;
    td_job job = job_of("");
    job.command[0] = "/not/there";
    td_job_result result = run(&job);
    assert_int_equal(result.exit_code, 127);
    assert_non_null(strstr(td_str_text(&result.log), "/not/there"));
    td_str_done(&result.log);
}

static void cage__only_the_job_folder_and_inputs_can_be_reached(void **state)
{
    (void)state;
    char script[512];
    if (td_cage_version() == 0) {
        print_message("no Landlock in this kernel\n");
        skip();
    }
    (void)snprintf(
        script, sizeof script,
        "cat %s && echo READ; echo x > %s && echo WROTE; ls / >/dev/null && echo LISTED; ls /proc/1 && echo PROC; "
        "echo x > inside && cat inside",
        secret, secret);
    td_job job = job_of(script);
    td_job_result result = run(&job);
    const char *log = td_str_text(&result.log);
    if (strstr(log, "READ") != NULL || strstr(log, "WROTE") != NULL || strstr(log, "LISTED") != NULL ||
        strstr(log, "PROC") != NULL || strstr(log, "the key") != NULL) {
        fail_msg("the cage leaks: %s", log);
    }
    assert_int_equal(result.exit_code, 0); /* its own folder works */
    td_str_done(&result.log);
    job.readable[0] = secret; /* now a declared input */
    result = run(&job);
    assert_non_null(strstr(td_str_text(&result.log), "the key\nREAD"));
    assert_null(strstr(td_str_text(&result.log), "WROTE"));
    td_str_done(&result.log);
}

/* ---- sockets: this program runs itself as the step ---- */

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_in_range(length, 1, sizeof address.sun_path - 1);
    return address;
}

/* Says which doors open from in here. */
static void knock(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int pair[2], door = socket(AF_UNIX, SOCK_STREAM, 0);
    bool met = door >= 0 && connect(door, (const struct sockaddr *)&address, sizeof address) == 0;
    bool udp = socket(AF_INET, SOCK_DGRAM, 0) >= 0, ring = syscall(SYS_io_uring_setup, 0, NULL) < 0 && errno == ENOSYS;
    bool paired = socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0;
    (void)dprintf(STDOUT_FILENO, "unix=%d udp=%d ring=%d pair=%d\n", met, udp, !ring, paired);
    _exit(0);
}

static void expect_doors(bool network, const char *path, const char *expected)
{
    char self[256];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(length > 0);
    self[length] = '\0';
    td_job job = {.folder = folder,
                  .command = {self, "--knock", path},
                  .environment = {"PATH=/usr/bin:/bin", "ASAN_OPTIONS=detect_leaks=0"},
                  .caged = true,
                  .network = network,
                  .timeout_ms = 20000};
    td_job_result result = run(&job);
    assert_string_equal(td_str_text(&result.log), expected);
    td_str_done(&result.log);
}

static void cage__no_unix_socket_of_others_can_be_reached(void **state)
{
    (void)state;
    char path[128];
    if (td_cage_version() == 0) {
        print_message("no Landlock in this kernel\n");
        skip();
    }
    (void)snprintf(path, sizeof path, "%s.sock", folder);
    struct sockaddr_un address = address_of(path);
    TD_CLEANUP(td_close_fd) int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 8), 0);
    expect_doors(false, path, "unix=0 udp=0 ring=0 pair=1\n");
    expect_doors(true, path, "unix=0 udp=1 ring=0 pair=1\n");
    (void)unlink(path);
}

static td_code lose(void *context, td_err *err)
{
    *(int *)context += 1;
    return td_fail(err, TD_CONFLICT, "the lease is lost");
}

static void job__ends_when_its_lease_is_lost(void **state)
{
    (void)state;
    int ticks = 0;
    td_job_result result;
    td_err err = {0};
    td_job job = job_of("exec cat /dev/zero >/dev/null");
    assert_int_equal(td_job_run(&job, lose, &ticks, &result, &err), TD_CONFLICT);
    assert_int_equal(ticks, 1);
    assert_non_null(strstr(err.text, "lease"));
}

static void words__places_are_filled_in(void **state)
{
    (void)state;
    td_str out = {0};
    td_err err = {0};
    td_job job = {.folder = "/job"};
    json_t *step = json_pack("{s:s, s:[{s:s}], s:[{s:s, s:s}]}", "step", "train", "inputs", "name", "new.csv",
                             "outputs", "name", "model", "path", "out/model.onnx");
    assert_int_equal(td_job_expand(&job, step, "--data=${inputs.new.csv} ${outputs.model} ${job} $HOME ${", &out, &err),
                     TD_OK);
    assert_string_equal(td_str_text(&out), "--data=/job/inputs/new.csv /job/out/model.onnx /job $HOME ${");
    td_str_clear(&out);
    assert_int_equal(td_job_expand(&job, step, "${inputs.old.csv}", &out, &err), TD_INVALID);
    assert_non_null(strstr(err.text, "inputs.old.csv"));
    td_str_done(&out);
    json_decref(step);
}

/* A pipe would keep the worker waiting for ever. */
static void outputs__only_regular_files_are_sent(void **state)
{
    (void)state;
    char path[128];
    td_err err = {0};
    td_cli cli = {0};
    td_job job = {.folder = folder};
    json_t *sent = NULL, *metrics = NULL;
    json_t *step = json_pack("{s:[{s:s, s:s}]}", "outputs", "name", "model", "path", "pipe");
    (void)snprintf(path, sizeof path, "%s/pipe", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(td_job_outputs(&cli, &job, step, &sent, &metrics, &err), TD_INVALID);
    assert_non_null(strstr(err.text, "regular file"));
    json_decref(step);
    (void)unlink(path);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--knock") == 0) {
        knock(argv[2]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(job__has_only_its_own_environment),
        cmocka_unit_test(job__exit_code_and_output_come_back),
        cmocka_unit_test(job__log_keeps_the_end),
        cmocka_unit_test(job__is_ended_at_its_deadline_with_its_children),
        cmocka_unit_test(job__is_not_outlived_by_what_left_its_group),
        cmocka_unit_test(job__unknown_program_is_named),
        cmocka_unit_test(cage__only_the_job_folder_and_inputs_can_be_reached),
        cmocka_unit_test(cage__no_unix_socket_of_others_can_be_reached),
        cmocka_unit_test(job__ends_when_its_lease_is_lost),
        cmocka_unit_test(words__places_are_filled_in),
        cmocka_unit_test(outputs__only_regular_files_are_sent),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
