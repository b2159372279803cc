/*
 * workspace_raise.c: from profile demo to team to regulated, offline, once the secrets that do not belong here are
 * gone.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "registry/trust.h"
#include "server/workspace_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const ladder[] = {"demo", "team", "regulated"};

static int step_of(const char *profile)
{
    for (int i = 0; i < (int)TD_COUNT_OF(ladder); i++) {
        if (strcmp(profile, ladder[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static td_code read_profile(const char *workspace, char profile[16], td_err *err)
{
    char path[4096];
    TD_TRY(td_workspace_file(workspace, TD_FILE_CONFIG, path, err));
    TD_CLEANUP(td_config_free) td_config *config = NULL;
    TD_TRY(td_config_read(path, NULL, &config, err));
    snprintf(profile, 16, "%s", td_config_text(config, "profile"));
    return TD_OK;
}

static td_code refuse_if_there(const char *workspace, const char *user, const char *file, td_err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%.3000s/users/%.200s/%s", workspace, user, file);
    if (!td_path_exists(path)) {
        return TD_OK;
    }
    return td_fail(err, TD_CONFLICT,
                   "users/%.60s/%s is still in the workspace; move it to its owner's machine (or remove it) first",
                   user, file);
}

/* What init --profile demo left for its users. */
static td_code check_users_gone(const char *workspace, td_err *err)
{
    char path[4096];
    TD_TRY(td_workspace_file(workspace, "users", path, err));
    DIR *folder = opendir(path);
    if (!folder) {
        return errno == ENOENT ? TD_OK : td_fail_errno(err, errno, "%s", path);
    }
    td_code code = TD_OK;
    const struct dirent *entry;
    while (code == TD_OK && (entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] != '.') {
            code = refuse_if_there(workspace, entry->d_name, "key.pem", err);
            code = code == TD_OK ? refuse_if_there(workspace, entry->d_name, "token", err) : code;
        }
    }
    closedir(folder);
    return code;
}

/* Root leaves keys/, where a server would find it. */
static td_code take_root_offline(const char *workspace, td_err *err)
{
    char from[4096], to[4096], folder[4096];
    TD_TRY(td_workspace_file(workspace, TD_FILE_ROOT_DEMO, from, err));
    TD_TRY(td_workspace_file(workspace, TD_FILE_ROOT_OFFLINE, to, err));
    TD_TRY(td_workspace_file(workspace, "offline", folder, err));
    if (!td_path_exists(from)) {
        return TD_OK;
    }
    TD_TRY(td_folder_make(folder, 0700, err));
    if (rename(from, to) != 0) {
        return td_fail_errno(err, errno, "%s", to);
    }
    return td_folder_sync(folder, err);
}

/* Profile regulated asks for two approvers in the keyset itself, because devices judge by that. */
static td_code check_threshold(td_db *db, const char *profile, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_trust trust;
    TD_TRY(td_trust_current(db, &arena, &trust, err));
    if (strcmp(profile, "regulated") == 0 && trust.keyset.approver_threshold < 2) {
        return td_fail(err, TD_CONFLICT,
                       "the keyset asks for %u approver; publish one that asks for 2 first (tidemark key sign-keyset)",
                       trust.keyset.approver_threshold);
    }
    return TD_OK;
}

static td_code record(td_db *db, const char *before, const char *profile, const char *reason, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *from = json_pack("{s:s}", "profile", before);
    TD_CLEANUP(td_json_done) json_t *to = json_pack("{s:s}", "profile", profile);
    td_audit_entry entry = {.actor = &td_actor_system,
                            .action = "raise.profile",
                            .object_type = "workspace",
                            .object_id = profile,
                            .reason = reason,
                            .before = from,
                            .after = to};
    return td_audit_append(db, &entry, NULL, err);
}

td_code td_workspace_raise(const char *path, const char *profile, const char *reason,
                           td_code (*move_keys)(void *context, td_err *err), void *context, td_err *err)
{
    char before[16];
    TD_CLEANUP(td_workspace_close) td_workspace *workspace = NULL;
    TD_TRY(td_workspace_open(path, &td_clock_system, &workspace, err));
    const char *folder = td_workspace_path(workspace);
    TD_TRY(read_profile(folder, before, err));
    if (step_of(profile) < 0) {
        return td_fail(err, TD_INVALID, "there is no profile \"%.40s\"; profiles are demo, team, regulated", profile);
    }
    if (step_of(profile) <= step_of(before)) {
        return td_fail(err, TD_CONFLICT, "the workspace is of profile %s already; a profile can only be raised",
                       before);
    }
    TD_TRY(check_threshold(td_workspace_db(workspace), profile, err));
    if (move_keys) {
        TD_TRY(move_keys(context, err));
    }
    TD_TRY(check_users_gone(folder, err));
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_TRY(td_txn_begin(td_workspace_db(workspace), &txn, err));
    TD_TRY(record(td_workspace_db(workspace), before, profile, reason, err));
    TD_TRY(take_root_offline(folder, err));
    TD_TRY(td_workspace__setting_write(folder, "profile", profile, err));
    return td_txn_commit(&txn, err);
}
