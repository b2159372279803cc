/*
 * worker_sockets.c: a seccomp filter over what Landlock does not see: sockets.
 *
 * Landlock lets a step connect to any Unix socket of its user: the server's admin socket, a session bus that starts
 * programs. So a caged step gets no Unix sockets by name (pairs and pipes remain), and without `network` none at all,
 * UDP included. io_uring would make sockets past the filter, so it is not there. See seccomp(2).
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/worker.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define NATIVE AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define NATIVE AUDIT_ARCH_RISCV64
#elif defined(__ARM_EABI__) && defined(__ARMEL__)
#define NATIVE AUDIT_ARCH_ARM
#else
#define NATIVE 0U /* nobody has looked which calls make sockets there */
#endif

#define OTHER_ABI 0x40000000U /* bit of x32's call numbers; no other machine has calls that high */
#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define ANSWER(number) RETURN(SECCOMP_RET_ERRNO | (uint32_t)(number))
#define UNLESS(test, value) BPF_JUMP(BPF_JMP | (test) | BPF_K, (value), 0, 1) /* … skip one */

int td_cage_sockets(bool network)
{
    struct sock_filter code[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS), /* another ABI has other numbers */
        LOAD(nr),
        UNLESS(BPF_JGE, OTHER_ABI),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        UNLESS(BPF_JEQ, SYS_io_uring_setup),
        ANSWER(ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 1, 0),
        RETURN(SECCOMP_RET_ALLOW),
        LOAD(args[0]), /* the lower half, which is all of an int */
        UNLESS(BPF_JEQ, AF_INET),
        network ? (struct sock_filter)RETURN(SECCOMP_RET_ALLOW) : (struct sock_filter)ANSWER(EACCES),
        UNLESS(BPF_JEQ, AF_INET6),
        network ? (struct sock_filter)RETURN(SECCOMP_RET_ALLOW) : (struct sock_filter)ANSWER(EACCES),
        UNLESS(BPF_JEQ, AF_NETLINK), /* getaddrinfo asks which addresses there are */
        network ? (struct sock_filter)RETURN(SECCOMP_RET_ALLOW) : (struct sock_filter)ANSWER(EACCES),
        ANSWER(EACCES),
    };
    struct sock_fprog program = {.len = (unsigned short)TD_COUNT_OF(code), .filter = code};
    if (NATIVE == 0U) {
        errno = ENOSYS;
        return -1;
    }
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}
