/*
 * slot_files.c: the slots port: begin, write, read, sync, commit, switch.
 *
 * The idea: content is written into a folder that nothing points to; the switch is one rename of a link. Whatever makes
 * a name appear is followed by an fsync of the folder that holds the name, so sync() of an object needs only its own
 * data.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/slot_files.h"

#include "core/base/fs.h"
#include "firmware/linux/slot_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

void td_place_id(const uint8_t digest[TD_DIGEST_SIZE], char out[TD_PLACE_ID_TEXT])
{
    td_hex_encode(digest, (TD_PLACE_ID_TEXT - 1) / 2, out);
}

static void step(const td_slot_files *files, const char *what)
{
    if (files->step != NULL) {
        files->step(files->step_context, what);
    }
}

/* The codes of the port for an errno. */
static int port_error(int error_number)
{
    switch (error_number) {
    case ENOSPC:
    case EDQUOT:
        return TDE_NO_SPACE;
    case ENOENT:
    case ENOTDIR:
        return TDE_NOT_FOUND;
    default:
        return TDE_IO;
    }
}

static int from_code(td_code code)
{
    return code == TD_OK ? TDE_OK : code == TD_LIMIT ? TDE_NO_SPACE : code == TD_NOT_FOUND ? TDE_NOT_FOUND : TDE_IO;
}

/* The core checks slot names; this is the last gate before the file system. */
static bool slot_is_good(const char *slot)
{
    size_t length = strnlen(slot, 129);
    return length >= 1 && length <= 128 && slot[0] != '.' && slot[0] != '-' && strchr(slot, '/') == NULL;
}

typedef char path_text[PATH_MAX];

/* <root>/<slot>[/<more>[/<id>]]; more and digest may be NULL. */
static int slot_path(const td_slot_files *files, const char *slot, const char *more, const uint8_t *digest,
                     path_text out)
{
    char id[TD_PLACE_ID_TEXT] = "";
    if (!slot_is_good(slot)) {
        return TDE_INVALID;
    }
    if (digest != NULL) {
        td_place_id(digest, id);
    }
    int length = snprintf(out, PATH_MAX, "%s/%s%s%s%s%s", files->root, slot, more != NULL ? "/" : "",
                          more != NULL ? more : "", digest != NULL ? "/" : "", id);
    return length > 0 && length < PATH_MAX ? TDE_OK : TDE_LIMIT;
}

static int object_path(const td_slot_files *files, const tde_place *place, const tde_object *object, path_text out)
{
    td_err err;
    path_text folder;
    bool named = object->kind != TDE_OBJECT_ENVELOPE;
    if (named && td_check_file_name(object->name, strlen(object->name), &err) != TD_OK) {
        return TDE_INVALID;
    }
    int result = slot_path(files, place->slot, object->kind == TDE_OBJECT_FILE ? NULL : ".meta", place->digest, folder);
    if (result != TDE_OK) {
        return result;
    }
    const char *middle = object->kind == TDE_OBJECT_TABLE  ? "/tables/"
                         : object->kind == TDE_OBJECT_FILE ? "/"
                                                           : "/envelope";
    int length = snprintf(out, PATH_MAX, "%s%s%s", folder, middle, named ? object->name : "");
    return length > 0 && length < PATH_MAX ? TDE_OK : TDE_LIMIT;
}

static void forget_open(td_slot_files *files)
{
    td_close_fd(&files->fd);
    files->open_path[0] = 0;
}

/* ---- begin --------------------------------------------------------------------------------------------------------
 */

static int check_room(const td_slot_files *files, const path_text folder, const path_text meta, uint64_t size)
{
    struct statvfs fs;
    if (statvfs(files->root, &fs) != 0) {
        return TDE_IO;
    }
    uint64_t there = td_tree_bytes(folder) + td_tree_bytes(meta);
    uint64_t missing = size > there ? size - there : 0;
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    return missing == 0 || (room > TD_SLOT_ROOM_RESERVE && room - TD_SLOT_ROOM_RESERVE >= missing) ? TDE_OK
                                                                                                   : TDE_NO_SPACE;
}

static int write_digest(const path_text meta, const uint8_t digest[TD_DIGEST_SIZE])
{
    td_err err;
    char path[PATH_MAX + 16];
    char text[TD_DIGEST_TEXT + 1];
    snprintf(path, sizeof path, "%s/digest", meta);
    if (td_path_exists(path)) {
        return TDE_OK; /* written as a whole or not at all */
    }
    td_hex_encode(digest, TD_DIGEST_SIZE, text);
    text[TD_DIGEST_TEXT - 1] = '\n';
    return from_code(td_file_replace(path, text, TD_DIGEST_TEXT, 0644, &err));
}

static int slots_begin(void *context, const tde_place *place, uint64_t size)
{
    td_slot_files *files = context;
    td_err err;
    path_text folder, meta;
    int result = slot_path(files, place->slot, NULL, place->digest, folder);
    if (result == TDE_OK) {
        result = slot_path(files, place->slot, ".meta", place->digest, meta);
    }
    if (result == TDE_OK) {
        result = check_room(files, folder, meta, size);
    }
    if (result != TDE_OK) {
        return result;
    }
    step(files, "make folders");
    result = from_code(td_folder_make(folder, 0755, &err));
    if (result == TDE_OK) {
        result = from_code(td_folder_make(meta, 0755, &err));
    }
    step(files, "write digest");
    return result == TDE_OK ? write_digest(meta, place->digest) : result;
}

/* ---- Objects ------------------------------------------------------------------------------------------------------
 */

/* Makes the folders of a path and the empty file, all names durable. */
static int create_object(td_slot_files *files, const path_text path, int *fd_out)
{
    td_err err;
    path_text folder;
    memcpy(folder, path, sizeof folder);
    *strrchr(folder, '/') = 0;
    step(files, "make object folder");
    int result = from_code(td_folder_make(folder, 0755, &err));
    if (result != TDE_OK) {
        return result;
    }
    step(files, "create object");
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) {
        return port_error(errno);
    }
    if (td_folder_sync(folder, &err) != TD_OK) {
        close(fd);
        return TDE_IO;
    }
    *fd_out = fd;
    return TDE_OK;
}

static int open_object(td_slot_files *files, const path_text path)
{
    if (files->fd >= 0 && strcmp(files->open_path, path) == 0) {
        return TDE_OK;
    }
    forget_open(files);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno != ENOENT && errno != ENOTDIR) {
        return port_error(errno);
    }
    if (fd < 0) {
        int result = create_object(files, path, &fd);
        if (result != TDE_OK) {
            return result;
        }
    }
    files->fd = fd;
    memcpy(files->open_path, path, sizeof files->open_path);
    return TDE_OK;
}

static int slots_write(void *context, const tde_place *place, const tde_object *object, uint64_t offset,
                       const void *data, size_t size)
{
    td_slot_files *files = context;
    path_text path;
    int result = object_path(files, place, object, path);
    if (result == TDE_OK) {
        result = open_object(files, path);
    }
    const uint8_t *at = data;
    step(files, "write");
    while (result == TDE_OK && size > 0) {
        ssize_t done = pwrite(files->fd, at, size, (off_t)offset);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            result = done < 0 ? port_error(errno) : TDE_IO;
            break;
        }
        at += done;
        offset += (uint64_t)done;
        size -= (size_t)done;
    }
    return result;
}

static int slots_read(void *context, const tde_place *place, const tde_object *object, uint64_t offset, void *data,
                      size_t size)
{
    td_slot_files *files = context;
    path_text path;
    int result = object_path(files, place, object, path);
    if (result != TDE_OK) {
        return result;
    }
    TD_CLEANUP(td_close_fd) int own = -1;
    int fd = files->fd;
    if (fd < 0 || strcmp(files->open_path, path) != 0) {
        fd = own = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0) {
            return port_error(errno);
        }
    }
    uint8_t *at = data;
    while (size > 0) {
        ssize_t got = pread(fd, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got == 0 ? TDE_NOT_FOUND : TDE_IO;
        }
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return TDE_OK;
}

static int slots_sync(void *context, const tde_place *place, const tde_object *object)
{
    td_slot_files *files = context;
    path_text path;
    int result = object_path(files, place, object, path);
    if (result != TDE_OK) {
        return result;
    }
    step(files, "sync");
    if (files->fd >= 0 && strcmp(files->open_path, path) == 0) {
        return fdatasync(files->fd) == 0 ? TDE_OK : port_error(errno);
    }
    TD_CLEANUP(td_close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fdatasync(fd) != 0) {
        return port_error(errno);
    }
    return TDE_OK;
}

static int slots_size(void *context, const tde_place *place, const tde_object *object, uint64_t *size_out)
{
    path_text path;
    struct stat st;
    int result = object_path(context, place, object, path);
    if (result != TDE_OK) {
        return result;
    }
    if (lstat(path, &st) != 0) {
        return port_error(errno);
    }
    if (!S_ISREG(st.st_mode)) {
        return TDE_NOT_FOUND;
    }
    *size_out = (uint64_t)st.st_size;
    return TDE_OK;
}

static int slots_reuse(void *context, const tde_place *place, const tde_object *object,
                       const uint8_t digest[TDE_DIGEST_SIZE], uint64_t size)
{
    td_slot_files *files = context;
    path_text slot, path, found;
    char id[TD_PLACE_ID_TEXT];
    int result = slot_path(files, place->slot, NULL, NULL, slot);
    if (result == TDE_OK) {
        result = object_path(files, place, object, path);
    }
    if (result != TDE_OK) {
        return result;
    }
    td_place_id(place->digest, id);
    if (object->kind != TDE_OBJECT_FILE || !td_tree_find(slot, id, digest, size, found)) {
        return 0;
    }
    forget_open(files);
    int fd = -1;
    result = open_object(files, path);
    if (result != TDE_OK) {
        return result;
    }
    fd = files->fd;
    step(files, "copy");
    result = td_tree_copy(found, fd, size);
    return result == TDE_OK ? 1 : result;
}

/* ---- The switch ---------------------------------------------------------------------------------------------------
 */

static int slots_commit(void *context, const tde_place *place)
{
    td_slot_files *files = context;
    td_err err;
    path_text folder, meta;
    char tables[PATH_MAX + 16];
    forget_open(files);
    int result = slot_path(files, place->slot, NULL, place->digest, folder);
    if (result == TDE_OK) {
        result = slot_path(files, place->slot, ".meta", place->digest, meta);
    }
    if (result != TDE_OK) {
        return result;
    }
    step(files, "sync tree");
    result = from_code(td_tree_settle(folder, &err));
    step(files, "remove tables");
    snprintf(tables, sizeof tables, "%s/tables", meta);
    if (result == TDE_OK) {
        result = from_code(td_folder_remove(tables, &err));
    }
    return result == TDE_OK ? from_code(td_tree_settle(meta, &err)) : result;
}

static int switch_link(const td_slot_files *files, const path_text slot, const char *id)
{
    td_err err;
    char link[PATH_MAX + 16], fresh[PATH_MAX + 16];
    snprintf(link, sizeof link, "%s/current", slot);
    snprintf(fresh, sizeof fresh, "%s/.current.new", slot);
    step(files, "remove old link");
    if (unlink(fresh) != 0 && errno != ENOENT) {
        return port_error(errno);
    }
    step(files, "make link");
    if (symlink(id, fresh) != 0) {
        return port_error(errno);
    }
    step(files, "switch");
    if (rename(fresh, link) != 0) {
        return port_error(errno);
    }
    step(files, "sync switch");
    return from_code(td_folder_sync(slot, &err));
}

static int remove_link(const td_slot_files *files, const path_text slot)
{
    td_err err;
    char link[PATH_MAX + 16];
    snprintf(link, sizeof link, "%s/current", slot);
    step(files, "unlink");
    if (unlink(link) != 0) {
        return errno == ENOENT || errno == ENOTDIR ? TDE_OK : port_error(errno);
    }
    return from_code(td_folder_sync(slot, &err));
}

/* The id that `current` names, or "". */
static int read_link(const path_text slot, char id[TD_PLACE_ID_TEXT])
{
    char link[PATH_MAX + 16], target[TD_PLACE_ID_TEXT + 1];
    snprintf(link, sizeof link, "%s/current", slot);
    ssize_t length = readlink(link, target, sizeof target);
    id[0] = 0;
    if (length < 0) {
        return errno == ENOENT || errno == ENOTDIR || errno == EINVAL ? TDE_OK : TDE_IO;
    }
    if (length == TD_PLACE_ID_TEXT - 1) {
        memcpy(id, target, TD_PLACE_ID_TEXT - 1);
        id[TD_PLACE_ID_TEXT - 1] = 0;
    }
    return TDE_OK;
}

static int slots_activate(void *context, const tde_place *place)
{
    td_slot_files *files = context;
    path_text slot, folder;
    char id[TD_PLACE_ID_TEXT], now[TD_PLACE_ID_TEXT];
    int result = slot_path(files, place->slot, NULL, NULL, slot);
    if (result != TDE_OK) {
        return result;
    }
    if (place->digest == NULL) {
        return remove_link(files, slot);
    }
    td_place_id(place->digest, id);
    result = slot_path(files, place->slot, NULL, place->digest, folder);
    if (result == TDE_OK && !td_path_exists(folder)) {
        result = TDE_NOT_FOUND;
    }
    if (result == TDE_OK) {
        result = read_link(slot, now);
    }
    if (result != TDE_OK || strcmp(now, id) == 0) {
        return result;
    }
    return switch_link(files, slot, id);
}

static int slots_current(void *context, const char *slot_name, uint8_t digest_out[TDE_DIGEST_SIZE])
{
    td_slot_files *files = context;
    td_err err;
    path_text slot;
    char id[TD_PLACE_ID_TEXT], path[PATH_MAX + 64];
    int result = slot_path(files, slot_name, NULL, NULL, slot);
    if (result == TDE_OK) {
        result = read_link(slot, id);
    }
    if (result != TDE_OK || id[0] == 0) {
        return result;
    }
    TD_CLEANUP(td_str_done) td_str text = {0};
    uint8_t digest[TD_DIGEST_SIZE];
    snprintf(path, sizeof path, "%s/.meta/%s/digest", slot, id);
    if (td_file_read(path, TD_DIGEST_TEXT, &text, &err) != TD_OK ||
        td_hex_decode(text.data, TD_DIGEST_TEXT - 1 < text.size ? TD_DIGEST_TEXT - 1 : text.size, digest, sizeof digest,
                      &err) != TD_OK) {
        return 0; /* nothing that the core could know: it switches on what its record says */
    }
    memcpy(digest_out, digest, sizeof digest);
    return 1;
}

static int slots_keep(void *context, const char *slot_name, const uint8_t (*digests)[TDE_DIGEST_SIZE], size_t count)
{
    td_slot_files *files = context;
    td_err err;
    path_text slot, meta;
    forget_open(files);
    int result = slot_path(files, slot_name, NULL, NULL, slot);
    if (result == TDE_OK) {
        result = slot_path(files, slot_name, ".meta", NULL, meta);
    }
    if (result != TDE_OK) {
        return result;
    }
    step(files, "remove versions");
    result = from_code(td_tree_keep(slot, digests, count, &err));
    step(files, "remove meta");
    return result == TDE_OK ? from_code(td_tree_keep(meta, digests, count, &err)) : result;
}

static uint64_t slots_room(void *context)
{
    const td_slot_files *files = context;
    struct statvfs fs;
    if (statvfs(files->root, &fs) != 0) {
        return 0;
    }
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    return room > TD_SLOT_ROOM_RESERVE ? room - TD_SLOT_ROOM_RESERVE : 1; /* 0 would mean: unknown */
}

td_code td_slot_files_open(td_slot_files *files, const char *state_folder, td_err *err)
{
    *files = (td_slot_files){.fd = -1};
    int length = snprintf(files->root, sizeof files->root, "%s/slots", state_folder);
    if (length < 0 || (size_t)length >= sizeof files->root) {
        return td_fail(err, TD_LIMIT, "the path of the state folder is longer than %zu bytes", sizeof files->root - 8);
    }
    return td_folder_make(files->root, 0755, err);
}

void td_slot_files_close(td_slot_files *files)
{
    forget_open(files);
}

tde_slots_port td_slot_files_port(td_slot_files *files)
{
    return (tde_slots_port){
        .context = files,
        .begin = slots_begin,
        .write = slots_write,
        .read = slots_read,
        .sync = slots_sync,
        .size = slots_size,
        .reuse = slots_reuse,
        .commit = slots_commit,
        .activate = slots_activate,
        .current = slots_current,
        .keep = slots_keep,
        .room = slots_room,
    };
}
