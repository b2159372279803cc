/*
 * broker.c: starts Mosquitto for tests and knows when it is up: when a connection to its port succeeds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "tests/unit/mqtt/broker.h"

#include "core/base/clock.h"
#include "core/base/fs.h"
#include "core/crypto/x509.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int free_port(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return ntohs(address.sin_port);
}

void broker_init(broker *self)
{
    memset(self, 0, sizeof *self);
    snprintf(self->folder, sizeof self->folder, "/tmp/td-broker-XXXXXX");
    assert_non_null(mkdtemp(self->folder));
    self->port = free_port();
}

const char *broker_path(const broker *self, const char *name)
{
    static char paths[16][256];
    static unsigned next;
    char *path = paths[next++ % 16];
    snprintf(path, sizeof paths[0], "%s/%s", self->folder, name);
    return path;
}

static bool accepts(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool ok = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return ok;
}

static const char *program(void)
{
    static const char *const places[] = {"/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"};
    for (size_t i = 0; i < TD_COUNT_OF(places); i++) {
        if (access(places[i], X_OK) == 0) {
            return places[i];
        }
    }
    return NULL;
}

bool broker_available(void)
{
    return program() != NULL;
}

static void write_config(broker *self)
{
    char text[4096];
    int length = snprintf(text, sizeof text,
                          "user %s\nlistener %d 127.0.0.1\nlog_dest file %s\nlog_type all\nmax_inflight_messages 64\n"
                          "max_queued_messages 100000\n%s%s",
                          getuid() == 0 ? "root" : "", self->port, broker_path(self, "log"),
                          strstr(self->extra, "cafile") != NULL ? "" : "allow_anonymous true\n", self->extra);
    char *body = text;
    if (getuid() != 0) {
        body = strchr(text, '\n') + 1; /* no user line */
    }
    td_err err;
    assert_int_equal(td_file_replace(broker_path(self, "conf"), body, (size_t)(text + length - body), 0600, &err),
                     TD_OK);
}

void broker_start(broker *self)
{
    write_config(self);
    self->pid = fork();
    if (self->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(program(), "mosquitto", "-c", broker_path(self, "conf"), (char *)NULL);
        _exit(127);
    }
    assert_true(self->pid > 0);
    for (int i = 0; i < 3000 && !accepts(self->port); i++) {
        assert_int_equal(waitpid(self->pid, NULL, WNOHANG), 0); /* it must not have ended */
        (void)poll(NULL, 0, 10);
    }
    assert_true(accepts(self->port));
}

void broker_kill(broker *self)
{
    if (self->pid > 0) {
        kill(self->pid, SIGKILL);
        waitpid(self->pid, NULL, 0);
        self->pid = 0;
    }
}

void broker_reload(broker *self)
{
    kill(self->pid, SIGHUP);
}

void broker_done(broker *self)
{
    broker_kill(self);
    td_err err;
    (void)!td_folder_remove(self->folder, &err);
}

static void issue(broker *self, const td_key *ca_key, const char *ca_pem, const char *name, bool server)
{
    td_err err;
    td_key *key = NULL;
    char file[128];
    assert_int_equal(td_key_generate(TD_KEY_P256, &key, &err), TD_OK);
    snprintf(file, sizeof file, "%s.key", name);
    assert_int_equal(td_key_write(key, broker_path(self, file), NULL, &err), TD_OK);
    uint8_t public_key[TD_P256_PUBLIC_SIZE], serial[16];
    assert_int_equal(td_key_public(key, public_key), TD_P256_PUBLIC_SIZE);
    const char *const addresses[] = {"127.0.0.1", NULL}, *const names[] = {"localhost", NULL};
    int64_t now = td_now_ms(&td_clock_system), day = 24 * 3600 * 1000;
    td_x509_leaf leaf = {.common_name = name,
                         .dns_names = server ? names : NULL,
                         .ip_addresses = server ? addresses : NULL,
                         .server = server,
                         .not_before_ms = now - 10 * day,
                         .not_after_ms = now + 10 * day};
    if (strncmp(name, "expired-", 8) == 0) {
        leaf.not_after_ms = now - day;
    }
    td_str pem = {0};
    assert_int_equal(td_x509_issue(ca_key, ca_pem, public_key, &leaf, &pem, serial, &err), TD_OK);
    snprintf(file, sizeof file, "%s.pem", name);
    assert_int_equal(td_file_replace(broker_path(self, file), pem.data, pem.size, 0600, &err), TD_OK);
    td_str_done(&pem);
    td_key_free(&key);
}

void broker_with_tls(broker *self, const char *const *clients)
{
    td_err err;
    td_key *ca_key = NULL;
    td_str ca_pem = {0};
    assert_int_equal(td_key_generate(TD_KEY_P256, &ca_key, &err), TD_OK);
    assert_int_equal(td_x509_make_ca(ca_key, "test CA", &ca_pem, &err), TD_OK);
    assert_int_equal(td_file_replace(broker_path(self, "ca.pem"), ca_pem.data, ca_pem.size, 0600, &err), TD_OK);
    issue(self, ca_key, ca_pem.data, "server", true);
    for (size_t i = 0; clients[i] != NULL; i++) {
        issue(self, ca_key, ca_pem.data, clients[i], false);
    }
    size_t used = strlen(self->extra);
    snprintf(self->extra + used, sizeof self->extra - used,
             "cafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true\nuse_identity_as_username true\n",
             broker_path(self, "ca.pem"), broker_path(self, "server.pem"), broker_path(self, "server.key"));
    td_str_done(&ca_pem);
    td_key_free(&ca_key);
}
