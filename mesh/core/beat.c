/* Heartbeats, round trips, and who has been silent for too long.
 *
 * Each side announces its interval in its beats. Silence is measured by what the other announced,
 * except where attempts are outstanding: then the fast interval is expected, whatever was said. */
#include "mesh/core/exec.h"
#include "mesh/core/job.h"
#include "mesh/core/peer.h"
#include "mesh/core/queue.h"

static bool is_busy(const struct core_peer *peer)
{
    return peer->n_placed > 0 || peer->n_open > 0 || core_queue_needs(peer);
}

/* Whether so little is expected of it that silence is reckoned from when its next beat is due. */
static bool is_slow(const struct core *core, const struct core_peer *peer)
{
    return !is_busy(peer) && peer->their_beat_ms * CORE_MS > core->config.dead_after_ns / 2;
}

static uint64_t limit_ns(const struct core *core, const struct core_peer *peer)
{
    uint64_t dead_ns = core->config.dead_after_ns;
    return is_slow(core, peer) ? dead_ns + peer->their_beat_ms * CORE_MS : dead_ns;
}

/* Half of dead-after before it is down; but where that is short, not before its next beat is late,
 * by as long as a packet takes that has to be sent again. */
static uint64_t patience_ns(const struct core *core, const struct core_peer *peer)
{
    uint64_t dead_ns = core->config.dead_after_ns;
    uint64_t half_ns = limit_ns(core, peer) - dead_ns / 2;
    uint64_t beat_ms = is_busy(peer) ? CORE_BEAT_BUSY_MS : peer->their_beat_ms;
    uint64_t late_ns = beat_ms * CORE_MS + dead_ns / 4;
    return half_ns > late_ns ? half_ns : late_ns;
}

/* Since when the other side is silent, as far as it can be blamed for it. */
static uint64_t silent_since_ns(const struct core *core, const struct core_peer *peer)
{
    uint64_t since = peer->heard_ns;
    if (is_busy(peer) && peer->busy_ns > since) {
        since = peer->busy_ns;
    }
    return since;
}

static uint64_t accuse_ns(const struct core *core, const struct core_peer *peer)
{
    uint64_t at_ns = silent_since_ns(core, peer) + limit_ns(core, peer);
    return at_ns > core->grace_until_ns ? at_ns : core->grace_until_ns;
}

static uint64_t suspect_ns(const struct core *core, const struct core_peer *peer)
{
    uint64_t at_ns = silent_since_ns(core, peer) + patience_ns(core, peer);
    return at_ns > core->grace_until_ns ? at_ns : core->grace_until_ns;
}

static void arm_quiet(struct core *core, struct core_peer *peer)
{
    uint64_t at_ns =
        peer->state == CORE_PEER_SUSPECT ? accuse_ns(core, peer) : suspect_ns(core, peer);
    core_timer_set(core, &peer->quiet_timer, at_ns);
}

static void quiet_fire(struct core *core, struct core_timer *timer)
{
    struct core_peer *peer = CONTAINER_OF(timer, struct core_peer, quiet_timer);
    if (peer->link == NULL) {
        return;
    }
    if (peer->state == CORE_PEER_SUSPECT && core->now_ns >= accuse_ns(core, peer)) {
        peer->lost_ns = core->now_ns;
        core_link_close(core, peer->link, WIRE_REASON_SILENT, "nothing heard for too long");
        core_peer_move(core, peer, CORE_PEER_ON_SILENT);
        core_dial_start(core, peer, 0);
        return;
    }
    if (peer->state == CORE_PEER_UP && core->now_ns >= suspect_ns(core, peer)) {
        core_peer_move(core, peer, CORE_PEER_ON_QUIET);
    }
    arm_quiet(core, peer);
}

static void send_beat(struct core *core, struct core_peer *peer)
{
    peer->beat_ms = is_busy(peer) ? CORE_BEAT_BUSY_MS : CORE_BEAT_IDLE_MS;
    peer->token = core->next_token++;
    peer->token_ns = core->now_ns;
    uint32_t cores = core_exec_offered(core);
    struct wire_message message = {.type = WIRE_MESSAGE_BEAT};
    message.beat = (struct wire_beat){
        .token = peer->token,
        .interval_ms = peer->beat_ms,
        .cores = cores,
        .free = cores > core->cores_used ? cores - core->cores_used : 0,
        .n_queued = core->n_queued,
        .n_running = core->n_running,
        .is_spare = !core_sparse_keeps(core, peer),
    };
    core_send(core, peer, &message);
    core_timer_set(core, &peer->beat_timer, core->now_ns + peer->beat_ms * CORE_MS);
}

static void beat_fire(struct core *core, struct core_timer *timer)
{
    struct core_peer *peer = CONTAINER_OF(timer, struct core_peer, beat_timer);
    if (peer->link != NULL && !core_sparse_dismiss(core, peer)) {
        send_beat(core, peer);
    }
}

void core_beat_init(struct core_peer *peer)
{
    peer->beat_timer.fire = beat_fire;
    peer->quiet_timer.fire = quiet_fire;
    peer->beat_ms = peer->their_beat_ms = CORE_BEAT_IDLE_MS;
}

void core_beat_link_up(struct core *core, struct core_peer *peer)
{
    peer->heard_ns = core->now_ns;
    peer->their_beat_ms = CORE_BEAT_IDLE_MS;
    send_beat(core, peer);
    arm_quiet(core, peer);
}

void core_beat_link_gone(struct core *core, struct core_peer *peer)
{
    core_timer_stop(core, &peer->beat_timer);
    core_timer_stop(core, &peer->quiet_timer);
}

void core_beat_heard(struct core *core, struct core_peer *peer)
{
    peer->heard_ns = core->now_ns;
    if (peer->state == CORE_PEER_SUSPECT) {
        core_peer_move(core, peer, CORE_PEER_ON_HEARD);
        arm_quiet(core, peer);
    }
}

void core_beat_on_beat(struct core *core, struct core_peer *peer, const struct wire_beat *beat)
{
    struct wire_message message = {.type = WIRE_MESSAGE_BEAT_ACK};
    message.beat_ack.token = beat->token;
    core_send(core, peer, &message);
    peer->is_spare_there = beat->is_spare;
    uint32_t ms = beat->interval_ms;
    ms = ms < CORE_BEAT_BUSY_MS ? CORE_BEAT_BUSY_MS : ms < CORE_BEAT_MS_MAX ? ms : CORE_BEAT_MS_MAX;
    if (ms != peer->their_beat_ms) {
        peer->their_beat_ms = ms;
        arm_quiet(core, peer);
    }
    uint32_t cores = beat->cores < WIRE_CORES_MAX ? beat->cores : WIRE_CORES_MAX;
    uint32_t idle = beat->free < cores ? beat->free : cores;
    if (cores != peer->cores || idle != peer->free) {
        core->are_peers_changed = true;
    }
    bool are_cores_changed = cores != peer->cores;
    if (cores > peer->cores) { /* what it could not take a moment ago it may take now */
        peer->is_resting = false;
        core_timer_stop(core, &peer->rest_timer);
    }
    peer->cores = cores;
    peer->free = idle;
    if (are_cores_changed) {
        core_place_peer_changed(core, peer);
    }
}

void core_beat_on_ack(struct core *core, struct core_peer *peer, const struct wire_beat_ack *ack)
{
    if (ack->token != peer->token || peer->token == 0) {
        return;
    }
    peer->token = 0;
    uint64_t rtt_ns = core->now_ns - peer->token_ns;
    core->are_peers_changed |= !peer->has_rtt;
    peer->rtt_ns = peer->has_rtt ? (7 * peer->rtt_ns + rtt_ns) / 8 : rtt_ns;
    peer->has_rtt = true;
}

void core_beat_hurry(struct core *core, struct core_peer *peer)
{
    if (peer->link == NULL) {
        return;
    }
    /* What is asked of a silent peer meanwhile makes its silence no shorter. */
    if (peer->busy_ns <= peer->heard_ns) {
        peer->busy_ns = core->now_ns;
    }
    if (peer->beat_ms > CORE_BEAT_BUSY_MS) {
        send_beat(core, peer);
    }
    arm_quiet(core, peer);
}

void core_beat_all(struct core *core)
{
    table_for_each (entry, &core->peers) {
        struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (peer->link != NULL) {
            send_beat(core, peer);
        }
    }
}
