/*
 * main.c: tidemark-agent: run, status, enrol. Enrolment is a program of its own beside this one, so that the agent that
 * stays in memory never loads an HTTP client.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/log.h"
#include "core/base/str.h"
#include "core/crypto/crypto.h"
#include "firmware/linux/agent.h"
#include "firmware/linux/status.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_USAGE 2

static const char help[] = "tidemark-agent: receives models, installs them safely, and says how they do.\n"
                           "\n"
                           "usage:\n"
                           "  tidemark-agent enrol --server URL --code CODE --id DEVICE --state DIR\n"
                           "  tidemark-agent run --state DIR [options]\n"
                           "  tidemark-agent status --state DIR [--json]\n"
                           "\n"
                           "enrol   once a device: makes its key here and gets its certificate\n"
                           "        (tidemark-agent enrol --help)\n"
                           "run     the agent itself; stays in the foreground, logs to stderr;\n"
                           "        SIGTERM stops it, SIGHUP makes it report itself again\n"
                           "status  what the running agent says of itself\n"
                           "\n"
                           "options of run:\n"
                           "  --state DIR        the device's folder: identity, models, outbox\n"
                           "  --hardware NAME    what a version may require; default: as enrolled\n"
                           "  --runtime NAME     what can run models here, may be repeated (onnx,\n"
                           "                     tflite); default: as enrolled\n"
                           "  --app-group GROUP  Unix group whose programs may use the socket\n"
                           "                     DIR/run/agent.sock; default: only this user\n"
                           "  --contact SECONDS  be heard at least this often, 10 to 86400;\n"
                           "                     default 300; a directive may change it\n"
                           "  --outbox MIB       room for windows while offline, 1 to 1024;\n"
                           "                     default 4, fixed when the state is first made\n"
                           "  --log LEVEL        debug, info, warn or error; default info\n"
                           "  --log-json         one JSON object a line\n"
                           "  --help, --version\n";

typedef struct run_flags {
    td_agent_options agent;
    td_str runtimes;
    td_log_level level;
    bool log_json, json;
} run_flags;

static void flags_done(run_flags *flags)
{
    td_str_done(&flags->runtimes);
}

static td_code parse_level(const char *text, td_log_level *out, td_err *err)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; i < TD_COUNT_OF(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (td_log_level)i;
            return TD_OK;
        }
    }
    return td_fail(err, TD_INVALID, "--log %s: expected debug, info, warn or error", text);
}

static td_code parse_number(const char *name, const char *text, int64_t minimum, int64_t maximum, uint32_t *out,
                            td_err *err)
{
    int64_t value;
    TD_TRY(td_parse_int(text, name, minimum, maximum, &value, err));
    *out = (uint32_t)value;
    return TD_OK;
}

static td_code set_option(run_flags *flags, const char *name, const char *value, td_err *err)
{
    if (strcmp(name, "--state") == 0) {
        flags->agent.state = value;
    } else if (strcmp(name, "--hardware") == 0) {
        flags->agent.hardware = value;
    } else if (strcmp(name, "--runtime") == 0) {
        td_str_addf(&flags->runtimes, "%s%s", flags->runtimes.size > 0 ? "," : "", value);
        flags->agent.runtimes = td_str_text(&flags->runtimes);
    } else if (strcmp(name, "--app-group") == 0) {
        flags->agent.group = value;
    } else if (strcmp(name, "--contact") == 0) {
        return parse_number(name, value, 10, 86400, &flags->agent.contact_s, err);
    } else if (strcmp(name, "--outbox") == 0) {
        return parse_number(name, value, 1, TD_AGENT_OUTBOX_MIB_MAX, &flags->agent.outbox_mib, err);
    } else if (strcmp(name, "--log") == 0) {
        return parse_level(value, &flags->level, err);
    } else {
        static const char *const known[] = {"--state",   "--hardware", "--runtime", "--app-group",
                                            "--contact", "--outbox",   "--log",     "--log-json",
                                            "--json",    "--help",     "--version", NULL};
        const char *near = td_nearest(name, known);
        return td_fail(err, TD_INVALID, "unknown option %s%s%s%s", name, near != NULL ? "; did you mean " : "",
                       near != NULL ? near : "", near != NULL ? "?" : "");
    }
    return TD_OK;
}

static td_code parse_flags(run_flags *flags, char **argv, td_err *err)
{
    for (char **at = argv; *at != NULL; at++) {
        if (strcmp(*at, "--log-json") == 0) {
            flags->log_json = true;
        } else if (strcmp(*at, "--json") == 0) {
            flags->json = true;
        } else if (at[1] == NULL && strncmp(*at, "--", 2) == 0) {
            td_err unknown;
            TD_TRY(set_option(flags, *at, "", &unknown) == TD_OK || unknown.text[0] != 'u'
                       ? td_fail(err, TD_INVALID, "%s needs a value", *at)
                       : td_fail(err, TD_INVALID, "%s", unknown.text));
        } else {
            TD_TRY(set_option(flags, at[0], at[1] != NULL ? at[1] : "", err));
            at++;
        }
    }
    if (flags->agent.state == NULL || flags->agent.state[0] == 0) {
        return td_fail(err, TD_INVALID, "--state DIR is missing: the folder that tidemark-agent enrol made");
    }
    return td_str_check(&flags->runtimes, err);
}

/* A small process stays small: one heap for all threads, given back early. */
static void tune_memory(void)
{
    (void)mallopt(M_ARENA_MAX, 1);
    (void)mallopt(M_TRIM_THRESHOLD, 128 * 1024);
    (void)mallopt(M_MMAP_THRESHOLD, 64 * 1024);
}

static td_code run(const run_flags *flags, td_err *err)
{
    td_log_setup(flags->level, flags->log_json);
    tune_memory();
    TD_TRY(td_crypto_setup(err));
    return td_agent_run(&flags->agent, err);
}

/* Becomes tidemark-agent-enrol in the folder of this program. Returns only if that fails. */
static int exec_enrol(char **argv)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 32);
    if (length < 0) {
        perror("tidemark-agent: /proc/self/exe");
        return 9;
    }
    path[length] = 0;
    char *name = strrchr(path, '/');
    snprintf(name + 1, sizeof path - (size_t)(name + 1 - path), "%s", "tidemark-agent-enrol");
    argv[0] = path;
    execv(path, argv);
    fprintf(stderr, "tidemark-agent: %s: %s; it belongs beside tidemark-agent\n", path, strerror(errno));
    return 9;
}

static int finish(td_code code, const td_err *err)
{
    if (code == TD_OK) {
        return 0;
    }
    fprintf(stderr, "tidemark-agent: %s\n", err->text);
    return td_code_lookup(code)->exit_code;
}

int main(int argc, char **argv)
{
    td_err err = {0};
    const char *verb = argc > 1 ? argv[1] : "--help";
    for (int i = 1; i < argc && strcmp(verb, "enrol") != 0; i++) {
        verb = strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--version") == 0 ? argv[i] : verb;
    }
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "help") == 0) {
        fputs(help, argc > 1 ? stdout : stderr);
        return argc > 1 ? 0 : EXIT_USAGE;
    }
    if (strcmp(verb, "--version") == 0) {
        puts("tidemark-agent " TD_VERSION);
        return 0;
    }
    if (strcmp(verb, "enrol") == 0) {
        return exec_enrol(argv + 1);
    }
    TD_CLEANUP(flags_done) run_flags flags = {.level = TD_LOG_INFO};
    if (strcmp(verb, "run") != 0 && strcmp(verb, "status") != 0) {
        static const char *const verbs[] = {"run", "status", "enrol", NULL};
        const char *near = td_nearest(verb, verbs);
        return finish(td_fail(&err, TD_INVALID, "unknown command \"%s\"; did you mean %s? (tidemark-agent --help)",
                              verb, near != NULL ? near : "run"),
                      &err);
    }
    td_code code = parse_flags(&flags, argv + 2, &err);
    if (code == TD_OK) {
        code = strcmp(verb, "run") == 0 ? run(&flags, &err) : td_status_print(flags.agent.state, flags.json, &err);
    }
    return finish(code, &err);
}
