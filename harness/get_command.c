#include "get_command.h"

#include "descriptor_claim.h"
#include "exit_code.h"
#include "folder.h"
#include "get_list.h"
#include "get_options.h"
#include "get_record.h"
#include "get_session.h"
#include "interrupt.h"
#include "log.h"
#include "options.h"
#include "placement.h"
#include "plan.h"
#include "server_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_BACKEND "raw_epoll"
#define DEFAULT_TLS_BACKEND "curl_multi"

struct get {
    struct get_options options;
    struct server server;
    bool has_server;
    struct get_list list;
    const struct bench_backend *backend;
    uint32_t loops;
    int dir_fd;
};

/* Writing files takes more of a processor than waiting for them. */
#define LOOPS_DEFAULT_MAX 4

/* ---- the server ---- */

/* The seeds' servers: 0.5 to 5 s before each answer, and 25% of them 418. */
static int start_server(struct get *get)
{
    struct options behaviour = {.seed = get->options.seed};
    struct placement placement;
    const char *delay = get->options.label == GET_LOCAL ? "0" : "uniform:500ms:5s";

    if (get->options.label == GET_ERROR) {
        behaviour.faults.texts[behaviour.faults.count++] = "status:418@.25";
    }
    (void)placement_choose(&placement, "off");
    return server_start(&get->server, &behaviour, &placement, delay);
}

/* One that does not answer is waited for, and there is nothing yet that a user could want kept. */
static int adopt_server(struct get *get)
{
    interrupt_act();
    int error = server_adopt(&get->server, get->options.server);
    interrupt_hold();
    return error;
}

static int find_server(struct get *get)
{
    int error = get->options.label == GET_URL ? adopt_server(get) : start_server(get);
    get->has_server = error == 0;
    return error == 0 ? 0 : error == -EINTR ? EXIT_INTERRUPTED : EXIT_UNAVAILABLE;
}

/* ---- what, by whom, where to ---- */

/* A pipe or a terminal may be silent for as long as it likes. */
static int read_list(struct get *get)
{
    interrupt_act();
    int error = get_list_urls(&get->list, &get->options);
    interrupt_hold();
    return error;
}

static int make_list(struct get *get)
{
    int error = get->options.list != NULL ? read_list(get)
                                          : get_list_flags(&get->list, &get->options, &get->server);

    return error == 0 ? 0 : error == -ENOMEM ? EXIT_INTERNAL : EXIT_USAGE_ERROR;
}

static int choose_loops(struct get *get)
{
    bool has_loops = (get->backend->caps & BENCH_CAP_LOOPS) != 0;
    uint32_t processors = placement_processors();

    if (get->options.loops > 1 && !has_loops) {
        log_error("--loops %u: %s runs one loop only", get->options.loops, get->backend->name);
        return EXIT_USAGE_ERROR;
    }
    get->loops = get->options.loops;
    if (get->loops == 0) {
        get->loops = processors < LOOPS_DEFAULT_MAX ? processors : LOOPS_DEFAULT_MAX;
    }
    if (!has_loops) {
        get->loops = 1;
    }
    return 0;
}

static int choose_backend(struct get *get)
{
    const char *name = get->options.backend;
    struct options wish = {.seed = 1};
    struct plan plan;

    if (name == NULL) {
        name = get->list.has_https ? DEFAULT_TLS_BACKEND : DEFAULT_BACKEND;
    }
    wish.backends = (struct option_texts){.texts = {name}, .count = 1};
    int exit_code = plan_choose_backends(&plan, &wish);
    if (exit_code != 0) {
        return exit_code;
    }
    if (plan.backends_count != 1) {
        log_error("--backend '%s': want one backend, these are %zu", name, plan.backends_count);
        return EXIT_USAGE_ERROR;
    }
    get->backend = plan.backends[0].backend;
    if ((get->backend->caps & BENCH_CAP_NO_TRANSFERS) != 0) {
        log_error("--backend '%s': downloads nothing", name);
        return EXIT_USAGE_ERROR;
    }
    if (get->list.has_https && (get->backend->caps & BENCH_CAP_TLS) == 0) {
        log_error("--backend '%s': there are https URLs in the list, which only the curl backends "
                  "can download",
                  name);
        return EXIT_USAGE_ERROR;
    }
    return choose_loops(get);
}

static int open_folder(struct get *get)
{
    if (folder_make(get->options.output_dir, 0777) != 0) {
        return EXIT_INTERNAL;
    }
    get->dir_fd = open(get->options.output_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (get->dir_fd < 0 || faccessat(get->dir_fd, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        log_error("--output '%s': %s", get->options.output_dir, strerrordesc_np(errno));
        return EXIT_CANNOT_WRITE;
    }
    return 0;
}

/* Each place takes a connection and a file. */
static int claim_descriptors(const struct get *get)
{
    uint64_t requests = (uint64_t)get->list.count * (get->options.names ? 2 : 1);
    uint64_t places = get->options.in_flight < requests ? get->options.in_flight : requests;

    return descriptor_claim(get->options.in_flight, places, 2);
}

static int prepare(struct get *get)
{
    int exit_code = 0;

    if (get->options.list == NULL) {
        exit_code = find_server(get);
    }
    if (exit_code == 0) {
        exit_code = make_list(get);
    }
    if (exit_code == 0) {
        exit_code = choose_backend(get);
    }
    if (exit_code == 0) {
        exit_code = claim_descriptors(get);
    }
    return exit_code == 0 ? open_folder(get) : exit_code;
}

/* ---- run ---- */

static void say_what(const struct get *get)
{
    static const char *const labels[] = {"", "LOCAL ", "DELAY ", "ERROR "};
    const struct get_list *list = &get->list;
    bool one = (get->backend->caps & BENCH_CAP_CONCURRENT) == 0;

    if (get->options.quiet) {
        return;
    }
    if (get->options.list != NULL) {
        (void)fprintf(stderr, "%zu URLs", list->count);
    } else {
        (void)fprintf(stderr, "%sserver %s: %zu flags from %s to %s", labels[get->options.label],
                      get->server.origin, list->count, list->items[0].label,
                      list->items[list->count - 1].label);
    }
    size_t in_flight = one ? 1 : get->options.in_flight;
    (void)fprintf(stderr, ", %zu at a time, by %s\n",
                  in_flight < list->count ? in_flight : list->count, get->backend->name);
    if (list->repeated > 0) {
        log_warn("%zu URLs stand more than once in the list; each is downloaded once",
                 list->repeated);
    }
}

/* Not found is an answer where codes were only tried; of a list it is a file that is missing. */
static int verdict(const struct get *get, const struct get_counts *counts)
{
    bool missing = get->options.list != NULL && counts->not_found > 0;

    if (counts->unfinished > 0) {
        return EXIT_INTERRUPTED;
    }
    return counts->errors > 0 || missing ? EXIT_WRONG_DOWNLOADS : EXIT_FINE;
}

static int run_and_report(struct get *get, struct get_record *record)
{
    struct get_session session;
    int exit_code = EXIT_INTERNAL;

    int error =
        get_session_init(&session, &get->options, &get->list, record, get->dir_fd, get->loops);
    if (error == 0) {
        say_what(get);
        error = get_session_run(&session, get->backend);
    }
    if (error != 0) {
        log_error("%s could not proceed: %s", get->backend->name, strerrordesc_np(-error));
    } else {
        exit_code = verdict(get, &session.counts);
    }
    if (session.results != NULL) {
        int saved = get_record_write(record, &session);
        if (saved != 0) {
            log_warn("--resume will not know what was saved: %s: %s",
                     record->path == NULL ? "no home directory" : record->path,
                     strerrordesc_np(-saved));
        }
        if (get_session_report(&session) != 0) {
            log_error("cannot write to stdout");
            exit_code = EXIT_CANNOT_WRITE;
        }
    }
    get_session_release(&session);
    return exit_code;
}

/* What earlier runs have left in the folder. @return 0 or an exit code */
static int look_back(struct get *get, struct get_record *record)
{
    int error = get_record_read(record, get->options.output_dir);

    if (error == 0 && get->options.list != NULL && record->count > 0) {
        error = get_record_settle_names(record, &get->list, get->dir_fd);
    }
    if (error == 0 && get->options.resume) {
        error = get_record_find_complete(record, &get->list, get->dir_fd);
    }
    switch (error) {
    case 0:
        return 0;
    case -EINTR:
        return EXIT_INTERRUPTED;
    case -EINVAL:
        return EXIT_USAGE_ERROR;
    default:
        log_error("out of memory");
        return EXIT_INTERNAL;
    }
}

static int download(struct get *get)
{
    struct get_record record;

    int exit_code = look_back(get, &record);
    if (exit_code == 0) {
        exit_code = run_and_report(get, &record);
    }
    get_record_release(&record);
    return exit_code;
}

int get_command(int argc, char **argv)
{
    struct get get = {.dir_fd = -1};

    int exit_code = get_options_parse(argc, argv, &get.options);
    if (exit_code != 0) {
        return exit_code;
    }
    log_set_level(get.options.quiet ? LOG_ERROR : get.options.verbose ? LOG_INFO : LOG_WARN);
    exit_code = prepare(&get);
    if (exit_code == 0) {
        exit_code = download(&get);
    }
    if (get.dir_fd >= 0) {
        (void)close(get.dir_fd);
    }
    get_list_release(&get.list);
    if (get.has_server) {
        server_stop(&get.server);
    }
    return exit_code;
}
