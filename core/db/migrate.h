/*
 * migrate.h: the schema, as numbered steps that each module embeds from <folder>/schema/NNN_what.sql.
 *
 * Applied steps are rows of table schema_migration; PRAGMA user_version counts them all, so that an older program
 * refuses a newer database. Each step runs in its own savepoint; all pending steps of a start are one transaction.
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_DB_MIGRATE_H
#define TD_CORE_DB_MIGRATE_H

#include "core/db/db.h"

typedef struct td_migration {
    const char *module; /* NULL ends a list */
    int number;         /* 1, 2, 3 … within its module */
    const char *name;   /* file name without ".sql" */
    const char *sql;
} td_migration;

/* Applies what is missing, list by list in the given order (`lists` ends with NULL). CONFLICT: the database was made by
 * a newer program (it knows steps that we do not); nothing is changed then. */
TD_MUST_USE td_code td_db_migrate(td_db *db, const td_migration *const *lists, td_err *err);
/* On any connection: how many of these steps are still to come, and how many were made that are not among them. */
TD_MUST_USE td_code td_db_migrate_state(td_db *db, const td_migration *const *lists, int64_t *missing_out,
                                        int64_t *unknown_out, td_err *err);

#endif
