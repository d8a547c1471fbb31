/* Network addresses as text: "HOST:PORT", IPv6 as "[fe80::1%eth0]:PORT". */
#ifndef MESH_ADDRESS_H
#define MESH_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "wire/base/ensure.h"
#include "wire/base/slice.h"
#include "wire/limits.h"

/* Of a host name or numeric address, its NUL included. */
#define MESHD_HOST_BYTES 256
/* Of an address as text, its NUL included. */
#define MESHD_ADDRESS_BYTES (WIRE_ADDRESS_BYTES_MAX + 1)

/* Takes "HOST:PORT" or "[HOST]:PORT" apart; the host may be a name. 0 or -EINVAL. */
int meshd_address_split(struct slice text, char ret_host[static MESHD_HOST_BYTES],
                        uint16_t *ret_port) MUST_CHECK;

/* A numeric host, with %SCOPE where IPv6 wants one. 0 or -EINVAL (a name, or nonsense). */
int meshd_address_set(const char *host, uint16_t port,
                      struct sockaddr_storage *ret_address) MUST_CHECK;

/* "HOST:PORT", NUL-terminated; "" for a family that is neither IPv4 nor IPv6. Returns `to`. IPv4
 * inside IPv6 is written as IPv4. */
const char *meshd_address_format(const struct sockaddr_storage *address,
                                 char to[static MESHD_ADDRESS_BYTES]);

uint16_t meshd_address_port(const struct sockaddr_storage *address);
void meshd_address_set_port(struct sockaddr_storage *address, uint16_t port);
socklen_t meshd_address_bytes(const struct sockaddr_storage *address);
/* Same host; the port does not count. */
bool meshd_address_is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

#endif
