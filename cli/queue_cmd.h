/* What `mesh queue` was asked to do; its verbs. */
#ifndef MESH_CLI_QUEUE_CMD_H
#define MESH_CLI_QUEUE_CMD_H

#include "cli/cmd.h"

struct queue_options {
    const char *name;    /* of the queue; NULL: none was given */
    bool is_null;        /* -0: items end with a NUL, not with a newline */
    bool is_whole;       /* --whole: all of standard input is one item */
    bool is_raw;         /* --raw: nothing behind an item */
    bool is_json;        /* --json */
    bool has_timeout;    /* --timeout: */
    uint64_t timeout_ns; /* to wait for an item */
    uint64_t n_max;      /* -n; 0: without end */
    char *const *words;  /* behind the name: items, or a command */
    unsigned n_words;
};

/* Each returns the exit status. */
int queue_put_run(struct mesh_client *client, const struct queue_options *how);
int queue_get_run(struct mesh_client *client, const struct queue_options *how);

/* A file of its own with these bytes, without a name, open at its beginning; -EIO, and said. */
int queue_file_of(struct slice bytes) MUST_CHECK;

#endif
