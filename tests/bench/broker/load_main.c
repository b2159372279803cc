/*
 * load_main.c: broker-load make WORKSPACE FILE DEVICES WINDOWS | publish PORT FILE FIRST COUNT tidemark|raw | raw PORT
 * DATABASE
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/bench/broker/load.h"

#include "core/base/str.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

double load_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static td_code run(int argc, char **argv, td_err *err)
{
    int64_t a = 0, b = 0, port = 0;
    const char *verb = argc > 1 ? argv[1] : "";
    if (argc == 6 && strcmp(verb, "make") == 0) {
        TD_TRY(td_parse_int(argv[4], "devices", 1, 1000, &a, err));
        TD_TRY(td_parse_int(argv[5], "windows", 1, 10000000, &b, err));
        return load_make(argv[2], argv[3], a, b, err);
    }
    if (argc == 7 && strcmp(verb, "publish") == 0) {
        TD_TRY(td_parse_int(argv[2], "port", 1, 65535, &port, err));
        TD_TRY(td_parse_int(argv[4], "first", 0, 10000000, &a, err));
        TD_TRY(td_parse_int(argv[5], "count", 1, 10000000, &b, err));
        return load_publish((int)port, argv[3], a, b, strcmp(argv[6], "raw") == 0, err);
    }
    if (argc == 4 && strcmp(verb, "raw") == 0) {
        TD_TRY(td_parse_int(argv[2], "port", 1, 65535, &port, err));
        return load_raw((int)port, argv[3], err);
    }
    return td_fail(err, TD_INVALID,
                   "usage: make WORKSPACE FILE DEVICES WINDOWS | publish PORT FILE FIRST COUNT "
                   "tidemark|raw | raw PORT DATABASE");
}

int main(int argc, char **argv)
{
    td_err err = {.code = TD_OK};
    td_code code = run(argc, argv, &err);
    if (code != TD_OK) {
        fprintf(stderr, "broker-load: %s\n", err.text);
    }
    return td_code_lookup(code)->exit_code;
}
