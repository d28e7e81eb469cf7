#include "environment.h"

#include "version.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void read_cpu_model(char out[ENVIRONMENT_TEXT_BYTES])
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[512];

    (void)snprintf(out, ENVIRONMENT_TEXT_BYTES, "unknown");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && value != NULL) {
            value += 1 + strspn(value + 1, " ");
            value[strcspn(value, "\n")] = '\0';
            (void)snprintf(out, ENVIRONMENT_TEXT_BYTES, "%.120s", value);
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

void environment_read(struct environment *environment, const char *corpus)
{
    struct utsname names;
    double loads[1] = {0};

    *environment = (struct environment){
        .bench_version = BENCH_VERSION,
        .build_type = BENCH_BUILD_TYPE,
        .compiler = BENCH_C_COMPILER,
        .trusted_build = BENCH_TRUSTED_BUILD,
        .cores = sysconf(_SC_NPROCESSORS_ONLN),
    };
    if (uname(&names) == 0) {
        (void)snprintf(environment->kernel, sizeof environment->kernel, "%.60s %.60s",
                       names.sysname, names.release);
        (void)snprintf(environment->arch, sizeof environment->arch, "%.60s", names.machine);
    }
    if (getloadavg(loads, 1) == 1) {
        environment->load_1min = loads[0];
    }
    read_cpu_model(environment->cpu_model);
    (void)snprintf(environment->libcurl, sizeof environment->libcurl, "%s",
                   curl_version_info(CURLVERSION_NOW)->version);
    (void)snprintf(environment->corpus, sizeof environment->corpus, "%s", corpus);
}
