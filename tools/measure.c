#include "measure.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

// The largest difference from the CPU's double sums that --check lets pass, as a part of the largest result.
// Sums of ten thousand f32 products stay below it; a product too few or too many does not.
static const double largest_error_allowed = 2e-5;

// What one problem needs on the host.
typedef struct tensors {
    upconv_sizes sizes;
    float *input, *weights, *bias, *slopes;
} tensors;

// The same numbers on every machine: xorshift, in [-1, 1).
static void fill(float *data, uint64_t count, uint32_t seed)
{
    uint32_t x = seed * 2654435761u + 12345u;
    for (uint64_t i = 0; i < count; i++) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        data[i] = (float)(x >> 8) * (2.0f / 16777216.0f) - 1.0f;
    }
}

static void tensors_finish(tensors *t)
{
    free(t->input);
    free(t->weights);
    free(t->bias);
    free(t->slopes);
}

static bool tensors_init(tensors *t, const upconv_problem *problem, char *error, size_t error_size)
{
    *t = (tensors){.sizes = {.struct_size = sizeof t->sizes}};
    if (upconv_problem_sizes(problem, &t->sizes) != UPCONV_OK) {
        snprintf(error, error_size, "%s", upconv_last_error());
        return false;
    }
    t->input = malloc(t->sizes.input_bytes);
    t->weights = malloc(t->sizes.weights_bytes);
    t->bias = malloc(t->sizes.bias_bytes);
    t->slopes = malloc(t->sizes.bias_bytes);
    if (!t->input || !t->weights || !t->bias || !t->slopes) {
        snprintf(error, error_size, "no memory on the host for tensors of %.0f MB",
                 (double)(t->sizes.input_bytes + t->sizes.weights_bytes) / 1e6);
        tensors_finish(t);
        return false;
    }
    fill(t->input, t->sizes.input_elements, 1);
    fill(t->weights, t->sizes.weights_elements, 2);
    fill(t->bias, t->sizes.bias_elements, 3);
    fill(t->slopes, t->sizes.bias_elements, 4);
    return true;
}

static upconv_status plan_create(upconv_context *context, const upconv_problem *problem, const tensors *t,
                                 const char *solver, upconv_effort effort, upconv_plan **plan)
{
    upconv_plan_params params = {.struct_size = sizeof params,
                                 .weights = t->weights,
                                 .bias = t->bias,
                                 .slopes = problem->act == UPCONV_ACT_PRELU ? t->slopes : NULL,
                                 .effort = effort,
                                 .solver = solver};
    return upconv_plan_create(context, problem, &params, plan);
}

// Device memory of one problem.
typedef struct buffers {
    upconv_buffer *input, *output;
} buffers;

static void buffers_finish(buffers *b)
{
    upconv_buffer_destroy(b->input);
    upconv_buffer_destroy(b->output);
}

static upconv_status buffers_init(buffers *b, upconv_context *context, const tensors *t)
{
    void *memory = NULL;
    *b = (buffers){0};
    upconv_status status = upconv_buffer_create(context, t->sizes.input_bytes, &b->input);
    if (status == UPCONV_OK)
        status = upconv_buffer_create(context, t->sizes.output_bytes, &b->output);
    if (status == UPCONV_OK)
        status = upconv_buffer_map(b->input, UPCONV_MAP_WRITE, &memory);
    if (status != UPCONV_OK)
        return status;
    memcpy(memory, t->input, t->sizes.input_bytes);
    return upconv_buffer_unmap(b->input);
}

static upconv_status run_once(upconv_context *context, upconv_plan *plan, const buffers *b, double *us)
{
    upconv_io io = {.struct_size = sizeof io};
    io.at[UPCONV_INPUT].buffer = b->input;
    io.at[UPCONV_OUTPUT].buffer = b->output;
    upconv_ticket ticket = 0;
    uint64_t ns = 0;
    upconv_status status = upconv_submit(plan, &io, &ticket);
    if (status == UPCONV_OK)
        status = upconv_wait(context, ticket, -1);
    if (status == UPCONV_OK)
        status = upconv_ticket_time(context, ticket, &ns);
    *us = (double)ns * 1e-3;
    return status;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Warms up with one run, then runs until both --runs and --seconds are satisfied, but not longer than ten
// times --seconds.
static upconv_status time_runs(upconv_context *context, upconv_plan *plan, const buffers *b,
                               const measure_options *options, measurement *result)
{
    enum { MOST = 4096 };
    static double us[MOST];
    upconv_status status = run_once(context, plan, b, &us[0]);
    double start = session_seconds();
    int count = 0;
    while (status == UPCONV_OK && count < MOST) {
        double spent = session_seconds() - start;
        bool enough = count >= options->runs && spent >= options->seconds;
        bool slow = options->seconds > 0 && spent >= 10 * options->seconds;
        if (count > 0 && (enough || slow))
            break;
        status = run_once(context, plan, b, &us[count]);
        count += status == UPCONV_OK;
    }
    if (status != UPCONV_OK)
        return status;
    qsort(us, (size_t)count, sizeof *us, by_size);
    result->runs = count;
    result->best_us = us[0];
    result->median_us = count % 2 ? us[count / 2] : (us[count / 2 - 1] + us[count / 2]) / 2;
    return UPCONV_OK;
}

// Compares what lies in the output buffer with the other context's result.
static bool compare(const upconv_problem *problem, const tensors *t, const buffers *b,
                    upconv_context *reference, measurement *result, char *error, size_t error_size)
{
    upconv_plan *plan = NULL;
    void *got = NULL;
    bool fine = false;
    float *expected = malloc(t->sizes.output_bytes);
    if (!expected) {
        snprintf(error, error_size, "no memory on the host to compare %.0f MB",
                 (double)t->sizes.output_bytes / 1e6);
        return false;
    }
    if (plan_create(reference, problem, t, "reference", UPCONV_ESTIMATE, &plan) != UPCONV_OK ||
        upconv_execute(plan, t->input, expected) != UPCONV_OK ||
        upconv_buffer_map(b->output, UPCONV_MAP_READ, &got) != UPCONV_OK) {
        snprintf(error, error_size, "comparing with the CPU: %s", upconv_last_error());
        goto end;
    }
    double largest = 0, wrong = 0;
    uint64_t where = 0;
    for (uint64_t i = 0; i < t->sizes.output_elements; i++) {
        double difference = fabs((double)((const float *)got)[i] - expected[i]);
        largest = fmax(largest, fabs((double)expected[i]));
        if (!(difference <= wrong)) { // a NaN too
            wrong = isnan(difference) ? INFINITY : difference;
            where = i;
        }
    }
    result->largest_error = wrong / (1 + largest);
    fine = result->largest_error <= largest_error_allowed;
    if (!fine)
        snprintf(error, error_size, "output %llu is %.9g, on the CPU %.9g", (unsigned long long)where,
                 (double)((const float *)got)[where], (double)expected[where]);
    if (upconv_buffer_unmap(b->output) != UPCONV_OK && fine) {
        snprintf(error, error_size, "%s", upconv_last_error());
        fine = false;
    }
end:
    upconv_plan_destroy(plan);
    free(expected);
    return fine;
}

static upconv_status describe(const upconv_plan *plan, const tensors *t, measurement *result)
{
    upconv_plan_info info = {.struct_size = sizeof info};
    upconv_status status = upconv_plan_info_get(plan, &info);
    if (status != UPCONV_OK)
        return status;
    snprintf(result->solver, sizeof result->solver, "%s", info.solver);
    snprintf(result->config, sizeof result->config, "%s", info.config);
    result->tier = upconv_tier_name(info.tier);
    result->workspace_bytes = info.workspace_bytes;
    result->plan_ms = info.plan_ms;
    double seconds = fmax(result->median_us, 1e-3) * 1e-6;
    result->gflops = t->sizes.flops / seconds * 1e-9;
    result->gbytes =
        (double)(t->sizes.input_bytes + t->sizes.output_bytes + t->sizes.weights_bytes) / seconds * 1e-9;
    return UPCONV_OK;
}

bool measure(upconv_context *context, const upconv_problem *problem, const measure_options *options,
             measurement *result, char *error, size_t error_size)
{
    tensors t;
    upconv_plan *plan = NULL;
    buffers b = {0};
    double us;
    bool fine = false;
    *result = (measurement){0};
    if (!tensors_init(&t, problem, error, error_size))
        return false;
    upconv_status status = plan_create(context, problem, &t, options->solver, options->effort, &plan);
    if (status == UPCONV_OK)
        status = buffers_init(&b, context, &t);
    if (status == UPCONV_OK && options->check) {
        status = run_once(context, plan, &b, &us);
        if (status == UPCONV_OK && !compare(problem, &t, &b, options->check, result, error, error_size))
            goto end;
    }
    if (status == UPCONV_OK)
        status = time_runs(context, plan, &b, options, result);
    if (status == UPCONV_OK)
        status = describe(plan, &t, result);
    fine = status == UPCONV_OK;
    if (!fine)
        snprintf(error, error_size, "%s", upconv_last_error());
end:
    buffers_finish(&b);
    upconv_plan_destroy(plan);
    tensors_finish(&t);
    return fine;
}
