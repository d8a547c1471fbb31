/* mesh queue: named queues of items, found from any peer. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "cli/queue_cmd.h"
#include "cli/table.h"
#include "wire/base/text.h"

enum { KEY_NULL = 1, KEY_WHOLE, KEY_RAW, KEY_TIMEOUT, KEY_N, KEY_JSON };

static const struct cmd_option options[] = {
    {KEY_NULL, '0', "null", NULL, "put, get: items end with a NUL, not with a newline"},
    {KEY_WHOLE, 0, "whole", NULL, "put: all of standard input is one item"},
    {KEY_RAW, 0, "raw", NULL, "get: print nothing behind an item"},
    {KEY_TIMEOUT, 0, "timeout", "SECS", "get: wait so long for an item; without end"},
    {KEY_N, 'n', NULL, "N", "get: so many items, one after the other; 0: without end; 1"},
    {KEY_JSON, 0, "json", NULL, "ls: print a JSON array"},
};

struct parse {
    struct queue_options how;
    unsigned given; /* 1 << key */
};

static int on_option(void *to, int key, const char *value, struct errmsg *err)
{
    struct parse *parse = to;
    struct queue_options *how = &parse->how;
    parse->given |= 1u << key;
    how->is_null = how->is_null || key == KEY_NULL;
    how->is_whole = how->is_whole || key == KEY_WHOLE;
    how->is_raw = how->is_raw || key == KEY_RAW;
    how->is_json = how->is_json || key == KEY_JSON;
    if (key == KEY_TIMEOUT) {
        how->has_timeout = true;
        if (text_parse_duration(value, &how->timeout_ns) < 0) {
            errmsg_set(err, "--timeout: %.32s is no time in seconds", value);
            return -EINVAL;
        }
    } else if (key == KEY_N && text_parse_u64(value, UINT64_MAX, &how->n_max) < 0) {
        errmsg_set(err, "-n: %.32s is no number", value);
        return -EINVAL;
    }
    return 0;
}

/* --- the table ---------------------------------------------------------------------------------
 */

static const struct cmd_column columns[] = {
    {"NAME", "name", false}, {"WAITING", "waiting", true}, {"TAKEN", "taken", true},
    {"DONE", "done", true},  {"GETTERS", "getters", true}, {"PEER", "peer", false},
    {NULL, "bytes", true},   {NULL, "id", false},          {NULL, "key", false},
};

static struct cmd_value number(const struct wire_queue_row *row, uint64_t value)
{
    return row->is_known ? cmd_uint(value) : cmd_null("?");
}

static void add_row(struct cmd_table *table, const struct wire_queue_row *row)
{
    char id[MESH_CLIENT_ID_BYTES];
    char key[MESH_CLIENT_KEY_BYTES];
    mesh_client_id_text(&row->key, id);
    const struct cmd_value values[] = {
        cmd_text(row->name),
        number(row, row->n_waiting),
        number(row, row->n_taken),
        number(row, row->n_done),
        number(row, row->n_getters),
        cmd_text(row->peer.n > 0 ? row->peer : slice_str(id)),
        number(row, row->bytes),
        cmd_text(slice_str(id)),
        cmd_text(slice_str(mesh_client_key_text(&row->key, key))),
    };
    static_assert(ARRAY_LEN(values) == ARRAY_LEN(columns), "a value for each column");
    cmd_table_add(table, values);
}

static int list(struct mesh_client *client, const struct queue_options *how)
{
    struct wire_message query = {.type = WIRE_MESSAGE_QUEUES_QUERY};
    const struct wire_message *answer;
    if (cmd_ask(client, &query, WIRE_MESSAGE_QUEUES_LIST, &answer) < 0) {
        return CMD_EXIT_FAILED;
    }
    struct cmd_table *table = cmd_table_new(columns, ARRAY_LEN(columns));
    for (uint32_t i = 0; i < answer->queues_list.rows.n; i++) {
        add_row(table, &answer->queues_list.rows.items[i]);
    }
    if (how->is_json) {
        cmd_table_print_json(table, false);
    } else {
        cmd_table_print(table);
    }
    cmd_table_free(table);
    return cmd_finish_output();
}

static int remove_queue(struct mesh_client *client, const struct queue_options *how)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_REMOVE};
    const struct wire_message *answer;
    message.queue_remove.name = slice_str(how->name);
    return cmd_ask(client, &message, WIRE_MESSAGE_OK, &answer) == 0 ? CMD_EXIT_OK : CMD_EXIT_FAILED;
}

/* --- verbs -------------------------------------------------------------------------------------
 */

static const struct verb {
    const char *name;
    unsigned takes; /* options, 1 << key */
    bool has_name, has_words, may_start;
    int (*run)(struct mesh_client *client, const struct queue_options *how);
} verbs[] = {
    {"put", 1u << KEY_NULL | 1u << KEY_WHOLE, true, true, true, queue_put_run},
    {"get", 1u << KEY_NULL | 1u << KEY_RAW | 1u << KEY_TIMEOUT | 1u << KEY_N, true, true, true,
     queue_get_run},
    {"ls", 1u << KEY_JSON, false, false, false, list},
    {"rm", 0, true, false, false, remove_queue},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

/* Options may stand on both sides of the name. */
static int parse_words(const struct verb *verb, char *const *argv, unsigned n_argv,
                       struct parse *parse, struct errmsg *err)
{
    unsigned n;
    int r = cmd_options_parse(options, ARRAY_LEN(options), argv, n_argv, on_option, parse, &n, err);
    argv += r == 0 ? n : 0;
    n_argv -= r == 0 ? n : 0;
    if (r == 0 && verb->has_name && n_argv > 0) {
        parse->how.name = argv[0];
        argv++;
        n_argv--;
        r = cmd_options_parse(options, ARRAY_LEN(options), argv, n_argv, on_option, parse, &n, err);
        argv += r == 0 ? n : 0;
        n_argv -= r == 0 ? n : 0;
    }
    parse->how.words = argv;
    parse->how.n_words = n_argv;
    return r;
}

static int check(const struct verb *verb, const struct parse *parse, struct errmsg *err)
{
    const struct queue_options *how = &parse->how;
    if ((parse->given & ~verb->takes) != 0) {
        errmsg_set(err, "queue %s: an option that it does not have", verb->name);
    } else if (verb->has_name && how->name == NULL) {
        errmsg_set(err, "queue %s: give the name of a queue", verb->name);
    } else if (verb->has_name && !wire_queue_name_is_good(slice_str(how->name))) {
        errmsg_set(err, "a queue's name has 1 to %u bytes, no slash and no control characters",
                   WIRE_NAME_BYTES_MAX);
    } else if (!verb->has_words && how->n_words > 0) {
        errmsg_set(err, "queue %s: a word too many", verb->name);
    } else if (verb->run == queue_put_run && how->n_words > 0 && (how->is_null || how->is_whole)) {
        errmsg_set(err, "items are given as words or on standard input, not both");
    } else if (how->is_null && (how->is_whole || how->is_raw)) {
        errmsg_set(err, "-0 has no meaning with --%s", how->is_whole ? "whole" : "raw");
    } else if (verb->run == queue_get_run && how->n_words > 0 && (how->is_null || how->is_raw)) {
        errmsg_set(err, "a command gets the item as it is: -0 and --raw are for printing");
    } else {
        return 0;
    }
    return -EINVAL;
}

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct parse parse = {.how = {.n_max = 1}};
    struct errmsg err;
    const struct verb *verb = n_argv > 0 ? find_verb(argv[0]) : NULL;
    if (verb == NULL) {
        errmsg_set(&err, "give one of put, get, ls, rm");
        return cmd_misuse(&cmd_queue, &err);
    }
    if (parse_words(verb, argv + 1, n_argv - 1, &parse, &err) < 0 ||
        check(verb, &parse, &err) < 0) {
        return cmd_misuse(&cmd_queue, &err);
    }
    struct mesh_client *client = NULL;
    if (cmd_open(globals, verb->may_start, &client) < 0) {
        return CMD_EXIT_FAILED;
    }
    int status = verb->run(client, &parse.how);
    mesh_client_free(client);
    return status;
}

const struct cmd_command cmd_queue = {
    .name = "queue",
    .synopsis = "put NAME [OPTIONS] [ITEM...] | get NAME [OPTIONS] [COMMAND...] | ls [--json] | "
                "rm NAME",
    .summary = "named queues of items, which every peer can use",
    .text =
        "A queue lives at the peer of whoever put something into it first, on that peer's disk, "
        "and\n"
        "is found by its name from every peer. Each item is handed to one getter; it is gone when\n"
        "that one is done, and goes to another when that one vanishes before.\n\n"
        "  put   adds items: the words given, or each line of standard input. They are on disk at\n"
        "        the queue's peer when it returns. An item has 1 GiB at most.\n"
        "  get   takes an item, as soon as there is one: prints it, or runs COMMAND with it as "
        "its\n"
        "        standard input. It is done once it is printed, or when COMMAND exits with 0; "
        "else\n"
        "        it is given back. Exits with 1 when none came in time, when COMMAND failed, and\n"
        "        when the item was handed out again because this peer was away for too long.\n"
        "  ls    lists the queues of all peers in sight.\n"
        "  rm    removes a queue of this peer with all its items; for who made it, and root.\n",
    .options = options,
    .n_options = ARRAY_LEN(options),
    .examples = "  ls *.wav | mesh queue put songs\n"
                "  mesh queue get songs --timeout 10 -n 0 xargs -I{} ./convert {}\n"
                "  mesh queue ls\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
