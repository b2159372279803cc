/*
 * pickle_act.c: the opcodes of a pickle that have consequences: importing, calling, building.
 *
 * joblib's array wrapper is followed too: the array's bytes stand in the middle of the stream, and a walk that did not
 * know how many they are would read them as opcodes, or miss the opcodes behind them.
 * Source: Lib/pickletools.py of github.com/python/cpython (PSF), joblib/numpy_pickle.py of github.com/joblib/joblib
 * (BSD-3-Clause).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/pickle_internal.h"

#include <string.h>

static bool is(td_text text, const char *name)
{
    return text.size == strlen(name) && memcmp(text.data, name, text.size) == 0;
}

static void note(td_pickle__machine *m, td_verdict verdict, const char *code, const char *text)
{
    if (m->scan != NULL) {
        td_scan__note(m->scan, verdict, code, text);
    }
}

/* ---- names ---- */

static enum td_pickle__class class_of(td_text module, td_text name)
{
    if (is(module, "numpy") && is(name, "dtype")) {
        return TD_PICKLE_CLASS_DTYPE;
    }
    bool joblib = is(module, "joblib.numpy_pickle") || is(module, "sklearn.externals.joblib.numpy_pickle");
    return joblib && is(name, "NumpyArrayWrapper") ? TD_PICKLE_CLASS_WRAPPER : TD_PICKLE_CLASS_ANY;
}

void td_pickle__global(td_pickle__machine *m, td_text module, td_text name)
{
    enum td_pickle__class class = class_of(module, name);
    m->globals++;
    if (m->scan != NULL) {
        td_scan__global(m->scan, module, name);
        m->scan->joblib |= class == TD_PICKLE_CLASS_WRAPPER;
        m->scan->torch |= module.size >= 5 && memcmp(module.data, "torch", 5) == 0;
    }
    td_pickle__push(m, td_pickle__make(TD_PICKLE_GLOBAL, class));
}

void td_pickle__stack_global(td_pickle__machine *m)
{
    td_pickle__value name = td_pickle__pop(m), module = td_pickle__pop(m);
    if (m->stopped != NULL) {
        return;
    }
    if (td_pickle__kind_of(name) == TD_PICKLE_TEXT && td_pickle__kind_of(module) == TD_PICKLE_TEXT) {
        td_pickle__global(m, td_pickle__text_of(m, module), td_pickle__text_of(m, name));
        return;
    }
    m->globals++;
    note(m, TD_VERDICT_DANGEROUS, "hidden_global", "it makes up the name of what it loads on the way, which hides it");
    td_pickle__push(m, td_pickle__make(TD_PICKLE_GLOBAL, TD_PICKLE_CLASS_ANY));
}

void td_pickle__extension(td_pickle__machine *m)
{
    m->globals++;
    note(m, TD_VERDICT_DANGEROUS, "extension_code",
         "it names something by an extension code, which only the loading program can resolve");
    td_pickle__push(m, td_pickle__make(TD_PICKLE_GLOBAL, TD_PICKLE_CLASS_ANY));
}

/* Torch names its storages so; elsewhere the loading program gives them their meaning. */
void td_pickle__persistent(td_pickle__machine *m)
{
    if (m->scan != NULL && !m->scan->torch) {
        note(m, TD_VERDICT_SUSPICIOUS, "persistent_id", "it holds persistent ids, which the loading program resolves");
    }
    td_pickle__push(m, td_pickle__make(TD_PICKLE_OTHER, 0));
}

/* ---- calls ---- */

/* "<f8", "f8", "U12", "O8": bytes of an element; 0 for Python objects; -1 when not known. */
static int64_t item_size(td_text text)
{
    const char *at = text.data, *end = at + text.size;
    int64_t size = 0;
    at += at < end && memchr("<>|=", *at, 4) != NULL;
    if (at == end) {
        return -1;
    }
    char kind = *at++;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9' || size > 1000000) {
            return -1;
        }
        size = 10 * size + (*at - '0');
    }
    return kind == 'O' ? 0 : kind == '?' ? 1 : kind == 'U' ? 4 * size : size;
}

static void call(td_pickle__machine *m, td_pickle__value callee, td_pickle__value arguments)
{
    m->calls++;
    if (td_pickle__kind_of(callee) != TD_PICKLE_GLOBAL) {
        note(m, TD_VERDICT_DANGEROUS, "computed_call",
             "it calls something that it made on the way, not a named function");
        td_pickle__push(m, td_pickle__make(TD_PICKLE_OBJECT, TD_PICKLE_CLASS_ANY));
        return;
    }
    bool dtype = td_pickle__payload(callee) == TD_PICKLE_CLASS_DTYPE;
    if (dtype && td_pickle__kind_of(arguments) == TD_PICKLE_TEXT_TUPLE) {
        int64_t size = item_size(td_pickle__text_of(m, arguments));
        if (size >= 0) {
            td_pickle__push(m, td_pickle__make(TD_PICKLE_DTYPE, (uint64_t)size));
            return;
        }
    }
    td_pickle__push(m, td_pickle__make(TD_PICKLE_OBJECT, td_pickle__payload(callee)));
}

void td_pickle__reduce(td_pickle__machine *m)
{
    td_pickle__value arguments = td_pickle__pop(m), callee = td_pickle__pop(m);
    if (m->stopped == NULL) {
        call(m, callee, arguments);
    }
}

void td_pickle__new(td_pickle__machine *m, bool keywords)
{
    td_pickle__value arguments = td_pickle__make(TD_PICKLE_OTHER, 0);
    if (keywords) {
        (void)td_pickle__pop(m);
    }
    arguments = td_pickle__pop(m);
    td_pickle__value class = td_pickle__pop(m);
    if (m->stopped == NULL) {
        call(m, class, arguments);
    }
}

/* MARK class arguments… OBJ */
void td_pickle__obj(td_pickle__machine *m)
{
    size_t mark = td_pickle__mark(m);
    if (m->stopped != NULL) {
        return;
    }
    if (mark + 1 >= m->depth) {
        td_pickle__stop(m, "it takes from an empty stack");
        return;
    }
    td_pickle__value class = m->stack[mark + 1];
    m->depth = mark;
    call(m, class, td_pickle__make(TD_PICKLE_OTHER, 0));
}

/* MARK arguments… INST module name */
void td_pickle__inst(td_pickle__machine *m, td_text module, td_text name)
{
    size_t mark = td_pickle__mark(m);
    if (m->stopped != NULL) {
        return;
    }
    m->depth = mark;
    td_pickle__global(m, module, name);
    td_pickle__value class = td_pickle__pop(m);
    if (m->stopped == NULL) {
        call(m, class, td_pickle__make(TD_PICKLE_OTHER, 0));
    }
}

/* ---- filling and building ---- */

void td_pickle__filled(td_pickle__machine *m)
{
    td_pickle__value *target = td_pickle__top(m);
    if (target != NULL && td_pickle__kind_of(*target) == TD_PICKLE_GLOBAL) {
        note(m, TD_VERDICT_DANGEROUS, "changes_global",
             "it changes a function, class or module of the loading program");
    }
}

static void remember_array(td_pickle__machine *m, td_text key, td_pickle__value value)
{
    enum td_pickle__kind kind = td_pickle__kind_of(value);
    if (is(key, "shape")) {
        m->array_shape = kind == TD_PICKLE_SHAPE;
        m->array_elements = td_pickle__payload(value);
    } else if (is(key, "dtype")) {
        m->array_dtype = kind == TD_PICKLE_DTYPE;
        m->array_item = td_pickle__payload(value);
    } else if (is(key, "numpy_array_alignment_bytes")) {
        m->array_aligned = kind == TD_PICKLE_NUMBER;
    }
}

/* Pairs of key and value from `from` up to the top. */
void td_pickle__set_items(td_pickle__machine *m, size_t from)
{
    for (size_t i = from; i + 1 < m->depth; i += 2) {
        if (td_pickle__kind_of(m->stack[i]) == TD_PICKLE_TEXT) {
            remember_array(m, td_pickle__text_of(m, m->stack[i]), m->stack[i + 1]);
        }
    }
}

/* An array of objects is a pickle in the middle of the pickle. */
static void walk_inner(td_pickle__machine *m)
{
    td_pickle__machine inner = {
        .scan = m->scan, .data = m->data, .size = m->size, .at = m->at, .entries_max = m->entries_max / 2};
    if (m->entries_max < 64) {
        td_pickle__stop(m, "pickles are nested too deeply");
        return;
    }
    td_pickle__run(&inner);
    m->at = inner.at;
    m->calls += inner.calls;
    m->globals += inner.globals;
    m->opcodes += inner.opcodes;
    m->stopped = inner.stopped;
}

/* The bytes of the array follow in the stream. */
static void skip_array(td_pickle__machine *m)
{
    uint64_t bytes;
    bool known = m->array_shape && m->array_dtype;
    if (!known || __builtin_mul_overflow(m->array_elements, m->array_item, &bytes)) {
        td_pickle__stop(m, "the size of an array of joblib's cannot be followed");
        return;
    }
    if (m->array_item == 0) {
        walk_inner(m);
        return;
    }
    uint64_t left = m->size - m->at;
    uint64_t padding = m->array_aligned && left > 0 ? 1 + (uint64_t)m->data[m->at] : 0;
    if (padding > left || bytes > left - padding) {
        td_pickle__stop(m, "an array is cut short");
        return;
    }
    bytes += padding;
    m->at += (size_t)bytes;
}

void td_pickle__build(td_pickle__machine *m)
{
    (void)td_pickle__pop(m);
    td_pickle__value *target = td_pickle__top(m);
    if (m->stopped != NULL || target == NULL) {
        return;
    }
    enum td_pickle__kind kind = td_pickle__kind_of(*target);
    m->calls++;
    if (kind == TD_PICKLE_GLOBAL) {
        td_pickle__filled(m);
    } else if (kind != TD_PICKLE_OBJECT && kind != TD_PICKLE_DTYPE) {
        note(m, TD_VERDICT_SUSPICIOUS, "odd_build", "it sets the state of something that is no object");
    } else if (kind == TD_PICKLE_OBJECT && td_pickle__payload(*target) == TD_PICKLE_CLASS_WRAPPER) {
        skip_array(m);
        m->array_shape = m->array_dtype = m->array_aligned = false;
    }
}

/* The elements from `from` up become one tuple. */
void td_pickle__tuple(td_pickle__machine *m, size_t from)
{
    uint64_t product = 1;
    bool numbers = true;
    for (size_t i = from; i < m->depth; i++) {
        numbers = numbers && td_pickle__kind_of(m->stack[i]) == TD_PICKLE_NUMBER &&
                  !__builtin_mul_overflow(product, td_pickle__payload(m->stack[i]), &product);
    }
    td_pickle__value value = td_pickle__make(TD_PICKLE_OTHER, 0);
    if (numbers && product < (uint64_t)1 << 56) {
        value = td_pickle__make(TD_PICKLE_SHAPE, product);
    } else if (from < m->depth && td_pickle__kind_of(m->stack[from]) == TD_PICKLE_TEXT) {
        value = td_pickle__make(TD_PICKLE_TEXT_TUPLE, td_pickle__payload(m->stack[from]));
    }
    m->depth = from;
    td_pickle__push(m, value);
}
