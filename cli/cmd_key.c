/*
 * cmd_key.c: tidemark key: the keys that approvers sign with, and the keyset that says whose count.
 *
 * A private key is made where it stays. Without a token these commands go through the admin socket.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"
#include "cli/login.h"

#include <string.h>

#include "core/base/fs.h"
#include "core/crypto/pkcs11.h"
#include "registry/trust.h"

/* Takes the key in the file or token; makes one in a file that is not there. */
static td_code open_key(td_cli *cli, const char *path, td_key **out, td_err *err)
{
    TD_CLEANUP(td_cli_wipe) td_str words = {0};
    if (td_pkcs11_named(path) || td_path_exists(path)) {
        return td_cli_key_read(cli, path, out, err);
    }
    TD_TRY(td_cli_new_passphrase(cli, &words, err));
    TD_TRY(td_key_generate(TD_KEY_P256, out, err));
    return td_key_write(*out, path, words.size > 0 ? td_str_text(&words) : NULL, err);
}

/* Where root is offline the answer is a draft, which goes into a file to be carried to root. */
static td_code keep_draft(td_cli *cli, const json_t *answer, const char *user, const char *key_path, td_err *err)
{
    const char *draft = td_json_text(answer, "draft", NULL);
    if (draft == NULL) {
        if (cli->json) {
            td_print_json(cli, answer);
        } else {
            td_print_line(cli, "Your key %s is in keyset %lld; keep it to yourself.", key_path,
                          (long long)td_json_int(answer, "version", 0));
        }
        return TD_OK;
    }
    const char *file = td_cli_text(cli, "%s.keyset-draft", td_pkcs11_named(key_path) ? user : key_path);
    TD_TRY(td_file_replace(file, draft, strlen(draft), 0644, err));
    if (cli->json) {
        td_print_json(cli, answer);
        return TD_OK;
    }
    td_print_line(cli, "Your key is %s; keep it to yourself. It does not count yet: root is offline.", key_path);
    td_print_line(cli, "Take %s to the machine that holds root.pem and run there", file);
    td_print_line(cli, "  tidemark key sign-keyset %s --key root.pem --out keyset.signed", file);
    td_print_line(cli, "and then, as admin: tidemark key publish keyset.signed --user %s --reason TEXT", user);
    return TD_OK;
}

/* Makes the key if need be and offers its public half for the user. */
static td_code enrol(td_cli *cli, const char *user, const char *path, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str pem = {0};
    TD_CLEANUP(td_json_done) json_t *answer = NULL;
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    TD_TRY(open_key(cli, path, &key, err));
    (void)td_key_public(key, public_key);
    TD_TRY(td_public_pem(TD_KEY_P256, public_key, &pem, err));
    TD_CLEANUP(td_json_done) json_t *body = json_pack("{s:s}", "public_key", td_str_text(&pem));
    TD_TRY(td_cli_need(body, err));
    if (td_cli_value(cli, "reason") != NULL) {
        (void)json_object_set_new(body, "reason", json_string(td_cli_value(cli, "reason")));
    }
    TD_TRY(td_cli_call(cli, "POST", td_cli_path(cli, "users", user, "keys", NULL), body, &answer, err));
    return keep_draft(cli, answer, user, path, err);
}

static td_code run_enrol(td_cli *cli, td_err *err)
{
    const char *path = td_cli_value(cli, "key");
    if (path == NULL) {
        return td_fail(err, TD_INVALID,
                       "--key FILE is needed: the private key, made there if it is not there yet (or its pkcs11: URI)");
    }
    TD_TRY(td_crypto_setup(err));
    td_cli_prefer_socket(cli);
    return enrol(cli, cli->arguments[0], path, err);
}

/* The server says who we are before anything is made. */
static td_code run_enrol_me(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *self = NULL;
    const char *path = td_cli_value(cli, "key");
    TD_TRY(td_crypto_setup(err));
    TD_TRY(td_cli_call(cli, "GET", td_cli_path(cli, "me", NULL), NULL, &self, err));
    if (strcmp(td_json_text(self, "kind", ""), "person") != 0) {
        return td_fail(err, TD_DENIED, "%s is a service account; only people approve", td_json_text(self, "user", "?"));
    }
    if (path == NULL) {
        char folder[4096];
        TD_TRY(td_config_folder(folder, err));
        path = td_cli_text(cli, "%s/%s", folder, TD_CLI_KEY_FILE);
    }
    return enrol(cli, td_json_text(self, "user", ""), path, err);
}

static td_code read_envelope(const char *path, uint8_t *room, size_t *size_out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_file_read(path, 2 * TD_SIGNED_MESSAGE_MAX, &text, err));
    size_t length = strcspn(td_str_text(&text), "\r\n");
    if (td_base64_decode(td_str_text(&text), length, room, TD_SIGNED_MESSAGE_MAX, size_out, err) != TD_OK) {
        return td_wrap(err, "%s", path);
    }
    return TD_OK;
}

static td_code run_sign_keyset(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *root = NULL;
    TD_CLEANUP(td_str_done) td_str signed_bytes = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    const char *key_path = td_cli_value(cli, "key"), *out = td_cli_value(cli, "out");
    uint8_t *room = td_arena_alloc(&cli->arena, TD_SIGNED_MESSAGE_MAX);
    td_signed_message message;
    td_keyset keyset;
    size_t size;
    if (key_path == NULL || out == NULL || room == NULL) {
        return td_fail(err, TD_INVALID, "--key root.pem and --out FILE are needed");
    }
    TD_TRY(td_crypto_setup(err));
    TD_TRY(read_envelope(cli->arguments[0], room, &size, err));
    TD_TRY(td_signed_message_decode(room, size, &message, err));
    TD_TRY(td_keyset_decode(message.payload, message.payload_size, &keyset, err));
    TD_TRY(td_cli_key_read(cli, key_path, &root, err));
    TD_TRY(td_envelope_sign(room, size, root, &signed_bytes, err));
    td_base64_add(&text, td_str_text(&signed_bytes), signed_bytes.size);
    td_str_add(&text, "\n");
    TD_TRY(td_str_check(&text, err));
    TD_TRY(td_file_create(out, td_str_text(&text), text.size, 0644, err));
    td_print_line(cli, "Signed keyset %u (%zu keys, %u approvals needed) into %s.", keyset.version, keyset.key_count,
                  keyset.approver_threshold, out);
    return TD_OK;
}

/* ---- the public half ---- */

static json_t *describe_public(const td_ec_public *key, const char *pem)
{
    uint8_t id[TD_KEY_ID_SIZE];
    char id_text[2 * TD_KEY_ID_SIZE + 1];
    td_key_id(key->point, key->size, id);
    td_hex_encode(id, sizeof id, id_text);
    return json_pack("{s:s, s:s, s:s}", "curve", td_curve_name(key->curve), "key_id", id_text, "public_key", pem);
}

static td_code run_public(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pem = {0};
    td_ec_public key;
    const char *file = td_cli_value(cli, "out");
    TD_TRY(td_crypto_setup(err));
    TD_TRY(td_cli_public_read(cli, cli->arguments[0], &key, err));
    TD_TRY(td_ec_public_pem(&key, &pem, err));
    if (file != NULL) {
        TD_TRY(td_file_create(file, pem.data, pem.size, 0644, err));
    }
    if (cli->json) {
        TD_CLEANUP(td_json_done) json_t *report = describe_public(&key, td_str_text(&pem));
        TD_TRY(td_cli_need(report, err));
        td_print_json(cli, report);
    } else if (file != NULL) {
        td_print_line(cli, "Wrote the public half of a %s key to %s.", td_curve_name(key.curve), file);
    } else {
        td_print_text(cli, td_str_text(&pem));
    }
    return TD_OK;
}

static td_code run_publish(td_cli *cli, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    const char *reason;
    TD_TRY(td_cli_reason(cli, &reason, err));
    TD_TRY(td_file_read(cli->arguments[0], 2 * TD_SIGNED_MESSAGE_MAX, &text, err));
    json_t *body =
        json_pack("{s:s%, s:s}", "keyset", td_str_text(&text), strcspn(td_str_text(&text), "\r\n"), "reason", reason);
    if (td_cli_value(cli, "user") != NULL) {
        (void)json_object_set_new(body, "user", json_string(td_cli_value(cli, "user")));
    }
    td_cli_prefer_socket(cli);
    return td_cli_send(cli, "POST", td_cli_path(cli, "keysets", NULL), body, "The keyset is in force.", err);
}

static void print_keys(td_cli *cli, const json_t *answer)
{
    static const td_column_spec columns[] = {{"user", "USER", TD_CELL_TEXT},
                                             {"key_id", "KEY", TD_CELL_TEXT},
                                             {"added_at", "SINCE", TD_CELL_TIME},
                                             {"removed_at", "UNTIL", TD_CELL_TIME},
                                             {0}};
    td_print_table(cli, columns, td_json_list(answer, "keys"), "No keys.");
}

static td_code run_keys(td_cli *cli, td_err *err)
{
    td_cli_prefer_socket(cli);
    return td_cli_show(cli, td_cli_path(cli, "users", cli->arguments[0], "keys", NULL), print_keys, err);
}

static const td_cli_option enrol_options[] = {
    {"key", 0, "FILE", "private key, made there if it is not there; or a pkcs11: URI", false},
    TD_CLI_PASSPHRASE_OPTION,
    {"reason", 0, "TEXT", "goes into the audit log", false},
    {0},
};
static const td_cli_option enrol_me_options[] = {
    {"key", 0, "FILE",
     "private key, made there if it is not there (default: ~/.config/tidemark/key.pem); or a pkcs11: URI", false},
    TD_CLI_PASSPHRASE_OPTION,
    {"reason", 0, "TEXT", "goes into the audit log", false},
    {0},
};
static const td_cli_option sign_options[] = {
    {"key", 0, "FILE", "root's private key, or its pkcs11: URI", false},
    TD_CLI_PASSPHRASE_OPTION,
    {"out", 'o', "FILE", "the signed keyset", false},
    {0},
};
static const td_cli_option public_options[] = {
    TD_CLI_PASSPHRASE_OPTION,
    {"out", 'o', "FILE", "write it there instead", false},
    {0},
};
static const td_cli_option publish_options[] = {
    {"user", 0, "NAME", "whose key was added", false},
    {"reason", 0, "TEXT", "goes into the audit log; needed", false},
    {0},
};

const td_cli_command td_cli_key_commands[] = {
    {"key", "enrol", "USER", 1, 1, "Make an approver's key here and put its public half into the keyset",
     "The private key stays in FILE on this machine. In profile demo the server signs the new keyset; elsewhere root "
     "does, on an offline machine.",
     "tidemark key enrol ben --key ~/.config/tidemark/key.pem", enrol_options, run_enrol},
    {"key", "enrol-me", "", 0, 0, "Make your own approver's key here and offer its public half",
     "The key is made on this machine and never leaves it; with a passphrase, signing takes the file and the words. "
     "In profile demo it counts at once; elsewhere root signs the new keyset on an offline machine. `tidemark version "
     "approve` finds the key by itself.",
     "tidemark key enrol-me --reason 'new head of QA'", enrol_me_options, run_enrol_me},
    {"key", "list", "USER", 1, 1, "List a user's public keys", NULL, NULL, NULL, run_keys},
    {"key", "public", "KEY", 1, 1, "Print the public half (PEM) of a private key; no server is asked",
     "KEY is a file, or the pkcs11: URI of a key in a token (docs/registry.md), which is not asked for its PIN.",
     "tidemark key public 'pkcs11:token=plant;object=approver' > approver.pub.pem", public_options, run_public},
    {"key", "sign-keyset", "DRAFT", 1, 1, "Sign a keyset with root's key; no server is asked", NULL,
     "tidemark key sign-keyset key.pem.keyset-draft --key root.pem --out keyset.signed", sign_options, run_sign_keyset},
    {"key", "publish", "FILE", 1, 1, "Bring a signed keyset into force", NULL,
     "tidemark key publish keyset.signed --user ben --reason 'new approver'", publish_options, run_publish},
    {0},
};
