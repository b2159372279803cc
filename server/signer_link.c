/*
 * signer_link.c: reaching the signer, asking it, and reaching it again.
 *
 * The tree that it remembers is asked for once a connection; afterwards each reply tells it.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/signer_link.h"

#include "audit/past.h"
#include "core/base/fs.h"
#include "core/base/log.h"
#include "server/workspace_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_FIRST_MS 100

struct td_signer_link {
    const td_server *server;
    td_signer_where where;
    char vkey[TD_LOG_VKEY_MAX];
    char origin[TD_LOG_ORIGIN_MAX];
    td_signer_line *line; /* NULL: no connection */
    bool known;           /* root is what this connection's signer remembers */
    td_log_root root;
    int64_t next_try_ms, pause_ms;
    char why[180]; /* it is away */
    atomic_int apart; /* td_signer_apart */
    atomic_int_fast64_t starts;
};

static void hang_up(td_signer_link *link)
{
    td_signer_line_close(&link->line);
    link->known = false;
}

/* Every failure of the line ends here. */
static td_code away(td_signer_link *link, td_err *err)
{
    snprintf(link->why, sizeof link->why, "%.179s", err->text);
    hang_up(link);
    link->pause_ms = link->pause_ms == 0 ? PAUSE_FIRST_MS : link->pause_ms * 2;
    link->pause_ms = link->pause_ms > TD_SIGNER_PAUSE_MAX_MS ? TD_SIGNER_PAUSE_MAX_MS : link->pause_ms;
    link->next_try_ms = td_server_monotonic_ms(link->server) + link->pause_ms;
    return td_fail(err, TD_BUSY, "the log's signer is away: %s", link->why);
}

static td_code reach(td_signer_link *link, td_err *err)
{
    if (link->line) {
        return TD_OK;
    }
    if (td_signer_link_pause_ms(link) > 0) {
        return td_fail(err, TD_BUSY, "the log's signer is away: %s", link->why);
    }
    if (td_signer_line_open(&link->where, &link->line, err) != TD_OK) {
        return away(link, err);
    }
    atomic_fetch_add(&link->starts, link->where.kind == TD_SIGNER_CHILD);
    return TD_OK;
}

/* A signer that cannot open its files, or serves another server, is started anew until it can. */
static td_code ask(td_signer_link *link, td_signer_request *request, td_signer_reply *reply, td_err *err)
{
    memcpy(request->origin, link->origin, sizeof request->origin);
    TD_TRY(reach(link, err));
    if (td_signer_line_ask(link->line, request, reply, err) != TD_OK) {
        return away(link, err);
    }
    if (reply->code == TD_OK || reply->code == TD_CONFLICT) {
        link->known = true;
        link->root = reply->root;
        link->pause_ms = 0;
        return reply->code == TD_OK ? TD_OK : td_fail(err, TD_CONFLICT, "%s", reply->text);
    }
    td_code code = reply->code;
    (void)td_fail(err, code, "%s", reply->text);
    td_err why = *err;
    (void)away(link, err);
    *err = code == TD_BUSY ? *err : why;
    return code;
}

td_code td_signer_link_look(td_signer_link *link, td_log_root *out, td_err *err)
{
    td_signer_request request = {.op = TD_SIGNER_LOOK};
    td_signer_reply reply;
    TD_TRY(reach(link, err));
    if (!link->known) {
        TD_TRY(ask(link, &request, &reply, err));
    }
    atomic_store(&link->apart, (int)td_signer_line_apart(link->line));
    *out = link->root;
    return TD_OK;
}

td_code td_signer_link_sign(td_signer_link *link, const td_log_growth *growth, td_str *note, td_err *err)
{
    td_signer_request request = {
        .op = TD_SIGNER_SIGN, .last = growth->last, .next = growth->root, .proof = growth->proof};
    td_signer_reply reply;
    td_log_root said;
    TD_TRY(ask(link, &request, &reply, err));
    TD_TRY(td_log_checkpoint_check(reply.text, strlen(reply.text), link->vkey, &said, err));
    if (said.size != growth->root.size || memcmp(said.hash, growth->root.hash, sizeof said.hash) != 0) {
        return td_fail(err, TD_CORRUPT, "the log's signer signed another tree than it was asked to");
    }
    td_str_add(note, reply.text);
    return td_str_check(note, err);
}

int64_t td_signer_link_pause_ms(const td_signer_link *link)
{
    int64_t left = link->line ? 0 : link->next_try_ms - td_server_monotonic_ms(link->server);
    return left > 0 ? left : 0;
}

void td_signer_link_facts(td_signer_link *link, td_signer_facts *out)
{
    out->apart = (td_signer_apart)atomic_load(&link->apart);
    out->starts = (int64_t)atomic_load(&link->starts);
}

bool td_signer_link_is_service(const td_signer_link *link)
{
    return link->where.kind != TD_SIGNER_CHILD;
}

static td_code read_vkey(td_signer_link *link, td_err *err)
{
    char path[4096];
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_workspace_file(link->server->path, TD_FILE_LOG_VKEY, path, err));
    TD_TRY(td_file_read(path, sizeof link->vkey - 1, &text, err));
    size_t length = strcspn(td_str_text(&text), "\n"), name = strcspn(td_str_text(&text), "+");
    if (name >= sizeof link->origin || name > length) {
        return td_fail(err, TD_CORRUPT, "%s is no verifier key", path);
    }
    snprintf(link->vkey, sizeof link->vkey, "%.*s", (int)length, td_str_text(&text));
    memcpy(link->origin, link->vkey, name);
    return TD_OK;
}

td_code td_signer_link_new(const td_server *server, td_signer_link **out, td_err *err)
{
    TD_CLEANUP(td_signer_link_free) td_signer_link *link = calloc(1, sizeof *link);
    if (!link) {
        return td_fail(err, TD_NOMEM, "no memory for the line to the log's signer");
    }
    link->server = server;
    TD_TRY(td_signer_where_read(server->path, server->config, &link->where, err));
    TD_TRY(read_vkey(link, err));
    td_err why = {0};
    if (reach(link, &why) != TD_OK) {
        td_log_err(TD_LOG_WARN, "audit", "reaching the log's signer", &why);
    }
    *out = link;
    link = NULL;
    return TD_OK;
}

void td_signer_link_free(td_signer_link **slot)
{
    if (*slot) {
        hang_up(*slot);
        free(*slot);
        *slot = NULL;
    }
}
