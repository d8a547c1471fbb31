/* Who carries out what. */
#include <sys/random.h>

#include "mesh/meshd_internal.h"
#include "mesh/own_addresses.h"

static void dial(struct meshd_links *links, const struct core_effect *effect)
{
    struct meshd_dial dial = {
        .dial = effect->dial.dial,
        .address = effect->dial.address,
        .must_be_on_link = effect->dial.must_be_on_link,
        .timeout_ns = effect->dial.timeout_ns,
        .older = effect->dial.older,
        .has_invitation = effect->dial.has_invitation,
        .invitation = effect->dial.token,
        .peer = effect->dial.key,
    };
    meshd_links_dial(links, &dial);
    explicit_bzero(&dial.invitation, sizeof(dial.invitation));
}

static void carry_out_link(struct meshd *meshd, const struct core_effect *effect)
{
    struct meshd_links *links = meshd->links;
    if (effect->type == CORE_EFFECT_SEND) {
        if (effect->send.may_wait) {
            meshd_links_send_lazily(links, effect->send.link, &effect->send.message);
        } else {
            meshd_links_send(links, effect->send.link, &effect->send.message);
        }
    } else if (effect->type == CORE_EFFECT_CLOSE_LINK) {
        meshd_links_close_link(links, effect->close_link.link, effect->close_link.reason,
                               effect->close_link.text);
    } else if (effect->type == CORE_EFFECT_DIAL) {
        dial(links, effect);
    } else {
        meshd_links_cancel_dial(links, effect->cancel_dial.dial);
    }
}

static void advertise(struct meshd *meshd, uint32_t cores)
{
    meshd_links_set_cores(meshd->links, cores);
    meshd_control_set_cores(meshd->control, cores);
    meshd_finder_set_cores(meshd->finder, cores);
}

static void draw(struct meshd *meshd)
{
    struct core_event event = {.type = CORE_EVENT_DRAWN};
    ssize_t n = getrandom(event.drawn.bytes, sizeof(event.drawn.bytes), 0);
    ensure(n == (ssize_t)sizeof(event.drawn.bytes)); /* so few bytes always come, and whole */
    meshd_put(meshd, &event);
    explicit_bzero(&event, sizeof(event));
}

/* The door first, so that nobody passes it who should not while the file is written. */
static void set_trust(struct meshd *meshd, const struct core_effect *effect)
{
    bool is_renewed = meshd_trust_set(meshd->trust, effect->trust.state);
    meshd_links_door_changed(meshd->links, is_renewed);
    if (is_renewed) {
        meshd_finder_mesh_changed(meshd->finder);
    }
    if (effect->trust.must_keep) {
        meshd_trust_keep(meshd->trust, effect->trust.number, effect->trust.state);
    }
}

/* The core knows one address of ours at most. */
static void send_invitation(struct meshd *meshd, const struct core_effect *effect)
{
    char texts[WIRE_PEER_ADDRESSES_MAX][MESHD_ADDRESS_BYTES];
    struct slice addresses[WIRE_PEER_ADDRESSES_MAX];
    unsigned n = meshd_own_addresses(meshd->options, meshd_links_port(meshd->links), texts);
    for (unsigned i = 0; i < n; i++) {
        addresses[i] = slice_str(texts[i]);
    }
    struct wire_message message = effect->client_send.message;
    message.invitation.addresses = (struct wire_slices){.items = addresses, .n = n};
    meshd_control_send(meshd->control, effect->client_send.client, &message);
    explicit_bzero(&message.invitation.token, sizeof(message.invitation.token));
}

void meshd_carry_out(struct meshd *meshd, const struct core_effect *effect)
{
    switch (effect->type) {
    case CORE_EFFECT_SEND:
    case CORE_EFFECT_CLOSE_LINK:
    case CORE_EFFECT_DIAL:
    case CORE_EFFECT_CANCEL_DIAL:
        carry_out_link(meshd, effect);
        return;
    case CORE_EFFECT_CLIENT_SEND:
        if (effect->client_send.message.type == WIRE_MESSAGE_INVITATION) {
            send_invitation(meshd, effect);
            return;
        }
        meshd_control_send(meshd->control, effect->client_send.client,
                           &effect->client_send.message);
        return;
    case CORE_EFFECT_CLIENT_CLOSE:
        meshd_control_close_client(meshd->control, effect->client_close.client);
        return;
    case CORE_EFFECT_START:
    case CORE_EFFECT_KILL:
    case CORE_EFFECT_PAUSE:
    case CORE_EFFECT_STREAM_WINDOW:
    case CORE_EFFECT_RENEW:
    case CORE_EFFECT_CELL_CLOSE:
        meshd_executor_carry_out(meshd->executor, effect);
        return;
    case CORE_EFFECT_BLOB_FETCH:
        meshd_transfers_fetch(meshd->transfers, effect->blob_fetch.link, &effect->blob_fetch.hash,
                              effect->blob_fetch.bytes, &effect->blob_fetch.owner,
                              effect->blob_fetch.may_point);
        return;
    case CORE_EFFECT_BLOB_STOP:
        meshd_transfers_stop(meshd->transfers, &effect->blob_stop.hash);
        return;
    case CORE_EFFECT_BLOB_SERVE:
        meshd_transfers_serve(meshd->transfers, effect->blob_serve.link, &effect->blob_serve.hash,
                              effect->blob_serve.offset);
        return;
    case CORE_EFFECT_BLOB_RELEASE:
        meshd_blobs_unpin(meshd->blobs, &effect->blob_release.hash);
        return;
    case CORE_EFFECT_REMEMBER:
        meshd_remember_add(meshd->remember, &effect->remember.key, effect->remember.address,
                           effect->remember.name);
        return;
    case CORE_EFFECT_ADVERTISE:
        advertise(meshd, effect->advertise.cores);
        return;
    case CORE_EFFECT_TRUST:
        set_trust(meshd, effect);
        return;
    case CORE_EFFECT_DRAW:
        draw(meshd);
        return;
    case CORE_EFFECT_LOG:
        meshd_log_slice(&meshd->log, effect->log.level, effect->log.text);
        return;
    case CORE_EFFECT_EXIT:
        meshd_end(meshd, effect->exit.status);
        return;
    case CORE_EFFECT_JOURNAL:
    case CORE_EFFECT_JOURNAL_READ:
    case CORE_EFFECT_JOURNAL_LOOK:
    case CORE_EFFECT_JOURNAL_LIST:
        meshd_journal_carry_out(meshd->journal, effect);
        return;
    }
    ensure(!"reached");
}
