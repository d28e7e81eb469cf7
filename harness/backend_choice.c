/* Which backends a run compares: plan_choose_backends of plan.h. */
#include "plan.h"

#include "exit_code.h"
#include "log.h"

#include "backends/registry.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool already_chosen(const struct plan *plan, const char *label)
{
    for (size_t i = 0; i < plan->backends_count; i++) {
        if (strcmp(plan->backends[i].label, label) == 0) {
            return true;
        }
    }
    return false;
}

/* Why it cannot run here, or NULL. */
static const char *unavailable(const struct bench_backend *backend, char reason[BENCH_REASON_BYTES])
{
    if (backend->unavailable != NULL) {
        return backend->unavailable;
    }
    reason[0] = '\0';
    return backend->probe != NULL && backend->probe(reason) != 0 ? reason : NULL;
}

/* Skipped with a note, never silently. @return 0 or EXIT_USAGE_ERROR */
static int add(struct plan *plan, const char *label, const struct bench_backend *backend,
               const char *path)
{
    char reason[BENCH_REASON_BYTES];
    const char *why = unavailable(backend, reason);

    if (why != NULL) {
        log_error("%s is skipped: %s", label, why);
        return 0;
    }
    if (plan->backends_count == PLAN_BACKENDS_MAX) {
        log_error("--backend: more than %d backends", PLAN_BACKENDS_MAX);
        return EXIT_USAGE_ERROR;
    }
    plan->backends[plan->backends_count++] =
        (struct plan_backend){.label = label, .backend = backend, .path = path};
    return 0;
}

/* Why it cannot run the workload, or NULL. The null backend does nothing, of anything. */
static const char *misfit(const struct options *options, const struct bench_backend *backend)
{
    bool looks_up = (backend->caps & BENCH_CAP_DNS) != 0;
    bool asks_system = options->dns != NULL && options->dns[0] == '\0';

    if ((backend->caps & BENCH_CAP_NO_TRANSFERS) != 0) {
        return NULL;
    }
    if (looks_up != (options->workload == WORKLOAD_DNS)) {
        return looks_up ? "looks up names, and downloads nothing" : "looks up no names";
    }
    if ((backend->caps & BENCH_CAP_SYSTEM_DNS) != 0 && !asks_system) {
        return "asks this machine's resolvers only (--dns system)";
    }
    return NULL;
}

static void list_known(const struct options *options, char *out, size_t out_bytes)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < backend_registry_count && used < out_bytes; i++) {
        if (misfit(options, backend_registry[i]) == NULL) {
            used += (size_t)snprintf(out + used, out_bytes - used, "%s%s", used > 0 ? ", " : "",
                                     backend_registry[i]->name);
        }
    }
}

static int add_matching(struct plan *plan, const char *pattern)
{
    bool matched = false;
    const char *problem = NULL; /* of one that is there, but for another workload */
    bool is_glob = strpbrk(pattern, "*?[") != NULL;

    for (size_t i = 0; i < backend_registry_count; i++) {
        const struct bench_backend *backend = backend_registry[i];
        bool wanted =
            is_glob ? fnmatch(pattern, backend->name, 0) == 0
                    : strcmp(pattern, backend->name) == 0 || strcmp(pattern, backend->model) == 0;
        if (!wanted) {
            continue;
        }
        if (misfit(plan->options, backend) != NULL) {
            problem = misfit(plan->options, backend);
            continue;
        }
        matched = true;
        if (!already_chosen(plan, backend->name)) {
            int error = add(plan, backend->name, backend, NULL);
            if (error != 0) {
                return error;
            }
        }
    }
    if (!matched) {
        char known[512];
        list_known(plan->options, known, sizeof known);
        log_error("--backend '%s': %s; there are %s, or label=path.so", pattern,
                  problem == NULL ? "unknown" : problem, known);
        return EXIT_USAGE_ERROR;
    }
    return 0;
}

static int add_file(struct plan *plan, const char *label, const char *path)
{
    char reason[BACKEND_LOAD_REASON_BYTES];
    char *absolute = realpath(path, NULL);
    const struct bench_backend *backend = NULL;

    if (absolute == NULL) {
        log_error("--backend '%s': no such file", path);
        return EXIT_USAGE_ERROR;
    }
    backend = backend_load(absolute, reason);
    if (backend == NULL) {
        log_error("--backend %s", reason);
        free(absolute);
        return EXIT_USAGE_ERROR;
    }
    if (label == NULL) {
        label = backend->name;
    }
    const char *problem = misfit(plan->options, backend);
    if (problem != NULL) {
        log_error("--backend '%s': %s", path, problem);
        free(absolute);
        return EXIT_USAGE_ERROR;
    }
    if (label[0] == '\0' || already_chosen(plan, label)) {
        log_error("--backend '%s': two backends are called '%s'; use label=path.so", path, label);
        free(absolute);
        return EXIT_USAGE_ERROR;
    }
    return add(plan, label, backend, absolute); /* the path lives as long as the module */
}

static int add_item(struct plan *plan, char *item)
{
    char *equals = strchr(item, '=');

    if (equals != NULL) {
        *equals = '\0';
        return add_file(plan, item, equals + 1);
    }
    return strchr(item, '/') != NULL ? add_file(plan, NULL, item) : add_matching(plan, item);
}

static bool has_loops(const struct options *options)
{
    for (size_t i = 0; i < options->loops.count; i++) {
        if (options->loops.values[i] > 1) {
            return true;
        }
    }
    return false;
}

static bool is_default(const struct options *options, const struct bench_backend *backend)
{
    const char *const *names = options->default_backends;
    bool named = names == NULL;

    for (size_t i = 0; !named && names[i] != NULL; i++) {
        named = strcmp(names[i], backend->name) == 0;
    }
    return named && (backend->caps & BENCH_CAP_NO_TRANSFERS) == 0 &&
           misfit(options, backend) == NULL &&
           (!has_loops(options) || (backend->caps & BENCH_CAP_LOOPS) != 0);
}

static int add_defaults(struct plan *plan)
{
    for (size_t i = 0; i < backend_registry_count; i++) {
        const struct bench_backend *backend = backend_registry[i];
        if (is_default(plan->options, backend)) {
            (void)add(plan, backend->name, backend, NULL);
        }
    }
    return 0;
}

static int choose_reference(struct plan *plan)
{
    const char *name = plan->options->reference;

    for (size_t i = 0; name != NULL && i < plan->backends_count; i++) {
        if (strcmp(plan->backends[i].label, name) == 0) {
            plan->reference = i;
            return 0;
        }
    }
    if (name != NULL) {
        log_error("--reference '%s': not among the backends of this run", name);
        return EXIT_USAGE_ERROR;
    }
    return 0;
}

static int check_caps(const struct plan *plan)
{
    const struct option_numbers *loops = &plan->options->loops;

    for (size_t i = 0; i < loops->count; i++) {
        for (size_t b = 0; b < plan->backends_count; b++) {
            const struct bench_backend *backend = plan->backends[b].backend;
            if (loops->values[i] > 1 && (backend->caps & BENCH_CAP_LOOPS) == 0) {
                log_error("--loops %u: %s runs one loop only", loops->values[i],
                          plan->backends[b].label);
                return EXIT_USAGE_ERROR;
            }
        }
    }
    return 0;
}

int plan_choose_backends(struct plan *plan, const struct options *options)
{
    int error = 0;

    *plan = (struct plan){.options = options};
    if (options->backends.count == 0) {
        error = add_defaults(plan);
    }
    for (size_t i = 0; i < options->backends.count && error == 0; i++) {
        error = add_item(plan, (char *)options->backends.texts[i]);
    }
    if (error != 0) {
        return error;
    }
    if (plan->backends_count == 0) {
        log_error("none of the chosen backends can run here");
        return EXIT_UNAVAILABLE;
    }
    error = choose_reference(plan);
    return error != 0 ? error : check_caps(plan);
}
