/** `bench compare`: two result files or more, and whether the last is worse. */
#ifndef BENCH_COMPARE_COMMAND_H
#define BENCH_COMPARE_COMMAND_H

/** @return exit code */
int compare_command(int argc, char **argv);

#endif
