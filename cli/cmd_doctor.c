/*
 * cmd_doctor.c: tidemark doctor and store verify: what is wrong on this machine, and what to do about it.
 *
 * Both look at the workspace's files and run beside the server. The doctor changes nothing; store verify moves damaged
 * files aside, as the server does when it meets one.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include "core/crypto/crypto.h"
#include "registry/content.h"
#include "server/doctor.h"
#include "server/workspace.h"

#include <string.h>

/* ---- doctor ---- */

typedef struct round {
    td_cli *cli;
    json_t *findings; /* NULL: printed at once */
    int bad, all;
} round;

static void note(void *context, const td_finding *finding)
{
    static const td_tint tints[] = {TD_TINT_GOOD, TD_TINT_WARN, TD_TINT_BAD};
    round *visit = context;
    td_cli *cli = visit->cli;
    const char *state = td_finding_state_name(finding->state);
    visit->all++;
    visit->bad += finding->state == TD_FINDING_BAD;
    if (visit->findings) {
        (void)json_array_append_new(visit->findings, json_pack("{s:s, s:s, s:s, s:s}", "check", finding->check, "state",
                                                               state, "found", finding->found, "advice",
                                                               finding->advice));
        return;
    }
    td_print_line(cli, "%s%-8s%s %-13s %s", td_tint_code(cli, tints[finding->state]), state,
                  td_tint_code(cli, TD_TINT_NONE), finding->check, finding->found);
    if (*finding->advice) {
        td_print_line(cli, "%-22s → %s", "", finding->advice);
    }
}

static td_code run_doctor(td_cli *cli, td_err *err)
{
    int64_t free_mib;
    TD_TRY(td_cli_int(cli, "free", 1, INT64_C(1) << 40, TD_DOCTOR_FREE_MIN >> 20, &free_mib, err));
    TD_TRY(td_crypto_setup(err));
    TD_CLEANUP(td_json_done) json_t *status = NULL;
    TD_CLEANUP(td_json_done) json_t *findings = cli->json ? json_array() : NULL;
    td_err why = {0};
    td_cli_prefer_socket(cli);
    if (td_cli_call(cli, "GET", td_cli_path(cli, "status", NULL), NULL, &status, &why) != TD_OK) {
        status = NULL;
    }
    const td_doctor_options options = {
        .workspace = cli->workspace, .clock = &td_clock_system, .free_min = free_mib << 20, .status = status,
        .why = why.text};
    round visit = {.cli = cli, .findings = findings};
    td_doctor_examine(&options, note, &visit);
    if (findings) {
        TD_CLEANUP(td_json_done)
        json_t *answer = json_pack("{s:b, s:O}", "well", visit.bad == 0, "findings", findings);
        TD_TRY(td_cli_need(answer, err));
        td_print_json(cli, answer);
    }
    return visit.bad == 0 ? TD_OK
                          : td_fail(err, TD_CONFLICT, "%d of %d findings are bad; each says what to do", visit.bad,
                                    visit.all);
}

/* ---- store verify ---- */

typedef struct store_round {
    td_cli *cli;
    json_t *problems;
} store_round;

static void note_problem(void *context, const char *path, const char *problem)
{
    store_round *visit = context;
    (void)json_array_append_new(visit->problems, json_pack("{s:s, s:s}", "path", path, "problem", problem));
    if (!visit->cli->json) {
        td_print_line(visit->cli, "%s: %s", path, problem);
    }
}

static void note_shard(void *context, unsigned shard, const td_content_report *so_far)
{
    const store_round *visit = context;
    char bytes[24];
    td_format_bytes(so_far->bytes, bytes);
    if (visit->cli->progress) {
        (void)fprintf(stderr, "\r%3u %%  %s read, %llu damaged; interrupted, go on with --from %02x ",
                      shard * 100 / TD_CONTENT_SHARDS, bytes, (unsigned long long)so_far->damaged, shard);
    }
}

static td_code first_shard(const td_cli *cli, unsigned *out, td_err *err)
{
    const char *text = td_cli_value(cli, "from");
    uint8_t shard = 0;
    if (text && (strlen(text) != 2 || td_hex_decode(text, 2, &shard, 1, NULL) != TD_OK)) {
        return td_fail(err, TD_INVALID, "--from takes the first two digits of a digest, 00 to ff, not \"%.20s\"", text);
    }
    *out = shard;
    return TD_OK;
}

static td_code print_report(td_cli *cli, const td_content_report *report, json_t *problems, td_err *err)
{
    char bytes[24];
    td_format_bytes(report->bytes, bytes);
    if (cli->json) {
        TD_CLEANUP(td_json_done)
        json_t *answer = json_pack("{s:I, s:I, s:I, s:I, s:O}", "objects", (json_int_t)report->objects, "bytes",
                                   (json_int_t)report->bytes, "damaged", (json_int_t)report->damaged, "foreign",
                                   (json_int_t)report->foreign, "problems", problems);
        TD_TRY(td_cli_need(answer, err));
        td_print_json(cli, answer);
    } else {
        td_print_line(cli, "%llu files, %s, %llu damaged.", (unsigned long long)report->objects, bytes,
                      (unsigned long long)report->damaged);
    }
    return report->damaged == 0
               ? TD_OK
               : td_fail(err, TD_CORRUPT, "%llu file(s) are damaged and were moved to content/damaged; upload the good "
                                          "bytes again to heal them",
                         (unsigned long long)report->damaged);
}

static td_code run_verify(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *problems = json_array();
    store_round visit = {.cli = cli, .problems = problems};
    td_content_watch watch = {.context = &visit, .found = note_problem, .shard = note_shard};
    td_content_report report;
    td_content *content = NULL;
    char path[4096];
    TD_TRY(td_cli_need(problems, err));
    TD_TRY(first_shard(cli, &watch.first, err));
    TD_TRY(td_crypto_setup(err));
    TD_TRY(td_workspace_file(cli->workspace, "content", path, err));
    TD_TRY(td_content_attach(path, &content, err));
    td_code code = td_content_verify_all(content, &watch, &report, err);
    td_content_close(content);
    if (cli->progress) {
        (void)fprintf(stderr, "\r%78s\r", "");
    }
    return code == TD_OK ? print_report(cli, &report, problems, err) : code;
}

static const td_cli_option doctor_options[] = {
    {"free", 0, "MIB", "room that the disk should have (default 1024)", false},
    {0},
};
static const td_cli_option verify_options[] = {
    {"from", 0, "XX", "begin with digests that begin with XX: where an earlier one was interrupted", false},
    {0},
};

const td_cli_command td_cli_doctor_commands[] = {
    {"doctor", NULL, "", 0, 0, "Examine the workspace on this machine and say what to do",
     "Looks at the workspace, its configuration, the database, the server, the broker, the clock, certificates, the "
     "disk, the log's signer and the files of versions. Changes nothing, and needs no server. Ends with 0 unless "
     "something is bad; warnings alone are 0.",
     "tidemark doctor --workspace /var/lib/tidemark", doctor_options, run_doctor},
    {"store", "verify", "", 0, 0, "Read every stored file again and compare it with its digest",
     "Runs beside the server. A damaged file is named, moved to content/damaged and served no more; uploading the good "
     "bytes again heals it.",
     "tidemark store verify --workspace /var/lib/tidemark", verify_options, run_verify},
    {0},
};
