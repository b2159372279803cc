/*
 * device_store.c: rows of devices: finding, choosing by selector, tags, revocation.
 *
 * A selector is asked of every device whose revision is new; revisions grow over all devices, so that a rollout looks
 * at each change once and at nothing when nothing changed.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"
#include "core/base/arena.h"
#include "fleet/internal.h"

#include <stdio.h>
#include <string.h>

static void read_row(td_stmt *stmt, td_device_row *out)
{
    *out = (td_device_row){
        .device_id = td_column_int(stmt, "device_id"),
        .revoked = strcmp(td_column_text(stmt, "state"), "revoked") == 0,
        .contact_every_s = td_column_int(stmt, "contact_every_s"),
        .directive_sequence = td_column_int(stmt, "directive_sequence"),
        .directive_accepted = td_column_int(stmt, "directive_accepted"),
        .nonce = (uint64_t)td_column_int(stmt, "nonce"),
    };
    snprintf(out->name, sizeof out->name, "%s", td_column_text(stmt, "name"));
    snprintf(out->project, sizeof out->project, "%s", td_column_text(stmt, "project"));
}

td_code td_fleet__device_by_id(td_db *db, int64_t device_id, td_device_row *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT device_id, name, project, state, contact_every_s, directive_sequence, "
                         "directive_accepted, nonce FROM device WHERE device_id = :device_id",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    TD_TRY(td_step_one(stmt, err, "there is no device in row %lld", (long long)device_id));
    read_row(stmt, out);
    td_reset(stmt);
    return TD_OK;
}

td_code td_fleet__device_by_name(td_db *db, const char *project, const char *name, td_device_row *out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT device_id, name, project, state, contact_every_s, directive_sequence, "
                         "directive_accepted, nonce FROM device WHERE name = :name AND project = :project",
                         &stmt, err));
    td_bind_text(stmt, ":name", name);
    td_bind_text(stmt, ":project", project);
    TD_TRY(td_step_one(stmt, err, "there is no device \"%.64s\" in project %s", name, project));
    read_row(stmt, out);
    td_reset(stmt);
    return TD_OK;
}

td_code td_fleet__next_revision(td_db *db, int64_t *out, td_err *err)
{
    td_stmt *stmt;
    bool row;
    TD_TRY(td_db_prepare(db, "SELECT coalesce(max(revision), 0) + 1 AS next FROM device", &stmt, err));
    TD_TRY(td_step(stmt, &row, err));
    *out = td_column_int(stmt, "next");
    td_reset(stmt);
    return TD_OK;
}

static json_t *parse_column(td_stmt *stmt, const char *column)
{
    const char *text = td_column_text(stmt, column);
    return json_loads(text != NULL ? text : "null", JSON_DECODE_ANY, NULL);
}

/* Asks the selector about the row that stmt stands on. */
static bool row_matches(td_stmt *stmt, const td_selector *selector)
{
    TD_CLEANUP(td_json_done) json_t *tags = parse_column(stmt, "tags");
    TD_CLEANUP(td_json_done) json_t *runtimes = parse_column(stmt, "runtimes");
    const char *running = td_column_text(stmt, "running");
    td_device_facts facts = {
        .device = td_column_text(stmt, "name"),
        .hardware = td_column_text(stmt, "hardware"),
        .state = td_column_text(stmt, "state"),
        .tags = tags,
        .runtimes = runtimes,
        .running = running != NULL ? running : "",
        .ram_mb = td_column_int(stmt, "ram_bytes") / (1024 * 1024),
        .storage_mb = td_column_int(stmt, "storage_free") / (1024 * 1024),
        .online = td_column_int(stmt, "online") != 0,
    };
    return td_selector__matches(selector, &facts);
}

typedef struct found_device {
    int64_t device_id;
    char name[TD_DEVICE_ID_MAX + 1];
} found_device;

/* The revoked are only meant when the selector speaks of states. */
static bool mentions_state(const td_selector *selector)
{
    for (int i = 0; i < selector->count; i++) {
        if (selector->nodes[i].type >= TD_SELECT_EXISTS && strcmp(selector->nodes[i].name, "state") == 0) {
            return true;
        }
    }
    return false;
}

/* Collected first, told afterwards: `each` may write to the tables that are being read. */
static td_code collect(td_stmt *stmt, const td_selector *selector, td_str *found, int64_t *revision, td_err *err)
{
    for (bool row = true; row;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            break;
        }
        *revision = td_column_int(stmt, "revision") > *revision ? td_column_int(stmt, "revision") : *revision;
        bool eligible = strcmp(td_column_text(stmt, "state"), "enrolled") == 0 || mentions_state(selector);
        if (eligible && row_matches(stmt, selector)) {
            found_device device = {.device_id = td_column_int(stmt, "device_id")};
            snprintf(device.name, sizeof device.name, "%s", td_column_text(stmt, "name"));
            td_str_append(found, &device, sizeof device);
        }
    }
    return td_str_check(found, err);
}

td_code td_fleet__select(td_db *db, const char *project, const td_selector *selector, int64_t after_revision,
                         td_device_fn each, void *context, int64_t *revision_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db,
        "SELECT d.device_id, d.name, d.state, d.hardware, d.runtimes, d.tags, d.ram_bytes, d.storage_free, d.revision, "
        "  (d.live = 1 AND c.heard_ms >= :now - 3000 * CASE WHEN d.contact_every_s > 0 THEN d.contact_every_s ELSE 60 "
        "END) "
        "    AS online, "
        "  (SELECT group_concat(r.model || '/' || r.version, ' ') FROM device_run r "
        "    WHERE r.device_id = d.device_id AND r.ended_ms IS NULL) AS running "
        "FROM device d JOIN device_contact c ON c.device_id = d.device_id "
        "WHERE d.project = :project AND d.revision > :after ORDER BY d.revision",
        &stmt, err));
    td_bind_text(stmt, ":project", project);
    td_bind_int(stmt, ":after", after_revision);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    int64_t revision = after_revision;
    TD_CLEANUP(td_str_done) td_str found = {0};
    td_code code = collect(stmt, selector, &found, &revision, err);
    td_reset(stmt);
    TD_TRY(code);
    for (size_t at = 0; each != NULL && at + sizeof(found_device) <= found.size; at += sizeof(found_device)) {
        found_device device;
        memcpy(&device, found.data + at, sizeof device);
        TD_TRY(each(context, device.device_id, device.name, err));
    }
    *revision_out = revision;
    return TD_OK;
}

/* Of the pairs in use, the nearest to each `name=value` of the selector; else the first few. */
static void suggest(const td_selector *selector, const char *const *pairs, td_str *out)
{
    for (int i = 0; i < selector->count; i++) {
        const td_selector_node *node = &selector->nodes[i];
        if (node->type == TD_SELECT_COMPARE && !td_selector__is_inventory(node->name)) {
            char wanted[200];
            snprintf(wanted, sizeof wanted, "%s=%s", node->name, node->value);
            const char *nearest = td_nearest(wanted, pairs);
            if (nearest != NULL) {
                td_str_addf(out, "%s%s", out->size > 0 ? ", " : "; did you mean ", nearest);
            }
        }
    }
    bool nothing_near = out->size == 0;
    for (size_t i = 0; nothing_near && pairs[i] != NULL && i < 5; i++) {
        td_str_addf(out, "%s%s", i > 0 ? ", " : "; tags in use: ", pairs[i]);
    }
}

td_code td_fleet__suggest_tags(td_db *db, const char *project, const td_selector *selector, td_str *out, td_err *err)
{
    enum { PAIRS_MAX = 500 };
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT DISTINCT t.key || '=' || t.value AS pair FROM device d, json_each(d.tags) t "
                         "WHERE d.project = :project AND d.state = 'enrolled' ORDER BY pair LIMIT 500",
                         &stmt, err));
    td_bind_text(stmt, ":project", project);
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    const char *pairs[PAIRS_MAX + 1] = {0};
    bool row = true;
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row) {
            break;
        }
        pairs[i] = td_arena_text(&arena, td_column_text(stmt, "pair"));
    }
    td_reset(stmt);
    suggest(selector, pairs, out);
    return td_str_check(out, err);
}

static td_code check_tag(const char *key, const json_t *value, bool allow_null, td_err *err)
{
    size_t length = strlen(key);
    if (length == 0 || length > 32 || strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != length ||
        strcmp(key, "all") == 0 || strcmp(key, "and") == 0 || strcmp(key, "or") == 0 || strcmp(key, "not") == 0 ||
        strcmp(key, "in") == 0 || td_selector__is_inventory(key)) {
        return td_fail(err, TD_INVALID,
                       "tag \"%.40s\": a key is 1 to 32 of a-z, 0-9, _ . - and no word of the selector "
                       "(all, and, or, not, in, device, hardware, runtime, ram_mb, storage_mb, state, online, model)",
                       key);
    }
    if (json_is_null(value) && allow_null) {
        return TD_OK;
    }
    const char *text = json_string_value(value);
    if (text == NULL || strlen(text) > 64 || strpbrk(text, "'\"\n\r") != NULL) {
        return td_fail(err, TD_INVALID, "tag \"%s\": a value is text of at most 64 bytes without quotes or line ends",
                       key);
    }
    return TD_OK;
}

td_code td_fleet__check_tags(const json_t *tags, bool allow_null, td_err *err)
{
    if (tags == NULL) {
        return TD_OK;
    }
    if (!json_is_object(tags)) {
        return td_fail(err, TD_INVALID, "tags are an object of texts");
    }
    if (json_object_size(tags) > TD_DEVICE_TAGS_MAX) {
        return td_fail(err, TD_LIMIT, "a device has at most %d tags, not %zu", TD_DEVICE_TAGS_MAX,
                       json_object_size(tags));
    }
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)tags, key, value) {
        TD_TRY(check_tag(key, value, allow_null, err));
    }
    return TD_OK;
}

static td_code read_tags(td_db *db, int64_t device_id, json_t **out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT tags FROM device WHERE device_id = :device_id", &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    TD_TRY(td_step_one(stmt, err, "there is no device in row %lld", (long long)device_id));
    json_t *tags = parse_column(stmt, "tags");
    td_reset(stmt);
    return td_fleet__json_out(tags, out, err);
}

static void merge_tags(json_t *tags, const json_t *changes)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)changes, key, value) {
        if (json_is_null(value)) {
            json_object_del(tags, key);
        } else {
            json_object_set(tags, key, value);
        }
    }
}

td_code td_device_tag(td_db *db, const td_actor *actor, const char *project, const char *device, const json_t *tags,
                      td_err *err)
{
    td_device_row row;
    TD_TRY(td_fleet__check_tags(tags, true, err));
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_MANAGE_DEVICE, err));
    TD_TRY(td_fleet__device_by_name(db, project, device, &row, err));
    TD_CLEANUP(td_json_done) json_t *now = NULL;
    TD_TRY(read_tags(db, row.device_id, &now, err));
    merge_tags(now, tags);
    TD_TRY(td_fleet__check_tags(now, false, err));
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_json_write(now, &text, err));
    int64_t revision = 0;
    TD_TRY(td_fleet__next_revision(db, &revision, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "UPDATE device SET tags = :tags, revision = :revision WHERE device_id = :device_id", &stmt,
                         err));
    td_bind_text(stmt, ":tags", td_str_text(&text));
    td_bind_int(stmt, ":revision", revision);
    td_bind_int(stmt, ":device_id", row.device_id);
    TD_TRY(td_run(stmt, err));
    TD_CLEANUP(td_json_done) json_t *after = json_pack("{s:O}", "tags", now);
    return td_fleet__audit(db,
                           &(td_fleet_record){.actor = actor,
                                              .action = "update.device",
                                              .object_type = "device",
                                              .object_id = device,
                                              .project = project,
                                              .after = after},
                           err);
}

static td_code forget_goals(td_db *db, int64_t device_id, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "DELETE FROM device_goal WHERE device_id = :device_id", &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    TD_TRY(td_run(stmt, err));
    TD_TRY(td_db_prepare(db,
                         "UPDATE rollout_device SET state = 'cancelled', reason = 'revoked', ended_ms = :now "
                         "WHERE device_id = :device_id AND state IN ('waiting', 'issued', 'working')",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    return td_run(stmt, err);
}

td_code td_device_revoke(td_db *db, const td_actor *actor, const char *project, const char *device, const char *reason,
                         td_err *err)
{
    td_device_row row;
    TD_TRY(td_access_recheck(db, actor, project, TD_MAY_MANAGE_DEVICE, err));
    TD_TRY(td_fleet__device_by_name(db, project, device, &row, err));
    if (row.revoked) {
        return td_fail(err, TD_CONFLICT, "device %s is revoked already", device);
    }
    int64_t revision = 0;
    TD_TRY(td_fleet__next_revision(db, &revision, err));
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "UPDATE device SET state = 'revoked', revoked_ms = :now, live = 0, revision = :revision "
                         "WHERE device_id = :device_id",
                         &stmt, err));
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":revision", revision);
    td_bind_int(stmt, ":device_id", row.device_id);
    TD_TRY(td_run(stmt, err));
    TD_TRY(forget_goals(db, row.device_id, err));
    return td_fleet__audit(db,
                           &(td_fleet_record){.actor = actor,
                                              .action = "revoke.device",
                                              .object_type = "device",
                                              .object_id = device,
                                              .project = project,
                                              .reason = reason},
                           err);
}
