#include "gradients.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tensors.h"
#include "tensors.h"

static bool refused(corpus_case *item) { return case_wrong(item, "refused: %s", upconv_last_error()); }

// -------------------------------------------------------------------------------------------------------------- mapping

static void begin(mapping *map, const char *layout, const int64_t *kernel)
{
    upconv_problem *p = &map->problem;
    const char *axes = &"DHW"[3 - map->dims];
    p->struct_size = sizeof *p;
    p->dims = map->dims;
    p->batch = extent_of(map->input, layout, 'N');
    p->in_channels = extent_of(map->input, layout, 'C');
    p->out_channels = extent_of(map->gradient, layout, 'C');
    for (int i = 0; i < map->dims; i++) {
        p->in[i] = extent_of(map->input, layout, axes[i]);
        p->kernel[i] = (int32_t)kernel[i];
    }
}

static bool map_pytorch(corpus_case *item, mapping *map)
{
    int32_t padding[3], output_padding[3];
    if (!attributes_known(item, "stride padding output_padding dilation groups") || !map->weights)
        return map->weights ? false : case_wrong(item, "the case has no weight");
    begin(map, map->in_layout, map->weights->shape + 2);
    if (!attribute_ints(item, "stride", map->dims, 1, map->problem.stride) ||
        !attribute_ints(item, "dilation", map->dims, 1, map->problem.dilation) ||
        !attribute_ints(item, "padding", map->dims, 0, padding) ||
        !attribute_ints(item, "output_padding", map->dims, 0, output_padding) ||
        !attribute_int(item, "groups", 1, &map->problem.groups))
        return false;
    return upconv_problem_pytorch(&map->problem, padding, output_padding) == UPCONV_OK || refused(item);
}

// TensorFlow's names are those of the convolution whose gradient is a transposed convolution.
static bool map_tensorflow(corpus_case *item, mapping *map)
{
    int32_t sizes[4], strides[4], dilations[4], out[2], pairs[8] = {0};
    const char *padding, *format;
    if (!attributes_known(item, "filter_sizes strides padding explicit_paddings data_format dilations") ||
        !attribute_text(item, "padding", NULL, &padding) || !attribute_text(item, "data_format", "NHWC", &format))
        return false;
    const bool stated = padding && !strcmp(padding, "EXPLICIT");
    if (attribute_list(item, "filter_sizes", 4, sizes) != 4 || !attribute_ints(item, "strides", 4, 1, strides) ||
        !attribute_ints(item, "dilations", 4, 1, dilations) || strcmp(format, "NHWC") ||
        (stated && attribute_list(item, "explicit_paddings", 8, pairs) != 8))
        return case_wrong(item, "its attributes are not those of an NHWC filter gradient");
    const int64_t kernel[2] = {sizes[0], sizes[1]};
    const int32_t pads[4] = {pairs[2], pairs[4], pairs[3], pairs[5]};
    begin(map, "NHWC", kernel);
    map->problem.groups = map->problem.out_channels / sizes[2];
    for (int i = 0; i < 2; i++) {
        map->problem.stride[i] = strides[i + 1];
        map->problem.dilation[i] = dilations[i + 1];
        out[i] = extent_of(map->gradient, "NHWC", "HW"[i]);
    }
    return upconv_problem_tensorflow(&map->problem, padding, stated ? pads : NULL, out) == UPCONV_OK || refused(item);
}

bool gradient_map(corpus_case *item, mapping *map, case_verdict *verdict)
{
    static const char *const layouts[] = {"NCW", "NCHW", "NCDHW"};
    const bool torch =
        !strcmp(item->dialect, "pytorch") && strstr(item->op, "conv_transpose") && strstr(item->op, "_backward");
    const bool flow = !strcmp(item->dialect, "tensorflow") && !strcmp(item->op, "conv2d_backprop_filter");
    if (!torch && !flow)
        return false;
    *verdict = CASE_WRONG;
    // TensorFlow's input is what the transposed convolution's output would be
    map->input = case_input(item, torch ? "input" : "out_backprop");
    map->gradient = case_input(item, torch ? "grad_output" : "input");
    map->weights = case_input(item, "weight");
    map->output = &item->outputs[0];
    if (!map->input || !map->gradient || map->input->rank < 3 || map->input->rank > 5)
        return case_wrong(item, "the case has no input or no gradient"), true;
    map->dims = map->input->rank - 2;
    snprintf(map->in_layout, sizeof map->in_layout, "%s", torch ? layouts[map->dims - 1] : "NHWC");
    snprintf(map->out_layout, sizeof map->out_layout, "%s", map->in_layout);
    *verdict = (torch ? map_pytorch : map_tensorflow)(item, map) ? CASE_RUNS : CASE_WRONG;
    return true;
}

// ------------------------------------------------------------------------------------------------------------- execution

// Dense, channels behind the batch.
static float *planes_of(const corpus_tensor *tensor, const char *layout)
{
    const size_t count = tensor->array.elements;
    const float *from = tensor->array.data;
    float *made = malloc(count * sizeof *made);
    if (!made || strcmp(layout, "NHWC"))
        return made ? memcpy(made, from, count * sizeof *made) : NULL;
    const size_t channels = (size_t)tensor->shape[3], plane = (size_t)(tensor->shape[1] * tensor->shape[2]);
    for (size_t i = 0; i < count; i++)
        made[(i / channels / plane * channels + i % channels) * plane + i / channels % plane] = from[i];
    return made;
}

typedef struct gradient { // one output of a case
    const corpus_tensor *expected;
    upconv_problem problem;
    upconv_filter_order order;
    const float *input, *other; // dense; other: weights, or the gradient of the output
    bool tensor;                // the result is one, else a filter or a bias
} gradient;

// A tensor as it lies, between elements that are no numbers; which: of the input, else of the output.
static void *lay(const upconv_problem *problem, bool in, const float *dense, uint64_t bytes)
{
    void *made = malloc((size_t)bytes);
    if (made) {
        memset(made, 0xff, (size_t)bytes);
        test_lay(problem, in, dense, made);
    }
    return made;
}

static uint64_t output_bytes(const upconv_problem *problem)
{
    upconv_problem forward = *problem;
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    forward.op = problem->op == UPCONV_CONV ? UPCONV_CONV : UPCONV_CONV_TRANSPOSE;
    upconv_problem_sizes(&forward, &sizes);
    return sizes.output_bytes;
}

// What the library makes of it, dense; `context` may be another than the runner's.
static bool run(corpus_case *item, const gradient *g, upconv_context *context, const char *solver, float *result)
{
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    const bool conv = g->problem.op == UPCONV_CONV, filter = g->problem.op == UPCONV_GRAD_FILTER;
    upconv_plan_params params = {.struct_size = sizeof params, .order = g->order, .solver = solver};
    upconv_io io = {.struct_size = sizeof io};
    upconv_plan *plan = NULL;
    if (upconv_problem_sizes(&g->problem, &sizes))
        return refused(item);
    void *input = conv || filter ? lay(&g->problem, true, g->input, sizes.input_bytes) : NULL;
    void *other = conv ? NULL : lay(&g->problem, false, g->other, output_bytes(&g->problem));
    void *output = malloc((size_t)sizes.output_bytes);
    bool good = output && (conv || other) && (!(conv || filter) || input);
    if (!good)
        case_wrong(item, "no memory for the tensors");
    params.weights = conv ? g->other : NULL;
    io.at[UPCONV_INPUT].host = input;
    io.at[UPCONV_OUTPUT_GRAD].host = other;
    io.at[UPCONV_OUTPUT].host = output;
    good = good && ((!upconv_plan_create(context, &g->problem, &params, &plan) && !upconv_execute_io(plan, &io)) ||
                    refused(item));
    if (good && g->tensor)
        test_unlay(&g->problem, false, output, result);
    else if (good)
        memcpy(result, output, (size_t)sizes.output_bytes);
    upconv_plan_destroy(plan);
    free(input);
    free(other);
    free(output);
    return good;
}

static float *magnitudes(const float *values, uint64_t count)
{
    float *made = malloc((size_t)count * sizeof *made);
    for (uint64_t i = 0; made && i < count; i++)
        made[i] = fabsf(values[i]);
    return made;
}

// What rounding both factors of every product to f16 may change: 2^-10 of the sum of their magnitudes, and a little.
static bool rounding_of(corpus_case *item, const gradient *g, uint64_t inputs, uint64_t others, float *rounding)
{
    gradient plain = *g;
    upconv_context *cpu = NULL;
    const upconv_context_params params = {.struct_size = sizeof params, .backend = UPCONV_BACKEND_CPU};
    plain.problem.type = UPCONV_F32;
    plain.problem.in_layout = plain.problem.out_layout = UPCONV_NCHW;
    plain.problem.in_pitch = plain.problem.out_pitch = (upconv_pitch){0};
    float *input = magnitudes(g->input, inputs), *other = magnitudes(g->other, others);
    plain.input = input;
    plain.other = other;
    const bool good = input && other && !upconv_context_create(&params, &cpu) && run(item, &plain, cpu, NULL, rounding);
    for (size_t i = 0; good && i < g->expected->array.elements; i++)
        rounding[i] *= 1.05f / 1024;
    upconv_context_destroy(cpu);
    free(input);
    free(other);
    return good || case_wrong(item, "no bound for f16");
}

static bool compare(corpus_case *item, const gradient *g, const float *result, const float *rounding)
{
    const corpus_tensor *expected = g->expected;
    const float *wanted = expected->array.data;
    for (size_t i = 0; i < expected->array.elements; i++) {
        const double e = (double)wanted[i], y = (double)result[i];
        double bound = expected->atol + expected->rtol * fabs(e) + (rounding ? (double)rounding[i] : 0);
        if (rounding && g->tensor) // stored as f16
            bound += test_half_ulp(fabs(e) + bound);
        if (!(fabs(y - e) <= bound))
            return case_wrong(item, "%s: element %zu is %.9g, expected %.9g (within %g)", expected->name, i, y, e,
                              bound);
    }
    return true;
}

static bool run_one(corpus_case *item, gradient *g, const case_runner *runner, uint64_t inputs, uint64_t others)
{
    const size_t count = g->expected->array.elements;
    const bool half = runner->type == UPCONV_F16;
    // solvers that can be asked for are those of convolutions
    const char *solver = g->tensor && runner->solver && strncmp(runner->solver, "gemm", 4) ? runner->solver : NULL;
    float *result = malloc(count * sizeof *result), *rounding = half ? malloc(count * sizeof *rounding) : NULL;
    bool good = (result && (!half || rounding)) || case_wrong(item, "no memory for the output");
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    good = good && (!upconv_problem_sizes(&g->problem, &sizes) || refused(item));
    if (good && sizes.output_elements != count)
        good = case_wrong(item, "%s has %zu elements, not %llu", g->expected->name, count,
                          (unsigned long long)sizes.output_elements);
    good = good && (!half || rounding_of(item, g, inputs, others, rounding));
    good = good && run(item, g, runner->context, solver, result) && compare(item, g, result, rounding);
    free(result);
    free(rounding);
    return good;
}

static void shape(const case_runner *runner, upconv_problem *problem)
{
    problem->type = runner->type;
    problem->in_layout = problem->out_layout = runner->layout;
    if (runner->gaps) {
        case_gaps(problem, true, &problem->in_pitch);
        case_gaps(problem, false, &problem->out_pitch);
    }
}

static bool run_all(corpus_case *item, const mapping *map, const case_runner *runner, const float *x, const float *dy)
{
    const bool flow = !strcmp(item->dialect, "tensorflow");
    bool good = true;
    upconv_problem forward = map->problem;
    shape(runner, &forward);
    for (int i = 0; i < item->output_count && good; i++) {
        gradient g = {.expected = &item->outputs[i],
                      .problem = forward,
                      .input = x,
                      .other = dy,
                      .order = flow ? UPCONV_FILTER_KOI : UPCONV_FILTER_IOK};
        const char *name = item->outputs[i].name;
        uint64_t inputs = map->input->array.elements, others = map->gradient->array.elements;
        good = tensor_load(item, &item->outputs[i]);
        if (good && !strcmp(name, "grad_input")) {
            g.tensor = true;
            g.input = dy;
            g.other = map->weights->array.data;
            inputs = others;
            others = map->weights->array.elements;
            good = !upconv_problem_grad_input(&forward, UPCONV_FILTER_IOK, &g.problem, &g.order) || refused(item);
        } else if (good && !strcmp(name, "grad_bias")) {
            g.problem.op = UPCONV_GRAD_BIAS;
        } else if (good) {
            g.problem.op = UPCONV_GRAD_FILTER;
            good = flow || !strcmp(name, "grad_weight") || case_wrong(item, "unknown output %s", name);
        }
        good = good && run_one(item, &g, runner, inputs, others);
    }
    return good;
}

bool gradient_execute(corpus_case *item, const mapping *map, const case_runner *runner)
{
    if (!tensor_load(item, map->input) || !tensor_load(item, map->gradient) ||
        (map->weights && !tensor_load(item, map->weights)))
        return false;
    float *x = planes_of(map->input, map->in_layout), *dy = planes_of(map->gradient, map->out_layout);
    const bool good = ((x && dy) || case_wrong(item, "no memory for the inputs")) && run_all(item, map, runner, x, dy);
    free(x);
    free(dy);
    return good;
}
