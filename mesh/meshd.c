/* Set-up: who it is (meshd_become.c) -> state -> identity -> loop -> store -> listening -> local
 * socket -> core -> discovery; each step that fails says so in one line, and what was set up before
 * is closed again (meshd_end.c). */
#include "mesh/meshd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "mesh/address.h"
#include "mesh/clock.h"
#include "mesh/cores.h"
#include "mesh/meshd_internal.h"
#include "mesh/own_addresses.h"
#include "mesh/privilege.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

/* --- set-up ------------------------------------------------------------------------------------
 */

static struct meshd_sink sink_of(struct meshd *meshd)
{
    return (struct meshd_sink){.put = meshd_put, .user = meshd};
}

static void copy_text(char *to, size_t n_to, const char *text)
{
    text_printable(slice_str(text), to, n_to);
}

static void describe_host(struct meshd *meshd)
{
    struct utsname host;
    int rc = uname(&host);
    ensure(rc == 0); /* fails only for a bad pointer */
    for (char *p = host.sysname; *p != '\0'; p++) {
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
    }
    const char *name = meshd->options->name != NULL ? meshd->options->name : host.nodename;
    copy_text(meshd->host, sizeof(meshd->host), name[0] != '\0' ? name : "unnamed");
    copy_text(meshd->arch, sizeof(meshd->arch), host.machine);
    copy_text(meshd->os, sizeof(meshd->os), host.sysname);
}

/* The own address that tables show: what others most likely reach. */
static void describe_address(struct meshd *meshd)
{
    char texts[WIRE_PEER_ADDRESSES_MAX][MESHD_ADDRESS_BYTES];
    IGNORE(meshd_own_addresses(meshd->options, meshd_links_port(meshd->links), texts)); /* >= 1 */
    copy_text(meshd->address, sizeof(meshd->address), texts[0]);
}

static int draw(void *to, size_t n, struct errmsg *err)
{
    if (getrandom(to, n, 0) != (ssize_t)n) {
        errmsg_set(err, "the kernel gives no random bytes");
        return -EIO;
    }
    return 0;
}

static uint32_t offered_cores(const struct meshd *meshd)
{
    return meshd->options->has_cores ? meshd->options->cores : meshd->cores_effective;
}

/* A daemon started for a client leaves the cores to the one that holds the usual port. */
static bool is_beside_another(const struct meshd *meshd)
{
    return meshd->options->exit_idle_ns > 0 && !meshd->options->has_port &&
           meshd_links_port(meshd->links) != MESHD_PORT_DEFAULT;
}

/* What others are told of; known once the listener and the executor are set up. */
static uint32_t cores_for_others(const struct meshd *meshd)
{
    return is_beside_another(meshd) || !meshd_executor_has_sandbox(meshd->executor)
               ? 0
               : offered_cores(meshd);
}

static bool is_working_for_others(void *user, const struct wire_key *key)
{
    const struct meshd *meshd = user;
    return meshd->core != NULL && core_is_working_for_others(meshd->core, key);
}

static int set_up_links(struct meshd *meshd, uint64_t epoch, struct errmsg *err)
{
    const struct meshd_options *options = meshd->options;
    struct meshd_links_config config = {
        .loop = &meshd->loop,
        .sink = sink_of(meshd),
        .identity = meshd->identity,
        .door = meshd_trust_door(meshd->trust),
        .hello = {.version_min = WIRE_VERSION_MIN,
                  .version_max = WIRE_VERSION_MAX,
                  .epoch = epoch,
                  .incarnation = meshd->state.incarnation,
                  .cores = offered_cores(meshd),
                  .name = slice_str(meshd->host),
                  .arch = slice_str(meshd->arch),
                  .os = slice_str(meshd->os),
                  .program = slice_str(MESH_VERSION)},
        .dead_after_ns = options->dead_after_ns,
        .interfaces = options->interfaces,
        .n_interfaces = options->n_interfaces,
        .has_far_peers = options->n_peers > 0,
        .n_processors = meshd->cores_effective,
        .is_wanted = is_working_for_others,
        .is_wanted_user = meshd,
        .n_lookups = &meshd->n_lookups,
    };
    meshd->links = meshd_links_new(&config);
    if (meshd->links == NULL) {
        errmsg_set(err, "out of memory");
        return -ENOMEM;
    }
    return meshd_links_listen(meshd->links, options->listen_host, options->port,
                              options->has_port ? 1 : MESHD_PORT_TRIES, err);
}

static int set_up_control(struct meshd *meshd, struct errmsg *err)
{
    struct meshd_control_config config = {
        .loop = &meshd->loop,
        .sink = sink_of(meshd),
        .blobs = meshd->blobs,
        .log = &meshd->log,
        .hello = {.protocol = WIRE_VERSION_MAX,
                  .version = slice_str(MESH_VERSION),
                  .key = *wire_identity_key(meshd->identity),
                  .name = slice_str(meshd->host),
                  .cores = offered_cores(meshd)},
        .path = meshd->socket_path,
        .is_bound = meshd->is_socket_bound,
        .bound_fd = meshd->socket_fd,
        .group = PRIVILEGE_USER,
        .hello_ms = MESHD_CLIENT_HELLO_MS,
    };
    meshd->is_socket_bound = false; /* the control's now, whether it can be made or not */
    int rc = meshd_control_new(&config, &meshd->control, err);
    if (rc == 0) {
        meshd_log(&meshd->log, CORE_LOG_INFO, "local commands connect to %s", meshd->socket_path);
    }
    return rc;
}

static void on_room(void *user, uint64_t link)
{
    struct meshd *meshd = user;
    if (!meshd->is_ending) {
        meshd_transfers_on_room(meshd->transfers, link);
    }
}

static int set_up_executor(struct meshd *meshd, struct errmsg *err)
{
    struct meshd_sink sink = sink_of(meshd);
    meshd->transfers = meshd_transfers_new(&meshd->loop, &sink, meshd->links, meshd->blobs);
    if (meshd->transfers == NULL) {
        errmsg_set(err, "out of memory");
        return -ENOMEM;
    }
    meshd_links_on_room(meshd->links, on_room, meshd);
    struct meshd_executor_config config = {
        .loop = &meshd->loop,
        .sink = sink,
        .blobs = meshd->blobs,
        .log = &meshd->log,
        .options = meshd->options,
        .state = &meshd->state,
        .peer_name = meshd->host,
        .arch = meshd->arch,
        .table_seed = meshd->seed,
        .control_group = meshd->cgroup,
    };
    return meshd_executor_new(&config, &meshd->executor, err);
}

static void set_up_core(struct meshd *meshd, uint64_t epoch)
{
    const struct meshd_options *options = meshd->options;
    struct core_config config = {
        .key = *wire_identity_key(meshd->identity),
        .epoch = epoch,
        .incarnation = meshd->state.incarnation,
        .seed = meshd->seed,
        .now_ns = meshd_clock_ns(),
        .name = meshd->host,
        .arch = meshd->arch,
        .os = meshd->os,
        .program = MESH_VERSION,
        .address = meshd->address,
        .cores = offered_cores(meshd),
        .cores_effective = meshd->cores_effective,
        .are_cores_fixed = options->has_cores,
        .mem_bytes = cores_memory_limit_bytes(""),
        .dead_after_ns = options->dead_after_ns,
        .has_sandbox = meshd_executor_has_sandbox(meshd->executor),
        .exit_idle_ns = options->exit_idle_ns,
        .trust = meshd_trust_state(meshd->trust),
        .is_for_own = is_beside_another(meshd),
        .has_journal = true,
    };
    core_effects_init(&meshd->effects);
    meshd->core = core_new(&config);
    meshd_trust_forget(meshd->trust); /* the core's from here on */
}

static int set_up_finder(struct meshd *meshd, struct errmsg *err)
{
    struct meshd_finder_config config = {
        .loop = &meshd->loop,
        .sink = sink_of(meshd),
        .log = &meshd->log,
        .options = meshd->options,
        .door = meshd_trust_door(meshd->trust),
        .remember = meshd->remember,
        .key = *wire_identity_key(meshd->identity),
        .name = meshd->host,
        .arch = meshd->arch,
        .os = meshd->os,
        .cores = cores_for_others(meshd),
        .port = meshd_links_port(meshd->links),
    };
    return meshd_finder_new(&config, &meshd->finder, err);
}

/* --- the loop's own handles --------------------------------------------------------------------
 */

static void on_prepare(uv_prepare_t *prepare)
{
    meshd_settle(prepare->data);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct meshd *meshd = signal->data;
    struct core_event event = {.type = CORE_EVENT_STOP};
    meshd_put(meshd, &event);
}

static int start_handles(struct meshd *meshd)
{
    static const int numbers[] = {SIGTERM, SIGINT};
    int rc = uv_timer_init(&meshd->loop, &meshd->deadline);
    ensure(rc == 0);
    rc = uv_prepare_init(&meshd->loop, &meshd->prepare);
    ensure(rc == 0);
    rc = uv_idle_init(&meshd->loop, &meshd->again);
    ensure(rc == 0);
    meshd->deadline.data = meshd;
    meshd->host_checked_ns = meshd_clock_ns();
    meshd->deadline_ns = UINT64_MAX;
    meshd->prepare.data = meshd;
    meshd->again.data = meshd;
    rc = uv_prepare_start(&meshd->prepare, on_prepare);
    ensure(rc == 0);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        rc = uv_signal_init(&meshd->loop, &meshd->signals[i]);
        ensure(rc == 0);
        meshd->signals[i].data = meshd;
        rc = uv_signal_start(&meshd->signals[i], on_signal, numbers[i]);
        ensure(rc == 0);
    }
    return 0;
}

/* Whether strangers may come in, and how to change that. */
static void say_mesh(const struct meshd *meshd, uint32_t n_members)
{
    if (meshd_trust_door(meshd->trust)->is_locked) {
        meshd_log(&meshd->log, CORE_LOG_INFO,
                  "this mesh is closed: %u other member%s known here, and nobody else gets in; "
                  "`mesh invite` lets one more in",
                  n_members, n_members == 1 ? " is" : "s are");
    } else if (meshd_executor_has_sandbox(meshd->executor)) {
        meshd_log(&meshd->log, CORE_LOG_INFO,
                  "this mesh is open: every peer on this link may run tasks here, in a sandbox; "
                  "`mesh lock` closes it");
    } else {
        meshd_log(&meshd->log, CORE_LOG_INFO,
                  "this mesh is open to every peer on this link; `mesh lock` closes it");
    }
}

static void say_start(const struct meshd *meshd, uint32_t n_members)
{
    char id[WIRE_ID_TEXT_BYTES];
    uint32_t cores = cores_for_others(meshd);
    meshd_log(&meshd->log, CORE_LOG_INFO, "%s (%s) offers %u core%s, listening on port %u",
              meshd->host, wire_id_text(wire_identity_key(meshd->identity), id), cores,
              cores == 1 ? "" : "s", meshd_links_port(meshd->links));
    say_mesh(meshd, n_members);
    if (!meshd_executor_has_sandbox(meshd->executor)) {
        meshd_log(&meshd->log, CORE_LOG_INFO,
                  "%s: others are offered no cores and run no tasks here; those of this daemon's "
                  "own clients run, on %u core%s",
                  meshd->options->is_sandbox_off ? "--sandbox off" : "for want of a sandbox",
                  offered_cores(meshd), offered_cores(meshd) == 1 ? "" : "s");
    }
}

static int set_up_state(struct meshd *meshd, struct errmsg *err)
{
    int rc = meshd_state_open(meshd->state_path, &meshd->state, err);
    if (rc == 0) {
        rc = wire_identity_load(meshd->state.dir_fd, &meshd->identity, err);
        if (rc < 0) {
            errmsg_wrap(err, "state directory %s", meshd->state.path);
        }
    }
    return rc;
}

static int set_up_trust(struct meshd *meshd, struct errmsg *err)
{
    struct meshd_sink sink = sink_of(meshd);
    int rc =
        meshd_trust_new(&meshd->loop, &sink, meshd->state.dir_fd, &meshd->log, &meshd->trust, err);
    if (rc < 0) {
        errmsg_wrap(err, "state directory %s", meshd->state.path);
    }
    return rc;
}

/* What the core is to know before anything else happens; only the disk is waited for. */
static int set_up_journal(struct meshd *meshd, struct errmsg *err)
{
    struct meshd_journal_config config = {
        .loop = &meshd->loop,
        .sink = sink_of(meshd),
        .log = &meshd->log,
        .blobs = meshd->blobs,
        .dir_path = meshd->state.path,
        .dir_fd = meshd->state.dir_fd,
    };
    int rc = meshd_journal_new(&config, &meshd->journal, err);
    if (rc < 0) {
        errmsg_wrap(err, "state directory %s", meshd->state.path);
    }
    return rc;
}

static int set_up_parts(struct meshd *meshd, uint64_t epoch, struct errmsg *err)
{
    int rc = meshd_blobs_new(&meshd->loop, meshd->state.dir_fd, 0, &meshd->blobs, err);
    if (rc == 0) {
        rc = set_up_journal(meshd, err);
    }
    if (rc == 0) {
        rc = set_up_links(meshd, epoch, err);
    }
    if (rc == 0) {
        rc = set_up_control(meshd, err);
    }
    if (rc == 0) {
        rc = set_up_executor(meshd, err);
    }
    if (rc == 0) {
        meshd_links_set_cores(meshd->links, cores_for_others(meshd));
        describe_address(meshd);
        meshd->remember = meshd_remember_new(&meshd->loop, meshd->state.dir_fd, &meshd->log);
        set_up_core(meshd, epoch);
        rc = meshd_journal_report(meshd->journal, err);
    }
    if (rc == 0) {
        rc = set_up_finder(meshd, err);
    }
    return rc;
}

static int set_up(struct meshd *meshd, struct errmsg *err)
{
    uint64_t epoch;
    int rc = meshd_become(meshd, err);
    if (rc < 0) {
        return rc;
    }
    meshd->cores_effective = cores_effective("");
    describe_host(meshd);
    rc = set_up_state(meshd, err);
    if (rc == 0) {
        rc = draw(&epoch, sizeof(epoch), err);
    }
    if (rc == 0) {
        rc = draw(&meshd->seed, sizeof(meshd->seed), err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = uv_loop_init(&meshd->loop);
    if (rc < 0) {
        errmsg_set(err, "cannot make an event loop: %s", uv_strerror(rc));
        return rc;
    }
    meshd->is_loop_open = true;
    rc = set_up_trust(meshd, err);
    if (rc == 0) {
        rc = set_up_parts(meshd, epoch, err);
    }
    return rc == 0 ? start_handles(meshd) : rc;
}

/* --- life --------------------------------------------------------------------------------------
 */

static void tear_down(struct meshd *meshd)
{
    if (meshd->is_loop_open) {
        int rc = uv_run(&meshd->loop, UV_RUN_DEFAULT);
        ensure(rc == 0);
        uv_close((uv_handle_t *)&meshd->patience, NULL);
        rc = uv_run(&meshd->loop, UV_RUN_DEFAULT);
        ensure(rc == 0);
        rc = uv_loop_close(&meshd->loop);
        ensure(rc == 0); /* every handle has an owner that closed it */
    }
    meshd_drop_deferred(meshd);
    meshd->core = core_free(meshd->core);
    core_effects_done(&meshd->effects);
    meshd->identity = wire_identity_free(meshd->identity);
    meshd_state_close(&meshd->state);
    if (meshd->is_socket_bound) {
        IGNORE(close(meshd->socket_fd));    /* nobody ever listened on it */
        IGNORE(unlink(meshd->socket_path)); /* a stale one is replaced at the next start */
    }
}

int meshd_run(const struct meshd_options *options)
{
    struct meshd *meshd = mem_alloc_or_die(1, sizeof(*meshd));
    struct errmsg err;
    meshd->options = options;
    meshd->log = (struct meshd_log){
        .rate = &meshd->log_rate,
        .fd = STDERR_FILENO,
        .level = options->log_level,
        .is_json = options->is_log_json,
    };
    meshd->state.dir_fd = -1;
    meshd->state.lock_fd = -1;
    list_init(&meshd->deferred);
    int rc = set_up(meshd, &err);
    if (rc < 0) {
        meshd_log(&meshd->log, CORE_LOG_ERROR, "%s", err.text);
        meshd_end(meshd, 1);
    } else {
        struct meshd_sink sink = sink_of(meshd);
        say_start(meshd, meshd_trust_door(meshd->trust)->n_members);
        meshd_remember_report(meshd->remember, &sink);
        meshd_finder_report_static(meshd->finder);
    }
    tear_down(meshd);
    int status = meshd->status;
    mem_free(meshd);
    return status;
}
