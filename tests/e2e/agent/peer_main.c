/*
 * peer_main.c: agent-peer: the test server's commands.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/e2e/agent/peer.h"

#include <stdlib.h>
#include <string.h>

static td_code run(int argc, char **argv, td_err *err)
{
    if (argc == 3 && strcmp(argv[1], "init") == 0) {
        return peer_init(argv[2], err);
    }
    if (argc == 3 && strcmp(argv[1], "code") == 0) {
        return peer_code(argv[2], err);
    }
    if (argc == 6 && strcmp(argv[1], "issue") == 0) {
        return peer_issue(argv[2], argv[3], argv[4], strtol(argv[5], NULL, 10), err);
    }
    if (argc == 5 && strcmp(argv[1], "serve") == 0) {
        return peer_serve(argv[2], (int)strtol(argv[3], NULL, 10), argv[4], err);
    }
    return td_fail(err, TD_INVALID, "agent-peer init DIR | code DIR | issue DIR CSR OUT DAYS | serve DIR PORT DEVICE");
}

int main(int argc, char **argv)
{
    td_err err = {0};
    td_code code = td_crypto_setup(&err);
    code = code == TD_OK ? run(argc, argv, &err) : code;
    if (code != TD_OK) {
        fprintf(stderr, "agent-peer: %s\n", err.text);
    }
    return code == TD_OK ? 0 : 1;
}
