#include "mesh/shared_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "wire/base/mem.h"
#include "wire/base/table.h"

/* So much is copied at once on the loop; more would keep others waiting longer than a thread's
 * waking takes. */
#define COPY_NOW_BYTES (256u << 10)
/* From here on it is asked whether the machine has room. */
#define LARGE_BYTES (16u << 20)

struct shared_blob {
    struct table_entry by_hash;
    struct shared_memory *memory;
    struct wire_hash hash;
    uint64_t bytes;
    int fd; /* for reading; -1 until it is made */
    unsigned n_uses;
    bool is_making;
    struct list waits;   /* of shared_use.in_blob */
    struct list in_idle; /* while nobody uses it, longest idle first */
    uint64_t idle_ms;    /* of the loop's clock: since when */
    uv_work_t work;
    int from_fd; /* while it is made */
    int error;
};

struct shared_memory {
    uv_loop_t *loop;
    struct meshd_blobs *blobs;
    struct table by_hash;
    struct list idle;
    uint64_t idle_bytes;
    uint64_t idle_bytes_max;
    uint64_t n_copies;
    uv_timer_t timer; /* for the longest idle */
    unsigned n_making;
    bool is_closing;
    bool is_timer_closed;
    void (*on_closed)(void *user);
    void *closed_user;
};

/* --- the copy -----------------------------------------------------------------------------------
 */

/* Touches nothing but its blob's own fields; on the loop or on a thread. */
static int copy(struct shared_blob *blob)
{
    int fd = memfd_create("mesh-blob", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return -errno;
    }
    int r = 0;
    off_t at = 0;
    while (r == 0 && (uint64_t)at < blob->bytes) {
        ssize_t n = sendfile(fd, blob->from_fd, &at, (size_t)(blob->bytes - (uint64_t)at));
        r = n < 0 && errno != EINTR ? -errno : n == 0 ? -EIO : 0;
    }
    if (r == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
        r = -errno;
    }
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    blob->fd = r == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (r == 0 && blob->fd < 0) {
        r = -errno;
    }
    close(fd);
    return r;
}

static void drop(struct shared_blob *blob)
{
    struct shared_memory *memory = blob->memory;
    table_remove(&memory->by_hash, &blob->by_hash);
    if (list_is_linked(&blob->in_idle)) {
        list_remove(&blob->in_idle);
        memory->idle_bytes -= blob->bytes;
    }
    if (blob->fd >= 0) {
        close(blob->fd);
    }
    mem_free(blob);
}

static void maybe_closed(struct shared_memory *memory)
{
    if (!memory->is_closing || memory->n_making > 0 || !memory->is_timer_closed) {
        return;
    }
    void (*on_closed)(void *) = memory->on_closed;
    void *user = memory->closed_user;
    ensure(memory->by_hash.n == 0);
    table_done(&memory->by_hash);
    mem_free(memory);
    on_closed(user);
}

static void become_idle(struct shared_blob *blob);

static void run_copy(uv_work_t *work)
{
    struct shared_blob *blob = CONTAINER_OF(work, struct shared_blob, work);
    blob->error = copy(blob);
}

static void after_copy(uv_work_t *work, int status)
{
    struct shared_blob *blob = CONTAINER_OF(work, struct shared_blob, work);
    struct shared_memory *memory = blob->memory;
    int error = status < 0 ? status : blob->error;
    close(blob->from_fd);
    blob->is_making = false;
    blob->error = error;
    memory->n_making--;
    memory->n_copies += error == 0;
    blob->n_uses++; /* a callback may give the last use back */
    while (!list_is_empty(&blob->waits)) {
        struct shared_use *use = LIST_ENTRY(list_first(&blob->waits), struct shared_use, in_blob);
        list_remove(&use->in_blob);
        use->on_ready(use->user, error);
    }
    if (--blob->n_uses == 0) {
        become_idle(blob);
    }
    maybe_closed(memory);
}

/* --- what nobody needs --------------------------------------------------------------------------
 */

static void on_timer(uv_timer_t *timer);

static void set_timer(struct shared_memory *memory)
{
    if (list_is_empty(&memory->idle) || memory->is_closing ||
        uv_is_active((uv_handle_t *)&memory->timer)) {
        return;
    }
    const struct shared_blob *first =
        LIST_ENTRY(list_first(&memory->idle), struct shared_blob, in_idle);
    uint64_t age_ms = uv_now(memory->loop) - first->idle_ms;
    uv_timer_start(&memory->timer, on_timer,
                   age_ms < SHARED_MEMORY_KEEP_MS ? SHARED_MEMORY_KEEP_MS - age_ms : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct shared_memory *memory = CONTAINER_OF(timer, struct shared_memory, timer);
    uint64_t now_ms = uv_now(memory->loop);
    while (!list_is_empty(&memory->idle)) {
        struct shared_blob *blob =
            LIST_ENTRY(list_first(&memory->idle), struct shared_blob, in_idle);
        if (now_ms - blob->idle_ms < SHARED_MEMORY_KEEP_MS) {
            break;
        }
        drop(blob);
    }
    set_timer(memory);
}

static void drop_idle(struct shared_memory *memory)
{
    while (!list_is_empty(&memory->idle)) {
        drop(LIST_ENTRY(list_first(&memory->idle), struct shared_blob, in_idle));
    }
}

/* The last one to become idle stays in any case: were it always too large, each task would copy it
 * anew. */
static void become_idle(struct shared_blob *blob)
{
    struct shared_memory *memory = blob->memory;
    if (blob->is_making) {
        return; /* looked at again when it is made */
    }
    if (blob->error < 0 || memory->is_closing) {
        drop(blob);
        return;
    }
    blob->idle_ms = uv_now(memory->loop);
    list_push_back(&memory->idle, &blob->in_idle);
    memory->idle_bytes += blob->bytes;
    while (memory->idle_bytes > memory->idle_bytes_max &&
           list_first(&memory->idle) != &blob->in_idle) {
        drop(LIST_ENTRY(list_first(&memory->idle), struct shared_blob, in_idle));
    }
    set_timer(memory);
}

/* --- uses ---------------------------------------------------------------------------------------
 */

static int make(struct shared_blob *blob)
{
    struct shared_memory *memory = blob->memory;
    int r = 0;
    if (blob->bytes >= LARGE_BYTES && blob->bytes > uv_get_free_memory()) {
        drop_idle(memory);
        r = blob->bytes > uv_get_free_memory() ? -ENOMEM : 0;
    }
    if (r == 0 && blob->bytes > COPY_NOW_BYTES) {
        r = uv_queue_work(memory->loop, &blob->work, run_copy, after_copy);
        if (r == 0) {
            blob->is_making = true;
            memory->n_making++;
            return -EINPROGRESS;
        }
    } else if (r == 0) {
        r = copy(blob);
        memory->n_copies += r == 0;
    }
    close(blob->from_fd);
    return r;
}

/* 0, -EINPROGRESS or another -errno; then there is no blob. */
static int add(struct shared_memory *memory, const struct wire_hash *hash,
               struct shared_blob **ret_blob)
{
    struct shared_blob *blob = mem_alloc(1, sizeof *blob);
    if (blob == NULL) {
        return -ENOMEM;
    }
    blob->memory = memory;
    blob->hash = *hash;
    blob->fd = -1;
    list_init(&blob->waits);
    list_init(&blob->in_idle);
    int r = meshd_blobs_open(memory->blobs, hash, &blob->from_fd, &blob->bytes);
    if (r == 0) {
        r = make(blob);
    }
    if (r < 0 && r != -EINPROGRESS) {
        mem_free(blob);
        return r;
    }
    table_insert(&memory->by_hash, &blob->by_hash, &blob->hash);
    *ret_blob = blob;
    return r;
}

int shared_memory_take(struct shared_memory *memory, const struct wire_hash *hash,
                       struct shared_use *use)
{
    ensure(!memory->is_closing);
    struct table_entry *entry = table_find(&memory->by_hash, hash);
    struct shared_blob *blob =
        entry != NULL ? CONTAINER_OF(entry, struct shared_blob, by_hash) : NULL;
    int r = blob == NULL ? add(memory, hash, &blob) : blob->is_making ? -EINPROGRESS : blob->error;
    if (r < 0 && r != -EINPROGRESS) {
        return r;
    }
    if (list_is_linked(&blob->in_idle)) {
        list_remove(&blob->in_idle);
        memory->idle_bytes -= blob->bytes;
    }
    blob->n_uses++;
    use->blob = blob;
    list_init(&use->in_blob);
    if (r < 0) {
        list_push_back(&blob->waits, &use->in_blob);
    }
    return r;
}

void shared_memory_give(struct shared_memory *memory, struct shared_use *use)
{
    struct shared_blob *blob = use->blob;
    if (blob == NULL) {
        return;
    }
    ensure(blob->n_uses > 0);
    list_remove(&use->in_blob);
    use->blob = NULL;
    if (--blob->n_uses == 0) {
        become_idle(blob);
    }
}

int shared_use_fd(const struct shared_use *use)
{
    ensure(use->blob->fd >= 0);
    return use->blob->fd;
}

uint64_t shared_use_bytes(const struct shared_use *use)
{
    return use->blob->bytes;
}

struct shared_memory_counts shared_memory_counts(const struct shared_memory *memory)
{
    return (struct shared_memory_counts){.n_blobs = (uint32_t)memory->by_hash.n,
                                         .idle_bytes = memory->idle_bytes,
                                         .n_copies = memory->n_copies};
}

/* --- all of it ----------------------------------------------------------------------------------
 */

struct shared_memory *shared_memory_new(uv_loop_t *loop, struct meshd_blobs *blobs,
                                        uint64_t table_seed)
{
    struct shared_memory *memory = mem_alloc_or_die(1, sizeof *memory);
    memory->loop = loop;
    memory->blobs = blobs;
    memory->idle_bytes_max = uv_get_total_memory() / SHARED_MEMORY_PART;
    table_init(&memory->by_hash, sizeof(struct wire_hash), table_seed);
    list_init(&memory->idle);
    uv_timer_init(loop, &memory->timer);
    uv_unref((uv_handle_t *)&memory->timer);
    return memory;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct shared_memory *memory = CONTAINER_OF((uv_timer_t *)handle, struct shared_memory, timer);
    memory->is_timer_closed = true;
    maybe_closed(memory);
}

void shared_memory_close(struct shared_memory *memory, void (*on_closed)(void *user), void *user)
{
    memory->is_closing = true;
    memory->on_closed = on_closed;
    memory->closed_user = user;
    drop_idle(memory);
    uv_close((uv_handle_t *)&memory->timer, on_timer_closed);
}
