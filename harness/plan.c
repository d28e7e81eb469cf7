#include "plan.h"

#include "bound.h"
#include "exit_code.h"
#include "expectation.h"
#include "interrupt.h"
#include "log.h"
#include "usage.h"

#include "backends/descriptors.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of our own server the addresses are known. */
static int build_lookups(struct plan_source *source, const struct options *options)
{
    bool own = source->server.pid != 0;
    struct expectation expectation;

    int error = workload_of_names(&source->workloads[0], own ? source->server.dns : options->dns,
                                  options->transfers);
    if (error == 0 && own) {
        expectation_init(&expectation, options, source->delay);
        expectation_fill_in_addresses(&expectation, &source->workloads[0]);
    }
    return error;
}

/* A pipe or a terminal may be silent for as long as it likes. */
static int read_list(struct workload *workload, const char *path)
{
    interrupt_act();
    int error = workload_from_file(workload, path);
    interrupt_hold();
    return error;
}

static int build_workloads(struct plan_source *source, const struct options *options)
{
    const char *origin = source->server.origin;
    bool spare = source->server.pid != 0;

    source->workloads = calloc(options->sizes.count, sizeof source->workloads[0]);
    if (source->workloads == NULL) {
        return -ENOMEM;
    }
    if (options->workload == WORKLOAD_DNS) {
        return build_lookups(source, options);
    }
    for (size_t i = 0; i < options->sizes.count; i++) {
        struct workload *workload = &source->workloads[i];
        int error;
        if (options->urls != NULL) {
            error = read_list(workload, options->urls);
        } else if (source->server.has_manifest) {
            error = workload_from_manifest(workload, origin, &source->server.manifest,
                                           options->all_flags, options->sizes.bytes[i], spare);
        } else {
            error = workload_from_pattern(workload, options->server, options->all_flags);
        }
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

/* One server per delay, so that a sweep over delays interleaves them in every round. */
static int start_sources(struct plan *plan)
{
    const struct options *options = plan->options;
    bool own = options->server == NULL && options->urls == NULL && options->dns == NULL;
    size_t count = own ? options->delays.count : 1;

    plan->sources = calloc(count, sizeof plan->sources[0]);
    if (plan->sources == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        struct plan_source *source = &plan->sources[plan->sources_count++];
        source->delay = own ? options->delays.texts[i] : "";
        int error = 0;
        if (own) {
            error = server_start(&source->server, options, &plan->placement, source->delay);
        } else if (options->server != NULL) {
            error = server_adopt(&source->server, options->server);
        }
        if (error == 0) {
            error = build_workloads(source, options);
        }
        if (error != 0) {
            return error;
        }
    }
    return 0;
}

static void warn(struct plan *plan, const char *warning)
{
    plan->warnings[plan->warnings_count++] = warning;
    log_warn("%s", warning);
}

static void say_what_is_compared(struct plan *plan)
{
    if (!plan->sources[0].workloads[0].verified) {
        warn(plan,
             plan->options->workload == WORKLOAD_DNS
                 ? "the zone is not known: answers are compared between backends instead"
                 : "the server has no manifest: bodies are compared between backends instead");
    }
    if (plan->sources[0].server.admin_url == NULL) {
        warn(plan, "the server has no counters to ask: what backends claim cannot be "
                   "cross-checked");
    }
}

/* The delays that our own server will draw, scheduled at best. */
static double bound_of_cell(const struct plan_cell *cell, const struct options *options)
{
    struct expectation expectation;
    double bound_s = NAN;

    if (cell->source->server.pid == 0) {
        return NAN;
    }
    uint64_t *delays_ns = calloc(cell->transfers, sizeof delays_ns[0]);
    if (delays_ns != NULL) {
        expectation_init(&expectation, options, cell->source->delay);
        for (uint64_t i = 0; i < cell->transfers; i++) {
            const struct workload_target *target =
                &cell->workload->targets[i % cell->workload->count];
            delays_ns[i] = options->workload == WORKLOAD_DNS
                               ? expectation_lookup_delay_ns(&expectation, target->path)
                               : expectation_delay_ns(&expectation, target->path, i);
        }
        uint64_t bound_ns = bound_of_delays_ns(delays_ns, cell->transfers, cell->concurrency);
        bound_s = bound_ns == 0 || bound_ns == UINT64_MAX ? NAN : (double)bound_ns / 1e9;
    }
    free(delays_ns);
    return bound_s;
}

/* All backends at one point of the sweep lie next to each other. */
static int add_point(struct plan *plan, const struct plan_cell *point)
{
    size_t first = plan->cells_count;
    double bound_s = bound_of_cell(point, plan->options);

    for (size_t i = 0; i < plan->point_cells; i++) {
        bool is_copy = i == plan->backends_count;
        struct plan_cell *cell = &plan->cells[plan->cells_count++];
        *cell = *point;
        cell->is_copy = is_copy;
        cell->backend = &plan->backends[is_copy ? plan->reference : i];
        if (asprintf(&cell->label, "%s%s", cell->backend->label, is_copy ? "#2" : "") < 0) {
            cell->label = NULL;
            return -ENOMEM;
        }
        bool waits = (cell->backend->backend->caps & BENCH_CAP_NO_TRANSFERS) == 0;
        cell->bound_s = waits ? bound_s : NAN;
        cell->reference = first + plan->reference;
    }
    return 0;
}

static int lay_out_cells(struct plan *plan)
{
    const struct options *options = plan->options;
    size_t points = plan->sources_count * options->sizes.count * options->concurrency.count *
                    options->loops.count;

    int error = 0;

    plan->point_cells = plan->backends_count + 1;
    plan->cells = calloc(points * plan->point_cells, sizeof plan->cells[0]);
    if (plan->cells == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < points && error == 0; i++) {
        size_t rest = i;
        struct plan_cell point = {.backend = NULL};
        point.loops = options->loops.values[rest % options->loops.count];
        rest /= options->loops.count;
        point.concurrency = options->concurrency.values[rest % options->concurrency.count];
        rest /= options->concurrency.count;
        size_t size = rest % options->sizes.count;
        point.size = options->sizes.texts[size];
        point.source = &plan->sources[rest / options->sizes.count];
        point.workload = &point.source->workloads[size];
        point.transfers = options->transfers > 0 ? options->transfers : point.workload->count;
        error = add_point(plan, &point);
    }
    return error;
}

static int check_limit(uint64_t in_flight, const char *what, uint64_t needed, uint64_t limit,
                       const char *setting)
{
    if (needed <= limit) {
        return 0;
    }
    log_error("--concurrency %llu needs %llu %s, the limit is %llu (%s)",
              (unsigned long long)in_flight, (unsigned long long)needed, what,
              (unsigned long long)limit, setting);
    return EXIT_USAGE_ERROR;
}

/* Connections to one server differ in the local port alone. Those of the trial before are in
 * TIME_WAIT, but the kernel gives them out again after a second (net.ipv4.tcp_tw_reuse). */
static int check_limits(const struct plan *plan)
{
    uint64_t descriptors = descriptors_raise_limit();
    uint64_t ports = usage_local_ports();
    int error = 0;

    for (size_t i = 0; i < plan->options->concurrency.count && error == 0; i++) {
        uint64_t in_flight = plan->options->concurrency.values[i];
        /* A place may hold a connection and the file it saves at the same time. */
        uint64_t files = in_flight * (plan->options->save_dir == NULL ? 1 : 2);
        error = check_limit(in_flight, "descriptors", files + DESCRIPTORS_SPARE, descriptors,
                            "ulimit -Hn");
        if (error == 0) {
            error =
                check_limit(in_flight, "ports", in_flight, ports, "net.ipv4.ip_local_port_range");
        }
    }
    return error;
}

static void join_faults(struct plan *plan)
{
    size_t used = 0;

    for (size_t i = 0; i < plan->options->faults.count && used < sizeof plan->fault_text; i++) {
        used += (size_t)snprintf(plan->fault_text + used, sizeof plan->fault_text - used, "%s%s",
                                 i > 0 ? " " : "", plan->options->faults.texts[i]);
    }
    plan->fault = plan->fault_text;
}

int plan_build(struct plan *plan)
{
    join_faults(plan);
    (void)placement_choose(&plan->placement, plan->options->pin); /* checked when parsed */
    int exit_code = check_limits(plan);
    if (exit_code != 0) {
        return exit_code;
    }
    int error = start_sources(plan);
    if (error == -EINTR) {
        return EXIT_INTERRUPTED;
    }
    if (error == -EINVAL || (error == -ENOENT && plan->options->urls != NULL)) {
        return EXIT_USAGE_ERROR;
    }
    if (error == 0) {
        error = lay_out_cells(plan);
    }
    if (error == -ENOMEM) {
        log_error("out of memory");
        return EXIT_INTERNAL;
    }
    if (error != 0) {
        return EXIT_UNAVAILABLE;
    }
    say_what_is_compared(plan);
    return 0;
}

void plan_release(struct plan *plan)
{
    for (size_t i = 0; i < plan->sources_count; i++) {
        struct plan_source *source = &plan->sources[i];
        for (size_t w = 0; source->workloads != NULL && w < plan->options->sizes.count; w++) {
            workload_release(&source->workloads[w]);
        }
        free(source->workloads);
        server_stop(&source->server);
    }
    for (size_t i = 0; i < plan->cells_count; i++) {
        free(plan->cells[i].label);
    }
    free(plan->sources);
    free(plan->cells);
    for (size_t i = 0; i < plan->backends_count; i++) {
        free((char *)plan->backends[i].path);
    }
    *plan = (struct plan){.cells = NULL};
}
