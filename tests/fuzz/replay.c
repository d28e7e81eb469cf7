/*
 * A fuzz target without a fuzzer: run the inputs named on the command line, files or folders
 * of files. Each goes through whole and with every byte cut off its end.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#define INPUT_BYTES_MAX (64 * 1024)
#define PATH_BYTES_MAX 4096

static int replay_file(const char *path)
{
    static uint8_t data[INPUT_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    size_t bytes = fread(data, 1, sizeof(data), file);
    int failed = ferror(file);
    (void)fclose(file);
    if (failed != 0) {
        (void)fprintf(stderr, "%s: cannot be read\n", path);
        return -1;
    }
    for (size_t left = bytes + 1; left-- > 0;) {
        /* On the heap and to the byte, for AddressSanitizer. */
        uint8_t *copy = malloc(left > 0 ? left : 1);
        if (copy == NULL) {
            return -1;
        }
        memcpy(copy, data, left);
        (void)LLVMFuzzerTestOneInput(copy, left);
        free(copy);
    }
    return 1;
}

/* @return how many files ran; -1 when one could not be read */
static int replay(const char *path)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return errno == ENOTDIR ? replay_file(path) : -1;
    }
    int count = 0;
    struct dirent *entry;
    while (count >= 0 && (entry = readdir(folder)) != NULL) {
        char name[PATH_BYTES_MAX];
        if (entry->d_name[0] == '.') {
            continue;
        }
        int bytes = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        int ran = bytes > 0 && (size_t)bytes < sizeof(name) ? replay_file(name) : -1;
        count = ran < 0 ? -1 : count + ran;
    }
    (void)closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int count = replay(argv[i]);
        if (count <= 0) {
            (void)fprintf(stderr, "%s: no input to replay\n", argv[i]);
            return EXIT_FAILURE;
        }
        total += count;
    }
    (void)printf("%d inputs\n", total);
    return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
