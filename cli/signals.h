/* SIGINT and SIGTERM while a job runs: the first one asks to stop, a second one leaves at once. */
#ifndef MESH_CLI_SIGNALS_H
#define MESH_CLI_SIGNALS_H

#include "wire/base/ensure.h"

/* Installs the handlers. Returns a descriptor that becomes readable with the first signal, which
 * also interrupts system calls; or -errno. Once in a process. */
int cmd_signals_catch(void) MUST_CHECK;
/* The first signal that came, or 0. */
int cmd_signals_caught(void);

#endif
