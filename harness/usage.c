#include "usage.h"

#include "backends/clock.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static uint64_t timeval_ns(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * NS_PER_S + (uint64_t)time->tv_usec * NS_PER_US;
}

void usage_mark(struct usage_mark *mark)
{
    struct rusage self = {0};
    struct rusage children = {0};

    (void)getrusage(RUSAGE_SELF, &self);
    (void)getrusage(RUSAGE_CHILDREN, &children);
    *mark = (struct usage_mark){
        .user_ns = timeval_ns(&self.ru_utime) + timeval_ns(&children.ru_utime),
        .system_ns = timeval_ns(&self.ru_stime) + timeval_ns(&children.ru_stime),
        .voluntary_switches = self.ru_nvcsw + children.ru_nvcsw,
        .involuntary_switches = self.ru_nivcsw + children.ru_nivcsw,
        .minor_faults = self.ru_minflt + children.ru_minflt,
        .major_faults = self.ru_majflt + children.ru_majflt,
        .now_ns = clock_now_ns(),
    };
}

void usage_between(const struct usage_mark *from, const struct usage_mark *to,
                   struct trial_usage *usage)
{
    usage->wall_ns = to->now_ns - from->now_ns;
    usage->user_ns = to->user_ns - from->user_ns;
    usage->system_ns = to->system_ns - from->system_ns;
    usage->voluntary_switches = to->voluntary_switches - from->voluntary_switches;
    usage->involuntary_switches = to->involuntary_switches - from->involuntary_switches;
    usage->minor_faults = to->minor_faults - from->minor_faults;
    usage->major_faults = to->major_faults - from->major_faults;
}

static int64_t own_max_rss_kib(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    int64_t kib = 0;

    if (status == NULL) {
        return 0;
    }
    while (fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kib = strtoll(line + 6, NULL, 10);
            break;
        }
    }
    (void)fclose(status);
    return kib;
}

int64_t usage_max_rss_kib(void)
{
    struct rusage children = {0};

    int64_t own_kib = own_max_rss_kib();
    (void)getrusage(RUSAGE_CHILDREN, &children);
    return own_kib > children.ru_maxrss ? own_kib : children.ru_maxrss;
}

int64_t usage_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int64_t count = 0;

    if (folder == NULL) {
        return -1;
    }
    /* The folder's own descriptor is counted each time, so it cancels out. */
    while (readdir(folder) != NULL) {
        count++;
    }
    (void)closedir(folder);
    return count;
}

uint64_t usage_local_ports(void)
{
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    unsigned long first = 0;
    unsigned long last = 0;

    if (file == NULL) {
        return UINT64_MAX;
    }
    bool found = fscanf(file, "%lu %lu", &first, &last) == 2 && first <= last;
    (void)fclose(file);
    return found ? last - first + 1 : UINT64_MAX;
}
