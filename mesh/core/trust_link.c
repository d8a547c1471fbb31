/* What trust means for sessions. A session of the present secret (or, in the open mesh, of none) is
 * a peer's, as ever. One of an older secret, or of an invitation, is a visit: the two say what they
 * know of the mesh and part. */
#include <string.h>

#include "mesh/core/exec.h"
#include "mesh/core/job.h"
#include "mesh/core/peer.h"
#include "mesh/core/trust.h"
#include "wire/base/mem.h"

/* --- telling -----------------------------------------------------------------------------------
 */

/* All we know; or, of the members, only this one. */
static void tell(struct core *core, uint64_t link, const struct wire_key *member)
{
    const struct core_book *now = &core->trust.now;
    uint32_t n = member != NULL ? 0 : core_book_n_members(now);
    struct wire_member *members = core_batch_alloc(core, n + 1, sizeof(*members));
    for (uint32_t i = 0; i < n; i++) {
        members[i].key = core_book_members(now)[i].key;
    }
    if (member != NULL || n < WIRE_MEMBERS_MAX) {
        members[n++].key = member != NULL ? *member : core->self->key;
    }
    struct wire_ban *bans = core_batch_alloc(core, core_book_n_bans(now), sizeof(*bans));
    uint32_t n_bans = 0;
    for (uint32_t i = 0; i < core_book_n_bans(now); i++) {
        if (core_book_bans(now)[i].generation > 0) {
            bans[n_bans++] = core_book_bans(now)[i];
        }
    }
    struct wire_older *olders = core_batch_alloc(core, now->n_olds, sizeof(*olders));
    for (uint32_t i = 0; i < now->n_olds; i++) {
        olders[i] = (struct wire_older){now->olds[i].generation, now->olds[i].secret};
    }
    struct core_effect *effect = core_emit(core, CORE_EFFECT_SEND);
    effect->send.link = link;
    effect->send.message.type = WIRE_MESSAGE_MEMBERSHIP;
    effect->send.message.membership = (struct wire_membership){
        .generation = now->present.generation,
        .secret = now->present.secret,
        .bans = {.items = bans, .n = n_bans},
        .members = {.items = members, .n = n},
        .olders = {.items = olders, .n = now->n_olds},
    };
}

/* Over each session of a member, but for that with `except`. */
static void tell_members(struct core *core, const struct core_peer *except,
                         const struct wire_key *member)
{
    table_for_each (entry, &core->links) {
        struct core_link *link = LIST_ENTRY(entry, struct core_link, by_id);
        if (link->peer->link == link && link->peer != except && link->door == WIRE_DOOR_PRESENT &&
            core_book_is_member(&core->trust.now, &link->peer->key)) {
            tell(core, link->id, member);
        }
    }
}

void core_trust_tell_all(struct core *core)
{
    tell_members(core, NULL, NULL);
}

/* --- hearing -----------------------------------------------------------------------------------
 */

/* Members that the book before did not name, to be passed on one by one. */
static void pass_on_members(struct core *core, const struct core_peer *from,
                            const struct wire_members *members, const struct core_book *before)
{
    for (uint32_t i = 0; i < members->n; i++) {
        const struct wire_key *key = &members->items[i].key;
        if (!core_book_is_member(before, key) && core_book_is_member(&core->trust.now, key)) {
            tell_members(core, from, key);
        }
    }
}

/* From a member. `peer`: over its session; NULL: over a visit. */
static void hear(struct core *core, const struct wire_key *from, struct core_peer *peer,
                 const struct wire_membership *said)
{
    struct core_trust *trust = &core->trust;
    struct core_merged merged;
    if (trust->stage == CORE_TRUST_KEEPING) {
        return; /* it is told what comes of that, and answers */
    }
    struct core_book before;
    core_book_init(&before);
    core_book_copy(&before, &trust->now);
    if (!core_book_merge(&trust->now, &core->self->key, from, said, &merged)) {
        core->n_ignored++;
        core_book_done(&before);
        return;
    }
    if (!core_book_eq(&before, &trust->now)) {
        core_trust_changed(core);
    }
    if (merged.is_adopted) {
        core_log(core, CORE_LOG_INFO, "generation %llu of the mesh, with %u members",
                 (unsigned long long)trust->now.present.generation,
                 core_book_n_members(&trust->now));
    }
    if (merged.is_adopted || merged.are_bans_new || merged.is_rival_new) {
        core_trust_enforce(core, false);
        if (merged.is_adopted) {
            core_dial_anew(core);
        }
        if (merged.is_adopted || merged.are_bans_new) {
            tell_members(core, peer, NULL);
        }
    } else if (merged.are_members_new) {
        pass_on_members(core, peer, &said->members, &before);
    }
    if (merged.are_they_behind && peer != NULL && peer->link != NULL) {
        tell(core, peer->link->id, NULL);
    }
    core_book_done(&before);
    core_trust_renew_soon(core);
}

void core_trust_on_membership(struct core *core, struct core_peer *peer,
                              const struct wire_membership *said)
{
    if (peer->is_self || peer->link == NULL || peer->link->door != WIRE_DOOR_PRESENT ||
        !core_book_is_member(&core->trust.now, &peer->key)) {
        core->n_ignored++;
        return;
    }
    hear(core, &peer->key, peer, said);
}

/* --- visits ------------------------------------------------------------------------------------
 */

static struct core_visit *visit_find(const struct core *core, uint64_t link)
{
    list_for_each (node, &core->trust.visits) {
        struct core_visit *visit = LIST_ENTRY(node, struct core_visit, node);
        if (visit->link == link) {
            return visit;
        }
    }
    return NULL;
}

static void visit_free(struct core *core, struct core_visit *visit)
{
    core_timer_stop(core, &visit->timer);
    list_remove(&visit->node);
    core->trust.n_visits--;
    mem_free(visit);
}

static void visit_close(struct core *core, struct core_visit *visit)
{
    core_link_refuse(core, visit->link, WIRE_REASON_REPLACED);
    visit_free(core, visit);
}

static void visit_fire(struct core *core, struct core_timer *timer)
{
    visit_close(core, CONTAINER_OF(timer, struct core_visit, timer));
}

static void visit_begin(struct core *core, const struct core_event *event)
{
    struct core_trust *trust = &core->trust;
    struct core_visit *visit =
        trust->n_visits < CORE_VISITS_MAX ? mem_alloc(1, sizeof(*visit)) : NULL;
    if (visit == NULL) {
        core_link_refuse(core, event->link_up.link, WIRE_REASON_LIMIT);
        return;
    }
    visit->link = event->link_up.link;
    visit->key = event->link_up.key;
    visit->timer.fire = visit_fire;
    list_push_back(&trust->visits, &visit->node);
    trust->n_visits++;
    core_timer_set(core, &visit->timer, core->now_ns + CORE_VISIT_NS);
    tell(core, visit->link, NULL);
}

void core_trust_on_message(struct core *core, uint64_t link, const struct wire_message *message)
{
    if (message->type != WIRE_MESSAGE_MEMBERSHIP) {
        return;
    }
    struct core_visit *visit = visit_find(core, link);
    if (visit == NULL) {
        core_trust_join_said(core, link, &message->membership);
        return;
    }
    if (core_book_is_member(&core->trust.now, &visit->key)) {
        hear(core, &visit->key, NULL, &message->membership);
        visit = visit_find(core, link);
    }
    if (visit != NULL) {
        visit_close(core, visit);
    }
}

void core_trust_link_down(struct core *core, const struct core_event *event)
{
    struct core_visit *visit = visit_find(core, event->link_down.link);
    if (visit != NULL) {
        visit_free(core, visit);
    } else {
        core_trust_join_down(core, event->link_down.link, event->link_down.reason);
    }
}

/* --- names -------------------------------------------------------------------------------------
 */

static const struct core_pin *pin_against(const struct core *core, const struct wire_key *key,
                                          struct slice name)
{
    const struct core_pin *pin = core_book_pin(&core->trust.now, name);
    return pin != NULL && !wire_key_eq(&pin->key, key) ? pin : NULL;
}

static void misname(struct core *core, struct core_peer *peer, const struct core_pin *pin)
{
    char id[WIRE_ID_TEXT_BYTES];
    if (peer->link != NULL) {
        core_link_close(core, peer->link, WIRE_REASON_BANNED, "its name is pinned to another key");
    }
    if (peer->state == CORE_PEER_SUSPECT) {
        core_peer_move(core, peer, CORE_PEER_ON_HEARD);
    } else if (peer->state == CORE_PEER_LOST || peer->state == CORE_PEER_KNOWN) {
        core_peer_move(core, peer, CORE_PEER_ON_GIVE_UP);
    } else if (peer->state == CORE_PEER_REFUSED) {
        core_peer_move(core, peer, CORE_PEER_ON_EXPIRE);
    }
    if (peer->state != CORE_PEER_CONFLICT) {
        core_peer_move(core, peer, CORE_PEER_ON_MISNAMED);
    }
    core_dial_stop(core, peer);
    core_exec_owner_out(core, peer);
    peer->is_misnamed = true;
    core_text_set(peer->name, sizeof(peer->name), slice_str(pin->name));
    core_text_set(peer->detail, sizeof(peer->detail),
                  core_batch_printf(core,
                                    "the name %s is pinned to %s: no tasks for it, none of it",
                                    pin->name, wire_id_text(&pin->key, id)));
    core->are_peers_changed = true;
}

/* Its name is not, or not any more, another's. */
static void named_well(struct core *core, struct core_peer *peer)
{
    if (peer->is_misnamed) {
        peer->is_misnamed = false;
        peer->detail[0] = '\0';
        if (peer->state == CORE_PEER_CONFLICT) {
            core_peer_move(core, peer, CORE_PEER_ON_EXPIRE);
            core_dial_start(core, peer, CORE_MS);
        }
    }
}

/* --- enforcing ---------------------------------------------------------------------------------
 */

static void cut(struct core *core, struct core_peer *peer, enum wire_reason reason)
{
    if (peer->link != NULL) {
        core_link_close(core, peer->link, reason, "");
    }
    if (peer->state == CORE_PEER_SUSPECT) {
        core_peer_move(core, peer, CORE_PEER_ON_HEARD);
    }
    core_dial_stop(core, peer);
    if (peer->state != CORE_PEER_CONFLICT) {
        core_peer_move(core, peer, CORE_PEER_ON_REFUSE);
    }
    if (reason != WIRE_REASON_REPLACED) {
        core_exec_owner_out(core, peer);
    }
    peer->card->failed_ns = core->now_ns;
    core_text_set(peer->detail, sizeof(peer->detail), slice_str(wire_reason_text(reason)));
}

void core_trust_put_out(struct core *core, struct core_card *card)
{
    struct core_peer *peer = core_peer_of(core, card);
    list_remove(&card->news);
    core_card_set_news(core, card, 0, false);
    if (peer != NULL && !peer->is_self) {
        cut(core, peer, WIRE_REASON_BANNED);
    }
}

static void enforce_peer(struct core *core, struct core_peer *peer, bool is_other_mesh)
{
    const struct core_book *now = &core->trust.now;
    const struct core_pin *pin = pin_against(core, &peer->key, slice_str(peer->name));
    if (pin != NULL && peer->name[0] != '\0' && (peer->link != NULL || peer->is_misnamed)) {
        misname(core, peer, pin);
        return;
    }
    named_well(core, peer);
    if (peer->link == NULL) {
        return;
    }
    if (is_other_mesh) {
        cut(core, peer, WIRE_REASON_MESH);
    } else if (core_trust_is_locked(core) && !core_book_is_member(now, &peer->key)) {
        /* Should it be one after all, it comes back and somebody knows. */
        cut(core, peer, WIRE_REASON_REPLACED);
    }
}

void core_trust_enforce(struct core *core, bool is_other_mesh)
{
    const struct core_book *now = &core->trust.now;
    for (uint32_t i = 0; i < core_book_n_bans(now); i++) {
        const struct wire_ban *ban = &core_book_bans(now)[i];
        struct core_card *card = ban->is_banned ? core_card_find(core, &ban->key) : NULL;
        if (card != NULL && (core_card_state(card) != CORE_PEER_REFUSED || card->version > 0)) {
            core_trust_put_out(core, card);
        }
    }
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (!peer->is_self && !core_book_is_banned(now, &peer->key)) {
            enforce_peer(core, peer, is_other_mesh);
        }
    }
    /* Visits began under what held before. */
    list_for_each_safe (node, &core->trust.visits) {
        struct core_visit *visit = LIST_ENTRY(node, struct core_visit, node);
        if (is_other_mesh || core_book_is_banned(now, &visit->key)) {
            visit_close(core, visit);
        }
    }
    core->are_peers_changed = true;
}

/* --- up ----------------------------------------------------------------------------------------
 */

/* Why the session may not be, or NONE. */
static enum wire_reason refusal_of(struct core *core, const struct core_event *event)
{
    const struct wire_key *key = &event->link_up.key;
    const struct core_book *now = &core->trust.now;
    if (core_book_is_banned(now, key)) {
        return WIRE_REASON_BANNED;
    }
    bool is_locked = core_book_is_locked(now);
    switch (event->link_up.door) {
    case WIRE_DOOR_OPEN:
        return is_locked ? WIRE_REASON_MESH : WIRE_REASON_NONE;
    case WIRE_DOOR_PRESENT:
        if (now->is_renewal_due && !core_book_is_member(now, key)) {
            return WIRE_REASON_REPLACED; /* somebody banned may have told it the secret */
        }
        return is_locked ? WIRE_REASON_NONE : WIRE_REASON_MESH;
    case WIRE_DOOR_OLDER:
        return is_locked && core_book_is_member(now, key) ? WIRE_REASON_NONE : WIRE_REASON_MESH;
    case WIRE_DOOR_INVITATION:
        return is_locked && core_trust_invitation(core, &event->link_up.token, key) != NULL
                   ? WIRE_REASON_NONE
                   : WIRE_REASON_INVITATION;
    case WIRE_DOOR_NONE:
        break; /* of a session that is not up */
    }
    ensure(!"reached");
}

/* The invited is told everything, and said goodbye to. */
static void welcome(struct core *core, const struct core_event *event)
{
    const struct wire_key *key = &event->link_up.key;
    struct core_invitation *invitation = core_trust_invitation(core, &event->link_up.token, key);
    invitation->is_bound = true;
    invitation->key = *key;
    core_trust_add_member(core, key, true);
    if (!core_book_is_member(&core->trust.now, key)) {
        core_link_refuse(core, event->link_up.link, WIRE_REASON_LIMIT);
        return;
    }
    char id[WIRE_ID_TEXT_BYTES];
    core_log(core, CORE_LOG_INFO, "%s joined by an invitation of this peer", wire_id_text(key, id));
    tell(core, event->link_up.link, NULL);
    core_link_refuse(core, event->link_up.link, WIRE_REASON_REPLACED);
    tell_members(core, NULL, key);
}

static void dial_done(struct core *core, const struct core_event *event)
{
    struct core_peer *peer = core_peer_get(core, &event->link_up.key);
    if (event->link_up.dial != 0 && peer != NULL) {
        core_dial_done(core, event->link_up.dial, peer);
    }
}

bool core_trust_takes_link(struct core *core, const struct core_event *event)
{
    const struct wire_key *key = &event->link_up.key;
    if (event->link_up.door == WIRE_DOOR_INVITATION && event->link_up.dial != 0) {
        if (!core_trust_join_takes(core, event)) {
            core_link_refuse(core, event->link_up.link, WIRE_REASON_REPLACED);
        }
        return true;
    }
    enum wire_reason reason = refusal_of(core, event);
    if (reason != WIRE_REASON_NONE || core->is_stopping) {
        dial_done(core, event);
        core_link_refuse(core, event->link_up.link,
                         reason != WIRE_REASON_NONE ? reason : WIRE_REASON_LEAVING);
        return true;
    }
    if (event->link_up.door == WIRE_DOOR_INVITATION) {
        welcome(core, event);
        return true;
    }
    if (event->link_up.door == WIRE_DOOR_OLDER) {
        dial_done(core, event);
        visit_begin(core, event);
        return true;
    }
    char name[WIRE_NAME_BYTES_MAX + 1];
    core_text_set(name, sizeof(name), event->link_up.name);
    struct core_peer *peer = core_peer_find(core, key);
    const struct core_pin *pin = pin_against(core, key, slice_str(name));
    if (pin == NULL) {
        if (peer != NULL) {
            named_well(core, peer);
        }
        return false;
    }
    dial_done(core, event);
    core_link_refuse(core, event->link_up.link, WIRE_REASON_BANNED);
    peer = core_peer_get(core, key);
    if (peer != NULL) {
        misname(core, peer, pin);
    }
    return true;
}

void core_trust_link_up(struct core *core, struct core_peer *peer)
{
    if (!core_trust_is_locked(core)) {
        return;
    }
    peer->i_older = 0;
    core_trust_add_member(core, &peer->key, false);
    tell(core, peer->link->id, NULL);
}

bool core_trust_tries_older(const struct core *core, struct core_peer *peer,
                            enum wire_reason reason)
{
    const struct core_book *now = &core->trust.now;
    if (reason != WIRE_REASON_MESH || !core_book_is_member(now, &peer->key)) {
        return false;
    }
    peer->i_older = peer->i_older < now->n_olds ? peer->i_older + 1 : 0;
    return peer->i_older > 0;
}
