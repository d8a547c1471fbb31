/* What becomes of a daemon that root starts: with a user mesh, without one, and where there is one
 * that this user namespace does not know. Seen from outside: the kernel's word on the process
 * (/proc/PID/status), who owns its files, as whom its tasks run, who may use its socket. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lab/daemons.h"

#define MESH_UID 4242
#define MESH_GID 4243
/* Neither root nor mesh. */
#define OTHER_UID "1234"
#define TASK_UID  65534

#define WAIT_MS  30000
#define STATE    "/var/lib/mesh"
#define RUN      "/run/mesh"
#define SOCKET   RUN "/mesh.sock"
#define READY    "listening on port"
#define STAYS    "stays root"
#define BECAME   "root became user mesh"
#define NOBODIES "--reuid " OTHER_UID " --regid " OTHER_UID

struct scene {
    struct lab *lab;
    struct lab_host *host;
    char bin[LAB_PATH_BYTES_MAX]; /* the programs, where everybody reaches them */
    char meshd[LAB_PATH_BYTES_MAX + 16];
    char mesh[LAB_PATH_BYTES_MAX + 16];
    char drop[LAB_PATH_BYTES_MAX]; /* a folder that tasks write into */
};

/* A line of the shell on the host, as root, that must succeed. */
static void run_shell(struct scene *scene, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void run_shell(struct scene *scene, const char *format, ...)
{
    char line[4096];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    ck_assert(n > 0 && (size_t)n < sizeof(line));
    lab_expect(lab_spawn(scene->host, "/bin/sh", "-ec", line, NULL), WAIT_MS, 0);
}

/* Root of the machine, or of a container with users of its own: not one that is alone. */
static bool knows_others(void)
{
    char line[128] = "";
    unsigned long first = 1, outside = 0, n = 0;
    FILE *map = fopen("/proc/self/uid_map", "re");
    bool is_read = map != NULL && fgets(line, sizeof(line), map) != NULL &&
                   sscanf(line, "%lu %lu %lu", &first, &outside, &n) == 3;
    if (map != NULL) {
        fclose(map);
    }
    return geteuid() == 0 && is_read && first == 0 && n > TASK_UID;
}

/* --- the scene ---------------------------------------------------------------------------------
 */

/* A passwd and group of the host's own, with a user mesh or without. */
static void set_user(struct scene *scene, bool has_user)
{
    run_shell(scene,
              "mkdir -p /run/etc; for f in passwd group; do "
              "grep -v ^mesh: /etc/$f > /run/etc/new; cat /run/etc/new > /run/etc/$f; done; "
              "if %s; then "
              "echo mesh:x:%d:%d::/nonexistent:/usr/sbin/nologin >> /run/etc/passwd; "
              "echo mesh:x:%d: >> /run/etc/group; fi; "
              "for f in passwd group; do "
              "mountpoint -q /etc/$f || mount --bind /run/etc/$f /etc/$f; done",
              has_user ? "true" : "false", MESH_UID, MESH_GID, MESH_GID);
}

static void make_scene(struct scene *scene, bool has_user)
{
    memset(scene, 0, sizeof(*scene));
    ck_assert_msg(getenv("MESHD") != NULL && getenv("MESH") != NULL && getenv("MESH_BUILD") != NULL,
                  "run this through meson test");
    scene->lab = lab_new();
    scene->host = lab_host(scene->lab, "hal");
    snprintf(scene->bin, sizeof(scene->bin), "%s/bin", lab_share(scene->lab));
    snprintf(scene->drop, sizeof(scene->drop), "%s/drop", lab_share(scene->lab));
    snprintf(scene->meshd, sizeof(scene->meshd), "%s/meshd", scene->bin);
    snprintf(scene->mesh, sizeof(scene->mesh), "%s/mesh", scene->bin);
    run_shell(scene, "mkdir -m 755 %s; mkdir -m 777 %s; cp %s %s/mesh-cell %s %s", scene->bin,
              scene->drop, getenv("MESHD"), getenv("MESH_BUILD"), getenv("MESH"), scene->bin);
    set_user(scene, has_user);
}

/* Root of the machine with more groups than it needs, and capabilities that programs inherit. */
static struct lab_process *start(struct scene *scene)
{
    char line[2048];
    snprintf(line, sizeof(line),
             "exec %s %s --interface lo --discovery off --listen 0 --bind-rw %s",
             knows_others() ? "setpriv --groups 5,6 --inh-caps +sys_admin" : "", scene->meshd,
             scene->drop);
    struct lab_process *daemon = lab_spawn(scene->host, "/bin/sh", "-c", line, NULL);
    if (!lab_wait_text(daemon, READY, WAIT_MS)) {
        lab_fail(scene->lab, "the daemon did not start");
    }
    return daemon;
}

static unsigned count_text(const char *text, const char *part)
{
    unsigned n = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part)) {
        n++;
    }
    return n;
}

/* `mesh --socket ... ARGS` through `setpriv HOW`, or as root where how is "". */
static struct lab_process *ask(struct scene *scene, const char *how, const char *args)
{
    char line[2048];
    snprintf(line, sizeof(line), "exec %s%s %s --socket %s %s", how[0] != '\0' ? "setpriv " : "",
             how, scene->mesh, SOCKET, args);
    return lab_spawn(scene->host, "/bin/sh", "-c", line, NULL);
}

/* --- what the kernel says ----------------------------------------------------------------------
 */

/* The values of a line of /proc/PID/status, blanks made single. */
static void get_status(const struct lab_process *process, const char *name, char to[256])
{
    char path[64];
    char line[256];
    bool is_found = false;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)process->pid);
    FILE *file = fopen(path, "re");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    while (!is_found && fgets(line, sizeof(line), file) != NULL) {
        size_t n = strlen(name);
        is_found = strncmp(line, name, n) == 0 && line[n] == ':';
    }
    fclose(file);
    ck_assert_msg(is_found, "%s has no line %s", path, name);
    to[0] = '\0';
    char *rest = strchr(line, ':') + 1;
    for (char *word = strtok_r(rest, " \t\n", &rest); word != NULL;
         word = strtok_r(NULL, " \t\n", &rest)) {
        size_t n = strlen(to);
        snprintf(to + n, 256 - n, "%s%s", n > 0 ? " " : "", word);
    }
}

static void check_status(const struct lab_process *process, const char *name, const char *wanted)
{
    char found[256];
    get_status(process, name, found);
    ck_assert_msg(strcmp(found, wanted) == 0, "%s is \"%s\", not \"%s\"", name, found, wanted);
}

static void check_is_mesh(const struct lab_process *daemon)
{
    static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
    check_status(daemon, "Uid", "4242 4242 4242 4242");
    check_status(daemon, "Gid", "4243 4243 4243 4243");
    check_status(daemon, "Groups", "");
    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        check_status(daemon, sets[i], "0000000000000000");
    }
    check_status(daemon, "NoNewPrivs", "1");
}

/* The owner of a path on the host, and its mode, as the host sees them. */
static void check_owner(struct scene *scene, const char *path, unsigned uid, unsigned gid,
                        const char *mode)
{
    char wanted[64];
    struct lab_process *process;
    snprintf(wanted, sizeof(wanted), "%u %u %s\n", uid, gid, mode);
    ck_assert_int_eq(
        lab_run(scene->host, WAIT_MS, &process, "/usr/bin/stat", "-c", "%u %g %a", path, NULL), 0);
    ck_assert_msg(strcmp(lab_output(process), wanted) == 0, "%s is %s, not %s", path,
                  lab_output(process), wanted);
}

/* Every file of the state, whatever its name. */
static void check_state_owner(struct scene *scene, unsigned uid)
{
    check_owner(scene, STATE, uid, uid == 0 ? 0 : MESH_GID, "700");
    check_owner(scene, STATE "/key", uid, uid == 0 ? 0 : MESH_GID, "600");
    run_shell(scene, "test -z \"$(find %s '(' -type f -o -type d ')' ! -uid %u)\"", STATE, uid);
}

/* A task runs, in a sandbox, and what it writes into the owner's folder is this user's. */
static void check_task(struct scene *scene, unsigned uid)
{
    char args[1024];
    char path[LAB_PATH_BYTES_MAX + 16];
    snprintf(args, sizeof(args), "submit sh -c 'test ! -e %s && echo here > %s/task && echo done'",
             STATE, scene->drop);
    struct lab_process *task = ask(scene, "", args);
    lab_expect(task, WAIT_MS, 0);
    ck_assert_str_eq(lab_output(task), "done\n");
    snprintf(path, sizeof(path), "%s/task", scene->drop);
    struct lab_process *process;
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "%u\n", uid);
    ck_assert_int_eq(
        lab_run(scene->host, WAIT_MS, &process, "/usr/bin/stat", "-c", "%u", path, NULL), 0);
    ck_assert_msg(strcmp(lab_output(process), wanted) == 0, "the task ran as %s, not %s",
                  lab_output(process), wanted);
    run_shell(scene, "rm %s", path);
}

/* It stays root, and says so once; tasks run as this user. */
static void check_stays(struct scene *scene, struct lab_process *daemon, const char *why,
                        unsigned task_uid)
{
    ck_assert_uint_eq(count_text(lab_errors(daemon), STAYS), 1);
    ck_assert_ptr_nonnull(strstr(lab_errors(daemon), why));
    check_state_owner(scene, 0);
    check_task(scene, task_uid);
}

static void get_key(struct scene *scene, char to[128])
{
    struct lab_process *process;
    ck_assert_int_eq(
        lab_run(scene->host, WAIT_MS, &process, "/bin/sh", "-c", "sha256sum < " STATE "/key", NULL),
        0);
    snprintf(to, 128, "%s", lab_output(process));
}

/* --- with a user mesh --------------------------------------------------------------------------
 */

START_TEST(root_becomes_mesh_and_keeps_nothing)
{
    struct scene scene;
    make_scene(&scene, true);
    struct lab_process *daemon = start(&scene);
    ck_assert_uint_eq(count_text(lab_errors(daemon), BECAME), 1);
    check_is_mesh(daemon);
    check_owner(&scene, RUN, MESH_UID, MESH_GID, "750");
    check_owner(&scene, SOCKET, MESH_UID, MESH_GID, "660");
    check_state_owner(&scene, MESH_UID);
    check_task(&scene, MESH_UID);
    lab_stop(daemon, WAIT_MS);
    run_shell(&scene, "test ! -e %s", SOCKET);

    daemon = start(&scene); /* and again, from what it left */
    check_is_mesh(daemon);
    check_task(&scene, MESH_UID);
    lab_free(scene.lab);
}
END_TEST

/* Killed, it leaves a socket behind; the next one has to take its place. */
START_TEST(a_killed_one_is_followed_by_another)
{
    struct scene scene;
    make_scene(&scene, true);
    lab_kill(start(&scene));
    struct lab_process *daemon = start(&scene);
    check_is_mesh(daemon);
    lab_expect(ask(&scene, "", "peers"), WAIT_MS, 0);
    lab_free(scene.lab);
}
END_TEST

START_TEST(a_socket_where_only_root_may_write_is_given_to_mesh)
{
    struct scene scene;
    make_scene(&scene, true);
    struct lab_process *daemon =
        lab_spawn(scene.host, scene.meshd, "--interface", "lo", "--discovery", "off", "--listen",
                  "0", "--state", "/var/lib/far/away", "--socket", DAEMON_SOCKET, NULL);
    ck_assert(lab_wait_text(daemon, READY, WAIT_MS));
    check_is_mesh(daemon);
    check_owner(&scene, DAEMON_SOCKET, MESH_UID, MESH_GID, "660");
    check_owner(&scene, "/var/lib/far/away", MESH_UID, MESH_GID, "700");
    check_owner(&scene, "/run", 0, 0, "755");
    lab_expect(daemon_ask(scene.host, "peers", NULL), WAIT_MS, 0);
    lab_free(scene.lab);
}
END_TEST

/* Without a socket named, with no daemon there: `mesh` starts one for root. */
START_TEST(a_daemon_that_is_started_for_root_becomes_mesh_too)
{
    struct scene scene;
    make_scene(&scene, true);
    char line[1024];
    /* su(1) leaves root the folder of whoever called it. */
    snprintf(line, sizeof(line),
             "mkdir -m 700 /run/other && chown " OTHER_UID " /run/other && "
             "XDG_RUNTIME_DIR=/run/other exec %s submit sh -c 'echo $((6 * 7))'",
             scene.mesh);
    struct lab_process *submit = lab_spawn(scene.host, "/bin/sh", "-c", line, NULL);
    lab_expect(submit, WAIT_MS, 0);
    ck_assert_str_eq(lab_output(submit), "42\n");
    check_state_owner(&scene, MESH_UID);
    check_owner(&scene, SOCKET, MESH_UID, MESH_GID, "660");
    run_shell(&scene, "test \"$(awk '/^Uid:/ { print $2 }' /proc/$(cat %s/lock)/status)\" = %d",
              STATE, MESH_UID);
    lab_expect(ask(&scene, NOBODIES " --groups 4243", "peers"), WAIT_MS, 0);
    lab_free(scene.lab);
}
END_TEST

/* The rules of the local socket, which now compare with user mesh. */
START_TEST(root_mesh_and_its_group_are_served_and_others_are_not)
{
    static const char member[] = NOBODIES " --groups 4243";
    static const char mesh[] = "--reuid 4242 --regid 4243 --clear-groups";
    struct scene scene;
    make_scene(&scene, true);
    start(&scene);
    lab_expect(ask(&scene, "", "peers"), WAIT_MS, 0);
    lab_expect(ask(&scene, "", "cores 1"), WAIT_MS, 0);
    lab_expect(ask(&scene, mesh, "peers"), WAIT_MS, 0);
    lab_expect(ask(&scene, mesh, "cores 1"), WAIT_MS, 0);
    lab_expect(ask(&scene, member, "peers"), WAIT_MS, 0);
    struct lab_process *refused = ask(&scene, member, "cores 2");
    lab_expect(refused, WAIT_MS, 1);
    ck_assert_ptr_nonnull(strstr(lab_errors(refused), "only root and the daemon's own user"));

    refused = ask(&scene, NOBODIES " --clear-groups", "peers");
    lab_expect(refused, WAIT_MS, 1);
    const char *line = lab_errors(refused);
    ck_assert_msg(count_text(line, "\n") == 1, "not one line: %s", line);
    ck_assert_msg(strstr(line, SOCKET) != NULL && strstr(line, "join group mesh") != NULL, "%s",
                  line);
    lab_free(scene.lab);
}
END_TEST

/* --- from one owner to the other ---------------------------------------------------------------
 */

START_TEST(the_state_of_roots_life_becomes_meshs_and_nothing_else_does)
{
    struct scene scene;
    char key[128], key_after[128];
    make_scene(&scene, false);
    struct lab_process *daemon = start(&scene);
    check_status(daemon, "Uid", "0 0 0 0");
    check_state_owner(&scene, 0);
    get_key(&scene, key);
    lab_kill(daemon);
    run_shell(&scene,
              "echo secret > /var/lib/outside; chmod 600 /var/lib/outside; "
              "mkdir -m 700 /var/lib/outside.d; echo secret > /var/lib/outside.d/file; "
              "ln -s /var/lib/outside %s/link; ln -s /var/lib/outside.d %s/blobs/link; "
              "echo other > %s/other; chown " OTHER_UID " %s/other",
              STATE, STATE, STATE, STATE);
    set_user(&scene, true);

    daemon = start(&scene);
    check_is_mesh(daemon);
    check_owner(&scene, "/var/lib/outside", 0, 0, "600");
    check_owner(&scene, "/var/lib/outside.d", 0, 0, "700");
    check_owner(&scene, "/var/lib/outside.d/file", 0, 0, "644");
    run_shell(&scene, "test $(stat -c %%u %s/other) = " OTHER_UID "; rm %s/other", STATE, STATE);
    check_state_owner(&scene, MESH_UID);
    get_key(&scene, key_after);
    ck_assert_str_eq(key, key_after);
    check_task(&scene, MESH_UID);
    lab_free(scene.lab);
}
END_TEST

/* Two names of one file: the other may be anywhere. */
START_TEST(a_hard_link_in_the_state_is_refused)
{
    struct scene scene;
    make_scene(&scene, false);
    lab_kill(start(&scene));
    run_shell(&scene, "ln %s/key /var/lib/key", STATE);
    set_user(&scene, true);
    struct lab_process *daemon = lab_spawn(scene.host, scene.meshd, "--interface", "lo",
                                           "--discovery", "off", "--listen", "0", NULL);
    lab_expect(daemon, WAIT_MS, 1);
    ck_assert_msg(strstr(lab_errors(daemon), "hard link") != NULL, "%s", lab_errors(daemon));
    check_owner(&scene, "/var/lib/key", 0, 0, "600");
    lab_free(scene.lab);
}
END_TEST

START_TEST(a_folder_that_is_no_state_is_not_given_away)
{
    struct scene scene;
    make_scene(&scene, true);
    run_shell(&scene, "mkdir -m 755 /var/lib/srv; echo text > /var/lib/srv/file; "
                      "ln -s /var/lib/srv /var/lib/link");
    static const char *const states[] = {"/var/lib/srv", "/var/lib/link"};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        struct lab_process *daemon =
            lab_spawn(scene.host, scene.meshd, "--interface", "lo", "--discovery", "off",
                      "--listen", "0", "--state", states[i], NULL);
        lab_expect(daemon, WAIT_MS, 1);
        ck_assert_msg(strstr(lab_errors(daemon), states[i]) != NULL, "%s", lab_errors(daemon));
        check_owner(&scene, "/var/lib/srv", 0, 0, "755");
        check_owner(&scene, "/var/lib/srv/file", 0, 0, "644");
    }
    lab_free(scene.lab);
}
END_TEST

/* Only root reaches the programs any more: staying root is what makes tasks run. */
START_TEST(root_stays_where_mesh_could_not_work_and_takes_the_state_back)
{
    struct scene scene;
    make_scene(&scene, true);
    lab_stop(start(&scene), WAIT_MS);
    check_state_owner(&scene, MESH_UID);
    run_shell(&scene, "chmod 700 %s", scene.bin);
    struct lab_process *daemon = start(&scene);
    ck_assert_uint_eq(count_text(lab_errors(daemon), STAYS), 1);
    check_status(daemon, "Uid", "0 0 0 0");
    check_state_owner(&scene, 0);
    check_owner(&scene, RUN, 0, MESH_GID, "750");
    check_task(&scene, TASK_UID);
    lab_stop(daemon, WAIT_MS);

    run_shell(&scene, "chmod 755 %s", scene.bin);
    daemon = start(&scene);
    check_is_mesh(daemon);
    check_state_owner(&scene, MESH_UID);
    lab_free(scene.lab);
}
END_TEST

/* --- without it --------------------------------------------------------------------------------
 */

START_TEST(without_the_user_root_stays_and_tasks_are_nobodys)
{
    struct scene scene;
    make_scene(&scene, false);
    struct lab_process *daemon = start(&scene);
    check_status(daemon, "Uid", "0 0 0 0");
    check_stays(&scene, daemon, "there is no user mesh", TASK_UID);
    struct lab_process *refused = ask(&scene, NOBODIES " --clear-groups", "peers");
    lab_expect(refused, WAIT_MS, 1);
    ck_assert_uint_eq(count_text(lab_errors(refused), "\n"), 1);
    lab_free(scene.lab);
}
END_TEST

/* --- in a user namespace that does not know it -------------------------------------------------
 */

/* Root and "nobody" exist in it, and nobody else. */
static void write_map(pid_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    FILE *map = fopen(path, "we");
    bool is_written =
        map != NULL && fprintf(map, "0 0 1\n%d %d 1\n", TASK_UID, TASK_UID) > 0 && fclose(map) == 0;
    if (!is_written) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        _exit(99);
    }
}

static int run_in_user_namespace(void *context)
{
    const struct scene *scene = context;
    int ready[2];
    char byte = 0;
    pid_t self = getpid();
    if (pipe2(ready, O_CLOEXEC) < 0) {
        return 98;
    }
    pid_t helper = fork(); /* only one outside may write such maps */
    if (helper == 0) {
        close(ready[1]);
        IGNORE(read(ready[0], &byte, 1)); /* the end of the pipe */
        write_map(self, "uid_map");
        write_map(self, "gid_map");
        _exit(0);
    }
    int status = 97 << 8;
    if (unshare(CLONE_NEWUSER) < 0 || close(ready[1]) < 0 || waitpid(helper, &status, 0) < 0 ||
        status != 0) {
        return 97;
    }
    execl(scene->meshd, scene->meshd, "--interface", "lo", "--discovery", "off", "--listen", "0",
          "--bind-rw", scene->drop, NULL);
    return 96;
}

START_TEST(where_the_user_is_not_mapped_root_stays_and_tasks_are_nobodys)
{
    struct scene scene;
    make_scene(&scene, true);
    struct lab_process *daemon = lab_call(scene.host, run_in_user_namespace, &scene);
    if (!lab_wait_text(daemon, READY, WAIT_MS)) {
        lab_fail(scene.lab, "the daemon did not start in its user namespace");
    }
    check_stays(&scene, daemon, "unknown to this user namespace", TASK_UID);
    lab_free(scene.lab);
}
END_TEST

/* As an ordinary user's root, alone in its namespace. */
START_TEST(where_nobody_else_is_mapped_root_stays_and_tasks_run)
{
    struct scene scene;
    make_scene(&scene, true);
    struct lab_process *daemon = start(&scene);
    check_stays(&scene, daemon, "unknown to this user namespace", 0);
    lab_free(scene.lab);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("privilege");
    TCase *tcase = tcase_create("privilege");
    tcase_set_timeout(tcase, 280);
    if (knows_others()) {
        tcase_add_test(tcase, root_becomes_mesh_and_keeps_nothing);
        tcase_add_test(tcase, a_killed_one_is_followed_by_another);
        tcase_add_test(tcase, a_socket_where_only_root_may_write_is_given_to_mesh);
        tcase_add_test(tcase, a_daemon_that_is_started_for_root_becomes_mesh_too);
        tcase_add_test(tcase, root_mesh_and_its_group_are_served_and_others_are_not);
        tcase_add_test(tcase, the_state_of_roots_life_becomes_meshs_and_nothing_else_does);
        tcase_add_test(tcase, a_hard_link_in_the_state_is_refused);
        tcase_add_test(tcase, a_folder_that_is_no_state_is_not_given_away);
        tcase_add_test(tcase, root_stays_where_mesh_could_not_work_and_takes_the_state_back);
        tcase_add_test(tcase, without_the_user_root_stays_and_tasks_are_nobodys);
        tcase_add_test(tcase, where_the_user_is_not_mapped_root_stays_and_tasks_are_nobodys);
    } else {
        printf("# skipped: not root: a daemon that root starts, but for one case\n");
        tcase_add_test(tcase, where_nobody_else_is_mapped_root_stays_and_tasks_run);
    }
    suite_add_tcase(suite, tcase);
    return lab_run_suite(suite);
}
