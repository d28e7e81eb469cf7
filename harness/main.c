/* bench: the same transfers, the same bytes checked, only the waiting differs. */
#include "compare_command.h"
#include "exit_code.h"
#include "get_command.h"
#include "interrupt.h"
#include "list_command.h"
#include "log.h"
#include "probe_command.h"
#include "run.h"
#include "version.h"
#include "worker.h"

#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "Usage: bench [run] [OPTIONS]   compare backends (no arguments: 20 flags)\n"
    "       bench get [CC...]       download flags, or a list of URLs, into a folder\n"
    "       bench probe [NAME...]   look up many names at once\n"
    "       bench compare BASE NEW  is the new run worse than the old one\n"
    "       bench list              backends here, what each waits in\n"
    "\n"
    "'bench COMMAND --help' lists the options of run, get, probe and compare.\n";

static int say(const char *text)
{
    return fputs(text, stdout) == EOF || fflush(stdout) != 0 ? EXIT_CANNOT_WRITE : EXIT_FINE;
}

static int dispatch(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "run";

    if (strcmp(command, "--help") == 0 || strcmp(command, "help") == 0) {
        return say(help);
    }
    if (strcmp(command, "--version") == 0) {
        return say("bench " BENCH_VERSION "\n");
    }
    if (strcmp(command, "list") == 0) {
        return list_command(argc - 1, argv + 1);
    }
    if (strcmp(command, "get") == 0) {
        return get_command(argc - 1, argv + 1);
    }
    if (strcmp(command, "probe") == 0) {
        return probe_command(argc - 1, argv + 1);
    }
    if (strcmp(command, "compare") == 0) {
        return compare_command(argc - 1, argv + 1);
    }
    if (strcmp(command, "run") == 0) {
        return run_command(argc > 1 ? argc - 1 : argc, argc > 1 ? argv + 1 : argv);
    }
    if (command[0] == '-') {
        return run_command(argc, argv);
    }
    log_error(
        "'%s': unknown command; there are run, get, probe, compare and list (see 'bench --help')",
        command);
    return EXIT_USAGE_ERROR;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], WORKER_COMMAND) == 0) {
        return worker_main(argc, argv);
    }
    if (interrupt_init() != 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        log_error("cannot start: no signal descriptor or no libcurl");
        return EXIT_INTERNAL;
    }
    int exit_code = dispatch(argc, argv);
    curl_global_cleanup();
    return exit_code;
}
