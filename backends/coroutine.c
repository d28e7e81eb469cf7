#include "coroutine.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__has_feature)
#define HAS_FEATURE(feature) __has_feature(feature)
#else
#define HAS_FEATURE(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
#define WITH_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
#define WITH_TSAN 1
#include <sanitizer/tsan_interface.h>
#endif

/* ---- the switch: for each way, how to begin a coroutine and how to change sides ---- */

static void coroutine_main(void *user);

/* Not left to the compiler: a function of its own would begin for ThreadSanitizer on the one fibre
 * and end on the other. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

#if !defined(BENCH_UCONTEXT)

/* coroutine_switch_*.S */
void coroutine_switch(char **leaving_sp, char *entering_sp);
void coroutine_enter(char **leaving_sp, char *top, void (*main)(void *user), void *user);

static inline void context_prepare(struct coroutine *coroutine)
{
    (void)coroutine; /* there is nothing on its stack that coroutine_enter would look for */
}

ALWAYS_INLINE void context_begin(struct coroutine *coroutine)
{
    struct coroutine_stack *stack = coroutine->stack;

    coroutine_enter(&stack->resumer.sp, stack->top, coroutine_main, coroutine);
}

ALWAYS_INLINE void context_switch(struct coroutine_context *from, struct coroutine_context *to)
{
    coroutine_switch(&from->sp, to->sp);
}

#else

#define CALL_BYTES 256 /* what the call of swapcontext may have on the stack that matters */

/* makecontext passes ints. */
static void ucontext_main(unsigned int high, unsigned int low)
{
    coroutine_main((void *)(uintptr_t)((uint64_t)high << 32 | low));
}

/* makecontext writes to the stack: directly before the coroutine begins. */
static void context_prepare(struct coroutine *coroutine)
{
    const struct coroutine_stack *stack = coroutine->stack;
    ucontext_t *registers = &coroutine->context.registers;
    uint64_t user = (uintptr_t)coroutine;

    (void)getcontext(registers); /* cannot fail: glibc only asks for the signal mask */
    registers->uc_stack.ss_sp = stack->bottom;
    registers->uc_stack.ss_size = (size_t)(stack->top - stack->bottom);
    registers->uc_link = NULL;
    makecontext(registers, (void (*)(void))ucontext_main, 2, (unsigned int)(user >> 32),
                (unsigned int)user);
}

ALWAYS_INLINE void context_begin(struct coroutine *coroutine)
{
    (void)swapcontext(&coroutine->stack->resumer.registers, &coroutine->context.registers);
}

/* Where a called function begins: below everything that its caller holds. */
static __attribute__((noinline)) char *stack_depth(void)
{
    return (char *)__builtin_frame_address(0) - CALL_BYTES;
}

ALWAYS_INLINE void context_switch(struct coroutine_context *from, struct coroutine_context *to)
{
    from->sp = stack_depth();
    (void)swapcontext(&from->registers, &to->registers);
}

#endif

/* ---- what the sanitizers have to be told, directly before and after each switch ---- */

ALWAYS_INLINE void enter_fibre(void *fibre)
{
#if defined(WITH_TSAN)
    __tsan_switch_to_fiber(fibre, 0);
#endif
    (void)fibre;
}

static inline void leave_thread(struct coroutine *coroutine)
{
#if defined(WITH_ASAN)
    const struct coroutine_stack *stack = coroutine->stack;
    __sanitizer_start_switch_fiber(&coroutine->stack->fake_stack, stack->bottom,
                                   (size_t)(stack->top - stack->bottom));
#endif
    (void)coroutine;
}

static inline void arrive_in_coroutine(struct coroutine *coroutine)
{
#if defined(WITH_ASAN)
    struct coroutine_stack *stack = coroutine->stack;
    __sanitizer_finish_switch_fiber(coroutine->fake_stack, &stack->thread_bottom,
                                    &stack->thread_bytes);
#endif
    (void)coroutine;
}

static inline void leave_coroutine(struct coroutine *coroutine)
{
#if defined(WITH_ASAN)
    const struct coroutine_stack *stack = coroutine->stack;
    bool ends = coroutine->state == COROUTINE_ENDED;
    __sanitizer_start_switch_fiber(ends ? NULL : &coroutine->fake_stack, stack->thread_bottom,
                                   stack->thread_bytes);
#endif
    (void)coroutine;
}

static inline void arrive_in_thread(struct coroutine *coroutine)
{
#if defined(WITH_ASAN)
    __sanitizer_finish_switch_fiber(coroutine->stack->fake_stack, NULL, NULL);
#endif
    (void)coroutine;
}

/* The red zones of frames that are copied away would be found by the next one to run here. */
static void forget_red_zones(const char *sp, size_t bytes)
{
#if defined(WITH_ASAN)
    __asan_unpoison_memory_region(sp, bytes);
#endif
    (void)sp, (void)bytes;
}

/* ---- the stack ---- */

int coroutine_stack_init(struct coroutine_stack *stack, size_t bytes)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t usable_bytes = (bytes + page_bytes - 1) / page_bytes * page_bytes;
    size_t map_bytes = page_bytes + usable_bytes;

    *stack = (struct coroutine_stack){0};
    char *map = mmap(NULL, map_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (map == MAP_FAILED) {
        return -errno;
    }
    if (mprotect(map, page_bytes, PROT_NONE) < 0) {
        int result = -errno;
        (void)munmap(map, map_bytes);
        return result;
    }
    stack->map = map;
    stack->map_bytes = map_bytes;
    stack->bottom = map + page_bytes;
    stack->top = map + map_bytes;
#if defined(WITH_TSAN)
    stack->fibre = __tsan_get_current_fiber();
#endif
    return 0;
}

void coroutine_stack_release(struct coroutine_stack *stack)
{
    assert(stack->running == NULL);
    if (stack->map != NULL) {
        forget_red_zones(stack->bottom, (size_t)(stack->top - stack->bottom));
        (void)munmap(stack->map, stack->map_bytes);
    }
    *stack = (struct coroutine_stack){0};
}

/* ---- coroutines ---- */

void coroutine_init(struct coroutine *coroutine, struct coroutine_stack *stack,
                    void (*main)(void *user), void *user)
{
    *coroutine = (struct coroutine){.stack = stack, .main = main, .user = user};
#if defined(WITH_TSAN)
    coroutine->fibre = __tsan_create_fiber(0);
#endif
}

void coroutine_release(struct coroutine *coroutine)
{
    assert(coroutine->state != COROUTINE_RUNNING);
#if defined(WITH_TSAN)
    if (coroutine->fibre != NULL) {
        __tsan_destroy_fiber(coroutine->fibre);
    }
#endif
    free(coroutine->kept);
    *coroutine = (struct coroutine){.state = COROUTINE_ENDED};
}

/* The first function on the stack; there is none to return to. */
static void coroutine_main(void *user)
{
    struct coroutine *coroutine = user;
    struct coroutine_stack *stack = coroutine->stack;

    arrive_in_coroutine(coroutine);
    coroutine->main(coroutine->user);
    coroutine->state = COROUTINE_ENDED;
    leave_coroutine(coroutine);
    enter_fibre(stack->fibre);
    context_switch(&coroutine->context, &stack->resumer);
    abort(); /* an ended coroutine was resumed */
}

/* Copy what is on the stack away. @return 0 or -ENOMEM */
static int coroutine_keep(struct coroutine *coroutine)
{
    const char *sp = coroutine->context.sp;
    size_t bytes = (size_t)(coroutine->stack->top - sp);

    if (bytes > coroutine->kept_capacity) {
        free(coroutine->kept); /* no realloc, which would copy what is not needed any more */
        coroutine->kept_capacity = 0;
        coroutine->kept = malloc(bytes);
        if (coroutine->kept == NULL) {
            return -ENOMEM;
        }
        coroutine->kept_capacity = bytes;
    }
    forget_red_zones(sp, bytes);
    memcpy(coroutine->kept, sp, bytes);
    coroutine->kept_bytes = bytes;
    return 0;
}

int coroutine_resume(struct coroutine *coroutine)
{
    struct coroutine_stack *stack = coroutine->stack;
    bool begins = coroutine->state == COROUTINE_NEW;
    int result = 0;

    assert(begins || coroutine->state == COROUTINE_SUSPENDED);
    assert(stack->running == NULL);
    if (begins) {
        context_prepare(coroutine);
    } else {
        memcpy(stack->top - coroutine->kept_bytes, coroutine->kept, coroutine->kept_bytes);
    }
    stack->running = coroutine;
    coroutine->state = COROUTINE_RUNNING;
    leave_thread(coroutine);
    enter_fibre(coroutine->fibre);
    if (begins) {
        context_begin(coroutine);
    } else {
        context_switch(&stack->resumer, &coroutine->context);
    }
    arrive_in_thread(coroutine);
    stack->running = NULL;
    if (coroutine->state == COROUTINE_SUSPENDED) {
        result = coroutine_keep(coroutine);
        coroutine->state = result < 0 ? COROUTINE_ENDED : COROUTINE_SUSPENDED;
    }
    return result;
}

void coroutine_suspend(struct coroutine *coroutine)
{
    struct coroutine_stack *stack = coroutine->stack;

    assert(stack->running == coroutine);
    coroutine->state = COROUTINE_SUSPENDED;
    leave_coroutine(coroutine);
    enter_fibre(stack->fibre);
    context_switch(&coroutine->context, &stack->resumer);
    arrive_in_coroutine(coroutine);
}
