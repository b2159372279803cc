/*
 * pickle.c: pickles, walked opcode by opcode.
 *
 * One table says what each opcode takes from the stream and does; nothing is imported or called. Python runs a pickle
 * as it reads it, so what stands before a break has happened: a broken pickle is a finding, not an excuse.
 * Source: Lib/pickletools.py of github.com/python/cpython (PSF).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/pickle_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PICKLES_MAX 100000 /* one after another in one file */
#define OPCODES_MAX 2000000000u

enum argument { NO, FIX1, FIX2, FIX4, FIX8, LINE, TWO_LINES, LEN1, LEN4, LEN8 };

enum act {
    BAD,
    IGNORE,
    PUSH,
    PUSH_NUMBER,
    PUSH_DIGITS,
    PUSH_TEXT,
    PUSH_QUOTED,
    PUSH_LINE_TEXT,
    PUSH_CONTAINER,
    PUSH_LONG,
    MARK,
    STOP,
    POP,
    POP_MARK,
    DUP,
    APPEND,
    APPENDS,
    SET_ITEM,
    SET_ITEMS,
    ADD_ITEMS,
    FROM_MARK,
    TUPLE,
    TUPLE_0,
    TUPLE_1,
    TUPLE_2,
    TUPLE_3,
    PUT,
    PUT_LINE,
    MEMOIZE,
    GET,
    GET_LINE,
    GLOBAL,
    STACK_GLOBAL,
    INST,
    OBJ,
    REDUCE,
    NEW,
    NEW_EX,
    BUILD,
    EXTENSION,
    PERSISTENT_LINE,
    PERSISTENT,
    PROTOCOL,
    READ_ONLY
};

typedef struct operation {
    uint8_t argument, act;
} operation;

static const operation operations[256] = {
    ['('] = {NO, MARK},
    ['.'] = {NO, STOP},
    ['0'] = {NO, POP},
    ['1'] = {NO, POP_MARK},
    ['2'] = {NO, DUP},
    ['F'] = {LINE, PUSH},
    ['I'] = {LINE, PUSH_DIGITS},
    ['J'] = {FIX4, PUSH_NUMBER},
    ['K'] = {FIX1, PUSH_NUMBER},
    ['L'] = {LINE, PUSH_DIGITS},
    ['M'] = {FIX2, PUSH_NUMBER},
    ['N'] = {NO, PUSH},
    ['P'] = {LINE, PERSISTENT_LINE},
    ['Q'] = {NO, PERSISTENT},
    ['R'] = {NO, REDUCE},
    ['S'] = {LINE, PUSH_QUOTED},
    ['T'] = {LEN4, PUSH_TEXT},
    ['U'] = {LEN1, PUSH_TEXT},
    ['V'] = {LINE, PUSH_LINE_TEXT},
    ['X'] = {LEN4, PUSH_TEXT},
    ['a'] = {NO, APPEND},
    ['b'] = {NO, BUILD},
    ['c'] = {TWO_LINES, GLOBAL},
    ['d'] = {NO, FROM_MARK},
    ['e'] = {NO, APPENDS},
    ['g'] = {LINE, GET_LINE},
    ['h'] = {FIX1, GET},
    ['i'] = {TWO_LINES, INST},
    ['j'] = {FIX4, GET},
    ['l'] = {NO, FROM_MARK},
    ['o'] = {NO, OBJ},
    ['p'] = {LINE, PUT_LINE},
    ['q'] = {FIX1, PUT},
    ['r'] = {FIX4, PUT},
    ['s'] = {NO, SET_ITEM},
    ['t'] = {NO, TUPLE},
    ['u'] = {NO, SET_ITEMS},
    ['}'] = {NO, PUSH_CONTAINER},
    [']'] = {NO, PUSH_CONTAINER},
    [')'] = {NO, TUPLE_0},
    ['G'] = {FIX8, PUSH},
    ['B'] = {LEN4, PUSH},
    ['C'] = {LEN1, PUSH},
    [0x80] = {FIX1, PROTOCOL},
    [0x81] = {NO, NEW},
    [0x82] = {FIX1, EXTENSION},
    [0x83] = {FIX2, EXTENSION},
    [0x84] = {FIX4, EXTENSION},
    [0x85] = {NO, TUPLE_1},
    [0x86] = {NO, TUPLE_2},
    [0x87] = {NO, TUPLE_3},
    [0x88] = {NO, PUSH},
    [0x89] = {NO, PUSH},
    [0x8a] = {LEN1, PUSH_LONG},
    [0x8b] = {LEN4, PUSH_LONG},
    [0x8c] = {LEN1, PUSH_TEXT},
    [0x8d] = {LEN8, PUSH_TEXT},
    [0x8e] = {LEN8, PUSH},
    [0x8f] = {NO, PUSH_CONTAINER},
    [0x90] = {NO, ADD_ITEMS},
    [0x91] = {NO, FROM_MARK},
    [0x92] = {NO, NEW_EX},
    [0x93] = {NO, STACK_GLOBAL},
    [0x94] = {NO, MEMOIZE},
    [0x95] = {FIX8, IGNORE},
    [0x96] = {LEN8, PUSH},
    [0x97] = {NO, PUSH},
    [0x98] = {NO, READ_ONLY},
};

typedef struct taken {
    td_text text, second; /* of lines and counted bytes */
    uint64_t number;      /* of fixed ones */
} taken;

/* ---- arguments ---- */

static bool take_line(td_pickle__machine *m, td_text *out)
{
    const uint8_t *from = m->data + m->at;
    const uint8_t *end = memchr(from, '\n', m->size - m->at);
    if (end == NULL) {
        td_pickle__stop(m, "it is cut short");
        return false;
    }
    *out = (td_text){from, (size_t)(end - from)};
    m->at += out->size + 1;
    out->size -= out->size > 0 && from[out->size - 1] == '\r' ? 1 : 0;
    return true;
}

static bool take_fixed(td_pickle__machine *m, unsigned bytes, uint64_t *out)
{
    uint64_t value = 0;
    if (m->size - m->at < bytes) {
        td_pickle__stop(m, "it is cut short");
        return false;
    }
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)m->data[m->at + i] << 8 * i;
    }
    m->at += bytes;
    *out = value;
    return true;
}

static bool take_counted(td_pickle__machine *m, unsigned bytes, taken *out)
{
    if (!take_fixed(m, bytes, &out->number)) {
        return false;
    }
    if (out->number > m->size - m->at) {
        td_pickle__stop(m, "it is cut short");
        return false;
    }
    out->text = (td_text){m->data + m->at, (size_t)out->number};
    m->at += out->text.size;
    return true;
}

static bool take(td_pickle__machine *m, uint8_t argument, taken *out)
{
    switch (argument) {
    case NO:
        return true;
    case FIX1:
        return take_fixed(m, 1, &out->number);
    case FIX2:
        return take_fixed(m, 2, &out->number);
    case FIX4:
        return take_fixed(m, 4, &out->number);
    case FIX8:
        return take_fixed(m, 8, &out->number);
    case LINE:
        return take_line(m, &out->text);
    case TWO_LINES:
        return take_line(m, &out->text) && take_line(m, &out->second);
    default:
        return take_counted(m, argument == LEN1 ? 1 : argument == LEN4 ? 4 : 8, out);
    }
}

/* ---- values ---- */

static td_pickle__value number(uint64_t value, bool negative)
{
    bool fits = value < (uint64_t)1 << 56 && !negative;
    return td_pickle__make(fits ? TD_PICKLE_NUMBER : TD_PICKLE_OTHER, fits ? value : 0);
}

static bool digits(td_text text, uint64_t *out)
{
    uint64_t value = 0;
    const char *at = text.data;
    size_t size = text.size > 0 && at[text.size - 1] == 'L' ? text.size - 1 : text.size;
    for (size_t i = 0; i < size; i++) {
        if (at[i] < '0' || at[i] > '9' || value > (uint64_t)1 << 56) {
            return false;
        }
        value = 10 * value + (uint64_t)(at[i] - '0');
    }
    *out = value;
    return size > 0;
}

static td_pickle__value long_number(td_text bytes)
{
    uint64_t value = 0;
    const uint8_t *at = bytes.data;
    if (bytes.size > 7 || (bytes.size > 0 && at[bytes.size - 1] > 0x7f)) {
        return td_pickle__make(TD_PICKLE_OTHER, 0);
    }
    for (size_t i = 0; i < bytes.size; i++) {
        value |= (uint64_t)at[i] << 8 * i;
    }
    return number(value, false);
}

/* Text with escapes is not followed: naming it is a finding. */
static td_pickle__value line_text(const td_pickle__machine *m, td_text text, bool quoted)
{
    const char *at = text.data;
    if (memchr(at, '\\', text.size) != NULL) {
        return td_pickle__make(TD_PICKLE_OTHER, 0);
    }
    if (quoted) {
        bool good = text.size >= 2 && (at[0] == '\'' || at[0] == '"') && at[text.size - 1] == at[0];
        return good ? td_pickle__text(m, at + 1, text.size - 2) : td_pickle__make(TD_PICKLE_OTHER, 0);
    }
    return td_pickle__text(m, at, text.size);
}

/* ---- one opcode ---- */

static void by_line(td_pickle__machine *m, td_text line, void (*act)(td_pickle__machine *m, uint64_t index))
{
    uint64_t index;
    if (!digits(line, &index)) {
        td_pickle__stop(m, "a number of its memo cannot be read");
        return;
    }
    act(m, index);
}

/* What goes into the container below the mark, or becomes one value. */
static void close_mark(td_pickle__machine *m, uint8_t act)
{
    size_t mark = td_pickle__mark(m);
    if (m->stopped != NULL) {
        return;
    }
    if (act == TUPLE) {
        td_pickle__tuple(m, mark + 1);
        td_pickle__value tuple = td_pickle__pop(m);
        m->depth = mark;
        td_pickle__push(m, tuple);
        return;
    }
    if (act == SET_ITEMS || act == FROM_MARK) {
        td_pickle__set_items(m, mark + 1);
    }
    m->depth = mark;
    if (act == FROM_MARK) {
        td_pickle__push(m, td_pickle__make(TD_PICKLE_CONTAINER, 0));
    } else if (act != POP_MARK) {
        td_pickle__filled(m);
    }
}

static void tuple_of(td_pickle__machine *m, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (m->depth <= i || td_pickle__kind_of(m->stack[m->depth - 1 - i]) == TD_PICKLE_MARK) {
            td_pickle__stop(m, "it takes from an empty stack");
            return;
        }
    }
    td_pickle__tuple(m, m->depth - count);
}

static void fill_one(td_pickle__machine *m, bool pair)
{
    if (pair) {
        if (m->depth >= 2) {
            td_pickle__set_items(m, m->depth - 2);
        }
        (void)td_pickle__pop(m);
    }
    (void)td_pickle__pop(m);
    if (m->stopped == NULL) {
        td_pickle__filled(m);
    }
}

static void pop_one(td_pickle__machine *m)
{
    if (m->depth > 0 && td_pickle__kind_of(m->stack[m->depth - 1]) == TD_PICKLE_MARK) {
        m->depth--;
        return;
    }
    (void)td_pickle__pop(m);
}

static void push_value(td_pickle__machine *m, uint8_t act, const taken *t, uint8_t argument)
{
    td_pickle__value value = td_pickle__make(TD_PICKLE_OTHER, 0);
    uint64_t parsed;
    if (act == PUSH_NUMBER) {
        value = number(t->number, argument == FIX4 && t->number > INT32_MAX);
    } else if (act == PUSH_DIGITS) {
        bool truth = t->text.size == 2 && ((const char *)t->text.data)[0] == '0'; /* "00" and "01" are booleans */
        value = !truth && digits(t->text, &parsed) ? number(parsed, false) : value;
    } else if (act == PUSH_TEXT) {
        value = td_pickle__text(m, t->text.data, t->text.size);
    } else if (act == PUSH_QUOTED || act == PUSH_LINE_TEXT) {
        value = line_text(m, t->text, act == PUSH_QUOTED);
    } else if (act == PUSH_LONG) {
        value = long_number(t->text);
    } else if (act == PUSH_CONTAINER) {
        value = td_pickle__make(TD_PICKLE_CONTAINER, 0);
    }
    td_pickle__push(m, value);
}

/* Opcodes that move values only. */
static bool move(td_pickle__machine *m, uint8_t act, const taken *t)
{
    td_pickle__value *top;
    switch (act) {
    case MARK:
        td_pickle__push(m, td_pickle__make(TD_PICKLE_MARK, 0));
        return true;
    case POP:
        pop_one(m);
        return true;
    case DUP:
        top = td_pickle__top(m);
        td_pickle__push(m, top != NULL ? *top : 0);
        return true;
    case PUT:
        td_pickle__put(m, t->number);
        return true;
    case MEMOIZE:
        td_pickle__put(m, m->memo_count);
        return true;
    case PUT_LINE:
        by_line(m, t->text, td_pickle__put);
        return true;
    case GET:
        td_pickle__get(m, t->number);
        return true;
    case GET_LINE:
        by_line(m, t->text, td_pickle__get);
        return true;
    case APPEND:
    case SET_ITEM:
        fill_one(m, act == SET_ITEM);
        return true;
    case TUPLE_0:
    case TUPLE_1:
    case TUPLE_2:
    case TUPLE_3:
        tuple_of(m, act - TUPLE_0);
        return true;
    case POP_MARK:
    case APPENDS:
    case SET_ITEMS:
    case ADD_ITEMS:
    case FROM_MARK:
    case TUPLE:
        close_mark(m, act);
        return true;
    default:
        return false;
    }
}

static void act_on(td_pickle__machine *m, uint8_t act, const taken *t)
{
    switch (act) {
    case GLOBAL:
        td_pickle__global(m, t->text, t->second);
        break;
    case INST:
        td_pickle__inst(m, t->text, t->second);
        break;
    case STACK_GLOBAL:
        td_pickle__stack_global(m);
        break;
    case OBJ:
        td_pickle__obj(m);
        break;
    case REDUCE:
        td_pickle__reduce(m);
        break;
    case NEW:
    case NEW_EX:
        td_pickle__new(m, act == NEW_EX);
        break;
    case BUILD:
        td_pickle__build(m);
        break;
    case EXTENSION:
        td_pickle__extension(m);
        break;
    case PERSISTENT:
        (void)td_pickle__pop(m);
        td_pickle__persistent(m);
        break;
    case PERSISTENT_LINE:
        td_pickle__persistent(m);
        break;
    case READ_ONLY:
        (void)td_pickle__top(m);
        break;
    default:
        break;
    }
}

static void step(td_pickle__machine *m)
{
    operation op = operations[m->data[m->at]];
    taken t = {.text = {m->data, 0}, .second = {m->data, 0}};
    if (op.act == BAD) {
        td_pickle__stop(m, "a byte is no opcode");
        return;
    }
    m->at++;
    m->opcodes++;
    if (!take(m, op.argument, &t)) {
        return;
    }
    if (op.act == STOP) {
        (void)td_pickle__pop(m);
        m->done = m->stopped == NULL;
    } else if (op.act == PROTOCOL) {
        if (t.number > 5) {
            td_pickle__stop(m, "its protocol is newer than any that is known");
        }
    } else if (op.act >= PUSH && op.act <= PUSH_LONG) {
        push_value(m, op.act, &t, op.argument);
    } else if (!move(m, op.act, &t)) {
        act_on(m, op.act, &t);
    }
}

void td_pickle__run(td_pickle__machine *m)
{
    while (!m->done && m->stopped == NULL) {
        if (m->at == m->size || m->opcodes == OPCODES_MAX) {
            td_pickle__stop(m, "it is cut short");
            break;
        }
        step(m);
    }
    free(m->stack);
    free(m->memo);
    m->stack = m->memo = NULL;
}

/* ---- a whole file ---- */

static td_pickle__machine machine_for(td_scan *scan, const uint8_t *data, size_t size)
{
    size_t entries = size / 24 < 8192 ? 8192 : size / 24; /* stack and memo together take less than the file */
    return (td_pickle__machine){.scan = scan, .data = data, .size = size, .entries_max = entries};
}

/* Bytes are taken for a pickle if a machine would get through, or would import something before it stops. Those
 * without the mark of protocol 2 and later must do both, or import and call. */
static bool is_pickle(const uint8_t *data, size_t size)
{
    td_pickle__machine probe = machine_for(NULL, data, size);
    if (size < 2 || operations[data[0]].act == BAD) {
        return false;
    }
    bool mark = data[0] == 0x80 && data[1] <= 5;
    td_pickle__run(&probe);
    return mark ? probe.done || probe.globals > 0 : probe.globals > 0 && (probe.done || probe.calls > 0);
}

/* One pickle; returns its bytes. */
static size_t walk_one(td_scan *scan, const uint8_t *data, size_t size)
{
    td_pickle__machine m = machine_for(scan, data, size);
    td_pickle__run(&m);
    scan->pickles++;
    scan->opcodes += m.opcodes;
    td_scan__raise(scan, TD_VERDICT_INNOCUOUS);
    if (m.stopped != NULL) {
        char text[200];
        snprintf(text, sizeof text, "a pickle cannot be followed past byte %zu (%s); Python runs what stands before",
                 m.at, m.stopped);
        td_scan__note(scan, TD_VERDICT_SUSPICIOUS, "broken_pickle", text);
        return size;
    }
    return m.at;
}

bool td_pickle__scan(td_scan *scan, const uint8_t *data, size_t size, bool certain)
{
    size_t at = 0;
    if (!certain && !is_pickle(data, size)) {
        return false;
    }
    for (int i = 0; i < PICKLES_MAX; i++) {
        at += walk_one(scan, data + at, size - at);
        if (at >= size) {
            return true;
        }
        if (!is_pickle(data + at, size - at)) {
            td_facts_detail(scan->facts, "bytes_after_pickles", json_integer((json_int_t)(size - at)));
            return true;
        }
    }
    td_scan__note(scan, TD_VERDICT_SUSPICIOUS, "many_pickles", "it holds more pickles than are looked at");
    return true;
}
