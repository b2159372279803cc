/*
 * notify.c: one datagram a message; whoever is not run by systemd sends none.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/base/notify.h"

#include "core/base/fs.h"
#include "core/base/str.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void td_notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof address.sun_path) {
        return;
    }
    TD_CLEANUP(td_close_fd) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    memcpy(address.sun_path, path, strlen(path));
    if (path[0] == '@') {
        address.sun_path[0] = 0; /* an abstract address */
    }
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&address, size);
}

uint32_t td_notify_watchdog_ms(void)
{
    const char *microseconds = getenv("WATCHDOG_USEC");
    const char *process = getenv("WATCHDOG_PID");
    int64_t value, pid;
    td_err err;
    if (microseconds == NULL ||
        td_parse_int(microseconds, "WATCHDOG_USEC", 1000, INT64_MAX / 2, &value, &err) != TD_OK) {
        return 0;
    }
    if (process != NULL &&
        (td_parse_int(process, "WATCHDOG_PID", 0, INT32_MAX, &pid, &err) != TD_OK || pid != getpid())) {
        return 0;
    }
    int64_t half = value / 2000;
    return half < 1 ? 1 : half > 3600000 ? 3600000 : (uint32_t)half;
}
