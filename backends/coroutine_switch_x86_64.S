/*
 * Changing stacks on x86-64 (System V ABI): what a function must preserve, section 3.2.1, goes on
 * the stack that is left, and comes from the stack that is entered.
 */
    .text

/* void coroutine_switch(char **leaving_sp, char *entering_sp) */
    .globl coroutine_switch
    .hidden coroutine_switch
    .type coroutine_switch, @function
    .p2align 4
coroutine_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size coroutine_switch, . - coroutine_switch

/* void coroutine_enter(char **leaving_sp, char *top, void (*main)(void *user), void *user)
 * `main` does not return. Whoever walks the stack (a debugger) finds its end here. */
    .globl coroutine_enter
    .hidden coroutine_enter
    .type coroutine_enter, @function
    .p2align 4
coroutine_enter:
    .cfi_startproc
    .cfi_undefined rip
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    xorl %ebp, %ebp
    movq %rcx, %rdi
    call *%rdx
    ud2
    .cfi_endproc
    .size coroutine_enter, . - coroutine_enter

    .section .note.GNU-stack, "", @progbits
