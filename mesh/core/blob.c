#include "mesh/core/blob.h"

#include <errno.h>
#include <string.h>

#include "mesh/core/exec.h"
#include "mesh/core/grant.h"
#include "mesh/core/job.h"
#include "mesh/core/left.h"
#include "mesh/core/peer.h"
#include "mesh/core/queue.h"
#include "mesh/core/spread.h"
#include "wire/base/mem.h"

struct core_blob *core_blob_find(const struct core *core, const struct wire_hash *hash)
{
    struct table_entry *entry = table_find(&core->blobs, hash);
    return entry != NULL ? LIST_ENTRY(entry, struct core_blob, by_hash) : NULL;
}

static struct core_blob *blob_get(struct core *core, const struct wire_hash *hash)
{
    struct core_blob *blob = core_blob_find(core, hash);
    if (blob == NULL) {
        blob = mem_alloc_or_die(1, sizeof(*blob));
        blob->hash = *hash;
        list_init(&blob->fetches);
        list_init(&blob->holders);
        list_init(&blob->readers);
        table_insert(&core->blobs, &blob->by_hash, &blob->hash);
    }
    return blob;
}

static void holder_free(struct core_holder *holder)
{
    holder->blob->n_holders--;
    list_remove(&holder->of_blob);
    list_remove(&holder->of_peer);
    mem_free(holder);
}

static void blob_drop(struct core *core, struct core_blob *blob)
{
    ensure(blob->n_refs > 0);
    if (--blob->n_refs > 0) {
        return;
    }
    if (core->effects != NULL) { /* not while the core is freed */
        struct core_effect *effect = core_emit(core, CORE_EFFECT_BLOB_RELEASE);
        effect->blob_release.hash = blob->hash;
    }
    while (!list_is_empty(&blob->holders)) {
        holder_free(LIST_ENTRY(blob->holders.next, struct core_holder, of_blob));
    }
    core_spread_drop(core, blob);
    table_remove(&core->blobs, &blob->by_hash);
    mem_free(blob);
}

void core_blob_ref(struct core *core, const struct wire_hash *hash)
{
    if (!core_hash_is_zero(hash)) {
        blob_get(core, hash)->n_refs++;
    }
}

void core_blob_unref(struct core *core, const struct wire_hash *hash)
{
    if (!core_hash_is_zero(hash)) {
        struct core_blob *blob = core_blob_find(core, hash);
        ensure(blob != NULL);
        blob_drop(core, blob);
    }
}

void core_blob_ref_result(struct core *core, const struct wire_result *result)
{
    uint64_t n_bytes;
    for (uint32_t i = 0; i < core_result_n_blobs(result); i++) {
        core_blob_ref(core, core_result_blob(result, i, &n_bytes));
    }
}

void core_blob_unref_result(struct core *core, const struct wire_result *result)
{
    uint64_t n_bytes;
    for (uint32_t i = 0; i < core_result_n_blobs(result); i++) {
        core_blob_unref(core, core_result_blob(result, i, &n_bytes));
    }
}

void core_blob_let_go(struct core *core, const struct wire_hash *hash)
{
    core_blob_ref(core, hash);
    core_blob_unref(core, hash);
}

/* --- who has it --------------------------------------------------------------------------------
 */

static struct core_holder *holder_find(const struct core_blob *blob, const struct core_peer *peer)
{
    list_for_each (node, &blob->holders) {
        struct core_holder *holder = LIST_ENTRY(node, struct core_holder, of_blob);
        if (holder->peer == peer) {
            return holder;
        }
    }
    return NULL;
}

void core_blob_note_holder(struct core *core, const struct wire_hash *hash, struct core_peer *peer)
{
    struct core_blob *blob = core_blob_find(core, hash);
    if (blob == NULL || peer->is_self) {
        return;
    }
    struct core_holder *holder = holder_find(blob, peer);
    if (holder == NULL) {
        if (blob->n_holders == CORE_HOLDERS_MAX) {
            holder_free(LIST_ENTRY(blob->holders.prev, struct core_holder, of_blob));
        }
        holder = mem_alloc_or_die(1, sizeof(*holder));
        holder->blob = blob;
        holder->peer = peer;
        list_push_back(&peer->holds, &holder->of_peer);
        blob->n_holders++;
    } else {
        list_remove(&holder->of_blob);
    }
    list_push_front(&blob->holders, &holder->of_blob);
}

void core_blob_drop_holder(struct core *core, const struct wire_hash *hash, struct core_peer *peer)
{
    struct core_blob *blob = core_blob_find(core, hash);
    struct core_holder *holder = blob != NULL ? holder_find(blob, peer) : NULL;
    if (holder != NULL) {
        holder_free(holder);
    }
}

uint64_t core_blob_bytes_missing(const struct core *core, struct wire_refs refs,
                                 const struct core_peer *peer)
{
    uint64_t n_bytes = 0;
    for (uint32_t i = 0; i < refs.n && !peer->is_self; i++) {
        const struct core_blob *blob = core_blob_find(core, &refs.items[i].hash);
        bool is_there = blob != NULL && holder_find(blob, peer) != NULL;
        uint64_t n = is_there ? 0 : refs.items[i].bytes;
        n_bytes = n <= UINT64_MAX - n_bytes ? n_bytes + n : UINT64_MAX;
    }
    return n_bytes;
}

void core_blob_forget_peer(struct core_peer *peer)
{
    while (!list_is_empty(&peer->holds)) {
        holder_free(LIST_ENTRY(peer->holds.next, struct core_holder, of_peer));
    }
}

/* --- fetches -----------------------------------------------------------------------------------
 */

static void fetch_free(struct core *core, struct core_fetch *fetch)
{
    struct core_blob *blob = fetch->blob;
    ensure(blob->active != fetch);
    core_timer_stop(core, &fetch->via_timer);
    list_remove(&fetch->of_blob);
    list_remove(&fetch->of_peer);
    mem_free(fetch);
    blob_drop(core, blob);
}

static bool is_kept_for_another(const struct core_fetch *fetch)
{
    static const struct wire_key none;
    return !wire_key_eq(&fetch->owner, &none);
}

/* Large, and the peer's own: it may come from others, and go on to others. */
static bool may_spread(const struct core_fetch *fetch)
{
    return fetch->bytes >= CORE_SPREAD_BYTES_MIN && !fetch->peer->is_self &&
           !is_kept_for_another(fetch);
}

static bool is_via_up(const struct core *core, const struct core_fetch *fetch)
{
    const struct core_link *link = fetch->via != 0 ? core_link_find(core, fetch->via) : NULL;
    return link != NULL && link->peer->link == link;
}

static void fetch_ask(struct core *core, struct core_fetch *fetch)
{
    struct core_blob *blob = fetch->blob;
    bool is_via = is_via_up(core, fetch);
    if (fetch->is_stored || blob->active != NULL || (!is_via && fetch->peer->link == NULL)) {
        return;
    }
    blob->active = fetch;
    fetch->via = is_via ? fetch->via : 0;
    fetch->link = is_via ? fetch->via : fetch->peer->link->id;
    struct core_effect *effect = core_emit(core, CORE_EFFECT_BLOB_FETCH);
    effect->blob_fetch.link = fetch->link;
    effect->blob_fetch.hash = blob->hash;
    effect->blob_fetch.bytes = fetch->bytes;
    effect->blob_fetch.owner = is_via ? fetch->peer->key : fetch->owner;
    effect->blob_fetch.may_point = !is_via && !fetch->is_direct && may_spread(fetch);
    if (is_via) {
        core_timer_set(core, &fetch->via_timer, core->now_ns + CORE_SPREAD_VIA_NS(fetch->bytes));
    }
}

static void fetch_stop(struct core *core, const struct core_fetch *fetch)
{
    core_emit(core, CORE_EFFECT_BLOB_STOP)->blob_stop.hash = fetch->blob->hash;
}

static void via_fire(struct core *core, struct core_timer *timer)
{
    struct core_fetch *fetch = CONTAINER_OF(timer, struct core_fetch, via_timer);
    if (fetch->blob->active == fetch && fetch->via != 0) {
        fetch_stop(core, fetch);
    }
}

void core_blob_on_from(struct core *core, struct core_peer *owner,
                       const struct wire_blob_from *from)
{
    const struct core_blob *blob = core_blob_find(core, &from->hash);
    struct core_fetch *fetch = blob != NULL ? blob->active : NULL;
    if (fetch == NULL || fetch->peer != owner || fetch->is_direct || !may_spread(fetch)) {
        core->n_ignored++;
        return;
    }
    const struct core_peer *other = core_peer_find(core, &from->peer);
    bool is_other = other != NULL && other != owner && other->link != NULL;
    fetch->is_direct = true;
    fetch->is_moving = true;
    fetch->via = is_other ? other->link->id : 0;
    fetch_stop(core, fetch);
}

bool core_blob_is_from(const struct core *core, const struct wire_hash *hash,
                       const struct core_peer *peer)
{
    const struct core_blob *blob = core_blob_find(core, hash);
    if (blob == NULL) {
        return false;
    }
    list_for_each (node, &blob->fetches) {
        const struct core_fetch *fetch = LIST_ENTRY(node, struct core_fetch, of_blob);
        if (fetch->peer == peer && fetch->is_stored && !is_kept_for_another(fetch)) {
            return true;
        }
    }
    return false;
}

static void fetch_answered(struct core *core, struct core_fetch *fetch, int error);

static void ask_next(struct core *core, struct core_blob *blob)
{
    struct core_fetch *failed = NULL;
    list_for_each (node, &blob->fetches) {
        struct core_fetch *fetch = LIST_ENTRY(node, struct core_fetch, of_blob);
        if (blob->active == NULL) {
            fetch_ask(core, fetch);
        }
        bool is_in_vain =
            is_kept_for_another(fetch) && !fetch->is_stored && fetch->peer->link == NULL;
        failed = blob->active != fetch && is_in_vain ? fetch : failed;
    }
    if (failed != NULL) {
        fetch_answered(core, failed, -ENOENT); /* and looks again */
    }
}

static struct core_fetch *fetch_get(struct core *core, struct core_peer *peer,
                                    const struct wire_key *owner, const struct wire_hash *hash,
                                    uint64_t n_bytes)
{
    struct core_blob *blob = blob_get(core, hash);
    list_for_each (node, &blob->fetches) {
        struct core_fetch *known = LIST_ENTRY(node, struct core_fetch, of_blob);
        if (known->peer == peer && wire_key_eq(&known->owner, owner)) {
            return known;
        }
    }
    struct core_fetch *fetch = mem_alloc_or_die(1, sizeof(*fetch));
    fetch->blob = blob;
    fetch->peer = peer;
    fetch->bytes = n_bytes;
    fetch->owner = *owner;
    fetch->via_timer.fire = via_fire;
    list_init(&fetch->needs);
    list_push_back(&blob->fetches, &fetch->of_blob);
    list_push_back(&peer->fetches, &fetch->of_peer);
    blob->n_refs++;
    return fetch;
}

static void want(struct core *core, struct core_need *need, struct core_peer *peer,
                 const struct wire_key *owner, const struct wire_hash *hash, uint64_t n_bytes)
{
    ensure(need->state == CORE_NEED_NONE);
    if (core_hash_is_zero(hash)) {
        need->state = CORE_NEED_MET;
        return;
    }
    need->fetch = fetch_get(core, peer, owner, hash, n_bytes);
    need->fetch->is_stored |= peer->is_self;
    list_push_back(&need->fetch->needs, &need->node);
    need->state = need->fetch->is_stored ? CORE_NEED_MET : CORE_NEED_PENDING;
    fetch_ask(core, need->fetch);
}

void core_need_want(struct core *core, struct core_need *need, struct core_peer *peer,
                    const struct wire_hash *hash, uint64_t n_bytes)
{
    static const struct wire_key none;
    want(core, need, peer, &none, hash, n_bytes);
}

void core_need_want_of(struct core *core, struct core_need *need, struct core_peer *peer,
                       const struct core_peer *owner, const struct wire_hash *hash,
                       uint64_t n_bytes)
{
    ensure(peer->link != NULL && !owner->is_self);
    want(core, need, peer, &owner->key, hash, n_bytes);
}

void core_need_drop(struct core *core, struct core_need *need)
{
    struct core_fetch *fetch = need->fetch;
    need->state = CORE_NEED_NONE;
    need->fetch = NULL;
    if (fetch == NULL) {
        return;
    }
    list_remove(&need->node);
    if (list_is_empty(&fetch->needs) && fetch->blob->active != fetch) {
        fetch_free(core, fetch);
    }
}

/* The shell answered. Those who need it are told; a need may drop others of the same fetch. */
static void fetch_answered(struct core *core, struct core_fetch *fetch, int error)
{
    struct core_blob *blob = fetch->blob;
    blob->n_refs++; /* stays while callbacks run */
    fetch->is_stored = error == 0;
    core_timer_stop(core, &fetch->via_timer);
    if (error == 0 && may_spread(fetch)) {
        struct wire_message message = {.type = WIRE_MESSAGE_BLOB_HAD};
        message.blob_had.hash = blob->hash;
        core_send(core, fetch->peer, &message);
    }
    for (;;) {
        struct core_need *need = NULL;
        list_for_each (node, &fetch->needs) {
            struct core_need *at = LIST_ENTRY(node, struct core_need, node);
            if (at->state == CORE_NEED_PENDING) {
                need = at;
                break;
            }
        }
        if (need == NULL) {
            break;
        }
        if (error == 0) {
            need->state = CORE_NEED_MET;
        } else {
            list_remove(&need->node);
            need->fetch = NULL;
            need->state = CORE_NEED_NONE;
        }
        need->on_done(core, need, error);
    }
    if (blob->active == fetch) {
        blob->active = NULL;
    }
    struct core_peer *peer = fetch->peer;
    if (list_is_empty(&fetch->needs)) {
        fetch_free(core, fetch);
    }
    ask_next(core, blob);
    blob_drop(core, blob);
    core_peer_maybe_forget(core, peer);
}

void core_blob_on_stored(struct core *core, const struct wire_hash *hash)
{
    struct core_blob *blob = core_blob_find(core, hash);
    if (blob != NULL && blob->active != NULL) {
        fetch_answered(core, blob->active, 0);
    } else {
        core->n_ignored++;
    }
}

void core_blob_on_failed(struct core *core, const struct wire_hash *hash, bool is_ours)
{
    struct core_blob *blob = core_blob_find(core, hash);
    if (blob == NULL || blob->active == NULL) {
        core->n_ignored++;
        return;
    }
    struct core_fetch *fetch = blob->active;
    struct core_link *now = fetch->peer->link;
    bool is_link_gone = now == NULL || now->id != fetch->link;
    bool is_elsewhere = fetch->is_moving || fetch->via != 0;
    bool is_again = is_elsewhere || (is_link_gone && !is_kept_for_another(fetch));
    if (!is_ours && is_again && !list_is_empty(&fetch->needs)) {
        /* The session went, not the blob: again over the next. Or the peer's turn is over that its
         * owner named, and it is the owner's; or has come. */
        core_timer_stop(core, &fetch->via_timer);
        fetch->via = fetch->is_moving ? fetch->via : 0;
        fetch->is_moving = false;
        blob->active = NULL;
        ask_next(core, blob);
        return;
    }
    fetch_answered(core, fetch, is_ours ? -ENOSPC : -ENOENT);
}

void core_blob_link_up(struct core *core, struct core_peer *peer)
{
    list_for_each (node, &peer->fetches) {
        fetch_ask(core, LIST_ENTRY(node, struct core_fetch, of_peer));
    }
}

void core_blob_free_all(struct core *core)
{
    table_for_each (entry, &core->blobs) {
        struct core_blob *blob = LIST_ENTRY(entry, struct core_blob, by_hash);
        struct core_fetch *fetch = STEAL(blob->active);
        if (fetch != NULL && list_is_empty(&fetch->needs)) {
            fetch_free(core, fetch);
        }
    }
    ensure(core->blobs.n == 0);
}

/* --- serving -----------------------------------------------------------------------------------
 */

void core_blob_on_want(struct core *core, struct core_peer *peer, const struct wire_blob_want *want)
{
    static const struct wire_key none;
    if (peer->link == NULL) {
        return;
    }
    if (!wire_key_eq(&want->owner, &none)) {
        core_grant_on_want(core, peer, want);
        return;
    }
    uint64_t n_bytes;
    if (core_owner_may_serve(core, peer, &want->hash, &n_bytes)) {
        core_spread_on_want(core, peer, want, n_bytes);
        return;
    }
    if (core_exec_may_serve(core, peer, &want->hash) ||
        core_queue_may_serve(core, peer, &want->hash)) {
        struct core_effect *effect = core_emit(core, CORE_EFFECT_BLOB_SERVE);
        effect->blob_serve.link = peer->link->id;
        effect->blob_serve.hash = want->hash;
        effect->blob_serve.offset = want->offset;
        return;
    }
    if (core_left_ask(core, peer, want)) {
        return;
    }
    struct wire_message message = {.type = WIRE_MESSAGE_BLOB_REFUSE};
    message.blob_refuse.hash = want->hash;
    core_send(core, peer, &message);
}
