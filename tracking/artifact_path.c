/*
 * artifact_path.c: which paths of artifacts there can be, judged by what is allowed and never by repair.
 *
 * A path comes here decoded once. A '%' that is still in it was encoded twice; '#' and '?' end a URL's path for some
 * reader on the way; a backslash is a separator on some client's machine. None of them is needed in a file's name, and
 * each was a way out of the root in other registries (CVE-2023-6909, CVE-2024-1483, -1558, -1594, -3848), so they are
 * refused. Our own file system never sees a path: it is a key in a table.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tracking/internal.h"

#include <string.h>

static td_code bad(const char *path, const char *why, td_err *err)
{
    return td_fail(err, TD_INVALID, "Invalid path \"%.*s\": %s", TD_TRACKING_MESSAGE_TEXT, path, why);
}

static td_code check_part(const char *path, const char *part, size_t length, td_err *err)
{
    if (length == 0) {
        return bad(path, "a part is empty (it begins or ends with '/', or has \"//\")", err);
    }
    if ((length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.')) {
        return bad(path, "a part is \".\" or \"..\"", err);
    }
    return TD_OK;
}

td_code td_artifact_path_check(const char *path, td_err *err)
{
    size_t length = strnlen(path, TD_ARTIFACT_PATH_MAX + 1);
    if (length > TD_ARTIFACT_PATH_MAX) {
        return bad(path, "it is longer than 1024 bytes", err);
    }
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)path[i];
        if (c < 0x20 || c == 0x7f || strchr("\\%#?*:\"<>|", c) != NULL) {
            return bad(path, "it holds one of \\ % # ? * : \" < > | or a control character", err);
        }
    }
    TD_CLEANUP(td_json_done) json_t *utf8 = json_string(path);
    if (utf8 == NULL) {
        return bad("…", "it is not UTF-8", err);
    }
    size_t parts = 0;
    for (const char *part = path;; part++) {
        size_t size = strcspn(part, "/");
        TD_TRY(check_part(path, part, size, err));
        part += size;
        if (++parts > TD_ARTIFACT_PARTS_MAX) {
            return bad(path, "it has more than 32 parts", err);
        }
        if (*part == '\0') {
            return TD_OK;
        }
    }
}
