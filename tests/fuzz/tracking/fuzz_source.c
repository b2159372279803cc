/*
 * fuzz_source.c: any text as a path of artifacts, a page token and a source URI, against a database with one run: what
 * is taken for a path climbs nowhere, and what resolves is that run's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "lineage/lineage.h"
#include "registry/registry.h"
#include "tracking/artifact.h"
#include "tracking/resolve.h"
#include "tracking/tracking.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN "0123456789abcdef0123456789abcdef" /* as the corpus has it */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static td_db *db;
static char folder[] = "/tmp/td-fuzz-source-XXXXXX";

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
    char path[64], uuid[TD_TRIAL_UUID_SIZE];
    const uint8_t digest[TD_DIGEST_SIZE] = {1};
    td_txn txn;
    const td_migration *const lists[] = {td_audit_migrations,   td_access_migrations,   td_registry_migrations,
                                         td_lineage_migrations, td_tracking_migrations, NULL};
    const td_trial_options run = {.experiment = "0", .uuid = RUN};
    assert(mkdtemp(folder) != NULL);
    (void)snprintf(path, sizeof path, "%s/t.db", folder);
    must(td_crypto_setup(NULL));
    must(td_db_open(path, TD_DB_WRITE, &td_clock_system, &db, NULL));
    must(td_db_migrate(db, lists, NULL));
    must(td_txn_begin(db, &txn, NULL));
    must(td_trial_start(db, &td_actor_system, TD_PROJECT_DEFAULT, &run, uuid, NULL));
    must(td_artifact_put(db, &td_actor_system, TD_PROJECT_DEFAULT, "0/" RUN "/artifacts/net/MLmodel", digest, 1, NULL));
    must(td_txn_commit(&txn, NULL));
    (void)atexit(clean_up);
}

static void check_path(const char *text)
{
    if (td_artifact_path_check(text, NULL) == TD_OK) {
        assert(*text != '\0' && *text != '/' && strpbrk(text, "\\%#?*:\"<>|\n") == NULL);
        assert(strstr(text, "//") == NULL && strncmp(text, "../", 3) != 0 && strstr(text, "/../") == NULL);
        assert(strcmp(text, "..") != 0 && text[strlen(text) - 1] != '/');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TD_CLEANUP(td_arena_done) td_arena arena = {0};
    TD_CLEANUP(td_json_done) json_t *page = NULL;
    td_artifact_tree tree;
    if (db == NULL) {
        set_up();
    }
    char *text = td_arena_alloc(&arena, size + 1);
    if (text == NULL) {
        return 0;
    }
    memcpy(text, data, size);
    text[size] = '\0';
    check_path(text);
    if (td_artifact_resolve(db, TD_PROJECT_DEFAULT, text, &arena, &tree, NULL) == TD_OK) {
        assert(strcmp(tree.root, "0/" RUN "/artifacts") == 0 && tree.file_count == 1 &&
               strcmp(tree.run_uuid, RUN) == 0);
    }
    const td_history_page ask = {.key = "loss", .token = text};
    (void)!td_trial_history_json(db, TD_PROJECT_DEFAULT, RUN, &ask, &page, NULL);
    return 0;
}
