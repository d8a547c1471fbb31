#include "cli/secret_input.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "wire/base/slice.h"

static const int ending[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
#define N_SIGNALS (ARRAY_LEN(ending) + 1) /* and SIGTSTP */

struct terminal {
    struct sigaction actions[N_SIGNALS]; /* as they were */
};

static struct termios as_it_was; /* for the handler */

/* A terminal that shows nothing is worse than the signal: it is mended first. */
static void on_signal(int signal_number)
{
    tcsetattr(STDIN_FILENO, TCSANOW, &as_it_was);
    raise(signal_number); /* by SA_RESETHAND and SA_NODEFER this ends us, as the signal would */
}

static int hide(struct terminal *terminal)
{
    if (tcgetattr(STDIN_FILENO, &as_it_was) < 0) {
        return -errno;
    }
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND | SA_NODEFER};
    for (size_t i = 0; i < ARRAY_LEN(ending); i++) {
        sigaction(ending[i], &action, &terminal->actions[i]);
    }
    action = (struct sigaction){.sa_handler = SIG_IGN}; /* a shell would show what is typed */
    sigaction(SIGTSTP, &action, &terminal->actions[ARRAY_LEN(ending)]);
    struct termios hidden = as_it_was;
    hidden.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
    return tcsetattr(STDIN_FILENO, TCSADRAIN, &hidden) < 0 ? -errno : 0;
}

static void show(const struct terminal *terminal)
{
    tcsetattr(STDIN_FILENO, TCSADRAIN, &as_it_was);
    for (size_t i = 0; i < ARRAY_LEN(ending); i++) {
        sigaction(ending[i], &terminal->actions[i], NULL);
    }
    sigaction(SIGTSTP, &terminal->actions[ARRAY_LEN(ending)], NULL);
    IGNORE(write(STDERR_FILENO, "\n", 1)); /* the one that was typed was not shown */
}

/* To the end of the line or of the input. */
static int read_bytes(bool is_line, char *to, size_t n_to, size_t *ret_n, struct errmsg *err)
{
    size_t n = 0;
    for (;;) {
        char more;
        ssize_t r = n < n_to ? read(STDIN_FILENO, to + n, n_to - n) : read(STDIN_FILENO, &more, 1);
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r < 0) {
            int error = errno;
            errmsg_set(err, "cannot read standard input: %s", strerror(error));
            return -error;
        }
        if (r > 0 && n == n_to) {
            errmsg_set(err, "that is too long: a code has fewer than %zu characters", n_to);
            return -EFBIG;
        }
        n += (size_t)r;
        if (r == 0 || (is_line && to[n - 1] == '\n')) {
            *ret_n = n;
            return 0;
        }
    }
}

int cmd_secret_read(const char *prompt, char *to, size_t n_to, size_t *ret_n, struct errmsg *err)
{
    if (!isatty(STDIN_FILENO)) {
        return read_bytes(false, to, n_to, ret_n, err);
    }
    struct terminal terminal;
    int r = hide(&terminal);
    if (r < 0) {
        errmsg_set(err, "cannot hide what is typed: %s", strerror(-r));
    } else {
        IGNORE(write(STDERR_FILENO, prompt, strlen(prompt)));
        r = read_bytes(true, to, n_to, ret_n, err);
    }
    show(&terminal);
    return r;
}
