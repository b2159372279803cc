/*
 * log_resume.c: the new key, the record, the swap: in an order that a kill cannot break.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/log_resume.h"

#include "audit/past.h"
#include "core/base/fs.h"
#include "fleet/rollout.h"
#include "server/backup_internal.h"
#include "server/workspace_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RETIRED "keys/retired"

typedef struct resume_job {
    const td_log_resume_options *options;
    const char *folder; /* the workspace's absolute path */
    char state[4096];   /* the signer's memory */
    td_db *db;
    td_key *key, *next;
    td_str vkey, next_vkey; /* of the old key and of the new one */
    td_log_root last;       /* size < 0: nobody knows */
    const char *known_by;
    char missing[240];      /* why the log cannot go on, "" when it can */
    int64_t paused;
} resume_job;

static void job_done(resume_job *job)
{
    td_key_free(&job->key);
    td_key_free(&job->next);
    td_str_done(&job->vkey);
    td_str_done(&job->next_vkey);
}

static td_code vkey_of(const td_key *key, td_str *out, td_err *err)
{
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    (void)td_key_public(key, public_key);
    return td_log_vkey(public_key, out, err);
}

/* The eight digits in the middle of "name+01234567+base64": the key's id. */
static void id_of(const char *vkey, char out[9])
{
    const char *plus = strchr(vkey, '+');
    snprintf(out, 9, "%.8s", plus ? plus + 1 : "unknown");
}

/* ---- what is known ---- */

/* What the signer remembers; a memory that is lost or damaged is nobody's knowledge. */
static td_code ask_signer(resume_job *job, td_err *err)
{
    td_err why = {0};
    TD_CLEANUP(td_log_signer_close) td_log_signer *signer = NULL;
    td_code code = td_log_signer_open(job->key, job->state, false, &signer, &why);
    if (code == TD_OK) {
        job->last = td_log_signer_root(signer);
        job->known_by = "signer";
        code = td_log_extends(job->db, &job->last, &why);
    }
    if (code != TD_OK && code != TD_CONFLICT && code != TD_NOT_FOUND && code != TD_CORRUPT) {
        *err = why;
        return code;
    }
    if (code != TD_OK) {
        const char *lost = "the memory of the log's signer is lost";
        snprintf(job->missing, sizeof job->missing, "%s", code == TD_NOT_FOUND ? lost : why.text);
    }
    return TD_OK;
}

/* The newest of two memories counts. */
static td_code hear(resume_job *job, const td_log_root *root, const char *known_by, td_err *err)
{
    td_err why = {0};
    if (job->known_by && root->size <= job->last.size) {
        return TD_OK;
    }
    job->last = *root;
    job->known_by = known_by;
    td_code code = td_log_extends(job->db, root, &why);
    if (code == TD_CONFLICT) {
        snprintf(job->missing, sizeof job->missing, "%s", why.text);
        return TD_OK;
    }
    return code == TD_OK ? TD_OK : td_fail(err, code, "%s", why.text);
}

static td_code ask_others(resume_job *job, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str stored = {0};
    const char *last = job->options->last;
    td_log_root root;
    td_code code = td_log_checkpoint_read(job->db, &stored, err);
    if (code == TD_OK &&
        td_log_checkpoint_check(stored.data, stored.size, td_str_text(&job->vkey), &root, err) == TD_OK) {
        TD_TRY(hear(job, &root, "database", err));
    } else if (code != TD_OK && code != TD_NOT_FOUND) {
        return code;
    }
    if (last) {
        if (td_log_checkpoint_check(last, strlen(last), td_str_text(&job->vkey), &root, err) != TD_OK) {
            err->code = TD_INVALID;
            return td_wrap(err, "--last");
        }
        TD_TRY(hear(job, &root, "checkpoint", err));
    }
    if (!job->known_by) {
        job->last.size = -1;
        job->known_by = "nobody";
    }
    return TD_OK;
}

/* ---- the decision ---- */

static td_code check_accepted(const resume_job *job, td_err *err)
{
    td_log_cut cut;
    if (!*job->missing && !job->options->although_whole) {
        return td_fail(err, TD_CONFLICT,
                       "nothing is known to be missing: the log goes on as it is. If a machine was set back together "
                       "with its signer: --although-whole, or --last CHECKPOINT");
    }
    if (job->options->accept) {
        return TD_OK;
    }
    TD_TRY(td_log_cut_read(job->db, &job->last, &cut, err));
    return cut.lost >= 0 ? td_fail(err, TD_CONFLICT,
                                   "%lld records are kept, %lld that were signed are lost. A newer backup may have "
                                   "them; if not: --accept-truncation",
                                   (long long)cut.kept, (long long)cut.lost)
                         : td_fail(err, TD_CONFLICT,
                                   "%s: how much is missing is unknown. A newer backup may have more; if not: "
                                   "--accept-truncation",
                                   job->missing);
}

static td_code make_key(resume_job *job, td_err *err)
{
    char path[4096];
    TD_TRY(td_path_join(path, job->folder, TD_FILE_LOG_NEXT, err));
    if (td_path_exists(path)) { /* of an attempt that ended before its transaction */
        TD_TRY(td_key_read(path, NULL, &job->next, err));
    } else {
        TD_TRY(td_key_generate(TD_KEY_ED25519, &job->next, err));
        TD_TRY(td_key_write(job->next, path, NULL, err));
    }
    return vkey_of(job->next, &job->next_vkey, err);
}

static td_code write_records(resume_job *job, td_err *err)
{
    char by[TD_BACKUP_BY_MAX];
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    const char *last = job->options->last;
    td_backup__account(by);
    td_log_resume resume = {.old_vkey = td_str_text(&job->vkey),
                            .new_vkey = td_str_text(&job->next_vkey),
                            .last = job->last,
                            .known_by = job->known_by,
                            .note = strcmp(job->known_by, "checkpoint") == 0 ? last : NULL,
                            .by = by,
                            .reason = job->options->reason};
    TD_TRY(td_txn_begin(job->db, &txn, err));
    TD_TRY(td_log_resume_append(job->db, &resume, err));
    TD_TRY(td_rollout_pause_all(job->db, "the log was resumed from an older state: look at the devices first",
                                &job->paused, err));
    return td_txn_commit(&txn, err);
}

/* ---- the swap ---- */

/* A copy called "<stem>-<id of the old key>.<what>". */
static td_code keep_old(const resume_job *job, const char *from, const char *stem, const char *what, const char *id,
                        td_err *err)
{
    char to[4096], name[64];
    unsigned mode = strcmp(what, "vkey") == 0 ? 0644 : 0600;
    snprintf(name, sizeof name, "%s-%s.%s", stem, id, what);
    TD_TRY(td_path_join(to, job->folder, name, err));
    return td_path_exists(from) && !td_path_exists(to) ? td_backup__file_copy(from, to, mode, err) : TD_OK;
}

static td_code remove_file(const char *path, td_err *err)
{
    return unlink(path) == 0 || errno == ENOENT ? TD_OK : td_fail_errno(err, errno, "%s", path);
}

/* Each step may have been made already; log.next.pem goes last, and says until then that the swap is under way. */
static td_code swap(const resume_job *job, const char *old_vkey, td_err *err)
{
    char next[4096], key[4096], vkey[4096], id[9];
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_CLEANUP(td_log_signer_close) td_log_signer *signer = NULL;
    id_of(old_vkey, id);
    TD_TRY(td_path_join(next, job->folder, TD_FILE_LOG_NEXT, err));
    TD_TRY(td_path_join(key, job->folder, TD_FILE_LOG, err));
    TD_TRY(td_path_join(vkey, job->folder, TD_FILE_LOG_VKEY, err));
    if (strcmp(td_str_text(&job->vkey), old_vkey) == 0) { /* the old key is in its place still */
        TD_TRY(keep_old(job, vkey, "keys/log", "vkey", id, err));
        TD_TRY(keep_old(job, key, RETIRED "/log", "pem", id, err));
        TD_TRY(keep_old(job, job->state, RETIRED "/log", "state", id, err));
    }
    TD_TRY(td_backup__file_copy(next, key, 0600, err));
    td_str_addf(&text, "%s\n", td_str_text(&job->next_vkey));
    TD_TRY(td_file_replace(vkey, td_str_text(&text), text.size, 0644, err));
    TD_TRY(remove_file(job->state, err));
    TD_TRY(td_log_signer_open(job->next, job->state, true, &signer, err));
    return remove_file(next, err);
}

/* An earlier attempt committed its record, and was killed before or in the swap: the record says the rest. */
static td_code was_committed(resume_job *job, bool *out, td_err *err)
{
    char path[4096], resumed[TD_LOG_VKEY_MAX];
    *out = false;
    TD_TRY(td_path_join(path, job->folder, TD_FILE_LOG_NEXT, err));
    if (!td_path_exists(path)) {
        return TD_OK;
    }
    TD_TRY(make_key(job, err));
    TD_TRY(td_log_resumed_vkey(job->db, resumed, err));
    *out = strcmp(resumed, td_str_text(&job->next_vkey)) == 0;
    return TD_OK;
}

static td_code open_job(resume_job *job, td_err *err)
{
    char path[4096];
    TD_CLEANUP(td_config_free) td_config *config = NULL;
    TD_CLEANUP(td_key_free) td_key *submitter = NULL;
    TD_TRY(td_path_join(path, job->folder, TD_FILE_CONFIG, err));
    TD_TRY(td_config_read(path, NULL, &config, err));
    TD_TRY(td_workspace__signer_state(job->folder, config, job->state, err));
    TD_TRY(td_path_join(path, job->folder, TD_FILE_LOG, err));
    TD_TRY(td_key_read(path, NULL, &job->key, err));
    TD_TRY(td_path_join(path, job->folder, TD_FILE_SUBMITTER, err));
    TD_TRY(td_key_read(path, NULL, &submitter, err));
    TD_TRY(vkey_of(job->key, &job->vkey, err));
    TD_CLEANUP(td_txn_done) td_txn txn = {0};
    TD_TRY(td_txn_begin(job->db, &txn, err));
    TD_TRY(td_log_sequence(job->db, submitter, NULL, err)); /* what was signed may be here, but not in the tree yet */
    return td_txn_commit(&txn, err);
}

static td_code resume(resume_job *job, td_err *err)
{
    bool committed = false;
    TD_TRY(open_job(job, err));
    TD_TRY(was_committed(job, &committed, err));
    if (!committed) {
        TD_TRY(ask_signer(job, err));
        TD_TRY(ask_others(job, err));
        TD_TRY(check_accepted(job, err));
        if (!job->next) {
            TD_TRY(make_key(job, err));
        }
        TD_TRY(write_records(job, err));
    }
    char old[TD_LOG_VKEY_MAX];
    TD_TRY(td_log_resumed_from(job->db, old, err));
    return swap(job, old, err);
}

static td_code answer(const resume_job *job, json_t **out, td_err *err)
{
    char old[TD_LOG_VKEY_MAX], id[9], file[64];
    td_log_cut cut;
    TD_TRY(td_log_resumed_from(job->db, old, err));
    TD_TRY(td_log_resumed_cut(job->db, &cut, err));
    id_of(old, id);
    snprintf(file, sizeof file, "keys/log-%s.vkey", id);
    const char *vkey = td_str_text(&job->next_vkey);
    *out = json_pack("{s:s%, s:s, s:s%, s:s, s:I, s:I, s:I}", "origin", vkey, strcspn(vkey, "+"), "vkey", vkey,
                     "old_origin", old, strcspn(old, "+"), "old_vkey_file", file, "kept", (json_int_t)cut.kept, "lost",
                     (json_int_t)cut.lost, "paused", (json_int_t)job->paused);
    return *out ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the answer");
}

td_code td_log_resume_workspace(const td_log_resume_options *options, json_t **out, td_err *err)
{
    TD_CLEANUP(td_workspace_close) td_workspace *workspace = NULL;
    TD_CLEANUP(job_done) resume_job job = {.options = options};
    TD_TRY(td_workspace_open(options->workspace, options->clock, &workspace, err));
    job.folder = td_workspace_path(workspace);
    job.db = td_workspace_db(workspace);
    TD_TRY(resume(&job, err));
    return answer(&job, out, err);
}
