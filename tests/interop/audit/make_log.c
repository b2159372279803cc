/*
 * make_log.c: makes a log of some size and writes for the tests beside it: export, keys, an older checkpoint, a proof
 * with its record.
 *
 *   make_log FOLDER RECORDS    log.tar, log.vkey, log.pem, submitter.pem, older, proof, record (number RECORDS / 3)
 *
 * A log of four or more records tells of a version that is registered, submitted, approved and rolled out.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "tests/unit/audit/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static td_code put(const char *folder, const char *name, const td_str *text, td_err *err)
{
    char path[4096];
    TD_TRY(td_path_join(path, folder, name, err));
    return td_file_replace(path, text->data, text->size, 0600, err);
}

static td_code write_all(fixture *f, const char *folder, int64_t shown, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str tar = {0};
    TD_CLEANUP(td_str_done) td_str proof = {0};
    TD_CLEANUP(td_str_done) td_str record = {0};
    fixture_export(f, &tar);
    TD_TRY(put(folder, "log.tar", &tar, err));
    TD_TRY(put(folder, "log.vkey", &f->vkey, err));
    TD_TRY(td_log_proof_text(f->db, shown, &proof, err));
    TD_TRY(put(folder, "proof", &proof, err));
    TD_TRY(td_audit_record(f->db, shown, &record, err));
    return put(folder, "record", &record, err);
}

static td_code put_key(const td_key *key, const char *folder, const char *name, td_err *err)
{
    char path[4096];
    TD_TRY(td_path_join(path, folder, name, err));
    return td_key_write(key, path, NULL, err);
}

static int64_t tell_story(fixture *f)
{
    (void)fixture_append(f, "ana", "register.version", "version", "pump/1");
    (void)fixture_append(f, "ana", "submit.version", "version", "pump/1");
    (void)fixture_append(f, "ben", "approve.version", "version", "pump/1");
    (void)fixture_deploy(f, "create.rollout", "r-1", "pump/1");
    return 4;
}

static td_code make(fixture *f, const char *folder, int64_t records, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str older = {0};
    TD_TRY(put_key(f->log_key, folder, "log.pem", err));
    TD_TRY(put_key(f->submitter, folder, "submitter.pem", err));
    int64_t told = records >= 8 ? tell_story(f) : 0;
    fixture_append_many(f, (int)(records / 2 - told));
    fixture_seal(f);
    TD_TRY(td_log_checkpoint_read(f->db, &older, err));
    TD_TRY(put(folder, "older", &older, err));
    fixture_append_many(f, (int)(records - records / 2));
    fixture_seal(f);
    return write_all(f, folder, records / 3, err);
}

static td_code run_make(const char *folder, const char *count, td_err *err)
{
    void *state = NULL;
    int64_t records = 0;
    TD_TRY(td_parse_int(count, "records", 2, 1000000, &records, err));
    if (fixture_set_up(&state) != 0) {
        return td_fail(err, TD_IO, "no log could be set up");
    }
    td_code code = make(state, folder, records, err);
    return fixture_tear_down(&state) == 0 ? code : td_fail(err, TD_IO, "a folder was left behind");
}

int main(int argc, char **argv)
{
    td_err err = {.code = TD_OK};
    td_code code = argc == 3 ? run_make(argv[1], argv[2], &err) : td_fail(&err, TD_INVALID, "make_log FOLDER RECORDS");
    if (code != TD_OK) {
        fprintf(stderr, "make_log: %s\n", err.text);
    }
    return td_code_lookup(code)->exit_code;
}
