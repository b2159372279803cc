/*
 * usecase_submit.c: a draft is packed (card, lineage, manifest, bundle) and frozen.
 *
 * Packing happens on the caller's thread and changes nothing but content; the closure then checks that what was packed
 * is still what the version holds.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "lineage/lineage.h"
#include "monitor/baseline.h"
#include "monitor/windows.h"
#include "server/usecase_claim.h"

#include <stdio.h>
#include <string.h>

#define BASELINE_BYTES_MAX ((size_t)4 * 1024 * 1024)

typedef struct pending_submission {
    const td_case *work;
    td_version version;
    const char *reason;
    td_str manifest;
    td_packed packed;
    td_str baseline; /* bytes, or empty */
    bool has_baseline;
    td_own_claims own; /* what the server says of it, if a pipeline made it */
} pending_submission;

static void submission_done(pending_submission *submission)
{
    td_str_done(&submission->manifest);
    td_str_done(&submission->baseline);
    td_own_claims_done(&submission->own);
}

static td_code put_text(const td_case *work, const td_str *text, const char *name, td_version_file *out, td_err *err)
{
    TD_TRY(td_str_check(text, err));
    *out = (td_version_file){.name = name, .size = text->size, .role = TD_FILE_META};
    return td_content_put_bytes(work->server->content, text->data, text->size, out->digest, err);
}

static td_code make_lineage(const td_case *work, const td_version *version, td_version_file *out, td_err *err)
{
    char node[TD_LINEAGE_NAME_MAX];
    snprintf(node, sizeof node, "version:%s", version->label);
    TD_CLEANUP(td_json_done) json_t *graph = NULL;
    TD_TRY(td_lineage_show_json(work->db, work->project, node, TD_LINEAGE_UP, 0, &graph, err));
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_json_write(graph, &text, err));
    td_str_add_char(&text, '\n');
    return put_text(work, &text, "meta/lineage.json", out, err);
}

static td_code make_card(pending_submission *submission, td_version_file *out, td_err *err)
{
    const td_case *work = submission->work;
    TD_CLEANUP(td_json_done) json_t *facts = NULL;
    TD_CLEANUP(td_json_done) json_t *baseline = NULL;
    TD_TRY(td_version_json(work->db, work->project, submission->version.label, &facts, err));
    if (submission->has_baseline) {
        TD_TRY(td_baseline_json(submission->baseline.data, submission->baseline.size, &baseline, err));
    }
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_card_text(facts, baseline, &text, err));
    return put_text(work, &text, "meta/card.md", out, err);
}

td_code td_case_baseline(const td_case *work, int64_t version_id, td_str *out, bool *there_out, td_err *err)
{
    td_version_file *files;
    size_t count;
    *there_out = false;
    TD_TRY(td_version_files(work->db, version_id, work->arena, &files, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (files[i].role == TD_FILE_BASELINE) {
            TD_TRY(td_content_read(work->server->content, files[i].digest, BASELINE_BYTES_MAX, out, err));
            *there_out = true;
            return TD_OK;
        }
    }
    return TD_OK;
}

static td_code pack(pending_submission *submission, td_err *err)
{
    const td_case *work = submission->work;
    if (submission->version.state != TD_VERSION_DRAFT) {
        return td_states_check(&td_version_states, submission->version.label, (int)submission->version.state,
                               TD_VERSION_PENDING, err);
    }
    td_version_file extras[2];
    TD_TRY(td_look_before_packing(work, &submission->version, err));
    TD_TRY(td_case_baseline(work, submission->version.version_id, &submission->baseline, &submission->has_baseline,
                            err));
    TD_TRY(make_card(submission, &extras[0], err));
    TD_TRY(make_lineage(work, &submission->version, &extras[1], err));
    TD_TRY(td_bundle_pack(work->db, work->server->content, &submission->version, extras, 2, &submission->manifest,
                          &submission->packed, err));
    return td_own_claims_make(work, &submission->version, &submission->manifest, &submission->own, err);
}

static td_code write_submission(td_db *db, void *context, td_err *err)
{
    pending_submission *submission = context;
    const td_case *work = submission->work;
    const td_version *version = &submission->version;
    TD_TRY(td_version_submit(db, work->actor, work->project, version->label, &submission->packed, submission->reason,
                             err));
    TD_TRY(td_own_claims_add(db, work, version->label, &submission->own, err));
    uint8_t manifest_digest[TD_DIGEST_SIZE];
    td_sha256_of(submission->manifest.data, submission->manifest.size, manifest_digest);
    if (submission->has_baseline) {
        td_watch watch = {.project = work->project,
                          .model = version->model,
                          .version = version->number,
                          .manifest_digest = manifest_digest,
                          .baseline = submission->baseline.data,
                          .baseline_size = submission->baseline.size};
        TD_TRY(td_monitor_watch(db, &watch, err));
    }
    char digest[TD_DIGEST_TEXT], bundle[16];
    td_hex_encode(submission->packed.bundle_digest, TD_DIGEST_SIZE, digest);
    snprintf(bundle, sizeof bundle, "%.12s", digest);
    td_lineage_node node = {"bundle", bundle, version->label, submission->packed.bundle_digest};
    return td_lineage_edge_add(db, work->project, TD_NODE("version", version->label), &node, "packed", NULL, err);
}

td_code td_submit(const td_case *work, const char *reference, const char *reason, td_err *err)
{
    TD_CLEANUP(submission_done) pending_submission submission = {.work = work, .reason = reason};
    TD_TRY(td_version_find(work->db, work->project, reference, work->arena, &submission.version, err));
    if (strcmp(submission.version.format, "reference") == 0) {
        return td_fail(err, TD_CONFLICT,
                       "version %s has no files here, only words of where they are; register a version with files",
                       submission.version.label);
    }
    TD_TRY(pack(&submission, err));
    return td_case_write(work, write_submission, &submission, err);
}
