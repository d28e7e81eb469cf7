/*
 * Changing stacks on AArch64 (AAPCS64, section 6.1): x19 to x30 and the low halves of v8 to v15
 * go on the stack that is left, and come from the stack that is entered; so does FPCR, which
 * holds the rounding mode.
 */
    .text

/* sp is 16-byte aligned whenever it is used: 12 + 8 registers, FPCR and one word of nothing */
#define FRAME_BYTES 176

.macro save_frame
    stp x29, x30, [sp, #-FRAME_BYTES]!
    stp x27, x28, [sp, #16]
    stp x25, x26, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x21, x22, [sp, #64]
    stp x19, x20, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mrs x9, fpcr
    str x9, [sp, #160]
    mov x9, sp
    str x9, [x0]
.endm

/* void coroutine_switch(char **leaving_sp, char *entering_sp) */
    .globl coroutine_switch
    .hidden coroutine_switch
    .type coroutine_switch, %function
    .p2align 4
coroutine_switch:
    save_frame
    mov sp, x1
    ldr x9, [sp, #160]
    msr fpcr, x9
    ldp d14, d15, [sp, #144]
    ldp d12, d13, [sp, #128]
    ldp d10, d11, [sp, #112]
    ldp d8, d9, [sp, #96]
    ldp x19, x20, [sp, #80]
    ldp x21, x22, [sp, #64]
    ldp x23, x24, [sp, #48]
    ldp x25, x26, [sp, #32]
    ldp x27, x28, [sp, #16]
    ldp x29, x30, [sp], #FRAME_BYTES
    ret
    .size coroutine_switch, . - coroutine_switch

/* void coroutine_enter(char **leaving_sp, char *top, void (*main)(void *user), void *user)
 * `main` does not return. Whoever walks the stack (a debugger) finds its end here. */
    .globl coroutine_enter
    .hidden coroutine_enter
    .type coroutine_enter, %function
    .p2align 4
coroutine_enter:
    .cfi_startproc
    .cfi_undefined x30
    save_frame
    mov sp, x1
    mov x29, xzr
    mov x30, xzr
    mov x0, x3
    blr x2
    brk #1
    .cfi_endproc
    .size coroutine_enter, . - coroutine_enter

    .section .note.GNU-stack, "", %progbits
