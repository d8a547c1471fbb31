#include "mesh/core/left.h"

#include <errno.h>
#include <string.h>

#include "mesh/core/blob.h"
#include "mesh/core/job.h"
#include "mesh/core/peer.h"
#include "wire/base/mem.h"

struct core_ask { /* an executor waits until the blob is here */
    struct list of_put;
    uint64_t link;
    uint64_t offset;
};

/* --- who keeps it ------------------------------------------------------------------------------
 */

bool core_left_may(const struct core_attempt *attempt, const struct wire_result *result)
{
    const struct core_task *task = attempt->task;
    const struct core_job *job = task->job;
    const struct core_peer *peer = attempt->site->peer;
    if (!task->keeps_result || job->is_detached || job->client == NULL || peer->link == NULL ||
        task->returned != NULL) {
        return false;
    }
    if (result->end != WIRE_END_EXITED || result->status != WIRE_CALL_OK ||
        core_hash_is_zero(&result->out.hash) || !core_hash_is_zero(&result->err.hash)) {
        return false;
    }
    const struct core_put *put = core_put_find(job->client, &result->out.hash);
    return (put == NULL || !put->is_here) && peer->n_lefts < CORE_LEFTS_MAX &&
           result->out.bytes <= CORE_LEFT_BYTES_MAX - peer->left_bytes;
}

void core_left_add(struct core *core, struct core_put *put, struct core_peer *peer,
                   const struct wire_attempt_id *id)
{
    struct core_left *left = mem_alloc_or_die(1, sizeof(*left));
    left->put = put;
    left->peer = peer;
    left->id = *id;
    left->is_seen = true;
    list_push_back(&put->lefts, &left->of_put);
    list_push_back(&peer->lefts, &left->of_peer);
    peer->n_lefts++;
    peer->left_bytes += put->bytes;
    put->is_gone = false;
    core_left_review(core, put);
}

struct core_left *core_left_find(const struct core_peer *peer, const struct wire_attempt_id *id)
{
    list_for_each (node, &peer->lefts) {
        struct core_left *left = LIST_ENTRY(node, struct core_left, of_peer);
        if (left->id.job == id->job && left->id.task == id->task && left->id.number == id->number &&
            left->id.incarnation == id->incarnation) {
            return left;
        }
    }
    return NULL;
}

static void stop_fetch(struct core *core, struct core_put *put)
{
    if (put->from != NULL) {
        core_need_drop(core, &put->need);
        put->from = NULL;
    }
}

static void left_free(struct core *core, struct core_left *left)
{
    struct core_peer *peer = left->peer;
    struct core_put *put = left->put;
    if (put->from == left) {
        stop_fetch(core, put);
    }
    list_remove(&left->of_put);
    list_remove(&left->of_peer);
    peer->n_lefts--;
    peer->left_bytes -= put->bytes;
    mem_free(left);
}

/* It need not keep it any more. */
static void let_go(struct core *core, struct core_left *left)
{
    if (core->effects != NULL) { /* not while the core is freed */
        core_result_ack(core, left->peer, &left->id);
    }
    left_free(core, left);
}

/* It does not keep it. */
static void left_lost(struct core *core, struct core_left *left)
{
    core_blob_drop_holder(core, &left->put->hash, left->peer);
    left_free(core, left);
}

static void let_go_all(struct core *core, struct core_put *put)
{
    while (!list_is_empty(&put->lefts)) {
        let_go(core, LIST_ENTRY(put->lefts.next, struct core_left, of_put));
    }
}

/* --- here, or gone -----------------------------------------------------------------------------
 */

static void answer(struct core *core, struct core_client *client, const struct wire_hash *hash,
                   uint64_t n_bytes, enum wire_error error, const char *text)
{
    struct wire_message message = {.type = WIRE_MESSAGE_GOT};
    message.got.hash = *hash;
    message.got.bytes = n_bytes;
    message.got.error = error;
    message.got.text = core_batch_copy(core, slice_str(text));
    core_client_send(core, client->id, &message);
}

static void answer_gets(struct core *core, struct core_put *put, enum wire_error error,
                        const char *text)
{
    for (; put->n_gets > 0; put->n_gets--) {
        answer(core, put->client, &put->hash, put->bytes, error, text);
    }
}

static void answer_asks(struct core *core, struct core_put *put)
{
    while (!list_is_empty(&put->asks)) {
        struct core_ask *ask = LIST_ENTRY(put->asks.next, struct core_ask, of_put);
        struct core_link *link = core->effects != NULL ? core_link_find(core, ask->link) : NULL;
        list_remove(&ask->of_put);
        if (link != NULL && link->peer->link == link && put->is_here) {
            struct core_effect *effect = core_emit(core, CORE_EFFECT_BLOB_SERVE);
            effect->blob_serve.link = link->id;
            effect->blob_serve.hash = put->hash;
            effect->blob_serve.offset = ask->offset;
        } else if (link != NULL && link->peer->link == link) {
            struct wire_message message = {.type = WIRE_MESSAGE_BLOB_REFUSE};
            message.blob_refuse.hash = put->hash;
            core_send(core, link->peer, &message);
        }
        mem_free(ask);
    }
}

void core_left_is_here(struct core *core, struct core_put *put)
{
    put->is_here = true;
    put->is_gone = false;
    stop_fetch(core, put);
    answer_gets(core, put, WIRE_ERROR_NONE, "");
    answer_asks(core, put);
    core_left_review(core, put);
}

static void is_gone(struct core *core, struct core_put *put)
{
    put->is_gone = true;
    struct wire_message message = {.type = WIRE_MESSAGE_GONE};
    message.gone.hash = put->hash;
    core_client_send(core, put->client->id, &message);
    answer_gets(core, put, WIRE_ERROR_UNAVAILABLE, "it was lost with the peer that had it");
    answer_asks(core, put);
    core->is_place_due = true; /* who reads it waits in vain */
}

static void fetched(struct core *core, struct core_need *need, int error)
{
    struct core_put *put = need->of;
    struct core_left *left = put->from;
    if (error == 0) {
        core_left_is_here(core, put);
        return;
    }
    put->from = NULL; /* the need is dropped already */
    if (error == -ENOENT) {
        core_result_ack(core, left->peer, &left->id); /* whatever it has under that name */
        left_lost(core, left);
        core_left_review(core, put);
        return;
    }
    answer_gets(core, put, WIRE_ERROR_LIMIT, "no room here for it");
    answer_asks(core, put);
}

static void fetch(struct core *core, struct core_put *put)
{
    struct core_left *from = NULL;
    list_for_each (node, &put->lefts) {
        struct core_left *left = LIST_ENTRY(node, struct core_left, of_put);
        if (from == NULL || (from->peer->link == NULL && left->peer->link != NULL)) {
            from = left;
        }
    }
    ensure(from != NULL); /* one that nobody has is lost, and told */
    put->from = from;
    put->need = (struct core_need){.of = put, .on_done = fetched};
    core_need_want(core, &put->need, from->peer, &put->hash, put->bytes);
    if (put->need.state == CORE_NEED_MET) {
        core_left_is_here(core, put);
    }
}

void core_left_bring(struct core *core, struct core_peer *peer)
{
    struct core_put *next;
    do { /* one that we have had from there before is here at once, and the list another */
        next = NULL;
        list_for_each (node, &peer->lefts) {
            struct core_put *put = LIST_ENTRY(node, struct core_left, of_peer)->put;
            if (!put->is_here && put->from == NULL) {
                next = put;
                break;
            }
        }
        if (next != NULL) {
            fetch(core, next);
        }
    } while (next != NULL);
}

void core_left_review(struct core *core, struct core_put *put)
{
    if (put->is_here) {
        if (put->n_reads == 0) { /* else an executor may be about to fetch it there */
            let_go_all(core, put);
        }
    } else if (list_is_empty(&put->lefts)) {
        if (!put->is_gone && core->effects != NULL) {
            is_gone(core, put);
        }
    } else if (put->from == NULL && (put->n_gets > 0 || !list_is_empty(&put->asks))) {
        fetch(core, put);
    }
}

void core_left_drop_all(struct core *core, struct core_put *put)
{
    stop_fetch(core, put);
    let_go_all(core, put);
    answer_asks(core, put);
}

void core_left_is_released(struct core *core, struct core_put *put)
{
    answer_gets(core, put, WIRE_ERROR_UNKNOWN, "it was released");
}

void core_left_on_get(struct core *core, struct core_client *client, const struct wire_hash *hash)
{
    struct core_put *put = core_put_find(client, hash);
    if (put == NULL) {
        answer(core, client, hash, 0, WIRE_ERROR_UNKNOWN, "this connection has no such blob");
    } else if (put->is_here) {
        answer(core, client, hash, put->bytes, WIRE_ERROR_NONE, "");
    } else if (put->is_gone) {
        answer(core, client, hash, put->bytes, WIRE_ERROR_UNAVAILABLE,
               "it was lost with the peer that had it");
    } else if (put->n_gets < CORE_GETS_MAX) {
        put->n_gets++;
        core_left_review(core, put);
    } else {
        answer(core, client, hash, put->bytes, WIRE_ERROR_LIMIT, "it was asked for too often");
    }
}

/* --- what tasks read ---------------------------------------------------------------------------
 */

/* NULL: it is here, as all that a detached job reads. */
static struct core_put *away_of(const struct core_task *task, const struct wire_hash *hash)
{
    const struct core_job *job = task->job;
    struct core_put *put =
        job->is_detached || job->client == NULL ? NULL : core_put_find(job->client, hash);
    return put != NULL && !put->is_here ? put : NULL;
}

static struct core_left *reachable(const struct core_put *put, const struct core_peer *executor)
{
    struct core_left *first = NULL;
    list_for_each (node, &put->lefts) {
        struct core_left *left = LIST_ENTRY(node, struct core_left, of_put);
        if (left->peer == executor) {
            return left;
        }
        first = first == NULL && left->peer->link != NULL ? left : first;
    }
    return first;
}

enum core_left_state core_left_state_of(const struct core_task *task)
{
    enum core_left_state state = CORE_LEFT_READY;
    struct wire_refs refs = core_cargo_refs(task->cargo);
    for (uint32_t i = 0; i < refs.n; i++) {
        const struct core_put *put = away_of(task, &refs.items[i].hash);
        if (put != NULL && put->is_gone) {
            return CORE_LEFT_GONE;
        }
        if (put != NULL && reachable(put, NULL) == NULL) {
            state = CORE_LEFT_WAITS;
        }
    }
    return state;
}

uint64_t core_left_bytes_away(const struct core_task *task)
{
    uint64_t n_bytes = 0;
    struct wire_refs refs = core_cargo_refs(task->cargo);
    for (uint32_t i = 0; i < refs.n; i++) {
        uint64_t n = away_of(task, &refs.items[i].hash) != NULL ? refs.items[i].bytes : 0;
        n_bytes = n <= UINT64_MAX - n_bytes ? n_bytes + n : UINT64_MAX;
    }
    return n_bytes;
}

struct wire_refs core_left_refs_for(struct core *core, const struct core_task *task,
                                    struct core_peer *executor)
{
    struct wire_refs refs = core_cargo_refs(task->cargo);
    if (refs.n == 0) {
        return refs;
    }
    struct wire_ref *items = core_batch_alloc(core, refs.n, sizeof(*items));
    for (uint32_t i = 0; i < refs.n; i++) {
        items[i] = (struct wire_ref){.hash = refs.items[i].hash, .bytes = refs.items[i].bytes};
        const struct core_put *put = away_of(task, &items[i].hash);
        struct core_left *left = put != NULL ? reachable(put, executor) : NULL;
        if (left == NULL) {
            continue;
        }
        items[i].holder = left->peer->key;
        if (left->peer != executor && !executor->is_self) {
            struct wire_message message = {.type = WIRE_MESSAGE_GRANT};
            message.grant.id = left->id;
            message.grant.peer = executor->key;
            core_send(core, left->peer, &message);
        }
    }
    return (struct wire_refs){.items = items, .n = refs.n};
}

bool core_left_has(const struct core_task *task, const struct wire_hash *hash)
{
    return away_of(task, hash) == NULL;
}

static struct core_put *away_at(const struct core_peer *peer, const struct wire_hash *hash)
{
    list_for_each (node, &peer->placed) {
        const struct core_task *task = LIST_ENTRY(node, struct core_attempt, of_peer)->task;
        struct wire_refs refs = core_cargo_refs(task->cargo);
        for (uint32_t i = 0; i < refs.n; i++) {
            struct core_put *put =
                memcmp(&refs.items[i].hash, hash, sizeof(*hash)) == 0 ? away_of(task, hash) : NULL;
            if (put != NULL && !put->is_gone) {
                return put;
            }
        }
    }
    return NULL;
}

bool core_left_ask(struct core *core, struct core_peer *peer, const struct wire_blob_want *want)
{
    struct core_put *put = away_at(peer, &want->hash);
    if (put == NULL) {
        return false;
    }
    struct core_ask *ask = NULL;
    list_for_each (node, &put->asks) {
        struct core_ask *at = LIST_ENTRY(node, struct core_ask, of_put);
        ask = at->link == peer->link->id ? at : ask;
    }
    if (ask == NULL) {
        ask = mem_alloc_or_die(1, sizeof(*ask));
        ask->link = peer->link->id;
        list_push_back(&put->asks, &ask->of_put);
    }
    ask->offset = want->offset;
    core_left_review(core, put);
    return true;
}

void core_left_refused(struct core *core, uint64_t job_id, const struct wire_hash *hash,
                       const struct wire_key *holder)
{
    struct core_job *job = core_job_find(core, job_id);
    struct core_put *put =
        job != NULL && job->client != NULL ? core_put_find(job->client, hash) : NULL;
    struct core_left *refused = NULL;
    if (put == NULL) {
        return;
    }
    list_for_each (node, &put->lefts) {
        struct core_left *left = LIST_ENTRY(node, struct core_left, of_put);
        refused = wire_key_eq(&left->peer->key, holder) ? left : refused;
    }
    if (refused != NULL) {
        core_result_ack(core, refused->peer, &refused->id);
        left_lost(core, refused);
        core_left_review(core, put);
    }
}

/* --- sessions ----------------------------------------------------------------------------------
 */

void core_left_link_up(struct core_peer *peer)
{
    list_for_each (node, &peer->lefts) {
        LIST_ENTRY(node, struct core_left, of_peer)->is_seen = false;
    }
}

void core_left_lose(struct core *core, struct core_peer *peer, bool are_seen_kept)
{
    struct core_left *left;
    do {
        left = NULL;
        list_for_each (node, &peer->lefts) {
            struct core_left *at = LIST_ENTRY(node, struct core_left, of_peer);
            if (!are_seen_kept || !at->is_seen) {
                left = at;
                break;
            }
        }
        if (left != NULL) {
            struct core_put *put = left->put;
            left_lost(core, left);
            core_left_review(core, put);
        }
    } while (left != NULL);
}
