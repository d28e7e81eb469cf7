/** The program that runs one trial: `bench` re-executed, so that memory figures are its own. */
#ifndef BENCH_WORKER_H
#define BENCH_WORKER_H

#define WORKER_COMMAND "__worker"

/* One byte each on the control socket. */
#define WORKER_READY 'R' /* worker: warmed up */
#define WORKER_GO 'G'    /* runner: counters are at zero, begin */
#define WORKER_DONE 'D'  /* worker: slots and usage are written */

/**
 * bench __worker MEMORY_FD CONTROL_FD PARENT_PID
 * @return exit code; what went wrong stands in the trial's memory
 */
int worker_main(int argc, char **argv);

#endif
