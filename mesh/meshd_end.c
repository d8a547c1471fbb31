/* The end, in stages, each begun when the one before is closed: (1) all that brings new facts or
 * uses others: discovery, clients, attempts, transfers, timers; (2) links; (3) the journal; (4) the
 * store and the file of trust. The loop then has nothing left and returns.
 *
 * A part that does not close does not keep the daemon: whoever told it to end, a service manager
 * or a user, waits. After MESHD_END_MS it says which parts those are and leaves as if it had been
 * killed, which costs nothing that was promised: what is in the journal is on the disk, and cells
 * end with their daemon. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "mesh/meshd_internal.h"

static void next_stage(struct meshd *meshd);

static void let_go(struct meshd *meshd)
{
    ensure(meshd->n_closing > 0);
    meshd->n_closing--;
    if (meshd->n_closing == 0) {
        next_stage(meshd);
    }
}

static void on_part_closed(void *user)
{
    struct meshd_closing *closing = user;
    closing->is_open = false;
    let_go(closing->meshd);
}

/* One more to wait for; what to give its close function as `user`. */
static struct meshd_closing *closing(struct meshd *meshd, const char *what)
{
    ensure(meshd->n_closings < MESHD_PARTS_MAX);
    struct meshd_closing *it = &meshd->closings[meshd->n_closings++];
    *it = (struct meshd_closing){.meshd = meshd, .what = what, .is_open = true};
    meshd->n_closing++;
    return it;
}

static void on_handle_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

/* Own handles exist when the deadline's does: they are made together. */
static void close_handles(struct meshd *meshd)
{
    if (meshd->deadline.data == NULL) {
        return;
    }
    meshd->n_closing += 5;
    uv_close((uv_handle_t *)&meshd->deadline, on_handle_closed);
    uv_close((uv_handle_t *)&meshd->prepare, on_handle_closed);
    uv_close((uv_handle_t *)&meshd->again, on_handle_closed);
    uv_close((uv_handle_t *)&meshd->signals[0], on_handle_closed);
    uv_close((uv_handle_t *)&meshd->signals[1], on_handle_closed);
}

static void close_users(struct meshd *meshd)
{
    close_handles(meshd);
    if (meshd->finder != NULL) {
        meshd_finder_close(meshd->finder, on_part_closed, closing(meshd, "discovery"));
    }
    if (meshd->control != NULL) {
        meshd_control_close(meshd->control, on_part_closed, closing(meshd, "clients"));
    }
    if (meshd->executor != NULL) {
        meshd_executor_close(meshd->executor, on_part_closed, closing(meshd, "cells"));
    }
    if (meshd->transfers != NULL) {
        meshd_transfers_close(meshd->transfers, on_part_closed, closing(meshd, "transfers"));
    }
    if (meshd->remember != NULL) {
        meshd_remember_close(meshd->remember, on_part_closed, closing(meshd, "known peers"));
    }
}

/* What the others used to the last. */
static void close_kept(struct meshd *meshd)
{
    if (meshd->blobs != NULL) {
        meshd_blobs_close(meshd->blobs, on_part_closed, closing(meshd, "the store"));
    }
    if (meshd->trust != NULL) {
        meshd_trust_close(meshd->trust, on_part_closed, closing(meshd, "the file of trust"));
    }
}

/* --- patience ----------------------------------------------------------------------------------
 */

static _Noreturn void leave(const struct meshd *meshd, const char *open)
{
    meshd_log(&meshd->log, CORE_LOG_ERROR, "the end takes too long: left without closing %s", open);
    _exit(1);
}

static void on_impatient(uv_timer_t *timer)
{
    const struct meshd *meshd = timer->data;
    char open[256] = "";
    for (unsigned i = 0; i < meshd->n_closings; i++) {
        const struct meshd_closing *it = &meshd->closings[i];
        size_t n = strlen(open);
        if (it->is_open) {
            IGNORE(snprintf(open + n, sizeof(open) - n, "%s%s", n > 0 ? ", " : "", it->what));
        }
    }
    leave(meshd, open[0] != '\0' ? open : "its timers");
}

static void begin_waiting(struct meshd *meshd)
{
    if (!meshd->is_loop_open) {
        return;
    }
    int rc = uv_timer_init(&meshd->loop, &meshd->patience);
    ensure(rc == 0);
    meshd->patience.data = meshd;
    uv_update_time(&meshd->loop); /* the timer counts from it, and it may be old */
    rc = uv_timer_start(&meshd->patience, on_impatient, MESHD_END_MS, 0);
    ensure(rc == 0);
}

static void on_left(uv_timer_t *timer)
{
    const struct meshd *meshd = timer->data;
    if (meshd->n_lookups > 0) {
        _exit(meshd->status);
    }
    leave(meshd, "something that no part knows of");
}

/* All is closed. What the loop may still wait for are names that no server answers for, and nothing
 * ends the threads that ask: not even exit(), at which libuv waits for them. */
static void wait_for_lookups(struct meshd *meshd)
{
    if (meshd->patience.data != NULL) {
        uint64_t left_ms = uv_timer_get_due_in(&meshd->patience);
        bool is_short = meshd->n_lookups > 0 || left_ms < MESHD_LOOKUPS_MS;
        uv_unref((uv_handle_t *)&meshd->patience);
        uv_update_time(&meshd->loop);
        int rc =
            uv_timer_start(&meshd->patience, on_left, is_short ? MESHD_LOOKUPS_MS : left_ms, 0);
        ensure(rc == 0);
    }
}

/* --- the stages --------------------------------------------------------------------------------
 */

/* n_closing is kept above 0 while parts are being told to close, for some are closed at once. */
static void next_stage(struct meshd *meshd)
{
    meshd->stage++;
    meshd->n_closing = 1;
    if (meshd->stage == 1) {
        close_users(meshd);
    } else if (meshd->stage == 2 && meshd->links != NULL) {
        meshd_links_close(meshd->links, on_part_closed, closing(meshd, "links"));
    } else if (meshd->stage == 3 && meshd->journal != NULL) {
        meshd_journal_close(meshd->journal, on_part_closed, closing(meshd, "the journal"));
    } else if (meshd->stage == 4) {
        close_kept(meshd);
    } else if (meshd->stage > 4) {
        wait_for_lookups(meshd);
        return;
    }
    let_go(meshd);
}

void meshd_end(struct meshd *meshd, int status)
{
    if (meshd->is_ending) {
        return;
    }
    meshd->is_ending = true;
    meshd->status = status;
    if (meshd->links != NULL) {
        IGNORE(meshd_links_flush(meshd->links)); /* goodbyes; what a socket does not take is lost */
    }
    begin_waiting(meshd);
    next_stage(meshd);
}
