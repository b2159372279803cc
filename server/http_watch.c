/*
 * http_watch.c: a list of open connections with what each is waiting for and since when.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http_watch.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

typedef enum phase { PHASE_HEADERS, PHASE_BODY, PHASE_WORK } phase;

typedef struct entry {
    struct entry *next, *previous;
    int fd;
    phase phase;
    int64_t since_ms;
    uint64_t bytes;
} entry;

struct td_watch_list {
    const td_clock *clock;
    int64_t timeout_ms;
    pthread_mutex_t lock;
    entry *first;
};

td_code td_watch_new(const td_clock *clock, int64_t timeout_ms, td_watch_list **out, td_err *err)
{
    td_watch_list *list = calloc(1, sizeof *list);
    if (!list) {
        return td_fail(err, TD_NOMEM, "no memory for the list of connections");
    }
    list->clock = clock;
    list->timeout_ms = timeout_ms;
    pthread_mutex_init(&list->lock, NULL);
    *out = list;
    return TD_OK;
}

void td_watch_free(td_watch_list **list)
{
    if (*list) {
        while ((*list)->first) {
            td_watch_remove(*list, (*list)->first);
        }
        pthread_mutex_destroy(&(*list)->lock);
        free(*list);
        *list = NULL;
    }
}

void *td_watch_add(td_watch_list *list, int fd)
{
    entry *added = calloc(1, sizeof *added);
    if (!added) {
        return NULL;
    }
    added->fd = fd;
    added->since_ms = list->clock->monotonic_ms(list->clock);
    pthread_mutex_lock(&list->lock);
    added->next = list->first;
    if (list->first) {
        list->first->previous = added;
    }
    list->first = added;
    pthread_mutex_unlock(&list->lock);
    return added;
}

void td_watch_remove(td_watch_list *list, void *gone)
{
    entry *old = gone;
    if (!old) {
        return;
    }
    pthread_mutex_lock(&list->lock);
    if (old->previous) {
        old->previous->next = old->next;
    } else {
        list->first = old->next;
    }
    if (old->next) {
        old->next->previous = old->previous;
    }
    pthread_mutex_unlock(&list->lock);
    free(old);
}

static entry *entry_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static void set_phase(td_watch_list *list, struct MHD_Connection *connection, phase next)
{
    entry *current = entry_of(connection);
    if (current) {
        pthread_mutex_lock(&list->lock);
        current->phase = next;
        current->since_ms = list->clock->monotonic_ms(list->clock);
        current->bytes = 0;
        pthread_mutex_unlock(&list->lock);
    }
}

void td_watch_headers_wanted(td_watch_list *list, struct MHD_Connection *connection)
{
    set_phase(list, connection, PHASE_HEADERS);
}

void td_watch_body_wanted(td_watch_list *list, struct MHD_Connection *connection)
{
    set_phase(list, connection, PHASE_BODY);
}

void td_watch_working(td_watch_list *list, struct MHD_Connection *connection)
{
    set_phase(list, connection, PHASE_WORK);
}

void td_watch_bytes(td_watch_list *list, struct MHD_Connection *connection, size_t size)
{
    entry *current = entry_of(connection);
    if (current) {
        pthread_mutex_lock(&list->lock);
        current->bytes += size;
        pthread_mutex_unlock(&list->lock);
    }
}

static bool too_slow(const td_watch_list *list, const entry *current, int64_t now_ms)
{
    int64_t age_ms = now_ms - current->since_ms;
    if (current->phase == PHASE_WORK || age_ms < list->timeout_ms) {
        return false;
    }
    return current->phase == PHASE_HEADERS ||
           current->bytes < (uint64_t)(age_ms - list->timeout_ms) * TD_SLOW_BYTES_PER_S / 1000 + 1;
}

void td_watch_check(td_watch_list *list, int64_t now_ms)
{
    pthread_mutex_lock(&list->lock);
    for (entry *current = list->first; current; current = current->next) {
        if (current->fd >= 0 && too_slow(list, current, now_ms)) {
            shutdown(current->fd, SHUT_RDWR);
            current->fd = -1; /* once */
        }
    }
    pthread_mutex_unlock(&list->lock);
}
