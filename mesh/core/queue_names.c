/* Who has which queue, as peers tell of one another; and the table of all queues in sight. */
#include "mesh/core/queue.h"

#include <string.h>

#include "mesh/core/peer.h"
#include "wire/base/mem.h"

/* The names of another peer's queues are one block: each with its NUL, an empty one behind. */
#define NAMES_BYTES_MAX (UINT64_C(8) << 20) /* of all peers: anybody may tell of thousands */

static size_t names_bytes(const char *names)
{
    size_t n = 0;
    while (names != NULL && names[n] != '\0') {
        n += strlen(&names[n]) + 1;
    }
    return names != NULL ? n + 1 : 0;
}

static void set_names(struct core *core, struct core_card *card, char *names)
{
    core->queues.names_bytes -= names_bytes(card->queues);
    mem_free(card->queues);
    card->queues = names;
    core->queues.names_bytes += names_bytes(names);
    core->queues.is_due |= core->queues.n_asks > 0;
}

void core_queue_forget_names(struct core *core, struct core_card *card)
{
    if (card->queues != NULL) {
        set_names(core, card, NULL);
    }
}

bool core_queue_has(const struct core *core, const struct core_card *card, const char *name)
{
    if (card->peer != NULL && card->peer->is_self) {
        return name == NULL ? core->queues.by_name.n > 0 : core_queue_find(core, name) != NULL;
    }
    if (name == NULL) {
        return card->queues != NULL;
    }
    for (const char *at = card->queues; at != NULL && *at != '\0'; at += strlen(at) + 1) {
        if (strcmp(at, name) == 0) {
            return true;
        }
    }
    return false;
}

void core_queue_heard(struct core *core, struct core_card *card, const struct wire_slices *names)
{
    size_t n_bytes = 1;
    for (uint32_t i = 0; i < names->n; i++) {
        bool is_good = wire_queue_name_is_good(names->items[i]);
        n_bytes += is_good ? names->items[i].n + 1 : 0;
    }
    uint64_t others = core->queues.names_bytes - names_bytes(card->queues);
    char *block = n_bytes > 1 && others + n_bytes <= NAMES_BYTES_MAX ? mem_alloc(1, n_bytes) : NULL;
    char *at = block;
    for (uint32_t i = 0; block != NULL && i < names->n; i++) {
        if (wire_queue_name_is_good(names->items[i])) {
            memcpy(at, names->items[i].p, names->items[i].n);
            at += names->items[i].n + 1;
        }
    }
    bool is_same = block != NULL && card->queues != NULL && names_bytes(card->queues) == n_bytes &&
                   memcmp(card->queues, block, n_bytes) == 0;
    if (is_same) {
        mem_free(block);
    } else if (block != NULL || card->queues != NULL) {
        set_names(core, card, block);
    }
}

void core_queue_unheard(struct core *core, struct core_card *card, const char *name)
{
    for (char *at = card->queues; at != NULL && *at != '\0'; at += strlen(at) + 1) {
        if (strcmp(at, name) == 0) {
            size_t n = strlen(at) + 1;
            core->queues.names_bytes -= n;
            memmove(at, at + n, names_bytes(at + n));
            break;
        }
    }
    if (card->queues != NULL && card->queues[0] == '\0') {
        core_queue_forget_names(core, card);
    }
}

/* We have a session, or could have one. */
static bool is_in_sight(const struct core_card *card)
{
    const struct core_peer *peer = card->peer;
    return core_card_state(card) == CORE_PEER_KNOWN ||
           (peer != NULL && (peer->is_self || core_peer_is_here(peer)));
}

static struct wire_slices own_names(struct core *core)
{
    struct slice *items = core_batch_alloc(core, core->queues.by_name.n, sizeof(*items));
    uint32_t n = 0;
    table_for_each (entry, &core->queues.by_name) {
        const struct core_queue *queue = LIST_ENTRY(entry, struct core_queue, by_name);
        if (queue->is_kept) {
            items[n++] = core_batch_copy(core, slice_str(queue->name));
        }
    }
    return (struct wire_slices){.items = items, .n = n};
}

struct wire_slices core_queue_names(struct core *core, const struct core_card *card)
{
    if (card->peer == core->self) {
        return own_names(core);
    }
    if (card->queues == NULL) {
        return (struct wire_slices){0};
    }
    struct slice *items = core_batch_alloc(core, WIRE_QUEUES_MAX, sizeof(*items));
    uint32_t n = 0;
    for (const char *at = card->queues; *at != '\0' && n < WIRE_QUEUES_MAX; at += strlen(at) + 1) {
        items[n++] = core_batch_copy(core, slice_str(at));
    }
    return (struct wire_slices){.items = items, .n = n};
}

void core_queue_names_changed(struct core *core)
{
    core->queues.are_names_changed = true;
    core->queues.is_due |= core->queues.n_asks > 0;
}

void core_queue_sight_changed(struct core *core)
{
    core->queues.is_due |= core->queues.n_asks > 0;
}

void core_queue_run(struct core *core)
{
    if (core->queues.are_names_changed) {
        core->queues.are_names_changed = false;
        core_gossip_queues_changed(core);
    }
    if (core->queues.is_due) {
        core->queues.is_due = false;
        core_ask_run(core);
    }
}

/* --- the table ---------------------------------------------------------------------------------
 */

static void fill_row(struct core *core, const struct core_queue *queue, struct wire_queue_row *row)
{
    *row = (struct wire_queue_row){
        .name = core_batch_copy(core, slice_str(queue->name)),
        .n_waiting = queue->n_waiting,
        .n_taken = queue->n_taken,
        .n_getters = queue->n_takers,
        .bytes = queue->use.bytes + queue->use.blob_bytes,
        .is_known = true,
        .n_done = queue->n_finished,
    };
}

static struct wire_queue_rows_list own_rows(struct core *core)
{
    struct wire_queue_row *rows = core_batch_alloc(core, core->queues.by_name.n, sizeof(*rows));
    uint32_t n = 0;
    table_for_each (entry, &core->queues.by_name) {
        const struct core_queue *queue = LIST_ENTRY(entry, struct core_queue, by_name);
        if (queue->is_kept) {
            fill_row(core, queue, &rows[n++]);
        }
    }
    return (struct wire_queue_rows_list){.items = rows, .n = n};
}

void core_queue_look_on_query(struct core *core, struct core_peer *peer, uint64_t request)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_ROWS};
    message.queue_rows = (struct wire_queue_rows){.request = request, .rows = own_rows(core)};
    core_send(core, peer, &message);
}

static void look_free(struct core *core, struct core_queue_look *look)
{
    core_timer_stop(core, &look->timer);
    list_remove(&look->node);
    arena_done(&look->arena);
    mem_free(look);
}

/* What a peer said, or what is known without that: the names. */
static uint32_t add_rows(struct core *core, const struct core_queue_look_answer *answer,
                         struct wire_queue_row *rows)
{
    const struct core_card *card = core_card_find(core, &answer->key);
    if (card == NULL) {
        return 0; /* forgotten meanwhile */
    }
    struct wire_queue_rows_list list = answer->rows;
    if (card->peer == core->self) {
        list = own_rows(core);
    } else if (!answer->is_here) {
        struct wire_slices names = core_queue_names(core, card);
        struct wire_queue_row *bare = core_batch_alloc(core, names.n, sizeof(*bare));
        for (uint32_t i = 0; i < names.n; i++) {
            bare[i].name = names.items[i];
        }
        list = (struct wire_queue_rows_list){.items = bare, .n = names.n};
    }
    struct slice label = core_batch_copy(core, slice_str(core_card_name(card)));
    for (uint32_t i = 0; i < list.n; i++) {
        rows[i] = list.items[i];
        rows[i].name = core_batch_copy(core, list.items[i].name);
        rows[i].key = card->key;
        rows[i].peer = label;
    }
    return list.n;
}

static void look_finish(struct core *core, struct core_queue_look *look)
{
    uint32_t n_answers = 0;
    list_for_each (node, &look->answers) {
        n_answers++;
    }
    n_answers = n_answers < CORE_QUEUE_ROWS_MAX / WIRE_QUEUES_MAX
                    ? n_answers
                    : CORE_QUEUE_ROWS_MAX / WIRE_QUEUES_MAX;
    struct wire_queue_row *rows =
        core_batch_alloc(core, (size_t)n_answers * WIRE_QUEUES_MAX, sizeof(*rows));
    uint32_t n = 0;
    list_for_each (node, &look->answers) {
        if (n_answers-- == 0) {
            break;
        }
        n += add_rows(core, LIST_ENTRY(node, struct core_queue_look_answer, node), &rows[n]);
    }
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUES_LIST};
    message.queues_list.rows = (struct wire_queue_rows_list){.items = rows, .n = n};
    core_client_send(core, look->client->id, &message);
    look_free(core, look);
}

static void look_fire(struct core *core, struct core_timer *timer)
{
    look_finish(core, CONTAINER_OF(timer, struct core_queue_look, timer));
}

static void ask_for_rows(struct core *core, struct core_queue_look *look,
                         const struct core_card *card)
{
    struct core_queue_look_answer *answer = arena_alloc(&look->arena, 1, sizeof(*answer));
    ensure(answer != NULL);
    answer->key = card->key;
    list_push_back(&look->answers, &answer->node);
    if (card->peer != NULL && card->peer->link != NULL) {
        struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_QUERY};
        message.queue_query.request = look->request;
        core_send(core, card->peer, &message);
        answer->is_awaited = true;
        look->n_awaited++;
    }
}

void core_queue_look_start(struct core *core, struct core_client *client)
{
    list_for_each (node, &core->queues.looks) {
        if (LIST_ENTRY(node, struct core_queue_look, node)->client == client) {
            core->n_ignored++; /* the one under way answers both */
            return;
        }
    }
    struct core_queue_look *look = mem_alloc_or_die(1, sizeof(*look));
    look->client = client;
    look->request = core->queues.next_request++;
    look->timer.fire = look_fire;
    list_init(&look->answers);
    arena_init(&look->arena, SIZE_MAX);
    list_push_back(&core->queues.looks, &look->node);
    table_for_each (entry, &core->cards) { /* ourselves are the oldest entry */
        const struct core_card *card = LIST_ENTRY(entry, struct core_card, by_key);
        if (core_queue_has(core, card, NULL) && is_in_sight(card)) {
            ask_for_rows(core, look, card);
        }
    }
    if (look->n_awaited == 0) {
        look_finish(core, look);
    } else {
        core_timer_set(core, &look->timer, core->now_ns + CORE_QUEUE_LOOK_NS);
    }
}

static struct wire_queue_rows_list rows_copy(struct arena *arena,
                                             const struct wire_queue_rows_list *from)
{
    struct wire_queue_row *rows = arena_alloc(arena, from->n, sizeof(*rows));
    ensure(rows != NULL);
    for (uint32_t i = 0; i < from->n; i++) {
        rows[i] = from->items[i];
        int r = arena_copy(arena, from->items[i].name, &rows[i].name);
        ensure(r == 0);
    }
    return (struct wire_queue_rows_list){.items = rows, .n = from->n};
}

static void note_rows(struct core *core, struct core_queue_look *look, const struct core_peer *peer,
                      const struct wire_queue_rows_list *rows)
{
    list_for_each (node, &look->answers) {
        struct core_queue_look_answer *answer =
            LIST_ENTRY(node, struct core_queue_look_answer, node);
        if (answer->is_awaited && wire_key_eq(&answer->key, &peer->key)) {
            answer->is_awaited = false;
            answer->is_here = true;
            answer->rows = rows_copy(&look->arena, rows);
            look->n_awaited--;
        }
    }
    if (look->n_awaited == 0) {
        look_finish(core, look);
    }
}

void core_queue_look_on_rows(struct core *core, struct core_peer *peer,
                             const struct wire_queue_rows *rows)
{
    list_for_each_safe (node, &core->queues.looks) {
        struct core_queue_look *look = LIST_ENTRY(node, struct core_queue_look, node);
        if (look->request == rows->request) {
            note_rows(core, look, peer, &rows->rows);
            return;
        }
    }
    core->n_ignored++;
}

void core_queue_look_client_gone(struct core *core, const struct core_client *client)
{
    list_for_each_safe (node, &core->queues.looks) {
        struct core_queue_look *look = LIST_ENTRY(node, struct core_queue_look, node);
        if (look->client == client) {
            look_free(core, look);
        }
    }
}
