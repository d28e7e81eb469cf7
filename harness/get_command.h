/** `bench get`: download flags, or any list of URLs, into a folder. */
#ifndef BENCH_GET_COMMAND_H
#define BENCH_GET_COMMAND_H

/** @return exit code */
int get_command(int argc, char **argv);

#endif
