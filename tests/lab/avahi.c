#include "tests/lab/avahi.h"

#include <stdio.h>

#define PATIENCE_MS 30000

/* Each host has its own /run, so the bus lies where everyone looks for it. No user is named, for in
 * a lab of an ordinary user there is but one. */
static const char bus_config[] =
    "<busconfig>\n"
    "<listen>unix:path=/run/dbus/system_bus_socket</listen>\n"
    "<policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\n"
    "<allow send_type=\"method_call\"/><allow send_type=\"signal\"/>\n"
    "<allow send_requested_reply=\"true\"/><allow receive_type=\"method_call\"/>\n"
    "<allow receive_type=\"method_return\"/><allow receive_type=\"error\"/>\n"
    "<allow receive_type=\"signal\"/></policy>\n"
    "</busconfig>\n";

/* A file on the lab's tmpfs; *path is where every host sees it. */
static void write_shared(const struct lab_host *host, const char *name, const char *text,
                         char path[static LAB_PATH_BYTES_MAX])
{
    snprintf(path, LAB_PATH_BYTES_MAX, "%s/%s", lab_share(host->lab), name);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void run(struct lab_host *host, const char *program, const char *a, const char *b,
                const char *c)
{
    struct lab_process *process;
    ck_assert_int_eq(lab_run(host, PATIENCE_MS, &process, program, a, b, c, NULL), 0);
}

/* avahi-daemon wants its folder to be user avahi's, whose number a lab of an ordinary user does not
 * have: on these hosts it is the only one that there is. */
static void name_users(struct lab_host *host)
{
    char path[LAB_PATH_BYTES_MAX];
    write_shared(host, "passwd", "root:x:0:0::/root:/bin/sh\navahi:x:0:0::/:/bin/false\n", path);
    run(host, "mount", "--bind", path, "/etc/passwd");
    write_shared(host, "group", "root:x:0:\navahi:x:0:\n", path);
    run(host, "mount", "--bind", path, "/etc/group");
}

void lab_start_bus(struct lab_host *host)
{
    char path[LAB_PATH_BYTES_MAX];
    char option[LAB_PATH_BYTES_MAX + 32];
    write_shared(host, "bus.conf", bus_config, path);
    name_users(host);
    run(host, "mkdir", "-p", "/run/dbus", "/run/avahi-daemon");
    snprintf(option, sizeof(option), "--config-file=%s", path);
    struct lab_process *bus =
        lab_spawn(host, "dbus-daemon", option, "--nofork", "--nopidfile", "--print-address", NULL);
    if (!lab_wait_text(bus, "unix:path=", PATIENCE_MS)) {
        lab_fail(host->lab, "no D-Bus daemon on %s", host->name);
    }
}

struct lab_process *lab_start_avahi(struct lab_host *host)
{
    struct lab_process *avahi =
        lab_spawn(host, "avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", NULL);
    if (!lab_wait_text(avahi, "Server startup complete", PATIENCE_MS)) {
        lab_fail(host->lab, "no avahi-daemon on %s", host->name);
    }
    return avahi;
}
