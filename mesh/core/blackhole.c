/* A peer on which everything fails at once would win ever more work by failing fast. It is rested,
 * then probed with one task, until one succeeds there.
 *
 * Whether the peer is at fault or the program is asked of the other peers, the witnesses: the sites
 * of the job at peers that are here, may run it, and are not suspected themselves. A row of
 * failures counts against the peer when it is unlikely by how often the job failed at the
 * witnesses; or, while they have shown nothing yet, when one of them has a task of the job or can
 * take one. Without a witness nobody rests: a program that is simply wrong fails everywhere alike,
 * and its job ends as fast as it can fail. */
#include "mesh/core/job.h"
#include "mesh/core/peer.h"

static uint32_t row_min(const struct core_site *site)
{
    uint32_t cores = site->peer->cores;
    return cores > CORE_NAP_ROW_MIN ? cores : CORE_NAP_ROW_MIN;
}

static bool is_suspect(const struct core_site *site)
{
    return site->is_held_back || site->n_bad_row >= row_min(site);
}

static bool is_witness(const struct core_site *site)
{
    const struct core_peer *peer = site->peer;
    return site->fits && site->refusal == WIRE_REFUSAL_NONE &&
           site->job->spec.cores <= peer->cores && (peer->is_self || core_peer_is_here(peer)) &&
           !is_suspect(site);
}

/* Under one in a hundred, when n_bad of n ends were bad. */
static bool is_row_unlikely(uint32_t n_row, uint64_t n_bad, uint64_t n)
{
    uint64_t millionths = 1000000;
    for (uint32_t i = 0; i < n_row && millionths > 0; i++) {
        if (millionths < 10000) {
            return true;
        }
        millionths = millionths * n_bad / n;
    }
    return millionths < 10000;
}

static bool is_to_blame(const struct core_site *site)
{
    uint64_t n_ok = 0;
    uint64_t n_bad = 0;
    bool is_any_clean = false;
    list_for_each (node, &site->job->sites) {
        const struct core_site *other = LIST_ENTRY(node, struct core_site, of_job);
        if (other == site || !is_witness(other)) {
            continue;
        }
        n_ok += other->n_ok;
        n_bad += other->n_bad;
        bool has_one = other->n_placed > 0 || list_is_linked(&other->peer->spare);
        is_any_clean |= other->n_ok + other->n_bad == 0 && has_one;
    }
    return n_ok > 0 ? is_row_unlikely(site->n_bad_row, n_bad, n_ok + n_bad) : is_any_clean;
}

bool core_site_is_napping(const struct core_site *site)
{
    return site->is_held_back && (heap_has(&site->nap_timer.entry) || site->n_placed > 0);
}

static void changed(struct core *core)
{
    core->is_place_due = true;
    core->is_want_due = true;
}

static void let_go(struct core *core, struct core_site *site)
{
    core_timer_stop(core, &site->nap_timer);
    site->job->n_resting--;
    site->is_held_back = false;
    changed(core);
}

static void nap(struct core *core, struct core_site *site)
{
    uint64_t ns = CORE_NAP_NS << (site->n_naps < 6 ? site->n_naps : 6);
    ns = ns < CORE_NAP_MAX_NS ? ns : CORE_NAP_MAX_NS;
    site->n_naps++;
    site->job->n_resting += !site->is_held_back;
    site->is_held_back = true;
    core_timer_set(core, &site->nap_timer, core->now_ns + ns);
    core_tail_recall_site(core, site);
    changed(core);
    char job[WIRE_JOB_TEXT_BYTES];
    core_log(core, CORE_LOG_INFO, "%s failed %u tasks of job %s in a row: it rests for %llu s",
             core_peer_label(site->peer), site->n_bad_row, wire_job_text(site->job->id, job),
             (unsigned long long)(ns / CORE_S));
}

void core_nap_fire(struct core *core, struct core_timer *timer)
{
    (void)timer; /* the site is open to one task again: that it is over is all there is to know */
    changed(core);
}

void core_job_review_naps(struct core *core, struct core_job *job)
{
    if (job->n_resting == 0) {
        return;
    }
    list_for_each (node, &job->sites) {
        struct core_site *site = LIST_ENTRY(node, struct core_site, of_job);
        if (site->is_held_back && !is_to_blame(site)) {
            let_go(core, site);
        }
    }
}

void core_site_note_end(struct core *core, struct core_site *site, bool is_good)
{
    struct core_job *job = site->job;
    if (is_good) {
        site->n_ok++;
        site->n_bad_row = site->n_naps = 0;
        if (site->is_held_back) {
            let_go(core, site);
        }
        return;
    }
    site->n_bad++;
    site->n_bad_row++;
    /* What was there when it began to rest says nothing new. */
    bool is_resting = site->is_held_back && heap_has(&site->nap_timer.entry);
    if (!is_resting && site->n_bad_row >= row_min(site)) {
        if (is_to_blame(site)) {
            nap(core, site);
        } else if (site->is_held_back) {
            let_go(core, site);
        }
    }
    core_job_review_naps(core, job); /* a witness less, perhaps */
}

void core_site_nap_done(struct core *core, struct core_site *site)
{
    core_timer_stop(core, &site->nap_timer);
    site->job->n_resting -= site->is_held_back;
}
