#include "mesh/finder.h"

#include <assert.h>
#include <string.h>

#include "discovery/discovery.h"
#include "mesh/address.h"
#include "wire/base/mem.h"
#include "wire/identity.h"

struct meshd_finder {
    struct meshd_finder_config config;
    struct disc *disc; /* NULL: off */
    void (*on_closed)(void *user);
    void *on_closed_user;
    /* To tell of all peers again; and with discovery off, closing takes a turn of the loop all the
     * same. */
    uv_idle_t turn;
};

static_assert(DISC_KEY_BYTES == WIRE_KEY_BYTES, "one kind of key");
static_assert(WIRE_TAG_TEXT_BYTES <= DISC_TEXT_BYTES_MAX + 1, "a tag fits its record");

/* --- reports -----------------------------------------------------------------------------------
 */

static bool is_tag(const uint8_t tag[static WIRE_TAG_BYTES], const char *text)
{
    char ours[WIRE_TAG_TEXT_BYTES];
    return strcmp(wire_tag_text(tag, ours), text) == 0;
}

/* By an older secret too: a member that was away, which is to hear of the present one. What is
 * announced is a hint: whoever lies about it is not dialled, or dialled and refused. */
static bool is_of_our_mesh(const struct wire_door *door, const char *tag)
{
    bool is_ours = is_tag(door->present.tag, tag);
    for (uint32_t i = 0; i < door->n_older && !is_ours; i++) {
        is_ours = is_tag(door->older[i].tag, tag);
    }
    return is_ours;
}

static void on_lost(void *user, const uint8_t key[DISC_KEY_BYTES]);

static void on_found(void *user, const struct disc_peer *peer)
{
    struct meshd_finder *finder = user;
    char texts[DISC_ADDRESSES_MAX][MESHD_ADDRESS_BYTES];
    struct slice addresses[DISC_ADDRESSES_MAX];
    ensure(peer->n_addresses <= DISC_ADDRESSES_MAX);
    for (size_t i = 0; i < peer->n_addresses; i++) {
        addresses[i] = slice_str(meshd_address_format(&peer->addresses[i], texts[i]));
    }
    if (!peer->has_key || peer->n_addresses == 0) {
        return;
    }
    if (!is_of_our_mesh(finder->config.door, peer->mesh)) {
        on_lost(finder, peer->key); /* it may have been of ours */
        return;
    }
    struct core_event event = {
        .type = CORE_EVENT_PEER_FOUND,
        .peer_found = {.has_key = true,
                       .source = CORE_SOURCE_MDNS,
                       .addresses = {.items = addresses, .n = (uint32_t)peer->n_addresses}},
    };
    memcpy(event.peer_found.key.b, peer->key, WIRE_KEY_BYTES);
    meshd_sink_put(&finder->config.sink, &event);
}

static void on_lost(void *user, const uint8_t key[DISC_KEY_BYTES])
{
    struct meshd_finder *finder = user;
    struct core_event event = {.type = CORE_EVENT_PEER_LOST};
    memcpy(event.peer_lost.key.b, key, WIRE_KEY_BYTES);
    meshd_sink_put(&finder->config.sink, &event);
}

static bool is_known(void *user, const uint8_t key[DISC_KEY_BYTES])
{
    const struct meshd_finder *finder = user;
    struct wire_key wanted;
    memcpy(wanted.b, key, WIRE_KEY_BYTES);
    return meshd_remember_has(finder->config.remember, &wanted);
}

static void on_cloned(void *user, const char *text)
{
    struct meshd_finder *finder = user;
    struct core_event event = {
        .type = CORE_EVENT_PEER_CLONED,
        .peer_cloned = {.text = slice_str(text)},
    };
    meshd_sink_put(&finder->config.sink, &event);
}

static void on_log(void *user, enum disc_log_level level, const char *text)
{
    static const enum core_log_level levels[] = {
        [DISC_LOG_ERROR] = CORE_LOG_ERROR,
        [DISC_LOG_WARN] = CORE_LOG_WARN,
        [DISC_LOG_INFO] = CORE_LOG_INFO,
        [DISC_LOG_DEBUG] = CORE_LOG_DEBUG,
    };
    struct meshd_finder *finder = user;
    meshd_log(finder->config.log, levels[level], "discovery: %s", text);
}

/* --- life --------------------------------------------------------------------------------------
 */

static enum disc_mode mode_of(enum meshd_discovery discovery)
{
    switch (discovery) {
    case MESHD_DISCOVERY_AUTO:
        return DISC_MODE_AUTO;
    case MESHD_DISCOVERY_AVAHI:
        return DISC_MODE_AVAHI;
    case MESHD_DISCOVERY_EMBEDDED:
        return DISC_MODE_EMBEDDED;
    case MESHD_DISCOVERY_OFF:
        return DISC_MODE_OFF;
    }
    ensure(!"reached");
    return DISC_MODE_OFF;
}

static int start(struct meshd_finder *finder, struct errmsg *err)
{
    const struct meshd_finder_config *config = &finder->config;
    char id[WIRE_ID_TEXT_BYTES], tag[WIRE_TAG_TEXT_BYTES];
    struct disc_config disc = {
        .mode = mode_of(config->options->discovery),
        .id_text = wire_id_text(&config->key, id),
        .name = config->name,
        .arch = config->arch,
        .os = config->os,
        .mesh = wire_tag_text(config->door->present.tag, tag),
        .version = WIRE_VERSION_MAX,
        .cores = config->cores,
        .port = config->port,
        .interfaces = config->options->interfaces,
        .n_interfaces = config->options->n_interfaces,
        .callbacks = {.on_found = on_found,
                      .on_lost = on_lost,
                      .on_cloned = on_cloned,
                      .on_log = on_log,
                      .is_known = is_known},
        .user = finder,
    };
    memcpy(disc.key, config->key.b, WIRE_KEY_BYTES);
    return disc_start(config->loop, &disc, &finder->disc, err);
}

int meshd_finder_new(const struct meshd_finder_config *config, struct meshd_finder **ret_finder,
                     struct errmsg *err)
{
    struct meshd_finder *finder = mem_alloc_or_die(1, sizeof(*finder));
    finder->config = *config;
    if (config->options->discovery != MESHD_DISCOVERY_OFF) {
        int rc = start(finder, err);
        if (rc < 0) {
            mem_free(finder);
            return rc;
        }
    }
    int rc = uv_idle_init(config->loop, &finder->turn);
    ensure(rc == 0);
    finder->turn.data = finder;
    *ret_finder = finder;
    return 0;
}

void meshd_finder_report_static(struct meshd_finder *finder)
{
    const struct meshd_options *options = finder->config.options;
    for (uint32_t i = 0; i < options->n_peers; i++) {
        struct slice address = slice_str(options->peers[i]);
        struct core_event event = {
            .type = CORE_EVENT_PEER_FOUND,
            .peer_found = {.source = CORE_SOURCE_STATIC,
                           .addresses = {.items = &address, .n = 1},
                           .static_name = address},
        };
        meshd_sink_put(&finder->config.sink, &event);
    }
}

static void on_turn_closed(uv_handle_t *handle)
{
    struct meshd_finder *finder = handle->data;
    void (*on_closed)(void *) = finder->on_closed;
    void *user = finder->on_closed_user;
    mem_free(finder);
    on_closed(user);
}

static void on_disc_closed(void *user)
{
    struct meshd_finder *finder = user;
    uv_close((uv_handle_t *)&finder->turn, on_turn_closed);
}

void meshd_finder_close(struct meshd_finder *finder, void (*on_closed)(void *user), void *user)
{
    finder->on_closed = on_closed;
    finder->on_closed_user = user;
    IGNORE(uv_idle_stop(&finder->turn)); /* always 0 */
    if (finder->disc != NULL) {
        disc_close(finder->disc, on_disc_closed, finder);
    } else {
        on_disc_closed(finder);
    }
}

void meshd_finder_set_cores(struct meshd_finder *finder, uint32_t cores)
{
    if (finder->disc != NULL) {
        disc_update_cores(finder->disc, cores);
    }
}

static void on_turn(uv_idle_t *turn)
{
    struct meshd_finder *finder = turn->data;
    IGNORE(uv_idle_stop(turn)); /* always 0 */
    disc_report_all(finder->disc);
}

void meshd_finder_mesh_changed(struct meshd_finder *finder)
{
    char tag[WIRE_TAG_TEXT_BYTES];
    if (finder->disc != NULL) {
        disc_update_mesh(finder->disc, wire_tag_text(finder->config.door->present.tag, tag));
        int rc = uv_idle_start(&finder->turn, on_turn);
        ensure(rc == 0); /* fails only without a callback */
    }
}
