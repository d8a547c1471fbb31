/* Peers by key, and the life of the sources.
 *
 * The happy path: disc_start() looks for an avahi-daemon and embeds a responder where there is
 * none. A source resolves a service and calls disc_report(); the report joins those of the same
 * key, and the owner hears of the peer with all its addresses. When the last report of a key is
 * withdrawn the owner hears that too.
 *
 * When it fails: a daemon that goes away takes its reports along; in auto mode a responder is
 * embedded after a few seconds (mdns_client.c). A table that is full reports no further strangers
 * and says so once. */
#include "discovery/discovery.h"

#include <avahi-common/domain.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "discovery/avahi_poll_uv.h"
#include "discovery/discovery_internal.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

#define CLONED_REPEAT_MS 60000

void disc_log(struct disc *disc, enum disc_log_level level, const char *format, ...)
{
    if (disc->callbacks.on_log == NULL || disc->is_closing) {
        return;
    }
    char text[512];
    va_list args;
    va_start(args, format);
    IGNORE(vsnprintf(text, sizeof(text), format, args)); /* may be cut */
    va_end(args);
    disc->callbacks.on_log(disc->user, level, text);
}

void disc_instance_name(const struct disc *disc, char to[static DISC_INSTANCE_BYTES_MAX + 1])
{
    size_t room = DISC_INSTANCE_BYTES_MAX - strlen(disc->id_text) - 1;
    size_t n = strlen(disc->name);
    n = n > room ? room : n;
    /* Not in the middle of a character. */
    while (n > 0 && !text_is_utf8(slice_of(disc->name, n))) {
        n--;
    }
    IGNORE(snprintf(to, DISC_INSTANCE_BYTES_MAX + 1, "%.*s %s", (int)n, disc->name,
                    disc->id_text)); /* it fits */
}

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

static bool is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family) {
        return false;
    }
    if (a->ss_family == AF_INET) {
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    }
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

static bool is_own(const struct disc *disc, const struct sockaddr_storage *address)
{
    for (size_t i = 0; i < disc->n_own; i++) {
        if (is_same_host(&disc->own[i], address)) {
            return true;
        }
    }
    return false;
}

static void note_own_addresses(struct disc *disc)
{
    size_t n;
    const struct interface_address *addresses = interfaces_addresses(disc->interfaces, &n);
    for (size_t i = 0; i < n && disc->n_own < DISC_OWN_ADDRESSES_MAX; i++) {
        if (!is_own(disc, &addresses[i].address)) {
            disc->own[disc->n_own++] = addresses[i].address;
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

/* --- peers and reports --- */

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
            if (n < DISC_ADDRESSES_MAX && address_rank(&report->address) == rank &&
                !has_address(to, n, &report->address)) {
                to[n++] = report->address;
            }
        }
    }
    return n;
}

static void tell_found(struct disc *disc, const struct disc_peer_entry *peer)
{
    struct sockaddr_storage addresses[DISC_ADDRESSES_MAX];
    /* The newest report knows the newest TXT. */
    const struct disc_report *newest = LIST_ENTRY(peer->reports.prev, struct disc_report, in_peer);
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

static struct disc_report *find_report(const struct disc *disc, const struct disc_report_id *id)
{
    list_for_each (it, &disc->reports) {
        struct disc_report *report = LIST_ENTRY(it, struct disc_report, in_disc);
        if (report->id.ifindex == id->ifindex && report->id.protocol == id->protocol &&
            strcmp(report->id.instance, id->instance) == 0) {
            return report;
        }
    }
    return NULL;
}

static void forget_report(struct disc *disc, struct disc_report *report, bool tell)
{
    struct disc_peer_entry *peer = report->peer;
    list_remove(&report->in_peer);
    list_remove(&report->in_disc);
    mem_free(report);
    if (!list_is_empty(&peer->reports)) {
        if (tell) {
            tell_found(disc, peer);
        }
        return;
    }
    uint8_t key[DISC_KEY_BYTES];
    memcpy(key, peer->key, sizeof(key));
    table_remove(&disc->peers, &peer->by_key);
    mem_free(peer);
    if (tell && disc->callbacks.on_lost != NULL && !disc->is_closing) {
        disc->callbacks.on_lost(disc->user, key);
    }
}

/* The host's name in "<host> <id>": all before the last space, where there is one. */
static void name_from_instance(const char *instance, char to[static DISC_NAME_BYTES_MAX + 1])
{
    const char *space = strrchr(instance, ' ');
    size_t n = space != NULL ? (size_t)(space - instance) : strlen(instance);
    n = n > DISC_NAME_BYTES_MAX ? DISC_NAME_BYTES_MAX : n;
    memcpy(to, instance, n);
    to[n] = '\0';
}

static struct disc_peer_entry *peer_of(struct disc *disc, const struct disc_report_id *id,
                                       const struct disc_txt *txt)
{
    struct table_entry *found = table_find(&disc->peers, txt->key);
    if (found != NULL) {
        return CONTAINER_OF(found, struct disc_peer_entry, by_key);
    }
    if (disc->peers.n >= DISC_PEERS_MAX) {
        disc_log(disc, DISC_LOG_WARN,
                 "more than %u peers are announced on this link; further ones are ignored",
                 (unsigned)DISC_PEERS_MAX);
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
    *report = (struct disc_report){.id = *id, .txt = *txt, .address = *address, .peer = peer};
    list_push_back(&peer->reports, &report->in_peer);
    list_push_back(&disc->reports, &report->in_disc);
    tell_found(disc, peer);
}

/* Heard our own key: ourselves, looped back, unless it comes from a host that we never were. */
static void check_own(struct disc *disc, const struct sockaddr_storage *address)
{
    if (is_own(disc, address)) {
        return;
    }
    char host[INET6_ADDRSTRLEN] = "";
    IGNORE(uv_ip_name((const struct sockaddr *)address, host, sizeof(host))); /* for people */
    char text[160];
    IGNORE(snprintf(text, sizeof(text), "%s announces this peer's identity", host)); /* fits */
    disc_cloned(disc, text);
}

void disc_report(struct disc *disc, const struct disc_report_id *id,
                 const struct sockaddr_storage *address, const struct slice *strings,
                 size_t n_strings)
{
    struct disc_txt txt;
    if (disc->is_closing || !interfaces_has(disc->interfaces, id->ifindex)) {
        return;
    }
    if (disc_txt_parse(strings, n_strings, &txt) < 0) {
        disc_log(disc, DISC_LOG_DEBUG, "ignoring a service whose TXT record makes no sense");
        disc_unreport(disc, id);
        return;
    }
    if (memcmp(txt.key, disc->txt.key, sizeof(txt.key)) == 0) {
        check_own(disc, address);
        return;
    }
    struct disc_report *old = find_report(disc, id);
    if (old == NULL) {
        add_report(disc, id, address, &txt);
        return;
    }
    bool is_same = memcmp(&old->txt, &txt, sizeof(txt)) == 0 &&
                   memcmp(&old->address, address, sizeof(*address)) == 0;
    if (is_same) {
        return;
    }
    if (memcmp(old->txt.key, txt.key, sizeof(txt.key)) != 0) {
        forget_report(disc, old, true);
        add_report(disc, id, address, &txt);
        return;
    }
    old->txt = txt;
    old->address = *address;
    /* The newest report stands last. */
    list_remove(&old->in_peer);
    list_push_back(&old->peer->reports, &old->in_peer);
    tell_found(disc, old->peer);
}

void disc_unreport(struct disc *disc, const struct disc_report_id *id)
{
    struct disc_report *report = find_report(disc, id);
    if (report != NULL) {
        forget_report(disc, report, true);
    }
}

static void drop_all(struct disc *disc, bool tell)
{
    list_for_each_safe (it, &disc->reports) {
        forget_report(disc, LIST_ENTRY(it, struct disc_report, in_disc), tell);
    }
}

void disc_unreport_all(struct disc *disc)
{
    drop_all(disc, true);
}

/* --- announcing --- */

static void announce(struct disc *disc, bool are_interfaces_new)
{
    disc->updated_ms = uv_now(disc->loop);
    disc->is_update_wanted = false;
    if (disc->client != NULL) {
        mdns_client_announce(disc->client, are_interfaces_new);
    }
    if (disc->embedded != NULL) {
        mdns_embedded_announce(disc->embedded, are_interfaces_new);
    }
}

static void on_update_timer(uv_timer_t *timer)
{
    struct disc *disc = timer->data;
    if (disc->is_update_wanted) {
        announce(disc, false);
    }
}

static void want_update(struct disc *disc)
{
    disc->is_update_wanted = true;
    if (uv_is_active((uv_handle_t *)&disc->update_timer)) {
        return;
    }
    uv_update_time(disc->loop);
    uint64_t age_ms = uv_now(disc->loop) - disc->updated_ms;
    int r = uv_timer_start(&disc->update_timer, on_update_timer,
                           age_ms >= DISC_UPDATE_MS ? 0 : DISC_UPDATE_MS - age_ms, 0);
    ensure(r == 0);
}

void disc_update_cores(struct disc *disc, uint32_t cores)
{
    if (disc->txt.cores != cores) {
        disc->txt.cores = cores;
        want_update(disc);
    }
}

static void copy_text(char *to, size_t n_to, const char *from)
{
    IGNORE(snprintf(to, n_to, "%s", from != NULL ? from : "")); /* long names are cut */
}

void disc_update_mesh(struct disc *disc, const char *mesh)
{
    char tag[DISC_TEXT_BYTES_MAX + 1];
    copy_text(tag, sizeof(tag), mesh);
    if (strcmp(tag, disc->txt.mesh) != 0) {
        copy_text(disc->txt.mesh, sizeof(disc->txt.mesh), tag);
        want_update(disc);
    }
}

static void on_interfaces_changed(void *user)
{
    struct disc *disc = user;
    note_own_addresses(disc);
    announce(disc, true);
    list_for_each_safe (it, &disc->reports) {
        struct disc_report *report = LIST_ENTRY(it, struct disc_report, in_disc);
        if (!interfaces_has(disc->interfaces, report->id.ifindex)) {
            forget_report(disc, report, true);
        }
    }
}

/* --- life --- */

static void embed(struct disc *disc)
{
    disc->embedded = mdns_embedded_new(disc);
    if (disc->embedded == NULL) {
        disc_log(disc, DISC_LOG_WARN,
                 "no mDNS: peers are found only through --peer and other peers");
    }
}

void disc_client_gone(struct disc *disc)
{
    if (disc->mode == DISC_MODE_AUTO && disc->embedded == NULL && mdns_embedded_is_built) {
        disc_log(disc, DISC_LOG_INFO, "avahi-daemon is gone; answering mDNS ourselves");
        disc->client = mdns_client_free(disc->client);
        embed(disc);
    }
}

static void start_sources(struct disc *disc)
{
    if (disc->mode == DISC_MODE_OFF) {
        return;
    }
    bool wants_client = disc->mode == DISC_MODE_AVAHI || disc->mode == DISC_MODE_AUTO;
    if (wants_client && mdns_client_is_built) {
        disc->client = mdns_client_new(disc);
    }
    if (disc->mode == DISC_MODE_AUTO && disc->client != NULL &&
        !mdns_client_is_running(disc->client)) {
        disc->client = mdns_client_free(disc->client);
    }
    if (disc->client == NULL && disc->mode != DISC_MODE_AVAHI && mdns_embedded_is_built) {
        embed(disc);
    }
}

static int check_mode(enum disc_mode mode, struct errmsg *err)
{
    if (mode == DISC_MODE_AVAHI && !mdns_client_is_built) {
        errmsg_set(err, "this program was built without avahi-client; use --discovery embedded");
        return -ENOTSUP;
    }
    if (mode == DISC_MODE_EMBEDDED && !mdns_embedded_is_built) {
        errmsg_set(err, "this program was built without avahi-core; use --discovery avahi");
        return -ENOTSUP;
    }
    return 0;
}

static void init_from_config(struct disc *disc, uv_loop_t *loop, const struct disc_config *config)
{
    disc->loop = loop;
    disc->mode = config->mode;
    disc->callbacks = config->callbacks;
    disc->user = config->user;
    disc->port = config->port;
    disc->txt.version = config->version;
    disc->txt.cores = config->cores;
    memcpy(disc->txt.key, config->key, sizeof(disc->txt.key));
    copy_text(disc->txt.arch, sizeof(disc->txt.arch), config->arch);
    copy_text(disc->txt.os, sizeof(disc->txt.os), config->os);
    copy_text(disc->txt.mesh, sizeof(disc->txt.mesh), config->mesh);
    copy_text(disc->id_text, sizeof(disc->id_text), config->id_text);
    copy_text(disc->name, sizeof(disc->name), config->name);
    list_init(&disc->reports);
    uint64_t seed;
    memcpy(&seed, config->key, sizeof(seed));
    table_init(&disc->peers, DISC_KEY_BYTES, seed);
    int r = uv_timer_init(loop, &disc->update_timer);
    ensure(r == 0);
    disc->update_timer.data = disc;
    disc->n_open = 1;
}

int disc_start(uv_loop_t *loop, const struct disc_config *config, struct disc **ret_disc,
               struct errmsg *err)
{
    int r = check_mode(config->mode, err);
    for (size_t i = 0; r == 0 && i < config->n_static_peers; i++) {
        r = disc_static_peer_check(config->static_peers[i], err);
    }
    if (r < 0) {
        return r;
    }
    struct disc *disc = mem_alloc(1, sizeof(*disc));
    if (disc == NULL) {
        errmsg_set(err, "out of memory for discovery");
        return -ENOMEM;
    }
    init_from_config(disc, loop, config);
    r = interfaces_new(loop, config->interfaces, config->n_interfaces, on_interfaces_changed, disc,
                       &disc->interfaces, err);
    if (r == 0) {
        disc->n_open++;
        note_own_addresses(disc);
        disc->static_peers =
            static_peers_new(disc, config->static_peers, config->n_static_peers, err);
        r = disc->static_peers == NULL ? -ENOMEM : 0;
    }
    if (r == 0 && config->mode != DISC_MODE_OFF) {
        disc->poll = avahi_poll_uv_new(loop);
        r = disc->poll == NULL ? -ENOMEM : 0;
        disc->n_open += disc->poll != NULL ? 1 : 0;
    }
    if (r < 0) {
        disc_close(disc, NULL, NULL);
        return r;
    }
    start_sources(disc);
    *ret_disc = disc;
    return 0;
}

void disc_part_closed(struct disc *disc)
{
    ensure(disc->n_open > 0);
    if (--disc->n_open > 0) {
        return;
    }
    void (*on_closed)(void *user) = disc->on_closed;
    void *user = disc->on_closed_user;
    table_done(&disc->peers);
    mem_free(disc);
    if (on_closed != NULL) {
        on_closed(user);
    }
}

static void on_part_closed(void *user)
{
    disc_part_closed(user);
}

static void on_update_timer_closed(uv_handle_t *handle)
{
    disc_part_closed(handle->data);
}

void disc_close(struct disc *disc, void (*on_closed)(void *user), void *user)
{
    ensure(!disc->is_closing);
    disc->is_closing = true;
    disc->on_closed = on_closed;
    disc->on_closed_user = user;
    disc->client = mdns_client_free(disc->client);
    disc->embedded = mdns_embedded_free(disc->embedded);
    drop_all(disc, false);
    if (disc->poll != NULL) {
        avahi_poll_uv_close(disc->poll, on_part_closed, disc);
    }
    if (disc->static_peers != NULL) {
        static_peers_close(disc->static_peers);
    }
    if (disc->interfaces != NULL) {
        interfaces_close(disc->interfaces, on_part_closed, disc);
    }
    uv_close((uv_handle_t *)&disc->update_timer, on_update_timer_closed);
}

/* --- timers of the sources --- */

struct disc_timer {
    uv_timer_t handle;
    struct disc *disc;
    void (*on_due)(void *user);
    void *user;
};

struct disc_timer *disc_timer_new(struct disc *disc, void (*on_due)(void *user), void *user)
{
    struct disc_timer *timer = mem_alloc(1, sizeof(*timer));
    if (timer == NULL) {
        return NULL;
    }
    *timer = (struct disc_timer){.disc = disc, .on_due = on_due, .user = user};
    int r = uv_timer_init(disc->loop, &timer->handle);
    ensure(r == 0);
    timer->handle.data = timer;
    disc->n_open++;
    return timer;
}

static void on_disc_timer(uv_timer_t *handle)
{
    struct disc_timer *timer = handle->data;
    timer->on_due(timer->user);
}

void disc_timer_start(struct disc_timer *timer, uint64_t wait_ms)
{
    uv_update_time(timer->disc->loop);
    int r = uv_timer_start(&timer->handle, on_disc_timer, wait_ms, 0);
    ensure(r == 0);
}

void disc_timer_stop(struct disc_timer *timer)
{
    IGNORE(uv_timer_stop(&timer->handle)); /* always 0 */
}

static void on_disc_timer_closed(uv_handle_t *handle)
{
    struct disc_timer *timer = handle->data;
    struct disc *disc = timer->disc;
    mem_free(timer);
    disc_part_closed(disc);
}

struct disc_timer *disc_timer_free(struct disc_timer *timer)
{
    if (timer != NULL) {
        uv_close((uv_handle_t *)&timer->handle, on_disc_timer_closed);
    }
    return NULL;
}
