#include "cli/file_path.h"

#include <errno.h>
#include <string.h>

#include "wire/base/text.h"

static int refuse(const char *what, struct slice text, const char *why, struct errmsg *err)
{
    char shown[256];
    errmsg_set(err, "%s %s: %s", what, text_printable(text, shown, sizeof(shown)), why);
    return -EINVAL;
}

/* Without empty parts and "."; false when a part is "..". */
static bool normalize(struct slice from, char *to)
{
    size_t n = 0;
    while (from.n > 0) {
        const uint8_t *slash = memchr(from.p, '/', from.n);
        size_t n_part = slash != NULL ? (size_t)(slash - from.p) : from.n;
        bool is_dot = n_part == 1 && from.p[0] == '.';
        if (n_part == 2 && from.p[0] == '.' && from.p[1] == '.') {
            return false;
        }
        if (n_part > 0 && !is_dot) {
            if (n > 0) {
                to[n++] = '/';
            }
            memcpy(to + n, from.p, n_part);
            n += n_part;
        }
        from = slice_from(from, slash != NULL ? n_part + 1 : n_part);
    }
    to[n] = '\0';
    return true;
}

static int check_text(const char *what, struct slice text, struct errmsg *err)
{
    if (text.n == 0) {
        return refuse(what, text, "the name of a file is empty", err);
    }
    if (text.n > WIRE_PATH_BYTES_MAX) {
        return refuse(what, text, "the path is too long to travel", err);
    }
    return memchr(text.p, '\0', text.n) != NULL ? refuse(what, text, "it holds a NUL byte", err)
                                                : 0;
}

int cmd_file_path_parse(const char *what, struct slice text, struct cmd_file_path *ret_path,
                        struct errmsg *err)
{
    struct slice rest = text;
    int r = check_text(what, text, err);
    if (r < 0) {
        return r;
    }
    const uint8_t *mark = memmem(text.p, text.n, "/./", 3);
    if (mark != NULL) {
        size_t n = (size_t)(mark - text.p);
        rest = slice_from(text, n + 3);
        memcpy(ret_path->base, text.p, n);
        ret_path->base[n] = '\0';
        if (n == 0) {
            memcpy(ret_path->base, "/", 2);
        }
    } else if (text.p[0] == '/') {
        return refuse(
            what, text,
            "a task has no such folder: write FOLDER/./FILE, and it is FILE in the task's "
            "directory",
            err);
    } else {
        memcpy(ret_path->base, ".", 2);
    }
    if (!normalize(rest, ret_path->path)) {
        return refuse(what, text,
                      "leads out of the task's directory: write ../FOLDER/./FILE, and it is FILE "
                      "there",
                      err);
    }
    return ret_path->path[0] == '\0' ? refuse(what, text, "names no file in the folder", err) : 0;
}

int cmd_workdir_parse(struct slice text, char ret_path[static WIRE_PATH_BYTES_MAX + 1],
                      struct errmsg *err)
{
    static const char what[] = "--workdir";
    int r = check_text(what, text, err);
    if (r < 0) {
        return r;
    }
    if (text.p[0] == '/') {
        return refuse(what, text, "a task sees no folders of its host: give a relative path", err);
    }
    if (slice_eq_str(text, "...")) {
        ret_path[0] = '\0';
        return 0;
    }
    return normalize(text, ret_path) ? 0
                                     : refuse(what, text, "leads out of the task's scratch", err);
}
