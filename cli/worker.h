/*
 * worker.h: one step of a pipeline on this machine: a job folder, a command in a cage, its outputs.
 *
 * The command gets a cleared environment, a process group of its own, and a Landlock ruleset that admits its job
 * folder, its declared inputs and the system's programs and libraries; no network unless the step asks for it. Whoever
 * may define commands (an admin) is trusted with what they compute, not with the worker's token or other jobs.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CLI_WORKER_H
#define TD_CLI_WORKER_H

#include "cli/cli.h"

#define TD_JOB_WORDS_MAX 256 /* of a command, and of an environment */
#define TD_JOB_PATHS_MAX 64
#define TD_JOB_LOG_MAX ((size_t)16384) /* the last bytes of its output that are kept */
#define TD_JOB_TIMEOUT_DEFAULT_MS ((int64_t)3600 * 1000)

typedef struct td_job {
    td_arena arena;
    const char *folder; /* absolute; the command's working directory */
    const char *command[TD_JOB_WORDS_MAX + 1];
    const char *environment[TD_JOB_WORDS_MAX + 1];
    const char *readable[TD_JOB_PATHS_MAX + 1]; /* files and folders that it may read */
    json_t
        *used; /* array of {"name","digest","size"}: files of this machine that it reads, as they were at the start */
    bool network;
    bool caged; /* false: no Landlock here, and the caller accepted that */
    int64_t timeout_ms;
} td_job;

typedef struct td_job_result {
    int exit_code; /* 128 + signal if it was killed */
    bool timed_out;
    int64_t duration_ms;
    td_str log;
} td_job_result;

/* Called about once a second while the command runs; anything but TD_OK ends it (a lost lease). */
typedef td_code (*td_job_tick)(void *context, td_err *err);

/* Builds folder, command, environment from a claimed step (docs/cli.md, "Worker"). Inputs by digest are fetched. */
TD_MUST_USE td_code td_job_prepare(td_cli *cli, const char *jobs, const json_t *step, td_job *out, td_err *err);
/* Runs it and ends all that it started. The calling process must have no other children: they would end, too.
 * result->log is the caller's to free. */
TD_MUST_USE td_code td_job_run(const td_job *job, td_job_tick tick, void *context, td_job_result *out, td_err *err);
/* Uploads declared outputs: an array of {"name","digest","size"}; *metrics_out: the parsed metrics output, or NULL.
 * Nothing outside the job folder is ever read: no symbolic links, no "..". INVALID: a required output is missing. */
TD_MUST_USE td_code td_job_outputs(td_cli *cli, const td_job *job, const json_t *step, json_t **out,
                                   json_t **metrics_out, td_err *err);
void td_job_done(td_job *job);
/* Replaces ${inputs.NAME}, ${outputs.NAME} and ${job} in text. `step` has lists "inputs" and "outputs". INVALID:
 * unknown name. */
TD_MUST_USE td_code td_job_expand(const td_job *job, const json_t *step, const char *text, td_str *out, td_err *err);

/* The kernel's Landlock version; 0: none. */
int td_cage_version(void);
/* No new sockets for the calling process (which has no_new_privs) and its children but, with `network`, those of the
 * Internet. Returns 0 or -1 with errno; ENOSYS: unknown machine. */
int td_cage_sockets(bool network);
/* Shuts the calling process (a child before exec) in: reads `job->readable` and the system's programs, writes its
 * folder. Returns 0 or -1 with errno; `what_out` names the step that failed. */
int td_cage_enter(const td_job *job, const char **what_out);

#endif
