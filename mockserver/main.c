#include "dns_server.h"
#include "plan.h"
#include "server.h"

#include "backends/descriptors.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define DESCRIPTORS_RESERVED 16000 /* 128 KiB of the kernel's memory */

/* Each connection is a descriptor: as many as we may have, and from the start room for as many as
 * are usual at most. */
static void prepare_descriptors(void)
{
    (void)descriptors_raise_limit();
    descriptors_reserve(DESCRIPTORS_RESERVED);
}

/* @return false when the parent is gone already: the signal comes only for a later death */
static bool follow_parent(const struct options *options)
{
    pid_t parent = options->parent != 0 ? options->parent : getppid();
    if (!options->die_with_parent) {
        return true;
    }
    return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent;
}

static int load_corpus(const struct options *options, struct corpus *corpus)
{
    if (options->flags_folder == NULL) {
        return corpus_init_builtin(corpus);
    }
    return corpus_init_folder(corpus, options->flags_folder);
}

/* @return exit code */
static int complain(const struct options *options, const char *problem, int error)
{
    if (problem[0] != '-') {
        (void)fprintf(stderr, "mockserver: %s: %s\n", problem, strerrordesc_np(-error));
        return EXIT_INTERNAL;
    }
    bool admin = strcmp(problem, "--admin-port") == 0;
    (void)fprintf(stderr, "mockserver: %s %u: cannot listen there: %s\n", problem,
                  admin ? options->admin_port : options->port, strerrordesc_np(-error));
    return EXIT_NOT_AVAILABLE;
}

static int serve_dns(const struct options *options)
{
    struct dns_server server;
    const char *problem = NULL;
    int code = EXIT_FINE;
    int error = dns_server_init(&server, options, &problem);
    if (error == 0) {
        (void)printf("{\"dns\":\"%s\",\"admin\":\"%s\",\"pid\":%ld}\n", server.sockets.text,
                     server.admin_listener.url, (long)getpid());
        (void)fflush(stdout);
        dns_server_run(&server);
    } else {
        code = complain(options, problem, error);
    }
    dns_server_release(&server);
    return code;
}

static int tell_dns(const struct options *options)
{
    if (plan_print_dns(options) != 0) {
        (void)fprintf(stderr, "mockserver: --plan %s: not a list of names such as if.dev,for.dev\n",
                      options->plan);
        return EXIT_BAD_USAGE;
    }
    return EXIT_FINE;
}

static int serve(const struct options *options, struct corpus *corpus)
{
    struct server server;
    const char *problem = NULL;
    int code = EXIT_FINE;
    int error = server_init(&server, options, corpus, &problem);
    if (error == 0) {
        (void)printf("{\"url\":\"%s/flags\",\"admin\":\"%s\",\"pid\":%ld}\n", server.listener.url,
                     server.admin_listener.url, (long)getpid());
        (void)fflush(stdout);
        server_run(&server);
    } else {
        code = complain(options, problem, error);
    }
    server_release(&server);
    return code;
}

int main(int argc, char **argv)
{
    struct options options;
    struct corpus corpus;
    options_parse(argc, argv, &options);
    (void)signal(SIGPIPE, SIG_IGN); /* writing to a client that is gone is an error, not an end */
    if (!follow_parent(&options)) {
        return EXIT_FINE;
    }
    prepare_descriptors();
    if (options.dns) {
        return options.plan != NULL ? tell_dns(&options) : serve_dns(&options);
    }
    int error = load_corpus(&options, &corpus);
    if (error == -ENOMEM) {
        (void)fputs("mockserver: out of memory\n", stderr);
        return EXIT_INTERNAL;
    }
    if (error != 0) {
        (void)fprintf(stderr, "mockserver: --flags %s: %s\n", options.flags_folder,
                      error == -ENODATA ? "no flag in it: needs CC.gif, CC.png, CC.svg or CC/CC.gif"
                                        : strerrordesc_np(-error));
        return EXIT_BAD_USAGE;
    }
    if (options.plan == NULL) {
        return serve(&options, &corpus);
    }
    error = plan_print(&options, &corpus);
    corpus_release(&corpus);
    if (error != 0) {
        (void)fprintf(stderr, "mockserver: --plan %s: not a list of codes such as CN,IN,US\n",
                      options.plan);
        return EXIT_BAD_USAGE;
    }
    return EXIT_FINE;
}
