/*
 * pickle_internal.h: the pickle machine, followed but not run.
 *
 * The real machine keeps objects on its stack and in its memo; ours keeps what matters of them in 64 bits: whether it
 * is text (where), a global, a number, a shape, what a call returned. Whatever it cannot follow is OTHER, and calling
 * or naming OTHER is a finding.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_REGISTRY_PICKLE_INTERNAL_H
#define TD_REGISTRY_PICKLE_INTERNAL_H

#include "registry/inspect_internal.h"

typedef uint64_t td_pickle__value; /* kind in the top 4 bits */

enum td_pickle__kind {
    TD_PICKLE_OTHER,
    TD_PICKLE_MARK,
    TD_PICKLE_TEXT,       /* 40 bits of offset, 16 of length */
    TD_PICKLE_TEXT_TUPLE, /* a tuple that begins with that text */
    TD_PICKLE_NUMBER,     /* 0 … 2^56 - 1 */
    TD_PICKLE_SHAPE,      /* a tuple of numbers: their product */
    TD_PICKLE_GLOBAL,     /* enum td_pickle__class */
    TD_PICKLE_OBJECT,     /* what a call returned: enum td_pickle__class */
    TD_PICKLE_DTYPE,      /* NumPy's, with the bytes of an element; 0: Python objects */
    TD_PICKLE_CONTAINER   /* list, dict, set */
};

/* Classes that change how the file goes on. */
enum td_pickle__class { TD_PICKLE_CLASS_ANY, TD_PICKLE_CLASS_DTYPE, TD_PICKLE_CLASS_WRAPPER };

typedef struct td_pickle__far { /* memo entries whose number is out of order */
    uint64_t index;
    td_pickle__value value;
} td_pickle__far;

#define TD_PICKLE__FAR_MAX 64

typedef struct td_pickle__machine {
    td_scan *scan; /* NULL: only to see whether this is a pickle */
    const uint8_t *data;
    size_t size, at;
    td_pickle__value *stack, *memo;
    size_t depth, stack_room, memo_count, memo_room, entries_max;
    td_pickle__far far[TD_PICKLE__FAR_MAX];
    size_t far_count;
    const char *stopped; /* why it would stop; NULL: it goes on */
    bool done;           /* STOP */
    uint64_t globals, calls, opcodes;
    /* the state of joblib's array wrapper that is being filled */
    uint64_t array_elements, array_item;
    bool array_shape, array_dtype, array_aligned;
} td_pickle__machine;

static inline td_pickle__value td_pickle__make(enum td_pickle__kind kind, uint64_t payload)
{
    return (uint64_t)kind << 60 | (payload & (((uint64_t)1 << 60) - 1));
}

static inline enum td_pickle__kind td_pickle__kind_of(td_pickle__value value)
{
    return (enum td_pickle__kind)(value >> 60);
}

static inline uint64_t td_pickle__payload(td_pickle__value value)
{
    return value & (((uint64_t)1 << 60) - 1);
}

/* stack and memo (pickle_stack.c) */
void td_pickle__stop(td_pickle__machine *m, const char *why);
void td_pickle__push(td_pickle__machine *m, td_pickle__value value);
td_pickle__value td_pickle__pop(td_pickle__machine *m);  /* stops the machine when there is none, or only a mark */
td_pickle__value *td_pickle__top(td_pickle__machine *m); /* NULL: none; the machine is stopped */
size_t td_pickle__mark(td_pickle__machine *m);           /* index of the newest mark; SIZE_MAX: none, stopped */
void td_pickle__put(td_pickle__machine *m, uint64_t index);
void td_pickle__get(td_pickle__machine *m, uint64_t index);
td_pickle__value td_pickle__text(const td_pickle__machine *m, const void *data, size_t size);
td_text td_pickle__text_of(const td_pickle__machine *m, td_pickle__value value); /* of TEXT and TEXT_TUPLE */

/* what has consequences (pickle_act.c) */
void td_pickle__global(td_pickle__machine *m, td_text module, td_text name);
void td_pickle__stack_global(td_pickle__machine *m);
void td_pickle__extension(td_pickle__machine *m);
void td_pickle__persistent(td_pickle__machine *m);
void td_pickle__reduce(td_pickle__machine *m);
void td_pickle__new(td_pickle__machine *m, bool keywords);
void td_pickle__obj(td_pickle__machine *m);
void td_pickle__inst(td_pickle__machine *m, td_text module, td_text name);
void td_pickle__build(td_pickle__machine *m);
void td_pickle__set_items(td_pickle__machine *m, size_t from);
/* Elements were put into what is on top. */
void td_pickle__filled(td_pickle__machine *m);
void td_pickle__tuple(td_pickle__machine *m, size_t from);

/* All opcodes up to STOP, or to what stops it; then lets go of stack and memo. */
void td_pickle__run(td_pickle__machine *m);

#endif
