/* core_check(): every invariant of mesh/core/README.md, by its number there. */
#include <string.h>

#include "mesh/core/exec.h"
#include "mesh/core/left.h"
#include "mesh/core/peer.h"
#include "mesh/core/queue.h"

static void check_cards(const struct core *core)
{
    uint64_t sums[WIRE_PEERS_SUMS] = {0};
    uint32_t n_with_peer = 0;
    table_for_each (entry, &core->cards) {
        const struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        const struct core_peer *peer = card->peer;
        ensure(peer == NULL || peer->card == card);                  /* 22 */
        ensure(peer == NULL || wire_key_eq(&peer->key, &card->key)); /* 22 */
        ensure(peer != NULL || card->state == CORE_PEER_NEW ||       /* 22 */
               card->state == CORE_PEER_KNOWN || card->state == CORE_PEER_DOWN);
        n_with_peer += peer != NULL;
        uint32_t n_addresses = 0;
        for (const struct core_address *address = card->addresses; address != NULL;
             address = address->next) {
            ensure(address->sources != 0);
            n_addresses++;
        }
        ensure(n_addresses == card->n_addresses); /* 23 */
        sums[core_card_part(card)] ^= core_card_term(card);
    }
    ensure(n_with_peer == core->peers.n);                /* 22 */
    ensure(memcmp(sums, core->sums, sizeof(sums)) == 0); /* 23 */
}

static void check_peer(const struct core *core, const struct core_peer *peer)
{
    uint32_t n_placed = 0;
    uint32_t cores_placed = 0;
    list_for_each (node, &peer->placed) {
        const struct core_attempt *attempt = LIST_ENTRY(node, struct core_attempt, of_peer);
        ensure(!attempt->is_lost);
        ensure(attempt->site->peer == peer);
        cores_placed += attempt->task->job->spec.cores;
        n_placed++;
    }
    uint32_t n_at_sites = 0;
    list_for_each (node, &peer->sites) {
        n_at_sites += LIST_ENTRY(node, struct core_site, of_peer)->n_placed;
    }
    ensure(n_at_sites == n_placed);                                                        /* 14 */
    ensure(n_placed == peer->n_placed);                                                    /* 4 */
    ensure(cores_placed == peer->cores_placed);                                            /* 4 */
    ensure(list_is_linked(&peer->spare) == heap_has(&peer->by_idle));                      /* 20 */
    ensure(list_is_linked(&peer->active) == (peer->want.n_tasks > 0 || peer->n_open > 0)); /* 20 */
    if (!peer->is_self && peer->state != CORE_PEER_UP && peer->state != CORE_PEER_SUSPECT &&
        peer->state != CORE_PEER_LOST) {
        ensure(peer->n_placed == 0); /* 5 */
    }
    bool is_standing = peer->state == CORE_PEER_UP || peer->state == CORE_PEER_SUSPECT;
    ensure(peer->is_self || (peer->link != NULL) == is_standing);               /* 1 */
    ensure(peer->link == NULL || heap_has(&peer->quiet_timer.entry));           /* 2 */
    ensure(peer->link == NULL || heap_has(&peer->beat_timer.entry));            /* 2 */
    ensure(peer->state != CORE_PEER_LOST || heap_has(&peer->lost_timer.entry)); /* 3 */
    uint32_t n_open = 0;
    uint32_t n_ended = 0;
    uint32_t n_queued = 0;
    uint32_t cores_used = 0;
    uint32_t n_paused = 0;
    uint64_t mem_open = 0;
    list_for_each (node, &peer->held) {
        const struct core_held *held = LIST_ENTRY(node, struct core_held, of_owner);
        n_open += held->is_open;
        mem_open += held->is_open && core->config.mem_bytes > 0 ? held->xjob->spec.mem_bytes : 0;
        n_ended += held->state == CORE_HELD_ENDED;
        n_queued += held->state == CORE_HELD_WANTING || held->state == CORE_HELD_QUEUED;
        bool is_running = held->state == CORE_HELD_STARTING || held->state == CORE_HELD_RUNNING ||
                          held->state == CORE_HELD_ENDING;
        cores_used += is_running && !held->is_paused ? held->xjob->spec.cores : 0;
        n_paused += held->is_paused;
        ensure(!held->is_paused || (is_running && !peer->is_self));                   /* 30 */
        ensure(list_is_linked(&held->in_paused) == held->is_paused);                  /* 30 */
        ensure((held->cell != NULL) == is_running);                                   /* 10 */
        ensure(list_is_linked(&held->in_queue) == (held->state == CORE_HELD_QUEUED)); /* 11 */
    }
    ensure(n_open == peer->n_open);         /* 9 */
    ensure(mem_open == peer->mem_open);     /* 9 */
    ensure(n_ended == peer->n_ended);       /* 9 */
    ensure(n_queued == peer->n_queued);     /* 9 */
    ensure(cores_used == peer->cores_used); /* 9 */
    ensure(n_paused == peer->n_paused);     /* 30 */
    bool is_waiting = !list_is_empty(&peer->queue) && core_exec_may_begin(peer);
    ensure(list_is_linked(&peer->queued) == is_waiting); /* 20 */
}

static void check_task(const struct core_task *task)
{
    uint32_t n_attempts = 0;
    uint32_t n_live = 0;
    uint32_t n_begun = 0;
    uint32_t n_out = 0;
    const struct core_peer *peer = NULL;
    list_for_each (node, &task->attempts) {
        const struct core_attempt *attempt = LIST_ENTRY(node, struct core_attempt, of_task);
        ensure(attempt->task == task);
        ensure(attempt->number <= task->n_numbers);
        n_out += !attempt->is_lost;
        if (!attempt->is_lost && !attempt->is_cancelled) {
            n_live++;
            n_begun += attempt->is_begun;
            ensure(attempt->site->peer != peer); /* 6 */
            peer = attempt->site->peer;
        }
        n_attempts++;
    }
    ensure(n_attempts == task->n_attempts);
    ensure(n_out == task->n_out);
    ensure(n_live <= 2);                                                     /* 6 */
    ensure((task->state == CORE_TASK_FETCHING) == (task->returned != NULL)); /* 7 */
    ensure((task->state == CORE_TASK_KEEPING) == (task->keeping != NULL));   /* 15 */
    switch ((enum core_task_state)task->state) {
    case CORE_TASK_WAITING:
        ensure(n_live == 0); /* 6 */
        ensure(list_is_linked(&task->in_waiting));
        break;
    case CORE_TASK_PLACED:
        ensure(n_live == 1);  /* 6 */
        ensure(n_begun == 0); /* 6 */
        break;
    case CORE_TASK_RUNNING:
        ensure(n_begun >= 1); /* 6 */
        break;
    case CORE_TASK_FETCHING:
    case CORE_TASK_KEEPING:
        break;
    case CORE_TASK_DONE:
        ensure(n_live == 0);    /* 8 */
        ensure(n_attempts > 0); /* else it were freed */
        break;
    case CORE_N_TASK_STATES:
        ensure(!"reached");
    }
}

static void check_sites(const struct core_job *job)
{
    uint32_t n_resting = 0;
    list_for_each (node, &job->sites) {
        const struct core_site *site = LIST_ENTRY(node, struct core_site, of_job);
        n_resting += site->is_held_back;
        ensure(site->is_held_back || !heap_has(&site->nap_timer.entry)); /* 14 */
    }
    ensure(n_resting == job->n_resting); /* 14 */
}

static void check_job(const struct core_job *job)
{
    check_sites(job);
    uint64_t n_done = job->n_added - job->n_unloaded;
    uint32_t n_keeping = 0;
    uint32_t n_fetching = 0;
    uint32_t n_waiting = 0;
    uint32_t n_active = 0;
    uint32_t n_extra = 0;
    table_for_each (entry, &job->tasks) {
        const struct core_task *task = LIST_ENTRY(entry, struct core_task, by_number);
        check_task(task);
        n_waiting += task->state == CORE_TASK_WAITING;
        bool is_active = task->state == CORE_TASK_PLACED || task->state == CORE_TASK_RUNNING ||
                         task->state == CORE_TASK_FETCHING;
        n_active += is_active;
        n_extra += task->n_out > is_active ? task->n_out - is_active : 0;
        n_keeping += task->state == CORE_TASK_KEEPING;
        n_fetching += task->state == CORE_TASK_FETCHING;
        ensure(job->n_unloaded == 0 || task->number < job->next_load); /* 16 */
        n_done -= task->state != CORE_TASK_DONE;
    }
    ensure(n_waiting == job->n_waiting);
    ensure(n_active == job->n_active);
    ensure(n_extra == job->n_extra);
    ensure(n_keeping == job->n_keeping);                       /* 15 */
    ensure(n_keeping == 0 || job->is_detached);                /* 15 */
    ensure(job->n_unloaded == 0 || job->is_detached);          /* 16 */
    ensure(!job->is_kept || job->n_journaled == job->n_added); /* 17 */
    ensure(!job->is_kept || job->client == NULL);              /* 17 */
    uint32_t n_awaited = 0;
    for (uint32_t i = 0; i < job->after.n; i++) {
        n_awaited += !job->are_ended[i];
    }
    ensure(n_awaited == job->n_awaited || job->is_over || job->is_cancelled); /* 31 */
    ensure(!job->is_restored || job->is_kept);                                /* 17 */
    ensure(n_done == job->n_done); /* 8: each task is done once */
    ensure(job->n_succeeded + job->n_failed == job->n_done);
    ensure(job->n_acked <= job->n_done);
    ensure(job->n_added <= job->tasks_max);
    /* A late answer of a lost attempt may be fetched beside those that run. */
    ensure(job->jobs_max == 0 || n_active - n_fetching + n_extra <= job->jobs_max);
}

static uint64_t bytes_of(const struct core_peer *peer)
{
    uint64_t bytes = 0;
    list_for_each (node, &peer->held) {
        bytes += LIST_ENTRY(node, struct core_held, of_owner)->bytes;
    }
    list_for_each (node, &peer->xjobs) {
        bytes += LIST_ENTRY(node, struct core_xjob, of_owner)->bytes;
    }
    return peer->is_self ? 0 : bytes;
}

/* The peers are walked once: what is summed over them. */
struct sums {
    uint32_t cores_used, n_queued;
    uint32_t n_of_origins, cores_of_origins;
    uint64_t bytes;
};

static void check_peers(const struct core *core, struct sums *ret_sums)
{
    struct sums sums = {0};
    table_for_each (entry, &core->peers) {
        const struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        check_peer(core, peer);
        sums.cores_used += peer->cores_used;
        sums.n_queued += peer->n_queued;
        sums.bytes += peer->bytes_here;
        ensure(peer->bytes_here == bytes_of(peer)); /* 29 */
        if (peer->origin != NULL) {
            sums.n_of_origins++;
            sums.cores_of_origins += peer->cores_used;
        }
    }
    *ret_sums = sums;
}

static void check_origins(const struct core *core, const struct sums *sums)
{
    uint32_t n_peers = 0;
    uint32_t cores_used = 0;
    uint64_t bytes = 0;
    table_for_each (entry, &core->origins) {
        const struct core_origin *origin = LIST_ENTRY(entry, struct core_origin, by_text);
        ensure(origin->n_peers > 0); /* 19 */
        n_peers += origin->n_peers;
        cores_used += origin->cores_used;
        bytes += origin->bytes;
        ensure(list_is_empty(&origin->waiting) != heap_has(&origin->by_turn)); /* 20 */
        ensure(!heap_has(&origin->by_turn) ||
               origin->by_turn.at_ns == core_origin_rank(origin)); /* 20 */
        list_for_each (node, &origin->waiting) {
            ensure(LIST_ENTRY(node, struct core_peer, queued)->origin == origin); /* 20 */
        }
    }
    ensure(n_peers == sums->n_of_origins);        /* 19 */
    ensure(cores_used == sums->cores_of_origins); /* 19 */
    ensure(bytes == sums->bytes);                 /* 29 */
    ensure(bytes == core->others_bytes);          /* 29 */
}

static void check_tellers(const struct core *core)
{
    uint32_t n_cards = 0;
    uint32_t n_told = 0;
    table_for_each (entry, &core->tellers) {
        const struct core_teller *teller = LIST_ENTRY(entry, struct core_teller, by_text);
        ensure(teller->n_cards > 0);              /* 37 */
        ensure(teller->n_cards <= CORE_TOLD_MAX); /* 37 */
        n_cards += teller->n_cards;
    }
    table_for_each (entry, &core->cards) {
        n_told += LIST_ENTRY(entry, struct core_card, by_key)->teller != NULL;
    }
    ensure(n_cards == n_told); /* 37 */
}

static void check_exec(const struct core *core, const struct sums *sums)
{
    check_origins(core, sums);
    uint32_t n_running = 0;
    table_for_each (entry, &core->held) {
        const struct core_held *held = LIST_ENTRY(entry, struct core_held, by_key);
        ensure(held->state != CORE_HELD_GONE);
        n_running += held->cell != NULL;
    }
    ensure(sums->cores_used == core->cores_used);
    ensure(n_running == core->n_running);
    ensure(sums->n_queued == core->n_queued);
    uint32_t n_idle = 0;
    list_for_each (node, &core->idle_cells) {
        ensure(!LIST_ENTRY(node, struct core_cell, of_core)->xjob->is_over); /* 10 */
        n_idle++;
    }
    ensure(core->n_cells == n_idle + n_running);                                     /* 10 */
    ensure(n_idle == 0 || heap_has(&core->cell_timer.entry));                        /* 10 */
    ensure(core->config.mem_bytes == 0 || core->mem_used <= core->config.mem_bytes); /* 12 */
    ensure(core->config.cores > 0 || core->n_queued == 0);                           /* 21 */
}

static void check_journal(const struct core_journal *journal)
{
    uint64_t last = 0;
    uint32_t n_said = 0;
    uint32_t n_failed = 0;
    list_for_each (node, &journal->said) {
        const struct core_entry *entry = LIST_ENTRY(node, struct core_entry, node);
        ensure(entry->number > last); /* 18 */
        last = entry->number;
        n_said++;
    }
    list_for_each (node, &journal->failed) {
        n_failed++;
    }
    ensure(last <= journal->last);
    ensure(n_said == journal->n_said);
    ensure(n_failed == journal->n_failed);
    ensure(n_failed == 0 || journal->is_failing);                                        /* 18 */
    ensure(!journal->is_failing || n_said > 0 || heap_has(&journal->retry_timer.entry)); /* 18 */
}

static void check_holders(const struct core_blob *blob)
{
    uint32_t n = 0;
    list_for_each (node, &blob->holders) {
        const struct core_holder *holder = LIST_ENTRY(node, struct core_holder, of_blob);
        ensure(holder->blob == blob && list_is_linked(&holder->of_peer)); /* 24 */
        ensure(!holder->peer->is_self);                                   /* 24 */
        n++;
    }
    ensure(n == blob->n_holders && n <= CORE_HOLDERS_MAX); /* 24 */
}

static void check_readers(const struct core_blob *blob)
{
    list_for_each (node, &blob->readers) {
        const struct core_reader *reader = LIST_ENTRY(node, struct core_reader, of_blob);
        const struct core_reader *source = reader->source;
        ensure(reader->blob == blob && reader->peer->link != NULL);                       /* 38 */
        ensure(heap_has(&reader->timer.entry) == (reader->state == CORE_READER_WAITING)); /* 38 */
        ensure(source == NULL ||
               (source->blob == blob && source->state == CORE_READER_HAS)); /* 38 */
        ensure(source == NULL || reader->state == CORE_READER_POINTED);     /* 38 */
    }
}

/* Refs of the client's jobs, which keep its blobs. */
static uint64_t n_reads_of(const struct core *core, const struct core_client *client)
{
    uint64_t n = 0;
    table_for_each (entry, &core->jobs) {
        const struct core_job *job = LIST_ENTRY(entry, struct core_job, by_id);
        table_for_each (inner, &job->tasks) {
            const struct core_task *task = LIST_ENTRY(inner, struct core_task, by_number);
            bool is_counted = job->client == client && !job->is_detached;
            n += is_counted ? core_cargo_refs(task->cargo).n : 0;
        }
    }
    return n;
}

static uint32_t check_put(const struct core_put *put)
{
    uint32_t n_lefts = 0;
    list_for_each (node, &put->lefts) {
        const struct core_left *left = LIST_ENTRY(node, struct core_left, of_put);
        ensure(left->put == put && list_is_linked(&left->of_peer)); /* 25 */
        n_lefts++;
    }
    bool is_asked = put->n_gets > 0 || !list_is_empty(&put->asks);
    ensure(put->n > 0 || put->n_reads > 0);                                /* 26 */
    ensure(put->is_here || put->is_gone == (n_lefts == 0));                /* 27 */
    ensure(!put->is_here || !put->is_gone);                                /* 27 */
    ensure(!put->is_here || n_lefts == 0 || put->n_reads > 0);             /* 27 */
    ensure(!is_asked || (!put->is_here && put->from != NULL));             /* 28 */
    ensure(put->from == NULL || put->from->put == put);                    /* 28 */
    ensure((put->from != NULL) == (put->need.state == CORE_NEED_PENDING)); /* 28 */
    return n_lefts;
}

/* Results that stayed with those who made them. */
static void check_lefts(const struct core *core)
{
    uint32_t n_of_puts = 0;
    uint32_t n_of_peers = 0;
    table_for_each (entry, &core->clients) {
        const struct core_client *client = LIST_ENTRY(entry, struct core_client, by_id);
        uint64_t n_reads = 0;
        table_for_each (inner, &client->puts) {
            const struct core_put *put = LIST_ENTRY(inner, struct core_put, by_hash);
            ensure(put->client == client);
            n_of_puts += check_put(put);
            n_reads += put->n_reads;
        }
        ensure(n_reads == n_reads_of(core, client)); /* 26 */
    }
    table_for_each (entry, &core->peers) {
        const struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        uint32_t n = 0;
        uint64_t n_bytes = 0;
        list_for_each (node, &peer->lefts) {
            n_bytes += LIST_ENTRY(node, struct core_left, of_peer)->put->bytes;
            n++;
        }
        ensure(n == peer->n_lefts && n_bytes == peer->left_bytes);     /* 25 */
        ensure(n <= CORE_LEFTS_MAX && n_bytes <= CORE_LEFT_BYTES_MAX); /* 25 */
        ensure(n == 0 || core_peer_is_here(peer));                     /* 25 */
        n_of_peers += n;
    }
    ensure(n_of_puts == n_of_peers); /* 25 */
}

void core_check(const struct core *core)
{
    ensure(!core->is_stepping);
    ensure(list_is_empty(&core->letters));
    ensure(core->timers.n == 0 || heap_first_ns(&core->timers) == heap_first(&core->timers)->at_ns);
    uint32_t n_tasks = 0;
    uint32_t n_keeping = 0;
    check_cards(core);
    struct sums sums;
    check_peers(core, &sums);
    table_for_each (entry, &core->jobs) {
        const struct core_job *job = LIST_ENTRY(entry, struct core_job, by_id);
        check_job(job);
        n_tasks += (uint32_t)job->tasks.n;
        n_keeping += job->n_keeping;
    }
    ensure(n_keeping == core->journal.n_keeping); /* 15 */
    check_journal(&core->journal);
    ensure(n_tasks == core->n_tasks);
    check_tellers(core);
    check_exec(core, &sums);
    check_lefts(core);
    core_queue_check(core);
    table_for_each (entry, &core->blobs) {
        const struct core_blob *blob = LIST_ENTRY(entry, struct core_blob, by_hash);
        ensure(blob->n_refs > 0); /* 13 */
        check_holders(blob);
        check_readers(blob);
    }
}

struct core_counts core_counts(const struct core *core)
{
    struct core_counts counts = {
        .n_peers = (uint32_t)core->cards.n,
        .n_peers_up = core_peer_n_up(core),
        .n_links = (uint32_t)core->links.n,
        .n_dials = (uint32_t)core->dials.n,
        .n_clients = (uint32_t)core->clients.n,
        .n_jobs = (uint32_t)core->jobs.n,
        .n_tasks = core->n_tasks,
        .n_attempts = core->n_attempts,
        .n_held_queued = core->n_queued,
        .n_held_running = core->n_running,
        .n_cells = core->n_cells,
        .cores_used = core->cores_used,
        .n_records_said = core->journal.n_said,
        .n_records_failed = core->journal.n_failed,
        .n_keeping = core->journal.n_keeping,
        .n_waiters = core->n_waiters,
        .n_queues = (uint32_t)core->queues.by_name.n,
        .n_items = (uint32_t)core->queues.items.n,
        .n_takers = (uint32_t)core->queues.takers.n,
        .n_asks = core->queues.n_asks,
        .is_sparse = core->is_sparse,
    };
    table_for_each (entry, &core->peers) {
        const struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        counts.n_held_ended += peer->n_ended;
        counts.n_lefts += peer->n_lefts;
    }
    table_for_each (entry, &core->cards) {
        const struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        counts.n_peers_known += core_card_state(card) == CORE_PEER_KNOWN;
    }
    table_for_each (entry, &core->blobs) {
        counts.n_blob_refs += LIST_ENTRY(entry, struct core_blob, by_hash)->n_refs;
    }
    return counts;
}

const struct core_moves *core_moves_of(const struct core *core)
{
    return &core->moves;
}
