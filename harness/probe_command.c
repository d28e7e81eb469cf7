#include "probe_command.h"

#include "descriptor_claim.h"
#include "exit_code.h"
#include "interrupt.h"
#include "log.h"
#include "options.h"
#include "placement.h"
#include "plan.h"
#include "probe_options.h"
#include "probe_table.h"
#include "server_process.h"

#include "backends/backend.h"
#include "backends/clock.h"
#include "backends/transfer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_BYTES_MAX 65536 /* no DNS message has more */

struct probe {
    struct probe_options options;
    struct server server;
    bool has_server;
    const struct bench_backend *backend;
    char **urls;
    struct transfer_request *requests;
    struct transfer_result *results;
    size_t found;
    size_t missing;
    size_t untold;
    size_t cancelled;
    pthread_mutex_t lock; /* hooks come from all threads of a backend */
};

/* ---- whom to ask, and by whom ---- */

static int choose_backend(struct probe *probe)
{
    const char *name = probe->options.backend;
    struct options wish = {.workload = WORKLOAD_DNS};

    wish.dns = probe->options.server == PROBE_SYSTEM ? "" : NULL;
    struct plan plan;

    wish.backends = (struct option_texts){.texts = {name}, .count = 1};
    int exit_code = plan_choose_backends(&plan, &wish);
    if (exit_code != 0) {
        return exit_code;
    }
    if (plan.backends_count != 1) {
        log_error("--backend '%s': want one backend, these are %zu", name, plan.backends_count);
        return EXIT_USAGE_ERROR;
    }
    probe->backend = plan.backends[0].backend;
    if ((probe->backend->caps & BENCH_CAP_DNS) == 0) {
        log_error("--backend '%s': looks up nothing", name);
        return EXIT_USAGE_ERROR;
    }
    return 0;
}

static int start_server(struct probe *probe)
{
    const struct options behaviour = {.workload = WORKLOAD_DNS, .seed = probe->options.seed};
    struct placement placement;

    if (probe->options.server != PROBE_MOCK) {
        return 0;
    }
    (void)placement_choose(&placement, "off");
    int error = server_start(&probe->server, &behaviour, &placement, probe->options.delay);
    probe->has_server = error == 0;
    return error == 0 ? 0 : error == -EINTR ? EXIT_INTERRUPTED : EXIT_UNAVAILABLE;
}

static int claim_descriptors(const struct probe *probe)
{
    const struct probe_options *options = &probe->options;
    uint64_t places =
        options->in_flight < options->names_count ? options->in_flight : options->names_count;

    return descriptor_claim(options->in_flight, places, 1);
}

static const char *server_of(const struct probe *probe)
{
    switch (probe->options.server) {
    case PROBE_MOCK:
        return probe->server.dns;
    case PROBE_GIVEN:
        return probe->options.dns;
    default:
        return "";
    }
}

static int make_requests(struct probe *probe)
{
    size_t count = probe->options.names_count;

    probe->urls = calloc(count, sizeof probe->urls[0]);
    probe->requests = calloc(count, sizeof probe->requests[0]);
    probe->results = calloc(count, sizeof probe->results[0]);
    if (probe->urls == NULL || probe->requests == NULL || probe->results == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        if (asprintf(&probe->urls[i], "dns://%s/%s", server_of(probe), probe->options.names[i]) <
            0) {
            probe->urls[i] = NULL;
            return -ENOMEM;
        }
        probe->requests[i] = (struct transfer_request){.url = probe->urls[i]};
    }
    return 0;
}

static int prepare(struct probe *probe)
{
    int exit_code = choose_backend(probe);

    if (exit_code == 0) {
        exit_code = claim_descriptors(probe);
    }
    if (exit_code == 0) {
        exit_code = start_server(probe);
    }
    if (exit_code == 0 && make_requests(probe) != 0) {
        log_error("out of memory");
        exit_code = EXIT_INTERNAL;
    }
    return exit_code;
}

/* ---- told as they complete ---- */

static void count(struct probe *probe, enum transfer_status status)
{
    switch (status) {
    case TRANSFER_OK:
        probe->found++;
        break;
    case TRANSFER_NOT_FOUND:
        probe->missing++;
        break;
    case TRANSFER_CANCELLED:
        probe->cancelled++;
        break;
    default:
        probe->untold++;
        break;
    }
}

static void tell(const char *name, const struct transfer_result *result)
{
    switch ((enum transfer_status)result->status) {
    case TRANSFER_OK:
        (void)printf("+ %s\n", name);
        break;
    case TRANSFER_NOT_FOUND:
        (void)printf("  %s\n", name);
        break;
    case TRANSFER_CANCELLED:
        break;
    default:
        (void)printf("! %s (%s)\n", name, result->message);
        break;
    }
    (void)fflush(stdout); /* as they complete, into a pipe too */
}

static void on_complete(void *user, size_t index, const struct transfer_result *result)
{
    struct probe *probe = user;

    (void)pthread_mutex_lock(&probe->lock);
    count(probe, (enum transfer_status)result->status);
    if (!probe->options.table) {
        tell(probe->options.names[index], result);
    }
    (void)pthread_mutex_unlock(&probe->lock);
}

static int on_cancelled(void *user)
{
    (void)user;
    return interrupted();
}

/* ---- run ---- */

/* A new socket, and port, for each lookup: who answers from elsewhere has to guess it (RFC 5452
 * section 4.5). */
static int look_up(struct probe *probe)
{
    const struct probe_options *options = &probe->options;
    const struct download_hooks hooks = {
        .user = probe,
        .on_complete = on_complete,
        .cancelled = on_cancelled,
    };
    const struct download_job job = {
        .struct_size = sizeof job,
        .flags = DOWNLOAD_FRESH_CONNECTIONS,
        .requests = probe->requests,
        .count = options->names_count,
        .concurrency = options->in_flight,
        .loops = 1,
        .timeout_ns = options->timeout_ns,
        .body_bytes_max = BODY_BYTES_MAX,
        .attempts_max = options->retries + 1,
        .output_dir_fd = -1,
        .run_mark = "probe",
        .hooks = &hooks,
    };

    return probe->backend->download_many(&job, probe->results);
}

static void say_what(const struct probe *probe)
{
    const struct probe_options *options = &probe->options;
    bool one = (probe->backend->caps & BENCH_CAP_CONCURRENT) == 0;
    size_t in_flight = one ? 1 : options->in_flight;

    if (!options->quiet) {
        (void)fprintf(stderr, "%s%s: %zu names, %zu at a time, by %s\n",
                      options->server == PROBE_MOCK     ? "mock server "
                      : options->server == PROBE_SYSTEM ? "this machine's resolvers"
                                                        : "server ",
                      server_of(probe), options->names_count,
                      in_flight < options->names_count ? in_flight : options->names_count,
                      probe->backend->name);
    }
}

static void say_counts(const struct probe *probe, uint64_t took_ns)
{
    if (probe->options.quiet) {
        return;
    }
    (void)fprintf(stderr, "%zu found. %zu not found.", probe->found, probe->missing);
    if (probe->untold > 0) {
        (void)fprintf(stderr, " %zu could not be told.", probe->untold);
    }
    if (probe->cancelled > 0) {
        (void)fprintf(stderr, " %zu not finished.", probe->cancelled);
    }
    (void)fprintf(stderr, " Elapsed time: %.2fs\n", (double)took_ns / (double)NS_PER_S);
}

static int run(struct probe *probe)
{
    say_what(probe);
    uint64_t started_ns = clock_now_ns();
    int error = look_up(probe);
    uint64_t finished_ns = clock_now_ns();
    if (error != 0) {
        log_error("%s could not proceed: %s", probe->backend->name, strerrordesc_np(-error));
        return EXIT_INTERNAL;
    }
    if (probe->options.table &&
        probe_table_print(probe->options.names, probe->results, probe->options.names_count) != 0) {
        log_error("out of memory");
        return EXIT_INTERNAL;
    }
    say_counts(probe, finished_ns - started_ns);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        log_error("cannot write to stdout");
        return EXIT_CANNOT_WRITE;
    }
    if (probe->cancelled > 0) {
        return EXIT_INTERRUPTED;
    }
    return probe->untold > 0 ? EXIT_WRONG_DOWNLOADS : EXIT_FINE;
}

int probe_command(int argc, char **argv)
{
    struct probe probe = {.found = 0};

    (void)pthread_mutex_init(&probe.lock, NULL);
    int exit_code = probe_options_parse(argc, argv, &probe.options);
    if (exit_code == 0) {
        log_set_level(probe.options.quiet ? LOG_ERROR : LOG_WARN);
        exit_code = prepare(&probe);
    }
    if (exit_code == 0) {
        exit_code = run(&probe);
    }
    for (size_t i = 0; probe.urls != NULL && i < probe.options.names_count; i++) {
        free(probe.urls[i]);
    }
    free(probe.urls);
    free(probe.requests);
    free(probe.results);
    if (probe.has_server) {
        server_stop(&probe.server);
    }
    probe_options_release(&probe.options);
    (void)pthread_mutex_destroy(&probe.lock);
    return exit_code;
}
