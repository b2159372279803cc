/*
 * backup_prune.c: what lies in a folder of backups, and letting the oldest go.
 *
 * A backup that goes gets the name of an unfinished one first, so that a kill leaves nothing that looks whole. Content
 * goes last, and only what no remaining backup lists.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/backup_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what there is ---- */

static int by_name(const void *a, const void *b)
{
    const json_t *const *left = a, *const *right = b;
    return strcmp(td_json_text(*left, "name", ""), td_json_text(*right, "name", ""));
}

static td_code sorted(json_t *list, json_t **out, td_err *err)
{
    size_t count = json_array_size(list);
    json_t *result = json_array();
    json_t **items = calloc(count + 1, sizeof *items);
    td_code code = result && items ? TD_OK : td_fail(err, TD_NOMEM, "no memory for a list of backups");
    for (size_t i = 0; code == TD_OK && i < count; i++) {
        items[i] = json_array_get(list, i);
    }
    if (code == TD_OK) {
        qsort(items, count, sizeof *items, by_name);
    }
    for (size_t i = 0; code == TD_OK && i < count; i++) {
        code = json_array_append(result, items[i]) == 0 ? TD_OK : td_fail(err, TD_NOMEM, "no memory for a list");
    }
    free(items);
    if (code == TD_OK) {
        *out = result;
        return TD_OK;
    }
    json_decref(result);
    return code;
}

/* One that cannot be read is shown with the reason: it is somebody's only copy, perhaps. */
static td_code add_one(const char *place, const char *name, json_t *list, td_err *err)
{
    char path[4096], file[4096];
    td_err why = {0};
    TD_CLEANUP(td_json_done) json_t *head = NULL;
    TD_TRY(td_path_join(path, place, name, err));
    TD_TRY(td_path_join(file, path, TD_BACKUP_HEAD, err));
    if (!td_path_exists(file)) {
        return TD_OK;
    }
    const td_backup_check check = {.backup = path};
    if (td_backup__head_read(&check, &head, &why) != TD_OK) {
        head = json_pack("{s:s, s:s}", "name", name, "trouble", why.text);
    }
    (void)json_object_set_new(head, "name", json_string(name));
    (void)json_object_set_new(head, "path", json_string(path));
    (void)json_object_del(head, "files");
    return json_array_append(list, head) == 0 ? TD_OK : td_fail(err, TD_NOMEM, "no memory for a list of backups");
}

td_code td_backup_list(const char *place, json_t **out, td_err *err)
{
    DIR *folder = opendir(place);
    if (!folder) {
        return td_fail_errno(err, errno, "%s", place);
    }
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    td_code code = list ? TD_OK : td_fail(err, TD_NOMEM, "no memory for a list of backups");
    for (const struct dirent *entry; code == TD_OK && (entry = readdir(folder)) != NULL;) {
        const char *dot = strchr(entry->d_name, '.'); /* hidden, or unfinished */
        code = dot ? TD_OK : add_one(place, entry->d_name, list, err);
    }
    closedir(folder);
    return code == TD_OK ? sorted(list, out, err) : code;
}

/* ---- content that is still listed ---- */

typedef struct digest_set {
    uint8_t (*digests)[TD_DIGEST_SIZE];
    size_t count, room;
    td_content *pool;
    uint64_t removed, bytes;
} digest_set;

static int by_digest(const void *a, const void *b)
{
    return memcmp(a, b, TD_DIGEST_SIZE);
}

static td_code add_digest(void *context, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err)
{
    digest_set *set = context;
    (void)size;
    if (set->count == set->room) {
        size_t room = set->room ? 2 * set->room : 1024;
        void *more = realloc(set->digests, room * TD_DIGEST_SIZE);
        if (!more) {
            return td_fail(err, TD_NOMEM, "no memory for the content of %zu backups' lists", set->count);
        }
        set->digests = more;
        set->room = room;
    }
    memcpy(set->digests[set->count++], digest, TD_DIGEST_SIZE);
    return TD_OK;
}

static td_code remove_unlisted(void *context, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err)
{
    digest_set *set = context;
    char path[4096];
    if (set->count && bsearch(digest, set->digests, set->count, TD_DIGEST_SIZE, by_digest)) {
        return TD_OK;
    }
    TD_TRY(td_content_path(set->pool, digest, path, err));
    if (unlink(path) != 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    set->removed++;
    set->bytes += size;
    return TD_OK;
}

static td_code prune_content(const char *place, const json_t *kept, digest_set *set, td_err *err)
{
    char path[4096];
    size_t i;
    const json_t *head;
    json_array_foreach ((json_t *)kept, i, head) {
        TD_TRY(td_path_join(path, td_json_text(head, "path", ""), TD_BACKUP_LIST, err));
        TD_TRY(td_backup__list_each(path, add_digest, set, err));
    }
    if (set->count) {
        qsort(set->digests, set->count, TD_DIGEST_SIZE, by_digest);
    }
    TD_TRY(td_path_join(path, place, TD_BACKUP_POOL, err));
    TD_TRY(td_content_attach(path, &set->pool, err));
    td_code code = td_content_each(set->pool, remove_unlisted, set, err);
    td_content_close(set->pool);
    return code;
}

/* ---- pruning ---- */

static td_code let_go(const char *path, td_err *err)
{
    char gone[4096];
    int size = snprintf(gone, sizeof gone, "%s%s", path, TD_BACKUP_UNFINISHED);
    if (size < 0 || (size_t)size >= sizeof gone) {
        return td_fail(err, TD_LIMIT, "the path %.80s… is too long", path);
    }
    if (rename(path, gone) != 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    return td_folder_remove(gone, err);
}

/* Oldest first; one that cannot be read counts as none, and is not touched. */
static td_code choose(json_t *list, size_t keep, json_t *kept, json_t *gone, td_err *err)
{
    size_t i, good = 0;
    json_t *head;
    json_array_foreach (list, i, head) {
        if (json_object_get(head, "trouble")) {
            return td_fail(err, TD_CORRUPT, "%s cannot be read, so what it needs is unknown; nothing was removed: %s",
                           td_json_text(head, "path", ""), td_json_text(head, "trouble", ""));
        }
        good++;
    }
    size_t surplus = good > keep ? good - keep : 0;
    json_array_foreach (list, i, head) {
        if (json_array_append(i < surplus ? gone : kept, head) != 0) {
            return td_fail(err, TD_NOMEM, "no memory for a list of backups");
        }
    }
    return TD_OK;
}

static td_code prune(const char *place, size_t keep, json_t *kept, json_t *gone, digest_set *set, td_err *err)
{
    TD_CLEANUP(td_close_fd) int lock = -1;
    TD_CLEANUP(td_json_done) json_t *list = NULL;
    size_t i;
    const json_t *head;
    TD_TRY(td_backup__lock(place, &lock, err));
    TD_TRY(td_backup_list(place, &list, err));
    TD_TRY(choose(list, keep, kept, gone, err));
    json_array_foreach (gone, i, head) {
        TD_TRY(let_go(td_json_text(head, "path", ""), err));
    }
    return prune_content(place, kept, set, err);
}

td_code td_backup_prune(const char *place, size_t keep, json_t **out, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *kept = json_array();
    TD_CLEANUP(td_json_done) json_t *gone = json_array();
    digest_set set = {0};
    td_code code = kept && gone ? prune(place, keep, kept, gone, &set, err)
                                : td_fail(err, TD_NOMEM, "no memory for a list of backups");
    free(set.digests);
    TD_TRY(code);
    *out = json_pack("{s:O, s:O, s:{s:I, s:I}}", "kept", kept, "removed", gone, "content", "objects",
                     (json_int_t)set.removed, "bytes", (json_int_t)set.bytes);
    return *out ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the answer");
}
