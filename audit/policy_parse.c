/*
 * policy_parse.c: reads a policy file, strictly: whoever misspells a line learns it here and not when it matters.
 *
 * Format: C2SP tlog-policy. Where it has a vkey, Sigsum's policy has the 64 hexadecimal digits of the bare public key;
 * both are read.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/policy_parts.h"

#include "core/base/fs.h"

#include <stdlib.h>
#include <string.h>

#define WORDS_MAX (TD_POLICY_PARTIES_MAX + 4)
#define KEY_MAX 256
#define HEX_SIZE (2 * TD_ED25519_PUBLIC_SIZE)

typedef struct word {
    const char *text;
    size_t size;
} word;

typedef struct reading {
    td_policy *policy;
    word words[WORDS_MAX];
    size_t count;
} reading;

void td_policy_free(td_policy **policy)
{
    if (policy != NULL) {
        free(*policy);
        *policy = NULL;
    }
}

/* Copies a word; false if it does not fit. */
static bool copy_word(const word *from, char *out, size_t room)
{
    if (from->size >= room) {
        return false;
    }
    memcpy(out, from->text, from->size);
    out[from->size] = '\0';
    return true;
}

static bool is_word(const word *from, const char *text)
{
    return from->size == strlen(text) && memcmp(from->text, text, from->size) == 0;
}

static int find_party(const td_policy *policy, const word *name)
{
    for (int i = 0; i < policy->party_count; i++) {
        if (is_word(name, policy->parties[i].name)) {
            return i;
        }
    }
    return -1;
}

static td_code bare_key(const word *from, td_note_key *out, td_err *err)
{
    uint8_t public_key[TD_ED25519_PUBLIC_SIZE];
    TD_TRY(td_hex_decode(from->text, from->size, public_key, sizeof public_key, err));
    td_note_key_of(public_key, out);
    return TD_OK;
}

static td_code read_log_key(const word *from, td_note_key *out, td_err *err)
{
    char text[KEY_MAX];
    if (from->size == HEX_SIZE && bare_key(from, out, NULL) == TD_OK) {
        return TD_OK;
    }
    if (!copy_word(from, text, sizeof text)) {
        return td_fail(err, TD_INVALID, "the key is longer than %d characters", KEY_MAX - 1);
    }
    return td_note_key_parse(text, out, err);
}

static td_code read_witness_key(const word *from, td_policy_witness *out, td_err *err)
{
    char text[KEY_MAX];
    if (from->size == HEX_SIZE && bare_key(from, &out->key, NULL) == TD_OK) {
        out->key.type = TD_NOTE_COSIGNATURE;
        out->any_name = true;
        return TD_OK;
    }
    if (!copy_word(from, text, sizeof text)) {
        return td_fail(err, TD_INVALID, "the key is longer than %d characters", KEY_MAX - 1);
    }
    return td_note_cosigner_parse(text, &out->key, err);
}

static td_code no_twin(const td_note_key *key, const td_note_key *other, td_err *err)
{
    return memcmp(key->public_key, other->public_key, sizeof key->public_key) != 0
               ? TD_OK
               : td_fail(err, TD_INVALID, "the same public key stands on an earlier line");
}

static td_code read_url(const word *from, char out[TD_POLICY_URL_MAX], td_err *err)
{
    bool web = (from->size > 8 && memcmp(from->text, "https://", 8) == 0) ||
               (from->size > 7 && memcmp(from->text, "http://", 7) == 0);
    if (!web || !copy_word(from, out, TD_POLICY_URL_MAX)) {
        return td_fail(err, TD_INVALID, "the url must begin with https:// or http:// and have at most %d characters",
                       TD_POLICY_URL_MAX - 1);
    }
    return TD_OK;
}

static td_code read_log(reading *job, td_err *err)
{
    td_policy *policy = job->policy;
    char url[TD_POLICY_URL_MAX];
    if (job->count < 2 || job->count > 3) {
        return td_fail(err, TD_INVALID, "a log line is: log KEY [URL]");
    }
    if (policy->log_count == TD_POLICY_LOGS_MAX) {
        return td_fail(err, TD_LIMIT, "more than %d logs", TD_POLICY_LOGS_MAX);
    }
    td_note_key *key = &policy->logs[policy->log_count];
    TD_TRY(read_log_key(&job->words[1], key, err));
    TD_TRY(job->count == 3 ? read_url(&job->words[2], url, err) : TD_OK);
    for (int i = 0; i < policy->log_count; i++) {
        TD_TRY(no_twin(key, &policy->logs[i], err));
    }
    policy->log_count++;
    return TD_OK;
}

static td_code new_party(td_policy *policy, const word *name, td_policy_party **out, td_err *err)
{
    if (is_word(name, "none") || find_party(policy, name) >= 0) {
        return td_fail(err, TD_INVALID, "the name \"%.*s\" is taken", (int)(name->size < 80 ? name->size : 80),
                       name->text);
    }
    td_policy_party *party = &policy->parties[policy->party_count];
    *party = (td_policy_party){.witness = -1, .group_of = -1};
    if (!copy_word(name, party->name, sizeof party->name)) {
        return td_fail(err, TD_INVALID, "the name is longer than %d bytes", TD_POLICY_NAME_MAX - 1);
    }
    *out = party;
    return TD_OK;
}

static td_code read_witness(reading *job, td_err *err)
{
    td_policy *policy = job->policy;
    td_policy_party *party = NULL;
    if (job->count < 3 || job->count > 4) {
        return td_fail(err, TD_INVALID, "a witness line is: witness NAME KEY [URL]");
    }
    if (policy->witness_count == TD_POLICY_WITNESSES_MAX) {
        return td_fail(err, TD_LIMIT, "more than %d witnesses", TD_POLICY_WITNESSES_MAX);
    }
    td_policy_witness *witness = &policy->witnesses[policy->witness_count];
    TD_TRY(new_party(policy, &job->words[1], &party, err));
    TD_TRY(read_witness_key(&job->words[2], witness, err));
    TD_TRY(job->count == 4 ? read_url(&job->words[3], witness->url, err) : TD_OK);
    for (int i = 0; i < policy->witness_count; i++) {
        TD_TRY(no_twin(&witness->key, &policy->witnesses[i].key, err));
    }
    party->witness = policy->witness_count++;
    policy->party_count++;
    return TD_OK;
}

static td_code take_member(td_policy *policy, const word *name, int group, td_err *err)
{
    int size = (int)(name->size < 80 ? name->size : 80);
    int member = find_party(policy, name);
    if (member < 0) {
        return td_fail(err, TD_INVALID, "no witness or group \"%.*s\" is defined above", size, name->text);
    }
    if (policy->parties[member].group_of >= 0) {
        return td_fail(err, TD_INVALID, "\"%.*s\" is a member already, and would count twice", size, name->text);
    }
    policy->parties[member].group_of = group;
    return TD_OK;
}

static td_code read_threshold(const word *from, int members, int *out, td_err *err)
{
    char text[12];
    int64_t number = 0;
    if (is_word(from, "all") || is_word(from, "any")) {
        *out = is_word(from, "all") ? members : 1;
        return TD_OK;
    }
    if (!copy_word(from, text, sizeof text) || text[0] == '0' || text[0] == '-' || text[0] == '+' ||
        td_parse_int(text, "threshold", 1, members, &number, NULL) != TD_OK) {
        return td_fail(err, TD_INVALID, "a group's threshold is all, any, or a number from 1 to its %d members",
                       members);
    }
    *out = (int)number;
    return TD_OK;
}

static td_code read_group(reading *job, td_err *err)
{
    td_policy *policy = job->policy;
    td_policy_party *party = NULL;
    if (job->count < 4) {
        return td_fail(err, TD_INVALID, "a group line is: group NAME all|any|NUMBER MEMBER...");
    }
    if (policy->group_count == TD_POLICY_GROUPS_MAX) {
        return td_fail(err, TD_LIMIT, "more than %d groups", TD_POLICY_GROUPS_MAX);
    }
    TD_TRY(new_party(policy, &job->words[1], &party, err));
    party->members = (int)job->count - 3;
    TD_TRY(read_threshold(&job->words[2], party->members, &party->threshold, err));
    for (size_t i = 3; i < job->count; i++) {
        TD_TRY(take_member(policy, &job->words[i], policy->party_count, err));
    }
    policy->group_count++;
    policy->party_count++;
    return TD_OK;
}

static td_code read_quorum(reading *job, td_err *err)
{
    td_policy *policy = job->policy;
    if (job->count != 2 || policy->decided) {
        return td_fail(err, TD_INVALID, policy->decided ? "the quorum stands on an earlier line already"
                                                        : "a quorum line is: quorum NAME, or quorum none");
    }
    policy->decided = true;
    policy->quorum = is_word(&job->words[1], "none") ? -1 : find_party(policy, &job->words[1]);
    if (policy->quorum < 0 && !is_word(&job->words[1], "none")) {
        return td_fail(err, TD_INVALID, "no witness or group \"%.*s\" is defined above",
                       (int)(job->words[1].size < 80 ? job->words[1].size : 80), job->words[1].text);
    }
    return TD_OK;
}

/* Words lie between spaces and tabs; the only other control character allowed is the newline that is gone already. */
static td_code cut_words(reading *job, const char *line, size_t size, td_err *err)
{
    job->count = 0;
    for (size_t at = 0; at < size;) {
        if (((unsigned char)line[at] < ' ' && line[at] != '\t') || line[at] == 0x7f) {
            return td_fail(err, TD_INVALID, "a control character");
        }
        if (line[at] == ' ' || line[at] == '\t') {
            at++;
            continue;
        }
        size_t end = at;
        while (end < size && (unsigned char)line[end] > ' ' && line[end] != 0x7f) {
            end++;
        }
        if (job->count == WORDS_MAX) {
            return td_fail(err, TD_LIMIT, "more than %d words", WORDS_MAX);
        }
        job->words[job->count++] = (word){line + at, end - at};
        at = end;
    }
    return TD_OK;
}

static td_code read_line(reading *job, const char *line, size_t size, td_err *err)
{
    static const struct {
        const char *word;
        td_code (*read)(reading *job, td_err *err);
    } kinds[] = {{"log", read_log}, {"witness", read_witness}, {"group", read_group}, {"quorum", read_quorum}};
    size_t first = 0;
    while (first < size && (line[first] == ' ' || line[first] == '\t')) {
        first++;
    }
    if (first == size || line[first] == '#') {
        return TD_OK;
    }
    TD_TRY(cut_words(job, line, size, err));
    for (size_t i = 0; i < TD_COUNT_OF(kinds); i++) {
        if (is_word(&job->words[0], kinds[i].word)) {
            return kinds[i].read(job, err);
        }
    }
    return td_fail(err, TD_INVALID, "a line begins with log, witness, group or quorum, not \"%.*s\"",
                   (int)(job->words[0].size < 40 ? job->words[0].size : 40), job->words[0].text);
}

static td_code read_lines(reading *job, const char *text, size_t size, const char *what, td_err *err)
{
    td_err own = {.code = TD_OK};
    err = err != NULL ? err : &own;
    int number = 1;
    for (size_t at = 0; at < size; number++) {
        const char *newline = memchr(text + at, '\n', size - at);
        size_t end = newline != NULL ? (size_t)(newline - text) : size;
        if (read_line(job, text + at, end - at, err) != TD_OK) {
            return td_wrap(err, "%s: line %d", what, number);
        }
        at = end + 1;
    }
    return job->policy->decided ? TD_OK
                                : td_fail(err, TD_INVALID, "%s: no quorum line (\"quorum none\" asks for none)", what);
}

td_code td_policy_parse(const char *text, size_t size, const char *what, td_policy **out, td_err *err)
{
    TD_CLEANUP(td_policy_free) td_policy *policy = calloc(1, sizeof *policy);
    if (policy == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the policy");
    }
    if (size > TD_POLICY_SIZE_MAX) {
        return td_fail(err, TD_LIMIT, "%s: a policy has at most %zu bytes", what, TD_POLICY_SIZE_MAX);
    }
    reading job = {.policy = policy};
    TD_TRY(read_lines(&job, text, size, what, err));
    *out = policy;
    policy = NULL;
    return TD_OK;
}

td_code td_policy_read(const char *path, td_policy **out, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str text = {0};
    TD_TRY(td_file_read(path, TD_POLICY_SIZE_MAX, &text, err));
    return td_policy_parse(td_str_text(&text), text.size, path, out, err);
}
