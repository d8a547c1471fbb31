/* The mDNS responder inside this process (avahi-core), for hosts without an avahi-daemon.
 *
 * The happy path: a server without records of its own; for each interface in use the records of our
 * service, added one by one without probing, which is sound because their names hold our key's id;
 * a browser for the others, and for each service it finds a resolver that stays open, so that
 * changed addresses and TXT records are seen.
 *
 * When it fails: no usable network makes avahi_server_new() fail, which is tried again every few
 * seconds. A group that does not get established in time is set up anew. Another host with our
 * names is reported as a clone (clones.h), and only one of the two goes on announcing them. */
#include <errno.h>

#include "discovery/discovery_internal.h"

#ifdef HAVE_AVAHI_CORE

#include <avahi-common/domain.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <avahi-core/core.h>
#include <avahi-core/log.h>
#include <avahi-core/lookup.h>
#include <avahi-core/publish.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "discovery/avahi_poll_uv.h"
#include "discovery/clones.h"
#include "discovery/resolvers.h"
#include "wire/base/mem.h"

const bool mdns_embedded_is_built = true;

#define DOMAIN "local"
#define RECORD_TTL                                                                                 \
    120 /* seconds, of every record: what a crashed peer leaves behind lasts so long */
#define RETRY_MS      5000
#define WATCHDOG_MS   10000
#define COLLISION_MS  60000
#define RESOLVERS_MAX 2048
#define NAME_BYTES    AVAHI_DOMAIN_NAME_MAX

struct mdns_embedded {
    struct disc *disc;
    AvahiServer *server; /* NULL while there is no network */
    AvahiSEntryGroup *group;
    AvahiSServiceBrowser *browser;
    struct clones *clones;
    struct disc_timer *retry; /* to make the server, or the group, anew */
    bool is_failed;           /* the server must be made anew */
    bool is_clone_news;       /* whether to announce must be decided anew */
    bool is_warned;           /* that announcing fails; until it works */
    struct resolvers resolvers;
};

/* --- our records --- */

static int add_record(struct mdns_embedded *m, int ifindex, AvahiPublishFlags flags,
                      AvahiRecord *record)
{
    int r = avahi_server_add(m->server, m->group, ifindex, AVAHI_PROTO_UNSPEC, flags, record);
    avahi_record_unref(record);
    return r;
}

static int add_ptr(struct mdns_embedded *m, int ifindex, const char *from, const char *to)
{
    AvahiRecord *record =
        avahi_record_new_full(from, AVAHI_DNS_CLASS_IN, AVAHI_DNS_TYPE_PTR, RECORD_TTL);
    if (record == NULL) {
        return AVAHI_ERR_NO_MEMORY;
    }
    record->data.ptr.name = avahi_strdup(to);
    return add_record(m, ifindex, (AvahiPublishFlags)0, record);
}

static int add_srv(struct mdns_embedded *m, int ifindex, const char *name, const char *host)
{
    AvahiRecord *record =
        avahi_record_new_full(name, AVAHI_DNS_CLASS_IN, AVAHI_DNS_TYPE_SRV, RECORD_TTL);
    if (record == NULL) {
        return AVAHI_ERR_NO_MEMORY;
    }
    record->data.srv.port = m->disc->port;
    record->data.srv.name = avahi_strdup(host);
    return add_record(m, ifindex, AVAHI_PUBLISH_UNIQUE | AVAHI_PUBLISH_NO_PROBE, record);
}

static int add_txt(struct mdns_embedded *m, int ifindex, const char *name, bool is_update)
{
    AvahiRecord *record =
        avahi_record_new_full(name, AVAHI_DNS_CLASS_IN, AVAHI_DNS_TYPE_TXT, RECORD_TTL);
    if (record == NULL) {
        return AVAHI_ERR_NO_MEMORY;
    }
    record->data.txt.string_list = disc_own_txt(m->disc);
    AvahiPublishFlags flags = AVAHI_PUBLISH_UNIQUE | AVAHI_PUBLISH_NO_PROBE;
    return add_record(m, ifindex, is_update ? flags | AVAHI_PUBLISH_UPDATE : flags, record);
}

static int add_address(struct mdns_embedded *m, const struct interface_address *own,
                       const char *host)
{
    AvahiAddress address = {0};
    if (own->address.ss_family == AF_INET) {
        address.proto = AVAHI_PROTO_INET;
        address.data.ipv4.address = ((const struct sockaddr_in *)&own->address)->sin_addr.s_addr;
    } else {
        address.proto = AVAHI_PROTO_INET6;
        memcpy(address.data.ipv6.address, &((const struct sockaddr_in6 *)&own->address)->sin6_addr,
               sizeof(address.data.ipv6.address));
    }
    return avahi_server_add_address(m->server, m->group, own->ifindex, AVAHI_PROTO_UNSPEC,
                                    AVAHI_PUBLISH_NO_REVERSE | AVAHI_PUBLISH_NO_PROBE, host,
                                    &address);
}

struct own_names {
    char type[NAME_BYTES];    /* _meshd._tcp.local */
    char service[NAME_BYTES]; /* "hal k3vq-7d2m._meshd._tcp.local", escaped */
    char host[NAME_BYTES];    /* meshd-k3vq-7d2m.local */
};

static int own_names(const struct disc *disc, struct own_names *ret_names)
{
    char instance[DISC_INSTANCE_BYTES_MAX + 1];
    disc_instance_name(disc, instance);
    IGNORE(snprintf(ret_names->type, NAME_BYTES, DISC_SERVICE_TYPE "." DOMAIN)); /* fits */
    disc_host_name(disc, ret_names->host);
    return avahi_service_name_join(ret_names->service, NAME_BYTES, instance, DISC_SERVICE_TYPE,
                                   DOMAIN);
}

/* The records of one interface but its addresses. */
static int add_service(struct mdns_embedded *m, int ifindex, const struct own_names *names)
{
    int r = add_ptr(m, ifindex, names->type, names->service);
    if (r >= 0) {
        r = add_ptr(m, ifindex, "_services._dns-sd._udp." DOMAIN, names->type);
    }
    if (r >= 0) {
        r = add_srv(m, ifindex, names->service, names->host);
    }
    if (r >= 0) {
        r = add_txt(m, ifindex, names->service, false);
    }
    return r;
}

static int fill_group(struct mdns_embedded *m)
{
    struct own_names names;
    int r = own_names(m->disc, &names);
    size_t n;
    const struct interface_address *own = interfaces_addresses(m->disc->interfaces, &n);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        if (i == 0 || own[i - 1].ifindex != own[i].ifindex) {
            r = add_service(m, own[i].ifindex, &names);
        }
        if (r >= 0) {
            r = add_address(m, &own[i], names.host);
        }
    }
    if (r >= 0 && n > 0) {
        r = avahi_s_entry_group_commit(m->group);
    }
    return r;
}

static void warn_once(struct mdns_embedded *m, const char *text, int error)
{
    disc_log(m->disc, m->is_warned ? DISC_LOG_DEBUG : DISC_LOG_WARN, "%s: %s; trying again", text,
             avahi_strerror(error));
    m->is_warned = true;
}

static void announce_anew(struct mdns_embedded *m)
{
    avahi_s_entry_group_reset(m->group);
    disc_timer_stop(m->retry);
    if (m->clones != NULL && clones_are_silencing(m->clones)) {
        return; /* clones.h says when we may speak again */
    }
    int r = fill_group(m);
    if (r < 0) {
        warn_once(m, "cannot announce this peer", r);
        disc_timer_start(m->retry, RETRY_MS);
        return;
    }
    /* A group that an unsteady interface keeps from being established is set up anew. */
    disc_timer_start(m->retry, WATCHDOG_MS);
}

static void on_group(AvahiServer *server, AvahiSEntryGroup *group, AvahiEntryGroupState state,
                     void *user)
{
    struct mdns_embedded *m = user;
    switch (state) {
    case AVAHI_ENTRY_GROUP_ESTABLISHED:
        m->is_warned = false;
        if (!m->is_failed && !m->is_clone_news) {
            disc_timer_stop(m->retry);
        }
        break;
    case AVAHI_ENTRY_GROUP_COLLISION:
        disc_cloned(m->disc, "another host answers for this peer's names");
        disc_timer_start(m->retry, COLLISION_MS);
        break;
    case AVAHI_ENTRY_GROUP_FAILURE:
        warn_once(m, "announcing failed", avahi_server_errno(server));
        disc_timer_start(m->retry, RETRY_MS);
        break;
    case AVAHI_ENTRY_GROUP_UNCOMMITED:
    case AVAHI_ENTRY_GROUP_REGISTERING:
        break;
    }
}

void mdns_embedded_announce(struct mdns_embedded *m, bool are_interfaces_new)
{
    if (m->server == NULL) {
        return; /* the retry timer makes one, with what is known then */
    }
    if (are_interfaces_new) {
        if (m->clones != NULL) {
            clones_announce(m->clones);
        }
        announce_anew(m);
        return;
    }
    struct own_names names;
    int r = own_names(m->disc, &names);
    size_t n;
    const struct interface_address *own = interfaces_addresses(m->disc->interfaces, &n);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        if (i == 0 || own[i - 1].ifindex != own[i].ifindex) {
            r = add_txt(m, own[i].ifindex, names.service, true);
        }
    }
    if (r < 0) {
        announce_anew(m); /* there was nothing to update */
    }
}

/* --- the others --- */

static void on_resolved(AvahiSServiceResolver *avahi, AvahiIfIndex ifindex, AvahiProtocol protocol,
                        AvahiResolverEvent event, const char *name, const char *type,
                        const char *domain, const char *host, const AvahiAddress *a, uint16_t port,
                        AvahiStringList *txt, AvahiLookupResultFlags flags, void *user)
{
    resolver_on_result(user, ifindex, event, a, port, txt);
}

static void *open_resolver(void *source, struct resolver *resolver)
{
    struct mdns_embedded *m = source;
    const struct disc_report_id *id = &resolver->id;
    return avahi_s_service_resolver_new(m->server, id->ifindex, id->protocol, id->instance,
                                        DISC_SERVICE_TYPE, resolver->domain, id->protocol,
                                        (AvahiLookupFlags)0, on_resolved, resolver);
}

static void close_resolver(void *avahi)
{
    avahi_s_service_resolver_free(avahi);
}

static void on_browse(AvahiSServiceBrowser *browser, AvahiIfIndex ifindex, AvahiProtocol protocol,
                      AvahiBrowserEvent event, const char *name, const char *type,
                      const char *domain, AvahiLookupResultFlags flags, void *user)
{
    struct mdns_embedded *m = user;
    resolvers_on_browse(&m->resolvers, ifindex, protocol, event, name, domain);
}

/* --- life --- */

static void on_server(AvahiServer *server, AvahiServerState state, void *user)
{
    struct mdns_embedded *m = user;
    switch (state) {
    case AVAHI_SERVER_COLLISION:
        disc_cloned(m->disc, "another host answers to this peer's host name");
        break;
    case AVAHI_SERVER_FAILURE:
        if (m->server != NULL) { /* at birth avahi_server_new() tells */
            warn_once(m, "mDNS failed", avahi_server_errno(server));
            m->is_failed = true;
            disc_timer_start(m->retry, RETRY_MS);
        }
        break;
    case AVAHI_SERVER_INVALID:
    case AVAHI_SERVER_REGISTERING:
    case AVAHI_SERVER_RUNNING:
        break;
    }
}

/* Avahi's own lines (a second responder on this host, an interface without a route, ...) tell our
 * users nothing they can act on. */
static void drop_line(AvahiLogLevel level, const char *text)
{
}

static void on_clones_changed(void *user)
{
    struct mdns_embedded *m = user;
    m->is_clone_news = true;
    /* Later, for Avahi is on the stack. */
    disc_timer_start(m->retry, 0);
}

static void drop_server(struct mdns_embedded *m)
{
    resolvers_clear(&m->resolvers);
    m->clones = clones_free(m->clones);
    if (m->server != NULL) {
        avahi_server_free(m->server); /* sends the goodbye; frees group and browser */
    }
    m->server = NULL;
    m->group = NULL;
    m->browser = NULL;
    m->is_failed = false;
    disc_unreport_all(m->disc);
}

/* Avahi itself keeps away from what the user did not name, and from bridges that are there now. */
static void set_interfaces(const struct disc *disc, AvahiServerConfig *config)
{
    size_t n;
    const char(*names)[IF_NAMESIZE] = interfaces_names(disc->interfaces, &n);
    for (size_t i = 0; i < n; i++) {
        config->allow_interfaces = avahi_string_list_add(config->allow_interfaces, names[i]);
    }
    struct if_nameindex *all = n == 0 ? if_nameindex() : NULL;
    for (size_t i = 0; all != NULL && all[i].if_index != 0; i++) {
        if (interfaces_is_container(all[i].if_name)) {
            config->deny_interfaces =
                avahi_string_list_add(config->deny_interfaces, all[i].if_name);
        }
    }
    if (all != NULL) {
        if_freenameindex(all);
    }
}

static int new_server(struct mdns_embedded *m)
{
    AvahiServerConfig config;
    avahi_server_config_init(&config);
    char host[DISC_INSTANCE_BYTES_MAX + 1];
    IGNORE(snprintf(host, sizeof(host), "meshd-%s", m->disc->id_text)); /* fits */
    config.host_name = avahi_strdup(host);
    config.publish_hinfo = 0;
    config.publish_addresses = 0;
    config.publish_workstation = 0;
    config.publish_domain = 0;
    config.use_iff_running = 1;
    config.enable_wide_area = 0; /* all our names are .local: no sockets for others */
    config.n_cache_entries_max = 4096;
    set_interfaces(m->disc, &config);
    int error = 0;
    m->server = avahi_server_new(avahi_poll_uv_api(m->disc->poll), &config, on_server, m, &error);
    avahi_server_config_free(&config);
    return m->server != NULL ? 0 : error;
}

static int make_server(struct mdns_embedded *m)
{
    int r = new_server(m);
    if (r < 0) {
        return r;
    }
    m->group = avahi_s_entry_group_new(m->server, on_group, m);
    m->browser =
        avahi_s_service_browser_new(m->server, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC,
                                    DISC_SERVICE_TYPE, DOMAIN, (AvahiLookupFlags)0, on_browse, m);
    if (m->group == NULL || m->browser == NULL) {
        r = avahi_server_errno(m->server);
        drop_server(m);
        return r;
    }
    m->clones = clones_new(m->disc, m->server, on_clones_changed, m);
    announce_anew(m);
    return 0;
}

static void on_retry(void *user)
{
    struct mdns_embedded *m = user;
    m->is_clone_news = false;
    if (m->is_failed) {
        drop_server(m);
    }
    if (m->server != NULL) {
        announce_anew(m);
        return;
    }
    int r = make_server(m);
    if (r < 0) {
        warn_once(m, "no mDNS", r);
        disc_timer_start(m->retry, RETRY_MS);
    }
}

struct mdns_embedded *mdns_embedded_new(struct disc *disc)
{
    avahi_set_log_function(drop_line);
    struct mdns_embedded *m = mem_alloc(1, sizeof(*m));
    if (m == NULL) {
        return NULL;
    }
    m->disc = disc;
    m->resolvers = (struct resolvers){.disc = disc,
                                      .n_max = RESOLVERS_MAX,
                                      .source = m,
                                      .open = open_resolver,
                                      .close = close_resolver};
    m->retry = disc_timer_new(disc, on_retry, m);
    if (resolvers_init(&m->resolvers) < 0 || m->retry == NULL) {
        m->retry = disc_timer_free(m->retry);
        resolvers_done(&m->resolvers);
        return mem_free(m);
    }
    on_retry(m);
    return m;
}

struct mdns_embedded *mdns_embedded_free(struct mdns_embedded *m)
{
    if (m == NULL) {
        return NULL;
    }
    drop_server(m);
    resolvers_done(&m->resolvers);
    m->retry = disc_timer_free(m->retry);
    return mem_free(m);
}

#else

const bool mdns_embedded_is_built = false;

struct mdns_embedded *mdns_embedded_new(struct disc *disc)
{
    return NULL;
}

void mdns_embedded_announce(struct mdns_embedded *m, bool are_interfaces_new)
{
}

struct mdns_embedded *mdns_embedded_free(struct mdns_embedded *m)
{
    return NULL;
}

#endif
