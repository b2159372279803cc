/*
 * main.c: the `tidemark` program; everything is in td_cli_main, so that tests can link it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return td_cli_main(argc, argv);
}
