#include "environment_json.h"

#include "json_value.h"

json_t *environment_json(const struct run *run)
{
    const struct environment *environment = &run->environment;
    json_t *object = json_object();

    json_value_set(object, "bench_version", json_value_text(environment->bench_version));
    json_value_set(object, "revision", json_value_text(environment->revision));
    json_value_set(object, "build_type", json_value_text(environment->build_type));
    json_value_set(object, "compiler", json_value_text(environment->compiler));
    json_value_set(object, "untrusted_build", json_boolean(!environment->trusted_build));
    json_value_set(object, "kernel", json_value_text(environment->kernel));
    json_value_set(object, "os", json_value_text(environment->os));
    json_value_set(object, "arch", json_value_text(environment->arch));
    json_value_set(object, "cpu_model", json_value_text(environment->cpu_model));
    json_value_set(object, "cores", json_value_count(environment->cores));
    json_value_set(object, "governor", json_value_text(environment->governor));
    json_value_set(object, "mitigations", json_value_text(environment->mitigations));
    json_value_set(object, "container", json_value_text(environment->container));
    json_value_set(object, "hypervisor", json_value_text(environment->hypervisor));
    json_value_set(object, "load_1min", json_value_number(environment->load_1min));
    json_value_set(object, "descriptor_limit", json_value_count(environment->descriptor_limit));
    json_value_set(object, "libcurl", json_value_text(environment->libcurl));
    json_value_set(object, "libuv", json_value_text(environment->libuv));
    json_value_set(object, "liburing", json_value_text(environment->liburing));
    json_value_set(object, "libc", json_value_text(environment->libc));
    json_value_set(object, "placement", json_value_text(run->plan.placement.text));
    json_value_set(object, "corpus",
                   environment->corpus[0] == '\0' ? json_null()
                                                  : json_value_text(environment->corpus));
    return object;
}

static json_t *texts_json(const struct option_texts *list)
{
    json_t *array = json_array();

    for (size_t i = 0; i < list->count; i++) {
        (void)json_array_append_new(array, json_value_text(list->texts[i]));
    }
    return array;
}

static json_t *numbers_json(const struct option_numbers *list)
{
    json_t *array = json_array();

    for (size_t i = 0; i < list->count; i++) {
        (void)json_array_append_new(array, json_integer(list->values[i]));
    }
    return array;
}

json_t *options_json(const struct options *options)
{
    json_t *object = json_object();

    json_value_set(object, "scenario", json_value_text(options->scenario));
    json_value_set(object, "transfers", json_integer(options->transfers));
    json_value_set(object, "concurrency", numbers_json(&options->concurrency));
    json_value_set(object, "loops", numbers_json(&options->loops));
    json_value_set(object, "rounds", json_integer(options->rounds));
    json_value_set(object, "precision",
                   options->precision > 0 ? json_value_number(options->precision) : json_null());
    json_value_set(object, "pin", json_value_text(options->pin));
    json_value_set(object, "delay", texts_json(&options->delays));
    json_value_set(object, "fault", texts_json(&options->faults));
    json_value_set(object, "rate", json_value_text(options->rate));
    json_value_set(object, "flags", json_value_text(options->flags_dir));
    json_value_set(object, "save", json_value_text(options->save_dir));
    json_value_set(object, "save_mode",
                   json_value_text(options->save_atomic ? "atomic" : "direct"));
    json_value_set(object, "timeout_s", json_value_number((double)options->timeout_ns / 1e9));
    json_value_set(object, "retries", json_integer(options->retries));
    json_value_set(object, "connections",
                   json_value_text(options->fresh_connections ? "fresh" : "reuse"));
    json_value_set(object, "server", json_value_text(options->server));
    json_value_set(object, "urls", json_value_text(options->urls));
    json_value_set(object, "seed", json_integer((json_int_t)options->seed));
    return object;
}
