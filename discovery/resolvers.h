/* What both mDNS sources keep of the services they have found: one open resolver for each, so that
 * changed addresses and TXT records are seen; what it says goes to disc_report().
 *
 * It must not know which of Avahi's two libraries a resolver is made with (they export equal names,
 * README.md): a source opens and closes them through two functions of its own.
 *
 * Included by the mDNS sources alone. */
#ifndef MESH_DISCOVERY_RESOLVERS_H
#define MESH_DISCOVERY_RESOLVERS_H

#include <avahi-common/defs.h>
#include <avahi-common/strlst.h>

#include "discovery/discovery_internal.h"

struct resolvers;

struct resolver {
    struct list node;
    struct resolvers *owner;
    struct disc_report_id id;
    void *avahi; /* owned: what `open` made */
};

struct resolvers {
    struct disc *disc; /* borrowed */
    struct list all;   /* of struct resolver */
    size_t n, n_max;
    uint64_t paid_ns; /* let in beyond n_max on account up to then */
    void *source;     /* of `open` */
    /* A resolver of resolver->id whose callback calls resolver_on_result(); NULL: none was made. */
    void *(*open)(void *source, struct resolver *resolver, const char *domain);
    void (*close)(void *avahi);
};

/* A browser's event: opens a resolver or closes it. Beyond n_max the first one that is not a known
 * peer's is closed for a new one, DISC_STRANGERS_PER_S times at most; the others, and those for
 * which there is no memory, are not resolved. */
void resolvers_on_browse(struct resolvers *resolvers, AvahiIfIndex ifindex, AvahiProtocol protocol,
                         AvahiBrowserEvent event, const char *name, const char *domain);
/* What a resolver's callback was given. The resolver stays open whatever it says. */
void resolver_on_result(struct resolver *resolver, AvahiIfIndex ifindex, AvahiResolverEvent event,
                        const AvahiAddress *address, uint16_t port, AvahiStringList *txt);
/* Closes all, without a word to disc. */
void resolvers_clear(struct resolvers *resolvers);

/* Our TXT record as Avahi takes it; belongs to the caller. NULL: no memory. */
AvahiStringList *disc_own_txt(const struct disc *disc);

#endif
