#include "mock.h"

#include "harness/http_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 24
#define SETTLE_TRIES 2000
#define SETTLE_POLL_US 5000

static pid_t spawn(const char *const *arguments, int *out_fd)
{
    const char *argv[ARGUMENTS_MAX + 1] = {"mockserver", "--port", "0", "--die-with-parent"};
    int ends[2];
    size_t count = 4;

    for (; *arguments != NULL; arguments++) {
        assert_true(count < ARGUMENTS_MAX);
        argv[count++] = *arguments;
    }
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execv(MOCKSERVER_PATH, (char *const *)argv);
        _exit(127);
    }
    (void)close(ends[1]);
    *out_fd = ends[0];
    return pid;
}

/* The one line that it prints when it is ready. */
static json_t *read_ready(int fd)
{
    char line[1024] = "";
    FILE *out = fdopen(fd, "r");

    assert_non_null(out);
    assert_non_null(fgets(line, sizeof line, out));
    (void)fclose(out);
    json_t *root = json_loads(line, 0, NULL);
    assert_non_null(root);
    return root;
}

static void read_manifest(struct mock *mock)
{
    struct http_reply reply;
    char url[256];

    (void)snprintf(url, sizeof url, "%s/manifest.json", mock->origin);
    assert_int_equal(http_client_get(url, &reply), 0);
    assert_int_equal(manifest_parse(&mock->manifest, reply.body, reply.body_bytes), 0);
    http_reply_release(&reply);
}

void mock_start(struct mock *mock, const char *const *arguments)
{
    int fd = -1;

    *mock = (struct mock){.pid = spawn(arguments, &fd)};
    json_t *root = read_ready(fd);
    const char *flags_url = json_string_value(json_object_get(root, "url"));
    const char *dns = json_string_value(json_object_get(root, "dns"));
    (void)snprintf(mock->admin, sizeof mock->admin, "%s",
                   json_string_value(json_object_get(root, "admin")));
    if (dns != NULL) {
        (void)snprintf(mock->dns, sizeof mock->dns, "%s", dns);
    } else {
        assert_non_null(flags_url);
        (void)snprintf(mock->origin, sizeof mock->origin, "%.*s",
                       (int)(strstr(flags_url, "/flags") - flags_url), flags_url);
        read_manifest(mock);
    }
    json_decref(root);
}

static json_int_t connections_open(const struct mock *mock)
{
    struct http_reply reply;
    char url[256];

    (void)snprintf(url, sizeof url, "%s/stats", mock->admin);
    assert_int_equal(http_client_get(url, &reply), 0);
    json_t *root = json_loadb(reply.body, reply.body_bytes, 0, NULL);
    json_t *open = json_object_get(root, "open");
    assert_true(json_is_integer(open));
    json_int_t count = json_integer_value(open);
    json_decref(root);
    http_reply_release(&reply);
    return count;
}

void mock_reset(const struct mock *mock)
{
    struct http_reply reply;
    char url[256];

    for (int tries = 0; connections_open(mock) > 0; tries++) {
        assert_true(tries < SETTLE_TRIES);
        (void)usleep(SETTLE_POLL_US);
    }
    (void)snprintf(url, sizeof url, "%s/reset", mock->admin);
    assert_int_equal(http_client_post(url, &reply), 0);
    assert_int_equal(reply.status, 200);
    http_reply_release(&reply);
}

void mock_stats(const struct mock *mock, struct server_stats *stats)
{
    struct http_reply reply;
    char url[256];

    (void)snprintf(url, sizeof url, "%s/stats", mock->admin);
    assert_int_equal(http_client_get(url, &reply), 0);
    assert_int_equal(server_stats_parse(stats, reply.body, reply.body_bytes), 0);
    http_reply_release(&reply);
}

const struct manifest_flag *mock_flag(const struct mock *mock, const char *cc)
{
    for (size_t i = 0; i < mock->manifest.count; i++) {
        if (strcmp(mock->manifest.flags[i].cc, cc) == 0) {
            return &mock->manifest.flags[i];
        }
    }
    fail_msg("no flag %s", cc);
    return NULL;
}

static int finish(struct mock *mock, int signal_number)
{
    int status = 0;

    (void)kill(mock->pid, signal_number);
    assert_int_equal(waitpid(mock->pid, &status, 0), mock->pid);
    manifest_release(&mock->manifest);
    mock->pid = 0;
    return status;
}

void mock_stop(struct mock *mock)
{
    int status = finish(mock, SIGTERM);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

void mock_kill(struct mock *mock)
{
    (void)finish(mock, SIGKILL);
}
