/*
 * commands.h: the rows of the table of commands, a list a file, and what the commands share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CLI_COMMANDS_H
#define TD_CLI_COMMANDS_H

#include "cli/cli.h"
#include "cli/http.h"
#include "cli/output.h"
#include "core/crypto/ec.h"
#include "registry/manifest.h"

/* Any reference → model and number; asks the server where an alias points. INVALID, or what the server says. */
TD_MUST_USE td_code td_cli_version_number(td_cli *cli, const char *text, const char **model_out, int64_t *number_out,
                                          td_err *err);

extern const td_cli_command td_cli_init_commands[];
extern const td_cli_command td_cli_status_commands[];
extern const td_cli_command td_cli_doctor_commands[];
extern const td_cli_command td_cli_backup_commands[];
extern const td_cli_command td_cli_log_commands[];
extern const td_cli_command td_cli_signer_commands[];
extern const td_cli_command td_cli_login_commands[];
extern const td_cli_command td_cli_model_commands[];
extern const td_cli_command td_cli_version_commands[];
extern const td_cli_command td_cli_alias_commands[];
extern const td_cli_command td_cli_bundle_commands[];
extern const td_cli_command td_cli_claim_commands[];
extern const td_cli_command td_cli_device_commands[];
extern const td_cli_command td_cli_rollout_commands[];
extern const td_cli_command td_cli_monitor_commands[];
extern const td_cli_command td_cli_pipeline_commands[];
extern const td_cli_command td_cli_worker_commands[];
extern const td_cli_command td_cli_lineage_commands[];
extern const td_cli_command td_cli_audit_commands[];
extern const td_cli_command td_cli_project_commands[];
extern const td_cli_command td_cli_user_commands[];
extern const td_cli_command td_cli_key_commands[];
extern const td_cli_command td_cli_event_commands[];
extern const td_cli_command td_cli_import_commands[];
extern const td_cli_command td_cli_help_commands[];

/* Functions of commands that live in files of their own. */
TD_MUST_USE td_code td_cli_register(td_cli *cli, td_err *err); /* register.c */
TD_MUST_USE td_code td_cli_derive(td_cli *cli, td_err *err);
TD_MUST_USE td_code td_cli_approve(td_cli *cli, td_err *err);  /* approve.c */

TD_MUST_USE td_code td_cli_claims_verify(td_cli *cli, td_err *err); /* claims.c */

/* ---- signing (signing.c) ---- */

/* The person's own P-256 key: --key, $TIDEMARK_KEY_FILE, that of --as, or the one that enrol-me made. */
TD_MUST_USE td_code td_cli_person_key(td_cli *cli, td_key **out, td_err *err);
/* Fetches the manifest of a version (its JSON as the API gives it) and checks that it is of that very version, with its
 * files and content id. Text lives in the command's arena. CORRUPT: do not sign. */
TD_MUST_USE td_code td_cli_manifest(td_cli *cli, const json_t *version, td_str *bytes, td_manifest *out, td_err *err);

TD_MUST_USE td_code td_cli_diff(td_cli *cli, td_err *err);     /* diff.c */
TD_MUST_USE td_code td_cli_inspect(td_cli *cli, td_err *err);  /* facts.c */
TD_MUST_USE td_code td_cli_model_sign(td_cli *cli, td_err *err);   /* model_sign.c */
TD_MUST_USE td_code td_cli_model_verify(td_cli *cli, td_err *err);

/* What is known of a model file, and verdicts on the version's other files (facts.c). */
void td_cli_print_facts(td_cli *cli, const json_t *facts);
void td_cli_print_scans(td_cli *cli, const json_t *version);

/* GET path; with --json prints the answer, else calls `print`. */
typedef void (*td_cli_printer)(td_cli *cli, const json_t *answer);
TD_MUST_USE td_code td_cli_show(td_cli *cli, const char *path, td_cli_printer print, td_err *err);
#define TD_CLI_LIST_MAX 100000 /* rows of --limit */
/* What every list takes (docs/search.md); rows for a table of options. */
#define TD_CLI_LIST_OPTIONS                                                                                            \
    {"filter", 0, "TEXT", "only what matches: \"name LIKE 'pump%'\" (docs/search.md)", false},                         \
        {"order-by", 0, "TEXT", "\"created_at DESC, name\"", false},                                                   \
        {"limit", 'n', "N", "at most so many (default 500)", false},                                                   \
    {                                                                                                                  \
        "cursor", 0, "TEXT", "go on after the page before", false                                                      \
    }
/* GET path with these options, page after page up to --limit; `filter` (or NULL) must hold too. The rows stand under
 * `key` of what is printed; more to come is said on standard error. */
TD_MUST_USE td_code td_cli_list(td_cli *cli, const char *path, const char *key, const char *filter,
                                td_cli_printer print, td_err *err);
/* "FILTER AND name = 'value'" in the arena; without a value FILTER (may be NULL) as it is. */
const char *td_cli_filter(td_cli *cli, const char *filter, const char *name, const char *value);
/* The same for an answer that is there already (borrowed). */
void td_cli_present(td_cli *cli, const json_t *answer, td_cli_printer print);
/* A POST (or other method) with a body that is taken over; prints the answer with --json, else the sentence. */
TD_MUST_USE td_code td_cli_send(td_cli *cli, const char *method, const char *path, json_t *body, const char *sentence,
                                td_err *err);

/* ---- words that nobody may read (secret.c) ---- */

/* One line from `file` (private to its owner), else from a terminal that stays silent after `prompt`, else from
 * standard input. The caller wipes it: TD_CLEANUP(td_cli_wipe). DENIED: others can read the file, or ^C; LIMIT. */
TD_MUST_USE td_code td_cli_secret(const char *file, const char *prompt, td_str *out, td_err *err);
void td_cli_wipe(td_str *text);
/* DENIED if others than its owner can read the file. */
TD_MUST_USE td_code td_cli_check_private(const char *path, td_err *err);
/* Opens a private P-256 key: a file, whose passphrase is asked for if it has one, or a key in a token by its pkcs11:
 * URI, whose PIN is (--passphrase-file, or the terminal). Every command that signs gets its key here. */
TD_MUST_USE td_code td_cli_key_read(td_cli *cli, const char *name, td_key **out, td_err *err);
/* The same for model.sig, which may be of P-384 or P-521 too (core/crypto/ec.h). */
TD_MUST_USE td_code td_cli_key_read_ec(td_cli *cli, const char *name, td_key **out, td_err *err);
/* The public half of either; a token is not asked for its PIN. */
TD_MUST_USE td_code td_cli_public_read(td_cli *cli, const char *name, td_ec_public *out, td_err *err);
/* A passphrase for a new key: --passphrase-file, or twice from the terminal; nothing appended: none is wanted. */
TD_MUST_USE td_code td_cli_new_passphrase(td_cli *cli, td_str *out, td_err *err);
/* Where `tidemark key enrol-me` leaves a person's key, in his configuration folder. */
#define TD_CLI_KEY_FILE "key.pem"
/* The option that both read. */
#define TD_CLI_PASSPHRASE_OPTION                                                                                       \
    {"passphrase-file", 0, "FILE", "file with the key's passphrase or the token's PIN (default: ask at the terminal)", \
     false}

/* Value of --reason, or INVALID with the reason why one is needed. */
TD_MUST_USE td_code td_cli_reason(const td_cli *cli, const char **out, td_err *err);
/* Raises NOMEM unless the tree is there. */
TD_MUST_USE td_code td_cli_need(const json_t *json, td_err *err);

/* The spec of a model to register, from model.yaml or from flags (spec.c): see docs/cli.md. Paths are relative to
 * `folder`. */
TD_MUST_USE td_code td_spec_check(const json_t *spec, const char *name, const td_yaml_lines *lines, td_err *err);
/* What only Azure ML's YAML knows (docs/cli.md) becomes ours: version a number; type, flavors, stage and properties
 * tags. For a spec that was checked. */
TD_MUST_USE td_code td_spec_settle(json_t *spec, td_err *err);
/* Every {path, name?, role?} of the spec's files that names a folder becomes the regular files below it, in order, by
 * their names relative to it. Links and names that a version cannot have are refused; LIMIT: too many. */
TD_MUST_USE td_code td_spec_folders(td_cli *cli, json_t *spec, td_err *err);
/* {"description"?,"tags"?} out of --description and --tag, with `measured` also "metrics" and "params"; NAME= becomes
 * null. */
TD_MUST_USE td_code td_cli_change(td_cli *cli, bool measured, json_t **out, td_err *err);
/* The columns of a reference CSV that follow from its header: prediction, score, label, group where there are such
 * columns. */
TD_MUST_USE td_code td_spec_guess_columns(const char *header, json_t *columns, td_err *err);
/* "name@file", "name=uri@file", "name=uri@sha256:…" → {"name","uri"?,"digest"}. Hashes the file. */
TD_MUST_USE td_code td_spec_dataset(const char *text, json_t **out, td_err *err);
/* "repository@commit" → {"repository","commit"}. */
TD_MUST_USE td_code td_spec_code(const char *text, json_t **out, td_err *err);

/* A sentence for an audit record as the events feed gives it: "ana registered pump/1"; static or in the arena.
 * tint_out: its colour. NULL: not worth a line. */
const char *td_event_sentence(td_cli *cli, const json_t *record, td_tint *tint_out);

/* ASCII tree of a lineage answer, from its node upwards to the sources (lineage_tree.c). */
TD_MUST_USE td_code td_lineage_tree(const json_t *answer, bool down, td_str *out, td_err *err);

#endif
