/*
 * login.c: login.json and ca.pem in the person's configuration folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "core/base/fs.h"

#define LOGIN_FILE "login.json"
#define LOGIN_MAX 8192
#define CA_FILE "ca.pem"
#define CA_MAX ((size_t)256 * 1024)

/* "" where there is no home at all, as for some services. */
static td_code folder_path(char out[4096], td_err *err)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (config != NULL && config[0] == '/') {
        return td_path_join(out, config, "tidemark", err);
    }
    if (home != NULL && home[0] == '/') {
        return td_path_join(out, home, ".config/tidemark", err);
    }
    out[0] = '\0';
    return TD_OK;
}

td_code td_config_folder(char out[4096], td_err *err)
{
    TD_TRY(folder_path(out, err));
    if (out[0] == '\0') {
        return td_fail(err, TD_NOT_FOUND, "neither XDG_CONFIG_HOME nor HOME names a folder to keep this in");
    }
    return td_folder_make(out, 0700, err);
}

void td_login_done(td_login *login)
{
    if (login->token != NULL) {
        td_wipe(login->token, strlen(login->token));
    }
    free(login->server);
    free(login->token);
    free(login->ca);
    *login = (td_login){0};
}

static td_code fill(const char *path, const json_t *json, const char *ca, td_login *out, td_err *err)
{
    const char *server = td_json_text(json, "server", ""), *token = td_json_text(json, "token", "");
    if (server[0] == '\0' || token[0] == '\0' || strpbrk(token, " \r\n") != NULL) {
        return td_fail(err, TD_CORRUPT, "%s is not what `tidemark login` wrote; log in again", path);
    }
    out->server = strdup(server);
    out->token = strdup(token);
    out->ca = access(ca, R_OK) == 0 ? strdup(ca) : NULL;
    return out->server == NULL || out->token == NULL ? td_fail(err, TD_NOMEM, "no memory for the login") : TD_OK;
}

td_code td_login_read(td_login *out, td_err *err)
{
    TD_CLEANUP(td_cli_wipe) td_str text = {0};
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    char folder[4096], path[4096], ca[4096];
    *out = (td_login){0};
    TD_TRY(folder_path(folder, err));
    if (folder[0] == '\0') {
        return TD_OK;
    }
    TD_TRY(td_path_join(path, folder, LOGIN_FILE, err));
    TD_TRY(td_path_join(ca, folder, CA_FILE, err));
    if (!td_path_exists(path)) {
        return TD_OK;
    }
    TD_TRY(td_cli_check_private(path, err));
    TD_TRY(td_file_read(path, LOGIN_MAX, &text, err));
    TD_TRY(td_json_parse(td_str_text(&text), text.size, path, &json, err));
    return fill(path, json, ca, out, err);
}

static td_code forget_file(const char *folder, const char *name, bool *was_out, td_err *err)
{
    char path[4096];
    TD_TRY(td_path_join(path, folder, name, err));
    *was_out = unlink(path) == 0;
    return *was_out || errno == ENOENT ? TD_OK : td_fail_errno(err, errno, "%s", path);
}

/* First the old login goes, so that no token is ever beside another server's certificate. */
td_code td_login_write(const char *server, const char *token, const char *ca_file, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str ca = {0};
    TD_CLEANUP(td_cli_wipe) td_str text = {0};
    char folder[4096], path[4096];
    bool was;
    TD_TRY(td_config_folder(folder, err));
    TD_TRY(td_login_forget(&was, err));
    if (ca_file != NULL) {
        TD_TRY(td_file_read(ca_file, CA_MAX, &ca, err));
        TD_TRY(td_path_join(path, folder, CA_FILE, err));
        TD_TRY(td_file_replace(path, td_str_text(&ca), ca.size, 0644, err));
    }
    TD_CLEANUP(td_json_done) json_t *json = json_pack("{s:s, s:s}", "server", server, "token", token);
    TD_TRY(td_cli_need(json, err));
    TD_TRY(td_json_write(json, &text, err));
    TD_TRY(td_path_join(path, folder, LOGIN_FILE, err));
    return td_file_replace(path, td_str_text(&text), text.size, 0600, err);
}

td_code td_login_forget(bool *was_out, td_err *err)
{
    char folder[4096];
    bool ca;
    *was_out = false;
    TD_TRY(folder_path(folder, err));
    if (folder[0] == '\0') {
        return TD_OK;
    }
    TD_TRY(forget_file(folder, LOGIN_FILE, was_out, err));
    return forget_file(folder, CA_FILE, &ca, err);
}
