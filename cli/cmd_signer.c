/*
 * cmd_signer.c: tidemark signer: the log's signer as a process of its own, of the server's user or of another one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include "core/base/log.h"
#include "core/base/notify.h"
#include "core/crypto/crypto.h"
#include "server/http_watch.h"
#include "server/signer_adopt.h"
#include "server/signer_serve.h"
#include "server/signer_work.h"
#include "server/workspace_internal.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
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

/* Everything is open. */
static td_code cage_service(td_err *err)
{
    (void)puts("ready");
    (void)fflush(stdout);
    td_notify("READY=1");
    return cage(err);
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

/* "HOST:PORT", "[::1]:PORT". */
static td_code listen_at(td_cli *cli, const char *text, td_signer_serve_options *options, td_err *err)
{
    const char *colon = strrchr(text, ':');
    int64_t port;
    int bound;
    if (!colon) {
        return td_fail(err, TD_INVALID, "--listen must be HOST:PORT, not \"%.80s\"", text);
    }
    TD_TRY(td_parse_int(colon + 1, "--listen: the port", 0, 65535, &port, err));
    size_t skip = *text == '[' && colon > text && colon[-1] == ']' ? 1 : 0;
    const char *host = td_cli_text(cli, "%.*s", (int)((size_t)(colon - text) - 2 * skip), text + skip);
    TD_TRY(td_socket_listen(host, (int)port, &options->listeners[options->listener_count], &bound, err));
    options->listener_count++;
    td_print_line(cli, "listening on %s port %d", host, bound);
    return TD_OK;
}

static td_code open_listeners(td_cli *cli, td_signer_serve_options *options, td_err *err)
{
    const char *path = td_cli_value(cli, "socket"), *address = td_cli_value(cli, "listen");
    if (path) { /* whoever may reach it, only --server-user is heard */
        TD_TRY(td_socket_listen_path(path, 0666, &options->listeners[options->listener_count++], err));
    }
    if (address) {
        TD_TRY(listen_at(cli, address, options, err));
    }
    TD_TRY(td_signer_inherit(options, err));
    return options->listener_count > 0
               ? TD_OK
               : td_fail(err, TD_INVALID, "--socket or --listen is needed (or a socket from systemd)");
}

/* An option, or a file in the signer's folder. */
static const char *file_of(td_cli *cli, const char *option, const char *home, const char *name)
{
    const char *told = td_cli_value(cli, option);
    return told ? told : td_cli_text(cli, "%s/%s", home, name);
}

static td_code find_server(td_cli *cli, td_signer_serve_options *options, td_err *err)
{
    gid_t group;
    const char *user = td_cli_value(cli, "server-user"), *client = td_cli_value(cli, "tls-client");
    options->client = client ? client : TD_MQTT_IDENTITY;
    options->server_user = (uid_t)-1; /* nobody */
    if (!user) {
        return td_cli_has(cli, "listen") && !td_cli_has(cli, "socket")
                   ? TD_OK
                   : td_fail(err, TD_INVALID, "--server-user is needed: whom the signer serves");
    }
    TD_TRY(find_user("--server-user", user, &options->server_user, &group, err));
    if (options->server_user == geteuid()) {
        td_log_warn("signer", "the server's user runs its signer: whoever breaks into the server has the log's key");
    }
    return TD_OK;
}

static td_code serve_signer(td_cli *cli, td_err *err)
{
    const char *home = td_cli_value(cli, "state");
    td_signer_serve_options options = {.line = -1, .cage = cage_service};
    if (!home) {
        return td_fail(err, TD_INVALID, "--state is needed: the signer's folder");
    }
    TD_TRY(find_server(cli, &options, err));
    TD_TRY(td_signer_home_check(home, err));
    options.key = td_cli_text(cli, "%s/%s", home, TD_SIGNER_HOME_KEY);
    options.state = td_cli_text(cli, "%s/%s", home, TD_SIGNER_HOME_STATE);
    options.certificate = file_of(cli, "tls-cert", home, TD_SIGNER_HOME_TLS);
    options.certificate_key = file_of(cli, "tls-key", home, TD_SIGNER_HOME_TLS_KEY);
    options.client_ca = file_of(cli, "tls-client-ca", home, TD_SIGNER_HOME_CA);
    TD_TRY(td_crypto_setup(err));
    TD_TRY(open_listeners(cli, &options, err));
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
    {"server-user", 0, "USER", "the user who runs the server; nobody else is heard there", false},
    {"listen", 0, "HOST:PORT", "the address on which it serves another host, over TLS", false},
    {"tls-cert", 0, "FILE", "its certificate (default: tls.crt.pem in the folder)", false},
    {"tls-key", 0, "FILE", "the certificate's key (default: tls.key.pem)", false},
    {"tls-client-ca", 0, "FILE", "who issued the server's certificate (default: ca.crt.pem)", false},
    {"tls-client", 0, "NAME", "the common name in it; nobody else is heard (default: " TD_MQTT_IDENTITY ")", false},
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
    {"signer", "serve", "", 0, 0, "Sign checkpoints of the log, as another user or on another host",
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
