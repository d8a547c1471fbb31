#include "tests/lab/process.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lab/bounds.h"
#include "tests/lab/namespaces.h"

#define ARGS_MAX 256
#define ENV_MAX  64
/* What is shown of a process's output where a test fails. */
#define TAIL_BYTES  4000
#define SHOWN_FIRST 2
#define SHOWN_LAST  3
/* For a host's processes to stand still. */
#define FREEZE_MS 2000

static const struct lab_start plain_start;

/* What the new process is to become. */
struct program {
    const char *const *argv; /* NULL: call the function */
    int (*function)(void *context);
    void *context;
    const struct lab_start *start;
};

/* --- in the new process ----------------------------------------------------------------------- */

static _Noreturn void give_up(const char *what)
{
    dprintf(STDERR_FILENO, "lab: cannot %s: %s\n", what, strerror(errno));
    _exit(127);
}

static void open_as(const char *path, int flags, int fd)
{
    int opened = open(path, flags, 0644);
    if (opened < 0 || dup2(opened, fd) < 0) {
        give_up(path);
    }
}

/* Our own variables that programs under test are to see as well. */
static void build_environment(const char *env[ENV_MAX], const struct lab_start *start)
{
    static char copies[ENV_MAX / 2][LAB_PATH_BYTES_MAX];
    static const char *const inherited[] = {"ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
                                            "TSAN_OPTIONS"};
    unsigned n = 0;
    env[n++] = "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
    env[n++] = "HOME=/tmp";
    env[n++] = "LANG=C.UTF-8";
    for (unsigned i = 0; i < ARRAY_LEN(inherited); i++) {
        const char *value = getenv(inherited[i]);
        if (value != NULL) {
            snprintf(copies[i], sizeof(copies[i]), "%s=%s", inherited[i], value);
            env[n++] = copies[i];
        }
    }
    for (unsigned i = 0; start->env != NULL && start->env[i] != NULL && n < ENV_MAX - 1; i++) {
        env[n++] = start->env[i];
    }
    env[n] = NULL;
}

static _Noreturn void become(const struct lab_process *process, const struct program *program)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    open_as(process->err_path, O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
    open_as(process->out_path, O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
    const char *in = program->start->stdin_path;
    open_as(in != NULL ? in : "/dev/null", O_RDONLY, STDIN_FILENO);
    if (lab_limits_enter(process->host) != 0) {
        give_up("enter the control group of the host");
    }
    close_range(3, ~0U, 0);
    const char *folder = program->start->folder;
    if (chdir(folder != NULL ? folder : "/tmp") < 0) {
        give_up("enter the working directory");
    }
    if (program->argv == NULL) {
        int status = program->function(program->context);
        fflush(NULL);
        _exit(status);
    }
    const char *env[ENV_MAX];
    build_environment(env, program->start);
    execvpe(program->argv[0], (char *const *)(uintptr_t)program->argv,
            (char *const *)(uintptr_t)env);
    give_up(program->argv[0]);
}

/* --- starting ----------------------------------------------------------------------------------
 */

static struct lab_process *start_program(struct lab_host *host, const struct program *program)
{
    ck_assert_msg(host->init > 0, "lab: %s is without power", host->name);
    struct lab_process *process = calloc(1, sizeof(*process));
    ck_assert_ptr_nonnull(process);
    process->host = host;
    unsigned number = ++host->lab->n_processes;
    const char *share = lab_share(host->lab);
    snprintf(process->out_path, sizeof(process->out_path), "%s/%u.out", share, number);
    snprintf(process->err_path, sizeof(process->err_path), "%s/%u.err", share, number);
    size_t n = 0;
    for (unsigned i = 0; program->argv != NULL && program->argv[i] != NULL; i++) {
        if (n < sizeof(process->what)) {
            n += (size_t)snprintf(process->what + n, sizeof(process->what) - n, "%s%s",
                                  i == 0 ? "" : " ", program->argv[i]);
        }
    }
    process->started_ns = lab_now_ns();
    pid_t pid = namespaces_fork(host->init_fd);
    if (pid == 0) {
        become(process, program);
    }
    ck_assert_msg(pid > 0, "lab: cannot start %s on %s: %s", process->what, host->name,
                  strerror(-pid));
    process->pid = pid;
    process->is_running = true;
    list_push_back(&host->processes, &process->node);
    return process;
}

struct lab_process *lab_spawnv(struct lab_host *host, const char *const *argv,
                               const struct lab_start *start)
{
    struct program program = {.argv = argv, .start = start != NULL ? start : &plain_start};
    return start_program(host, &program);
}

/* The variable arguments up to NULL as an argv. */
static void collect(const char *argv[ARGS_MAX], const char *program, va_list args)
{
    unsigned n = 0;
    for (const char *word = program; word != NULL; word = va_arg(args, const char *)) {
        ck_assert_uint_lt(n, ARGS_MAX - 1);
        argv[n++] = word;
    }
    argv[n] = NULL;
}

struct lab_process *lab_spawn(struct lab_host *host, const char *program, ...)
{
    const char *argv[ARGS_MAX];
    va_list args;
    va_start(args, program);
    collect(argv, program, args);
    va_end(args);
    return lab_spawnv(host, argv, NULL);
}

struct lab_process *lab_call(struct lab_host *host, int (*function)(void *context), void *context)
{
    struct program program = {.function = function, .context = context, .start = &plain_start};
    return start_program(host, &program);
}

/* --- output ------------------------------------------------------------------------------------
 */

static const char *read_again(const char *path, char **text)
{
    free(*text);
    *text = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
    char *bytes = calloc(1, (size_t)size + 1);
    ck_assert_ptr_nonnull(bytes);
    if (fd >= 0) {
        ssize_t n = pread(fd, bytes, (size_t)size, 0);
        bytes[n > 0 ? n : 0] = '\0';
        close(fd);
    }
    *text = bytes;
    return bytes;
}

const char *lab_output(struct lab_process *process)
{
    return read_again(process->out_path, &process->out);
}

const char *lab_errors(struct lab_process *process)
{
    return read_again(process->err_path, &process->err);
}

static const char *tail(const char *text)
{
    size_t n = strlen(text);
    return n > TAIL_BYTES ? text + n - TAIL_BYTES : text;
}

static void show(struct lab_process *process)
{
    fprintf(stderr, "--- %s: %s\n--- its output:\n%s--- its errors:\n%s---\n", process->host->name,
            process->what, tail(lab_output(process)), tail(lab_errors(process)));
}

struct awaited {
    struct lab_process *process;
    const char *text;
};

static bool has_text(void *context)
{
    struct awaited *awaited = context;
    return strstr(lab_output(awaited->process), awaited->text) != NULL ||
           strstr(lab_errors(awaited->process), awaited->text) != NULL;
}

bool lab_wait_text(struct lab_process *process, const char *text, unsigned deadline_ms)
{
    struct awaited awaited = {.process = process, .text = text};
    return lab_until(has_text, &awaited, deadline_ms);
}

/* --- ends ---------------------------------------------------------------------------------------
 */

/* Collects the process if it has ended. */
static void look(struct lab_process *process, int flags)
{
    if (!process->is_running) {
        return;
    }
    int status = 0;
    pid_t pid;
    do {
        pid = waitpid(process->pid, &status, flags);
    } while (pid < 0 && errno == EINTR);
    if (pid == process->pid) {
        process->is_running = false;
        process->status = status;
        process->ended_ns = lab_now_ns();
    }
}

bool lab_is_running(struct lab_process *process)
{
    look(process, WNOHANG);
    return process->is_running;
}

static int exit_status(const struct lab_process *process)
{
    return WIFSIGNALED(process->status) ? 128 + WTERMSIG(process->status)
                                        : WEXITSTATUS(process->status);
}

int lab_wait(struct lab_process *process, unsigned deadline_ms, int *ret_status)
{
    if (lab_is_running(process)) {
        int fd = pidfd_open(process->pid, 0);
        ck_assert_int_ge(fd, 0);
        struct pollfd wanted = {.fd = fd, .events = POLLIN};
        uint64_t end_ns = lab_now_ns() + deadline_ms * UINT64_C(1000000);
        int n = 0;
        for (uint64_t now = lab_now_ns(); n <= 0 && now < end_ns; now = lab_now_ns()) {
            n = poll(&wanted, 1, (int)((end_ns - now + 999999) / 1000000));
        }
        close(fd);
        if (n <= 0) {
            return -ETIMEDOUT;
        }
        look(process, 0);
    }
    *ret_status = exit_status(process);
    return 0;
}

void lab_expect(struct lab_process *process, unsigned deadline_ms, int status)
{
    int got = -1;
    if (lab_wait(process, deadline_ms, &got) != 0) {
        lab_fail(process->host->lab, "%s: '%s' did not end within %u ms", process->host->name,
                 process->what, deadline_ms);
    }
    if (got != status) {
        lab_fail(process->host->lab, "%s: '%s' ended with %d instead of %d", process->host->name,
                 process->what, got, status);
    }
}

int lab_run(struct lab_host *host, unsigned deadline_ms, struct lab_process **ret_process,
            const char *program, ...)
{
    const char *argv[ARGS_MAX];
    va_list args;
    va_start(args, program);
    collect(argv, program, args);
    va_end(args);
    struct lab_process *process = lab_spawnv(host, argv, NULL);
    int status = -1;
    if (lab_wait(process, deadline_ms, &status) != 0) {
        lab_kill(process);
        lab_fail(host->lab, "%s: '%s' did not end within %u ms", host->name, process->what,
                 deadline_ms);
    }
    if (ret_process != NULL) {
        *ret_process = process;
    }
    return status;
}

void lab_kill(struct lab_process *process)
{
    if (lab_is_running(process)) {
        kill(process->pid, SIGKILL);
        look(process, 0);
    }
}

void lab_freeze(struct lab_process *process)
{
    ck_assert(lab_is_running(process));
    kill(process->pid, SIGSTOP);
}

void lab_thaw(struct lab_process *process)
{
    ck_assert(lab_is_running(process));
    kill(process->pid, SIGCONT);
}

/* The state of a process, as proc(5) names it; 'Z': it is gone. */
static char state_of(const char *pid)
{
    char path[64];
    char text[512];
    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "re");
    size_t n = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;
    if (file != NULL) {
        fclose(file);
    }
    text[n] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end != NULL && name_end[1] == ' ' ? name_end[2] : 'Z';
}

static bool are_all_stopped(void)
{
    bool is_so = true;
    DIR *folder = opendir("/proc");
    for (struct dirent *entry = folder != NULL ? readdir(folder) : NULL; entry != NULL;
         entry = readdir(folder)) {
        bool is_other = isdigit((unsigned char)entry->d_name[0]) &&
                        strcmp(entry->d_name, "1") != 0 && atoi(entry->d_name) != getpid();
        is_so &= !is_other || strchr("TtZX", state_of(entry->d_name)) != NULL;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return is_so;
}

/* All that this one may signal: every process of its pid namespace and of those below, but the
 * first and itself. One that forks just now has a child that stops when it is there. If it were
 * told to go on before that, Linux would keep the stop for it and drop the other: so all stand
 * still when this returns, but who waits in vfork(2) for a child that does. */
static int stop_all(void *context)
{
    uint64_t end_ns = lab_now_ns() + FREEZE_MS * UINT64_C(1000000);
    do {
        if (kill(-1, SIGSTOP) < 0) {
            return 1;
        }
        poll(NULL, 0, 1);
    } while (!are_all_stopped() && lab_now_ns() < end_ns);
    return 0;
}

static int continue_all(void *context)
{
    return kill(-1, SIGCONT) < 0 ? 1 : 0;
}

static void signal_host(struct lab_host *host, int (*signal_all)(void *context))
{
    struct lab_process *process = lab_call(host, signal_all, NULL);
    lab_expect(process, 20000, 0);
    process = lab_forget(process);
}

void lab_freeze_host(struct lab_host *host)
{
    signal_host(host, stop_all);
}

void lab_thaw_host(struct lab_host *host)
{
    signal_host(host, continue_all);
}

void lab_stop(struct lab_process *process, unsigned deadline_ms)
{
    if (!lab_is_running(process)) {
        lab_fail(process->host->lab, "%s: '%s' has ended with %d before it was told to",
                 process->host->name, process->what, exit_status(process));
    }
    kill(process->pid, SIGTERM);
    lab_expect(process, deadline_ms, 0);
}

/* Those that run, the first and the last ones: a condition that never held asked many times. */
static void show_host(struct lab_host *host)
{
    unsigned n = 0;
    list_for_each (node, &host->processes) {
        n++;
    }
    unsigned i = 0;
    list_for_each (node, &host->processes) {
        struct lab_process *process = LIST_ENTRY(node, struct lab_process, node);
        if (i < SHOWN_FIRST || i + SHOWN_LAST >= n || lab_is_running(process)) {
            show(process);
        }
        i++;
    }
}

/* The lab of the test that runs in this process, while there is one. */
static struct lab *shown_lab;

void lab_show_on_failure(struct lab *lab)
{
    shown_lab = lab;
}

/* The linker calls it for Check's own, which ends the process at once: whichever assertion fails,
 * what every process has printed is shown. */
_Noreturn void __real__ck_assert_failed(const char *file, int line, const char *expr,
                                        const char *msg, ...) __attribute__((format(printf, 4, 5)));
_Noreturn void __wrap__ck_assert_failed(const char *file, int line, const char *expr,
                                        const char *msg, ...) __attribute__((format(printf, 4, 5)));
_Noreturn void __wrap__ck_assert_failed(const char *file, int line, const char *expr,
                                        const char *msg, ...)
{
    char text[4096]; /* before what it is made of is read again */
    va_list args;
    va_start(args, msg);
    if (msg != NULL) {
        vsnprintf(text, sizeof(text), msg, args);
    }
    va_end(args);
    const struct lab *lab = shown_lab;
    shown_lab = NULL; /* this may fail as well */
    for (unsigned i = 0; lab != NULL && i < lab->n_hosts; i++) {
        show_host(lab->hosts[i]);
    }
    if (msg == NULL) {
        __real__ck_assert_failed(file, line, expr, NULL);
    }
    __real__ck_assert_failed(file, line, expr, "%s", text);
}

void lab_fail(struct lab *lab, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ck_abort_msg("%s", text);
}

/* Whether a checker of memory had something to say. */
static const char *find_report(const char *text)
{
    static const char *const signs[] = {
        "ERROR: AddressSanitizer",  "ERROR: LeakSanitizer", "runtime error: ",
        "WARNING: ThreadSanitizer", "== Invalid ",          "uninitialised value",
        "definitely lost in loss"};
    for (unsigned i = 0; i < ARRAY_LEN(signs); i++) {
        const char *at = strstr(text, signs[i]);
        if (at != NULL) {
            return at;
        }
    }
    return NULL;
}

struct lab_process *lab_forget(struct lab_process *process)
{
    ck_assert(!lab_is_running(process));
    if (find_report(lab_errors(process)) != NULL) {
        lab_show_on_failure(NULL); /* the others are of no interest */
        show(process);
        ck_abort_msg("%s: '%s': see the report above", process->host->name, process->what);
    }
    list_remove(&process->node);
    unlink(process->out_path);
    unlink(process->err_path);
    free(process->out);
    free(process->err);
    free(process);
    return NULL;
}

void lab_forget_processes(struct lab_host *host)
{
    list_for_each_safe (node, &host->processes) {
        lab_forget(LIST_ENTRY(node, struct lab_process, node));
    }
}
