/** SIGINT, SIGTERM and SIGHUP as a flag and a descriptor to poll; nothing happens in a handler. */
#ifndef BENCH_INTERRUPT_H
#define BENCH_INTERRUPT_H

#include <stdbool.h>

/** @return 0 or -errno. Call once, before any child is started. */
int interrupt_init(void);

/** A descriptor that becomes readable when an interrupt has arrived; never read it. */
int interrupt_fd(void);

bool interrupted(void);

/** In a child, after fork: default handling and an empty mask again. */
void interrupt_reset_in_child(void);

#endif
