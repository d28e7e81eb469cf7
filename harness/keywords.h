/** Python's keywords of at most four letters, lower case: what blogdom.py of "Fluent Python" looks
 *  up under .dev. (Its list is keyword.kwlist; here it is that of Python 3.12.) */
#ifndef BENCH_KEYWORDS_H
#define BENCH_KEYWORDS_H

#define KEYWORDS_COUNT 18

extern const char *const keywords[KEYWORDS_COUNT];

#endif
