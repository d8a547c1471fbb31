/* Whom to hold sessions with. Up to CORE_DENSE_MAX peers everyone with everyone. Above that each
 * peer chooses CORE_CHOSEN others by a score that both ends reckon alike, and holds besides: those
 * it works with, those given by --peer, and those that chose it, which say so in their beats. A
 * session that neither side needs for CORE_SPARE_NS is closed, and its peer is KNOWN.
 *
 * When tasks wait that nobody connected takes, more peers are sought, a few at a time. */
#include <string.h>

#include "mesh/core/exec.h"
#include "mesh/core/job.h"
#include "mesh/core/peer.h"
#include "mesh/core/queue.h"

/* --- scores ------------------------------------------------------------------------------------
 */

/* The finalizer of splitmix64 (Vigna, public domain). */
uint64_t core_sparse_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t core_sparse_key_hash(const struct wire_key *key)
{
    uint64_t hash = 0;
    for (unsigned i = 0; i < WIRE_KEY_BYTES; i += 8) {
        uint64_t word = 0;
        for (unsigned j = 0; j < 8; j++) {
            word = word << 8 | key->b[i + j];
        }
        hash = core_sparse_mix(hash ^ word);
    }
    return hash;
}

uint64_t core_sparse_score(const struct wire_key *a, const struct wire_key *b)
{
    uint64_t x = core_sparse_key_hash(a);
    uint64_t y = core_sparse_key_hash(b);
    return core_sparse_mix(core_sparse_mix(x < y ? x : y) ^ (x < y ? y : x));
}

/* --- who is needed -----------------------------------------------------------------------------
 */

bool core_sparse_wants(const struct core *core, const struct core_card *card)
{
    const struct core_peer *peer = card->peer;
    return !core->is_sparse || card->score >= core->score_min ||
           (peer != NULL &&
            (peer->may_be_off_link || peer->is_sought || peer->state == CORE_PEER_LOST ||
             !list_is_empty(&peer->held) ||  /* results wait for it, */
             !list_is_empty(&peer->posts))); /* or somebody here for an item of its queues */
}

static bool is_working(const struct core_peer *peer)
{
    return peer->n_placed > 0 || peer->n_open > 0 || peer->want_sent.n_tasks > 0 ||
           !list_is_empty(&peer->held) || !list_is_empty(&peer->fetches) || peer->n_lefts > 0 ||
           core_queue_needs(peer);
}

bool core_sparse_keeps(const struct core *core, const struct core_peer *peer)
{
    return core_sparse_wants(core, peer->card) || is_working(peer);
}

bool core_sparse_dismiss(struct core *core, struct core_peer *peer)
{
    if (core_sparse_keeps(core, peer)) {
        peer->spare_ns = 0;
        return false;
    }
    if (peer->spare_ns == 0) {
        peer->spare_ns = core->now_ns;
    }
    if (peer->state != CORE_PEER_UP || !peer->is_spare_there ||
        core->now_ns - peer->spare_ns < CORE_SPARE_NS) {
        return false;
    }
    core_link_close(core, peer->link, WIRE_REASON_IDLE, "");
    core_sparse_dismissed(core, peer);
    return true;
}

void core_sparse_dismissed(struct core *core, struct core_peer *peer)
{
    peer->card->told_ns = core->now_ns;
    core_exec_owner_idle(core, peer);
    core_peer_move(core, peer, CORE_PEER_ON_DISMISS);
    core_sparse_changed(core);
}

/* --- large or not ------------------------------------------------------------------------------
 */

/* Up as far as we know; strangers until a round of dials failed. */
static bool is_believed(const struct core *core, const struct core_card *card)
{
    const struct core_peer *peer = card->peer;
    unsigned state = core_card_state(card);
    return peer != core->self &&
           (state == CORE_PEER_KNOWN || (peer != NULL && core_peer_is_here(peer)) ||
            (state == CORE_PEER_NEW && card->n_addresses > 0 && card->n_rounds == 0));
}

static bool is_idle_here(const struct core_peer *peer)
{
    return peer->link == NULL && list_is_empty(&peer->dials) && !heap_has(&peer->dial_timer.entry);
}

/* Keeps the highest in order, the lowest of them last. */
static void rank(uint64_t *top, uint32_t n, uint64_t score)
{
    if (score <= top[n - 1]) {
        return;
    }
    unsigned i = n - 1;
    for (; i > 0 && top[i - 1] < score; i--) {
        top[i] = top[i - 1];
    }
    top[i] = score;
}

/* Counts who is believed up; true when the mesh became large or small by that. */
static bool count(struct core *core)
{
    uint64_t top[CORE_CHOSEN] = {0};
    uint32_t n = 1;
    table_for_each (entry, &core->cards) {
        const struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        if (is_believed(core, card)) {
            n++;
            rank(top, core->config.chosen, card->score);
        }
    }
    bool was_sparse = core->is_sparse;
    uint32_t dense_max = core->config.dense_max;
    core->is_sparse = n > (was_sparse ? dense_max - dense_max / 8 : dense_max);
    core->score_min = top[core->config.chosen - 1];
    core->n_believed = n;
    return core->is_sparse != was_sparse;
}

/* Begins the dials that are missing, ends those that are not. */
/* Refused, to be looked for again when it is time for that. */
static bool is_due_later(const struct core_peer *peer)
{
    return peer != NULL && peer->state == CORE_PEER_REFUSED &&
           (heap_has(&peer->lost_timer.entry) || heap_has(&peer->dial_timer.entry) ||
            !list_is_empty(&peer->dials));
}

static void adjust_dials(struct core *core)
{
    table_for_each (entry, &core->cards) {
        struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        struct core_peer *peer = card->peer;
        bool is_wanted = core_sparse_wants(core, card);
        if (!is_wanted && peer == NULL) {
            continue; /* as most are */
        }
        /* In a small mesh those are wanted, too, that were given up while it was large; who refused
         * us is dialled again at its time. */
        bool is_missed = !core->is_sparse && card->was_up && !is_due_later(card->peer);
        bool is_hoped = is_wanted && (is_believed(core, card) || is_missed);
        if (is_hoped && (peer == NULL || is_idle_here(peer))) {
            core_dial_heard_of(core, card);
        } else if (peer != NULL && peer->link == NULL) {
            if (!is_wanted) {
                core_dial_stop(core, peer);
            }
            core_peer_maybe_part(core, peer);
        }
    }
}

/* --- seeking -----------------------------------------------------------------------------------
 */

/* Cores of those who were asked and did not say yet what they can take. */
static uint64_t cores_coming(const struct core *core)
{
    uint64_t n = 0;
    table_for_each (entry, &core->peers) {
        const struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        bool is_fresh = peer->link != NULL && !peer->is_inventoried;
        n += peer->is_sought || is_fresh ? peer->cores : 0;
    }
    return n;
}

static bool may_seek(const struct core_card *card)
{
    const struct core_peer *peer = card->peer;
    return core_card_state(card) == CORE_PEER_KNOWN && card->n_addresses > 0 &&
           (peer == NULL || (!peer->is_sought && list_is_empty(&peer->dials)));
}

/* Who was up before who is only heard of, for anybody can tell of peers that are not there; then
 * the most cores; among equals each submitter has an order of its own. */
static struct core_card *best_to_seek(struct core *core)
{
    struct core_card *best = NULL;
    uint64_t best_rank = 0;
    table_for_each (entry, &core->cards) {
        struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        uint64_t rank = (uint64_t)card->was_up << 32 | core_card_cores(card);
        bool is_more =
            best == NULL || rank > best_rank || (rank == best_rank && card->score > best->score);
        if (is_more && may_seek(card) && core_place_could_take(core, card)) {
            best = card;
            best_rank = rank;
        }
    }
    return best;
}

static void seek(struct core *core)
{
    uint64_t wanted = core_place_cores_waiting(core);
    uint64_t coming = cores_coming(core);
    for (unsigned i = 0; i < CORE_SEEK_MAX && coming < wanted; i++) {
        struct core_card *card = best_to_seek(core);
        struct core_peer *peer = card != NULL ? core_peer_of(core, card) : NULL;
        if (peer == NULL) {
            return;
        }
        peer->is_sought = true;
        coming += peer->cores;
        core_dial_heard_of(core, card);
    }
}

/* --- the run -----------------------------------------------------------------------------------
 */

void core_sparse_run(struct core *core)
{
    if (count(core)) {
        core_log(core, CORE_LOG_INFO, "%u peers: sessions with %s", core->n_believed,
                 core->is_sparse ? "some of them" : "all of them");
        if (core->is_sparse) {
            core_gossip_grown(core);
        }
    }
    adjust_dials(core);
    if (core->is_sparse && !list_is_empty(&core->ready)) {
        seek(core);
        core_sparse_changed(core); /* again, while tasks wait */
    }
}

static void sparse_fire(struct core *core, struct core_timer *timer)
{
    core_sparse_run(core);
}

/* Each looks at everybody, and who joins a large mesh hears of somebody all the time. */
static uint64_t pause_ns(const struct core *core)
{
    bool is_urgent = !core->is_sparse || !list_is_empty(&core->ready);
    return is_urgent ? CORE_REVIEW_NS : CORE_REVIEW_NS + core->cards.n * CORE_REVIEW_1_NS;
}

void core_sparse_changed(struct core *core)
{
    uint64_t at_ns = core->now_ns + pause_ns(core);
    bool is_set = heap_has(&core->sparse_timer.entry) && core->sparse_timer.entry.at_ns <= at_ns;
    if (!is_set && !core->is_stopping) {
        core_timer_set(core, &core->sparse_timer, at_ns);
    }
}

void core_sparse_init(struct core *core)
{
    core->sparse_timer.fire = sparse_fire;
}
