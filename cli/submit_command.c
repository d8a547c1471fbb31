#include "cli/submit_command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/client/program.h"
#include "wire/base/text.h"

#define HEAD_BYTES 64
/* White space, and what sh treats as its own within a word. */
static const char shell_syntax[] = " \t\n|&;<>()$`\\\"'*?[]#~!";

/* A word that is an operator of the shell and nothing else. */
static bool is_operator(const char *word)
{
    static const char *const operators[] = {
        "|",  "||", "&",   "&&", ";", ";;", "<",  ">",   ">>", "<<",  "<>", ">&",   "<&",
        ">|", "&>", "&>>", "|&", "(", ")",  "2>", "2>>", "1>", "1>>", "0<", "2>&1", "1>&2"};
    for (size_t i = 0; i < ARRAY_LEN(operators); i++) {
        if (strcmp(word, operators[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Whether the one word of a command is a line for the shell rather than a program's name. Braces
 * and what stands in them are replacement strings, not syntax. */
static bool is_line(const char *word)
{
    for (const char *p = word; *p != '\0'; p++) {
        bool is_sequence = *p == '#' && p > word && p[-1] == '{' && p[1] == '}';
        if (strchr(shell_syntax, *p) != NULL && !is_sequence) {
            return true;
        }
    }
    return strchr(word, '=') != NULL;
}

static enum cmd_form find_form(const struct cmd_submit_options *options)
{
    if (options->n_command == 0) {
        return CMD_FORM_LINES;
    }
    if (options->is_quoted) {
        return CMD_FORM_ARGV;
    }
    if (options->n_command == 1) {
        return is_line(options->command[0]) ? CMD_FORM_SHELL : CMD_FORM_ARGV;
    }
    for (unsigned i = 0; i < options->n_command; i++) {
        if (is_operator(options->command[i])) {
            return CMD_FORM_SHELL;
        }
    }
    return CMD_FORM_ARGV;
}

static bool is_under(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* Paths that mean the executor's own files. */
static bool is_system_path(const char *path)
{
    static const char *const dirs[] = {"/usr",   "/bin",   "/sbin",  "/lib",
                                       "/lib32", "/lib64", "/libx32"};
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        if (is_under(path, dirs[i])) {
            return true;
        }
    }
    return false;
}

static bool has_parent_step(const char *path)
{
    for (const char *p = path; (p = strstr(p, "..")) != NULL; p += 2) {
        if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0')) {
            return true;
        }
    }
    return false;
}

/* "./a//b/./c" as "a/b/c"; false when it does not fit or leaves nothing. */
static bool normalize(const char *path, char *to, size_t n_to)
{
    size_t n = 0;
    while (*path != '\0') {
        size_t step = strcspn(path, "/");
        if (step > 0 && !(step == 1 && path[0] == '.')) {
            if (n + step + 2 > n_to) {
                return false;
            }
            if (n > 0) {
                to[n++] = '/';
            }
            memcpy(to + n, path, step);
            n += step;
        }
        path += step;
        path += strspn(path, "/");
    }
    to[n] = '\0';
    return n > 0;
}

static int refuse_program(const char *path, int error, struct errmsg *err)
{
    char shown[256];
    text_printable(slice_str(path), shown, sizeof(shown));
    switch (error) {
    case -ENOENT:
    case -ENOTDIR:
        errmsg_set(err, "%s: there is no such program here", shown);
        return -ENOENT;
    case -EISDIR:
        errmsg_set(err, "%s is a directory, not a program", shown);
        return -EACCES;
    case -ENOEXEC:
        errmsg_set(err, "%s is not executable: chmod +x it", shown);
        return -EACCES;
    case -ENAMETOOLONG:
        errmsg_set(err, "%s: the path is too long to travel", shown);
        return -EACCES;
    default:
        errmsg_set(err, "%s cannot be read, so it cannot travel: %s", shown, strerror(-error));
        return -EACCES;
    }
}

static int open_file(struct cmd_program *program, const char *path, struct errmsg *err)
{
    struct stat st;
    uint8_t head[HEAD_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return refuse_program(path, -errno, err);
    }
    int r = fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0 && S_ISDIR(st.st_mode)) {
        r = -EISDIR;
    }
    if (r == 0 && (!S_ISREG(st.st_mode) || access(path, X_OK) < 0)) {
        r = -ENOEXEC;
    }
    ssize_t n = r == 0 ? pread(fd, head, sizeof(head), 0) : 0;
    r = n < 0 ? -errno : r;
    if (r != 0) {
        close(fd);
        return refuse_program(path, r, err);
    }
    program->fd = fd;
    program->path = path;
    program->mode = (st.st_mode & 0777) | 0500;
    program->arch = mesh_program_arch(slice_of(head, (size_t)n));
    return 0;
}

static int open_argv_program(struct cmd_program *program, const char *path, struct errmsg *err)
{
    int r = open_file(program, path, err);
    if (r < 0) {
        return r;
    }
    const char *kept = path;
    if (path[0] == '/' || has_parent_step(path)) {
        kept = strrchr(path, '/') + 1; /* outside of the working directory: only its name stays */
    }
    if (!normalize(kept, program->sent_path, sizeof(program->sent_path))) {
        cmd_program_close(program);
        return refuse_program(path, -ENAMETOOLONG, err);
    }
    snprintf(program->exec, sizeof(program->exec), "./%s", program->sent_path);
    return 0;
}

/* The line's first word travels to the path by which the line will call it. */
static int open_shell_program(struct cmd_program *program, struct cmd_submit_options const *options,
                              struct errmsg *err)
{
    static char word[WIRE_PATH_BYTES_MAX + 1]; /* one submit for one process */
    const char *line = options->command[0];
    line += strspn(line, " \t\n");
    size_t n = strcspn(line, shell_syntax);
    if (n == 0 || n >= sizeof(word) || memchr(line, '/', n) == NULL || line[0] == '/' ||
        memchr(line, '=', n) != NULL) {
        return 0;
    }
    bool ends_word = line[n] == '\0' || strchr(" \t\n|&;<>()", line[n]) != NULL;
    memcpy(word, line, n);
    word[n] = '\0';
    if (!ends_word || has_parent_step(word) || cmd_replace_is_in((char *const[]){word}, 1)) {
        return 0;
    }
    int r = open_file(program, word, err);
    if (r == 0 && !normalize(word, program->sent_path, sizeof(program->sent_path))) {
        cmd_program_close(program);
        r = refuse_program(word, -ENAMETOOLONG, err);
    }
    return r;
}

int cmd_program_open(struct cmd_program *program, const struct cmd_submit_options *options,
                     struct errmsg *err)
{
    *program = (struct cmd_program){.form = find_form(options), .fd = -1, .arch = ""};
    const char *first = options->n_command > 0 ? options->command[0] : "";
    switch (program->form) {
    case CMD_FORM_LINES:
        return 0;
    case CMD_FORM_SHELL:
        return open_shell_program(program, options, err);
    case CMD_FORM_ARGV:
        if (strchr(first, '/') == NULL || is_system_path(first) ||
            cmd_replace_is_in(options->command, 1)) {
            return 0;
        }
        return open_argv_program(program, first, err);
    }
    ensure(!"reached");
    return 0;
}

void cmd_program_close(struct cmd_program *program)
{
    if (program->fd >= 0) {
        close(program->fd);
    }
    program->fd = -1;
}

bool cmd_program_misses(const struct cmd_program *program, struct slice argument)
{
    char path[WIRE_PATH_BYTES_MAX + 1];
    struct stat st;
    if (argument.n == 0 || argument.n >= sizeof(path) ||
        memchr(argument.p, '\0', argument.n) != NULL) {
        return false;
    }
    memcpy(path, argument.p, argument.n);
    path[argument.n] = '\0';
    if (is_system_path(path) || is_under(path, "/proc") || is_under(path, "/dev") ||
        (program->path != NULL && strcmp(path, program->path) == 0)) {
        return false;
    }
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}
