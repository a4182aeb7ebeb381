// Gradients as an app uses them. gradients BACKEND.
//
// With y = A(w) x, both linear, <dy, y> = <dx, x> = <dw, w> for any dy: for small integers exactly, whatever wrote them. In every filter
// order, which says that upconv_problem_grad_input and params.order mean the same tensor. Then sums so long that they are cut into
// shares, which random problems hardly ever are; and what is refused.
#include "random.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t passed, failed;

static void check(bool ok, const char *format, ...) UPC_PRINTF(2, 3);
static void check(bool ok, const char *format, ...)
{
    va_list list;
    if (ok) {
        passed++;
        return;
    }
    failed++;
    va_start(list, format);
    printf("FAILED ");
    vprintf(format, list);
    printf(" (%s)\n", upconv_last_error());
    va_end(list);
}

static float *integers(uint64_t count, test_random *random)
{
    float *made = malloc((size_t)(count ? count : 1) * sizeof *made);
    for (uint64_t i = 0; made && i < count; i++)
        made[i] = (float)test_between(random, -3, 3);
    return made;
}

static double dot(const float *a, const float *b, uint64_t count)
{
    double sum = 0;
    for (uint64_t i = 0; i < count; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static bool run(upconv_context *context, const upconv_problem *problem, upconv_filter_order order, const float *weights,
                const float *input, const float *gradient, float *output)
{
    upconv_plan *plan = NULL;
    upconv_plan_params params = {sizeof params, .order = order, .weights = weights};
    upconv_io io = {sizeof io};
    io.at[UPCONV_INPUT].host = (void *)(uintptr_t)input;
    io.at[UPCONV_OUTPUT_GRAD].host = (void *)(uintptr_t)gradient;
    io.at[UPCONV_OUTPUT].host = output;
    const bool ok = !upconv_plan_create(context, problem, &params, &plan) && !upconv_execute_io(plan, &io);
    upconv_plan_destroy(plan);
    return ok;
}

static void adjoint(upconv_context *context, const char *notation, upconv_filter_order order)
{
    test_random random = {7};
    const upconv_problem forward = test_problem(notation);
    upconv_problem of_input = {sizeof of_input}, of_filter = forward, of_bias = forward;
    upconv_filter_order turned;
    upconv_sizes sizes = {sizeof sizes}, filter = {sizeof filter}, bias = {sizeof bias};
    of_filter.op = UPCONV_GRAD_FILTER;
    of_bias.op = UPCONV_GRAD_BIAS;
    check(!upconv_problem_sizes(&forward, &sizes) && !upconv_problem_sizes(&of_filter, &filter) &&
              !upconv_problem_sizes(&of_bias, &bias) && !upconv_problem_grad_input(&forward, order, &of_input, &turned),
          "%s: problems", notation);
    check(filter.output_elements == sizes.weights_elements && filter.weights_elements == 0 &&
              filter.flops == sizes.flops && bias.output_bytes == (uint64_t)forward.out_channels * 4,
          "%s: sizes", notation);
    float *x = integers(sizes.input_elements, &random), *w = integers(sizes.weights_elements, &random);
    float *dy = integers(sizes.output_elements, &random), *y = integers(sizes.output_elements, &random);
    float *dx = integers(sizes.input_elements, &random), *dw = integers(sizes.weights_elements, &random);
    float *db = integers(bias.output_elements, &random);
    if (x && w && dy && y && dx && dw && db) {
        check(run(context, &forward, order, w, x, NULL, y), "%s: forward", notation);
        check(run(context, &of_input, turned, w, dy, NULL, dx), "%s: gradient of the input", notation);
        check(run(context, &of_filter, order, NULL, x, dy, dw), "%s: gradient of the filter", notation);
        check(run(context, &of_bias, order, NULL, NULL, dy, db), "%s: gradient of the bias", notation);
        const double expected = dot(dy, y, sizes.output_elements);
        check(dot(dx, x, sizes.input_elements) == expected, "%s, order %d: <dx, x> is %g instead of %g", notation,
              (int)order, dot(dx, x, sizes.input_elements), expected);
        check(dot(dw, w, sizes.weights_elements) == expected, "%s, order %d: <dw, w> is %g instead of %g", notation,
              (int)order, dot(dw, w, sizes.weights_elements), expected);
        double all = 0, biases = 0;
        for (uint64_t i = 0; i < sizes.output_elements; i++)
            all += (double)dy[i];
        for (uint64_t i = 0; i < bias.output_elements; i++)
            biases += (double)db[i];
        check(all == biases, "%s: the biases add up to %g instead of %g", notation, biases, all);
    }
    free(x), free(w), free(dy), free(y), free(dx), free(dw), free(db);
}

// The same problem by every solver that takes it, between canaries.
static void long_sum(upconv_context *context, const char *notation, bool in_shares)
{
    const upconv_problem problem = test_problem(notation);
    upc_problem canonical;
    test_random random = {11};
    test_case test;
    char why[512] = "", sentence[UPC_SENTENCE];
    if (upc_problem_from(&problem, &canonical) ||
        !test_case_init(&test, &problem, UPCONV_FILTER_KOI, false, true, &random)) {
        check(false, "%s", notation);
        return;
    }
    for (int i = 0; i < upc_solver_count; i++) {
        const upc_solver *solver = upc_solvers[i];
        if (!upc_solver_does(solver, canonical.op) || solver->refuse(&canonical, &context->facts, sentence))
            continue;
        check(random_run(context, &test, solver->name, &random, why, sizeof why) == RANDOM_PASSED, "%s, %s: %s",
              notation, solver->name, why);
        upconv_plan *plan = NULL;
        upconv_plan_info info = {sizeof info};
        const upconv_plan_params params = {sizeof params, .solver = solver->name};
        check(!upconv_plan_create(context, &problem, &params, &plan) && !upconv_plan_info_get(plan, &info), "%s, %s",
              notation, solver->name);
        check(!in_shares || !strcmp(solver->name, "reference") || info.workspace_bytes, "%s, %s: no workspace",
              notation, solver->name);
        upconv_plan_destroy(plan);
    }
    test_case_finish(&test);
}

// An infinity reaches those elements of a filter's gradient that it is a factor of, and no others: what lies beyond a border is no 0.
// Of k4s2p1, the gradient of output (0, 0) meets tap (1, 1) only, and input (0, 0) all taps but those of index 0.
static void infinities(upconv_context *context, const char *solver, bool of_input)
{
    enum { IC = 3, OC = 2, IN = 5, OUT = 10, K = 4 };
    const upconv_problem problem = test_problem("gradfilter:ic3oc2_ih5oh10kh4sh2ph1");
    float x[IC * IN * IN], dy[OC * OUT * OUT], dw[IC * OC * K * K];
    upconv_plan *plan = NULL;
    upconv_io io = {sizeof io};
    const upconv_plan_params params = {sizeof params, .solver = solver};
    for (int i = 0; i < IC * IN * IN; i++)
        x[i] = (float)(1 + i % 3);
    for (int i = 0; i < OC * OUT * OUT; i++)
        dy[i] = (float)(1 + i % 5);
    if (of_input)
        x[0] = INFINITY;
    else
        dy[OUT * OUT] = INFINITY; // of output channel 1
    io.at[UPCONV_INPUT].host = x;
    io.at[UPCONV_OUTPUT_GRAD].host = dy;
    io.at[UPCONV_OUTPUT].host = dw;
    const bool ran = !upconv_plan_create(context, &problem, &params, &plan) && !upconv_execute_io(plan, &io);
    check(ran, "%s: infinities", solver);
    for (int n = 0; ran && n < IC * OC * K * K; n++) {
        const int kw = n % K, kh = n / K % K, o = n / (K * K) % OC, i = n / (K * K * OC);
        const bool reached = of_input ? i == 0 && kh > 0 && kw > 0 : o == 1 && kh == 1 && kw == 1;
        check(reached ? isinf(dw[n]) : isfinite(dw[n]), "%s: an infinite %s makes element (%d, %d, %d, %d) %g", solver,
              of_input ? "input" : "gradient", i, o, kh, kw, (double)dw[n]);
    }
    upconv_plan_destroy(plan);
}

static void all_infinities(upconv_context *context)
{
    static const char *const panels[] = {"panels:lanes=0,taps=0", "panels:lanes=1,taps=0,places=0",
                                         "panels:lanes=0,taps=1,rows=2,columns=1",
                                         "panels:lanes=1,copy=1,rows=1,columns=1"};
    upc_problem canonical;
    char sentence[UPC_SENTENCE];
    const upconv_problem problem = test_problem("gradfilter:ic3oc2_ih5oh10kh4sh2ph1");
    if (upc_problem_from(&problem, &canonical)) {
        check(false, "infinities");
        return;
    }
    for (int side = 0; side < 2; side++) {
        bool has_panels = false;
        for (int i = 0; i < upc_solver_count; i++) {
            if (!upc_solver_does(upc_solvers[i], canonical.op) ||
                upc_solvers[i]->refuse(&canonical, &context->facts, sentence))
                continue;
            infinities(context, upc_solvers[i]->name, side == 1);
            has_panels |= !strcmp(upc_solvers[i]->name, "panels");
        }
        for (size_t i = 0; i < UPC_COUNT(panels) && has_panels; i++)
            infinities(context, panels[i], side == 1);
    }
}

static void refusals(upconv_context *context)
{
    const upconv_problem forward = test_problem("ic3oc5_ih4kh3"), of_filter = test_problem("gradfilter:ic3oc5_ih4kh3");
    upconv_problem made = {sizeof made};
    float x[3 * 16] = {0}, y[5 * 36] = {0};
    upconv_plan *plan = NULL;
    upconv_io io = {sizeof io};
    const upconv_plan_params weights = {sizeof weights, .weights = x};
    check(upconv_problem_grad_input(&of_filter, UPCONV_FILTER_IOK, &made, NULL) == UPCONV_ERROR_INVALID,
          "a gradient's gradient");
    check(upconv_problem_grad_input(&forward, (upconv_filter_order)6, &made, NULL) == UPCONV_ERROR_INVALID,
          "an order that is none");
    check(upconv_problem_grad_input(&forward, UPCONV_FILTER_IOK, NULL, NULL) == UPCONV_ERROR_INVALID,
          "no room for the problem");
    check(upconv_plan_create(context, &of_filter, &weights, &plan) == UPCONV_ERROR_INVALID, "a gradient with weights");
    check(!upconv_plan_create(context, &of_filter, NULL, &plan), "a gradient");
    check(upconv_execute(plan, x, y) == UPCONV_ERROR_INVALID && strstr(upconv_last_error(), "OUTPUT_GRAD"),
          "no gradient of the output");
    io.at[UPCONV_INPUT].host = x;
    io.at[UPCONV_OUTPUT].host = y;
    io.at[UPCONV_OUTPUT_GRAD].host = y;
    io.at[UPCONV_BIAS].host = x;
    check(upconv_execute_io(plan, &io) == UPCONV_ERROR_INVALID && strstr(upconv_last_error(), "BIAS"), "a bias");
    upconv_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    static const char *const problems[] = {
        "ic8oc4_ih5kh4sh2ph1",           "g2mb2ic6oc4_ih3oh8kh3sh3_iw6ow11kw2sw2pw1dw1",
        "mb3ic5oc3_iw9ow30kw5sw3pw-2",   "g3ic3oc6_id2od4kd3sd2pd1_ih3oh5kh2_iw4ow6kw3pw1dw1",
        "mb2ic4oc4_ih1oh4kh4_iw1ow4kw4",
    };
    static const struct {
        const char *notation;
        bool in_shares;
    } sums[] = {
        {"gradfilter:mb2ic1oc1_ih120oh120kh3ph1", true},         {"gradfilter:ic1oc2_iw20000kw2sw2", true},
        {"gradfilter:mb5ic3oc2_ih40oh80kh2sh2+f16+nhwc", false}, {"gradbias:mb3ic1oc1_ih100oh100kh1", true},
        {"gradbias:mb3ic1oc5_ih90oh90kh1+nhwc", true},           {"gradbias:mb3ic1oc33_ih50oh50kh1+nhwc", false},
        {"gradbias:mb2ic1oc6_ih90oh90kh1+nc4hw4", true},         {"gradbias:mb3ic1oc7_iw9000ow9000kw1+f16", true},
    };
    upconv_context *context = NULL;
    upconv_backend backend;
    char why[512];
    if (argc != 2 || !test_backend_parse(argv[1], &backend)) {
        fprintf(stderr, "usage: gradients vulkan|opencl|cpu\n");
        return 2;
    }
    if (!test_backend_present(backend, why, sizeof why)) {
        printf("SKIPPED %s\n", why);
        return test_report(0, 0, 1);
    }
    if (test_context_create(backend, NULL, &context)) {
        printf("FAILED to open a context: %s\n", upconv_last_error());
        return test_report(0, 1, 0);
    }
    for (int order = 0; order < UPCONV_FILTER_COUNT; order++)
        for (size_t i = 0; i < UPC_COUNT(problems); i++)
            if (order == 0 || i == (size_t)order % 2)
                adjoint(context, problems[i], (upconv_filter_order)order);
    for (size_t i = 0; i < UPC_COUNT(sums); i++)
        long_sum(context, sums[i].notation, sums[i].in_shares);
    all_infinities(context);
    refusals(context);
    upconv_context_destroy(context);
    return test_report(passed, failed, 0);
}
