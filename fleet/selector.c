/*
 * selector.c: the language in which people say which devices they mean; a recursive descent into a small fixed array.
 *
 *     or    = and { "or" and }          and  = not { "and" not }        not = "not" not | "(" or ")" | test
 *     test  = "all" | name [ op value | "in" "(" value { "," value } ")" ]
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/selector.h"

#include "core/base/str.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct parser {
    const char *text, *at;
    td_selector *out;
    int depth;
    td_err *err;
} parser;

static const char *const inventory[] = {"device", "hardware", "runtime", "ram_mb", "storage_mb",
                                        "state",  "online",   "model",   NULL};

bool td_selector__is_inventory(const char *name)
{
    for (size_t i = 0; inventory[i] != NULL; i++) {
        if (strcmp(inventory[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static td_code wrong(const parser *p, const char *expected)
{
    char found[24];
    size_t n = strcspn(p->at, " \t\n");
    n = n < sizeof found - 1 ? n : sizeof found - 1;
    memcpy(found, p->at, n);
    found[n] = '\0';
    return td_fail(p->err, TD_INVALID,
                   "selector, column %d: expected %s, found %s%s%s (examples: all; site=oslo; "
                   "site = 'oslo' and ram_mb >= 512)",
                   (int)(p->at - p->text) + 1, expected, n > 0 ? "\"" : "", n > 0 ? found : "the end",
                   n > 0 ? "\"" : "");
}

static void skip_space(parser *p)
{
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r') {
        p->at++;
    }
}

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.' || c == ':' || c == '/' || c == '-' || c == '@';
}

static bool take(parser *p, const char *symbol)
{
    skip_space(p);
    size_t length = strlen(symbol);
    if (strncmp(p->at, symbol, length) != 0) {
        return false;
    }
    p->at += length;
    return true;
}

static bool take_word(parser *p, const char *word)
{
    skip_space(p);
    size_t length = strlen(word);
    if (strncmp(p->at, word, length) != 0 || is_name_char(p->at[length])) {
        return false;
    }
    p->at += length;
    return true;
}

static td_code take_name(parser *p, char *out, size_t room, const char *expected)
{
    skip_space(p);
    size_t length = 0;
    while (is_name_char(p->at[length])) {
        length++;
    }
    if (length == 0 || length >= room) {
        return wrong(p, expected);
    }
    memcpy(out, p->at, length);
    out[length] = '\0';
    p->at += length;
    return TD_OK;
}

static td_code take_value(parser *p, char out[TD_SELECTOR_VALUE_MAX + 1])
{
    skip_space(p);
    char quote = *p->at;
    if (quote != '\'' && quote != '"') {
        return take_name(p, out, TD_SELECTOR_VALUE_MAX + 1, "a value: a word, a number, or text in '…'");
    }
    const char *end = strchr(p->at + 1, quote);
    if (end == NULL || end - p->at - 1 > TD_SELECTOR_VALUE_MAX) {
        return wrong(p, "a closing quote within 128 characters");
    }
    size_t length = (size_t)(end - p->at - 1);
    memcpy(out, p->at + 1, length);
    out[length] = '\0';
    p->at = end + 1;
    return TD_OK;
}

static td_code add_node(parser *p, td_selector_type type, int left, int right, int *out)
{
    if (p->out->count == TD_SELECTOR_NODES_MAX) {
        return td_fail(p->err, TD_LIMIT, "selector: more than %d terms", TD_SELECTOR_NODES_MAX);
    }
    *out = p->out->count++;
    p->out->nodes[*out] = (td_selector_node){.type = type, .left = left, .right = right};
    return TD_OK;
}

static td_code parse_or(parser *p, int *out);

static td_code parse_list(parser *p, const char *name, int *out)
{
    if (!take(p, "(")) {
        return wrong(p, "\"(\" after in");
    }
    int list = -1;
    do {
        int node = 0;
        TD_TRY(add_node(p, TD_SELECT_COMPARE, -1, -1, &node));
        memcpy(p->out->nodes[node].name, name, strlen(name) + 1);
        TD_TRY(take_value(p, p->out->nodes[node].value));
        if (list >= 0) {
            TD_TRY(add_node(p, TD_SELECT_OR, list, node, &node));
        }
        list = node;
    } while (take(p, ","));
    if (!take(p, ")")) {
        return wrong(p, "\",\" or \")\"");
    }
    *out = list;
    return TD_OK;
}

static bool take_operator(parser *p, td_selector_op *out)
{
    static const struct {
        const char *symbol;
        td_selector_op op;
    } table[] = {
        {"!=", TD_OP_NE}, {"<=", TD_OP_LE}, {">=", TD_OP_GE}, {"==", TD_OP_EQ},
        {"=", TD_OP_EQ},  {"<", TD_OP_LT},  {">", TD_OP_GT},
    };
    for (size_t i = 0; i < TD_COUNT_OF(table); i++) {
        if (take(p, table[i].symbol)) {
            *out = table[i].op;
            return true;
        }
    }
    return false;
}

static td_code parse_test(parser *p, int *out)
{
    char name[65];
    if (take_word(p, "all")) {
        return add_node(p, TD_SELECT_ALL, -1, -1, out);
    }
    TD_TRY(take_name(p, name, sizeof name, "a tag's or inventory's name"));
    td_selector_op op = TD_OP_EQ;
    if (take_word(p, "in")) {
        return parse_list(p, name, out);
    }
    bool compare = take_operator(p, &op);
    TD_TRY(add_node(p, compare ? TD_SELECT_COMPARE : TD_SELECT_EXISTS, -1, -1, out));
    td_selector_node *node = &p->out->nodes[*out];
    memcpy(node->name, name, sizeof name);
    node->op = op;
    return compare ? take_value(p, node->value) : TD_OK;
}

static td_code parse_not(parser *p, int *out)
{
    if (++p->depth > TD_SELECTOR_DEPTH_MAX) {
        return td_fail(p->err, TD_LIMIT, "selector: nested more than %d deep", TD_SELECTOR_DEPTH_MAX);
    }
    td_code code;
    if (take_word(p, "not")) {
        int inner = 0;
        code = parse_not(p, &inner);
        code = code == TD_OK ? add_node(p, TD_SELECT_NOT, inner, -1, out) : code;
    } else if (take(p, "(")) {
        code = parse_or(p, out);
        if (code == TD_OK && !take(p, ")")) {
            code = wrong(p, "\")\", \"and\" or \"or\"");
        }
    } else {
        code = parse_test(p, out);
    }
    p->depth--;
    return code;
}

static td_code parse_and(parser *p, int *out)
{
    TD_TRY(parse_not(p, out));
    while (take_word(p, "and")) {
        int right = 0;
        TD_TRY(parse_not(p, &right));
        TD_TRY(add_node(p, TD_SELECT_AND, *out, right, out));
    }
    return TD_OK;
}

static td_code parse_or(parser *p, int *out)
{
    TD_TRY(parse_and(p, out));
    while (take_word(p, "or")) {
        int right = 0;
        TD_TRY(parse_and(p, &right));
        TD_TRY(add_node(p, TD_SELECT_OR, *out, right, out));
    }
    return TD_OK;
}

td_code td_selector__parse(const char *text, td_selector *out, td_err *err)
{
    out->count = 0;
    parser p = {.text = text, .at = text, .out = out, .err = err};
    if (strlen(text) > TD_SELECTOR_TEXT_MAX) {
        return td_fail(err, TD_LIMIT, "selector: more than %d characters", TD_SELECTOR_TEXT_MAX);
    }
    skip_space(&p);
    if (*p.at == '\0') {
        return wrong(&p, "a selector");
    }
    TD_TRY(parse_or(&p, &out->root));
    skip_space(&p);
    return *p.at == '\0' ? TD_OK : wrong(&p, "\"and\", \"or\" or the end");
}

td_code td_selector_check(const char *selector, td_err *err)
{
    td_selector parsed;
    return td_selector__parse(selector, &parsed, err);
}

static bool as_number(const char *text, double *out)
{
    td_err ignored;
    return td_parse_double(text, "value", out, &ignored) == TD_OK;
}

static bool compare(const char *have, td_selector_op op, const char *want)
{
    double a = 0, b = 0;
    bool numbers = as_number(have, &a) && as_number(want, &b);
    int order = numbers ? (a > b) - (a < b) : strcmp(have, want);
    switch (op) {
    case TD_OP_EQ:
        return order == 0;
    case TD_OP_NE:
        return order != 0;
    case TD_OP_LT:
        return numbers && order < 0;
    case TD_OP_LE:
        return numbers && order <= 0;
    case TD_OP_GT:
        return numbers && order > 0;
    case TD_OP_GE:
        return numbers && order >= 0;
    }
    return false;
}

/* "pump" or "pump/3" among "pump/3 fan/1". */
static bool runs(const char *running, const char *want)
{
    size_t length = strlen(want);
    for (const char *at = running; *at != '\0';) {
        size_t word = strcspn(at, " ");
        if (word >= length && strncmp(at, want, length) == 0 && (word == length || at[length] == '/')) {
            return true;
        }
        at += word + (at[word] == ' ');
    }
    return false;
}

static bool has_runtime(const json_t *runtimes, const char *want)
{
    size_t i;
    json_t *runtime;
    json_array_foreach ((json_t *)runtimes, i, runtime) {
        const char *text = json_string_value(runtime);
        if (text != NULL && strcmp(text, want) == 0) {
            return true;
        }
    }
    return false;
}

/* The single value of a name, or NULL if the device has none. `number` is room for its text. */
static const char *value_of(const td_device_facts *facts, const char *name, char number[32])
{
    if (strcmp(name, "device") == 0) {
        return facts->device;
    }
    if (strcmp(name, "hardware") == 0) {
        return facts->hardware;
    }
    if (strcmp(name, "state") == 0) {
        return facts->state;
    }
    if (strcmp(name, "online") == 0) {
        return facts->online ? "true" : "false";
    }
    if (strcmp(name, "ram_mb") == 0 || strcmp(name, "storage_mb") == 0) {
        snprintf(number, 32, "%lld", (long long)(name[0] == 'r' ? facts->ram_mb : facts->storage_mb));
        return number;
    }
    return json_string_value(json_object_get(facts->tags, name));
}

static bool test(const td_selector_node *node, const td_device_facts *facts)
{
    bool any = node->type == TD_SELECT_EXISTS;
    bool is_runtime = strcmp(node->name, "runtime") == 0;
    if (is_runtime || strcmp(node->name, "model") == 0) {
        bool holds = any ? (is_runtime ? json_array_size(facts->runtimes) > 0 : facts->running[0] != '\0')
                         : (is_runtime ? has_runtime(facts->runtimes, node->value) : runs(facts->running, node->value));
        return node->op == TD_OP_NE ? !holds : holds && node->op == TD_OP_EQ;
    }
    char number[32];
    const char *have = value_of(facts, node->name, number);
    if (any) {
        return have != NULL && have[0] != '\0' && (strcmp(node->name, "online") != 0 || facts->online);
    }
    return have != NULL ? compare(have, node->op, node->value) : node->op == TD_OP_NE;
}

static bool holds(const td_selector *selector, int index, const td_device_facts *facts)
{
    const td_selector_node *node = &selector->nodes[index];
    switch (node->type) {
    case TD_SELECT_ALL:
        return true;
    case TD_SELECT_AND:
        return holds(selector, node->left, facts) && holds(selector, node->right, facts);
    case TD_SELECT_OR:
        return holds(selector, node->left, facts) || holds(selector, node->right, facts);
    case TD_SELECT_NOT:
        return !holds(selector, node->left, facts);
    case TD_SELECT_EXISTS:
    case TD_SELECT_COMPARE:
        return test(node, facts);
    }
    return false;
}

bool td_selector__matches(const td_selector *selector, const td_device_facts *facts)
{
    return holds(selector, selector->root, facts);
}
