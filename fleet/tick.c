/*
 * tick.c: one step of everything that is under way.
 *
 * Each rollout is looked at by itself: who joined, who missed a deadline, whether too many failed, who is due for a
 * directive, and whether the wave has earned the next one. The tick holds no state: all of it is in the rows.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fleet/rollout_internal.h"

#include <stdio.h>
#include <string.h>

#define ACTIVE_MAX 64
#define BATCH_MAX 200
#define DIRECTIVES_DEFAULT 200

typedef struct tick {
    td_db *db;
    const td_rollout_tick_options *options;
    td_rollout_tick_result *result;
    int64_t budget; /* directives left in this tick */
    td_rollout *rollout;
    td_wave waves[TD_ROLLOUT_WAVES_MAX];
    size_t wave_count;
} tick;

static td_code move_part(tick *t, int64_t device_id, td_part_state from, td_part_state to, const char *reason,
                         td_err *err)
{
    td_part part = {.rollout_id = t->rollout->rollout_id, .device_id = device_id, .state = from};
    memcpy(part.rollout, t->rollout->id, sizeof part.rollout);
    t->result->transitions++;
    return td_part__move(t->db, &part, to, reason, err);
}

/* Writes the order for one device and the edge rollout → device. */
static td_code issue_order(tick *t, int64_t device_id, td_err *err)
{
    int64_t sequence = 0;
    td_device_row device;
    td_order order = {.rollout = t->rollout->id};
    TD_TRY(td_fleet__device_by_id(t->db, device_id, &device, err));
    TD_TRY(td_part__set_goal(t->db, t->rollout, device_id, err));
    TD_TRY(td_fleet__issue(t->db, device_id, &order, t->options, &sequence, err));
    TD_TRY(move_part(t, device_id, TD_PART_WAITING, TD_PART_ISSUED, NULL, err));
    TD_TRY(td_part__issued(t->db, t->rollout, device_id, sequence, false, err));
    t->budget--;
    t->result->directives++;
    return td_lineage_edge_add(t->db, device.project, TD_NODE("rollout", t->rollout->id),
                               TD_NODE("device", device.name), "targeted", NULL, err);
}

/* Takes the version back from one device: its goal becomes what it was before. */
static td_code issue_undo(tick *t, int64_t device_id, td_part_state from, td_part_state to, td_err *err)
{
    int64_t sequence = 0;
    td_order order = {.rollout = t->rollout->id, .cancel = true};
    TD_TRY(td_part__restore_goal(t->db, t->rollout->rollout_id, device_id, t->rollout->slot, err));
    TD_TRY(td_fleet__issue(t->db, device_id, &order, t->options, &sequence, err));
    TD_TRY(move_part(t, device_id, from, to, NULL, err));
    TD_TRY(td_part__issued(t->db, t->rollout, device_id, sequence, true, err));
    t->budget--;
    t->result->directives++;
    return TD_OK;
}

static td_code issue_waiting(tick *t, int64_t open_wave, td_err *err)
{
    int64_t devices[BATCH_MAX], room = t->budget < BATCH_MAX ? t->budget : BATCH_MAX;
    if (t->rollout->plan.per_minute > 0) {
        int64_t recent = 0;
        TD_TRY(td_part__issued_since(t->db, t->rollout->rollout_id, td_db_now_ms(t->db) - 60000, &recent, err));
        int64_t left = t->rollout->plan.per_minute - recent;
        room = left < room ? left : room;
    }
    if (room <= 0) {
        return TD_OK;
    }
    size_t count = 0;
    td_part_query query = {.rollout_id = t->rollout->rollout_id, .state = TD_PART_WAITING, .wave_max = open_wave};
    TD_TRY(td_part__list(t->db, &query, devices, (size_t)room, &count, err));
    for (size_t i = 0; i < count; i++) {
        TD_TRY(issue_order(t, devices[i], err));
    }
    return TD_OK;
}

/* Silence after a yes is a failure. */
static td_code fail_overdue(tick *t, td_err *err)
{
    int64_t devices[BATCH_MAX];
    size_t count = 0;
    td_part_query query = {
        .rollout_id = t->rollout->rollout_id, .state = TD_PART_WORKING, .overdue_ms = td_db_now_ms(t->db)};
    TD_TRY(td_part__list(t->db, &query, devices, BATCH_MAX, &count, err));
    for (size_t i = 0; i < count; i++) {
        TD_TRY(move_part(t, devices[i], TD_PART_WORKING, TD_PART_FAILED, "deadline", err));
        TD_TRY(td_part__restore_goal(t->db, t->rollout->rollout_id, devices[i], t->rollout->slot, err));
    }
    return TD_OK;
}

/* The rollout stops itself. */
static td_code stop(tick *t, td_wave *wave, const char *why, td_err *err)
{
    td_rollout_state to = t->rollout->plan.revert_on_failure ? TD_ROLLOUT_REVERTING : TD_ROLLOUT_ABORTING;
    if (wave != NULL && (wave->state == TD_WAVE_OPEN || wave->state == TD_WAVE_SOAKING)) {
        TD_TRY(td_wave__move(t->db, t->rollout, wave, TD_WAVE_FAILED, why, err));
    }
    t->result->transitions++;
    return td_rollout__move(t->db, t->rollout, to, &td_actor_system, why, err);
}

static bool too_many(const td_plan *plan, int64_t failed, int64_t of)
{
    if (plan->failed_count >= 0 && failed > plan->failed_count) {
        return true;
    }
    return plan->failed_share >= 0 && (double)failed > plan->failed_share * (double)of + 1e-9;
}

/* Enough failures in the wave that even the success of all others could not make up for them. */
static td_code check_ceiling(tick *t, td_wave *wave, bool *stopped, td_err *err)
{
    td_counts counts;
    TD_TRY(td_wave__counts(t->db, t->rollout->rollout_id, wave->number, &counts, err));
    int64_t failed = counts.by_state[TD_PART_FAILED];
    *stopped = too_many(&t->rollout->plan, failed, counts.members);
    if (!*stopped) {
        return TD_OK;
    }
    char why[120];
    snprintf(why, sizeof why, "wave %lld: %lld of %lld devices failed, more than the ceiling allows",
             (long long)wave->number, (long long)failed, (long long)counts.members);
    return stop(t, wave, why, err);
}

/* *verdict: 1 passed, 0 not yet, -1 failed, with the reason in `why`. */
static void judge_share(const tick *t, const td_wave *wave, const td_counts *counts, int *verdict, char why[160])
{
    const td_plan *plan = &t->rollout->plan;
    int64_t good = counts->by_state[TD_PART_COMMITTED], bad = counts->by_state[TD_PART_FAILED], n = good + bad;
    bool last = wave->number == (int64_t)t->wave_count;
    double share = n > 0 ? (double)good / (double)n : 1;
    /* The lower bound speaks of the devices that are still to come; it needs enough answers to be able to say yes at
     * all. */
    bool use_bound = !last && td_plan__wilson(n, n) >= plan->success;
    double value = use_bound ? td_plan__wilson(good, n) : share;
    *verdict = value + 1e-9 >= plan->success && !too_many(plan, bad, n) ? 1 : -1;
    snprintf(why, 160, "wave %lld: %lld of %lld devices succeeded (%s %.1f %%, needed %.1f %%)",
             (long long)wave->number, (long long)good, (long long)n, use_bound ? "lower bound" : "share", 100 * value,
             100 * plan->success);
}

static int64_t contact_wait_ms(const tick *t, const td_counts *counts)
{
    return t->rollout->plan.contact_wait_ms > 0 ? t->rollout->plan.contact_wait_ms : 3000 * counts->contact_s;
}

/* Whether all answers of an open wave are in that will come in time. */
static bool answers_are_in(const tick *t, const td_wave *wave, const td_counts *counts)
{
    if (counts->by_state[TD_PART_WORKING] > 0) {
        return false;
    }
    bool waited = td_db_now_ms(t->db) >= wave->opened_ms + contact_wait_ms(t, counts);
    int64_t silent = counts->by_state[TD_PART_ISSUED] + counts->by_state[TD_PART_WAITING];
    if (silent > 0 && (!waited || counts->by_state[TD_PART_ISSUED] == 0)) {
        return false; /* directives still to be written are waited for in any case */
    }
    int64_t n = counts->by_state[TD_PART_COMMITTED] + counts->by_state[TD_PART_FAILED];
    int64_t need = t->rollout->plan.min_sample < counts->members ? t->rollout->plan.min_sample : counts->members;
    return n >= need;
}

static td_code open_next(tick *t, size_t index, td_err *err)
{
    if (index >= t->wave_count) {
        return TD_OK;
    }
    t->result->transitions++;
    TD_TRY(td_wave__move(t->db, t->rollout, &t->waves[index], TD_WAVE_OPEN, "", err));
    return issue_waiting(t, t->waves[index].number, err);
}

static td_code judge_open(tick *t, td_wave *wave, const td_counts *counts, td_err *err)
{
    int verdict = 0;
    char why[160];
    if (!answers_are_in(t, wave, counts)) {
        return TD_OK;
    }
    judge_share(t, wave, counts, &verdict, why);
    if (verdict < 0) {
        return stop(t, wave, why, err);
    }
    t->result->transitions++;
    return td_wave__move(t->db, t->rollout, wave, TD_WAVE_SOAKING, why, err);
}

static td_code judge_soaking(tick *t, td_wave *wave, const td_counts *counts, td_err *err)
{
    int verdict = 0;
    char why[160], text[160] = "";
    judge_share(t, wave, counts, &verdict, why);
    if (verdict < 0) {
        return stop(t, wave, why, err);
    }
    if (td_db_now_ms(t->db) < wave->soaking_ms + t->rollout->plan.soak_ms) {
        return TD_OK;
    }
    td_rollout_health health = TD_HEALTH_PASS;
    if (t->rollout->plan.health_gate && t->options->health != NULL) {
        health = t->options->health(t->options->health_context, t->db, t->rollout->id, t->rollout->project,
                                    t->rollout->model, t->rollout->version, text);
    }
    if (health == TD_HEALTH_WAIT) {
        return TD_OK;
    }
    char sentence[340];
    snprintf(sentence, sizeof sentence, "%s%s%s", why, text[0] != '\0' ? "; " : "", text);
    if (health == TD_HEALTH_FAIL) {
        return stop(t, wave, sentence, err);
    }
    t->result->transitions++;
    TD_TRY(td_wave__move(t->db, t->rollout, wave, TD_WAVE_PASSED, sentence, err));
    return open_next(t, (size_t)wave->number, err); /* numbers start at 1: this is the next index */
}

static td_code finish(tick *t, int64_t unreached, td_err *err)
{
    char why[80] = "every device was reached";
    if (unreached > 0) {
        snprintf(why, sizeof why, "%lld devices were never reached", (long long)unreached);
    }
    TD_TRY(td_part__move_all(t->db, t->rollout, TD_PART_ISSUED, TD_PART_UNREACHED, "", err));
    TD_TRY(td_part__move_all(t->db, t->rollout, TD_PART_WAITING, TD_PART_CANCELLED, "", err));
    t->result->transitions++;
    return td_rollout__move(t->db, t->rollout, TD_ROLLOUT_FINISHED, &td_actor_system, why, err);
}

/* All waves have passed: the rest is whoever comes late, until the deadline. */
static td_code wait_for_stragglers(tick *t, td_err *err)
{
    td_counts counts;
    TD_TRY(issue_waiting(t, 0, err));
    TD_TRY(td_wave__counts(t->db, t->rollout->rollout_id, 0, &counts, err));
    int64_t open = counts.by_state[TD_PART_ISSUED] + counts.by_state[TD_PART_WAITING];
    if (counts.by_state[TD_PART_WORKING] > 0) {
        return TD_OK;
    }
    bool over = td_db_now_ms(t->db) >= t->rollout->deadline_ms;
    return open == 0 || over ? finish(t, open, err) : TD_OK;
}

static td_wave *current_wave(tick *t)
{
    for (size_t i = 0; i < t->wave_count; i++) {
        if (t->waves[i].state != TD_WAVE_PASSED) {
            return &t->waves[i];
        }
    }
    return NULL;
}

static td_code step_wave(tick *t, td_wave *wave, td_err *err)
{
    bool stopped = false;
    td_counts counts;
    if (wave->state == TD_WAVE_WAITING) {
        return open_next(t, (size_t)wave->number - 1, err);
    }
    TD_TRY(issue_waiting(t, wave->number, err));
    TD_TRY(check_ceiling(t, wave, &stopped, err));
    if (stopped) {
        return TD_OK;
    }
    if (td_db_now_ms(t->db) >= t->rollout->deadline_ms) {
        return stop(t, wave, "the rollout's deadline passed before all waves did", err);
    }
    TD_TRY(td_wave__counts(t->db, t->rollout->rollout_id, wave->number, &counts, err));
    return wave->state == TD_WAVE_OPEN ? judge_open(t, wave, &counts, err) : judge_soaking(t, wave, &counts, err);
}

static td_code step_running(tick *t, td_err *err)
{
    int64_t admitted = 0;
    TD_TRY(td_rollout__admit(t->db, t->rollout, &admitted, err));
    TD_TRY(fail_overdue(t, err));
    td_wave *wave = current_wave(t);
    if (wave != NULL) {
        return step_wave(t, wave, err);
    }
    bool stopped = false;
    TD_TRY(check_ceiling(t, &t->waves[t->wave_count - 1], &stopped, err));
    return stopped ? TD_OK : wait_for_stragglers(t, err);
}

static td_code undo_parts(tick *t, td_part_state from, td_part_state to, td_err *err)
{
    int64_t devices[BATCH_MAX];
    size_t count = 0;
    td_part_query query = {.rollout_id = t->rollout->rollout_id, .state = from};
    size_t room = t->budget < BATCH_MAX ? (size_t)(t->budget > 0 ? t->budget : 0) : BATCH_MAX;
    TD_TRY(td_part__list(t->db, &query, devices, room, &count, err));
    for (size_t i = 0; i < count; i++) {
        TD_TRY(issue_undo(t, devices[i], from, to, err));
    }
    return TD_OK;
}

/* Aborting and reverting: every device that is at work (or, to revert, done) gets its undo; it is over when all have
 * answered, or had the time to. */
static td_code step_undo(tick *t, td_err *err)
{
    bool revert = t->rollout->state == TD_ROLLOUT_REVERTING;
    td_part_state under_way = revert ? TD_PART_REVERTING : TD_PART_CANCELLING;
    TD_TRY(td_part__move_all(t->db, t->rollout, TD_PART_WAITING, TD_PART_CANCELLED, "", err));
    TD_TRY(undo_parts(t, TD_PART_ISSUED, under_way, err));
    TD_TRY(undo_parts(t, TD_PART_WORKING, under_way, err));
    if (revert) {
        TD_TRY(undo_parts(t, TD_PART_COMMITTED, under_way, err));
    }
    td_counts counts;
    TD_TRY(td_wave__counts(t->db, t->rollout->rollout_id, 0, &counts, err));
    int64_t to_do = counts.by_state[TD_PART_ISSUED] + counts.by_state[TD_PART_WORKING] +
                    (revert ? counts.by_state[TD_PART_COMMITTED] : 0);
    int64_t patience_ms = revert ? t->rollout->plan.step_deadline_ms : 0;
    patience_ms = patience_ms > contact_wait_ms(t, &counts) ? patience_ms : contact_wait_ms(t, &counts);
    bool waited = td_db_now_ms(t->db) >= t->rollout->undo_ms + patience_ms;
    if (to_do > 0 || (counts.by_state[under_way] > 0 && !waited)) {
        return TD_OK;
    }
    char why[100] = "every device stopped";
    if (counts.by_state[under_way] > 0) {
        snprintf(why, sizeof why, "%lld devices were not reached; their order is kept for them at the broker",
                 (long long)counts.by_state[under_way]);
        TD_TRY(td_part__move_all(t->db, t->rollout, under_way, TD_PART_UNREACHED, "", err));
    }
    t->result->transitions++;
    return td_rollout__move(t->db, t->rollout, revert ? TD_ROLLOUT_REVERTED : TD_ROLLOUT_ABORTED, &td_actor_system, why,
                            err);
}

static td_code step(tick *t, td_err *err)
{
    switch (t->rollout->state) {
    case TD_ROLLOUT_RUNNING:
        return step_running(t, err);
    case TD_ROLLOUT_PAUSED:
        return fail_overdue(t, err); /* devices at work go on; nothing new begins */
    case TD_ROLLOUT_ABORTING:
    case TD_ROLLOUT_REVERTING:
        return step_undo(t, err);
    default:
        return TD_OK;
    }
}

td_code td_rollout_tick(td_db *db, const td_rollout_tick_options *options, td_rollout_tick_result *out, td_err *err)
{
    td_rollout_tick_result result = {0};
    tick t = {.db = db,
              .options = options,
              .result = &result,
              .budget = options->directives_max > 0 ? options->directives_max : DIRECTIVES_DEFAULT};
    int64_t ids[ACTIVE_MAX];
    size_t count = 0;
    TD_TRY(td_rollout__active(db, ids, ACTIVE_MAX, &count, err));
    for (size_t i = 0; i < count; i++) {
        TD_CLEANUP(td_rollout__done) td_rollout rollout = {0};
        TD_TRY(td_rollout__by_id(db, ids[i], &rollout, err));
        TD_TRY(td_wave__list(db, ids[i], t.waves, &t.wave_count, err));
        t.rollout = &rollout;
        if (step(&t, err) != TD_OK) {
            return td_wrap(err, "rollout %s", rollout.id);
        }
    }
    TD_TRY(td_fleet__renew(db, options, &t.budget, &result.directives, err));
    *out = result;
    return TD_OK;
}
