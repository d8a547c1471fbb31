/* Those who act on their own: programs that run on a node, and its client. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/core_world_internal.h"
#include "wire/base/mem.h"
#include "wire/message_codec.h"

/* --- runs --------------------------------------------------------------------------------------
 */

struct run *world_run_find(struct node *node, const struct wire_key *owner,
                           const struct wire_attempt_id *id)
{
    list_for_each (at, &node->runs) {
        struct run *run = LIST_ENTRY(at, struct run, node);
        if (memcmp(&run->owner, owner, sizeof(*owner)) == 0 && run->id.job == id->job &&
            run->id.task == id->task && run->id.incarnation == id->incarnation &&
            run->id.number == id->number) {
            return run;
        }
    }
    return NULL;
}

void world_run_item(struct world *world, enum item_kind kind, unsigned i, const struct run *run,
                    uint64_t in_ns)
{
    struct item *item = world_item_new(world, kind, i, in_ns);
    item->owner = run->owner;
    item->id = run->id;
}

static void copy_word(char *to, size_t n, struct slice from)
{
    snprintf(to, n, "%.*s", SLICE_FMT(from));
}

void world_on_start(struct world *world, unsigned i, const struct core_effect *effect)
{
    struct node *node = &world->nodes[i];
    uint32_t cores = effect->start.spec->cores;
    list_for_each (at, &node->runs) {
        struct run *other = LIST_ENTRY(at, struct run, node);
        ck_assert_msg(other->cell != effect->start.cell, "a cell runs one attempt at a time");
        cores += other->is_paused ? 0 : other->cores;
    }
    ck_assert_msg(cores <= node->cores, "%s runs %u cores, offers %u", node->name, cores,
                  node->cores);
    ck_assert_ptr_null(world_run_find(node, &effect->start.owner, &effect->start.id));
    world_check_start(world, i, effect);
    struct run *run = mem_alloc_or_die(1, sizeof(*run));
    run->owner = effect->start.owner;
    run->id = effect->start.id;
    run->cell = effect->start.cell;
    run->cores = effect->start.spec->cores;
    copy_word(run->word, sizeof(run->word), effect->start.argv.items[0]);
    if (effect->start.argv.n > 1) {
        copy_word(run->value, sizeof(run->value), effect->start.argv.items[1]);
    } else {
        copy_word(run->value, sizeof(run->value), effect->start.args); /* of a call */
    }
    list_push_back(&node->runs, &run->node);
    node->n_started++;
    uint32_t n_running = 0;
    for (unsigned k = 0; k < WORLD_NODES_MAX; k++) {
        n_running += world_n_running(world, k);
    }
    if (n_running > world->n_running_max) {
        world->n_running_max = n_running;
    }
    run->begun_ns = world_now(world);
    world_run_item(world, ITEM_STARTED, i, run, CORE_MS / 10);
}

static void run_end(struct world *world, unsigned i, struct run *run,
                    const struct wire_result *result, bool is_usable)
{
    struct core_event event = {.type = CORE_EVENT_ATTEMPT_ENDED};
    event.attempt_ended.owner = run->owner;
    event.attempt_ended.id = run->id;
    event.attempt_ended.result = *result;
    event.attempt_ended.is_cell_usable = is_usable;
    list_remove(&run->node);
    world_step(world, i, &event);
    mem_free(run);
}

static bool is_to_be_refused(const struct world *world, const struct run *run)
{
    uint64_t age_ns = world->now_ns - WORLD_BEGIN_NS;
    return strcmp(run->word, "missing") == 0 ||
           (strcmp(run->word, "nocell") == 0 && age_ns < strtoull(run->value, NULL, 10) * CORE_MS);
}

void world_run_started(struct world *world, unsigned i, struct run *run)
{
    if (is_to_be_refused(world, run)) {
        struct core_event event = {.type = CORE_EVENT_ATTEMPT_REFUSED};
        event.attempt_refused.owner = run->owner;
        event.attempt_refused.id = run->id;
        event.attempt_refused.refusal =
            run->word[0] == 'm' ? WIRE_REFUSAL_NOT_FOUND : WIRE_REFUSAL_NO_CELL;
        event.attempt_refused.text = slice_str(run->word);
        event.attempt_refused.is_cell_usable = true;
        list_remove(&run->node);
        world_step(world, i, &event);
        mem_free(run);
        return;
    }
    const struct node *node = &world->nodes[i];
    run->is_begun = true;
    struct core_event event = {.type = CORE_EVENT_ATTEMPT_STARTED};
    event.attempt_started.owner = run->owner;
    event.attempt_started.id = run->id;
    uint64_t ns = world->run_ns;
    if (strcmp(run->word, "sleep") == 0) {
        ns = strtoull(run->value, NULL, 10) * CORE_MS;
    }
    ns *= node->slowness;
    if (node->is_broken) {
        copy_word(run->word, sizeof(run->word), slice_str("exit"));
        copy_word(run->value, sizeof(run->value), slice_str("1"));
        ns = CORE_MS;
    }
    bool is_stream = strcmp(run->word, "stream") == 0;
    world_run_item(world, is_stream ? ITEM_STREAM : ITEM_ENDED, i, run, ns);
    world_step(world, i, &event);
}

static void hash_of(struct wire_hash *hash, const struct run *run)
{
    memset(hash, 0, sizeof(*hash));
    memcpy(hash->b, &run->id, sizeof(run->id));
    hash->b[31] = 1;
}

void world_run_pause(struct world *world, unsigned i, struct run *run, bool is_paused)
{
    const struct node *node = &world->nodes[i];
    uint32_t cores = 0;
    ck_assert(run->is_begun && run->is_paused != is_paused);
    run->is_paused = is_paused;
    list_for_each (at, &node->runs) {
        const struct run *other = LIST_ENTRY(at, struct run, node);
        cores += other->is_paused ? 0 : other->cores;
    }
    /* Where fewer are offered than before, more may still run than that; but nothing goes on,
     * unless it is alone. */
    bool is_alone = cores == run->cores;
    ck_assert_msg(is_paused || is_alone || cores <= node->cores || node->cores == 0,
                  "%s runs %u cores, offers %u", node->name, cores, node->cores);
    if (!is_paused && run->is_due) {
        run->is_due = false;
        world_run_item(world, ITEM_ENDED, i, run, 0);
    }
}

void world_run_finish(struct world *world, unsigned i, struct run *run)
{
    if (run->is_paused && !run->is_killed) {
        run->is_due = true;
        return;
    }
    struct wire_result result = {.end = WIRE_END_EXITED,
                                 .wall_us = (world_now(world) - run->begun_ns) / 1000};
    bool is_usable = true;
    if (run->is_killed) {
        result.end = run->end;
    } else if (strcmp(run->word, "exit") == 0) {
        result.status = (uint32_t)strtoul(run->value, NULL, 10);
    } else if (strcmp(run->word, "every") == 0) {
        result.status = run->id.task % strtoul(run->value, NULL, 10) != 0;
    } else if (strcmp(run->word, "full") == 0) {
        result.end = WIRE_END_NO_DISK;
    } else if (strcmp(run->word, "poison") == 0) {
        result.end = WIRE_END_CELL_DIED;
        is_usable = false;
    } else if (strcmp(run->word, "blob") == 0) {
        hash_of(&result.out.hash, run);
        result.out.bytes = strtoull(run->value, NULL, 10);
    } else if (strcmp(run->word, "same") == 0) {
        hash_of(&result.err.hash, run);
        result.err.bytes = 2 * strtoull(run->value, NULL, 10);
        result.out.hash.b[31] = 2;
        result.out.bytes = strtoull(run->value, NULL, 10);
    } else if (strcmp(run->word, "echo") == 0) {
        result.out.inlined = slice_str(run->value);
        result.out.bytes = result.out.inlined.n;
    }
    run_end(world, i, run, &result, is_usable);
}

void world_run_stream(struct world *world, unsigned i, struct run *run)
{
    uint64_t total = strtoull(run->value, NULL, 10) * STREAM_CHUNK;
    if (run->is_killed) {
        return;
    }
    if (run->sent == total) {
        world_run_item(world, ITEM_ENDED, i, run, 0);
        return;
    }
    if (run->sent + STREAM_CHUNK > run->acked + WIRE_STREAM_WINDOW_BYTES) {
        world_run_item(world, ITEM_STREAM, i, run, CORE_MS);
        return;
    }
    uint8_t bytes[STREAM_CHUNK];
    memset(bytes, 'a' + (int)(run->sent / STREAM_CHUNK % 26), sizeof(bytes));
    struct core_event event = {.type = CORE_EVENT_ATTEMPT_STREAM};
    event.attempt_stream.owner = run->owner;
    event.attempt_stream.data.id = run->id;
    event.attempt_stream.data.stream = WIRE_STREAM_OUT;
    event.attempt_stream.data.offset = run->sent;
    event.attempt_stream.data.bytes = slice_of(bytes, sizeof(bytes));
    run->sent += STREAM_CHUNK;
    world_run_item(world, ITEM_STREAM, i, run, CORE_MS);
    world_step(world, i, &event);
}

/* --- clients -----------------------------------------------------------------------------------
 */

void world_client_say_in(struct world *world, unsigned i, const struct wire_message *message)
{
    struct core_event event = {.type = CORE_EVENT_CLIENT_MESSAGE};
    event.client_message.client = WORLD_CLIENT;
    struct item *item = world_event_in(world, i, 0, &event);
    int r = wire_message_copy(message, &item->arena, &item->message);
    ck_assert_int_eq(r, 0);
    item->event.client_message.message = &item->message;
}

void world_client_say(struct world *world, unsigned i, const struct wire_message *message)
{
    world_client_say_in(world, i, message);
}

void world_feed(struct world *world, unsigned i)
{
    struct world_client *client = &world->nodes[i].client;
    if (!client->is_up || client->is_fed || client->job == 0) {
        return;
    }
    struct wire_message message = {.type = WIRE_MESSAGE_ADD_TASK};
    if (client->n_added < client->n_tasks && client->n_added < client->tasks_max) {
        struct slice argv[2] = {slice_str(client->words[0]), slice_str(client->words[1])};
        message.add_task.job = client->job;
        message.add_task.task = ++client->n_added;
        message.add_task.argv = (struct wire_slices){.items = argv, .n = client->words[1] ? 2 : 1};
        message.add_task.has_input = client->has_input;
        if (client->has_input) {
            message.add_task.input = (struct wire_hash){.b = {[31] = 2}};
            memcpy(message.add_task.input.b, &client->n_added, sizeof(client->n_added));
            message.add_task.input_bytes = 5000;
        }
        message.add_task.args = client->args;
        message.add_task.refs = client->refs;
        message.add_task.keeps_result = client->keeps_result;
        world_client_say_in(world, i, &message);
        world_item_new(world, ITEM_FEED, i, 0);
    } else if (client->n_added == client->n_tasks) {
        message.type = WIRE_MESSAGE_SUBMIT_END;
        message.submit_end.job = client->job;
        message.submit_end.n_tasks = client->n_tasks;
        client->is_fed = true;
        world_client_say_in(world, i, &message);
    }
}

static void on_done(struct world *world, unsigned i, const struct wire_done *done)
{
    struct world_client *client = &world->nodes[i].client;
    if (done->job != client->job) {
        return; /* of a job that this client submitted earlier */
    }
    ck_assert_uint_lt(done->task, WORLD_TASKS_MAX);
    client->n_reports[done->task]++;
    ck_assert_msg(client->n_reports[done->task] == 1, "task %u is reported once", done->task);
    client->n_done++;
    client->n_by_end[done->result.end]++;
    client->n_failed_status += done->result.end == WIRE_END_EXITED && done->result.status != 0;
    client->last = *done;
    client->last.result.out.inlined = client->last.result.err.inlined = (struct slice){0};
    client->last.result.detail = client->last.peer_name = (struct slice){0};
    if (!client->holds_acks) {
        struct wire_message message = {.type = WIRE_MESSAGE_DONE_ACK};
        message.done_ack.job = done->job;
        message.done_ack.n_done = client->n_done;
        world_client_say_in(world, i, &message);
    }
}

static void on_client_stream(struct world *world, unsigned i, const struct wire_client_stream *data)
{
    struct world_client *client = &world->nodes[i].client;
    ck_assert_uint_eq(data->offset, client->stream.n);
    buf_append_slice(&client->stream, data->bytes);
    if (!client->holds_stream_acks) {
        struct wire_message message = {.type = WIRE_MESSAGE_CLIENT_STREAM_ACK};
        message.client_stream_ack.job = data->job;
        message.client_stream_ack.task = data->task;
        message.client_stream_ack.stream = data->stream;
        message.client_stream_ack.offset = client->stream.n;
        world_client_say_in(world, i, &message);
    }
}

/* What a client hears of blobs. */
static void on_blob_message(struct world_client *client, const struct wire_message *message)
{
    if (message->type == WIRE_MESSAGE_PUT_DONE) {
        client->n_puts++;
        client->put_error = message->put_done.error;
    } else if (message->type == WIRE_MESSAGE_GOT) {
        client->n_gots++;
        client->got = message->got;
        client->got.text = (struct slice){0};
    } else if (message->type == WIRE_MESSAGE_GONE) {
        client->n_gone++;
        client->gone = message->gone;
    }
}

static void on_trust_message(struct world_client *client, const struct wire_message *message)
{
    if (message->type == WIRE_MESSAGE_INVITATION) {
        client->has_invitation = true;
        client->invitation = message->invitation;
        client->invitation.addresses = (struct wire_slices){0};
    } else {
        client->has_trust = true;
        client->trust = message->trust_list;
        client->n_banned = message->trust_list.bans.n;
    }
    client->n_answers++;
}

static void on_notice(struct world_client *client, const struct wire_notice *notice)
{
    struct buf *to = notice->is_progress ? &client->progress : &client->notices;
    buf_append_slice(to, notice->text);
    buf_append_str(to, "\n");
}

void world_on_client_send(struct world *world, unsigned i, const struct wire_message *message)
{
    struct world_client *client = &world->nodes[i].client;
    switch ((unsigned)message->type) {
    case WIRE_MESSAGE_ACCEPTED:
        client->is_accepted = true;
        client->job = message->accepted.job;
        client->tasks_max = message->accepted.tasks_max;
        world_item_new(world, ITEM_FEED, i, 0);
        break;
    case WIRE_MESSAGE_TASK_CREDIT: {
        bool was_stalled = client->n_added == client->tasks_max;
        ck_assert_uint_gt(message->task_credit.tasks_max, client->tasks_max);
        client->tasks_max = message->task_credit.tasks_max;
        if (was_stalled) {
            world_item_new(world, ITEM_FEED, i, 0);
        }
        break;
    }
    case WIRE_MESSAGE_DONE:
        on_done(world, i, &message->done);
        break;
    case WIRE_MESSAGE_CLIENT_STREAM:
        on_client_stream(world, i, &message->client_stream);
        break;
    case WIRE_MESSAGE_JOB_DONE:
        if (message->job_done.job == client->job) {
            ck_assert(!client->is_job_done);
            client->is_job_done = true;
            client->job_done = message->job_done;
        }
        break;
    case WIRE_MESSAGE_JOB_KEPT:
        ck_assert(world_kept(world, i, message->job_kept.job).is_complete);
        if (message->job_kept.job == client->job) { /* else of one submitted earlier */
            ck_assert_uint_eq(message->job_kept.n_tasks, client->n_tasks);
            client->is_kept = true;
        }
        break;
    case WIRE_MESSAGE_OK:
        client->has_ok = true;
        client->n_answers++;
        break;
    case WIRE_MESSAGE_INVITATION:
    case WIRE_MESSAGE_TRUST_LIST:
        on_trust_message(client, message);
        break;
    case WIRE_MESSAGE_NOTICE:
        on_notice(client, &message->notice);
        break;
    case WIRE_MESSAGE_ERROR:
        client->has_error = true;
        client->error = message->error.error;
        client->n_answers++;
        snprintf(client->error_text, sizeof(client->error_text), "%.*s",
                 SLICE_FMT(message->error.text));
        break;
    case WIRE_MESSAGE_PEERS_LIST:
        client->n_rows = message->peers_list.n;
        for (uint32_t k = 0; k < client->n_rows && k <= WORLD_NODES_MAX; k++) {
            client->rows[k] = message->peers_list.items[k];
        }
        break;
    default:
        on_blob_message(client, message);
        world_queue_on_message(world, i, message);
        break;
    }
}
