// One step of training on the device. With x the input, w the filter, b the bias and t the target,
//
//     e = A(w) x + b - t            one plan: -t is its fused residual, so that no pass of its own subtracts it
//     loss = mean of e^2
//     dloss/dw = 2 / n * sum x e    UPCONV_GRAD_FILTER, with e for the gradient of the output
//     dloss/db = 2 / n * sum e      UPCONV_GRAD_BIAS
//
// and the sum of e^2 is the filter gradient of a 1x1 layer with e on both sides. So of mean squared errors nothing
// but filter and gradient comes back from the device. The layer is the first and only one here: in a network, what
// goes on from e to the layers before is upconv_problem_grad_input, a convolution.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

enum { ERROR, OF_FILTER, OF_BIAS, SQUARES };                                                        // plans
enum { INPUT, MINUS_TARGET, ERRORS, FILTER, BIAS, FILTER_GRADIENT, BIAS_GRADIENT, SUM_OF_SQUARES }; // buffers

// Which buffer each plan has in which role.
typedef struct wire {
    upconv_role role;
    int buffer;
} wire;
static const wire wires[TRAIN_PLANS][6] = {
    [ERROR] = {{UPCONV_INPUT, INPUT},
               {UPCONV_WEIGHTS, FILTER},
               {UPCONV_RESIDUAL, MINUS_TARGET},
               {UPCONV_OUTPUT, ERRORS},
               {UPCONV_BIAS, BIAS},
               {UPCONV_ROLE_COUNT, 0}},
    [OF_FILTER] = {{UPCONV_INPUT, INPUT},
                   {UPCONV_OUTPUT_GRAD, ERRORS},
                   {UPCONV_OUTPUT, FILTER_GRADIENT},
                   {UPCONV_ROLE_COUNT, 0}},
    [OF_BIAS] = {{UPCONV_OUTPUT_GRAD, ERRORS}, {UPCONV_OUTPUT, BIAS_GRADIENT}, {UPCONV_ROLE_COUNT, 0}},
    [SQUARES] = {{UPCONV_INPUT, ERRORS},
                 {UPCONV_OUTPUT_GRAD, ERRORS},
                 {UPCONV_OUTPUT, SUM_OF_SQUARES},
                 {UPCONV_ROLE_COUNT, 0}},
};

size_t train_filter_count(const train_shape *shape)
{
    return (size_t)shape->channels * (size_t)(shape->channels / shape->groups) *
           (size_t)(shape->kernel * shape->kernel);
}

upconv_problem train_problem(const train_shape *shape, int batch, int height, int width)
{
    upconv_problem problem = {.struct_size = sizeof problem,
                              .batch = batch,
                              .in_channels = shape->channels,
                              .out_channels = shape->channels,
                              .groups = shape->groups};
    const int size[2] = {height, width};
    for (int axis = 0; axis < 2; axis++) {
        problem.in[axis] = size[axis] + 2 * shape->radius;
        problem.kernel[axis] = shape->kernel;
        problem.stride[axis] = shape->scale;
        // cuts off what the surroundings make in front; the output's size cuts off what they make behind
        problem.pad[axis] = shape->pad + shape->radius * shape->scale;
        problem.out[axis] = size[axis] * shape->scale;
    }
    return problem;
}

// The problems of a step. The gradients' differ from the layer's in the operation alone.
static void step_problems(const train_layer *layer, upconv_problem problems[TRAIN_PLANS])
{
    const upconv_problem forward = train_problem(&layer->shape, layer->batch, layer->patch, layer->patch);
    problems[ERROR] = problems[OF_FILTER] = problems[OF_BIAS] = forward;
    problems[ERROR].residual = UPCONV_RESIDUAL_AFTER_ACT;
    problems[OF_FILTER].op = UPCONV_GRAD_FILTER;
    problems[OF_BIAS].op = UPCONV_GRAD_BIAS;
    problems[SQUARES] = (upconv_problem){.struct_size = sizeof(upconv_problem),
                                         .op = UPCONV_GRAD_FILTER,
                                         .batch = forward.batch,
                                         .in_channels = forward.out_channels,
                                         .out_channels = forward.out_channels,
                                         .groups = forward.out_channels,
                                         .in = {forward.out[0], forward.out[1]},
                                         .kernel = {1, 1}};
}

static bool runs(const train_layer *layer, int plan)
{
    return plan == OF_BIAS ? layer->shape.bias : plan != SQUARES || layer->loss == TRAIN_MSE;
}

upconv_status train_layer_init(train_layer *layer, upconv_context *context, const train_shape *shape, train_loss loss,
                               int batch, int patch)
{
    *layer = (train_layer){.shape = *shape, .loss = loss, .batch = batch, .patch = patch, .context = context};
    upconv_problem problems[TRAIN_PLANS];
    upconv_plan_item items[TRAIN_PLANS] = {0};
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    size_t count = 0;
    int which[TRAIN_PLANS];
    step_problems(layer, problems);
    for (int i = 0; i < TRAIN_PLANS; i++)
        if (runs(layer, i)) {
            which[count] = i;
            items[count++].problem = &problems[i]; // without params: weights and bias are given at each execution
        }
    upconv_status status = upconv_plan_create_many(context, items, count, 0);
    for (size_t i = 0; i < count; i++)
        layer->plans[which[i]] = items[i].plan;
    if (status == UPCONV_OK)
        status = upconv_problem_sizes(&problems[ERROR], &sizes);
    const uint64_t bytes[TRAIN_BUFFERS] = {
        [INPUT] = sizes.input_bytes,         [MINUS_TARGET] = sizes.output_bytes,
        [ERRORS] = sizes.output_bytes,       [FILTER] = sizes.weights_bytes,
        [BIAS] = sizes.bias_bytes,           [FILTER_GRADIENT] = sizes.weights_bytes,
        [BIAS_GRADIENT] = sizes.bias_bytes,
        [SUM_OF_SQUARES] = sizes.bias_bytes, // a number for each channel as well
    };
    for (int i = 0; i < TRAIN_BUFFERS && status == UPCONV_OK; i++) {
        layer->bytes[i] = (size_t)bytes[i];
        status = upconv_buffer_create(context, bytes[i], &layer->buffers[i]);
    }
    return status;
}

void train_layer_finish(train_layer *layer)
{
    for (int i = 0; i < TRAIN_PLANS; i++)
        upconv_plan_destroy(layer->plans[i]);
    for (int i = 0; i < TRAIN_BUFFERS; i++)
        upconv_buffer_destroy(layer->buffers[i]);
    *layer = (train_layer){0};
}

static upconv_status upload(train_layer *layer, int buffer, const void *data)
{
    void *memory = NULL;
    const upconv_status status = upconv_buffer_map(layer->buffers[buffer], UPCONV_MAP_WRITE, &memory);
    if (status != UPCONV_OK)
        return status;
    memcpy(memory, data, layer->bytes[buffer]);
    return upconv_buffer_unmap(layer->buffers[buffer]);
}

static upconv_status download(train_layer *layer, int buffer, void *data)
{
    void *memory = NULL;
    const upconv_status status = upconv_buffer_map(layer->buffers[buffer], UPCONV_MAP_READ, &memory);
    if (status != UPCONV_OK)
        return status;
    memcpy(data, memory, layer->bytes[buffer]);
    return upconv_buffer_unmap(layer->buffers[buffer]);
}

// Starts a plan, where the layer has it, and does not wait: what is submitted runs in order.
static upconv_status submit(train_layer *layer, int plan, upconv_ticket *ticket)
{
    if (!layer->plans[plan])
        return UPCONV_OK;
    upconv_io io = {.struct_size = sizeof io};
    for (const wire *w = wires[plan]; w->role != UPCONV_ROLE_COUNT; w++)
        if (w->role != UPCONV_BIAS || layer->shape.bias)
            io.at[w->role].buffer = layer->buffers[w->buffer];
    return upconv_submit(layer->plans[plan], &io, ticket);
}

// Charbonnier's loss, the mean of sqrt(e^2 + epsilon^2), minds large errors less than squares do. Its gradient is no
// linear function of e, so e is turned into it on the host.
static upconv_status charbonnier(train_layer *layer, upconv_ticket ticket, double *sum)
{
    const double epsilon2 = 1e-6;
    void *memory = NULL;
    upconv_status status = upconv_wait(layer->context, ticket, -1);
    if (status == UPCONV_OK)
        status = upconv_buffer_map(layer->buffers[ERRORS], UPCONV_MAP_READ | UPCONV_MAP_WRITE, &memory);
    if (status != UPCONV_OK)
        return status;
    float *errors = memory;
    for (size_t i = 0; i < layer->bytes[ERRORS] / sizeof *errors; i++) {
        const double e = (double)errors[i], root = sqrt(e * e + epsilon2);
        *sum += root;
        errors[i] = (float)(e / root);
    }
    return upconv_buffer_unmap(layer->buffers[ERRORS]);
}

static upconv_status execute(train_layer *layer, double *sum)
{
    upconv_ticket ticket = 0;
    upconv_status status = submit(layer, ERROR, &ticket);
    if (status == UPCONV_OK && layer->loss == TRAIN_CHARBONNIER)
        status = charbonnier(layer, ticket, sum);
    for (int plan = OF_FILTER; plan < TRAIN_PLANS && status == UPCONV_OK; plan++)
        status = submit(layer, plan, &ticket);
    if (status == UPCONV_OK)
        status = upconv_wait(layer->context, ticket, -1);
    return status;
}

upconv_status train_layer_step(train_layer *layer, const float *input, const float *minus_target, const float *weights,
                               float *gradient, double *loss)
{
    const size_t filter = train_filter_count(&layer->shape), channels = (size_t)layer->shape.channels;
    float squares[4] = {0}; // channels are 1 or 3
    double sum = 0;
    upconv_status status = upload(layer, INPUT, input);
    if (status == UPCONV_OK)
        status = upload(layer, MINUS_TARGET, minus_target);
    if (status == UPCONV_OK)
        status = upload(layer, FILTER, weights);
    if (status == UPCONV_OK && layer->shape.bias)
        status = upload(layer, BIAS, weights + filter);
    if (status == UPCONV_OK)
        status = execute(layer, &sum);
    if (status == UPCONV_OK)
        status = download(layer, FILTER_GRADIENT, gradient);
    if (status == UPCONV_OK && layer->shape.bias)
        status = download(layer, BIAS_GRADIENT, gradient + filter);
    if (status == UPCONV_OK && layer->loss == TRAIN_MSE)
        status = download(layer, SUM_OF_SQUARES, squares);
    if (status != UPCONV_OK)
        return status;
    for (size_t c = 0; c < channels && layer->loss == TRAIN_MSE; c++)
        sum += (double)squares[c];
    const double n = (double)(layer->bytes[ERRORS] / sizeof(float));
    const float factor = (float)((layer->loss == TRAIN_MSE ? 2 : 1) / n);
    for (size_t i = 0; i < filter + (layer->shape.bias ? channels : 0); i++)
        gradient[i] *= factor;
    *loss = sum / n;
    return UPCONV_OK;
}

// ---- the same gradients by the simplest solver there is

static upconv_status reference(upconv_context *cpu, const upconv_problem *problem, const float *input,
                               const float *errors, float *gradient)
{
    upconv_plan *plan = NULL;
    const upconv_plan_params params = {.struct_size = sizeof params, .solver = "reference"};
    upconv_io io = {.struct_size = sizeof io};
    io.at[UPCONV_OUTPUT_GRAD].host = (void *)(uintptr_t)errors; // which are only read
    io.at[UPCONV_OUTPUT].host = gradient;
    if (problem->op == UPCONV_GRAD_FILTER)
        io.at[UPCONV_INPUT].host = (void *)(uintptr_t)input;
    upconv_status status = upconv_plan_create(cpu, problem, &params, &plan);
    if (status == UPCONV_OK)
        status = upconv_execute_io(plan, &io);
    upconv_plan_destroy(plan);
    return status;
}

static float *magnitudes(const float *values, size_t count)
{
    float *made = malloc(count * sizeof *made);
    for (size_t i = 0; made && i < count; i++)
        made[i] = fabsf(values[i]);
    return made;
}

// Two sums of n products in f32 and any order differ by at most 2 n 2^-24 times the sum of the products' magnitudes (N.
// Higham, Accuracy and Stability of Numerical Algorithms, 2002, chapter 3); two roundings more are the factor's.
upconv_status train_layer_verify(train_layer *layer, upconv_context *cpu, const float *input, const float *gradient,
                                 double *share)
{
    const size_t filter = train_filter_count(&layer->shape), count = filter + (size_t)layer->shape.channels;
    const size_t inputs = layer->bytes[INPUT] / sizeof(float), outputs = layer->bytes[ERRORS] / sizeof(float);
    upconv_problem problems[TRAIN_PLANS];
    step_problems(layer, problems);
    float *errors = malloc(outputs * sizeof *errors), *expected = malloc(count * sizeof *expected);
    float *most = malloc(count * sizeof *most), *input_size = magnitudes(input, inputs), *error_size = NULL;
    upconv_status status =
        errors && expected && most && input_size ? download(layer, ERRORS, errors) : UPCONV_ERROR_HOST_MEMORY;
    if (status == UPCONV_OK)
        status = (error_size = magnitudes(errors, outputs)) ? UPCONV_OK : UPCONV_ERROR_HOST_MEMORY;
    for (int plan = OF_FILTER; plan <= OF_BIAS && status == UPCONV_OK; plan++) {
        const size_t from = plan == OF_BIAS ? filter : 0;
        status = reference(cpu, &problems[plan], input, errors, expected + from);
        if (status == UPCONV_OK)
            status = reference(cpu, &problems[plan], input_size, error_size, most + from);
    }
    const double products = (double)outputs / layer->shape.channels;
    const double factor = (layer->loss == TRAIN_MSE ? 2 : 1) / (double)outputs;
    *share = 0;
    for (size_t i = 0; status == UPCONV_OK && i < (layer->shape.bias ? count : filter); i++) {
        const double apart = fabs((double)gradient[i] - factor * (double)expected[i]);
        const double allowed = 2 * (products + 2) * 0x1p-24 * factor * (double)most[i];
        // also where it is no number
        *share = apart <= *share * allowed ? *share : allowed > 0 ? apart / allowed : INFINITY;
    }
    free(errors), free(expected), free(most), free(input_size), free(error_size);
    return status;
}
