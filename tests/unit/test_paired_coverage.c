/*
 * Does a 95% interval hold the truth in 95% of runs, on a machine that drifts? Seeded simulation:
 * the logarithm of a trial's time is the sum of a slow drift (AR(1) from trial to trial,
 * correlation 0.97, standard deviation 6%), independent noise (3%) and spikes (4% of trials,
 * exponential with mean 25%), and of 5% for the slower arm. Arms alternate in a random order
 * within each round.
 */
#include "harness/paired.h"
#include "harness/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define REPLICATIONS 1000 /* for the sanitizer: it takes one to see each access */
#else
#define REPLICATIONS 8000 /* the standard error of a share of 95% is 0.24% */
#endif
#define EFFECT 0.05

static double uniform(struct random_source *random)
{
    return ((double)(random_next(random) >> 11) + 0.5) / 9007199254740992.0; /* 2^53 */
}

static double normal(struct random_source *random)
{
    return sqrt(-2 * log(uniform(random))) * cos(2 * 3.14159265358979323846 * uniform(random));
}

struct machine {
    struct random_source random;
    double drift;
};

static double trial(struct machine *machine, double effect)
{
    const double correlation = 0.97;
    double noise = 0.03 * normal(&machine->random);

    machine->drift = correlation * machine->drift +
                     sqrt(1 - correlation * correlation) * 0.06 * normal(&machine->random);
    if (uniform(&machine->random) < 0.04) {
        noise += -0.25 * log(uniform(&machine->random));
    }
    return machine->drift + noise + effect;
}

static double round_difference(struct machine *machine, double effect)
{
    bool slow_first = (random_next(&machine->random) & 1) != 0;
    double first = trial(machine, slow_first ? effect : 0);
    double second = trial(machine, slow_first ? 0 : effect);

    return slow_first ? first - second : second - first;
}

static double share_covered(size_t n, double effect, uint64_t seed)
{
    struct machine machine = {.random = {.state = seed + n}};
    struct paired_estimate estimate;
    double d[30];
    size_t covered = 0;

    for (int i = 0; i < REPLICATIONS; i++) {
        machine.drift = 0.06 * normal(&machine.random);
        for (size_t round = 0; round < n; round++) {
            d[round] = round_difference(&machine, effect);
        }
        paired_estimate(d, n, 0.05, 1, &estimate);
        covered += estimate.log_low <= effect && effect <= estimate.log_high;
    }
    return (double)covered / REPLICATIONS;
}

static void assert_coverage(size_t n)
{
    double share = share_covered(n, EFFECT, 1000);

    (void)printf("n = %zu: %.2f%% of intervals hold the effect\n", n, share * 100);
    assert_true(share >= 0.93);
    assert_true(share <= 0.975);
}

static void test_coverage__of_ten_rounds_is_as_promised(void **state)
{
    (void)state;
    assert_coverage(10);
}

static void test_coverage__of_twenty_rounds_is_as_promised(void **state)
{
    (void)state;
    assert_coverage(20);
}

static void test_coverage__of_thirty_rounds_is_as_promised(void **state)
{
    (void)state;
    assert_coverage(30);
}

/* Seeded apart: the estimate moves with the effect, so the same draws would only be the coverage
 * again. */
static void test_two_equal_programs_are_rarely_called_different(void **state)
{
    (void)state;
    for (size_t n = 10; n <= 30; n += 10) {
        double share = 1 - share_covered(n, 0, 500000);
        (void)printf("n = %zu: %.2f%% of equal programs called different\n", n, share * 100);
        assert_true(share <= 0.065);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coverage__of_ten_rounds_is_as_promised),
        cmocka_unit_test(test_coverage__of_twenty_rounds_is_as_promised),
        cmocka_unit_test(test_coverage__of_thirty_rounds_is_as_promised),
        cmocka_unit_test(test_two_equal_programs_are_rarely_called_different),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
