/* What the sources say, merged: peers by key, each with the set of its addresses.
 *
 * The happy path: a source resolves a service and calls disc_report(); the report joins those of
 * the same key, and the owner hears of the peer with all its addresses. When the last report of a
 * key is withdrawn the owner hears that too.
 *
 * A report from an interface that is not in use is kept, and does not count until the interface is
 * in use: Avahi often knows a new interface before we do, and tells each thing once.
 *
 * When it fails: a table that is full says so once. Anybody can announce peers that are not there,
 * so then a stranger comes in for another one, the one heard of first, and only some each second;
 * whoever was ever proved comes in always, and makes no room. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "discovery/discovery_internal.h"
#include "wire/base/mem.h"
#include "wire/base/rate.h"

#define CLONED_REPEAT_MS 60000

void disc_sockaddr(const AvahiAddress *a, int ifindex, uint16_t port,
                   struct sockaddr_storage *ret_address)
{
    memset(ret_address, 0, sizeof(*ret_address));
    if (a->proto == AVAHI_PROTO_INET) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret_address;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        in->sin_addr.s_addr = a->data.ipv4.address;
        return;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_address;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    memcpy(&in6->sin6_addr, a->data.ipv6.address, sizeof(in6->sin6_addr));
    if (IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr)) {
        in6->sin6_scope_id = (uint32_t)ifindex;
    }
}

/* --- our own addresses --- */

static bool is_noted(const struct disc *disc, const struct sockaddr_storage *address)
{
    for (size_t i = 0; i < disc->n_own; i++) {
        if (interfaces_is_same_host(&disc->own[i], address)) {
            return true;
        }
    }
    return false;
}

void disc_note_own_addresses(struct disc *disc)
{
    size_t n;
    const struct interface_address *addresses = interfaces_addresses(disc->interfaces, &n);
    for (size_t i = 0; i < n; i++) {
        if (!is_noted(disc, &addresses[i].address)) {
            disc->own[disc->next_own] = addresses[i].address;
            disc->next_own = (disc->next_own + 1) % DISC_OWN_ADDRESSES_MAX;
            disc->n_own += disc->n_own < DISC_OWN_ADDRESSES_MAX ? 1 : 0;
        }
    }
}

void disc_cloned(struct disc *disc, const char *text)
{
    uint64_t now_ms = uv_now(disc->loop);
    if (disc->is_closing || (disc->cloned_ms != 0 && now_ms - disc->cloned_ms < CLONED_REPEAT_MS)) {
        return;
    }
    disc->cloned_ms = now_ms > 0 ? now_ms : 1;
    if (disc->callbacks.on_cloned != NULL) {
        disc->callbacks.on_cloned(disc->user, text);
    }
}

/* Heard our own key: ourselves, looped back, unless it comes from a host that we never were. Avahi
 * may know our newest address before we do, so the kernel is asked as well. */
static void check_own(struct disc *disc, const struct sockaddr_storage *address)
{
    if (is_noted(disc, address) || interfaces_is_ours(address)) {
        return;
    }
    char host[INET6_ADDRSTRLEN] = "";
    IGNORE(uv_ip_name((const struct sockaddr *)address, host, sizeof(host))); /* for people */
    char text[160];
    IGNORE(snprintf(text, sizeof(text), "%s announces this peer's identity", host)); /* fits */
    disc_cloned(disc, text);
}

/* --- addresses of others --- */

/* Whether a peer can be there: nobody may make us dial ourselves or a group. */
static bool is_dialable(const struct sockaddr_storage *address, int ifindex)
{
    bool is_loopback;
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;
        uint32_t a = ntohl(in->sin_addr.s_addr);
        is_loopback = a >> 24 == 127;
        if (in->sin_port == 0 || a >> 24 == 0 || a >> 28 >= 0xe) {
            return false;
        }
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
        is_loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
        if (in6->sin6_port == 0 || IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr) ||
            IN6_IS_ADDR_MULTICAST(&in6->sin6_addr) || IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            return false;
        }
    }
    return !is_loopback || interfaces_is_loopback(ifindex);
}

/* What to dial first: IPv4 and global IPv6 addresses, then link-local ones, then loopback. */
static int address_rank(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        uint32_t a = ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);
        return a >> 24 == 127 ? 3 : a >> 16 == 0xa9fe ? 2 : 0;
    }
    const struct in6_addr *a = &((const struct sockaddr_in6 *)address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(a) ? 3 : IN6_IS_ADDR_LINKLOCAL(a) ? 2 : 1;
}

static bool has_address(const struct sockaddr_storage *addresses, size_t n,
                        const struct sockaddr_storage *address)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&addresses[i], address, sizeof(*address)) == 0) {
            return true;
        }
    }
    return false;
}

static size_t gather_addresses(const struct disc_peer_entry *peer,
                               struct sockaddr_storage to[static DISC_ADDRESSES_MAX])
{
    size_t n = 0;
    for (int rank = 0; rank <= 3; rank++) {
        list_for_each (it, &peer->reports) {
            const struct disc_report *report = LIST_ENTRY(it, struct disc_report, in_peer);
            if (n < DISC_ADDRESSES_MAX && report->counts &&
                address_rank(&report->address) == rank && !has_address(to, n, &report->address)) {
                to[n++] = report->address;
            }
        }
    }
    return n;
}

/* --- telling the owner --- */

/* The newest report that counts: it knows the newest TXT. NULL: none counts. */
static const struct disc_report *newest_report(const struct disc_peer_entry *peer)
{
    for (struct list *it = peer->reports.prev; it != &peer->reports; it = it->prev) {
        const struct disc_report *report = LIST_ENTRY(it, struct disc_report, in_peer);
        if (report->counts) {
            return report;
        }
    }
    return NULL;
}

static void tell_lost(struct disc *disc, struct disc_peer_entry *peer)
{
    if (!peer->is_told) {
        return;
    }
    peer->is_told = false;
    if (disc->callbacks.on_lost != NULL && !disc->is_closing) {
        disc->callbacks.on_lost(disc->user, peer->key);
    }
}

/* What is known of the peer changed. */
static void tell(struct disc *disc, struct disc_peer_entry *peer)
{
    const struct disc_report *newest = newest_report(peer);
    if (newest == NULL) {
        tell_lost(disc, peer);
        return;
    }
    peer->is_told = true;
    struct sockaddr_storage addresses[DISC_ADDRESSES_MAX];
    struct disc_peer found = {
        .has_key = true,
        .name = peer->name,
        .arch = newest->txt.arch,
        .os = newest->txt.os,
        .mesh = newest->txt.mesh,
        .version = newest->txt.version,
        .cores = newest->txt.cores,
        .addresses = addresses,
        .n_addresses = gather_addresses(peer, addresses),
    };
    memcpy(found.key, peer->key, sizeof(found.key));
    if (disc->callbacks.on_found != NULL && !disc->is_closing) {
        disc->callbacks.on_found(disc->user, &found);
    }
}

/* --- reports --- */

static struct disc_report *find_report(const struct disc *disc, const struct disc_report_id *id)
{
    struct table_entry *entry = table_find(&disc->reports, id);
    return entry != NULL ? CONTAINER_OF(entry, struct disc_report, by_id) : NULL;
}

static void forget_report(struct disc *disc, struct disc_report *report)
{
    struct disc_peer_entry *peer = report->peer;
    bool did_count = report->counts;
    list_remove(&report->in_peer);
    table_remove(&disc->reports, &report->by_id);
    mem_free(report);
    if (!list_is_empty(&peer->reports)) {
        if (did_count) {
            tell(disc, peer);
        }
        return;
    }
    table_remove(&disc->peers, &peer->by_key);
    tell_lost(disc, peer);
    mem_free(peer);
}

/* The host's name in "<host> <id>" and in what Avahi makes of it where the name is taken,
 * "<host> <id> #2": all before the last space that is not of the number. */
static void name_from_instance(const char *instance, char to[static DISC_NAME_BYTES_MAX + 1])
{
    size_t n = strlen(instance);
    const char *hash = strrchr(instance, '#');
    if (hash != NULL && hash - instance >= 2 && hash[-1] == ' ' && hash[1] != '\0' &&
        hash[1 + strspn(hash + 1, "0123456789")] == '\0') {
        n = (size_t)(hash - 1 - instance);
    }
    const char *space = memrchr(instance, ' ', n);
    n = space != NULL ? (size_t)(space - instance) : n;
    n = n > DISC_NAME_BYTES_MAX ? DISC_NAME_BYTES_MAX : n;
    memcpy(to, instance, n);
    to[n] = '\0';
}

static bool is_known(const struct disc *disc, const uint8_t key[static DISC_KEY_BYTES])
{
    return disc->callbacks.is_known != NULL && disc->callbacks.is_known(disc->user, key);
}

static void forget_peer(struct disc *disc, struct disc_peer_entry *peer)
{
    list_for_each (it, &peer->reports) {
        LIST_ENTRY(it, struct disc_report, in_peer)->counts = false; /* it is lost once */
    }
    while (list_first(&peer->reports)->next != &peer->reports) {
        forget_report(disc, LIST_ENTRY(list_first(&peer->reports), struct disc_report, in_peer));
    }
    forget_report(disc, LIST_ENTRY(list_first(&peer->reports), struct disc_report, in_peer));
}

/* The table is full: somebody unknown goes. False: it is not the time, or all are known. */
static bool make_room(struct disc *disc, const uint8_t key[static DISC_KEY_BYTES])
{
    uint64_t now_ns = uv_now(disc->loop) * 1000000;
    if (!disc->is_full_told) {
        disc->is_full_told = true;
        disc_log(disc, DISC_LOG_WARN,
                 "more than %u peers are announced on this link; further ones that are not known "
                 "come in slowly, in the place of others",
                 (unsigned)DISC_PEERS_MAX);
    }
    if (!is_known(disc, key) &&
        !rate_take(&disc->strangers_ns, now_ns, DISC_STRANGERS_PER_S, DISC_STRANGERS_PER_S)) {
        return false;
    }
    table_for_each (entry, &disc->peers) { /* in the order in which they came */
        struct disc_peer_entry *peer = CONTAINER_OF(entry, struct disc_peer_entry, by_key);
        if (!is_known(disc, peer->key)) {
            forget_peer(disc, peer);
            return true;
        }
    }
    return false;
}

static struct disc_peer_entry *peer_of(struct disc *disc, const struct disc_report_id *id,
                                       const struct disc_txt *txt)
{
    struct table_entry *found = table_find(&disc->peers, txt->key);
    if (found != NULL) {
        return CONTAINER_OF(found, struct disc_peer_entry, by_key);
    }
    if (disc->peers.n >= DISC_PEERS_MAX && !make_room(disc, txt->key)) {
        return NULL;
    }
    struct disc_peer_entry *peer = mem_alloc(1, sizeof(*peer));
    if (peer == NULL) {
        return NULL;
    }
    memcpy(peer->key, txt->key, sizeof(peer->key));
    name_from_instance(id->instance, peer->name);
    list_init(&peer->reports);
    table_insert(&disc->peers, &peer->by_key, peer->key);
    return peer;
}

static void add_report(struct disc *disc, const struct disc_report_id *id,
                       const struct sockaddr_storage *address, const struct disc_txt *txt)
{
    struct disc_peer_entry *peer = peer_of(disc, id, txt);
    if (peer == NULL) {
        return;
    }
    struct disc_report *report = mem_alloc(1, sizeof(*report));
    if (report == NULL) {
        if (list_is_empty(&peer->reports)) {
            table_remove(&disc->peers, &peer->by_key);
            mem_free(peer);
        }
        return;
    }
    *report = (struct disc_report){
        .id = *id,
        .txt = *txt,
        .address = *address,
        .peer = peer,
        .counts = interfaces_has(disc->interfaces, id->ifindex),
    };
    list_push_back(&peer->reports, &report->in_peer);
    table_insert(&disc->reports, &report->by_id, &report->id);
    if (report->counts) {
        tell(disc, peer);
    }
}

static void change_report(struct disc *disc, struct disc_report *report,
                          const struct sockaddr_storage *address, const struct disc_txt *txt)
{
    bool is_same = memcmp(&report->txt, txt, sizeof(*txt)) == 0 &&
                   memcmp(&report->address, address, sizeof(*address)) == 0;
    if (is_same) {
        return;
    }
    report->txt = *txt;
    report->address = *address;
    /* The newest report stands last. */
    list_remove(&report->in_peer);
    list_push_back(&report->peer->reports, &report->in_peer);
    if (report->counts) {
        tell(disc, report->peer);
    }
}

void disc_report(struct disc *disc, const struct disc_report_id *id,
                 const struct sockaddr_storage *address, const struct slice *strings,
                 size_t n_strings)
{
    struct disc_txt txt;
    if (disc->is_closing) {
        return;
    }
    if (disc_txt_parse(strings, n_strings, &txt) < 0) {
        disc_log(disc, DISC_LOG_DEBUG, "ignoring a service whose TXT record makes no sense");
        disc_unreport(disc, id);
        return;
    }
    if (memcmp(txt.key, disc->txt.key, sizeof(txt.key)) == 0) {
        disc_unreport(disc, id); /* the name was somebody else's, perhaps */
        check_own(disc, address);
        return;
    }
    if (!is_dialable(address, id->ifindex)) {
        disc_log(disc, DISC_LOG_DEBUG, "ignoring a service at an address that makes no sense");
        disc_unreport(disc, id);
        return;
    }
    struct disc_report *old = find_report(disc, id);
    if (old != NULL && memcmp(old->txt.key, txt.key, sizeof(txt.key)) == 0) {
        change_report(disc, old, address, &txt);
        return;
    }
    if (old != NULL) {
        forget_report(disc, old);
    }
    add_report(disc, id, address, &txt);
}

void disc_unreport(struct disc *disc, const struct disc_report_id *id)
{
    struct disc_report *report = find_report(disc, id);
    if (report != NULL) {
        forget_report(disc, report);
    }
}

bool disc_is_of_known(const struct disc *disc, const struct disc_report_id *id)
{
    const struct disc_report *report = find_report(disc, id);
    return report != NULL && is_known(disc, report->peer->key);
}

void disc_unreport_all(struct disc *disc)
{
    /* Nothing counts any more, so that each peer is lost once and not found again with what is
     * left of its addresses. */
    table_for_each (entry, &disc->reports) {
        CONTAINER_OF(entry, struct disc_report, by_id)->counts = false;
    }
    table_for_each (entry, &disc->reports) {
        forget_report(disc, CONTAINER_OF(entry, struct disc_report, by_id));
    }
}

void disc_refilter(struct disc *disc)
{
    table_for_each (entry, &disc->peers) {
        struct disc_peer_entry *peer = CONTAINER_OF(entry, struct disc_peer_entry, by_key);
        bool is_changed = false;
        list_for_each (it, &peer->reports) {
            struct disc_report *report = LIST_ENTRY(it, struct disc_report, in_peer);
            bool counts = interfaces_has(disc->interfaces, report->id.ifindex);
            is_changed = is_changed || counts != report->counts;
            report->counts = counts;
        }
        if (is_changed) {
            tell(disc, peer);
        }
    }
}

void disc_report_all(struct disc *disc)
{
    table_for_each (entry, &disc->peers) {
        struct disc_peer_entry *peer = CONTAINER_OF(entry, struct disc_peer_entry, by_key);
        if (peer->is_told) {
            tell(disc, peer);
        }
    }
}
