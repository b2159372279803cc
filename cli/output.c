/*
 * output.c: tables whose columns are as wide as their content, and nothing cleverer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/output.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"

#define COLUMNS_MAX 24
#define PATH_MAX_KEYS 128

static const char *const tint_codes[] = {[TD_TINT_NONE] = "\x1b[0m",  [TD_TINT_GOOD] = "\x1b[32m",
                                         [TD_TINT_BAD] = "\x1b[31m",  [TD_TINT_WARN] = "\x1b[33m",
                                         [TD_TINT_FAINT] = "\x1b[2m", [TD_TINT_STRONG] = "\x1b[1m"};

const char *td_tint_code(const td_cli *cli, td_tint tint)
{
    return cli->color ? tint_codes[tint] : "";
}

/* How many bytes at `text` are one of our own tints; 0: none. */
static size_t tint_length(const char *text)
{
    for (size_t i = 0; *text == '\x1b' && i < TD_COUNT_OF(tint_codes); i++) {
        size_t length = strlen(tint_codes[i]);
        if (strncmp(text, tint_codes[i], length) == 0) {
            return length;
        }
    }
    return 0;
}

td_tint td_state_tint(const char *state)
{
    static const char *const good[] = {"approved",   "online",   "finished", "passed",  "ok",     "committed",
                                       "registered", "resolved", "done",     "running", "active", NULL};
    static const char *const bad[] = {"rejected",  "failed",      "firing",  "aborted", "aborting", "reverted",
                                      "reverting", "rolled_back", "revoked", "denied",  "refusing", "contradicts",
                                      NULL};
    static const char *const warn[] = {"pending", "paused",  "acknowledged", "deprecated", "unproven", "unreached",
                                       "waiting", "soaking", "drift",        "warn",       "failing",  NULL};
    static const struct {
        const char *const *names;
        td_tint tint;
    } lists[] = {{good, TD_TINT_GOOD}, {bad, TD_TINT_BAD}, {warn, TD_TINT_WARN}};
    for (size_t i = 0; i < TD_COUNT_OF(lists); i++) {
        for (const char *const *name = lists[i].names; *name != NULL; name++) {
            if (strcasecmp(*name, state) == 0) {
                return lists[i].tint;
            }
        }
    }
    return TD_TINT_NONE;
}

const json_t *td_json_at(const json_t *object, const char *path)
{
    char key[PATH_MAX_KEYS];
    while (object != NULL) {
        size_t length = strcspn(path, ".");
        if (length >= sizeof key) {
            return NULL;
        }
        memcpy(key, path, length);
        key[length] = '\0';
        object = json_object_get(object, key);
        if (path[length] == '\0') {
            return object;
        }
        path += length + 1;
    }
    return NULL;
}

const json_t *td_json_list(const json_t *answer, const char *key)
{
    static json_t *empty;
    const json_t *list = json_is_array(answer) ? answer : json_object_get(answer, key);
    if (json_is_array(list)) {
        return list;
    }
    if (empty == NULL) {
        empty = json_array();
    }
    return empty;
}

void td_format_local(const char *rfc3339, char out[32])
{
    int64_t ms;
    struct tm local;
    if (td_parse_time(rfc3339, &ms, NULL) != TD_OK) {
        (void)snprintf(out, 32, "%.31s", rfc3339);
        return;
    }
    time_t seconds = (time_t)(ms / 1000);
    if (localtime_r(&seconds, &local) == NULL || strftime(out, 32, "%Y-%m-%d %H:%M:%S", &local) == 0) {
        (void)snprintf(out, 32, "%.31s", rfc3339);
    }
}

/* One character of outside text; what steers a terminal (C0, DEL, and C1 as UTF-8) becomes '?'. Returns its bytes. */
static size_t add_tame(td_str *out, const char *text)
{
    const unsigned char *c = (const unsigned char *)text;
    bool c1 = c[0] == 0xC2 && c[1] >= 0x80 && c[1] <= 0x9F;
    td_str_add_char(out, c1 || *c < 0x20 || *c == 0x7F ? '?' : *text);
    return c1 ? 2 : 1;
}

void td_text_add(td_str *out, const char *text)
{
    while (*text != '\0') {
        text += add_tame(out, text);
    }
}

void td_print_text(td_cli *cli, const char *text)
{
    TD_CLEANUP(td_str_done) td_str tame = {0};
    while (*text != '\0') {
        size_t ours = *text == '\n' ? 1 : tint_length(text);
        td_str_append(&tame, text, ours);
        text += ours > 0 ? ours : add_tame(&tame, text);
    }
    (void)fputs(td_str_text(&tame), cli->out);
}

static void add_number(td_str *out, double value)
{
    if (value == floor(value) && fabs(value) < 1e15) {
        td_str_addf(out, "%.0f", value);
    } else {
        td_str_addf(out, "%.4f", value);
    }
}

static void add_plain(td_str *out, const json_t *value);
static void add_item(td_str *out, const json_t *item);

/* A nested value in words: {"a":1,"b":2} as "a 1, b 2", a list as its items; "none" when empty. */
static void add_words(td_str *out, const json_t *value)
{
    const char *key;
    json_t *item;
    size_t size = out->size;
    json_object_foreach ((json_t *)value, key, item) {
        td_str_add(out, out->size > size ? ", " : "");
        td_text_add(out, key);
        td_str_add_char(out, ' ');
        add_plain(out, item);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        td_str_add(out, i > 0 ? ", " : "");
        add_item(out, json_array_get(value, i));
    }
    td_str_add(out, out->size == size ? "none" : "");
}

static void add_plain(td_str *out, const json_t *value)
{
    if (json_is_string(value)) {
        td_text_add(out, json_string_value(value));
    } else if (json_is_number(value)) {
        add_number(out, json_number_value(value));
    } else if (json_is_boolean(value)) {
        td_str_add(out, json_is_true(value) ? "yes" : "no");
    } else if (json_is_object(value) || json_is_array(value)) {
        add_words(out, value);
    }
}

/* A list inside a pair is joined by '+'. */
static void add_value(td_str *out, const json_t *value)
{
    if (!json_is_array(value)) {
        add_plain(out, value);
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        td_str_add(out, i > 0 ? "+" : "");
        add_plain(out, json_array_get(value, i));
    }
}

/* What an object in a list is called, and how often it is there. */
static void add_item(td_str *out, const json_t *item)
{
    static const char *const keys[] = {"name", "user", "device", "version", "key_id", "alert", "run", "node"};
    int64_t count = td_json_int(item, "count", 1);
    const json_t *name = NULL;
    for (size_t i = 0; json_is_object(item) && name == NULL && i < TD_COUNT_OF(keys); i++) {
        name = json_object_get(item, keys[i]);
    }
    add_plain(out, json_is_string(name) ? name : item);
    if (count != 1) {
        td_str_addf(out, " ×%lld", (long long)count);
    }
}

static void add_pairs(td_str *out, const json_t *value, bool with_values, size_t most)
{
    const char *key;
    json_t *item;
    bool first = true;
    if (json_is_object(value)) {
        json_object_foreach ((json_t *)value, key, item) {
            if (most-- == 0) {
                td_str_add(out, ", …");
                break;
            }
            td_str_add(out, first ? "" : ", ");
            td_text_add(out, key);
            if (with_values) {
                td_str_add(out, "=");
                add_value(out, item);
            }
            first = false;
        }
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        td_str_add(out, i > 0 ? ", " : "");
        add_item(out, json_array_get(value, i));
    }
}

void td_cell_add(td_str *out, const json_t *value, td_cell cell)
{
    char text[32];
    const char *string = json_string_value(value);
    bool number = cell == TD_CELL_NUMBER || cell == TD_CELL_SHARE || cell == TD_CELL_BYTES;
    if (value == NULL || json_is_null(value) || (number && !json_is_number(value))) {
        return;
    }
    if (cell == TD_CELL_TIME && string != NULL) {
        td_format_local(string, text);
        td_text_add(out, text);
    } else if (cell == TD_CELL_DIGEST && string != NULL) {
        (void)snprintf(text, sizeof text, "%.12s", strncmp(string, "sha256:", 7) == 0 ? string + 7 : string);
        td_text_add(out, text);
    } else if (cell == TD_CELL_BYTES && json_is_number(value)) {
        td_format_bytes((uint64_t)fmax(0, json_number_value(value)), text);
        td_str_add(out, text);
    } else if (cell == TD_CELL_SHARE && json_is_number(value)) {
        td_str_addf(out, "%.1f %%", 100 * json_number_value(value));
    } else if (cell == TD_CELL_LIST || cell == TD_CELL_PAIRS || cell == TD_CELL_BRIEF) {
        add_pairs(out, value, cell != TD_CELL_LIST, cell == TD_CELL_BRIEF ? 3 : SIZE_MAX);
    } else {
        add_plain(out, value);
    }
}

/* Columns on the screen: continuation bytes of UTF-8 take none. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += ((unsigned char)*text & 0xC0) != 0x80;
    }
    return width;
}

static bool to_the_right(td_cell cell)
{
    return cell == TD_CELL_NUMBER || cell == TD_CELL_BYTES || cell == TD_CELL_SHARE;
}

static void print_padded(td_cli *cli, const char *text, size_t width, bool right, bool last)
{
    size_t gap = width > width_of(text) ? width - width_of(text) : 0;
    if (right) {
        (void)fprintf(cli->out, "%*s%s", (int)gap, "", text);
    } else {
        (void)fprintf(cli->out, "%s%*s", text, last ? 0 : (int)gap, "");
    }
    (void)fputs(last ? "" : "  ", cli->out);
}

static size_t column_count(const td_column_spec *columns)
{
    size_t count = 0;
    while (count < COLUMNS_MAX && columns[count].key != NULL) {
        count++;
    }
    return count;
}

static void measure(const td_column_spec *columns, size_t count, const json_t *rows, size_t *widths)
{
    td_str text = {0};
    for (size_t c = 0; c < count; c++) {
        widths[c] = width_of(columns[c].title);
        for (size_t r = 0; r < json_array_size(rows); r++) {
            td_str_clear(&text);
            td_cell_add(&text, td_json_at(json_array_get(rows, r), columns[c].key), columns[c].cell);
            size_t width = width_of(td_str_text(&text));
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    td_str_done(&text);
}

static void print_row(td_cli *cli, const td_column_spec *columns, size_t count, const json_t *row, const size_t *widths)
{
    td_str text = {0};
    for (size_t c = 0; c < count; c++) {
        td_str_clear(&text);
        td_cell_add(&text, td_json_at(row, columns[c].key), columns[c].cell);
        td_tint tint = columns[c].cell == TD_CELL_STATE ? td_state_tint(td_str_text(&text)) : TD_TINT_NONE;
        (void)fputs(tint != TD_TINT_NONE ? td_tint_code(cli, tint) : "", cli->out);
        print_padded(cli, td_str_text(&text), widths[c], to_the_right(columns[c].cell), c + 1 == count);
        (void)fputs(tint != TD_TINT_NONE ? td_tint_code(cli, TD_TINT_NONE) : "", cli->out);
    }
    (void)fputc('\n', cli->out);
    td_str_done(&text);
}

void td_print_table(td_cli *cli, const td_column_spec *columns, const json_t *rows, const char *empty)
{
    size_t widths[COLUMNS_MAX];
    size_t count = column_count(columns);
    if (json_array_size(rows) == 0) {
        (void)fprintf(cli->out, "%s\n", empty);
        return;
    }
    measure(columns, count, rows, widths);
    (void)fputs(td_tint_code(cli, TD_TINT_FAINT), cli->out);
    for (size_t c = 0; c < count; c++) {
        print_padded(cli, columns[c].title, widths[c], to_the_right(columns[c].cell), c + 1 == count);
    }
    (void)fputs(td_tint_code(cli, TD_TINT_NONE), cli->out);
    (void)fputc('\n', cli->out);
    for (size_t r = 0; r < json_array_size(rows); r++) {
        print_row(cli, columns, count, json_array_get(rows, r), widths);
    }
}

void td_print_fields(td_cli *cli, const td_column_spec *columns, const json_t *object)
{
    size_t width = 0;
    td_str text = {0};
    for (const td_column_spec *c = columns; c->key != NULL; c++) {
        width = strlen(c->title) > width ? strlen(c->title) : width;
    }
    for (const td_column_spec *c = columns; c->key != NULL; c++) {
        td_str_clear(&text);
        td_cell_add(&text, td_json_at(object, c->key), c->cell);
        if (text.size == 0 || (c->cell == TD_CELL_BYTES && strcmp(td_str_text(&text), "0 B") == 0)) {
            continue;
        }
        td_tint tint = c->cell == TD_CELL_STATE ? td_state_tint(td_str_text(&text)) : TD_TINT_NONE;
        (void)fprintf(cli->out, "%s%-*s%s  ", td_tint_code(cli, TD_TINT_FAINT), (int)width, c->title,
                      td_tint_code(cli, TD_TINT_NONE));
        (void)fprintf(cli->out, "%s%s%s\n", tint != TD_TINT_NONE ? td_tint_code(cli, tint) : "", td_str_text(&text),
                      tint != TD_TINT_NONE ? td_tint_code(cli, TD_TINT_NONE) : "");
    }
    td_str_done(&text);
}

void td_print_json(td_cli *cli, const json_t *json)
{
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    (void)fprintf(cli->out, "%s\n", text == NULL ? "null" : text);
    free(text);
}

void td_print_line(td_cli *cli, const char *format, ...)
{
    char *line = NULL;
    va_list args;
    va_start(args, format);
    int length = vasprintf(&line, format, args);
    va_end(args);
    if (length >= 0) {
        td_print_text(cli, line);
        free(line);
    }
    (void)fputc('\n', cli->out);
}

void td_print_title(td_cli *cli, const char *title)
{
    (void)fprintf(cli->out, "\n%s%s%s\n", td_tint_code(cli, TD_TINT_STRONG), title, td_tint_code(cli, TD_TINT_NONE));
}
