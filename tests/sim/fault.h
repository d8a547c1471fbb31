/* What can go wrong. Each fault is planned before the run, from the seed alone, so that a schedule
 * can be shortened and still means the same; whom it strikes is settled when it strikes. */
#ifndef MESH_TESTS_SIM_FAULT_H
#define MESH_TESTS_SIM_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* X(NAME, name on the command line, what happens). */
#define SIM_FAULTS(X)                                                                              \
    X(RESET, "reset", "a connection is lost, both ends are told")                                  \
    X(HALF_OPEN, "half-open", "a connection is lost, one end is not told")                         \
    X(ONE_WAY, "one-way", "what one host sends another is lost, for a while")                      \
    X(PARTITION, "partition", "two groups of hosts do not hear each other, for a while")           \
    X(CABLE, "cable", "a host's cable is out, for a while")                                        \
    X(SLOW_LINK, "slow-link", "a host's link moves 16 to 256 KiB a second, for a while")           \
    X(DELAY, "delay", "a host's packets take up to 400 ms longer, for a while")                    \
    X(LOSS, "loss", "packets of a host have to be sent again, for a while")                        \
    X(KILL, "kill", "a daemon is killed, and started again later")                                 \
    X(POWER, "power", "a host loses power, and is started again later")                            \
    X(AMNESIA, "amnesia", "a daemon is killed and starts again without its state")                 \
    X(STOP, "stop", "a daemon is asked to end, and is started again later")                        \
    X(FREEZE, "freeze", "a daemon is stopped and goes on later; its tasks run on")                 \
    X(SUSPEND, "suspend", "a host sleeps with all that runs on it, and wakes")                     \
    X(LATE_LOOP, "late-loop", "a daemon's loop hangs for 0.3 to 3 seconds")                        \
    X(CLOCK_JUMP, "clock-jump", "a host's clock leaps forward")                                    \
    X(CLOCK_DRIFT, "clock-drift", "a host's clock goes up to 2 % faster or slower")                \
    X(DISK_FAIL, "disk-fail", "writes fail on a host, for a while")                                \
    X(DISK_FULL, "disk-full", "a host's disk is full, for a while")                                \
    X(BLOB_GONE, "blob-gone", "blobs vanish from a host's store")                                  \
    X(CELL_CRASH, "cell-crash", "the cells that run on a host die under their tasks")              \
    X(CELL_HANG, "cell-hang", "the programs that run on a host never end by themselves")           \
    X(CELL_NONE, "cell-none", "a host cannot make cells, for a while")                             \
    X(CLIENT_GONE, "client-gone", "a client dies with its job unfinished")                         \
    X(CLIENT_CANCEL, "client-cancel", "a client cancels its job")                                  \
    X(CLIENT_STALL, "client-stall", "a client takes no results, for a while")                      \
    X(CORES, "cores", "a peer offers more or fewer cores, or none, for a while")                   \
    X(JOIN, "join", "a new peer joins")                                                            \
    X(SUBMIT, "submit", "one more job, wherever")                                                  \
    X(FOUND_AGAIN, "found-again", "discovery reports what it reported before")                     \
    X(FOUND_STALE, "found-stale", "discovery reports addresses that are not a peer's any more")    \
    X(FOUND_LOST, "found-lost", "discovery takes a peer back that is there")                       \
    X(RENUMBER, "renumber", "a host gets another address; another host may get its old one")       \
    X(VERSION, "version",                                                                          \
      "a daemon makes place for one of another version, or of version 1, a while")                 \
    X(CLONE, "clone", "a second daemon with the same key, for a while")

#define SIM_ENUM_FAULT(name, word, text) SIM_FAULT_##name,
enum sim_fault_kind { SIM_FAULTS(SIM_ENUM_FAULT) SIM_N_FAULTS };

struct sim_fault {
    uint64_t at_ns; /* since the run began */
    enum sim_fault_kind kind;
    uint64_t dice; /* all that it draws comes from here */
};

const char *sim_fault_name(enum sim_fault_kind kind);
const char *sim_fault_text(enum sim_fault_kind kind);
/* False: there is none of that name. */
bool sim_fault_parse(const char *name, enum sim_fault_kind *ret_kind);

#endif
