/*
 * filter_lex.c: the words of a filter: names and keys bare or quoted, values, symbols; each error names its column.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/filter_internal.h"

#include <string.h>
#include <strings.h>

#define FOUND_MAX 24 /* bytes of the text that a message shows */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_name(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool is_key(char c)
{
    return is_name(c) || c == '.' || c == ':' || c == '/' || c == '@' || c == '-' || (unsigned char)c >= 0x80;
}

void td_filter__skip(td_filter__reader *r)
{
    while (is_space(*r->at)) {
        r->at++;
    }
}

/* What stands at a place: up to the next space, cut between characters, control bytes blanked. */
static void found_text(const char *at, char out[FOUND_MAX + 1])
{
    size_t n = 0;
    while (n < FOUND_MAX && at[n] != '\0' && !is_space(at[n])) {
        out[n] = (unsigned char)at[n] < 0x20 || at[n] == 0x7f ? '?' : at[n];
        n++;
    }
    while (n == FOUND_MAX && n > 0 && ((unsigned char)at[n] & 0xc0) == 0x80) {
        n--;
    }
    out[n] = '\0';
}

td_code td_filter__wrong(const td_filter__reader *r, const char *at, const char *expected)
{
    char found[FOUND_MAX + 1];
    found_text(at, found);
    int column = (int)(at - r->text) + 1;
    if (found[0] == '\0') {
        return td_fail(r->err, TD_INVALID, "%s, column %d: expected %s, found the end", r->what, column, expected);
    }
    return td_fail(r->err, TD_INVALID, "%s, column %d: expected %s, found %s", r->what, column, expected, found);
}

bool td_filter__symbol(td_filter__reader *r, const char *symbol)
{
    td_filter__skip(r);
    size_t length = strlen(symbol);
    if (strncmp(r->at, symbol, length) != 0) {
        return false;
    }
    r->at += length;
    return true;
}

bool td_filter__word(td_filter__reader *r, const char *word)
{
    td_filter__skip(r);
    size_t length = strlen(word);
    if (strncasecmp(r->at, word, length) != 0 || is_name(r->at[length])) {
        return false;
    }
    r->at += length;
    return true;
}

/* Text in the quotes that r->at stands on; the quote doubled stands for itself. */
static td_code quoted(td_filter__reader *r, const char **out)
{
    const char *start = r->at, quote = *start;
    char *text = td_arena_alloc(r->arena, strlen(start) + 1);
    if (text == NULL) {
        return td_fail(r->err, TD_NOMEM, "no memory for the %s", r->what);
    }
    size_t n = 0;
    for (const char *p = start + 1; *p != '\0'; p++) {
        if (*p == quote && p[1] != quote) {
            text[n] = '\0';
            r->at = p + 1;
            *out = text;
            return TD_OK;
        }
        p += *p == quote ? 1 : 0;
        text[n++] = *p;
    }
    return td_fail(r->err, TD_INVALID, "%s, column %d: the quote %c is never closed", r->what,
                   (int)(start - r->text) + 1, quote);
}

static td_code bare(td_filter__reader *r, bool (*admits)(char), const char *expected, const char **out)
{
    size_t n = 0;
    while (admits(r->at[n])) {
        n++;
    }
    if (n == 0) {
        return td_filter__wrong(r, r->at, expected);
    }
    char *text = td_arena_alloc(r->arena, n + 1);
    if (text == NULL) {
        return td_fail(r->err, TD_NOMEM, "no memory for the %s", r->what);
    }
    memcpy(text, r->at, n);
    r->at += n;
    *out = text;
    return TD_OK;
}

static td_code name_or_key(td_filter__reader *r, bool (*admits)(char), const char *expected, const char **out)
{
    const char *at = r->at, *text = NULL;
    TD_TRY(*at == '`' || *at == '"' ? quoted(r, &text) : bare(r, admits, expected, &text));
    if (text[0] == '\0') {
        return td_filter__wrong(r, at, expected);
    }
    if (strlen(text) > TD_FILTER_KEY_MAX) {
        return td_fail(r->err, TD_LIMIT, "%s, column %d: a key has at most %zu bytes", r->what, (int)(at - r->text) + 1,
                       TD_FILTER_KEY_MAX);
    }
    *out = text;
    return TD_OK;
}

td_code td_filter__name(td_filter__reader *r, const char **name_out, const char **key_out)
{
    td_filter__skip(r);
    TD_TRY(name_or_key(r, is_name, "a name (as in state = 'approved', tags.site = 'oslo')", name_out));
    *key_out = NULL;
    if (*r->at != '.') {
        return TD_OK;
    }
    r->at++;
    return name_or_key(r, is_key, "a key after the dot, bare or in `…`", key_out);
}

static bool is_literal(char c)
{
    return is_name(c) || c == '.' || c == '-' || c == '+';
}

td_code td_filter__literal_read(td_filter__reader *r, td_filter__literal *out)
{
    td_filter__skip(r);
    out->at = r->at;
    out->quoted = *r->at == '\'' || *r->at == '"';
    return out->quoted ? quoted(r, &out->text)
                       : bare(r, is_literal, "a value: text in '…', or a number", &out->text);
}
