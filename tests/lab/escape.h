/* The ways out of a cell that tests/escape tries. Shared by escape.c and escape_*.c.
 *
 * An attempt is a function that does the thing and returns 0 when it worked, else an errno: why it
 * did not. It runs in a process of its own, so it may leave that in any state. What it is aimed at
 * (a path, a port, a process outside) is a word NAME=VALUE of the command line. */
#ifndef MESH_LAB_ESCAPE_H
#define MESH_LAB_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

/* Who succeeds outside of a cell: there `escape control` shows that the attempt is a real one. */
enum escape_control {
    ESCAPE_ANYBODY, /* any user */
    ESCAPE_ROOT,    /* root */
    ESCAPE_USER,    /* any user but root, who has it already */
    ESCAPE_NOBODY,  /* not tried outside: it would harm the machine, or has no meaning there */
};

struct escape_attempt {
    const char *name;
    int (*attempt)(void);
    enum escape_control control;
};

/* No target was given: the attempt says nothing. */
#define ESCAPE_NO_TARGET (-1)

/* The value of NAME=VALUE, or NULL. */
const char *escape_word(const char *name);
/* From now on the signal does nothing. */
void escape_ignore(int number);
/* 0, or the errno of the last call when it returned a negative number. */
int escape_result(long returned);

extern const struct escape_attempt escape_files[];
extern const size_t escape_n_files;
extern const struct escape_attempt escape_sockets[];
extern const size_t escape_n_sockets;
extern const struct escape_attempt escape_kernel[];
extern const size_t escape_n_kernel;
extern const struct escape_attempt escape_processes[];
extern const size_t escape_n_processes;

/* `escape bomb NAME`: does not come back unless it failed. */
int escape_bomb(const char *name);
/* Leaves things for the next task of the cell; looks for them: 0 when nothing is there. */
int escape_leave(void);
int escape_seek(void);

#endif
