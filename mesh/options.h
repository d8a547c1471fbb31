/* The command line of meshd: strict, one clear line for each mistake. */
#ifndef MESH_OPTIONS_H
#define MESH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "mesh/core/effect.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

#define MESHD_OPTION_PEERS_MAX      64u
#define MESHD_OPTION_INTERFACES_MAX 32u
#define MESHD_OPTION_BINDS_MAX      64u

/* "mesh" on a telephone's keys. */
#define MESHD_PORT_DEFAULT 6374u
/* How many ports after it are tried when it is taken. */
#define MESHD_PORT_TRIES 64u

enum meshd_discovery {
    MESHD_DISCOVERY_AUTO,
    MESHD_DISCOVERY_AVAHI,
    MESHD_DISCOVERY_EMBEDDED,
    MESHD_DISCOVERY_OFF,
};

/* Texts point into argv. */
struct meshd_options {
    bool is_help;
    bool is_version;
    bool has_cores;
    uint32_t cores;
    const char *name;        /* NULL: the host's */
    bool has_port;           /* --listen was given */
    const char *listen_host; /* numeric; NULL: all addresses. Points to listen_host_text */
    uint16_t port;
    const char *peers[MESHD_OPTION_PEERS_MAX]; /* HOST:PORT */
    uint32_t n_peers;
    enum meshd_discovery discovery;
    const char *interfaces[MESHD_OPTION_INTERFACES_MAX];
    uint32_t n_interfaces; /* 0: all */
    const char *state;     /* NULL: by the environment */
    const char *socket;
    bool is_sandbox_off;
    const char *binds[MESHD_OPTION_BINDS_MAX]; /* absolute */
    uint32_t n_binds;
    const char *bind_rws[MESHD_OPTION_BINDS_MAX];
    uint32_t n_bind_rws;
    uint64_t dead_after_ns;
    enum core_log_level log_level;
    bool is_log_json;
    uint64_t exit_idle_ns; /* 0: never */
    char listen_host_text[256];
};

/* 0, or -EINVAL with one line in err. */
int meshd_options_parse(int argc, char *const argv[], struct meshd_options *ret_options,
                        struct errmsg *err) MUST_CHECK;

/* What --help prints. */
const char *meshd_options_help(void);

#endif
