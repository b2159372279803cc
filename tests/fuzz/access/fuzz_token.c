/*
 * fuzz_token.c: any bytes as a token and as an Authorization header, against a database with one user: nothing but the
 * one token opens the door.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "access/access.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fs.h"

extern const td_migration td_audit_migrations[];
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static td_db *db;
static td_token token;
static char folder[] = "/tmp/td-fuzz-token-XXXXXX";

static void clean_up(void)
{
    td_db_close(db);
    (void)!td_folder_remove(folder, NULL);
}

static void must(td_code code)
{
    assert(code == TD_OK);
}

static void set_up(void)
{
    char path[64];
    td_actor admin;
    td_principal local;
    td_txn txn;
    const td_migration *const lists[] = {td_audit_migrations, td_access_migrations, NULL};
    const td_user_options user = {.name = "ana"};
    const td_token_options options = {.user = "ana"};
    assert(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/t.db", folder);
    must(td_crypto_setup(NULL));
    must(td_db_open(path, TD_DB_WRITE, &td_clock_system, &db, NULL));
    must(td_db_migrate(db, lists, NULL));
    td_access_local(0, &local);
    must(td_access_check(&local, TD_PROJECT_DEFAULT, TD_MAY_MANAGE_USER, "", &admin, NULL));
    must(td_txn_begin(db, &txn, NULL));
    must(td_user_create(db, &admin, &user, NULL, NULL));
    must(td_token_create(db, &admin, &options, &token, NULL));
    must(td_txn_commit(&txn, NULL));
    (void)atexit(clean_up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    td_principal who;
    td_role role;
    if (db == NULL) {
        set_up();
    }
    td_code code = td_access_authenticate(db, (const char *)data, size, &who, NULL);
    assert(code == TD_DENIED || (code == TD_OK && size == strlen(token.text)));
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    code = td_access_log_in(db, text, &who, NULL);
    assert(code == TD_DENIED || (code == TD_OK && size > strlen(token.text)));
    (void)!td_user_name_check(text, NULL);
    (void)!td_project_name_check(text, NULL);
    (void)!td_role_parse(text, &role, NULL);
    free(text);
    must(td_access_authenticate(db, token.text, strlen(token.text), &who, NULL));
    return 0;
}
