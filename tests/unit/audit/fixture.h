/*
 * fixture.h: a log of its own for each test: folder, clock, database, keys, signer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_UNIT_AUDIT_FIXTURE_H
#define TESTS_UNIT_AUDIT_FIXTURE_H

#include "audit/log.h"
#include "audit/verify.h"

typedef struct fixture {
    char folder[64];
    char db_path[96], signer_path[96], export_path[96];
    td_clock clock;
    int64_t now;
    td_db *db;
    td_key *log_key, *submitter;
    td_log_signer *signer;
    td_audit_keys keys;
    td_str vkey;
} fixture;

int fixture_set_up(void **state);
int fixture_tear_down(void **state);
#define WITH_LOG(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

/* Appends one record in its own transaction, a second after the last; fails the test if it is refused. */
int64_t fixture_append(fixture *f, const char *actor, const char *action, const char *type, const char *id);
/* The same with links.version. */
int64_t fixture_derive(fixture *f, const char *actor, const char *id, const char *parent); /* from parent */
int64_t fixture_deploy(fixture *f, const char *action, const char *id, const char *version);
void fixture_append_many(fixture *f, int count);
/* Sequences, signs, stores. */
void fixture_seal(fixture *f);
td_code fixture_sequence(fixture *f, td_err *err);
void fixture_export(fixture *f, td_str *out);
td_audit_verify_options fixture_options(const fixture *f);
/* Closes and opens the database again, as after an edit by others. */
void fixture_reopen(fixture *f);

#endif
