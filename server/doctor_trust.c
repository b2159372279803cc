/*
 * doctor_trust.c: certificates, and the log's signer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/past.h"
#include "core/base/fs.h"
#include "core/crypto/x509.h"
#include "server/doctor_internal.h"
#include "server/workspace_internal.h"

#include <string.h>

#define PEM_MAX ((size_t)256 * 1024)

/* ---- certificates ---- */

static const char renew[] = "issue another one over the same key from the same CA, put it in its place, restart";

/* Is the key of the certificate? True also when the key cannot be told. */
static bool is_its_key(const td_x509_facts *facts, const char *key_path, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    uint8_t public[TD_P256_PUBLIC_SIZE];
    if (td_key_read(key_path, NULL, &key, err) != TD_OK) {
        return false;
    }
    if (td_key_public(key, public) == sizeof public && memcmp(public, facts->public_key, sizeof public) == 0) {
        return true;
    }
    (void)td_fail(err, TD_INVALID, "%s is not the key of the certificate", key_path);
    return false;
}

/* Says something if it is not well. */
static bool certificate_is_well(const td_doctor *doctor, const char *path, const char *key_path, int64_t *end_ms_out)
{
    TD_CLEANUP(td_str_done) td_str pem = {0};
    td_x509_facts facts = {0};
    td_err err = {0};
    td_code code = td_file_read(path, PEM_MAX, &pem, &err);
    code = code == TD_OK ? td_x509_read(td_str_text(&pem), pem.size, &facts, &err) : code;
    char end[32], begin[32];
    td_format_time(facts.not_after_ms, end);
    td_format_time(facts.not_before_ms, begin);
    if (code != TD_OK) {
        td_doctor__say(doctor, "certificates", TD_FINDING_BAD, "bring it back from a backup of the workspace", "%s: %s",
                       path, err.text);
    } else if (!is_its_key(&facts, key_path, &err)) {
        td_doctor__say(doctor, "certificates", TD_FINDING_BAD,
                       "bring certificate and key back together from a backup of the workspace", "%s", err.text);
    } else if (facts.not_after_ms <= doctor->now_ms) {
        td_doctor__say(doctor, "certificates", TD_FINDING_BAD, renew, "%s ended on %s", path, end);
    } else if (facts.not_before_ms > doctor->now_ms) {
        td_doctor__say(doctor, "certificates", TD_FINDING_BAD, "look at the clock: timedatectl",
                       "%s is valid from %s only", path, begin);
    } else if (facts.not_after_ms - doctor->now_ms < TD_DOCTOR_EXPIRY_MS) {
        td_doctor__say(doctor, "certificates", TD_FINDING_WARNING, renew, "%s ends on %s", path, end);
    } else {
        *end_ms_out = facts.not_after_ms < *end_ms_out ? facts.not_after_ms : *end_ms_out;
        return true;
    }
    return false;
}

void td_doctor__certificates(const td_doctor *doctor)
{
    static const char *const pairs[][2] = {
        {TD_FILE_CA, TD_FILE_CA_KEY}, {TD_FILE_SERVER, TD_FILE_SERVER_KEY}, {TD_FILE_MQTT, TD_FILE_MQTT_KEY}};
    int64_t end_ms = TD_CERTIFICATE_END_MS;
    bool well = true;
    for (size_t i = 0; i < TD_COUNT_OF(pairs); i++) {
        char path[4096], key_path[4096];
        td_doctor__path(doctor, pairs[i][0], path);
        td_doctor__path(doctor, pairs[i][1], key_path);
        well = certificate_is_well(doctor, path, key_path, &end_ms) && well;
    }
    if (doctor->config && strcmp(td_config_text(doctor->config, "http.tls"), "files") == 0) {
        well = certificate_is_well(doctor, td_config_text(doctor->config, "http.cert_file"),
                                   td_config_text(doctor->config, "http.key_file"), &end_ms) &&
               well;
    }
    if (well) {
        char end[32];
        td_format_time(end_ms, end);
        td_doctor__say(doctor, "certificates", TD_FINDING_WELL, "", "valid until %.10s or later", end);
    }
}

/* ---- signer ---- */

static td_code check_vkey(const td_doctor *doctor, const td_key *key, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str told = {0}, made = {0};
    uint8_t public[TD_P256_PUBLIC_SIZE];
    char path[4096];
    td_doctor__path(doctor, TD_FILE_LOG_VKEY, path);
    TD_TRY(td_file_read(path, TD_LOG_NOTE_MAX, &told, err));
    (void)td_key_public(key, public);
    TD_TRY(td_log_vkey(public, &made, err));
    size_t length = strcspn(td_str_text(&told), "\n");
    if (length != strlen(td_str_text(&made)) || memcmp(td_str_text(&told), td_str_text(&made), length) != 0) {
        return td_fail(err, TD_CORRUPT, "keys/log.vkey is not the public half of keys/log.pem");
    }
    return TD_OK;
}

/* The signer's memory is read first: the log may grow meanwhile, never shrink. */
static td_code check_signer(const td_doctor *doctor, int64_t *size_out, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_log_signer_close) td_log_signer *signer = NULL;
    td_log_root root;
    char path[4096];
    td_doctor__path(doctor, TD_FILE_LOG, path);
    TD_TRY(td_key_read(path, NULL, &key, err));
    TD_TRY(check_vkey(doctor, key, err));
    if (doctor->config) {
        TD_TRY(td_workspace__signer_state(doctor->options->workspace, doctor->config, path, err));
    } else {
        td_doctor__path(doctor, TD_FILE_LOG_STATE, path);
    }
    TD_TRY(td_log_signer_open(key, path, false, &signer, err));
    root = td_log_signer_root(signer);
    *size_out = root.size;
    return doctor->db ? td_log_extends(doctor->db, &root, err) : TD_OK;
}

void td_doctor__signer(const td_doctor *doctor)
{
    static const char advice[] = "change nothing; docs/audit.md, \"Restoring\", says how to go on";
    const json_t *log = json_object_get(doctor->options->status, "log");
    const char *trouble = json_string_value(json_object_get(log, "trouble"));
    int64_t size = 0;
    td_err err = {0};
    if (trouble) {
        td_doctor__say(doctor, "signer", TD_FINDING_BAD, advice, "%s", trouble);
    } else if (check_signer(doctor, &size, &err) != TD_OK) {
        td_doctor__say(doctor, "signer", TD_FINDING_BAD, advice, "%s", err.text);
    } else {
        td_doctor__say(doctor, "signer", TD_FINDING_WELL, "", "%lld entries of the log are signed", (long long)size);
    }
}
