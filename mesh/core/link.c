/* Sessions. Happy path: LINK_UP, adopted as the peer's one session, inventories cross, LINK_DOWN.
 *
 * Two sessions with one peer: where both dialled each other at once, the dial of the smaller key
 * stays; otherwise the newer replaces the older, and nothing is lost by it. A session of another
 * life (epoch) than the one that stands is either a restarted daemon or a clone: the old session is
 * asked for a sign of life; an answer proves two daemons with one key. */
#include <string.h>

#include "mesh/core/blob.h"
#include "mesh/core/exec.h"
#include "mesh/core/grant.h"
#include "mesh/core/job.h"
#include "mesh/core/peer.h"
#include "mesh/core/queue.h"
#include "mesh/core/spread.h"
#include "mesh/core/trust.h"
#include "wire/base/mem.h"

struct core_link *core_link_find(const struct core *core, uint64_t id)
{
    struct table_entry *entry = table_find(&core->links, &id);
    return entry != NULL ? LIST_ENTRY(entry, struct core_link, by_id) : NULL;
}

bool core_link_is_older_kept(const struct wire_key *self, const struct wire_key *peer,
                             bool is_older_ours, bool is_newer_ours, uint64_t gap_ns)
{
    if (gap_ns > CORE_OVERLAP_NS || is_older_ours == is_newer_ours) {
        return false;
    }
    bool is_ours_kept = wire_key_cmp(self, peer) < 0;
    return is_older_ours == is_ours_kept;
}

static void link_free(struct core *core, struct core_link *link)
{
    core_timer_stop(core, &link->challenge_timer);
    table_remove(&core->links, &link->by_id);
    mem_free(link);
}

void core_link_free_all(struct core *core)
{
    table_for_each (entry, &core->links) {
        link_free(core, LIST_ENTRY(entry, struct core_link, by_id));
    }
}

/* Of a session that does not stand any more. */
static void link_gone(struct core *core, struct core_peer *peer)
{
    core_beat_link_gone(core, peer);
    core_spread_link_gone(core, peer);
    core_grant_link_gone(peer);
}

void core_link_close(struct core *core, struct core_link *link, enum wire_reason reason,
                     const char *text)
{
    if (link->is_closing) {
        return;
    }
    link->is_closing = true;
    core_timer_stop(core, &link->challenge_timer);
    struct core_effect *effect = core_emit(core, CORE_EFFECT_CLOSE_LINK);
    effect->close_link.link = link->id;
    effect->close_link.reason = reason;
    effect->close_link.text = core_batch_copy(core, slice_str(text));
    if (link->peer->link == link) {
        link->peer->link = NULL;
        link_gone(core, link->peer);
        core_exec_owner_gone(core, link->peer);
    }
}

/* --- two lives ---------------------------------------------------------------------------------
 */

static void challenge_fire(struct core *core, struct core_timer *timer)
{
    struct core_link *link = CONTAINER_OF(timer, struct core_link, challenge_timer);
    core_link_close(core, link, WIRE_REASON_REPLACED, "a newer session stands");
}

static void challenge(struct core *core, struct core_link *link)
{
    link->challenge = core_random(core, 0) | 1;
    core_timer_set(core, &link->challenge_timer, core->now_ns + CORE_CHALLENGE_NS);
    struct core_effect *effect = core_emit(core, CORE_EFFECT_SEND);
    effect->send.link = link->id;
    effect->send.message.type = WIRE_MESSAGE_BEAT;
    effect->send.message.beat =
        (struct wire_beat){.token = link->challenge, .interval_ms = CORE_BEAT_IDLE_MS};
}

void core_link_on_challenge_met(struct core *core, struct core_link *link)
{
    struct core_peer *peer = link->peer;
    if (peer->link ==
        NULL) { /* only one of them is here now: should there be two, it shows again */
        core_link_close(core, link, WIRE_REASON_REPLACED, "a newer session stood");
        return;
    }
    core_beat_heard(core, peer); /* whoever it is */
    core_log(core, CORE_LOG_ERROR,
             "%s (%s): two live daemons share one key: a cloned state directory? It gets no tasks",
             core_peer_label(peer), peer->id);
    struct core_link *newer = peer->link;
    core_link_close(core, link, WIRE_REASON_CLONED, "two daemons with one key");
    core_link_close(core, newer, WIRE_REASON_CLONED, "two daemons with one key");
    core_peer_move(core, peer, CORE_PEER_ON_CLONE);
    core_text_set(peer->detail, sizeof(peer->detail), slice_str("two live daemons with one key"));
}

/* --- up ----------------------------------------------------------------------------------------
 */

static void copy_facts(struct core_peer *peer, const struct core_event *event)
{
    peer->epoch = event->link_up.epoch;
    peer->incarnation = event->link_up.incarnation;
    peer->protocol = event->link_up.protocol;
    peer->cores = event->link_up.cores <= WIRE_CORES_MAX ? event->link_up.cores : WIRE_CORES_MAX;
    peer->free = peer->cores;
    core_text_set(peer->name, sizeof(peer->name), event->link_up.name);
    core_text_set(peer->arch, sizeof(peer->arch), event->link_up.arch);
    core_text_set(peer->os, sizeof(peer->os), event->link_up.os);
    core_text_set(peer->program, sizeof(peer->program), event->link_up.program);
    core_text_set(peer->address, sizeof(peer->address), event->link_up.address);
}

static void remember(struct core *core, struct core_peer *peer)
{
    struct core_effect *effect = core_emit(core, CORE_EFFECT_REMEMBER);
    effect->remember.key = peer->key;
    effect->remember.address = core_batch_copy(core, slice_str(peer->address));
    effect->remember.name = core_batch_copy(core, slice_str(peer->name));
}

static bool is_away_at(const struct core_card *card, const char *host)
{
    const char *address = card->was_up ? core_card_proved_address(card) : "";
    char other[CORE_ORIGIN_BYTES];
    if (address[0] == '\0' || (card->peer != NULL && core_peer_is_here(card->peer))) {
        return false;
    }
    core_origin_text(address, other);
    return strcmp(other, host) == 0;
}

/* One host may have had many keys, and each is dialled for days: the first of them makes room. */
static void forget_keys_of(struct core *core, const struct core_peer *peer)
{
    struct core_card *oldest = NULL;
    uint32_t n = 0;
    char host[CORE_ORIGIN_BYTES];
    core_origin_text(peer->address, host);
    table_for_each (entry, &core->cards) {
        struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        if (is_away_at(card, host)) {
            oldest = oldest == NULL ? card : oldest;
            n++;
        }
    }
    if (n >= CORE_HOST_KEYS_MAX) {
        if (oldest->peer != NULL) {
            core_dial_stop(core, oldest->peer);
        }
        core_card_dismiss(core, oldest);
    }
}

/* The link is the peer's session from now on. */
static void adopt(struct core *core, struct core_link *link, const struct core_event *event)
{
    struct core_peer *peer = link->peer;
    struct core_card *card = peer->card;
    bool had_session = card->was_up;
    bool is_new_life = peer->had_session && peer->epoch != event->link_up.epoch;
    if (is_new_life) {
        core_owner_peer_lost(core, peer);
        core_queue_peer_lost(core, peer);
        core_exec_owner_restarted(core, peer);
    }
    if (is_new_life || !slice_eq_str(event->link_up.address, peer->address)) {
        card->is_announced = false; /* others may know it by another address */
    }
    copy_facts(peer, event);
    peer->link = link;
    peer->had_session = card->was_up = true;
    core_teller_drop(core, card);
    peer->is_inventoried = false;
    card->n_rounds = 0;
    peer->spare_ns = peer->sum_ns = 0;
    peer->is_sought = peer->is_spare_there = false;
    if (peer->address[0] != '\0') {
        core_card_prove_address(card, event->link_up.address);
        remember(core, peer);
        if (!core_trust_is_locked(core) && !had_session) {
            forget_keys_of(core, peer);
        }
    }
    core_dial_stop(core, peer);
    core_peer_move(core, peer, CORE_PEER_ON_SESSION);
    core->are_peers_changed = true;
    core_exec_link_up(core, peer);
    core_beat_link_up(core, peer);
    core_gossip_link_up(core, peer);
    core_trust_link_up(core, peer);
    core_queue_link_up(core, peer); /* who has an item says so before asking for its bytes */
    core_blob_link_up(core, peer);
    core_owner_link_up(core, peer);
}

static struct core_link *link_new(struct core *core, const struct core_event *event,
                                  struct core_peer *peer)
{
    struct core_link *link = mem_alloc_or_die(1, sizeof(*link));
    link->id = event->link_up.link;
    link->peer = peer;
    link->is_ours = event->link_up.dial != 0;
    link->door = event->link_up.door;
    link->epoch = event->link_up.epoch;
    link->up_ns = core->now_ns;
    link->challenge_timer.fire = challenge_fire;
    table_insert(&core->links, &link->by_id, &link->id);
    return link;
}

void core_link_refuse(struct core *core, uint64_t link, enum wire_reason reason)
{
    struct core_effect *effect = core_emit(core, CORE_EFFECT_CLOSE_LINK);
    effect->close_link.link = link;
    effect->close_link.reason = reason;
}

/* Whether the older session stays and the new one goes. Else the older is out of the way. */
static bool is_older_kept(struct core *core, struct core_peer *peer, struct core_link *link)
{
    struct core_link *older = peer->link;
    if (older == NULL) {
        return false;
    }
    if (older->epoch != link->epoch) {
        peer->link = NULL;
        link_gone(core, peer);
        challenge(core, older);
        return false;
    }
    if (core_link_is_older_kept(&core->self->key, &peer->key, older->is_ours, link->is_ours,
                                core->now_ns - older->up_ns)) {
        return true;
    }
    core_link_close(core, older, WIRE_REASON_REPLACED, "a newer session stands");
    return false;
}

void core_link_on_up(struct core *core, const struct core_event *event)
{
    const struct wire_key *key = &event->link_up.key;
    bool is_self = wire_key_eq(key, &core->self->key);
    if (!is_self && core_trust_takes_link(core, event)) {
        return;
    }
    struct core_peer *peer = is_self ? NULL : core_peer_get(core, key);
    if (event->link_up.dial != 0) {
        core_dial_done(core, event->link_up.dial, peer);
    }
    if (peer == NULL || core->is_stopping || peer->state == CORE_PEER_CONFLICT) {
        core_link_refuse(core, event->link_up.link,
                         is_self             ? WIRE_REASON_SELF
                         : peer == NULL      ? WIRE_REASON_LIMIT
                         : core->is_stopping ? WIRE_REASON_LEAVING
                                             : WIRE_REASON_CLONED);
        return;
    }
    struct core_link *link = link_new(core, event, peer);
    if (peer->link != NULL && event->link_up.incarnation < peer->incarnation) {
        /* Of an earlier life than the one that stands: its last bytes were late, and nobody is
         * there any more. Should it answer, then two live with one key. */
        challenge(core, link);
        return;
    }
    if (is_older_kept(core, peer, link)) {
        core_link_close(core, link, WIRE_REASON_REPLACED, "an older session stands");
    } else {
        adopt(core, link, event);
    }
}

/* --- down --------------------------------------------------------------------------------------
 */

static bool is_final(enum wire_reason reason)
{
    return reason == WIRE_REASON_VERSION || reason == WIRE_REASON_MESH ||
           reason == WIRE_REASON_BANNED;
}

/* What is not signed by the key was not said by its owner, whoever holds the session; and a task is
 * begun before that is checked. */
static bool is_forged(const struct core_event *event)
{
    return event->link_down.end == CORE_LINK_END_FAILED &&
           event->link_down.reason == WIRE_REASON_SIGNATURE;
}

static void peer_cut(struct core *core, struct core_peer *peer, const struct core_event *event)
{
    enum wire_reason reason = event->link_down.reason;
    if (reason != WIRE_REASON_NONE && peer->state == CORE_PEER_SUSPECT) {
        core_peer_move(core, peer, CORE_PEER_ON_HEARD); /* a goodbye is a sign of life */
    }
    peer->lost_ns = core->now_ns;
    link_gone(core, peer);
    core_exec_owner_gone(core, peer);
    if (is_forged(event)) {
        core_exec_owner_out(core, peer);
    }
    if (reason == WIRE_REASON_LEAVING) {
        core_exec_owner_restarted(core, peer); /* its attached jobs die with it */
        core_peer_move(core, peer, CORE_PEER_ON_LEFT);
        core_dial_start(core, peer, CORE_REDIAL_NS);
    } else if (reason == WIRE_REASON_CLONED) {
        /* The accused does not accuse in turn: two peers that both kept the other out for a while
         * would renew it at each other's first dial, for ever. */
        core_text_set(peer->detail, sizeof(peer->detail),
                      slice_str("it says that two live daemons share one key"));
        core_peer_move(core, peer, CORE_PEER_ON_REFUSE);
        core_timer_set(core, &peer->lost_timer, core->now_ns + CORE_ACCUSED_NS);
    } else if (reason == WIRE_REASON_IDLE && peer->n_placed == 0 && peer->n_open == 0 &&
               !core_queue_needs(peer)) {
        core_sparse_dismissed(core, peer);
    } else if (is_final(reason)) {
        core_text_set(peer->detail, sizeof(peer->detail), slice_str(wire_reason_text(reason)));
        core_peer_move(core, peer, CORE_PEER_ON_REFUSE);
        core_dial_start(core, peer, CORE_REDIAL_MAX_NS);
    } else {
        core_peer_move(core, peer, CORE_PEER_ON_CUT);
        /* After REPLACED the session that replaces it is on its way. */
        core_dial_start(core, peer,
                        reason == WIRE_REASON_REPLACED
                            ? CORE_LOST_NS / 2 + core_random(core, CORE_LOST_NS / 2)
                            : 0);
    }
}

void core_link_on_down(struct core *core, const struct core_event *event)
{
    struct core_link *link = core_link_find(core, event->link_down.link);
    if (link == NULL) {
        core_trust_link_down(core, event); /* or it was refused on arrival */
        return;
    }
    struct core_peer *peer = link->peer;
    bool did_stand = peer->link == link;
    if (did_stand) {
        peer->link = NULL;
    }
    link_free(core, link);
    if (did_stand) {
        peer_cut(core, peer, event);
    }
    core_peer_maybe_forget(core, peer);
}
