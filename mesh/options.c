#include "mesh/options.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "mesh/address.h"
#include "wire/base/text.h"
#include "wire/limits.h"

/* Under it a busy peer that is well would be called dead. */
#define DEAD_AFTER_NS_MIN UINT64_C(1000000000)
#define DEAD_AFTER_NS_MAX UINT64_C(3600000000000)

static const char help[] =
    "Usage: meshd [OPTION]...\n"
    "Makes this machine a peer of the mesh: it finds the others on the network, runs their tasks\n"
    "on its cores and takes jobs from `mesh submit`. Nothing needs to be configured.\n"
    "\n"
    "  --cores N             offer N cores; 0 submits and runs nothing (default: all this process\n"
    "                        may use)\n"
    "  --name NAME           the name others see (default: the host's)\n"
    "  --listen [ADDR:]PORT  where peers connect (default: 6374, the next free one if taken;\n"
    "                        0: any free one)\n"
    "  --peer HOST:PORT      a peer to connect to without discovery; may be further than this\n"
    "                        link, and must then be named on both ends. May be repeated\n"
    "  --discovery HOW       auto, avahi (through avahi-daemon), embedded or off (default: auto)\n"
    "  --interface IF        use only this network interface. May be repeated\n"
    "  --state DIR           key, known peers and stored files (default: $MESH_STATE,\n"
    "                        /var/lib/mesh for root, ~/.local/state/mesh)\n"
    "  --socket PATH         where local commands connect (default: $MESH_SOCKET,\n"
    "                        $XDG_RUNTIME_DIR/mesh.sock, /run/mesh/mesh.sock for root)\n"
    "  --sandbox strict|off  run tasks in a sandbox (default: strict); off refuses others' tasks\n"
    "  --bind DIR            let tasks read this folder. May be repeated\n"
    "  --bind-rw DIR         let tasks read and write this folder. May be repeated\n"
    "  --dead-after SECS     silence after which a peer counts as gone (default: 3, at least 1)\n"
    "  --exit-idle SECS      end so long after the last client and job (default: never)\n"
    "  --log-level LEVEL     error, warn, info or debug (default: info)\n"
    "  --log-json            log lines as JSON\n"
    "  --version, --help\n"
    "\n"
    "Examples:\n"
    "  meshd                                a peer with all cores, found by the others\n"
    "  meshd --cores 0                      submits jobs, runs none\n"
    "  meshd --discovery off --peer 10.0.0.7:6374\n"
    "                                       where multicast does not pass\n"
    "  meshd --state /tmp/a --socket /tmp/a/mesh.sock\n"
    "                                       a second one on this machine\n"
    "\n"
    "Exit status: 0 ended as asked, 1 failed, 2 wrong usage.\n";

const char *meshd_options_help(void)
{
    return help;
}

static int refuse(struct errmsg *err, const char *option, const char *value, const char *wanted)
{
    char shown[128];
    text_printable(slice_str(value), shown, sizeof(shown));
    errmsg_set(err, "%s: \"%s\" is not %s; see meshd --help", option, shown, wanted);
    return -EINVAL;
}

static int parse_cores(struct meshd_options *options, const char *value, struct errmsg *err)
{
    uint64_t cores;
    if (text_parse_u64(value, WIRE_CORES_MAX, &cores) < 0) {
        char wanted[64];
        IGNORE(snprintf(wanted, sizeof(wanted), "a number from 0 to %u", WIRE_CORES_MAX));
        return refuse(err, "--cores", value, wanted);
    }
    options->has_cores = true;
    options->cores = (uint32_t)cores;
    return 0;
}

static int parse_name(struct meshd_options *options, const char *value, struct errmsg *err)
{
    struct slice name = slice_str(value);
    if (name.n == 0 || name.n > WIRE_NAME_BYTES_MAX || !text_is_utf8(name)) {
        return refuse(err, "--name", value, "a name of 1 to 64 bytes of UTF-8");
    }
    options->name = value;
    return 0;
}

static int parse_listen(struct meshd_options *options, const char *value, struct errmsg *err)
{
    static const char wanted[] = "[ADDR:]PORT with a numeric address, such as 6374, 10.0.0.7:6374 "
                                 "or [::1]:6374";
    uint64_t port;
    options->has_port = true;
    if (text_parse_u64(value, UINT16_MAX, &port) == 0) {
        options->listen_host = NULL;
        options->port = (uint16_t)port;
        return 0;
    }
    struct sockaddr_storage address;
    if (meshd_address_split(slice_str(value), options->listen_host_text, &options->port) < 0 ||
        meshd_address_set(options->listen_host_text, options->port, &address) < 0) {
        return refuse(err, "--listen", value, wanted);
    }
    options->listen_host = options->listen_host_text;
    return 0;
}

/* One more of an option that may be repeated. */
static int add(const char *option, const char *value, const char **items, uint32_t *n,
               uint32_t n_max, struct errmsg *err)
{
    if (*n == n_max) {
        errmsg_set(err, "%s: given more than %u times", option, n_max);
        return -EINVAL;
    }
    items[(*n)++] = value;
    return 0;
}

static int parse_peer(struct meshd_options *options, const char *value, struct errmsg *err)
{
    char host[MESHD_HOST_BYTES];
    uint16_t port;
    if (strlen(value) > WIRE_ADDRESS_BYTES_MAX ||
        meshd_address_split(slice_str(value), host, &port) < 0 || port == 0) {
        return refuse(err, "--peer", value, "HOST:PORT, IPv6 as [ADDR]:PORT");
    }
    return add("--peer", value, options->peers, &options->n_peers, MESHD_OPTION_PEERS_MAX, err);
}

static int parse_discovery(struct meshd_options *options, const char *value, struct errmsg *err)
{
    static const char *const names[] = {
        [MESHD_DISCOVERY_AUTO] = "auto",
        [MESHD_DISCOVERY_AVAHI] = "avahi",
        [MESHD_DISCOVERY_EMBEDDED] = "embedded",
        [MESHD_DISCOVERY_OFF] = "off",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(value, names[i]) == 0) {
            options->discovery = (enum meshd_discovery)i;
            return 0;
        }
    }
    return refuse(err, "--discovery", value, "auto, avahi, embedded or off");
}

static int parse_interface(struct meshd_options *options, const char *value, struct errmsg *err)
{
    if (if_nametoindex(value) == 0) {
        return refuse(err, "--interface", value, "a network interface of this machine (ip link)");
    }
    return add("--interface", value, options->interfaces, &options->n_interfaces,
               MESHD_OPTION_INTERFACES_MAX, err);
}

static int parse_path(const char *option, const char *value, const char **to, struct errmsg *err)
{
    if (value[0] == '\0') {
        return refuse(err, option, value, "a path");
    }
    *to = value;
    return 0;
}

static int parse_state(struct meshd_options *options, const char *value, struct errmsg *err)
{
    return parse_path("--state", value, &options->state, err);
}

static int parse_socket(struct meshd_options *options, const char *value, struct errmsg *err)
{
    return parse_path("--socket", value, &options->socket, err);
}

static int parse_sandbox(struct meshd_options *options, const char *value, struct errmsg *err)
{
    options->is_sandbox_off = strcmp(value, "off") == 0;
    if (!options->is_sandbox_off && strcmp(value, "strict") != 0) {
        return refuse(err, "--sandbox", value, "strict or off");
    }
    return 0;
}

static int parse_bind(struct meshd_options *options, const char *value, struct errmsg *err)
{
    if (value[0] != '/') {
        return refuse(err, "--bind", value, "an absolute path");
    }
    return add("--bind", value, options->binds, &options->n_binds, MESHD_OPTION_BINDS_MAX, err);
}

static int parse_bind_rw(struct meshd_options *options, const char *value, struct errmsg *err)
{
    if (value[0] != '/') {
        return refuse(err, "--bind-rw", value, "an absolute path");
    }
    return add("--bind-rw", value, options->bind_rws, &options->n_bind_rws, MESHD_OPTION_BINDS_MAX,
               err);
}

static int parse_dead_after(struct meshd_options *options, const char *value, struct errmsg *err)
{
    if (text_parse_duration(value, &options->dead_after_ns) < 0 ||
        options->dead_after_ns < DEAD_AFTER_NS_MIN || options->dead_after_ns > DEAD_AFTER_NS_MAX) {
        return refuse(err, "--dead-after", value, "a time from 1 to 3600 seconds");
    }
    return 0;
}

static int parse_exit_idle(struct meshd_options *options, const char *value, struct errmsg *err)
{
    if (text_parse_duration(value, &options->exit_idle_ns) < 0 || options->exit_idle_ns == 0) {
        return refuse(err, "--exit-idle", value, "a number of seconds above 0");
    }
    return 0;
}

static int parse_log_level(struct meshd_options *options, const char *value, struct errmsg *err)
{
    static const char *const names[] = {
        [CORE_LOG_ERROR] = "error",
        [CORE_LOG_WARN] = "warn",
        [CORE_LOG_INFO] = "info",
        [CORE_LOG_DEBUG] = "debug",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(value, names[i]) == 0) {
            options->log_level = (enum core_log_level)i;
            return 0;
        }
    }
    return refuse(err, "--log-level", value, "error, warn, info or debug");
}

static int set_log_json(struct meshd_options *options, const char *value, struct errmsg *err)
{
    options->is_log_json = true;
    return 0;
}

static int set_version(struct meshd_options *options, const char *value, struct errmsg *err)
{
    options->is_version = true;
    return 0;
}

static int set_help(struct meshd_options *options, const char *value, struct errmsg *err)
{
    options->is_help = true;
    return 0;
}

static const struct option_row {
    const char *name;
    bool has_value;
    int (*parse)(struct meshd_options *options, const char *value, struct errmsg *err);
} rows[] = {
    {"--cores", true, parse_cores},
    {"--name", true, parse_name},
    {"--listen", true, parse_listen},
    {"--peer", true, parse_peer},
    {"--discovery", true, parse_discovery},
    {"--interface", true, parse_interface},
    {"--state", true, parse_state},
    {"--socket", true, parse_socket},
    {"--sandbox", true, parse_sandbox},
    {"--bind", true, parse_bind},
    {"--bind-rw", true, parse_bind_rw},
    {"--dead-after", true, parse_dead_after},
    {"--exit-idle", true, parse_exit_idle},
    {"--log-level", true, parse_log_level},
    {"--log-json", false, set_log_json},
    {"--version", false, set_version},
    {"--help", false, set_help},
};

/* The row of "--name" or "--name=value". */
static const struct option_row *find_row(const char *arg)
{
    size_t n = strcspn(arg, "=");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strlen(rows[i].name) == n && strncmp(rows[i].name, arg, n) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

int meshd_options_parse(int argc, char *const argv[], struct meshd_options *ret_options,
                        struct errmsg *err)
{
    *ret_options = (struct meshd_options){
        .dead_after_ns = UINT64_C(3000000000),
        .log_level = CORE_LOG_INFO,
        .port = MESHD_PORT_DEFAULT,
    };
    for (int i = 1; i < argc; i++) {
        const struct option_row *row = find_row(argv[i]);
        if (row == NULL) {
            char shown[128];
            text_printable(slice_str(argv[i]), shown, sizeof(shown));
            errmsg_set(err, "unknown %s \"%s\"; see meshd --help",
                       argv[i][0] == '-' ? "option" : "argument", shown);
            return -EINVAL;
        }
        const char *value = strchr(argv[i], '=');
        if (value != NULL && !row->has_value) {
            errmsg_set(err, "%s takes no value; see meshd --help", row->name);
            return -EINVAL;
        }
        if (value != NULL) {
            value++;
        } else if (row->has_value) {
            if (i + 1 == argc) {
                errmsg_set(err, "%s wants a value; see meshd --help", row->name);
                return -EINVAL;
            }
            value = argv[++i];
        }
        int rc = row->parse(ret_options, value, err);
        if (rc < 0) {
            return rc;
        }
    }
    return 0;
}
