/*
 * fuzz_filter.c: any text as filter, order and cursor (its first three lines): refused with a message, or a statement
 * that SQLite prepares and runs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/db/list.h"
#include "core/db/migrate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const td_migration steps[] = {
    {"car", 1, "001_car",
     "CREATE TABLE car (car_id INTEGER PRIMARY KEY, name TEXT NOT NULL, maker TEXT, wheels INTEGER NOT NULL,"
     " electric INTEGER NOT NULL, state TEXT NOT NULL, built_ms INTEGER NOT NULL) STRICT;"
     "CREATE TABLE tag (car_id INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (car_id, key))"
     " STRICT;"
     "CREATE INDEX tag_by_value ON tag (key, value, car_id);"
     "CREATE TABLE metric (car_id INTEGER NOT NULL, key TEXT NOT NULL, value REAL NOT NULL,"
     " PRIMARY KEY (car_id, key)) STRICT;"
     "INSERT INTO car VALUES (1, 'a', 'A', 4, 0, 'new', 1), (2, 'b', NULL, 6, 1, 'used', 2);"
     "INSERT INTO tag VALUES (1, 'k', 'v'); INSERT INTO metric VALUES (2, 'm', 0.5);"},
    {0}};
static const td_migration *const lists[] = {steps, NULL};

static const char *const states[] = {"new", "used", NULL};
static const td_filter_rows tag_rows = {"tag", "car_id", "c.car_id"};
static const td_filter_field fields[] = {
    {.name = "name", .type = TD_FILTER_TEXT, .sql = "c.name", .narrows = true},
    {.name = "wheels", .type = TD_FILTER_INTEGER, .sql = "c.wheels"},
    {.name = "maker", .type = TD_FILTER_TEXT, .sql = "c.maker", .nullable = true},
    {.name = "electric", .type = TD_FILTER_BOOLEAN, .sql = "c.electric"},
    {.name = "state", .type = TD_FILTER_TEXT, .sql = "c.state", .choices = states},
    {.name = "built", .type = TD_FILTER_TIME, .sql = "c.built_ms"},
    {.name = "any", .type = TD_FILTER_TEXT, .sql = "value", .rows = &tag_rows},
    {.name = NULL},
};
static const td_filter_key special[] = {{"flag", "false", "c.electric"}, {"absent", "x", NULL}, {.key = NULL}};
static const td_filter_family families[] = {
    {.names = td_filter_tags,
     .rows = {"tag", "car_id", "c.car_id"},
     .key = "key",
     .value = "value",
     .keys = special,
     .by_value = true},
    {.names = td_filter_params, .rows = {"tag", "car_id", "c.car_id"}, .key = "key", .value = "value",
     .missing_matches = true},
    {.names = td_filter_metrics, .type = TD_FILTER_REAL, .rows = {"metric", "car_id", "c.car_id"}, .key = "key",
     .value = "value"},
    {.names = NULL},
};
static const td_filter_table table = {.fields = fields, .families = families, .order = "wheels DESC", .tie = "name"};
static const td_list_query query = {.table = &table, .columns = "c.car_id AS car_id", .from = "car c"};

static td_db *open_db(void)
{
    static td_db *db;
    char path[] = "/tmp/td-fuzz-filter-XXXXXX", beside[64];
    td_err err;
    int fd = db == NULL ? mkstemp(path) : -1;
    if (fd >= 0) {
        close(fd);
        if (td_db_open(path, TD_DB_WRITE, &td_clock_system, &db, &err) != TD_OK ||
            td_db_migrate(db, lists, &err) != TD_OK) {
            abort();
        }
        unlink(path);
        for (const char *const *end = (const char *const[]){".lock", "-wal", "-shm", NULL}; *end != NULL; end++) {
            snprintf(beside, sizeof beside, "%s%s", path, *end);
            unlink(beside);
        }
    }
    return db;
}

static char *line(char **rest)
{
    char *text = *rest, *end = strchr(text, '\n');
    if (end != NULL) {
        *end = '\0';
        *rest = end + 1;
    } else {
        *rest = text + strlen(text);
    }
    return text;
}

/* Every page to the end: a cursor that was given is always taken back. */
static void walk(const td_page *first)
{
    char cursor[TD_CURSOR_LENGTH_MAX + 1];
    td_page page = *first;
    for (int pages = 0; pages < 4; pages++) {
        td_list *list = NULL;
        td_err err;
        td_code code = td_list_open(open_db(), &query, "fuzz", &page, &list, &err);
        if (code != TD_OK) {
            if ((code != TD_INVALID && code != TD_LIMIT) || (pages > 0)) {
                abort();
            }
            return;
        }
        for (bool row = true; row;) {
            if (td_list_step(list, &row, &err) != TD_OK) {
                abort();
            }
        }
        const char *next = td_list_next(list);
        snprintf(cursor, sizeof cursor, "%s", next != NULL ? next : "");
        td_list_close(&list);
        page.cursor = cursor;
        if (cursor[0] == '\0') {
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *rest = text;
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    td_page page = {.limit = 1};
    page.filter = line(&rest);
    page.order = line(&rest);
    page.cursor = line(&rest);
    walk(&page);
    free(text);
    return 0;
}
