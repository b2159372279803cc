/*
 * address.c: networks as prefixes of 128 bits, and the list of those that are not public.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "core/http/address.h"

#include "core/base/str.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define ENTRY_MAX 64

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* What special-purpose registries set apart: not to be reached for strangers. */
static const char *const apart[] = {
    "0.0.0.0/8",       "10.0.0.0/8",     "100.64.0.0/10",   "127.0.0.0/8",   "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24",    "192.0.2.0/24",   "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16",
    "192.175.48.0/24", "198.18.0.0/15",  "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",
    "2001::/23",       "2001:db8::/32",  "2002::/16",       "2620:4f:8000::/48", "3fff::/20",
};

static td_code parse_one(const char *text, td_network *out, td_err *err)
{
    char host[ENTRY_MAX];
    struct in_addr four;
    const char *slash = strchr(text, '/');
    size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof host) {
        return td_fail(err, TD_INVALID, "\"%.60s\" is no address and no network (10.0.0.0/8, fd00::/8)", text);
    }
    memcpy(host, text, length);
    host[length] = '\0';
    bool is_four = inet_pton(AF_INET, host, &four) == 1;
    if (is_four) {
        memcpy(out->address, mapped, sizeof mapped);
        memcpy(out->address + sizeof mapped, &four, 4);
    } else if (inet_pton(AF_INET6, host, out->address) != 1) {
        return td_fail(err, TD_INVALID, "\"%.60s\" is no address and no network (10.0.0.0/8, fd00::/8)", text);
    }
    int64_t prefix = is_four ? 32 : 128;
    if (slash != NULL) {
        TD_TRY(td_parse_int(slash + 1, "the length of a network's prefix", 0, prefix, &prefix, err));
    }
    out->prefix = (int)prefix + (is_four ? 96 : 0);
    return TD_OK;
}

td_code td_networks_parse(const char *text, td_networks *out, td_err *err)
{
    out->count = 0;
    while (*text != '\0') {
        char entry[ENTRY_MAX];
        size_t length = strcspn(text, ",");
        if (length >= sizeof entry || out->count == TD_NETWORKS_MAX) {
            return td_fail(err, TD_INVALID, "at most %d networks, each of at most %d characters", TD_NETWORKS_MAX,
                           ENTRY_MAX - 1);
        }
        snprintf(entry, sizeof entry, "%.*s", (int)length, text);
        TD_TRY(parse_one(entry + strspn(entry, " "), &out->items[out->count], err));
        out->count++;
        text += length;
        text += *text == ',' ? 1 : 0;
    }
    return TD_OK;
}

/* False: neither IPv4 nor IPv6. */
static bool as_six(const struct sockaddr *address, uint8_t out[16])
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)address;
        memcpy(out, mapped, sizeof mapped);
        memcpy(out + sizeof mapped, &four->sin_addr, 4);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)address;
        memcpy(out, &six->sin6_addr, 16);
        return true;
    }
    return false;
}

static bool holds(const td_network *network, const uint8_t address[16])
{
    size_t whole = (size_t)network->prefix / 8;
    int rest = network->prefix % 8;
    if (memcmp(network->address, address, whole) != 0) {
        return false;
    }
    return rest == 0 || ((network->address[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

bool td_networks_hold(const td_networks *networks, const struct sockaddr *address)
{
    uint8_t six[16];
    bool found = false;
    bool known = as_six(address, six);
    for (size_t i = 0; known && i < networks->count && !found; i++) {
        found = holds(&networks->items[i], six);
    }
    return found;
}

bool td_address_is_public(const struct sockaddr *address)
{
    uint8_t six[16];
    if (!as_six(address, six)) {
        return false;
    }
    if (memcmp(six, mapped, sizeof mapped) != 0 && (six[0] & 0xe0) != 0x20) {
        return false;
    }
    for (size_t i = 0; i < TD_COUNT_OF(apart); i++) {
        td_network network;
        if (parse_one(apart[i], &network, NULL) != TD_OK || holds(&network, six)) {
            return false;
        }
    }
    return true;
}
