#include "export_csv.h"

#include "csv_text.h"
#include "exports.h"
#include "output_file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char csv_header[] =
    "schema,run_id,utc,round,position,backend,engine,model,concurrency,loops,transfers,delay,"
    "fault,size,connections,wall_s,cpu_user_s,cpu_sys_s,cpu_us_per_transfer,transfers_per_s,"
    "body_mb_per_s,ok,failed,body_bytes,latency_p50_ms,latency_p90_ms,latency_p99_ms,"
    "latency_max_ms,first_byte_p50_ms,voluntary_switches,involuntary_switches,syscalls,"
    "max_rss_kib,connections_opened,server_max_in_flight,server_cpu_s,bound_s,efficiency,valid,"
    "invalid_reason,minor_faults,major_faults,steal_share";

/* A pipe or a terminal has no place beside it. @return NULL also without memory */
static char *environment_path(const struct csv_file *csv)
{
    struct stat info;
    char *path = NULL;

    if (fstat(fileno(csv->file), &info) != 0 || !S_ISREG(info.st_mode) ||
        asprintf(&path, "%s" CSV_ENVIRONMENT_SUFFIX, csv->path) < 0) {
        return NULL;
    }
    return path;
}

static int write_environment(const struct csv_file *csv, const struct run *run)
{
    char *path = environment_path(csv);
    int error = path == NULL ? 0 : output_file_write(path, export_environment, run);

    free(path);
    return error;
}

static int check_environment(const struct csv_file *csv)
{
    char *path = environment_path(csv);
    int error = path == NULL ? 0 : output_file_check(path);

    free(path);
    return error;
}

int csv_open(struct csv_file *csv, const char *path)
{
    *csv = (struct csv_file){.path = path};
    if (path == NULL) {
        return 0;
    }
    csv->file = fopen(path, "ae"); /* appending: nothing is lost if no trial ever ends */
    return csv->file == NULL ? -errno : check_environment(csv);
}

static void put_text(FILE *file, const char *text)
{
    (void)fputc(',', file);
    csv_put_text(file, text);
}

static void put_number(FILE *file, double value)
{
    (void)fputc(',', file);
    if (isfinite(value)) {
        (void)fprintf(file, "%.9g", value);
    }
}

static void put_count(FILE *file, int64_t value)
{
    (void)fputc(',', file);
    if (value >= 0) {
        (void)fprintf(file, "%" PRId64, value);
    }
}

static void put_cell(FILE *file, const struct run *run, const struct sample *sample)
{
    const struct plan_cell *cell = &run->plan.cells[sample->cell];
    const struct bench_backend *backend = cell->backend->backend;

    (void)fprintf(file, "%d,%s,%s,%u,%u", CSV_SCHEMA, run->run_id, sample->utc, sample->round,
                  sample->position);
    put_text(file, cell->label);
    put_text(file, backend->engine);
    put_text(file, backend->model);
    put_count(file, cell->concurrency);
    put_count(file, cell->loops);
    put_count(file, (int64_t)cell->transfers);
    put_text(file, cell->source->delay);
    put_text(file, run->plan.fault);
    put_text(file, cell->size);
    put_text(file, run->options->fresh_connections ? "fresh" : "reuse");
}

static void put_measures(FILE *file, const struct sample *sample)
{
    put_number(file, sample->wall_s);
    put_number(file, sample->cpu_user_s);
    put_number(file, sample->cpu_sys_s);
    put_number(file, sample_cpu_us_per_transfer(sample));
    put_number(file, sample_transfers_per_s(sample));
    put_number(file, sample_body_mb_per_s(sample));
    put_count(file, (int64_t)sample_ok(sample));
    put_count(file, (int64_t)sample_failed(sample));
    put_count(file, (int64_t)sample->body_bytes);
    put_number(file, sample->latency_p50_ms);
    put_number(file, sample->latency_p90_ms);
    put_number(file, sample->latency_p99_ms);
    put_number(file, sample->latency_max_ms);
    put_number(file, sample->first_byte_p50_ms);
    put_count(file, sample->voluntary_switches);
    put_count(file, sample->involuntary_switches);
    put_count(file, sample->syscalls);
    put_count(file, sample->max_rss_kib);
    put_count(file, sample->connections_opened);
    put_count(file, sample->server_max_in_flight);
    put_number(file, sample->server_cpu_s);
    put_number(file, sample->bound_s);
    put_number(file, sample_efficiency(sample));
    put_count(file, sample->valid);
    put_text(file, sample->invalid_reason);
    put_count(file, sample->minor_faults);
    put_count(file, sample->major_faults);
    put_number(file, sample->steal_share);
}

static int begin(struct csv_file *csv, const struct run *run)
{
    /* A pipe or a terminal cannot be cut; there is nothing old in it either. */
    if (ftruncate(fileno(csv->file), 0) != 0 && errno != EINVAL) {
        return -errno;
    }
    (void)fprintf(csv->file, "%s\n", csv_header);
    csv->begun = true;
    return write_environment(csv, run);
}

int csv_write(struct csv_file *csv, const struct run *run, const struct sample *sample)
{
    if (csv->file == NULL) {
        return 0;
    }
    int error = csv->begun ? 0 : begin(csv, run);
    if (error != 0) {
        return error;
    }
    put_cell(csv->file, run, sample);
    put_measures(csv->file, sample);
    (void)fputc('\n', csv->file);
    errno = EIO;
    return fflush(csv->file) != 0 || ferror(csv->file) ? -errno : 0;
}

int csv_close(struct csv_file *csv)
{
    if (csv->file == NULL) {
        return 0;
    }
    errno = EIO;
    int error = fclose(csv->file) != 0 ? -errno : 0;
    csv->file = NULL;
    return error;
}
