/*
 * usecase_auto_approve.c: `retraining.auto_approve_by_gate`: the gate's verdict stands in for a person's look.
 *
 * Off by default, and only in profile demo, where approvers' keys lie in the workspace anyway: the named approver's own
 * key signs, through the ordinary approval, so that role, four-eyes and every check on the devices hold as ever. What
 * it is worth is what the gate is worth. SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"
#include "registry/manifest.h"
#include "server/usecase.h"

#include <stdio.h>
#include <string.h>

#define SETTING "retraining.auto_approve_by_gate"

static td_code key_path(const td_server *server, const char *user, char out[4096], td_err *err)
{
    char name[160];
    snprintf(name, sizeof name, "users/%.64s/key.pem", user);
    return td_workspace_file(server->path, name, out, err);
}

td_code td_auto_approve_check(const td_server *server, td_err *err)
{
    char path[4096];
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    const char *user = td_config_text(server->config, SETTING);
    if (*user == '\0') {
        return TD_OK;
    }
    if (strcmp(server->profile, "demo") != 0) {
        return td_fail(err, TD_INVALID,
                       SETTING " is for profile demo only; in profile %s an approver signs on his own machine",
                       server->profile);
    }
    if (strchr(user, '/') != NULL || user[0] == '.') {
        return td_fail(err, TD_INVALID, SETTING ": \"%.64s\" is no user's name", user);
    }
    TD_TRY(key_path(server, user, path, err));
    return td_key_read(path, NULL, &key, err) == TD_OK ? TD_OK : td_wrap(err, SETTING);
}

static td_code sign(const char *path, const td_version *version, td_approval *out, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str encoded = {0};
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    TD_TRY(td_key_read(path, NULL, &key, err));
    TD_TRY(td_dsse_pae(TD_MANIFEST_TYPE, version->manifest, version->manifest_size, &encoded, err));
    TD_TRY(td_key_sign(key, td_str_text(&encoded), encoded.size, out->signature, err));
    td_key_id(public_key, td_key_public(key, public_key), out->key_id);
    return TD_OK;
}

td_code td_auto_approve(const td_case *work, const char *reference, const char *run, td_err *err)
{
    char path[4096], reason[160];
    bool service;
    int64_t user_id;
    td_version version;
    td_approval approval = {.reason = reason};
    td_version_state state;
    const char *user = td_config_text(work->server->config, SETTING);
    if (*user == '\0') {
        return TD_OK;
    }
    TD_TRY(td_version_find(work->db, work->project, reference, work->arena, &version, err));
    TD_TRY(td_user_find(work->db, user, &user_id, &service, err));
    TD_TRY(key_path(work->server, user, path, err));
    TD_TRY(sign(path, &version, &approval, err));
    snprintf(reason, sizeof reason, "by the gate of %s, as " SETTING " says", run);
    td_actor actor = {service ? TD_ACTOR_SERVICE : TD_ACTOR_USER, user_id, user, "gate", "", run};
    td_case as_approver = *work;
    as_approver.actor = &actor;
    return td_approve(&as_approver, reference, &approval, NULL, &state, err);
}
