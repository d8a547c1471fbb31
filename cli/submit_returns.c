#include "cli/submit_returns.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/file_write.h"
#include "cli/submit_internal.h"
#include "mesh/client/client.h"
#include "wire/base/list.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

#define GETS_AT_ONCE 16u
#define TOLD_FROM    (UINT64_C(64) << 20) /* as in submit_files.c */
#define NOTES_MAX    10u

struct incoming {
    struct cmd_received received; /* first: handed out as that */
    struct list node;
    struct wire_result_files files; /* in the arena */
    uint32_t next;                  /* the first that is not asked for */
    uint32_t n_asked;               /* and not answered */
};

struct get { /* asked for, not answered */
    struct list node;
    struct incoming *incoming;
    uint32_t i_file;
};

struct written { /* a place where a task's file is */
    struct table_entry entry;
    uint64_t key[2];
    uint32_t task;
};

struct cmd_receiver {
    struct list incoming; /* in the order of their results */
    struct list done;
    struct list gets;
    uint32_t n_gets;
    uint32_t n_notes;
    struct table written;
};

static char *dup_slice(struct slice text)
{
    char *copy = mem_strndup((const char *)text.p, text.n);
    ensure(copy != NULL);
    return copy;
}

void cmd_returns_set(struct cmd_returns *returns, const char *base, struct wire_slices paths)
{
    cmd_returns_done(returns);
    returns->items = paths.n > 0 ? mem_alloc_or_die(paths.n, sizeof(*returns->items)) : NULL;
    for (uint32_t i = 0; i < paths.n; i++) {
        returns->items[returns->n++] = (struct cmd_return){.base = dup_slice(slice_str(base)),
                                                           .path = dup_slice(paths.items[i])};
    }
}

void cmd_returns_done(struct cmd_returns *returns)
{
    for (uint32_t i = 0; i < returns->n; i++) {
        mem_free(returns->items[i].base);
        mem_free(returns->items[i].path);
    }
    mem_free(returns->items);
    *returns = (struct cmd_returns){0};
}

struct cmd_receiver *cmd_receiver_new(void)
{
    struct cmd_receiver *receiver = mem_alloc_or_die(1, sizeof(*receiver));
    list_init(&receiver->incoming);
    list_init(&receiver->done);
    list_init(&receiver->gets);
    table_init(&receiver->written, sizeof(uint64_t[2]), 1);
    return receiver;
}

void cmd_received_free(struct cmd_received *received)
{
    arena_done(&received->arena);
    mem_free(CONTAINER_OF(received, struct incoming, received));
}

static void free_list(struct list *list)
{
    list_for_each_safe (it, list) {
        struct incoming *incoming = LIST_ENTRY(it, struct incoming, node);
        list_remove(&incoming->node);
        cmd_received_free(&incoming->received);
    }
}

struct cmd_receiver *cmd_receiver_free(struct cmd_receiver *receiver)
{
    if (receiver == NULL) {
        return NULL;
    }
    list_for_each_safe (it, &receiver->gets) {
        mem_free(LIST_ENTRY(it, struct get, node));
    }
    free_list(&receiver->incoming);
    free_list(&receiver->done);
    table_for_each (it, &receiver->written) {
        mem_free(CONTAINER_OF(it, struct written, entry));
    }
    table_done(&receiver->written);
    return mem_free(receiver);
}

bool cmd_receiver_is_idle(const struct cmd_receiver *receiver)
{
    return list_is_empty(&receiver->incoming) && list_is_empty(&receiver->done);
}

struct cmd_received *cmd_receiver_next_done(struct cmd_receiver *receiver)
{
    struct list *first = list_first(&receiver->done);
    if (first == NULL) {
        return NULL;
    }
    struct incoming *incoming = LIST_ENTRY(first, struct incoming, node);
    list_remove(&incoming->node);
    return &incoming->received;
}

/* --- what may be written -----------------------------------------------------------------------
 */

/* The return that asked for this path: that itself, or a folder that it is in. NULL: none did. */
static const struct cmd_return *asked_by(const struct cmd_returns *returns, struct slice path)
{
    for (uint32_t i = 0; i < returns->n; i++) {
        struct slice asked = slice_str(returns->items[i].path);
        if (path.n >= asked.n && memcmp(path.p, asked.p, asked.n) == 0 &&
            (path.n == asked.n || path.p[asked.n] == '/')) {
            return &returns->items[i];
        }
    }
    return NULL;
}

/* Whether no other task's file is there; from now on this one's is. */
static bool claim(struct cmd_receiver *receiver, const struct cmd_return *by, struct slice path,
                  uint32_t task, uint32_t *ret_other)
{
    struct buf place;
    buf_init(&place, 4 * WIRE_PATH_BYTES_MAX);
    buf_append_str(&place, by->base);
    buf_append_u8(&place, '\0');
    buf_append_slice(&place, path);
    uint64_t key[2] = {table_hash(place.p, place.n, 1), table_hash(place.p, place.n, 2)};
    buf_done(&place);
    struct table_entry *entry = table_find(&receiver->written, key);
    if (entry != NULL) {
        *ret_other = CONTAINER_OF(entry, struct written, entry)->task;
        return *ret_other == task;
    }
    struct written *written = mem_alloc_or_die(1, sizeof(*written));
    memcpy(written->key, key, sizeof(key));
    written->task = task;
    table_insert(&receiver->written, &written->entry, written->key);
    return true;
}

static void set_fault(struct incoming *incoming, const struct errmsg *err)
{
    if (incoming->received.fault.text[0] == '\0') {
        incoming->received.fault = *err;
    }
}

/* What is in the way is this task's bad luck; what else goes wrong (a full disk) is everybody's. */
static int judge(struct incoming *incoming, int error, const struct errmsg *err)
{
    if (error == -ELOOP || error == -ENOTDIR || error == -EISDIR || error == -EEXIST) {
        set_fault(incoming, err);
        return 0;
    }
    return error;
}

static int write_file(struct cmd_receiver *receiver, struct incoming *incoming,
                      const struct wire_result_file *file, int fd, struct errmsg *err)
{
    const struct cmd_task *task = incoming->received.task;
    const struct cmd_return *by = asked_by(&task->returns, file->path);
    uint32_t other;
    ensure(by != NULL); /* it was not asked for otherwise */
    if (!claim(receiver, by, file->path, task->number, &other)) {
        char shown[256];
        errmsg_set(err, "it returns %s, which task %" PRIu32 " has returned",
                   text_printable(file->path, shown, sizeof(shown)), other);
        return judge(incoming, -EEXIST, err);
    }
    const struct cmd_content content = {.inlined = file->inlined, .fd = fd, .bytes = file->bytes};
    int r = cmd_file_write(by->base, file->path, file->mode, &content, err);
    return judge(incoming, r, err);
}

/* --- one result --------------------------------------------------------------------------------
 */

/* Folders last, and the deepest first: one that may not be written in is no hindrance then. */
static int set_modes(struct incoming *incoming, struct errmsg *err)
{
    for (uint32_t i = incoming->files.n; i > 0; i--) {
        const struct wire_result_file *file = &incoming->files.items[i - 1];
        const struct cmd_return *by = asked_by(&incoming->received.task->returns, file->path);
        if (file->is_dir && file->fault == WIRE_FILE_FAULT_NONE && by != NULL && file->bytes == 1) {
            int r = judge(incoming, cmd_dir_set_mode(by->base, file->path, file->mode, err), err);
            if (r < 0) {
                return r;
            }
        }
    }
    return 0;
}

static void note_fault(struct cmd_receiver *receiver, struct cmd_run *run,
                       const struct incoming *incoming, const struct wire_result_file *file)
{
    char shown[256];
    if (receiver->n_notes++ < NOTES_MAX) {
        cmd_run_say(
            run, "task %" PRIu32 ": %s was not returned: %s", incoming->received.task->number,
            text_printable(file->path, shown, sizeof(shown)), wire_file_fault_text(file->fault));
    }
}

static int ask(struct cmd_receiver *receiver, struct cmd_run *run, struct incoming *incoming,
               const struct wire_result_file *file, struct errmsg *err)
{
    struct get *get = mem_alloc_or_die(1, sizeof(*get));
    get->incoming = incoming;
    get->i_file = (uint32_t)(file - incoming->files.items);
    list_push_back(&receiver->gets, &get->node);
    receiver->n_gets++;
    incoming->n_asked++;
    if (file->bytes >= TOLD_FROM && (run->bar.is_on || isatty(STDERR_FILENO))) {
        char shown[256];
        cmd_run_say(run, "receiving %s: %" PRIu64 " MiB",
                    text_printable(file->path, shown, sizeof(shown)), file->bytes >> 20);
    }
    struct wire_message message = {.type = WIRE_MESSAGE_GET, .get.hash = file->hash};
    int r = mesh_client_send(run->client, &message, NULL, 0, err);
    return r == -EPIPE ? 0 : r; /* shows when receiving */
}

static void release(struct cmd_run *run, const struct wire_hash *hash)
{
    struct wire_message message = {.type = WIRE_MESSAGE_RELEASE, .release.hash = *hash};
    IGNORE(mesh_client_send(run->client, &message, NULL, 0, NULL)); /* shows when receiving */
}

static int take_file(struct cmd_receiver *receiver, struct cmd_run *run, struct incoming *incoming,
                     struct wire_result_file *file, struct errmsg *err)
{
    static const struct wire_hash none;
    bool has_blob = memcmp(&file->hash, &none, sizeof(none)) != 0;
    const struct cmd_return *by = asked_by(&incoming->received.task->returns, file->path);
    if (by == NULL) { /* nobody asked for it */
        if (has_blob) {
            release(run, &file->hash);
        }
        return 0;
    }
    if (file->fault != WIRE_FILE_FAULT_NONE) {
        bool is_named = strlen(by->path) == file->path.n;
        if (!is_named) {
            note_fault(receiver, run, incoming, file);
        }
        return 0;
    }
    if (file->is_dir) {
        bool is_new = false;
        int r = cmd_dir_make(by->base, file->path, &is_new, err);
        file->bytes = is_new; /* for set_modes() */
        return judge(incoming, r, err);
    }
    return has_blob ? ask(receiver, run, incoming, file, err)
                    : write_file(receiver, incoming, file, -1, err);
}

/* As far as there is room for questions. */
static int pump(struct cmd_receiver *receiver, struct cmd_run *run, struct errmsg *err)
{
    list_for_each_safe (it, &receiver->incoming) {
        struct incoming *incoming = LIST_ENTRY(it, struct incoming, node);
        struct wire_result_file *files =
            (struct wire_result_file *)(uintptr_t)incoming->files.items; /* our own copy */
        int r = 0;
        while (r == 0 && incoming->next < incoming->files.n && receiver->n_gets < GETS_AT_ONCE) {
            r = take_file(receiver, run, incoming, &files[incoming->next++], err);
        }
        if (r == 0 && incoming->next == incoming->files.n && incoming->n_asked == 0) {
            r = set_modes(incoming, err);
            list_remove(&incoming->node);
            list_push_back(&receiver->done, &incoming->node);
        }
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

/* All but what was printed, which is dealt with. 0 or -ENOMEM. */
static int copy_done(struct arena *arena, const struct wire_done *from, struct wire_done *to)
{
    uint32_t n = from->result.files.n;
    struct wire_result_file *files = arena_alloc(arena, n, sizeof(*files));
    *to = *from;
    to->result.out.inlined = (struct slice){0};
    to->result.err.inlined = (struct slice){0};
    int r = files == NULL ? -ENOMEM : arena_copy(arena, from->peer_name, &to->peer_name);
    r = r < 0 ? r : arena_copy(arena, from->result.detail, &to->result.detail);
    for (uint32_t i = 0; i < n && r == 0; i++) {
        files[i] = from->result.files.items[i];
        r = arena_copy(arena, files[i].path, &files[i].path);
        r = r < 0 ? r : arena_copy(arena, files[i].inlined, &files[i].inlined);
    }
    to->result.files.items = files;
    return r;
}

int cmd_receiver_add(struct cmd_receiver *receiver, struct cmd_run *run, struct cmd_task *task,
                     const struct wire_done *done, struct errmsg *err)
{
    struct incoming *incoming = mem_alloc_or_die(1, sizeof(*incoming));
    arena_init(&incoming->received.arena, WIRE_ARENA_BYTES_MAX);
    incoming->received.task = task;
    list_push_back(&receiver->incoming, &incoming->node);
    int r = copy_done(&incoming->received.arena, done, &incoming->received.done);
    if (r < 0) {
        errmsg_set(err, "out of memory for the files of task %" PRIu32, task->number);
        return r;
    }
    incoming->files = incoming->received.done.result.files;
    return pump(receiver, run, err);
}

static struct get *find_get(const struct cmd_receiver *receiver, const struct wire_hash *hash)
{
    list_for_each (it, &receiver->gets) {
        struct get *get = LIST_ENTRY(it, struct get, node);
        if (memcmp(&get->incoming->files.items[get->i_file].hash, hash, sizeof(*hash)) == 0) {
            return get;
        }
    }
    return NULL;
}

int cmd_receiver_on_got(struct cmd_receiver *receiver, struct cmd_run *run,
                        const struct wire_got *got, int fd, struct errmsg *err)
{
    struct get *get = find_get(receiver, &got->hash);
    if (get == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return 0;
    }
    struct incoming *incoming = get->incoming;
    const struct wire_result_file *file = &incoming->files.items[get->i_file];
    list_remove(&get->node);
    mem_free(get);
    receiver->n_gets--;
    incoming->n_asked--;
    int r = 0;
    if (fd < 0 || got->error != WIRE_ERROR_NONE) {
        char shown[256];
        char text[WIRE_REASON_BYTES_MAX * 4 + 8];
        errmsg_set(err, "%s was not returned: %s", text_printable(file->path, shown, sizeof(shown)),
                   text_printable(got->text, text, sizeof(text)));
        set_fault(incoming, err);
    } else {
        r = write_file(receiver, incoming, file, fd, err);
    }
    if (fd >= 0) {
        close(fd);
    }
    release(run, &got->hash);
    return r < 0 ? r : pump(receiver, run, err);
}
