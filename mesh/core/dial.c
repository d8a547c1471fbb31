/* Dialling peers: rounds over all their addresses, a short stagger between two, a pause between
 * rounds that grows unless the peer was lost a short while ago. */
#include <errno.h>
#include <string.h>

#include "mesh/core/peer.h"
#include "mesh/core/trust.h"
#include "wire/base/mem.h"

#define CONTACT_POLL_NS   (5 * CORE_S)
#define CONTACT_PAUSE_MAX (60 * CORE_S)
#define GOSSIP_ROUNDS_MAX 4u /* a peer only heard of, never reached */

/* --- rounds ------------------------------------------------------------------------------------
 */

static uint64_t pause_ns(struct core *core, uint32_t n_rounds, uint64_t max_ns)
{
    unsigned shift = n_rounds < 20 ? n_rounds : 20;
    uint64_t ns = CORE_REDIAL_NS << shift;
    ns = ns < max_ns ? ns : max_ns;
    return ns + core_random(core, ns / 8);
}

static void round_over(struct core *core, struct core_peer *peer)
{
    struct core_card *card = peer->card;
    peer->is_sought = false;
    card->failed_ns = core->now_ns;
    if (peer->state == CORE_PEER_KNOWN) {
        core_peer_move(core, peer, CORE_PEER_ON_GIVE_UP); /* as far as we can see */
    }
    uint64_t since = peer->lost_ns > peer->known_ns ? peer->lost_ns : peer->known_ns;
    bool is_fresh = peer->lost_ns > 0 && core->now_ns - peer->lost_ns < CORE_REDIAL_FAST_NS;
    bool is_found = core_card_has_source(card, CORE_SOURCE_MDNS);
    bool is_hearsay =
        !card->was_up && !is_found && !core_card_has_source(card, CORE_SOURCE_REMEMBERED);
    bool is_stale = core->now_ns - since > CORE_FORGET_NS && !is_found;
    if (is_stale || (is_hearsay && card->n_rounds >= GOSSIP_ROUNDS_MAX && !core->is_sparse)) {
        core_card_drop_addresses(card);
        core_peer_maybe_forget(core, peer);
        return;
    }
    uint64_t in_ns =
        is_fresh ? CORE_REDIAL_NS : pause_ns(core, card->n_rounds++, CORE_REDIAL_MAX_NS);
    core_dial_start(core, peer, in_ns);
    core_sparse_changed(core);
}

static void emit_dial(struct core *core, struct core_peer *peer, struct core_contact *contact,
                      const char *address, bool must_be_on_link)
{
    struct core_dial *dial = mem_alloc_or_die(1, sizeof(*dial));
    dial->id = core->next_dial++;
    dial->peer = peer;
    dial->contact = contact;
    table_insert(&core->dials, &dial->by_id, &dial->id);
    if (peer != NULL) {
        core_text_set(dial->address, sizeof(dial->address), slice_str(address));
        list_push_back(&peer->dials, &dial->of_peer);
    }
    if (contact != NULL) {
        contact->dial = dial->id;
    }
    struct core_effect *effect = core_emit(core, CORE_EFFECT_DIAL);
    effect->dial.dial = dial->id;
    effect->dial.address = core_batch_copy(core, slice_str(address));
    effect->dial.must_be_on_link = must_be_on_link && !core_trust_is_locked(core);
    effect->dial.timeout_ns = CORE_DIAL_TIMEOUT_NS;
    if (peer != NULL && peer->i_older > 0) {
        effect->dial.older = peer->i_older;
        effect->dial.key = peer->key; /* nobody else is to have it */
    }
}

static void dial_free(struct core *core, struct core_dial *dial)
{
    table_remove(&core->dials, &dial->by_id);
    list_remove(&dial->of_peer);
    if (dial->contact != NULL) {
        dial->contact->dial = 0;
    }
    mem_free(dial);
}

static bool may_dial(const struct core *core, const struct core_peer *peer)
{
    return !peer->is_self && !core->is_stopping && peer->link == NULL &&
           peer->state != CORE_PEER_CONFLICT && !core_trust_is_banned(core, &peer->key) &&
           core_sparse_wants(core, peer->card);
}

/* Another peer's session stands with that address: hearsay that names it for this one is stale, and
 * a dial would only bring the other's session, and its hearsay, once more. */
static bool is_taken(const struct core *core, const struct core_peer *peer, const char *address)
{
    table_for_each (entry, &core->links) {
        const struct core_peer *other = LIST_ENTRY(entry, struct core_link, by_id)->peer;
        if (other != peer && other->link != NULL && strcmp(other->address, address) == 0) {
            return true;
        }
    }
    return false;
}

/* Whoever may announce peers that are not there takes no places from those that were. */
static uint32_t dials_max(const struct core_card *card)
{
    bool is_known = card->was_up || core_card_has_source(card, CORE_SOURCE_REMEMBERED);
    return is_known ? CORE_DIALS_MAX : CORE_DIALS_STRANGERS_MAX;
}

static void dial_next(struct core *core, struct core_peer *peer)
{
    if (!may_dial(core, peer)) {
        return;
    }
    const struct core_card *card = peer->card;
    while (peer->i_address < card->n_addresses &&
           is_taken(core, peer, core_card_address(card, peer->i_address))) {
        peer->i_address++;
    }
    if (peer->i_address >= card->n_addresses) {
        if (list_is_empty(&peer->dials) && card->n_addresses > 0) {
            round_over(core, peer);
        }
        return;
    }
    if (core->dials.n >= dials_max(card)) {
        core_timer_set(core, &peer->dial_timer, core->now_ns + CORE_DIAL_STAGGER_NS);
        return;
    }
    emit_dial(core, peer, NULL, core_card_address(card, peer->i_address++), !peer->may_be_off_link);
    if (peer->i_address < card->n_addresses) {
        core_timer_set(core, &peer->dial_timer, core->now_ns + CORE_DIAL_STAGGER_NS);
    }
}

static void dial_fire(struct core *core, struct core_timer *timer)
{
    struct core_peer *peer = CONTAINER_OF(timer, struct core_peer, dial_timer);
    if (list_is_empty(&peer->dials)) {
        peer->i_address = peer->i_address < peer->card->n_addresses ? peer->i_address : 0;
    }
    dial_next(core, peer);
}

void core_dial_init(struct core_peer *peer)
{
    list_init(&peer->dials);
    peer->dial_timer.fire = dial_fire;
}

void core_dial_start(struct core *core, struct core_peer *peer, uint64_t in_ns)
{
    if (!may_dial(core, peer) || peer->card->n_addresses == 0) {
        return;
    }
    if (in_ns > 0) {
        if (list_is_empty(&peer->dials)) {
            peer->i_address = 0;
            core_timer_set(core, &peer->dial_timer, core->now_ns + in_ns);
        }
        return;
    }
    if (list_is_empty(&peer->dials)) {
        core_timer_stop(core, &peer->dial_timer);
        peer->i_address = 0;
    }
    dial_next(core, peer);
}

void core_dial_heard_of(struct core *core, struct core_card *card)
{
    if (card->n_addresses == 0 || core->is_stopping || !core_sparse_wants(core, card)) {
        return;
    }
    uint64_t at_ns = core->gossip_ns > core->now_ns ? core->gossip_ns : core->now_ns;
    struct core_peer *peer = core_peer_of(core, card);
    if (peer != NULL && may_dial(core, peer)) {
        core->gossip_ns = at_ns + CORE_S / CORE_GOSSIP_PER_S;
        core_dial_start(core, peer, at_ns - core->now_ns);
    }
}

void core_dial_anew(struct core *core)
{
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        peer->i_older = 0;
        peer->card->n_rounds = 0;
        core_dial_start(core, peer, 1 + core_random(core, CORE_REDIAL_NS / 4));
    }
    list_for_each (node, &core->contacts) {
        struct core_contact *contact = LIST_ENTRY(node, struct core_contact, node);
        contact->n_rounds = 0;
        if (!contact->is_self && contact->dial == 0) {
            core_timer_set(core, &contact->timer, core->now_ns + CORE_MS);
        }
    }
}

void core_dial_stop(struct core *core, struct core_peer *peer)
{
    core_timer_stop(core, &peer->dial_timer);
    while (!list_is_empty(&peer->dials)) {
        struct core_dial *dial = LIST_ENTRY(peer->dials.next, struct core_dial, of_peer);
        struct core_effect *effect = core_emit(core, CORE_EFFECT_CANCEL_DIAL);
        effect->cancel_dial.dial = dial->id;
        dial_free(core, dial);
    }
}

/* --- --peer ------------------------------------------------------------------------------------
 */

static void contact_fire(struct core *core, struct core_timer *timer)
{
    struct core_contact *contact = CONTAINER_OF(timer, struct core_contact, timer);
    if (contact->is_self || core->is_stopping || contact->dial != 0) {
        return;
    }
    if ((contact->peer != NULL && contact->peer->link != NULL) || core->dials.n >= CORE_DIALS_MAX) {
        core_timer_set(core, &contact->timer, core->now_ns + CONTACT_POLL_NS);
        return;
    }
    emit_dial(core, NULL, contact, contact->address, false);
}

static void contact_add(struct core *core, struct slice address)
{
    unsigned n = 0;
    list_for_each (node, &core->contacts) {
        struct core_contact *known = LIST_ENTRY(node, struct core_contact, node);
        if (slice_eq_str(address, known->address)) {
            return;
        }
        n++;
    }
    if (n >= CORE_STATIC_MAX || address.n == 0 ||
        address.n >= sizeof(((struct core_contact *)NULL)->address)) {
        core_log(core, CORE_LOG_WARN, "a --peer address is too long, or one too many: left out");
        return;
    }
    struct core_contact *contact = mem_alloc_or_die(1, sizeof(*contact));
    memcpy(contact->address, address.p, address.n);
    contact->timer.fire = contact_fire;
    list_push_back(&core->contacts, &contact->node);
    contact_fire(core, &contact->timer);
}

static void contact_failed(struct core *core, struct core_contact *contact)
{
    uint64_t in_ns = pause_ns(core, contact->n_rounds++, CONTACT_PAUSE_MAX);
    core_timer_set(core, &contact->timer, core->now_ns + in_ns);
}

void core_dial_done(struct core *core, uint64_t id, struct core_peer *peer)
{
    struct table_entry *entry = table_find(&core->dials, &id);
    if (entry == NULL) {
        return; /* cancelled while its link came up */
    }
    struct core_dial *dial = LIST_ENTRY(entry, struct core_dial, by_id);
    struct core_contact *contact = dial->contact;
    struct core_peer *meant = dial->peer;
    if (meant != NULL && meant != peer) {
        /* Else each round would make a new session with whoever took the address over. */
        core_card_drop_address(meant->card, dial->address);
    }
    dial_free(core, dial);
    if (contact != NULL) {
        contact->peer = peer;
        contact->is_self = peer == NULL;
        contact->n_rounds = 0;
        core_timer_set(core, &contact->timer, core->now_ns + CONTACT_POLL_NS);
        if (peer != NULL) {
            peer->may_be_off_link = true;
        }
    } else if (meant != NULL && meant != peer && list_is_empty(&meant->dials)) {
        dial_next(core, meant);
        core_peer_maybe_forget(core, meant);
    }
}

/* --- events ------------------------------------------------------------------------------------
 */

void core_dial_on_found(struct core *core, const struct core_event *event)
{
    const struct wire_slices *addresses = &event->peer_found.addresses;
    if (event->peer_found.source == CORE_SOURCE_STATIC || !event->peer_found.has_key) {
        for (uint32_t i = 0; i < addresses->n; i++) {
            contact_add(core, addresses->items[i]);
        }
        return;
    }
    if (wire_key_eq(&event->peer_found.key, &core->self->key)) {
        return;
    }
    struct core_card *card = core_card_get(core, &event->peer_found.key);
    if (card == NULL) {
        return;
    }
    bool is_news = false;
    for (uint32_t i = 0; i < addresses->n; i++) {
        is_news |= !core_card_has_address(card, addresses->items[i]);
    }
    unsigned source = event->peer_found.source;
    core_card_drop_source(card, source);
    for (uint32_t i = 0; i < addresses->n; i++) {
        core_card_add_address(card, addresses->items[i], source);
    }
    if (!core->is_sparse && core->cards.n > core->config.dense_max) {
        core_sparse_run(core);
    }
    core_sparse_changed(core);
    if (core_card_state(card) == CORE_PEER_REFUSED && !is_news) {
        return;
    }
    card->n_rounds = 0;
    if (core_trust_is_banned(core, &card->key)) {
        core_trust_put_out(core, card);
        return;
    }
    struct core_peer *peer = core_sparse_wants(core, card) ? core_peer_of(core, card) : NULL;
    if (peer != NULL) {
        core_dial_start(core, peer, 0);
    }
}

void core_dial_on_lost(struct core *core, const struct wire_key *key)
{
    struct core_card *card = core_card_find(core, key);
    if (card != NULL) {
        core_card_drop_source(card, CORE_SOURCE_MDNS);
        core_card_maybe_forget(core, card);
    }
}

static bool is_for_good(enum wire_reason reason)
{
    return reason == WIRE_REASON_VERSION || reason == WIRE_REASON_MESH ||
           reason == WIRE_REASON_BANNED || reason == WIRE_REASON_SEAL ||
           reason == WIRE_REASON_CLONED;
}

static void peer_dial_failed(struct core *core, struct core_peer *peer,
                             const struct core_event *event)
{
    enum wire_reason reason = event->dial_failed.reason;
    if (peer->link != NULL) {
        return;
    }
    if (core_trust_tries_older(core, peer, reason)) {
        core_dial_start(core, peer, 1 + core_random(core, CORE_DIAL_STAGGER_NS));
        return;
    }
    if (is_for_good(reason)) {
        core_text_set(peer->detail, sizeof(peer->detail), slice_str(wire_reason_text(reason)));
        peer->card->failed_ns = core->now_ns;
        core_peer_move(core, peer, CORE_PEER_ON_REFUSE);
        if (reason == WIRE_REASON_CLONED) { /* that passes, when it is mended */
            core_timer_set(core, &peer->lost_timer, core->now_ns + CORE_ACCUSED_NS / 8);
        }
        /* Said before any proof, so it may be somebody else's word at a former address: the other
         * addresses are tried as well, and who is sought is so until all of them were. */
        if (peer->i_address < peer->card->n_addresses || !list_is_empty(&peer->dials)) {
            dial_next(core, peer);
            return;
        }
        peer->is_sought = false;
        if (reason != WIRE_REASON_CLONED) {
            core_dial_start(core, peer, CORE_REDIAL_MAX_NS / 5);
        }
        return;
    }
    if (event->dial_failed.error == -ECONNREFUSED && peer->state == CORE_PEER_LOST) {
        core_peer_move(core, peer, CORE_PEER_ON_GIVE_UP);
    }
    dial_next(core, peer);
}

void core_dial_on_failed(struct core *core, const struct core_event *event)
{
    struct table_entry *entry = table_find(&core->dials, &event->dial_failed.dial);
    if (entry == NULL) {
        core_trust_dial_failed(core, event); /* or it was cancelled a moment before */
        return;
    }
    struct core_dial *dial = LIST_ENTRY(entry, struct core_dial, by_id);
    struct core_peer *peer = dial->peer;
    struct core_contact *contact = dial->contact;
    dial_free(core, dial);
    bool is_self =
        event->dial_failed.has_key && wire_key_eq(&event->dial_failed.key, &core->self->key);
    if (contact != NULL) {
        contact->is_self = is_self;
        if (!is_self) {
            contact_failed(core, contact);
        }
    } else if (peer != NULL) {
        peer_dial_failed(core, peer, event);
    }
}
