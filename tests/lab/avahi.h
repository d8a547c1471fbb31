/* A D-Bus and an avahi-daemon of a host's own, where mesh looks for them: in the host's /run. */
#ifndef MESH_LAB_AVAHI_H
#define MESH_LAB_AVAHI_H

#include "tests/lab/host.h"
#include "tests/lab/process.h"

/* The bus; once for a host, before its first avahi-daemon. Gives the host users of its own. */
void lab_start_bus(struct lab_host *host);

/* An avahi-daemon that has started up; again after one was killed. Fails the test if it does not.
 */
struct lab_process *lab_start_avahi(struct lab_host *host);

#endif
