/* The peers we have dealings with, and the one place where the state of one changes. */
#include "mesh/core/peer.h"

#include <string.h>

#include "mesh/core/blob.h"
#include "mesh/core/exec.h"
#include "mesh/core/job.h"
#include "mesh/core/queue.h"
#include "mesh/core/spread.h"
#include "mesh/core/trust.h"
#include "wire/base/mem.h"

/* --- dealings ----------------------------------------------------------------------------------
 */

static void lost_fire(struct core *core, struct core_timer *timer)
{
    struct core_peer *peer = CONTAINER_OF(timer, struct core_peer, lost_timer);
    if (peer->state == CORE_PEER_CONFLICT || peer->state == CORE_PEER_REFUSED) {
        core_peer_move(core, peer, CORE_PEER_ON_EXPIRE);
        core_dial_start(core, peer, 0);
    } else {
        core_peer_move(core, peer, CORE_PEER_ON_GIVE_UP);
    }
}

static void rest_fire(struct core *core, struct core_timer *timer)
{
    struct core_peer *peer = CONTAINER_OF(timer, struct core_peer, rest_timer);
    peer->is_resting = false;
    core_place_peer_changed(core, peer);
}

static struct core_peer *peer_new(struct core *core, struct core_card *card)
{
    struct core_peer *peer = mem_alloc(1, sizeof(*peer));
    if (peer == NULL) {
        return NULL;
    }
    peer->card = card;
    peer->key = card->key;
    wire_id_text(&peer->key, peer->id);
    peer->state = card->state;
    peer->cores = peer->free = card->cores;
    core_text_set(peer->name, sizeof(peer->name), slice_str(core_card_name(card)));
    core_text_set(peer->arch, sizeof(peer->arch), slice_str(core_card_arch(card)));
    core_text_set(peer->address, sizeof(peer->address), slice_str(core_card_proved_address(card)));
    peer->known_ns = core->now_ns;
    peer->lost_timer.fire = lost_fire;
    peer->rest_timer.fire = rest_fire;
    core_dial_init(peer);
    core_beat_init(peer);
    list_init(&peer->placed);
    list_init(&peer->past);
    list_init(&peer->spare);
    list_init(&peer->sites);
    list_init(&peer->fetches);
    list_init(&peer->holds);
    list_init(&peer->readers);
    list_init(&peer->lends);
    list_init(&peer->lefts);
    list_init(&peer->held);
    list_init(&peer->queue);
    list_init(&peer->queued);
    list_init(&peer->active);
    list_init(&peer->xjobs);
    list_init(&peer->takers);
    list_init(&peer->posts);
    table_insert(&core->peers, &peer->by_key, &peer->key);
    card->peer = peer;
    return peer;
}

void core_peer_new_self(struct core *core)
{
    const struct core_config *config = &core->config;
    struct core_peer *self = core_peer_get(core, &config->key);
    ensure(self != NULL);
    self->is_self = true;
    self->state = CORE_PEER_UP;
    self->card->was_up = true;
    self->is_inventoried = true;
    self->epoch = config->epoch;
    self->incarnation = config->incarnation;
    self->protocol = WIRE_VERSION_MAX;
    self->cores = config->cores;
    core_text_set(self->name, sizeof(self->name), slice_str(config->name));
    core_text_set(self->arch, sizeof(self->arch), slice_str(config->arch));
    core_text_set(self->os, sizeof(self->os), slice_str(config->os));
    core_text_set(self->program, sizeof(self->program), slice_str(config->program));
    core_text_set(self->address, sizeof(self->address), slice_str(config->address));
    core->config.name = self->name;
    core->config.arch = self->arch;
    core->config.os = self->os;
    core->config.program = self->program;
    core->config.address = self->address;
    core->self = self;
}

void core_peer_own_address(struct core *core, struct slice address)
{
    struct core_peer *self = core->self;
    if (!slice_eq_str(address, self->address)) {
        core_text_set(self->address, sizeof(self->address), address);
        core->are_peers_changed = true;
    }
}

static void peer_free(struct core_grave *grave)
{
    mem_free(CONTAINER_OF(grave, struct core_peer, grave));
}

static void peer_free_with_card(struct core_grave *grave)
{
    core_card_free(CONTAINER_OF(grave, struct core_peer, grave)->card);
    peer_free(grave);
}

static void peer_stop_timers(struct core *core, struct core_peer *peer)
{
    core_timer_stop(core, &peer->dial_timer);
    core_timer_stop(core, &peer->lost_timer);
    core_timer_stop(core, &peer->beat_timer);
    core_timer_stop(core, &peer->quiet_timer);
    core_timer_stop(core, &peer->rest_timer);
}

static bool is_needed(const struct core *core, const struct core_peer *peer)
{
    if (peer->is_self || peer->link != NULL || !list_is_empty(&peer->dials) ||
        !list_is_empty(&peer->placed) || !list_is_empty(&peer->past) ||
        !list_is_empty(&peer->fetches) || !list_is_empty(&peer->held) ||
        !list_is_empty(&peer->xjobs) || peer->n_lefts > 0 || core_queue_needs(peer) ||
        core_peer_is_here(peer) || peer->state == CORE_PEER_CONFLICT) {
        return true;
    }
    table_for_each (entry, &core->links) {
        if (LIST_ENTRY(entry, struct core_link, by_id)->peer == peer) {
            return true; /* an old session is still being closed */
        }
    }
    list_for_each (node, &core->contacts) {
        if (LIST_ENTRY(node, struct core_contact, node)->peer == peer) {
            return true;
        }
    }
    return false;
}

static void peer_end(struct core *core, struct core_peer *peer,
                     void (*free)(struct core_grave *grave))
{
    peer_stop_timers(core, peer);
    core_place_forget_peer(core, peer);
    core_blob_forget_peer(peer);
    core_origin_drop(core, peer);
    table_remove(&core->peers, &peer->by_key);
    core_bury(core, &peer->grave, free);
}

void core_card_maybe_forget(struct core *core, struct core_card *card)
{
    struct core_peer *peer = card->peer;
    if (core_card_is_needed(core, card) || (peer != NULL && is_needed(core, peer))) {
        return;
    }
    core_card_remove(core, card);
    if (peer != NULL) {
        peer_end(core, peer, peer_free_with_card);
    } else {
        core_card_free(card);
    }
}

void core_peer_maybe_forget(struct core *core, struct core_peer *peer)
{
    core_card_maybe_forget(core, peer->card);
}

/* What we would not know any more without it: why it is refused, what a job met there, what it did
 * for us. */
static bool has_history(const struct core_peer *peer)
{
    return peer->state == CORE_PEER_REFUSED || !list_is_empty(&peer->sites) ||
           peer->stats.n_tasks > 0 || peer->stats.n_lost > 0;
}

void core_peer_maybe_part(struct core *core, struct core_peer *peer)
{
    if (!core->is_sparse || peer->is_sought || peer->may_be_off_link || has_history(peer) ||
        heap_has(&peer->dial_timer.entry) || is_needed(core, peer)) {
        return;
    }
    struct core_card *card = peer->card;
    card->peer = NULL;
    card->state = peer->state;
    core_card_set_facts(card, slice_str(peer->name), slice_str(peer->arch), peer->cores);
    peer_end(core, peer, peer_free);
}

void core_peer_free_all(struct core *core)
{
    core_link_free_all(core);
    table_for_each (entry, &core->dials) {
        struct core_dial *dial = LIST_ENTRY(entry, struct core_dial, by_id);
        table_remove(&core->dials, &dial->by_id);
        mem_free(dial);
    }
    while (!list_is_empty(&core->contacts)) {
        struct core_contact *contact = LIST_ENTRY(core->contacts.next, struct core_contact, node);
        list_remove(&contact->node);
        core_timer_stop(core, &contact->timer);
        mem_free(contact);
    }
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        peer_stop_timers(core, peer);
        core_origin_drop(core, peer);
        table_remove(&core->peers, &peer->by_key);
        peer->card->peer = NULL;
        mem_free(peer);
    }
    core_card_free_all(core);
    core->self = NULL;
}

struct core_peer *core_peer_find(const struct core *core, const struct wire_key *key)
{
    struct table_entry *entry = table_find(&core->peers, key);
    return entry != NULL ? LIST_ENTRY(entry, struct core_peer, by_key) : NULL;
}

struct core_peer *core_peer_of(struct core *core, struct core_card *card)
{
    return card->peer != NULL ? card->peer : peer_new(core, card);
}

struct core_peer *core_peer_get(struct core *core, const struct wire_key *key)
{
    struct core_card *card = core_card_get(core, key);
    return card != NULL ? core_peer_of(core, card) : NULL;
}

const char *core_peer_label(const struct core_peer *peer)
{
    return peer->name[0] != '\0' ? peer->name : peer->id;
}

/* --- state -------------------------------------------------------------------------------------
 */

bool core_peer_is_here(const struct core_peer *peer)
{
    return peer->state == CORE_PEER_UP || peer->state == CORE_PEER_SUSPECT ||
           peer->state == CORE_PEER_LOST;
}

/* What a new state calls for, whatever led to it. */
static void act_on_state(struct core *core, struct core_peer *peer, enum core_peer_cause cause,
                         bool was_here)
{
    switch ((enum core_peer_state)peer->state) {
    case CORE_PEER_LOST:
        core_timer_set(core, &peer->lost_timer, core->now_ns + CORE_LOST_NS);
        break;
    case CORE_PEER_DOWN:
    case CORE_PEER_REFUSED:
    case CORE_PEER_CONFLICT:
        core_timer_stop(core, &peer->lost_timer);
        core_owner_peer_lost(core, peer);
        core_queue_peer_lost(core, peer);
        if (peer->state == CORE_PEER_CONFLICT) {
            core_timer_set(core, &peer->lost_timer, core->now_ns + CORE_CONFLICT_NS);
        }
        break;
    case CORE_PEER_UP:
        if (cause == CORE_PEER_ON_SESSION) {
            core_timer_stop(core, &peer->lost_timer);
            peer->detail[0] = '\0';
        }
        break;
    case CORE_PEER_NEW:
    case CORE_PEER_KNOWN:
    case CORE_PEER_SUSPECT:
    case CORE_N_PEER_STATES:
        break;
    }
    if (peer->state == CORE_PEER_DOWN && was_here) {
        core_gossip_lost(core, peer);
    }
}

bool core_peer_move(struct core *core, struct core_peer *peer, enum core_peer_cause cause)
{
    unsigned from = peer->state;
    bool was_here = core_peer_is_here(peer);
    if (!core_move(&core->moves, CORE_MACHINE_PEER, &peer->state, cause)) {
        core_log(core, CORE_LOG_DEBUG, "%s is %s: %s is nothing to it", core_peer_label(peer),
                 core_state_text(CORE_MACHINE_PEER, from),
                 core_cause_text(CORE_MACHINE_PEER, cause));
        return false;
    }
    if (from != peer->state) {
        core_log(core, CORE_LOG_INFO, "%s (%s) is %s: %s", core_peer_label(peer), peer->id,
                 core_state_text(CORE_MACHINE_PEER, peer->state),
                 core_cause_text(CORE_MACHINE_PEER, cause));
        core->are_peers_changed = true;
        core_sparse_changed(core);
    }
    act_on_state(core, peer, cause, was_here);
    core_queue_sight_changed(core);
    core_place_peer_changed(core, peer);
    return true;
}

static bool is_other_up(const struct core_peer *peer)
{
    return !peer->is_self && (peer->state == CORE_PEER_UP || peer->state == CORE_PEER_SUSPECT);
}

uint32_t core_peer_n_up(const struct core *core)
{
    uint32_t n = 0;
    table_for_each (entry, &core->peers) {
        n += is_other_up(LIST_ENTRY(entry, struct core_peer, by_key));
    }
    return n;
}

bool core_peer_is_any_up(const struct core *core)
{
    table_for_each (entry, &core->peers) {
        if (is_other_up(LIST_ENTRY(entry, struct core_peer, by_key))) {
            return true;
        }
    }
    return false;
}

bool core_peer_is_any_coming(const struct core *core)
{
    if (core->dials.n > 0) {
        return true;
    }
    table_for_each (entry, &core->peers) {
        const struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (peer->state == CORE_PEER_LOST ||
            (peer->state == CORE_PEER_UP && !peer->is_inventoried)) {
            return true;
        }
    }
    return false;
}

/* --- events ------------------------------------------------------------------------------------
 */

void core_peer_deliver(struct core *core, struct core_peer *peer,
                       const struct wire_message *message)
{
    switch ((unsigned)message->type) { /* as a number: the rest is not for us and is ignored */
    case WIRE_MESSAGE_BEAT:
        core_beat_on_beat(core, peer, &message->beat);
        return;
    case WIRE_MESSAGE_BEAT_ACK:
        core_beat_on_ack(core, peer, &message->beat_ack);
        return;
    case WIRE_MESSAGE_PEERS:
        core_gossip_on_peers(core, peer, &message->peers);
        return;
    case WIRE_MESSAGE_PEERS_SUM:
        core_gossip_on_sum(core, peer, &message->peers_sum);
        return;
    case WIRE_MESSAGE_BLOB_WANT:
        core_blob_on_want(core, peer, &message->blob_want);
        return;
    case WIRE_MESSAGE_BLOB_FROM:
        core_blob_on_from(core, peer, &message->blob_from);
        return;
    case WIRE_MESSAGE_BLOB_HAD:
        core_spread_on_had(core, peer, &message->blob_had.hash);
        return;
    case WIRE_MESSAGE_MEMBERSHIP:
        core_trust_on_membership(core, peer, &message->membership);
        return;
    default:
        break;
    }
    if (!core_owner_on_message(core, peer, message) && !core_exec_on_message(core, peer, message) &&
        !core_queue_on_message(core, peer, message)) {
        core->n_ignored++;
    }
}

static void on_message(struct core *core, uint64_t id, const struct wire_message *message)
{
    struct core_link *link = core_link_find(core, id);
    if (link == NULL) {
        core_trust_on_message(core, id, message);
        return;
    }
    if (link->is_closing) {
        return; /* the shell had it in hand when we closed */
    }
    if (link->challenge != 0) {
        if (message->type == WIRE_MESSAGE_BEAT_ACK && message->beat_ack.token == link->challenge) {
            core_link_on_challenge_met(core, link);
        }
        return;
    }
    core_beat_heard(core, link->peer);
    core_exec_heard(core, link->peer);
    core_peer_deliver(core, link->peer, message);
}

void core_peer_on_event(struct core *core, const struct core_event *event)
{
    switch ((unsigned)event->type) { /* as a number: dispatch() in core.c sends only these */
    case CORE_EVENT_PEER_FOUND:
        core_dial_on_found(core, event);
        return;
    case CORE_EVENT_PEER_LOST:
        core_dial_on_lost(core, &event->peer_lost.key);
        return;
    case CORE_EVENT_PEER_CLONED: {
        core_text_set(core->self->detail, sizeof(core->self->detail), event->peer_cloned.text);
        core->are_peers_changed = true;
        core_log(core, CORE_LOG_ERROR,
                 "another machine announces this peer's key (%s): a cloned state directory? "
                 "remove it on one of them",
                 core->self->detail);
        return;
    }
    case CORE_EVENT_DIAL_FAILED:
        core_dial_on_failed(core, event);
        return;
    case CORE_EVENT_LINK_UP:
        core_link_on_up(core, event);
        return;
    case CORE_EVENT_LINK_DOWN:
        core_link_on_down(core, event);
        return;
    case CORE_EVENT_MESSAGE:
        on_message(core, event->message.link, event->message.message);
        return;
    default:
        ensure(!"reached");
    }
}
