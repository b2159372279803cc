/*
 * ledger_edges.c: edges of the lineage that follow from the records: parents, causes, approvals, roll-outs.
 *
 * They are put together once all records were followed, so that a renamed model has its last name.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/ledger_internal.h"

#include <stdio.h>
#include <string.h>

typedef struct edge {
    const char *project, *kind, *from_kind, *from, *to_kind, *to;
} edge;

/* `because`: the fact that it follows from. */
static void expect(td_ledger *ledger, const edge *e, const json_t *because)
{
    char key[2 * TD_LEDGER_KEY_MAX];
    td_ledger_saying said = {.seq = td_json_int(because, "_made", td_json_int(because, "_seq", -1)),
                             .action = td_json_text(because, "_action", "register.version"),
                             .object = e->to};
    snprintf(key, sizeof key, "%.*s %s %s:%s > %s:%s", (int)strcspn(e->project, "/"), e->project, e->kind, e->from_kind,
             e->from, e->to_kind, e->to);
    if (json_object_get(because, "_made") != NULL) {
        said.action = "register.version";
    }
    (void)td_ledger__fact(ledger, "lineage edge", key, &said);
}

static void version_edges(td_ledger *ledger, const char *key, const json_t *fact)
{
    const char *label = strchr(key, '/') + 1;
    const char *parent = td_ledger__text(fact, "parent", ""), *cause = td_ledger__text(fact, "cause", "");
    bool derived = td_ledger__text(fact, "derived_by", "")[0] != '\0';
    if (parent[0] != '\0') {
        expect(ledger, &(edge){key, derived ? "derived" : "parent", "version", parent, "version", label}, fact);
    }
    if (strncmp(cause, "al-", 3) == 0) {
        expect(ledger, &(edge){key, "caused", "alert", cause, "version", label}, fact);
    }
}

static void approval_edge(td_ledger *ledger, const char *key, const json_t *fact)
{
    char version[TD_LEDGER_KEY_MAX];
    const char *name = strchr(key, '/') + 1;
    snprintf(version, sizeof version, "%.*s", (int)strcspn(name, "#"), name);
    expect(ledger, &(edge){key, "approved", "approval", name, "version", version}, fact);
}

void td_ledger__edges(td_ledger *ledger)
{
    const char *key;
    json_t *fact;
    json_object_foreach(json_object_get(ledger->facts, "version"), key, fact)
    {
        version_edges(ledger, key, fact);
    }
    json_object_foreach(json_object_get(ledger->facts, "approval"), key, fact)
    {
        approval_edge(ledger, key, fact);
    }
    json_object_foreach(json_object_get(ledger->facts, "roll-out"), key, fact)
    {
        const char *version = td_ledger__text(fact, "version", "");
        expect(ledger, &(edge){key, "rolled_out", "version", version, "rollout", strchr(key, '/') + 1}, fact);
    }
}
