#include "csv_text.h"

#include <stdbool.h>
#include <string.h>

void csv_put_text(FILE *file, const char *text)
{
    bool formula = text[0] != '\0' && strchr("=+-@\t\r", text[0]) != NULL;

    if (!formula && strpbrk(text, ",\"\r\n") == NULL) {
        (void)fputs(text, file);
        return;
    }
    (void)fputc('"', file);
    if (formula) {
        (void)fputc('\'', file);
    }
    for (; *text != '\0'; text++) {
        if (*text == '"') {
            (void)fputc('"', file);
        }
        (void)fputc(*text == '\n' || *text == '\r' ? ' ' : *text, file);
    }
    (void)fputc('"', file);
}
