/*
 * pickle_stack.c: stack and memo of the pickle machine, never larger than the bytes that could fill them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/pickle_internal.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_OFFSET_MAX ((uint64_t)1 << 40)
#define TEXT_SIZE_MAX 65535u

void td_pickle__stop(td_pickle__machine *m, const char *why)
{
    m->stopped = m->stopped == NULL ? why : m->stopped;
}

static bool grow(td_pickle__machine *m, td_pickle__value **items, size_t *room)
{
    size_t wanted = *room == 0 ? 64 : 2 * *room;
    if (*room >= m->entries_max) {
        td_pickle__stop(m, "it keeps more at once than a file of its size needs");
        return false;
    }
    wanted = wanted < m->entries_max ? wanted : m->entries_max;
    td_pickle__value *larger = realloc(*items, wanted * sizeof *larger);
    if (larger == NULL) {
        td_pickle__stop(m, "memory ran out");
        return false;
    }
    *items = larger;
    *room = wanted;
    return true;
}

void td_pickle__push(td_pickle__machine *m, td_pickle__value value)
{
    if (m->depth < m->stack_room || grow(m, &m->stack, &m->stack_room)) {
        m->stack[m->depth++] = value;
    }
}

td_pickle__value *td_pickle__top(td_pickle__machine *m)
{
    if (m->depth == 0 || td_pickle__kind_of(m->stack[m->depth - 1]) == TD_PICKLE_MARK) {
        td_pickle__stop(m, "it takes from an empty stack");
        return NULL;
    }
    return &m->stack[m->depth - 1];
}

td_pickle__value td_pickle__pop(td_pickle__machine *m)
{
    td_pickle__value *top = td_pickle__top(m);
    if (top == NULL) {
        return td_pickle__make(TD_PICKLE_OTHER, 0);
    }
    m->depth--;
    return *top;
}

size_t td_pickle__mark(td_pickle__machine *m)
{
    for (size_t i = m->depth; i > 0; i--) {
        if (td_pickle__kind_of(m->stack[i - 1]) == TD_PICKLE_MARK) {
            return i - 1;
        }
    }
    td_pickle__stop(m, "it goes back to a mark that is not there");
    return SIZE_MAX;
}

static void put_far(td_pickle__machine *m, uint64_t index, td_pickle__value value)
{
    for (size_t i = 0; i < m->far_count; i++) {
        if (m->far[i].index == index) {
            m->far[i].value = value;
            return;
        }
    }
    if (m->far_count == TD_PICKLE__FAR_MAX) {
        td_pickle__stop(m, "it numbers its memo in no order");
        return;
    }
    m->far[m->far_count++] = (td_pickle__far){index, value};
}

void td_pickle__put(td_pickle__machine *m, uint64_t index)
{
    td_pickle__value *top = td_pickle__top(m);
    if (top == NULL) {
        return;
    }
    if (index > (uint64_t)m->memo_count + 1) {
        put_far(m, index, *top);
        return;
    }
    td_pickle__value value = *top;
    while (m->memo_count <= index) {
        if (m->memo_count == m->memo_room && !grow(m, &m->memo, &m->memo_room)) {
            return;
        }
        m->memo[m->memo_count++] = td_pickle__make(TD_PICKLE_MARK, 0); /* a gap: nothing is there */
    }
    m->memo[index] = value;
}

void td_pickle__get(td_pickle__machine *m, uint64_t index)
{
    for (size_t i = 0; i < m->far_count; i++) {
        if (m->far[i].index == index) {
            td_pickle__push(m, m->far[i].value);
            return;
        }
    }
    if (index >= m->memo_count || td_pickle__kind_of(m->memo[index]) == TD_PICKLE_MARK) {
        td_pickle__stop(m, "it takes from its memo what is not there");
        return;
    }
    td_pickle__push(m, m->memo[index]);
}

td_pickle__value td_pickle__text(const td_pickle__machine *m, const void *data, size_t size)
{
    uint64_t offset = (uint64_t)((const uint8_t *)data - m->data);
    if (offset >= TEXT_OFFSET_MAX || size > TEXT_SIZE_MAX) {
        return td_pickle__make(TD_PICKLE_OTHER, 0);
    }
    return td_pickle__make(TD_PICKLE_TEXT, offset << 16 | size);
}

td_text td_pickle__text_of(const td_pickle__machine *m, td_pickle__value value)
{
    uint64_t payload = td_pickle__payload(value);
    return (td_text){m->data + (payload >> 16), (size_t)(payload & TEXT_SIZE_MAX)};
}
