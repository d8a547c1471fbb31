/* Who is there, and who did what: peers, cores, statistics as Parallel Python prints them. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mesh/client/clock.h"
#include "mesh/client/handle.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

static void take_peer(const struct wire_peer_row *row, struct mesh_peer *peer)
{
    char id[MESH_CLIENT_ID_BYTES];
    memset(peer, 0, sizeof(*peer));
    text_printable(row->name, peer->name, sizeof(peer->name));
    text_printable(row->arch, peer->arch, sizeof(peer->arch));
    snprintf(peer->id, sizeof(peer->id), "%s", mesh_client_id_text(&row->key, id));
    peer->cores = row->cores;
    peer->free = row->free;
    peer->is_local = row->is_local;
    peer->is_up = row->state == WIRE_PEER_UP;
    peer->rtt = row->has_rtt ? (double)row->rtt_us / 1e6 : 0;
}

void mesh_take_peers(struct mesh_request *request, const struct wire_peers_list *list)
{
    request->cores_up = request->n_up = 0;
    request->n_peers = list->n;
    for (uint32_t i = 0; i < list->n; i++) {
        const struct wire_peer_row *row = &list->items[i];
        if (row->state == WIRE_PEER_UP) {
            request->n_up++;
            request->cores_up += row->cores;
        }
        if (i < request->peers_max) {
            take_peer(row, &request->peers[i]);
        }
    }
}

static int ask(mesh *m, struct mesh_request *request)
{
    mesh_lock(m);
    int r = mesh_ask(m, request);
    if (r < 0 && m->lost == 0) {
        mesh_set_error(m, r, "%s", request->text.text);
    }
    mesh_unlock(m);
    return r;
}

unsigned mesh_cores(mesh *m)
{
    struct mesh_request request = {.type = WIRE_MESSAGE_PEERS_QUERY};
    return m != NULL && ask(m, &request) == 0 ? request.cores_up : 0;
}

int mesh_peers(mesh *m, struct mesh_peer *peers, size_t peers_max, size_t *ret_n)
{
    struct mesh_request request = {
        .type = WIRE_MESSAGE_PEERS_QUERY, .peers = peers, .peers_max = peers_max};
    if (m == NULL || ret_n == NULL || (peers == NULL && peers_max > 0)) {
        return MESH_EINVAL;
    }
    int r = ask(m, &request);
    if (r == 0) {
        *ret_n = request.n_peers;
    }
    return r;
}

int mesh_set_cores(mesh *m, unsigned cores)
{
    struct mesh_request request = {.type = WIRE_MESSAGE_SET_CORES, .cores = cores};
    return m != NULL ? ask(m, &request) : MESH_EINVAL;
}

/* --- statistics --------------------------------------------------------------------------------
 */

static struct mesh_peer_count *count_of(mesh *m, const struct wire_done *done)
{
    for (size_t i = 0; i < m->n_peers; i++) {
        if (memcmp(&m->peers[i]->key, &done->peer, sizeof(done->peer)) == 0) {
            return m->peers[i];
        }
    }
    if (m->n_peers == m->cap_peers) {
        size_t cap = m->cap_peers * 2 + 8;
        struct mesh_peer_count **peers = mem_realloc(m->peers, cap, sizeof(*peers));
        if (peers == NULL) {
            return NULL;
        }
        m->peers = peers;
        m->cap_peers = cap;
    }
    struct mesh_peer_count *count = mem_alloc(1, sizeof(*count));
    if (count != NULL) {
        count->key = done->peer;
        text_printable(done->peer_name, count->name, sizeof(count->name));
        m->peers[m->n_peers++] = count;
    }
    return count;
}

void mesh_count(mesh_future *future, const struct wire_done *done, bool is_failed)
{
    static const struct wire_key nowhere;
    if (memcmp(&done->peer, &nowhere, sizeof(nowhere)) == 0) {
        return;
    }
    struct mesh_peer_count *count = count_of(future->m, done);
    if (count != NULL) {
        count->n_calls++;
        count->n_failed += is_failed;
        count->wall_us += done->result.wall_us;
        future->peer = count;
    }
}

int mesh_get_stats(mesh *m, struct mesh_stats *stats, size_t stats_max, size_t *ret_n)
{
    if (m == NULL || ret_n == NULL || (stats == NULL && stats_max > 0)) {
        return MESH_EINVAL;
    }
    mesh_lock(m);
    for (size_t i = 0; i < m->n_peers && i < stats_max; i++) {
        const struct mesh_peer_count *count = m->peers[i];
        memset(&stats[i], 0, sizeof(stats[i]));
        snprintf(stats[i].peer, sizeof(stats[i].peer), "%s", count->name);
        stats[i].n_calls = count->n_calls;
        stats[i].n_failed = count->n_failed;
        stats[i].seconds = (double)count->wall_us / 1e6;
    }
    *ret_n = m->n_peers;
    mesh_unlock(m);
    return 0;
}

static void print_rows(const mesh *m, FILE *to)
{
    uint64_t n_all = 0;
    for (size_t i = 0; i < m->n_peers; i++) {
        n_all += m->peers[i]->n_calls;
    }
    for (size_t i = 0; i < m->n_peers; i++) {
        const struct mesh_peer_count *count = m->peers[i];
        double seconds = (double)count->wall_us / 1e6;
        fprintf(to, "%10" PRIu64 " |        %6.2f |     %8.4f |  %11.6f | %s\n", count->n_calls,
                100.0 * (double)count->n_calls / (double)n_all, seconds,
                seconds / (double)count->n_calls, count->name);
    }
}

int mesh_print_stats(mesh *m, FILE *to)
{
    if (m == NULL || to == NULL) {
        return MESH_EINVAL;
    }
    unsigned cores = mesh_cores(m); /* 0 when nobody answers any more */
    mesh_lock(m);
    fputs("Job execution statistics:\n"
          " job count | % of all jobs | job time sum | time per job | job server\n",
          to);
    print_rows(m, to);
    fprintf(to, "Time elapsed since server creation %.4f\n%" PRIu64 " active tasks, %u cores\n\n",
            (double)(mesh_client_now_ms() - m->opened_ms) / 1e3, m->n_open, cores);
    mesh_unlock(m);
    return ferror(to) ? MESH_EIO : 0;
}
