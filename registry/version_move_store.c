/*
 * version_move_store.c: the moves of a version's life, each with its row, its reason and its audit record.
 *
 * Submitting is the moment that freezes: the manifest must say exactly what was registered.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "registry/registry_internal.h"
#include "registry/version_move.h"

#include <stdio.h>
#include <string.h>

static td_code move_row(td_db *db, const td_registry__move *move, int64_t seq, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db,
                      "INSERT INTO version_move (version_id, from_state, to_state, actor, reason, moved_ms, audit_seq) "
                      "VALUES (:version, :from, :to, :actor, :reason, :now, :seq)",
                      &stmt, err));
    td_bind_int(stmt, ":version", move->version->version_id);
    td_bind_text(stmt, ":from", td_version_states.names[move->version->state]);
    td_bind_text(stmt, ":to", td_version_states.names[move->to]);
    td_bind_text(stmt, ":actor", move->actor->name);
    td_bind_text(stmt, ":reason", move->reason != NULL ? move->reason : "");
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":seq", seq);
    return td_run(stmt, err);
}

static td_code state_row(td_db *db, const td_registry__move *move, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(
        td_db_prepare(db, "UPDATE version SET state = :to WHERE version_id = :version AND state = :from", &stmt, err));
    td_bind_text(stmt, ":to", td_version_states.names[move->to]);
    td_bind_int(stmt, ":version", move->version->version_id);
    td_bind_text(stmt, ":from", td_version_states.names[move->version->state]);
    TD_TRY(td_run(stmt, err));
    if (td_db_changes(db) != 1) {
        return td_fail(err, TD_CONFLICT, "version %s was moved by somebody else meanwhile", move->version->label);
    }
    return TD_OK;
}

td_code td_registry__move_row(td_db *db, const td_registry__move *move, int64_t seq, td_err *err)
{
    TD_TRY(td_registry__live_check(move->version, err));
    TD_TRY(td_states_check(&td_version_states, move->version->label, (int)move->version->state, (int)move->to, err));
    TD_TRY(td_registry__text_check("reason", move->reason, TD_REASON_MAX, err));
    TD_TRY(state_row(db, move, err));
    return move_row(db, move, seq, err);
}

td_code td_registry__move_record(td_db *db, const td_registry__move *move, int64_t *seq_out, td_err *err)
{
    TD_CLEANUP(td_json_done)
    json_t *before = json_pack("{s:s}", "state", td_version_states.names[move->version->state]);
    TD_CLEANUP(td_json_done) json_t *after = json_pack("{s:s}", "state", td_version_states.names[move->to]);
    TD_TRY(td_registry__json_ok(before, err));
    TD_TRY(td_registry__json_ok(after, err));
    td_audit_entry entry = {.actor = move->actor,
                            .action = move->action,
                            .object_type = "version",
                            .object_id = move->version->label,
                            .digest = move->digest,
                            .project = move->version->project,
                            .reason = move->reason,
                            .before = before,
                            .after = after};
    return td_audit_append(db, &entry, seq_out, err);
}

static td_code move_and_record(td_db *db, const td_registry__move *move, td_err *err)
{
    int64_t seq;
    TD_TRY(td_states_check(&td_version_states, move->version->label, (int)move->version->state, (int)move->to, err));
    TD_TRY(td_registry__move_record(db, move, &seq, err));
    return td_registry__move_row(db, move, seq, err);
}

/* ---- submit ---- */

static bool same_digest(bool has, const uint8_t *digest, bool has_other, const uint8_t *other)
{
    return has == has_other && (!has || memcmp(digest, other, TD_DIGEST_SIZE) == 0);
}

static bool same_requirement(const td_version *v, const td_manifest *m)
{
    bool same =
        strcmp(v->hardware, m->hardware) == 0 && v->ram_bytes == m->ram_bytes && v->runtime_count == m->runtime_count;
    for (size_t i = 0; same && i < v->runtime_count; i++) {
        same = strcmp(v->runtimes[i], m->runtimes[i]) == 0;
    }
    return same;
}

static td_code check_head(const td_version *v, const td_manifest *m, td_err *err)
{
    bool same = strcmp(m->project, v->project) == 0 && strcmp(m->model, v->model) == 0 && m->version == v->number &&
                m->security_counter == v->security_counter && strcmp(m->format, v->format) == 0 &&
                m->created_ms == (uint64_t)v->created_ms && same_requirement(v, m) &&
                same_digest(m->has_edges, m->edges_digest, v->has_edges, v->edges_digest);
    if (!same) {
        return td_fail(err, TD_CONFLICT,
                       "the manifest was made for %s/%u or for an older form of it, not for %s as it is now; "
                       "submit again",
                       m->model, m->version, v->label);
    }
    return TD_OK;
}

static const td_manifest_file *file_of(const td_manifest *m, const char *name)
{
    for (size_t i = 0; i < m->file_count; i++) {
        if (strcmp(m->files[i].name, name) == 0) {
            return &m->files[i];
        }
    }
    return NULL;
}

/* Every registered file is listed as it was registered; what packing added is of role meta. */
static td_code check_files(td_db *db, const td_version *v, const td_manifest *m, td_arena *arena, td_err *err)
{
    td_version_file *files;
    size_t count;
    size_t needed = 0;
    TD_TRY(td_version_files(db, v->version_id, arena, &files, &count, err));
    for (size_t i = 0; i < count; i++) {
        const td_manifest_file *listed = file_of(m, files[i].name);
        if (listed == NULL || listed->size != files[i].size || listed->role != files[i].role ||
            memcmp(listed->digest, files[i].digest, TD_DIGEST_SIZE) != 0) {
            return td_fail(err, TD_CONFLICT, "the manifest does not list the file \"%s\" of %s as registered",
                           files[i].name, v->label);
        }
        needed += files[i].role != TD_FILE_META;
    }
    for (size_t i = 0; i < m->file_count; i++) {
        if (m->files[i].role != TD_FILE_META && needed-- == 0) {
            return td_fail(err, TD_CONFLICT, "the manifest lists files that are not registered with %s", v->label);
        }
    }
    return TD_OK;
}

static td_code freeze(td_db *db, const td_version *v, const td_packed *packed, const uint8_t *digest,
                      uint64_t device_bytes, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE version SET manifest = :manifest, manifest_digest = :digest, bundle_digest = :bundle, "
                         "bundle_size = :bundle_size, device_bytes = :device_bytes, submitted_ms = :now "
                         "WHERE version_id = :version",
                         &stmt, err));
    td_bind_blob(stmt, ":manifest", packed->manifest, packed->manifest_size);
    td_bind_blob(stmt, ":digest", digest, TD_DIGEST_SIZE);
    td_bind_blob(stmt, ":bundle", packed->bundle_digest, TD_DIGEST_SIZE);
    td_bind_int(stmt, ":bundle_size", (int64_t)packed->bundle_size);
    td_bind_int(stmt, ":device_bytes", (int64_t)device_bytes);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":version", v->version_id);
    return td_run(stmt, err);
}

td_code td_version_submit(td_db *db, const td_actor *actor, const char *project, const char *reference,
                          const td_packed *packed, const char *reason, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_version version;
    td_manifest manifest;
    uint8_t digest[TD_DIGEST_SIZE];
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_REGISTER, err));
    TD_TRY(td_version_find(db, project, reference, &arena, &version, err));
    TD_TRY(td_states_check(&td_version_states, version.label, (int)version.state, TD_VERSION_PENDING, err));
    TD_TRY(td_registry__quarantine_check(db, &version, err));
    TD_TRY(td_manifest_read(packed->manifest, packed->manifest_size, &arena, &manifest, err));
    TD_TRY(check_head(&version, &manifest, err));
    TD_TRY(check_files(db, &version, &manifest, &arena, err));
    td_sha256_of(packed->manifest, packed->manifest_size, digest);
    TD_TRY(freeze(db, &version, packed, digest, td_manifest_device_bytes(&manifest), err));
    td_registry__move move = {.version = &version,
                              .actor = actor,
                              .to = TD_VERSION_PENDING,
                              .action = "submit.version",
                              .reason = reason,
                              .digest = digest};
    return move_and_record(db, &move, err);
}

/* ---- reject, deprecate, retire ---- */

td_code td_version_reject(td_db *db, const td_actor *actor, const char *project, const char *reference,
                          const char *reason, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_version version;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_APPROVE, err));
    TD_TRY(td_registry__reason_check(reason, err));
    TD_TRY(td_version_find(db, project, reference, &arena, &version, err));
    td_registry__move move = {.version = &version,
                              .actor = actor,
                              .to = TD_VERSION_REJECTED,
                              .action = "reject.version",
                              .reason = reason,
                              .digest = version.manifest != NULL ? version.manifest_digest : NULL};
    TD_TRY(move_and_record(db, &move, err));
    return td_registry__decided(db, version.version_id, err);
}

td_code td_registry__decided(td_db *db, int64_t version_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE version SET decided_ms = :now WHERE version_id = :version", &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":version", version_id);
    return td_run(stmt, err);
}

td_code td_version_move(td_db *db, const td_actor *actor, const char *project, const char *reference,
                        td_version_state to, const char *reason, td_err *err)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    td_version version;
    if (to != TD_VERSION_DEPRECATED && to != TD_VERSION_RETIRED) {
        return td_fail(err, TD_INVALID,
                       "a version is moved to deprecated or retired; use submit, approve or reject for the rest");
    }
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_MANAGE_ALIAS, err));
    TD_TRY(td_registry__reason_check(reason, err));
    TD_TRY(td_version_find(db, project, reference, &arena, &version, err));
    td_registry__move move = {.version = &version,
                              .actor = actor,
                              .to = to,
                              .reason = reason,
                              .action = to == TD_VERSION_RETIRED ? "retire.version" : "deprecate.version",
                              .digest = version.manifest != NULL ? version.manifest_digest : NULL};
    return move_and_record(db, &move, err);
}
