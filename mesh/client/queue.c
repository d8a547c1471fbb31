/* Named queues: each put, get and end of a get is one request to the daemon, on the stack of the
 * thread that waits for its answer. What a daemon that is gone had not answered is not known; an
 * item that was got from it has gone back. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "mesh/client/clock.h"
#include "mesh/client/handle.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

enum op_kind { OP_PUT, OP_GET, OP_END, OP_LIST };

struct mesh_queue_op {
    struct list node; /* of mesh.queue_ops */
    enum op_kind kind;
    uint64_t id;
    const char *name;
    struct slice bytes; /* PUT */
    int fd;             /* of them, where they are too many for a message; else -1 */
    bool is_done_said;  /* END: the item is done, not given back */
    bool is_sent, is_over;
    int error;
    struct errmsg text;
    struct mesh_queue_item *item; /* GET: what came; owned */
    struct mesh_queue_info *infos;
    size_t infos_max, n_infos;
};

struct mesh_queue_item {
    mesh *m;
    uint64_t id, generation; /* of the get, and of the connection that it came over */
    size_t n_bytes;
    uint8_t bytes[]; /* and a NUL */
};

/* --- the handle's side -------------------------------------------------------------------------
 */

static struct mesh_queue_op *op_of(struct list *node)
{
    return LIST_ENTRY(node, struct mesh_queue_op, node);
}

static void end_op(struct mesh_queue_op *op, int error, struct slice text)
{
    char line[WIRE_REASON_BYTES_MAX + 1];
    op->is_over = true;
    op->error = error;
    errmsg_set(&op->text, "%s", text_printable(text, line, sizeof(line)));
}

void mesh_queue_lost(mesh *m)
{
    list_for_each (it, &m->queue_ops) {
        struct mesh_queue_op *op = op_of(it);
        if (op->is_sent && (op->kind == OP_PUT || op->kind == OP_END) && !op->is_over) {
            end_op(op, MESH_EDAEMON,
                   slice_str("the daemon is gone: it is not known whether this still counted"));
        }
        op->is_sent = false; /* a get is asked for again */
    }
}

static int send_op(mesh *m, struct mesh_queue_op *op, struct errmsg *err)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUES_QUERY};
    struct wire_queue_bytes content = {.bytes = op->bytes};
    int fd = -1;
    if (op->kind == OP_PUT) {
        if (op->fd >= 0) {
            content = (struct wire_queue_bytes){.blob_bytes = op->bytes.n};
            fd = fcntl(op->fd, F_DUPFD_CLOEXEC, 0);
            if (fd < 0) {
                end_op(op, MESH_EIO, slice_str(strerror(errno)));
                return 0;
            }
        }
        message.type = WIRE_MESSAGE_QUEUE_ADD;
        message.queue_add = (struct wire_queue_add){
            .id = op->id, .name = slice_str(op->name), .items = {.items = &content, .n = 1}};
    } else if (op->kind == OP_GET) {
        message.type = WIRE_MESSAGE_QUEUE_TAKE;
        message.queue_take = (struct wire_queue_take){.id = op->id, .name = slice_str(op->name)};
    } else if (op->kind == OP_END) {
        message.type = WIRE_MESSAGE_QUEUE_END;
        message.queue_end = (struct wire_queue_end){.id = op->id, .is_done = op->is_done_said};
    }
    int r = mesh_client_queue(m->client, &message, &fd, fd >= 0, err);
    op->is_sent = r == 0;
    return r;
}

int mesh_queue_send(mesh *m, struct errmsg *err)
{
    int r = 0;
    list_for_each (it, &m->queue_ops) {
        struct mesh_queue_op *op = op_of(it);
        r = r == 0 && !op->is_sent && !op->is_over ? send_op(m, op, err) : r;
    }
    return r;
}

static struct mesh_queue_op *find_op(const mesh *m, uint64_t id)
{
    list_for_each (it, &m->queue_ops) {
        struct mesh_queue_op *op = op_of(it);
        if (op->id == id && op->is_sent && !op->is_over) {
            return op;
        }
    }
    return NULL;
}

static int error_of(uint32_t error)
{
    switch (error) {
    case WIRE_ERROR_NONE:
        return 0;
    case WIRE_ERROR_UNKNOWN:
        return MESH_ELATE;
    case WIRE_ERROR_LIMIT:
        return MESH_ELIMIT;
    case WIRE_ERROR_INVALID:
        return MESH_EINVAL;
    default:
        return MESH_EIO;
    }
}

static int read_all(int fd, uint8_t *to, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = pread(fd, to + done, n - done, (off_t)done);
        if (r == 0 || (r < 0 && errno != EINTR)) {
            return r == 0 ? -EIO : -errno;
        }
        done += r > 0 ? (size_t)r : 0;
    }
    return 0;
}

static void take_item(mesh *m, struct mesh_queue_op *op, const struct wire_queue_bytes *content)
{
    size_t n = content->blob_bytes > 0 ? (size_t)content->blob_bytes : content->bytes.n;
    struct mesh_queue_item *item = mem_alloc(1, sizeof(*item) + n + 1);
    int fd = content->blob_bytes > 0 ? mesh_client_take_fd(m->client, 0) : -1;
    int r = item == NULL ? -ENOMEM : fd >= 0 ? read_all(fd, item->bytes, n) : 0;
    if (fd >= 0) {
        close(fd);
    }
    if (r < 0) { /* the item goes back with the handle's next END, or its end */
        mem_free(item);
        end_op(op, mesh_error_of(r), slice_str(strerror(-r)));
        return;
    }
    item->m = m;
    item->id = op->id;
    item->generation = m->generation;
    item->n_bytes = n;
    if (content->bytes.n > 0) {
        memcpy(item->bytes, content->bytes.p, n);
    }
    op->item = item;
    end_op(op, 0, (struct slice){0});
}

static void take_list(struct mesh_queue_op *op, const struct wire_queue_rows_list *rows)
{
    op->n_infos = rows->n;
    for (uint32_t i = 0; i < rows->n && i < op->infos_max; i++) {
        const struct wire_queue_row *row = &rows->items[i];
        struct mesh_queue_info *info = &op->infos[i];
        *info = (struct mesh_queue_info){.n_waiting = row->n_waiting,
                                         .n_taken = row->n_taken,
                                         .n_getters = row->n_getters,
                                         .n_done = row->n_done,
                                         .is_known = row->is_known};
        text_printable(row->name, info->name, sizeof(info->name));
        text_printable(row->peer, info->peer, sizeof(info->peer));
    }
    end_op(op, 0, (struct slice){0});
}

bool mesh_queue_on_message(mesh *m, const struct wire_message *message)
{
    struct mesh_queue_op *op;
    switch ((unsigned)message->type) { /* as a number: the others are not of queues */
    case WIRE_MESSAGE_QUEUE_TAKEN:
        op = find_op(m, message->queue_taken.id);
        if (op != NULL && op->kind == OP_GET) {
            take_item(m, op, &message->queue_taken.content);
        }
        return true;
    case WIRE_MESSAGE_QUEUE_REPLY:
        op = find_op(m, message->queue_reply.id);
        if (op != NULL) {
            end_op(op, error_of(message->queue_reply.error), message->queue_reply.text);
        }
        return true;
    case WIRE_MESSAGE_QUEUES_LIST:
        op = find_op(m, 0);
        if (op != NULL) {
            take_list(op, &message->queues_list.rows);
        }
        return true;
    default:
        return false;
    }
}

/* --- for users ---------------------------------------------------------------------------------
 */

static bool is_over(struct mesh_wait *wait)
{
    const struct mesh_queue_op *op = wait->what;
    return op->is_over;
}

static bool is_over_or_lost(struct mesh_wait *wait)
{
    const struct mesh_queue_op *op = wait->what;
    const mesh *m = (const mesh *)(uintptr_t)wait->n;
    return op->is_over || m->lost != 0;
}

static int wait_for(mesh *m, struct mesh_queue_op *op, double timeout)
{
    struct mesh_wait wait = {.is_over = is_over_or_lost, .what = op, .n = (size_t)(uintptr_t)m};
    list_push_back(&m->queue_ops, &op->node);
    mesh_wake(m);
    int r = is_over(&wait) ? 0 : mesh_wait_until(m, &wait, timeout);
    list_remove(&op->node);
    if (r == 0 && !op->is_over) {
        return m->lost; /* which has its text */
    }
    if (r == 0 && op->error < 0) {
        return mesh_set_error(m, op->error, "%s", op->text.text);
    }
    if (r < 0 && r != MESH_ETIMEDOUT) {
        mesh_set_error(m, r, "a callback may not wait");
    }
    return r;
}

/* 0; or an error that is set. */
static int check_name(mesh *m, const char *queue)
{
    if (queue == NULL || !wire_queue_name_is_good(slice_str(queue))) {
        return mesh_set_error(
            m, MESH_EINVAL, "a queue's name has 1 to %u bytes, no slash and no control characters",
            WIRE_NAME_BYTES_MAX);
    }
    return 0;
}

/* The handle is locked. */
static int put(mesh *m, struct mesh_queue_op *op)
{
    int r = check_name(m, op->name);
    if (r == 0 && op->bytes.n > WIRE_ITEM_BLOB_BYTES_MAX) {
        return mesh_set_error(m, MESH_ELIMIT, "an item has %llu bytes at most",
                              (unsigned long long)WIRE_ITEM_BLOB_BYTES_MAX);
    }
    if (r == 0 && op->bytes.n > WIRE_ITEM_BYTES_MAX) {
        int error = mesh_memory_file(op->bytes.p, op->bytes.n, &op->fd);
        r = error < 0 ? mesh_set_error(m, mesh_error_of(error), "%s", strerror(-error)) : 0;
    }
    if (r == 0) {
        op->id = ++m->next_queue;
        r = wait_for(m, op, MESH_FOREVER);
    }
    if (op->fd >= 0) {
        close(op->fd);
    }
    return r;
}

int mesh_queue_put(mesh *m, const char *queue, const void *bytes, size_t n_bytes)
{
    struct mesh_queue_op op = {
        .kind = OP_PUT, .name = queue, .bytes = slice_of(bytes, n_bytes), .fd = -1};
    if (m == NULL || (bytes == NULL && n_bytes > 0)) {
        return MESH_EINVAL;
    }
    mesh_lock(m);
    int r = put(m, &op);
    mesh_unlock(m);
    return r;
}

/* What was asked for is not wanted any more; an item that came meanwhile goes back. */
static void call_off(mesh *m, uint64_t id)
{
    struct mesh_queue_op op = {.kind = OP_END, .id = id};
    IGNORE(wait_for(m, &op, MESH_FOREVER)); /* a daemon that is gone has forgotten it */
}

mesh_queue_item *mesh_queue_get(mesh *m, const char *queue, double timeout)
{
    if (m == NULL) {
        return NULL;
    }
    mesh_lock(m);
    struct mesh_queue_op op = {.kind = OP_GET, .id = ++m->next_queue, .name = queue};
    int r = check_name(m, queue);
    if (r == 0) {
        r = wait_for(m, &op, timeout);
    }
    if (r == MESH_ETIMEDOUT) {
        if (op.is_sent) {
            call_off(m, op.id);
        }
        mesh_set_error(m, r, "nothing came from queue %s in time", queue);
    }
    mesh_unlock(m);
    return op.item;
}

const void *mesh_queue_item_bytes(const mesh_queue_item *item, size_t *ret_n)
{
    if (item == NULL) {
        return NULL;
    }
    if (ret_n != NULL) {
        *ret_n = item->n_bytes;
    }
    return item->bytes;
}

static int end_item(mesh_queue_item *item, bool is_done)
{
    if (item == NULL) {
        return MESH_EINVAL;
    }
    mesh *m = item->m;
    int r = 0;
    mesh_lock(m);
    if (item->generation == m->generation && m->client != NULL) {
        struct mesh_queue_op op = {.kind = OP_END, .id = item->id, .is_done_said = is_done};
        r = wait_for(m, &op, MESH_FOREVER);
    } else if (is_done) {
        r = mesh_set_error(m, MESH_ELATE,
                           "the daemon that had the item is gone: the item goes to another getter");
    }
    mesh_unlock(m);
    mem_free(item);
    return r;
}

int mesh_queue_item_done(mesh_queue_item *item)
{
    return end_item(item, true);
}

mesh_queue_item *mesh_queue_item_free(mesh_queue_item *item)
{
    IGNORE(end_item(item, false)); /* it goes back in any case */
    return NULL;
}

int mesh_queue_list(mesh *m, struct mesh_queue_info *infos, size_t infos_max, size_t *ret_n)
{
    if (m == NULL || ret_n == NULL || (infos == NULL && infos_max > 0)) {
        return MESH_EINVAL;
    }
    struct mesh_queue_op op = {.kind = OP_LIST, .infos = infos, .infos_max = infos_max};
    mesh_lock(m);
    int r = wait_for(m, &op, MESH_FOREVER);
    mesh_unlock(m);
    if (r == 0) {
        *ret_n = op.n_infos;
    }
    return r;
}
