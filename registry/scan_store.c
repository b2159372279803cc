/*
 * scan_store.c: what introspection found, a row a file; a version with a quarantined file goes no further.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/registry_internal.h"

#include <string.h>

static td_code bind_findings(td_stmt *stmt, const td_inspection *found, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {.limit = TD_FACTS_BYTES_MAX};
    if (found->verdict == TD_VERDICT_NONE) {
        td_bind_null(stmt, ":findings");
        return TD_OK;
    }
    TD_CLEANUP(td_json_done)
    json_t *findings = json_pack("{s:O, s:O}", "globals", json_object_get(found->facts, "globals"), "risks",
                                 json_object_get(found->facts, "risks"));
    TD_TRY(td_registry__json_ok(findings, err));
    TD_TRY(td_json_write(findings, &text, err));
    td_bind_text(stmt, ":findings", td_str_text(&text));
    return TD_OK;
}

td_code td_registry__scan_write(td_db *db, int64_t version_id, const char *name, const td_inspection *found,
                                td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO version_scan (version_id, name, format, verdict, scanner, findings) "
                         "VALUES (:version, :name, :format, :verdict, :scanner, :findings)",
                         &stmt, err));
    td_bind_int(stmt, ":version", version_id);
    td_bind_text(stmt, ":name", name);
    td_bind_text(stmt, ":format", found->format);
    td_bind_text(stmt, ":verdict", td_verdict_name(found->verdict));
    td_bind_text(stmt, ":scanner", TD_INSPECT_SCANNER);
    td_code code = bind_findings(stmt, found, err);
    if (code != TD_OK) {
        td_reset(stmt);
        return code;
    }
    return td_run(stmt, err);
}

td_code td_registry__quarantine_check(td_db *db, const td_version *version, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT name, verdict FROM version_scan WHERE version_id = :version AND verdict <> 'none' "
                         "ORDER BY name LIMIT 1",
                         &stmt, err));
    td_bind_int(stmt, ":version", version->version_id);
    TD_TRY(td_step(stmt, &row, err));
    if (!row) {
        return TD_OK;
    }
    td_code code =
        td_quarantine_refuse(version->label, td_column_text(stmt, "name"), td_column_text(stmt, "verdict"), err);
    td_reset(stmt);
    return code;
}

td_code td_quarantine_refuse(const char *label, const char *file, const char *verdict, td_err *err)
{
    return td_fail(
        err, TD_CONFLICT,
        "%.60s: %.60s holds a pickle (%s) and is never packed nor sent to a device; convert the model, then: "
        "tidemark version derive %.60s --file FILE --by TOOL",
        label, file, verdict, label);
}
