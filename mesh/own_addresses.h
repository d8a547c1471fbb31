/* Where this host can be reached, as others would write it. */
#ifndef MESH_OWN_ADDRESSES_H
#define MESH_OWN_ADDRESSES_H

#include <stdint.h>

#include "mesh/address.h"
#include "mesh/options.h"
#include "wire/base/ensure.h"

/* "HOST:PORT" of each, those that most others reach first: IPv4, then IPv6; loopback where there is
 * nothing else. Without those of other interfaces than --interface names, of containers' bridges,
 * and without such as are good on one link only. With --listen ADDR that one alone. Returns how
 * many: 1 to WIRE_PEER_ADDRESSES_MAX. */
unsigned meshd_own_addresses(const struct meshd_options *options, uint16_t port,
                             char to[static WIRE_PEER_ADDRESSES_MAX][MESHD_ADDRESS_BYTES]);

#endif
