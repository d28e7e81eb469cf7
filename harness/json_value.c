#include "json_value.h"

#include <errno.h>
#include <math.h>

#define TEXT_BYTES 512

json_t *json_value_number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_value_count(int64_t value)
{
    return value >= 0 ? json_integer(value) : json_null();
}

json_t *json_value_text(const char *text)
{
    char clean[TEXT_BYTES];
    size_t used = 0;

    json_t *string = text == NULL ? json_null() : json_string(text);
    if (string != NULL) {
        return string;
    }
    for (; *text != '\0' && used + 1 < sizeof clean; text++) {
        clean[used++] = (char)((unsigned char)*text < 0x80 ? *text : '?');
    }
    clean[used] = '\0';
    return json_string(clean);
}

void json_value_set(json_t *object, const char *name, json_t *value)
{
    (void)json_object_set_new(object, name, value);
}

int json_value_write(FILE *file, json_t *root)
{
    int error = root == NULL ? -ENOMEM : 0;

    if (error == 0 && (json_dumpf(root, file, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) != 0 ||
                       fputc('\n', file) == EOF)) {
        error = -EIO;
    }
    json_decref(root);
    return error;
}
