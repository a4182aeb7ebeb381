// What a device can do at most: numbers come out, also where the context's limits leave little room. peaks BACKEND
#include "testing.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../api/peaks.h"

static upconv_backend backend;

static upconv_context *open_context(const upconv_limits *limits)
{
    upconv_context *context = NULL;
    if (test_context_create(backend, limits, &context))
        fail_msg("%s", upconv_last_error());
    return context;
}

static void check(const upconv_limits *limits)
{
    upconv_context *context = open_context(limits);
    upconv_peaks peaks = {.struct_size = sizeof peaks};
    assert_int_equal(upconv_device_peaks(context, &peaks), UPCONV_OK);
    assert_true(isfinite(peaks.f32_gflops) && peaks.f32_gflops > 0);
    upconv_device_info info = {.struct_size = sizeof info};
    assert_int_equal(upconv_context_device(context, &info), UPCONV_OK);
    assert_true(isfinite(peaks.f16_gflops) && (peaks.f16_gflops > 0) == (info.f16_math != 0));
    assert_true(isfinite(peaks.copy_gbytes) && peaks.copy_gbytes > 0);
    upconv_context_destroy(context);
}

static void numbers(void **state)
{
    (void)state;
    check(NULL);
}

static void small_limits(void **state)
{
    (void)state;
    check(&(upconv_limits){.struct_size = sizeof(upconv_limits),
                           .binding_bytes = 4096,
                           .group_count = 3,
                           .group_size = 5,
                           .alloc_bytes = 100000});
    // fewer bytes than a work-group would write
    check(&(upconv_limits){.struct_size = sizeof(upconv_limits), .binding_bytes = 256, .alloc_bytes = 256});
}

static void arguments(void **state)
{
    (void)state;
    upconv_context *context = open_context(NULL);
    upconv_peaks peaks = {.struct_size = sizeof peaks};
    assert_int_equal(upconv_device_peaks(NULL, &peaks), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_device_peaks(context, NULL), UPCONV_ERROR_INVALID);
    assert_non_null(strstr(upconv_last_error(), "peaks"));
    upconv_context_destroy(context);
}

// What is copied is the whole, whatever its size and the number of threads.
static void host_copy(void **state)
{
    (void)state;
    enum { SIZE = 3500001 };
    static char from[SIZE], to[SIZE + 1];
    upc_env env;
    upc_env_init(&env, NULL);
    for (int i = 0; i < SIZE; i++)
        from[i] = (char)(i * 7);
    to[SIZE] = 99;
    const upc_peak_work work = {.threads = 3, .bytes = SIZE};
    assert_int_equal(upc_peak_host_copy(&env, &work, (void *const[]){from, to}), UPCONV_OK);
    assert_memory_equal(from, to, SIZE);
    assert_int_equal(to[SIZE], 99);
}

int main(int argc, char **argv)
{
    char why[512];
    if (argc < 2 || !test_backend_parse(argv[1], &backend)) {
        fprintf(stderr, "usage: peaks vulkan|opencl|cpu\n");
        return 2;
    }
    if (!test_backend_present(backend, why, sizeof why)) {
        printf("SKIPPED %s\n", why);
        return test_report(0, 0, 1);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(small_limits),
        cmocka_unit_test(arguments),
        cmocka_unit_test(host_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL) ? 1 : 0;
}
