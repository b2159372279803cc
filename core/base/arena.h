/*
 * arena.h: memory that dies together: what one request reads lives in the request's arena.
 *
 * A zeroed td_arena is valid. Allocations are aligned for any type and zeroed.
 * Threads: an arena belongs to one thread.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_BASE_ARENA_H
#define TD_CORE_BASE_ARENA_H

#include "core/base/err.h"

typedef struct td_arena {
    struct td_arena_block *newest;
    size_t used;
} td_arena;

void td_arena_done(td_arena *arena);
void *td_arena_alloc(td_arena *arena, size_t size);     /* NULL when memory is out */
char *td_arena_text(td_arena *arena, const char *text); /* a copy; NULL for NULL */
void *td_arena_copy(td_arena *arena, const void *data, size_t size);

#endif
