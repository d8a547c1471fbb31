/* What each owner may have outstanding here: its share of the cores, and so much beyond that the
 * cores stay busy while a result travels and the next task comes back. */
#include "mesh/core/exec.h"
#include "mesh/core/peer.h"
#include "wire/base/mem.h"

void core_credit_share(uint32_t cores, bool has_self, const uint32_t *demands, uint32_t *shares,
                       uint32_t n)
{
    uint32_t left = cores;
    uint32_t first = 0;
    for (uint32_t i = 0; i < n; i++) {
        shares[i] = 0;
    }
    if (has_self && n > 0) {
        uint32_t half = (cores + 1) / 2;
        shares[0] = demands[0] < half ? demands[0] : half;
        left -= shares[0];
    }
    /* Rounds: everyone who still wants gets the same, until nobody wants or nothing is left. */
    for (;;) {
        uint32_t n_wanting = 0;
        for (uint32_t i = first; i < n; i++) {
            n_wanting += shares[i] < demands[i];
        }
        if (n_wanting == 0 || left == 0) {
            return;
        }
        /* Ourselves, with a head start, wait until the others have caught up. */
        uint32_t low = UINT32_MAX;
        uint32_t next = UINT32_MAX;
        for (uint32_t i = first; i < n; i++) {
            if (shares[i] < demands[i]) {
                next = shares[i] < low                       ? low
                       : shares[i] > low && shares[i] < next ? shares[i]
                                                             : next;
                low = shares[i] < low ? shares[i] : low;
            }
        }
        uint32_t n_low = 0;
        uint32_t step = next == UINT32_MAX ? UINT32_MAX : next - low;
        for (uint32_t i = first; i < n; i++) {
            if (shares[i] < demands[i] && shares[i] == low) {
                n_low++;
                step = demands[i] - shares[i] < step ? demands[i] - shares[i] : step;
            }
        }
        uint32_t even = left / n_low;
        uint32_t rest = even < step ? left % n_low : 0;
        step = even < step ? even : step;
        for (uint32_t i = first; i < n; i++) {
            if (shares[i] < demands[i] && shares[i] == low) {
                uint32_t extra = rest > 0 ? 1 : 0;
                rest -= extra;
                shares[i] += step + extra;
                left -= step + extra;
            }
        }
    }
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The water: level L means that everybody has L, or what it wants if that is less. */
struct water {
    uint32_t cores;
    uint32_t self_wants, self_start; /* 0 when we are not among them */
    const uint32_t *sums;            /* what the others have at each level up to `cores` */
};

/* We have what we start with until the others caught up. */
static uint32_t self_at(const struct water *water, uint32_t level)
{
    uint32_t n = least(water->self_wants, level);
    return n > water->self_start ? n : water->self_start;
}

/* What all have at a level when one, who wants so much, wants everything. */
static uint64_t total_at(const struct water *water, uint32_t level, uint32_t wants)
{
    return (uint64_t)water->sums[level] - least(wants, level) + level + self_at(water, level);
}

/* The highest level at which there are cores enough for that. */
static uint32_t level_of(const struct water *water, uint32_t wants)
{
    uint32_t low = 0;
    uint32_t high = water->cores;
    while (low < high) {
        uint32_t level = high - (high - low) / 2;
        if (total_at(water, level, wants) <= water->cores) {
            low = level;
        } else {
            high = level - 1;
        }
    }
    return low;
}

/* sums[L] = what those who are not us have at level L. */
static void sum_levels(uint32_t *sums, uint32_t cores, const uint32_t *demands, uint32_t n)
{
    for (uint32_t level = 0; level <= cores; level++) {
        sums[level] = 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        sums[least(demands[i], cores)]++; /* at first: how many are full there, */
    }
    uint32_t n_more = n - sums[0]; /* how many want more than that level */
    sums[0] = 0;
    for (uint32_t level = 1; level <= cores; level++) {
        uint32_t n_full = sums[level];
        sums[level] = sums[level - 1] + n_more;
        n_more -= n_full;
    }
}

void core_credit_share_each(uint32_t cores, bool has_self, const uint32_t *demands,
                            uint32_t *shares, uint32_t n, uint32_t *room)
{
    uint32_t first = has_self && n > 0;
    uint32_t half = (cores + 1) / 2;
    uint32_t *sums = room;
    uint32_t *n_before = room + cores + 1; /* of those looked at, who want more than each level */
    sum_levels(sums, cores, demands + first, n - first);
    struct water water = {.cores = cores, .sums = sums};
    if (first == 1) {
        water.self_start = half; /* and we want everything */
        uint32_t level = cores;
        while (level > 0 && sums[level] + (level > half ? level : half) > cores) {
            level--;
        }
        uint32_t n_rest = cores - sums[level] - (level > half ? level : half);
        shares[0] = level < half ? half : level + (n_rest > 0);
        water.self_wants = demands[0];
        water.self_start = least(demands[0], half);
    }
    /* Nobody's level is higher than that of one who wants everything already. */
    uint32_t level_max = level_of(&water, cores);
    for (uint32_t level = 0; level <= level_max; level++) {
        n_before[level] = first == 1 && demands[0] > level && water.self_start <= level;
    }
    for (uint32_t i = first; i < n; i++) {
        uint32_t level = level_of(&water, demands[i]);
        uint64_t n_rest = cores - total_at(&water, level, demands[i]);
        shares[i] = level + (n_before[level] < n_rest);
        for (uint32_t l = 0; l <= level_max && l < demands[i]; l++) {
            n_before[l]++;
        }
    }
}

/* Over some eight tasks, but over two where they become shorter: who has too little at hand loses
 * its cores to others after each task, and would need all the longer to show that its tasks are
 * short now. */
uint64_t core_credit_smooth(uint64_t expected_ns, uint64_t ns)
{
    return expected_ns == 0   ? ns
           : ns < expected_ns ? (expected_ns + ns) / 2
                              : (7 * expected_ns + ns) / 8;
}

uint32_t core_credit_prefetch(uint32_t n_slots, uint64_t wall_ns, uint64_t rtt_ns)
{
    if (wall_ns == 0 || wall_ns > CORE_PREFETCH_LONG_NS) {
        return 0;
    }
    uint64_t span_ns = 2 * rtt_ns > CORE_PREFETCH_NS ? 2 * rtt_ns : CORE_PREFETCH_NS;
    uint64_t n = (n_slots * span_ns + wall_ns - 1) / wall_ns;
    return n < WIRE_CREDIT_MAX ? (uint32_t)n : WIRE_CREDIT_MAX;
}

static bool is_active(const struct core_peer *owner)
{
    return owner->want.n_tasks > 0 || owner->n_open > 0;
}

static bool may_have_credit(const struct core *core, const struct core_peer *owner)
{
    return owner->is_self || (owner->link != NULL && !core_exec_is_for_own(core));
}

/* From its share, as last reckoned. */
static struct wire_credit reckon(const struct core *core, const struct core_peer *owner)
{
    if (core->config.cores == 0 || core->is_stopping) {
        return (struct wire_credit){0};
    }
    uint64_t n_tasks = (uint64_t)owner->want.n_tasks + owner->n_open;
    uint64_t n_cores = (uint64_t)owner->want.cores + owner->cores_open;
    uint64_t each = n_tasks > 0 && n_cores > n_tasks ? n_cores / n_tasks : 1;
    uint32_t share = owner->share > 0 ? owner->share : 1;
    uint32_t slots = share / each > 0 ? (uint32_t)(share / each) : 1;
    uint64_t n_in_memory = owner->mem_each > 0 ? core->config.mem_bytes / owner->mem_each : slots;
    if (n_in_memory < slots) {
        slots = n_in_memory > 0 ? (uint32_t)n_in_memory : 1;
        share = slots * each < share ? (uint32_t)(slots * each) : share;
    }
    /* Tasks and results of short ones wait for others to share a frame with. */
    uint64_t rtt_ns =
        owner->rtt_ns + (owner->wall_ns < CORE_GATHER_NS ? 2 * CORE_GATHER_WAIT_NS : 0);
    uint64_t n = slots + core_credit_prefetch(slots, owner->wall_ns, rtt_ns);
    return (struct wire_credit){.n_tasks = n < WIRE_CREDIT_MAX ? (uint32_t)n : WIRE_CREDIT_MAX,
                                .cores = share};
}

/* What has not begun and is beyond the credit goes back, latest first. */
static void hand_back(struct core *core, struct core_peer *owner)
{
    while (owner->n_open > owner->credit_given.n_tasks && !list_is_empty(&owner->queue)) {
        struct core_held *held = LIST_ENTRY(owner->queue.prev, struct core_held, in_queue);
        core_held_refuse(core, held, WIRE_REFUSAL_NO_CREDIT, slice_str(""));
    }
}

static void drain(struct core *core, struct core_peer *owner)
{
    struct list *node = owner->held.next;
    while (node != &owner->held) {
        struct core_held *held = LIST_ENTRY(node, struct core_held, of_owner);
        node = node->next;
        if (held->state == CORE_HELD_WANTING || held->state == CORE_HELD_QUEUED) {
            core_held_refuse(core, held, WIRE_REFUSAL_DRAINING, slice_str("offers no cores now"));
        }
    }
}

/* Whoever it waits for: one whose session is cut misses it in the next inventory. */
void core_credit_drain(struct core *core)
{
    table_for_each (entry, &core->peers) {
        drain(core, LIST_ENTRY(entry, struct core_peer, by_key));
    }
}

static void give(struct core *core, struct core_peer *owner, struct wire_credit credit)
{
    owner->credit_given = credit;
    struct wire_message message = {.type = WIRE_MESSAGE_CREDIT};
    message.credit = credit;
    if (owner->n_open > 0) {
        core_send_lazily(core, owner, &message); /* it goes along with a result */
    } else {
        core_send(core, owner, &message);
    }
    hand_back(core, owner);
}

/* Small changes of the prefetch are not worth a message; the first task of it is, without which
 * others take a core each time that one comes free. */
static bool is_worth_telling(struct wire_credit old, struct wire_credit new)
{
    uint32_t change =
        new.n_tasks > old.n_tasks ? new.n_tasks - old.n_tasks : old.n_tasks - new.n_tasks;
    return new.cores != old.cores || (new.n_tasks == 0) != (old.n_tasks == 0) ||
           (new.n_tasks > new.cores) != (old.n_tasks > old.cores) ||
           (uint64_t)change * 4 > old.n_tasks;
}

void core_credit_update(struct core *core, struct core_peer *owner)
{
    if (!may_have_credit(core, owner)) {
        return;
    }
    if (owner->credit_given.n_tasks == 0 && owner->share == 0) {
        owner->share = core->config.cores > core->cores_used
                           ? core->config.cores - core->cores_used
                           : 0; /* the first: as if it wanted all that is idle */
    }
    struct wire_credit credit = reckon(core, owner);
    if (is_worth_telling(owner->credit_given, credit)) {
        give(core, owner, credit);
    }
}

static uint32_t demand_of(const struct core_peer *owner)
{
    uint64_t cores = (uint64_t)owner->want.cores + owner->cores_open;
    return cores == 0 ? 1 : cores < WIRE_CORES_MAX ? (uint32_t)cores : WIRE_CORES_MAX;
}

/* Those who share, by owner and by origin: parallel arrays. Ourselves come first. */
struct sharers {
    struct core_peer **owners;
    uint32_t *demands;
    uint32_t *origin_demands, *origin_shares;
    uint32_t *own_demands, *own_shares; /* of one origin's */
    uint32_t n, n_origins;
};

static struct sharers sharers_new(struct core *core)
{
    size_t n_max = core->n_active + 1; /* and one without an active part */
    return (struct sharers){
        .owners = core_batch_alloc(core, n_max, sizeof(struct core_peer *)),
        .demands = core_batch_alloc(core, n_max, sizeof(uint32_t)),
        .own_demands = core_batch_alloc(core, n_max, sizeof(uint32_t)),
        .own_shares = core_batch_alloc(core, n_max, sizeof(uint32_t)),
        .origin_demands = core_batch_alloc(core, n_max, sizeof(uint32_t)),
        .origin_shares = core_batch_alloc(core, n_max, sizeof(uint32_t)),
    };
}

static bool is_origin_in(const struct core *core, const struct core_peer *owner)
{
    return owner->origin->share_pass == core->n_credit_passes;
}

static void add_sharer(const struct core *core, struct sharers *sharers, struct core_peer *owner,
                       uint32_t demand)
{
    if (!is_origin_in(core, owner)) {
        owner->origin->share_pass = core->n_credit_passes;
        owner->origin->i_share = sharers->n_origins;
        sharers->origin_demands[sharers->n_origins++] = 0;
    }
    sharers->owners[sharers->n] = owner;
    sharers->demands[sharers->n++] = demand;
    sharers->origin_demands[owner->origin->i_share] += demand; /* below 2^13 owners * 2^12 */
}

/* Each is given what the others leave, as if it wanted everything: an owner whose demand grows
 * needs no message first. Origins share the cores, then the owners of one what it has. */
static uint32_t share_of(struct core *core, struct sharers *sharers, uint32_t i_owner)
{
    const struct core_origin *origin = sharers->owners[i_owner]->origin;
    uint32_t *demand = &sharers->origin_demands[origin->i_share];
    uint32_t saved = *demand;
    *demand = saved - sharers->demands[i_owner] + WIRE_CORES_MAX;
    core_credit_share(core->config.cores, sharers->owners[0]->is_self, sharers->origin_demands,
                      sharers->origin_shares, sharers->n_origins);
    *demand = saved;
    uint32_t cores = sharers->origin_shares[origin->i_share];
    uint32_t n = 0;
    uint32_t i_this = 0;
    for (uint32_t i = 0; i < sharers->n; i++) {
        if (sharers->owners[i]->origin == origin) {
            i_this = i == i_owner ? n : i_this;
            sharers->own_demands[n++] = i == i_owner ? WIRE_CORES_MAX : sharers->demands[i];
        }
    }
    core_credit_share(cores, false, sharers->own_demands, sharers->own_shares, n);
    return sharers->own_shares[i_this];
}

/* The same for all of them. */
static void reckon_shares(struct core *core, struct sharers *sharers)
{
    uint32_t cores = core->config.cores;
    uint32_t *room = core_batch_alloc(core, 2 * ((size_t)cores + 1), sizeof(uint32_t));
    core_credit_share_each(cores, sharers->n > 0 && sharers->owners[0]->is_self,
                           sharers->origin_demands, sharers->origin_shares, sharers->n_origins,
                           room);
    if (sharers->n_origins == sharers->n) { /* each its own */
        for (uint32_t i = 0; i < sharers->n; i++) {
            sharers->owners[i]->share = sharers->origin_shares[i];
        }
        return;
    }
    /* The owners of one origin side by side: where the next of each goes. */
    uint32_t *next = core_batch_alloc(core, (size_t)sharers->n_origins + 1, sizeof(uint32_t));
    uint32_t *places = core_batch_alloc(core, sharers->n, sizeof(uint32_t));
    for (uint32_t i = 0; i < sharers->n; i++) {
        next[sharers->owners[i]->origin->i_share + 1]++;
    }
    for (uint32_t k = 0; k < sharers->n_origins; k++) {
        next[k + 1] += next[k];
    }
    for (uint32_t i = 0; i < sharers->n; i++) {
        places[i] = next[sharers->owners[i]->origin->i_share]++;
        sharers->own_demands[places[i]] = sharers->demands[i];
    }
    for (uint32_t k = 0, from = 0; k < sharers->n_origins; from = next[k++]) {
        core_credit_share_each(sharers->origin_shares[k], false, &sharers->own_demands[from],
                               &sharers->own_shares[from], next[k] - from, room);
    }
    for (uint32_t i = 0; i < sharers->n; i++) {
        sharers->owners[i]->share = sharers->own_shares[places[i]];
    }
}

void core_credit_active(struct core *core, struct core_peer *owner)
{
    bool is_linked = list_is_linked(&owner->active);
    if (is_active(owner) == is_linked) {
        return;
    }
    if (is_linked) {
        list_remove(&owner->active);
        core->n_active--;
        return;
    }
    core->n_active++;
    if (owner->is_self) {
        list_push_front(&core->active, &owner->active);
    } else {
        list_push_back(&core->active, &owner->active);
    }
}

static void credit_fire(struct core *core, struct core_timer *timer)
{
    core->is_credit_due = true;
}

void core_credit_init(struct core *core)
{
    core->credit_timer.fire = credit_fire;
    core->is_standing_due = true;
}

/* An owner that is not active keeps some credit; it has none yet, or more than there is. */
static void give_standing(struct core *core, const struct sharers *sharers)
{
    core->is_standing_due = false;
    table_for_each (entry, &core->peers) {
        struct core_peer *owner = LIST_ENTRY(entry, struct core_peer, by_key);
        bool is_standing = may_have_credit(core, owner) && !is_active(owner);
        if (is_standing &&
            (owner->credit_given.n_tasks == 0 || owner->credit_given.cores > core->config.cores)) {
            struct sharers with = *sharers; /* and this one: what it adds is taken back */
            bool is_in = is_origin_in(core, owner);
            uint32_t saved = is_in ? with.origin_demands[owner->origin->i_share] : 0;
            add_sharer(core, &with, owner, WIRE_CORES_MAX);
            owner->share = share_of(core, &with, with.n - 1);
            with.origin_demands[owner->origin->i_share] = saved;
            if (!is_in) {
                owner->origin->share_pass = 0;
            }
            core_credit_update(core, owner);
        }
    }
}

/* Each owner's share takes all others into account: with very many the next reckoning waits. */
static bool is_too_soon(struct core *core)
{
    uint64_t pause_ns = (uint64_t)core->n_active * core->n_active * CORE_CREDIT_PAIR_NS;
    if (core->is_standing_due || core->credit_ns + pause_ns <= core->now_ns) {
        return false;
    }
    if (!heap_has(&core->credit_timer.entry)) {
        core_timer_set(core, &core->credit_timer, core->credit_ns + pause_ns);
    }
    return true;
}

void core_credit_run(struct core *core)
{
    if (is_too_soon(core)) {
        return;
    }
    core_timer_stop(core, &core->credit_timer);
    core->credit_ns = core->now_ns;
    core->n_credit_passes++;
    struct sharers sharers = sharers_new(core);
    list_for_each (node, &core->active) {
        struct core_peer *owner = LIST_ENTRY(node, struct core_peer, active);
        if (may_have_credit(core, owner)) {
            add_sharer(core, &sharers, owner, demand_of(owner));
        }
    }
    reckon_shares(core, &sharers);
    for (uint32_t i = 0; i < sharers.n; i++) {
        core_credit_update(core, sharers.owners[i]);
    }
    if (core->is_standing_due) {
        give_standing(core, &sharers);
    }
}
