/* Files of attempts: contents out of the store into cells, and what tasks return into the store.
 *
 * Returned files come one at a time, when nothing of the task runs any more. What is small goes
 * into the result, as long as there is room for it; the rest becomes blobs. The cell waits while
 * one is stored, so a task that returns thousands takes one descriptor here. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/executor_internal.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

struct exec_files {
    struct wire_hash *contents; /* owned: of the files that come, in their order */
    uint32_t n_contents;
    uint64_t bytes_max; /* of all that is returned */
    /* What was returned; the array, paths and contents are owned, blobs held. */
    struct wire_result_file *items;
    uint32_t n, cap;
    uint64_t bytes, n_inlined, n_told;   /* n_told: as wire_rule_result() counts */
    bool is_over;                        /* more than may be */
    int error;                           /* of one that could not be stored */
    char missing[WIRE_REASON_BYTES_MAX]; /* the first of the returns that did not come, and why */
};

#define ITEMS_FIRST 8u

int executor_files_keep(struct exec_attempt *attempt, const struct core_effect *effect,
                        uint64_t bytes_max)
{
    const struct wire_task_files *from = &effect->start.files;
    if (from->n == 0 && effect->start.returns.n == 0) {
        return 0;
    }
    struct exec_files *files = mem_alloc(1, sizeof(*files));
    if (files == NULL) {
        return -ENOMEM;
    }
    attempt->files = files; /* freed with the attempt */
    files->bytes_max = bytes_max;
    files->contents = from->n > 0 ? mem_alloc(from->n, sizeof(*files->contents)) : NULL;
    if (from->n > 0 && files->contents == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < from->n; i++) {
        uint32_t ref = from->items[i].ref;
        ensure(ref <= effect->start.refs.n); /* the codec saw to it */
        if (ref > 0) {
            files->contents[files->n_contents++] = effect->start.refs.items[ref - 1].hash;
        }
    }
    return 0;
}

int executor_open_content(void *user, struct cell *cell, uint32_t i, int *ret_fd)
{
    const struct exec_cell *exec_cell = user;
    const struct exec_attempt *attempt = exec_cell->attempt;
    uint64_t bytes;
    ensure(attempt != NULL && attempt->files != NULL);
    ensure(i < attempt->files->n_contents);
    return meshd_blobs_open(attempt->executor->config.blobs, &attempt->files->contents[i], ret_fd,
                            &bytes);
}

/* --- what comes back ---------------------------------------------------------------------------
 */

/* NULL: it is one too many, or memory is short. */
static struct wire_result_file *add(struct exec_files *files, const struct cell_returned *file)
{
    size_t n_path = strlen(file->path);
    uint64_t n_told = files->n_told + n_path + 64;
    if (files->n == WIRE_TASK_FILES_MAX || n_told > WIRE_RESULT_FILES_BYTES_MAX) {
        return NULL;
    }
    if (files->n == files->cap) {
        uint32_t cap = files->cap > 0 ? 2 * files->cap : ITEMS_FIRST;
        struct wire_result_file *items = mem_realloc(files->items, cap, sizeof(*items));
        if (items == NULL) {
            return NULL;
        }
        files->items = items;
        files->cap = cap;
    }
    uint8_t *path = mem_dup(file->path, n_path);
    if (path == NULL) {
        return NULL;
    }
    files->n_told = n_told;
    struct wire_result_file *item = &files->items[files->n++];
    *item = (struct wire_result_file){.path = slice_of(path, n_path),
                                      .mode = file->mode,
                                      .is_dir = file->is_dir,
                                      .fault = file->fault};
    return item;
}

static void note_missing(struct exec_files *files, const struct cell_returned *file)
{
    if (!file->is_named || files->missing[0] != '\0') {
        return;
    }
    struct errmsg line;
    errmsg_set(&line, "%s was not returned: %s", file->path, wire_file_fault_text(file->fault));
    text_printable(slice_str(line.text), files->missing, sizeof(files->missing));
}

/* Reads all of it into the result. Whether that was done. */
static bool take_inlined(struct exec_files *files, struct wire_result_file *item, int fd,
                         uint64_t n_bytes)
{
    bool fits = n_bytes <= WIRE_INLINE_BYTES_MAX - files->n_inlined &&
                n_bytes <= WIRE_RESULT_FILES_BYTES_MAX - files->n_told;
    if (!fits) {
        return false;
    }
    uint8_t *bytes = n_bytes > 0 ? mem_alloc(1, n_bytes) : NULL;
    ssize_t n = n_bytes > 0 && bytes != NULL ? pread(fd, bytes, n_bytes, 0) : 0;
    if (n != (ssize_t)n_bytes) {
        mem_free(bytes);
        return false;
    }
    item->bytes = n_bytes;
    item->inlined = slice_of(bytes, n_bytes);
    files->n_inlined += n_bytes;
    files->n_told += n_bytes;
    return true;
}

static void on_file_stored(void *user, int error, const struct wire_hash *hash, uint64_t bytes)
{
    struct exec_attempt *attempt = user;
    struct wire_result_file *item = &attempt->files->items[attempt->files->n - 1];
    struct cell *cell = attempt->cell != NULL ? attempt->cell->cell : NULL;
    if (error == 0) {
        item->hash = *hash;
        item->bytes = bytes;
    } else {
        attempt->files->error = error;
    }
    executor_stored(attempt);
    if (cell != NULL) {
        cell_take_next(cell, error < 0);
    }
}

/* Takes the descriptor. Whether the cell may go on at once. */
static bool take_file(struct exec_attempt *attempt, struct wire_result_file *item, int fd)
{
    struct exec_files *files = attempt->files;
    struct stat st;
    bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    uint64_t n_bytes = is_file ? (uint64_t)st.st_size : 0;
    if (n_bytes > files->bytes_max - files->bytes) {
        files->is_over = true;
        is_file = false;
    }
    files->bytes += is_file ? n_bytes : 0;
    if (!is_file || take_inlined(files, item, fd, n_bytes)) {
        IGNORE(close(fd)); /* was only read */
        item->fault = is_file ? WIRE_FILE_FAULT_NONE : WIRE_FILE_FAULT_LIMIT;
        return true;
    }
    attempt->n_storing++;
    attempt->executor->n_storing++;
    int rc = meshd_blobs_put(attempt->executor->config.blobs, fd, on_file_stored, attempt);
    if (rc < 0) {
        attempt->n_storing--;
        attempt->executor->n_storing--;
        files->error = rc;
    }
    return rc < 0;
}

void executor_on_returned(void *user, struct cell *cell, const struct cell_returned *file)
{
    struct exec_cell *exec_cell = user;
    struct exec_attempt *attempt = exec_cell->attempt;
    ensure(attempt != NULL && attempt->files != NULL);
    struct exec_files *files = attempt->files;
    struct wire_result_file *item = add(files, file);
    bool goes_on = true;
    if (item == NULL) {
        files->is_over = true;
        if (file->fd >= 0) {
            IGNORE(close(file->fd)); /* was never read */
        }
    } else if (file->fault != WIRE_FILE_FAULT_NONE) {
        note_missing(files, file);
    } else if (!file->is_dir) {
        goes_on = take_file(attempt, item, file->fd);
    }
    if (goes_on) {
        cell_take_next(cell, files->is_over || files->error < 0);
    }
}

/* --- the end -----------------------------------------------------------------------------------
 */

static bool is_zero(const struct wire_hash *hash)
{
    static const struct wire_hash none;
    return memcmp(hash, &none, sizeof(none)) == 0;
}

static void say(struct exec_attempt *attempt, enum wire_end end, const char *text)
{
    attempt->result.end = end;
    text_printable(slice_str(text), attempt->detail, sizeof(attempt->detail));
}

void executor_files_report(struct exec_attempt *attempt)
{
    struct exec_files *files = attempt->files;
    struct wire_result *result = &attempt->result;
    bool is_by_itself = result->end == WIRE_END_EXITED || result->end == WIRE_END_SIGNALED;
    if (files == NULL || !is_by_itself) {
        return;
    }
    struct errmsg line;
    if (files->error < 0) {
        errmsg_set(&line, "cannot store a file that it returns: %s", strerror(-files->error));
        say(attempt, WIRE_END_NO_DISK, line.text);
        return;
    }
    if (files->is_over) {
        errmsg_set(&line, "more than %llu bytes in the files it returns, or too many of them",
                   (unsigned long long)files->bytes_max);
        say(attempt, WIRE_END_OUTPUT_LIMIT, line.text);
        return;
    }
    if (result->end == WIRE_END_EXITED && result->status == 0 && files->missing[0] != '\0') {
        say(attempt, WIRE_END_NO_RETURN, files->missing);
    }
    for (uint32_t i = 0; i < files->n; i++) {
        if (!is_zero(&files->items[i].hash)) {
            meshd_blobs_pin(attempt->executor->config.blobs, &files->items[i].hash);
        }
    }
    result->files = (struct wire_result_files){.items = files->items, .n = files->n};
}

void executor_files_done(struct exec_attempt *attempt)
{
    struct exec_files *files = STEAL(attempt->files);
    for (uint32_t i = 0; files != NULL && i < files->n; i++) {
        const struct wire_result_file *item = &files->items[i];
        if (!is_zero(&item->hash)) {
            meshd_blobs_unhold(attempt->executor->config.blobs, &item->hash);
        }
        mem_free((void *)(uintptr_t)item->path.p);
        mem_free((void *)(uintptr_t)item->inlined.p);
    }
    if (files != NULL) {
        mem_free(files->items);
        mem_free(files->contents);
        mem_free(files);
    }
}
