/* Closing what takes long to close: the last descriptor of a large file that has no name frees all
 * its blocks, which may hold up a loop for a tenth of a second. */
#ifndef MESH_CLOSE_LATER_H
#define MESH_CLOSE_LATER_H

#include <uv.h>

/* Closes the descriptor on one of libuv's threads; the loop does not end before that. -1 is
 * nothing. */
void meshd_close_later(uv_loop_t *loop, int fd);

#endif
