/* An attempt: START -> its cell (made where the number is new) -> on_started -> on_ended -> outputs
 * into the store -> ATTEMPT_ENDED; or ATTEMPT_REFUSED at any point before the program ran. */
#include "mesh/executor.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mesh/cell.h"
#include "mesh/executor_internal.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

/* --- tables ------------------------------------------------------------------------------------
 */

static struct attempt_key key_of(const struct wire_key *owner, const struct wire_attempt_id *id)
{
    struct attempt_key key;
    memset(&key, 0, sizeof(key)); /* compared as bytes, padding too */
    key.owner = *owner;
    key.job = id->job;
    key.task = id->task;
    key.incarnation = id->incarnation;
    key.number = id->number;
    return key;
}

static struct exec_attempt *find_attempt(const struct meshd_executor *executor,
                                         const struct wire_key *owner,
                                         const struct wire_attempt_id *id)
{
    struct attempt_key key = key_of(owner, id);
    struct table_entry *entry = table_find(&executor->attempts, &key);
    return entry != NULL ? CONTAINER_OF(entry, struct exec_attempt, by_key) : NULL;
}

static struct exec_cell *find_cell(const struct meshd_executor *executor, uint64_t number)
{
    struct table_entry *entry = table_find(&executor->cells, &number);
    return entry != NULL ? CONTAINER_OF(entry, struct exec_cell, by_number) : NULL;
}

static void on_cell_closed(void *user)
{
    struct exec_cell *exec_cell = user;
    struct meshd_executor *executor = exec_cell->executor;
    disk_share_unref(exec_cell->disk);
    mem_free(exec_cell);
    executor->n_cells--;
    executor_maybe_closed(executor);
}

/* Its number means nothing any more. */
static void close_cell(struct exec_cell *exec_cell)
{
    table_remove(&exec_cell->executor->cells, &exec_cell->by_number);
    cell_close(exec_cell->cell, on_cell_closed, exec_cell);
}

static void attempt_free(struct exec_attempt *attempt)
{
    executor_call_done(attempt);
    executor_files_done(attempt);
    table_remove(&attempt->executor->attempts, &attempt->by_key);
    mem_free(attempt->inlined[0]);
    mem_free(attempt->inlined[1]);
    disk_share_give(attempt->disk, attempt->disk_bytes[0] + attempt->disk_bytes[1]);
    disk_share_unref(attempt->disk);
    mem_free(attempt);
}

/* --- what the core is told ---------------------------------------------------------------------
 */

static void put_refused(struct meshd_executor *executor, const struct wire_key *owner,
                        const struct wire_attempt_id *id, enum wire_refusal why, const char *text,
                        bool is_cell_usable)
{
    char line[WIRE_REASON_BYTES_MAX];
    text_printable(slice_str(text), line, sizeof(line));
    struct core_event event = {
        .type = CORE_EVENT_ATTEMPT_REFUSED,
        .attempt_refused = {.owner = *owner,
                            .id = *id,
                            .refusal = why,
                            .text = slice_str(line),
                            .is_cell_usable = is_cell_usable},
    };
    meshd_sink_put(&executor->config.sink, &event);
}

/* The outputs are where they belong. Takes the attempt. */
static void put_ended(struct exec_attempt *attempt)
{
    struct meshd_executor *executor = attempt->executor;
    struct meshd_blobs *blobs = executor->config.blobs;
    struct wire_output *outputs[2] = {&attempt->result.out, &attempt->result.err};
    struct core_event event = {
        .type = CORE_EVENT_ATTEMPT_ENDED,
        .attempt_ended = {.owner = attempt->owner,
                          .id = attempt->id,
                          .is_cell_usable = attempt->is_cell_usable},
    };
    for (unsigned i = 0; i < 2; i++) {
        if (!attempt->is_blob[i]) {
            continue;
        }
        if (attempt->is_output_lost) {
            *outputs[i] = (struct wire_output){0};
        } else {
            meshd_blobs_pin(blobs, &attempt->hashes[i]); /* before the core may release it */
            outputs[i]->hash = attempt->hashes[i];
        }
    }
    executor_files_report(attempt);
    attempt->result.detail = slice_of(attempt->detail, strlen(attempt->detail));
    event.attempt_ended.result = attempt->result;
    meshd_sink_put(&executor->config.sink, &event);
    for (unsigned i = 0; i < 2; i++) {
        if (attempt->is_held[i]) {
            meshd_blobs_unhold(blobs, &attempt->hashes[i]);
        }
    }
    attempt_free(attempt);
}

/* --- outputs -----------------------------------------------------------------------------------
 */

static void lose_output(struct exec_attempt *attempt, int error)
{
    attempt->is_output_lost = true;
    attempt->result.end = WIRE_END_NO_DISK;
    IGNORE(snprintf(attempt->detail, sizeof(attempt->detail), "cannot store its output: %s",
                    strerror(-error))); /* cut if too long */
}

void executor_stored(struct exec_attempt *attempt)
{
    struct meshd_executor *executor = attempt->executor;
    attempt->n_storing--;
    executor->n_storing--;
    if (attempt->n_storing > 0 || attempt->cell != NULL) {
        return;
    }
    if (executor->is_closing) {
        attempt_free(attempt);
        executor_maybe_closed(executor);
    } else {
        put_ended(attempt);
    }
}

static void on_stored(struct exec_attempt *attempt, unsigned i, int error,
                      const struct wire_hash *hash)
{
    if (error == 0) {
        attempt->hashes[i] = *hash;
        attempt->is_held[i] = true;
    } else {
        lose_output(attempt, error);
    }
    executor_stored(attempt);
}

static void on_out_stored(void *user, int error, const struct wire_hash *hash, uint64_t bytes)
{
    on_stored(user, 0, error, hash);
}

static void on_err_stored(void *user, int error, const struct wire_hash *hash, uint64_t bytes)
{
    on_stored(user, 1, error, hash);
}

/* Takes one stream of a result over; its memory and its spool file are the cell's. */
static void take_output(struct exec_attempt *attempt, unsigned i, const struct output_result *from,
                        struct wire_output *to)
{
    struct meshd_executor *executor = attempt->executor;
    to->bytes = from->bytes;
    if (from->spool_fd >= 0) {
        attempt->is_blob[i] = true;
        attempt->disk_bytes[i] = from->disk_bytes;
        int rc = meshd_blobs_put(executor->config.blobs, from->spool_fd,
                                 i == 0 ? on_out_stored : on_err_stored, attempt);
        if (rc < 0) {
            lose_output(attempt, rc);
        } else {
            attempt->n_storing++;
            executor->n_storing++;
        }
    } else if (from->memory.n > 0) {
        attempt->inlined[i] = mem_dup(from->memory.p, from->memory.n);
        if (attempt->inlined[i] == NULL) {
            attempt->is_blob[i] = true; /* an output to be lost, as one that found no disk */
            lose_output(attempt, -ENOMEM);
        } else {
            to->inlined = slice_of(attempt->inlined[i], from->memory.n);
        }
    }
}

/* --- what cells tell ---------------------------------------------------------------------------
 */

static void on_started(void *user, struct cell *cell)
{
    struct exec_cell *exec_cell = user;
    struct exec_attempt *attempt = exec_cell->attempt;
    ensure(attempt != NULL);
    struct core_event event = {
        .type = CORE_EVENT_ATTEMPT_STARTED,
        .attempt_started = {.owner = attempt->owner, .id = attempt->id},
    };
    meshd_sink_put(&exec_cell->executor->config.sink, &event);
}

static void on_output(void *user, struct cell *cell, enum wire_stream stream, uint64_t offset,
                      struct slice bytes)
{
    struct exec_cell *exec_cell = user;
    const struct exec_attempt *attempt = exec_cell->attempt;
    ensure(attempt != NULL);
    while (bytes.n > 0) {
        size_t n = bytes.n < WIRE_CHUNK_BYTES_MAX ? bytes.n : WIRE_CHUNK_BYTES_MAX;
        struct core_event event = {
            .type = CORE_EVENT_ATTEMPT_STREAM,
            .attempt_stream = {.owner = attempt->owner,
                               .data = {.id = attempt->id,
                                        .stream = stream,
                                        .offset = offset,
                                        .bytes = slice_of(bytes.p, n)}},
        };
        meshd_sink_put(&exec_cell->executor->config.sink, &event);
        bytes = slice_from(bytes, n);
        offset += n;
    }
}

static void on_ended(void *user, struct cell *cell, const struct cell_result *result)
{
    struct exec_cell *exec_cell = user;
    struct exec_attempt *attempt = exec_cell->attempt;
    ensure(attempt != NULL);
    executor_call_done(attempt);
    exec_cell->attempt = NULL;
    attempt->cell = NULL;
    attempt->is_cell_usable = result->is_cell_usable;
    attempt->result = (struct wire_result){
        .end = result->end,
        .status = result->status,
        .wall_us = result->wall_us,
        .user_us = result->user_us,
        .sys_us = result->sys_us,
        .peak_kib = result->peak_kib,
    };
    text_printable(slice_str(result->detail.text), attempt->detail, sizeof(attempt->detail));
    take_output(attempt, 0, &result->out, &attempt->result.out);
    take_output(attempt, 1, &result->err, &attempt->result.err);
    if (!result->is_cell_usable) {
        close_cell(exec_cell);
    }
    if (attempt->n_storing == 0) {
        put_ended(attempt);
    }
}

void executor_refuse(struct exec_attempt *attempt, enum wire_refusal why, const struct errmsg *err,
                     bool is_cell_usable)
{
    struct exec_cell *exec_cell = attempt->cell;
    struct meshd_executor *executor = attempt->executor;
    struct wire_key owner = attempt->owner;
    struct wire_attempt_id id = attempt->id;
    exec_cell->attempt = NULL;
    attempt_free(attempt);
    if (!is_cell_usable) {
        close_cell(exec_cell);
    }
    put_refused(executor, &owner, &id, why, err->text, is_cell_usable);
}

static void on_refused(void *user, struct cell *cell, enum wire_refusal why,
                       const struct errmsg *err, bool is_cell_usable)
{
    struct exec_cell *exec_cell = user;
    ensure(exec_cell->attempt != NULL);
    executor_refuse(exec_cell->attempt, why, err, is_cell_usable);
}

void executor_end_unbegun(struct exec_attempt *attempt, enum wire_end end)
{
    attempt->cell->attempt = NULL;
    attempt->cell = NULL;
    attempt->is_cell_usable = true;
    attempt->result = (struct wire_result){.end = end};
    put_ended(attempt);
}

static void on_dead(void *user, struct cell *cell, const struct errmsg *err)
{
    struct exec_cell *exec_cell = user;
    if (exec_cell->attempt != NULL) { /* a call that waits for what it reads */
        executor_refuse(exec_cell->attempt, WIRE_REFUSAL_NO_CELL, err, false);
        return;
    }
    meshd_log(exec_cell->executor->config.log, CORE_LOG_WARN, "an idle cell is gone: %s",
              err->text);
    close_cell(exec_cell); /* its number makes a new one, should the core use it again */
}

const struct cell_events executor_cell_events = {
    .on_started = on_started,
    .on_output = on_output,
    .on_ended = on_ended,
    .open_content = executor_open_content,
    .on_returned = executor_on_returned,
    .on_refused = on_refused,
    .on_dead = on_dead,
};

/* --- effects -----------------------------------------------------------------------------------
 */

static struct exec_attempt *new_attempt(struct meshd_executor *executor,
                                        const struct core_effect *effect)
{
    struct exec_attempt *attempt = mem_alloc(1, sizeof(*attempt));
    if (attempt != NULL) {
        attempt->executor = executor;
        attempt->key = key_of(&effect->start.owner, &effect->start.id);
        attempt->owner = effect->start.owner;
        attempt->id = effect->start.id;
        attempt->lease_ms = effect->start.spec->lease_ms;
        table_insert(&executor->attempts, &attempt->by_key, &attempt->key);
    }
    return attempt;
}

static void start(struct meshd_executor *executor, const struct core_effect *effect)
{
    struct errmsg err = {.text = ""};
    enum wire_refusal why = WIRE_REFUSAL_NO_MEMORY;
    struct exec_cell *exec_cell = find_cell(executor, effect->start.cell);
    if (exec_cell == NULL) {
        exec_cell = executor_make_cell(executor, effect, &why, &err);
    }
    if (exec_cell == NULL) {
        put_refused(executor, &effect->start.owner, &effect->start.id, why, err.text, false);
        return;
    }
    ensure(exec_cell->attempt == NULL);
    ensure(find_attempt(executor, &effect->start.owner, &effect->start.id) == NULL);
    struct exec_attempt *attempt = new_attempt(executor, effect);
    int rc = attempt != NULL ? 0 : -ENOMEM;
    if (rc == 0) {
        attempt->cell = exec_cell;
        attempt->disk = disk_share_ref(exec_cell->disk);
        exec_cell->attempt = attempt;
        rc = effect->start.spec->is_call ? executor_call_start(attempt, effect, &why, &err)
                                         : executor_start_in(exec_cell, effect, &why, &err);
    }
    if (rc < 0) {
        exec_cell->attempt = NULL;
        if (attempt != NULL) {
            attempt_free(attempt);
        }
        put_refused(executor, &effect->start.owner, &effect->start.id, why, err.text, true);
    }
}

static void renew(struct meshd_executor *executor, const struct wire_key *owner)
{
    table_for_each (it, &executor->attempts) {
        const struct exec_attempt *attempt = CONTAINER_OF(it, struct exec_attempt, by_key);
        if (attempt->cell != NULL && memcmp(&attempt->owner, owner, sizeof(*owner)) == 0) {
            cell_renew(attempt->cell->cell, attempt->lease_ms);
        }
    }
}

void meshd_executor_carry_out(struct meshd_executor *executor, const struct core_effect *effect)
{
    if (effect->type == CORE_EFFECT_START) {
        start(executor, effect);
    } else if (effect->type == CORE_EFFECT_KILL) {
        struct exec_attempt *attempt =
            find_attempt(executor, &effect->kill.owner, &effect->kill.id);
        if (attempt != NULL && executor_call_is_waiting(attempt)) {
            executor_call_kill(attempt, effect->kill.end);
        } else if (attempt != NULL && attempt->cell != NULL) { /* else it has ended meanwhile */
            cell_kill(attempt->cell->cell, effect->kill.end);
        }
    } else if (effect->type == CORE_EFFECT_PAUSE) {
        const struct exec_attempt *attempt =
            find_attempt(executor, &effect->pause.owner, &effect->pause.id);
        if (attempt != NULL && attempt->cell != NULL) { /* else it has ended meanwhile */
            cell_pause(attempt->cell->cell, effect->pause.is_paused);
        }
    } else if (effect->type == CORE_EFFECT_STREAM_WINDOW) {
        const struct wire_stream_ack *ack = &effect->stream_window.ack;
        const struct exec_attempt *attempt =
            find_attempt(executor, &effect->stream_window.owner, &ack->id);
        if (attempt != NULL && attempt->cell != NULL) {
            cell_ack(attempt->cell->cell, (enum wire_stream)ack->stream, ack->offset);
        }
    } else if (effect->type == CORE_EFFECT_RENEW) {
        renew(executor, &effect->renew.owner);
    } else {
        ensure(effect->type == CORE_EFFECT_CELL_CLOSE);
        struct exec_cell *exec_cell = find_cell(executor, effect->cell_close.cell);
        if (exec_cell != NULL) { /* else it is closed already, for it was not usable */
            ensure(exec_cell->attempt == NULL);
            close_cell(exec_cell);
        }
    }
}

/* --- the end -----------------------------------------------------------------------------------
 */

void executor_maybe_closed(struct meshd_executor *executor)
{
    if (!executor->is_closing || executor->n_cells > 0 || executor->n_storing > 0 ||
        executor->memory != NULL) {
        return;
    }
    void (*on_closed)(void *) = executor->on_closed;
    void *user = executor->on_closed_user;
    ensure(executor->attempts.n == 0);
    if (executor->filter_fd >= 0) {
        IGNORE(close(executor->filter_fd)); /* a memory file */
    }
    disk_shares_done(&executor->disk);
    table_done(&executor->attempts);
    table_done(&executor->cells);
    mem_free(executor);
    on_closed(user);
}

static void on_memory_closed(void *user)
{
    struct meshd_executor *executor = user;
    executor->memory = NULL;
    executor_maybe_closed(executor);
}

void meshd_executor_close(struct meshd_executor *executor, void (*on_closed)(void *user),
                          void *user)
{
    executor->is_closing = true;
    executor->on_closed = on_closed;
    executor->on_closed_user = user;
    table_for_each (it, &executor->cells) {
        struct exec_cell *exec_cell = CONTAINER_OF(it, struct exec_cell, by_number);
        struct exec_attempt *attempt = STEAL(exec_cell->attempt);
        if (attempt != NULL && attempt->n_storing > 0) {
            attempt->cell = NULL; /* freed when that is done */
        } else if (attempt != NULL) {
            attempt_free(attempt);
        }
        close_cell(exec_cell);
    }
    shared_memory_close(executor->memory, on_memory_closed, executor);
}
