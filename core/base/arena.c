/*
 * arena.c: a chain of blocks, newest first; an allocation larger than a block gets a block of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/arena.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)8 * 1024)

struct td_arena_block {
    struct td_arena_block *older;
    size_t room;
    _Alignas(max_align_t) unsigned char bytes[];
};

void td_arena_done(td_arena *arena)
{
    while (arena->newest != NULL) {
        struct td_arena_block *older = arena->newest->older;
        free(arena->newest);
        arena->newest = older;
    }
    arena->used = 0;
}

void *td_arena_alloc(td_arena *arena, size_t size)
{
    size_t align = _Alignof(max_align_t);
    if (size > SIZE_MAX / 2) {
        return NULL;
    }
    size = (size + align - 1) / align * align;
    if (arena->newest == NULL || arena->newest->room - arena->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        struct td_arena_block *block = calloc(1, sizeof *block + room);
        if (block == NULL) {
            return NULL;
        }
        block->older = arena->newest;
        block->room = room;
        arena->newest = block;
        arena->used = 0;
    }
    void *result = arena->newest->bytes + arena->used;
    arena->used += size;
    return result;
}

void *td_arena_copy(td_arena *arena, const void *data, size_t size)
{
    void *copy = td_arena_alloc(arena, size > 0 ? size : 1);
    if (copy != NULL && size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

char *td_arena_text(td_arena *arena, const char *text)
{
    return text == NULL ? NULL : td_arena_copy(arena, text, strlen(text) + 1);
}
