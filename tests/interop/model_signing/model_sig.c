/*
 * model_sig.c: model.sig from the command line, for the test against other people's verifier.
 *
 *     model_sig sign PRIVATE.pem PUBLIC.pem MODEL.sig FOLDER NAME…      (makes both keys)
 *     model_sig verify PUBLIC.pem MODEL.sig FOLDER NAME…
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "registry/modelsig.h"

#include <stdio.h>
#include <string.h>

#define FILES_MAX 32

static td_code hash_files(const char *folder, char **names, size_t count, td_modelsig_file *files, td_err *err)
{
    for (size_t i = 0; i < count; i++) {
        char path[4096];
        files[i].name = names[i];
        TD_TRY(td_path_join(path, folder, names[i], err));
        TD_TRY(td_sha256_file(path, files[i].digest, NULL, err));
    }
    return TD_OK;
}

static td_code sign(char **arguments, size_t count, td_err *err)
{
    TD_CLEANUP(td_key_free) td_key *key = NULL;
    TD_CLEANUP(td_str_done) td_str pem = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_modelsig_file files[FILES_MAX];
    uint8_t public_key[TD_P256_PUBLIC_SIZE];
    TD_TRY(td_key_generate(TD_KEY_P256, &key, err));
    TD_TRY(td_key_write(key, arguments[0], NULL, err));
    (void)td_key_public(key, public_key);
    TD_TRY(td_public_pem(TD_KEY_P256, public_key, &pem, err));
    TD_TRY(td_file_create(arguments[1], pem.data, pem.size, 0644, err));
    TD_TRY(hash_files(arguments[3], arguments + 4, count - 4, files, err));
    TD_TRY(td_modelsig_make("model", files, count - 4, key, &text, err));
    return td_file_create(arguments[2], text.data, text.size, 0644, err);
}

static td_code verify(char **arguments, size_t count, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str pem = {0};
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_modelsig_file files[FILES_MAX];
    TD_TRY(td_file_read(arguments[0], 65536, &pem, err));
    TD_TRY(td_file_read(arguments[1], TD_MODELSIG_BYTES_MAX, &text, err));
    TD_TRY(hash_files(arguments[2], arguments + 3, count - 3, files, err));
    return td_modelsig_verify(text.data, text.size, td_str_text(&pem), files, count - 3, err);
}

int main(int argc, char **argv)
{
    td_err err = {.code = TD_OK};
    size_t count = argc > 2 ? (size_t)argc - 2 : 0;
    td_code code = td_crypto_setup(&err);
    if (code == TD_OK && count > 4 && count < FILES_MAX && strcmp(argv[1], "sign") == 0) {
        code = sign(argv + 2, count, &err);
    } else if (code == TD_OK && count > 3 && count < FILES_MAX && strcmp(argv[1], "verify") == 0) {
        code = verify(argv + 2, count, &err);
    } else if (code == TD_OK) {
        code = td_fail(&err, TD_INVALID, "usage: model_sig sign|verify …");
    }
    if (code != TD_OK) {
        fprintf(stderr, "%s\n", err.text);
    }
    return td_code_lookup(code)->exit_code;
}
