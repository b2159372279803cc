/*
 * workspace_init.c: making a workspace: folders, keys, certificates, configuration, records, and in profile demo its
 * users.
 *
 * Either all of it is there afterwards or none of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"
#include "audit/log.h"
#include "core/base/fs.h"
#include "core/crypto/x509.h"
#include "registry/trust.h"
#include "server/workspace_internal.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct init_job {
    char path[PATH_MAX];
    const char *profile;
    bool demo;
    const char *host_name;
    const td_clock *clock;
    td_key *root, *director, *log, *approver;
} init_job;

static td_code make_all(init_job *maker, td_err *err);
static td_code make_keys(init_job *maker, td_err *err);
static td_code make_certificates(const init_job *maker, td_err *err);
static td_code make_config(const init_job *maker, td_err *err);
static td_code make_records(init_job *maker, td_err *err);

/* *existed_out: an empty folder was there before. */
static td_code check_place(const char *path, bool *existed_out, td_err *err)
{
    DIR *folder = opendir(path);
    *existed_out = folder != NULL;
    if (!folder) {
        return errno == ENOENT ? TD_OK : td_fail_errno(err, errno, "%s", path);
    }
    size_t entries = 0;
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        entries += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(folder);
    if (entries) {
        return td_fail(err, TD_CONFLICT, "%s is not empty; a workspace needs a folder of its own", path);
    }
    return TD_OK;
}

td_code td_workspace_init(const char *path, const td_workspace_init_options *options, td_err *err)
{
    init_job maker = {.profile = options->profile ? options->profile : "team",
                      .host_name = options->host_name,
                      .clock = options->clock ? options->clock : &td_clock_system};
    if (!td_profile_worth(maker.profile)) {
        return td_fail(err, TD_INVALID, "there is no profile \"%.40s\"; profiles are demo, team, regulated",
                       maker.profile);
    }
    maker.demo = strcmp(maker.profile, "demo") == 0;
    bool existed;
    TD_TRY(check_place(path, &existed, err));
    TD_TRY(td_folder_make(path, 0700, err));
    if (chmod(path, 0700) != 0 || !realpath(path, maker.path)) {
        return td_fail_errno(err, errno, "%s", path);
    }
    td_code code = make_all(&maker, err);
    td_key_free(&maker.root);
    td_key_free(&maker.director);
    td_key_free(&maker.log);
    td_key_free(&maker.approver);
    if (code != TD_OK) {
        td_err ignored;
        if (td_folder_remove(maker.path, &ignored) == TD_OK && existed) {
            (void)!mkdir(maker.path, 0700);
        }
    }
    return code;
}

static td_code make_all(init_job *maker, td_err *err)
{
    static const char *const folders[] = {"keys", "broker", "run", "content", NULL};
    for (size_t i = 0; folders[i]; i++) {
        char path[4096];
        TD_TRY(td_workspace_file(maker->path, folders[i], path, err));
        TD_TRY(td_folder_make(path, 0700, err));
    }
    TD_TRY(make_keys(maker, err));
    TD_TRY(make_certificates(maker, err));
    TD_TRY(make_config(maker, err));
    TD_TRY(make_records(maker, err));
    return td_folder_sync(maker->path, err);
}

/* ---- keys ---- */

static td_code make_key(const init_job *maker, const char *name, td_key_kind kind, td_key **out, td_err *err)
{
    char path[4096], folder[4096];
    TD_TRY(td_workspace_file(maker->path, name, path, err));
    memcpy(folder, path, sizeof folder);
    *strrchr(folder, '/') = 0;
    TD_TRY(td_folder_make(folder, 0700, err));
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_TRY(td_key_generate(kind, &key, err));
    TD_TRY(td_key_write(key, path, NULL, err));
    if (out) {
        *out = key;
        key = NULL;
    }
    return TD_OK;
}

static td_code write_text(const init_job *maker, const char *name, const td_str *text, mode_t mode, td_err *err)
{
    char path[4096];
    TD_TRY(td_str_check(text, err));
    TD_TRY(td_workspace_file(maker->path, name, path, err));
    return td_file_create(path, text->data, text->size, mode, err);
}

/* The signer of the log starts from an empty tree; anybody may have its public half. */
static td_code make_log_signer(const init_job *maker, td_err *err)
{
    char path[4096];
    TD_TRY(td_workspace_file(maker->path, TD_FILE_LOG_STATE, path, err));
    TD_CLEANUP(td_log_signer_close) td_log_signer *signer = NULL;
    TD_TRY(td_log_signer_open(maker->log, path, true, &signer, err));
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    td_key_public(maker->log, public_key);
    TD_CLEANUP(td_str_done) td_str vkey = {0};
    TD_TRY(td_log_vkey(public_key, &vkey, err));
    td_str_add_char(&vkey, '\n');
    return write_text(maker, TD_FILE_LOG_VKEY, &vkey, 0644, err);
}

static td_code make_keys(init_job *maker, td_err *err)
{
    TD_TRY(make_key(maker, maker->demo ? TD_FILE_ROOT_DEMO : TD_FILE_ROOT_OFFLINE, TD_KEY_P256, &maker->root, err));
    TD_TRY(make_key(maker, TD_FILE_DIRECTOR, TD_KEY_P256, &maker->director, err));
    TD_CLEANUP(td_key_free) td_key *publisher = NULL;
    TD_TRY(make_key(maker, TD_FILE_PUBLISHER, TD_KEY_P256, &publisher, err));
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    td_key_public(publisher, public_key);
    TD_CLEANUP(td_str_done) td_str pem = {0};
    TD_TRY(td_public_pem(TD_KEY_P256, public_key, &pem, err));
    TD_TRY(write_text(maker, TD_FILE_PUBLISHER_PUBLIC, &pem, 0644, err));
    TD_TRY(make_key(maker, TD_FILE_SUBMITTER, TD_KEY_ED25519, NULL, err));
    TD_TRY(make_key(maker, TD_FILE_LOG, TD_KEY_ED25519, &maker->log, err));
    return make_log_signer(maker, err);
}

/* ---- certificates ---- */

static bool is_address(const char *text)
{
    return strchr(text, ':') || strspn(text, "0123456789.") == strlen(text);
}

static td_code make_leaf(const init_job *maker, const td_key *ca, const char *ca_pem, const td_x509_leaf *leaf,
                         const char *key_name, const char *name, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_TRY(make_key(maker, key_name, TD_KEY_P256, &key, err));
    uint8_t public_key[TD_P256_PUBLIC_SIZE], serial[16];
    td_key_public(key, public_key);
    TD_CLEANUP(td_str_done) td_str pem = {0};
    TD_TRY(td_x509_issue(ca, ca_pem, public_key, leaf, &pem, serial, err));
    return write_text(maker, name, &pem, 0644, err);
}

static td_code make_certificates(const init_job *maker, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *ca = NULL;
    TD_TRY(make_key(maker, TD_FILE_CA_KEY, TD_KEY_P256, &ca, err));
    TD_CLEANUP(td_str_done) td_str ca_pem = {0};
    TD_TRY(td_x509_make_ca(ca, "Tidemark workspace CA", &ca_pem, err));
    TD_TRY(write_text(maker, TD_FILE_CA, &ca_pem, 0644, err));
    char host[256] = "localhost";
    (void)gethostname(host, sizeof host - 1);
    const char *names[4] = {"localhost", host, NULL, NULL}, *addresses[4] = {"127.0.0.1", "::1", NULL, NULL};
    if (maker->host_name) {
        (is_address(maker->host_name) ? addresses : names)[2] = maker->host_name;
    }
    td_x509_leaf server = {.common_name = "tidemark",
                           .dns_names = names,
                           .ip_addresses = addresses,
                           .server = true,
                           .not_before_ms = 0,
                           .not_after_ms = TD_CERTIFICATE_END_MS};
    TD_TRY(make_leaf(maker, ca, td_str_text(&ca_pem), &server, TD_FILE_SERVER_KEY, TD_FILE_SERVER, err));
    td_x509_leaf client = {
        .common_name = TD_MQTT_IDENTITY, .server = false, .not_before_ms = 0, .not_after_ms = TD_CERTIFICATE_END_MS};
    return make_leaf(maker, ca, td_str_text(&ca_pem), &client, TD_FILE_MQTT_KEY, TD_FILE_MQTT, err);
}

static td_code make_config(const init_job *maker, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_str_addf(&text, "profile: %s\n", maker->profile);
    td_str_add(&text, "# Every setting with its default: tidemark serve --dump-config\n"
                      "http:\n  host: 127.0.0.1\n  port: 7070\n");
    return write_text(maker, TD_FILE_CONFIG, &text, 0600, err);
}

/* ---- records ---- */

static td_code make_token_file(const init_job *maker, td_db *db, const char *user, td_err *err)
{
    td_token token;
    td_token_options options = {.user = user, .label = "made by tidemark init --profile demo"};
    TD_TRY(td_token_create(db, &td_actor_system, &options, &token, err));
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_str_addf(&text, "%s\n", token.text);
    td_wipe(token.text, sizeof token.text);
    char folder[4096], name[128];
    snprintf(name, sizeof name, "users/%s", user);
    TD_TRY(td_workspace_file(maker->path, name, folder, err));
    TD_TRY(td_folder_make(folder, 0700, err));
    snprintf(name, sizeof name, "users/%s/token", user);
    return write_text(maker, name, &text, 0600, err);
}

static td_code make_user(const init_job *maker, td_db *db, const char *name, bool service, const td_role *roles,
                         size_t count, int64_t *id_out, td_err *err)
{
    td_user_options options = {.name = name, .service = service, .description = "made by tidemark init --profile demo"};
    TD_TRY(td_user_create(db, &td_actor_system, &options, id_out, err));
    for (size_t i = 0; i < count; i++) {
        TD_TRY(td_role_grant(db, &td_actor_system, name, TD_PROJECT_DEFAULT, roles[i], "profile demo", err));
    }
    return make_token_file(maker, db, name, err);
}

static td_code publish(const init_job *maker, td_db *db, td_content *content, const td_str *envelope,
                       const td_key_owner *owner, const char *reason, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    char path[4096];
    TD_TRY(td_workspace_file(maker->path, TD_FILE_KEYSET, path, err));
    TD_TRY(td_file_replace(path, envelope->data, envelope->size, 0644, err));
    TD_TRY(td_content_put_bytes(content, envelope->data, envelope->size, digest, err));
    return td_trust_publish(db, &td_actor_system, envelope->data, envelope->size, owner, reason, err);
}

static td_code make_demo_users(init_job *maker, td_db *db, td_content *content, td_err *err)
{
    static const td_role ana[] = {TD_ROLE_DATA_SCIENTIST, TD_ROLE_OPERATOR, TD_ROLE_ADMIN};
    static const td_role ben[] = {TD_ROLE_APPROVER, TD_ROLE_AUDITOR};
    static const td_role worker[] = {TD_ROLE_TRAINER};
    int64_t id;
    TD_TRY(make_user(maker, db, "ana", false, ana, TD_COUNT_OF(ana), &id, err));
    TD_TRY(make_user(maker, db, "worker", true, worker, TD_COUNT_OF(worker), &id, err));
    TD_TRY(make_user(maker, db, "ben", false, ben, TD_COUNT_OF(ben), &id, err));
    TD_TRY(make_key(maker, "users/ben/key.pem", TD_KEY_P256, &maker->approver, err));
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    td_key_public(maker->approver, public_key);
    td_trust_change change = {.add_approver = public_key};
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    TD_TRY(td_trust_draft(db, &change, maker->root, &envelope, err));
    td_key_owner owner = {.user_id = id, .user = "ben"};
    return publish(maker, db, content, &envelope, &owner, "profile demo: ben approves", err);
}

static td_code make_rows(init_job *maker, td_db *db, td_content *content, td_err *err)
{
    uint8_t director[TD_P256_PUBLIC_SIZE];
    td_key_public(maker->director, director);
    td_audit_entry entry = {
        .actor = &td_actor_system, .action = "init.workspace", .object_type = "workspace", .object_id = maker->profile};
    TD_TRY(td_audit_append(db, &entry, NULL, err));
    TD_CLEANUP(td_str_done) td_str envelope = {0};
    uint32_t threshold = strcmp(maker->profile, "regulated") == 0 ? 2 : 1;
    TD_TRY(td_trust_draft_first(director, threshold, maker->root, &envelope, err));
    TD_TRY(publish(maker, db, content, &envelope, NULL, "first keyset of the workspace", err));
    return maker->demo ? make_demo_users(maker, db, content, err) : TD_OK;
}

static td_code make_records(init_job *maker, td_err *err)
{
    char path[4096];
    TD_TRY(td_workspace_file(maker->path, "content", path, err));
    td_content *content = NULL;
    TD_TRY(td_content_open(path, &content, err));
    td_db *db = NULL;
    td_code code = td_workspace_file(maker->path, "tidemark.db", path, err);
    code = code == TD_OK ? td_db_open(path, TD_DB_WRITE, maker->clock, &db, err) : code;
    code = code == TD_OK ? td_db_migrate(db, td_workspace__migrations, err) : code;
    if (code == TD_OK) {
        TD_CLEANUP(td_txn_done) td_txn txn = {0};
        code = td_txn_begin(db, &txn, err);
        code = code == TD_OK ? make_rows(maker, db, content, err) : code;
        code = code == TD_OK ? td_txn_commit(&txn, err) : code;
    }
    td_db_close(db);
    td_content_close(content);
    return code;
}
