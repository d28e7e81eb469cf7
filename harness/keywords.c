#include "keywords.h"

const char *const keywords[KEYWORDS_COUNT] = {
    "none", "true", "and", "as", "def", "del", "elif", "else", "for",
    "from", "if",   "in",  "is", "not", "or",  "pass", "try",  "with",
};
