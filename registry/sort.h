/*
 * sort.h: sorting in place, for counts that a stranger chose: qsort may copy the whole array, this allocates nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_SORT_H
#define TD_REGISTRY_SORT_H

#include <stddef.h>

/* Heapsort: n log n whatever the order. `size` at most TD_SORT_ITEM_MAX. */
#define TD_SORT_ITEM_MAX 32
void td_sort(void *items, size_t count, size_t size, int (*compare)(const void *a, const void *b, void *context),
             void *context);

#endif
