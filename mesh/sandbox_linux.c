/* The command line of bwrap. The allow-list is here; everything else about a sandbox is in
 * mesh-cell (cell_init.c). */
#include "mesh/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "mesh/cell_proto.h"
#include "wire/base/mem.h"
#include "wire/base/slice.h"
#include "wire/base/text.h"

#define INSIDE_CELL_PROGRAM "/mesh-cell"
#define PROBE_TIMEOUT_MS    5000

/* --- a command under construction: the first failure sticks --- */

static void command_init(struct sandbox_command *command, size_t args_max, size_t fds_max)
{
    *command = (struct sandbox_command){.args_max = args_max, .fds_max = fds_max};
    command->argv = mem_alloc(args_max + 1, sizeof *command->argv);
    command->fds = mem_alloc(fds_max, sizeof *command->fds);
    command->is_short = command->argv == NULL || command->fds == NULL;
}

void sandbox_command_done(struct sandbox_command *command)
{
    for (size_t i = 0; command->argv != NULL && i < command->n_args; i++) {
        mem_free(command->argv[i]);
    }
    for (size_t i = 0; command->fds != NULL && i < command->n_fds; i++) {
        if (command->fds[i] >= 0) {
            close(command->fds[i]);
        }
    }
    command->argv = mem_free(command->argv);
    command->fds = mem_free(command->fds);
    command->n_args = 0;
    command->n_fds = 0;
}

static void add(struct sandbox_command *command, const char *word)
{
    if (command->is_short) {
        return;
    }
    ensure(command->n_args < command->args_max);
    char *copy = mem_strndup(word, strlen(word));
    command->is_short = copy == NULL;
    if (copy != NULL) {
        command->argv[command->n_args++] = copy;
    }
}

static void add2(struct sandbox_command *command, const char *a, const char *b)
{
    add(command, a);
    add(command, b);
}

static void add3(struct sandbox_command *command, const char *a, const char *b, const char *c)
{
    add(command, a);
    add2(command, b, c);
}

/* Takes the descriptor; returns its number in the child. */
static size_t give_fd(struct sandbox_command *command, int fd)
{
    if (command->is_short) {
        if (fd >= 0) {
            close(fd);
        }
        return 0;
    }
    ensure(command->n_fds < command->fds_max);
    command->fds[command->n_fds] = fd;
    return command->n_fds++;
}

static int duplicate(int fd)
{
    return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

/* Descriptors 0 to 3: /dev/null twice, standard error, the socket. */
static void give_standard_fds(struct sandbox_command *command, int socket_fd, int stderr_fd)
{
    give_fd(command, -1);
    give_fd(command, -1);
    give_fd(command, duplicate(stderr_fd));
    size_t at = give_fd(command, duplicate(socket_fd));
    ensure(command->is_short || at == CELL_SOCKET_FD);
}

/* A description of its own: whoever shares one shares its position. */
static int open_anew(int fd)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_RDONLY | O_CLOEXEC);
    return again < 0 ? -errno : again;
}

/* --- the allow-list --- */

/* A copy of the descriptor's bytes as a file inside. Takes the descriptor. */
static void add_file(struct sandbox_command *command, const char *mode, int fd, const char *to)
{
    char number[24];
    snprintf(number, sizeof number, "%zu", give_fd(command, fd));
    add2(command, "--perms", mode);
    add3(command, "--file", number, to);
}

static int add_text_file(struct sandbox_command *command, const char *text, const char *to)
{
    int fd = memfd_create("mesh", MFD_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    ssize_t n = write(fd, text, strlen(text));
    if (n != (ssize_t)strlen(text) || lseek(fd, 0, SEEK_SET) != 0) {
        int r = n < 0 ? -errno : -EIO;
        close(fd);
        return r;
    }
    add_file(command, "0444", fd, to);
    return 0;
}

/* /bin, /sbin and /lib* are links into /usr; where they are folders still, they are shown so. */
static void add_system(struct sandbox_command *command)
{
    static const char *const links[] = {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"};
    static const char *const etc[] = {"/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime",
                                      "/etc/ssl/certs"};
    add3(command, "--ro-bind", "/usr", "/usr");
    for (size_t i = 0; i < ARRAY_LEN(links); i++) {
        struct stat st;
        char target[PATH_MAX];
        ssize_t n = readlink(links[i], target, sizeof target - 1);
        if (n > 0) {
            target[n] = '\0';
            add3(command, "--symlink", target, links[i]);
        } else if (stat(links[i], &st) == 0) {
            add3(command, "--ro-bind", links[i], links[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(etc); i++) {
        add3(command, "--ro-bind-try", etc[i], etc[i]);
    }
}

static void add_tmpfs(struct sandbox_command *command, const char *mode, uint64_t bytes,
                      const char *at)
{
    char size[24];
    snprintf(size, sizeof size, "%llu", (unsigned long long)bytes);
    add2(command, "--perms", mode);
    add2(command, "--size", size);
    add2(command, "--tmpfs", at);
}

/* The last thing before mesh-cell runs: bwrap itself needs what it denies. */
static int add_filter(struct sandbox_command *command, const struct sandbox *sandbox)
{
    char number[24];
    int fd = open_anew(sandbox->filter_fd);
    if (fd < 0) {
        return fd;
    }
    snprintf(number, sizeof number, "%zu", give_fd(command, fd));
    add2(command, "--seccomp", number);
    return 0;
}

static void add_namespaces(struct sandbox_command *command)
{
    static const char *const words[] = {
        "--as-pid-1",           "--die-with-parent", "--new-session", "--unshare-user",
        "--unshare-pid",        "--unshare-ipc",     "--unshare-net", "--unshare-uts",
        "--unshare-cgroup-try", "--clearenv",
    };
    char id[16];
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        add(command, words[i]);
    }
    add2(command, "--cap-drop", "ALL");
    snprintf(id, sizeof id, "%d", SANDBOX_INSIDE_ID);
    add2(command, "--uid", id);
    add2(command, "--gid", id);
}

/* The words for mesh-cell itself: mode, scratch, limits, job's files. */
static void add_cell_args(struct sandbox_command *command, const char *mode, const char *scratch,
                          const char *job_dir, const struct cell_limits *limits,
                          const struct cell_file *files, size_t n_files)
{
    char text[CELL_LIMITS_BYTES];
    cell_limits_format(limits, text);
    add(command, mode);
    add3(command, scratch, job_dir, text);
    for (size_t i = 0; i < n_files; i++) {
        char word[PATH_MAX];
        snprintf(word, sizeof word, "%c:%s", files[i].is_executable ? 'x' : '-', files[i].path);
        add(command, word);
    }
}

static int check_files(const struct cell_file *files, size_t n_files, struct errmsg *reterr)
{
    for (size_t i = 0; i < n_files; i++) {
        if (!cell_path_is_inside(files[i].path) || strlen(files[i].path) > PATH_MAX - 64) {
            errmsg_set(reterr, "the path of a job's file leads out of the task's directory");
            return -EINVAL;
        }
    }
    return 0;
}

static int add_job_files(struct sandbox_command *command, const struct cell_file *files,
                         size_t n_files)
{
    add2(command, "--dir", CELL_JOB_DIR);
    for (size_t i = 0; i < n_files; i++) {
        char to[PATH_MAX];
        snprintf(to, sizeof to, CELL_JOB_DIR "/%s", files[i].path);
        int fd = open_anew(files[i].fd);
        if (fd < 0) {
            return fd;
        }
        add_file(command, files[i].is_executable ? "0555" : "0444", fd, to);
    }
    return 0;
}

static int add_file_system(struct sandbox_command *command, const struct sandbox *sandbox,
                           uint64_t scratch_bytes, const struct cell_file *files, size_t n_files)
{
    add_system(command);
    int r = add_text_file(command,
                          "mesh:x:1000:1000:mesh:" CELL_SCRATCH_DIR ":/bin/sh\n"
                          "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n",
                          "/etc/passwd");
    r = r < 0 ? r : add_text_file(command, "mesh:x:1000:\nnogroup:x:65534:\n", "/etc/group");
    int program = r < 0 ? r : open(sandbox->cell_program, O_RDONLY | O_CLOEXEC);
    if (program < 0) {
        return r < 0 ? r : -errno;
    }
    add_file(command, "0555", program, INSIDE_CELL_PROGRAM);
    r = add_job_files(command, files, n_files);
    if (r < 0) {
        return r;
    }
    add2(command, "--proc", "/proc");
    /* The limits of its own IPC and network namespaces are in there, and would be its to change. */
    add3(command, "--ro-bind", "/proc/sys", "/proc/sys");
    add2(command, "--dev", "/dev");
    add_tmpfs(command, "1777", scratch_bytes, "/dev/shm");
    add_tmpfs(command, "1777", scratch_bytes, "/tmp");
    add_tmpfs(command, "0700", scratch_bytes, CELL_SCRATCH_DIR);
    for (size_t i = 0; i < sandbox->n_binds; i++) {
        const struct sandbox_bind *bind = &sandbox->binds[i];
        add3(command, bind->is_writable ? "--bind" : "--ro-bind", bind->path, bind->path);
    }
    /* What bwrap itself made is a file system too: nothing may be left in it. */
    add2(command, "--remount-ro", "/dev");
    add2(command, "--remount-ro", "/");
    return 0;
}

/* Ends a make function. */
static int command_result(struct sandbox_command *command, int r,
                          struct sandbox_command *ret_command, struct errmsg *reterr)
{
    if (r == 0 && command->is_short) {
        r = -ENOMEM;
    }
    if (r < 0) {
        errmsg_set(reterr, "set up a cell: %s", strerror(-r));
        sandbox_command_done(command);
        return r;
    }
    *ret_command = *command;
    return 0;
}

int sandbox_command_make(const struct sandbox *sandbox, const char *mode,
                         const struct sandbox_size *size, const struct cell_file *files,
                         size_t n_files, int socket_fd, int stderr_fd,
                         struct sandbox_command *ret_command, struct errmsg *reterr)
{
    struct sandbox_command command;
    ensure(sandbox->bwrap != NULL);
    ensure(sandbox->filter_fd > 0);
    ensure(sandbox->n_binds <= SANDBOX_BINDS_MAX);
    int r = check_files(files, n_files, reterr);
    if (r < 0) {
        return r;
    }
    command_init(&command, 131 + 6 * n_files + 3 * sandbox->n_binds, 9 + n_files);
    command.is_sandbox = true;
    give_standard_fds(&command, socket_fd, stderr_fd);
    add(&command, sandbox->bwrap);
    add_namespaces(&command);
    r = add_filter(&command, sandbox);
    r = r < 0 ? r : add_file_system(&command, sandbox, size->scratch_bytes, files, n_files);
    add2(&command, "--chdir", "/");
    add2(&command, "--", INSIDE_CELL_PROGRAM);
    struct cell_limits limits = size->limits;
    limits.group_fd =
        size->group_fd > 0 ? (uint32_t)give_fd(&command, duplicate(size->group_fd)) : 0;
    add_cell_args(&command, mode, CELL_SCRATCH_DIR, CELL_JOB_DIR, &limits, files, n_files);
    return command_result(&command, r, ret_command, reterr);
}

int sandbox_bare_command_make(const struct sandbox *sandbox, const char *dir,
                              const struct cell_file *files, size_t n_files, int socket_fd,
                              int stderr_fd, struct sandbox_command *ret_command,
                              struct errmsg *reterr)
{
    struct sandbox_command command;
    char scratch[PATH_MAX];
    char job_dir[PATH_MAX];
    int r = check_files(files, n_files, reterr);
    if (r < 0) {
        return r;
    }
    command_init(&command, 9 + n_files, 8 + n_files);
    give_standard_fds(&command, socket_fd, stderr_fd);
    for (size_t i = 0; r == 0 && i < n_files; i++) {
        int fd = open_anew(files[i].fd);
        r = fd < 0 ? fd : 0;
        if (fd >= 0) {
            give_fd(&command, fd);
        }
    }
    int n = snprintf(scratch, sizeof scratch, "%s/task", dir);
    r = r < 0 ? r : n < 0 || (size_t)n >= sizeof scratch ? -ENAMETOOLONG : 0;
    snprintf(job_dir, sizeof job_dir, "%s/job", dir);
    add(&command, sandbox->cell_program);
    const struct cell_limits none = {0};
    add_cell_args(&command, CELL_ARG_BARE, scratch, job_dir, &none, files, n_files);
    return command_result(&command, r, ret_command, reterr);
}

/* Whether this user namespace knows the number at all: one that an ordinary user made for himself
 * has root and nobody else in it, and a switch to an unknown number fails. */
static bool is_id_mapped(const char *map_path, unsigned long long id)
{
    FILE *map = fopen(map_path, "re");
    if (map == NULL) {
        return true; /* a kernel without user namespaces */
    }
    bool is_mapped = false;
    unsigned long long inside;
    unsigned long long outside;
    unsigned long long n;
    char line[128];
    while (!is_mapped && fgets(line, sizeof line, map) != NULL) {
        /* The kernel's own three numbers, not a stranger's. */
        is_mapped = sscanf(line, "%llu %llu %llu", &inside, &outside, &n) == 3 && id >= inside &&
                    id - inside < n;
    }
    fclose(map);
    return is_mapped;
}

bool sandbox_drops_ids(void)
{
    return geteuid() == 0 && is_id_mapped("/proc/self/uid_map", SANDBOX_OUTSIDE_ID) &&
           is_id_mapped("/proc/self/gid_map", SANDBOX_OUTSIDE_ID);
}

/* --- finding the programs --- */

int sandbox_find_bwrap(char *to, size_t n_to, struct errmsg *reterr)
{
    const char *path = getenv("PATH");
    for (const char *dir = path != NULL ? path : "/usr/bin:/bin"; dir != NULL;) {
        size_t n_dir = strcspn(dir, ":");
        int n = snprintf(to, n_to, "%.*s/bwrap", (int)n_dir, dir);
        if (n_dir > 0 && n > 0 && (size_t)n < n_to && access(to, X_OK) == 0) {
            return 0;
        }
        dir = dir[n_dir] == ':' ? dir + n_dir + 1 : NULL;
    }
    errmsg_set(reterr, "bwrap is not installed: install the package bubblewrap");
    return -ENOENT;
}

int sandbox_find_cell_program(char *to, size_t n_to, struct errmsg *reterr)
{
    char self[PATH_MAX];
    ssize_t n_self = readlink("/proc/self/exe", self, sizeof self - 1);
    /* In a build folder; installed, wherever the whole tree was moved to since. */
    static const char *const beside[] = {"mesh-cell", "../libexec/mesh/mesh-cell"};
    self[n_self > 0 ? n_self : 0] = '\0';
    char *slash = strrchr(self, '/'); /* the kernel's paths are absolute */
    for (size_t i = 0; slash != NULL && i < ARRAY_LEN(beside); i++) {
        slash[1] = '\0';
        int n = snprintf(to, n_to, "%s%s", self, beside[i]);
        if (n > 0 && (size_t)n < n_to && access(to, X_OK) == 0) {
            return 0;
        }
    }
    int n = snprintf(to, n_to, "%s/mesh-cell", MESH_LIBEXEC_DIR);
    if (n > 0 && (size_t)n < n_to && access(to, X_OK) == 0) {
        return 0;
    }
    errmsg_set(reterr, "mesh-cell is missing: neither beside this program nor in %s",
               MESH_LIBEXEC_DIR);
    return -ENOENT;
}

/* --- the probe: a loop of its own, so that it may run before there is a daemon --- */

int sandbox_spawn(uv_loop_t *loop, struct spawned *process, const struct sandbox_command *command,
                  void (*on_end)(struct spawned *process, int status, int signal))
{
    const struct spawn_options options = {
        .file = command->argv[0],
        .argv = command->argv,
        .fds = command->fds,
        .n_fds = command->n_fds,
        .has_id = command->is_sandbox && sandbox_drops_ids(),
        .id = SANDBOX_OUTSIDE_ID,
    };
    return spawn(loop, process, &options, on_end);
}

struct probe {
    struct spawned process;
    uv_timer_t timer;
    int status;
    int signal;
};

static void on_probe_end(struct spawned *process, int status, int signal)
{
    struct probe *probe = CONTAINER_OF(process, struct probe, process);
    probe->status = status;
    probe->signal = signal;
    spawned_close(process, NULL);
    uv_close((uv_handle_t *)&probe->timer, NULL);
}

static void on_probe_timeout(uv_timer_t *timer)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    spawned_kill(&probe->process, SIGKILL);
}

static int probe_spawn(struct probe *probe, uv_loop_t *loop, const struct sandbox_command *command)
{
    uv_timer_init(loop, &probe->timer);
    int r = sandbox_spawn(loop, &probe->process, command, on_probe_end);
    if (r < 0) {
        spawned_close(&probe->process, NULL);
        uv_close((uv_handle_t *)&probe->timer, NULL);
        return r;
    }
    uv_timer_start(&probe->timer, on_probe_timeout, PROBE_TIMEOUT_MS, 0);
    return 0;
}

static int probe_result(const struct probe *probe, int err_fd, struct errmsg *reterr)
{
    if (probe->status == 0 && probe->signal == 0) {
        return 0;
    }
    char said[256];
    char text[300];
    ssize_t n = read(err_fd, said, sizeof said);
    n = n < 0 ? 0 : n;
    const char *line_end = memchr(said, '\n', (size_t)n);
    n = line_end != NULL ? line_end - said : n;
    errmsg_set(reterr, "no sandbox here: %s",
               n > 0                ? text_printable(slice_of(said, (size_t)n), text, sizeof text)
               : probe->signal != 0 ? "bwrap did not end in time"
                                    : "bwrap failed and did not say why");
    return -EPERM;
}

int sandbox_probe(const struct sandbox *sandbox, struct errmsg *reterr)
{
    if (sandbox->bwrap == NULL) {
        errmsg_set(reterr, "no sandbox here: bwrap is not installed");
        return -ENOENT;
    }
    int ends[2];
    uv_loop_t loop;
    struct sandbox_command command;
    struct probe probe = {.status = -1};
    int r = pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 ? -errno : 0;
    if (r < 0) {
        errmsg_set(reterr, "make a pipe: %s", strerror(-r));
        return r;
    }
    const struct sandbox_size size = {.scratch_bytes = 1 << 20};
    r = sandbox_command_make(sandbox, CELL_ARG_PROBE, &size, NULL, 0, -1, ends[1], &command,
                             reterr);
    if (r == 0 && (r = uv_loop_init(&loop)) < 0) {
        errmsg_set(reterr, "no sandbox here: %s; raise the limit of open files", uv_strerror(r));
        sandbox_command_done(&command);
    } else if (r == 0) {
        r = probe_spawn(&probe, &loop, &command);
        if (r < 0) {
            errmsg_set(reterr, "run %s: %s", sandbox->bwrap, uv_strerror(r));
        }
        uv_run(&loop, UV_RUN_DEFAULT);
        ensure(uv_loop_close(&loop) == 0);
        sandbox_command_done(&command);
        r = r < 0 ? r : probe_result(&probe, ends[0], reterr);
    }
    close(ends[0]);
    close(ends[1]);
    return r;
}
