/*
 * webhook_send.c: the POST, and the gate before its socket.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/webhook_send.h"

#include "core/http/address.h"
#include "core/http/curl.h"

#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 10000L
#define CONNECT_MS 5000L
#define ANSWER_READ_MAX (64 * 1024) /* more is not waited for */
#define RETRY_AFTER_MAX_S 3600

typedef struct sending {
    td_server *server;
    td_networks listed; /* that may be reached although they are private */
    bool plain;         /* http: */
    bool refused;       /* an address was */
    td_posted *out;
    size_t read;
} sending;

/* The only way to a socket: libcurl asks for each address that it is about to connect to. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    sending *work = context;
    (void)purpose;
    bool listed = td_networks_hold(&work->listed, &address->addr);
    if (!listed && (work->plain || !td_address_is_public(&address->addr))) {
        work->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t take_answer(char *data, size_t one, size_t size, void *context)
{
    sending *work = context;
    size_t room = TD_WEBHOOK_ANSWER_MAX - work->out->body.size;
    (void)one;
    work->read += size;
    td_str_append(&work->out->body, data, size < room ? size : room);
    return work->read > ANSWER_READ_MAX ? 0 : size;
}

/* A server that stops does not wait for a receiver. */
static int look_up(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const sending *work = context;
    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(&work->server->stopping) ? 1 : 0;
}

void td_webhook_signature(const td_post *post, int64_t unix_seconds, td_str *out)
{
    uint8_t mac[TD_DIGEST_SIZE];
    TD_CLEANUP(td_str_done) td_str text = {0};
    td_str_addf(&text, "%s.%lld.%s", post->delivery, (long long)unix_seconds, post->body);
    td_hmac_sha256(post->secret, post->secret_size, td_str_text(&text), text.size, mac);
    td_str_add(out, "v1,");
    td_base64_add(out, mac, sizeof mac);
}

static void add_header(struct curl_slist **list, const char *name, const char *value)
{
    TD_CLEANUP(td_str_done) td_str line = {0};
    td_str_addf(&line, "%s: %s", name, value);
    struct curl_slist *longer = curl_slist_append(*list, td_str_text(&line));
    *list = longer != NULL ? longer : *list;
}

static struct curl_slist *headers(const td_server *server, const td_post *post)
{
    char seconds[24];
    int64_t now = td_now_ms(server->clock) / 1000;
    struct curl_slist *list = NULL;
    snprintf(seconds, sizeof seconds, "%lld", (long long)now);
    add_header(&list, "Content-Type", "application/json");
    add_header(&list, "X-MLflow-Delivery-Id", post->delivery);
    add_header(&list, "X-MLflow-Timestamp", seconds);
    if (post->secret != NULL) {
        TD_CLEANUP(td_str_done) td_str signature = {0};
        td_webhook_signature(post, now, &signature);
        add_header(&list, "X-MLflow-Signature", td_str_text(&signature));
    }
    return list;
}

static void set_options(CURL *curl, sending *work, const td_post *post, struct curl_slist *list)
{
    const char *ca = td_config_text(work->server->config, "webhooks.ca_file");
    curl_easy_setopt(curl, CURLOPT_URL, post->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, work->plain ? "http" : "https");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, post->body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(post->body));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "tidemark/" TD_VERSION);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, TIMEOUT_MS);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, work);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, work);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_up);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, work);
    if (*ca != '\0') {
        curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
    }
}

static void read_answer(CURL *curl, const sending *work, CURLcode code, td_posted *out)
{
    long status = 0;
    curl_off_t after = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &after);
    bool answered = code == CURLE_OK || (code == CURLE_WRITE_ERROR && work->read > ANSWER_READ_MAX);
    out->status = answered ? (int)status : 0;
    out->retry_ms = (after < RETRY_AFTER_MAX_S ? after : RETRY_AFTER_MAX_S) * 1000;
    if (work->refused && !answered) {
        snprintf(out->trouble, sizeof out->trouble,
                 work->plain ? "plain HTTP goes only to networks that webhooks.private_networks lists"
                             : "the address is private and not in webhooks.private_networks");
    } else if (!answered) {
        snprintf(out->trouble, sizeof out->trouble, "%s", curl_easy_strerror(code));
    }
}

td_code td_webhook_post(td_server *server, const td_post *post, td_posted *out, td_err *err)
{
    sending work = {.server = server, .out = out, .plain = strncmp(post->url, "http:", 5) == 0};
    *out = (td_posted){0};
    TD_TRY(td_networks_parse(td_config_text(server->config, "webhooks.private_networks"), &work.listed, err));
    TD_TRY(td_curl_load(err));
    CURL *curl = curl_easy_init();
    struct curl_slist *list = headers(server, post);
    if (curl == NULL || list == NULL) {
        curl_easy_cleanup(curl);
        curl_slist_free_all(list);
        return td_fail(err, TD_NOMEM, "no memory for a delivery");
    }
    set_options(curl, &work, post, list);
    read_answer(curl, &work, curl_easy_perform(curl), out);
    curl_easy_cleanup(curl);
    curl_slist_free_all(list);
    return TD_OK;
}
