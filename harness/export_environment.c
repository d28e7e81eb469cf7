#include "csv_text.h"
#include "environment_json.h"
#include "exports.h"

#include <errno.h>
#include <stdlib.h>

static void put_value(FILE *file, const char *name, const char *value)
{
    csv_put_text(file, name);
    (void)fputc(',', file);
    csv_put_text(file, value);
    (void)fputc('\n', file);
}

/* Texts as they are, empty where unknown, lists and numbers as JSON writes them. */
static int put_member(FILE *file, const char *name, const json_t *value)
{
    if (json_is_null(value) || json_is_string(value)) {
        put_value(file, name, json_is_string(value) ? json_string_value(value) : "");
        return 0;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (text == NULL) {
        return -ENOMEM;
    }
    put_value(file, name, text);
    free(text);
    return 0;
}

static int put_members(FILE *file, json_t *object)
{
    int error = object == NULL ? -ENOMEM : 0;
    const char *name;
    json_t *value;

    json_object_foreach(object, name, value)
    {
        error = error == 0 ? put_member(file, name, value) : error;
    }
    json_decref(object);
    return error;
}

int export_environment(FILE *file, const void *content)
{
    const struct run *run = content;

    (void)fprintf(file, "name,value\n");
    put_value(file, "run_id", run->run_id);
    int error = put_members(file, environment_json(run));
    return error == 0 ? put_members(file, options_json(run->options)) : error;
}
