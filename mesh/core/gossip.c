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

#define VERSION_MAX (UINT64_MAX / 2) /* beyond it nobody could answer */

/* --- telling -----------------------------------------------------------------------------------
 */

static struct wire_slices addresses_of(struct core *core, const struct core_peer *peer)
{
    bool is_proved = peer->address[0] != '\0';
    uint32_t n = peer->is_self ? 0 : is_proved ? 1 : peer->n_addresses;
    struct slice *items = core_batch_alloc(core, n, sizeof(*items));
    for (uint32_t i = 0; i < n; i++) {
        const char *text = is_proved ? peer->address : peer->addresses[i].text;
        items[i] = core_batch_copy(core, slice_str(text));
    }
    return (struct wire_slices){.items = items, .n = n};
}

static void fill_entry(struct core *core, const struct core_peer *peer,
                       struct wire_peer_entry *entry)
{
    *entry = (struct wire_peer_entry){
        .key = peer->key,
        .name = core_batch_copy(core, slice_str(peer->name)),
        .addresses = addresses_of(core, peer),
        .version = peer->version,
        .is_gone = peer->is_gone,
        .cores = peer->is_self ? core_exec_offered(core) : peer->cores,
        .arch = core_batch_copy(core, slice_str(peer->arch)),
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

static void tell_of(struct core *core, struct core_peer *to, const struct core_peer *peer)
{
    struct wire_peer_entry *entry = core_batch_alloc(core, 1, sizeof(*entry));
    fill_entry(core, peer, entry);
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

static void add_news(struct core *core, struct core_peer *peer)
{
    if (!list_is_linked(&peer->news)) {
        list_push_back(&core->news, &peer->news);
    }
    if (!heap_has(&core->news_timer.entry)) {
        core_timer_set(core, &core->news_timer, core->now_ns + CORE_NEWS_NS);
    }
}

/* In a large mesh to some of the neighbours, each choice of them as likely as any other. */
static void news_fire(struct core *core, struct core_timer *timer)
{
    uint32_t n = 0;
    list_for_each (node, &core->news) {
        n++;
    }
    struct wire_peer_entry *entries = core_batch_alloc(core, n, sizeof(*entries));
    for (uint32_t i = 0; i < n; i++) {
        struct core_peer *peer = LIST_ENTRY(core->news.next, struct core_peer, news);
        list_remove(&peer->news);
        fill_entry(core, peer, &entries[i]);
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

void core_gossip_self_changed(struct core *core)
{
    if (core->is_sparse) {
        core->self->version++;
        add_news(core, core->self);
    }
}

void core_gossip_lost(struct core *core, struct core_peer *peer)
{
    if (peer->version == 0 || peer->is_gone) {
        return;
    }
    peer->is_gone = true;
    peer->told_ns = core->now_ns;
    if (n_standing(core) == 0) {
        core->alone_ns = core->now_ns;
    }
    if (core->is_sparse) {
        add_news(core, peer);
    }
}

/* Others say that they are up, and we could not reach them for a while: that may have passed. */
static void believe(struct core *core, uint64_t until_ns)
{
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        bool is_unseen = peer->state == CORE_PEER_NEW ||
                         (peer->state == CORE_PEER_REFUSED && peer->told_ns > peer->failed_ns) ||
                         (peer->state == CORE_PEER_DOWN && peer->failed_ns <= until_ns);
        if (core->is_sparse && is_unseen && peer->version > 0 && !peer->is_gone) {
            core_peer_move(core, peer, CORE_PEER_ON_TOLD);
        }
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
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (peer->state == CORE_PEER_DOWN && peer->version > 0 &&
            peer->told_ns + span_ns >= core->alone_ns) {
            list_remove(&peer->news);
            peer->is_gone = false;
        }
    }
    core->alone_ns = 0;
    believe(core, UINT64_MAX);
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
            fill_entry(core, other, &entries[n++]);
        }
    }
    if (core->is_sparse) {
        fill_entry(core, core->self, &entries[n++]);
    }
    tell(core, to, entries, n);
}

void core_gossip_link_up(struct core *core, struct core_peer *peer)
{
    if (peer->version < first_version(peer->incarnation)) {
        peer->version = first_version(peer->incarnation);
        peer->is_gone = false;
        peer->is_announced = false;
    }
    peer->told_ns = core->now_ns;
    if (peer->is_gone && core->is_sparse) {
        tell_of(core, peer, peer); /* it will say itself that it is not */
    } else {
        peer->is_gone = false;
    }
    if (!peer->is_announced && peer->address[0] != '\0') {
        add_news(core, peer);
    }
    peer->is_announced = true;
    if (core->alone_ns > 0) {
        forgive(core);
    }
    tell_all(core, peer);
}

/* --- hearing -----------------------------------------------------------------------------------
 */

static void hear_of_self(struct core *core, const struct wire_peer_entry *entry)
{
    struct core_peer *self = core->self;
    bool is_wrong =
        entry->version > self->version || (entry->version == self->version && entry->is_gone);
    if (is_wrong && !core->is_stopping) {
        self->version = entry->version + 1;
        add_news(core, self);
    }
}

static bool is_news(const struct core_peer *peer, const struct wire_peer_entry *entry)
{
    return entry->version > peer->version ||
           (entry->version == peer->version && entry->is_gone && !peer->is_gone);
}

/* In a large mesh: what to believe of it, and others shall hear it, too. */
static void hear_news(struct core *core, struct core_peer *peer,
                      const struct wire_peer_entry *entry)
{
    bool is_new_life = entry->version >> 32 > peer->version >> 32;
    peer->version = entry->version;
    peer->is_gone = entry->is_gone;
    peer->told_ns = core->now_ns;
    if (peer->link == NULL) {
        core_text_set(peer->name, sizeof(peer->name), entry->name);
        core_text_set(peer->arch, sizeof(peer->arch), entry->arch);
        peer->cores = peer->free = entry->cores;
    }
    if (!core->is_sparse) {
        return;
    }
    peer->is_announced = true;
    add_news(core, peer);
    if (peer->link != NULL) {
        if (peer->is_gone) {
            tell_of(core, peer, peer);
        }
    } else if (peer->is_gone && peer->state == CORE_PEER_KNOWN) {
        core_peer_move(core, peer, CORE_PEER_ON_TOLD_GONE);
    } else if (!peer->is_gone && (peer->state == CORE_PEER_NEW || peer->state == CORE_PEER_DOWN ||
                                  (peer->state == CORE_PEER_REFUSED && is_new_life))) {
        core_peer_move(core, peer, CORE_PEER_ON_TOLD);
    }
}

static void hear(struct core *core, const struct wire_peer_entry *entry)
{
    if (wire_key_eq(&entry->key, &core->self->key)) {
        hear_of_self(core, entry);
        return;
    }
    if (entry->is_gone && !core->is_sparse) {
        return; /* we see for ourselves */
    }
    struct core_peer *peer = core_peer_get(core, &entry->key);
    if (peer == NULL) {
        return;
    }
    if (entry->version > 0 && is_news(peer, entry)) {
        hear_news(core, peer, entry);
    }
    if (peer->link != NULL || entry->is_gone) {
        return;
    }
    uint32_t n_known = peer->n_addresses;
    for (uint32_t j = 0; j < entry->addresses.n; j++) {
        core_dial_add_address(peer, entry->addresses.items[j], CORE_SOURCE_GOSSIP);
    }
    if (peer->n_addresses > n_known) { /* else no news: it is dialled in its own time */
        core_dial_heard_of(core, peer);
    }
}

void core_gossip_on_peers(struct core *core, const struct wire_peers *peers)
{
    for (uint32_t i = 0; i < peers->n; i++) {
        const struct wire_peer_entry *entry = &peers->items[i];
        if (!wire_key_is_zero(&entry->key) && entry->version < VERSION_MAX) {
            hear(core, entry);
        }
    }
    core_sparse_changed(core);
}

/* --- sums --------------------------------------------------------------------------------------
 */

static unsigned part_of(const struct core_peer *peer)
{
    return peer->key.b[1] % WIRE_PEERS_SUMS;
}

static void reckon_sums(const struct core *core, uint64_t sums[static WIRE_PEERS_SUMS])
{
    memset(sums, 0, WIRE_PEERS_SUMS * sizeof(*sums));
    table_for_each (entry, &core->peers) {
        const struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (peer->version > 0) {
            sums[part_of(peer)] ^= core_sparse_mix(core_sparse_key_hash(&peer->key) ^
                                                   peer->version << 1 ^ (peer->is_gone ? 1 : 0));
        }
    }
}

static void send_sums(struct core *core, struct core_peer *to)
{
    uint64_t sums[WIRE_PEERS_SUMS];
    reckon_sums(core, sums);
    uint8_t *bytes = core_batch_alloc(core, WIRE_PEERS_SUMS, 8);
    for (unsigned i = 0; i < WIRE_PEERS_SUMS * 8; i++) {
        bytes[i] = (uint8_t)(sums[i / 8] >> (56 - i % 8 * 8));
    }
    struct wire_message message = {.type = WIRE_MESSAGE_PEERS_SUM};
    message.peers_sum.sums = slice_of(bytes, (size_t)WIRE_PEERS_SUMS * 8);
    core_send(core, to, &message);
}

void core_gossip_on_sum(struct core *core, struct core_peer *from, const struct wire_peers_sum *sum)
{
    bool is_soon = from->sum_ns > 0 && core->now_ns - from->sum_ns < CORE_SUMS_NS / 4;
    if (sum->sums.n != (size_t)WIRE_PEERS_SUMS * 8 || is_soon) {
        core->n_ignored++;
        return;
    }
    from->sum_ns = core->now_ns;
    uint64_t sums[WIRE_PEERS_SUMS];
    reckon_sums(core, sums);
    for (unsigned i = 0; i < WIRE_PEERS_SUMS * 8; i++) { /* the same leave zero */
        sums[i / 8] ^= (uint64_t)sum->sums.p[i] << (56 - i % 8 * 8);
    }
    struct wire_peer_entry *entries = NULL;
    uint32_t n = 0;
    table_for_each (entry, &core->peers) {
        const struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (peer->version == 0 || peer == from || sums[part_of(peer)] == 0) {
            continue;
        }
        if (n % WIRE_PEERS_MAX == 0) {
            tell(core, from, entries, n);
            entries = core_batch_alloc(core, WIRE_PEERS_MAX, sizeof(*entries));
            n = 0;
        }
        fill_entry(core, peer, &entries[n++]);
    }
    tell(core, from, entries, n);
}

/* What nobody spoke of for so long is not there: every peer speaks of itself before that. */
static void forget_old(struct core *core)
{
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (peer->is_self || peer->link != NULL || core->now_ns - peer->told_ns < CORE_TOLD_NS) {
            continue;
        }
        if (peer->state == CORE_PEER_KNOWN) {
            peer->is_gone = true;
            peer->told_ns = core->now_ns; /* remembered as gone for as long again */
            core_peer_move(core, peer, CORE_PEER_ON_TOLD_GONE);
        } else {
            core_peer_maybe_forget(core, peer);
        }
    }
}

static void sums_fire(struct core *core, struct core_timer *timer)
{
    if (!core->is_sparse || core->is_stopping) {
        return;
    }
    core_timer_set(core, timer, core->now_ns + CORE_SUMS_NS);
    forget_old(core);
    believe(core, core->now_ns - CORE_BELIEVE_NS);
    if (core->now_ns - core->self->told_ns >= CORE_TELL_SELF_NS) {
        core->self->told_ns = core->now_ns - core_random(core, CORE_TELL_SELF_NS / 8);
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
    core->self->version = first_version(core->config.incarnation);
    core->self->told_ns = core->now_ns;
}

void core_gossip_grown(struct core *core)
{
    core_timer_set(core, &core->sums_timer, core->now_ns + core_random(core, CORE_S));
    core->self->told_ns = core->now_ns - core_random(core, CORE_TELL_SELF_NS / 2);
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (peer->is_self || peer->link != NULL || peer->version == 0) {
            continue;
        }
        peer->told_ns = core->now_ns;
    }
    believe(core, UINT64_MAX);
}
