/*
 * test_graph.c: the graph of one model's life: trained, installed, drifted, retrained; asked both ways.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "lineage/lineage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct fixture {
    char folder[64];
    td_clock clock;
    int64_t now;
    td_db *db;
} fixture;

static int64_t fixture_wall(const td_clock *clock)
{
    return ((const fixture *)clock->context)->now;
}

static int set_up(void **state)
{
    static fixture f;
    static const td_migration *const lists[] = {td_lineage_migrations, NULL};
    td_err err = {.code = TD_OK};
    char path[96];
    f = (fixture){.folder = "/tmp/td-lineage-XXXXXX", .now = 1772359200000};
    f.clock = (td_clock){fixture_wall, fixture_wall, &f};
    if (mkdtemp(f.folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/db", f.folder);
    if (td_db_open(path, TD_DB_WRITE, &f.clock, &f.db, &err) != TD_OK || td_db_migrate(f.db, lists, &err) != TD_OK) {
        print_error("%s\n", err.text);
        return -1;
    }
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    td_err err;
    td_db_close(f->db);
    return td_folder_remove(f->folder, &err) == TD_OK ? 0 : -1;
}

/* "kind:name" on both sides. */
static void edge(fixture *f, const char *from, const char *to, const char *kind, const char *run)
{
    char a[128], b[128];
    td_err err = {.code = TD_OK};
    snprintf(a, sizeof a, "%s", from);
    snprintf(b, sizeof b, "%s", to);
    char *a_name = strchr(a, ':'), *b_name = strchr(b, ':');
    *a_name++ = '\0';
    *b_name++ = '\0';
    if (td_lineage_edge_add(f->db, "default", TD_NODE(a, a_name), TD_NODE(b, b_name), kind, run, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
}

static void move_device(fixture *f, const char *device, const char *version)
{
    td_err err = {.code = TD_OK};
    const td_lineage_node *from = TD_NODE("version", version);
    assert_int_equal(td_lineage_edges_end(f->db, "default", "installed", TD_NODE("device", device), from, &err),
                     TD_OK);
    assert_int_equal(td_lineage_edge_add(f->db, "default", from, TD_NODE("device", device), "installed", NULL, &err),
                     TD_OK);
}

/* Version 1 from january; devices a and b run it; a drifts; version 2 from february, on a only. */
static void tell_story(fixture *f)
{
    edge(f, "dataset:s3://plant/vibration@111111111111", "run:run-1", "input", "run-1");
    edge(f, "code:git.example/pump@abc", "run:run-1", "code", "run-1");
    edge(f, "run:run-1", "version:pump/1", "output", "run-1");
    edge(f, "version:pump/1", "bundle:b1", "packed", NULL);
    edge(f, "approval:pump/1#ben", "version:pump/1", "approved", NULL);
    f->now += 1000;
    edge(f, "version:pump/1", "rollout:r-1", "rolled_out", "r-1");
    edge(f, "rollout:r-1", "device:a", "targeted", "r-1");
    move_device(f, "a", "pump/1");
    move_device(f, "b", "pump/1");
    f->now += 1000;
    edge(f, "device:a", "alert:al-1", "raised", NULL);
    f->now += 1000;
    edge(f, "alert:al-1", "run:run-2", "caused", NULL);
    edge(f, "dataset:s3://plant/vibration@222222222222", "run:run-2", "input", "run-2");
    edge(f, "run:run-2", "version:pump/2", "output", "run-2");
    edge(f, "version:pump/1", "version:pump/2", "parent", "run-2");
    f->now += 1000;
    edge(f, "version:pump/2", "rollout:r-2", "rolled_out", "r-2");
    move_device(f, "a", "pump/2");
    f->now += 1000;
    edge(f, "device:a", "alert:al-2", "raised", NULL);
}

static json_t *show(fixture *f, const char *node, td_lineage_direction direction, int depth)
{
    td_err err = {.code = TD_OK};
    json_t *answer = NULL;
    if (td_lineage_show_json(f->db, "default", node, direction, depth, &answer, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    return answer;
}

static bool has_node(const json_t *answer, const char *node)
{
    const json_t *nodes = json_object_get(answer, "nodes");
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        if (strcmp(td_json_text(json_array_get(nodes, i), "node", ""), node) == 0) {
            return true;
        }
    }
    return false;
}

static void show__up_reaches_the_data_and_the_cause(void **state)
{
    fixture *f = *state;
    tell_story(f);
    TD_CLEANUP(td_json_done) json_t *up = show(f, "pump/2", TD_LINEAGE_UP, 0);
    assert_true(has_node(up, "dataset:s3://plant/vibration@222222222222"));
    assert_true(has_node(up, "alert:al-1"));
    assert_true(has_node(up, "device:a"));
    assert_true(has_node(up, "version:pump/1"));
    assert_true(has_node(up, "code:git.example/pump@abc"));
    assert_false(has_node(up, "rollout:r-2")); /* later than the alert that caused version 2 */
    assert_false(has_node(up, "device:b"));
    const json_t *first = json_array_get(json_object_get(up, "nodes"), 0);
    assert_string_equal(td_json_text(first, "node", ""), "version:pump/2");
    assert_int_equal(td_json_int(first, "depth", -1), 0);
}

static void show__a_path_through_a_device_is_one_in_time(void **state)
{
    fixture *f = *state;
    tell_story(f);
    TD_CLEANUP(td_json_done) json_t *up = show(f, "alert:al-2", TD_LINEAGE_UP, 2);
    assert_true(has_node(up, "version:pump/2")); /* what ran when it was raised */
    assert_false(has_node(up, "version:pump/1"));
    TD_CLEANUP(td_json_done) json_t *down = show(f, "version:pump/1", TD_LINEAGE_DOWN, 2);
    assert_true(has_node(down, "alert:al-1"));
    assert_false(has_node(down, "alert:al-2"));
}

static void show__depth_and_both(void **state)
{
    fixture *f = *state;
    tell_story(f);
    TD_CLEANUP(td_json_done) json_t *near = show(f, "pump/1", TD_LINEAGE_BOTH, 1);
    assert_true(has_node(near, "run:run-1"));
    assert_true(has_node(near, "device:b"));
    assert_false(has_node(near, "dataset:s3://plant/vibration@111111111111"));
    size_t count = json_array_size(json_object_get(near, "nodes"));
    assert_int_equal(count, 8); /* itself; run, approval; bundle, roll-out, two devices, version 2 */
    assert_int_equal(json_array_size(json_object_get(near, "edges")), 7);
}

static void show__unknown_is_not_found_and_nonsense_invalid(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    json_t *answer = NULL;
    tell_story(f);
    assert_int_equal(td_lineage_show_json(f->db, "default", "pump/9", TD_LINEAGE_UP, 0, &answer, &err), TD_NOT_FOUND);
    assert_non_null(strstr(err.text, "pump/9"));
    assert_int_equal(td_lineage_show_json(f->db, "other", "pump/1", TD_LINEAGE_UP, 0, &answer, &err), TD_NOT_FOUND);
    assert_int_equal(td_lineage_show_json(f->db, "default", "pump", TD_LINEAGE_UP, 0, &answer, &err), TD_INVALID);
    assert_int_equal(td_lineage_show_json(f->db, "default", "wolf:x", TD_LINEAGE_UP, 0, &answer, &err), TD_INVALID);
    assert_int_equal(td_lineage_show_json(f->db, "default", "pump/1", TD_LINEAGE_UP, 101, &answer, &err), TD_INVALID);
    assert_null(answer);
}

static const json_t *device_of(const json_t *answer, const char *name)
{
    const json_t *devices = json_object_get(answer, "devices");
    for (size_t i = 0; i < json_array_size(devices); i++) {
        if (strcmp(td_json_text(json_array_get(devices, i), "device", ""), name) == 0) {
            return json_array_get(devices, i);
        }
    }
    return NULL;
}

static void impact__names_devices_now_and_ever(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    tell_story(f);
    move_device(f, "b", "other/1");
    assert_int_equal(
        td_lineage_impact_json(f->db, "default", "dataset:s3://plant/vibration@222222222222", &answer, &err), TD_OK);
    assert_int_equal(json_array_size(json_object_get(answer, "versions")), 1);
    assert_int_equal(json_array_size(json_object_get(answer, "devices")), 1);
    assert_true(td_json_bool(device_of(answer, "a"), "now", false));
    TD_CLEANUP(td_json_done) json_t *all = NULL; /* a name without a digest means all its digests */
    assert_int_equal(td_lineage_impact_json(f->db, "default", "dataset:s3://plant/vibration", &all, &err), TD_OK);
    assert_int_equal(json_array_size(json_object_get(all, "roots")), 2);
    assert_int_equal(json_array_size(json_object_get(all, "devices")), 2);
    assert_int_equal(json_array_size(json_object_get(device_of(all, "a"), "versions")), 2);
    assert_false(td_json_bool(device_of(all, "b"), "now", true)); /* it ran one, and moved on */
    assert_non_null(td_json_text(device_of(all, "b"), "last_at", NULL));
}

static void impact__a_child_version_is_not_direct(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    tell_story(f);
    assert_int_equal(
        td_lineage_impact_json(f->db, "default", "dataset:s3://plant/vibration@111111111111", &answer, &err), TD_OK);
    const json_t *versions = json_object_get(answer, "versions");
    assert_int_equal(json_array_size(versions), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *version = json_array_get(versions, i);
        bool first = strcmp(td_json_text(version, "name", ""), "pump/1") == 0;
        assert_int_equal(td_json_bool(version, "direct", !first), first);
    }
}

static int64_t count_edges(fixture *f)
{
    TD_CLEANUP(td_json_done) json_t *all = show(f, "pump/1", TD_LINEAGE_BOTH, 0);
    return (int64_t)json_array_size(json_object_get(all, "edges"));
}

static void edge__adding_twice_changes_nothing(void **state)
{
    fixture *f = *state;
    tell_story(f);
    int64_t before = count_edges(f);
    edge(f, "version:pump/1", "bundle:b1", "packed", NULL);
    edge(f, "run:run-1", "version:pump/1", "output", "run-1");
    assert_int_equal(count_edges(f), before);
}

static void node__title_and_digest_fill_in_and_never_change(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    uint8_t digest[TD_DIGEST_SIZE] = {1}, other[TD_DIGEST_SIZE] = {2};
    int64_t first = 0, second = 0;
    assert_int_equal(td_lineage_node_ensure(f->db, "default", TD_NODE("bundle", "b"), &first, &err), TD_OK);
    td_lineage_node node = {.kind = "bundle", .name = "b", .title = "pump 1", .digest = digest};
    assert_int_equal(td_lineage_node_ensure(f->db, "default", &node, &second, &err), TD_OK);
    assert_int_equal(first, second);
    node.digest = other;
    assert_int_equal(td_lineage_node_ensure(f->db, "default", &node, NULL, &err), TD_CONFLICT);
    TD_CLEANUP(td_json_done) json_t *answer = show(f, "bundle:b", TD_LINEAGE_UP, 0);
    const json_t *shown = json_array_get(json_object_get(answer, "nodes"), 0);
    assert_string_equal(td_json_text(shown, "title", ""), "pump 1");
    assert_non_null(strstr(td_json_text(shown, "digest", ""), "sha256:0100"));
}

static void node__bad_kinds_names_and_loops_are_refused(void **state)
{
    fixture *f = *state;
    td_err err = {.code = TD_OK};
    char longest[TD_LINEAGE_NAME_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(td_lineage_node_ensure(f->db, "default", TD_NODE("wolf", "x"), NULL, &err), TD_INVALID);
    assert_int_equal(td_lineage_node_ensure(f->db, "default", TD_NODE("run", ""), NULL, &err), TD_INVALID);
    assert_int_equal(td_lineage_node_ensure(f->db, "default", TD_NODE("run", "a\nb"), NULL, &err), TD_INVALID);
    assert_int_equal(td_lineage_node_ensure(f->db, "default", TD_NODE("run", longest), NULL, &err), TD_INVALID);
    longest[TD_LINEAGE_NAME_MAX] = '\0';
    assert_int_equal(td_lineage_node_ensure(f->db, "default", TD_NODE("run", longest), NULL, &err), TD_OK);
    const td_lineage_node *node = TD_NODE("run", "r");
    assert_int_equal(td_lineage_edge_add(f->db, "default", node, node, "input", NULL, &err), TD_INVALID);
    assert_int_equal(td_lineage_edge_add(f->db, "default", node, TD_NODE("run", "s"), "bites", NULL, &err),
                     TD_INVALID);
}

static void dataset_name__has_twelve_digits(void **state)
{
    (void)state;
    uint8_t digest[TD_DIGEST_SIZE] = {0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67};
    char name[TD_LINEAGE_NAME_MAX + 14];
    td_lineage_dataset_name("s3://plant/vibration", digest, name);
    assert_string_equal(name, "s3://plant/vibration@abcdef012345");
}

/* A database from before the kind "derived" keeps its edges, ends and all. */
static void schema__an_older_graph_is_kept(void **state)
{
    (void)state;
    td_migration before[] = {td_lineage_migrations[0], {0}};
    const td_migration *const old[] = {before, NULL}, *const now[] = {td_lineage_migrations, NULL};
    TD_CLEANUP(td_json_done) json_t *graph = NULL;
    char path[] = "/tmp/td-lineage-old-XXXXXX", file[64];
    td_clock clock = ((fixture *)*state)->clock;
    td_err err;
    td_db *db;
    assert_non_null(mkdtemp(path));
    snprintf(file, sizeof file, "%s/db", path);
    assert_int_equal(td_db_open(file, TD_DB_WRITE, &clock, &db, &err), TD_OK);
    assert_int_equal(td_db_migrate(db, old, &err), TD_OK);
    const td_lineage_node *one = TD_NODE("version", "pump/1"), *device = TD_NODE("device", "d");
    assert_int_equal(td_lineage_edge_add(db, "default", one, device, "installed", NULL, &err), TD_OK);
    assert_int_equal(td_lineage_edges_end(db, "default", "installed", device, NULL, &err), TD_OK);
    assert_int_not_equal(td_lineage_edge_add(db, "default", one, TD_NODE("version", "pump/2"), "derived", NULL, &err),
                         TD_OK);
    assert_int_equal(td_db_migrate(db, now, &err), TD_OK);
    assert_int_equal(td_lineage_edge_add(db, "default", one, TD_NODE("version", "pump/2"), "derived", NULL, &err),
                     TD_OK);
    assert_int_equal(td_lineage_show_json(db, "default", "version:pump/1", TD_LINEAGE_DOWN, 0, &graph, &err), TD_OK);
    assert_int_equal(json_array_size(json_object_get(graph, "edges")), 2);
    const json_t *ended = json_array_get(json_object_get(graph, "edges"), 0);
    assert_string_equal(td_json_text(ended, "kind", ""), "installed");
    assert_true(json_is_string(json_object_get(ended, "ended_at")));
    td_db_close(db);
    assert_int_equal(td_folder_remove(path, &err), TD_OK);
}

#define WITH_DB(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DB(show__up_reaches_the_data_and_the_cause),
        WITH_DB(show__a_path_through_a_device_is_one_in_time),
        WITH_DB(show__depth_and_both),
        WITH_DB(show__unknown_is_not_found_and_nonsense_invalid),
        WITH_DB(impact__names_devices_now_and_ever),
        WITH_DB(impact__a_child_version_is_not_direct),
        WITH_DB(edge__adding_twice_changes_nothing),
        WITH_DB(node__title_and_digest_fill_in_and_never_change),
        WITH_DB(node__bad_kinds_names_and_loops_are_refused),
        WITH_DB(schema__an_older_graph_is_kept),
        WITH_DB(dataset_name__has_twelve_digits),
    };
    return cmocka_run_group_tests_name("lineage graph", tests, NULL, NULL);
}
