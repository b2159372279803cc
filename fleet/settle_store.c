/*
 * settle_store.c: the watermark below which no report or window is missing.
 *
 * In order (the usual case) it is one look and one update of a device's hot row. Out of order, sequences above the
 * watermark wait in a table until what is missing comes or the device says (oldest_kept) that it never will.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/internal.h"

static td_code read_mark(td_db *db, int64_t device_id, int64_t *settled_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db, "SELECT settled FROM device_contact WHERE device_id = :device_id", &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    TD_TRY(td_step_one(stmt, err, "there is no device in row %lld", (long long)device_id));
    *settled_out = td_column_int(stmt, "settled");
    td_reset(stmt);
    return TD_OK;
}

static td_code write_mark(td_db *db, int64_t device_id, int64_t settled, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(
        db, "UPDATE device_contact SET settled = :settled, heard_ms = :now WHERE device_id = :device_id", &stmt, err));
    td_bind_int(stmt, ":settled", settled);
    td_bind_int(stmt, ":now", td_db_now_ms(db));
    td_bind_int(stmt, ":device_id", device_id);
    return td_run(stmt, err);
}

static td_code remember(td_db *db, int64_t device_id, int64_t sequence, bool *fresh_out, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "INSERT INTO device_received (device_id, sequence) VALUES (:device_id, :sequence) "
                         "ON CONFLICT (device_id, sequence) DO NOTHING",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    td_bind_int(stmt, ":sequence", sequence);
    TD_TRY(td_run(stmt, err));
    *fresh_out = td_db_changes(db) > 0;
    return TD_OK;
}

/* Moves the mark over what was received without a gap, and forgets what is below it. stale: there may be some below
 * already. */
static td_code advance(td_db *db, int64_t device_id, bool stale, int64_t *settled, td_err *err)
{
    td_stmt *stmt;
    TD_TRY(td_db_prepare(db,
                         "SELECT sequence FROM device_received WHERE device_id = :device_id AND sequence > :settled "
                         "ORDER BY sequence",
                         &stmt, err));
    td_bind_int(stmt, ":device_id", device_id);
    td_bind_int(stmt, ":settled", *settled);
    int64_t before = *settled;
    for (bool row = true;;) {
        TD_TRY(td_step(stmt, &row, err));
        if (!row || td_column_int(stmt, "sequence") != *settled + 1) {
            break;
        }
        (*settled)++;
    }
    td_reset(stmt);
    if (*settled == before && !stale) {
        return TD_OK;
    }
    TD_TRY(td_db_prepare(db, "DELETE FROM device_received WHERE device_id = :device_id AND sequence <= :settled", &stmt,
                         err));
    td_bind_int(stmt, ":device_id", device_id);
    td_bind_int(stmt, ":settled", *settled);
    return td_run(stmt, err);
}

td_code td_fleet__heard(td_db *db, int64_t device_id, uint64_t *settled_out, td_err *err)
{
    int64_t settled = 0;
    TD_TRY(read_mark(db, device_id, &settled, err));
    TD_TRY(write_mark(db, device_id, settled, err));
    *settled_out = (uint64_t)settled;
    return TD_OK;
}

td_code td_fleet_settle(td_db *db, int64_t device_id, uint64_t sequence, uint64_t oldest_kept, bool *fresh_out,
                        uint64_t *settled_out, td_err *err)
{
    if (sequence == 0 || sequence > INT64_MAX || oldest_kept > sequence) {
        return td_fail(err, TD_INVALID, "sequence %llu with oldest kept %llu makes no sense",
                       (unsigned long long)sequence, (unsigned long long)oldest_kept);
    }
    int64_t settled = 0, number = (int64_t)sequence;
    TD_TRY(read_mark(db, device_id, &settled, err));
    bool given_up = (int64_t)oldest_kept - 1 > settled; /* the device no longer has what is missing below */
    int64_t floor = given_up ? (int64_t)oldest_kept - 1 : settled;
    bool fresh = number > floor;
    if (number > floor + TD_SETTLE_AHEAD_MAX) {
        return td_fail(err, TD_BUSY, "sequence %lld is too far ahead of what is missing (%lld)", (long long)number,
                       (long long)floor + 1);
    }
    bool in_order = number == settled + 1 && !given_up;
    if (fresh && !in_order) {
        TD_TRY(remember(db, device_id, number, &fresh, err));
    }
    int64_t mark = in_order ? number : floor;
    if (in_order || given_up || fresh) {
        TD_TRY(advance(db, device_id, given_up, &mark, err));
    }
    TD_TRY(write_mark(db, device_id, mark, err));
    *fresh_out = fresh;
    *settled_out = (uint64_t)mark;
    return TD_OK;
}
