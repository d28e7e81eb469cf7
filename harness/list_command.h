/** `bench list`: every backend, what it waits in, and why one cannot run here. */
#ifndef BENCH_LIST_COMMAND_H
#define BENCH_LIST_COMMAND_H

/** @return exit code */
int list_command(int argc, char **argv);

#endif
