/*
 * backup_files.c: the small files of a workspace: which of them go into a backup, and their digests.
 *
 * Public halves always go along. Private keys and tokens (keys/, users/) only if they are wanted; offline/ never, since
 * root belongs on another machine; the signer's memory never, since an old one would be a lie.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/backup_internal.h"
#include "server/workspace_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 3

typedef struct files_copy {
    const char *workspace, *part;
    bool without_keys;
    json_t *files;
} files_copy;

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

static bool is_public(const char *name)
{
    return ends_with(name, ".crt.pem") || ends_with(name, ".pub.pem") || ends_with(name, ".vkey") ||
           strcmp(name, TD_FILE_KEYSET) == 0;
}

/* The memory of the log's signer, wherever it lies, with its lock and what a killed signer left half written. */
static bool is_memory(const char *name)
{
    return ends_with(name, ".state") || strstr(name, ".state.") != NULL;
}

td_code td_backup__file_copy(const char *from, const char *to, unsigned mode, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str bytes = {0};
    char folder[4096];
    TD_TRY(td_file_read(from, TD_BACKUP_FILE_MAX, &bytes, err));
    snprintf(folder, sizeof folder, "%s", to);
    char *slash = strrchr(folder, '/');
    if (slash) {
        *slash = 0;
    }
    td_code code = td_folder_make(slash ? folder : ".", 0700, err);
    code = code == TD_OK ? td_file_replace(to, td_str_text(&bytes), bytes.size, mode, err) : code;
    td_wipe(bytes.data, bytes.size);
    return code;
}

td_code td_backup__file_add(const char *folder, const char *name, unsigned mode, json_t *files, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    uint64_t size;
    char path[4096], hex[TD_DIGEST_TEXT], mode_text[8];
    TD_TRY(td_path_join(path, folder, name, err));
    TD_TRY(td_sha256_file(path, digest, &size, err));
    td_hex_encode(digest, sizeof digest, hex);
    snprintf(mode_text, sizeof mode_text, "%04o", mode & 0777u);
    json_t *file = json_pack("{s:s, s:I, s:s, s:s}", "name", name, "size", (json_int_t)size, "sha256", hex, "mode",
                             mode_text);
    return file && json_array_append_new(files, file) == 0 ? TD_OK : td_fail(err, TD_NOMEM, "no memory for %s", name);
}

static td_code copy_one(const files_copy *copy, const char *name, mode_t mode, td_err *err)
{
    char from[4096], to[4096];
    if (is_memory(name) || (copy->without_keys && !is_public(name) && strcmp(name, TD_FILE_CONFIG) != 0)) {
        return TD_OK;
    }
    if (json_array_size(copy->files) >= TD_BACKUP_FILES_MAX) {
        return td_fail(err, TD_LIMIT, "there are more than %d files in keys/ and users/", TD_BACKUP_FILES_MAX);
    }
    TD_TRY(td_path_join(from, copy->workspace, name, err));
    TD_TRY(td_path_join(to, copy->part, name, err));
    TD_TRY(td_backup__file_copy(from, to, mode & 0777u, err));
    return td_backup__file_add(copy->part, name, mode, copy->files, err);
}

/* Regular files and folders only: a link may lead anywhere. */
static td_code copy_folder(const files_copy *copy, const char *name, int depth, td_err *err)
{
    char path[4096];
    TD_TRY(td_path_join(path, copy->workspace, name, err));
    DIR *folder = opendir(path);
    if (!folder) {
        return errno == ENOENT ? TD_OK : td_fail_errno(err, errno, "%s", path);
    }
    td_code code = TD_OK;
    for (const struct dirent *entry; code == TD_OK && (entry = readdir(folder)) != NULL;) {
        struct stat facts;
        char inner[4096];
        if (entry->d_name[0] == '.' || fstatat(dirfd(folder), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        code = td_path_join(inner, name, entry->d_name, err);
        if (code == TD_OK && S_ISDIR(facts.st_mode) && depth < DEPTH_MAX) {
            code = copy_folder(copy, inner, depth + 1, err);
        } else if (code == TD_OK && S_ISREG(facts.st_mode)) {
            code = copy_one(copy, inner, facts.st_mode, err);
        }
    }
    closedir(folder);
    return code;
}

td_code td_backup__files(const char *workspace, const char *part, bool without_keys, json_t *files, td_err *err)
{
    const files_copy copy = {workspace, part, without_keys, files};
    TD_TRY(copy_one(&copy, TD_FILE_CONFIG, 0600, err));
    TD_TRY(copy_folder(&copy, "keys", 0, err));
    return copy_folder(&copy, "users", 0, err);
}

/* ---- what backup.json lists ---- */

td_code td_backup__name_check(const char *name, td_err *err)
{
    TD_TRY(td_check_file_name(name, strlen(name), err));
    bool ours = strcmp(name, TD_FILE_CONFIG) == 0 || strcmp(name, TD_BACKUP_DATABASE) == 0 ||
                strcmp(name, TD_BACKUP_CHECKPOINT) == 0 || strcmp(name, TD_BACKUP_LIST) == 0 ||
                strncmp(name, "keys/", 5) == 0 || strncmp(name, "users/", 6) == 0;
    return ours && !is_memory(name) ? TD_OK
                                    : td_fail(err, TD_CORRUPT, "%s lists %.100s, which is no file of a backup",
                                              TD_BACKUP_HEAD, name);
}

td_code td_backup__files_check(const char *folder, const json_t *head, td_err *err)
{
    size_t i;
    const json_t *file;
    json_array_foreach ((json_t *)json_object_get(head, "files"), i, file) {
        const char *name = td_json_text(file, "name", "");
        uint8_t digest[TD_DIGEST_SIZE];
        uint64_t size;
        char path[4096], hex[TD_DIGEST_TEXT];
        TD_TRY(td_backup__name_check(name, err));
        TD_TRY(td_path_join(path, folder, name, err));
        TD_TRY(td_sha256_file(path, digest, &size, err));
        td_hex_encode(digest, sizeof digest, hex);
        if (strcmp(hex, td_json_text(file, "sha256", "")) != 0) {
            return td_fail(err, TD_CORRUPT, "%s was changed or cut: its SHA-256 is not the one in %s", path,
                           TD_BACKUP_HEAD);
        }
    }
    return TD_OK;
}

static unsigned mode_of(const json_t *file)
{
    const char *text = td_json_text(file, "mode", "");
    return strcmp(text, "0644") == 0 ? 0644u : strcmp(text, "0444") == 0 ? 0444u : 0600u;
}

static bool belongs(const char *name)
{
    return strcmp(name, TD_BACKUP_DATABASE) != 0 && strcmp(name, TD_BACKUP_CHECKPOINT) != 0 &&
           strcmp(name, TD_BACKUP_LIST) != 0;
}

td_code td_backup__files_restore(const char *folder, const json_t *head, const char *workspace, td_err *err)
{
    size_t i;
    const json_t *file;
    json_array_foreach ((json_t *)json_object_get(head, "files"), i, file) {
        const char *name = td_json_text(file, "name", "");
        char from[4096], to[4096];
        if (!belongs(name)) {
            continue;
        }
        TD_TRY(td_path_join(from, folder, name, err));
        TD_TRY(td_path_join(to, workspace, name, err));
        TD_TRY(td_backup__file_copy(from, to, mode_of(file), err));
    }
    return TD_OK;
}
