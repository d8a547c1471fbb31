/* Which task goes where. The choice functions are pure; core_place_run() applies them until credit
 * or tasks run out. Only peers that can take a task now are looked at: the list core.spare. */
#include <string.h>

#include "mesh/core/blob.h"
#include "mesh/core/job.h"
#include "mesh/core/left.h"
#include "mesh/core/peer.h"
#include "wire/base/mem.h"

/* --- sites: a job at a peer --------------------------------------------------------------------
 */

static bool is_any_meant(const struct core_card *card, char *const *texts, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (core_card_is_meant(card, texts[i])) {
            return true;
        }
    }
    return false;
}

/* As the version of the last session says; of a peer that never had one it is not known. */
static bool does_speak(const struct core_job *job, const struct core_card *card)
{
    const struct core_peer *peer = card->peer;
    return peer == NULL || peer->protocol == 0 || peer->protocol >= job->protocol_min;
}

static bool is_fit(const struct core_job *job, const struct core_card *card)
{
    return (job->spec.arch.n == 0 || slice_eq_str(job->spec.arch, core_card_arch(card))) &&
           does_speak(job, card) && core_job_has_exec_for(job, core_card_arch(card)) &&
           (job->n_on == 0 || is_any_meant(card, job->on, job->n_on)) &&
           !is_any_meant(card, job->except, job->n_except);
}

static void judge_fit(const struct core_job *job, struct core_site *site)
{
    site->fits = is_fit(job, site->peer->card);
}

void core_place_job_changed(struct core *core, struct core_job *job)
{
    list_for_each (node, &job->sites) {
        judge_fit(job, LIST_ENTRY(node, struct core_site, of_job));
    }
    core->is_check_due = true;
    core->is_want_due = true;
}

struct core_site *core_site_get(struct core *core, struct core_job *job, struct core_peer *peer)
{
    if (peer->last_site != NULL && peer->last_site->job == job) {
        return peer->last_site;
    }
    struct table_entry *entry = table_find(&job->by_peer, &peer->key);
    if (entry != NULL) {
        peer->last_site = LIST_ENTRY(entry, struct core_site, by_peer);
        return peer->last_site;
    }
    struct core_site *site = mem_alloc_or_die(1, sizeof(*site));
    site->key = peer->key;
    site->job = job;
    site->peer = peer;
    site->nap_timer.fire = core_nap_fire;
    judge_fit(job, site);
    table_insert(&job->by_peer, &site->by_peer, &site->key);
    list_push_back(&job->sites, &site->of_job);
    list_push_back(&peer->sites, &site->of_peer);
    return site;
}

static void site_free(struct core_grave *grave)
{
    mem_free(CONTAINER_OF(grave, struct core_site, grave));
}

void core_site_free(struct core *core, struct core_site *site)
{
    core_site_nap_done(core, site);
    if (site->peer->last_site == site) {
        site->peer->last_site = NULL;
    }
    site->job->n_refused -= site->refusal != WIRE_REFUSAL_NONE;
    table_remove(&site->job->by_peer, &site->by_peer);
    list_remove(&site->of_job);
    list_remove(&site->of_peer);
    core_bury(core, &site->grave, site_free);
}

void core_place_forget_peer(struct core *core, struct core_peer *peer)
{
    while (!list_is_empty(&peer->sites)) {
        core_site_free(core, LIST_ENTRY(peer->sites.next, struct core_site, of_peer));
    }
    list_remove(&peer->spare);
    heap_remove(&core->by_idle, &peer->by_idle);
}

/* --- who can take one --------------------------------------------------------------------------
 */

#define RANK_NS_MAX ((UINT64_C(1) << 36) - 1) /* farther is as far */

/* Below zero: more is placed there than it has cores for us. */
static int64_t idle_at(const struct core_peer *peer)
{
    return (int64_t)peer->credit.cores - peer->cores_placed;
}

static bool can_take(const struct core_peer *peer)
{
    return peer->state == CORE_PEER_UP && (peer->is_self || peer->link != NULL) &&
           peer->is_inventoried && !peer->is_resting && peer->n_placed < peer->credit.n_tasks;
}

/* The order of is_better(), but for what is to be sent. */
static uint64_t idle_rank(const struct core_peer *peer)
{
    uint64_t far_ns = peer->rtt_ns < RANK_NS_MAX ? peer->rtt_ns : RANK_NS_MAX;
    return (uint64_t)(WIRE_CORES_MAX - idle_at(peer)) * (RANK_NS_MAX + 1) + far_ns;
}

void core_place_update_spare(struct core *core, struct core_peer *peer)
{
    bool is_spare = can_take(peer);
    if (is_spare && !list_is_linked(&peer->spare)) {
        list_push_back(&core->spare, &peer->spare);
    } else if (!is_spare) {
        list_remove(&peer->spare);
        heap_remove(&core->by_idle, &peer->by_idle);
    }
    if (is_spare) {
        heap_set(&core->by_idle, &peer->by_idle, idle_rank(peer));
    }
    core->is_place_due |= is_spare;
}

void core_place_peer_changed(struct core *core, struct core_peer *peer)
{
    list_for_each (node, &peer->sites) {
        struct core_site *site = LIST_ENTRY(node, struct core_site, of_peer);
        judge_fit(site->job, site);
    }
    core_place_update_spare(core, peer);
    core->is_check_due = true;
    core->is_place_due = true;
    core->is_want_due = true;
}

bool core_site_is_open(const struct core_site *site)
{
    return site->fits && site->refusal == WIRE_REFUSAL_NONE &&
           site->job->spec.cores <= site->peer->cores && !core_site_is_napping(site);
}

/* --- who could, if there were a session --------------------------------------------------------
 */

/* Makes no site: there may be many peers. */
static bool could_take(const struct core_job *job, const struct core_card *card)
{
    struct table_entry *entry = table_find(&job->by_peer, &card->key);
    return entry != NULL ? core_site_is_open(LIST_ENTRY(entry, struct core_site, by_peer))
                         : job->spec.cores <= core_card_cores(card) && is_fit(job, card);
}

bool core_place_could_take(const struct core *core, const struct core_card *card)
{
    unsigned n = 0;
    list_for_each (node, &core->ready) {
        if (could_take(LIST_ENTRY(node, struct core_job, ready), card)) {
            return true;
        }
        if (++n == CORE_SEEK_JOBS_MAX) {
            break;
        }
    }
    return false;
}

static uint64_t n_to_place(const struct core_job *job)
{
    uint64_t n = job->n_waiting;
    uint64_t n_out = (uint64_t)job->n_active + job->n_extra;
    if (job->jobs_max > 0 && n + n_out > job->jobs_max) {
        n = job->jobs_max > n_out ? job->jobs_max - n_out : 0;
    }
    return n;
}

uint64_t core_place_cores_waiting(const struct core *core)
{
    uint64_t n = 0;
    list_for_each (node, &core->ready) {
        const struct core_job *job = LIST_ENTRY(node, struct core_job, ready);
        n += n_to_place(job) * job->spec.cores;
    }
    return n;
}

/* --- the choice --------------------------------------------------------------------------------
 */

/* What is to be sent there before the task begins, as far as is known. */
static uint64_t n_to_send(const struct core *core, const struct core_task *task,
                          const struct core_site *site)
{
    const struct core_job *job = task->job;
    bool has_files = site->peer->is_self || site->job_link != 0;
    uint64_t n_refs = 0;
    if (task->cargo != NULL) {
        n_refs = site->peer->is_self ? core_left_bytes_away(task)
                                     : core_blob_bytes_missing(core, task->cargo->refs, site->peer);
    }
    uint64_t n_files = has_files ? 0 : job->file_bytes;
    return n_refs <= UINT64_MAX - n_files ? n_refs + n_files : UINT64_MAX;
}

/* Idle cores first, then whom less is to be sent, then the emptiest, then the nearest. */
static bool is_better(const struct core *core, const struct core_task *task,
                      const struct core_site *a, const struct core_site *b)
{
    const struct core_job *job = task->job;
    const struct core_peer *p = a->peer;
    const struct core_peer *q = b->peer;
    int64_t idle_p = idle_at(p);
    int64_t idle_q = idle_at(q);
    bool has_idle_p = idle_p >= (int64_t)job->spec.cores;
    bool has_idle_q = idle_q >= (int64_t)job->spec.cores;
    if (has_idle_p != has_idle_q) {
        return has_idle_p;
    }
    if (job->file_bytes > 0 || task->cargo != NULL) {
        uint64_t n_a = n_to_send(core, task, a);
        uint64_t n_b = n_to_send(core, task, b);
        if (n_a != n_b) {
            return n_a < n_b;
        }
    }
    if (idle_p != idle_q) {
        return idle_p > idle_q;
    }
    return p->rtt_ns < q->rtt_ns;
}

bool core_task_died_on(const struct core_task *task, const struct core_peer *peer)
{
    for (uint32_t i = 0; i < task->n_cell_deaths; i++) {
        if (wire_key_eq(&task->died_on[i], &peer->key)) {
            return true;
        }
    }
    return false;
}

/* Whether a peer that is up, if busy now, has not seen this task kill a cell. */
static bool is_any_unharmed(struct core *core, const struct core_task *task)
{
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (peer->state == CORE_PEER_UP && !core_task_died_on(task, peer) &&
            core_site_is_open(core_site_get(core, task->job, peer))) {
            return true;
        }
    }
    return false;
}

/* Who has most idle cores, and is the nearest of those, is the best as long as it is open to the
 * job and nothing is to be sent there first. NULL: not known without looking at all. */
static struct core_site *choose_first(struct core *core, const struct core_task *task)
{
    struct core_job *job = task->job;
    struct heap_entry *first = heap_first(&core->by_idle);
    struct core_peer *peer = CONTAINER_OF(first, struct core_peer, by_idle);
    struct core_site *site = core_site_get(core, job, peer);
    return core_site_is_open(site) && n_to_send(core, task, site) == 0 ? site : NULL;
}

static struct core_site *choose_site(struct core *core, struct core_job *job,
                                     const struct core_task *task)
{
    bool is_picky = task->n_cell_deaths > 0 && is_any_unharmed(core, task);
    struct core_site *best = is_picky ? NULL : choose_first(core, task);
    if (best != NULL) {
        return best;
    }
    list_for_each (node, &core->spare) {
        struct core_peer *peer = LIST_ENTRY(node, struct core_peer, spare);
        struct core_site *site = core_site_get(core, job, peer);
        if (core_site_is_open(site) && (!is_picky || !core_task_died_on(task, peer)) &&
            (best == NULL || is_better(core, task, site, best))) {
            best = site;
        }
    }
    return best;
}

/* The job whose turn it is: priority, then fewest cores in use, then the older. */
static struct core_job *choose_job(const struct core *core)
{
    struct core_job *best = NULL;
    list_for_each (node, &core->ready) {
        struct core_job *job = LIST_ENTRY(node, struct core_job, ready);
        if (job->tried == core->n_passes) {
            continue;
        }
        bool is_first = best == NULL || job->spec.priority > best->spec.priority ||
                        (job->spec.priority == best->spec.priority &&
                         (job->cores_placed < best->cores_placed ||
                          (job->cores_placed == best->cores_placed && job->id < best->id)));
        best = is_first ? job : best;
    }
    return best;
}

/* --- nobody can --------------------------------------------------------------------------------
 */

struct prospect {
    bool can_any;           /* a peer could run the job */
    struct core_site *site; /* the first that would fit, and refused it; or NULL */
};

/* Of those without a session. */
static bool can_any_known(const struct core *core, const struct core_job *job)
{
    table_for_each (entry, &core->cards) {
        const struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        if (core_card_state(card) == CORE_PEER_KNOWN && could_take(job, card)) {
            return true;
        }
    }
    return false;
}

static struct prospect prospect_of(struct core *core, struct core_job *job)
{
    struct prospect prospect = {0};
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (!peer->is_self && !core_peer_is_here(peer)) {
            continue;
        }
        struct core_site *site = core_site_get(core, job, peer);
        if (!site->fits || job->spec.cores > peer->cores) {
            continue;
        }
        if (site->refusal == WIRE_REFUSAL_NONE) {
            return (struct prospect){.can_any = true};
        }
        prospect.site = prospect.site != NULL ? prospect.site : site;
    }
    prospect.can_any = can_any_known(core, job);
    return prospect;
}

static void check_job(struct core *core, struct core_job *job)
{
    struct prospect prospect = prospect_of(core, job);
    if (prospect.can_any) {
        core_timer_stop(core, &job->stuck_timer);
    } else if (prospect.site != NULL) {
        if (!heap_has(&job->stuck_timer.entry)) {
            bool is_any_coming = core_peer_is_any_coming(core);
            core_timer_set(core, &job->stuck_timer,
                           core->now_ns + (is_any_coming ? CORE_STUCK_NS : 0));
        }
    } else if (!job->is_unfit_told && !heap_has(&core->startup_timer.entry)) {
        job->is_unfit_told = true;
        core_job_say_unfit(core, job);
    }
}

void core_job_stuck_fire(struct core *core, struct core_timer *timer)
{
    struct core_job *job = CONTAINER_OF(timer, struct core_job, stuck_timer);
    struct prospect prospect = prospect_of(core, job);
    if (job->is_over || prospect.can_any || prospect.site == NULL) {
        return;
    }
    enum wire_refusal refusal = prospect.site->refusal;
    struct slice detail = core_batch_copy(core, slice_str(prospect.site->detail));
    while (!job->is_over && !list_is_empty(&job->waiting)) {
        struct core_task *task = LIST_ENTRY(job->waiting.next, struct core_task, in_waiting);
        core_task_give_up(core, task, WIRE_END_NOT_STARTED, refusal, detail);
    }
}

/* --- the run -----------------------------------------------------------------------------------
 */

static unsigned bits(uint64_t n)
{
    unsigned n_bits = 0;
    for (; n > 0; n >>= 1) {
        n_bits++;
    }
    return n_bits;
}

/* What peers are told of waiting tasks changes with the order of magnitude. */
static void note_waiting(struct core *core)
{
    uint64_t n = 0;
    list_for_each (node, &core->ready) {
        n += LIST_ENTRY(node, struct core_job, ready)->n_waiting;
    }
    unsigned class = bits(n);
    if (class != core->want_class) {
        core->want_class = class;
        core->is_want_due = true;
    }
}

void core_place_run(struct core *core)
{
    if (core->is_check_due) {
        core->is_check_due = false;
        table_for_each (entry, &core->jobs) {
            struct core_job *job = LIST_ENTRY(entry, struct core_job, by_id);
            if (job->n_waiting > 0 && !job->is_over && job->n_awaited == 0) {
                core_job_review_naps(core, job);
                check_job(core, job);
            }
        }
    }
    core->n_passes++;
    while (!list_is_empty(&core->spare)) {
        struct core_job *job = choose_job(core);
        if (job == NULL) {
            break;
        }
        struct core_task *task = LIST_ENTRY(job->waiting.next, struct core_task, in_waiting);
        enum core_left_state left = core_left_state_of(task);
        if (left == CORE_LEFT_GONE) {
            core_task_give_up(core, task, WIRE_END_NO_DATA, WIRE_REFUSAL_NONE,
                              slice_str("what it reads was lost with the peer that had it"));
            continue;
        }
        struct core_site *site = left == CORE_LEFT_READY ? choose_site(core, job, task) : NULL;
        if (site == NULL) {
            job->tried = core->n_passes;
            if (task->n_cell_deaths > 0 || left != CORE_LEFT_READY) { /* let others pass */
                list_remove(&task->in_waiting);
                list_push_back(&job->waiting, &task->in_waiting);
            }
            continue;
        }
        core_task_place(core, task, site);
        core_job_update(core, job);
    }
    core->is_place_due = false;
    if (core->is_sparse && !list_is_empty(&core->ready)) {
        core_sparse_changed(core);
    }
    note_waiting(core);
    core_tail_consider(core);
}

static struct wire_want want_of(struct core *core, struct core_peer *peer)
{
    uint64_t n_tasks = 0;
    uint64_t n_cores = 0;
    list_for_each (node, &core->ready) {
        struct core_job *job = LIST_ENTRY(node, struct core_job, ready);
        if (!core_site_is_open(core_site_get(core, job, peer))) {
            continue;
        }
        uint64_t n = n_to_place(job);
        n_tasks += n;
        n_cores += n * job->spec.cores;
    }
    return (struct wire_want){.n_tasks = n_tasks < UINT32_MAX ? (uint32_t)n_tasks : UINT32_MAX,
                              .cores = n_cores < UINT32_MAX ? (uint32_t)n_cores : UINT32_MAX};
}

void core_want_run(struct core *core)
{
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (!peer->is_self && (peer->link == NULL || !peer->is_inventoried)) {
            continue;
        }
        struct wire_want want = want_of(core, peer);
        if (bits(want.n_tasks) != bits(peer->want_sent.n_tasks) ||
            bits(want.cores) != bits(peer->want_sent.cores)) {
            peer->want_sent = want;
            struct wire_message message = {.type = WIRE_MESSAGE_WANT};
            message.want = want;
            core_send(core, peer, &message);
        }
    }
}
