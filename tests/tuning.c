// Tuning records on a real device. tuning BACKEND: measured in one context, found by the next, by a plan of a
// problem nearby and by upconv_explain; and whatever becomes of the file, results stay right.
#include "testing.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SHORT = 200000000 }; // ns: where it matters that there is a search, not how far it gets

static upconv_backend backend;
static const char problem_text[] = "ic8oc8_ih12oh24kh4sh2ph1+relu",
                  nearby_text[] = "ic8oc8_ih12oh24kh4sh2ph1";

static char *exported; // what the first context measured
static size_t exported_size;

static int keep(void *user, const void *data, size_t size)
{
    (void)user;
    char *larger = realloc(exported, exported_size + size + 1);
    if (!larger)
        return 1;
    memcpy(larger + exported_size, data, size);
    exported = larger;
    exported_size += size;
    exported[exported_size] = 0;
    return 0;
}

static void ok(upconv_status status)
{
    if (status)
        fail_msg("%s: %s", upconv_status_name(status), upconv_last_error());
}

static upconv_context *quiet_context(void)
{
    upconv_context *context = NULL;
    const upconv_context_params params = {sizeof params, .backend = backend, .own_records_only = 1};
    ok(upconv_context_create(&params, &context));
    return context;
}

// Plans, executes, compares; gives the tier.
static upconv_tier planned(upconv_context *context, const char *text, upconv_effort effort, char config[128])
{
    test_random random = {7};
    test_case test;
    const upconv_problem problem = test_problem(text);
    assert_true(test_case_init(&test, &problem, UPCONV_FILTER_IOK, true, true, &random));
    const upconv_plan_params params = {sizeof params, .weights = test.weights, .bias = test.bias,
                                       .effort = effort};
    upconv_plan *plan = NULL;
    upconv_plan_info info = {sizeof info};
    float *output = malloc(test.sizes.output_bytes);
    assert_non_null(output);
    ok(upconv_plan_create(context, &problem, &params, &plan));
    ok(upconv_plan_info_get(plan, &info));
    ok(upconv_execute(plan, test.input, output));
    assert_int_equal(test_case_compare(&test, output), -1);
    snprintf(config, 128, "%s:%s", info.solver, info.config);
    upconv_plan_destroy(plan);
    test_case_finish(&test);
    free(output);
    return info.tier;
}

static uint64_t used(upconv_context *context)
{
    upconv_counters counters = {sizeof counters};
    ok(upconv_context_counters(context, &counters));
    return counters.records_used;
}

static void measured(void **state)
{
    (void)state;
    upconv_context *context = quiet_context();
    const upconv_problem problem = test_problem(problem_text);
    const upconv_plan_params known = {sizeof known, .effort = UPCONV_KNOWN};
    upconv_plan *plan = NULL;
    char config[128], again[128];
    assert_int_equal(upconv_plan_create(context, &problem, &known, &plan), UPCONV_ERROR_UNSUPPORTED);
    assert_int_equal(planned(context, problem_text, UPCONV_MEASURE, config), UPCONV_TIER_MEASURED);
    assert_int_equal(used(context), 0);
    assert_int_equal(planned(context, problem_text, UPCONV_ESTIMATE, again), UPCONV_TIER_EXACT);
    assert_string_equal(config, again);
    assert_int_equal(used(context), 1);
    ok(upconv_tuning_export(context, keep, NULL));
    assert_non_null(strstr(exported, "ic8oc8"));
    assert_non_null(strstr(exported, "\"kernels\":\""));
    upconv_context_destroy(context);
}

// Candidates are verified on tensors as the problem has them, and what is measured for one kind of them is no record of another.
static void measured_kinds(void **state)
{
    (void)state;
    static const char *const kinds[] = {"", "+f16+nc4hw4+residual", "+f16+nhwc+outpitch:0:0:0:0:11",
                                        "+in:nc4hw4+residual_after"};
    upconv_context *context = quiet_context();
    for (size_t i = 0; i < UPC_COUNT(kinds); i++) {
        char text[128];
        snprintf(text, sizeof text, "ic8oc6_ih9kh3sh2ph1%s", kinds[i]);
        const upconv_problem problem = test_problem(text);
        const upconv_plan_params known = {sizeof known, .effort = UPCONV_KNOWN},
                                 measure = {sizeof measure, .effort = UPCONV_MEASURE, .time_limit_ns = SHORT};
        upconv_plan *plan = NULL;
        upconv_plan_info info = {sizeof info};
        assert_int_equal(upconv_plan_create(context, &problem, &known, &plan), UPCONV_ERROR_UNSUPPORTED);
        ok(upconv_plan_create(context, &problem, &measure, &plan));
        ok(upconv_plan_info_get(plan, &info));
        assert_int_equal(info.tier, UPCONV_TIER_MEASURED);
        upconv_plan_destroy(plan);
        ok(upconv_plan_create(context, &problem, &known, &plan));
        ok(upconv_plan_info_get(plan, &info));
        assert_int_equal(info.tier, UPCONV_TIER_EXACT);
        upconv_plan_destroy(plan);
    }
    upconv_context_destroy(context);
}

// Of every operation, and nothing that was measured of one is used for another, or for another kind of it.
static void measured_operations(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "conv:ic8oc8_ih9kh2sh2", "conv:ic8oc8_ih9kh2sh1", "gradfilter:ic8oc8_ih9kh2sh2", "gradbias:ic8oc8_ih9kh2sh2",
        "zeros:ic8_ih9sh2", "shuffle:ic8_ih9sh2", "shuffle:ic8_ih9sh2+dcr", "resize:ic8_ih9oh19+linear", "resize:ic8_ih9oh19+cubic",
        "pool:ic8_ih9kh2sh2", "pool:ic6_ih9oh9kh2sh2ph1+index:image+nc4hw4+f16", // windows without an input, too
        "unpool:ic8_ih9kh2sh2", "unpool:ic5_ih9oh20kh3sh2+index:tensor+nhwc", "unpool:ic8_ih9kh2sh2+index:window",
    };
    upconv_context *context = quiet_context();
    for (size_t i = 0; i < UPC_COUNT(texts); i++) {
        const upconv_problem problem = test_problem(texts[i]);
        const upconv_plan_params known = {sizeof known, .effort = UPCONV_KNOWN},
                                 measure = {sizeof measure, .effort = UPCONV_MEASURE, .time_limit_ns = SHORT};
        upconv_plan *plan = NULL;
        upconv_plan_info info = {sizeof info};
        assert_int_equal(upconv_plan_create(context, &problem, &known, &plan), UPCONV_ERROR_UNSUPPORTED);
        ok(upconv_plan_create(context, &problem, &measure, &plan));
        ok(upconv_plan_info_get(plan, &info));
        assert_int_equal(info.tier, UPCONV_TIER_MEASURED);
        upconv_plan_destroy(plan);
        ok(upconv_plan_create(context, &problem, &known, &plan));
        ok(upconv_plan_info_get(plan, &info));
        assert_int_equal(info.tier, UPCONV_TIER_EXACT);
        upconv_plan_destroy(plan);
    }
    upconv_context_destroy(context);
}

static void imported(void **state)
{
    (void)state;
    upconv_context *context = quiet_context();
    const upconv_problem problem = test_problem(problem_text);
    char config[128], text[4096];
    ok(upconv_tuning_import(context, exported, exported_size));
    assert_int_equal(planned(context, problem_text, UPCONV_KNOWN, config), UPCONV_TIER_EXACT);
    assert_int_equal(planned(context, problem_text, UPCONV_MEASURE, config),
                     UPCONV_TIER_EXACT); // measured once is enough
    assert_int_equal(planned(context, nearby_text, UPCONV_ESTIMATE, config), UPCONV_TIER_NEAREST);
    assert_int_equal(used(context), 3);
    ok(upconv_explain(context, &problem, NULL, text, sizeof text, NULL));
    assert_non_null(strstr(text, "tuning record (exact)"));
    upconv_context_destroy(context);
}

// The file as another driver would have written it: a name of the same length.
static char *of_another_driver(void)
{
    char *text = malloc(exported_size + 1);
    assert_non_null(text);
    memcpy(text, exported, exported_size + 1);
    for (char *at = text; (at = strstr(at, "\"driver\":\"")); at++)
        at[10] = at[10] == '~' ? '-' : '~';
    return text;
}

static uint64_t submissions(upconv_context *context)
{
    upconv_counters counters = {sizeof counters};
    ok(upconv_context_counters(context, &counters));
    return counters.submissions;
}

// Verified before it is used (two runs, which must agree), and not again.
static void other_driver(void **state)
{
    (void)state;
    upconv_context *context = quiet_context();
    const upconv_problem problem = test_problem(problem_text);
    const upconv_plan_params known = {sizeof known, .effort = UPCONV_KNOWN};
    char *file = of_another_driver(), text[4096];
    ok(upconv_tuning_import(context, file, exported_size));
    ok(upconv_explain(context, &problem, NULL, text, sizeof text, NULL));
    assert_non_null(strstr(text, "tuning record (driver, to be verified first)"));
    assert_int_equal(submissions(context), 0);
    for (int i = 0; i < 2; i++) {
        upconv_plan *plan = NULL;
        upconv_plan_info info = {sizeof info};
        ok(upconv_plan_create(context, &problem, &known, &plan));
        ok(upconv_plan_info_get(plan, &info));
        assert_int_equal(info.tier, UPCONV_TIER_DRIVER);
        assert_int_equal(submissions(context), 2);
        assert_int_equal(used(context), i + 1);
        upconv_plan_destroy(plan);
    }
    char config[128];
    assert_int_equal(planned(context, problem_text, UPCONV_ESTIMATE, config), UPCONV_TIER_DRIVER);
    ok(upconv_explain(context, &problem, NULL, text, sizeof text, NULL));
    assert_non_null(strstr(text, "tuning record (driver)"));
    free(file);
    upconv_context_destroy(context);
}

// Changed and cut in many places: some records survive, some do not, and no plan is wrong.
static void damaged(void **state)
{
    (void)state;
    upconv_context *context = quiet_context();
    test_random random = {99};
    char *text = malloc(exported_size), config[128];
    assert_non_null(text);
    for (int i = 0; i < 40; i++) {
        memcpy(text, exported, exported_size);
        const int changes = test_between(&random, 1, 4);
        for (int j = 0; j < changes; j++)
            text[test_between(&random, 0, (int)exported_size - 1)] = (char)test_between(&random, 32, 126);
        const size_t size =
            test_chance(&random, 30) ? (size_t)test_between(&random, 1, (int)exported_size) : exported_size;
        const upconv_status status = upconv_tuning_import(context, text, size);
        assert_true(status == UPCONV_OK || status == UPCONV_ERROR_DATA);
        planned(context, i % 2 ? problem_text : nearby_text, UPCONV_ESTIMATE, config);
    }
    free(text);
    upconv_context_destroy(context);
}

int main(int argc, char **argv)
{
    char why[512];
    if (argc < 2 || !test_backend_parse(argv[1], &backend)) {
        fprintf(stderr, "usage: tuning vulkan|opencl|cpu\n");
        return 2;
    }
    if (!test_backend_present(backend, why, sizeof why)) {
        printf("SKIPPED %s\n", why);
        return test_report(0, 0, 1);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measured), cmocka_unit_test(measured_kinds),
        cmocka_unit_test(measured_operations),
        cmocka_unit_test(imported), cmocka_unit_test(other_driver),
        cmocka_unit_test(damaged),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(exported);
    return failed ? 1 : 0;
}
