#include "tests/lib/command.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int command_file(const void *bytes, size_t n_bytes)
{
    int fd = memfd_create("command", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, bytes, n_bytes), (int)n_bytes);
    ck_assert_int_eq((int)lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

void command_start(struct command *command, const char *const *argv, int stdin_fd, int stdout_fd)
{
    memset(command, 0, sizeof(*command));
    command->out_fd = memfd_create("out", MFD_CLOEXEC);
    command->err_fd = memfd_create("err", MFD_CLOEXEC);
    command->pid = fork();
    ck_assert_int_ge(command->pid, 0);
    if (command->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        dup2(stdin_fd >= 0 ? stdin_fd : null_fd, 0);
        dup2(stdout_fd >= 0 ? stdout_fd : command->out_fd, 1);
        dup2(command->err_fd, 2);
        char *copies[256];
        size_t n = 0;
        for (; argv[n] != NULL && n < 255; n++) {
            copies[n] = strdup(argv[n]);
        }
        copies[n] = NULL;
        execv(copies[0], copies);
        _exit(98);
    }
}

static char *read_all(int fd, size_t *ret_n)
{
    struct stat st;
    ck_assert_int_eq(fstat(fd, &st), 0);
    char *bytes = calloc((size_t)st.st_size + 1, 1);
    size_t n = 0;
    while (n < (size_t)st.st_size) {
        ssize_t more = pread(fd, bytes + n, (size_t)st.st_size - n, (off_t)n);
        ck_assert_int_gt((int)more, 0);
        n += (size_t)more;
    }
    *ret_n = n;
    return bytes;
}

void command_wait(struct command *command)
{
    int status;
    while (waitpid(command->pid, &status, 0) < 0) {
        ck_assert_int_eq(errno, EINTR);
    }
    command->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    command->out = read_all(command->out_fd, &command->n_out);
    command->err = read_all(command->err_fd, &command->n_err);
}

void command_done(struct command *command)
{
    close(command->out_fd);
    close(command->err_fd);
    free(command->out);
    free(command->err);
}
