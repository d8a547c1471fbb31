#include "cli/file_walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/mem.h"
#include "wire/base/text.h"

/* What wire_rule_task() counts for a file and its ref, and more. */
#define BYTES_EACH 96u
#define FIRST_CAP  16u

void cmd_files_done(struct cmd_files *files)
{
    mem_free(files->items);
    *files = (struct cmd_files){0};
}

static int refuse(const char *what, const char *local, int error, struct errmsg *err)
{
    char shown[256];
    text_printable(slice_str(local), shown, sizeof(shown));
    if (error == -EINVAL) {
        errmsg_set(err, "%s %s: is neither a file nor a folder", what, shown);
    } else if (error == -E2BIG) {
        errmsg_set(err, "%s %s: more files than one task may be given: pack them into one", what,
                   shown);
    } else {
        errmsg_set(err, "%s %s: %s", what, shown, strerror(-error));
    }
    return error;
}

int cmd_file_local(const struct cmd_file_path *path, char to[static CMD_LOCAL_BYTES])
{
    bool is_here = strcmp(path->base, ".") == 0;
    int n = snprintf(to, CMD_LOCAL_BYTES, "%s%s%s", is_here ? "" : path->base, is_here ? "" : "/",
                     path->path);
    return n < 0 || n >= (int)CMD_LOCAL_BYTES ? -ENAMETOOLONG : 0;
}

int cmd_file_check(const char *what, const struct cmd_file_path *path, struct errmsg *err)
{
    char local[CMD_LOCAL_BYTES];
    struct stat st = {0};
    int r = cmd_file_local(path, local);
    if (r == 0 && stat(local, &st) < 0) {
        r = -errno;
    }
    if (r == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        r = -EINVAL;
    }
    if (r == 0 && access(local, S_ISDIR(st.st_mode) ? R_OK | X_OK : R_OK) < 0) {
        r = -errno;
    }
    return r < 0 ? refuse(what, local, r, err) : 0;
}

static struct cmd_file *grow(struct cmd_files *files)
{
    if (files->n == files->cap) {
        uint32_t cap = files->cap > 0 ? 2 * files->cap : FIRST_CAP;
        struct cmd_file *items = mem_realloc(files->items, cap, sizeof(*items));
        ensure(items != NULL);
        files->items = items;
        files->cap = cap;
    }
    return &files->items[files->n++];
}

/* Both paths are NUL-terminated; they are copied. */
static int add(struct cmd_files *files, struct arena *arena, const char *local, const char *path,
               const struct stat *st)
{
    struct slice kept_local, kept_path;
    size_t n_path = strlen(path);
    if (files->n == WIRE_TASK_FILES_MAX || n_path > WIRE_PATH_BYTES_MAX ||
        files->bytes + n_path + BYTES_EACH > WIRE_TASK_BYTES_MAX) {
        return -E2BIG;
    }
    if (arena_copy(arena, slice_of(local, strlen(local) + 1), &kept_local) < 0 ||
        arena_copy(arena, slice_of(path, n_path), &kept_path) < 0) {
        return -ENOMEM;
    }
    files->bytes += n_path + BYTES_EACH;
    *grow(files) = (struct cmd_file){.local = (const char *)kept_local.p,
                                     .path = kept_path,
                                     .mode = st->st_mode & 0777,
                                     .is_dir = S_ISDIR(st->st_mode),
                                     .st = *st};
    return 0;
}

struct walk {
    const char *what;
    struct arena *arena;
    struct cmd_files *files;
    struct errmsg *err;
};

static int walk_dir(const struct walk *walk, const char *local, const char *path);

static int walk_entry(const struct walk *walk, const char *local, const char *path, bool is_named)
{
    struct stat st = {0};
    bool is_link = lstat(local, &st) == 0 && S_ISLNK(st.st_mode);
    int r = stat(local, &st) < 0 ? -errno : 0;
    bool is_dir = r == 0 && S_ISDIR(st.st_mode);
    if (r == 0 && !S_ISREG(st.st_mode) && (!is_dir || (is_link && !is_named))) {
        r = -EINVAL; /* a link to a folder may lead in a circle */
    }
    r = r == 0 ? add(walk->files, walk->arena, local, path, &st) : r;
    if (r < 0) {
        return refuse(walk->what, local, r, walk->err);
    }
    return is_dir ? walk_dir(walk, local, path) : 0;
}

/* A path is no longer than a message takes, which bounds the depth. */
static int walk_below(const struct walk *walk, const char *local, const char *path,
                      const char *name)
{
    char below[CMD_LOCAL_BYTES];
    char sent[WIRE_PATH_BYTES_MAX + 1];
    int n_below = snprintf(below, sizeof(below), "%s/%s", local, name);
    int n_sent = snprintf(sent, sizeof(sent), "%s/%s", path, name);
    if (n_below < 0 || (size_t)n_below >= sizeof(below) || n_sent < 0 ||
        (size_t)n_sent >= sizeof(sent)) {
        return refuse(walk->what, local, -ENAMETOOLONG, walk->err);
    }
    return walk_entry(walk, below, sent, false);
}

static int walk_dir(const struct walk *walk, const char *local, const char *path)
{
    DIR *dir = opendir(local);
    if (dir == NULL) {
        return refuse(walk->what, local, -errno, walk->err);
    }
    int r = 0;
    errno = 0;
    for (const struct dirent *entry = readdir(dir); r == 0 && entry != NULL; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            r = walk_below(walk, local, path, entry->d_name);
        }
        errno = 0;
    }
    if (r == 0 && errno != 0) {
        r = refuse(walk->what, local, -errno, walk->err);
    }
    closedir(dir);
    return r;
}

int cmd_file_walk(const char *what, const struct cmd_file_path *path, struct arena *arena,
                  struct cmd_files *files, struct errmsg *err)
{
    char local[CMD_LOCAL_BYTES];
    const struct walk walk = {.what = what, .arena = arena, .files = files, .err = err};
    int r = cmd_file_local(path, local);
    return r < 0 ? refuse(what, path->path, r, err) : walk_entry(&walk, local, path->path, true);
}

/* --- opening -----------------------------------------------------------------------------------
 */

struct cmd_file_key cmd_file_key_of(const struct stat *st)
{
    struct cmd_file_key key;
    memset(&key, 0, sizeof(key));
    key.device = st->st_dev;
    key.inode = st->st_ino;
    key.bytes = (uint64_t)st->st_size;
    key.changed_s = st->st_mtim.tv_sec;
    key.changed_ns = st->st_mtim.tv_nsec;
    key.status_s = st->st_ctim.tv_sec;
    key.status_ns = st->st_ctim.tv_nsec;
    return key;
}

int cmd_file_was_changed(const char *local, struct errmsg *err)
{
    char shown[256];
    errmsg_set(err, "%s was changed while it was sent",
               text_printable(slice_str(local), shown, sizeof(shown)));
    return -EBUSY;
}

int cmd_file_cannot_open(const char *local, int error, struct errmsg *err)
{
    char shown[256];
    errmsg_set(err, "cannot send %s: %s", text_printable(slice_str(local), shown, sizeof(shown)),
               strerror(-error));
    return error;
}

int cmd_file_open(const struct cmd_file *file, int *ret_fd, struct errmsg *err)
{
    struct stat st = {0};
    int fd = open(file->local, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int r = fd < 0 || fstat(fd, &st) < 0 ? cmd_file_cannot_open(file->local, -errno, err) : 0;
    if (r == 0) {
        const struct cmd_file_key now = cmd_file_key_of(&st);
        const struct cmd_file_key found = cmd_file_key_of(&file->st);
        bool is_same = S_ISREG(st.st_mode) && memcmp(&now, &found, sizeof(now)) == 0;
        r = is_same ? 0 : cmd_file_was_changed(file->local, err);
    }
    if (r < 0 && fd >= 0) {
        close(fd);
    }
    if (r == 0) {
        *ret_fd = fd;
    }
    return r;
}
