/** Text in a Markdown table or paragraph: nothing in it is markup, no line break ends a row. */
#ifndef BENCH_MARKDOWN_TEXT_H
#define BENCH_MARKDOWN_TEXT_H

#include <stdio.h>

void markdown_put_text(FILE *file, const char *text);

#endif
