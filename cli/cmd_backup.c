/*
 * cmd_backup.c: tidemark backup and restore: copies that were verified, and the way back from one.
 *
 * Both work on files, on the server's machine; a backup runs beside the server, which only writes the record.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include "audit/log.h"
#include "core/base/fs.h"
#include "core/crypto/crypto.h"
#include "server/backup.h"

#include <string.h>

/* ---- progress ---- */

static void show(void *context, const char *stage, uint64_t done, uint64_t total)
{
    const td_cli *cli = context;
    if (cli->progress && total > 0) {
        (void)fprintf(stderr, "\r%-9s %3llu %% ", stage, (unsigned long long)(done * 100 / total));
    }
}

static td_backup_watch watch_of(td_cli *cli)
{
    return (td_backup_watch){.context = cli, .tell = show};
}

static void end_progress(const td_cli *cli)
{
    if (cli->progress) {
        (void)fprintf(stderr, "\r%78s\r", "");
    }
}

/* ---- backup ---- */

/* The server writes the record; without one we do. A server that takes no writes is no reason to have no backup. */
static td_code record(void *context, const json_t *facts, const uint8_t digest[TD_DIGEST_SIZE], td_err *err)
{
    td_cli *cli = context;
    TD_CLEANUP(td_json_done) json_t *body = NULL;
    td_err why = {0};
    TD_TRY(td_backup_record_body(facts, digest, &body, err));
    end_progress(cli);
    td_code code = td_backup_record_offline(cli->workspace, facts, digest, &why);
    if (code == TD_BUSY) {
        td_cli_prefer_socket(cli);
        code = td_cli_call(cli, "POST", td_cli_path(cli, "backups", NULL), body, NULL, &why);
    }
    if (code == TD_CONFLICT) {
        (void)fprintf(stderr, "The backup is good, but it is not in the log: %s\n", why.text);
        return TD_OK;
    }
    if (code != TD_OK) {
        return td_fail(err, code, "the backup could not be recorded in the log: %s", why.text);
    }
    return TD_OK;
}

static void print_backup(td_cli *cli, const json_t *backup)
{
    static const td_column_spec fields[] = {
        {"path", "backup", TD_CELL_TEXT},
        {"digest", "digest", TD_CELL_TEXT},
        {"made", "made", TD_CELL_TIME},
        {"log.records", "audit records", TD_CELL_NUMBER},
        {"log.size", "under a checkpoint", TD_CELL_NUMBER},
        {"content.objects", "files", TD_CELL_NUMBER},
        {"content.bytes", "", TD_CELL_BYTES},
        {"copied.bytes", "copied now", TD_CELL_BYTES},
        {0},
    };
    td_print_fields(cli, fields, backup);
    td_print_line(cli, td_json_bool(backup, "keys", false)
                           ? "The server's private keys and tokens are in it: guard it like the workspace."
                           : "No private keys are in it: without them it does not become a server again.");
    td_print_line(cli, "The memory of the log's signer is in no backup (docs/backup.md).");
}

static td_code run_backup(td_cli *cli, td_err *err)
{
    if (!td_cli_value(cli, "to")) {
        return td_fail(err, TD_INVALID, "--to DIR is missing: where backups are kept, best on another disk");
    }
    const td_backup_options options = {.workspace = cli->workspace,
                                       .to = td_cli_value(cli, "to"),
                                       .without_keys = td_cli_has(cli, "without-keys"),
                                       .trust_older = td_cli_has(cli, "trust-older"),
                                       .clock = &td_clock_system,
                                       .watch = watch_of(cli),
                                       .record = record,
                                       .record_context = cli};
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_TRY(td_crypto_setup(err));
    td_code code = td_backup_make(&options, &answer, err);
    end_progress(cli);
    TD_TRY(code);
    td_cli_present(cli, answer, print_backup);
    return TD_OK;
}

/* ---- backup verify ---- */

/* --key takes the key's text, or a file that holds it. */
static td_code read_check(td_cli *cli, td_backup_check *out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    const char *key = td_cli_value(cli, "key");
    *out = (td_backup_check){.backup = cli->arguments[0],
                             .digest = td_cli_value(cli, "digest"),
                             .vkey = key,
                             .watch = watch_of(cli)};
    if (key && td_path_exists(key)) {
        TD_TRY(td_file_read(key, TD_LOG_NOTE_MAX, &text, err));
        out->vkey = td_cli_text(cli, "%.*s", (int)strcspn(td_str_text(&text), "\r\n"), td_str_text(&text));
    }
    return td_crypto_setup(err);
}

static const char untrusted[] =
    "Neither --digest nor --key was given: it agrees with itself, but nobody has shown whose it is.";

static void print_verified(td_cli *cli, const json_t *backup)
{
    print_backup(cli, backup);
    if (!td_json_bool(backup, "trusted", false)) {
        td_print_line(cli, "%s", untrusted);
    }
    td_print_line(cli, "Verified: every file, the database, the log and each object.");
}

static td_code run_verify(td_cli *cli, td_err *err)
{
    td_backup_check check;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_TRY(read_check(cli, &check, err));
    td_code code = td_backup_verify(&check, &answer, err);
    end_progress(cli);
    TD_TRY(code);
    td_cli_present(cli, answer, print_verified);
    return TD_OK;
}

/* ---- backup list and prune ---- */

static td_code need_place(const td_cli *cli, const char **out, td_err *err)
{
    *out = td_cli_value(cli, "to");
    return *out ? TD_OK : td_fail(err, TD_INVALID, "--to DIR is missing: where backups are kept");
}

static void print_list(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"name", "BACKUP", TD_CELL_TEXT},           {"made", "MADE", TD_CELL_TIME},
        {"log.records", "RECORDS", TD_CELL_NUMBER}, {"content.objects", "FILES", TD_CELL_NUMBER},
        {"content.bytes", "BYTES", TD_CELL_BYTES},  {"keys", "KEYS", TD_CELL_TEXT},
        {"trouble", "TROUBLE", TD_CELL_TEXT},       {0},
    };
    td_print_table(cli, columns, td_json_list(answer, "backups"), "No backups.");
}

static td_code run_list(td_cli *cli, td_err *err)
{
    const char *place;
    json_t *list = NULL;
    TD_TRY(need_place(cli, &place, err));
    TD_TRY(td_crypto_setup(err));
    TD_TRY(td_backup_list(place, &list, err));
    TD_CLEANUP(td_json_done) json_t *answer = json_pack("{s:o}", "backups", list);
    TD_TRY(td_cli_need(answer, err));
    td_cli_present(cli, answer, print_list);
    return TD_OK;
}

static void print_pruned(td_cli *cli, const json_t *answer)
{
    char bytes[24];
    const json_t *content = json_object_get(answer, "content");
    td_format_bytes((uint64_t)td_json_int(content, "bytes", 0), bytes);
    td_print_line(cli, "%zu backups were kept, %zu removed; %lld files (%s) that none of them needs went, too.",
                  json_array_size(json_object_get(answer, "kept")), json_array_size(json_object_get(answer, "removed")),
                  (long long)td_json_int(content, "objects", 0), bytes);
}

static td_code run_prune(td_cli *cli, td_err *err)
{
    const char *place;
    int64_t keep;
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    TD_TRY(need_place(cli, &place, err));
    if (!td_cli_has(cli, "keep")) {
        return td_fail(err, TD_INVALID, "--keep N is missing: how many of the newest to keep");
    }
    TD_TRY(td_cli_int(cli, "keep", 1, 1000000, 1, &keep, err));
    TD_TRY(td_crypto_setup(err));
    TD_TRY(td_backup_prune(place, (size_t)keep, &answer, err));
    td_cli_present(cli, answer, print_pruned);
    return TD_OK;
}

/* ---- restore ---- */

static void print_lacks(td_cli *cli, const json_t *lacks)
{
    size_t i;
    const json_t *name;
    if (json_array_size(lacks) > 0) {
        td_print_line(cli, "These keys are lacking; put them in their places before the server starts:");
    }
    json_array_foreach ((json_t *)lacks, i, name) {
        td_print_line(cli, "  %s", json_string_value(name));
    }
}

static void print_restored(td_cli *cli, const json_t *answer)
{
    const char *log = td_json_text(answer, "log", "");
    td_print_line(cli, "Restored %s: %lld audit records, of %s.", td_json_text(answer, "workspace", ""),
                  (long long)td_json_int(answer, "records", 0), td_json_text(answer, "made", ""));
    if (!td_json_bool(answer, "trusted", false)) {
        td_print_line(cli, "%s", untrusted);
    }
    print_lacks(cli, json_object_get(answer, "lacks"));
    if (strcmp(log, "goes on") == 0) {
        td_print_line(cli, "The signer remembers nothing that is not here: the log goes on.");
        return;
    }
    td_print_line(cli, "The server will start read-only: %s.",
                  strcmp(log, "behind") == 0 ? "more records were signed than are here"
                                             : "the memory of the log's signer is not here");
    td_print_line(cli, "Look first whether there is a newer backup. If not: tidemark log resume --accept-truncation "
                       "--reason '…'");
}

static td_code run_restore(td_cli *cli, td_err *err)
{
    td_restore_options options = {.workspace = cli->workspace,
                                  .reason = td_cli_value(cli, "reason"),
                                  .keys = td_cli_value(cli, "keys"),
                                  .signer_state = td_cli_value(cli, "signer-state"),
                                  .clock = &td_clock_system};
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    if (!options.reason) {
        return td_fail(err, TD_INVALID, "--reason is missing: it goes into the log");
    }
    TD_TRY(read_check(cli, &options.check, err));
    td_code code = td_backup_restore(&options, &answer, err);
    end_progress(cli);
    TD_TRY(code);
    td_cli_present(cli, answer, print_restored);
    return TD_OK;
}

static const td_cli_option backup_options[] = {
    {"to", 0, "DIR", "folder of backups; content that is there already is not copied again", false},
    {"without-keys", 0, NULL, "leave private keys and tokens out", false},
    {"trust-older", 0, NULL, "compare content that an older backup copied by size only", false},
    {0},
};
static const td_cli_option verify_options[] = {
    {"digest", 0, "DIGEST", "of backup.json, as it was told when the backup was made", false},
    {"key", 0, "KEY", "the log's key as you know it: its text, or a file with it", false},
    {0},
};
static const td_cli_option list_options[] = {
    {"to", 0, "DIR", "folder of backups", false},
    {0},
};
static const td_cli_option prune_options[] = {
    {"to", 0, "DIR", "folder of backups", false},
    {"keep", 0, "N", "how many of the newest to keep", false},
    {0},
};
static const td_cli_option restore_options[] = {
    {"reason", 0, "TEXT", "goes into the log", false},
    {"digest", 0, "DIGEST", "of backup.json, as it was told when the backup was made", false},
    {"key", 0, "KEY", "the log's key as you know it: its text, or a file with it", false},
    {"keys", 0, "DIR", "folder with the keys that the backup lacks", false},
    {"signer-state", 0, "FILE", "keys/log.state of the lost server, if it could be saved", false},
    {0},
};

const td_cli_command td_cli_backup_commands[] = {
    {"backup", "verify", "BACKUP", 1, 1, "Read a whole backup again and say whether it is what it says it is",
     "Files against backup.json, the database's pages, the log against its checkpoint, each object that records name, "
     "and every object's digest.",
     "tidemark backup verify /mnt/backup/20261126T063411Z --key log.vkey", verify_options, run_verify},
    {"backup", "list", "", 0, 0, "List the finished backups in a folder, oldest first", NULL,
     "tidemark backup list --to /mnt/backup", list_options, run_list},
    {"backup", "prune", "", 0, 0, "Remove all but the newest backups, and content that only they needed",
     "Nothing is removed when a backup in the folder cannot be read: what it needs is unknown then.",
     "tidemark backup prune --to /mnt/backup --keep 14", prune_options, run_prune},
    {"backup", NULL, "", 0, 0, "Make a verified copy of the workspace beside the running server",
     "Made in DIR under a name that ends in .unfinished, and renamed once the copy was verified: pages, log, content. "
     "After an interruption the next run goes on with the content that is there. It holds the private keys unless "
     "--without-keys is given; the memory of the log's signer never.",
     "tidemark backup --to /mnt/backup --workspace /var/lib/tidemark", backup_options, run_backup},
    {"restore", NULL, "BACKUP", 1, 1, "Make a workspace out of a backup; nothing is overwritten",
     "Verifies the backup, makes the workspace beside its place, records restore.backup with the reason, renames it. "
     "If more was signed than the backup holds, or nobody knows, the server starts read-only and says how to go on.",
     "tidemark restore /mnt/backup/20261126T063411Z --workspace /var/lib/tidemark --reason 'the disk died'",
     restore_options, run_restore},
    {0},
};
