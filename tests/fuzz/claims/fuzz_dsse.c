/*
 * fuzz_dsse.c: any bytes as a DSSE envelope, and its payload as a statement; what is accepted reads back the same.
 *
 * The statement is looked at without a signature, which no caller does: so the fuzzer reaches it.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "claims/dsse.h"
#include "claims/statement.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_statement(const uint8_t *data, size_t size)
{
    TD_CLEANUP(td_statement_done) td_statement statement = {.json = NULL};
    td_about about = {.label = "pump/3"};
    td_approval_said said;
    td_err err;
    if (td_statement_read(data, size, &statement, &err) == TD_OK) {
        if (td_statement_covers(&statement, &about) != NULL && statement.subjects == NULL) {
            __builtin_trap();
        }
        (void)!td_approval_said_read(statement.predicate, &said, &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_str_done) td_str line = {0};
    TD_CLEANUP(td_str_done) td_str again = {0};
    td_dsse first, second;
    td_err err;
    read_statement(data, size);
    if (td_dsse_read((const char *)data, size, &arena, &first, &err) != TD_OK) {
        return 0;
    }
    if (td_dsse_write(&first, &line, &err) != TD_OK || strchr(td_str_text(&line), '\n') != NULL) {
        __builtin_trap();
    }
    if (line.size <= TD_DSSE_BYTES_MAX &&
        (td_dsse_read(line.data, line.size, &arena, &second, &err) != TD_OK ||
         td_dsse_write(&second, &again, &err) != TD_OK || strcmp(td_str_text(&line), td_str_text(&again)) != 0)) {
        __builtin_trap();
    }
    read_statement(first.payload, first.payload_size);
    return 0;
}
