/*
 * sort.c: heapsort (J. W. J. Williams, Communications of the ACM 7 (1964) 347).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/sort.h"

#include <assert.h>
#include <string.h>

typedef struct heap {
    char *items;
    size_t size;
    int (*compare)(const void *a, const void *b, void *context);
    void *context;
} heap;

static void swap(const heap *h, size_t a, size_t b)
{
    char kept[TD_SORT_ITEM_MAX];
    memcpy(kept, h->items + a * h->size, h->size);
    memcpy(h->items + a * h->size, h->items + b * h->size, h->size);
    memcpy(h->items + b * h->size, kept, h->size);
}

static void sink(const heap *h, size_t at, size_t count)
{
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count &&
            h->compare(h->items + child * h->size, h->items + (child + 1) * h->size, h->context) < 0) {
            child++;
        }
        if (h->compare(h->items + at * h->size, h->items + child * h->size, h->context) >= 0) {
            return;
        }
        swap(h, at, child);
        at = child;
    }
}

void td_sort(void *items, size_t count, size_t size, int (*compare)(const void *a, const void *b, void *context),
             void *context)
{
    heap h = {items, size, compare, context};
    assert(size <= TD_SORT_ITEM_MAX);
    for (size_t i = count / 2; i > 0; i--) {
        sink(&h, i - 1, count);
    }
    for (size_t end = count; end > 1; end--) {
        swap(&h, 0, end - 1);
        sink(&h, 0, end - 1);
    }
}
