#include "registry.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define BACKENDS(X)                                                                                \
    X(curl_sequential)                                                                             \
    X(curl_threads)                                                                                \
    X(curl_processes)                                                                              \
    X(curl_multi)                                                                                  \
    X(curl_libuv)                                                                                  \
    X(curl_io_uring)                                                                               \
    X(raw_sequential)                                                                              \
    X(raw_threads)                                                                                 \
    X(raw_epoll)                                                                                   \
    X(raw_libuv)                                                                                   \
    X(raw_coroutine)                                                                               \
    X(raw_io_uring)                                                                                \
    X(dns_sequential)                                                                              \
    X(dns_threads)                                                                                 \
    X(dns_epoll)                                                                                   \
    X(dns_libuv)                                                                                   \
    X(dns_io_uring)                                                                                \
    X(dns_uv_getaddrinfo)                                                                          \
    X(null)

#define DECLARE(name) extern const struct bench_backend backend_##name;
#define LIST(name) &backend_##name,

BACKENDS(DECLARE)

const struct bench_backend *const backend_registry[] = {BACKENDS(LIST)};
const size_t backend_registry_count = sizeof backend_registry / sizeof backend_registry[0];

const struct bench_backend *backend_find(const char *name)
{
    for (size_t i = 0; i < backend_registry_count; i++) {
        if (strcmp(backend_registry[i]->name, name) == 0) {
            return backend_registry[i];
        }
    }
    return NULL;
}

/* @return NULL when it fits, else what does not */
static const char *misfit(const struct bench_backend *backend, char *text, size_t text_bytes)
{
    if (backend == NULL) {
        return "bench_backend_v1() returned NULL";
    }
    if (backend->magic != BENCH_BACKEND_MAGIC) {
        (void)snprintf(text, text_bytes, "magic 0x%08x, wanted 0x%08x", backend->magic,
                       BENCH_BACKEND_MAGIC);
        return text;
    }
    if (backend->abi_major != BENCH_ABI_MAJOR || backend->abi_minor > BENCH_ABI_MINOR) {
        (void)snprintf(text, text_bytes, "ABI %u.%u, wanted %u.0 to %u.%u", backend->abi_major,
                       backend->abi_minor, BENCH_ABI_MAJOR, BENCH_ABI_MAJOR, BENCH_ABI_MINOR);
        return text;
    }
    if (backend->struct_size < sizeof(struct bench_backend)) {
        (void)snprintf(text, text_bytes, "struct_size %u, wanted at least %zu",
                       backend->struct_size, sizeof(struct bench_backend));
        return text;
    }
    if (backend->name == NULL || backend->engine == NULL || backend->model == NULL ||
        backend->waits_in == NULL || backend->summary == NULL || backend->download_many == NULL) {
        return "a required field (name, engine, model, waits_in, summary, download_many) is NULL";
    }
    return NULL;
}

const struct bench_backend *backend_load(const char *path, char reason[BACKEND_LOAD_REASON_BYTES])
{
    const struct bench_backend *(*entry)(void) = NULL;
    char text[160];

    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module == NULL) {
        (void)snprintf(reason, BACKEND_LOAD_REASON_BYTES, "cannot load: %s", dlerror());
        return NULL;
    }
    /* ISO C has no conversion from an object to a function pointer; POSIX dlsym(3) has. */
    *(void **)&entry = dlsym(module, "bench_backend_v1");
    if (entry == NULL) {
        (void)snprintf(reason, BACKEND_LOAD_REASON_BYTES,
                       "%s: no function bench_backend_v1: not a backend", path);
        (void)dlclose(module);
        return NULL;
    }
    const struct bench_backend *backend = entry();
    const char *problem = misfit(backend, text, sizeof text);
    if (problem != NULL) {
        (void)snprintf(reason, BACKEND_LOAD_REASON_BYTES, "%s: does not fit: %s", path, problem);
        (void)dlclose(module);
        return NULL;
    }
    return backend;
}
