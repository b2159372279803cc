/*
 * cmd_signer.c: tidemark signer: the log's signer as a process of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include "core/crypto/crypto.h"
#include "server/signer_process.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/worker.h"

#define FILES_MAX 16

/* Files are open by now but for the state's temporary one. No sockets, no core with a key in it, no debugger. */
static td_code cage(td_err *err)
{
    const struct rlimit none = {0, 0}, few = {FILES_MAX, FILES_MAX};
    if (setrlimit(RLIMIT_CORE, &none) != 0 || setrlimit(RLIMIT_NOFILE, &few) != 0 ||
        prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return td_fail_errno(err, errno, "caging the log's signer");
    }
    if (td_cage_sockets(false) != 0 && errno != ENOSYS && errno != EINVAL) { /* kernels without it have the rest */
        return td_fail_errno(err, errno, "caging the log's signer");
    }
    return TD_OK;
}

static td_code run_signer(td_cli *cli, td_err *err)
{
    int64_t fd;
    TD_TRY(td_parse_int(td_cli_value(cli, "fd") ? td_cli_value(cli, "fd") : "", "--fd", 3, FILES_MAX - 1, &fd, err));
    if (!td_cli_has(cli, "key") || !td_cli_has(cli, "state")) {
        return td_fail(err, TD_INVALID, "--key and --state are needed: the log's key, and what was signed last");
    }
    TD_TRY(td_crypto_setup(err));
    td_code code = td_signer_process(td_cli_value(cli, "key"), td_cli_value(cli, "state"), (int)fd, cage, err);
    if (code == TD_OK) {
        _exit(0); /* the server has closed; there is nothing to flush, and no leak checker can look in */
    }
    return code;
}

static const td_cli_option run_options[] = {
    {"key", 0, "FILE", "the log's key", false},
    {"state", 0, "FILE", "what was signed last", false},
    {"fd", 0, "N", "the open socket of the server that asks", false},
    {0},
};

const td_cli_command td_cli_signer_commands[] = {
    {"signer", "run", "", 0, 0, "Sign checkpoints of the log for a server",
     "The server starts this by itself. The signer holds the log's key and remembers the last tree that it signed; it "
     "signs only what that tree has grown into, whatever the server says. One signer runs for a log at a time.",
     "tidemark signer run --key keys/log.pem --state keys/log.state --fd 3", run_options, run_signer},
    {0},
};
