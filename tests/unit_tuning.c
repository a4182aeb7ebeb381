// Tuning records: look-up, the JSON Lines form, and every way in which a line can be wrong. The solver is
// whichever of the library's own takes the problem first; nothing here knows its knobs.
#include "fake_context.h"

#include <locale.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define UP2X   "ic64oc32_ih32iw48_kh4sh2ph1"
#define ADRENO "Adreno 660"
#define TURNIP "turnip 22.3.6"

static void setup(fake_context *fake)
{
    assert_true(fake_context_init(fake, UPCONV_BACKEND_VULKAN, ADRENO, TURNIP));
}

static uint64_t skipped(fake_context *fake) { return atomic_load(&fake->context.env.counts.skipped_blobs); }

static void finish(fake_context *fake)
{
    fake_context_finish(fake);
    assert_int_equal(atomic_load(&fake->live), 0);
}

static upc_problem problem_of(const char *notation)
{
    upconv_problem given = {.struct_size = sizeof given};
    upc_problem problem;
    assert_int_equal(upconv_problem_parse(notation, &given, NULL), UPCONV_OK);
    assert_int_equal(upc_problem_from(&given, &problem), UPCONV_OK);
    return problem;
}

static const upc_solver *solver_for(const upc_problem *problem, const upc_facts *facts)
{
    char sentence[UPC_SENTENCE];
    for (int i = 0; i < upc_solver_count; i++)
        if (upc_solvers[i]->knob_count && !upc_solvers[i]->refuse(problem, facts, sentence))
            return upc_solvers[i];
    fail_msg("no solver with knobs takes the problem");
    return NULL;
}

// The n-th configuration that is legal, in order of the knobs' values; false: there are fewer.
static bool legal_config(const upc_solver *solver, const upc_problem *problem, const upc_facts *facts, int n,
                         upc_config *config)
{
    char sentence[UPC_SENTENCE];
    int digit[UPC_MAX_KNOBS] = {0};
    for (int at = 0; at < solver->knob_count;) {
        memset(config, 0, sizeof *config);
        for (int i = 0; i < solver->knob_count; i++)
            config->value[i] = solver->knobs[i].values[digit[i]];
        if (!solver->legal(problem, facts, config, sentence) && n-- == 0)
            return true;
        for (at = 0; at < solver->knob_count && ++digit[at] == solver->knobs[at].count; at++)
            digit[at] = 0;
    }
    return false;
}

// --------------------------------------------------------------------------------------------------- lines

typedef struct line_spec { // NULL and 0: as the fake context has it
    const char *device, *driver, *problem, *solver, *verdict, *date, *extra, *knobs;
    const upc_config *config;
    double time_us;
    int version_step; // added to the solver's version
} line_spec;

static void add_line(upc_string *text, const fake_context *fake, const line_spec *spec)
{
    const upconv_device_info *info = &fake->context.facts.info;
    const upc_problem problem = problem_of(spec->problem ? spec->problem : UP2X);
    const upc_solver *solver = solver_for(&problem, &fake->context.facts);
    upc_config guess;
    solver->guess(&problem, &fake->context.facts, &guess);
    const upc_config *config = spec->config ? spec->config : &guess;
    upc_string_add(
        text,
        "{\"format\":1,\"library\":\"0.1.0\",\"backend\":\"vulkan\",\"device\":\"%s\",\"vendor_id\":%u,"
        "\"device_id\":%u,\"driver\":\"%s\",\"problem\":\"%s\",\"type\":\"f32\",\"solver\":\"%s\","
        "\"solver_version\":%d,\"config\":{",
        spec->device ? spec->device : info->name, info->vendor_id, info->device_id,
        spec->driver ? spec->driver : info->driver, spec->problem ? spec->problem : UP2X,
        spec->solver ? spec->solver : solver->name, solver->version + spec->version_step);
    for (int i = 0; i < solver->knob_count && !spec->knobs; i++)
        upc_string_add(text, "%s\"%s\":%d", i ? "," : "", solver->knobs[i].name, config->value[i]);
    char time_us[40];
    upc_print_float(time_us, sizeof time_us, spec->time_us > 0 ? (float)spec->time_us : 100);
    upc_string_add(text, "%s},\"time_us\":%s,\"verdict\":\"%s\",\"date\":\"%s\"%s}\n",
                   spec->knobs ? spec->knobs : "", time_us, spec->verdict ? spec->verdict : "ok",
                   spec->date ? spec->date : "2026-11-20", spec->extra ? spec->extra : "");
    assert_false(text->failed);
}

static upconv_status import(fake_context *fake, const void *text, size_t size)
{
    char *copy = malloc(size ? size : 1); // exactly as long, for the sanitizer
    assert_non_null(copy);
    if (size)
        memcpy(copy, text, size);
    const upconv_status status = upconv_tuning_import(&fake->context, copy, size);
    free(copy);
    return status;
}

static void import_specs(fake_context *fake, const line_spec *specs, size_t count)
{
    upc_string text;
    upc_string_init(&text, &fake->context.env);
    for (size_t i = 0; i < count; i++)
        add_line(&text, fake, &specs[i]);
    assert_int_equal(import(fake, text.data, text.length), UPCONV_OK);
    assert_int_equal(skipped(fake), 0);
    upc_string_finish(&text);
}

// The time of the record found for `notation`, which tells records apart; 0: none.
static double find(fake_context *fake, const char *notation, upconv_tier *tier)
{
    const upc_problem problem = problem_of(notation);
    upc_record record;
    if (!upc_tuning_find(fake->context.tuning, &problem, &fake->context.facts, &record))
        return 0;
    char sentence[UPC_SENTENCE];
    assert_null(record.solver->refuse(&problem, &fake->context.facts, sentence));
    assert_null(record.solver->legal(&problem, &fake->context.facts, &record.config, sentence));
    *tier = record.tier;
    return record.time_us;
}

static void exported(fake_context *fake, fake_file *file)
{
    assert_int_equal(upconv_tuning_export(&fake->context, fake_file_write, file), UPCONV_OK);
    assert_int_equal(fake_file_write(file, "", 1), 0); // text
    file->size--;
}

static int lines_in(const fake_file *file)
{
    int lines = 0;
    for (size_t i = 0; i < file->size; i++)
        lines += file->data[i] == '\n';
    return lines;
}

// ------------------------------------------------------------------------------------------------- look-up

static void measured(void **state)
{
    (void)state;
    fake_context fake;
    upconv_tier tier;
    setup(&fake);
    const upc_problem problem = problem_of(UP2X "+relu");
    const upc_solver *solver = solver_for(&problem, &fake.context.facts);
    upc_config config, other;
    assert_true(find(&fake, UP2X "+relu", &tier) == 0);
    assert_true(legal_config(solver, &problem, &fake.context.facts, 0, &config));
    assert_true(legal_config(solver, &problem, &fake.context.facts, 1, &other));
    assert_int_equal(
        upc_tuning_add(fake.context.tuning, &problem, &fake.context.facts, solver, &config, 12.5, 20, 0.01),
        UPCONV_OK);
    assert_true(find(&fake, UP2X "+relu", &tier) == 12.5);
    assert_int_equal(tier, UPCONV_TIER_EXACT);
    // The faster of two; then a newer measurement of one and the same.
    assert_int_equal(
        upc_tuning_add(fake.context.tuning, &problem, &fake.context.facts, solver, &other, 11, 20, 0),
        UPCONV_OK);
    assert_true(find(&fake, UP2X "+relu", &tier) == 11);
    assert_int_equal(
        upc_tuning_add(fake.context.tuning, &problem, &fake.context.facts, solver, &other, 30, 0, 0),
        UPCONV_OK);
    upc_record record;
    assert_true(upc_tuning_find(fake.context.tuning, &problem, &fake.context.facts, &record));
    assert_true(record.time_us == 12.5);
    assert_ptr_equal(record.solver, solver);
    assert_memory_equal(record.config.value, config.value, sizeof(int32_t) * (size_t)solver->knob_count);
    // What cannot be a record is refused, and changes nothing.
    assert_int_equal(
        upc_tuning_add(fake.context.tuning, &problem, &fake.context.facts, solver, &config, 0, 0, 0),
        UPCONV_ERROR_INVALID);
    assert_true(find(&fake, UP2X "+relu", &tier) == 12.5);
    fake_file file = {0};
    exported(&fake, &file);
    assert_int_equal(lines_in(&file), 2);
    assert_non_null(
        strstr((char *)file.data, "\"time_us\":12.5,\"reference_us\":20,\"spread\":0.01,\"verdict\":\"ok\""));
    fake_file_finish(&file);
    finish(&fake);
}

static void tiers(void **state)
{
    (void)state;
    static const line_spec specs[] = {
        {.time_us = 40},
        {.time_us = 10, .driver = "turnip 23.0"},                              // faster, but another driver
        {.time_us = 5, .device = "Adreno 740"},                                // another device
        {.time_us = 20, .problem = "ic64oc32_ih64iw48_kh4sh2ph1"},             // twice the height
        {.time_us = 21, .problem = "ic64oc32_ih512iw48_kh4sh2ph1"},            // a different size altogether
        {.time_us = 22, .problem = "ic64oc32_ih32iw48_kh2sh2"},                // another kernel
        {.time_us = 23, .problem = "g64ic64oc64_ih32iw48_kh4sh2ph1"},          // depthwise
        {.time_us = 24, .problem = "ic64oc32_ih32iw96_kh3sh2", .driver = "x"}, // same class as nothing here
    };
    fake_context fake;
    upconv_tier tier;
    setup(&fake);
    import_specs(&fake, specs, UPC_COUNT(specs));
    assert_true(find(&fake, UP2X, &tier) == 40);
    assert_int_equal(tier, UPCONV_TIER_EXACT);
    assert_true(find(&fake, UP2X "+relu", &tier) == 40); // an activation is no distance
    assert_int_equal(tier, UPCONV_TIER_NEAREST);
    assert_true(find(&fake, "ic64oc32_ih60iw48_kh4sh2ph1", &tier) == 20);
    assert_int_equal(tier, UPCONV_TIER_NEAREST);
    assert_true(find(&fake, "ic64oc32_ih34iw48_kh4sh2ph0", &tier) == 40);
    assert_true(find(&fake, "ic64oc32_ih4096iw4096_kh4sh2ph1", &tier) == 0); // past the cut-off
    assert_true(find(&fake, "ic64oc32_ih32iw48_kh2sh2+tanh", &tier) == 22);
    assert_true(find(&fake, "g32ic32oc32_ih32iw48_kh4sh2ph1", &tier) == 23);
    assert_true(find(&fake, "g2ic64oc32_ih32iw48_kh4sh2ph1", &tier) == 0); // grouped, not depthwise
    assert_true(find(&fake, "ic64oc32_iw48_kw4sw2pw1", &tier) == 0);       // 1-D
    snprintf(fake.context.facts.info.driver, sizeof fake.context.facts.info.driver, "turnip 24.1");
    assert_true(find(&fake, UP2X, &tier) == 10);
    assert_int_equal(tier, UPCONV_TIER_DRIVER);
    assert_true(find(&fake, "ic64oc32_ih60iw48_kh4sh2ph1", &tier) == 0); // nearest is for this driver only
    snprintf(fake.context.facts.info.driver, sizeof fake.context.facts.info.driver, "%s", TURNIP);
    fake.context.facts.info.device_id++;
    assert_true(find(&fake, UP2X, &tier) == 0);
    fake.context.facts.info.device_id--;
    fake.context.facts.info.backend = UPCONV_BACKEND_OPENCL;
    assert_true(find(&fake, UP2X, &tier) == 0);
    finish(&fake);
}

// Kept and exported, but never a plan.
static void unusable(void **state)
{
    (void)state;
    static const line_spec specs[] = {
        {.solver = "winograd"}, {.version_step = 1},
        {.knobs = ""},          {.knobs = "\"nonsense\":1"},
        {.verdict = "wrong"},   {.verdict = "slow", .problem = "ic64oc32_ih64iw48_kh4sh2ph1"},
    };
    fake_context fake;
    upconv_tier tier;
    setup(&fake);
    import_specs(&fake, specs, UPC_COUNT(specs));
    assert_true(find(&fake, UP2X, &tier) == 0);
    fake_file file = {0};
    exported(&fake, &file);
    assert_int_equal(lines_in(&file), (int)UPC_COUNT(specs));
    fake_file_finish(&file);
    finish(&fake);
}

// Every value of every knob beyond its list, and configurations that are legal for one problem but not for
// another.
static void guarded(void **state)
{
    (void)state;
    fake_context fake;
    upconv_tier tier;
    setup(&fake);
    const upc_problem problem = problem_of(UP2X);
    const upc_solver *solver = solver_for(&problem, &fake.context.facts);
    upc_config guess;
    solver->guess(&problem, &fake.context.facts, &guess);
    for (int i = 0; i < solver->knob_count; i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            upc_config config = guess;
            config.value[i] = sign * 1000003;
            const line_spec spec = {.config = &config};
            import_specs(&fake, &spec, 1);
            assert_true(find(&fake, UP2X, &tier) == 0);
        }
    upc_config config;
    char sentence[UPC_SENTENCE];
    const upc_problem small = problem_of("ic64oc4_ih32iw48_kh4sh2ph1");
    for (int n = 0; legal_config(solver, &problem, &fake.context.facts, n, &config); n++) {
        const bool here = !solver->legal(&small, &fake.context.facts, &config, sentence);
        fake_context fresh;
        setup(&fresh);
        const line_spec spec = {.config = &config, .problem = "ic64oc16_ih32iw48_kh4sh2ph1"};
        import_specs(&fresh, &spec, 1);
        assert_int_equal(find(&fresh, "ic64oc4_ih32iw48_kh4sh2ph1", &tier) > 0, here);
        finish(&fresh);
        if (n > 20)
            break;
    }
    finish(&fake);
}

static void failures(void **state)
{
    (void)state;
    static const line_spec good = {.time_us = 40, .date = "2026-01-01"};
    static const line_spec crash = {.verdict = "crash", .date = "2026-02-01"};
    static const line_spec other_driver = {.time_us = 10, .driver = "older"};
    static const line_spec elsewhere = {.verdict = "crash", .problem = "ic64oc32_ih30iw48_kh4sh2ph1"};
    fake_context fake;
    upconv_tier tier;
    setup(&fake);
    import_specs(&fake, &good, 1);
    import_specs(&fake, &elsewhere,
                 1); // of its class: no reason to drop what was measured for this very problem
    assert_true(find(&fake, UP2X, &tier) == 40);
    assert_true(find(&fake, "ic64oc32_ih34iw48_kh4sh2ph1", &tier) == 0); // but too near for a guess
    import_specs(&fake, &crash, 1);
    assert_true(find(&fake, UP2X, &tier) == 0);
    import_specs(&fake, &other_driver, 1); // the same configuration, from before the driver broke it
    assert_true(find(&fake, UP2X, &tier) == 0);
    import_specs(&fake, &good, 1); // older than the crash: the order of files does not matter
    assert_true(find(&fake, UP2X, &tier) == 0);
    finish(&fake);
}

// ---------------------------------------------------------------------------------------------------- text

static void round_trip(void **state)
{
    (void)state;
    static const line_spec specs[] = {
        {.extra = ",\"clock_mhz\":[587,1],\"note\":\"kept \\u00e9 \xc3\xa9\",\"big\":12345678901234567890"},
        {.driver = "b \\\"quoted\\\" \\\\ back", .time_us = 1e-3},
        {.device = "a", .time_us = 123456.7},
    };
    fake_context fake, again;
    setup(&fake);
    setup(&again);
    import_specs(&fake, specs, UPC_COUNT(specs));
    fake_file one = {0}, two = {0};
    exported(&fake, &one);
    assert_int_equal(lines_in(&one), 3);
    assert_non_null(strstr((char *)one.data, "\"big\":12345678901234567890}"));
    assert_non_null(strstr((char *)one.data, "\"device\":\"a\""));
    // Lines in any order, with other ends and blank lines between, give the same file.
    upc_string text;
    upc_string_init(&text, &again.context.env);
    upc_string_add(&text, "\xef\xbb\xbf\r\n\n  ");
    for (size_t i = 3; i-- > 0;) {
        add_line(&text, &again, &specs[i]);
        text.data[text.length - 1] = ' ';
        upc_string_add(&text, i ? "\r\n\t\n" : "");
    }
    assert_int_equal(import(&again, text.data, text.length), UPCONV_OK); // the last line has no end
    assert_int_equal(import(&again, one.data, one.size), UPCONV_OK);     // duplicates
    assert_int_equal(skipped(&again), 0);
    exported(&again, &two);
    assert_int_equal(one.size, two.size);
    assert_memory_equal(one.data, two.data, one.size);
    upc_string_finish(&text);
    fake_file_finish(&one);
    fake_file_finish(&two);
    finish(&fake);
    finish(&again);
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
        const upc_problem problem = problem_of(UP2X);
        const upc_solver *solver = solver_for(&problem, &fake.context.facts);
        upc_config config;
        solver->guess(&problem, &fake.context.facts, &config);
        assert_int_equal(
            upc_tuning_add(fake.context.tuning, &problem, &fake.context.facts, solver, &config, 3, 0, 0),
            UPCONV_OK);
        fake_file file = {0};
        exported(&fake, &file);
        assert_int_equal(lines_in(&file), 1);
        assert_int_equal(import(&again, file.data, file.size), UPCONV_OK);
        assert_true(find(&again, UP2X, &tier) == 3);
        assert_int_equal(tier, UPCONV_TIER_EXACT);
        fake_file_finish(&file);
        finish(&fake);
        finish(&again);
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
        setup(&fake);
        upc_string text;
        upc_string_init(&text, &fake.context.env);
        assert_int_equal(import(&fake, cases[i].line, strlen(cases[i].line)), UPCONV_ERROR_DATA);
        assert_non_null(strstr(upconv_last_error(), cases[i].reason));
        assert_int_equal(skipped(&fake), 1);
        add_line(&text, &fake, &(line_spec){.time_us = 7});
        upc_string_add(&text, "\n%s\n", cases[i].line);
        assert_int_equal(import(&fake, text.data, text.length), UPCONV_OK);
        assert_int_equal(skipped(&fake), 2);
        assert_non_null(strstr(fake.last_log, "line 3: "));
        if (!strstr(fake.last_log, cases[i].reason))
            fail_msg("case %zu: %s", i, fake.last_log);
        fake_file file = {0};
        exported(&fake, &file);
        assert_int_equal(lines_in(&file), 1);
        fake_file_finish(&file);
        upc_string_finish(&text);
        finish(&fake);
    }
}

static void huge(void **state)
{
    (void)state;
    fake_context fake;
    setup(&fake);
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
    finish(&fake);
}

static void every_truncation_and_flip(void **state)
{
    (void)state;
    static const line_spec specs[] = {{.time_us = 40}, {.time_us = 41, .device = "other"}};
    fake_context fake;
    upconv_tier tier;
    setup(&fake);
    upc_string text;
    upc_string_init(&text, &fake.context.env);
    add_line(&text, &fake, &specs[0]);
    const size_t first = text.length;
    add_line(&text, &fake, &specs[1]);
    for (size_t size = 0; size <= text.length; size++) {
        fake_context fresh;
        setup(&fresh);
        const upconv_status status = import(&fresh, text.data, size);
        const bool whole = size >= first - 1;
        assert_int_equal(status, whole || size == 0 ? UPCONV_OK : UPCONV_ERROR_DATA);
        assert_true(find(&fresh, UP2X, &tier) == (whole ? 40 : 0));
        finish(&fresh);
    }
    for (size_t at = 0; at < text.length; at++)
        for (int bit = 0; bit < 8; bit++) {
            fake_context fresh;
            setup(&fresh);
            text.data[at] = (char)(text.data[at] ^ 1 << bit);
            const upconv_status status = import(&fresh, text.data, text.length);
            text.data[at] = (char)(text.data[at] ^ 1 << bit);
            assert_true(status == UPCONV_OK || status == UPCONV_ERROR_DATA);
            (void)find(&fresh, UP2X, &tier); // asserts that what is found is legal
            finish(&fresh);
        }
    upc_string_finish(&text);
    finish(&fake);
}

static void arguments(void **state)
{
    (void)state;
    fake_context fake;
    fake_file file = {0};
    setup(&fake);
    assert_int_equal(upconv_tuning_export(NULL, fake_file_write, &file), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_tuning_export(&fake.context, NULL, NULL), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_tuning_import(NULL, "x", 1), UPCONV_ERROR_INVALID);
    assert_int_equal(upconv_tuning_import(&fake.context, NULL, 1), UPCONV_ERROR_INVALID);
    assert_non_null(strstr(upconv_last_error(), "text"));
    assert_int_equal(upconv_tuning_import(&fake.context, NULL, 0), UPCONV_OK);
    assert_int_equal(upconv_tuning_import(&fake.context, "\n \r\n", 4), UPCONV_OK);
    assert_int_equal(upconv_tuning_export(&fake.context, fake_file_write, &file), UPCONV_OK);
    assert_int_equal(file.size, 0);
    import_specs(&fake, (line_spec[]){{.device = "a"}, {.device = "b"}}, 2);
    file.stop_at = 2;
    assert_int_equal(upconv_tuning_export(&fake.context, fake_file_write, &file), UPCONV_ERROR_DATA);
    assert_int_equal(lines_in(&file), 1);
    atomic_store(&fake.device.state, UPCONV_ERROR_TIMEOUT);
    assert_int_equal(upconv_tuning_export(&fake.context, fake_file_write, &file), UPCONV_ERROR_TIMEOUT);
    assert_int_equal(upconv_tuning_import(&fake.context, "x", 1), UPCONV_ERROR_TIMEOUT);
    atomic_store(&fake.device.state,
                 UPCONV_ERROR_DEVICE_LOST); // what was measured is not lost with the device
    file.stop_at = 0;
    assert_int_equal(upconv_tuning_export(&fake.context, fake_file_write, &file), UPCONV_OK);
    assert_int_equal(lines_in(&file), 3);
    fake_file_finish(&file);
    finish(&fake);
}

static void no_memory(void **state)
{
    (void)state;
    const upc_problem problem = problem_of(UP2X);
    bool failed = true;
    for (long at = 1; failed; at++) {
        fake_context fake;
        fake_file file = {0};
        upc_string text;
        setup(&fake);
        upc_string_init(&text, &fake.context.env);
        char name[16];
        for (int i = 0; i < 40; i++) { // enough for both tables to grow
            snprintf(name, sizeof name, "d%d", i);
            add_line(&text, &fake, &(line_spec){.device = name});
        }
        const upc_solver *solver = solver_for(&problem, &fake.context.facts);
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
        assert_int_equal(skipped(&fake), 0);
        upc_string_finish(&text);
        fake_file_finish(&file);
        finish(&fake);
    }
    fake_context fake;
    setup(&fake);
    struct upc_tuning *tuning = NULL;
    atomic_store(&fake.fail_at, atomic_load(&fake.allocations) + 1);
    assert_int_equal(upc_tuning_create(&fake.context.env, &tuning), UPCONV_ERROR_HOST_MEMORY);
    upc_tuning_destroy(NULL);
    finish(&fake);
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
    setup(&fake);
    setup(&again);
    const upc_problem problem = problem_of(UP2X);
    const upc_solver *solver = solver_for(&problem, &fake.context.facts);
    upc_config config;
    solver->guess(&problem, &fake.context.facts, &config);
    assert_int_equal(
        upc_tuning_add(fake.context.tuning, &problem, &fake.context.facts, solver, &config, 12.5, 1.25, 0.5),
        UPCONV_OK);
    assert_true(find(&fake, UP2X, &tier) == 12.5);
    fake_file file = {0};
    exported(&fake, &file);
    assert_non_null(strstr((char *)file.data, "\"time_us\":12.5,\"reference_us\":1.25,\"spread\":0.5,"));
    assert_int_equal(import(&again, file.data, file.size), UPCONV_OK);
    assert_true(find(&again, UP2X, &tier) == 12.5);
    setlocale(LC_ALL, "C");
    fake_file_finish(&file);
    finish(&fake);
    finish(&again);
}

// ------------------------------------------------------------------------------------------------- threads

typedef struct thread_job {
    fake_context *fake;
    const char *text;
    size_t size;
    bool wrong;
} thread_job;

static int count_only(void *user, const void *data, size_t size)
{
    (void)data;
    *(size_t *)user += size;
    return 0;
}

static void *work(void *argument)
{
    thread_job *job = argument;
    upconv_context *context = &job->fake->context;
    const upc_problem problem = problem_of(UP2X);
    const upc_solver *solver = solver_for(&problem, &context->facts);
    upc_config config;
    solver->guess(&problem, &context->facts, &config);
    for (int i = 0; i < 60; i++) {
        upc_record record;
        size_t size = 0;
        bool ok = upc_tuning_add(context->tuning, &problem, &context->facts, solver, &config, i + 1, 0, 0) ==
                  UPCONV_OK;
        ok = ok && upc_tuning_find(context->tuning, &problem, &context->facts, &record) &&
             record.solver == solver;
        ok = ok && upconv_tuning_import(context, job->text, job->size) == UPCONV_OK;
        ok = ok && upconv_tuning_export(context, count_only, &size) == UPCONV_OK && size > job->size;
        job->wrong = job->wrong || !ok;
    }
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    fake_context fake;
    setup(&fake);
    upc_string text;
    upc_string_init(&text, &fake.context.env);
    add_line(&text, &fake, &(line_spec){.device = "a"});
    add_line(&text, &fake, &(line_spec){.problem = "ic64oc32_ih64iw48_kh4sh2ph1"});
    pthread_t ids[4];
    thread_job jobs[4];
    for (size_t i = 0; i < UPC_COUNT(ids); i++) {
        jobs[i] = (thread_job){&fake, text.data, text.length, false};
        assert_int_equal(pthread_create(&ids[i], NULL, work, &jobs[i]), 0);
    }
    for (size_t i = 0; i < UPC_COUNT(ids); i++) {
        pthread_join(ids[i], NULL);
        assert_false(jobs[i].wrong);
    }
    fake_file file = {0};
    exported(&fake, &file);
    assert_int_equal(lines_in(&file), 3);
    fake_file_finish(&file);
    upc_string_finish(&text);
    finish(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measured),      cmocka_unit_test(tiers),
        cmocka_unit_test(unusable),      cmocka_unit_test(guarded),
        cmocka_unit_test(failures),      cmocka_unit_test(round_trip),
        cmocka_unit_test(strange_names), cmocka_unit_test(damaged),
        cmocka_unit_test(huge),          cmocka_unit_test(arguments),
        cmocka_unit_test(no_memory),     cmocka_unit_test(every_truncation_and_flip),
        cmocka_unit_test(locales),       cmocka_unit_test(threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
