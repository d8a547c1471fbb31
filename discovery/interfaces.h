/* The network interfaces in use and their addresses, followed as they change. */
#ifndef MESH_DISCOVERY_INTERFACES_H
#define MESH_DISCOVERY_INTERFACES_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <uv.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

#define INTERFACES_ADDRESSES_MAX 128

struct interface_address {
    int ifindex;
    char name[IF_NAMESIZE];
    struct sockaddr_storage address; /* port 0; an IPv6 link-local one has its scope */
};

struct interfaces;

/* Follows `names`, or, where n is 0, all but point-to-point links, the bridges of containers and
 * virtual machines, and loopback (which is used where there is nothing else). on_changed runs from
 * the loop when the set is another. -ENOMEM or the error of a system call. */
int interfaces_new(uv_loop_t *loop, const char *const *names, size_t n,
                   void (*on_changed)(void *user), void *user, struct interfaces **ret_interfaces,
                   struct errmsg *err) MUST_CHECK;
/* Frees itself when libuv has closed its handles, then calls on_closed. */
void interfaces_close(struct interfaces *interfaces, void (*on_closed)(void *user), void *user);

/* The addresses of the interfaces in use, those of one interface together. */
const struct interface_address *interfaces_addresses(const struct interfaces *interfaces,
                                                     size_t *ret_n);
/* The names the user gave; n 0: none. */
const char (*interfaces_names(const struct interfaces *interfaces, size_t *ret_n))[IF_NAMESIZE];
/* Whether that interface is in use. */
bool interfaces_has(const struct interfaces *interfaces, int ifindex);
/* Whether it is a loopback interface, in use or not. */
bool interfaces_is_loopback(int ifindex);
/* Whether the kernel has the address now, on any interface. */
bool interfaces_is_ours(const struct sockaddr_storage *address);
/* Whether two IPv4 or IPv6 addresses are equal but for port and scope. */
bool interfaces_is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

/* Whether the name is that of a bridge or a port of containers or virtual machines. */
bool interfaces_is_container(const char *name);

#endif
