// Reductions so long that a driver may end an item's loops early (llvmpipe does after 65,535 rounds): loops BACKEND. Every solver
// that takes the problem, exact.
#include "testing.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const problems[] = {
    "ic8192oc4_iw16kw32sw2pw1",        // 16 taps x 8192 channels for each output
    "ic70000oc1_ih2oh2kh1",            // channels alone are too many
    "ic3oc1_iw3000ow3000kw15000sw1", // taps alone are close to it
    "ic600oc2_ih9oh9kh11ph5",          // two loops of taps
};

static bool run(upconv_context *context, const test_case *test, const upc_solver *solver, bool *skipped)
{
    upconv_plan_params params = {sizeof params, .weights = test->weights, .bias = test->bias, .solver = solver->name};
    upconv_plan_info info = {sizeof info};
    upconv_plan *plan = NULL;
    float *output = malloc(test->sizes.output_bytes);
    bool ok = false;
    const upconv_status status = output ? upconv_plan_create(context, &test->problem, &params, &plan) : UPCONV_OK;
    *skipped = status == UPCONV_ERROR_UNSUPPORTED;
    if (*skipped)
        printf("refused: %s\n", upconv_last_error());
    else if (!output || status || upconv_plan_info_get(plan, &info) || upconv_execute(plan, test->input, output))
        printf("FAILED %s: %s\n", solver->name, output ? upconv_last_error() : "no memory");
    else if (test_case_compare(test, output) >= 0)
        printf("FAILED %s:%s: output %lld is wrong\n", info.solver, info.config,
               (long long)test_case_compare(test, output));
    else
        ok = true;
    upconv_plan_destroy(plan);
    free(output);
    return ok;
}

int main(int argc, char **argv)
{
    upconv_backend backend;
    upconv_context *context = NULL;
    char why[512];
    if (argc < 2 || !test_backend_parse(argv[1], &backend)) {
        fprintf(stderr, "usage: loops vulkan|opencl|cpu\n");
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
    uint64_t passed = 0, failed = 0;
    for (size_t i = 0; i < UPC_COUNT(problems); i++) {
        test_random random = {i + 1};
        test_case test;
        const upconv_problem problem = test_problem(problems[i]);
        if (!test_case_init(&test, &problem, UPCONV_FILTER_IOK, true, true, &random))
            return test_report(passed, failed + 1, 0);
        int ran = 0;
        for (int s = 0; s < upc_solver_count; s++) {
            bool skipped;
            if (run(context, &test, upc_solvers[s], &skipped)) {
                passed++;
                ran++;
            } else if (!skipped) {
                printf("  of %s\n", problems[i]);
                failed++;
            }
        }
        if (!ran) { // refusing is a solver's right, but somebody must do it
            printf("FAILED no solver does %s\n", problems[i]);
            failed++;
        }
        test_case_finish(&test);
    }
    upconv_context_destroy(context);
    return test_report(passed, failed, 0);
}
