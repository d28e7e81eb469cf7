/** `bench probe`: look up many names at once. */
#ifndef BENCH_PROBE_COMMAND_H
#define BENCH_PROBE_COMMAND_H

/** @return an exit code of exit_code.h */
int probe_command(int argc, char **argv);

#endif
