/*
 * metrics.c: families of metrics about the process and about the files that it lives in.
 *
 * Names of process_… families are those that Prometheus' client libraries use.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/metrics.h"

#include "server/internal.h"
#include "server/metrics_text.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* ---- who may ---- */

/* A proxy on this machine speaks from loopback for the whole world: what it forwards does not count as local. */
static bool is_forwarded(const td_call *call)
{
    static const char *const headers[] = {"Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"};
    for (size_t i = 0; i < TD_COUNT_OF(headers); i++) {
        if (td_call_header(call, headers[i])) {
            return true;
        }
    }
    return false;
}

bool td_metrics_open(const td_call *call)
{
    const td_request *request = &call->request;
    if (strcmp(request->route->pattern, "/metrics") != 0 ||
        td_config_int(request->server->config, "metrics.public") == 0 ||
        td_listener_kind(call->listener) != TD_LISTENER_API) {
        return false;
    }
    char peer[64];
    td_call_peer(call, peer);
    bool local = strncmp(peer, "127.", 4) == 0 || strcmp(peer, "::1") == 0 || strncmp(peer, "::ffff:127.", 11) == 0;
    return local && !is_forwarded(call);
}

/* ---- the process ---- */

static size_t open_files(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder)) {
        count++;
    }
    if (folder) {
        closedir(folder);
    }
    return count > 3 ? count - 3 : 0; /* ".", "..", and the folder's own */
}

static double resident_bytes(void)
{
    unsigned long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file) {
        if (fscanf(file, "%lu %lu", &total, &resident) != 2) {
            resident = 0;
        }
        (void)fclose(file);
    }
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static void add_process(td_str *out)
{
    struct rusage usage = {0};
    struct rlimit files = {0};
    (void)getrusage(RUSAGE_SELF, &usage);
    (void)getrlimit(RLIMIT_NOFILE, &files);
    double seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    td_metrics_single(out, "process_cpu_seconds_total", "counter", "Time of processors that the server used.", seconds);
    td_metrics_single(out, "process_resident_memory_bytes", "gauge", "Resident memory.", resident_bytes());
    td_metrics_single(out, "process_open_fds", "gauge", "Open file descriptors.", (double)open_files());
    td_metrics_single(out, "process_max_fds", "gauge", "How many there may be.", (double)files.rlim_cur);
}

/* ---- the workspace ---- */

static double file_bytes(const char *workspace, const char *name)
{
    char path[4096];
    struct stat facts;
    td_err ignored;
    bool there = td_workspace_file(workspace, name, path, &ignored) == TD_OK && stat(path, &facts) == 0;
    return there ? (double)facts.st_size : 0;
}

/* Files that failed their digest lie in content/damaged until somebody puts good bytes in their place. */
static size_t damaged_files(const char *workspace)
{
    char path[4096];
    td_err ignored;
    DIR *folder = td_workspace_file(workspace, "content/damaged", path, &ignored) == TD_OK ? opendir(path) : NULL;
    size_t count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    if (folder) {
        closedir(folder);
    }
    return count;
}

static void add_files(const char *workspace, td_str *out)
{
    struct statvfs disk;
    td_metrics_single(out, "tidemark_database_bytes", "gauge", "Size of tidemark.db.",
                      file_bytes(workspace, "tidemark.db"));
    td_metrics_single(out, "tidemark_wal_bytes", "gauge", "Size of the database's write-ahead log.",
                      file_bytes(workspace, "tidemark.db-wal"));
    td_metrics_single(out, "tidemark_content_damaged", "gauge", "Files that failed their digest and are not served.",
                      (double)damaged_files(workspace));
    if (statvfs(workspace, &disk) == 0) {
        td_metrics_single(out, "tidemark_disk_free_bytes", "gauge", "Room left where the workspace lies.",
                          (double)disk.f_bavail * (double)disk.f_frsize);
        td_metrics_single(out, "tidemark_disk_bytes", "gauge", "Size of that file system.",
                          (double)disk.f_blocks * (double)disk.f_frsize);
    }
}

void td_metrics_process(const char *workspace, td_str *out)
{
    add_process(out);
    add_files(workspace, out);
}
