// errors BACKEND: arguments that break a documented rule. The execution's are in errors_io.c; memory,
// compilers and hangs in errors_faults.c.
#include "errors.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

upconv_backend errors_backend;
upconv_context *errors_context;
const char *errors_program;

void errors_expect(upconv_status got, upconv_status wanted, const char *word, const char *call, int line)
{
    const char *sentence = upconv_last_error();
    if (got != wanted)
        fail_msg("line %d: %s gave %s instead of %s (%s)", line, call, upconv_status_name(got),
                 upconv_status_name(wanted), sentence);
    if (*word && !strstr(sentence, word))
        fail_msg("line %d: %s: the sentence has no \"%s\": %s", line, call, word, sentence);
}

void errors_expect_ok(upconv_status got, const char *call, int line)
{
    if (got != UPCONV_OK)
        fail_msg("line %d: %s gave %s: %s", line, call, upconv_status_name(got), upconv_last_error());
}

upconv_plan *errors_plan(upconv_context *context, const char *notation, bool weights, const char *solver)
{
    upconv_problem problem = test_problem(notation);
    upconv_sizes sizes = {sizeof sizes};
    EXPECT_OK(upconv_problem_sizes(&problem, &sizes));
    float *ones = malloc((size_t)sizes.weights_bytes);
    assert_non_null(ones);
    for (uint64_t i = 0; i < sizes.weights_elements; i++)
        ones[i] = 1;
    upconv_plan *plan = NULL;
    const upconv_plan_params params = {sizeof params, .weights = weights ? ones : NULL, .solver = solver};
    const upconv_status status = upconv_plan_create(context, &problem, &params, &plan);
    free(ones);
    EXPECT_OK(status);
    return plan;
}

// ------------------------------------------------------------------------------------------------ problems

static void problem_rules(void **state)
{
    (void)state;
    const upconv_problem base = test_problem("g2ic4oc6_ih5oh11iw6ow13kh3kw4sh2ph0");
    upconv_sizes sizes = {sizeof sizes};
    upconv_plan *plan = (upconv_plan *)&sizes;
    // Each rule at both doors: the sizes and the plan.
#define RULE(change, word)                                                                                   \
    do {                                                                                                     \
        upconv_problem p = base;                                                                             \
        change;                                                                                              \
        EXPECT_INVALID(upconv_problem_sizes(&p, &sizes), word);                                              \
        EXPECT_INVALID(upconv_plan_create(errors_context, &p, NULL, &plan), word);                           \
        assert_ptr_equal(plan, &sizes);                                                                      \
    } while (0)
    RULE(p.op = UPCONV_OP_COUNT, "op is");
    RULE(p.dims = 4, "dims is 4");
    RULE(p.dims = -1, "dims is -1");
    RULE(p.batch = 0, "batch is 0");
    RULE(p.in_channels = -4, "in_channels is -4");
    RULE(p.out_channels = 0, "out_channels is 0");
    RULE(p.groups = -2, "groups is -2");
    RULE(p.in_channels = 5, "5");
    RULE(p.out_channels = 7, "7");
    RULE(p.in[1] = 0, "in[1] is 0");
    RULE(p.kernel[0] = -3, "kernel[0] is -3");
    RULE(p.stride[1] = 0, "stride[1] is 0");
    RULE(p.stride[0] = -1, "stride[0] is -1");
    RULE(p.dilation[0] = 0, "dilation[0] is 0");
    RULE(p.dilation[1] = INT32_MIN, "dilation[1] is -2147483648");
    RULE(p.out[0] = -1, "out[0] is -1");
    RULE((p.pad[0] = 1000, p.out[0] = 0), "out[0]");
    RULE(p.type = (upconv_type)99, "type is 99");
    RULE(p.in_zero = 1, "in_zero is 1");
    RULE((p.type = UPCONV_I8, p.residual = UPCONV_RESIDUAL_AFTER_ACT), "residual is 2");
    RULE((p.type = UPCONV_U8, p.in_zero = -1), "in_zero is -1");
    RULE(p.sum_type = UPCONV_F16, "sum_type is F16");
    RULE(p.in_layout = UPCONV_LAYOUT_COUNT, "in_layout is 3");
    RULE(p.residual = (upconv_residual)-1, "residual is -1");
    RULE(p.in_pitch.row = 5, "in_pitch.row is 5");
    RULE(p.out_pitch.channel = -1, "out_pitch.channel is -1");
    RULE((p.in_layout = UPCONV_NC4HW4, p.in_pitch.row = 30), "in_pitch.row is 30");
    RULE((p.out_layout = UPCONV_NHWC, p.out_pitch.channel = 1), "out_pitch.channel is 1");
    RULE(p.out_layout = (upconv_layout)-1, "out_layout is -1");
    RULE(p.act = UPCONV_ACT_COUNT, "act is 11");
    RULE((p.act = UPCONV_ACT_CLAMP, p.act_param[0] = 2, p.act_param[1] = 1), "act_param");
    RULE((p.act = UPCONV_ACT_CLAMP, p.act_param[0] = NAN), "act_param");
    RULE(p.struct_size = 3, "struct_size is 3");
    // Products that no 64-bit number holds, and those that one does but that no tensor may have.
    RULE((p.in[0] = INT32_MAX, p.in[1] = INT32_MAX, p.batch = INT32_MAX, p.out[0] = p.out[1] = 1), "");
    RULE((p.out[0] = INT32_MAX, p.out[1] = INT32_MAX, p.batch = INT32_MAX), "");
    RULE(
        (p.kernel[0] = INT32_MAX, p.kernel[1] = INT32_MAX, p.in_channels = 1 << 30, p.out_channels = 1 << 30),
        "");
    RULE((p.in[0] = INT32_MAX, p.stride[0] = INT32_MAX, p.out[0] = 0), "out[0]");
    RULE((p.out[0] = 1 << 20, p.out[1] = 1 << 18), "2^40");
#undef RULE
    struct {
        upconv_problem known;
        char newer[16];
    } tail = {base, {0}};
    tail.known.struct_size = sizeof tail;
    EXPECT_OK(upconv_problem_sizes(&tail.known, &sizes));
    tail.newer[3] = 1;
    EXPECT_INVALID(upconv_problem_sizes(&tail.known, &sizes), "struct_size");
    EXPECT_INVALID(upconv_problem_sizes(NULL, &sizes), "problem is NULL");
    EXPECT_INVALID(upconv_problem_sizes(&base, NULL), "sizes is NULL");
}

static void conventions(void **state)
{
    (void)state;
    static const int32_t minus[3] = {-1, -1, -1}, two[3] = {2, 2, 2},
                         huge[3] = {INT32_MAX, INT32_MAX, INT32_MAX};
    upconv_problem p = test_problem("ic4oc6_ih5kh3sh2"), kept = p;
    EXPECT_INVALID(upconv_problem_pytorch(NULL, NULL, NULL), "NULL");
    EXPECT_INVALID(upconv_problem_pytorch_size(NULL, NULL, two), "NULL");
    EXPECT_INVALID(upconv_problem_tensorflow(NULL, "SAME", NULL, NULL), "NULL");
    EXPECT_INVALID(upconv_problem_tensorflow(&p, NULL, NULL, NULL), "NULL");
    EXPECT_INVALID(upconv_problem_keras(NULL, "same", NULL), "NULL");
    EXPECT_INVALID(upconv_problem_keras(&p, NULL, NULL), "NULL");
    EXPECT_INVALID(upconv_problem_onnx(NULL, NULL, NULL, NULL, NULL), "NULL");
    EXPECT_INVALID(upconv_problem_pytorch(&p, minus, NULL), "-1");
    EXPECT_INVALID(upconv_problem_pytorch(&p, NULL, two), "2");
    EXPECT_INVALID(upconv_problem_pytorch_size(&p, NULL, huge), "2147483647");
    EXPECT_INVALID(upconv_problem_tensorflow(&p, "sideways", NULL, NULL), "sideways");
    EXPECT_INVALID(upconv_problem_tensorflow(&p, "EXPLICIT", NULL, NULL), "NULL");
    EXPECT_INVALID(upconv_problem_keras(&p, "full", NULL), "full");
    EXPECT_INVALID(upconv_problem_keras(&p, "same", two), "2");
    EXPECT_INVALID(upconv_problem_onnx(&p, "SAME", NULL, NULL, NULL), "SAME");
    EXPECT_INVALID(upconv_problem_onnx(&p, NULL, minus, NULL, minus), "-1");
    assert_memory_equal(&p, &kept, sizeof p); // a call that fails writes nothing
}

static void notation(void **state)
{
    (void)state;
    upconv_problem p = {sizeof p};
    const upconv_problem kept = p;
    size_t at = 99, length = 99;
    char text[8];
    EXPECT_INVALID(upconv_problem_parse(NULL, &p, NULL), "NULL");
    EXPECT_INVALID(upconv_problem_parse("ic1oc1_iw1kw1", NULL, NULL), "NULL");
    EXPECT_INVALID(upconv_problem_parse("ic64oc32_ih32zz1", &p, &at), "zz");
    assert_int_equal(at, 13);
    EXPECT_INVALID(upconv_problem_parse("ic64oc99999999999_ih32kh4", &p, &at), "99999999999");
    assert_int_equal(at, 6);
    assert_memory_equal(&p, &kept, sizeof p);
    EXPECT_INVALID(upconv_problem_print(NULL, text, sizeof text, NULL), "NULL");
    p = test_problem("ic64oc32_ih32kh4");
    EXPECT_INVALID(upconv_problem_print(&p, NULL, 8, NULL), "NULL");
    EXPECT_OK(upconv_problem_print(&p, NULL, 0, &length));
    EXPECT_OK(upconv_problem_print(&p, text, sizeof text, NULL));
    assert_int_equal(strlen(text), sizeof text - 1);
    assert_true(length > sizeof text);
}

// ------------------------------------------------------------------------------------------------ contexts

static void devices(void **state)
{
    (void)state;
    upconv_device_info device = {sizeof device};
    upconv_backend_info backend = {sizeof backend};
    upconv_counters counters = {sizeof counters};
    EXPECT_INVALID(upconv_device_at(0, NULL), "info is NULL");
    EXPECT_INVALID(upconv_device_at(-3, &device), "-3");
    EXPECT(upconv_device_at(4321, &device), UPCONV_ERROR_NO_DEVICE, "4321");
    assert_int_equal(device.name[0], 0);
    EXPECT_INVALID(upconv_backend_at(0, NULL), "info is NULL");
    EXPECT_INVALID(upconv_backend_at(-1, &backend), "-1");
    EXPECT_INVALID(upconv_backend_at(77, &backend), "77");
    EXPECT_INVALID(upconv_context_device(NULL, &device), "context is NULL");
    EXPECT_INVALID(upconv_context_device(errors_context, NULL), "info is NULL");
    EXPECT_INVALID(upconv_context_counters(NULL, &counters), "context is NULL");
    EXPECT_INVALID(upconv_context_counters(errors_context, NULL), "counters is NULL");
    assert_string_equal(upconv_status_name((upconv_status)-99), "unknown status");
    assert_string_equal(upconv_status_name((upconv_status)1), "unknown status");
    assert_string_equal(upconv_status_name(UPCONV_ERROR_DATA), "UPCONV_ERROR_DATA");
    assert_string_equal(upconv_tier_name((upconv_tier)99), "unknown tier");
    upconv_context_destroy(NULL);
    upconv_plan_destroy(NULL);
    upconv_buffer_destroy(NULL);
}

static void *no_alloc(void *user, size_t size)
{
    (void)user;
    (void)size;
    return NULL;
}

static void contexts(void **state)
{
    (void)state;
    upconv_context *context = (upconv_context *)state, *const kept = context;
    const upconv_context_params base = {sizeof base, .backend = errors_backend};
    upconv_context_params params;
#define RULE(change, status, word)                                                                           \
    do {                                                                                                     \
        params = base;                                                                                       \
        change;                                                                                              \
        EXPECT(upconv_context_create(&params, &context), status, word);                                      \
        assert_ptr_equal(context, kept);                                                                     \
    } while (0)
    EXPECT_INVALID(upconv_context_create(&base, NULL), "context is NULL");
    RULE(params.backend = (upconv_backend)9, UPCONV_ERROR_INVALID, "backend is 9");
    RULE(params.device = "4095", UPCONV_ERROR_NO_DEVICE, "4095");
    RULE(params.device = "-1", UPCONV_ERROR_NO_DEVICE, "-1");
    RULE(params.device = "no such device", UPCONV_ERROR_NO_DEVICE, "no such device");
    RULE(params.timeout_ns = -5, UPCONV_ERROR_INVALID, "timeout_ns is -5");
    RULE(params.statistics = 2, UPCONV_ERROR_INVALID, "statistics is 2");
    RULE(params.own_records_only = 2, UPCONV_ERROR_INVALID, "own_records_only is 2");
    RULE(params.struct_size = 2, UPCONV_ERROR_INVALID, "struct_size is 2");
    const upconv_allocator no_release = {NULL, no_alloc, NULL};
    RULE(params.allocator = &no_release, UPCONV_ERROR_INVALID, "allocator");
    const upconv_limits limits = {.struct_size = 1};
    RULE(params.limits = &limits, UPCONV_ERROR_INVALID, "struct_size is 1");
    setenv("UPCONV_BACKEND", "abacus", 1);
    RULE((void)0, UPCONV_ERROR_INVALID, "abacus");
    unsetenv("UPCONV_BACKEND");
    setenv("UPCONV_DEVICE", "nonesuch", 1);
    RULE((void)0, UPCONV_ERROR_NO_DEVICE, "nonesuch");
    unsetenv("UPCONV_DEVICE");
#undef RULE
}

// --------------------------------------------------------------------------------------------------- plans

static void plan_params(void **state)
{
    (void)state;
    const upconv_problem problem = test_problem("ic4oc4_ih6kh4sh2ph1");
    static const float weights[4 * 4 * 16] = {1}, slopes[4] = {1};
    const upconv_plan_params base = {sizeof base, .weights = weights};
    upconv_plan_params params;
    upconv_plan *plan = (upconv_plan *)state, *const kept = plan;
    char text[64];
    EXPECT_INVALID(upconv_plan_create(NULL, &problem, &base, &plan), "context is NULL");
    EXPECT_INVALID(upconv_plan_create(errors_context, NULL, &base, &plan), "problem is NULL");
    EXPECT_INVALID(upconv_plan_create(errors_context, &problem, &base, NULL), "plan is NULL");
#define RULE(change, status, word)                                                                           \
    do {                                                                                                     \
        params = base;                                                                                       \
        change;                                                                                              \
        EXPECT(upconv_plan_create(errors_context, &problem, &params, &plan), status, word);                  \
        assert_ptr_equal(plan, kept);                                                                        \
    } while (0)
    RULE(params.order = UPCONV_FILTER_COUNT, UPCONV_ERROR_INVALID, "order is 6");
    RULE(params.weights_type = UPCONV_TYPE_COUNT, UPCONV_ERROR_INVALID, "weights_type is 5");
    RULE(params.effort = (upconv_effort)-2, UPCONV_ERROR_INVALID, "effort is -2");
    RULE(params.time_limit_ns = -9, UPCONV_ERROR_INVALID, "time_limit_ns is -9");
    RULE(params.slopes = slopes, UPCONV_ERROR_INVALID, "slopes");
    RULE(params.struct_size = 1, UPCONV_ERROR_INVALID, "struct_size is 1");
    RULE(params.effort = UPCONV_KNOWN, UPCONV_ERROR_UNSUPPORTED, "KNOWN");
    RULE(params.solver = "abacus", UPCONV_ERROR_INVALID, "abacus");
    RULE(params.solver = "", UPCONV_ERROR_INVALID, "solver");
    RULE(params.solver = "phase:flavour=3", UPCONV_ERROR_INVALID, "flavour");
    RULE(params.solver = "phase:tile=12345", UPCONV_ERROR_INVALID, "12345");
    RULE(params.solver = "phase:tile", UPCONV_ERROR_INVALID, "tile");
    if (errors_backend != UPCONV_BACKEND_CPU) {
        RULE(params.solver = "reference", UPCONV_ERROR_UNSUPPORTED, "reference");
        // weights that come at execution are packed into the workspace
        RULE((params.solver = "phase", params.weights = NULL, params.workspace_limit = 1),
             UPCONV_ERROR_UNSUPPORTED, "the limit is 1");
    }
    if (errors_context->facts.gemm)
        RULE((params.solver = "gemm", params.workspace_limit = 1), UPCONV_ERROR_UNSUPPORTED, "the limits");
#undef RULE
    EXPECT_INVALID(upconv_explain(NULL, &problem, NULL, text, sizeof text, NULL), "context is NULL");
    EXPECT_INVALID(upconv_explain(errors_context, NULL, NULL, text, sizeof text, NULL), "problem is NULL");
    EXPECT_INVALID(upconv_explain(errors_context, &problem, NULL, NULL, 5, NULL), "text is NULL");
    params = (upconv_plan_params){sizeof params, .order = UPCONV_FILTER_COUNT};
    EXPECT_INVALID(upconv_explain(errors_context, &problem, &params, text, sizeof text, NULL), "order is 6");
}

// Who needs more workspace than the app allows is passed over, with a sentence.
static void workspace_limit(void **state)
{
    (void)state;
    static const float weights[4 * 4 * 16] = {1};
    const upconv_problem problem = test_problem("ic4oc4_ih6kh4sh2ph1");
    upconv_plan_params params = {sizeof params, .weights = weights, .workspace_limit = 1};
    upconv_plan *plan = NULL;
    char text[4096];
    EXPECT_OK(upconv_plan_create(errors_context, &problem, &params, &plan));
    upconv_plan_info info = {sizeof info};
    EXPECT_OK(upconv_plan_info_get(plan, &info));
    assert_int_equal(info.workspace_bytes, 0);
    upconv_plan_destroy(plan);
    EXPECT_OK(upconv_explain(errors_context, &problem, &params, text, sizeof text, NULL));
    assert_non_null(strstr(text, "gemm: no: "));
    if (errors_backend == UPCONV_BACKEND_CPU)
        return; // its solvers take weights as they come
    params.weights = NULL;
    EXPECT(upconv_plan_create(errors_context, &problem, &params, &plan), UPCONV_ERROR_UNSUPPORTED,
           "every solver refuses");
    EXPECT_OK(upconv_explain(errors_context, &problem, &params, text, sizeof text, NULL));
    assert_non_null(strstr(text, "the limit is 1\n"));
}

static void forced_solver(void **state)
{
    (void)state;
    const upconv_problem problem = test_problem("ic4oc4_ih6kh4sh2ph1");
    const upconv_plan_params params = {sizeof params, .solver = "phase"};
    upconv_context *context = NULL;
    upconv_plan *plan = NULL;
    setenv("UPCONV_SOLVER", "abacus", 1); // stronger than the params
    EXPECT_OK(upconv_context_create(&(upconv_context_params){.backend = errors_backend}, &context));
    unsetenv("UPCONV_SOLVER");
    EXPECT_INVALID(upconv_plan_create(context, &problem, &params, &plan), "abacus");
    assert_null(plan);
    upconv_context_destroy(context);
}

static void visit_nothing(void *user, const char *name, double value)
{
    (void)user;
    (void)name;
    (void)value;
}

static void plan_queries(void **state)
{
    (void)state;
    upconv_plan *plan = errors_plan(errors_context, "ic4oc4_ih6kh4sh2ph1", true, NULL);
    upconv_plan_info info = {sizeof info};
    char text[32];
    size_t length = 77;
    EXPECT_INVALID(upconv_plan_info_get(NULL, &info), "plan is NULL");
    EXPECT_INVALID(upconv_plan_info_get(plan, NULL), "info is NULL");
    EXPECT_INVALID(upconv_plan_source(NULL, 0, text, sizeof text, &length), "plan is NULL");
    EXPECT_INVALID(upconv_plan_source(plan, 0, NULL, 3, &length), "text is NULL");
    EXPECT_INVALID(upconv_plan_source(plan, 1234, text, sizeof text, &length), "1234");
    EXPECT_INVALID(upconv_plan_statistics(NULL, 0, visit_nothing, NULL), "plan is NULL");
    EXPECT_INVALID(upconv_plan_statistics(plan, 0, NULL, NULL), "visit is NULL");
    EXPECT_INVALID(upconv_plan_statistics(plan, 1234, visit_nothing, NULL), "1234");
    if (errors_backend == UPCONV_BACKEND_CPU) {
        EXPECT_INVALID(upconv_plan_source(plan, 0, text, sizeof text, &length), "step 0");
        EXPECT_INVALID(upconv_plan_statistics(plan, 0, visit_nothing, NULL), "step 0");
    } else {
        EXPECT_OK(upconv_plan_source(plan, 0, NULL, 0, &length));
        assert_true(length > sizeof text && length != 77);
        EXPECT_OK(upconv_plan_source(plan, 0, text, sizeof text, NULL));
        assert_int_equal(strlen(text), sizeof text - 1);
    }
    upconv_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    char why[512];
    if (argc < 2 || !test_backend_parse(argv[1], &errors_backend)) {
        fprintf(stderr, "usage: errors vulkan|opencl|cpu\n");
        return 2;
    }
    if (!test_backend_present(errors_backend, why, sizeof why)) {
        printf("SKIPPED %s\n", why);
        return test_report(0, 0, 1);
    }
    errors_program = argv[0];
    if (argc > 2 && !strcmp(argv[2], "--hang"))
        return errors_hang();
    const upconv_context_params params = {sizeof params, .backend = errors_backend};
    if (upconv_context_create(&params, &errors_context)) {
        printf("FAILED to open a context: %s\n", upconv_last_error());
        return test_report(0, 1, 0);
    }
    static const struct CMUnitTest own[] = {
        cmocka_unit_test(problem_rules), cmocka_unit_test(conventions),   cmocka_unit_test(notation),
        cmocka_unit_test(devices),       cmocka_unit_test(contexts),      cmocka_unit_test(plan_params),
        cmocka_unit_test(plan_queries),  cmocka_unit_test(forced_solver), cmocka_unit_test(workspace_limit),
    };
    struct CMUnitTest tests[64];
    size_t count = 0;
    const struct CMUnitTest *const from[] = {own, errors_io_tests, errors_fault_tests};
    // The CPU compiles nothing, and its work is done when the call returns: of the faults only lack of memory
    // is left.
    const bool cpu = errors_backend == UPCONV_BACKEND_CPU;
    const size_t counts[] = {UPC_COUNT(own), errors_io_count, cpu ? 2 : errors_fault_count};
    for (size_t i = 0; i < UPC_COUNT(from); i++)
        for (size_t j = 0; j < counts[i] && count < UPC_COUNT(tests); j++)
            tests[count++] = from[i][j];
    const int failed = _cmocka_run_group_tests("errors", tests, count, NULL, NULL);
    upconv_context_destroy(errors_context);
    return failed ? 1 : 0;
}
