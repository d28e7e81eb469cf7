/**
 * Code that can be left in the middle and continued there: the coroutines of one thread.
 *
 * All coroutines of a thread run on one stack, one at a time. What one has on it when it suspends
 * is copied into a buffer of its own, and back to the same address before it continues. So one
 * that waits costs what it holds, a few hundred bytes, as does one that a compiler has turned
 * into a state machine; while it runs it has all the room there is, for deep calls and for signal
 * handlers. With a stack each, 10,000 of them touch a page each (4 KiB: 40 MB, and as many entries
 * of the TLB) and need two mappings each for their guards (vm.max_map_count is 65,530).
 *
 * The price is the copying (to resume one until it suspends again takes 32 ns, copies included),
 * and a rule: a local of a suspended coroutine has no address. Nobody else may use a pointer to
 * one, not even the kernel: what others shall reach belongs elsewhere.
 *
 *     coroutine_stack_init                      once per thread
 *     coroutine_init                            any number of coroutines
 *     coroutine_resume -> runs, coroutine_suspend -> back in coroutine_resume, ...
 *     coroutine_release, coroutine_stack_release
 *
 * What changes hands is what a call preserves: the callee-saved registers and the control words
 * of floating point (coroutine_switch_*.S). Neither a system call nor the signal mask: with
 * BENCH_UCONTEXT, for other processors, it is swapcontext(3), which asks the kernel each time
 * (500 ns).
 *
 * Threads: a stack and its coroutines belong to the thread that resumes them.
 */
#ifndef BENCH_COROUTINE_H
#define BENCH_COROUTINE_H

#include <stdbool.h>
#include <stddef.h>

#if defined(BENCH_UCONTEXT)
#include <ucontext.h>
#endif

/* Where somebody was left. */
struct coroutine_context {
    char *sp; /* the end of what it has on its stack */
#if defined(BENCH_UCONTEXT)
    ucontext_t registers;
#endif
};

/** What the coroutines of a thread run on. */
struct coroutine_stack {
    char *map; /* begins with the guard: a stack grows towards it */
    size_t map_bytes;
    char *bottom; /* lowest address in use */
    char *top;
    struct coroutine *running;        /* NULL: the thread itself */
    struct coroutine_context resumer; /* the thread, while a coroutine runs */

    /* for the sanitizers: the thread as a fibre */
    void *fibre;
    void *fake_stack;
    const void *thread_bottom;
    size_t thread_bytes;
};

enum coroutine_state {
    COROUTINE_NEW = 0,
    COROUTINE_RUNNING,
    COROUTINE_SUSPENDED,
    COROUTINE_ENDED,
};

struct coroutine {
    struct coroutine_stack *stack;
    void (*main)(void *user);
    void *user;
    enum coroutine_state state;
    struct coroutine_context context; /* while suspended */
    char *kept;                       /* what was on the stack; reused */
    size_t kept_bytes;
    size_t kept_capacity;

    /* for the sanitizers */
    void *fibre;
    void *fake_stack;
};

/** @param bytes  usable; only what is touched costs memory. @return 0 or -errno */
int coroutine_stack_init(struct coroutine_stack *stack, size_t bytes);
/** Fine on a zeroed one. Its coroutines must not be resumed any more. */
void coroutine_stack_release(struct coroutine_stack *stack);

/** `main(user)` begins with the first coroutine_resume and ends the coroutine by returning. */
void coroutine_init(struct coroutine *coroutine, struct coroutine_stack *stack,
                    void (*main)(void *user), void *user);
/** In any state but running. One that is suspended is forgotten: nothing of it runs again. */
void coroutine_release(struct coroutine *coroutine);

/**
 * Run it until it suspends or ends. Not from inside a coroutine of the same stack, and not when
 * it has ended: misuse is an assert.
 * @return 0; -ENOMEM: it suspended and could not be kept; it has ended then
 */
int coroutine_resume(struct coroutine *coroutine);

/** From inside: back to coroutine_resume; returns when it is resumed. */
void coroutine_suspend(struct coroutine *coroutine);

static inline bool coroutine_has_ended(const struct coroutine *coroutine)
{
    return coroutine->state == COROUTINE_ENDED;
}

#endif
