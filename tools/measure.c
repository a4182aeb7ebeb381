#include "measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "tensors.h"

// The largest difference from the CPU's double sums that --check lets pass, as a part of the largest result.
// Sums of ten thousand f32 products stay below the first; a product too few or too many does not. f16 rounds
// results to 11 bits, and sums of f16 lose more.
static const double largest_error_f32 = 2e-5, largest_error_f16 = 2e-3, largest_error_sum16 = 3e-2;

enum { MOST_SAMPLES = 4096 };

// ---------------------------------------------------------------------------------------------------- samples

bool samples_add(samples *s, double us)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 64;
        double *grown = realloc(s->us, capacity * sizeof *grown);
        if (!grown)
            return false;
        s->us = grown;
        s->capacity = capacity;
    }
    s->us[s->count++] = us;
    return true;
}

void samples_finish(samples *s)
{
    free(s->us);
    *s = (samples){0};
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double samples_median(samples *s)
{
    if (s->count == 0)
        return 0;
    qsort(s->us, s->count, sizeof *s->us, by_size);
    size_t half = s->count / 2;
    return s->count % 2 ? s->us[half] : (s->us[half - 1] + s->us[half]) / 2;
}

double samples_best(samples *s)
{
    samples_median(s);
    return s->count ? s->us[0] : 0;
}

// ------------------------------------------------------------------------------------------------------ trial

struct trial {
    upconv_context *context;
    tensors tensors;
    upconv_plan *plan;
    upconv_buffer *input, *residual, *gradient, *output, *indices;
};

void trial_close(trial *t)
{
    if (!t)
        return;
    upconv_buffer_destroy(t->input);
    upconv_buffer_destroy(t->residual);
    upconv_buffer_destroy(t->gradient);
    upconv_buffer_destroy(t->output);
    upconv_buffer_destroy(t->indices);
    upconv_plan_destroy(t->plan);
    tensors_finish(&t->tensors);
    free(t);
}

static upconv_status filled_buffer(upconv_context *context, const void *data, uint64_t bytes, upconv_buffer **buffer)
{
    void *memory = NULL;
    upconv_status status = upconv_buffer_create(context, bytes, buffer);
    if (status == UPCONV_OK)
        status = upconv_buffer_map(*buffer, UPCONV_MAP_WRITE, &memory);
    if (status != UPCONV_OK)
        return status;
    memcpy(memory, data, bytes);
    return upconv_buffer_unmap(*buffer);
}

static upconv_status make_buffers(trial *t)
{
    const upconv_sizes *sizes = &t->tensors.sizes;
    upconv_status status = filled_buffer(t->context, t->tensors.input, sizes->input_bytes, &t->input);
    if (status == UPCONV_OK && t->tensors.gradient)
        status = filled_buffer(t->context, t->tensors.gradient, t->tensors.gradient_bytes, &t->gradient);
    if (status == UPCONV_OK && t->tensors.residual)
        status = filled_buffer(t->context, t->tensors.residual, sizes->output_bytes, &t->residual);
    if (status == UPCONV_OK)
        status = upconv_buffer_create(t->context, sizes->output_bytes, &t->output);
    if (status == UPCONV_OK && t->tensors.indices)
        status = filled_buffer(t->context, t->tensors.indices, sizes->indices_bytes, &t->indices);
    else if (status == UPCONV_OK && sizes->indices_bytes)
        status = upconv_buffer_create(t->context, sizes->indices_bytes, &t->indices);
    return status;
}

static upconv_status run_once(trial *t, double *us)
{
    upconv_io io = {.struct_size = sizeof io};
    io.at[UPCONV_INPUT].buffer = t->tensors.problem.op == UPCONV_GRAD_BIAS ? NULL : t->input;
    io.at[UPCONV_OUTPUT_GRAD].buffer = t->gradient;
    io.at[UPCONV_OUTPUT].buffer = t->output;
    io.at[UPCONV_RESIDUAL].buffer = t->residual;
    io.at[UPCONV_INDICES].buffer = t->indices;
    upconv_ticket ticket = 0;
    uint64_t ns = 0;
    upconv_status status = upconv_submit(t->plan, &io, &ticket);
    if (status == UPCONV_OK)
        status = upconv_wait(t->context, ticket, -1);
    if (status == UPCONV_OK)
        status = upconv_ticket_time(t->context, ticket, &ns);
    *us = (double)ns * 1e-3;
    return status;
}

bool trial_run(trial *t, int least, double seconds, bool warm, samples *times, char *error, size_t error_size)
{
    double us;
    upconv_status status = warm ? run_once(t, &us) : UPCONV_OK;
    double start = session_seconds();
    for (int count = 0; status == UPCONV_OK && count < MOST_SAMPLES; count++) {
        double spent = session_seconds() - start;
        if (count > 0 && ((count >= least && spent >= seconds) || (seconds > 0 && spent >= 10 * seconds)))
            break;
        status = run_once(t, &us);
        if (status == UPCONV_OK && !samples_add(times, us)) {
            snprintf(error, error_size, "no memory for the times");
            return false;
        }
    }
    if (status != UPCONV_OK)
        snprintf(error, error_size, "%s", upconv_last_error());
    return status == UPCONV_OK;
}

// Whether the indices that pooling has found are those that it should have.
static bool same_indices(trial *t, const int32_t *expected, char *error, size_t error_size)
{
    void *got = NULL;
    uint64_t at = 0;
    if (upconv_buffer_map(t->indices, UPCONV_MAP_READ, &got) != UPCONV_OK) {
        snprintf(error, error_size, "%s", upconv_last_error());
        return false;
    }
    bool fine = tensors_compare_indices(&t->tensors, got, expected, &at);
    if (!fine)
        snprintf(error, error_size, "index %llu is %ld, on the CPU %ld", (unsigned long long)at,
                 (long)((int32_t *)got)[at], (long)expected[at]);
    if (upconv_buffer_unmap(t->indices) != UPCONV_OK && fine) {
        snprintf(error, error_size, "%s", upconv_last_error());
        return false;
    }
    return fine;
}

// Compares what lies in the output buffer with the other context's result.
static bool same_as(trial *t, upconv_context *reference, char *error, size_t error_size)
{
    const tensors *all = &t->tensors;
    upconv_plan *plan = NULL;
    void *got = NULL;
    bool fine = false;
    void *expected = malloc(all->sizes.output_bytes);
    if (!expected) {
        snprintf(error, error_size, "no memory on the host to compare %.0f MB", (double)all->sizes.output_bytes / 1e6);
        return false;
    }
    upconv_io io = {.struct_size = sizeof io};
    io.at[UPCONV_INPUT].host = all->problem.op == UPCONV_GRAD_BIAS ? NULL : all->input;
    io.at[UPCONV_OUTPUT_GRAD].host = all->gradient;
    io.at[UPCONV_RESIDUAL].host = all->residual;
    io.at[UPCONV_OUTPUT].host = expected;
    int32_t *found = all->sizes.indices_bytes && !all->indices ? malloc(all->sizes.indices_bytes) : NULL;
    io.at[UPCONV_INDICES].host = all->indices ? all->indices : found;
    // without a filter, and quantised, the CPU has one way
    const char *solver = all->sizes.weights_elements && !tensors_quantised(&all->problem) ? "reference" : NULL;
    if (tensors_plan(all, reference, solver, UPCONV_ESTIMATE, &plan) != UPCONV_OK ||
        upconv_execute_io(plan, &io) != UPCONV_OK || upconv_buffer_map(t->output, UPCONV_MAP_READ, &got) != UPCONV_OK) {
        snprintf(error, error_size, "comparing with the CPU: %s", upconv_last_error());
        goto end;
    }
    difference off;
    tensors_compare(all, got, expected, &off);
    fine = off.largest <= (tensors_quantised(&all->problem)           ? 0
                           : all->problem.sum_type == UPCONV_F16 ? largest_error_sum16
                           : all->problem.type == UPCONV_F16   ? largest_error_f16
                                                               : largest_error_f32);
    if (!fine)
        snprintf(error, error_size, "output %llu is %.9g, on the CPU %.9g", (unsigned long long)off.at, off.got,
                 off.expected);
    if (upconv_buffer_unmap(t->output) != UPCONV_OK && fine) {
        snprintf(error, error_size, "%s", upconv_last_error());
        fine = false;
    }
    if (fine && found)
        fine = same_indices(t, found, error, error_size);
end:
    upconv_plan_destroy(plan);
    free(expected);
    free(found);
    return fine;
}

trial *trial_open(upconv_context *context, const upconv_problem *problem, const measure_options *options, char *error,
                  size_t error_size)
{
    double us;
    trial *t = calloc(1, sizeof *t);
    if (!t) {
        snprintf(error, error_size, "no memory");
        return NULL;
    }
    t->context = context;
    if (!tensors_init(&t->tensors, problem, error, error_size)) {
        free(t);
        return NULL;
    }
    upconv_status status = tensors_plan(&t->tensors, context, options->solver, options->effort, &t->plan);
    if (status == UPCONV_OK)
        status = make_buffers(t);
    if (status == UPCONV_OK && options->check)
        status = run_once(t, &us);
    if (status != UPCONV_OK)
        snprintf(error, error_size, "%s", upconv_last_error());
    if (status == UPCONV_OK && (!options->check || same_as(t, options->check, error, error_size)))
        return t;
    trial_close(t);
    return NULL;
}

bool trial_describe(const trial *t, const measure_options *options, samples *times, measurement *result, char *error,
                    size_t error_size)
{
    upconv_plan_info info = {.struct_size = sizeof info};
    *result = (measurement){0};
    if (upconv_plan_info_get(t->plan, &info) != UPCONV_OK) {
        snprintf(error, error_size, "%s", upconv_last_error());
        return false;
    }
    const upconv_sizes *sizes = &t->tensors.sizes;
    snprintf(result->solver, sizeof result->solver, "%s", info.solver);
    snprintf(result->config, sizeof result->config, "%s", info.config);
    result->tier = upconv_tier_name(info.tier);
    result->workspace_bytes = info.workspace_bytes;
    result->plan_ms = info.plan_ms;
    result->compile_ms = info.compile_ms;
    result->median_us = samples_median(times);
    result->best_us = samples_best(times);
    double seconds = fmax(options->best ? result->best_us : result->median_us, 1e-3) * 1e-6;
    result->flops = sizes->flops;
    result->f16_sums = t->tensors.problem.sum_type == UPCONV_F16;
    // weights in the problem's type, as the device keeps them; a residual is read as well as the output written; indices are int32
    uint64_t outputs = sizes->output_elements * (t->tensors.residual ? 2 : 1);
    result->bytes = (double)(sizes->input_elements + outputs + sizes->weights_elements) *
                        (double)tensors_element_bytes(&t->tensors.problem) +
                    4 * (double)sizes->indices_elements;
    if (t->tensors.gradient) // of which one reads no input; what they write is f32
        result->bytes = (t->tensors.problem.op == UPCONV_GRAD_BIAS ? 0 : (double)sizes->input_bytes) +
                        (double)t->tensors.gradient_bytes + (double)sizes->output_bytes;
    result->gflops = result->flops / seconds * 1e-9;
    result->gbytes = result->bytes / seconds * 1e-9;
    return true;
}

bool measure(upconv_context *context, const upconv_problem *problem, const measure_options *options,
             measurement *result, char *error, size_t error_size)
{
    samples times = {0};
    trial *t = trial_open(context, problem, options, error, error_size);
    bool fine = t && trial_run(t, options->runs, options->seconds, true, &times, error, error_size) &&
                trial_describe(t, options, &times, result, error, error_size);
    trial_close(t);
    samples_finish(&times);
    return fine;
}
