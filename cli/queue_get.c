/* mesh queue get: an item is printed, or handed to a command, and only then said to be done. Who is
 * interrupted before has not got it: the daemon gives it back. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/queue_cmd.h"
#include "mesh/client/clock.h"
#include "wire/base/text.h"

#define FOR_EVER INT64_MAX

extern char **environ;

struct get {
    struct mesh_client *client;
    const struct queue_options *how;
    uint64_t id; /* of the present get */
    uint64_t n;  /* items that are done */
};

enum outcome { GOT_ITEM, GOT_NOTHING, GOT_FAILURE };

static int complain_reply(const struct wire_queue_reply *reply)
{
    char text[WIRE_REASON_BYTES_MAX + 1];
    cmd_complain("%s", text_printable(reply->text, text, sizeof(text)));
    return -EIO;
}

static int send_end(struct get *get, bool is_done)
{
    struct errmsg err;
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_END};
    message.queue_end = (struct wire_queue_end){.id = get->id, .is_done = is_done};
    int r = mesh_client_send(get->client, &message, NULL, 0, &err);
    if (r < 0) {
        cmd_complain("%s", err.text);
    }
    return r;
}

/* The next message about this get. -EAGAIN: none came until then. */
static int next_message(struct get *get, int64_t until_ms, const struct wire_message **ret_message)
{
    struct errmsg err;
    int r;
    for (;;) {
        int wait_ms = -1;
        if (until_ms != FOR_EVER) {
            int64_t ms = until_ms - mesh_client_now_ms();
            wait_ms = ms <= 0 ? 0 : ms < INT32_MAX ? (int)ms : INT32_MAX;
        }
        r = mesh_client_next(get->client, wait_ms, ret_message, &err);
        if (r == -EINTR) {
            continue;
        }
        if (r < 0 && r != -EAGAIN) {
            cmd_complain("%s", err.text);
        }
        bool is_ours = r == 0 && (((*ret_message)->type == WIRE_MESSAGE_QUEUE_TAKEN &&
                                   (*ret_message)->queue_taken.id == get->id) ||
                                  ((*ret_message)->type == WIRE_MESSAGE_QUEUE_REPLY &&
                                   (*ret_message)->queue_reply.id == get->id));
        if (r < 0 || is_ours) {
            return r;
        }
    }
}

/* The answer to what was said last; items that were on their way go back by themselves. */
static int await_reply(struct get *get)
{
    const struct wire_message *message;
    int r;
    do {
        r = next_message(get, FOR_EVER, &message);
    } while (r == 0 && message->type == WIRE_MESSAGE_QUEUE_TAKEN);
    if (r == 0 && message->queue_reply.error != WIRE_ERROR_NONE) {
        r = complain_reply(&message->queue_reply);
    }
    return r;
}

static enum outcome take(struct get *get, const struct wire_message **ret_message)
{
    struct errmsg err;
    struct wire_message take = {.type = WIRE_MESSAGE_QUEUE_TAKE};
    take.queue_take = (struct wire_queue_take){.id = ++get->id, .name = slice_str(get->how->name)};
    int64_t until_ms = get->how->has_timeout
                           ? mesh_client_now_ms() + (int64_t)(get->how->timeout_ns / 1000000)
                           : FOR_EVER;
    if (mesh_client_send(get->client, &take, NULL, 0, &err) < 0) {
        cmd_complain("%s", err.text);
        return GOT_FAILURE;
    }
    int r = next_message(get, until_ms, ret_message);
    if (r == -EAGAIN) {
        return send_end(get, false) == 0 && await_reply(get) == 0 ? GOT_NOTHING : GOT_FAILURE;
    }
    if (r == 0 && (*ret_message)->type == WIRE_MESSAGE_QUEUE_REPLY) {
        complain_reply(&(*ret_message)->queue_reply);
        return GOT_FAILURE;
    }
    return r == 0 ? GOT_ITEM : GOT_FAILURE;
}

/* --- what is done with an item -----------------------------------------------------------------
 */

/* A file of its own with these bytes, without a name, to be read from its beginning; negative, and
 * said. */
int queue_file_of(struct slice bytes)
{
    FILE *file = tmpfile();
    int fd = -1;
    if (file == NULL || (bytes.n > 0 && fwrite(bytes.p, 1, bytes.n, file) != bytes.n) ||
        fflush(file) != 0 || lseek(fileno(file), 0, SEEK_SET) < 0 ||
        (fd = fcntl(fileno(file), F_DUPFD_CLOEXEC, 0)) < 0) {
        cmd_complain("cannot make a temporary file for the item: %s", strerror(errno));
    }
    if (file != NULL) {
        IGNORE(fclose(file)); /* what counts was flushed */
    }
    return fd < 0 ? -EIO : fd;
}

static int copy_out(int fd)
{
    static uint8_t block[65536];
    ssize_t n;
    while ((n = read(fd, block, sizeof(block))) > 0 || (n < 0 && errno == EINTR)) {
        if (n > 0) {
            IGNORE(fwrite(block, 1, (size_t)n, stdout)); /* the flush says so */
        }
    }
    if (n < 0) {
        cmd_complain("cannot read the item: %s", strerror(errno));
    }
    return n < 0 ? -EIO : 0;
}

/* fd: of an item that is large; else -1. */
static int print_item(const struct get *get, struct slice bytes, int fd)
{
    if (fd >= 0 && copy_out(fd) < 0) {
        return -EIO;
    }
    if (bytes.n > 0) {
        IGNORE(fwrite(bytes.p, 1, bytes.n, stdout)); /* the flush says so */
    }
    if (!get->how->is_raw) {
        putchar(get->how->is_null ? '\0' : '\n');
    }
    return cmd_finish_output() == CMD_EXIT_OK ? 0 : -EIO;
}

static int wait_for(pid_t pid, const char *command)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            cmd_complain("cannot wait for %s: %s", command, strerror(errno));
            return -EIO;
        }
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    if (WIFSIGNALED(status)) {
        cmd_complain("%s was ended by signal %d: the item was given back", command,
                     WTERMSIG(status));
    } else {
        cmd_complain("%s exited with %d: the item was given back", command, WEXITSTATUS(status));
    }
    return -EIO;
}

/* With the item as its standard input. */
static int run_command(const struct get *get, int fd)
{
    const char *command = get->how->words[0];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* which this program ignores */
    pid_t pid = -1;
    int rc = posix_spawn_file_actions_init(&actions);
    ensure(rc == 0);
    rc = posix_spawnattr_init(&attributes);
    ensure(rc == 0);
    rc = posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
    rc = rc == 0 ? posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF) : rc;
    rc = rc == 0 ? posix_spawnattr_setsigdefault(&attributes, &defaults) : rc;
    rc =
        rc == 0 ? posix_spawnp(&pid, command, &actions, &attributes, get->how->words, environ) : rc;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (rc != 0) {
        cmd_complain("cannot run %s: %s: the item was given back", command, strerror(rc));
        return -EIO;
    }
    return wait_for(pid, command);
}

/* 0 once it counts as done. */
static int use(struct get *get, const struct wire_queue_bytes *content)
{
    bool is_run = get->how->n_words > 0;
    int fd = content->blob_bytes > 0 ? mesh_client_take_fd(get->client, 0)
             : is_run                ? queue_file_of(content->bytes)
                                     : -1;
    int r = !is_run ? print_item(get, content->bytes, fd) : fd < 0 ? -EIO : run_command(get, fd);
    if (fd >= 0) {
        IGNORE(close(fd)); /* was read, by us or the command */
    }
    if (r < 0) {
        IGNORE(send_end(get, false)); /* leaving does the same */
        IGNORE(await_reply(get));
        return r;
    }
    r = send_end(get, true);
    return r == 0 ? await_reply(get) : r;
}

int queue_get_run(struct mesh_client *client, const struct queue_options *how)
{
    struct get get = {.client = client, .how = how};
    const struct wire_message *message;
    while (how->n_max == 0 || get.n < how->n_max) {
        enum outcome outcome = take(&get, &message);
        if (outcome == GOT_NOTHING && how->n_max == 0 && get.n > 0) {
            break;
        }
        if (outcome == GOT_NOTHING) {
            cmd_complain("nothing came from queue %s in time", how->name);
        }
        if (outcome != GOT_ITEM || use(&get, &message->queue_taken.content) < 0) {
            return CMD_EXIT_FAILED;
        }
        get.n++;
    }
    return CMD_EXIT_OK;
}
