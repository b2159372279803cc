/*
 * cars.c: the rows and the table of cars.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/db/cars.h"

#include "core/base/fs.h"
#include "core/db/migrate.h"

static char folder[32];
td_db *cars_db;

static const td_migration steps[] = {
    {"cars", 1, "001_cars",
     "CREATE TABLE car (car_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, maker TEXT, wheels INTEGER NOT NULL,"
     " electric INTEGER NOT NULL, state TEXT NOT NULL, built_ms INTEGER NOT NULL, hidden INTEGER NOT NULL) STRICT;"
     "CREATE TABLE car_tag (car_id INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
     " PRIMARY KEY (car_id, key)) STRICT, WITHOUT ROWID;"
     "CREATE INDEX car_tag_by_value ON car_tag (key, value, car_id);"
     "CREATE TABLE car_metric (car_id INTEGER NOT NULL, key TEXT NOT NULL, value REAL NOT NULL,"
     " PRIMARY KEY (car_id, key)) STRICT, WITHOUT ROWID;"
     "CREATE TABLE car_owner (car_id INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (car_id, name)) STRICT;"
     "INSERT INTO car VALUES (1, 'alfa', 'A', 4, 0, 'new', 1770000000000, 0),"
     " (2, 'beta', 'B', 4, 0, 'used', 1772409600000, 0), (3, 'gamma', 'A', 8, 1, 'used', 1772700000000, 1),"
     " (4, 'delta', NULL, 6, 0, 'used', 1772700000001, 0);"
     "INSERT INTO car_tag VALUES (1, 'color', 'red'), (2, 'color', 'red'), (4, 'color', 'blue'), (1, 'note', '100*2'),"
     " (2, 'note', '[x]?'), (3, 'a.dotted/key:x', 'it''s'), (3, 'hidden', 'true'), (3, 'fuel', 'none');"
     "INSERT INTO car_metric VALUES (1, 'speed', 200.5), (2, 'speed', 100), (3, 'top speed', 100);"
     "INSERT INTO car_owner VALUES (1, 'ann'), (1, 'bob'), (2, 'ann');"},
    {0}};
static const td_migration *const lists[] = {steps, NULL};

static const char *const states[] = {"new", "used", NULL};
static const char *const labels[] = {"labels", NULL};
static const char *const people[] = {"people", "person", NULL};
static const td_filter_rows owner_rows = {"car_owner", "car_id", "c.car_id"};
static const td_filter_field fields[] = {
    {.name = "name", .type = TD_FILTER_TEXT, .sql = "c.name", .narrows = true},
    {.name = "wheels", .type = TD_FILTER_INTEGER, .sql = "c.wheels"},
    {.name = "maker", .type = TD_FILTER_TEXT, .sql = "c.maker", .nullable = true},
    {.name = "electric", .type = TD_FILTER_BOOLEAN, .sql = "c.electric"},
    {.name = "state", .type = TD_FILTER_TEXT, .sql = "c.state", .choices = states},
    {.name = "built", .type = TD_FILTER_TIME, .sql = "c.built_ms"},
    {.name = "owner", .type = TD_FILTER_TEXT, .sql = "name", .rows = &owner_rows},
    {.name = NULL},
};
static const td_filter_field person_fields[] = {{.name = "name", .type = TD_FILTER_TEXT, .sql = "name"},
                                                {.name = NULL}};
static const td_filter_key special[] = {{"hidden", "false", "c.hidden"}, {"fuel", "petrol", NULL}, {.key = NULL}};
static const td_filter_family families[] = {
    {.names = td_filter_tags,
     .type = TD_FILTER_TEXT,
     .rows = {"car_tag", "car_id", "c.car_id"},
     .key = "key",
     .value = "value",
     .keys = special,
     .by_value = true},
    {.names = td_filter_metrics,
     .type = TD_FILTER_REAL,
     .rows = {"car_metric", "car_id", "c.car_id"},
     .key = "key",
     .value = "value"},
    {.names = labels,
     .type = TD_FILTER_TEXT,
     .rows = {"car_tag", "car_id", "c.car_id"},
     .key = "key",
     .value = "value",
     .missing_matches = true,
     .no_order = true},
    {.names = people, .rows = {"car_owner", "car_id", "c.car_id"}, .fields = person_fields},
    {.names = NULL},
};
const td_filter_table cars_table = {
    .fields = fields, .families = families, .prefix = "car", .order = "name", .tie = "name"};

int cars_setup(void **state)
{
    char path[64];
    td_err err = {0};
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/td-filter-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/tidemark.db", folder);
    return td_db_open(path, TD_DB_WRITE, &td_clock_system, &cars_db, &err) == TD_OK &&
                   td_db_migrate(cars_db, lists, &err) == TD_OK
               ? 0
               : -1;
}

int cars_teardown(void **state)
{
    (void)state;
    td_db_close(cars_db);
    return td_folder_remove(folder, NULL) == TD_OK ? 0 : -1;
}

void list_names(const td_page *page, char *out, size_t room, char *next)
{
    static const td_list_query query = {
        .table = &cars_table, .columns = "c.name AS name", .from = "car c", .where = "c.car_id > :least"};
    TD_CLEANUP(td_list_close) td_list *list = NULL;
    td_err err = {0};
    size_t n = 0;
    if (td_list_open(cars_db, &query, "cars", page, &list, &err) != TD_OK) {
        fail_msg("%s", err.text);
    }
    td_bind_int(td_list_stmt(list), ":least", 0);
    out[0] = '\0';
    for (bool row = true;;) {
        if (td_list_step(list, &row, &err) != TD_OK) {
            fail_msg("%s\n%s", err.text, td_list_sql(list));
        }
        if (!row) {
            break;
        }
        n += (size_t)snprintf(out + n, room - n, "%s%s", n > 0 ? " " : "", td_column_text(td_list_stmt(list), "name"));
    }
    if (next != NULL) {
        snprintf(next, TD_CURSOR_LENGTH_MAX, "%s", td_list_next(list) != NULL ? td_list_next(list) : "");
    }
}
