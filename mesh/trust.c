#include "mesh/trust.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "mesh/trust_file.h"
#include "wire/base/list.h"
#include "wire/base/mem.h"

static_assert(CORE_OLDS_MAX <= WIRE_OLDER_MAX, "the door knows them all");
static_assert(CORE_INVITATIONS_MAX <= WIRE_INVITATIONS_MAX, "the door knows them all");

/* One state on its way to the disk. */
struct save {
    struct list node;
    uint64_t number;
    struct buf text;
    int error;
};

struct meshd_trust {
    uv_loop_t *loop;
    struct meshd_sink sink;
    const struct meshd_log *log;
    int dir_fd;
    struct wire_door *door;        /* owned */
    struct meshd_trust_kept *kept; /* owned; until the core has it */
    struct list saves;             /* those that wait their turn */
    struct save *saving;           /* owned; the thread's. NULL: nothing is being written */
    uv_work_t work;
    struct errmsg err; /* the thread's, of the last write */
    bool is_closing;
    void (*on_closed)(void *user);
    void *on_closed_user;
};

int meshd_trust_new(uv_loop_t *loop, const struct meshd_sink *sink, int dir_fd,
                    const struct meshd_log *log, struct meshd_trust **ret_trust, struct errmsg *err)
{
    struct meshd_trust_kept *kept;
    int rc = meshd_trust_load(dir_fd, &kept, err);
    if (rc < 0) {
        return rc;
    }
    struct meshd_trust *trust = mem_alloc_or_die(1, sizeof(*trust));
    trust->loop = loop;
    trust->sink = *sink;
    trust->log = log;
    trust->dir_fd = dir_fd;
    trust->kept = kept;
    trust->work.data = trust;
    list_init(&trust->saves);
    trust->door = wire_door_new();
    ensure(trust->door != NULL);                  /* at start, for ourselves */
    IGNORE(meshd_trust_set(trust, &kept->state)); /* nobody began anything before it */
    *ret_trust = trust;
    return 0;
}

const struct core_trust_state *meshd_trust_state(const struct meshd_trust *trust)
{
    ensure(trust->kept != NULL);
    return &trust->kept->state;
}

void meshd_trust_forget(struct meshd_trust *trust)
{
    trust->kept = meshd_trust_kept_free(trust->kept);
}

const struct wire_door *meshd_trust_door(const struct meshd_trust *trust)
{
    return trust->door;
}

bool meshd_trust_set(struct meshd_trust *trust, const struct core_trust_state *state)
{
    struct wire_door *door = trust->door;
    struct wire_secret before = door->present.secret;
    bool was_locked = door->is_locked;
    wire_door_clear(door);
    if (state->present.generation > 0) {
        wire_door_lock(door, &state->present.secret);
    }
    for (uint32_t i = 0; i < state->n_olds; i++) {
        wire_door_add_older(door, &state->olds[i].secret);
    }
    for (uint32_t i = 0; i < state->n_invitations; i++) {
        const struct core_invitation *invitation = &state->invitations[i];
        wire_door_add_invitation(door, &invitation->token,
                                 invitation->is_bound ? &invitation->key : NULL);
    }
    for (uint32_t i = 0; i < state->n_members; i++) {
        wire_door_add_member(door, &state->members[i].key);
    }
    for (uint32_t i = 0; i < state->n_bans; i++) {
        if (state->bans[i].is_banned) {
            wire_door_add_ban(door, &state->bans[i].key);
        }
    }
    bool is_renewed = was_locked != door->is_locked ||
                      memcmp(&before, &door->present.secret, sizeof(before)) != 0;
    explicit_bzero(&before, sizeof(before));
    return is_renewed;
}

/* --- the file ----------------------------------------------------------------------------------
 */

static void save_next(struct meshd_trust *trust);

static void maybe_closed(struct meshd_trust *trust)
{
    if (!trust->is_closing || trust->saving != NULL) {
        return;
    }
    void (*on_closed)(void *) = trust->on_closed;
    void *user = trust->on_closed_user;
    trust->door = wire_door_free(trust->door);
    meshd_trust_forget(trust);
    mem_free(trust);
    on_closed(user);
}

static void run_save(uv_work_t *work)
{
    struct meshd_trust *trust = work->data;
    struct save *save = trust->saving;
    if (save->error == 0) {
        save->error = meshd_trust_save(trust->dir_fd, buf_slice(&save->text), &trust->err);
    } else {
        errmsg_set(&trust->err, "out of memory for the file of trust");
    }
}

static void on_saved(uv_work_t *work, int status)
{
    struct meshd_trust *trust = work->data;
    struct save *save = STEAL(trust->saving);
    struct core_event event = {
        .type = CORE_EVENT_TRUST_KEPT,
        .trust_kept = {.number = save->number, .error = save->error},
    };
    if (save->error < 0) {
        meshd_log(trust->log, CORE_LOG_ERROR, "%s; what this peer knows of its mesh is not kept",
                  trust->err.text);
    }
    meshd_trust_wipe(&save->text);
    mem_free(save);
    save_next(trust);
    if (!trust->is_closing) {
        meshd_sink_put(&trust->sink, &event);
    }
    maybe_closed(trust);
}

static void save_next(struct meshd_trust *trust)
{
    struct list *first = list_first(&trust->saves);
    if (trust->saving != NULL || first == NULL) {
        return;
    }
    list_remove(first);
    trust->saving = LIST_ENTRY(first, struct save, node);
    int rc = uv_queue_work(trust->loop, &trust->work, run_save, on_saved);
    ensure(rc == 0); /* fails only without a callback */
}

void meshd_trust_keep(struct meshd_trust *trust, uint64_t number,
                      const struct core_trust_state *state)
{
    ensure(!trust->is_closing);
    struct save *save = mem_alloc_or_die(1, sizeof(*save));
    save->number = number;
    save->error = meshd_trust_format(state, &save->text); /* -ENOMEM: told like any other */
    list_push_back(&trust->saves, &save->node);
    save_next(trust);
}

void meshd_trust_close(struct meshd_trust *trust, void (*on_closed)(void *user), void *user)
{
    trust->is_closing = true;
    trust->on_closed = on_closed;
    trust->on_closed_user = user;
    maybe_closed(trust);
}
