/* An Ethernet switch in user space: a process of its own that forwards frames between the
 * descriptors of TAPs or packet sockets, and does to them on the way what it is told: nothing, or a
 * cut cable, loss, delay, doubling, overtaking, corruption, a slow line, a partition. The kernels
 * that the lab must run on have no netem.
 *
 * Every port is one cable. A fault belongs to one direction of one cable, so that a frame meets two
 * of them: the sender's SWITCH_FROM_HOST and the receiver's SWITCH_TO_HOST. What is drawn by
 * chance comes from a seed, and therefore repeats as far as the frames do.
 *
 * It knows nothing of namespaces or of mesh. It dies with the process that made it. */
#ifndef MESH_LAB_SWITCH_H
#define MESH_LAB_SWITCH_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/ensure.h"

#define SWITCH_PORTS_MAX   64   /* a lab of 20 hosts and some to spare */
#define SWITCH_FRAMES_MAX  4096 /* delayed frames at a time; more are dropped and counted */
#define SWITCH_FRAME_BYTES 1600 /* an Ethernet frame with room for a tag */
#define SWITCH_PPM         1000000
/* What the port of a cheap switch holds back for a slow line at most. */
#define SWITCH_QUEUE_NS UINT64_C(200000000)

struct switch_process;

enum switch_direction {
    SWITCH_FROM_HOST,
    SWITCH_TO_HOST,
    SWITCH_N_DIRECTIONS,
};

/* What happens to frames in one direction of one cable. All zeros: nothing. */
struct switch_fault {
    bool is_cut;            /* all are dropped; the host's carrier stays, so nobody is told */
    uint32_t drop_ppm;      /* dropped by chance, of a million */
    uint32_t duplicate_ppm; /* sent twice */
    uint64_t delay_ns;      /* each is held for so long */
    uint64_t jitter_ns;     /* and for up to so much longer: with it frames overtake each other */
    uint32_t hold_ppm;      /* held for hold_ns longer, so that those behind it overtake it */
    uint64_t hold_ns;
    uint32_t flip_ppm; /* one bit of its payload is another: checksums of the network tell */
    uint32_t swap_ppm; /* two words of its payload have changed places: the checksums of UDP and TCP
                        * are sums, and do not tell */
    uint64_t bytes_per_s;  /* what the line carries; 0: no limit. Behind SWITCH_QUEUE_NS of frames
                            * that wait for it others are dropped */
    bool has_no_multicast; /* frames for groups are dropped, all but broadcasts */
};

struct switch_counters {
    uint64_t n_frames; /* that arrived at the fault */
    uint64_t n_bytes;
    uint64_t n_dropped; /* of these: cut, lost by chance, or no room to hold them */
    uint64_t n_doubled; /* by chance, and so on */
    uint64_t n_held;
    uint64_t n_flipped;
    uint64_t n_swapped; /* words that differ */
};

/* Starts the switch. 0, or -errno when no process could be made. switch_free() ends it. */
int switch_new(uint64_t seed, struct switch_process **ret_sw) MUST_CHECK;

/* Ends it, and with it the cables of all hosts. NULL is allowed. Returns NULL. */
struct switch_process *switch_free(struct switch_process *sw);

/* Plugs in a descriptor that reads and writes whole frames: the switch has its own copy afterwards,
 * the caller closes his. *ret_port is what the cable is called from then on. -ENOSPC:
 * SWITCH_PORTS_MAX are in use. */
int switch_add(struct switch_process *sw, int link_fd, unsigned *ret_port) MUST_CHECK;

/* Pulls the cable out for good; the host's interface loses its carrier. */
int switch_remove(struct switch_process *sw, unsigned port) MUST_CHECK;

/* From when this returns every frame meets the new fault; frames already held come out in time. */
int switch_set_fault(struct switch_process *sw, unsigned port, enum switch_direction direction,
                     const struct switch_fault *fault) MUST_CHECK;

/* Only ports of the same group hear one another. All start in group 0. */
int switch_set_group(struct switch_process *sw, unsigned port, unsigned group) MUST_CHECK;

/* What a host notices of a cable that is out or back in. Frames are not concerned. */
int switch_set_carrier(struct switch_process *sw, unsigned port, bool is_on) MUST_CHECK;

/* From when this returns every frame that a host sends is also written to the file, one behind the
 * other without anything between, before any fault meets it. The switch has its own copy of the
 * descriptor afterwards, the caller closes his. What cannot be written ends the switch. */
int switch_capture(struct switch_process *sw, int file_fd) MUST_CHECK;

int switch_get_counters(struct switch_process *sw, unsigned port, enum switch_direction direction,
                        struct switch_counters *ret_counters) MUST_CHECK;

#endif
