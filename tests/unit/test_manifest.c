#include "harness/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#define FLAG                                                                                       \
    "{\"cc\":\"cn\",\"country\":\"China\",\"path\":\"/flags/cn/cn.gif\",\"bytes\":11925,"          \
    "\"xxh3\":\"0123456789abcdef\"}"

static int parse(struct manifest *manifest, const char *text)
{
    return manifest_parse(manifest, text, strlen(text));
}

static void test_manifest__keeps_what_every_body_has_to_be(void **state)
{
    struct manifest manifest;
    (void)state;
    assert_int_equal(parse(&manifest, "{\"corpus\":\"00000000000000ff\",\"admin\":\"http://a:1\","
                                      "\"flags\":[" FLAG "]}"),
                     0);
    assert_string_equal(manifest.corpus, "00000000000000ff");
    assert_string_equal(manifest.admin, "http://a:1");
    assert_int_equal(manifest.count, 1);
    assert_string_equal(manifest.flags[0].cc, "cn");
    assert_string_equal(manifest.flags[0].path, "/flags/cn/cn.gif");
    assert_int_equal(manifest.flags[0].bytes, 11925);
    assert_true(manifest.flags[0].xxh3 == UINT64_C(0x0123456789abcdef));
    manifest_release(&manifest);
}

static void test_manifest__can_do_without_an_admin_port(void **state)
{
    struct manifest manifest;
    (void)state;
    assert_int_equal(parse(&manifest, "{\"corpus\":\"00000000000000ff\",\"flags\":[" FLAG "]}"), 0);
    assert_null(manifest.admin);
    manifest_release(&manifest);
}

static void test_manifest__refuses_what_is_none(void **state)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{}",
        "{\"corpus\":\"00000000000000ff\",\"flags\":[]}",
        "{\"corpus\":\"00000000000000f\",\"flags\":[" FLAG "]}",
        "{\"corpus\":\"00000000000000FF\",\"flags\":[" FLAG "]}",
        "{\"corpus\":\"00000000000000ff\",\"flags\":[{}]}",
        "{\"corpus\":\"00000000000000ff\",\"flags\":[{\"cc\":\"../\",\"path\":\"/a\",\"bytes\":1,"
        "\"xxh3\":\"0123456789abcdef\"}]}",
        "{\"corpus\":\"00000000000000ff\",\"flags\":[{\"cc\":\"cn\",\"path\":\"a\",\"bytes\":1,"
        "\"xxh3\":\"0123456789abcdef\"}]}",
        "{\"corpus\":\"00000000000000ff\",\"flags\":[{\"cc\":\"cn\",\"path\":\"/a\",\"bytes\":-1,"
        "\"xxh3\":\"0123456789abcdef\"}]}",
        "{\"corpus\":\"00000000000000ff\",\"flags\":[" FLAG ",{\"cc\":\"us\",\"path\":\"/a\","
        "\"bytes\":1,\"xxh3\":\"xyz\"}]}",
    };
    struct manifest manifest;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_int_equal(parse(&manifest, texts[i]), -EINVAL);
        assert_null(manifest.flags);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_manifest__keeps_what_every_body_has_to_be),
        cmocka_unit_test(test_manifest__can_do_without_an_admin_port),
        cmocka_unit_test(test_manifest__refuses_what_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
