/*
 * cmd_worker.c: tidemark worker: takes one step at a time from the server, runs it here, reports.
 *
 * It has a token and a folder, nothing else: no keys, no database. A step whose lease is lost is stopped and not
 * reported. SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"
#include "cli/worker.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access/access.h"
#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "core/crypto/crypto.h"

#define WAIT_MS 20000
#define RETRY_MS 2000
#define LEASE_MS 60000

static volatile sig_atomic_t asked_to_stop;

static void on_signal(int number)
{
    (void)number;
    asked_to_stop = 1;
}

typedef struct worker {
    td_cli *cli;
    const char *name, *jobs;
    bool caged, keep;
} worker;

typedef struct lease {
    const worker *worker;
    const char *path; /* of the renewal */
    int64_t attempt, renewed_ms;
} lease;

static td_code renew(void *context, td_err *err)
{
    lease *l = context;
    int64_t now_ms = td_clock_system.monotonic_ms(&td_clock_system);
    if (asked_to_stop) {
        return td_fail(err, TD_BUSY, "the worker was asked to stop");
    }
    if (now_ms - l->renewed_ms < LEASE_MS / 3) {
        return TD_OK;
    }
    TD_CLEANUP(td_json_done)
    json_t *body = json_pack("{s:s, s:I, s:i}", "worker", l->worker->name, "attempt", (json_int_t)l->attempt,
                             "lease_ms", LEASE_MS);
    td_code code = td_cli_call(l->worker->cli, "POST", l->path, body, NULL, err);
    if (code == TD_OK) {
        l->renewed_ms = now_ms;
    }
    return code == TD_IO || code == TD_BUSY ? TD_OK : code; /* the server may be restarting; the lease has some slack */
}

/* What a step made, and of what. */
typedef struct products {
    json_t *outputs, *metrics, *used;
} products;

static void products_done(products *made)
{
    td_json_done(&made->outputs);
    td_json_done(&made->metrics);
    td_json_done(&made->used);
}

static json_t *make_report(const worker *w, const td_job_result *result, const products *made)
{
    /* the log may hold any bytes: what is not UTF-8 is replaced */
    TD_CLEANUP(td_str_done) td_str log = {0};
    const char *text = td_str_text(&result->log);
    for (size_t i = 0; i < result->log.size; i++) {
        unsigned char c = (unsigned char)text[i];
        td_str_add_char(&log, c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7F) ? (char)c : '?');
    }
    if (result->timed_out) {
        td_str_add(&log, "\ntidemark worker: out of time, ended\n");
    }
    json_t *report =
        json_pack("{s:s, s:i, s:s, s:I}", "worker", w->name, "exit_code", result->timed_out ? 124 : result->exit_code,
                  "log", td_str_text(&log), "duration_ms", (json_int_t)result->duration_ms);
    const struct {
        const char *key;
        json_t *value;
    } parts[] = {{"outputs", made->outputs}, {"metrics", made->metrics}, {"inputs", made->used}};
    for (size_t i = 0; i < TD_COUNT_OF(parts); i++) {
        if (parts[i].value != NULL) {
            (void)json_object_set(report, parts[i].key, parts[i].value);
        }
    }
    return report;
}

/* Runs the prepared job and sends its outputs. What went wrong here becomes the step's log. */
static td_code work(const worker *w, const json_t *step, td_job_result *result, products *made, td_err *err)
{
    td_job job;
    td_cli *cli = w->cli;
    TD_TRY(td_job_prepare(cli, w->jobs, step, &job, err));
    job.caged = w->caged;
    made->used = job.used == NULL ? NULL : json_incref(job.used);
    lease l = {
        w,
        td_cli_path(cli, "runs", td_json_text(step, "run", ""), "steps", td_json_text(step, "step", ""), "renew", NULL),
        td_json_int(step, "attempt", 0), td_clock_system.monotonic_ms(&td_clock_system)};
    td_code code = td_job_run(&job, renew, &l, result, err);
    if (code == TD_OK && result->exit_code == 0 && !result->timed_out) {
        code = td_job_outputs(cli, &job, step, &made->outputs, &made->metrics, err);
    }
    if (!w->keep) {
        td_err ignored;
        (void)!td_folder_remove(job.folder, &ignored);
    }
    td_job_done(&job);
    return code;
}

static td_code report(const worker *w, const json_t *step, const td_job_result *result, const products *made,
                      td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *body = make_report(w, result, made);
    const char *path = td_cli_path(w->cli, "runs", td_json_text(step, "run", ""), "steps",
                                   td_json_text(step, "step", ""), "result", NULL);
    TD_TRY(td_cli_need(body, err));
    (void)json_object_set(body, "attempt", json_object_get(step, "attempt"));
    return td_cli_call(w->cli, "POST", path, body, NULL, err);
}

static td_code do_step(const worker *w, const json_t *step, td_err *err)
{
    TD_CLEANUP(products_done) products made = {0};
    td_job_result result = {.exit_code = 1};
    td_err problem = {0};
    const char *run = td_json_text(step, "run", "?"), *name = td_json_text(step, "step", "?");
    const char *own_project = w->cli->project;
    TD_TRY(td_project_name_check(td_json_text(step, "project", own_project), err));
    w->cli->project = td_json_text(step, "project", own_project); /* a worker serves all projects that its token may */
    td_log_info("worker", "%s: step %s begins", run, name);
    td_code code = work(w, step, &result, &made, &problem);
    if (asked_to_stop || code == TD_CONFLICT) { /* the lease is lost or given up: not ours to report */
        w->cli->project = own_project;
        td_str_done(&result.log);
        td_log_warn("worker", "%s: step %s was not finished: %s", run, name, problem.text);
        return TD_OK;
    }
    if (code != TD_OK) {
        td_str_addf(&result.log, "tidemark worker: %s\n", problem.text);
        result.exit_code = result.exit_code == 0 ? 1 : result.exit_code;
    }
    td_log_info("worker", "%s: step %s ended with %d after %lld ms%s%s", run, name, result.exit_code,
                (long long)result.duration_ms, code != TD_OK ? ": " : "", code != TD_OK ? problem.text : "");
    code = report(w, step, &result, &made, err);
    w->cli->project = own_project;
    td_str_done(&result.log);
    return code;
}

/* Takes a step or waits for one; *done_out: a step was done. */
static td_code take_one(const worker *w, int64_t wait_ms, bool *done_out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *step = NULL;
    TD_CLEANUP(td_json_done)
    json_t *body =
        json_pack("{s:s, s:i, s:I}", "worker", w->name, "lease_ms", LEASE_MS, "wait_ms", (json_int_t)wait_ms);
    TD_TRY(td_cli_need(body, err));
    TD_TRY(td_cli_call(w->cli, "POST", td_cli_path(w->cli, "worker", "claim", NULL), body, &step, err));
    *done_out = json_is_string(json_object_get(step, "step"));
    return *done_out ? do_step(w, step, err) : TD_OK;
}

/* Errors of the network are waited out; a refusal ends the worker. */
static td_code loop(const worker *w, bool once, td_err *err)
{
    while (!asked_to_stop) {
        bool done = false;
        td_code code = take_one(w, once ? 0 : WAIT_MS, &done, err);
        if (code != TD_OK && !asked_to_stop) {
            if (once || !td_code_lookup(code)->retry) {
                return code;
            }
            td_log_warn("worker", "%s", err->text);
            (void)poll(NULL, 0, RETRY_MS);
        }
        if (once) {
            break;
        }
        td_arena_done(&w->cli->arena); /* nothing of a step outlives it */
    }
    return TD_OK;
}

/* Without Landlock a step could read whatever this user may read. */
static td_code check_cage(td_cli *cli, bool *caged_out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *status = NULL;
    *caged_out = td_cage_version() > 0;
    if (*caged_out) {
        return TD_OK;
    }
    TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "status", NULL), NULL, &status, err));
    if (strcmp(td_json_text(status, "profile", ""), "demo") != 0) {
        return td_fail(err, TD_DENIED,
                       "this kernel has no Landlock, so steps could not be shut in; outside profile demo the "
                       "worker does not run without it (Linux 5.13 or newer, lsm=landlock)");
    }
    td_log_warn("worker", "this kernel has no Landlock: steps run without a cage, as profile demo permits");
    return TD_OK;
}

static td_code find_jobs(td_cli *cli, const char **out, td_err *err)
{
    const char *folder = td_cli_value(cli, "jobs");
    char absolute[4096];
    if (folder == NULL) {
        folder = td_cli_text(cli, "/var/tmp/tidemark-worker-%u", (unsigned)getuid());
    }
    TD_TRY(td_folder_make(folder, 0700, err));
    if (realpath(folder, absolute) == NULL) {
        return td_fail(err, TD_IO, "%s: not a folder", folder);
    }
    *out = absolute[0] == '/' ? strdup(absolute) : NULL; /* for the life of the program */
    return *out != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the worker");
}

static void catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGINT, &stop, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static td_code run_worker(td_cli *cli, td_err *err)
{
    char host[65] = "worker";
    worker w = {.cli = cli, .keep = td_cli_has(cli, "keep")};
    td_log_setup(TD_LOG_INFO, false);
    TD_TRY(td_crypto_setup(err));
    TD_TRY(find_jobs(cli, &w.jobs, err));
    (void)gethostname(host, sizeof host - 1);
    char name[65];
    (void)snprintf(name, sizeof name, "%.40s-%d", host, (int)getpid());
    w.name = td_cli_value(cli, "name") != NULL ? td_cli_value(cli, "name") : name;
    catch_signals();
    td_code code = check_cage(cli, &w.caged, err);
    if (code == TD_OK) {
        td_log_info("worker", "%s is ready; jobs in %s", w.name, w.jobs);
        code = loop(&w, td_cli_has(cli, "once"), err);
    }
    free((char *)w.jobs);
    return code;
}

static const td_cli_option options[] = {
    {"jobs", 0, "DIR", "folder for the jobs (default /var/tmp/tidemark-worker-UID)", false},
    {"name", 0, "NAME", "how the worker is called (default: host and process)", false},
    {"once", 0, NULL, "take at most one step, do not wait for one, and end", false},
    {"keep", 0, NULL, "keep the job folders", false},
    {0},
};

const td_cli_command td_cli_worker_commands[] = {
    {"worker", NULL, "", 0, 0, "Run the steps of retraining pipelines",
     "Steps run in a folder of their own with a cleared environment, in a process group of their own, under a Landlock "
     "ruleset: "
     "they read the system's programs and their declared inputs, write their job folder, and reach no network unless "
     "the step "
     "says so. Run it as a user of its own, away from the server's keys and database.",
     "tidemark worker --as worker\ntidemark worker --server https://registry.example:7070 --token-file token", options,
     run_worker},
    {0},
};
