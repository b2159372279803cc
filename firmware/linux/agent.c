/*
 * agent.c: see agent.h. Everything happens on this one thread; whatever comes from others comes through the wake
 * descriptor.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/agent.h"

#include "core/base/fs.h"
#include "core/base/log.h"
#include "firmware/edge/edge.h"
#include "firmware/linux/apps.h"
#include "firmware/linux/identity.h"
#include "firmware/linux/link.h"
#include "core/base/notify.h"
#include "firmware/linux/slot_files.h"
#include "firmware/linux/socket.h"
#include "firmware/linux/state_file.h"
#include "firmware/linux/status.h"
#include "firmware/linux/world.h"

#include "firmware/wire/tidemark.pb.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define COMPONENT "agent"
#define CONTACT_DEFAULT_S 300
#define BLOCK_SIZE 16384
#define CREDIT 16
#define MESSAGE_ROOM 65536
#define DIRECTIVE_ROOM 8192
#define WORK_ROOM 65536
#define DATAGRAMS_A_TURN 256 /* of applications, before the loop looks at the network again */
#define EVENTS_A_TURN 64
#define DRAIN_MS 2000

typedef struct agent_all {
    td_identity identity;
    const char *runtimes[TD_IDENTITY_RUNTIMES_MAX];
    td_agent_socket socket;
    td_state_file state;
    td_slot_files slots;
    td_world world;
    td_link *link;
    td_apps apps;
    tde_core core;
    int wake_fd, signal_fd;
    bool stop;
    bool said_refused;                          /* in this session */
    char last_why[sizeof(((td_err *)0)->text)]; /* the last reason for being offline that was logged */
    uint32_t watchdog_ms;
    int64_t watchdog_due;
    uint8_t message[MESSAGE_ROOM], directive[DIRECTIVE_ROOM], work[WORK_ROOM];
    uint8_t datagram[TM_LOCAL_DATAGRAM_MAX + 1];
} agent_all;

/* ---- The session --------------------------------------------------------------------------------------------------
 */

static void log_certificate(const agent_all *agent)
{
    td_err err;
    if (td_identity_check_certificate(&agent->identity, td_now_ms(&td_clock_system), &err) != TD_OK) {
        td_log_err(TD_LOG_ERROR, COMPONENT, "certificate", &err);
    }
}

/* Said once a reason, not once an attempt. */
static void log_offline(agent_all *agent, const td_link_event *event)
{
    const char *why = (const char *)event->bytes;
    if (strcmp(agent->last_why, why) == 0) {
        td_log_debug(COMPONENT, "still offline: %s", why);
        return;
    }
    snprintf(agent->last_why, sizeof agent->last_why, "%s", why);
    td_log_warn(COMPONENT, "offline: %s; trying again until it works, the models keep running", why);
    if (event->code == TD_DENIED) {
        td_log_error(COMPONENT, "the broker refuses %s: its certificate is revoked, expired, or of another workspace",
                     agent->identity.device);
        log_certificate(agent);
    }
}

/* The session stands, but nothing that we say gets through: a device that was revoked while it was connected. */
static void log_refused(agent_all *agent, const char *why)
{
    if (!agent->said_refused) {
        td_log_error(COMPONENT, "the broker takes nothing from %s: %s; it was revoked, or is not admitted there",
                     agent->identity.device, why);
    }
    agent->said_refused = true;
}

static void take_event(agent_all *agent, const td_link_event *event)
{
    int result = TDE_OK;
    switch (event->kind) {
    case TD_LINK_CONNECTED:
        agent->last_why[0] = 0;
        agent->said_refused = false;
        td_log_info(COMPONENT, "online: %s at %s:%d", agent->identity.device, agent->identity.host,
                    agent->identity.port);
        tde_on_connected(&agent->core);
        break;
    case TD_LINK_DISCONNECTED:
        log_offline(agent, event);
        tde_on_disconnected(&agent->core);
        break;
    case TD_LINK_REFUSED:
        log_refused(agent, (const char *)event->bytes);
        break;
    case TD_LINK_DIRECTIVE:
        result = tde_on_directive(&agent->core, event->bytes, event->size);
        break;
    case TD_LINK_BLOCK:
        result = tde_on_block(&agent->core, event->bytes, event->size);
        break;
    case TD_LINK_RECEIPT:
        result = tde_on_receipt(&agent->core, event->bytes, event->size);
        break;
    case TD_LINK_SERVER:
        result = tde_on_server(&agent->core, event->bytes, event->size);
        break;
    }
    if (result != TDE_OK) {
        td_log_debug(COMPONENT, "message of kind %d: result %d", event->kind, result);
    }
}

static bool drain_link(agent_all *agent)
{
    uint64_t count;
    (void)!read(agent->wake_fd, &count, sizeof count);
    for (int i = 0; i < EVENTS_A_TURN; i++) {
        td_link_event *event = td_link_take(agent->link);
        if (event == NULL) {
            return false;
        }
        take_event(agent, event);
        free(event);
    }
    return true; /* more may wait */
}

/* ---- Applications -------------------------------------------------------------------------------------------------
 */

static void answer(agent_all *agent, size_t size, unsigned kind, const struct sockaddr_un *to, socklen_t to_size)
{
    uint8_t out[TM_LOCAL_DATAGRAM_MAX];
    size_t length = 0;
    if (kind == TM_RECORD_ATTACHED) {
        length = td_apps_attached_reply(&agent->apps, agent->datagram, size, out, sizeof out);
    } else if (kind == TM_RECORD_STATUS_IS) {
        length = td_status_reply(&agent->core, &agent->apps, &agent->identity, out, sizeof out);
    }
    if (length > 0) {
        (void)!sendto(agent->socket.fd, out, length, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)to, to_size);
    }
}

static bool drain_socket(agent_all *agent)
{
    for (int i = 0; i < DATAGRAMS_A_TURN; i++) {
        td_err err;
        unsigned reply = 0;
        struct sockaddr_un from;
        socklen_t from_size = sizeof from;
        ssize_t got = recvfrom(agent->socket.fd, agent->datagram, sizeof agent->datagram, MSG_DONTWAIT,
                               (struct sockaddr *)&from, &from_size);
        if (got < 0) {
            return false;
        }
        if (got > TM_LOCAL_DATAGRAM_MAX) {
            agent->apps.refused++;
        } else if (td_apps_datagram(&agent->apps, agent->datagram, (size_t)got, &reply, &err) != TD_OK) {
            td_log_debug(COMPONENT, "application: %s", err.text);
        } else if (reply != 0 && from_size > sizeof from.sun_family) {
            answer(agent, (size_t)got, reply, &from, from_size);
        }
    }
    return true;
}

/* ---- The loop -----------------------------------------------------------------------------------------------------
 */

static void take_signal(agent_all *agent)
{
    struct signalfd_siginfo info;
    if (read(agent->signal_fd, &info, sizeof info) != (ssize_t)sizeof info) {
        return;
    }
    if (info.ssi_signo == SIGHUP) {
        td_log_info(COMPONENT, "SIGHUP: the birth is sent again");
        if (td_mqtt_connected(td_link_mqtt(agent->link))) {
            tde_on_connected(&agent->core);
        }
        return;
    }
    td_log_info(COMPONENT, "signal %u: stopping", info.ssi_signo);
    agent->stop = true;
}

static uint32_t feed_watchdog(agent_all *agent)
{
    int64_t now = td_clock_system.monotonic_ms(&td_clock_system);
    if (agent->watchdog_ms == 0) {
        return UINT32_MAX;
    }
    if (now >= agent->watchdog_due) {
        td_notify("WATCHDOG=1");
        agent->watchdog_due = now + agent->watchdog_ms;
    }
    return (uint32_t)(agent->watchdog_due - now);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static td_code turn(agent_all *agent, bool *more, td_err *err)
{
    uint32_t wait = tde_poll(&agent->core);
    wait = least(wait, td_apps_tick(&agent->apps));
    wait = least(wait, feed_watchdog(agent));
    wait = *more ? 0 : least(wait, 60000);
    struct pollfd fds[] = {{.fd = agent->wake_fd, .events = POLLIN},
                           {.fd = agent->socket.fd, .events = POLLIN},
                           {.fd = agent->signal_fd, .events = POLLIN}};
    if (poll(fds, TD_COUNT_OF(fds), (int)wait) < 0 && errno != EINTR) {
        return td_fail_errno(err, errno, "poll");
    }
    if ((fds[2].revents & POLLIN) != 0) {
        take_signal(agent);
    }
    *more = drain_link(agent);
    *more = drain_socket(agent) || *more;
    return TD_OK;
}

/* ---- Start and end ------------------------------------------------------------------------------------------------
 */

static td_code apply_options(agent_all *agent, const td_agent_options *options, td_err *err)
{
    td_identity *identity = &agent->identity;
    if (options->hardware != NULL) {
        if (strlen(options->hardware) >= sizeof identity->hardware) {
            return td_fail(err, TD_INVALID, "--hardware: at most 64 bytes");
        }
        snprintf(identity->hardware, sizeof identity->hardware, "%s", options->hardware);
    }
    if (options->runtimes != NULL) {
        TD_TRY(td_identity_set_runtimes(identity, options->runtimes, err));
    }
    for (size_t i = 0; i < identity->runtime_count; i++) {
        agent->runtimes[i] = identity->runtimes[i];
    }
    return TD_OK;
}

static td_code open_signals(agent_all *agent, td_err *err)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL); /* before any thread starts, so that all inherit it */
    agent->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    agent->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return agent->signal_fd >= 0 && agent->wake_fd >= 0 ? TD_OK : td_fail_errno(err, errno, "eventfd");
}

static td_code open_files(agent_all *agent, const td_agent_options *options, td_err *err)
{
    char path[4096];
    uint32_t mib = options->outbox_mib > 0 ? options->outbox_mib : TD_AGENT_OUTBOX_MIB_DEFAULT;
    uint32_t cells = mib * (1024 * 1024 / (TD_AGENT_OUTBOX_CELL + 32));
    td_identity_path(&agent->identity, "state.bin", path);
    TD_TRY(td_state_file_open(&agent->state, path, tde_state_size(TD_STATE_ERASE_SIZE, 1, TD_AGENT_OUTBOX_CELL, cells),
                              err));
    TD_TRY(td_slot_files_open(&agent->slots, agent->identity.folder, err));
    TD_TRY(td_world_open(&agent->world, &td_clock_system, (uint64_t)TD_BUILD_EPOCH_S * 1000, err));
    agent->world.uplink_key = agent->identity.uplink_key;
    agent->world.uplink_key_size = sizeof agent->identity.uplink_key;
    return TD_OK;
}

static td_code fail_core(td_err *err, const char *what, int result)
{
    td_code code = result == TDE_IO ? TD_IO : result == TDE_NO_SPACE || result == TDE_LIMIT ? TD_LIMIT : TD_CORRUPT;
    return td_fail(err, code, "%s: the device core says error %d", what, result);
}

static td_code start_core(agent_all *agent, const td_agent_options *options, td_err *err)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    tde_config config = {.device = agent->identity.device,
                         .prefix = agent->identity.prefix,
                         .agent = "tidemark-agent " TD_VERSION,
                         .hardware = agent->identity.hardware,
                         .runtimes = agent->runtimes,
                         .runtimes_count = agent->identity.runtime_count,
                         .ram_bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0,
                         .build_ms = agent->world.build_ms,
                         .contact_every_s = options->contact_s > 0 ? options->contact_s : CONTACT_DEFAULT_S,
                         .block_size = BLOCK_SIZE,
                         .credit = CREDIT,
                         .outbox_cell = TD_AGENT_OUTBOX_CELL};
    tde_memory memory = {.message = agent->message,
                         .message_size = sizeof agent->message,
                         .directive = agent->directive,
                         .directive_size = sizeof agent->directive,
                         .work = agent->work,
                         .work_size = sizeof agent->work};
    tde_ports ports = {.state = td_state_file_port(&agent->state),
                       .slots = td_slot_files_port(&agent->slots),
                       .world = td_world_port(&agent->world)};
    int result = tde_start(&agent->core, &config, &memory, &ports);
    if (result != TDE_OK) {
        return fail_core(err, "state.bin", result);
    }
    result = tde_trust_pin(&agent->core, (const uint8_t *)agent->identity.keyset.data, agent->identity.keyset.size);
    if (result != TDE_OK && tde_keyset_version(&agent->core) == 0) {
        return fail_core(err, "keyset.bin", result);
    }
    return TD_OK;
}

static td_code start_link(agent_all *agent, td_err *err)
{
    char topic[256];
    uint8_t will[256];
    size_t will_size = 0;
    int result = tde_death(&agent->core, topic, sizeof topic, will, sizeof will, &will_size);
    if (result != TDE_OK) {
        return fail_core(err, "will", result);
    }
    td_link_options options = {.identity = &agent->identity,
                               .will_topic = topic,
                               .will_payload = will,
                               .will_size = will_size,
                               .wake_fd = agent->wake_fd};
    TD_TRY(td_link_start(&options, &agent->link, err));
    agent->world.published = td_link_published;
    agent->world.published_context = agent->link;
    agent->world.mqtt = td_link_mqtt(agent->link);
    return TD_OK;
}

static void free_agent(agent_all **held)
{
    agent_all *agent = *held;
    if (agent == NULL) {
        return;
    }
    if (agent->apps.window != NULL) {
        td_apps_close(&agent->apps);
    }
    td_link_stop(agent->link, DRAIN_MS);
    agent->world.mqtt = NULL;
    td_world_close(&agent->world);
    td_slot_files_close(&agent->slots);
    td_state_file_close(&agent->state);
    td_agent_socket_close(&agent->socket);
    td_identity_done(&agent->identity);
    td_close_fd(&agent->signal_fd);
    td_close_fd(&agent->wake_fd);
    free(agent);
    *held = NULL;
}

static td_code start(agent_all *agent, const td_agent_options *options, td_err *err)
{
    TD_TRY(td_identity_read(options->state, &agent->identity, err));
    TD_TRY(apply_options(agent, options, err));
    TD_TRY(open_signals(agent, err));
    TD_TRY(td_agent_socket_open(&agent->socket, agent->identity.folder, options->group, err));
    TD_TRY(open_files(agent, options, err));
    log_certificate(agent);
    TD_TRY(start_core(agent, options, err));
    TD_TRY(td_apps_open(&agent->apps, &agent->core, &agent->world, agent->slots.root, TD_AGENT_OUTBOX_CELL, err));
    TD_TRY(start_link(agent, err));
    agent->watchdog_ms = td_notify_watchdog_ms();
    return TD_OK;
}

td_code td_agent_run(const td_agent_options *options, td_err *err)
{
    TD_CLEANUP(free_agent) agent_all *agent = calloc(1, sizeof *agent);
    if (agent == NULL) {
        return td_fail(err, TD_NOMEM, "no memory for the agent");
    }
    agent->socket = (td_agent_socket){.fd = -1, .lock_fd = -1};
    agent->state.fd = agent->slots.fd = agent->wake_fd = agent->signal_fd = -1;
    TD_TRY(start(agent, options, err));
    td_log_info(COMPONENT, "%s runs on %s, keyset %u", agent->identity.device, agent->identity.folder,
                tde_keyset_version(&agent->core));
    td_notify("READY=1\nSTATUS=running");
    bool more = true;
    while (!agent->stop) {
        TD_TRY(turn(agent, &more, err));
    }
    td_notify("STOPPING=1");
    td_apps_close(&agent->apps);
    (void)tde_poll(&agent->core); /* the last windows go out if the session is up; if not, they are kept */
    return TD_OK;
}
