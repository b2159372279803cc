/*
 * keys.c: loading the server's keys and certificates from the workspace.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "core/base/fs.h"
#include "server/workspace_internal.h"

#include <string.h>

#define PEM_BYTES_MAX ((size_t)64 * 1024)

static td_code load_key(const char *workspace, const char *name, td_key **out, td_err *err)
{
    char path[4096];
    TD_TRY(td_workspace_file(workspace, name, path, err));
    return td_key_read(path, NULL, out, err);
}

static td_code load_text(const char *workspace, const char *name, td_str *out, td_err *err)
{
    char path[4096];
    TD_TRY(td_workspace_file(workspace, name, path, err));
    return td_file_read(path, PEM_BYTES_MAX, out, err);
}

static td_code load_log(const char *workspace, td_server_keys *keys, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str vkey = {0};
    TD_TRY(load_text(workspace, TD_FILE_LOG_VKEY, &vkey, err));
    if (vkey.size > 0 && vkey.data[vkey.size - 1] == '\n') {
        vkey.data[vkey.size - 1] = 0;
    }
    return td_log_vkey_public(td_str_text(&vkey), keys->log_public, err);
}

static td_code load_all(const char *workspace, const char *profile, td_server_keys *keys, td_err *err)
{
    TD_TRY(load_key(workspace, TD_FILE_DIRECTOR, &keys->director, err));
    TD_TRY(load_key(workspace, TD_FILE_PUBLISHER, &keys->publisher, err));
    TD_TRY(load_key(workspace, TD_FILE_SUBMITTER, &keys->submitter, err));
    TD_TRY(load_key(workspace, TD_FILE_CA_KEY, &keys->ca, err));
    if (strcmp(profile, "demo") == 0) {
        TD_TRY(load_key(workspace, TD_FILE_ROOT_DEMO, &keys->root, err));
    }
    TD_TRY(load_log(workspace, keys, err));
    TD_TRY(load_text(workspace, TD_FILE_CA, &keys->ca_pem, err));
    TD_TRY(load_text(workspace, TD_FILE_SERVER, &keys->server_pem, err));
    return load_text(workspace, TD_FILE_SERVER_KEY, &keys->server_key_pem, err);
}

td_code td_server_keys_load(const char *workspace, const char *profile, td_server_keys *out, td_err *err)
{
    td_server_keys keys = {0};
    td_code code = load_all(workspace, profile, &keys, err);
    if (code != TD_OK) {
        td_server_keys_done(&keys);
        return code == TD_NOT_FOUND ? td_wrap(err, "a key of the workspace is missing") : code;
    }
    *out = keys;
    return TD_OK;
}

void td_server_keys_done(td_server_keys *keys)
{
    td_key_free(&keys->director);
    td_key_free(&keys->publisher);
    td_key_free(&keys->submitter);
    td_key_free(&keys->ca);
    td_key_free(&keys->root);
    td_str_done(&keys->ca_pem);
    td_str_done(&keys->server_pem);
    td_wipe(keys->server_key_pem.data, keys->server_key_pem.size);
    td_str_done(&keys->server_key_pem);
}
