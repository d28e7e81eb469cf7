/* The one exported function of a loadable module; BENCH_MODULE names the built-in it carries. */
#include "backend.h"

extern const struct bench_backend BENCH_MODULE;

const struct bench_backend *bench_backend_v1(void)
{
    return &BENCH_MODULE;
}
