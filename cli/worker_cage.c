/*
 * worker_cage.c: Landlock by raw system calls (glibc has no wrappers).
 *
 * Rights are deny-by-default once handled; each newer version of the kernel handles more: 2 renames across folders, 3
 * truncation, 4 TCP, 5 device ioctl, 6 abstract sockets and signals. Numbers: linux/landlock.h.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CREATE_RULESET 444
#define ADD_RULE 445
#define RESTRICT_SELF 446
#define RULE_PATH_BENEATH 1
#define CREATE_VERSION 1U

#define FS_EXECUTE (UINT64_C(1) << 0)
#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_READ_DIR (UINT64_C(1) << 3)
#define FS_WRITE_FILE (UINT64_C(1) << 1)
#define FS_ALL_1 ((UINT64_C(1) << 13) - 1)
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define FS_OF_FILES (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define NET_ALL UINT64_C(3) /* bind and connect, TCP */
#define SCOPE_ALL UINT64_C(3)

struct ruleset {
    uint64_t fs, net, scoped;
};

struct path_rule {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

int td_cage_version(void)
{
    long version = syscall(CREATE_RULESET, NULL, 0, CREATE_VERSION);
    return version > 0 ? (int)version : 0;
}

static uint64_t handled_fs(int version)
{
    return FS_ALL_1 | (version >= 2 ? FS_REFER : 0) | (version >= 3 ? FS_TRUNCATE : 0) |
           (version >= 5 ? FS_IOCTL_DEV : 0);
}

/* A path that is not there needs no rule. */
static int allow(int ruleset, const char *path, uint64_t rights)
{
    struct stat facts;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? 0 : -1;
    }
    int result = fstat(fd, &facts);
    if (result == 0) {
        struct path_rule rule = {S_ISDIR(facts.st_mode) ? rights : rights & FS_OF_FILES, fd};
        result = (int)syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0);
    }
    (void)close(fd);
    return result;
}

static int add_rules(int ruleset, const td_job *job, uint64_t all)
{
    static const char *const programs[] = {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt", NULL};
    static const char *const files[] = {"/etc/ld.so.cache",
                                        "/etc/ld.so.preload",
                                        "/etc/localtime",
                                        "/etc/ssl",
                                        "/etc/nsswitch.conf",
                                        "/etc/passwd",
                                        "/dev/urandom",
                                        "/dev/random",
                                        "/dev/zero",
                                        "/proc/self",
                                        "/proc/cpuinfo",
                                        "/proc/meminfo",
                                        "/sys/devices/system/cpu",
                                        NULL};
    const uint64_t read = FS_READ_FILE | FS_READ_DIR;
    for (size_t i = 0; programs[i] != NULL; i++) {
        if (allow(ruleset, programs[i], read | FS_EXECUTE) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; files[i] != NULL; i++) {
        if (allow(ruleset, files[i], read) != 0) {
            return -1;
        }
    }
    for (size_t i = 0; job->readable[i] != NULL; i++) {
        if (allow(ruleset, job->readable[i], read) != 0) {
            return -1;
        }
    }
    if (strchr(job->command[0], '/') != NULL && allow(ruleset, job->command[0], FS_READ_FILE | FS_EXECUTE) != 0) {
        return -1;
    }
    if (allow(ruleset, "/dev/null", FS_READ_FILE | FS_WRITE_FILE) != 0) {
        return -1;
    }
    return allow(ruleset, job->folder, all);
}

int td_cage_enter(const td_job *job, const char **what_out)
{
    int version = td_cage_version();
    struct ruleset handled = {handled_fs(version), version >= 4 && !job->network ? NET_ALL : 0,
                              version >= 6 ? SCOPE_ALL : 0};
    size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
    *what_out = "landlock_create_ruleset";
    int ruleset = (int)syscall(CREATE_RULESET, &handled, size, 0);
    if (ruleset < 0) {
        return -1;
    }
    *what_out = "landlock_add_rule";
    if (add_rules(ruleset, job, handled.fs) != 0) {
        return -1;
    }
    *what_out = "no_new_privs";
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return -1;
    }
    *what_out = "landlock_restrict_self";
    int result = (int)syscall(RESTRICT_SELF, ruleset, 0);
    (void)close(ruleset);
    if (result != 0) {
        return -1;
    }
    *what_out = "seccomp";
    return td_cage_sockets(job->network);
}
