/*
 * workspace.c: opening the folder in which a server lives, and the texts that describe it.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/workspace.h"

#include "access/access.h"
#include "audit/audit.h"
#include "claims/claims.h"
#include "core/base/fs.h"
#include "fleet/device.h"
#include "lineage/lineage.h"
#include "monitor/windows.h"
#include "registry/registry.h"
#include "server/workspace_internal.h"
#include "tracking/tracking.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct td_workspace {
    char path[4096];
    const td_clock *clock;
    td_db *db;
};

const td_migration *const td_workspace__migrations[] = {
    td_audit_migrations,
    td_access_migrations,
    td_registry_migrations,
    td_claims_migrations,
    td_lineage_migrations,
    td_tracking_migrations,
    td_monitor_migrations,
    td_fleet_migrations,
    NULL,
};

const char *td_profile_worth(const char *profile)
{
    if (strcmp(profile, "demo") == 0) {
        return "profile demo: every key lies in this workspace, approvers' and root's too, so approvals do not survive "
               "a break-in. "
               "Raise it with `tidemark profile raise team`.";
    }
    if (strcmp(profile, "team") == 0) {
        return "profile team: approvers sign with keys on their own machines and root is offline; one approval "
               "suffices.";
    }
    if (strcmp(profile, "regulated") == 0) {
        return "profile regulated: two approvers with keys of their own, who sign what they mean; root offline.";
    }
    return NULL;
}

td_code td_workspace_file(const char *workspace, const char *name, char out[4096], td_err *err)
{
    return td_path_join(out, workspace, name, err);
}

td_code td_workspace__signer_state(const char *workspace, const td_config *config, char out[4096], td_err *err)
{
    const char *told = td_config_text(config, "audit.signer_state");
    if (*told && *told != '/') {
        return td_fail(err, TD_INVALID, "audit.signer_state must be an absolute path, not \"%.80s\"", told);
    }
    if (*told) {
        snprintf(out, 4096, "%s", told);
        return TD_OK;
    }
    return td_workspace_file(workspace, TD_FILE_LOG_STATE, out, err);
}

/* It is the workspace's owner's, whoever (root) writes it. */
static td_code replace_config(const char *workspace, const char *path, const td_str *text, td_err *err)
{
    struct stat facts;
    TD_TRY(td_file_replace(path, td_str_text(text), text->size, 0600, err));
    if (stat(workspace, &facts) != 0 ||
        (facts.st_uid != geteuid() && chown(path, facts.st_uid, facts.st_gid) != 0)) {
        return td_fail_errno(err, errno, "%s", path);
    }
    return TD_OK;
}

td_code td_workspace__setting_write(const char *workspace, const char *key, const char *value, td_err *err)
{
    char path[4096];
    size_t key_length = strlen(key);
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_str_done) td_str out = {0};
    TD_CLEANUP(td_config_free) td_config *config = NULL;
    TD_TRY(td_workspace_file(workspace, TD_FILE_CONFIG, path, err));
    TD_TRY(td_file_read(path, TD_YAML_BYTES_MAX, &text, err));
    td_str_addf(&out, "%s: %s\n", key, value);
    for (const char *line = td_str_text(&text); *line;) {
        size_t length = strcspn(line, "\n");
        if (strncmp(line, key, key_length) != 0 || line[key_length] != ':') {
            td_str_append(&out, line, length);
            td_str_add_char(&out, '\n');
        }
        line += length + (line[length] == '\n');
    }
    TD_TRY(td_str_check(&out, err));
    TD_TRY(td_config_parse(td_str_text(&out), out.size, path, NULL, NULL, &config, err));
    if (strcmp(td_config_text(config, key), value) != 0) {
        return td_fail(err, TD_INVALID, "%s sets %s somewhere else: remove that first", path, key);
    }
    return replace_config(workspace, path, &out, err);
}

static td_code find_workspace(const char *path, char absolute[PATH_MAX], td_err *err)
{
    if (!realpath(path, absolute)) {
        return td_fail(err, errno == ENOENT ? TD_NOT_FOUND : TD_IO,
                       "there is no workspace at %s; make one with `tidemark init %s`", path, path);
    }
    char file[4096];
    TD_TRY(td_workspace_file(absolute, "tidemark.db", file, err));
    if (!td_path_exists(file)) {
        return td_fail(err, TD_NOT_FOUND,
                       "%s is no workspace (it has no tidemark.db); make one with `tidemark init %s`", path, path);
    }
    return TD_OK;
}

td_code td_workspace_open(const char *path, const td_clock *clock, td_workspace **out, td_err *err)
{
    char absolute[PATH_MAX], file[4096];
    TD_TRY(find_workspace(path, absolute, err));
    TD_TRY(td_workspace_file(absolute, "tidemark.db", file, err));
    TD_CLEANUP(td_workspace_close) td_workspace *workspace = calloc(1, sizeof *workspace);
    if (!workspace) {
        return td_fail(err, TD_NOMEM, "no memory for the workspace");
    }
    memcpy(workspace->path, absolute, strlen(absolute) + 1);
    workspace->clock = clock ? clock : &td_clock_system;
    td_code code = td_db_open(file, TD_DB_WRITE, workspace->clock, &workspace->db, err);
    if (code == TD_BUSY) {
        return td_fail(err, TD_BUSY,
                       "the workspace %s is already in use by another server (or `tidemark` command that "
                       "writes); stop that one first",
                       absolute);
    }
    TD_TRY(code);
    if (td_db_migrate(workspace->db, td_workspace__migrations, err) != TD_OK) {
        return td_wrap(err, "%s", file);
    }
    *out = workspace;
    workspace = NULL;
    return TD_OK;
}

void td_workspace_close(td_workspace **workspace)
{
    if (*workspace) {
        td_db_close((*workspace)->db);
        free(*workspace);
        *workspace = NULL;
    }
}

const char *td_workspace_path(const td_workspace *workspace)
{
    return workspace->path;
}

td_db *td_workspace_db(td_workspace *workspace)
{
    return workspace->db;
}

td_db *td_workspace_take_db(td_workspace *workspace)
{
    td_db *db = workspace->db;
    workspace->db = NULL;
    return db;
}

td_code td_workspace_reader(const td_workspace *workspace, td_db **out, td_err *err)
{
    char file[4096];
    TD_TRY(td_workspace_file(workspace->path, "tidemark.db", file, err));
    return td_db_open(file, TD_DB_READ, workspace->clock, out, err);
}
