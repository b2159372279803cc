/*
 * fuzz_backup.c: a backup.json and a list of content from anywhere: nothing that passes leads out of its folder.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/backup_internal.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static td_code look(void *context, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size, td_err *err)
{
    (void)digest;
    (void)err;
    assert(size <= TD_CONTENT_OBJECT_MAX);
    (*(size_t *)context)++;
    return TD_OK;
}

static void read_head(const char *text, size_t size)
{
    json_t *head = NULL;
    size_t i;
    const json_t *file;
    if (td_backup__head_parse(text, size, "backup.json", &head, NULL) != TD_OK) {
        return;
    }
    json_array_foreach ((json_t *)json_object_get(head, "files"), i, file) {
        const char *name = td_json_text(file, "name", "");
        if (td_backup__name_check(name, NULL) == TD_OK) {
            assert(name[0] != '/' && strncmp(name, "../", 3) != 0 && strstr(name, "/../") == NULL);
        }
    }
    json_decref(head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t lines = 0;
    if (size == 0) {
        return 0;
    }
    if (data[0] == '{') {
        read_head((const char *)data, size);
        return 0;
    }
    FILE *list = fmemopen((void *)(uintptr_t)data, size, "r");
    if (list != NULL) {
        (void)!td_backup__list_read(list, look, &lines, NULL);
        assert(lines <= size / (2 * TD_DIGEST_SIZE));
        (void)fclose(list);
    }
    return 0;
}
