#include "list_command.h"

#include "exit_code.h"
#include "log.h"
#include "table.h"

#include <stdio.h>
#include <string.h>

int list_command(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        (void)printf("Usage: bench list\nEvery backend, what it waits in, and why one cannot run "
                     "here.\n");
        return EXIT_FINE;
    }
    if (argc > 1) {
        log_error("list: unexpected argument '%s'; it takes none", argv[1]);
        return EXIT_USAGE_ERROR;
    }
    int error = table_print_backends();
    if (error != 0) {
        log_error("list: %s", strerrordesc_np(-error));
        return EXIT_CANNOT_WRITE;
    }
    return EXIT_FINE;
}
