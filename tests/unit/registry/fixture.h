/*
 * fixture.h: a workspace in a temporary folder: database, content, people with roles and keys, and one registered
 * model.
 *
 * ana registers (data-scientist), ben and carl approve, dora does both, robo is a service account.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_TESTS_UNIT_REGISTRY_FIXTURE_H
#define TD_TESTS_UNIT_REGISTRY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* cmocka wants the first ones */
#include <cmocka.h>

#include "access/access.h"
#include "core/base/fs.h"
#include "registry/bundle.h"
#include "registry/modelsig.h"
#include "registry/registry.h"
#include "registry/trust.h"

typedef struct person {
    td_actor actor;
    td_key *key; /* approvers only */
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
} person;

typedef struct fixture {
    char folder[64];
    td_db *db;
    td_txn txn;
    td_content *content;
    td_arena arena;
    td_key *root, *director, *publisher;
    uint8_t root_public[TD_P256_PUBLIC_SIZE];
    person ana, ben, carl, dora, robo;
} fixture;

extern int64_t fixture_now_ms; /* the clock */

int fixture_setup(void **state);
int fixture_teardown(void **state);
void must(td_code code, const td_err *err);
/* Asserts the code and a part of the message. */
void refused(td_code code, const td_err *err, td_code want, const char *part);

/* Runs inside a savepoint of its own, as the server's writer does: an error undoes it. */
#define TRY_WRITE(f, call)                                                                                             \
    __extension__({                                                                                                    \
        must(td_db_savepoint((f)->db, NULL), &(td_err){.text = "savepoint"});                                          \
        td_code code_ = (call);                                                                                        \
        if (code_ != TD_OK) {                                                                                          \
            td_db_rollback_to((f)->db); /* and releases */                                                             \
        } else {                                                                                                       \
            must(td_db_release((f)->db, NULL), &(td_err){.text = "release"});                                          \
        }                                                                                                              \
        code_;                                                                                                         \
    })

td_version_file put_file(fixture *f, const char *name, td_file_role role, const void *data, size_t size);
/* Registers a version of `model` by ana with a model file of that text; returns its number. */
int64_t make_version(fixture *f, const char *model, const char *text);
/* Packs and submits; the packed manifest goes into *manifest (may be NULL). */
void submit(fixture *f, const char *reference, td_str *manifest);
td_approval sign_approval(fixture *f, const char *reference, const person *who);
/* make_version, submit, approved by ben. */
int64_t make_approved(fixture *f, const char *model, const char *text);
td_version find(fixture *f, const char *reference);
void add_approver(fixture *f, person *who);
int64_t count_records(fixture *f, const char *action);
/* Writes bytes to a file in the fixture's folder; the path is valid until the next call. */
const char *write_file(fixture *f, const char *name, const void *data, size_t size);

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

#endif
