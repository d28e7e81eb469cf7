#include "trial_memory.h"

#include "workload.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_BYTES 4096u

static uint64_t text_bytes(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

static uint64_t strings_bytes(const struct workload *workload)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < workload->count; i++) {
        const struct workload_target *target = &workload->targets[i];
        bytes += text_bytes(target->url) + text_bytes(target->warmup_url) +
                 text_bytes(target->save_name);
    }
    return bytes;
}

static uint64_t put_text(char *base, uint64_t *used, const char *text)
{
    uint64_t bytes = text_bytes(text);
    uint64_t offset = *used;

    if (text == NULL) {
        return 0;
    }
    memcpy(base + offset, text, bytes);
    *used += bytes;
    return offset;
}

static void put_targets(struct trial_header *header, const struct workload *workload)
{
    char *base = (char *)header;
    struct trial_target *targets = (struct trial_target *)(base + header->targets_offset);
    uint64_t used = header->targets_offset + workload->count * sizeof targets[0];

    for (size_t i = 0; i < workload->count; i++) {
        const struct workload_target *from = &workload->targets[i];
        targets[i] = (struct trial_target){
            .url_offset = put_text(base, &used, from->url),
            .warmup_url_offset = put_text(base, &used, from->warmup_url),
            .save_name_offset = put_text(base, &used, from->save_name),
            .expected_bytes = from->bytes,
            .expected_xxh3 = from->xxh3,
            .flags = from->expected ? TRANSFER_EXPECT_BODY : 0,
        };
    }
}

static void put_header(struct trial_header *header, const struct trial_spec *spec)
{
    header->magic = TRIAL_MAGIC;
    header->targets_count = spec->workload->count;
    header->count = spec->count;
    header->warmup_count = spec->warmup_count;
    header->timeout_ns = spec->timeout_ns;
    header->body_bytes_max = spec->body_bytes_max;
    header->job_flags = spec->job_flags;
    header->concurrency = spec->concurrency;
    header->loops = spec->loops;
    header->attempts_max = spec->attempts_max;
    header->redirects_max = spec->redirects_max;
    header->output_dir_fd = spec->output_dir_fd;
    header->count_syscalls = spec->count_syscalls;
    (void)snprintf(header->run_mark, sizeof header->run_mark, "%s", spec->run_mark);
    (void)snprintf(header->backend_name, sizeof header->backend_name, "%s", spec->backend_name);
    (void)snprintf(header->backend_path, sizeof header->backend_path, "%s",
                   spec->backend_path == NULL ? "" : spec->backend_path);
}

int trial_memory_create(struct trial_memory *memory, const struct trial_spec *spec)
{
    uint64_t targets_offset = sizeof(struct trial_header);
    uint64_t used = targets_offset + spec->workload->count * sizeof(struct trial_target) +
                    strings_bytes(spec->workload);
    uint64_t slots_offset = (used + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    uint64_t total_bytes = slots_offset + spec->count * sizeof(struct transfer_result);
    int error;

    *memory = (struct trial_memory){.fd = memfd_create("bench-trial", MFD_CLOEXEC)};
    if (memory->fd < 0) {
        return -errno;
    }
    if (ftruncate(memory->fd, (off_t)total_bytes) != 0) {
        error = -errno;
        goto out;
    }
    void *base = mmap(NULL, total_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory->fd, 0);
    if (base == MAP_FAILED) {
        error = -errno;
        goto out;
    }
    memory->header = base;
    memory->header->total_bytes = total_bytes;
    memory->header->targets_offset = targets_offset;
    memory->header->slots_offset = slots_offset;
    put_header(memory->header, spec);
    put_targets(memory->header, spec->workload);
    return 0;
out:
    (void)close(memory->fd);
    memory->fd = -1;
    return error;
}

int trial_memory_attach(struct trial_memory *memory, int fd)
{
    struct stat info;

    *memory = (struct trial_memory){.fd = fd};
    if (fstat(fd, &info) != 0 || (size_t)info.st_size < sizeof(struct trial_header)) {
        return -EINVAL;
    }
    /* Populated now: the first touch of a slot must not be a page fault in the timed call. */
    void *base =
        mmap(NULL, (size_t)info.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (base == MAP_FAILED) {
        return -errno;
    }
    memory->header = base;
    if (memory->header->magic != TRIAL_MAGIC ||
        memory->header->total_bytes != (uint64_t)info.st_size) {
        trial_memory_release(memory);
        return -EINVAL;
    }
    return 0;
}

void trial_memory_release(struct trial_memory *memory)
{
    if (memory->header != NULL) {
        (void)munmap(memory->header, memory->header->total_bytes);
        memory->header = NULL;
    }
    if (memory->fd >= 0) {
        (void)close(memory->fd);
        memory->fd = -1;
    }
}

struct transfer_result *trial_memory_slots(const struct trial_memory *memory)
{
    return (struct transfer_result *)((char *)memory->header + memory->header->slots_offset);
}

const struct trial_target *trial_memory_targets(const struct trial_memory *memory)
{
    return (const struct trial_target *)((const char *)memory->header +
                                         memory->header->targets_offset);
}

const char *trial_memory_text(const struct trial_memory *memory, uint64_t offset)
{
    return offset == 0 ? NULL : (const char *)memory->header + offset;
}
