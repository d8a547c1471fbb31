/* Two honest daemons at work and a hostile peer (attacker.c) on the same switch: what the tests and
 * the bench of hostile peers share. */
#ifndef MESH_TESTS_SIEGE_H
#define MESH_TESTS_SIEGE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lab/apart.h"
#include "tests/lab/daemons.h"

#define SIEGE_CORES 4u

struct siege {
    struct apart apart;
    struct lab *lab;
    struct lab_host *owner;    /* submits, and runs nothing */
    struct lab_host *executor; /* runs what the owner submits */
    struct lab_host *eve;
    struct lab_process *owner_daemon;
    struct lab_process *executor_daemon;
};

/* One way to misbehave, as `attacker list` names it. */
struct siege_attack {
    const char *name;
    bool is_on_owner;    /* it is meant for owners of tasks; else the executor is attacked */
    bool is_streamed;    /* the honest job streams its output */
    unsigned n_sent_min; /* so much it says in a whole attack, however long that takes */
};
extern const struct siege_attack siege_attacks[];
extern const unsigned siege_n_attacks;
/* Fails the test if there is none of that name. */
const struct siege_attack *siege_find(const char *name);

struct siege_plan {    /* of one run */
    unsigned n_tasks;  /* of each honest job */
    unsigned n_rounds; /* jobs, one after the other; odd: their median counts */
    bool is_whole;     /* the attacker goes on until it has said all that it is to say */
};

/* What was seen of one attack, or of no attack at all. */
struct siege_figures {
    uint64_t n_sent;    /* by the attacker */
    uint64_t n_up;      /* sessions that it brought up */
    unsigned peak_kib;  /* of the attacked daemon: its largest resident set */
    unsigned n_asked;   /* times `mesh peers` was run on the attacked host */
    double slowest_ms;  /* of these, start of the program to its end */
    double tasks_per_s; /* honest work: the median of its jobs */
    unsigned log_bytes; /* that the attacked daemon wrote */
    double cpu_percent; /* that the attacked daemon took */
};

/* The daemons are up and see each other. */
void siege_begin(struct siege *siege);
/* The same, with processors of their own for the attacker and the network (apart.h), where the
 * machine has more than one: for figures. The executor offers two cores for each that is left. */
void siege_begin_apart(struct siege *siege);
/* Runs the attack, `mesh peers` again and again, and honest jobs, all at once. NULL: no attack.
 * Fails the test when a job has not its results in time. */
void siege_run(struct siege *siege, const struct siege_attack *attack,
               const struct siege_plan *plan, struct siege_figures *ret_figures);
/* That both daemons are well after an attack: they run, list each other as up within the deadline,
 * and a newcomer is let in and listed as up. */
void siege_check_well(struct siege *siege, unsigned deadline_ms);
/* Both daemons end when they are told to, and well. */
void siege_end(struct siege *siege);

#endif
