/*
 * auth.c: where the server is and who we are.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/http_internal.h"

#include <stdlib.h>
#include <string.h>

#include "access/access.h"
#include "cli/commands.h"
#include "cli/login.h"
#include "core/base/fs.h"

#define URL_FILE "run/http.url"
#define CA_FILE "run/http.ca"
#define SOCKET_FILE "run/admin.sock"

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value == NULL || *value == '\0' ? NULL : value;
}

const char *td_cli_as(td_cli *cli)
{
    const char *name = td_cli_value(cli, "as");
    return name != NULL ? name : environment("TIDEMARK_AS");
}

td_code td_cli_as_file(td_cli *cli, const char *file, const char **out, td_err *err)
{
    const char *name = td_cli_as(cli);
    if (name == NULL) {
        return td_fail(err, TD_INVALID, "say who you are: --as NAME (profile demo)");
    }
    TD_TRY(td_user_name_check(name, err));
    *out = td_cli_text(cli, "%s/users/%s/%s", cli->workspace, name, file);
    return TD_OK;
}

static void show_token(td_cli *cli, td_http *http, const char *token, size_t length)
{
    http->header = td_cli_text(cli, "Authorization: Bearer %.*s", (int)length, token);
}

static td_code read_token(td_cli *cli, td_http *http, const char *path, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_cli_check_private(path, err));
    td_code code = td_file_read(path, 4096, &text, err);
    if (code == TD_NOT_FOUND && td_cli_as(cli) != NULL) {
        return td_fail(err, TD_NOT_FOUND,
                       "%s is not there: --as works where `tidemark init --profile demo` made users; "
                       "elsewhere use --token-file",
                       path);
    }
    TD_TRY(code);
    size_t length = strcspn(td_str_text(&text), " \t\r\n");
    if (length == 0 || strspn(td_str_text(&text) + length, " \t\r\n") != text.size - length) {
        return td_fail(err, TD_INVALID, "%s does not hold one token", path);
    }
    show_token(cli, http, td_str_text(&text), length);
    td_wipe(text.data, text.size);
    return TD_OK;
}

/* Names the file with the token, or NULL. What was said on the line wins over the environment. */
static td_code find_token(td_cli *cli, const char **path_out, td_err *err)
{
    *path_out = td_cli_value(cli, "token-file");
    if (*path_out == NULL && td_cli_value(cli, "as") != NULL) {
        return td_cli_as_file(cli, "token", path_out, err);
    }
    if (*path_out == NULL) {
        *path_out = environment("TIDEMARK_TOKEN_FILE");
    }
    if (*path_out == NULL && td_cli_as(cli) != NULL) {
        return td_cli_as_file(cli, "token", path_out, err);
    }
    return TD_OK;
}

static td_code find_url(td_cli *cli, td_http *http, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    const char *path = td_cli_text(cli, "%s/%s", cli->workspace, URL_FILE);
    td_code code = td_file_read(path, 600, &text, NULL);
    if (code != TD_OK && !td_path_exists(cli->workspace)) {
        return td_fail(err, TD_NOT_FOUND,
                       "no server is named (--server URL) and there is no workspace at %s (--workspace "
                       "DIR, or `tidemark init`)",
                       cli->workspace);
    }
    if (code != TD_OK) {
        return td_fail(err, TD_IO, "no server runs in %s: start one with `tidemark serve --workspace %s`",
                       cli->workspace, cli->workspace);
    }
    http->base = td_cli_text(cli, "%.*s", (int)strcspn(td_str_text(&text), "\r\n"), td_str_text(&text));
    const char *ca = td_cli_text(cli, "%s/%s", cli->workspace, CA_FILE);
    if (http->ca == NULL && td_path_exists(ca)) {
        http->ca = ca;
    }
    return TD_OK;
}

/* Plain HTTP only where nobody can listen in between. */
static bool is_local(const char *url)
{
    const char *const local[] = {"http://127.0.0.1", "http://localhost", "http://[::1]"};
    for (size_t i = 0; i < TD_COUNT_OF(local); i++) {
        size_t length = strlen(local[i]);
        if (strncmp(url, local[i], length) == 0 && (url[length] == '\0' || url[length] == ':' || url[length] == '/')) {
            return true;
        }
    }
    return false;
}

/* `secret`: a token will cross the network. */
static td_code check_url(td_cli *cli, td_http *http, const char *url, bool secret, td_err *err)
{
    size_t length = strlen(url);
    while (length > 0 && url[length - 1] == '/') {
        length--;
    }
    if (strncmp(url, "https://", 8) != 0 && !is_local(url) && (secret || strncmp(url, "http://", 7) != 0)) {
        return td_fail(err, TD_INVALID,
                       "%.100s: https:// is needed for a server on another machine (a token would cross the "
                       "network in the clear)",
                       url);
    }
    if (strpbrk(url, "@?# ") != NULL) {
        return td_fail(err, TD_INVALID, "%.100s: give the server as https://HOST:PORT", url);
    }
    http->base = td_cli_text(cli, "%.*s", (int)length, url);
    return TD_OK;
}

/* A workspace or one of its demo users was named: what `tidemark login` remembers does not count. */
static bool names_workspace(td_cli *cli)
{
    return td_cli_value(cli, "workspace") != NULL || environment("TIDEMARK_WORKSPACE") != NULL ||
           td_cli_as(cli) != NULL;
}

/* What `tidemark login` remembers fills the gaps; its token goes to no other server. */
static td_code use_login(td_cli *cli, td_http *http, bool need_token, td_err *err)
{
    TD_CLEANUP(td_login_done) td_login login = {0};
    const char *named = http->base;
    if (named == NULL && names_workspace(cli)) {
        return TD_OK;
    }
    TD_TRY(td_login_read(&login, err));
    if (login.server == NULL || (named != NULL && strcmp(named, login.server) != 0)) {
        return TD_OK;
    }
    TD_TRY(check_url(cli, http, login.server, true, err));
    if (http->ca == NULL && login.ca != NULL) {
        http->ca = td_cli_text(cli, "%s", login.ca);
    }
    if (need_token) {
        show_token(cli, http, login.token, strlen(login.token));
    }
    return TD_OK;
}

td_code td_cli__locate(td_cli *cli, td_http *http, td_err *err)
{
    const char *url =
        td_cli_value(cli, "server") != NULL ? td_cli_value(cli, "server") : environment("TIDEMARK_SERVER");
    const char *token_path;
    TD_TRY(find_token(cli, &token_path, err));
    http->ca = td_cli_value(cli, "ca") != NULL ? td_cli_value(cli, "ca") : environment("TIDEMARK_CA");
    if (url != NULL) {
        TD_TRY(check_url(cli, http, url, true, err));
    }
    TD_TRY(use_login(cli, http, token_path == NULL, err));
    const char *socket = td_cli_text(cli, "%s/%s", cli->workspace, SOCKET_FILE);
    if (http->prefer_socket && token_path == NULL && http->base == NULL && td_path_exists(socket)) {
        http->socket = socket;
        http->base = "http://localhost";
        return TD_OK;
    }
    if (http->base == NULL) {
        TD_TRY(find_url(cli, http, err));
    }
    return token_path == NULL ? TD_OK : read_token(cli, http, token_path, err);
}

td_code td_cli_connect(td_cli *cli, const char *url, const char *ca, const char *token, td_err *err)
{
    td_http *http;
    TD_TRY(td_cli__make_http(cli, &http, err));
    TD_TRY(check_url(cli, http, url, token != NULL, err));
    http->ca = ca;
    if (token != NULL) {
        show_token(cli, http, token, strlen(token));
    }
    http->located = true;
    return TD_OK;
}

td_code td_cli_connect_basic(td_cli *cli, const char *url, const char *ca, const char *user, const char *password,
                             td_err *err)
{
    TD_CLEANUP(td_cli_wipe) td_str pair = {0};
    TD_CLEANUP(td_cli_wipe) td_str encoded = {0};
    if (*user == '\0' || strchr(user, ':') != NULL) {
        return td_fail(err, TD_INVALID, "a user's name is not empty and has no colon");
    }
    TD_TRY(td_cli_connect(cli, url, ca, "", err));
    td_str_addf(&pair, "%s:%s", user, password);
    TD_TRY(td_str_check(&pair, err));
    td_base64_add(&encoded, pair.data, pair.size);
    TD_TRY(td_str_check(&encoded, err));
    cli->http->header = td_cli_text(cli, "Authorization: Basic %s", td_str_text(&encoded));
    return TD_OK;
}

const char *td_cli_server(const td_cli *cli)
{
    return cli->http == NULL || cli->http->base == NULL ? "" : cli->http->base;
}
