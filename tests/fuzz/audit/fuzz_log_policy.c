/*
 * fuzz_log_policy.c: policy files, and notes weighed under them. The part before the first line "---" is the policy,
 * the rest the note.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/policy.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *find_note(const char *text, size_t size)
{
    for (size_t at = 0; at + 4 <= size; at++) {
        if (memcmp(text + at, "---\n", 4) == 0 && (at == 0 || text[at - 1] == '\n')) {
            return text + at;
        }
    }
    return text + size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *cut = find_note(text, size);
    size_t left = size - (size_t)(cut - text);
    TD_CLEANUP(td_policy_free) td_policy *policy = NULL;
    td_policy_verdict verdict;
    if (td_policy_parse(text, (size_t)(cut - text), "fuzz", &policy, NULL) != TD_OK) {
        assert(policy == NULL);
        return 0;
    }
    for (size_t i = 0; i < td_policy_witnesses(policy); i++) {
        assert(td_policy_witness_name(policy, i)[0] != '\0');
    }
    if (left > 4 && td_policy_weigh(policy, NULL, cut + 4, left - 4, &verdict, NULL) == TD_OK) {
        assert(verdict.cosigned <= td_policy_witnesses(policy));
        td_code code = td_policy_check(policy, NULL, cut + 4, left - 4, &verdict, NULL);
        assert(code == (verdict.quorum ? TD_OK : TD_CORRUPT));
    }
    return 0;
}
