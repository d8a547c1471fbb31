/* The tables that clients ask for: peers, stats, jobs. The local peer comes first. */
#include "mesh/core/client.h"
#include "mesh/core/job.h"
#include "mesh/core/peer.h"

static struct slice text(struct core *core, const char *s)
{
    return core_batch_copy(core, slice_str(s));
}

/* A stranger that was never reached is nobody's business, unless there is something to say. */
static bool is_shown(const struct core_card *card)
{
    return core_card_state(card) != CORE_PEER_NEW ||
           (card->peer != NULL && card->peer->detail[0] != '\0');
}

/* Whom we only heard of. */
static void fill_known(struct core *core, const struct core_card *card, struct wire_peer_row *row)
{
    *row = (struct wire_peer_row){
        .key = card->key,
        .name = text(core, core_card_name(card)),
        .arch = text(core, core_card_arch(card)),
        .address = text(core, core_card_proved_address(card)),
        .cores = card->cores,
        .free = card->cores,
        .state = core_card_wire_state(card),
    };
}

static void fill_peer(struct core *core, const struct core_peer *peer, struct wire_peer_row *row)
{
    uint32_t cores = peer->cores;
    uint32_t used = core->cores_used < cores ? core->cores_used : cores;
    bool is_conflict = peer->is_self && peer->detail[0] != '\0';
    *row = (struct wire_peer_row){
        .key = peer->key,
        .name = text(core, peer->name),
        .arch = text(core, peer->arch),
        .os = text(core, peer->os),
        .version = text(core, peer->program),
        .address = text(core, peer->address),
        .cores = cores,
        .free = peer->is_self ? cores - used : peer->free,
        .state = is_conflict ? WIRE_PEER_CONFLICT : core_card_wire_state(peer->card),
        .is_local = peer->is_self,
        .has_rtt = peer->has_rtt && core_peer_is_here(peer) && !peer->is_self,
        .rtt_us = peer->rtt_ns / 1000,
        .detail = text(core, peer->detail),
    };
}

void core_stats_send_peers(struct core *core, struct core_client *client)
{
    struct wire_peer_row *rows = core_batch_alloc(core, core->cards.n, sizeof(*rows));
    uint32_t n = 0;
    table_for_each (entry, &core->cards) { /* ourselves are the oldest entry */
        const struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        if (!is_shown(card)) {
            continue;
        }
        struct wire_peer_row *row = &rows[n++];
        if (card->peer != NULL) {
            fill_peer(core, card->peer, row);
        } else {
            fill_known(core, card, row);
        }
        if (row->state == WIRE_PEER_DOWN) {
            row->free = 0;
        }
    }
    struct wire_message message = {.type = WIRE_MESSAGE_PEERS_LIST};
    message.peers_list = (struct wire_peers_list){.items = rows, .n = n};
    core_client_send(core, client->id, &message);
}

void core_stats_send_stats(struct core *core, struct core_client *client)
{
    struct wire_stats_row *rows = core_batch_alloc(core, core->cards.n, sizeof(*rows));
    static const struct core_stats nothing;
    uint32_t n = 0;
    uint32_t n_placed = 0;
    uint32_t cores = 0;
    table_for_each (entry, &core->cards) {
        const struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        const struct core_peer *peer = card->peer;
        unsigned state = core_card_state(card);
        bool is_up =
            state == CORE_PEER_UP || state == CORE_PEER_SUSPECT || state == CORE_PEER_KNOWN;
        cores += is_up ? core_card_cores(card) : 0;
        n_placed += peer != NULL ? peer->n_placed : 0;
        const struct core_stats *stats = peer != NULL ? &peer->stats : &nothing;
        if (is_up || stats->n_tasks > 0 || stats->n_lost > 0) {
            rows[n++] = (struct wire_stats_row){.key = card->key,
                                                .name = text(core, core_card_name(card)),
                                                .is_local = peer == core->self,
                                                .n_tasks = stats->n_tasks,
                                                .n_failed = stats->n_failed,
                                                .n_lost = stats->n_lost,
                                                .wall_us = stats->wall_us,
                                                .cpu_us = stats->cpu_us};
        }
    }
    struct wire_message message = {.type = WIRE_MESSAGE_STATS_LIST};
    message.stats_list = (struct wire_stats_list){
        .items = rows,
        .n = n,
        .uptime_us = (core->now_ns - core->config.now_ns) / 1000,
        .n_running = n_placed,
        .cores = cores,
    };
    core_client_send(core, client->id, &message);
}

static enum wire_job_state state_of(const struct core_job *job)
{
    return job->is_cancelled    ? WIRE_JOB_STOPPING
           : !job->is_complete  ? WIRE_JOB_ADDING
           : job->n_awaited > 0 ? WIRE_JOB_AFTER
                                : WIRE_JOB_RUNNING;
}

void core_stats_send_jobs(struct core *core, struct core_client *client,
                          const struct wire_job_row *over, uint32_t n_over)
{
    struct wire_job_row *rows = core_batch_alloc(core, core->jobs.n + n_over, sizeof(*rows));
    uint32_t n = 0;
    table_for_each (entry, &core->jobs) {
        const struct core_job *job = LIST_ENTRY(entry, struct core_job, by_id);
        if (job->is_over) {
            continue;
        }
        rows[n++] = (struct wire_job_row){.job = job->id,
                                          .name = job->name,
                                          .uid = job->uid,
                                          .is_detached = job->is_detached,
                                          .is_complete = job->is_complete,
                                          .n_tasks = job->n_added,
                                          .n_waiting = job->n_waiting + job->n_unloaded,
                                          .n_placed = job->n_active + job->n_keeping,
                                          .n_succeeded = job->n_succeeded,
                                          .n_failed = job->n_failed,
                                          .age_us = (core->now_ns - job->since_ns) / 1000,
                                          .state = state_of(job),
                                          .text = job->reason};
    }
    for (uint32_t i = n_over; i > 0; i--) { /* theirs come the last one first */
        rows[n] = over[i - 1];
        rows[n].name = core_batch_copy(core, over[i - 1].name);
        rows[n].text = core_batch_copy(core, over[i - 1].text);
        n++;
    }
    struct wire_message message = {.type = WIRE_MESSAGE_JOBS_LIST};
    message.jobs_list = (struct wire_jobs_list){.items = rows, .n = n};
    core_client_send(core, client->id, &message);
}
