/** One trial: a fresh worker, its warm-up, the timed call, the server's counters, the verdict. */
#ifndef BENCH_TRIAL_H
#define BENCH_TRIAL_H

#include "plan.h"
#include "sample.h"
#include "verify.h"

/**
 * @param sample  filled in; invalid with a reason when anything about the trial was wrong
 * @param output_dir_fd  -1: nothing is saved
 * @param count_syscalls  they are slower when counted: such a trial is evidence, no measurement
 * @return 0; -EINTR when the user wants to stop (the sample is then void)
 */
int trial_run(const struct plan_cell *cell, const struct options *options, const char *run_mark,
              int output_dir_fd, const struct placement *placement, bool count_syscalls,
              struct body_agreement *agreement, struct sample *sample);

#endif
