/* A daemon for tests of the command: it speaks the local socket's messages and runs each task
 * itself, at once, in a child with the arguments it was sent. Words that begin with @ are not run
 * but played: @ok TEXT, @signal N, @lost, @missing, @timeout, @cancelled-late, @gone (the daemon
 * vanishes), @hang (no answer until the job is cancelled), @slow (answers with the next one),
 * @evil (a peer whose name holds an escape sequence). */
#ifndef MESH_TESTS_FAKE_DAEMON_H
#define MESH_TESTS_FAKE_DAEMON_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The invitation that it gives, and the only one that it takes: this byte in each of the token's,
 * its own key, and these addresses besides some that mean nothing elsewhere. */
#define FAKE_TOKEN_BYTE 0x5a
#define FAKE_ADDRESS    "10.0.0.1:7766"
#define FAKE_ADDRESS_V6 "[2001:db8::1]:7766"

struct fake_daemon {
    char dir[64];
    char path[96]; /* of the socket */
    pid_t pid;
};

struct fake_daemon_options {
    uint32_t credit;        /* tasks that may be outstanding; 0: 64 */
    bool is_reversed;       /* results come in the reverse order, once all tasks are there */
    bool is_silent;         /* accepts connections and never greets */
    uint32_t n_peers;       /* others that are up */
    bool is_locked;         /* it is in a closed mesh, with a ban and pins */
    bool is_crowded;        /* two peers are called lily; one is refused, one is in conflict */
    uint32_t refuse;        /* enum wire_error for a submit; 0: accepts it */
    uint64_t stream_offset; /* a streamed task's output is sent twice from here on, as after a
                             * restart */
    uid_t uid;              /* run as this user; 0: as we are */
    int cancel_fd;          /* a byte is written here for each cancel of the job submitted, which
                             * then has no answer and no effect; 0: it is carried out */
};

/* Starts it on a socket in a new directory. Aborts the test when it cannot. */
void fake_daemon_start(struct fake_daemon *daemon, const struct fake_daemon_options *options);
/* Ends it and removes its directory. */
void fake_daemon_stop(struct fake_daemon *daemon);

#endif
