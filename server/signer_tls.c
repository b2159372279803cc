/*
 * signer_tls.c: GnuTLS verifies chain, time, purpose and name during the handshake; a client's name we compare.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/signer_tls.h"

#include "core/base/fs.h"
#include "core/crypto/crypto.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#define PEM_BYTES_MAX ((size_t)256 * 1024)
#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3"
#define NAME_MAX_BYTES 256

/* ---- files ---- */

static td_code check_private(const char *path, td_err *err)
{
    struct stat facts;
    if (stat(path, &facts) != 0) {
        return td_fail_errno(err, errno, "%s", path);
    }
    return facts.st_mode & 077 ? td_fail(err, TD_DENIED, "%s can be read by others (mode %04o); chmod 600 it", path,
                                         (unsigned)(facts.st_mode & 07777))
                               : TD_OK;
}

static gnutls_datum_t datum_of(const td_str *text)
{
    return (gnutls_datum_t){(unsigned char *)text->data, (unsigned)text->size};
}

static td_code load(const td_signer_tls_files *files, gnutls_certificate_credentials_t credentials, td_err *err)
{
    TD_CLEANUP(td_str_done) td_str certificate = {0};
    TD_CLEANUP(td_str_done) td_str key = {0};
    TD_CLEANUP(td_str_done) td_str ca = {0};
    TD_TRY(check_private(files->key, err));
    TD_TRY(td_file_read(files->certificate, PEM_BYTES_MAX, &certificate, err));
    TD_TRY(td_file_read(files->ca, PEM_BYTES_MAX, &ca, err));
    TD_TRY(td_file_read(files->key, PEM_BYTES_MAX, &key, err));
    gnutls_datum_t own = datum_of(&certificate), own_key = datum_of(&key), authority = datum_of(&ca);
    int failed = gnutls_certificate_set_x509_key_mem(credentials, &own, &own_key, GNUTLS_X509_FMT_PEM);
    td_wipe(key.data, key.size);
    if (failed < 0) {
        return td_fail(err, TD_INVALID, "%s and %s: expected a PEM certificate and its key without a passphrase: %s",
                       files->certificate, files->key, gnutls_strerror(failed));
    }
    int count = gnutls_certificate_set_x509_trust_mem(credentials, &authority, GNUTLS_X509_FMT_PEM);
    return count > 0 ? TD_OK : td_fail(err, TD_INVALID, "%s: expected PEM certificates", files->ca);
}

td_code td_signer_tls_read(const td_signer_tls_files *files, gnutls_certificate_credentials_t *out, td_err *err)
{
    TD_CLEANUP(td_signer_tls_free) gnutls_certificate_credentials_t credentials = NULL;
    if (gnutls_certificate_allocate_credentials(&credentials) < 0) {
        credentials = NULL;
        return td_fail(err, TD_NOMEM, "no memory for TLS");
    }
    TD_TRY(load(files, credentials, err));
    *out = credentials;
    credentials = NULL;
    return TD_OK;
}

void td_signer_tls_free(gnutls_certificate_credentials_t *credentials)
{
    if (*credentials) {
        gnutls_certificate_free_credentials(*credentials);
        *credentials = NULL;
    }
}

void td_signer_tls_close(gnutls_session_t *session)
{
    if (*session) {
        gnutls_deinit(*session);
        *session = NULL;
    }
}

/* ---- sessions ---- */

static td_code make_session(gnutls_certificate_credentials_t credentials, unsigned flags, int fd,
                            gnutls_session_t *out, td_err *err)
{
    TD_CLEANUP(td_signer_tls_close) gnutls_session_t session = NULL;
    int failed = gnutls_init(&session, flags | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS);
    session = failed < 0 ? NULL : session;
    failed = failed < 0 ? failed : gnutls_priority_set_direct(session, PRIORITIES, NULL);
    failed = failed < 0 ? failed : gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, credentials);
    if (failed < 0) {
        return td_fail(err, TD_IO, "TLS: %s", gnutls_strerror(failed));
    }
    gnutls_transport_set_int(session, fd);
    *out = session;
    session = NULL;
    return TD_OK;
}

/* Why a handshake failed, in words. */
static td_code refuse(gnutls_session_t session, int failed, td_err *err)
{
    gnutls_datum_t words = {NULL, 0};
    if (failed == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR &&
        gnutls_certificate_verification_status_print(gnutls_session_get_verify_cert_status(session), GNUTLS_CRT_X509,
                                                     &words, 0) == 0) {
        (void)td_fail(err, TD_DENIED, "the other side's certificate: %.160s", (const char *)words.data);
        gnutls_free(words.data);
        return TD_DENIED;
    }
    if (failed == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        return td_fail(err, TD_DENIED, "the other side refuses: %s", gnutls_alert_get_name(gnutls_alert_get(session)));
    }
    bool none = failed == GNUTLS_E_NO_CERTIFICATE_FOUND || failed == GNUTLS_E_CERTIFICATE_REQUIRED;
    return td_fail(err, none ? TD_DENIED : TD_IO, "TLS: %s", gnutls_strerror(failed));
}

/* ---- the server's side ---- */

td_code td_signer_tls_connect(gnutls_certificate_credentials_t credentials, int fd, const char *host,
                              unsigned timeout_ms, gnutls_session_t *out, td_err *err)
{
    TD_CLEANUP(td_signer_tls_close) gnutls_session_t session = NULL;
    gnutls_typed_vdata_st wanted[] = {
        {GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)(uintptr_t)host, 0}, /* or an address */
        {GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_SERVER, 0}};
    TD_TRY(make_session(credentials, GNUTLS_CLIENT, fd, &session, err));
    gnutls_session_set_verify_cert2(session, wanted, TD_COUNT_OF(wanted), 0);
    gnutls_handshake_set_timeout(session, timeout_ms);
    gnutls_record_set_timeout(session, timeout_ms);
    int failed;
    do {
        failed = gnutls_handshake(session);
    } while (failed < 0 && !gnutls_error_is_fatal(failed));
    if (failed < 0) {
        return refuse(session, failed, err);
    }
    gnutls_session_set_verify_cert2(session, NULL, 0, 0); /* `wanted` is gone */
    *out = session;
    session = NULL;
    return TD_OK;
}

td_code td_signer_tls_send(void *context, const void *data, size_t size, td_err *err)
{
    gnutls_session_t session = context;
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t sent = gnutls_record_send(session, at, size);
        if (sent == GNUTLS_E_INTERRUPTED) {
            continue;
        }
        if (sent == GNUTLS_E_AGAIN) { /* the socket has a time to send in, and it is over */
            return td_fail(err, TD_BUSY, "the other side takes nothing");
        }
        if (sent < 0) {
            return refuse(session, (int)sent, err);
        }
        at += sent;
        size -= (size_t)sent;
    }
    return TD_OK;
}

td_code td_signer_tls_receive(void *context, int timeout_ms, void *out, size_t size, td_err *err)
{
    gnutls_session_t session = context;
    uint8_t *bytes = out;
    for (size_t got = 0; got < size;) {
        ssize_t count = gnutls_record_recv(session, bytes + got, size - got);
        if (count == GNUTLS_E_INTERRUPTED) {
            continue;
        }
        if (count == GNUTLS_E_TIMEDOUT || count == GNUTLS_E_AGAIN) {
            return td_fail(err, TD_BUSY, "no answer within %d ms", timeout_ms);
        }
        if (count == 0 || count == GNUTLS_E_PREMATURE_TERMINATION) {
            return td_fail(err, got == 0 ? TD_NOT_FOUND : TD_IO, "the other side has closed");
        }
        if (count < 0) {
            return refuse(session, (int)count, err);
        }
        got += (size_t)count;
    }
    return TD_OK;
}

/* ---- the signer's side ---- */

td_code td_signer_tls_accept(gnutls_certificate_credentials_t credentials, int fd, gnutls_session_t *out, td_err *err)
{
    static gnutls_typed_vdata_st wanted[] = {{GNUTLS_DT_KEY_PURPOSE_OID, NULL, 0}};
    wanted[0].data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT;
    TD_TRY(make_session(credentials, GNUTLS_SERVER | GNUTLS_NONBLOCK, fd, out, err));
    gnutls_certificate_server_set_request(*out, GNUTLS_CERT_REQUIRE);
    gnutls_session_set_verify_cert2(*out, wanted, TD_COUNT_OF(wanted), 0);
    return TD_OK;
}

static td_code check_name(gnutls_session_t session, const char *name, td_err *err)
{
    char found[NAME_MAX_BYTES] = "";
    size_t size = sizeof found;
    unsigned count = 0;
    gnutls_x509_crt_t certificate = NULL;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
    if (!chain || count == 0 || gnutls_x509_crt_init(&certificate) < 0) {
        return td_fail(err, TD_DENIED, "the other side showed no certificate");
    }
    int failed = gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER);
    failed = failed < 0 ? failed
                        : gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, found, &size);
    gnutls_x509_crt_deinit(certificate);
    return failed >= 0 && size == strlen(name) && memcmp(found, name, size) == 0
               ? TD_OK
               : td_fail(err, TD_DENIED, "a certificate of \"%.80s\", and only \"%.80s\" is served",
                         failed >= 0 ? found : "nobody", name);
}

td_code td_signer_tls_shake(gnutls_session_t session, const char *name, bool *done_out, td_err *err)
{
    int failed = gnutls_handshake(session);
    *done_out = failed == 0;
    if (failed == 0) {
        td_code code = check_name(session, name, err);
        if (code != TD_OK) {
            (void)gnutls_alert_send(session, GNUTLS_AL_FATAL, GNUTLS_A_ACCESS_DENIED);
        }
        return code;
    }
    if (!gnutls_error_is_fatal(failed)) {
        return TD_OK;
    }
    (void)gnutls_alert_send_appropriate(session, failed);
    return refuse(session, failed, err);
}

static ssize_t as_errno(ssize_t count)
{
    if (count >= 0) {
        return count;
    }
    errno = count == GNUTLS_E_AGAIN || count == GNUTLS_E_INTERRUPTED ? EAGAIN : ECONNRESET;
    return -1;
}

ssize_t td_signer_tls_recv(gnutls_session_t session, void *out, size_t size)
{
    return as_errno(gnutls_record_recv(session, out, size));
}

ssize_t td_signer_tls_write(gnutls_session_t session, const void *data, size_t size)
{
    return as_errno(gnutls_record_send(session, data, size));
}
