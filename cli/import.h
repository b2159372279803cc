/*
 * import.h: what the files of `tidemark import mlflow` share: two servers, and what was counted.
 *
 * Everything is sent under the id that it had there, in an order in which what is named exists already: experiments,
 * runs, logged models, what runs logged, registered versions, aliases. A thing is marked (tag tidemark.mirror) with its
 * last request, so an import that broke off begins again at the first one that is not whole.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CLI_IMPORT_H
#define TD_CLI_IMPORT_H

#include "cli/commands.h"

#define TD_IMPORT_MARK "tidemark.mirror" /* tag: where it came from, and in which state */
#define TD_IMPORT_NOTES_MAX 1000         /* kept for the report; the rest is counted */
#define TD_IMPORT_FILES_MAX 100000       /* of one run or logged model */
#define TD_IMPORT_DEPTH_MAX 32           /* folders in each other */

typedef struct td_import {
    td_cli *cli;        /* the way to our server */
    td_cli from;        /* and to theirs */
    char uri[512];      /* of theirs, without a slash at its end */
    const char *folder; /* a temporary one, for one file at a time */
    bool secret;        /* theirs was told who asks */
    json_t *logged;     /* ids of the logged models of the experiment at hand: {"m-…": true} */
    json_t *pending;    /* runs of the experiment at hand that are to be filled: {"id": true} */
    json_t *whole;      /* taken by earlier passes, as listed: {"run": digest, "models:/name": {"as", "versions"}} */
    json_t *lacking;    /* runs and logged models of which a file could not be taken: {"id": true} */
    json_t *notes;      /* texts: what was left out, and why */
    int64_t experiments, runs, runs_unchanged, logged_models, files, models, versions, versions_unchanged, aliases,
        notes_more;
    uint64_t bytes;
} td_import;

/* One request to MLflow's routes of our server; `body` (NULL for GET) is taken over. `out` may be NULL. */
TD_MUST_USE td_code td_import__send(td_import *im, const char *method, const char *path, json_t *body, json_t **out,
                                    td_err *err);

/* One request to theirs; `body` borrowed, NULL: GET. */
TD_MUST_USE td_code td_import__ask(td_import *im, const char *path, const json_t *body, json_t **out, td_err *err);
/* An error of theirs, named as such. */
TD_MUST_USE td_code td_import__theirs(const td_import *im, td_code code, td_err *err);

/* The digest of a list's entry: it tells whether anything changed. */
TD_MUST_USE td_code td_import__digest(const json_t *item, char out[TD_DIGEST_TEXT], td_err *err);

typedef td_code (*td_import_each)(td_import *im, const json_t *item, void *context, td_err *err);
/* Asks their server for a list, page by page: each entry of `key` is given to `each`. `body` NULL: by GET; else by
 * POST, borrowed, its page_token is set. CORRUPT: pages that never end. */
TD_MUST_USE td_code td_import__each(td_import *im, const char *path, json_t *body, const char *key,
                                    td_import_each each, void *context, td_err *err);

/* Errors that only this one thing has (INVALID, LIMIT, CONFLICT, NOT_FOUND, CORRUPT) become a note, and the import goes
 * on. */
TD_MUST_USE td_code td_import__soften(td_import *im, td_code code, const char *what, td_err *err);
void td_import__note(td_import *im, const char *format, ...) TD_PRINTF(2, 3);
/* A line on standard error, when that is a terminal. */
void td_import__progress(const td_import *im, const char *what, const char *name);

typedef struct td_import_tree {
    const char *list;     /* their route that lists: a path with a query */
    const char *list_key; /* its parameter that names a folder */
    const char *get;      /* their route that gives a file, */
    const char *get_key;  /* and its parameter that names it */
    const char *root;     /* ours: "3/<run>/artifacts" */
} td_import_tree;
/* Copies all files of a run or logged model that are not there yet with that path and size. One that cannot be taken
 * becomes a note, and `id` is lacking: it is not marked whole, and no version is made of it. */
TD_MUST_USE td_code td_import__tree(td_import *im, const td_import_tree *tree, const char *id, td_err *err);

TD_MUST_USE td_code td_import__experiments(td_import *im, td_err *err); /* import_experiment.c */
/* Runs of one experiment (their id, our id), and their logged models between (import_run.c). */
TD_MUST_USE td_code td_import__runs(td_import *im, const char *theirs, const char *ours, td_err *err);
TD_MUST_USE td_code td_import__logged(td_import *im, const char *theirs, const char *ours, td_err *err);
TD_MUST_USE td_code td_import__models(td_import *im, td_err *err); /* import_model.c */
/* Passes until a signal ends us (import_watch.c). What can pass by itself is waited for; else the error. */
TD_MUST_USE td_code td_import__watch(td_import *im, int64_t every_ms, td_err *err);
TD_MUST_USE td_code td_import__pass(td_import *im, td_err *err); /* one pass, counted from nought */
void td_import__report(td_import *im);

/* [{"key","value"}…] without entries that our limits refuse (they become notes). New. */
json_t *td_import__pairs(td_import *im, const json_t *pairs, size_t most, const char *what);

#endif
