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

/* So many are opened at once, then so many a second: each asks the link three questions, and again
 * after 1, 2, 4, ... seconds, and Avahi looks through all that it asked of late for each. */
#define RESOLVERS_BURST 256u
#define RESOLVERS_PER_S 32u

#define DISC_DOMAIN_BYTES_MAX 63

struct resolver {
    struct table_entry by_id;
    struct resolvers *owner;
    struct list waiting; /* in owner->waiting until its turn to be opened comes */
    struct disc_report_id id;
    char domain[DISC_DOMAIN_BYTES_MAX + 1];
    void *avahi; /* owned: what `open` made; NULL while it waits */
};

struct resolvers {
    struct disc *disc; /* borrowed */
    struct table all;  /* of struct resolver */
    size_t n_max;
    uint64_t paid_ns;        /* let in beyond n_max on account up to then */
    struct list waiting;     /* of struct resolver.waiting, the first one next */
    uint64_t opened_ns;      /* opened on account up to then */
    struct disc_timer *turn; /* owned: runs while some wait */
    void *source;            /* of `open` */
    /* A resolver of resolver->id whose callback calls resolver_on_result(); NULL: none was made. */
    void *(*open)(void *source, struct resolver *resolver);
    void (*close)(void *avahi);
};

/* None yet; disc, n_max, source, open and close must be set before. 0, or -ENOMEM, which wants
 * resolvers_done() as well. */
int resolvers_init(struct resolvers *resolvers) MUST_CHECK;
/* Closes all, and frees what they are held in. */
void resolvers_done(struct resolvers *resolvers);

/* A browser's event: opens a resolver, at once or in its turn, or closes it. Beyond n_max the first
 * one that is not a known peer's is closed for a new one, DISC_STRANGERS_PER_S times at most; the
 * others, and those for which there is no memory, are not resolved. */
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
