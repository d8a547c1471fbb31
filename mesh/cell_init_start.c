/* Starting a program: fork, exec, and telling apart why it cannot be executed. */
#include "mesh/cell_init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/mem.h"

#define SHELL "/bin/sh"

void init_command_done(struct init_command *command)
{
    mem_free(command->body.args != NULL ? command->body.args - 1 : NULL);
    mem_free(command->body.env);
    mem_free(command->body.files);
    mem_free(command->body.returns);
    mem_free(command->text);
    *command = (struct init_command){0};
}

static int read_whole(int fd, char *to, size_t n_bytes)
{
    for (size_t at = 0; at < n_bytes;) {
        ssize_t n = pread(fd, to + at, n_bytes - at, (off_t)at);
        if (n == 0) {
            return -EPROTO;
        }
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        at += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int init_command_read(struct init_command *command, const struct cell_message *start, int body_fd)
{
    struct cell_body *body = &command->body;
    command->text = mem_alloc(start->start.body_bytes, 1);
    /* One more in front: room for a shell's name when a script has no "#!". */
    char **args = mem_alloc((size_t)start->start.n_args + 2, sizeof *args);
    body->args = args != NULL ? args + 1 : NULL;
    body->env = mem_alloc((size_t)start->start.n_env + 1, sizeof *body->env);
    body->files = mem_alloc((size_t)start->start.n_files + 1, sizeof *body->files);
    body->returns = mem_alloc((size_t)start->start.n_returns + 1, sizeof *body->returns);
    if (command->text == NULL || body->args == NULL || body->env == NULL || body->files == NULL ||
        body->returns == NULL) {
        return -ENOMEM;
    }
    int r = read_whole(body_fd, command->text, start->start.body_bytes);
    return r < 0 ? r : cell_body_parse(command->text, start, body);
}

/* Why execve() of a file that is there said ENOEXEC. */
enum file_kind { FILE_TEXT, FILE_ELF, FILE_BINARY };

static enum file_kind file_kind(const char *path)
{
    char head[128];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof head);
    if (fd >= 0) {
        close(fd);
    }
    if (n >= 4 && memcmp(head, "\177ELF", 4) == 0) {
        return FILE_ELF;
    }
    return n >= 0 && memchr(head, '\0', (size_t)n) == NULL ? FILE_TEXT : FILE_BINARY;
}

/* Names the reason of a failed execve(path). */
static enum cell_why why_of(const char *path, int error)
{
    struct stat st;
    switch (error) {
    case ENOENT:
        return stat(path, &st) == 0 ? CELL_WHY_NO_INTERPRETER : CELL_WHY_NOT_FOUND;
    case ENOTDIR:
    case ENAMETOOLONG:
        return CELL_WHY_NOT_FOUND;
    case EACCES:
    case EPERM:
        return CELL_WHY_NOT_EXECUTABLE;
    case ENOEXEC:
        return file_kind(path) == FILE_ELF ? CELL_WHY_WRONG_ARCH : CELL_WHY_NOT_EXECUTABLE;
    case ELIBBAD:
        return CELL_WHY_WRONG_ARCH;
    case E2BIG:
        return CELL_WHY_TOO_LARGE;
    case ENOMEM:
        return CELL_WHY_NO_MEMORY;
    default:
        return CELL_WHY_OTHER;
    }
}

/* Executes the file; returns only when that failed. A script without "#!" goes to the shell, as
 * execvp(3) and every shell do. */
static struct init_exec_failure try_exec(struct init_command *command, const char *path)
{
    execve(path, command->body.args, command->body.env);
    struct init_exec_failure failure = {.why = why_of(path, errno), .error = (uint32_t)errno};
    if (failure.error == ENOEXEC && file_kind(path) == FILE_TEXT) {
        char shell[] = SHELL;
        char script[PATH_MAX];
        char **args = command->body.args - 1;
        char *argv0 = args[1];
        memcpy(script, path, strlen(path) + 1);
        args[0] = shell;
        args[1] = script;
        execve(SHELL, args, command->body.env);
        failure = (struct init_exec_failure){.why = why_of(SHELL, errno), .error = (uint32_t)errno};
        args[1] = argv0;
    }
    return failure;
}

static const char *path_of(char *const *env)
{
    for (; *env != NULL; env++) {
        if (strncmp(*env, "PATH=", 5) == 0) {
            return *env + 5;
        }
    }
    return "/usr/local/bin:/usr/bin:/bin";
}

/* Looks the command up along the task's PATH, as execvp(3) does: a file that may not be executed
 * is passed over, and named only if no other is found. */
static struct init_exec_failure search_exec(struct init_command *command)
{
    struct init_exec_failure found = {.why = CELL_WHY_NOT_FOUND, .error = ENOENT};
    size_t n_name = strlen(command->body.exec);
    if (n_name == 0) {
        return found;
    }
    for (const char *dir = path_of(command->body.env); dir != NULL;) {
        char path[PATH_MAX];
        size_t n_dir = strcspn(dir, ":");
        if (n_dir + 1 + n_name < sizeof path) {
            size_t n = n_dir;
            memcpy(path, dir, n_dir);
            if (n_dir > 0) {
                path[n++] = '/';
            }
            memcpy(path + n, command->body.exec, n_name + 1);
            struct init_exec_failure failure = try_exec(command, path);
            if (failure.why != CELL_WHY_NOT_FOUND && failure.why != CELL_WHY_NOT_EXECUTABLE) {
                return failure;
            }
            found = failure.why == CELL_WHY_NOT_EXECUTABLE ? failure : found;
        }
        dir = dir[n_dir] == ':' ? dir + n_dir + 1 : NULL;
    }
    return found;
}

/* In the child: becomes the program or says why not. */
static struct init_exec_failure become(struct init *init, struct init_command *command,
                                       const int *fds, const struct cell_message *start)
{
    int nice_by = (int)start->start.nice;
    bool is_worker = start->start.is_worker == 1;
    /* Received descriptors never are 0 to 3: the init keeps those open. The fourth is its own
     * socket, which a worker's takes the place of. */
    if (is_worker && dup2(fds[CELL_FD_WORKER], CELL_SOCKET_FD) < 0) {
        return (struct init_exec_failure){CELL_WHY_OTHER, (uint32_t)errno};
    }
    for (int i = 0; i < 3; i++) {
        if (dup2(fds[i], i) < 0) {
            return (struct init_exec_failure){CELL_WHY_OTHER, (uint32_t)errno};
        }
    }
    sigset_t none;
    sigemptyset(&none);
    /* Its own session and group: `kill 0` in a script must not reach the init of a bare cell. No
     * new privileges: what became another user could not be killed. */
    int limited = init_memory_become_task(init);
    if (limited < 0) {
        return (struct init_exec_failure){CELL_WHY_OTHER, (uint32_t)-limited};
    }
    if (setsid() < 0 || fchdir(init->task_fd) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        (nice_by > 0 && setpriority(PRIO_PROCESS, 0, init->limits.priority + nice_by) < 0) ||
        sigprocmask(SIG_SETMASK, &none, NULL) < 0) {
        return (struct init_exec_failure){CELL_WHY_OTHER, (uint32_t)errno};
    }
    if (strchr(command->body.exec, '/') == NULL) {
        return search_exec(command);
    }
    if (strlen(command->body.exec) >= PATH_MAX) {
        return (struct init_exec_failure){CELL_WHY_NOT_FOUND, ENAMETOOLONG};
    }
    return try_exec(command, command->body.exec);
}

static _Noreturn void child(struct init *init, struct init_command *command, const int *fds,
                            const struct cell_message *start, int exec_pipe)
{
    struct init_exec_failure failure = become(init, command, fds, start);
    IGNORE(write(exec_pipe, &failure, sizeof failure)); /* fits a pipe; else the init sees EOF */
    _exit(127);
}

static int fork_child(struct init *init, struct init_command *command, const int *fds,
                      const struct cell_message *start)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return -errno;
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        /* Without a pid namespace a killed init takes at least the program itself along. */
        if (!init->is_sandbox && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)) {
            _exit(127);
        }
        child(init, command, fds, start, ends[1]);
    }
    int r = pid < 0 ? -errno : 0;
    close(ends[1]);
    if (r < 0) {
        close(ends[0]);
        return r;
    }
    init->attempt.pid = pid;
    init->attempt.exec_pipe = ends[0];
    return 0;
}

struct init_exec_failure init_failure_of(int error)
{
    enum cell_why why = error == -ENOMEM || error == -EAGAIN   ? CELL_WHY_NO_MEMORY
                        : error == -ENOSPC || error == -EDQUOT ? CELL_WHY_NO_DISK
                                                               : CELL_WHY_OTHER;
    return (struct init_exec_failure){.why = why, .error = (uint32_t)-error};
}

int init_spawn(struct init *init, struct init_command *command, const struct cell_message *start,
               const int *fds)
{
    return fork_child(init, command, fds, start);
}
