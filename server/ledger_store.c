/*
 * ledger_store.c: what the rows say, kind by kind, as text under the keys that the records use.
 *
 * Whole tables are read here, and meant to be: every row is held against the records.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/ledger_internal.h"

#include <stdio.h>
#include <string.h>

#define VERSION_KEY "p.name || '/' || m.name || '/' || v.number"
#define OF_VERSION "JOIN version v USING (version_id) JOIN model m USING (model_id) JOIN project p USING (project_id)"

const td_ledger_kind td_ledger__kinds[] = {
    {"project", "project", "SELECT name AS key, archived_ms IS NOT NULL AS archived FROM project WHERE project_id <> 1",
     {"archived"}},
    {"user", "user", "SELECT name AS key, kind, disabled_ms IS NOT NULL AS disabled FROM user", {"kind", "disabled"}},
    {"role", "user",
     "SELECT u.name || ' ' || p.name || ' ' || g.role AS key FROM role_grant g JOIN user u USING (user_id) "
     "JOIN project p USING (project_id)",
     {NULL}},
    {"token", "token",
     "SELECT CAST(t.token_id AS TEXT) AS key, u.name AS user, t.expires_ms, t.revoked_ms IS NOT NULL AS revoked, "
     "t.digest FROM token t JOIN user u USING (user_id)",
     {"user", "expires_ms", "revoked", "#digest"}},
    {"model", "model",
     "SELECT p.name || '/' || m.name AS key, m.archived_ms IS NOT NULL AS archived FROM model m "
     "JOIN project p USING (project_id)",
     {"archived"}},
    {"version", "version",
     "SELECT " VERSION_KEY " AS key, v.state, v.registrar, v.security_counter, coalesce(v.cause, '') AS cause, "
     "coalesce(v.derived_by, '') AS derived_by, v.format, v.archived_ms IS NOT NULL AS archived, v.stage, v.sources, "
     "v.manifest, 'sha256:' || lower(hex(v.manifest_digest)) AS digest, "
     "coalesce((SELECT n.name || '/' || w.number FROM version w JOIN model n USING (model_id) "
     "WHERE w.version_id = v.parent_id), '') AS parent "
     "FROM version v JOIN model m USING (model_id) JOIN project p USING (project_id)",
     {"state", "registrar", "security_counter", "cause", "derived_by", "format", "archived", "stage", "#sources",
      "#manifest", "digest", "parent"}},
    {"file", "version",
     "SELECT " VERSION_KEY " || ' ' || f.name AS key, 'sha256:' || lower(hex(f.digest)) AS digest "
     "FROM version_file f " OF_VERSION,
     {"digest"}},
    {"approval", "version",
     "SELECT " VERSION_KEY " || '#' || a.user_name AS key, lower(hex(a.key_id)) AS key_id, "
     "lower(hex(a.signature)) AS signature, a.reason, a.audit_seq AS seq FROM approval a " OF_VERSION,
     {"key_id", "signature", "reason", "seq"}},
    {"alias", "alias",
     "SELECT p.name || '/' || m.name || '@' || a.name AS key, v.number AS version FROM alias a "
     "JOIN version v USING (version_id) JOIN model m ON m.model_id = a.model_id JOIN project p USING (project_id)",
     {"version"}},
    {"keyset", "keyset",
     "SELECT 'keyset/' || version AS key, envelope, 'sha256:' || lower(hex(digest)) AS digest FROM keyset",
     {"digest", "#envelope"}},
    {"claim", "version",
     "SELECT " VERSION_KEY " || ' sha256:' || lower(hex(c.digest)) AS key, c.covers, c.predicate_type AS type, "
     "c.signer_source AS source, c.signer, lower(hex(c.key_id)) AS key_id, c.audit_seq AS seq FROM claim c " OF_VERSION,
     {"covers", "type", "source", "signer", "key_id", "seq"}},
    {"claim key", "claim_key",
     "SELECT p.name || '/' || k.name AS key, lower(hex(k.key_id)) AS key_id, k.removed_ms IS NOT NULL AS removed "
     "FROM claim_key k JOIN project p USING (project_id)",
     {"key_id", "removed"}},
    {"device", "device", "SELECT project || '/' || name AS key, state, certificate_serial FROM device",
     {"state", "certificate_serial"}},
    {"roll-out", "rollout",
     "SELECT project || '/' || id AS key, model || '/' || version AS version, slot, created_by, state FROM rollout",
     {"version", "slot", "created_by", "state"}},
    {"directive", "device",
     "SELECT d.project || '/' || d.name || ' ' || o.sequence AS key, o.envelope, o.rollout FROM directive o "
     "JOIN device d USING (device_id)",
     {"#envelope", "rollout"}},
    {"alert", "alert",
     "SELECT project || '/al-' || alert_id AS key, state, signal, feature, metric FROM alert",
     {"state", "signal", "feature", "metric"}},
    {"monitor", "model", "SELECT project || '/' || model AS key, spec FROM monitor_spec", {"#spec"}},
    {"pipeline", "pipeline", "SELECT project || '/' || name || '/' || revision AS key, spec FROM pipeline", {"#spec"}},
    {"gate", "gate", "SELECT project || '/' || name || '/' || revision AS key, spec FROM gate", {"#spec"}},
    {"lineage edge", "version",
     "SELECT f.project || ' ' || e.kind || ' ' || f.kind || ':' || f.name || ' > ' || t.kind || ':' || t.name AS key "
     "FROM lineage_edge e JOIN lineage_node f ON f.node_id = e.from_id JOIN lineage_node t ON t.node_id = e.to_id "
     "WHERE t.kind IN ('version', 'rollout') AND e.kind IN ('parent', 'derived', 'caused', 'approved', 'rolled_out', "
     "'input', 'code')",
     {NULL}},
    {0},
};

static const char *hash_of(td_stmt *stmt, const char *column, char out[TD_DIGEST_LABEL_SIZE])
{
    size_t size = 0;
    uint8_t digest[TD_DIGEST_SIZE];
    const void *data = td_column_blob(stmt, column, &size);
    td_sha256_of(data, size, digest);
    td_digest_format(digest, out);
    return data != NULL ? out : "";
}

static td_code tell_row(td_stmt *stmt, const td_ledger_kind *kind, td_ledger_row visit, void *context, td_err *err)
{
    const char *fields[TD_LEDGER_FIELDS_MAX] = {NULL};
    char hashes[TD_LEDGER_FIELDS_MAX][TD_DIGEST_LABEL_SIZE];
    for (size_t i = 0; kind->fields[i] != NULL; i++) {
        const char *field = kind->fields[i];
        fields[i] = field[0] == '#' ? hash_of(stmt, field + 1, hashes[i]) : td_column_text(stmt, field);
    }
    const char *key = td_column_text(stmt, "key");
    return visit(context, kind, key != NULL ? key : "?", fields, err);
}

td_code td_ledger__rows(td_db *db, const td_ledger_kind *kind, td_ledger_row visit, void *context, td_err *err)
{
    td_stmt *stmt;
    bool row = true;
    TD_TRY(td_db_prepare(db, kind->sql, &stmt, err));
    for (;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        td_code code = tell_row(stmt, kind, visit, context, err);
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
    }
}

td_code td_ledger__erased(td_db *db, const char *object_type, bool *out, td_err *err)
{
    td_stmt *stmt;
    bool row = true, found = false;
    TD_TRY(td_db_prepare(db,
                         "SELECT r.action FROM audit_erasure e JOIN audit_record r USING (seq) "
                         "WHERE r.object_type = :type",
                         &stmt, err));
    td_bind_text(stmt, ":type", object_type);
    for (;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            *out = found;
            return TD_OK;
        }
        found |= td_ledger__tells(td_column_text(stmt, "action"));
    }
}

/* A run that the version came out of has the edges of its sources, and a derived one leaves them to its parent. */
td_code td_ledger__sources(td_db *db, td_ledger_edge visit, void *context, td_err *err)
{
    td_stmt *stmt;
    bool row = true;
    TD_TRY(td_db_prepare(
        db,
        "WITH told (version_id, kind, name, digest) AS ("
        "SELECT v.version_id, 'input dataset:', coalesce(d.value ->> 'uri', d.value ->> 'name', ''), "
        "d.value ->> 'digest' FROM version v, json_each(v.sources, '$.datasets') d UNION ALL "
        "SELECT version_id, 'input dataset:', sources ->> '$.baseline.name', sources ->> '$.baseline.digest' "
        "FROM version WHERE sources ->> '$.baseline.name' IS NOT NULL UNION ALL "
        "SELECT version_id, 'code code:', coalesce(sources ->> '$.code.repository', '') || '@' || "
        "coalesce(sources ->> '$.code.commit', ''), NULL FROM version WHERE sources ->> '$.code' IS NOT NULL) "
        "SELECT " VERSION_KEY " AS version, p.name || ' ' || t.kind || t.name || "
        "coalesce('@' || substr(t.digest, 8, 12), '') || ' > version:' || m.name || '/' || v.number AS edge, "
        "v.derived_by IS NULL AND NOT EXISTS (SELECT 1 FROM lineage_node n JOIN lineage_edge e ON e.to_id = n.node_id "
        "WHERE n.project = p.name AND n.kind = 'version' AND n.name = m.name || '/' || v.number AND "
        "e.kind = 'output') AS must FROM told t " OF_VERSION,
        &stmt, err));
    for (;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        td_code code = visit(context, td_column_text(stmt, "version"), td_column_text(stmt, "edge"),
                             td_column_int(stmt, "must") != 0, err);
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
    }
}

td_code td_ledger__keysets(td_db *db, td_ledger_keyset_visit visit, void *context, td_err *err)
{
    td_stmt *stmt;
    bool row = true;
    TD_TRY(td_db_prepare(db, "SELECT version, envelope FROM keyset ORDER BY version", &stmt, err));
    for (;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        td_ledger_keyset keyset = {.version = td_column_int(stmt, "version")};
        keyset.envelope = td_column_blob(stmt, "envelope", &keyset.size);
        td_code code = visit(context, &keyset, err);
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
    }
}

static td_ledger_approval approval_of(td_stmt *stmt)
{
    size_t size = 0;
    td_ledger_approval out = {.version = td_column_text(stmt, "version"),
                              .user = td_column_text(stmt, "user"),
                              .seq = td_column_int(stmt, "seq")};
    out.manifest = td_column_blob(stmt, "manifest", &out.manifest_size);
    out.key_id = td_column_blob(stmt, "key_id", &size);
    out.signature = td_column_blob(stmt, "signature", &size);
    out.public_key = td_column_blob(stmt, "public_key", &size);
    return out;
}

td_code td_ledger__approvals(td_db *db, td_ledger_approval_visit visit, void *context, td_err *err)
{
    td_stmt *stmt;
    bool row = true;
    TD_TRY(td_db_prepare(db,
                         "SELECT m.name || '/' || v.number AS version, a.user_name AS user, a.audit_seq AS seq, "
                         "v.manifest, a.key_id, a.signature, k.public_key FROM approval a "
                         "JOIN version v USING (version_id) JOIN model m USING (model_id) "
                         "LEFT JOIN approver_key k USING (key_id)",
                         &stmt, err));
    for (;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        td_ledger_approval approval = approval_of(stmt);
        td_code code = visit(context, &approval, err);
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
    }
}

td_code td_ledger__files(td_db *db, td_ledger_file_visit visit, void *context, td_err *err)
{
    td_stmt *stmt;
    bool row = true;
    TD_TRY(td_db_prepare(
        db,
        "WITH used (digest, version_id, what) AS ("
        "SELECT digest, version_id, 'file ' || name FROM version_file UNION ALL "
        "SELECT bundle_digest, version_id, 'the bundle' FROM version WHERE bundle_digest IS NOT NULL UNION ALL "
        "SELECT envelope_digest, version_id, 'manifest and approvals' FROM version WHERE envelope_digest IS NOT NULL "
        "UNION ALL SELECT model_sig_digest, version_id, 'model.sig' FROM version WHERE model_sig_digest IS NOT NULL "
        "UNION ALL SELECT digest, version_id, 'a claim' FROM claim) "
        "SELECT min(u.what || ' of version ' || m.name || '/' || v.number) AS what, u.digest FROM used u " OF_VERSION
        " GROUP BY u.digest ORDER BY u.digest",
        &stmt, err));
    for (;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            return TD_OK;
        }
        size_t size = 0;
        const uint8_t *digest = td_column_blob(stmt, "digest", &size);
        td_code code = visit(context, digest, td_column_text(stmt, "what"), err);
        if (code != TD_OK) {
            td_reset(stmt);
            return code;
        }
    }
}
