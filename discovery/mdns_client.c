/* mDNS through the machine's avahi-daemon (avahi-client over D-Bus).
 *
 * The happy path: the client connects, the daemon runs, our service is announced through it on the
 * interfaces in use, and what it finds is resolved with resolvers that stay open.
 *
 * When it fails: a daemon that ends or restarts disconnects the client, which takes all its objects
 * along; a new client is made every half second. (AVAHI_CLIENT_NO_FAIL waits for a missing daemon,
 * but does not survive a restart of the D-Bus daemon, so the timer does the waiting.) After some
 * seconds without one, discovery is told, and embeds a responder in auto mode. A name that collides
 * takes Avahi's alternative: identity does not depend on it. */
#include <errno.h>

#include "discovery/discovery_internal.h"

#ifdef HAVE_AVAHI_CLIENT

#include <avahi-client/client.h>
#include <avahi-client/lookup.h>
#include <avahi-client/publish.h>
#include <avahi-common/alternative.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <string.h>

#include "discovery/avahi_poll_uv.h"
#include "discovery/resolvers.h"
#include "wire/base/mem.h"

const bool mdns_client_is_built = true;

#define RETRY_MS      500
#define GIVE_UP_MS    3000
#define WATCHDOG_MS   10000
#define RESOLVERS_MAX 900 /* the daemon allows 1,024 objects a client */

struct mdns_client {
    struct disc *disc;
    AvahiClient *avahi; /* NULL between two attempts */
    AvahiEntryGroup *group;
    AvahiServiceBrowser *browser;
    struct resolvers resolvers;
    struct disc_timer *retry;    /* to connect anew */
    struct disc_timer *watchdog; /* to announce anew */
    char instance[DISC_INSTANCE_BYTES_MAX + 1];
    uint64_t lost_ms;   /* since when there is no daemon; 0 while there is */
    bool is_connecting; /* inside avahi_client_new(), which may not be freed yet */
    bool is_broken;     /* and must be freed once it returned */
    bool is_refused;    /* its administrator lets nobody announce through it */
    bool is_warned;     /* that announcing fails; until it works */
};

/* Frees all that hangs on the connection, and it. */
static void disconnect(struct mdns_client *c)
{
    resolvers_clear(&c->resolvers);
    if (c->avahi != NULL) {
        avahi_client_free(c->avahi); /* with group and browser */
    }
    c->avahi = NULL;
    c->group = NULL;
    c->browser = NULL;
    disc_timer_stop(c->watchdog);
}

static void reconnect_later(struct mdns_client *c)
{
    if (c->is_connecting) {
        c->is_broken = true;
        return;
    }
    disconnect(c);
    disc_unreport_all(c->disc);
    uint64_t now_ms = uv_now(c->disc->loop);
    if (c->lost_ms == 0) {
        c->lost_ms = now_ms > 0 ? now_ms : 1;
    }
    disc_timer_start(c->retry, RETRY_MS);
}

/* --- announcing --- */

/* Adds the service on each interface in use, or updates its TXT record there. */
static int for_each_interface(struct mdns_client *c, bool is_update)
{
    AvahiStringList *txt = disc_own_txt(c->disc);
    size_t n;
    const struct interface_address *own = interfaces_addresses(c->disc->interfaces, &n);
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n; i++) {
        if (i > 0 && own[i - 1].ifindex == own[i].ifindex) {
            continue; /* another address of the same */
        }
        if (is_update) {
            r = avahi_entry_group_update_service_txt_strlst(
                c->group, own[i].ifindex, AVAHI_PROTO_UNSPEC, (AvahiPublishFlags)0, c->instance,
                DISC_SERVICE_TYPE, NULL, txt);
        } else {
            r = avahi_entry_group_add_service_strlst(
                c->group, own[i].ifindex, AVAHI_PROTO_UNSPEC, (AvahiPublishFlags)0, c->instance,
                DISC_SERVICE_TYPE, NULL, NULL, c->disc->port, txt);
        }
    }
    avahi_string_list_free(txt);
    return r;
}

static void take_alternative(struct mdns_client *c)
{
    char *other = avahi_alternative_service_name(c->instance);
    if (other != NULL && strlen(other) <= DISC_INSTANCE_BYTES_MAX) {
        memcpy(c->instance, other, strlen(other) + 1);
        disc_log(c->disc, DISC_LOG_INFO, "the service name is taken; announcing as '%s'", other);
    }
    avahi_free(other);
}

/* We go on looking for others; a responder of our own announces us where there may be one. It is
 * not made here, for Avahi is on the stack. */
static void refused(struct mdns_client *c)
{
    if (c->is_refused) {
        return;
    }
    c->is_refused = true;
    disc_log(c->disc, DISC_LOG_WARN,
             "avahi-daemon may not announce this peer%s; see disable-user-service-publishing in "
             "avahi-daemon.conf",
             disc_may_embed(c->disc) ? ": we answer mDNS ourselves" : ", which others cannot see");
    if (disc_may_embed(c->disc)) {
        disc_timer_start(c->retry, 0);
    }
}

static void announce_anew(struct mdns_client *c)
{
    IGNORE(avahi_entry_group_reset(c->group)); /* adding tells */
    int r = for_each_interface(c, false);
    if (r == AVAHI_ERR_COLLISION) {
        /* A service of this very daemon has the name. */
        take_alternative(c);
        IGNORE(avahi_entry_group_reset(c->group));
        r = for_each_interface(c, false);
    }
    if (r >= 0 && !avahi_entry_group_is_empty(c->group)) {
        r = avahi_entry_group_commit(c->group);
    }
    if (r == AVAHI_ERR_NOT_PERMITTED) {
        refused(c);
        return;
    }
    if (r < 0) {
        disc_log(c->disc, c->is_warned ? DISC_LOG_DEBUG : DISC_LOG_WARN,
                 "avahi-daemon does not announce this peer: %s; trying again", avahi_strerror(r));
        c->is_warned = true;
    }
    /* A group that an unsteady interface keeps from being established is set up anew. */
    disc_timer_start(c->watchdog, WATCHDOG_MS);
}

static void on_watchdog(void *user)
{
    struct mdns_client *c = user;
    if (c->group != NULL &&
        avahi_entry_group_get_state(c->group) != AVAHI_ENTRY_GROUP_ESTABLISHED) {
        announce_anew(c);
    }
}

static void on_group(AvahiEntryGroup *group, AvahiEntryGroupState state, void *user)
{
    struct mdns_client *c = user;
    switch (state) {
    case AVAHI_ENTRY_GROUP_COLLISION:
        take_alternative(c);
        c->group = group; /* may be called before new() returned */
        announce_anew(c);
        break;
    case AVAHI_ENTRY_GROUP_ESTABLISHED:
        c->is_warned = false;
        disc_timer_stop(c->watchdog);
        break;
    case AVAHI_ENTRY_GROUP_FAILURE:
    case AVAHI_ENTRY_GROUP_UNCOMMITED:
    case AVAHI_ENTRY_GROUP_REGISTERING:
        break;
    }
}

void mdns_client_announce(struct mdns_client *c, bool are_interfaces_new)
{
    if (c->group == NULL) {
        return; /* announced, with what is known then, once the daemon runs */
    }
    if (are_interfaces_new || for_each_interface(c, true) < 0) {
        announce_anew(c);
    }
}

/* --- the others --- */

static void on_resolved(AvahiServiceResolver *avahi, AvahiIfIndex ifindex, AvahiProtocol protocol,
                        AvahiResolverEvent event, const char *name, const char *type,
                        const char *domain, const char *host, const AvahiAddress *a, uint16_t port,
                        AvahiStringList *txt, AvahiLookupResultFlags flags, void *user)
{
    resolver_on_result(user, ifindex, event, a, port, txt);
}

static void *open_resolver(void *source, struct resolver *resolver)
{
    struct mdns_client *c = source;
    const struct disc_report_id *id = &resolver->id;
    return avahi_service_resolver_new(c->avahi, id->ifindex, id->protocol, id->instance,
                                      DISC_SERVICE_TYPE, resolver->domain, id->protocol,
                                      (AvahiLookupFlags)0, on_resolved, resolver);
}

static void close_resolver(void *avahi)
{
    IGNORE(avahi_service_resolver_free(avahi)); /* the daemon may be gone */
}

static void on_browse(AvahiServiceBrowser *browser, AvahiIfIndex ifindex, AvahiProtocol protocol,
                      AvahiBrowserEvent event, const char *name, const char *type,
                      const char *domain, AvahiLookupResultFlags flags, void *user)
{
    struct mdns_client *c = user;
    resolvers_on_browse(&c->resolvers, ifindex, protocol, event, name, domain);
}

/* --- life --- */

static void browse(struct mdns_client *c)
{
    if (c->browser == NULL) {
        c->browser =
            avahi_service_browser_new(c->avahi, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC,
                                      DISC_SERVICE_TYPE, NULL, (AvahiLookupFlags)0, on_browse, c);
    }
}

static void on_running(struct mdns_client *c)
{
    if (c->lost_ms != 0) {
        disc_log(c->disc, DISC_LOG_INFO, "avahi-daemon answers");
    }
    c->lost_ms = 0;
    browse(c);
    if (c->group == NULL) {
        c->group = avahi_entry_group_new(c->avahi, on_group, c);
    }
    if (c->group == NULL && avahi_client_errno(c->avahi) == AVAHI_ERR_NOT_PERMITTED) {
        refused(c);
        return;
    }
    if (c->browser == NULL || c->group == NULL) {
        disc_log(c->disc, c->is_warned ? DISC_LOG_DEBUG : DISC_LOG_WARN,
                 "avahi-daemon refuses our requests: %s; trying again",
                 avahi_strerror(avahi_client_errno(c->avahi)));
        c->is_warned = true;
        reconnect_later(c);
        return;
    }
    announce_anew(c);
}

static void on_client(AvahiClient *avahi, AvahiClientState state, void *user)
{
    struct mdns_client *c = user;
    c->avahi = avahi; /* the first call comes from inside avahi_client_new() */
    switch (state) {
    case AVAHI_CLIENT_S_RUNNING:
        on_running(c);
        break;
    case AVAHI_CLIENT_FAILURE:
        if (c->lost_ms == 0) {
            disc_log(c->disc, DISC_LOG_INFO, "avahi-daemon: %s",
                     avahi_strerror(avahi_client_errno(avahi)));
        }
        reconnect_later(c);
        break;
    case AVAHI_CLIENT_CONNECTING:
        /* The bus is up, the daemon is not: waits for it; the timer looks how long. */
        if (c->lost_ms == 0) {
            uint64_t now_ms = uv_now(c->disc->loop);
            c->lost_ms = now_ms > 0 ? now_ms : 1;
        }
        disc_timer_start(c->retry, GIVE_UP_MS);
        break;
    case AVAHI_CLIENT_S_COLLISION:
    case AVAHI_CLIENT_S_REGISTERING:
        /* The host's name changes: what was announced under the old one goes. */
        if (c->group != NULL) {
            IGNORE(avahi_entry_group_reset(c->group)); /* RUNNING announces anew */
        }
        browse(c); /* a host that keeps losing its name can still look for others */
        break;
    }
}

/* Whether there is a client now, which may still wait for the daemon. */
static bool connect_now(struct mdns_client *c)
{
    int error = 0;
    c->is_connecting = true;
    c->is_broken = false;
    c->is_refused = false;
    AvahiClient *avahi = avahi_client_new(avahi_poll_uv_api(c->disc->poll), AVAHI_CLIENT_NO_FAIL,
                                          on_client, c, &error);
    c->is_connecting = false;
    if (avahi == NULL) {
        disc_log(c->disc, DISC_LOG_DEBUG, "avahi-daemon: %s", avahi_strerror(error));
        c->avahi = NULL; /* whatever the callback was shown is freed */
        c->group = NULL;
        c->browser = NULL;
        return false;
    }
    if (c->is_broken) {
        disconnect(c);
        return false;
    }
    return true;
}

static void on_retry(void *user)
{
    struct mdns_client *c = user;
    uint64_t now_ms = uv_now(c->disc->loop);
    bool is_gone = c->lost_ms != 0 && now_ms - c->lost_ms >= GIVE_UP_MS;
    if (is_gone && disc_may_embed(c->disc)) {
        disc_log(c->disc, DISC_LOG_INFO, "avahi-daemon is gone; answering mDNS ourselves");
    }
    if ((is_gone || c->is_refused) && disc_may_embed(c->disc)) {
        disc_client_gone(c->disc); /* frees c */
        return;
    }
    if (c->avahi == NULL && !connect_now(c)) {
        disc_timer_start(c->retry, RETRY_MS);
    }
}

bool mdns_client_is_running(const struct mdns_client *c)
{
    return c->avahi != NULL && c->lost_ms == 0;
}

struct mdns_client *mdns_client_new(struct disc *disc)
{
    struct mdns_client *c = mem_alloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    c->disc = disc;
    c->resolvers = (struct resolvers){.disc = disc,
                                      .n_max = RESOLVERS_MAX,
                                      .source = c,
                                      .open = open_resolver,
                                      .close = close_resolver};
    int r = resolvers_init(&c->resolvers);
    disc_instance_name(disc, c->instance);
    c->retry = disc_timer_new(disc, on_retry, c);
    c->watchdog = disc_timer_new(disc, on_watchdog, c);
    if (r < 0 || c->retry == NULL || c->watchdog == NULL) {
        return mdns_client_free(c);
    }
    if (!connect_now(c)) {
        uint64_t now_ms = uv_now(disc->loop);
        c->lost_ms = now_ms > 0 ? now_ms : 1;
        disc_timer_start(c->retry, RETRY_MS);
    }
    return c;
}

struct mdns_client *mdns_client_free(struct mdns_client *c)
{
    if (c == NULL) {
        return NULL;
    }
    if (c->watchdog != NULL) {
        disconnect(c);
    }
    disc_unreport_all(c->disc);
    c->retry = disc_timer_free(c->retry);
    c->watchdog = disc_timer_free(c->watchdog);
    resolvers_done(&c->resolvers);
    return mem_free(c);
}

#else

const bool mdns_client_is_built = false;

struct mdns_client *mdns_client_new(struct disc *disc)
{
    return NULL;
}

bool mdns_client_is_running(const struct mdns_client *c)
{
    return false;
}

void mdns_client_announce(struct mdns_client *c, bool are_interfaces_new)
{
}

struct mdns_client *mdns_client_free(struct mdns_client *c)
{
    return NULL;
}

#endif
