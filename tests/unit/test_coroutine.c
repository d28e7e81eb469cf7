#include "backends/coroutine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fenv.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)256 << 10)
#define TURNS 5

/* ThreadSanitizer keeps a thread's worth of state for each, and has room for about 8,000. */
#if defined(__SANITIZE_THREAD__)
#define MANY 1000
#else
#define MANY 10000
#endif

static struct coroutine_stack stack;

static int setup(void **state)
{
    (void)state;
    return coroutine_stack_init(&stack, STACK_BYTES);
}

static int teardown(void **state)
{
    (void)state;
    coroutine_stack_release(&stack);
    return 0;
}

/* Shared by a test and its coroutines: what happened, a letter each. */
struct trace {
    char text[64];
    size_t bytes;
};

struct actor {
    struct coroutine coroutine;
    struct trace *trace;
    char letter;
    int turns;
    uint32_t seed;
    int failures; /* cmocka's asserts jump: they are made on the thread's stack only */
};

static void note(struct trace *trace, char letter)
{
    if (trace->bytes < sizeof trace->text - 1) {
        trace->text[trace->bytes++] = letter;
    }
}

static void act(void *user)
{
    struct actor *actor = user;

    for (int i = 0; i < actor->turns; i++) {
        note(actor->trace, actor->letter);
        coroutine_suspend(&actor->coroutine);
    }
}

static void actor_init(struct actor *actor, struct trace *trace, char letter, int turns)
{
    *actor = (struct actor){.trace = trace, .letter = letter, .turns = turns};
    coroutine_init(&actor->coroutine, &stack, act, actor);
}

static void test_coroutine__continues_where_it_was_left(void **state)
{
    struct trace trace = {0};
    struct actor actor;
    (void)state;

    actor_init(&actor, &trace, 'a', 2);
    assert_int_equal(trace.bytes, 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(coroutine_resume(&actor.coroutine), 0);
        assert_false(coroutine_has_ended(&actor.coroutine));
        note(&trace, '.');
    }
    assert_int_equal(coroutine_resume(&actor.coroutine), 0);
    assert_true(coroutine_has_ended(&actor.coroutine));
    assert_string_equal(trace.text, "a.a.");
    coroutine_release(&actor.coroutine);
}

static void test_coroutine__each_ends_when_it_returns(void **state)
{
    struct trace trace = {0};
    struct actor actors[3];
    size_t running = 3;
    (void)state;

    actor_init(&actors[0], &trace, 'a', 3);
    actor_init(&actors[1], &trace, 'b', 0);
    actor_init(&actors[2], &trace, 'c', 1);
    while (running > 0) {
        for (size_t i = 0; i < 3; i++) {
            struct coroutine *coroutine = &actors[i].coroutine;
            if (!coroutine_has_ended(coroutine)) {
                assert_int_equal(coroutine_resume(coroutine), 0);
                if (coroutine_has_ended(coroutine)) {
                    note(&trace, (char)('A' + i));
                    running--;
                }
            }
        }
    }
    assert_string_equal(trace.text, "aBcaCaA");
    for (size_t i = 0; i < 3; i++) {
        coroutine_release(&actors[i].coroutine);
    }
}

/* As deep as asked, with something in each frame that must be there afterwards. */
static uint32_t dig(struct actor *actor, uint32_t depth)
{
    volatile uint32_t marks[8];

    for (uint32_t i = 0; i < 8; i++) {
        marks[i] = actor->seed + depth * 8 + i;
    }
    if (depth == 0) {
        coroutine_suspend(&actor->coroutine);
    } else {
        actor->failures += dig(actor, depth - 1) != 8;
    }
    uint32_t right = 0;
    for (uint32_t i = 0; i < 8; i++) {
        right += marks[i] == actor->seed + depth * 8 + i;
    }
    return right;
}

static void dig_often(void *user)
{
    struct actor *actor = user;

    for (uint32_t i = 0; i < TURNS; i++) {
        actor->failures += dig(actor, (actor->seed + i * 7) % 23) != 8;
    }
}

static void test_coroutine__many_keep_their_frames_apart(void **state)
{
    struct actor *actors = calloc(MANY, sizeof actors[0]);
    (void)state;

    assert_non_null(actors);
    for (uint32_t i = 0; i < MANY; i++) {
        actors[i].seed = i * 1000;
        coroutine_init(&actors[i].coroutine, &stack, dig_often, &actors[i]);
    }
    for (int turn = 0; turn <= TURNS; turn++) {
        for (uint32_t i = 0; i < MANY; i++) {
            uint32_t any = (uint32_t)(i * UINT64_C(7919) % MANY); /* not always the same order */
            assert_int_equal(coroutine_resume(&actors[any].coroutine), 0);
        }
    }
    for (uint32_t i = 0; i < MANY; i++) {
        assert_true(coroutine_has_ended(&actors[i].coroutine));
        assert_int_equal(actors[i].failures, 0);
        coroutine_release(&actors[i].coroutine);
    }
    free(actors);
}

static void check_address(void *user)
{
    struct actor *actor = user;
    int local = 7;
    int *volatile before = &local;

    coroutine_suspend(&actor->coroutine);
    actor->failures += before != &local || *before != 7;
}

static void test_coroutine__finds_its_locals_at_their_addresses(void **state)
{
    struct actor actors[2] = {0};
    (void)state;

    for (int i = 0; i < 2; i++) {
        coroutine_init(&actors[i].coroutine, &stack, check_address, &actors[i]);
        assert_int_equal(coroutine_resume(&actors[i].coroutine), 0);
    }
    for (int i = 0; i < 2; i++) {
        assert_int_equal(coroutine_resume(&actors[i].coroutine), 0);
        assert_true(coroutine_has_ended(&actors[i].coroutine));
        assert_int_equal(actors[i].failures, 0);
        coroutine_release(&actors[i].coroutine);
    }
}

/* Kept by a call, so by a switch: the way of rounding, and values in callee-saved registers. */
static void round_upward(void *user)
{
    struct actor *actor = user;
    volatile double third = 3;

    actor->failures += fesetround(FE_UPWARD) != 0;
    double up = 1 / third;
    for (int i = 0; i < TURNS; i++) {
        coroutine_suspend(&actor->coroutine);
        actor->failures += fegetround() != FE_UPWARD || 1 / third != up;
    }
    (void)fesetround(FE_DOWNWARD);
    actor->failures += !(1 / third < up);
}

static void test_coroutine__keeps_the_state_of_floating_point(void **state)
{
    struct actor actor = {0};
    volatile double seventh = 7;
    volatile long double seventh_long = 7;
    double nearest = 1 / seventh;
    long double nearest_long = 1 / seventh_long;
    (void)state;

    assert_int_equal(fegetround(), FE_TONEAREST);
    coroutine_init(&actor.coroutine, &stack, round_upward, &actor);
    while (!coroutine_has_ended(&actor.coroutine)) {
        assert_int_equal(coroutine_resume(&actor.coroutine), 0);
        assert_int_equal(fegetround(), FE_TONEAREST);
        assert_true(1 / seventh == nearest && 1 / seventh_long == nearest_long);
    }
    assert_int_equal(actor.failures, 0);
    coroutine_release(&actor.coroutine);
}

static void test_coroutine__may_be_forgotten_before_it_ends(void **state)
{
    struct trace trace = {0};
    struct actor never;
    struct actor once;
    (void)state;

    actor_init(&never, &trace, 'n', 1);
    actor_init(&once, &trace, 'o', 2);
    assert_int_equal(coroutine_resume(&once.coroutine), 0);
    coroutine_release(&never.coroutine);
    coroutine_release(&once.coroutine);
    assert_string_equal(trace.text, "o");
}

/* What goes wrong on purpose does so in a process of its own, and quietly. @return its status */
static int status_of(void (*crime)(void))
{
    const struct rlimit no_core = {0};
    int status = 0;

    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)close(STDERR_FILENO);
        crime();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static volatile unsigned char last_seen;

static void fall(volatile unsigned char *above)
{
    volatile unsigned char here[1024];

    here[0] = *above;
    last_seen = here[0];
    if (last_seen == 0) { /* always: there is no end to it but the stack's */
        fall(here);
    }
    last_seen = here[0];
}

static void fall_from_the_top(void *user)
{
    volatile unsigned char zero = 0;
    (void)user;
    fall(&zero);
}

#define HIT_THE_GUARD 42

static void on_fault(int number, siginfo_t *info, void *context)
{
    const char *address = info->si_addr;
    (void)number, (void)context;
    _exit(address >= stack.map && address < stack.bottom ? HIT_THE_GUARD : 1);
}

/* The handler needs a stack of its own: there is none left. */
static void overflow(void)
{
    static char other_stack[65536];
    const stack_t other = {.ss_sp = other_stack, .ss_size = sizeof other_stack};
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct coroutine coroutine;

    (void)sigaltstack(&other, NULL);
    (void)sigaction(SIGSEGV, &action, NULL);
    coroutine_init(&coroutine, &stack, fall_from_the_top, NULL);
    (void)coroutine_resume(&coroutine);
}

static void resume_again(void)
{
    struct trace trace = {0};
    struct actor actor;

    (void)signal(SIGABRT, SIG_DFL);
    actor_init(&actor, &trace, 'a', 0);
    (void)coroutine_resume(&actor.coroutine);
    (void)coroutine_resume(&actor.coroutine);
}

static void suspend_outside(void)
{
    struct trace trace = {0};
    struct actor actor;

    (void)signal(SIGABRT, SIG_DFL);
    actor_init(&actor, &trace, 'a', 1);
    coroutine_suspend(&actor.coroutine);
}

static void test_coroutine__that_leaves_its_stack_meets_the_guard(void **state)
{
    (void)state;
    int status = status_of(overflow);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), HIT_THE_GUARD);
}

static void test_coroutine__misuse_is_an_assert(void **state)
{
    (void)state;
    assert_int_equal(WTERMSIG(status_of(resume_again)), SIGABRT);
    assert_int_equal(WTERMSIG(status_of(suspend_outside)), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coroutine__continues_where_it_was_left),
        cmocka_unit_test(test_coroutine__each_ends_when_it_returns),
        cmocka_unit_test(test_coroutine__many_keep_their_frames_apart),
        cmocka_unit_test(test_coroutine__finds_its_locals_at_their_addresses),
        cmocka_unit_test(test_coroutine__keeps_the_state_of_floating_point),
        cmocka_unit_test(test_coroutine__may_be_forgotten_before_it_ends),
        cmocka_unit_test(test_coroutine__that_leaves_its_stack_meets_the_guard),
        cmocka_unit_test(test_coroutine__misuse_is_an_assert),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
