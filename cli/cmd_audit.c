/*
 * cmd_audit.c: tidemark audit: read the log, take it away, and check it with the server switched off.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <string.h>

#include "audit/verify.h"
#include "cli/audit_checks.h"
#include "core/base/fs.h"
#include "core/crypto/crypto.h"
#include "registry/reference.h"
#include "server/ledger.h"

#define NOTE_MAX TD_LOG_NOTE_MAX

/* Records of no project (users, keys) are in the list unless --project was said. */
static const char *audit_path(td_cli *cli)
{
    const char *path = td_cli_path(cli, "audit", NULL);
    return td_cli_value(cli, "project") != NULL ? path : td_cli_text(cli, "%.*s", (int)strcspn(path, "?"), path);
}

static void print_records(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {
        {"seq", "SEQ", TD_CELL_NUMBER},        {"time", "TIME", TD_CELL_TIME},
        {"actor.id", "WHO", TD_CELL_TEXT},     {"action", "ACTION", TD_CELL_TEXT},
        {"object.id", "OBJECT", TD_CELL_TEXT}, {"outcome", "OUTCOME", TD_CELL_STATE},
        {"reason", "REASON", TD_CELL_TEXT},    {0},
    };
    td_print_table(cli, columns, td_json_list(answer, "records"), "No records.");
}

/* A version in any spelling is meant as it stands in the records; "version:pump/3" is a type and an id. */
static const char *object_filter(td_cli *cli, const char *filter, const char *object)
{
    td_reference reference;
    char text[TD_REFERENCE_TEXT_SIZE];
    if (object != NULL && td_reference_parse(object, &reference, NULL) == TD_OK) {
        td_reference_write(&reference, text);
        return td_cli_filter(cli, filter, "object", td_cli_text(cli, "%s", text));
    }
    size_t type = object != NULL ? strspn(object, "abcdefghijklmnopqrstuvwxyz_") : 0;
    if (type > 0 && object[type] == ':') {
        filter = td_cli_filter(cli, filter, "object_type", td_cli_text(cli, "%.*s", (int)type, object));
        object += type + 1;
    }
    return td_cli_filter(cli, filter, "object", object);
}

static td_code run_list(td_cli *cli, td_err *err)
{
    const char *path = audit_path(cli);
    const char *filter = object_filter(cli, NULL, td_cli_value(cli, "object"));
    filter = td_cli_filter(cli, filter, "actor", td_cli_value(cli, "actor"));
    filter = td_cli_filter(cli, filter, "action", td_cli_value(cli, "action"));
    if (td_cli_has(cli, "after")) {
        int64_t after;
        TD_TRY(td_cli_int(cli, "after", -1, INT64_MAX, -1, &after, err));
        filter = td_cli_text(cli, "%s%sseq > %lld", filter != NULL ? filter : "", filter != NULL ? " AND " : "",
                             (long long)after);
    }
    if (td_cli_has(cli, "newest") && td_cli_has(cli, "order-by")) {
        return td_fail(err, TD_INVALID, "--newest and --order-by exclude each other");
    }
    path = td_cli_query(cli, path, "order_by", td_cli_has(cli, "newest") ? "seq DESC" : NULL);
    return td_cli_list(cli, path, "records", filter, print_records, err);
}

static td_code run_export(td_cli *cli, td_err *err)
{
    const char *file = td_cli_value(cli, "out") == NULL ? "audit.tar" : td_cli_value(cli, "out");
    TD_TRY(td_cli_download(cli, td_cli_path(cli, "audit", "export", NULL), file, NULL, err));
    if (cli->json) {
        TD_CLEANUP(td_json_done) json_t *answer = json_pack("{s:s}", "file", file);
        td_print_json(cli, answer);
    } else {
        td_print_line(cli, "Wrote %s. Check it anywhere: tidemark audit verify %s --key FILE", file, file);
    }
    return TD_OK;
}

static td_code run_checkpoint(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str note = {0};
    const char *path = td_cli_query(cli, td_cli_path(cli, "audit", "checkpoint", NULL), "state",
                                    td_cli_has(cli, "signed") ? "signed" : NULL);
    TD_TRY(td_cli_fetch(cli, path, NOTE_MAX, &note, err));
    if (cli->json) {
        TD_CLEANUP(td_json_done) json_t *answer = json_pack("{s:s}", "checkpoint", td_str_text(&note));
        td_print_json(cli, answer);
    } else {
        (void)fputs(td_str_text(&note), cli->out);
    }
    return TD_OK;
}

static td_code run_proof(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str proof = {0};
    int64_t seq;
    TD_TRY(td_parse_int(cli->arguments[0], "the record's number", 0, INT64_MAX, &seq, err));
    const char *path = td_cli_path(cli, "audit", "records", cli->arguments[0], "proof", NULL);
    path = td_cli_query(cli, path, "format", td_cli_has(cli, "sigsum") ? "sigsum" : NULL);
    TD_TRY(td_cli_fetch(cli, path, 1 << 20, &proof, err));
    (void)fputs(td_str_text(&proof), cli->out);
    return TD_OK;
}

/* The record's bytes as they were hashed, and nothing else: what `audit verify --proof` takes. */
static td_code run_show(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str record = {0};
    int64_t seq;
    TD_TRY(td_parse_int(cli->arguments[0], "the record's number", 0, INT64_MAX, &seq, err));
    TD_TRY(td_cli_fetch(cli, td_cli_path(cli, "audit", "records", cli->arguments[0], NULL), TD_AUDIT_RECORD_MAX,
                        &record, err));
    (void)fwrite(record.data, 1, record.size, cli->out);
    return TD_OK;
}

static void print_witnesses(td_cli *cli, const json_t *answer)
{
    static const td_column_spec fields[] = {
        {"quorum", "quorum", TD_CELL_TEXT},
        {"signed_size", "records signed", TD_CELL_NUMBER},
        {"published_size", "records published", TD_CELL_NUMBER},
        {"published_at", "published", TD_CELL_TIME},
        {0},
    };
    static const td_column_spec columns[] = {
        {"name", "WITNESS", TD_CELL_TEXT}, {"state", "STATE", TD_CELL_STATE}, {"size", "COSIGNED", TD_CELL_NUMBER},
        {"time", "TIME", TD_CELL_TIME},    {"error", "WHY", TD_CELL_TEXT},    {0},
    };
    td_print_fields(cli, fields, answer);
    td_print_table(cli, columns, td_json_list(answer, "witnesses"), "No witnesses: set audit.policy_file.");
}

static td_code run_witnesses(td_cli *cli, td_err *err)
{
    return td_cli_show(cli, td_cli_path(cli, "audit", "witnesses", NULL), print_witnesses, err);
}

/* ---- verify ---- */

/* --key takes the key's text, or a file that holds it. */
static td_code read_key(td_cli *cli, const char **out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    const char *key = td_cli_value(cli, "key");
    *out = key;
    if (key == NULL || !td_path_exists(key)) {
        return TD_OK;
    }
    TD_TRY(td_file_read(key, NOTE_MAX, &text, err));
    *out = td_cli_text(cli, "%.*s", (int)strcspn(td_str_text(&text), "\r\n"), td_str_text(&text));
    return TD_OK;
}

/* Every checkpoint that was kept; NULL ends them. */
static td_code read_older(td_cli *cli, const char *out[TD_AUDIT_OLDER_MAX + 1], td_err *err)
{
    const char *file;
    for (size_t i = 0; (file = td_cli_value_at(cli, "older", i)) != NULL; i++) {
        TD_CLEANUP(td_str_done) td_str text = {0};
        if (i == TD_AUDIT_OLDER_MAX) {
            return td_fail(err, TD_LIMIT, "--older was given more than %d times", TD_AUDIT_OLDER_MAX);
        }
        TD_TRY(td_file_read(file, NOTE_MAX, &text, err));
        out[i] = td_cli_text(cli, "%s", td_str_text(&text));
    }
    return TD_OK;
}

static json_t *verdict_json(const td_audit_verdict *verdict)
{
    char root[TD_DIGEST_TEXT];
    td_hex_encode(verdict->root.hash, TD_DIGEST_SIZE, root);
    return json_pack("{s:b, s:I, s:s, s:I, s:I, s:I, s:b, s:s, s:s}", "verified", 1, "size",
                     (json_int_t)verdict->root.size, "root", root,
                     "records", (json_int_t)verdict->records, "erased", (json_int_t)verdict->erased, "pending",
                     (json_int_t)verdict->pending, "trusted", verdict->trusted, "first_at", verdict->first_time,
                     "last_at", verdict->last_time);
}

static void print_verdict(td_cli *cli, const json_t *verdict)
{
    static const td_column_spec fields[] = {
        {"records", "records", TD_CELL_NUMBER},
        {"erased", "bodies erased", TD_CELL_NUMBER},
        {"pending", "not yet under a checkpoint", TD_CELL_NUMBER},
        {"size", "tree", TD_CELL_NUMBER},
        {"root", "root", TD_CELL_TEXT},
        {"first_at", "from", TD_CELL_TIME},
        {"last_at", "to", TD_CELL_TIME},
        {"rows.compared", "rows of the database held against them", TD_CELL_NUMBER},
        {"rows.undecided", "of these not decidable (erased bodies)", TD_CELL_NUMBER},
        {"rows.approvals", "signatures of approvals", TD_CELL_NUMBER},
        {"rows.keysets", "keysets", TD_CELL_NUMBER},
        {"rows.files", "files hashed", TD_CELL_NUMBER},
        {0},
    };
    td_print_line(cli, "%sVerified%s: no record was changed, removed or put in between.",
                  td_tint_code(cli, TD_TINT_GOOD), td_tint_code(cli, TD_TINT_NONE));
    td_print_fields(cli, fields, verdict);
    td_audit_checks_print(cli, verdict);
    td_audit_policy_print(cli, verdict);
    td_audit_erasures_print(cli, verdict);
    const json_t *clock = json_object_get(verdict, "clock");
    if (clock != NULL) {
        td_print_line(cli,
                      "The clock was %sset back%s %lld times, by %lld ms at most (record %lld). Numbers, not times, "
                      "give the order.",
                      td_tint_code(cli, TD_TINT_WARN), td_tint_code(cli, TD_TINT_NONE),
                      (long long)td_json_int(clock, "set_back", 0), (long long)td_json_int(clock, "largest_ms", 0),
                      (long long)td_json_int(clock, "record", 0));
    }
    if (!json_is_true(json_object_get(verdict, "trusted"))) {
        td_print_line(
            cli,
            "%sThe key came from the log itself%s: this shows that it agrees with itself, not whose it is. Keep "
            "the log's key elsewhere and give it with --key.",
            td_tint_code(cli, TD_TINT_WARN), td_tint_code(cli, TD_TINT_NONE));
    }
}

/* The rows of a database, held against the records that passed. */
typedef struct rows_check {
    td_audit_checks checks;
    td_audit_erasures erasures;
    td_ledger *ledger;
    td_content *content; /* NULL: --no-content */
    td_ledger_verdict verdict;
} rows_check;

static void rows_check_done(rows_check *rows)
{
    td_ledger_free(&rows->ledger);
    json_decref(rows->erasures.list);
    td_content_close(rows->content);
}

static void follow_rows(void *context, int64_t seq, const json_t *record)
{
    rows_check *rows = context;
    td_audit_erasures_see(&rows->erasures, record);
    if (rows->ledger != NULL) {
        td_ledger_follow(rows->ledger, seq, record);
    }
}

static td_code compare_rows(void *context, td_db *db, td_err *err)
{
    rows_check *rows = context;
    td_code code = td_ledger_compare(rows->ledger, db, rows->content, &rows->verdict, err);
    rows->checks.record = td_ledger_record(rows->ledger);
    const td_ledger_verdict *held = &rows->verdict;
    rows->checks.count[TD_AUDIT_ROWS] = held->rows + held->approvals + held->keysets + held->files;
    return code;
}

/* A live database is verified through a reading connection; the server may run. */
static td_code verify_database(td_cli *cli, td_audit_verify_options *options, rows_check *rows, td_audit_verdict *out,
                               td_err *err)
{
    td_db *db;
    TD_TRY(td_ledger_new(&rows->ledger, err));
    if (!td_cli_has(cli, "no-content")) {
        TD_TRY(td_content_attach(td_cli_text(cli, "%s/content", cli->workspace), &rows->content, err));
    }
    options->then = compare_rows;
    TD_TRY(td_db_open(td_cli_text(cli, "%s/tidemark.db", cli->workspace), TD_DB_READ, &td_clock_system, &db, err));
    td_code code = td_audit_verify_db(db, options, out, err);
    td_db_close(db);
    return code;
}

static json_t *rows_json(const td_ledger_verdict *rows)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "compared", (json_int_t)rows->rows, "undecided",
                     (json_int_t)rows->undecided, "approvals", (json_int_t)rows->approvals, "keysets",
                     (json_int_t)rows->keysets, "files", (json_int_t)rows->files);
}

static void print_proven(td_cli *cli, const json_t *answer)
{
    td_print_line(cli, "%sVerified%s: this is record %lld of the %lld under the checkpoint.",
                  td_tint_code(cli, TD_TINT_GOOD), td_tint_code(cli, TD_TINT_NONE),
                  (long long)td_json_int(answer, "index", -1), (long long)td_json_int(answer, "size", -1));
}

/* One record, its proof and the log's key: nothing else is needed. */
static td_code verify_proof(td_cli *cli, const char *vkey, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str proof = {0};
    TD_CLEANUP(td_str_done) td_str record = {0};
    char root[TD_DIGEST_TEXT];
    td_log_root under;
    int64_t index;
    if (cli->argument_count == 0 || vkey == NULL) {
        return td_fail(err, TD_INVALID, "a proof is checked with the record's file and the log's key: "
                                        "tidemark audit verify RECORD --proof FILE --key KEY");
    }
    TD_TRY(td_file_read(td_cli_value(cli, "proof"), 4 * NOTE_MAX, &proof, err));
    TD_TRY(td_file_read(cli->arguments[0], TD_AUDIT_RECORD_MAX, &record, err));
    TD_TRY(td_log_proof_check(proof.data, proof.size, record.data, record.size, vkey, &index, &under, err));
    td_hex_encode(under.hash, TD_DIGEST_SIZE, root);
    TD_CLEANUP(td_json_done)
    json_t *answer =
        json_pack("{s:I, s:I, s:s}", "index", (json_int_t)index, "size", (json_int_t)under.size, "root", root);
    TD_TRY(td_cli_need(answer, err));
    td_cli_present(cli, answer, print_proven);
    return TD_OK;
}

static td_code present_verdict(td_cli *cli, const td_audit_verdict *verdict, const rows_check *rows,
                               const td_audit_policy *policy, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *answer = verdict_json(verdict);
    TD_TRY(td_cli_need(answer, err));
    TD_TRY(td_audit_policy_add(policy, answer, err));
    json_t *clock = td_audit_clock_json(&rows->checks);
    bool good = json_object_set_new(answer, "checks", td_audit_checks_json(&rows->checks, NULL)) == 0 &&
                (clock == NULL || json_object_set_new(answer, "clock", clock) == 0) &&
                (rows->erasures.list == NULL || json_object_set(answer, "erasures", rows->erasures.list) == 0) &&
                (rows->ledger == NULL || json_object_set_new(answer, "rows", rows_json(&rows->verdict)) == 0);
    if (!good) {
        return td_fail(err, TD_NOMEM, "no memory for the answer");
    }
    td_cli_present(cli, answer, print_verdict);
    return TD_OK;
}

static td_code run_verify(td_cli *cli, td_err *err)
{
    td_audit_verdict verdict;
    TD_CLEANUP(rows_check_done) rows_check rows = {.ledger = NULL};
    const char *older[TD_AUDIT_OLDER_MAX + 1] = {NULL};
    td_audit_verify_options options = {.signatures = td_cli_has(cli, "signatures"), .older = older};
    TD_TRY(td_crypto_setup(err));
    TD_TRY(read_key(cli, &options.vkey, err));
    if (td_cli_has(cli, "proof")) {
        return verify_proof(cli, options.vkey, err);
    }
    TD_CLEANUP(td_audit_policy_done) td_audit_policy policy = {.policy = NULL};
    TD_TRY(td_audit_policy_read(cli, &policy, &options, err));
    TD_TRY(read_older(cli, older, err));
    static const char *const erasures[] = {"erase.record", NULL};
    options.seen = follow_rows;
    options.seen_actions = cli->argument_count == 0 ? NULL : erasures;
    options.seen_context = &rows;
    options.checks = &rows.checks;
    rows.checks.record = -1;
    td_code code = cli->argument_count == 0 ? verify_database(cli, &options, &rows, &verdict, err)
                                            : td_audit_verify_export(cli->arguments[0], &options, &verdict, err);
    if (code != TD_OK) {
        if (code == TD_CORRUPT) {
            td_audit_checks_failed(cli, &rows.checks, &policy, err);
        }
        return code;
    }
    return present_verdict(cli, &verdict, &rows, &policy, err);
}

static const td_cli_option list_options[] = {
    {"after", 0, "SEQ", "only later records", false},
    {"newest", 0, NULL, "newest first", false},
    {"object", 0, "ID", "pump/3, or version:pump/3", false},
    {"actor", 0, "NAME", "who did it", false},
    {"action", 0, "ACTION", "approve.version", false},
    TD_CLI_LIST_OPTIONS,
    {0},
};
static const td_cli_option export_options[] = {
    {"out", 'o', "FILE", "default: audit.tar", false},
    {0},
};
static const td_cli_option checkpoint_options[] = {
    {"signed", 0, NULL, "the newest that the log signed, whether the witnesses have cosigned it or not", false},
    {0},
};
static const td_cli_option proof_options[] = {
    {"sigsum", 0, NULL, "in the form that sigsum-verify reads", false},
    {0},
};
static const td_cli_option verify_options[] = {
    {"key", 0, "KEY", "the log's key as you know it: its text, or a file with it", false},
    {"older", 0, "FILE", "a checkpoint kept from earlier: the log must be an extension of it", true},
    {"policy", 0, "FILE", "a witness policy: its quorum must have cosigned the newest checkpoint", false},
    {"cosigned-after", 0, "TIME", "of the policy's witnesses: earlier cosignatures do not count", false},
    {"proof", 0, "FILE", "the argument is one record; FILE is what `audit proof` printed for it", false},
    {"signatures", 0, NULL, "check each leaf's own signature too (slow)", false},
    {"no-content", 0, NULL, "of a workspace: do not hash the files of its versions", false},
    {0},
};

const td_cli_command td_cli_audit_commands[] = {
    {"audit", "list", "", 0, 0, "List audit records", NULL, "tidemark audit list --object pump/3", list_options,
     run_list},
    {"audit", "verify", "[EXPORT]", 0, 1, "Verify an export, or the workspace's database; no server is asked",
     "The whole Merkle tree is computed again, the checkpoint's signature checked, every record held against its leaf, "
     "and the records against each other: numbers without gaps, nobody approved his own version, nothing was rolled "
     "out before it was approved. In a workspace the rows of the database must say what the records say (aliases, "
     "states, approvals, roles, keysets, devices, roll-outs, alerts, lineage), and its versions' files have their "
     "digests.",
     "tidemark audit verify audit.tar --key log.vkey\ntidemark audit verify --workspace ./tidemark-workspace",
     verify_options, run_verify},
    {"audit", "export", "", 0, 0, "Download the whole log as one tar that verifies offline", NULL,
     "tidemark audit export --out audit.tar", export_options, run_export},
    {"audit", "checkpoint", "", 0, 0, "Print the newest published checkpoint: keep it elsewhere", NULL, NULL,
     checkpoint_options, run_checkpoint},
    {"audit", "witnesses", "", 0, 0, "Show who cosigns the log's checkpoints, and how they do",
     "Each witness of the policy (audit.policy_file) with the tree that it cosigned last. A checkpoint is published "
     "once the policy's quorum has cosigned it. A witness that contradicts has seen another tree: see docs/audit.md.",
     "tidemark audit witnesses --as ben", NULL, run_witnesses},
    {"audit", "show", "SEQ", 1, 1, "Print the bytes of one record as they were hashed", NULL,
     "tidemark audit show 17 > record", NULL, run_show},
    {"audit", "proof", "SEQ", 1, 1, "Print the proof that a record is in the log", NULL,
     "tidemark audit proof 17 > proof; tidemark audit verify record --proof proof --key log.vkey", proof_options,
     run_proof},
    {0},
};
