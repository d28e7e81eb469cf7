#include "environment.h"

#include "revision.h"
#include "version.h"

#include <curl/curl.h>
#include <gnu/libc-version.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

static void set_text(char out[ENVIRONMENT_TEXT_BYTES], const char *text)
{
    (void)snprintf(out, ENVIRONMENT_TEXT_BYTES, "%.*s", ENVIRONMENT_TEXT_BYTES - 1, text);
}

/* The first line of a small file; nothing when it is not there. */
static bool read_line(const char *path, char out[ENVIRONMENT_TEXT_BYTES])
{
    FILE *file = fopen(path, "re");
    char line[4096];
    bool found = file != NULL && fgets(line, sizeof line, file) != NULL;

    if (found) {
        line[strcspn(line, "\n")] = '\0';
        set_text(out, line);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

/* The value behind "NAME<separator>" in a file of such lines, quotes taken off. */
static bool read_value(const char *path, const char *name, char separator,
                       char out[ENVIRONMENT_TEXT_BYTES])
{
    FILE *file = fopen(path, "re");
    char line[4096];
    bool found = false;

    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        char *value = strchr(line, separator);
        if (value != NULL && strncmp(line, name, strlen(name)) == 0) {
            value += 1 + strspn(value + 1, " \t\"");
            value[strcspn(value, "\"\n")] = '\0';
            set_text(out, value);
            found = true;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return found;
}

static void read_mitigations(char out[ENVIRONMENT_TEXT_BYTES])
{
    FILE *file = fopen("/proc/cmdline", "re");
    char line[4096] = "";

    set_text(out, "default");
    if (file == NULL) {
        return;
    }
    if (fgets(line, sizeof line, file) != NULL) {
        char *found = strstr(line, "mitigations=");
        if (found != NULL) {
            found[strcspn(found, " \n")] = '\0';
            set_text(out, found + strlen("mitigations="));
        }
    }
    (void)fclose(file);
}

static void read_container(char out[ENVIRONMENT_TEXT_BYTES])
{
    set_text(out, "none");
    if (access("/run/.containerenv", F_OK) == 0) {
        set_text(out, "podman");
    } else if (access("/.dockerenv", F_OK) == 0) {
        set_text(out, "docker");
    } else {
        (void)read_line("/run/systemd/container", out);
    }
}

/* cpuid says that there is one by the flag "hypervisor". */
static void read_hypervisor(char out[ENVIRONMENT_TEXT_BYTES])
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[8192];

    set_text(out, "none");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "flags", 5) == 0) {
            if (strstr(line, " hypervisor") != NULL) {
                set_text(out, "yes");
                (void)read_line("/sys/hypervisor/type", out);
                (void)read_line("/sys/class/dmi/id/sys_vendor", out);
            }
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static long usable_cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : -1;
}

static void read_system(struct environment *environment)
{
    struct utsname names;
    struct rlimit limit;
    double loads[1] = {0};

    if (uname(&names) == 0) {
        (void)snprintf(environment->kernel, ENVIRONMENT_TEXT_BYTES, "%.64s %.64s", names.sysname,
                       names.release);
        set_text(environment->arch, names.machine);
    }
    if (getloadavg(loads, 1) == 1) {
        environment->load_1min = loads[0];
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        environment->descriptor_limit = (long)limit.rlim_cur;
    }
    environment->cores = usable_cores();
    (void)read_value("/proc/cpuinfo", "model name", ':', environment->cpu_model);
    (void)read_value("/etc/os-release", "PRETTY_NAME", '=', environment->os);
    (void)read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", environment->governor);
    read_mitigations(environment->mitigations);
    read_container(environment->container);
    read_hypervisor(environment->hypervisor);
}

void environment_read(struct environment *environment, const char *corpus)
{
    *environment = (struct environment){
        .bench_version = BENCH_VERSION,
        .revision = BENCH_REVISION,
        .build_type = BENCH_BUILD_TYPE,
        .compiler = BENCH_C_COMPILER,
        .trusted_build = BENCH_TRUSTED_BUILD,
        .libuv = BENCH_LIBUV_VERSION,
        .liburing = BENCH_LIBURING_VERSION,
    };
    read_system(environment);
    set_text(environment->libcurl, curl_version_info(CURLVERSION_NOW)->version);
    (void)snprintf(environment->libc, ENVIRONMENT_TEXT_BYTES, "glibc %.64s",
                   gnu_get_libc_version());
    set_text(environment->corpus, corpus);
}
