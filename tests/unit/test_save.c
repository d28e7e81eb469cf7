#include "backends/save.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT "GIF89a"
#define TEXT_BYTES (sizeof TEXT - 1)

/* What the system refuses for a while: files without a name, or to name them. */
static bool knows_unnamed = true;
static bool links_unnamed = true;
static bool links_by_descriptor = true;
static unsigned refusals;

int __real_openat(int dir_fd, const char *path, int flags, ...);
int __wrap_openat(int dir_fd, const char *path, int flags, mode_t mode);
int __real_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);

int __wrap_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
    if ((flags & O_TMPFILE) == O_TMPFILE && !knows_unnamed) {
        refusals++;
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_openat(dir_fd, path, flags, mode);
}

int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    if (!links_unnamed || ((flags & AT_EMPTY_PATH) != 0 && !links_by_descriptor)) {
        refusals++;
        errno = links_unnamed ? ENOENT : EPERM;
        return -1;
    }
    return __real_linkat(from_fd, from, to_fd, to, flags);
}

/* A folder of its own, with `out` inside: what is saved may not leave that. */
struct fixture {
    char path[64];
    int top_fd;
    int fd;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    const char *temporary = getenv("TMPDIR");
    (void)snprintf(f->path, sizeof f->path, "%s/test_save.XXXXXX",
                   temporary != NULL && strlen(temporary) < 32 ? temporary : "/tmp");
    assert_non_null(mkdtemp(f->path));
    f->top_fd = open(f->path, O_DIRECTORY | O_CLOEXEC);
    assert_true(f->top_fd >= 0);
    assert_int_equal(mkdirat(f->top_fd, "out", 0755), 0);
    f->fd = openat(f->top_fd, "out", O_DIRECTORY | O_CLOEXEC);
    assert_true(f->fd >= 0);
    *state = f;
    return 0;
}

/* Remove what is in a folder, one level. @return how many names there were */
static size_t empty(int dir_fd, bool remove)
{
    size_t count = 0;
    const struct dirent *entry;
    DIR *dir = fdopendir(openat(dir_fd, ".", O_DIRECTORY | O_CLOEXEC));
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        count++;
        if (remove && unlinkat(dir_fd, entry->d_name, 0) < 0) {
            (void)unlinkat(dir_fd, entry->d_name, AT_REMOVEDIR);
        }
    }
    (void)closedir(dir);
    return count;
}

static int teardown(void **state)
{
    knows_unnamed = links_unnamed = links_by_descriptor = true;
    struct fixture *f = *state;
    (void)empty(f->fd, true);
    (void)close(f->fd);
    (void)empty(f->top_fd, true);
    (void)close(f->top_fd);
    (void)rmdir(f->path);
    free(f);
    return 0;
}

static void write_file(int dir_fd, const char *name, const char *text)
{
    int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
}

static void assert_content(int dir_fd, const char *name, const char *text)
{
    char content[64] = {0};
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, content, sizeof content - 1), strlen(text));
    assert_int_equal(close(fd), 0);
    assert_string_equal(content, text);
}

static struct stat stat_of(int dir_fd, const char *name)
{
    struct stat result;
    assert_int_equal(fstatat(dir_fd, name, &result, AT_SYMLINK_NOFOLLOW), 0);
    return result;
}

static void test_save__accepts_plain_names_only(void **state)
{
    static const char *const safe[] = {"br.gif", "a", "a..b", "a b", "-rf", "~"};
    static const char *const unsafe[] = {
        "",     ".",    "..",    ".hidden",   "a/b",   "/etc/passwd",
        "../a", "a\nb", "a\x7f", "a\xc3\xa9", "a\x1b",
    };
    char name[SAVE_NAME_BYTES_MAX + 1];
    (void)state;

    for (size_t i = 0; i < sizeof safe / sizeof safe[0]; i++) {
        assert_true(save_name_is_safe(safe[i]));
    }
    for (size_t i = 0; i < sizeof unsafe / sizeof unsafe[0]; i++) {
        assert_false(save_name_is_safe(unsafe[i]));
    }
    memset(name, 'a', sizeof name);
    name[SAVE_NAME_BYTES_MAX] = '\0';
    assert_false(save_name_is_safe(name));
    name[SAVE_NAME_BYTES_MAX - 1] = '\0';
    assert_true(save_name_is_safe(name));
}

static void test_save__gives_each_transfer_a_temporary_name_of_its_own(void **state)
{
    char name[SAVE_NAME_BYTES_MAX];
    char a[SAVE_PATH_BYTES_MAX];
    char b[SAVE_PATH_BYTES_MAX];
    (void)state;

    save_temporary_name(a, "br.gif", 17);
    assert_string_equal(a, ".br.gif.17.part");
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    save_temporary_name(a, name, SIZE_MAX);
    save_temporary_name(b, name, SIZE_MAX - 1);
    assert_string_equal(a + strlen(a) - 5, ".part");
    assert_string_not_equal(a, b);
}

static void test_save__writes_a_new_file_in_both_modes(void **state)
{
    const struct fixture *f = *state;

    assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, false, TEXT, TEXT_BYTES), 0);
    assert_int_equal(save_file_blocking(f->fd, "b.gif", 1, true, TEXT, TEXT_BYTES), 0);
    assert_int_equal(save_file_blocking(f->fd, "c.gif", 2, false, NULL, 0), 0);
    assert_content(f->fd, "a.gif", TEXT);
    assert_content(f->fd, "b.gif", TEXT);
    assert_content(f->fd, "c.gif", "");
    assert_int_equal(empty(f->fd, false), 3);
}

static void test_save__cuts_a_longer_file_and_extends_a_shorter_one(void **state)
{
    const struct fixture *f = *state;

    write_file(f->fd, "longer", "something that was there before");
    write_file(f->fd, "shorter", "x");
    assert_int_equal(save_file_blocking(f->fd, "longer", 0, false, TEXT, TEXT_BYTES), 0);
    assert_int_equal(save_file_blocking(f->fd, "shorter", 1, false, TEXT, TEXT_BYTES), 0);
    assert_content(f->fd, "longer", TEXT);
    assert_content(f->fd, "shorter", TEXT);
}

static void test_save__writes_in_place_in_direct_mode_only(void **state)
{
    const struct fixture *f = *state;

    write_file(f->fd, "a.gif", "123456");
    ino_t before = stat_of(f->fd, "a.gif").st_ino;
    assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, false, TEXT, TEXT_BYTES), 0);
    assert_int_equal(stat_of(f->fd, "a.gif").st_ino, before);
    assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, true, TEXT, TEXT_BYTES), 0);
    assert_int_not_equal(stat_of(f->fd, "a.gif").st_ino, before);
    assert_content(f->fd, "a.gif", TEXT);
}

static void test_save__does_not_cut_a_file_of_the_right_size(void **state)
{
    const struct fixture *f = *state;

    /* Blocks kept beyond the end show it: ftruncate, to the same size too, gives them back. */
    write_file(f->fd, "a.gif", "123456");
    int fd = openat(f->fd, "a.gif", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20) < 0) {
        (void)close(fd);
        skip();
    }
    assert_int_equal(close(fd), 0);
    blkcnt_t before = stat_of(f->fd, "a.gif").st_blocks;
    assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, false, TEXT, TEXT_BYTES), 0);
    assert_int_equal(stat_of(f->fd, "a.gif").st_blocks, before);
    assert_content(f->fd, "a.gif", TEXT);
}

static void test_save__follows_no_link(void **state)
{
    const struct fixture *f = *state;

    write_file(f->top_fd, "victim", "untouched");
    assert_int_equal(symlinkat("../victim", f->fd, "a.gif"), 0);
    assert_int_equal(symlinkat("../created", f->fd, "b.gif"), 0);
    assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, false, TEXT, TEXT_BYTES), -ELOOP);
    assert_int_equal(save_file_blocking(f->fd, "b.gif", 1, false, TEXT, TEXT_BYTES), -ELOOP);
    /* rename replaces the link itself */
    assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, true, TEXT, TEXT_BYTES), 0);
    assert_content(f->fd, "a.gif", TEXT);
    assert_content(f->top_fd, "victim", "untouched");
    assert_int_equal(faccessat(f->top_fd, "created", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

static void test_save__follows_no_link_planted_at_the_temporary_name(void **state)
{
    const struct fixture *f = *state;

    write_file(f->top_fd, "victim", "untouched");
    assert_int_equal(symlinkat("../victim", f->fd, ".a.gif.0.part"), 0);
    assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, true, TEXT, TEXT_BYTES), 0);
    assert_content(f->fd, "a.gif", TEXT);
    assert_content(f->top_fd, "victim", "untouched");
}

static void test_save__never_leaves_the_folder(void **state)
{
    const struct fixture *f = *state;

    for (int atomic = 0; atomic <= 1; atomic++) {
        assert_int_equal(save_file_blocking(f->fd, "../a", 0, atomic != 0, TEXT, TEXT_BYTES),
                         -EINVAL);
        assert_int_equal(save_file_blocking(f->fd, "..", 0, atomic != 0, TEXT, TEXT_BYTES),
                         -EINVAL);
    }
    assert_int_equal(empty(f->top_fd, false), 1); /* only `out` */
    assert_int_equal(empty(f->fd, false), 0);
}

static void test_save__refuses_a_fifo_at_once_read_or_not(void **state)
{
    const struct fixture *f = *state;

    assert_int_equal(mkfifoat(f->fd, "a.gif", 0644), 0);
    (void)alarm(10); /* a hanging open would end here */
    assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, false, TEXT, TEXT_BYTES), -ENXIO);
    int reader = openat(f->fd, "a.gif", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, false, TEXT, TEXT_BYTES), -ENXIO);
    (void)alarm(0);
    char byte;
    assert_int_equal(read(reader, &byte, 1), 0); /* and nothing was written to it */
    assert_int_equal(close(reader), 0);
}

static void test_save__leaves_no_temporary_file_behind(void **state)
{
    const struct fixture *f = *state;

    assert_int_equal(mkdirat(f->fd, "a.gif", 0755), 0); /* rename to it fails */
    assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, true, TEXT, TEXT_BYTES), -EISDIR);
    assert_int_equal(save_file_blocking(f->fd, "b.gif", 1, true, TEXT, TEXT_BYTES), 0);
    assert_int_equal(empty(f->fd, false), 2);
}

static void test_save__replaces_what_a_killed_run_left(void **state)
{
    const struct fixture *f = *state;

    /* A file without a name does not come upon it, unless it has to replace another. */
    for (int named = 0; named <= 1; named++) {
        knows_unnamed = named == 0;
        write_file(f->fd, ".a.gif.0.part", "half of an older fil");
        write_file(f->fd, "a.gif", "older");
        assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, true, TEXT, TEXT_BYTES), 0);
        assert_content(f->fd, "a.gif", TEXT);
        assert_int_equal(empty(f->fd, false), 1);
    }
}

static void test_save__needs_a_temporary_name_only_where_it_must(void **state)
{
    const struct fixture *f = *state;
    const bool known[][3] = {
        {true, true, true},  /* linked by its descriptor */
        {true, true, false}, /* by way of /proc */
        {true, false, false},
        {false, false, false},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        knows_unnamed = known[i][0];
        links_unnamed = known[i][1];
        links_by_descriptor = known[i][2];
        refusals = 0;
        assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, true, TEXT, TEXT_BYTES), 0);
        assert_content(f->fd, "a.gif", TEXT);
        assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, true, "other", 5), 0);
        assert_content(f->fd, "a.gif", "other");
        assert_int_equal(empty(f->fd, true), 1);
        assert_int_equal(refusals > 0, i > 0);
    }
}

static void test_save__reports_what_the_system_says(void **state)
{
    const struct fixture *f = *state;

    assert_int_equal(mkdirat(f->fd, "a.gif", 0755), 0);
    assert_int_equal(save_file_blocking(f->fd, "a.gif", 0, false, TEXT, TEXT_BYTES), -EISDIR);
    assert_int_equal(save_file_blocking(-1, "b.gif", 0, false, TEXT, TEXT_BYTES), -EBADF);
    assert_int_equal(save_file_blocking(-1, "b.gif", 0, true, TEXT, TEXT_BYTES), -EBADF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_save__##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(accepts_plain_names_only),
        TEST(gives_each_transfer_a_temporary_name_of_its_own),
        TEST(writes_a_new_file_in_both_modes),
        TEST(cuts_a_longer_file_and_extends_a_shorter_one),
        TEST(writes_in_place_in_direct_mode_only),
        TEST(does_not_cut_a_file_of_the_right_size),
        TEST(follows_no_link),
        TEST(follows_no_link_planted_at_the_temporary_name),
        TEST(never_leaves_the_folder),
        TEST(refuses_a_fifo_at_once_read_or_not),
        TEST(leaves_no_temporary_file_behind),
        TEST(replaces_what_a_killed_run_left),
        TEST(needs_a_temporary_name_only_where_it_must),
        TEST(reports_what_the_system_says),
    };
    return cmocka_run_group_tests_name("save", tests, NULL, NULL);
}
