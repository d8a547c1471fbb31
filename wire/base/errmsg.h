/* A fixed-size error text that is filled where something fails and wrapped on the way up:
 * what happened, to what, what to do next. */
#ifndef MESH_BASE_ERRMSG_H
#define MESH_BASE_ERRMSG_H

#define ERRMSG_BYTES 512

struct errmsg {
    char text[ERRMSG_BYTES]; /* NUL-terminated; cut when too long */
};

/* Replaces the text. NULL is allowed for err, so that callers without interest pass none. */
void errmsg_set(struct errmsg *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts "<formatted>: " in front of what is there. */
void errmsg_wrap(struct errmsg *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
