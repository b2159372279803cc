/*
 * cmd_signer.c: tidemark signer: the log's signer as a process of its own, of the server's user or of another one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include "core/base/fs.h"
#include "core/base/log.h"
#include "core/base/notify.h"
#include "core/crypto/crypto.h"
#include "server/http_watch.h"
#include "server/signer_adopt.h"
#include "server/signer_serve.h"
#include "server/signer_work.h"

#include <errno.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/worker.h"

#define FILES_MAX 64
#define CHILD_FD_MAX 15

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
    TD_TRY(td_parse_int(td_cli_value(cli, "fd") ? td_cli_value(cli, "fd") : "", "--fd", 3, CHILD_FD_MAX, &fd, err));
    if (!td_cli_has(cli, "key") || !td_cli_has(cli, "state")) {
        return td_fail(err, TD_INVALID, "--key and --state are needed: the log's key, and what was signed last");
    }
    TD_TRY(td_crypto_setup(err));
    const td_signer_serve_options options = {
        .key = td_cli_value(cli, "key"), .state = td_cli_value(cli, "state"), .line = (int)fd, .cage = cage};
    td_code code = td_signer_serve(&options, err);
    if (code == TD_OK) {
        _exit(0); /* the server has closed; there is nothing to flush, and no leak checker can look in */
    }
    return code;
}

/* ---- as a service ---- */

/* By name or number; a number without an account has a group of the same number. */
static td_code find_user(const char *option, const char *name, uid_t *user_out, gid_t *group_out, td_err *err)
{
    int64_t number;
    const struct passwd *entry = getpwnam(name);
    if (!entry && td_parse_int(name, option, 0, UINT32_MAX - 1, &number, err) != TD_OK) {
        return td_fail(err, TD_NOT_FOUND, "%s: there is no user \"%.60s\" on this machine", option, name);
    }
    entry = entry ? entry : getpwuid((uid_t)number);
    *user_out = entry ? entry->pw_uid : (uid_t)number;
    *group_out = entry ? entry->pw_gid : (gid_t)number;
    return TD_OK;
}

static td_code open_listeners(td_cli *cli, td_signer_serve_options *options, td_err *err)
{
    const char *path = td_cli_value(cli, "socket");
    if (path) { /* whoever may reach it, only --server-user is heard */
        TD_TRY(td_socket_listen_path(path, 0666, &options->listeners[0], err));
        options->listener_count = 1;
    }
    TD_TRY(td_signer_inherit(options, err));
    return options->listener_count > 0
               ? TD_OK
               : td_fail(err, TD_INVALID, "--socket is needed (or one from systemd): where servers reach the signer");
}

static td_code serve_signer(td_cli *cli, td_err *err)
{
    char key[4096], state[4096];
    const char *home = td_cli_value(cli, "state"), *user = td_cli_value(cli, "server-user");
    td_signer_serve_options options = {.key = key, .state = state, .line = -1, .cage = cage};
    if (!home || !user) {
        return td_fail(err, TD_INVALID, "--state and --server-user are needed: the signer's folder, whom it serves");
    }
    gid_t group;
    TD_TRY(find_user("--server-user", user, &options.server_user, &group, err));
    TD_TRY(td_signer_home_check(home, err));
    TD_TRY(td_path_join(key, home, TD_SIGNER_HOME_KEY, err));
    TD_TRY(td_path_join(state, home, TD_SIGNER_HOME_STATE, err));
    TD_TRY(td_crypto_setup(err));
    TD_TRY(open_listeners(cli, &options, err));
    if (options.server_user == geteuid()) {
        td_log_warn("signer", "the server's user runs its signer: whoever breaks into the server has the log's key");
    }
    td_print_line(cli, "ready");
    (void)fflush(cli->out);
    td_notify("READY=1");
    return td_signer_serve(&options, err);
}

/* ---- moving in ---- */

static void print_adopted(td_cli *cli, const json_t *answer)
{
    td_print_line(cli, "The log's key and memory (%lld records signed) are in %s, and nowhere else.",
                  (long long)td_json_int(answer, "signed", 0), td_json_text(answer, "home", ""));
    if (td_json_bool(answer, "retired", false)) {
        td_print_line(cli, "The key of the log before it was put aside in retired/ there.");
    }
    td_print_line(cli, "The server reaches the signer at %s (audit.signer_url). Start the signer, then the server.",
                  td_json_text(answer, "url", ""));
    td_print_line(cli, "Backups that were made with keys still hold the key: destroy them, or keep them as secret.");
}

static td_code adopt(td_cli *cli, td_err *err)
{
    const char *url = td_cli_value(cli, "url"), *owner = td_cli_value(cli, "owner");
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    td_signer_adopt_options options = {.workspace = cli->workspace,
                                       .home = td_cli_value(cli, "state"),
                                       .owner = geteuid(),
                                       .group = getegid(),
                                       .url = url ? url : TD_SIGNER_URL_DEFAULT};
    if (!options.home) {
        return td_fail(err, TD_INVALID, "--state is needed: the signer's folder");
    }
    if (owner) {
        TD_TRY(find_user("--owner", owner, &options.owner, &options.group, err));
    }
    TD_TRY(td_crypto_setup(err));
    TD_TRY(td_signer_adopt(&options, &answer, err));
    td_cli_present(cli, answer, print_adopted);
    return TD_OK;
}

static const td_cli_option adopt_options[] = {
    {"state", 0, "DIR", "the signer's own folder; made if it is not there", false},
    {"owner", 0, "USER", "who will run the signer, and own the folder (default: you)", false},
    {"url", 0, "URL", "where the server will reach it (default: " TD_SIGNER_URL_DEFAULT ")", false},
    {0},
};

static const td_cli_option serve_options[] = {
    {"state", 0, "DIR", "the signer's own folder: log.pem, the log's key, and log.state, what was signed last", false},
    {"socket", 0, "PATH", "the Unix socket on which it listens", false},
    {"server-user", 0, "USER", "the user who runs the server; nobody else is heard", false},
    {0},
};

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
    {"signer", "serve", "", 0, 0, "Sign checkpoints of the log, as another user than the server",
     "A service of its own, so that who breaks into the server gets no hold of the log's key. Its folder belongs to "
     "the user who runs it and is closed to others. The server reaches it by audit.signer_url. Sockets that systemd "
     "hands over are taken, too.",
     "tidemark signer serve --state /var/lib/tidemark-signer --socket /run/tidemark-signer.sock "
     "--server-user tidemark",
     serve_options, serve_signer},
    {"signer", "adopt", "", 0, 0, "Move the log's key out of the workspace to a signer of its own",
     "Key and memory leave the workspace for the folder of a signer that runs as another user (`tidemark signer "
     "serve`), and audit.signer_url is set. No server and no signer may run meanwhile. There is no moment at which two "
     "could sign; a kill is taken up by the same command. After `tidemark log resume` it brings the new key, and puts "
     "the old one aside.",
     "tidemark signer adopt --workspace /var/lib/tidemark --state /var/lib/tidemark-signer --owner tidemark-signer",
     adopt_options, adopt},
    {0},
};
