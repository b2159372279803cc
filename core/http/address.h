/*
 * address.h: may a request that somebody else asked for go to this address?
 *
 * It is asked with the address that is being connected to, after names were resolved: what a name said before, or says
 * to others, does not count (DNS rebinding). Public is what IANA's registries of special-purpose addresses (RFC 6890
 * and its updates) do not set apart; of IPv6 only 2000::/3, without the blocks inside it that are for documentation or
 * carry IPv4 addresses.
 * Threads: any. SPDX-License-Identifier: Apache-2.0
 */
#ifndef TD_CORE_HTTP_ADDRESS_H
#define TD_CORE_HTTP_ADDRESS_H

#include "core/base/err.h"

#include <sys/socket.h>

#define TD_NETWORKS_MAX 32

/* IPv4 addresses are kept as IPv6 ones (::ffff:a.b.c.d). */
typedef struct td_network {
    uint8_t address[16];
    int prefix; /* bits */
} td_network;

typedef struct td_networks {
    td_network items[TD_NETWORKS_MAX];
    size_t count;
} td_networks;

/* "10.0.0.0/8,127.0.0.1,fd00::/8"; empty: none. INVALID names the entry. */
TD_MUST_USE td_code td_networks_parse(const char *text, td_networks *out, td_err *err);
bool td_networks_hold(const td_networks *networks, const struct sockaddr *address);
bool td_address_is_public(const struct sockaddr *address);

#endif
