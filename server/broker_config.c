/*
 * broker_config.c: Mosquitto's configuration and access list, as texts.
 *
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server/broker.h"
#include "server/workspace_internal.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

/* Started as root, Mosquitto drops to another user and cannot read a 0700 folder: it is to stay the workspace's owner.
 */
static void add_user(const td_server *server, td_str *out)
{
    struct stat facts;
    char room[1024];
    struct passwd entry, *found = NULL;
    if (stat(server->path, &facts) == 0 && getpwuid_r(facts.st_uid, &entry, room, sizeof room, &found) == 0 && found) {
        td_str_addf(out, "user %s\n", found->pw_name);
    }
}

td_code td_broker_config_text(const td_server *server, int port, td_str *out, td_err *err)
{
    td_str_add(out, "# Written by tidemark serve at each start; changes are lost.\n"
                    "per_listener_settings false\n");
    add_user(server, out);
    td_str_addf(out, "listener %d %s\n", port, td_config_text(server->config, "mqtt.host"));
    td_str_addf(out, "cafile %s/%s\ncertfile %s/%s\nkeyfile %s/%s\n", server->path, TD_FILE_CA, server->path,
                TD_FILE_SERVER, server->path, TD_FILE_SERVER_KEY);
    td_str_add(out, "require_certificate true\n"
                    "use_identity_as_username true\n"
                    "use_username_as_clientid true\n"
                    "allow_anonymous false\n");
    td_str_addf(out, "acl_file %s/broker/acl\n", server->path);
    td_str_add(out,
               "# Retained directives are published again by the server: nothing here needs to outlive the broker.\n"
               "persistence false\n"
               "max_inflight_messages 20\n"
               "max_queued_messages 1000\n"
               "max_queued_bytes 33554432\n"
               "max_packet_size 1048576\n"
               "max_keepalive 3600\n"
               "persistent_client_expiration 7d\n"
               "set_tcp_nodelay true\n"
               "log_dest stderr\n"
               "log_type error\n"
               "connection_messages false\n");
    return td_str_check(out, err);
}

td_code td_broker_acl_text(const char *prefix, const json_t *revoked, td_str *out, td_err *err)
{
    td_str_addf(out, "user %s\ntopic readwrite %s/#\n\n", TD_MQTT_IDENTITY, prefix);
    size_t index;
    const json_t *name;
    json_array_foreach ((json_t *)revoked, index, name) {
        if (json_is_string(name)) {
            td_str_addf(out, "user %s\ntopic deny #\n\n", json_string_value(name));
        }
    }
    td_str_addf(out, "pattern write %s/%%u/up/#\npattern read %s/%%u/down/#\n", prefix, prefix);
    td_str_addf(out, "pattern read %s/_/server\npattern read %s/_/content/#\n", prefix, prefix);
    return td_str_check(out, err);
}
