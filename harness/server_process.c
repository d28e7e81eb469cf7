#include "server_process.h"

#include "child.h"
#include "http_client.h"
#include "interrupt.h"
#include "log.h"
#include "options.h"
#include "placement.h"

#include "backends/clock.h"
#include "backends/url.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_NS (15 * NS_PER_S)
#define STOP_GRACE_NS (3 * NS_PER_S)
#define READY_LINE_BYTES_MAX 4096
#define SERVER_ARGS_MAX (16 + 2 * OPTION_TEXT_LIST_MAX)

struct server_arguments {
    char program[PATH_MAX];
    char seed[32];
    const char *argv[SERVER_ARGS_MAX];
    size_t count;
};

static void push(struct server_arguments *arguments, const char *name, const char *value)
{
    arguments->argv[arguments->count++] = name;
    if (value != NULL) {
        arguments->argv[arguments->count++] = value;
    }
}

static int make_arguments(struct server_arguments *arguments, const struct options *options,
                          const char *delay)
{
    int error = child_program_folder(arguments->program, sizeof arguments->program - 16);

    if (error != 0) {
        return error;
    }
    (void)strcat(arguments->program, "/mockserver");
    (void)snprintf(arguments->seed, sizeof arguments->seed, "%" PRIu64, options->seed);
    push(arguments, "mockserver", "--die-with-parent");
    push(arguments, "--seed", arguments->seed);
    push(arguments, "--delay", delay);
    if (options->workload == WORKLOAD_DNS) {
        push(arguments, "--dns", NULL);
    }
    for (size_t i = 0; i < options->faults.count; i++) {
        push(arguments, "--fault", options->faults.texts[i]);
    }
    if (options->rate != NULL) {
        push(arguments, "--rate", options->rate);
    }
    if (options->flags_dir != NULL) {
        push(arguments, "--flags", options->flags_dir);
    }
    arguments->argv[arguments->count] = NULL;
    return 0;
}

static int spawn(struct server *server, const struct server_arguments *arguments,
                 const struct placement *placement, int *ready_fd)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -errno;
    }
    server->pid = fork();
    if (server->pid == 0) {
        (void)setpgid(0, 0);
        interrupt_reset_in_child();
        placement_apply_server(placement);
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)execv(arguments->program, (char *const *)arguments->argv);
        _exit(127);
    }
    int error = server->pid < 0 ? -errno : 0;
    (void)close(ends[1]);
    if (error != 0) {
        server->pid = 0;
        (void)close(ends[0]);
        return error;
    }
    (void)setpgid(server->pid, server->pid);
    *ready_fd = ends[0];
    return 0;
}

/* Its one line of JSON. @return 0, -ETIMEDOUT, -EPIPE (it ended), -EINTR (the user stops) */
static int read_ready_line(int fd, char *line, size_t line_bytes)
{
    uint64_t deadline_ns = clock_now_ns() + READY_NS;
    size_t used = 0;

    while (used + 1 < line_bytes) {
        struct pollfd fds[] = {{.fd = fd, .events = POLLIN},
                               {.fd = interrupt_fd(), .events = POLLIN}};
        int ready = poll(fds, 2, child_poll_ms(deadline_ns));
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready <= 0) {
            return -ETIMEDOUT;
        }
        if (fds[1].revents != 0) {
            return -EINTR;
        }
        ssize_t bytes = read(fd, line + used, line_bytes - used - 1);
        if (bytes <= 0) {
            return -EPIPE;
        }
        used += (size_t)bytes;
        line[used] = '\0';
        if (memchr(line, '\n', used) != NULL) {
            return 0;
        }
    }
    return -EPIPE;
}

static char *origin_of(const char *url)
{
    struct url_view view;
    char *origin = NULL;

    if (url_parse(url, &view) != 0 ||
        asprintf(&origin, "http://%.*s", (int)view.authority_bytes, view.authority) < 0) {
        return NULL;
    }
    return origin;
}

static int take_ready_line(struct server *server, const char *line)
{
    json_t *root = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
    const char *url = json_string_value(json_object_get(root, "url"));
    const char *dns = json_string_value(json_object_get(root, "dns"));
    const char *admin = json_string_value(json_object_get(root, "admin"));

    server->origin = url != NULL ? origin_of(url) : NULL;
    server->dns = dns != NULL ? strdup(dns) : NULL;
    server->admin_url = admin != NULL ? strdup(admin) : NULL;
    json_decref(root);
    bool known = server->origin != NULL || server->dns != NULL;
    return known && server->admin_url != NULL ? 0 : -EPROTO;
}

/* @return 0 with a manifest; -ENOENT when the server has none; -EIO when it does not answer */
static int fetch_manifest(struct server *server, char error_text[HTTP_CLIENT_ERROR_BYTES])
{
    struct http_reply reply;
    char url[URL_BYTES_MAX + 32];

    (void)snprintf(url, sizeof url, "%s/manifest.json", server->origin);
    int error = http_client_get(url, &reply);
    if (error == 0) {
        error = -ENOENT;
        if (reply.status == 200 &&
            manifest_parse(&server->manifest, reply.body, reply.body_bytes) == 0) {
            server->has_manifest = true;
            error = 0;
        }
    } else {
        (void)snprintf(error_text, HTTP_CLIENT_ERROR_BYTES, "%s", reply.error);
    }
    http_reply_release(&reply);
    return error;
}

static int start_and_ask(struct server *server, const struct server_arguments *arguments,
                         const struct placement *placement)
{
    char line[READY_LINE_BYTES_MAX];
    char error_text[HTTP_CLIENT_ERROR_BYTES] = "";
    int ready_fd = -1;

    int error = spawn(server, arguments, placement, &ready_fd);
    if (error != 0) {
        return error;
    }
    error = read_ready_line(ready_fd, line, sizeof line);
    (void)close(ready_fd);
    if (error == 0) {
        error = take_ready_line(server, line);
    }
    if (error == 0 && server->origin != NULL) {
        error = fetch_manifest(server, error_text);
    }
    return error;
}

int server_start(struct server *server, const struct options *options,
                 const struct placement *placement, const char *delay)
{
    struct server_arguments arguments = {.count = 0};

    *server = (struct server){.pid = 0};
    int error = make_arguments(&arguments, options, delay);
    if (error == 0) {
        error = start_and_ask(server, &arguments, placement);
    }
    if (error == -EPIPE) {
        int status = child_reap(server->pid, STOP_GRACE_NS);
        server->pid = 0;
        bool missing = WIFEXITED(status) && WEXITSTATUS(status) == 127;
        log_error(missing ? "the mock server cannot be run: %s"
                          : "the mock server ended before it was ready: %s",
                  arguments.program);
    } else if (error != 0 && error != -EINTR) {
        log_error("the mock server did not start: %s", strerrordesc_np(-error));
    }
    if (error != 0) {
        server_stop(server);
    }
    return error;
}

int server_adopt(struct server *server, const char *url)
{
    char error_text[HTTP_CLIENT_ERROR_BYTES] = "";

    *server = (struct server){.pid = 0, .origin = origin_of(url)};
    if (server->origin == NULL) {
        return -ENOMEM;
    }
    int error = fetch_manifest(server, error_text);
    if (error == -EIO) {
        log_error("no server at %s: %s", server->origin, error_text);
        server_stop(server);
        return error;
    }
    if (server->has_manifest && server->manifest.admin != NULL) {
        server->admin_url = strdup(server->manifest.admin);
    }
    return 0;
}

int server_reset(const struct server *server, const char *run_mark)
{
    struct http_reply reply;
    char url[URL_BYTES_MAX + 128];

    (void)snprintf(url, sizeof url, "%s/reset?run=%s", server->admin_url, run_mark);
    int error = http_client_post(url, &reply);
    if (error == 0 && reply.status != 200) {
        error = -EPROTO;
    }
    http_reply_release(&reply);
    return error;
}

int server_read_stats(const struct server *server, struct server_stats *stats)
{
    struct http_reply reply;
    char url[URL_BYTES_MAX + 32];

    *stats = (struct server_stats){.requests = 0};
    (void)snprintf(url, sizeof url, "%s/stats", server->admin_url);
    int error = http_client_get(url, &reply);
    if (error == 0) {
        error =
            reply.status == 200 ? server_stats_parse(stats, reply.body, reply.body_bytes) : -EPROTO;
    }
    http_reply_release(&reply);
    return error;
}

void server_stop(struct server *server)
{
    if (server->pid > 0) {
        (void)kill(server->pid, SIGTERM);
        (void)child_reap(server->pid, STOP_GRACE_NS);
    }
    free(server->origin);
    free(server->dns);
    free(server->admin_url);
    manifest_release(&server->manifest);
    *server = (struct server){.pid = 0};
}
