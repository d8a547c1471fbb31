/* The life of the sources, and when our own record goes out.
 *
 * The happy path: disc_start() looks for an avahi-daemon and embeds a responder where there is
 * none. What the sources report is merged in reports.c.
 *
 * When it fails: a daemon that goes away takes its reports along; in auto mode a responder is
 * embedded after a few seconds (mdns_client.c). */
#include "discovery/discovery.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "discovery/avahi_poll_uv.h"
#include "discovery/discovery_internal.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

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

void disc_host_name(const struct disc *disc, char to[static AVAHI_DOMAIN_NAME_MAX])
{
    IGNORE(snprintf(to, AVAHI_DOMAIN_NAME_MAX, "meshd-%s.local", disc->id_text)); /* fits */
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
    disc_note_own_addresses(disc);
    announce(disc, true);
    disc_refilter(disc);
}

/* --- life --- */

bool disc_may_embed(const struct disc *disc)
{
    return disc->mode == DISC_MODE_AUTO && mdns_embedded_is_built;
}

static void embed(struct disc *disc)
{
    disc->embedded = disc->mode != DISC_MODE_AVAHI ? mdns_embedded_new(disc) : NULL;
    if (disc->embedded == NULL) {
        disc_log(disc, DISC_LOG_WARN,
                 "no mDNS: peers are found only through --peer and other peers");
    }
}

void disc_client_gone(struct disc *disc)
{
    ensure(disc_may_embed(disc) && disc->embedded == NULL);
    disc->client = mdns_client_free(disc->client);
    embed(disc);
}

static void start_sources(struct disc *disc)
{
    if (disc->mode == DISC_MODE_OFF) {
        return;
    }
    if (disc->mode != DISC_MODE_EMBEDDED && mdns_client_is_built) {
        disc->client = mdns_client_new(disc);
    }
    if (disc->client != NULL && disc_may_embed(disc) && !mdns_client_is_running(disc->client)) {
        disc->client = mdns_client_free(disc->client);
    }
    if (disc->client == NULL) {
        embed(disc); /* says so where that is not possible either */
    }
    if (disc->client != NULL || disc->embedded != NULL) {
        disc_log(disc, DISC_LOG_INFO, "%s",
                 disc->embedded != NULL ? "no avahi-daemon is asked: mDNS is answered here"
                 : mdns_client_is_running(disc->client) ? "mDNS goes through avahi-daemon"
                                                        : "waiting for avahi-daemon");
    }
}

static int check_mode(enum disc_mode mode, struct errmsg *err)
{
    bool is_missing = (mode == DISC_MODE_AVAHI && !mdns_client_is_built) ||
                      (mode == DISC_MODE_EMBEDDED && !mdns_embedded_is_built);
    if (!is_missing) {
        return 0;
    }
    const char *instead = mdns_client_is_built     ? "--discovery avahi"
                          : mdns_embedded_is_built ? "--discovery embedded"
                                                   : "--discovery off and --peer HOST:PORT";
    errmsg_set(err, "this program was built without avahi-%s; use %s",
               mode == DISC_MODE_AVAHI ? "client" : "core", instead);
    return -ENOTSUP;
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
    uint64_t random[2];
    int r = uv_random(NULL, NULL, random, sizeof(random), 0, NULL);
    ensure(r == 0); /* the kernel always has some */
    disc->nonce = random[0];
    table_init(&disc->peers, DISC_KEY_BYTES, random[1]);
    table_init(&disc->reports, sizeof(struct disc_report_id), random[1]);
    r = uv_timer_init(loop, &disc->update_timer);
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
        disc_note_own_addresses(disc);
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
    table_done(&disc->reports);
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
    disc_unreport_all(disc);
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
