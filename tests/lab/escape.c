/* A task that tries to get out of its cell. Libc only, as users' programs are.
 *
 *   escape attack NAME=VALUE...
 *       tries everything; for each a line "NAME<TAB>failed|SUCCEEDED<TAB>why"
 *   escape control NAME=VALUE...
 *       the same outside of a cell: what shows that the attempts are real
 *   escape outside FOLDER
 *       makes the sockets that attempts are aimed at, prints their words, and waits for its
 *       standard input to end
 *   escape bomb NAME
 *       takes memory until it is stopped
 *   escape leave | seek | both
 *       leaves things behind; looks for what another left
 *   escape witness FILE
 *       keeps a secret in its scratch until the file is there
 */
#include "tests/lab/escape.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ATTEMPT_SECONDS 60

static char **words;

const char *escape_word(const char *name)
{
    size_t n = strlen(name);
    for (char **word = words; *word != NULL; word++) {
        if (strncmp(*word, name, n) == 0 && (*word)[n] == '=') {
            return *word + n + 1;
        }
    }
    return NULL;
}

int escape_result(long returned)
{
    return returned >= 0 ? 0 : errno;
}

void escape_ignore(int number)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(number, &ignore, NULL);
}

/* --- one attempt --------------------------------------------------------------------------------
 */

/* What it returned; 1000 and the signal when one ended it. */
static int try_it(const struct escape_attempt *attempt)
{
    int ends[2];
    int result = EIO;
    int status = 0;
    fflush(stdout);
    if (pipe(ends) < 0) {
        return EIO;
    }
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        setpgid(0, 0);
        alarm(ATTEMPT_SECONDS);
        result = attempt->attempt();
        _exit(write(ends[1], &result, sizeof result) == sizeof result ? 0 : 1);
    }
    close(ends[1]);
    bool has_said = pid > 0 && read(ends[0], &result, sizeof result) == sizeof result;
    close(ends[0]);
    if (pid > 0) {
        kill(-pid, SIGKILL); /* what it started */
        waitpid(pid, &status, 0);
    }
    return !has_said && WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : result;
}

static void print_result(const char *name, int result)
{
    const char *word = result == 0 ? "SUCCEEDED" : "failed";
    const char *why = result <= 0 ? "" : result > 1000 ? "" : strerrorname_np(result);
    if (result == ESCAPE_NO_TARGET) {
        word = "NOT TRIED";
    } else if (result > 1000) {
        printf("%s\t%s\tSIG%s\n", name, word, sigabbrev_np(result - 1000));
        return;
    }
    printf("%s\t%s\t%s\n", name, word, why);
}

static void try_all(const struct escape_attempt *attempts, size_t n, bool is_control)
{
    bool is_root = geteuid() == 0;
    for (size_t i = 0; i < n; i++) {
        const struct escape_attempt *a = &attempts[i];
        bool works =
            a->control == ESCAPE_ANYBODY || a->control == (is_root ? ESCAPE_ROOT : ESCAPE_USER);
        if (!is_control || works) {
            print_result(a->name, try_it(a));
        }
    }
}

static int run_all(bool is_control)
{
    try_all(escape_files, escape_n_files, is_control);
    try_all(escape_sockets, escape_n_sockets, is_control);
    try_all(escape_kernel, escape_n_kernel, is_control);
    try_all(escape_processes, escape_n_processes, is_control);
    return EXIT_SUCCESS;
}

/* --- targets outside ----------------------------------------------------------------------------
 */

static int listen_at(const char *path, bool is_abstract)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t n =
        (size_t)snprintf(at.sun_path, sizeof at.sun_path, "%s%s", is_abstract ? "@" : "", path);
    if (is_abstract) {
        at.sun_path[0] = '\0';
    }
    socklen_t n_at = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return fd >= 0 && bind(fd, (struct sockaddr *)&at, n_at) == 0 && listen(fd, 8) == 0 &&
                   (is_abstract || chmod(path, 0777) == 0)
               ? 0
               : -errno;
}

/* A TCP listener, or a UDP socket, on a loopback address. Its port, or 0. */
static unsigned serve(int family, int type)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr *at = family == AF_INET ? (struct sockaddr *)&four : (struct sockaddr *)&six;
    socklen_t n = family == AF_INET ? sizeof four : sizeof six;
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, at, n) < 0 || (type == SOCK_STREAM && listen(fd, 8) < 0) ||
        getsockname(fd, at, &n) < 0) {
        return 0;
    }
    return ntohs(family == AF_INET ? four.sin_port : six.sin6_port);
}

/* Stands in for what listens on a desktop. Every name is within the folder, but for the abstract
 * ones, which have the process' number in them. */
static int outside(const char *folder)
{
    static const char *const names[] = {"x11", "dbus", "session", "agent", "docker"};
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (listen_at(path, false) < 0) {
            fprintf(stderr, "escape: %s: %s\n", path, strerror(errno));
            return EXIT_FAILURE;
        }
        printf("%s=%s\n", names[i], path);
    }
    snprintf(path, sizeof path, "mesh-escape-%d", (int)getpid());
    if (listen_at(path, true) < 0) {
        return EXIT_FAILURE;
    }
    unsigned tcp = serve(AF_INET, SOCK_STREAM);
    unsigned udp = serve(AF_INET, SOCK_DGRAM);
    unsigned tcp6 = serve(AF_INET6, SOCK_STREAM);
    if (tcp == 0 || udp == 0) {
        return EXIT_FAILURE;
    }
    printf("abstract=%s\ntcp=%u\nudp=%u\n", path, tcp, udp);
    printf("tcp6=%u\n\n", tcp6); /* 0: no IPv6 here. An empty line ends the words */
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    return EXIT_SUCCESS;
}

static int witness(const char *file)
{
    int fd = open("secret", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, "witness", 7) != 7) {
        return EXIT_FAILURE;
    }
    close(fd);
    printf("began\n");
    fflush(stdout);
    while (access(file, F_OK) != 0) {
        poll(NULL, 0, 50);
    }
    printf("lived\n");
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    words = argv + (argc > 1 ? 2 : 1);
    escape_ignore(SIGPIPE);
    if (strcmp(what, "attack") == 0 || strcmp(what, "control") == 0) {
        return run_all(strcmp(what, "control") == 0);
    }
    if (strcmp(what, "whoami") == 0) { /* of the set-user-id copy */
        return geteuid() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    if (strcmp(what, "leave") == 0) {
        return escape_leave();
    }
    if (strcmp(what, "seek") == 0) {
        return escape_seek();
    }
    if (strcmp(what, "both") == 0) {
        escape_leave();
        return escape_seek();
    }
    if (argc == 3 && strcmp(what, "outside") == 0) {
        return outside(argv[2]);
    }
    if (argc == 3 && strcmp(what, "bomb") == 0) {
        return escape_bomb(argv[2]);
    }
    if (argc == 3 && strcmp(what, "witness") == 0) {
        return witness(argv[2]);
    }
    fprintf(stderr, "escape: see tests/escape\n");
    return 2;
}
