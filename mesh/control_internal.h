/* Shared by control.c (the socket and who may use it), control_client.c (reading and order) and
 * control_out.c (writing), and by nobody else. */
#ifndef MESH_CONTROL_INTERNAL_H
#define MESH_CONTROL_INTERNAL_H

#include "mesh/control.h"
#include "wire/base/arena.h"
#include "wire/base/buf.h"
#include "wire/base/list.h"
#include "wire/base/table.h"
#include "wire/local.h"

#define CONTROL_READ_BYTES (64u << 10)
/* What one sendmsg() can bring: the kernel's SCM_MAX_FD. */
#define CONTROL_FDS_MAX 253u
/* Descriptors of one client that wait for their message: a submit's, and what is read with it. */
#define CLIENT_FDS_MAX      512u
#define CLIENT_IN_BYTES_MAX (4u + WIRE_BODY_BYTES_MAX + CONTROL_READ_BYTES)

enum client_state {
    CLIENT_HELLO, /* has not said hello yet; the core does not know it */
    CLIENT_UP,
    CLIENT_ENDING, /* the core knows it no more; what is queued is still sent */
    CLIENT_CLOSED, /* uv_close() was called */
};

/* A message that waits for its files, or behind one that does. */
struct client_pending {
    struct list node;              /* in client->pending */
    struct control_client *client; /* NULL: it is gone; freed when the last put ends */
    struct meshd_control *control;
    struct arena arena;
    struct wire_message message;
    struct wire_file *files; /* of a submit: in the arena, being filled in */
    uint32_t n_files;        /* that come as descriptors */
    uint32_t n_waiting;      /* puts under way */
    uint32_t n_stored;       /* held */
    int error;               /* of the first put that failed */
};

/* Bytes to be sent, whose descriptors go with the first of them. */
struct client_segment {
    struct list node; /* in client->out */
    struct buf bytes;
    size_t n_sent;
    int fds[2];
    unsigned n_fds;
};

struct control_client {
    struct meshd_control *control;
    struct list node;  /* in control->all */
    struct list dirty; /* in control->dirty while something waits to be flushed */
    struct table_entry by_id;
    uint64_t id;
    uint32_t uid;
    enum client_state state;
    uint64_t hello_by_ms; /* by the loop's time; while HELLO */
    bool is_reading;      /* of a message: the parser is not to be entered again */
    int fd;
    uv_poll_t poll;
    int poll_events;
    struct buf in;
    int *in_fds; /* owned array of CLIENT_FDS_MAX; NULL until one comes */
    unsigned n_in_fds;
    struct list pending;
    uint32_t n_pending;
    struct list out;
    size_t out_bytes;
};

struct meshd_control {
    struct meshd_control_config config;
    int fd;
    uv_poll_t poll;
    uv_timer_t hello_timer; /* runs while a client is in HELLO, or has been since it was set */
    unsigned n_handles;     /* of these two, open */
    bool is_out_of_fds;     /* not accepting until a client leaves */
    uint64_t path_inode;    /* of our socket: only ours is removed */
    struct list all;        /* in order of arrival */
    struct list dirty;
    struct table by_id; /* clients that are UP */
    uint64_t next_id;
    uint32_t n_clients;
    uint32_t n_orphans; /* pendings of clients that are gone */
    uint8_t *read_bytes;
    struct arena arena; /* of the message being decoded */
    bool has_group;
    uint32_t group; /* gid of `mesh` */
    bool is_closing;
    void (*on_closed)(void *user);
    void *on_closed_user;
    char path[MESHD_PATH_BYTES];
};

/* control.c */
/* A client has come that is to say hello. */
void control_await_hello(struct meshd_control *control);
void control_maybe_closed(struct meshd_control *control);
/* A client left: accepting may go on. */
void control_accept_again(struct meshd_control *control);

/* control_client.c: takes the connected descriptor. */
void client_begin(struct meshd_control *control, int fd, uint32_t uid);
/* Ends it at once, telling the core if it knows it. */
void client_drop(struct control_client *client);
/* Its time to say hello is over: refuses it, unless the hello lies in the socket, where it may have
 * waited for us. */
void client_hello_due(struct control_client *client);
/* Closes it without a word to the core. */
void client_close(struct control_client *client);
/* Polls for what it waits for now. */
void client_poll(struct control_client *client);

/* control_out.c */
void client_send(struct control_client *client, const struct wire_message *message);
void client_send_error(struct control_client *client, enum wire_error error, const char *text);
/* Sends what the socket takes. False: the client is closed by it. */
bool client_flush(struct control_client *client);
void client_free_out(struct control_client *client);

#endif
