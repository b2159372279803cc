/*
 * lines.c: claims.jsonl verified offline: each line by itself, the number of a bad one named.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "claims/claims.h"
#include "registry/content.h"

#include <string.h>

static td_code no_memory(td_err *err)
{
    return td_fail(err, TD_NOMEM, "no memory to verify claims");
}

static td_code good_line(const td_claim *claim, size_t number, json_t *list, td_err *err)
{
    char label[TD_DIGEST_LABEL_SIZE];
    json_t *summary = NULL;
    const char *type = claim->statement.predicate_type;
    td_digest_format(claim->digest, label);
    TD_TRY(td_claim_summary(&claim->statement, &summary, err));
    json_t *line = json_pack("{s:I, s:b, s:s, s:s, s:s, s:s, s:s?, s:o}", "line", (json_int_t)number, "good", 1,
                             "digest", label, "kind", td_predicate_kind(type), "predicate_type", type, "signed_by",
                             claim->signer->name, "covers", claim->covers, "summary", summary);
    return json_array_append_new(list, line) == 0 ? TD_OK : no_memory(err);
}

static td_code check_line(const char *text, size_t size, size_t number, const td_claim_check *check, json_t *list,
                          td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_claim_done) td_claim claim = {.signer = NULL};
    td_dsse envelope;
    TD_TRY(td_dsse_read(text, size, &arena, &envelope, err));
    TD_TRY(td_claim_open(&envelope, check->keys, check->key_count, check->about, &claim, err));
    return good_line(&claim, number, list, err);
}

static td_code bad_line(size_t number, const td_err *why, json_t *list, td_err *err)
{
    json_t *line = json_pack("{s:I, s:b, s:s}", "line", (json_int_t)number, "good", 0, "problem", why->text);
    return json_array_append_new(list, line) == 0 ? TD_OK : no_memory(err);
}

td_code td_claims_verify(const char *text, size_t size, const td_claim_check *check, size_t *bad_out, json_t **out,
                         td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    size_t number = 0, bad = 0;
    for (const char *at = text, *end = text + size; at < end;) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((feed != NULL ? feed : end) - at);
        td_err why = {.code = TD_OK};
        if (++number > TD_CLAIMS_MAX) {
            return td_fail(err, TD_LIMIT, "there are more than %d claims", TD_CLAIMS_MAX);
        }
        if (check_line(at, length, number, check, list, &why) != TD_OK) {
            bad++;
            TD_TRY(bad_line(number, &why, list, err));
        }
        at += length + 1;
    }
    *bad_out = bad;
    *out = list;
    list = NULL;
    return TD_OK;
}
