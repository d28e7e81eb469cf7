/** The built-in backends, and plug-ins loaded from a file. */
#ifndef BENCH_REGISTRY_H
#define BENCH_REGISTRY_H

#include "backend.h"

/** Built-ins in the order of every listing. */
extern const struct bench_backend *const backend_registry[];
extern const size_t backend_registry_count;

/** @return NULL when there is no built-in of that name */
const struct bench_backend *backend_find(const char *name);

#define BACKEND_LOAD_REASON_BYTES 512

/**
 * Load a plug-in and check that it fits (see backend.h). It stays loaded for the life of the
 * process.
 * @param reason  on failure: file, what was found and what is wanted, in one line
 * @return NULL on failure
 */
const struct bench_backend *backend_load(const char *path, char reason[BACKEND_LOAD_REASON_BYTES]);

#endif
