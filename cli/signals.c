#include "cli/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static volatile sig_atomic_t caught;
static int wake_fd = -1;

static void on_signal(int signal_number)
{
    int error = errno;
    if (caught != 0) {
        _exit(128 + signal_number);
    }
    caught = signal_number;
    IGNORE(write(wake_fd, "", 1)); /* the pipe is empty: it takes one byte */
    errno = error;
}

int cmd_signals_catch(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
        return -errno;
    }
    wake_fd = ends[1];
    struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: writes are left */
    if (sigaction(SIGINT, &action, NULL) < 0 || sigaction(SIGTERM, &action, NULL) < 0) {
        return -errno;
    }
    return ends[0];
}

int cmd_signals_caught(void)
{
    return caught;
}
