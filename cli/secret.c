/*
 * secret.c: words that nobody may read over a shoulder or in a list of processes: tokens and passphrases.
 *
 * They come from a file that only its owner can read, from a pipe, or from a terminal that does not show them; never
 * from the command line or the environment.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/commands.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "core/base/fs.h"
#include "core/crypto/pkcs11.h"

#define SECRET_MAX 1024

void td_cli_wipe(td_str *text)
{
    if (text->data != NULL) {
        td_wipe(text->data, text->size);
    }
    td_str_done(text);
}

td_code td_cli_check_private(const char *path, td_err *err)
{
    struct stat facts;
    if (stat(path, &facts) == 0 && (facts.st_mode & 077) != 0) {
        return td_fail(err, TD_DENIED, "%s can be read by others (mode %04o); chmod 600 it", path,
                       (unsigned)(facts.st_mode & 07777));
    }
    return TD_OK;
}

/* What was typed or piped so far, in one place that is wiped. */
typedef struct secret_line {
    char text[SECRET_MAX + 1];
    size_t size;
} secret_line;

static void wipe_line(secret_line *line)
{
    td_wipe(line, sizeof *line);
}

#define KEY_INTERRUPT 0x03
#define KEY_END 0x04
#define KEY_BACK 0x08
#define KEY_CLEAR 0x15
#define KEY_DELETE 0x7f

/* True while the line goes on. A terminal that is silent hands over its editing keys too. */
static bool take_key(secret_line *line, char c, bool terminal)
{
    if (c == '\n' || (terminal && (c == '\r' || c == KEY_END))) {
        return false;
    }
    if (terminal && (c == KEY_BACK || c == KEY_DELETE)) {
        line->size -= line->size > 0;
    } else if (terminal && c == KEY_CLEAR) {
        line->size = 0;
    } else {
        line->text[line->size++] = c;
    }
    return true;
}

/* One byte a time, so that nothing of it stays in a buffer of the C library, and what follows the line is left. */
static td_code read_line(bool terminal, td_str *out, td_err *err)
{
    TD_CLEANUP(wipe_line) secret_line line = {.size = 0};
    char c;
    ssize_t got;
    while ((got = read(STDIN_FILENO, &c, 1)) == 1 && take_key(&line, c, terminal)) {
        if (terminal && c == KEY_INTERRUPT) {
            return td_fail(err, TD_DENIED, "stopped");
        }
        if (line.size == SECRET_MAX) {
            return td_fail(err, TD_LIMIT, "the line is longer than %d bytes", SECRET_MAX - 1);
        }
    }
    if (got < 0) {
        return td_fail(err, TD_IO, "could not read from standard input");
    }
    line.size -= line.size > 0 && line.text[line.size - 1] == '\r';
    td_str_append(out, line.text, line.size);
    return td_str_check(out, err);
}

/* The terminal hands over every key, ^C among them: it is never left silent by a signal. */
static td_code ask_terminal(const char *prompt, td_str *out, td_err *err)
{
    struct termios before, silent;
    if (tcgetattr(STDIN_FILENO, &before) != 0) {
        return td_fail(err, TD_IO, "the terminal cannot be asked");
    }
    silent = before;
    silent.c_lflag &= ~(tcflag_t)(ECHO | ISIG | ICANON);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent); /* first: what is typed at the prompt must not be flushed */
    (void)fprintf(stderr, "%s", prompt);
    td_code code = read_line(true, out, err);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    (void)fputc('\n', stderr);
    return code;
}

static td_code read_secret_file(const char *path, td_str *out, td_err *err)
{
    TD_TRY(td_cli_check_private(path, err));
    TD_TRY(td_file_read(path, SECRET_MAX, out, err));
    size_t length = strcspn(td_str_text(out), "\r\n");
    if (strspn(td_str_text(out) + length, "\r\n") != out->size - length) {
        return td_fail(err, TD_INVALID, "%s holds more than one line", path);
    }
    out->size = length;
    if (out->data != NULL) {
        out->data[length] = '\0';
    }
    return TD_OK;
}

td_code td_cli_secret(const char *file, const char *prompt, td_str *out, td_err *err)
{
    if (file != NULL) {
        return read_secret_file(file, out, err);
    }
    return isatty(STDIN_FILENO) == 1 ? ask_terminal(prompt, out, err) : read_line(false, out, err);
}

/* ---- private keys ---- */

/* The URI's own file, what was said on the line, the environment's file, the terminal. A last try is for people. */
static td_code ask_pin(void *context, const td_pkcs11_question *question, td_str *out, td_err *err)
{
    td_cli *cli = context;
    const char *file = question->file != NULL ? question->file : td_cli_value(cli, "passphrase-file");
    if (file == NULL) {
        file = getenv("TIDEMARK_PIN_FILE");
    }
    if (file == NULL && isatty(STDIN_FILENO) != 1) {
        return td_fail(err, TD_INVALID,
                       "the token %s wants its PIN: name a file that holds it (--passphrase-file FILE, or "
                       "pin-source=file:/path in the URI), or run this at a terminal",
                       question->token);
    }
    if (file != NULL && question->last_try) {
        return td_fail(err, TD_DENIED,
                       "one more wrong PIN locks the token %s, so the one in %s was not tried; run this without the "
                       "file and type it, or have the security officer reset it",
                       question->token, file);
    }
    return td_cli_secret(file,
                         td_cli_text(cli, "PIN of the token %s%s: ", question->token,
                                     question->last_try ? " (ONE more wrong PIN locks it)" : ""),
                         out, err);
}

static td_code read_file(td_cli *cli, const char *path, td_key **out, td_err *err)
{
    TD_CLEANUP(td_cli_wipe) td_str words = {0};
    const char *file = td_cli_value(cli, "passphrase-file");
    bool sealed;
    TD_TRY(td_key_sealed(path, &sealed, err));
    if (sealed && file == NULL && isatty(STDIN_FILENO) != 1) {
        return td_fail(err, TD_INVALID, "%s has a passphrase: name a file that holds it (--passphrase-file FILE)",
                       path);
    }
    if (sealed) {
        TD_TRY(td_cli_secret(file, td_cli_text(cli, "Passphrase of %s: ", path), &words, err));
    }
    return td_key_read_ec(path, sealed ? td_str_text(&words) : NULL, out, err);
}

td_code td_cli_key_read_ec(td_cli *cli, const char *name, td_key **out, td_err *err)
{
    td_pkcs11_pin pin = {.ask = ask_pin, .context = cli};
    return td_pkcs11_named(name) ? td_pkcs11_key(name, &pin, out, err) : read_file(cli, name, out, err);
}

td_code td_cli_key_read(td_cli *cli, const char *name, td_key **out, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    td_ec_public public_key;
    TD_TRY(td_cli_key_read_ec(cli, name, &key, err));
    TD_TRY(td_key_ec_public(key, &public_key, err) == TD_OK ? TD_OK : td_wrap(err, "%s", name));
    if (public_key.curve != TD_CURVE_P256) {
        return td_fail(err, TD_INVALID, "%s is a %s key; P-256 is needed", name, td_curve_name(public_key.curve));
    }
    *out = key;
    key = NULL;
    return TD_OK;
}

td_code td_cli_public_read(td_cli *cli, const char *name, td_ec_public *out, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    if (td_pkcs11_named(name)) {
        return td_pkcs11_public(name, out, err);
    }
    TD_TRY(read_file(cli, name, &key, err));
    return td_key_ec_public(key, out, err) == TD_OK ? TD_OK : td_wrap(err, "%s", name);
}

td_code td_cli_new_passphrase(td_cli *cli, td_str *out, td_err *err)
{
    TD_CLEANUP(td_cli_wipe) td_str again = {0};
    const char *file = td_cli_value(cli, "passphrase-file");
    if (file == NULL && isatty(STDIN_FILENO) != 1) {
        return TD_OK;
    }
    TD_TRY(td_cli_secret(file, "Passphrase for your new key (empty: none): ", out, err));
    if (file == NULL && out->size > 0) {
        TD_TRY(td_cli_secret(NULL, "The same again: ", &again, err));
        if (strcmp(td_str_text(out), td_str_text(&again)) != 0) {
            return td_fail(err, TD_INVALID, "the two passphrases differ; nothing was made");
        }
    }
    if (file != NULL && out->size == 0) {
        return td_fail(err, TD_INVALID, "%s is empty: a passphrase is one line of text", file);
    }
    return TD_OK;
}
