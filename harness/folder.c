#include "folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int folder_make(const char *path, mode_t mode)
{
    char *part = strdup(path);

    if (part == NULL) {
        return -ENOMEM;
    }
    for (char *at = part; *at != '\0'; at++) {
        if (*at == '/' && at > part) {
            *at = '\0';
            (void)mkdir(part, mode);
            *at = '/';
        }
    }
    (void)mkdir(part, mode);
    free(part);
    return 0;
}
