/*
 * signer_adopt.c: memory aside, key over, memory over, setting, old key away: in an order that a kill cannot break.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/signer_adopt.h"

#include "audit/past.h"
#include "core/base/fs.h"
#include "core/crypto/x509.h"
#include "server/signer_line.h"
#include "server/signer_work.h"
#include "server/workspace_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_MAX ((size_t)4096)
#define PEM_MAX ((size_t)64 * 1024)

typedef struct adoption {
    const td_signer_adopt_options *options;
    const char *folder; /* the workspace's absolute path */
    td_db *db;
    char key[4096], state[4096], moving[4096]; /* in the workspace */
    char new_key[4096], new_state[4096];       /* in the home */
    char vkey[TD_LOG_VKEY_MAX], origin[TD_LOG_ORIGIN_MAX];
    td_signer_where where; /* the url */
    int lock, new_lock;
    int64_t size;
    bool retired;
} adoption;

static void adoption_done(adoption *job)
{
    td_close_fd(&job->lock);
    td_close_fd(&job->new_lock);
}

/* ---- files ---- */

static td_code give(const adoption *job, const char *path, td_err *err)
{
    struct stat facts;
    if (stat(path, &facts) != 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    if (facts.st_uid == job->options->owner && facts.st_gid == job->options->group) {
        return TD_OK;
    }
    bool given = chown(path, job->options->owner, job->options->group) == 0;
    return given ? TD_OK : td_fail_errno(err, errno, "%s", path);
}

static td_code move_aside(const char *from, const char *to, const char *folder, td_err *err)
{
    if (rename(from, to) != 0) {
        return errno == ENOENT ? TD_OK : td_fail_errno(err, errno, "%s", from);
    }
    return td_folder_sync(folder, err);
}

static td_code remove_file(const char *path, td_err *err)
{
    return unlink(path) == 0 || errno == ENOENT ? TD_OK : td_fail_errno(err, errno, "%s", path);
}

/* The same bytes at another place, durable before it has its name. What is there is not touched. */
static td_code carry(const adoption *job, const char *from, const char *to, size_t limit, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str bytes = {.limit = limit + 1};
    if (!td_path_exists(to)) {
        td_code code = td_file_read(from, limit, &bytes, err);
        code = code == TD_OK ? td_file_create(to, td_str_text(&bytes), bytes.size, 0600, err) : code;
        td_wipe(bytes.data, bytes.size);
        TD_TRY(code);
    }
    return give(job, to, err);
}

static td_code vkey_of(const char *key_path, char out[TD_LOG_VKEY_MAX], td_err *err)
{
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str vkey = {0};
    TD_TRY(td_key_read(key_path, NULL, &key, err));
    if (td_key_kind_of(key) != TD_KEY_ED25519) {
        return td_fail(err, TD_INVALID, "%s is no key of a log", key_path);
    }
    (void)td_key_public(key, public_key);
    TD_TRY(td_log_vkey(public_key, &vkey, err));
    snprintf(out, TD_LOG_VKEY_MAX, "%s", td_str_text(&vkey));
    return TD_OK;
}

/* ---- where from, where to ---- */

static td_code find_old(adoption *job, td_err *err)
{
    char path[4096];
    TD_CLEANUP(td_str_done) td_str vkey = {0};
    TD_CLEANUP(td_config_free) td_config *config = NULL;
    TD_TRY(td_path_join(path, job->folder, TD_FILE_CONFIG, err));
    TD_TRY(td_config_read(path, NULL, &config, err));
    TD_TRY(td_path_join(job->key, job->folder, TD_FILE_LOG, err));
    TD_TRY(td_path_join(job->moving, job->folder, TD_FILE_LOG_MOVING, err));
    TD_TRY(td_path_join(job->state, job->folder, TD_FILE_LOG_STATE, err));
    if (*td_config_text(config, "audit.signer_state")) {
        return td_fail(err, TD_CONFLICT,
                       "audit.signer_state is set: put the memory back to keys/log.state, remove that setting");
    }
    TD_TRY(td_path_join(path, job->folder, TD_FILE_LOG_VKEY, err));
    TD_TRY(td_file_read(path, TD_LOG_VKEY_MAX - 1, &vkey, err));
    snprintf(job->vkey, sizeof job->vkey, "%.*s", (int)strcspn(td_str_text(&vkey), "\n"), td_str_text(&vkey));
    snprintf(job->origin, sizeof job->origin, "%.*s", (int)strcspn(job->vkey, "+"), job->vkey);
    TD_TRY(td_path_join(path, job->folder, TD_FILE_LOG_NEXT, err));
    if (td_path_exists(path)) {
        return td_fail(err, TD_CONFLICT, "`tidemark log resume` was interrupted: run it to its end first");
    }
    return td_path_exists(job->state) ? td_signer_lock(job->state, &job->lock, err) : TD_OK;
}

static td_code find_new(adoption *job, td_err *err)
{
    char path[4096];
    struct stat facts;
    const char *home = job->options->home;
    TD_TRY(td_folder_make(home, 0700, err));
    if (stat(home, &facts) != 0) {
        return td_fail_errno(err, errno, "%s", home);
    }
    if (facts.st_mode & 077) {
        return td_fail(err, TD_DENIED, "%s can be entered by others (mode %04o): chmod 700 it", home,
                       (unsigned)(facts.st_mode & 07777));
    }
    TD_TRY(give(job, home, err));
    TD_TRY(td_path_join(job->new_key, home, TD_SIGNER_HOME_KEY, err));
    TD_TRY(td_path_join(job->new_state, home, TD_SIGNER_HOME_STATE, err));
    TD_TRY(td_signer_lock(job->new_state, &job->new_lock, err));
    TD_TRY(td_file_sweep(job->new_key, err));
    TD_TRY(td_file_sweep(job->new_state, err));
    snprintf(path, sizeof path, "%.4000s.lock", job->new_state);
    return give(job, path, err);
}

/* ---- an older log in the home ---- */

static td_code retire(const adoption *job, const char *id, td_err *err)
{
    static const char *const what[] = {TD_SIGNER_HOME_STATE, TD_SIGNER_HOME_KEY}; /* without memory none signs */
    char folder[4096], from[4096], to[4096], name[64];
    TD_TRY(td_path_join(folder, job->options->home, "retired", err));
    TD_TRY(td_folder_make(folder, 0700, err));
    TD_TRY(give(job, folder, err));
    for (size_t i = 0; i < TD_COUNT_OF(what); i++) {
        snprintf(name, sizeof name, "log-%.8s%s", id, strrchr(what[i], '.'));
        TD_TRY(td_path_join(from, job->options->home, what[i], err));
        TD_TRY(td_path_join(to, folder, name, err));
        TD_TRY(move_aside(from, to, folder, err));
        TD_TRY(td_folder_sync(job->options->home, err));
    }
    return TD_OK;
}

/* The home may hold the key of the log that this one went on from (`log resume`); no other. */
static td_code make_room(adoption *job, td_err *err)
{
    char there[TD_LOG_VKEY_MAX], resumed[TD_LOG_VKEY_MAX], from[TD_LOG_VKEY_MAX];
    if (!td_path_exists(job->new_key)) {
        return TD_OK;
    }
    TD_TRY(vkey_of(job->new_key, there, err));
    if (strcmp(there, job->vkey) == 0) {
        return TD_OK;
    }
    TD_TRY(td_log_resumed_vkey(job->db, resumed, err));
    TD_TRY(td_log_resumed_from(job->db, from, err));
    const char *id = strchr(there, '+');
    if (strcmp(resumed, job->vkey) != 0 || strcmp(from, there) != 0 || !id) {
        return td_fail(err, TD_CONFLICT, "%s holds the key of another log: give this one a folder of its own",
                       job->options->home);
    }
    job->retired = true;
    return retire(job, id + 1, err);
}

/* ---- a certificate, where the server comes over the network ---- */

static td_code make_certificate(const adoption *job, const char *host, const td_key *key, td_str *pem, td_err *err)
{
    char path[4096];
    struct in6_addr room;
    uint8_t public_key[TD_P256_PUBLIC_SIZE], serial[16];
    bool numeric = inet_pton(AF_INET, host, &room) == 1 || inet_pton(AF_INET6, host, &room) == 1;
    const char *names[] = {host, NULL};
    const td_x509_leaf leaf = {.common_name = "tidemark signer",
                               .dns_names = numeric ? NULL : names,
                               .ip_addresses = numeric ? names : NULL,
                               .server = true,
                               .not_after_ms = TD_CERTIFICATE_END_MS};
    TD_CLEANUP(td_key_free) td_key *ca = NULL;
    TD_CLEANUP(td_str_done) td_str ca_pem = {0};
    TD_TRY(td_path_join(path, job->folder, TD_FILE_CA_KEY, err));
    TD_TRY(td_key_read(path, NULL, &ca, err));
    TD_TRY(td_path_join(path, job->folder, TD_FILE_CA, err));
    TD_TRY(td_file_read(path, PEM_MAX, &ca_pem, err));
    (void)td_key_public(key, public_key);
    return td_x509_issue(ca, td_str_text(&ca_pem), public_key, &leaf, pem, serial, err);
}

/* Of the workspace's CA, which also says who the server is; an own one that is there already stays. */
static td_code certify(const adoption *job, const char *host, td_err *err)
{
    char certificate[4096], key_path[4096], ca[4096], own_ca[4096];
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str pem = {0};
    TD_TRY(td_path_join(certificate, job->options->home, TD_SIGNER_HOME_TLS, err));
    TD_TRY(td_path_join(key_path, job->options->home, TD_SIGNER_HOME_TLS_KEY, err));
    TD_TRY(td_path_join(own_ca, job->options->home, TD_SIGNER_HOME_CA, err));
    TD_TRY(td_path_join(ca, job->folder, TD_FILE_CA, err));
    TD_TRY(td_file_sweep(key_path, err));
    if (!td_path_exists(key_path)) {
        TD_TRY(td_key_generate(TD_KEY_P256, &key, err));
        TD_TRY(td_key_write(key, key_path, NULL, err));
    } else if (!td_path_exists(certificate)) {
        TD_TRY(td_key_read(key_path, NULL, &key, err));
    }
    if (key) {
        TD_TRY(make_certificate(job, host, key, &pem, err));
        TD_TRY(td_file_replace(certificate, td_str_text(&pem), pem.size, 0600, err));
    }
    TD_TRY(carry(job, ca, own_ca, PEM_MAX, err));
    TD_TRY(give(job, key_path, err));
    return give(job, certificate, err);
}

/* ---- moving ---- */

static td_code check_memories(const adoption *job, td_err *err)
{
    bool here = td_path_exists(job->state), there = td_path_exists(job->new_state);
    if (here && (there || td_path_exists(job->moving))) {
        return td_fail(err, TD_CONFLICT,
                       "there are two memories of this log, %.80s and %.80s: the one that knows more is right; put the "
                       "other aside",
                       job->state, there ? job->new_state : job->moving);
    }
    if (!here && !there && !td_path_exists(job->moving)) {
        return td_fail(err, TD_CONFLICT, "the memory of the log's signer is not here (%s): see docs/audit.md, "
                                         "\"When the signer refuses\"",
                       job->state);
    }
    return TD_OK;
}

static td_code check_key(const adoption *job, td_err *err)
{
    char vkey[TD_LOG_VKEY_MAX];
    const char *path = td_path_exists(job->key) ? job->key : job->new_key;
    if (!td_path_exists(path)) {
        return td_fail(err, TD_CONFLICT, "nothing to move: the log's key is neither in the workspace nor in %s",
                       job->options->home);
    }
    TD_TRY(vkey_of(path, vkey, err));
    return strcmp(vkey, job->vkey) == 0
               ? TD_OK
               : td_fail(err, TD_CORRUPT, "%s is not the key of keys/log.vkey", path);
}

/* From the rename on the old signer cannot sign; from the carrying on the new one can. */
static td_code move(const adoption *job, td_err *err)
{
    char keys[4096];
    TD_TRY(td_path_join(keys, job->folder, "keys", err));
    if (td_path_exists(job->state)) {
        TD_TRY(carry(job, job->key, job->new_key, PEM_MAX, err));
        if (rename(job->state, job->moving) != 0) {
            return td_fail_errno(err, errno, "%s", job->moving);
        }
        TD_TRY(td_folder_sync(keys, err));
    }
    if (td_path_exists(job->moving)) {
        TD_TRY(carry(job, job->moving, job->new_state, STATE_MAX, err));
    }
    TD_TRY(give(job, job->new_key, err));
    TD_TRY(give(job, job->new_state, err));
    TD_TRY(td_workspace__setting_write(job->folder, "audit.signer_url", job->options->url, err));
    TD_TRY(remove_file(job->key, err));
    TD_TRY(td_folder_sync(keys, err));
    TD_TRY(remove_file(job->moving, err)); /* until now the server says that this is not finished */
    snprintf(keys, sizeof keys, "%.4000s.lock", job->state);
    return remove_file(keys, err);
}

/* What moved is whole: key and memory fit each other, and the memory knows of nothing that the log lacks. */
static td_code check_moved(adoption *job, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_log_signer_close) td_log_signer *signer = NULL;
    TD_TRY(td_key_read(job->new_key, NULL, &key, err));
    TD_TRY(td_log_signer_open(key, job->new_state, false, &signer, err));
    job->size = td_log_signer_root(signer).size;
    return TD_OK;
}

static td_code adopt(adoption *job, td_err *err)
{
    TD_TRY(find_old(job, err));
    TD_TRY(find_new(job, err));
    TD_TRY(make_room(job, err));
    TD_TRY(check_key(job, err));
    TD_TRY(check_memories(job, err));
    TD_TRY(*job->where.host ? certify(job, job->where.host, err) : TD_OK);
    TD_TRY(move(job, err));
    return check_moved(job, err);
}

td_code td_signer_adopt(const td_signer_adopt_options *options, json_t **out, td_err *err)
{
    TD_CLEANUP(td_workspace_close) td_workspace *workspace = NULL;
    TD_CLEANUP(adoption_done) adoption job = {.options = options, .lock = -1, .new_lock = -1};
    TD_TRY(td_signer_url_read(options->url, &job.where, err));
    TD_TRY(td_workspace_open(options->workspace, NULL, &workspace, err)); /* no server runs */
    job.folder = td_workspace_path(workspace);
    job.db = td_workspace_db(workspace);
    TD_TRY(adopt(&job, err));
    *out = json_pack("{s:s, s:s, s:s, s:I, s:b}", "origin", job.origin, "home", options->home, "url", options->url,
                     "signed", (json_int_t)job.size, "retired", job.retired);
    return *out ? TD_OK : td_fail(err, TD_NOMEM, "no memory for the answer");
}
