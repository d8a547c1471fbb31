/* What peers tell each other of the rest, so that half-working multicast still gives a whole mesh,
 * and a large one is known to each of its peers without a session to each.
 *
 * Up to 64 peers: whoever has a new session tells all its neighbours, and who is told of is dialled
 * at a capped rate. Above that, news of a peer (it is up, it is gone) goes from mouth to mouth: who
 * hears it first passes it on to CORE_NEWS_FANOUT neighbours, once. News is ordered by a version
 * that only its subject raises: it does so when it hears that it is gone. What news missed is found
 * by comparing sums with one neighbour every CORE_SUMS_NS; where they are the same, that is all the
 * traffic there is. */
#include "mesh/core/exec.h"
#include "mesh/core/job.h"
#include "mesh/core/peer.h"
#include "mesh/core/queue.h"
#include "mesh/core/trust.h"
#include "wire/base/rate.h"

#define VERSION_MAX (UINT64_MAX / 2) /* beyond it nobody could answer */

/* --- telling -----------------------------------------------------------------------------------
 */

/* The one at which it was proved, if there is one. */
static struct wire_slices addresses_of(struct core *core, const struct core_card *card)
{
    const char *proved = card->peer != NULL ? card->peer->address : core_card_proved_address(card);
    uint32_t n = card->peer == core->self ? 0 : proved[0] != '\0' ? 1 : card->n_addresses;
    struct slice *items = core_batch_alloc(core, n, sizeof(*items));
    for (uint32_t i = 0; i < n; i++) {
        const char *text = proved[0] != '\0' ? proved : core_card_address(card, i);
        items[i] = core_batch_copy(core, slice_str(text));
    }
    return (struct wire_slices){.items = items, .n = n};
}

static void fill_entry(struct core *core, const struct core_card *card,
                       struct wire_peer_entry *entry)
{
    bool is_self = card->peer == core->self;
    *entry = (struct wire_peer_entry){
        .key = card->key,
        .name = core_batch_copy(core, slice_str(core_card_name(card))),
        .addresses = addresses_of(core, card),
        .version = card->version,
        .is_gone = card->is_gone,
        .cores = is_self ? core_exec_offered(core) : core_card_cores(card),
        .arch = core_batch_copy(core, slice_str(core_card_arch(card))),
        .queues = core_queue_names(core, card),
    };
}

static void tell(struct core *core, struct core_peer *to, const struct wire_peer_entry *entries,
                 uint32_t n)
{
    for (uint32_t i = 0; i < n; i += WIRE_PEERS_MAX) {
        struct wire_message message = {.type = WIRE_MESSAGE_PEERS};
        message.peers.items = &entries[i];
        message.peers.n = n - i < WIRE_PEERS_MAX ? n - i : WIRE_PEERS_MAX;
        core_send(core, to, &message);
    }
}

static void tell_of(struct core *core, struct core_peer *to, const struct core_card *card)
{
    struct wire_peer_entry *entry = core_batch_alloc(core, 1, sizeof(*entry));
    fill_entry(core, card, entry);
    tell(core, to, entry, 1);
}

static struct core_peer *standing(struct table_entry *entry)
{
    struct core_link *link = LIST_ENTRY(entry, struct core_link, by_id);
    return link->peer->link == link ? link->peer : NULL;
}

static uint32_t n_standing(struct core *core)
{
    uint32_t n = 0;
    table_for_each (entry, &core->links) {
        n += standing(entry) != NULL;
    }
    return n;
}

/* --- news --------------------------------------------------------------------------------------
 */

static void add_news(struct core *core, struct core_card *card)
{
    if (!list_is_linked(&card->news)) {
        list_push_back(&core->news, &card->news);
    }
    if (!heap_has(&core->news_timer.entry)) {
        core_timer_set(core, &core->news_timer, core->now_ns + CORE_NEWS_NS);
    }
}

/* In a large mesh to some of the neighbours, each choice of them as likely as any other. */
static void news_fire(struct core *core, struct core_timer *timer)
{
    uint32_t n = 0;
    struct wire_peer_entry *entries = core_batch_alloc(core, CORE_NEWS_MAX, sizeof(*entries));
    for (struct list *first; n < CORE_NEWS_MAX && (first = list_first(&core->news)) != NULL;) {
        struct core_card *card = LIST_ENTRY(first, struct core_card, news);
        list_remove(&card->news);
        fill_entry(core, card, &entries[n++]);
    }
    if (!list_is_empty(&core->news)) {
        core_timer_set(core, &core->news_timer, core->now_ns + CORE_NEWS_NS);
    }
    uint32_t n_left = n_standing(core);
    uint32_t n_wanted = core->is_sparse ? CORE_NEWS_FANOUT : n_left;
    table_for_each (entry, &core->links) {
        struct core_peer *to = standing(entry);
        if (to == NULL) {
            continue;
        }
        if (n_wanted >= n_left || core_random(core, n_left) < n_wanted) {
            tell(core, to, entries, n);
            n_wanted--;
        }
        n_left--;
        if (n_wanted == 0) {
            return;
        }
    }
}

/* Of ourselves, beyond what anybody heard so far. */
static void raise_version(struct core *core, uint64_t above)
{
    core_card_set_news(core, core->self->card, above + 1, false);
    add_news(core, core->self->card);
}

void core_gossip_self_changed(struct core *core)
{
    if (core->is_sparse) {
        raise_version(core, core->self->card->version);
    }
}

/* In a small mesh to all, at once: whoever puts something next should not make a queue that is
 * there already. */
void core_gossip_queues_changed(struct core *core)
{
    struct core_card *self = core->self->card;
    if (core->is_sparse) {
        raise_version(core, self->version);
        return;
    }
    core_card_set_news(core, self, self->version + 1, false);
    table_for_each (entry, &core->links) {
        struct core_peer *to = standing(entry);
        if (to != NULL) {
            tell_of(core, to, self);
        }
    }
}

void core_gossip_lost(struct core *core, struct core_peer *peer)
{
    struct core_card *card = peer->card;
    if (card->version == 0 || card->is_gone) {
        return;
    }
    core_card_set_news(core, card, card->version, true);
    card->told_ns = core->now_ns;
    if (n_standing(core) == 0) {
        core->alone_ns = core->now_ns;
    }
    if (core->is_sparse) {
        add_news(core, card);
    }
}

/* Others say that it is up, and we could not reach it for a while, until then at least: that may
 * have passed. */
static void believe(struct core *core, struct core_card *card, uint64_t until_ns)
{
    unsigned state = core_card_state(card);
    bool is_unseen = state == CORE_PEER_NEW ||
                     (state == CORE_PEER_REFUSED && card->told_ns > card->failed_ns) ||
                     (state == CORE_PEER_DOWN && card->failed_ns <= until_ns);
    if (core->is_sparse && is_unseen && card->version > 0 && !card->is_gone) {
        core_card_move(core, card, CORE_PEER_ON_TOLD);
    }
}

/* --- a new session -----------------------------------------------------------------------------
 */

static uint64_t first_version(uint32_t incarnation)
{
    return (uint64_t)incarnation << 32 | 1;
}

/* The first session after there was none: it was us who were cut off, and not those that we lost
 * just before. Who is gone indeed, others will say. */
static void forgive(struct core *core)
{
    uint64_t span_ns = 2 * core->config.dead_after_ns + CORE_BEAT_IDLE_MS * CORE_MS;
    table_for_each (entry, &core->cards) {
        struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        if (core_card_state(card) == CORE_PEER_DOWN && card->version > 0 &&
            card->told_ns + span_ns >= core->alone_ns) {
            list_remove(&card->news);
            core_card_set_news(core, card, card->version, false);
        }
        believe(core, card, UINT64_MAX);
    }
    core->alone_ns = 0;
    if (core->is_sparse) {
        core_timer_set(core, &core->sums_timer, core->now_ns + CORE_NEWS_NS);
    }
}

/* Ourselves, in a large mesh, and those we have sessions with. */
static void tell_all(struct core *core, struct core_peer *to)
{
    uint32_t n_max = n_standing(core);
    n_max = core->is_sparse && n_max > core->config.dense_max ? core->config.dense_max : n_max;
    struct wire_peer_entry *entries = core_batch_alloc(core, n_max + 1, sizeof(*entries));
    uint32_t n = 0;
    table_for_each (entry, &core->links) {
        struct core_peer *other = standing(entry);
        if (other != NULL && other != to && other->address[0] != '\0' && n < n_max) {
            fill_entry(core, other->card, &entries[n++]);
        }
    }
    fill_entry(core, core->self->card, &entries[n++]); /* in a small one for its queues */
    tell(core, to, entries, n);
}

void core_gossip_link_up(struct core *core, struct core_peer *peer)
{
    struct core_card *card = peer->card;
    if (card->version < first_version(peer->incarnation)) {
        core_card_set_news(core, card, first_version(peer->incarnation), false);
        card->is_announced = false;
    }
    card->told_ns = core->now_ns;
    if (card->is_gone && core->is_sparse) {
        tell_of(core, peer, card); /* it will say itself that it is not */
    } else {
        core_card_set_news(core, card, card->version, false);
    }
    if (!card->is_announced && peer->address[0] != '\0') {
        add_news(core, card);
    }
    card->is_announced = true;
    if (core->alone_ns > 0) {
        forgive(core);
    }
    tell_all(core, peer);
}

/* --- hearing -----------------------------------------------------------------------------------
 */

static void hear_of_self(struct core *core, const struct wire_peer_entry *entry)
{
    uint64_t version = core->self->card->version;
    bool is_wrong = entry->version > version || (entry->version == version && entry->is_gone);
    if (is_wrong && !core->is_stopping) {
        raise_version(core, entry->version);
    }
}

static bool is_news(const struct core_card *card, const struct wire_peer_entry *entry)
{
    return entry->version > card->version ||
           (entry->version == card->version && entry->is_gone && !card->is_gone);
}

static bool has_session(const struct core_card *card)
{
    return card->peer != NULL && card->peer->link != NULL;
}

/* In a large mesh: what to believe of it, and others shall hear it, too. */
static void hear_news(struct core *core, struct core_card *card,
                      const struct wire_peer_entry *entry)
{
    bool is_new_life = entry->version >> 32 > card->version >> 32;
    core_card_set_news(core, card, entry->version, entry->is_gone);
    card->told_ns = core->now_ns;
    if (!has_session(card)) {
        core_card_set_facts(card, entry->name, entry->arch, entry->cores);
    }
    if (!core->is_sparse) {
        return;
    }
    card->is_announced = true;
    add_news(core, card);
    unsigned state = core_card_state(card);
    if (has_session(card)) {
        if (card->is_gone) {
            tell_of(core, card->peer, card);
        }
    } else if (card->is_gone && state == CORE_PEER_KNOWN) {
        core_card_move(core, card, CORE_PEER_ON_TOLD_GONE);
    } else if (!card->is_gone && (state == CORE_PEER_NEW || state == CORE_PEER_DOWN ||
                                  (state == CORE_PEER_REFUSED && is_new_life))) {
        core_card_move(core, card, CORE_PEER_ON_TOLD);
    }
}

/* Whoever makes peers up keeps us, and those we would pass it on to, busy at this rate at most. */
static bool may_tell(struct core *core, struct core_origin *origin)
{
    bool may = rate_take(&origin->heard_ns, core->now_ns, CORE_HEAR_PER_S, CORE_HEAR_BURST);
    core->n_ignored += !may;
    return may;
}

static void hear(struct core *core, struct core_peer *from, const struct wire_peer_entry *entry)
{
    if (wire_key_eq(&entry->key, &core->self->key)) {
        hear_of_self(core, entry);
        return;
    }
    if (entry->is_gone && !core->is_sparse) {
        return; /* we see for ourselves */
    }
    struct core_card *card = core_card_find(core, &entry->key);
    bool is_new = card == NULL;
    if ((is_new && core->cards.n >= CORE_HEARSAY_MAX) ||
        (is_new && !core_teller_may_add(core, from->origin)) ||
        ((is_new || (entry->version > 0 && is_news(card, entry))) &&
         !may_tell(core, from->origin))) {
        return;
    }
    card = is_new ? core_card_get(core, &entry->key) : card;
    if (card == NULL) {
        return;
    }
    if (is_new) {
        core_teller_add(core, from->origin, card);
    }
    bool is_own_word = from->card == card && entry->version >= card->version;
    bool is_to_be_told = entry->version > 0 && is_news(card, entry);
    if (is_to_be_told || is_own_word) {
        core_queue_heard(core, card, &entry->queues);
    }
    if (is_to_be_told) {
        hear_news(core, card, entry);
    }
    if (has_session(card) || entry->is_gone) {
        return;
    }
    uint32_t n_known = card->n_addresses;
    for (uint32_t j = 0; j < entry->addresses.n; j++) {
        core_card_add_address(card, entry->addresses.items[j], CORE_SOURCE_GOSSIP);
    }
    if (card->n_addresses > n_known) { /* else no news: it is dialled in its own time */
        core_dial_heard_of(core, card);
    }
}

void core_gossip_on_peers(struct core *core, struct core_peer *from, const struct wire_peers *peers)
{
    for (uint32_t i = 0; i < peers->n; i++) {
        const struct wire_peer_entry *entry = &peers->items[i];
        if (!wire_key_is_zero(&entry->key) && entry->version < VERSION_MAX &&
            !core_trust_is_banned(core, &entry->key)) {
            hear(core, from, entry);
        }
    }
    core_sparse_changed(core);
}

/* --- sums --------------------------------------------------------------------------------------
 */

static void send_sums(struct core *core, struct core_peer *to)
{
    uint8_t *bytes = core_batch_alloc(core, WIRE_PEERS_SUMS, 8);
    for (unsigned i = 0; i < WIRE_PEERS_SUMS * 8; i++) {
        bytes[i] = (uint8_t)(core->sums[i / 8] >> (56 - i % 8 * 8));
    }
    struct wire_message message = {.type = WIRE_MESSAGE_PEERS_SUM};
    message.peers_sum.sums = slice_of(bytes, (size_t)WIRE_PEERS_SUMS * 8);
    core_send(core, to, &message);
}

/* All of the parts that are marked. */
static void tell_parts(struct core *core, struct core_peer *to,
                       const bool is_part_told[static WIRE_PEERS_SUMS])
{
    struct wire_peer_entry *entries = NULL;
    uint32_t n = 0;
    table_for_each (entry, &core->cards) {
        const struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        if (card->version == 0 || card->peer == to || !is_part_told[core_card_part(card)]) {
            continue;
        }
        if (n % WIRE_PEERS_MAX == 0) {
            tell(core, to, entries, n);
            entries = core_batch_alloc(core, WIRE_PEERS_MAX, sizeof(*entries));
            n = 0;
        }
        fill_entry(core, card, &entries[n++]);
    }
    tell(core, to, entries, n);
}

void core_gossip_on_sum(struct core *core, struct core_peer *from, const struct wire_peers_sum *sum)
{
    bool is_soon = from->sum_ns > 0 && core->now_ns - from->sum_ns < CORE_SUMS_NS / 4;
    if (sum->sums.n != (size_t)WIRE_PEERS_SUMS * 8 || is_soon) {
        core->n_ignored++;
        return;
    }
    from->sum_ns = core->now_ns;
    bool is_part_told[WIRE_PEERS_SUMS] = {false};
    bool is_any_told = false;
    for (unsigned i = 0; i < WIRE_PEERS_SUMS * 8; i++) {
        bool is_same = sum->sums.p[i] == (uint8_t)(core->sums[i / 8] >> (56 - i % 8 * 8));
        is_part_told[i / 8] |= !is_same;
        is_any_told |= !is_same;
    }
    if (is_any_told) {
        tell_parts(core, from, is_part_told);
    }
}

/* Nobody spoke of it for so long that it is not there: every peer speaks of itself before that. */
static bool is_old(const struct core *core, const struct core_card *card)
{
    return card->peer != core->self && !has_session(card) &&
           core->now_ns - card->told_ns >= CORE_TOLD_NS;
}

static void forget_old(struct core *core, struct core_card *card)
{
    if (core_card_state(card) == CORE_PEER_KNOWN) {
        core_card_set_news(core, card, card->version, true);
        card->told_ns = core->now_ns; /* remembered as gone for as long again */
        core_card_move(core, card, CORE_PEER_ON_TOLD_GONE);
    } else {
        core_card_maybe_forget(core, card);
    }
}

static void sums_fire(struct core *core, struct core_timer *timer)
{
    if (!core->is_sparse || core->is_stopping) {
        return;
    }
    core_timer_set(core, timer, core->now_ns + CORE_SUMS_NS);
    table_for_each (entry, &core->cards) {
        struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        if (is_old(core, card)) {
            forget_old(core, card);
        } else {
            believe(core, card, core->now_ns - CORE_BELIEVE_NS);
        }
    }
    struct core_card *self = core->self->card;
    if (core->now_ns - self->told_ns >= CORE_TELL_SELF_NS) {
        self->told_ns = core->now_ns - core_random(core, CORE_TELL_SELF_NS / 8);
        core_gossip_self_changed(core);
    }
    uint32_t n = n_standing(core);
    uint64_t i_to = n > 0 ? core_random(core, n) : 0;
    table_for_each (entry, &core->links) {
        struct core_peer *to = standing(entry);
        if (to != NULL && i_to-- == 0) {
            send_sums(core, to);
            return;
        }
    }
}

/* --- life --------------------------------------------------------------------------------------
 */

void core_gossip_init(struct core *core)
{
    list_init(&core->news);
    core->news_timer.fire = news_fire;
    core->sums_timer.fire = sums_fire;
    core_card_set_news(core, core->self->card, first_version(core->config.incarnation), false);
    core->self->card->told_ns = core->now_ns;
}

void core_gossip_grown(struct core *core)
{
    core_timer_set(core, &core->sums_timer, core->now_ns + core_random(core, CORE_S));
    core->self->card->told_ns = core->now_ns - core_random(core, CORE_TELL_SELF_NS / 2);
    table_for_each (entry, &core->cards) {
        struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        if (card->peer != core->self && !has_session(card) && card->version > 0) {
            card->told_ns = core->now_ns;
        }
        believe(core, card, UINT64_MAX);
    }
}
