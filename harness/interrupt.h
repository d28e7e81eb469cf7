/**
 * SIGINT, SIGTERM and SIGHUP as a flag and a descriptor to poll: whoever works ends in his own time
 * and keeps what he has. Only where nothing is there to keep yet may they end the process itself.
 */
#ifndef BENCH_INTERRUPT_H
#define BENCH_INTERRUPT_H

#include <stdbool.h>

/** @return 0 or -errno. Call once, before any child is started. */
int interrupt_init(void);

/** A descriptor that becomes readable when an interrupt has arrived; never read it. */
int interrupt_fd(void);

/** From any thread. Once true it stays so; it may be true a millisecond late. */
bool interrupted(void);

/**
 * Until interrupt_hold(), an interrupt ends the process at once with EXIT_INTERRUPTED, one that has
 * arrived too. For calls that block on somebody's input, which nothing else can end: opening a
 * FIFO, reading a terminal. No child runs, no file is half written, nothing is printed yet.
 */
void interrupt_act(void);

/** A flag and a descriptor again. */
void interrupt_hold(void);

/** In a child, after fork: default handling and an empty mask again. */
void interrupt_reset_in_child(void);

#endif
