/* meshd: a peer. See meshd.h for what it does, options.h for how it is told. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "mesh/meshd.h"
#include "mesh/options.h"
#include "wire/identity.h"

#define EXIT_USAGE 2

/* Peers, clients and cells are descriptors. */
static void raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        IGNORE(setrlimit(RLIMIT_NOFILE, &limit)); /* with fewer there are fewer peers */
    }
}

static int ignore_broken_pipes(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    return sigaction(SIGPIPE, &ignore, NULL);
}

int main(int argc, char *argv[])
{
    static struct meshd_options options;
    struct errmsg err;
    if (meshd_options_parse(argc, argv, &options, &err) < 0) {
        fprintf(stderr, "meshd: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (options.is_help) {
        return fputs(meshd_options_help(), stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE
                                                                              : EXIT_SUCCESS;
    }
    if (options.is_version) {
        return printf("meshd %s\n", MESH_VERSION) < 0 || fflush(stdout) != 0 ? EXIT_FAILURE
                                                                             : EXIT_SUCCESS;
    }
    if (wire_init() < 0 || ignore_broken_pipes() < 0) {
        fputs("meshd: error: cannot set the process up\n", stderr);
        return EXIT_FAILURE;
    }
    raise_fd_limit();
    return meshd_run(&options);
}
