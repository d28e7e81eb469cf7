#include "markdown_text.h"

#include <string.h>

void markdown_put_text(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (strchr("|\\<`*_[]", *text) != NULL) {
            (void)fputc('\\', file);
        }
        (void)fputc(byte < 0x20 || byte == 0x7f ? ' ' : *text, file);
    }
}
