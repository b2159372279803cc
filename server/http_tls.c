/*
 * http_tls.c: the certificate in use hangs on one atomic pointer; a reload puts a new one there.
 *
 * A handshake that is under way still holds the old one: the last few are kept until the server stops.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/http_tls.h"

#include "core/base/fs.h"
#include "core/crypto/x509.h"
#include "server/workspace_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHAIN_MAX 8
#define PEM_BYTES_MAX ((size_t)256 * 1024)
#define NAMES_MAX 32
#define RETIRED_MAX 4

/* A certificate with its chain, and its key, as GnuTLS wants them. */
typedef struct identity {
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned count;
    gnutls_privkey_t key;
} identity;

struct td_tls {
    td_server *server;
    bool files;
    identity *retired[RETIRED_MAX];
    size_t next_retired;
};

/* GnuTLS's callback carries nothing of ours; there is one API listener a process. */
static _Atomic(identity *) in_use;

static void identity_free(identity **slot)
{
    identity *old = *slot;
    if (!old) {
        return;
    }
    for (unsigned i = 0; i < old->count; i++) {
        gnutls_pcert_deinit(&old->chain[i]);
    }
    if (old->key) {
        gnutls_privkey_deinit(old->key);
    }
    free(old);
    *slot = NULL;
}

static gnutls_datum_t datum_of(const td_str *text)
{
    return (gnutls_datum_t){(unsigned char *)text->data, (unsigned)text->size};
}

static td_code check_pair(const identity *fresh, const char *name, td_err *err)
{
    unsigned char of_certificate[64], of_key[64];
    size_t certificate_size = sizeof of_certificate, key_size = sizeof of_key;
    gnutls_pubkey_t public_half = NULL;
    int failed = gnutls_pubkey_init(&public_half);
    failed = failed < 0 ? failed : gnutls_pubkey_import_privkey(public_half, fresh->key, 0, 0);
    failed = failed < 0 ? failed : gnutls_pubkey_get_key_id(public_half, 0, of_key, &key_size);
    failed =
        failed < 0 ? failed : gnutls_pubkey_get_key_id(fresh->chain[0].pubkey, 0, of_certificate, &certificate_size);
    if (public_half) {
        gnutls_pubkey_deinit(public_half);
    }
    if (failed < 0 || key_size != certificate_size || memcmp(of_key, of_certificate, key_size) != 0) {
        return td_fail(err, TD_INVALID, "%s: the key in http.key_file is not this certificate's", name);
    }
    return TD_OK;
}

static td_code check_time(const identity *fresh, const char *name, int64_t now_ms, td_err *err)
{
    gnutls_x509_crt_t certificate = NULL;
    if (gnutls_pcert_export_x509((gnutls_pcert_st *)(uintptr_t)&fresh->chain[0], &certificate) < 0) {
        return td_fail(err, TD_INVALID, "%s: the first certificate cannot be read", name);
    }
    int64_t until_s = (int64_t)gnutls_x509_crt_get_expiration_time(certificate);
    gnutls_x509_crt_deinit(certificate);
    if (until_s < now_ms / 1000) {
        char text[32];
        td_format_time(until_s * 1000, text);
        return td_fail(err, TD_INVALID, "%s: the certificate has expired (%s); renew it", name, text);
    }
    return TD_OK;
}

static td_code make_identity(const td_str *certificates, const td_str *key, const char *name, int64_t now_ms,
                             identity **out, td_err *err)
{
    TD_CLEANUP(identity_free) identity *fresh = calloc(1, sizeof *fresh);
    if (!fresh) {
        return td_fail(err, TD_NOMEM, "no memory for a certificate");
    }
    gnutls_datum_t text = datum_of(certificates);
    unsigned count = CHAIN_MAX;
    int failed = gnutls_pcert_list_import_x509_raw(fresh->chain, &count, &text, GNUTLS_X509_FMT_PEM, 0);
    if (failed < 0 || count == 0) {
        return td_fail(err, TD_INVALID, "%s: expected at most %d PEM certificates, the server's own first: %s", name,
                       CHAIN_MAX, gnutls_strerror(failed));
    }
    fresh->count = count;
    text = datum_of(key);
    failed = gnutls_privkey_init(&fresh->key);
    failed = failed < 0 ? failed
                        : gnutls_privkey_import_x509_raw(fresh->key, &text, GNUTLS_X509_FMT_PEM, NULL,
                                                         GNUTLS_PKCS_PLAIN);
    if (failed < 0) {
        return td_fail(err, TD_INVALID, "http.key_file: expected a PEM key without a passphrase: %s",
                       gnutls_strerror(failed));
    }
    TD_TRY(check_pair(fresh, name, err));
    TD_TRY(check_time(fresh, name, now_ms, err));
    *out = fresh;
    fresh = NULL;
    return TD_OK;
}

/* ---- files ---- */

/* As with other servers: 0600, or root's and 0640. */
static td_code check_private(const char *path, td_err *err)
{
    struct stat facts;
    if (stat(path, &facts) != 0) {
        return td_fail_errno(err, errno, "http.key_file: %s", path);
    }
    unsigned shut = facts.st_uid == 0 && geteuid() != 0 ? 027 : 077;
    if (facts.st_mode & shut) {
        return td_fail(err, TD_DENIED, "http.key_file: %s can be read by others (mode %04o); chmod 600 it", path,
                       (unsigned)(facts.st_mode & 07777));
    }
    return TD_OK;
}

static td_code read_files(const td_server *server, identity **out, td_err *err)
{
    const char *certificate_path = td_config_text(server->config, "http.cert_file");
    const char *key_path = td_config_text(server->config, "http.key_file");
    if (!*certificate_path || !*key_path) {
        return td_fail(err, TD_INVALID, "http.tls is files: http.cert_file and http.key_file must name PEM files");
    }
    TD_TRY(check_private(key_path, err));
    TD_CLEANUP(td_str_done) td_str certificates = {0};
    TD_CLEANUP(td_str_done) td_str key = {0};
    TD_TRY(td_file_read(certificate_path, PEM_BYTES_MAX, &certificates, err));
    TD_TRY(td_file_read(key_path, PEM_BYTES_MAX, &key, err));
    td_code code = make_identity(&certificates, &key, certificate_path, td_now_ms(server->clock), out, err);
    td_wipe(key.data, key.size);
    return code;
}

/* ---- from the workspace's CA ---- */

typedef struct names {
    const char *dns[NAMES_MAX + 1], *addresses[NAMES_MAX + 1];
    size_t dns_count, address_count;
} names;

static bool is_numeric(const char *host)
{
    struct in6_addr room;
    return inet_pton(AF_INET, host, &room) == 1 || inet_pton(AF_INET6, host, &room) == 1;
}

static bool is_any(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

static td_code add_name(names *list, const char *name, td_err *err)
{
    if (!*name || is_any(name)) {
        return TD_OK;
    }
    bool numeric = is_numeric(name);
    const char **texts = numeric ? list->addresses : list->dns;
    size_t *count = numeric ? &list->address_count : &list->dns_count;
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(texts[i], name) == 0) {
            return TD_OK;
        }
    }
    if (*count == NAMES_MAX) {
        return td_fail(err, TD_LIMIT, "http.hosts: a certificate carries at most %d names", NAMES_MAX);
    }
    texts[(*count)++] = name;
    return TD_OK;
}

/* `text` is cut into the names that it lists. */
static td_code add_list(names *list, char *text, td_err *err)
{
    for (char *next = text; next;) {
        char *name = next;
        next = strchr(name, ',');
        if (next) {
            *next++ = 0;
        }
        name += strspn(name, " ");
        name[strcspn(name, " ")] = 0;
        TD_TRY(add_name(list, name, err));
    }
    return TD_OK;
}

static td_code issue(const td_server *server, identity **out, td_err *err)
{
    char machine[256] = "localhost", hosts[1024];
    names list = {.dns_count = 0};
    (void)gethostname(machine, sizeof machine - 1);
    (void)snprintf(hosts, sizeof hosts, "%s", td_config_text(server->config, "http.hosts"));
    const char *own[] = {"localhost", machine, "127.0.0.1", "::1", td_config_text(server->config, "http.host")};
    for (size_t i = 0; i < TD_COUNT_OF(own); i++) {
        TD_TRY(add_name(&list, own[i], err));
    }
    TD_TRY(add_list(&list, hosts, err));
    td_x509_leaf leaf = {.common_name = "tidemark",
                         .dns_names = list.dns,
                         .ip_addresses = list.addresses,
                         .server = true,
                         .not_after_ms = TD_CERTIFICATE_END_MS};
    td_x509_facts device_side; /* the same key as towards devices and broker */
    TD_TRY(td_x509_read(server->keys.server_pem.data, server->keys.server_pem.size, &device_side, err));
    TD_CLEANUP(td_str_done) td_str pem = {0};
    uint8_t serial[16];
    TD_TRY(td_x509_issue(server->keys.ca, td_str_text(&server->keys.ca_pem), device_side.public_key, &leaf, &pem,
                         serial, err));
    return make_identity(&pem, &server->keys.server_key_pem, "the workspace's certificate", td_now_ms(server->clock),
                         out, err);
}

/* ---- public ---- */

bool td_host_is_loopback(const char *host)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET, host, &four) == 1) {
        return (ntohl(four.s_addr) >> 24) == 127;
    }
    if (inet_pton(AF_INET6, host, &six) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&six);
    }
    return strcmp(host, "localhost") == 0;
}

td_code td_tls_new(td_server *server, td_tls **out, td_err *err)
{
    const char *mode = td_config_text(server->config, "http.tls");
    bool loopback = td_host_is_loopback(td_config_text(server->config, "http.host"));
    *out = NULL;
    if (strcmp(mode, "off") == 0 || (strcmp(mode, "auto") == 0 && loopback)) {
        return TD_OK;
    }
    TD_CLEANUP(td_tls_free) td_tls *tls = calloc(1, sizeof *tls);
    if (!tls) {
        return td_fail(err, TD_NOMEM, "no memory for TLS");
    }
    tls->server = server;
    tls->files = strcmp(mode, "files") == 0;
    identity *fresh = NULL;
    TD_TRY(tls->files ? read_files(server, &fresh, err) : issue(server, &fresh, err));
    atomic_store(&in_use, fresh);
    *out = tls;
    tls = NULL;
    return TD_OK;
}

td_code td_tls_reload(td_tls *tls, td_err *err)
{
    identity *fresh = NULL;
    if (!tls || !tls->files) {
        return TD_OK;
    }
    TD_TRY(read_files(tls->server, &fresh, err));
    identity_free(&tls->retired[tls->next_retired]);
    tls->retired[tls->next_retired] = atomic_exchange(&in_use, fresh);
    tls->next_retired = (tls->next_retired + 1) % RETIRED_MAX;
    return TD_OK;
}

void td_tls_free(td_tls **tls)
{
    if (!*tls) {
        return;
    }
    identity *last = atomic_exchange(&in_use, NULL);
    identity_free(&last);
    for (size_t i = 0; i < RETIRED_MAX; i++) {
        identity_free(&(*tls)->retired[i]);
    }
    free(*tls);
    *tls = NULL;
}

static int retrieve(gnutls_session_t session, const gnutls_datum_t *wanted, int wanted_count,
                    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **chain_out,
                    unsigned *count_out, gnutls_privkey_t *key_out)
{
    (void)session;
    (void)wanted;
    (void)wanted_count;
    (void)algorithms;
    (void)algorithm_count;
    identity *now = atomic_load(&in_use);
    if (!now) {
        return -1;
    }
    *chain_out = now->chain;
    *count_out = now->count;
    *key_out = now->key;
    return 0;
}

void *td_tls_callback(void)
{
    return (void *)(uintptr_t)retrieve;
}
