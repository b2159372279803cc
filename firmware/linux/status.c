/*
 * status.c: see status.h.
 * SPDX-License-Identifier: Apache-2.0
 */
#include "firmware/linux/status.h"

#include "firmware/linux/socket.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MS 3000

/* ---- In the agent -------------------------------------------------------------------------------------------------
 */

static void set_digest(json_t *object, const char *key, const uint8_t digest[TDE_DIGEST_SIZE])
{
    static const uint8_t zeros[TDE_DIGEST_SIZE];
    char text[7 + TD_DIGEST_TEXT] = "sha256:";
    td_hex_encode(digest, TDE_DIGEST_SIZE, text + 7);
    bool none = memcmp(digest, zeros, sizeof zeros) == 0;
    json_object_set_new(object, key, none ? json_null() : json_string(text));
}

static json_t *slot_json(const tde_slot_view *view, const td_apps *apps)
{
    json_t *slot =
        json_pack("{s:s,s:s,s:s,s:I,s:I,s:I,s:I}", "slot", view->name, "state", tde_state_name(view->state), "reason",
                  tde_reason_name(view->reason), "bytes_done", (json_int_t)view->bytes_done, "bytes_total",
                  (json_int_t)view->bytes_total, "directive_sequence", (json_int_t)view->directive_sequence,
                  "security_counter", (json_int_t)view->security_counter);
    set_digest(slot, "current", view->current);
    set_digest(slot, "running", view->running);
    set_digest(slot, "previous", view->previous);
    set_digest(slot, "candidate", view->candidate);
    json_t *application = td_apps_json(apps, view->name);
    json_object_set_new(slot, "application", application != NULL ? application : json_null());
    return slot;
}

static json_t *status_json(const tde_core *core, const td_apps *apps, const td_identity *identity)
{
    tde_status status;
    tde_outbox_status outbox;
    tde_get_status(core, &status);
    tde_outbox_get_status(core, &outbox);
    json_t *slots = json_array();
    for (size_t i = 0; i < tde_slot_count(core); i++) {
        tde_slot_view view;
        if (tde_slot_get(core, i, &view) == TDE_OK) {
            json_array_append_new(slots, slot_json(&view, apps));
        }
    }
    return json_pack("{s:s,s:s,s:i,s:s,s:b,s:b,s:s,s:I,s:I,s:I,s:I,s:{s:I,s:I,s:I,s:I},s:{s:I,s:I},s:o}", "device",
                     identity->device, "agent", TD_VERSION, "pid", (int)getpid(), "hardware", identity->hardware,
                     "connected", status.connected, "server_online", status.server_online, "broker", identity->host,
                     "directive_sequence", (json_int_t)status.directive_sequence, "keyset_version",
                     (json_int_t)status.keyset_version, "contact_every_s", (json_int_t)status.contact_every_s,
                     "refused", (json_int_t)status.refused, "outbox", "next", (json_int_t)outbox.next, "settled",
                     (json_int_t)outbox.settled, "kept", (json_int_t)outbox.kept, "dropped", (json_int_t)outbox.dropped,
                     "applications", "datagrams", (json_int_t)apps->datagrams, "refused", (json_int_t)apps->refused,
                     "slots", slots);
}

size_t td_status_reply(const tde_core *core, const td_apps *apps, const td_identity *identity, uint8_t *out,
                       size_t room)
{
    td_err err;
    TD_CLEANUP(td_json_done) json_t *json = status_json(core, apps, identity);
    TD_CLEANUP(td_str_done) td_str text = {0};
    if (json == NULL || td_json_write(json, &text, &err) != TD_OK || text.size + TM_LOCAL_RECORD_HEAD > room ||
        text.size > UINT16_MAX) {
        return 0;
    }
    out[0] = TM_RECORD_STATUS_IS;
    out[1] = 0;
    out[2] = (uint8_t)text.size;
    out[3] = (uint8_t)(text.size >> 8);
    memcpy(out + TM_LOCAL_RECORD_HEAD, text.data, text.size);
    return TM_LOCAL_RECORD_HEAD + text.size;
}

/* ---- In tidemark-agent status -------------------------------------------------------------------------------------
 */

static const char *short_digest(const json_t *slot, const char *key, char out[24])
{
    snprintf(out, 24, "%.19s", td_json_text(slot, key, "none"));
    return out;
}

static void print_slot(const json_t *slot)
{
    char current[24], previous[24], done[24], total[24];
    const json_t *application = json_object_get(slot, "application");
    const char *reason = td_json_text(slot, "reason", "");
    bool plain = reason[0] == 0 || strcmp(reason, "none") == 0;
    printf("\n%s: %s%s%s%s\n", td_json_text(slot, "slot", ""), td_json_text(slot, "state", ""), plain ? "" : " (",
           plain ? "" : reason, plain ? "" : ")");
    printf("  current    %s   previous %s\n", short_digest(slot, "current", current),
           short_digest(slot, "previous", previous));
    if (td_json_int(slot, "bytes_done", 0) < td_json_int(slot, "bytes_total", 0)) {
        td_format_bytes((uint64_t)td_json_int(slot, "bytes_done", 0), done);
        td_format_bytes((uint64_t)td_json_int(slot, "bytes_total", 0), total);
        printf("  transfer   %s of %s\n", done, total);
    }
    if (json_is_object(application)) {
        printf("  application %s, %" PRId64 " observations, %" PRId64 " labels, %" PRId64 " errors, %" PRId64
               " windows\n",
               td_json_bool(application, "attached", false) ? "attached" : "never attached",
               td_json_int(application, "observations", 0), td_json_int(application, "labels", 0),
               td_json_int(application, "errors", 0), td_json_int(application, "windows", 0));
    }
}

static void print_status(const json_t *status)
{
    const json_t *outbox = json_object_get(status, "outbox");
    printf("%s  %s  %s\n", td_json_text(status, "device", ""),
           td_json_bool(status, "connected", false) ? "online" : "offline", td_json_text(status, "broker", ""));
    printf("directive %" PRId64 ", keyset %" PRId64 "\n", td_json_int(status, "directive_sequence", 0),
           td_json_int(status, "keyset_version", 0));
    printf("outbox: %" PRId64 " waiting for a receipt, %" PRId64 " dropped\n", td_json_int(outbox, "kept", 0),
           td_json_int(outbox, "dropped", 0));
    size_t index;
    const json_t *slot;
    json_array_foreach (json_object_get(status, "slots"), index, slot) {
        print_slot(slot);
    }
}

td_code td_status_print(const char *state, bool as_json, td_err *err)
{
    /* The slot of the head does not matter for this question: one letter. */
    uint8_t question[TM_LOCAL_HEAD_SIZE + 1 + TM_LOCAL_RECORD_HEAD] = {'T', 'M', TM_LOCAL_VERSION, 1};
    question[TM_LOCAL_HEAD_SIZE] = 'x';
    question[TM_LOCAL_HEAD_SIZE + 1] = TM_RECORD_STATUS;
    uint8_t answer[TM_LOCAL_DATAGRAM_MAX];
    size_t size = sizeof answer;
    TD_CLEANUP(td_json_done) json_t *json = NULL;
    TD_TRY(td_agent_ask(state, question, sizeof question, ANSWER_MS, answer, &size, err));
    if (size < TM_LOCAL_RECORD_HEAD || answer[0] != TM_RECORD_STATUS_IS) {
        return td_fail(err, TD_CORRUPT, "the agent's answer of %zu bytes is not a status", size);
    }
    TD_TRY(
        td_json_parse((const char *)answer + TM_LOCAL_RECORD_HEAD, size - TM_LOCAL_RECORD_HEAD, "status", &json, err));
    if (as_json) {
        printf("%.*s\n", (int)(size - TM_LOCAL_RECORD_HEAD), (const char *)answer + TM_LOCAL_RECORD_HEAD);
    } else {
        print_status(json);
    }
    return TD_OK;
}
