#include "mesh/core/grant.h"

#include <string.h>

#include "mesh/core/blob.h"
#include "mesh/core/exec.h"
#include "mesh/core/peer.h"
#include "wire/base/mem.h"

struct core_waiter {  /* a peer that asked, and of whom its owner has not spoken yet */
    struct list node; /* in core.waiters, by the time they are refused */
    uint64_t link;
    uint64_t until_ns;
    struct wire_blob_want want;
};

struct core_held *core_grant_find(const struct core_peer *owner, const struct wire_hash *hash)
{
    list_for_each (node, &owner->held) {
        struct core_held *held = LIST_ENTRY(node, struct core_held, of_owner);
        if (held->state == CORE_HELD_ENDED && !held->is_forgotten && !core_hash_is_zero(hash) &&
            memcmp(&held->result.out.hash, hash, sizeof(*hash)) == 0) {
            return held;
        }
    }
    return NULL;
}

static bool is_granted(const struct core_held *held, const struct wire_key *key)
{
    for (uint32_t i = 0; i < held->n_grants; i++) {
        if (wire_key_eq(&held->grants[i], key)) {
            return true;
        }
    }
    return false;
}

static bool is_lent(const struct core *core, const struct core_peer *owner,
                    const struct wire_blob_want *want, const struct core_peer *peer)
{
    list_for_each (node, &owner->lends) {
        const struct core_lend *lend = LIST_ENTRY(node, struct core_lend, node);
        if (wire_key_eq(&lend->peer, &peer->key) &&
            memcmp(&lend->hash, &want->hash, sizeof(lend->hash)) == 0) {
            return core_blob_is_from(core, &want->hash, owner);
        }
    }
    return false;
}

/* Whether one of the owner's results is this blob and this peer may have it: the same call may have
 * been run twice here, and only one of them be meant. */
static bool may_serve(const struct core *core, const struct wire_blob_want *want,
                      const struct core_peer *peer)
{
    const struct core_peer *owner = core_peer_find(core, &want->owner);
    if (owner == NULL || core_hash_is_zero(&want->hash)) {
        return false;
    }
    list_for_each (node, &owner->held) {
        const struct core_held *held = LIST_ENTRY(node, struct core_held, of_owner);
        if (held->state == CORE_HELD_ENDED && is_granted(held, &peer->key) &&
            memcmp(&held->result.out.hash, &want->hash, sizeof(want->hash)) == 0) {
            return true;
        }
    }
    return is_lent(core, owner, want, peer);
}

static void serve(struct core *core, const struct core_link *link,
                  const struct wire_blob_want *want)
{
    struct core_effect *effect = core_emit(core, CORE_EFFECT_BLOB_SERVE);
    effect->blob_serve.link = link->id;
    effect->blob_serve.hash = want->hash;
    effect->blob_serve.offset = want->offset;
}

static void refuse(struct core *core, struct core_peer *peer, const struct wire_hash *hash)
{
    struct wire_message message = {.type = WIRE_MESSAGE_BLOB_REFUSE};
    message.blob_refuse.hash = *hash;
    core_send(core, peer, &message);
}

static void waiter_free(struct core *core, struct core_waiter *waiter)
{
    list_remove(&waiter->node);
    core->n_waiters--;
    mem_free(waiter);
}

static void set_timer(struct core *core)
{
    struct list *first = list_first(&core->waiters);
    if (first == NULL) {
        core_timer_stop(core, &core->waiter_timer);
    } else {
        core_timer_set(core, &core->waiter_timer,
                       LIST_ENTRY(first, struct core_waiter, node)->until_ns);
    }
}

static void waiter_fire(struct core *core, struct core_timer *timer)
{
    struct list *first;
    while ((first = list_first(&core->waiters)) != NULL) {
        struct core_waiter *waiter = LIST_ENTRY(first, struct core_waiter, node);
        if (waiter->until_ns > core->now_ns) {
            break;
        }
        struct core_link *link = core_link_find(core, waiter->link);
        if (link != NULL && link->peer->link == link) {
            refuse(core, link->peer, &waiter->want.hash);
        }
        waiter_free(core, waiter);
    }
    set_timer(core);
}

void core_grant_on_want(struct core *core, struct core_peer *peer,
                        const struct wire_blob_want *want)
{
    if (may_serve(core, want, peer)) {
        serve(core, peer->link, want);
        return;
    }
    if (core->n_waiters >= CORE_WAITERS_MAX) {
        refuse(core, peer, &want->hash);
        return;
    }
    struct core_waiter *waiter = mem_alloc_or_die(1, sizeof(*waiter));
    waiter->link = peer->link->id;
    waiter->until_ns = core->now_ns + CORE_WAITER_NS;
    waiter->want = *want;
    list_push_back(&core->waiters, &waiter->node);
    core->n_waiters++;
    set_timer(core);
}

/* Those who waited for this word. */
static void serve_waiters(struct core *core)
{
    for (struct list *node = core->waiters.next; node != &core->waiters;) {
        struct core_waiter *waiter = LIST_ENTRY(node, struct core_waiter, node);
        node = node->next;
        struct core_link *link = core_link_find(core, waiter->link);
        bool is_up = link != NULL && link->peer->link == link;
        if (is_up && may_serve(core, &waiter->want, link->peer)) {
            serve(core, link, &waiter->want);
            waiter_free(core, waiter);
        }
    }
    set_timer(core);
}

void core_grant_on_grant(struct core *core, struct core_peer *owner, const struct wire_grant *grant)
{
    struct core_held *held = core_held_find(core, &owner->key, &grant->id);
    if (held == NULL || held->state != CORE_HELD_ENDED ||
        core_hash_is_zero(&held->result.out.hash)) {
        core->n_ignored++;
        return;
    }
    if (is_granted(held, &grant->peer)) {
        return;
    }
    if (held->n_grants % CORE_GRANTS_STEP == 0 && held->n_grants < CORE_GRANTS_MAX) {
        struct wire_key *grants =
            mem_realloc(held->grants, held->n_grants + CORE_GRANTS_STEP, sizeof(*held->grants));
        if (grants == NULL) {
            return; /* it is had from the owner then */
        }
        held->grants = grants;
    }
    uint32_t i = held->n_grants < CORE_GRANTS_MAX ? held->n_grants++
                                                  : (uint32_t)core_random(core, CORE_GRANTS_MAX);
    held->grants[i] = grant->peer;
    serve_waiters(core);
}

static void lend_free(struct core_peer *owner, struct core_lend *lend)
{
    list_remove(&lend->node);
    owner->n_lends--;
    mem_free(lend);
}

void core_grant_on_lend(struct core *core, struct core_peer *owner,
                        const struct wire_blob_lend *from)
{
    if (owner->is_self || core_hash_is_zero(&from->hash)) {
        core->n_ignored++;
        return;
    }
    if (owner->n_lends == CORE_LENDS_MAX) {
        lend_free(owner, LIST_ENTRY(owner->lends.next, struct core_lend, node));
    }
    struct core_lend *lend = mem_alloc(1, sizeof(*lend));
    if (lend == NULL) {
        return; /* it is had from the owner then */
    }
    lend->hash = from->hash;
    lend->peer = from->peer;
    list_push_back(&owner->lends, &lend->node);
    owner->n_lends++;
    serve_waiters(core);
}

void core_grant_link_gone(struct core_peer *owner)
{
    while (!list_is_empty(&owner->lends)) {
        lend_free(owner, LIST_ENTRY(owner->lends.next, struct core_lend, node));
    }
}

void core_grant_init(struct core *core)
{
    list_init(&core->waiters);
    core->waiter_timer.fire = waiter_fire;
}

void core_grant_free_all(struct core *core)
{
    while (!list_is_empty(&core->waiters)) {
        waiter_free(core, LIST_ENTRY(core->waiters.next, struct core_waiter, node));
    }
    core_timer_stop(core, &core->waiter_timer);
    table_for_each (entry, &core->peers) {
        core_grant_link_gone(LIST_ENTRY(entry, struct core_peer, by_key));
    }
}
