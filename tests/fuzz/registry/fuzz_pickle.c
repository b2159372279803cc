/*
 * fuzz_pickle.c: any bytes as a pickle; whatever they hold, the verdict can be told.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/inspect_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TD_CLEANUP(td_facts_done) td_facts facts = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_err err;
    if (td_facts_begin("pickle", &facts, &err) != TD_OK) {
        return 0;
    }
    td_scan scan = {.facts = &facts, .format = "opaque"};
    bool found = td_pickle__scan(&scan, data, size, size % 2 == 0);
    if (found != (scan.verdict != TD_VERDICT_NONE)) {
        __builtin_trap();
    }
    if (td_facts_finish(&facts, "fuzz.pkl", &json, &err) == TD_OK && td_json_canonical(json, &text, &err) != TD_OK) {
        __builtin_trap();
    }
    return 0;
}
