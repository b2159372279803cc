/*
 * fuzz_answer.c: any JSON as a server's answer: printing it neither crashes nor lets control characters through.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const td_column_spec columns[] = {
    {"node", "NODE", TD_CELL_TEXT},    {"from", "TIME", TD_CELL_TIME},
    {"to", "DIGEST", TD_CELL_DIGEST},  {"kind", "BYTES", TD_CELL_BYTES},
    {"a.b", "NUMBER", TD_CELL_NUMBER}, {"a", "SHARE", TD_CELL_SHARE},
    {"edges", "LIST", TD_CELL_LIST},   {"nodes", "PAIRS", TD_CELL_PAIRS},
    {"after", "BRIEF", TD_CELL_BRIEF}, {0},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *answer = NULL;
    td_str tree = {0};
    td_tint tint;
    char *printed = NULL;
    size_t printed_size = 0;
    if (td_json_parse((const char *)data, size, "answer", &answer, NULL) != TD_OK) {
        return 0;
    }
    td_cli cli = {.out = open_memstream(&printed, &printed_size)};
    td_print_table(&cli, columns, td_json_list(answer, "edges"), "none");
    td_print_fields(&cli, columns, answer);
    const char *sentence = td_event_sentence(&cli, answer, &tint);
    assert(sentence == NULL || strpbrk(sentence, "\x1b\n\r") == NULL);
    if (td_lineage_tree(answer, false, &tree, NULL) == TD_OK) {
        td_print_text(&cli, td_str_text(&tree));
    }
    td_print_line(&cli, "%s", td_json_text(answer, "node", ""));
    (void)fclose(cli.out);
    assert(strchr(printed, 0x1B) == NULL);
    free(printed);
    td_str_done(&tree);
    td_cli_done(&cli);
    json_decref(answer);
    return 0;
}
