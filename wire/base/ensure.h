/* Always-on assertions and the attributes every module uses.
 *
 * ensure() guards what our own code promises: invariants, and preconditions between our own
 * modules. It aborts in release builds too. It is never used on anything that came from a peer, a
 * file, a user or the kernel: those are refused with an error. */
#ifndef MESH_BASE_ENSURE_H
#define MESH_BASE_ENSURE_H

#include <stddef.h>

/* Prints one line to standard error and aborts. Never returns. */
_Noreturn void ensure_failed(const char *what, const char *file, int line, const char *func);

#define ensure(x) ((x) ? (void)0 : ensure_failed(#x, __FILE__, __LINE__, __func__))

/* The caller must look at the result; IGNORE() with a reason beside it says that it need not. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define IGNORE(call)                                                                               \
    do {                                                                                           \
        __typeof__(call) ignored_ = (call);                                                        \
        (void)ignored_;                                                                            \
    } while (0)

/* CLEANUP(fn): fn(&variable) runs when the variable goes out of scope; STEAL(p) yields p's value
 * and leaves p NULL, so that the cleanup finds nothing to do. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define STEAL(p)                                                                                   \
    __extension__({                                                                                \
        __typeof__(p) stolen_ = (p);                                                               \
        (p) = NULL;                                                                                \
        stolen_;                                                                                   \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The structure of which `ptr` is the member `member`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
