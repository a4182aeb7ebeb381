// A tensor beyond the device's storage-buffer range: 6000 x 6000 enlarged twice is 576 MB of output, where lavapipe and
// Adreno bind at most 128 MiB at once. windows BACKEND [SOLVER [EDGE]]. Every output is checked against the definition.
#include "testing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { KERNEL = 4, STRIDE = 2, PAD = 1 };

// The input is a function of its coordinates, so that the check needs no second large tensor.
static int input_at(int y, int x)
{
    const uint32_t h = ((uint32_t)y * 2654435761u) ^ ((uint32_t)x * 2246822519u);
    return (int)((h >> 13) % 9) - 4;
}

static int weight_at(int ky, int kx) { return (ky * 7 + kx * 3) % 9 - 4; }

static int expected_at(int edge, int y, int x)
{
    int sum = 0;
    for (int ky = (y + PAD) % STRIDE; ky < KERNEL; ky += STRIDE) {
        const int iy = (y + PAD - ky) / STRIDE;
        if (y + PAD < ky || iy >= edge)
            continue;
        for (int kx = (x + PAD) % STRIDE; kx < KERNEL; kx += STRIDE) {
            const int ix = (x + PAD - kx) / STRIDE;
            if (x + PAD >= kx && ix < edge)
                sum += input_at(iy, ix) * weight_at(ky, kx);
        }
    }
    return sum;
}

static uint64_t count_wrong(const float *output, int edge)
{
    const int width = edge * STRIDE;
    uint64_t wrong = 0;
    for (int y = 0; y < width; y++) {
        for (int x = 0; x < width; x++) {
            const float value = output[(size_t)y * (size_t)width + (size_t)x];
            if (value != (float)expected_at(edge, y, x) && wrong++ == 0)
                printf("FAILED output (%d, %d) is %g instead of %d\n", y, x, (double)value, expected_at(edge, y, x));
        }
    }
    return wrong;
}

static bool run(upconv_context *context, const char *solver, int edge)
{
    float weights[KERNEL * KERNEL];
    upconv_device_info info = {sizeof info};
    upconv_plan_info plan_info = {sizeof plan_info};
    upconv_problem problem = {sizeof problem, .dims = 2, .batch = 1, .in_channels = 1, .out_channels = 1};
    upconv_plan_params params = {sizeof params, .weights = weights, .solver = solver};
    upconv_plan *plan = NULL;
    bool ok = false;
    for (int a = 0; a < 2; a++) {
        problem.in[a] = edge;
        problem.kernel[a] = KERNEL;
        problem.stride[a] = STRIDE;
        problem.pad[a] = PAD;
    }
    for (int k = 0; k < KERNEL * KERNEL; k++)
        weights[k] = (float)weight_at(k / KERNEL, k % KERNEL);
    const size_t inputs = (size_t)edge * (size_t)edge, outputs = inputs * STRIDE * STRIDE;
    float *input = malloc(inputs * sizeof *input), *output = malloc(outputs * sizeof *output);
    if (!input || !output) {
        printf("FAILED no memory for %zu outputs\n", outputs);
        goto done;
    }
    for (int y = 0; y < edge; y++)
        for (int x = 0; x < edge; x++)
            input[(size_t)y * (size_t)edge + (size_t)x] = (float)input_at(y, x);
    if (upconv_context_device(context, &info) || upconv_plan_create(context, &problem, &params, &plan) ||
        upconv_plan_info_get(plan, &plan_info) || upconv_execute(plan, input, output)) {
        printf("FAILED %s\n", upconv_last_error());
        goto done;
    }
    printf("%s, %s:%s: %zu MiB of output, at most %" PRIu64 " MiB a binding, %u dispatches\n", info.name,
           plan_info.solver, plan_info.config, outputs * sizeof *output >> 20, info.limits.binding_bytes >> 20,
           (unsigned)plan_info.dispatches);
    ok = count_wrong(output, edge) == 0;
done:
    upconv_plan_destroy(plan);
    free(input);
    free(output);
    return ok;
}

int main(int argc, char **argv)
{
    upconv_backend backend;
    upconv_context *context = NULL;
    char why[512];
    if (argc < 2 || !test_backend_parse(argv[1], &backend)) {
        fprintf(stderr, "usage: windows vulkan|opencl|cpu [SOLVER [EDGE]]\n");
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
    const bool ok = run(context, argc > 2 ? argv[2] : NULL, argc > 3 ? atoi(argv[3]) : 6000);
    upconv_context_destroy(context);
    return test_report(ok, !ok, 0);
}
