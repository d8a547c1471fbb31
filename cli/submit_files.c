#include "cli/submit_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/submit_internal.h"
#include "mesh/client/client.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

#define PUTS_AT_ONCE 32u   /* each has a descriptor here and one on its way */
#define AHEAD_MAX    64u   /* tasks whose files are put before their turn */
#define CONTENTS_MAX 4096u /* kept for the next tasks, beside those of the present one */
#define ARENA_BYTES  (64u << 20)
#define TOLD_FROM    (UINT64_C(64) << 20) /* a file so large is named while it is taken in */
#define VALUES_BYTES CMD_INPUTS_BYTES_MAX

enum content_state { CONTENT_NEW, CONTENT_PUT, CONTENT_THERE };

struct content { /* of a file, as the daemon takes it in */
    struct table_entry by_key;
    struct table_entry by_id; /* while PUT */
    struct cmd_file_key key;
    uint64_t id;
    enum content_state state;
    int fd;          /* while PUT: to see whether it was changed; owned */
    char *local;     /* owned, while PUT */
    uint64_t waited; /* the task that waits for it to be put; 0: none */
    uint64_t task;   /* the last that reads it, */
    uint32_t ref;    /* and as which of its refs */
    struct wire_hash hash;
    uint64_t bytes;
};

struct cmd_sender {
    const struct cmd_submission *submission;
    struct cmd_replace *transfers[CMD_FILE_OPTIONS_MAX];
    struct cmd_replace *returns[CMD_FILE_OPTIONS_MAX];
    struct cmd_replace *workdir; /* or NULL */
    struct cmd_files base;
    struct arena base_arena;
    bool is_base_sent_each; /* too many for a job: with each task */

    /* values of all tasks, one behind the other, each with its length before it */
    struct buf values;
    size_t values_at;
    uint64_t n_values_sets;
    unsigned n_values;
    struct slice *now; /* owned: n_values */

    /* the task that is being made ready */
    uint64_t task;
    struct arena arena;
    struct cmd_files files;
    uint32_t next; /* of them, the first whose content is not asked for */
    struct wire_ref *refs;
    uint32_t n_refs;
    struct wire_task_file *sent;
    struct cmd_returns back;
    char dir[WIRE_PATH_BYTES_MAX + 1];

    struct table by_key, by_id;
    uint64_t next_id;
    uint32_t n_putting;         /* of them: */
    uint32_t n_waited;          /* those that the task waits for */
    uint64_t ahead;             /* the last task whose files were put ahead of their turn, */
    size_t ahead_at;            /* and where the next one's values are */
    struct slice *ahead_values; /* owned */
    bool is_full;               /* the daemon has no room until results come */
};

/* --- set-up ------------------------------------------------------------------------------------
 */

static int compile(const char *word, struct cmd_replace **ret_replace, struct errmsg *err)
{
    char *words[] = {(char *)(uintptr_t)word};
    return cmd_replace_new(words, 1, CMD_FORM_LINES, false, ret_replace, err);
}

static int compile_all(const char *const *words, unsigned n, struct cmd_replace **to,
                       struct errmsg *err)
{
    int r = 0;
    for (unsigned i = 0; i < n && r == 0; i++) {
        r = compile(words[i], &to[i], err);
    }
    return r;
}

static int walk_base(struct cmd_sender *sender, struct errmsg *err)
{
    const struct cmd_submit_options *o = sender->submission->options;
    int r = 0;
    for (unsigned i = 0; i < o->n_basefiles && r == 0; i++) {
        struct cmd_file_path path;
        r = cmd_file_path_parse("--basefile", slice_str(o->basefiles[i]), &path, err);
        r = r < 0 ? r : cmd_file_walk("--basefile", &path, &sender->base_arena, &sender->base, err);
    }
    uint32_t n_program = sender->submission->program->fd >= 0;
    bool has_dirs = false;
    for (uint32_t i = 0; i < sender->base.n; i++) {
        has_dirs = has_dirs || sender->base.items[i].is_dir;
    }
    /* Folders are made with the files in them; an empty one only a task's own can be. */
    sender->is_base_sent_each = has_dirs || sender->base.n + n_program > WIRE_FILES_MAX;
    return r;
}

int cmd_sender_new(const struct cmd_submission *submission, struct cmd_sender **ret_sender,
                   struct errmsg *err)
{
    const struct cmd_submit_options *o = submission->options;
    if (o->n_transfers + o->n_returns + o->n_basefiles == 0 && o->workdir == NULL) {
        *ret_sender = NULL;
        return 0;
    }
    struct cmd_sender *sender = mem_alloc_or_die(1, sizeof(*sender));
    sender->submission = submission;
    arena_init(&sender->base_arena, ARENA_BYTES);
    arena_init(&sender->arena, ARENA_BYTES);
    buf_init(&sender->values, VALUES_BYTES);
    table_init(&sender->by_key, sizeof(struct cmd_file_key), 1);
    table_init(&sender->by_id, sizeof(uint64_t), 1);
    int r = compile_all(o->transfers, o->n_transfers, sender->transfers, err);
    r = r < 0 ? r : compile_all(o->returns, o->n_returns, sender->returns, err);
    r = r < 0 || o->workdir == NULL ? r : compile(o->workdir, &sender->workdir, err);
    r = r < 0 ? r : walk_base(sender, err);
    if (r < 0) {
        cmd_sender_free(sender);
        return r;
    }
    *ret_sender = sender;
    return 0;
}

static void content_free(struct cmd_sender *sender, struct content *content)
{
    table_remove(&sender->by_key, &content->by_key);
    if (content->state == CONTENT_PUT) {
        table_remove(&sender->by_id, &content->by_id);
        close(content->fd);
        mem_free(content->local);
    }
    mem_free(content);
}

struct cmd_sender *cmd_sender_free(struct cmd_sender *sender)
{
    if (sender == NULL) {
        return NULL;
    }
    for (unsigned i = 0; i < CMD_FILE_OPTIONS_MAX; i++) {
        cmd_replace_free(sender->transfers[i]);
        cmd_replace_free(sender->returns[i]);
    }
    cmd_replace_free(sender->workdir);
    table_for_each (it, &sender->by_key) {
        content_free(sender, CONTAINER_OF(it, struct content, by_key));
    }
    table_done(&sender->by_key);
    table_done(&sender->by_id);
    cmd_returns_done(&sender->back);
    cmd_files_done(&sender->files);
    cmd_files_done(&sender->base);
    arena_done(&sender->arena);
    arena_done(&sender->base_arena);
    buf_done(&sender->values);
    mem_free(sender->now);
    mem_free(sender->ahead_values);
    return mem_free(sender);
}

/* --- one task's names --------------------------------------------------------------------------
 */

static int expand(struct cmd_replace *replace, const struct cmd_values *values, const char *what,
                  struct slice *ret_text, struct errmsg *err)
{
    struct wire_slices argv;
    int r = cmd_replace_expand(replace, values, &argv, err);
    if (r < 0) {
        errmsg_wrap(err, "%s", what);
        return r;
    }
    *ret_text = argv.items[argv.n - 1];
    return 0;
}

static int expand_path(struct cmd_replace *replace, const struct cmd_values *values,
                       const char *what, struct cmd_file_path *ret_path, struct errmsg *err)
{
    struct slice text;
    int r = expand(replace, values, what, &text, err);
    return r < 0 ? r : cmd_file_path_parse(what, text, ret_path, err);
}

static int expand_dir(struct cmd_sender *sender, const struct cmd_values *values,
                      struct errmsg *err)
{
    struct slice text;
    sender->dir[0] = '\0';
    if (sender->workdir == NULL) {
        return 0;
    }
    int r = expand(sender->workdir, values, "--workdir", &text, err);
    return r < 0 ? r : cmd_workdir_parse(text, sender->dir, err);
}

static char *dup_text(const char *text)
{
    char *copy = mem_strndup(text, strlen(text));
    ensure(copy != NULL);
    return copy;
}

static int expand_returns(struct cmd_sender *sender, const struct cmd_values *values,
                          struct errmsg *err)
{
    unsigned n = sender->submission->options->n_returns;
    struct cmd_returns *back = &sender->back;
    cmd_returns_done(back);
    back->items = n > 0 ? mem_alloc_or_die(n, sizeof(*back->items)) : NULL;
    for (unsigned i = 0; i < n; i++) {
        struct cmd_file_path path;
        int r = expand_path(sender->returns[i], values, "--return", &path, err);
        if (r == 0 && strcmp(path.base, ".") != 0 && sender->submission->options->is_detached) {
            errmsg_set(err, "--return: with --detach it is `mesh wait --files DIR` that says where "
                            "files go: leave out what stands before /./");
            r = -EINVAL;
        }
        if (r < 0) {
            return r;
        }
        back->items[back->n++] =
            (struct cmd_return){.base = dup_text(path.base), .path = dup_text(path.path)};
    }
    return 0;
}

/* --- all inputs --------------------------------------------------------------------------------
 */

static int check_one(struct cmd_sender *sender, const struct cmd_values *values, struct errmsg *err)
{
    int r = expand_dir(sender, values, err);
    for (unsigned i = 0; i < sender->submission->options->n_transfers && r == 0; i++) {
        struct cmd_file_path path;
        r = expand_path(sender->transfers[i], values, "--transferfile", &path, err);
        r = r < 0 ? r : cmd_file_check("--transferfile", &path, err);
    }
    return r < 0 ? r : expand_returns(sender, values, err);
}

static int keep_values(struct cmd_sender *sender, const struct slice *values, unsigned n,
                       struct errmsg *err)
{
    for (unsigned i = 0; i < n; i++) {
        buf_append(&sender->values, &values[i].n, sizeof(values[i].n));
        buf_append_slice(&sender->values, values[i]);
    }
    if (buf_error(&sender->values) < 0) {
        errmsg_set(err,
                   "the inputs exceed %u bytes, which are held while their files are looked up",
                   VALUES_BYTES);
        return -E2BIG;
    }
    return 0;
}

int cmd_sender_check(struct cmd_sender *sender,
                     int (*values)(void *user, const struct slice **ret_values, struct errmsg *err),
                     void *user, unsigned n_values, struct errmsg *err)
{
    sender->n_values = n_values;
    sender->now = mem_alloc_or_die(n_values + 1, sizeof(*sender->now));
    sender->ahead_values = mem_alloc_or_die(n_values + 1, sizeof(*sender->ahead_values));
    for (;;) {
        struct cmd_values set = {.n = n_values, .sequence = sender->n_values_sets + 1};
        int r = values(user, &set.items, err);
        if (r == -ENODATA) {
            return 0;
        }
        r = r < 0 ? r : check_one(sender, &set, err);
        r = r < 0 ? r : keep_values(sender, set.items, n_values, err);
        if (r < 0) {
            return r;
        }
        sender->n_values_sets++;
    }
}

/* Those of the task that begin there; returns where the next one's do. */
static size_t read_values(const struct cmd_sender *sender, size_t at, struct slice *to)
{
    for (unsigned i = 0; i < sender->n_values; i++) {
        size_t n;
        memcpy(&n, sender->values.p + at, sizeof(n));
        to[i] = slice_part(buf_slice(&sender->values), at + sizeof(n), n);
        at += sizeof(n) + n;
    }
    return at;
}

int cmd_sender_values(struct cmd_sender *sender, const struct slice **ret_values)
{
    if (sender->task == sender->n_values_sets) {
        return -ENODATA;
    }
    sender->values_at = read_values(sender, sender->values_at, sender->now);
    *ret_values = sender->now;
    return 0;
}

uint64_t cmd_sender_total(const struct cmd_sender *sender)
{
    return sender->n_values_sets;
}

/* --- the job's files ---------------------------------------------------------------------------
 */

static void say_large(struct cmd_run *run, const struct cmd_file *file)
{
    uint64_t bytes = (uint64_t)file->st.st_size;
    if (bytes >= TOLD_FROM && (run->bar.is_on || isatty(STDERR_FILENO))) {
        char shown[256];
        cmd_run_say(run, "sending %s: %" PRIu64 " MiB",
                    text_printable(slice_str(file->local), shown, sizeof(shown)), bytes >> 20);
    }
}

int cmd_sender_open_base(struct cmd_sender *sender, struct cmd_run *run, struct cmd_basefiles *to,
                         struct errmsg *err)
{
    for (uint32_t i = 0; i < sender->base.n && !sender->is_base_sent_each; i++) {
        const struct cmd_file *file = &sender->base.items[i];
        int r = cmd_file_open(file, &to->fds[to->n], err);
        if (r < 0) {
            return r;
        }
        say_large(run, file);
        to->files[to->n++] = (struct wire_file){.path = file->path, .mode = file->mode};
    }
    return 0;
}

int cmd_sender_check_base(const struct cmd_sender *sender, struct errmsg *err)
{
    for (uint32_t i = 0; i < sender->base.n && !sender->is_base_sent_each; i++) {
        const struct cmd_file *file = &sender->base.items[i];
        const struct cmd_file_key found = cmd_file_key_of(&file->st);
        struct stat st;
        if (stat(file->local, &st) < 0) {
            return cmd_file_was_changed(file->local, err);
        }
        const struct cmd_file_key now = cmd_file_key_of(&st);
        if (memcmp(&now, &found, sizeof(now)) != 0) {
            return cmd_file_was_changed(file->local, err);
        }
    }
    return 0;
}

/* --- the next task's files ---------------------------------------------------------------------
 */

static int by_path(const void *a, const void *b)
{
    const struct cmd_file *x = a;
    const struct cmd_file *y = b;
    size_t n = x->path.n < y->path.n ? x->path.n : y->path.n;
    int r = memcmp(x->path.p, y->path.p, n);
    return r != 0 ? r : (x->path.n > y->path.n) - (x->path.n < y->path.n);
}

/* The same file named twice is sent once; two files cannot be in one place. */
static int drop_doubles(struct cmd_files *files, struct errmsg *err)
{
    if (files->n == 0) {
        return 0;
    }
    qsort(files->items, files->n, sizeof(*files->items), by_path);
    uint32_t n = 1;
    for (uint32_t i = 1; i < files->n; i++) {
        const struct cmd_file *last = &files->items[n - 1];
        const struct cmd_file *file = &files->items[i];
        if (by_path(last, file) != 0) {
            files->items[n++] = *file;
            continue;
        }
        bool is_same = last->st.st_dev == file->st.st_dev && last->st.st_ino == file->st.st_ino;
        if (!is_same && !(last->is_dir && file->is_dir)) {
            char shown[256];
            errmsg_set(err, "%s and another file would both be %s in the task's directory",
                       file->local, text_printable(file->path, shown, sizeof(shown)));
            return -EINVAL;
        }
    }
    files->n = n;
    return 0;
}

static int add_base(struct cmd_sender *sender, struct errmsg *err)
{
    int r = 0;
    const struct cmd_submit_options *o = sender->submission->options;
    for (unsigned i = 0; sender->is_base_sent_each && i < o->n_basefiles && r == 0; i++) {
        struct cmd_file_path path;
        r = cmd_file_path_parse("--basefile", slice_str(o->basefiles[i]), &path, err);
        r = r < 0 ? r : cmd_file_walk("--basefile", &path, &sender->arena, &sender->files, err);
    }
    return r;
}

int cmd_sender_begin(struct cmd_sender *sender, const struct cmd_values *values, struct errmsg *err)
{
    arena_clear(&sender->arena);
    sender->files.n = 0;
    sender->files.bytes = 0;
    sender->next = 0;
    sender->n_refs = 0;
    sender->n_waited = 0;
    sender->task++;
    int r = expand_dir(sender, values, err);
    for (unsigned i = 0; i < sender->submission->options->n_transfers && r == 0; i++) {
        struct cmd_file_path path;
        r = expand_path(sender->transfers[i], values, "--transferfile", &path, err);
        r = r < 0 ? r : cmd_file_walk("--transferfile", &path, &sender->arena, &sender->files, err);
    }
    r = r < 0 ? r : add_base(sender, err);
    r = r < 0 ? r : drop_doubles(&sender->files, err);
    r = r < 0 ? r : expand_returns(sender, values, err);
    if (r == 0) {
        sender->refs = arena_alloc(&sender->arena, sender->files.n, sizeof(*sender->refs));
        sender->sent = arena_alloc(&sender->arena, sender->files.n, sizeof(*sender->sent));
        r = sender->refs == NULL || sender->sent == NULL ? -ENOMEM : 0;
        if (r < 0) {
            errmsg_set(err, "out of memory for a task's files");
        }
    }
    return r;
}

static struct content *content_of(struct cmd_sender *sender, const struct cmd_file *file)
{
    struct cmd_file_key key = cmd_file_key_of(&file->st);
    struct table_entry *entry = table_find(&sender->by_key, &key);
    if (entry != NULL) {
        return CONTAINER_OF(entry, struct content, by_key);
    }
    struct content *content = mem_alloc_or_die(1, sizeof(*content));
    content->key = key;
    table_insert(&sender->by_key, &content->by_key, &content->key);
    return content;
}

static int put(struct cmd_sender *sender, struct cmd_run *run, struct content *content,
               const struct cmd_file *file, struct errmsg *err)
{
    int fd;
    int r = cmd_file_open(file, &fd, err);
    if (r < 0) {
        return r;
    }
    int sent = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (sent < 0) {
        r = cmd_file_cannot_open(file->local, -errno, err);
        close(fd);
        return r;
    }
    say_large(run, file);
    content->state = CONTENT_PUT;
    content->id = ++sender->next_id;
    content->fd = fd;
    content->local = dup_text(file->local);
    table_insert(&sender->by_id, &content->by_id, &content->id);
    sender->n_putting++;
    struct wire_message message = {.type = WIRE_MESSAGE_PUT, .put.id = content->id};
    r = mesh_client_send(run->client, &message, &sent, 1, err);
    return r == -EPIPE ? 0 : r; /* shows when receiving */
}

/* Once the daemon is asked for all of this task's: what the next ones read, as far as that is
 * single files, so that not each task waits for an answer of its own. What is wrong with one is
 * told when its turn comes. */
static int put_ahead(struct cmd_sender *sender, struct cmd_run *run, struct errmsg *err)
{
    if (sender->ahead < sender->task) {
        sender->ahead = sender->task;
        sender->ahead_at = sender->values_at;
    }
    while (sender->n_putting < PUTS_AT_ONCE && sender->ahead < sender->n_values_sets &&
           sender->ahead < sender->task + AHEAD_MAX && !sender->is_full) {
        sender->ahead_at = read_values(sender, sender->ahead_at, sender->ahead_values);
        const struct cmd_values values = {
            .items = sender->ahead_values, .n = sender->n_values, .sequence = ++sender->ahead};
        for (unsigned i = 0; i < sender->submission->options->n_transfers; i++) {
            struct cmd_file_path path;
            char local[CMD_LOCAL_BYTES];
            struct cmd_file file = {.local = local};
            bool is_file = expand_path(sender->transfers[i], &values, "", &path, err) == 0 &&
                           cmd_file_local(&path, local) == 0 && stat(local, &file.st) == 0 &&
                           S_ISREG(file.st.st_mode);
            struct content *content = is_file ? content_of(sender, &file) : NULL;
            if (content != NULL && content->state == CONTENT_NEW) {
                int r = put(sender, run, content, &file, err);
                if (r < 0) {
                    return r;
                }
            }
        }
    }
    return 0;
}

/* Puts contents that are not on their way. 0: all are there; -EAGAIN; -errno. */
static int put_some(struct cmd_sender *sender, struct cmd_run *run, struct errmsg *err)
{
    for (; sender->next < sender->files.n; sender->next++) {
        const struct cmd_file *file = &sender->files.items[sender->next];
        struct content *content = file->is_dir ? NULL : content_of(sender, file);
        if (content == NULL || content->state == CONTENT_THERE) {
            continue;
        }
        if (content->state == CONTENT_NEW) {
            if (sender->n_putting >= PUTS_AT_ONCE || sender->is_full) {
                return -EAGAIN;
            }
            int r = put(sender, run, content, file, err);
            if (r < 0) {
                return r;
            }
        }
        sender->n_waited += content->waited != sender->task;
        content->waited = sender->task;
    }
    int r = put_ahead(sender, run, err);
    return r < 0 ? r : sender->n_waited > 0 ? -EAGAIN : 0;
}

/* All contents are there: each becomes a ref, once. */
static void make_refs(struct cmd_sender *sender)
{
    for (uint32_t i = 0; i < sender->files.n; i++) {
        const struct cmd_file *file = &sender->files.items[i];
        struct content *content = file->is_dir ? NULL : content_of(sender, file);
        if (content != NULL && content->task != sender->task) {
            content->task = sender->task;
            sender->refs[sender->n_refs++] =
                (struct wire_ref){.hash = content->hash, .bytes = content->bytes};
            content->ref = sender->n_refs;
        }
        sender->sent[i] = (struct wire_task_file){
            .path = file->path, .mode = file->mode, .ref = content != NULL ? content->ref : 0};
    }
}

int cmd_sender_step(struct cmd_sender *sender, struct cmd_run *run, struct errmsg *err)
{
    int r = put_some(sender, run, err);
    if (r == 0 && sender->n_refs == 0) {
        make_refs(sender);
    }
    return r;
}

void cmd_sender_retry(struct cmd_sender *sender)
{
    sender->is_full = false;
}

int cmd_sender_on_put_done(struct cmd_sender *sender, const struct wire_put_done *done,
                           struct errmsg *err)
{
    struct table_entry *entry = table_find(&sender->by_id, &done->id);
    if (entry == NULL) {
        return 0;
    }
    struct content *content = CONTAINER_OF(entry, struct content, by_id);
    struct stat st;
    int r = fstat(content->fd, &st) < 0 ? cmd_file_cannot_open(content->local, -errno, err) : 0;
    const struct cmd_file_key now = cmd_file_key_of(&st);
    bool is_same = r == 0 && memcmp(&now, &content->key, sizeof(now)) == 0;
    char text[WIRE_REASON_BYTES_MAX * 4 + 8];
    if (r == 0 && done->error != WIRE_ERROR_NONE) {
        char shown[256];
        errmsg_set(err, "cannot send %s: %s",
                   text_printable(slice_str(content->local), shown, sizeof(shown)),
                   text_printable(done->text, text, sizeof(text)));
        r = done->error == WIRE_ERROR_LIMIT || done->error == WIRE_ERROR_UNAVAILABLE ? -ENOSPC
                                                                                     : -EIO;
    } else if (r == 0 && (!is_same || done->bytes != content->key.bytes)) {
        r = cmd_file_was_changed(content->local, err);
    }
    table_remove(&sender->by_id, &content->by_id);
    close(content->fd);
    content->local = mem_free(content->local);
    content->state = r == 0 ? CONTENT_THERE : CONTENT_NEW;
    content->hash = done->hash;
    content->bytes = done->bytes;
    sender->n_putting--;
    sender->n_waited -= content->waited == sender->task;
    content->waited = 0;
    if (r == -ENOSPC) {
        sender->is_full = true;
        sender->next = 0; /* again, when there is room */
    }
    return r;
}

void cmd_sender_fill(struct cmd_sender *sender, struct wire_add_task *add)
{
    uint32_t n = sender->back.n;
    struct slice *returns = arena_alloc(&sender->arena, n, sizeof(*returns));
    ensure(returns != NULL); /* a small part of what the files may take */
    for (uint32_t i = 0; i < n; i++) {
        returns[i] = slice_str(sender->back.items[i].path);
    }
    add->refs = (struct wire_refs){.items = sender->refs, .n = sender->n_refs};
    add->files = (struct wire_task_files){.items = sender->sent, .n = sender->files.n};
    add->returns = (struct wire_slices){.items = returns, .n = n};
    add->workdir = slice_str(sender->dir);
}

void cmd_sender_added(struct cmd_sender *sender, struct cmd_run *run,
                      struct cmd_returns *ret_returns)
{
    *ret_returns = sender->back;
    sender->back = (struct cmd_returns){0};
    table_for_each (it, &sender->by_key) {
        struct content *content = CONTAINER_OF(it, struct content, by_key);
        if (sender->by_key.n <= CONTENTS_MAX) {
            break;
        }
        if (content->state == CONTENT_THERE) {
            struct wire_message message = {.type = WIRE_MESSAGE_RELEASE};
            message.release.hash = content->hash;
            IGNORE(mesh_client_send(run->client, &message, NULL, 0, NULL)); /* shows elsewhere */
            content_free(sender, content);
        }
    }
}
