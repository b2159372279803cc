/*
 * fuzz_log_record.c: a record read by the scanner says what it says as a tree, or the scanner leaves it alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/record_view.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_tree(const json_t *a, const json_t *b)
{
    return a == NULL || b == NULL ? a == b : json_equal(a, b) == 1;
}

static bool same(const td_record_view *a, const td_record_view *b)
{
    return a->v == b->v && a->seq == b->seq && same_text(a->time, b->time) && same_text(a->action, b->action) &&
           same_text(a->outcome, b->outcome) && same_text(a->project, b->project) && same_text(a->actor, b->actor) &&
           same_text(a->type, b->type) && same_text(a->object, b->object) && same_text(a->digest, b->digest) &&
           same_text(a->version, b->version) && same_tree(a->before.tree, b->before.tree) &&
           same_tree(a->after.tree, b->after.tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *body = (const char *)data;
    TD_CLEANUP(td_record_view_done) td_record_view scanned, parsed, read;
    bool taken = td_record_view__scan(body, size, &scanned);
    td_code code = td_record_view__parse(body, size, &parsed, NULL);
    assert(td_record_view_read(body, size, &read, NULL) == code);
    if (taken) {
        assert(code == TD_OK);
        assert(td_record_view_facts(&scanned, NULL) == TD_OK);
        assert(td_record_view_tree(&scanned, NULL) == TD_OK && json_equal(scanned.tree, parsed.tree) == 1);
        assert(same(&scanned, &parsed));
    }
    if (code == TD_OK) {
        assert(td_record_view_facts(&read, NULL) == TD_OK && same(&read, &parsed));
    }
    return 0;
}
