/*
 * doctor.c: the examination in its order, and what can be read from the workspace's files alone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/fs.h"
#include "server/doctor_internal.h"
#include "server/workspace_internal.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#define EARLIEST_MS INT64_C(1767225600000) /* 2026-01-01: before this program was made */

const char *td_finding_state_name(td_finding_state state)
{
    static const char *const names[] = {"well", "warning", "bad"};
    return names[state];
}

void td_doctor__say(const td_doctor *doctor, const char *check, td_finding_state state, const char *advice,
                    const char *format, ...)
{
    char found[500];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(found, sizeof found, format, arguments);
    va_end(arguments);
    const td_finding finding = {check, state, found, advice};
    doctor->tell(doctor->context, &finding);
}

void td_doctor__path(const td_doctor *doctor, const char *name, char out[4096])
{
    snprintf(out, 4096, "%s/%s", doctor->options->workspace, name);
}

/* ---- workspace ---- */

static bool is_private_name(const char *name)
{
    const char *end = strrchr(name, '.');
    return end && strcmp(end, ".pem") == 0 && !strstr(name, ".crt.") && !strstr(name, ".pub.");
}

/* How many files in keys/ others can read, or belong to somebody else than the folder; the last one's name. */
static int count_open_keys(const td_doctor *doctor, uid_t owner, char name_out[256])
{
    char folder[4096];
    td_doctor__path(doctor, "keys", folder);
    DIR *keys = opendir(folder);
    int count = 0;
    for (struct dirent *entry; keys && (entry = readdir(keys)) != NULL;) {
        struct stat facts;
        if (is_private_name(entry->d_name) && fstatat(dirfd(keys), entry->d_name, &facts, 0) == 0 &&
            ((facts.st_mode & 077) != 0 || facts.st_uid != owner)) {
            count++;
            snprintf(name_out, 256, "%s", entry->d_name);
        }
    }
    if (keys) {
        closedir(keys);
    }
    return count;
}

static bool examine_workspace(const td_doctor *doctor)
{
    const char *place = doctor->options->workspace;
    struct stat folder, database;
    char path[4096], name[256];
    td_doctor__path(doctor, "tidemark.db", path);
    if (stat(place, &folder) != 0 || stat(path, &database) != 0) {
        td_doctor__say(doctor, "workspace", TD_FINDING_BAD,
                       "make one with `tidemark init`, or name it with --workspace",
                       "%s is no workspace", place);
        return false;
    }
    int open = count_open_keys(doctor, folder.st_uid, name);
    if (open) {
        td_doctor__say(doctor, "workspace", TD_FINDING_BAD,
                       "chmod 600 them and chown them to the workspace's owner; if others can have read them, make new "
                       "ones (docs/access.md)",
                       "%d private key(s) in keys/ can be read by others or belong to somebody else: %s", open, name);
    } else if ((folder.st_mode & 077) != 0) {
        td_doctor__say(doctor, "workspace", TD_FINDING_BAD, "chmod 700 the folder", "others can enter %s (mode %03o)",
                       place, (unsigned)folder.st_mode & 0777u);
    } else if (database.st_uid != folder.st_uid) {
        td_doctor__say(doctor, "workspace", TD_FINDING_BAD,
                       "chown -R everything in it to the user that runs the server",
                       "tidemark.db belongs to another user than the folder");
    } else {
        td_doctor__say(doctor, "workspace", TD_FINDING_WELL, "", "%s", place);
    }
    return true;
}

static void examine_configuration(td_doctor *doctor)
{
    char path[4096];
    td_err err = {0};
    td_doctor__path(doctor, TD_FILE_CONFIG, path);
    if (td_config_read(path, NULL, &doctor->config, &err) != TD_OK) {
        td_doctor__say(doctor, "configuration", TD_FINDING_BAD,
                       "mend the line; `tidemark serve --dump-config` lists every setting", "%s", err.text);
        return;
    }
    td_doctor__say(doctor, "configuration", TD_FINDING_WELL, "", "profile %s",
                   td_config_text(doctor->config, "profile"));
}

static void examine_database(td_doctor *doctor)
{
    char path[4096];
    td_err err = {0};
    int64_t missing = 0, unknown = 0;
    td_doctor__path(doctor, "tidemark.db", path);
    td_code code = td_db_open(path, TD_DB_READ, doctor->options->clock, &doctor->db, &err);
    code = code == TD_OK ? td_db_migrate_state(doctor->db, td_workspace__migrations, &missing, &unknown, &err) : code;
    if (code != TD_OK) {
        td_doctor__say(doctor, "database", TD_FINDING_BAD,
                       "bring back a backup of the workspace; keep the damaged file for a look", "%s", err.text);
    } else if (unknown) {
        td_doctor__say(doctor, "database", TD_FINDING_BAD, "install the version that made it, or a newer one",
                       "made by a newer Tidemark: %d schema steps that %s does not know", (int)unknown, TD_VERSION);
    } else if (missing) {
        td_doctor__say(doctor, "database", TD_FINDING_WARNING,
                       "make a backup of the workspace; then start the server, which brings the database up to date",
                       "made by an older Tidemark: %d schema steps are to come", (int)missing);
    } else {
        td_doctor__say(doctor, "database", TD_FINDING_WELL, "", "the schema of %s, SQLite %s", TD_VERSION,
                       td_db_library_version());
    }
    if (code != TD_OK || unknown || missing) {
        td_db_close(doctor->db); /* its tables may not be those that we know */
        doctor->db = NULL;
    }
}

/* ---- clock and disk ---- */

static void examine_clock(const td_doctor *doctor)
{
    int64_t newest = 0;
    td_err ignored;
    char now[32], then[32];
    td_format_time(doctor->now_ms, now);
    if (doctor->db && td_doctor__newest_ms(doctor->db, &newest, &ignored) != TD_OK) {
        newest = 0;
    }
    td_format_time(newest, then);
    struct timex time = {0};
    int kept = adjtimex(&time);
    if (doctor->now_ms < EARLIEST_MS || newest > doctor->now_ms + TD_DOCTOR_AHEAD_MS) {
        td_doctor__say(doctor, "clock", TD_FINDING_BAD,
                       "set it, and have it kept: timedatectl set-ntp true; records and certificates depend on it",
                       "it is %s, but the newest record is of %s", now, newest ? then : "later");
    } else if (kept == TIME_ERROR || (kept >= 0 && (time.status & STA_UNSYNC))) {
        td_doctor__say(doctor, "clock", TD_FINDING_WARNING, "timedatectl set-ntp true",
                       "%s; the kernel knows of nothing that keeps it (NTP)", now);
    } else {
        td_doctor__say(doctor, "clock", TD_FINDING_WELL, "", "%s", now);
    }
}

static void examine_disk(const td_doctor *doctor)
{
    struct statvfs disk;
    if (statvfs(doctor->options->workspace, &disk) != 0) {
        td_doctor__say(doctor, "disk", TD_FINDING_BAD, "look at the mount", "the file system cannot be asked");
        return;
    }
    uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    char left[24], least[24];
    td_format_bytes(room, left);
    td_format_bytes((uint64_t)doctor->options->free_min, least);
    if (disk.f_flag & ST_RDONLY) {
        td_doctor__say(doctor, "disk", TD_FINDING_BAD, "mount -o remount,rw; dmesg may say why it became so",
                       "the file system is read-only");
    } else if (room < (uint64_t)doctor->options->free_min) {
        td_doctor__say(doctor, "disk", TD_FINDING_BAD,
                       "enlarge it or make room; when it is full writes are refused, and go on when there is room",
                       "%s left, at least %s should be", left, least);
    } else {
        td_doctor__say(doctor, "disk", TD_FINDING_WELL, "", "%s left", left);
    }
}

/* ---- content ---- */

typedef struct store_look {
    td_content *content;
    uint64_t files, missing;
    uint8_t first[TD_DIGEST_SIZE];
} store_look;

static void look_at_file(void *context, const uint8_t digest[TD_DIGEST_SIZE], uint64_t size)
{
    store_look *look = context;
    uint64_t found = 0;
    bool there = td_content_exists(look->content, digest, &found);
    look->files++;
    if (!there || found != size) {
        if (look->missing == 0) {
            memcpy(look->first, digest, sizeof look->first);
        }
        look->missing++;
    }
}

void td_doctor__store(const td_doctor *doctor)
{
    td_content *content = NULL;
    char path[4096], label[TD_DIGEST_LABEL_SIZE];
    td_err err = {0};
    if (!doctor->db) {
        return;
    }
    td_doctor__path(doctor, "content", path);
    td_code code = td_content_attach(path, &content, &err);
    store_look look = {.content = content};
    code = code == TD_OK ? td_doctor__each_file(doctor->db, look_at_file, &look, &err) : code;
    td_digest_format(look.first, label);
    if (code != TD_OK) {
        td_doctor__say(doctor, "store", TD_FINDING_BAD, "bring content/ back from a backup", "%s", err.text);
    } else if (look.missing) {
        td_doctor__say(doctor, "store", TD_FINDING_BAD,
                       "upload the good bytes again: that heals them; `tidemark store verify` looks for more",
                       "%llu file(s) of versions are missing, damaged or cut, the first %s",
                       (unsigned long long)look.missing, label);
    } else {
        td_doctor__say(doctor, "store", TD_FINDING_WELL, "",
                       "%llu files of versions are there; `tidemark store verify` reads them all",
                       (unsigned long long)look.files);
    }
    td_content_close(content);
}

/* A workspace that is younger than a week has time. */
static void examine_backup(const td_doctor *doctor)
{
    int64_t newest = 0, first = 0;
    td_err err = {0};
    char text[32];
    if (!doctor->db) {
        return;
    }
    if (td_doctor__backup_ms(doctor->db, &newest, &first, &err) != TD_OK) {
        td_doctor__say(doctor, "backup", TD_FINDING_BAD, "bring back a backup of the workspace", "%s", err.text);
        return;
    }
    td_format_time(newest, text);
    bool old = doctor->now_ms - (newest ? newest : first) > TD_DOCTOR_BACKUP_MS;
    td_doctor__say(doctor, "backup", old ? TD_FINDING_WARNING : TD_FINDING_WELL,
                   old ? "tidemark backup --to DIR, on another disk, and each night (docs/backup.md)" : "",
                   "%s%s", newest ? "the newest is of " : "none was made yet", newest ? text : "");
}

void td_doctor_examine(const td_doctor_options *options, void (*tell)(void *context, const td_finding *finding),
                       void *context)
{
    td_doctor doctor = {.options = options, .tell = tell, .context = context, .now_ms = td_now_ms(options->clock)};
    if (!examine_workspace(&doctor)) {
        return;
    }
    examine_configuration(&doctor);
    examine_database(&doctor);
    td_doctor__running(&doctor);
    examine_clock(&doctor);
    td_doctor__certificates(&doctor);
    examine_disk(&doctor);
    td_doctor__signer(&doctor);
    td_doctor__store(&doctor);
    examine_backup(&doctor);
    td_db_close(doctor.db);
    td_config_free(&doctor.config);
}
