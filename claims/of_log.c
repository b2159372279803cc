/*
 * of_log.c: which claims an audit log has on record for a version: so that one that was left out is noticed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/verify.h"
#include "claims/claims.h"
#include "registry/content.h"

#include <string.h>

typedef struct collector {
    const uint8_t *content_id;
    td_claims_log *log;
    bool full;
} collector;

static bool is_digest(const char *label, uint8_t out[TD_DIGEST_SIZE])
{
    td_err ignored;
    return td_digest_parse(label, out, &ignored) == TD_OK;
}

static void take_record(void *context, int64_t seq, const json_t *record)
{
    collector *into = context;
    uint8_t version[TD_DIGEST_SIZE], claim[TD_DIGEST_SIZE];
    const json_t *facts = json_object_get(json_object_get(record, "after"), "facts");
    bool ours = strcmp(td_json_text(record, "action", ""), "add.claim") == 0 &&
                strcmp(td_json_text(record, "outcome", ""), "done") == 0 &&
                is_digest(td_json_text(json_object_get(record, "object"), "digest", ""), version) &&
                memcmp(version, into->content_id, sizeof version) == 0;
    if (!ours || !is_digest(td_json_text(facts, "claim", ""), claim)) {
        return;
    }
    if (into->log->count == TD_CLAIMS_MAX) {
        into->full = true;
        return;
    }
    into->log->rows[into->log->count].seq = seq;
    memcpy(into->log->rows[into->log->count].digest, claim, sizeof claim);
    into->log->count++;
}

td_code td_claims_of_log(const char *path, const char *vkey, const uint8_t content_id[TD_DIGEST_SIZE],
                         td_claims_log *out, td_err *err)
{
    collector into = {.content_id = content_id, .log = out};
    td_audit_verdict verdict;
    static const char *const actions[] = {"add.claim", NULL};
    const td_audit_verify_options options = {
        .vkey = vkey, .seen = take_record, .seen_actions = actions, .seen_context = &into};
    memset(out, 0, sizeof *out);
    TD_TRY(td_audit_verify_export(path, &options, &verdict, err));
    return into.full ? td_fail(err, TD_LIMIT, "%s has more than %d claims of one version", path, TD_CLAIMS_MAX) : TD_OK;
}

static bool has_line(const json_t *lines, const char *digest)
{
    for (size_t i = 0; i < json_array_size(lines); i++) {
        if (strcmp(td_json_text(json_array_get(lines, i), "digest", ""), digest) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_row(const td_claims_log *log, const char *label)
{
    uint8_t digest[TD_DIGEST_SIZE];
    for (size_t i = 0; is_digest(label, digest) && i < log->count; i++) {
        if (memcmp(log->rows[i].digest, digest, sizeof digest) == 0) {
            return true;
        }
    }
    return false;
}

td_code td_claims_match_log(const json_t *lines, const td_claims_log *log, td_err *err)
{
    for (size_t i = 0; i < log->count; i++) {
        char label[TD_DIGEST_LABEL_SIZE];
        td_digest_format(log->rows[i].digest, label);
        if (!has_line(lines, label)) {
            return td_fail(err, TD_CORRUPT, "a claim is missing: record %lld of the log has %s",
                           (long long)log->rows[i].seq, label);
        }
    }
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i);
        if (!has_row(log, td_json_text(line, "digest", ""))) {
            return td_fail(err, TD_CORRUPT, "line %lld is a claim that the log has no record of",
                           (long long)td_json_int(line, "line", 0));
        }
    }
    return TD_OK;
}
