/*
 * run_store.c: what ran where from when to when: intervals that are closed, never overwritten, and the same as lineage.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/arena.h"
#include "fleet/internal.h"
#include "registry/registry.h"

#include <string.h>

static td_code open_run(td_db *db, const td_device_row *device, const char *slot, bool *same_out,
                        const uint8_t *manifest, int64_t *run_out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db,
                         "SELECT run_id, manifest_digest FROM device_run "
                         "WHERE device_id = :device_id AND slot = :slot AND ended_ms IS NULL",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device->device_id);
    td_bind_text(stmt, ":slot", slot);
    TD_TRY(td_step(stmt, &row, err));
    *run_out = row ? td_column_int(stmt, "run_id") : 0;
    size_t size = 0;
    const void *digest = row ? td_column_blob(stmt, "manifest_digest", &size) : NULL;
    *same_out =
        row ? manifest != NULL && size == TD_DIGEST_SIZE && memcmp(digest, manifest, size) == 0 : manifest == NULL;
    td_reset(stmt);
    return TD_OK;
}

static td_code end_run(td_db *db, int64_t run_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE device_run SET ended_ms = :now WHERE run_id = :run_id", &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":run_id", run_id);
    return td_run(stmt, err);
}

static td_code begin_run(td_db *db, const td_device_row *device, const char *slot, const uint8_t *manifest, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_version version;
    td_code found = td_version_of_manifest(db, manifest, &arena, &version, err);
    if (found != TD_OK && found != TD_NOT_FOUND) {
        return found;
    }
    bool known = found == TD_OK && strcmp(version.project, device->project) == 0;
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO device_run (device_id, slot, manifest_digest, model, version, started_ms) "
                         "VALUES (:device_id, :slot, :manifest, :model, :version, :now)",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device->device_id);
    td_bind_text(stmt, ":slot", slot);
    td_bind_blob(stmt, ":manifest", manifest, TD_DIGEST_SIZE);
    td_bind_text(stmt, ":model", known ? version.model : NULL);
    if (known) {
        td_bind_int(stmt, ":version", version.number);
    } else {
        td_bind_null(stmt, ":version");
    }
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    return td_run(stmt, err);
}

/* The edges into the device become those of its open runs. */
static td_code update_lineage(td_db *db, const td_device_row *device, td_err *err)
{
    TD_TRY(td_lineage_edges_end(db, device->project, "installed", TD_NODE("device", device->name), NULL, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT model || '/' || version AS label FROM device_run "
                         "WHERE device_id = :device_id AND ended_ms IS NULL AND model IS NOT NULL ORDER BY slot",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device->device_id);
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    const char *labels[16];
    size_t count = 0;
    for (bool row = true; count < TD_COUNT_OF(labels);) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            break;
        }
        labels[count++] = td_arena_text(&arena, td_column_text(stmt, "label"));
    }
    td_reset(stmt);
    for (size_t i = 0; i < count; i++) {
        TD_TRY(td_lineage_edge_add(db, device->project, TD_NODE("version", labels[i]), TD_NODE("device", device->name),
                                   "installed", NULL, err));
    }
    return TD_OK;
}

td_code td_fleet__runs(td_db *db, const td_device_row *device, const char *slot, const uint8_t *manifest, td_err *err)
{
    int64_t run_id = 0;
    bool same = false;
    TD_TRY(open_run(db, device, slot, &same, manifest, &run_id, err));
    if (same) {
        return TD_OK;
    }
    if (run_id != 0) {
        TD_TRY(end_run(db, run_id, err));
    }
    if (manifest != NULL) {
        TD_TRY(begin_run(db, device, slot, manifest, err));
    }
    int64_t revision = 0;
    TD_TRY(td_fleet__next_revision(db, &revision, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE device SET revision = :revision WHERE device_id = :device_id", &stmt, err));
    td_bind_int(stmt, ":revision", revision);
    td_bind_int(stmt, ":device_id", device->device_id);
    TD_TRY(td_run(stmt, err));
    return update_lineage(db, device, err);
}
