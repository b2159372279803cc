/*
 * ledger.c: the facts of the records against the facts of the rows, in both directions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/ledger.h"

#include "core/base/fs.h"
#include "server/ledger_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

td_code td_ledger_new(td_ledger **out, td_err *err)
{
    td_ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL || (ledger->facts = json_object()) == NULL) {
        free(ledger);
        return td_fail(err, TD_NOMEM, "no memory to hold the rows against the records");
    }
    ledger->record = -1;
    *out = ledger;
    return TD_OK;
}

int64_t td_ledger_record(const td_ledger *ledger)
{
    return ledger->record;
}

void td_ledger_free(td_ledger **ledger)
{
    if (ledger != NULL && *ledger != NULL) {
        json_decref((*ledger)->facts);
        free(*ledger);
        *ledger = NULL;
    }
}

/* ---- facts ---- */

static json_t *child(json_t *parent, const char *key)
{
    json_t *found = json_object_get(parent, key);
    if (found == NULL && json_object_set_new(parent, key, json_object()) == 0) {
        found = json_object_get(parent, key);
    }
    return found;
}

json_t *td_ledger__find(const td_ledger *ledger, const char *kind, const char *key)
{
    return json_object_get(json_object_get(ledger->facts, kind), key);
}

json_t *td_ledger__fact(td_ledger *ledger, const char *kind, const char *key, const td_ledger_saying *said)
{
    json_t *fact = child(child(ledger->facts, kind), key);
    if (fact == NULL || json_object_set_new(fact, "_seq", json_integer(said->seq)) != 0 ||
        json_object_set_new(fact, "_action", json_string(said->action)) != 0 ||
        json_object_set_new(fact, "_object", json_string(said->object)) != 0) {
        ledger->out_of_memory = true;
        return NULL;
    }
    return fact;
}

void td_ledger__say(td_ledger *ledger, json_t *fact, const char *field, const char *text)
{
    if (text != NULL &&
        json_object_set_new(fact, field,
                            json_pack("[s, I, s]", text, (json_int_t)ledger->now->seq, ledger->now->action)) != 0) {
        ledger->out_of_memory = true;
    }
}

const char *td_ledger__text(const json_t *fact, const char *field, const char *fallback)
{
    const char *text = json_string_value(json_array_get(json_object_get(fact, field), 0));
    return text != NULL ? text : fallback;
}

void td_ledger__drop(td_ledger *ledger, const char *kind, const char *key)
{
    (void)json_object_del(json_object_get(ledger->facts, kind), key);
}

void td_ledger_follow(void *context, int64_t seq, const json_t *record)
{
    td_ledger *ledger = context;
    const json_t *object = json_object_get(record, "object");
    td_ledger_saying said = {.seq = seq,
                             .action = td_json_text(record, "action", ""),
                             .actor = td_json_text(json_object_get(record, "actor"), "id", ""),
                             .object = td_json_text(object, "id", ""),
                             .digest = td_json_text(object, "digest", NULL),
                             .project = td_json_text(record, "project", ""),
                             .reason = td_json_text(record, "reason", ""),
                             .before = json_object_get(json_object_get(record, "before"), "facts"),
                             .after = json_object_get(json_object_get(record, "after"), "facts")};
    if (strcmp(td_json_text(record, "outcome", ""), "done") == 0) {
        ledger->now = &said;
        td_ledger__apply(ledger, &said);
        ledger->now = NULL;
    }
}

/* ---- rows ---- */

typedef struct comparison {
    td_ledger *ledger;
    td_ledger_verdict verdict;
    bool erased; /* a record of this kind has no body any more: what does not fit is undecided */
} comparison;

static td_code no_record(const td_ledger_kind *kind, const char *key, td_err *err)
{
    return td_fail(err, TD_CORRUPT, "%s %s: it is in the database, but no record says so: it was put there or changed "
                                    "behind the log's back",
                   kind->name, key);
}

/* The record that said it last, and both tellings; long ones are cut. */
static td_code differs(td_ledger *ledger, const json_t *fact, const char *field, const char *row, const char *name,
                       td_err *err)
{
    const json_t *told = json_object_get(fact, field);
    const char *text = td_ledger__text(fact, field, "");
    ledger->record = json_integer_value(json_array_get(told, 1));
    return td_fail(err, TD_CORRUPT,
                   "record %lld (%s %s): %s has %s \"%.16s%s\" by the record, \"%.16s%s\" in the database",
                   (long long)ledger->record, json_string_value(json_array_get(told, 2)),
                   td_json_text(fact, "_object", "?"), name, field + (field[0] == '#'), text,
                   strlen(text) > 16 ? "…" : "", row, strlen(row) > 16 ? "…" : "");
}

/* The row's fields against the record's. */
static td_code compare_fields(comparison *job, const td_ledger_kind *kind, const json_t *fact, const char *name,
                              const char *const *fields, td_err *err)
{
    for (size_t i = 0; kind->fields[i] != NULL; i++) {
        const char *text = td_ledger__text(fact, kind->fields[i], NULL), *row = fields[i] != NULL ? fields[i] : "";
        if (text != NULL && strcmp(text, row) != 0) {
            job->verdict.undecided += job->erased;
            return job->erased ? TD_OK : differs(job->ledger, fact, kind->fields[i], row, name, err);
        }
    }
    return TD_OK;
}

static td_code take_row(void *context, const td_ledger_kind *kind, const char *key, const char *const *fields,
                        td_err *err)
{
    comparison *job = context;
    json_t *fact = td_ledger__find(job->ledger, kind->name, key);
    job->verdict.rows++;
    if (fact == NULL) {
        job->verdict.undecided += job->erased;
        return job->erased ? TD_OK : no_record(kind, key, err);
    }
    if (json_object_set_new(fact, "_met", json_true()) != 0) {
        return td_fail(err, TD_NOMEM, "no memory to hold the rows against the records");
    }
    char name[160];
    snprintf(name, sizeof name, "%s %.120s", kind->name, key);
    return compare_fields(job, kind, fact, name, fields, err);
}

static td_code check_gone(comparison *job, const td_ledger_kind *kind, td_err *err)
{
    const char *key;
    json_t *fact;
    json_object_foreach(json_object_get(job->ledger->facts, kind->name), key, fact)
    {
        if (json_object_get(fact, "_met") == NULL && json_object_get(fact, "_may_lack") == NULL) {
            if (!job->erased) {
                job->ledger->record = td_json_int(fact, "_seq", -1);
                return td_fail(err, TD_CORRUPT,
                               "record %lld (%s %s): %s %s is gone from the database, and no record says who removed "
                               "it",
                               (long long)td_json_int(fact, "_seq", -1), td_json_text(fact, "_action", "?"),
                               td_json_text(fact, "_object", "?"), kind->name, key);
            }
            job->verdict.undecided++;
        }
    }
    return TD_OK;
}

/* The source of a version, as its row tells; the row itself is held against the record by the digest of its sources. */
static td_code take_source(void *context, const char *version, const char *edge, bool must, td_err *err)
{
    td_ledger *ledger = context;
    const json_t *told = td_ledger__find(ledger, "version", version);
    td_ledger_saying said = {.seq = td_json_int(told, "_made", -1), .action = "register.version", .object = version};
    json_t *fact = told != NULL ? td_ledger__fact(ledger, "lineage edge", edge, &said) : NULL;
    if (fact != NULL && !must && json_object_set_new(fact, "_may_lack", json_true()) != 0) {
        return td_fail(err, TD_NOMEM, "no memory to hold the lineage against the records");
    }
    return TD_OK;
}

/* ---- content ---- */

typedef struct hashing {
    td_content *content;
    int64_t files;
} hashing;

static td_code take_file(void *context, const uint8_t digest[TD_DIGEST_SIZE], const char *what, td_err *err)
{
    hashing *job = context;
    char path[4096], label[TD_DIGEST_LABEL_SIZE];
    uint8_t found[TD_DIGEST_SIZE];
    td_digest_format(digest, label);
    TD_TRY(td_content_path(job->content, digest, path, err));
    if (!td_path_exists(path)) {
        return td_fail(err, TD_CORRUPT, "%s: its content %s is gone from the store", what, label);
    }
    TD_TRY(td_sha256_file(path, found, NULL, err));
    job->files++;
    return memcmp(found, digest, sizeof found) == 0
               ? TD_OK
               : td_fail(err, TD_CORRUPT, "%s: the bytes of its content %s were changed", what, label);
}

td_code td_ledger_compare(td_ledger *ledger, td_db *db, td_content *content, td_ledger_verdict *out, td_err *err)
{
    comparison job = {.ledger = ledger};
    td_ledger__edges(ledger);
    TD_TRY(td_ledger__sources(db, take_source, ledger, err));
    if (ledger->out_of_memory) {
        return td_fail(err, TD_NOMEM, "no memory to hold the rows against the records");
    }
    for (const td_ledger_kind *kind = td_ledger__kinds; kind->name != NULL; kind++) {
        TD_TRY(td_ledger__erased(db, kind->object_type, &job.erased, err));
        TD_TRY(td_ledger__rows(db, kind, take_row, &job, err));
        TD_TRY(check_gone(&job, kind, err));
    }
    TD_TRY(td_ledger__trust(ledger, db, &job.verdict, err));
    if (content != NULL) {
        hashing hash = {.content = content};
        TD_TRY(td_ledger__files(db, take_file, &hash, err));
        job.verdict.files = hash.files;
    }
    *out = job.verdict;
    return TD_OK;
}
