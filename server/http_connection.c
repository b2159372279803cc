/*
 * http_connection.c: what the connection of a call says: its headers, and who is at the other end.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http.h"

#include "server/config.h"
#include "server/internal.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

const char *td_call_header(const td_call *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

typedef struct header_count {
    const char *name;
    int count;
} header_count;

static enum MHD_Result count_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    header_count *wanted = context;
    (void)kind;
    (void)value;
    wanted->count += strcasecmp(name, wanted->name) == 0;
    return MHD_YES;
}

int td_call_header_count(const td_call *call, const char *name)
{
    header_count wanted = {name, 0};
    (void)MHD_get_connection_values(call->connection, MHD_HEADER_KIND, count_header, &wanted);
    return wanted.count;
}

unsigned td_call_uid(const td_call *call)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer = {.uid = (uid_t)-1};
    socklen_t size = sizeof peer;
    if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return (unsigned)-1;
    }
    return peer.uid;
}

void td_call_peer(const td_call *call, char out[64])
{
    if (td_listener_kind(call->listener) == TD_LISTENER_ADMIN) {
        snprintf(out, 64, "uid-%u", td_call_uid(call));
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    snprintf(out, 64, "unknown");
    if (info && info->client_addr->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)info->client_addr)->sin_addr, out, 64);
    } else if (info && info->client_addr->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)info->client_addr)->sin6_addr, out, 64);
    }
}

size_t td_call_address(const td_call *call, unsigned char out[16])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    bool loopback = td_config_int(call->request.server->config, "http.rate_on_loopback") != 0;
    if (td_listener_kind(call->listener) == TD_LISTENER_ADMIN || !info) {
        return 0;
    }
    if (info->client_addr->sa_family == AF_INET) {
        memcpy(out, &((const struct sockaddr_in *)info->client_addr)->sin_addr, 4);
        return out[0] == 127 && !loopback ? 0 : 4;
    }
    const struct in6_addr *six = &((const struct sockaddr_in6 *)info->client_addr)->sin6_addr;
    memcpy(out, six, 8);
    return info->client_addr->sa_family == AF_INET6 && (loopback || !IN6_IS_ADDR_LOOPBACK(six)) ? 8 : 0;
}
