/*
 * record_view.c: one table of members, read by a scanner or out of a tree.
 *
 * Canonical JSON has its keys in order, and so has the table: the scanner goes through both side by side, and keys that
 * strictly ascend cannot repeat.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/record_view.h"

#include <stddef.h>
#include <string.h>

typedef enum member_kind { TEXT, NUMBER, FACTS, WITHIN } member_kind;

/* By key. WITHIN: an object that has those members. */
typedef struct member {
    const char *name;
    member_kind kind;
    size_t offset;
    const struct member *within;
} member;

static const member id_members[] = {{"id", TEXT, offsetof(td_record_view, actor), NULL}, {NULL, TEXT, 0, NULL}};
static const member after_members[] = {{"facts", FACTS, offsetof(td_record_view, after), NULL}, {NULL, TEXT, 0, NULL}};
static const member before_members[] = {{"facts", FACTS, offsetof(td_record_view, before), NULL},
                                        {NULL, TEXT, 0, NULL}};
static const member link_members[] = {{"version", TEXT, offsetof(td_record_view, version), NULL},
                                      {NULL, TEXT, 0, NULL}};
static const member object_members[] = {
    {"digest", TEXT, offsetof(td_record_view, digest), NULL},
    {"id", TEXT, offsetof(td_record_view, object), NULL},
    {"type", TEXT, offsetof(td_record_view, type), NULL},
    {NULL, TEXT, 0, NULL},
};
static const member record_members[] = {
    {"action", TEXT, offsetof(td_record_view, action), NULL},
    {"actor", WITHIN, 0, id_members},
    {"after", WITHIN, 0, after_members},
    {"before", WITHIN, 0, before_members},
    {"links", WITHIN, 0, link_members},
    {"object", WITHIN, 0, object_members},
    {"outcome", TEXT, offsetof(td_record_view, outcome), NULL},
    {"project", TEXT, offsetof(td_record_view, project), NULL},
    {"seq", NUMBER, offsetof(td_record_view, seq), NULL},
    {"time", TEXT, offsetof(td_record_view, time), NULL},
    {"v", NUMBER, offsetof(td_record_view, v), NULL},
    {NULL, TEXT, 0, NULL},
};
static const member no_members[] = {{NULL, TEXT, 0, NULL}};

static void *field_of(td_record_view *view, const member *row)
{
    return (char *)view + row->offset;
}

static void begin(const char *body, size_t size, td_record_view *out)
{
    memset(out, 0, offsetof(td_record_view, text));
    out->body = body;
    out->size = size;
    out->seq = -1;
    out->time = out->action = out->outcome = out->project = out->actor = out->type = out->object = "";
    out->used = 0;
}

/* ---- the scanner ---- */

typedef struct scan {
    const char *at, *end;
    int depth;
    td_record_view *view;
} scan;

typedef struct span {
    const char *text;
    size_t size;
} span;

static bool take(scan *self, char c)
{
    if (self->at == self->end || *self->at != c) {
        return false;
    }
    self->at++;
    return true;
}

static bool is_tail(const unsigned char *at, int count)
{
    for (int i = 0; i < count; i++) {
        if ((at[i] & 0xC0) != 0x80) {
            return false;
        }
    }
    return true;
}

/* Bytes of the character that begins with one above 0x7F; 0: not UTF-8 (RFC 3629, section 4). */
static size_t wide_size(const char *text, size_t left)
{
    const unsigned char *at = (const unsigned char *)text;
    if (left >= 2 && at[0] >= 0xC2 && at[0] <= 0xDF) {
        return is_tail(at + 1, 1) ? 2 : 0;
    }
    if (left >= 3 && (at[0] & 0xF0) == 0xE0) {
        bool whole = !(at[0] == 0xE0 && at[1] < 0xA0) && !(at[0] == 0xED && at[1] > 0x9F); /* shortest; no surrogate */
        return whole && is_tail(at + 1, 2) ? 3 : 0;
    }
    if (left >= 4 && at[0] >= 0xF0 && at[0] <= 0xF4) {
        bool whole = !(at[0] == 0xF0 && at[1] < 0x90) && !(at[0] == 0xF4 && at[1] > 0x8F);
        return whole && is_tail(at + 1, 3) ? 4 : 0;
    }
    return 0;
}

/* A string without escapes. */
static bool scan_string(scan *self, span *out)
{
    if (!take(self, '"')) {
        return false;
    }
    const char *first = self->at;
    while (self->at < self->end) {
        unsigned char c = (unsigned char)*self->at;
        if (c == '"') {
            *out = (span){first, (size_t)(self->at - first)};
            self->at++;
            return true;
        }
        size_t size = c < 0x80 ? 1 : wide_size(self->at, (size_t)(self->end - self->at));
        if (c < 0x20 || c == '\\' || size == 0) {
            return false;
        }
        self->at += size;
    }
    return false;
}

/* A whole number of at most 18 digits: any such fits. */
static bool scan_number(scan *self, int64_t *out)
{
    int64_t value = 0;
    int digits = 0;
    bool negative = take(self, '-');
    const char *first = self->at;
    for (; self->at < self->end && *self->at >= '0' && *self->at <= '9'; self->at++, digits++) {
        if (digits == 18) {
            return false;
        }
        value = value * 10 + (*self->at - '0');
    }
    if (digits == 0 || (digits > 1 && *first == '0')) {
        return false;
    }
    *out = negative ? -value : value;
    return true; /* a fraction or exponent behind it is not what may follow a value */
}

static bool scan_word(scan *self, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(self->end - self->at) < size || memcmp(self->at, word, size) != 0) {
        return false;
    }
    self->at += size;
    return true;
}

static bool scan_value(scan *self);

static bool scan_array(scan *self)
{
    self->at++;
    if (take(self, ']')) {
        return true;
    }
    do {
        if (!scan_value(self)) {
            return false;
        }
    } while (take(self, ','));
    return take(self, ']');
}

static bool keep_text(scan *self, const member *row)
{
    span text;
    td_record_view *view = self->view;
    if (!scan_string(self, &text) || text.size >= sizeof view->text - view->used) {
        return false;
    }
    char *kept = view->text + view->used;
    memcpy(kept, text.text, text.size);
    kept[text.size] = '\0';
    view->used += text.size + 1;
    *(const char **)field_of(view, row) = kept;
    return true;
}

static bool keep_facts(scan *self, const member *row)
{
    td_record_facts *facts = field_of(self->view, row);
    const char *first = self->at;
    if (!scan_value(self)) {
        return false;
    }
    facts->text = first;
    facts->size = (size_t)(self->at - first);
    return true;
}

static bool scan_object(scan *self, const member *members);

static bool scan_member(scan *self, const member *row)
{
    switch (row->kind) {
    case TEXT:
        return keep_text(self, row);
    case NUMBER:
        return scan_number(self, field_of(self->view, row));
    case FACTS:
        return keep_facts(self, row);
    case WITHIN:
        return scan_object(self, row->within);
    }
    return false;
}

/* As memcmp and strcmp have it: which key comes first? */
static int compare_spans(const span *a, const span *b)
{
    size_t shorter = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->text, b->text, shorter);
    return order != 0 ? order : a->size < b->size ? -1 : a->size > b->size;
}

static bool scan_members(scan *self, const member *members)
{
    span last = {NULL, 0}, key;
    if (take(self, '}')) {
        return true;
    }
    do {
        if (!scan_string(self, &key) || !take(self, ':') || (last.text != NULL && compare_spans(&last, &key) >= 0)) {
            return false;
        }
        int order = 1;
        for (; members->name != NULL; members++) {
            order = compare_spans(&(span){members->name, strlen(members->name)}, &key);
            if (order >= 0) {
                break;
            }
        }
        if (!(members->name != NULL && order == 0 ? scan_member(self, members) : scan_value(self))) {
            return false;
        }
        last = key;
    } while (take(self, ','));
    return take(self, '}');
}

static bool scan_object(scan *self, const member *members)
{
    if (!take(self, '{') || ++self->depth > TD_JSON_DEPTH_MAX) {
        return false;
    }
    bool good = scan_members(self, members);
    self->depth--;
    return good;
}

static bool scan_value(scan *self)
{
    span text;
    int64_t number;
    switch (self->at < self->end ? *self->at : '\0') {
    case '"':
        return scan_string(self, &text);
    case '{':
        return scan_object(self, no_members);
    case '[': {
        bool good = ++self->depth <= TD_JSON_DEPTH_MAX && scan_array(self);
        self->depth--;
        return good;
    }
    case 't':
        return scan_word(self, "true");
    case 'f':
        return scan_word(self, "false");
    case 'n':
        return scan_word(self, "null");
    default:
        return scan_number(self, &number);
    }
}

bool td_record_view__scan(const char *body, size_t size, td_record_view *out)
{
    begin(body, size, out);
    scan self = {.at = body, .end = body + size, .view = out};
    return scan_object(&self, record_members) && self.at == self.end;
}

/* ---- the tree ---- */

static void read_members(const json_t *json, const member *members, td_record_view *out)
{
    for (; members->name != NULL; members++) {
        const json_t *value = json_object_get(json, members->name);
        void *field = field_of(out, members);
        switch (members->kind) {
        case TEXT:
            *(const char **)field = json_is_string(value) ? json_string_value(value) : *(const char **)field;
            break;
        case NUMBER:
            *(int64_t *)field = json_is_integer(value) ? json_integer_value(value) : *(int64_t *)field;
            break;
        case FACTS:
            ((td_record_facts *)field)->tree = json_incref((json_t *)value);
            break;
        case WITHIN:
            read_members(value, members->within, out);
            break;
        }
    }
}

td_code td_record_view__parse(const char *body, size_t size, td_record_view *out, td_err *err)
{
    begin(body, size, out);
    TD_TRY(td_json_parse(body, size, "record", &out->tree, err));
    read_members(out->tree, record_members, out);
    return TD_OK;
}

td_code td_record_view_read(const char *body, size_t size, td_record_view *out, td_err *err)
{
    return td_record_view__scan(body, size, out) ? TD_OK : td_record_view__parse(body, size, out, err);
}

void td_record_view_done(td_record_view *view)
{
    td_json_done(&view->before.tree);
    td_json_done(&view->after.tree);
    td_json_done(&view->tree);
}

/* What the scanner took is JSON: only memory can be missing. */
static td_code make_tree(const char *text, size_t size, json_t **out, td_err *err)
{
    if (*out != NULL || text == NULL || td_json_parse(text, size, "record", out, NULL) == TD_OK) {
        return TD_OK;
    }
    return td_fail(err, TD_NOMEM, "no memory to read a record of the log");
}

td_code td_record_view_facts(td_record_view *view, td_err *err)
{
    TD_TRY(make_tree(view->before.text, view->before.size, &view->before.tree, err));
    return make_tree(view->after.text, view->after.size, &view->after.tree, err);
}

td_code td_record_view_tree(td_record_view *view, td_err *err)
{
    return make_tree(view->body, view->size, &view->tree, err);
}
