/* A task that timers of its own let go on whenever it was stopped. Its argument: after how many
 * milliseconds. It says that it has begun, and keeps a processor busy.
 *
 * SIGSTOP takes a SIGCONT with it that is just pending, and the timer of that. So there are more
 * timers, each for twice as long, and whichever wakes it sets all of them anew. */
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define TIMERS 12

static timer_t timers[TIMERS];
static long first_us;

/* Without a handler some kernels put the timer of an ignored signal aside, too. */
static void set_all(int signal)
{
    (void)signal;
    for (unsigned i = 0; i < TIMERS; i++) {
        long us = first_us << i;
        struct itimerspec when = {
            .it_value = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000}};
        (void)!timer_settime(timers[i], 0, &when, NULL); /* the time is valid */
    }
}

int main(int argc, char **argv)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGCONT};
    struct sigaction action = {.sa_handler = set_all};
    first_us = argc > 1 ? strtol(argv[1], NULL, 10) * 1000 : 0;
    for (unsigned i = 0; i < TIMERS; i++) {
        if (timer_create(CLOCK_MONOTONIC, &event, &timers[i]) < 0) {
            return EXIT_FAILURE;
        }
    }
    if (first_us <= 0 || sigaction(SIGCONT, &action, NULL) < 0) {
        return EXIT_FAILURE;
    }
    set_all(SIGCONT);
    if (write(STDOUT_FILENO, "begun\n", 6) != 6) {
        return EXIT_FAILURE;
    }
    for (volatile unsigned long i = 0;; i++) {
    }
}
