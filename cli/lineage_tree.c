/*
 * lineage_tree.c: a graph as an ASCII tree: each node once in full, further mentions with "(above)".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"
#include "cli/output.h"

#include <string.h>

#define DEPTH_MAX 40
#define LINES_MAX 500

typedef struct tree {
    const json_t *edges, *nodes;
    json_t *seen; /* object: node → true */
    bool down;
    int lines;
    td_str *out;
} tree;

static const char *title_of(const tree *t, const char *node)
{
    for (size_t i = 0; i < json_array_size(t->nodes); i++) {
        const json_t *item = json_array_get(t->nodes, i);
        if (strcmp(td_json_text(item, "node", ""), node) == 0) {
            return td_json_text(item, "title", "");
        }
    }
    return "";
}

/* "version:pump/2" → "version pump/2". */
static void add_node(const tree *t, const char *node)
{
    size_t kind = strcspn(node, ":");
    const char *title = title_of(t, node);
    td_str_addf(t->out, "%.*s %s", (int)kind, node, node[kind] == ':' ? node + kind + 1 : "");
    if (*title != '\0' && strstr(node, title) == NULL) {
        td_str_addf(t->out, " \"%.60s\"", title);
    }
}

/* How an edge reads from the child's side: "version pump/2 <- run run-1 (output)". */
static void add_edge(const tree *t, const json_t *edge)
{
    td_str_addf(t->out, " (%s%s)", td_json_text(edge, "kind", ""),
                td_json_text(edge, "ended_at", NULL) != NULL ? ", until it moved on" : "");
}

static bool belongs(const tree *t, const json_t *edge, const char *node)
{
    return strcmp(td_json_text(edge, t->down ? "from" : "to", ""), node) == 0;
}

static size_t count_children(const tree *t, const char *node)
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(t->edges); i++) {
        count += belongs(t, json_array_get(t->edges, i), node);
    }
    return count;
}

static void add_children(tree *t, const char *node, td_str *prefix, int depth)
{
    size_t left = count_children(t, node);
    for (size_t i = 0; i < json_array_size(t->edges) && t->lines < LINES_MAX; i++) {
        const json_t *edge = json_array_get(t->edges, i);
        if (!belongs(t, edge, node)) {
            continue;
        }
        const char *child = td_json_text(edge, t->down ? "to" : "from", "");
        bool known = json_object_get(t->seen, child) != NULL;
        bool last = --left == 0;
        t->lines++;
        td_str_addf(t->out, "%s%s", td_str_text(prefix), last ? "`-- " : "|-- ");
        add_node(t, child);
        add_edge(t, edge);
        td_str_add(t->out, known && count_children(t, child) > 0 ? " (above)\n" : "\n");
        (void)json_object_set_new(t->seen, child, json_true());
        if (!known && depth < DEPTH_MAX) {
            size_t size = prefix->size;
            td_str_add(prefix, last ? "    " : "|   ");
            add_children(t, child, prefix, depth + 1);
            prefix->size = size;
            prefix->data[size] = '\0';
        }
    }
}

td_code td_lineage_tree(const json_t *answer, bool down, td_str *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str prefix = {0};
    TD_CLEANUP(td_json_done) json_t *seen = json_object();
    const char *root = td_json_text(answer, "node", "");
    tree t = {.edges = td_json_list(answer, "edges"),
              .nodes = td_json_list(answer, "nodes"),
              .seen = seen,
              .down = down,
              .out = out};
    td_str_add(&prefix, "");
    if (seen == NULL) {
        return td_cli_need(NULL, err);
    }
    (void)json_object_set_new(seen, root, json_true());
    add_node(&t, root);
    td_str_add(out, "\n");
    add_children(&t, root, &prefix, 0);
    if (t.lines >= LINES_MAX) {
        td_str_addf(out, "… more than %d lines; give --depth\n", LINES_MAX);
    }
    return td_str_check(out, err);
}
