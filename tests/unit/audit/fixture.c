/*
 * fixture.c: see fixture.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/audit/fixture.h"

#include "core/base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int64_t fixture_wall(const td_clock *clock)
{
    return ((const fixture *)clock->context)->now;
}

static td_code open_all(fixture *f, td_err *err)
{
    static const td_migration *const lists[] = {td_audit_migrations, NULL};
    TD_TRY(td_crypto_setup(err));
    TD_TRY(td_db_open(f->db_path, TD_DB_WRITE, &f->clock, &f->db, err));
    TD_TRY(td_db_migrate(f->db, lists, err));
    TD_TRY(td_key_generate(TD_KEY_ED25519, &f->log_key, err));
    TD_TRY(td_key_generate(TD_KEY_ED25519, &f->submitter, err));
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    (void)td_key_public(f->log_key, public_key);
    memcpy(f->keys.log, public_key, sizeof f->keys.log);
    (void)td_key_public(f->submitter, public_key);
    memcpy(f->keys.submitter, public_key, sizeof f->keys.submitter);
    TD_TRY(td_log_vkey(f->keys.log, &f->vkey, err));
    return td_log_signer_open(f->log_key, f->signer_path, true, &f->signer, err);
}

int fixture_set_up(void **state)
{
    td_err err = {.code = TD_OK};
    fixture *f = calloc(1, sizeof *f);
    if (f == NULL) {
        return -1;
    }
    snprintf(f->folder, sizeof f->folder, "/tmp/td-audit-XXXXXX");
    f->now = 1772359200000; /* 2026-03-01T10:00:00Z */
    f->clock = (td_clock){fixture_wall, fixture_wall, f};
    if (mkdtemp(f->folder) == NULL) {
        return -1;
    }
    snprintf(f->db_path, sizeof f->db_path, "%s/db", f->folder);
    snprintf(f->signer_path, sizeof f->signer_path, "%s/signer.json", f->folder);
    snprintf(f->export_path, sizeof f->export_path, "%s/log.tar", f->folder);
    *state = f;
    if (open_all(f, &err) != TD_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    return 0;
}

int fixture_tear_down(void **state)
{
    fixture *f = *state;
    td_err err;
    td_log_signer_close(&f->signer);
    td_db_close(f->db);
    td_key_free(&f->log_key);
    td_key_free(&f->submitter);
    td_str_done(&f->vkey);
    td_code code = td_folder_remove(f->folder, &err);
    free(f);
    return code == TD_OK ? 0 : -1;
}

static int64_t append_entry(fixture *f, const td_audit_entry *entry)
{
    td_err err = {.code = TD_OK};
    int64_t seq = -1;
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    f->now += 1000;
    if (td_txn_begin(f->db, &txn, &err) != TD_OK || td_audit_append(f->db, entry, &seq, &err) != TD_OK ||
        td_txn_commit(&txn, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    return seq;
}

int64_t fixture_append(fixture *f, const char *actor, const char *action, const char *type, const char *id)
{
    td_actor who = {
        .kind = TD_ACTOR_USER, .user_id = 1, .name = actor, .authentication = "token", .role = "engineer"};
    td_audit_entry entry = {
        .actor = &who, .action = action, .object_type = type, .object_id = id, .reason = "because it is a test"};
    return append_entry(f, &entry);
}

int64_t fixture_derive(fixture *f, const char *actor, const char *id, const char *parent)
{
    TD_CLEANUP(td_json_done) json_t *after = json_pack("{s:s, s:s}", "parent", parent, "derived_by", "skl2onnx");
    td_actor who = {
        .kind = TD_ACTOR_USER, .user_id = 1, .name = actor, .authentication = "token", .role = "engineer"};
    td_audit_entry entry = {
        .actor = &who, .action = "register.version", .object_type = "version", .object_id = id, .after = after};
    return append_entry(f, &entry);
}

int64_t fixture_deploy(fixture *f, const char *action, const char *id, const char *version)
{
    TD_CLEANUP(td_json_done) json_t *links = json_pack("{s:s}", "version", version);
    td_audit_entry entry = {
        .actor = &td_actor_system, .action = action, .object_type = "rollout", .object_id = id, .links = links};
    return append_entry(f, &entry);
}

void fixture_append_many(fixture *f, int count)
{
    for (int i = 0; i < count; i++) {
        char id[32];
        snprintf(id, sizeof id, "pump-%d", i);
        (void)fixture_append(f, i % 2 == 0 ? "ana" : "ben", "enrol.device", "device", id);
    }
}

td_code fixture_sequence(fixture *f, td_err *err)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_TRY(td_txn_begin(f->db, &txn, err));
    TD_TRY(td_log_sequence(f->db, f->submitter, NULL, err));
    return td_txn_commit(&txn, err);
}

static td_code seal(fixture *f, td_err *err)
{
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_CLEANUP(td_str_done) td_str note = {0};
    bool fresh = false;
    TD_TRY(fixture_sequence(f, err));
    TD_TRY(td_log_checkpoint_make(f->db, f->signer, &note, &fresh, err));
    if (!fresh) {
        return TD_OK;
    }
    TD_TRY(td_txn_begin(f->db, &txn, err));
    TD_TRY(td_log_checkpoint_store(f->db, td_str_text(&note), err));
    return td_txn_commit(&txn, err);
}

void fixture_seal(fixture *f)
{
    td_err err = {.code = TD_OK};
    if (seal(f, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
}

static td_code append_bytes(void *context, const void *data, size_t size, td_err *err)
{
    td_str_append(context, data, size);
    return td_str_check(context, err);
}

void fixture_export(fixture *f, td_str *out)
{
    td_err err = {.code = TD_OK};
    if (td_audit_export(f->db, &f->keys, append_bytes, out, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
}

td_audit_verify_options fixture_options(const fixture *f)
{
    return (td_audit_verify_options){.vkey = td_str_text(&f->vkey), .submitter = f->keys.submitter};
}

void fixture_reopen(fixture *f)
{
    td_err err = {.code = TD_OK};
    td_db_close(f->db);
    f->db = NULL;
    if (td_db_open(f->db_path, TD_DB_WRITE, &f->clock, &f->db, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
}
