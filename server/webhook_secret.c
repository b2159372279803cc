/*
 * webhook_secret.c: the key under which secrets of webhooks lie in the database, so that a copy of it gives none away.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/webhook_send.h"
#include "server/workspace_internal.h"

#include <string.h>

#define KEY_TEXT_SIZE (2 * TD_SEAL_KEY_SIZE + 1)

static td_code read_key(const char *path, uint8_t key[TD_SEAL_KEY_SIZE], td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_file_read(path, KEY_TEXT_SIZE, &text, err));
    td_code code = td_hex_decode(td_str_text(&text), text.size > 0 ? text.size - 1 : 0, key, TD_SEAL_KEY_SIZE, err);
    td_wipe(text.data, text.size);
    return code == TD_OK ? TD_OK
                         : td_fail(err, TD_CORRUPT, "%s does not hold a key; set the secrets of the webhooks anew",
                                   TD_FILE_SECRETS_KEY);
}

static td_code make_key(const char *path, td_err *err)
{
    uint8_t key[TD_SEAL_KEY_SIZE];
    char text[KEY_TEXT_SIZE];
    TD_TRY(td_random(key, sizeof key, err));
    td_hex_encode(key, sizeof key, text);
    text[KEY_TEXT_SIZE - 1] = '\n';
    td_code code = td_file_create(path, text, KEY_TEXT_SIZE, 0600, err);
    td_wipe(key, sizeof key);
    td_wipe(text, sizeof text);
    return code == TD_CONFLICT ? TD_OK : code; /* somebody was faster */
}

td_code td_webhook_seal(const td_server *server, const char *uuid, const char *secret, td_str *out, td_err *err)
{
    char path[4096];
    uint8_t key[TD_SEAL_KEY_SIZE];
    TD_TRY(td_workspace_file(server->path, TD_FILE_SECRETS_KEY, path, err));
    if (!td_path_exists(path)) {
        TD_TRY(make_key(path, err));
    }
    TD_TRY(read_key(path, key, err));
    td_code code = td_seal(key, uuid, secret, strlen(secret), out, err);
    td_wipe(key, sizeof key);
    return code;
}

td_code td_webhook_unseal(const td_server *server, const char *uuid, const void *sealed, size_t size, td_str *out,
                          td_err *err)
{
    char path[4096];
    uint8_t key[TD_SEAL_KEY_SIZE];
    TD_TRY(td_workspace_file(server->path, TD_FILE_SECRETS_KEY, path, err));
    TD_TRY(read_key(path, key, err));
    td_code code = td_unseal(key, uuid, sealed, size, out, err);
    td_wipe(key, sizeof key);
    return code;
}
