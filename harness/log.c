#include "log.h"

#include "progress.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define LOG_LINE_BYTES_MAX 1024

static enum log_level most_verbose_level = LOG_WARN;

void log_set_level(enum log_level most_verbose)
{
    most_verbose_level = most_verbose;
}

/* Names, URLs and messages can come from outside: no byte of theirs may steer a terminal. */
static size_t escape(const char *text, char *out, size_t out_bytes)
{
    static const char digits[] = "0123456789abcdef";
    size_t used = 0;

    for (; *text != '\0' && used + 5 < out_bytes; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte >= 0x20 && byte != 0x7f) {
            out[used++] = *text;
        } else {
            out[used++] = '\\';
            out[used++] = 'x';
            out[used++] = digits[byte >> 4];
            out[used++] = digits[byte & 15];
        }
    }
    out[used] = '\0';
    return used;
}

static void log_line(enum log_level level, const char *prefix, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void log_line(enum log_level level, const char *prefix, const char *format, va_list args)
{
    char raw[LOG_LINE_BYTES_MAX];
    char clean[LOG_LINE_BYTES_MAX];

    if (level > most_verbose_level) {
        return;
    }
    (void)vsnprintf(raw, sizeof raw, format, args);
    (void)escape(raw, clean, sizeof clean);
    progress_clear();
    (void)fprintf(stderr, "bench: %s%s\n", prefix, clean);
}

void log_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(LOG_ERROR, "", format, args);
    va_end(args);
}

void log_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(LOG_WARN, "warning: ", format, args);
    va_end(args);
}

void log_info(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_line(LOG_INFO, "", format, args);
    va_end(args);
}

int log_error_once(bool *said, const char *format, ...)
{
    va_list args;

    if (!*said) {
        va_start(args, format);
        log_line(LOG_ERROR, "", format, args);
        va_end(args);
    }
    *said = true;
    return EINVAL;
}
