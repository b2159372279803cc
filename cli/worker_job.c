/*
 * worker_job.c: the job folder: inputs below inputs/, outputs at their declared paths, and words filled in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/worker.h"

#include "cli/http.h"
#include "core/base/fs.h"
#include "core/crypto/crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPENAT2_BENEATH 0x08U
#define OPENAT2_NO_SYMLINKS 0x04U
#define OPENAT2_NO_MAGICLINKS 0x02U
#define METRICS_MAX ((size_t)1024 * 1024)

void td_job_done(td_job *job)
{
    td_arena_done(&job->arena);
    td_json_done(&job->used);
    *job = (td_job){0};
}

static td_code keep(td_job *job, const char **list, size_t room, const char *text, td_err *err)
{
    size_t count = 0;
    while (list[count] != NULL) {
        count++;
    }
    if (count == room) {
        return td_fail(err, TD_LIMIT, "a step has at most %zu words in its command, environment or inputs", room);
    }
    list[count] = td_arena_text(&job->arena, text);
    return list[count] != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory for a job");
}

/* ---- words ---- */

static const json_t *find_named(const json_t *list, const char *name, size_t length)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *found = td_json_text(json_array_get(list, i), "name", "");
        if (strlen(found) == length && strncmp(found, name, length) == 0) {
            return json_array_get(list, i);
        }
    }
    return NULL;
}

static td_code expand_name(const td_job *job, const json_t *step, const char *name, size_t length, td_str *out,
                           td_err *err)
{
    if (length == 3 && strncmp(name, "job", 3) == 0) {
        td_str_add(out, job->folder);
        return TD_OK;
    }
    if (length > 7 && strncmp(name, "inputs.", 7) == 0 &&
        find_named(json_object_get(step, "inputs"), name + 7, length - 7) != NULL) {
        td_str_addf(out, "%s/inputs/%.*s", job->folder, (int)length - 7, name + 7);
        return TD_OK;
    }
    const json_t *output = length > 8 && strncmp(name, "outputs.", 8) == 0
                               ? find_named(json_object_get(step, "outputs"), name + 8, length - 8)
                               : NULL;
    if (output != NULL) {
        td_str_addf(out, "%s/%s", job->folder, td_json_text(output, "path", ""));
        return TD_OK;
    }
    return td_fail(err, TD_INVALID, "step %s: ${%.*s} is no input or output of it", td_json_text(step, "step", "?"),
                   (int)(length < 60 ? length : 60), name);
}

td_code td_job_expand(const td_job *job, const json_t *step, const char *text, td_str *out, td_err *err)
{
    while (*text != '\0') {
        const char *end = strncmp(text, "${", 2) == 0 ? strchr(text, '}') : NULL;
        if (end == NULL) {
            td_str_add_char(out, *text++);
            continue;
        }
        TD_TRY(expand_name(job, step, text + 2, (size_t)(end - text) - 2, out, err));
        text = end + 1;
    }
    return td_str_check(out, err);
}

static td_code add_expanded(td_job *job, const json_t *step, const char *key, const char *text, const char **list,
                            td_err *err)
{
    TD_CLEANUP(td_str_done) td_str word = {0};
    if (key != NULL) {
        td_str_addf(&word, "%s=", key);
    }
    TD_TRY(td_job_expand(job, step, text, &word, err));
    return keep(job, list, TD_JOB_WORDS_MAX, td_str_text(&word), err);
}

static td_code add_words(td_job *job, const json_t *step, td_err *err)
{
    const json_t *command = json_object_get(step, "command");
    for (size_t i = 0; i < json_array_size(command); i++) {
        const char *word = json_string_value(json_array_get(command, i));
        TD_TRY(add_expanded(job, step, NULL, word == NULL ? "" : word, job->command, err));
    }
    return job->command[0] != NULL
               ? TD_OK
               : td_fail(err, TD_INVALID, "step %s has no command", td_json_text(step, "step", "?"));
}

/* TIDEMARK_INPUT_MODEL_ONNX: letters and digits in capitals, the rest '_'. */
static td_code add_place(td_job *job, const char *prefix, const char *name, const char *path, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str word = {0};
    td_str_add(&word, prefix);
    for (; *name != '\0'; name++) {
        char c = *name;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        td_str_add_char(&word, !plain ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c);
    }
    td_str_addf(&word, "=%s", path);
    TD_TRY(td_str_check(&word, err));
    return keep(job, job->environment, TD_JOB_WORDS_MAX, td_str_text(&word), err);
}

static td_code add_environment(td_job *job, const json_t *step, td_err *err)
{
    static const char *const facts[] = {"run", "step", "model", "alert"};
    const char *key;
    json_t *value;
    TD_TRY(keep(job, job->environment, TD_JOB_WORDS_MAX, "PATH=/usr/local/bin:/usr/bin:/bin", err));
    TD_TRY(keep(job, job->environment, TD_JOB_WORDS_MAX, "LANG=C.UTF-8", err));
    TD_TRY(add_expanded(job, step, "HOME", "${job}", job->environment, err));
    TD_TRY(add_expanded(job, step, "TMPDIR", "${job}/tmp", job->environment, err));
    for (size_t i = 0; i < TD_COUNT_OF(facts); i++) {
        TD_TRY(add_place(job, "TIDEMARK_", facts[i], td_json_text(step, facts[i], ""), err));
    }
    json_object_foreach (json_object_get(step, "environment"), key, value) {
        TD_TRY(
            add_expanded(job, step, key, json_is_string(value) ? json_string_value(value) : "", job->environment, err));
    }
    return TD_OK;
}

/* ---- files ---- */

/* The folder of a file below the job folder. */
static td_code make_parent(const td_job *job, const char *path, td_err *err)
{
    char full[4096];
    TD_TRY(td_check_file_name(path, strlen(path), err));
    TD_TRY(td_path_join(full, job->folder, path, err));
    *strrchr(full, '/') = '\0';
    return td_folder_make(full, 0700, err);
}

static td_code fetch_content(td_cli *cli, const char *name, const char *digest_text, const char *place, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    if (strncmp(digest_text, "sha256:", 7) != 0 ||
        td_hex_decode(digest_text + 7, strlen(digest_text + 7), digest, sizeof digest, err) != TD_OK) {
        return td_fail(err, TD_CORRUPT, "input %s: \"%.80s\" is not a digest", name, digest_text);
    }
    return td_cli_download(cli, td_cli_path(cli, "content", digest_text, NULL), place, digest, err);
}

/* A file of the version that is being retrained: the digest that the version lists is what is fetched. */
static td_code fetch_parent_file(td_cli *cli, const json_t *step, const json_t *input, const char *place, td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *version = NULL;
    const char *name = td_json_text(input, "name", ""), *file = td_json_text(input, "file", "");
    const char *model = td_json_text(step, "model", "");
    int64_t number = td_json_int(step, "parent_version", 0);
    if (number == 0) {
        return td_fail(err, TD_INVALID, "input %s is a file of the parent version, and this run has no parent", name);
    }
    const char *path = td_cli_path(cli, "models", model, "versions", td_cli_text(cli, "%lld", (long long)number), NULL);
    TD_TRY(td_cli_call(cli, "GET", path, NULL, &version, err));
    const json_t *listed = find_named(json_object_get(version, "files"), file, strlen(file));
    if (listed == NULL) {
        return td_fail(err, TD_NOT_FOUND, "input %s: %s/%lld has no file \"%.80s\"", name, model, (long long)number,
                       file);
    }
    return fetch_content(cli, name, td_json_text(listed, "digest", ""), place, err);
}

/* The lineage tells later which data it was, so the digest is taken here, before the command sees the file. */
static td_code note_used(td_job *job, const char *name, const char *path, td_err *err)
{
    uint8_t digest[TD_DIGEST_SIZE];
    char text[7 + TD_DIGEST_TEXT] = "sha256:";
    struct stat facts;
    uint64_t size;
    if (stat(path, &facts) != 0 || !S_ISREG(facts.st_mode)) {
        return TD_OK; /* a folder has no digest */
    }
    TD_TRY(td_sha256_file(path, digest, &size, err));
    td_hex_encode(digest, sizeof digest, text + 7);
    json_t *entry = json_pack("{s:s, s:s, s:I}", "name", name, "digest", text, "size", (json_int_t)size);
    job->used = job->used == NULL ? json_array() : job->used;
    return entry != NULL && json_array_append_new(job->used, entry) == 0
               ? TD_OK
               : td_fail(err, TD_NOMEM, "no memory for a job");
}

/* By digest or out of the parent version: fetched from the server. By path: a link to a file of this machine, which the
 * cage lets be read. */
static td_code place_input(td_cli *cli, td_job *job, const json_t *step, const json_t *input, td_err *err)
{
    const char *name = td_json_text(input, "name", ""), *path = td_json_text(input, "path", NULL);
    const char *digest_text = td_json_text(input, "digest", NULL);
    const char *inner = td_cli_text(cli, "inputs/%s", name);
    const char *place = td_cli_text(cli, "%s/%s", job->folder, inner);
    TD_TRY(make_parent(job, inner, err));
    TD_TRY(add_place(job, "TIDEMARK_INPUT_", name, place, err));
    if (digest_text != NULL) {
        return fetch_content(cli, name, digest_text, place, err);
    }
    if (strcmp(td_json_text(input, "kind", ""), "parent_file") == 0) {
        return fetch_parent_file(cli, step, input, place, err);
    }
    if (path == NULL || path[0] != '/') {
        return td_fail(err, TD_INVALID, "input %s has neither a digest nor an absolute path", name);
    }
    if (!td_path_exists(path)) {
        return td_fail(err, TD_NOT_FOUND, "input %s: %s is not on this machine", name, path);
    }
    TD_TRY(note_used(job, name, path, err));
    if (symlink(path, place) != 0) {
        return td_fail_errno(err, errno, "%s", place);
    }
    return keep(job, job->readable, TD_JOB_PATHS_MAX, path, err);
}

static td_code place_files(td_cli *cli, td_job *job, const json_t *step, td_err *err)
{
    const json_t *inputs = json_object_get(step, "inputs"), *outputs = json_object_get(step, "outputs");
    for (size_t i = 0; i < json_array_size(inputs); i++) {
        TD_TRY(place_input(cli, job, step, json_array_get(inputs, i), err));
    }
    for (size_t i = 0; i < json_array_size(outputs); i++) {
        const json_t *output = json_array_get(outputs, i);
        const char *path = td_json_text(output, "path", "");
        TD_TRY(make_parent(job, path, err));
        TD_TRY(add_place(job, "TIDEMARK_OUTPUT_", td_json_text(output, "name", ""),
                         td_cli_text(cli, "%s/%s", job->folder, path), err));
    }
    return TD_OK;
}

/* Names in a claimed step become parts of a path here, so they are checked here. */
static td_code check_word(const char *word, td_err *err)
{
    size_t good = strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    if (good == 0 || word[good] != '\0' || good > 128) {
        return td_fail(err, TD_CORRUPT, "the server sent \"%.60s\" as the name of a run or step", word);
    }
    return TD_OK;
}

static td_code make_folder(td_cli *cli, td_job *job, const char *jobs, const json_t *step, td_err *err)
{
    const char *run = td_json_text(step, "run", ""), *name = td_json_text(step, "step", "");
    TD_TRY(check_word(run, err));
    TD_TRY(check_word(name, err));
    const char *folder = td_cli_text(cli, "%s/%s-%s-%lld", jobs, run, name, (long long)td_json_int(step, "attempt", 1));
    TD_TRY(td_folder_remove(folder, err)); /* of an attempt that was cut short */
    TD_TRY(td_folder_make(td_cli_text(cli, "%s/tmp", folder), 0700, err));
    TD_TRY(td_folder_make(td_cli_text(cli, "%s/inputs", folder), 0700, err));
    job->folder = td_arena_text(&job->arena, folder);
    return job->folder != NULL ? TD_OK : td_fail(err, TD_NOMEM, "no memory for a job");
}

static td_code prepare(td_cli *cli, const char *jobs, const json_t *step, td_job *job, td_err *err)
{
    TD_TRY(make_folder(cli, job, jobs, step, err));
    TD_TRY(add_environment(job, step, err));
    TD_TRY(place_files(cli, job, step, err));
    return add_words(job, step, err);
}

td_code td_job_prepare(td_cli *cli, const char *jobs, const json_t *step, td_job *out, td_err *err)
{
    td_job job = {.network = td_json_bool(step, "network", false),
                  .timeout_ms = td_json_int(step, "timeout_ms", TD_JOB_TIMEOUT_DEFAULT_MS)};
    td_code code = prepare(cli, jobs, step, &job, err);
    if (code != TD_OK) {
        td_job_done(&job);
        return code;
    }
    *out = job;
    return TD_OK;
}

/* ---- outputs ---- */

/* Opens a file below the job folder, following nothing: the command may have put links there. */
static int open_inside(const td_job *job, const char *path)
{
    struct {
        uint64_t flags, mode, resolve;
    } how = {O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0, OPENAT2_BENEATH | OPENAT2_NO_SYMLINKS | OPENAT2_NO_MAGICLINKS};
    int folder = open(job->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = folder < 0 ? -1 : (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
    int problem = errno;
    if (folder >= 0) {
        (void)close(folder);
    }
    errno = problem;
    return fd;
}

static td_code read_metrics(int fd, json_t **out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    TD_TRY(td_file_read(path, METRICS_MAX, &text, err));
    return td_json_parse(td_str_text(&text), text.size, "the metrics output", out, err);
}

static td_code send_output(td_cli *cli, const td_job *job, const json_t *output, json_t *list, json_t **metrics,
                           td_err *err)
{
    const char *name = td_json_text(output, "name", ""), *path = td_json_text(output, "path", "");
    TD_CLEANUP(td_close_fd) int fd = open_inside(job, path);
    uint8_t digest[TD_DIGEST_SIZE];
    uint64_t size;
    char text[7 + TD_DIGEST_TEXT] = "sha256:", place[64];
    if (fd < 0 && errno == ENOENT && !td_json_bool(output, "required", true)) {
        return TD_OK;
    }
    if (fd < 0) {
        return td_fail(err, TD_INVALID, "output %s: %s: %s", name, path,
                       errno == ENOENT ? "the command did not write it" : strerror(errno));
    }
    struct stat facts;
    if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) { /* opening a pipe once more would wait for ever */
        return td_fail(err, TD_INVALID, "output %s: %s is not a regular file", name, path);
    }
    (void)snprintf(place, sizeof place, "/proc/self/fd/%d", fd);
    if (td_cli_upload(cli, place, digest, &size, err) != TD_OK) {
        return td_wrap(err, "output %s (%s)", name, path);
    }
    if (*metrics == NULL &&
        (strcmp(td_json_text(output, "role", ""), "metrics") == 0 || strcmp(name, "metrics") == 0)) {
        TD_TRY(read_metrics(fd, metrics, err));
    }
    td_hex_encode(digest, sizeof digest, text + 7);
    json_t *entry = json_pack("{s:s, s:s, s:I}", "name", name, "digest", text, "size", (json_int_t)size);
    return entry != NULL && json_array_append_new(list, entry) == 0 ? TD_OK
                                                                    : td_fail(err, TD_NOMEM, "no memory for outputs");
}

td_code td_job_outputs(td_cli *cli, const td_job *job, const json_t *step, json_t **out, json_t **metrics_out,
                       td_err *err)
{
    TD_CLEANUP(td_json_done) json_t *list = json_array();
    TD_CLEANUP(td_json_done) json_t *metrics = NULL;
    const json_t *outputs = json_object_get(step, "outputs");
    for (size_t i = 0; i < json_array_size(outputs); i++) {
        TD_TRY(send_output(cli, job, json_array_get(outputs, i), list, &metrics, err));
    }
    *out = json_incref(list);
    *metrics_out = metrics == NULL ? NULL : json_incref(metrics);
    return TD_OK;
}
