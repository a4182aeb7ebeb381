// Tuning records as text: round trips, and every way in which a line can be wrong.
#include "tuning_lines.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void round_trip(void **state)
{
    (void)state;
    static const line_spec specs[] = {
        {.extra = ",\"clock_mhz\":[587,1],\"note\":\"kept \\u00e9 \xc3\xa9\",\"big\":12345678901234567890"},
        {.driver = "b \\\"quoted\\\" \\\\ back", .time_us = 1e-3},
        {.device = "a", .time_us = 123456.7},
    };
    fake_context fake, again;
    tuning_setup(&fake);
    tuning_setup(&again);
    tuning_import_specs(&fake, specs, UPC_COUNT(specs));
    fake_file one = {0}, two = {0};
    tuning_exported(&fake, &one);
    assert_int_equal(tuning_lines(&one), 3);
    assert_non_null(strstr((char *)one.data, "\"big\":12345678901234567890}"));
    assert_non_null(strstr((char *)one.data, "\"device\":\"a\""));
    // Lines in any order, with other ends and blank lines between, give the same file.
    upc_string text;
    upc_string_init(&text, &again.context.env);
    upc_string_add(&text, "\xef\xbb\xbf\r\n\n  ");
    for (size_t i = 3; i-- > 0;) {
        tuning_add_line(&text, &again, &specs[i]);
        text.data[text.length - 1] = ' ';
        upc_string_add(&text, i ? "\r\n\t\n" : "");
    }
    assert_int_equal(tuning_import(&again, text.data, text.length), UPCONV_OK); // the last line has no end
    assert_int_equal(tuning_import(&again, one.data, one.size), UPCONV_OK);     // duplicates
    assert_int_equal(tuning_skipped(&again), 0);
    tuning_exported(&again, &two);
    assert_int_equal(one.size, two.size);
    assert_memory_equal(one.data, two.data, one.size);
    upc_string_finish(&text);
    fake_file_finish(&one);
    fake_file_finish(&two);
    tuning_finish(&fake);
    tuning_finish(&again);
}

// A driver may call itself anything.
static void strange_names(void **state)
{
    (void)state;
    static const char *const names[] = {"", "\"\\/\b\n\t\x01\x7f", "caf\xe9 \xff\xc0\x80",
                                        "\xe2\x84\xa2 \xf0\x9f\x98\x80",
                                        "\xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x84"};
    for (size_t i = 0; i < UPC_COUNT(names); i++) {
        fake_context fake, again;
        upconv_tier tier;
        assert_true(fake_context_init(&fake, UPCONV_BACKEND_VULKAN, names[i], names[i]));
        assert_true(fake_context_init(&again, UPCONV_BACKEND_VULKAN, names[i], names[i]));
        const upc_problem problem = tuning_problem(UP2X);
        const upc_solver *solver = tuning_solver(&problem, &fake.context.facts);
        upc_config config;
        solver->guess(&problem, &fake.context.facts, &config);
        assert_int_equal(
            upc_tuning_add(fake.context.tuning, &problem, &fake.context.facts, solver, &config, 3, 0, 0),
            UPCONV_OK);
        fake_file file = {0};
        tuning_exported(&fake, &file);
        assert_int_equal(tuning_lines(&file), 1);
        assert_int_equal(tuning_import(&again, file.data, file.size), UPCONV_OK);
        assert_true(tuning_find(&again, UP2X, &tier) == 3);
        assert_int_equal(tier, UPCONV_TIER_EXACT);
        fake_file_finish(&file);
        tuning_finish(&fake);
        tuning_finish(&again);
    }
}

static void damaged(void **state)
{
    (void)state;
#define HEAD                                                                                                 \
    "{\"format\":1,\"backend\":\"vulkan\",\"device\":\"d\",\"vendor_id\":1,\"device_id\":2,\"driver\":"      \
    "\"d\","
#define TAIL    "\"type\":\"f32\",\"solver\":\"phase\",\"solver_version\":1,\"config\":{},\"verdict\":\"ok\""
#define PROBLEM "\"problem\":\"" UP2X "\","
    static const struct {
        const char *line, *reason;
    } cases[] = {
        {"garbage", "JSON"},
        {"{\"format\":1", "JSON"},
        {HEAD PROBLEM TAIL ",\"time_us\":1} x", "JSON"},
        {"[1]", "object"},
        {"1", "object"},
        {"{}", "format"},
        {"{\"format\":2}", "format 1"},
        {"{\"format\":\"1\"}", "format"},
        {"{\"format\":1}", "backend"},
        {"{\"format\":1,\"backend\":7}", "backend"},
        {"{\"format\":1,\"backend\":\"vulkan\",\"device\":\"d\",\"driver\":\"d\",\"vendor_id\":-1}",
         "vendor_id"},
        {"{\"format\":1,\"backend\":\"vulkan\",\"device\":\"d\",\"driver\":\"d\",\"vendor_id\":4294967296}",
         "vendor_id"},
        {HEAD TAIL ",\"time_us\":1}", "problem"},
        {HEAD "\"problem\":\"ic64oc32_ih32kh4zz1\"," TAIL ",\"time_us\":1}", "character 16"},
        {HEAD "\"problem\":\"ic0oc32_ih32kh4\"," TAIL ",\"time_us\":1}", "problem"},
        {HEAD "\"problem\":\"" UP2X "+f16\"," TAIL ",\"time_us\":1}", "\"type\" is f32, but the problem's is f16"},
        {HEAD PROBLEM TAIL "}", "time_us"},
        {HEAD PROBLEM TAIL ",\"time_us\":0}", "time_us"},
        {HEAD PROBLEM TAIL ",\"time_us\":1e999}", "time_us"},
        {HEAD PROBLEM TAIL ",\"time_us\":-1}", "time_us"},
        {HEAD PROBLEM TAIL ",\"time_us\":1,\"date\":\"yesterday\"}", "date"},
        {HEAD PROBLEM TAIL ",\"time_us\":1,\"date\":20261120}", "date"},
        {HEAD PROBLEM "\"type\":\"f32\",\"solver\":\"phase\",\"solver_version\":1.5}", "solver_version"},
        {HEAD PROBLEM "\"type\":\"f32\",\"solver\":\"phase\",\"solver_version\":1,\"config\":[1]}", "config"},
        {HEAD PROBLEM "\"type\":\"f32\",\"solver\":\"phase\",\"solver_version\":1,\"config\":{\"tile\":1.5}}",
         "tile"},
        {HEAD PROBLEM "\"type\":\"f32\",\"solver\":\"phase\",\"solver_version\":1,\"config\":{\"tile\":3e9}}",
         "tile"},
        {"{\"format\":1,\"x\":\"\xff\"}", "UTF-8"},
        {"{\"format\":1,\"x\":\"\t\"}", "control"},
        {"[[[[[[[[[[[[[[[[[[[[", "deeply"},
    };
    for (size_t i = 0; i < UPC_COUNT(cases); i++) {
        fake_context fake;
        tuning_setup(&fake);
        upc_string text;
        upc_string_init(&text, &fake.context.env);
        assert_int_equal(tuning_import(&fake, cases[i].line, strlen(cases[i].line)), UPCONV_ERROR_DATA);
        assert_non_null(strstr(upconv_last_error(), cases[i].reason));
        assert_int_equal(tuning_skipped(&fake), 1);
        tuning_add_line(&text, &fake, &(line_spec){.time_us = 7});
        upc_string_add(&text, "\n%s\n", cases[i].line);
        assert_int_equal(tuning_import(&fake, text.data, text.length), UPCONV_OK);
        assert_int_equal(tuning_skipped(&fake), 2);
        assert_non_null(strstr(fake.last_log, "line 3: "));
        if (!strstr(fake.last_log, cases[i].reason))
            fail_msg("case %zu: %s", i, fake.last_log);
        fake_file file = {0};
        tuning_exported(&fake, &file);
        assert_int_equal(tuning_lines(&file), 1);
        fake_file_finish(&file);
        upc_string_finish(&text);
        tuning_finish(&fake);
    }
}

static void huge(void **state)
{
    (void)state;
    fake_context fake;
    tuning_setup(&fake);
    const size_t size = 1 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    static const char fills[] = "[{\" x\\";
    for (const char *fill = fills; *fill; fill++) {
        memset(text, *fill, size);
        assert_int_equal(upconv_tuning_import(&fake.context, text, size),
                         *fill == ' ' ? UPCONV_OK : UPCONV_ERROR_DATA);
        assert_int_equal(upconv_tuning_import(&fake.context, text, 60000),
                         *fill == ' ' ? UPCONV_OK : UPCONV_ERROR_DATA);
    }
    memset(text, 0, size);
    assert_int_equal(upconv_tuning_import(&fake.context, text, size), UPCONV_ERROR_DATA);
    free(text);
    tuning_finish(&fake);
}

static void every_truncation_and_flip(void **state)
{
    (void)state;
    static const line_spec specs[] = {{.time_us = 40}, {.time_us = 41, .device = "other"}};
    fake_context fake;
    upconv_tier tier;
    tuning_setup(&fake);
    upc_string text;
    upc_string_init(&text, &fake.context.env);
    tuning_add_line(&text, &fake, &specs[0]);
    const size_t first = text.length;
    tuning_add_line(&text, &fake, &specs[1]);
    for (size_t size = 0; size <= text.length; size++) {
        fake_context fresh;
        tuning_setup(&fresh);
        const upconv_status status = tuning_import(&fresh, text.data, size);
        const bool whole = size >= first - 1;
        assert_int_equal(status, whole || size == 0 ? UPCONV_OK : UPCONV_ERROR_DATA);
        assert_true(tuning_find(&fresh, UP2X, &tier) == (whole ? 40 : 0));
        tuning_finish(&fresh);
    }
    for (size_t at = 0; at < text.length; at++)
        for (int bit = 0; bit < 8; bit++) {
            fake_context fresh;
            tuning_setup(&fresh);
            text.data[at] = (char)(text.data[at] ^ 1 << bit);
            const upconv_status status = tuning_import(&fresh, text.data, text.length);
            text.data[at] = (char)(text.data[at] ^ 1 << bit);
            assert_true(status == UPCONV_OK || status == UPCONV_ERROR_DATA);
            (void)tuning_find(&fresh, UP2X, &tier); // asserts that what is found is legal
            tuning_finish(&fresh);
        }
    upc_string_finish(&text);
    tuning_finish(&fake);
}

static void arguments(void **state)
{
    (void)state;
    fake_context fake;
    fake_file file = {0};
    tuning_setup(&fake);
    assert_int_equal(upconv_tuning_export(NULL, fake_file_write, &file), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_tuning_export(&fake.context, NULL, NULL), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_tuning_import(NULL, "x", 1), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_tuning_import(&fake.context, NULL, 1), UPCONV_ERROR_INVALID);
    assert_non_null(strstr(upconv_last_error(), "text"));
    assert_int_equal(upconv_tuning_import(&fake.context, NULL, 0), UPCONV_OK);
    assert_int_equal(upconv_tuning_import(&fake.context, "\n \r\n", 4), UPCONV_OK);
    assert_int_equal(upconv_tuning_export(&fake.context, fake_file_write, &file), UPCONV_OK);
    assert_int_equal(file.size, 0);
    tuning_import_specs(&fake, (line_spec[]){{.device = "a"}, {.device = "b"}}, 2);
    file.stop_at = 2;
    assert_int_equal(upconv_tuning_export(&fake.context, fake_file_write, &file), UPCONV_ERROR_DATA);
    assert_int_equal(tuning_lines(&file), 1);
    atomic_store(&fake.device.state, UPCONV_ERROR_TIMEOUT);
    assert_int_equal(upconv_tuning_export(&fake.context, fake_file_write, &file), UPCONV_ERROR_TIMEOUT);
    assert_int_equal(upconv_tuning_import(&fake.context, "x", 1), UPCONV_ERROR_TIMEOUT);
    atomic_store(&fake.device.state,
                 UPCONV_ERROR_DEVICE_LOST); // what was measured is not lost with the device
    file.stop_at = 0;
    assert_int_equal(upconv_tuning_export(&fake.context, fake_file_write, &file), UPCONV_OK);
    assert_int_equal(tuning_lines(&file), 3);
    fake_file_finish(&file);
    tuning_finish(&fake);
}

static void no_memory(void **state)
{
    (void)state;
    const upc_problem problem = tuning_problem(UP2X);
    bool failed = true;
    for (long at = 1; failed; at++) {
        fake_context fake;
        fake_file file = {0};
        upc_string text;
        tuning_setup(&fake);
        upc_string_init(&text, &fake.context.env);
        char name[16];
        for (int i = 0; i < 40; i++) { // enough for both tables to grow
            snprintf(name, sizeof name, "d%d", i);
            tuning_add_line(&text, &fake, &(line_spec){.device = name});
        }
        const upc_solver *solver = tuning_solver(&problem, &fake.context.facts);
        upc_config config;
        solver->guess(&problem, &fake.context.facts, &config);
        atomic_store(&fake.fail_at, atomic_load(&fake.allocations) + at);
        upconv_status status = upconv_tuning_import(&fake.context, text.data, text.length);
        if (status == UPCONV_OK)
            status =
                upc_tuning_add(fake.context.tuning, &problem, &fake.context.facts, solver, &config, 3, 0, 0);
        if (status == UPCONV_OK)
            status = upconv_tuning_export(&fake.context, fake_file_write, &file);
        failed = atomic_load(&fake.allocations) >= atomic_load(&fake.fail_at);
        assert_int_equal(status, failed ? UPCONV_ERROR_HOST_MEMORY : UPCONV_OK);
        assert_int_equal(tuning_skipped(&fake), 0);
        upc_string_finish(&text);
        fake_file_finish(&file);
        tuning_finish(&fake);
    }
    fake_context fake;
    tuning_setup(&fake);
    struct upc_tuning *tuning = NULL;
    atomic_store(&fake.fail_at, atomic_load(&fake.allocations) + 1);
    assert_int_equal(upc_tuning_create(&fake.context.env, &tuning), UPCONV_ERROR_HOST_MEMORY);
    upc_tuning_destroy(NULL);
    tuning_finish(&fake);
}

// A locale with a decimal comma must change neither what is written nor what is read. Skipped where the
// machine has none.
static void locales(void **state)
{
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8", "ru_RU.UTF-8"};
    bool set = false;
    for (size_t i = 0; i < UPC_COUNT(names) && !set; i++)
        set = setlocale(LC_ALL, names[i]) != NULL;
    char folder[] = "/tmp/upconv-locale-XXXXXX", command[160];
    const bool made = !set && mkdtemp(folder) != NULL;
    if (made) {
        snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >%s/log 2>&1", folder,
                 folder);
        setenv("LOCPATH", folder, 1);
        set = system(command) == 0 && setlocale(LC_ALL, names[0]) != NULL;
        snprintf(command, sizeof command, "rm -r %s", folder);
        if (system(command))
            print_message("%s is left behind\n", folder);
    }
    if (!set) {
        print_message("no locale with a decimal comma on this machine\n");
        skip();
    }
    fake_context fake, again;
    upconv_tier tier;
    tuning_setup(&fake);
    tuning_setup(&again);
    const upc_problem problem = tuning_problem(UP2X);
    const upc_solver *solver = tuning_solver(&problem, &fake.context.facts);
    upc_config config;
    solver->guess(&problem, &fake.context.facts, &config);
    assert_int_equal(
        upc_tuning_add(fake.context.tuning, &problem, &fake.context.facts, solver, &config, 12.5, 1.25, 0.5),
        UPCONV_OK);
    assert_true(tuning_find(&fake, UP2X, &tier) == 12.5);
    fake_file file = {0};
    tuning_exported(&fake, &file);
    assert_non_null(strstr((char *)file.data, "\"time_us\":12.5,\"reference_us\":1.25,\"spread\":0.5,"));
    assert_int_equal(tuning_import(&again, file.data, file.size), UPCONV_OK);
    assert_true(tuning_find(&again, UP2X, &tier) == 12.5);
    setlocale(LC_ALL, "C");
    fake_file_finish(&file);
    tuning_finish(&fake);
    tuning_finish(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(strange_names),
        cmocka_unit_test(damaged),
        cmocka_unit_test(huge),
        cmocka_unit_test(arguments),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(every_truncation_and_flip),
        cmocka_unit_test(locales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
