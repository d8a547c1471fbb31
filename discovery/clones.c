#include "discovery/clones.h"

#include <avahi-common/domain.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <avahi-core/lookup.h>
#include <avahi-core/publish.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "discovery/discovery_internal.h"
#include "wire/base/mem.h"

#define MARKER_BYTES (16 + 1)
#define SEEN_MAX     16u /* one clone is seen once for each interface and address family */
#define MARKER_TTL   120 /* seconds */

struct seen {
    AvahiIfIndex ifindex;
    AvahiProtocol protocol;
    char marker[MARKER_BYTES];
};

struct clones {
    struct disc *disc;
    AvahiServer *server;
    AvahiSEntryGroup *group;
    AvahiSRecordBrowser *browser;
    void (*on_changed)(void *user);
    void *user;
    char host[AVAHI_DOMAIN_NAME_MAX]; /* meshd-k3vq-7d2m.local */
    char own[MARKER_BYTES];
    struct seen seen[SEEN_MAX]; /* of others */
    size_t n_seen;
};

bool clones_are_silencing(const struct clones *clones)
{
    for (size_t i = 0; i < clones->n_seen; i++) {
        if (strcmp(clones->seen[i].marker, clones->own) < 0) {
            return true;
        }
    }
    return false;
}

/* The first label of a marker's name, if it is one: 16 lower-case hexadecimal digits. */
static bool marker_of(const char *name, char ret_marker[static MARKER_BYTES])
{
    size_t n = strspn(name, "0123456789abcdef");
    if (n != MARKER_BYTES - 1 || name[n] != '.') {
        return false;
    }
    memcpy(ret_marker, name, n);
    ret_marker[n] = '\0';
    return true;
}

static void see(struct clones *clones, const struct seen *seen)
{
    if (clones->n_seen == SEEN_MAX) {
        return; /* one is enough to know */
    }
    clones->seen[clones->n_seen++] = *seen;
    char name[IF_NAMESIZE] = "?";
    IGNORE(if_indextoname((unsigned)seen->ifindex, name)); /* for people */
    char text[160];
    IGNORE(snprintf(text, sizeof(text), "another host on %s announces this peer's identity",
                    name)); /* fits */
    disc_cloned(clones->disc, text);
}

static void unsee(struct clones *clones, const struct seen *seen)
{
    for (size_t i = 0; i < clones->n_seen; i++) {
        if (clones->seen[i].ifindex == seen->ifindex &&
            clones->seen[i].protocol == seen->protocol &&
            strcmp(clones->seen[i].marker, seen->marker) == 0) {
            clones->seen[i] = clones->seen[--clones->n_seen];
            return;
        }
    }
}

static void on_record(AvahiSRecordBrowser *browser, AvahiIfIndex ifindex, AvahiProtocol protocol,
                      AvahiBrowserEvent event, AvahiRecord *record, AvahiLookupResultFlags flags,
                      void *user)
{
    struct clones *clones = user;
    struct seen seen = {.ifindex = ifindex, .protocol = protocol};
    if ((event != AVAHI_BROWSER_NEW && event != AVAHI_BROWSER_REMOVE) || record == NULL ||
        !marker_of(record->data.ptr.name, seen.marker) || strcmp(seen.marker, clones->own) == 0) {
        return;
    }
    bool was_silencing = clones_are_silencing(clones);
    if (event == AVAHI_BROWSER_NEW) {
        see(clones, &seen);
    } else {
        unsee(clones, &seen);
    }
    if (clones_are_silencing(clones) != was_silencing) {
        clones->on_changed(clones->user);
    }
}

static void on_group(AvahiServer *server, AvahiSEntryGroup *group, AvahiEntryGroupState state,
                     void *user)
{
    /* Shared records do not collide, and the service's group has the watchdog. */
}

static int add_marker(struct clones *clones, int ifindex)
{
    AvahiRecord *record =
        avahi_record_new_full(clones->host, AVAHI_DNS_CLASS_IN, AVAHI_DNS_TYPE_PTR, MARKER_TTL);
    if (record == NULL) {
        return AVAHI_ERR_NO_MEMORY;
    }
    record->data.ptr.name = avahi_strdup_printf("%s.%s", clones->own, clones->host);
    int r = avahi_server_add(clones->server, clones->group, ifindex, AVAHI_PROTO_UNSPEC,
                             (AvahiPublishFlags)0, record);
    avahi_record_unref(record);
    return r;
}

void clones_announce(struct clones *clones)
{
    avahi_s_entry_group_reset(clones->group);
    size_t n;
    const struct interface_address *own = interfaces_addresses(clones->disc->interfaces, &n);
    int r = 0;
    for (size_t i = 0; r >= 0 && i < n; i++) {
        if (i == 0 || own[i - 1].ifindex != own[i].ifindex) {
            r = add_marker(clones, own[i].ifindex);
        }
    }
    if (r >= 0 && n > 0) {
        r = avahi_s_entry_group_commit(clones->group);
    }
    if (r < 0) {
        disc_log(clones->disc, DISC_LOG_DEBUG, "no marker against clones: %s", avahi_strerror(r));
    }
}

struct clones *clones_new(struct disc *disc, AvahiServer *server, void (*on_changed)(void *user),
                          void *user)
{
    struct clones *clones = mem_alloc(1, sizeof(*clones));
    if (clones == NULL) {
        return NULL;
    }
    clones->disc = disc;
    clones->server = server;
    clones->on_changed = on_changed;
    clones->user = user;
    disc_host_name(disc, clones->host);
    IGNORE(snprintf(clones->own, sizeof(clones->own), "%016" PRIx64, disc->nonce)); /* fits */
    AvahiKey *key = avahi_key_new(clones->host, AVAHI_DNS_CLASS_IN, AVAHI_DNS_TYPE_PTR);
    clones->group = avahi_s_entry_group_new(server, on_group, clones);
    if (key != NULL && clones->group != NULL) {
        clones->browser =
            avahi_s_record_browser_new(server, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, key,
                                       AVAHI_LOOKUP_USE_MULTICAST, on_record, clones);
    }
    if (key != NULL) {
        avahi_key_unref(key);
    }
    if (clones->browser == NULL) {
        return clones_free(clones);
    }
    clones_announce(clones);
    return clones;
}

struct clones *clones_free(struct clones *clones)
{
    if (clones == NULL) {
        return NULL;
    }
    if (clones->browser != NULL) {
        avahi_s_record_browser_free(clones->browser);
    }
    if (clones->group != NULL) {
        avahi_s_entry_group_free(clones->group);
    }
    return mem_free(clones);
}
