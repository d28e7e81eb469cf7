/* A plug-in that does not fit this host; UNFIT_KIND chooses why. */
#include "backends/backend.h"

static int unfit_download_many(const struct download_job *job, struct transfer_result *results)
{
    (void)job;
    (void)results;
    return 0;
}

static const struct bench_backend backend_unfit = {
    .magic = UNFIT_KIND == 1 ? 0x12345678u : BENCH_BACKEND_MAGIC,
    .abi_major = UNFIT_KIND == 2 ? BENCH_ABI_MAJOR + 1 : BENCH_ABI_MAJOR,
    .abi_minor = UNFIT_KIND == 3 ? BENCH_ABI_MINOR + 1 : BENCH_ABI_MINOR,
    .struct_size = UNFIT_KIND == 4 ? 16 : sizeof(struct bench_backend),
    .name = "unfit",
    .engine = "raw",
    .model = UNFIT_KIND == 5 ? NULL : "unfit",
    .waits_in = "nothing",
    .summary = "does not fit",
    .download_many = unfit_download_many,
};

const struct bench_backend *bench_backend_v1(void)
{
    return &backend_unfit;
}
