#include "testing.h"
#include "leaks.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef UPC_TEST_LEAKS
// Drivers stay loaded where leaks are looked for: what a driver keeps in variables of its own is no leak while they are
// there, and once it is unloaded a leak has no name by which it could be told from ours.
__attribute__((visibility("default"))) int dlclose(void *library)
{
    (void)library;
    return 0;
}
#endif

// splitmix64: small, good enough, and the same everywhere.
uint64_t test_bits(test_random *random)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int test_between(test_random *random, int low, int high)
{
    return low + (int)(test_bits(random) % (uint64_t)(high - low + 1));
}

bool test_chance(test_random *random, int percent) { return test_between(random, 0, 99) < percent; }

int test_pick(test_random *random, const int *values, int count)
{
    return values[test_between(random, 0, count - 1)];
}

static const char *const backend_names[UPCONV_BACKEND_COUNT] = {"any", "vulkan", "opencl", "cpu"};

bool test_backend_parse(const char *name, upconv_backend *backend)
{
    for (int i = 0; i < UPCONV_BACKEND_COUNT; i++) {
        if (strcmp(name, backend_names[i]) == 0) {
            *backend = (upconv_backend)i;
            return true;
        }
    }
    return false;
}

const char *test_backend_name(upconv_backend backend) { return backend_names[backend]; }

static void print_log(void *user, upconv_log_level level, const char *message)
{
    (void)user;
    if (level <= UPCONV_LOG_WARNING)
        fprintf(stderr, "upconv: %s\n", message);
}

upconv_status test_context_create(upconv_backend backend, const upconv_limits *limits, upconv_context **context)
{
    upconv_context_params params = {sizeof params};
    params.backend = backend;
    params.log = print_log;
    params.limits = limits;
    return upconv_context_create(&params, context);
}

bool test_limits_parse(const char *text, upconv_limits *limits, bool *no_f16)
{
    *limits = (upconv_limits){.struct_size = sizeof *limits};
    const struct {
        const char *name;
        uint64_t *wide;
        uint32_t *narrow;
    } names[] = {{"binding", &limits->binding_bytes, NULL}, {"alloc", &limits->alloc_bytes, NULL},
                 {"macs", &limits->dispatch_macs, NULL},    {"groups", NULL, &limits->group_count},
                 {"size", NULL, &limits->group_size},       {"shared", NULL, &limits->shared_bytes}};
    while (*text) {
        char name[16];
        unsigned long long value;
        int used = 0;
        bool known = false;
        if (sscanf(text, "%15[a-z0-9]=%llu%n", name, &value, &used) != 2)
            return false;
        for (size_t i = 0; i < UPC_COUNT(names) && !known; i++) {
            if ((known = !strcmp(name, names[i].name)) && names[i].wide)
                *names[i].wide = value;
            else if (known)
                *names[i].narrow = (uint32_t)value;
        }
        if (!known && (strcmp(name, "f16") || value || !no_f16))
            return false;
        if (!known)
            *no_f16 = true;
        if (text[used] != ',' && text[used] != '\0')
            return false;
        text += used + (text[used] == ',');
    }
    return true;
}

void test_vectors(upconv_context *context, uint32_t floats)
{
    context->facts.vector_floats = floats;
    context->facts.byte_dots = context->facts.byte_dots && floats >= 16;
}

bool test_backend_present(upconv_backend backend, char *why, size_t size)
{
    for (int i = 0;; i++) {
        upconv_backend_info info = {sizeof info};
        if (upconv_backend_at(i, &info)) {
            snprintf(why, size, "%s: no such backend", test_backend_name(backend));
            return false;
        }
        if (info.backend != backend)
            continue;
        if (info.built && info.loaded && info.devices > 0)
            return true;
        snprintf(why, size, "%s: %s", test_backend_name(backend), info.built ? info.detail : "not in this build");
        return false;
    }
}

double test_activation(const upconv_problem *problem, double x, double slope)
{
    const double a = problem->act_param[0], b = problem->act_param[1];
    switch (problem->act) {
    case UPCONV_ACT_RELU: return fmax(x, 0);
    case UPCONV_ACT_LEAKY_RELU: return x >= 0 ? x : a * x;
    case UPCONV_ACT_PRELU: return x >= 0 ? x : slope * x;
    case UPCONV_ACT_CLAMP: return fmin(fmax(x, a), b);
    case UPCONV_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case UPCONV_ACT_TANH: return tanh(x);
    case UPCONV_ACT_HARDSWISH: return x * fmin(fmax(x + 3, 0), 6) / 6;
    case UPCONV_ACT_SILU: return x / (1 + exp(-x));
    case UPCONV_ACT_GELU_ERF: return x / 2 * (1 + erf(x / sqrt(2)));
    case UPCONV_ACT_GELU_TANH: return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    default: return x;
    }
}

// Where an activation maps small integers to what f32 holds exactly (slopes are powers of two).
static bool act_is_exact(upconv_act act)
{
    return act == UPCONV_ACT_NONE || act == UPCONV_ACT_RELU || act == UPCONV_ACT_LEAKY_RELU ||
           act == UPCONV_ACT_PRELU || act == UPCONV_ACT_CLAMP;
}

static uint64_t filter_index(const upconv_problem *p, upconv_filter_order order, const int axis[3], int ic, int oc)
{
    // ic is counted over all input channels, oc over all output channels; taps are flattened, slowest axis first
    const int icg = p->in_channels / p->groups, ocg = p->out_channels / p->groups;
    uint64_t tap = 0, taps = 1;
    for (int a = 0; a < p->dims; a++) {
        tap = tap * (uint64_t)p->kernel[a] + (uint64_t)axis[a];
        taps *= (uint64_t)p->kernel[a];
    }
    switch (order) {
    case UPCONV_FILTER_KOI:
        return (tap * (uint64_t)ocg + (uint64_t)(oc % ocg)) * (uint64_t)p->in_channels + (uint64_t)ic;
    case UPCONV_FILTER_OIK:
        return ((uint64_t)oc * (uint64_t)icg + (uint64_t)(ic % icg)) * taps + tap;
    case UPCONV_FILTER_KIO:
        return (tap * (uint64_t)icg + (uint64_t)(ic % icg)) * (uint64_t)p->out_channels + (uint64_t)oc;
    case UPCONV_FILTER_OKI:
        return ((uint64_t)oc * taps + tap) * (uint64_t)icg + (uint64_t)(ic % icg);
    case UPCONV_FILTER_IKO:
        return ((uint64_t)ic * taps + tap) * (uint64_t)ocg + (uint64_t)(oc % ocg);
    default:
        return ((uint64_t)ic * (uint64_t)ocg + (uint64_t)(oc % ocg)) * taps + tap;
    }
}

// One input element through one tap of all output channels: the definition, in scatter form.
static void scatter(test_case *test, int batch, int ic, uint64_t input_at, uint64_t output_at, const int tap[3])
{
    const upconv_problem *p = &test->problem;
    const int icg = p->in_channels / p->groups, ocg = p->out_channels / p->groups, group = ic / icg;
    uint64_t plane = 1;
    for (int a = 0; a < p->dims; a++)
        plane *= (uint64_t)p->out[a];
    for (int oc = group * ocg; oc < (group + 1) * ocg; oc++) {
        const double product = (double)test->input[input_at] *
                               (double)test->weights[filter_index(p, test->order, tap, ic, oc)];
        const uint64_t at = ((uint64_t)batch * (uint64_t)p->out_channels + (uint64_t)oc) * plane + output_at;
        test->sums[at] += product;
        test->magnitudes[at] += fabs(product);
    }
}

// Where position `from` of the input (of a convolution: of the output) goes with a tap; false: nowhere.
static bool lands(const upconv_problem *p, const int from[3], const int tap[3], uint64_t *at, uint64_t *other)
{
    const bool conv = p->op == UPCONV_CONV;
    *at = *other = 0;
    for (int a = 0; a < p->dims; a++) {
        const int64_t to = (int64_t)from[a] * p->stride[a] + (int64_t)tap[a] * p->dilation[a] - p->pad[a];
        const int32_t extent = conv ? p->in[a] : p->out[a], own = conv ? p->out[a] : p->in[a];
        if (to < 0 || to >= extent)
            return false;
        *at = *at * (uint64_t)own + (uint64_t)from[a];
        *other = *other * (uint64_t)extent + (uint64_t)to;
    }
    return true;
}

static bool is_gradient(const upconv_problem *p) { return p->op == UPCONV_GRAD_FILTER || p->op == UPCONV_GRAD_BIAS; }

// What is written is f32 then, whatever the problem's type.
static upconv_type result_type(const upconv_problem *p) { return is_gradient(p) ? UPCONV_F32 : p->type; }

bool test_op_takes(upconv_op op, upconv_role role)
{
    const bool gradient = op == UPCONV_GRAD_FILTER || op == UPCONV_GRAD_BIAS;
    return role == UPCONV_OUTPUT || (role == UPCONV_INPUT && op != UPCONV_GRAD_BIAS) ||
           (role == UPCONV_OUTPUT_GRAD && gradient);
}

// One product of the filter's gradient: of an input element and all output channels of its group at the place that a tap takes it to.
static void add_gradient(test_case *test, int batch, int ic, uint64_t input_at, uint64_t output_at, const int tap[3])
{
    const upconv_problem *p = &test->problem;
    const int icg = p->in_channels / p->groups, ocg = p->out_channels / p->groups, group = ic / icg;
    uint64_t plane = 1;
    for (int a = 0; a < p->dims; a++)
        plane *= (uint64_t)p->out[a];
    for (int oc = group * ocg; oc < (group + 1) * ocg; oc++) {
        const uint64_t from = ((uint64_t)batch * (uint64_t)p->out_channels + (uint64_t)oc) * plane + output_at;
        const double product = (double)test->input[input_at] * (double)test->gradient[from];
        const uint64_t at = filter_index(p, test->order, tap, ic, oc);
        test->sums[at] += product;
        test->magnitudes[at] += fabs(product);
    }
}

static void add_biases(test_case *test)
{
    const upconv_problem *p = &test->problem;
    const uint64_t channels = (uint64_t)p->out_channels;
    uint64_t plane = 1;
    for (int a = 0; a < p->dims; a++)
        plane *= (uint64_t)p->out[a];
    for (uint64_t i = 0; i < (uint64_t)p->batch * channels * plane; i++) {
        test->sums[i / plane % channels] += (double)test->gradient[i];
        test->magnitudes[i / plane % channels] += fabs((double)test->gradient[i]);
    }
}

static void scatter_all(test_case *test)
{
    const upconv_problem *p = &test->problem;
    const bool conv = p->op == UPCONV_CONV;
    uint64_t plane = 1, at, other;
    for (int a = 0; a < p->dims; a++)
        plane *= (uint64_t)p->in[a];
    for (int n = 0; n < p->batch * p->in_channels; n++) {
        int from[3] = {0, 0, 0};
        do {
            int tap[3] = {0, 0, 0};
            do {
                if (lands(p, from, tap, &at, &other))
                    (is_gradient(p) ? add_gradient : scatter)(test, n / p->in_channels, n % p->in_channels,
                                                              (uint64_t)n * plane + (conv ? other : at),
                                                              conv ? at : other, tap);
            } while (test_next(tap, p->kernel, p->dims));
        } while (test_next(from, conv ? p->out : p->in, p->dims));
    }
}

static double sum_bound(const test_case *test, uint64_t index);
static double gradient_bound(const test_case *test, uint64_t index);

// What makes sums and magnitudes of each operation, and how far a sum may be off.
typedef struct oracle {
    void (*sums)(test_case *test);
    double (*bound)(const test_case *test, uint64_t index);
} oracle;

static const oracle *oracle_of(upconv_op op)
{
    static const oracle oracles[UPCONV_OP_COUNT] = {
        [UPCONV_CONV_TRANSPOSE] = {scatter_all, sum_bound},
        [UPCONV_CONV] = {scatter_all, sum_bound},
        [UPCONV_GRAD_FILTER] = {scatter_all, gradient_bound},
        [UPCONV_GRAD_BIAS] = {add_biases, gradient_bound},
        [UPCONV_RESIZE] = {test_sample_all, test_sample_bound},
        [UPCONV_ZERO_INSERT] = {test_sample_all, test_sample_bound},
        [UPCONV_PIXEL_SHUFFLE] = {test_sample_all, test_sample_bound},
    };
    return &oracles[op];
}

static void expect(test_case *test)
{
    const upconv_problem *p = &test->problem;
    const uint64_t plane = UPC_MAX(test->sizes.output_elements / (uint64_t)p->batch / (uint64_t)p->out_channels, 1);
    for (uint64_t i = 0; i < test->sizes.output_elements; i++) {
        const uint64_t oc = i / plane % (uint64_t)p->out_channels;
        if (test->has_bias) {
            test->sums[i] += (double)test->bias[oc];
            test->magnitudes[i] += fabs((double)test->bias[oc]);
        }
        const double residual = p->residual ? (double)test->residual[i] : 0;
        if (is_gradient(p)) {
            test->expected[i] = test->sums[i];
            continue;
        }
        if (p->residual == UPCONV_RESIDUAL_BEFORE_ACT) {
            test->sums[i] += residual;
            test->magnitudes[i] += fabs(residual);
        }
        test->expected[i] = test_activation(p, test->sums[i], test->slopes ? (double)test->slopes[oc] : 0);
        if (p->residual == UPCONV_RESIDUAL_AFTER_ACT)
            test->expected[i] += residual;
    }
}

// fine: steps of 2^-16, which f16 cannot hold; else of 2^-10.
static float *numbers(uint64_t count, bool integers, bool fine, test_random *random)
{
    float *values = malloc((size_t)count * sizeof *values);
    if (!values)
        return NULL;
    const int one = fine ? 65536 : 1024;
    for (uint64_t i = 0; i < count; i++) {
        const int integer = test_between(random, -4, 4);
        values[i] = integers ? (float)integer : (float)test_between(random, -one, one) / (float)one;
    }
    return values;
}

bool test_case_init(test_case *test, const upconv_problem *problem, upconv_filter_order order, bool has_bias,
                    bool integers, test_random *random)
{
    return test_case_init_typed(test, problem, order, UPCONV_F32, has_bias, integers, random);
}

bool test_case_init_typed(test_case *test, const upconv_problem *problem, upconv_filter_order order,
                          upconv_type weights_type, bool has_bias, bool integers, test_random *random)
{
    *test = (test_case){.problem = *problem, .order = order, .weights_type = weights_type, .has_bias = has_bias,
                        .integers = integers};
    test->sizes.struct_size = sizeof test->sizes;
    if (upconv_problem_sizes(problem, &test->sizes)) {
        fprintf(stderr, "%s\n", upconv_last_error());
        return false;
    }
    const uint64_t channels = (uint64_t)problem->out_channels, outputs = test->sizes.output_elements;
    const bool fine = problem->type == UPCONV_F32;
    test->input = numbers(test->sizes.input_elements, integers, fine, random);
    test->weights = numbers(UPC_MAX(test->sizes.weights_elements, 1), integers, weights_type == UPCONV_F32, random);
    test->bias = numbers(channels, integers, true, random);
    test->slopes = numbers(channels, true, true, random);
    test->residual = numbers(problem->residual ? outputs : 1, integers, fine, random);
    upconv_problem forward = *problem; // whose output a gradient is of
    upconv_sizes sizes = {sizeof sizes};
    forward.op = is_gradient(problem) ? UPCONV_CONV_TRANSPOSE : problem->op;
    upconv_problem_sizes(&forward, &sizes);
    test->gradient = numbers(is_gradient(problem) ? sizes.output_elements : 1, integers, fine, random);
    test->sums = calloc((size_t)outputs, sizeof *test->sums);
    test->magnitudes = calloc((size_t)outputs, sizeof *test->magnitudes);
    test->expected = calloc((size_t)outputs, sizeof *test->expected);
    if (!test->input || !test->weights || !test->bias || !test->slopes || !test->residual || !test->gradient ||
        !test->sums || !test->magnitudes || !test->expected) {
        fprintf(stderr, "no memory for the tensors of a test\n");
        test_case_finish(test);
        return false;
    }
    for (uint64_t i = 0; i < channels; i++)
        test->slopes[i] = test->slopes[i] / 4; // quarters keep exactness
    oracle_of(problem->op)->sums(test);
    expect(test);
    return true;
}

void test_case_lay(const test_case *test, upconv_role role, void *memory)
{
    switch (role) {
    case UPCONV_INPUT: test_lay(&test->problem, true, test->input, memory); break;
    case UPCONV_RESIDUAL: test_lay(&test->problem, false, test->residual, memory); break;
    case UPCONV_OUTPUT_GRAD: test_lay(&test->problem, false, test->gradient, memory); break;
    case UPCONV_WEIGHTS:
        for (uint64_t i = 0; i < test->sizes.weights_elements; i++)
            if (test->weights_type == UPCONV_F16)
                ((uint16_t *)memory)[i] = test_half_from(test->weights[i]);
            else
                memcpy((float *)memory + i, test->weights + i, sizeof(float));
        break;
    default: memcpy(memory, role == UPCONV_BIAS ? test->bias : test->slopes, test_case_bytes(test, role));
    }
}

void test_case_unlay(const test_case *test, const void *memory, float *output)
{
    if (is_gradient(&test->problem))
        memcpy(output, memory, (size_t)test->sizes.output_bytes);
    else
        test_unlay(&test->problem, false, memory, output);
}

void test_case_mark(const test_case *test, unsigned char *marks)
{
    if (is_gradient(&test->problem))
        memset(marks, 1, (size_t)test->sizes.output_bytes);
    else
        test_mark(&test->problem, marks);
}

uint64_t test_case_bytes(const test_case *test, upconv_role role)
{
    upconv_problem forward = test->problem;
    upconv_sizes sizes = {sizeof sizes};
    switch (role) {
    case UPCONV_OUTPUT_GRAD:
        forward.op = UPCONV_CONV_TRANSPOSE;
        upconv_problem_sizes(&forward, &sizes);
        return sizes.output_bytes;
    case UPCONV_INPUT: return test->sizes.input_bytes;
    case UPCONV_OUTPUT:
    case UPCONV_RESIDUAL: return test->sizes.output_bytes;
    case UPCONV_WEIGHTS: return test->sizes.weights_elements * (test->weights_type == UPCONV_F16 ? 2 : 4);
    default: return (uint64_t)test->problem.out_channels * sizeof(float);
    }
}

void test_case_finish(test_case *test)
{
    free(test->input);
    free(test->weights);
    free(test->bias);
    free(test->slopes);
    free(test->residual);
    free(test->gradient);
    free(test->sums);
    free(test->magnitudes);
    free(test->expected);
    *test = (test_case){0};
}

static double largest(const float *values, uint64_t count)
{
    double most = 0;
    for (uint64_t i = 0; i < count; i++)
        most = fmax(most, fabs((double)values[i]));
    return most;
}

double test_case_most(const test_case *test)
{
    const upconv_problem *p = &test->problem;
    double terms = (double)p->in_channels / p->groups;
    for (int a = 0; a < p->dims; a++)
        terms *= p->op == UPCONV_CONV ? p->kernel[a] : ceil((double)p->kernel[a] / p->stride[a]);
    return terms * largest(test->input, test->sizes.input_elements) *
           largest(test->weights, test->sizes.weights_elements);
}

// Of the sum, in front of the activation.
static double sum_bound(const test_case *test, uint64_t index)
{
    const upconv_problem *p = &test->problem;
    const double ulp = p->sum_type == UPCONV_F16 ? 9.765625e-4 : 1.1920929e-7, magnitude = test->magnitudes[index];
    double bound = 0, terms = (double)p->in_channels / p->groups + 2;
    for (int a = 0; a < p->dims; a++)
        terms *=
            ceil((double)p->kernel[a] / p->stride[a] * (p->dilation[a] > 1 || p->op == UPCONV_CONV ? p->stride[a] : 1));
    // Sums of n terms in any order are off by at most n half-ulps of the sum of magnitudes, and products by as much again. Sums in
    // f16 hold every integer up to 2048.
    if (!test->integers || (p->sum_type == UPCONV_F16 && magnitude > 2048))
        bound += terms * ulp * magnitude;
    // At most 9 times that magnitude in two dimensions (api/solvers/winograd.h), in as many terms and those of the transforms.
    if (!test->integers)
        bound += (terms + 16) * ulp * 9 * test->transformed;
    if (p->type == UPCONV_F16) {
        if (!test->integers && test->weights_type == UPCONV_F32) // which kernels keep as f16
            bound += 9.765625e-4 * magnitude;
        if (!test->integers || magnitude > 2048) // up to there f16 holds every integer
            bound += test->partial * test_half_ulp(magnitude);
    }
    return bound;
}

// Every position of every image is a term.
static double gradient_bound(const test_case *test, uint64_t index)
{
    const upconv_problem *p = &test->problem;
    double terms = p->batch;
    for (int a = 0; a < p->dims; a++)
        terms *= p->op == UPCONV_GRAD_BIAS ? p->out[a] : p->in[a];
    return test->integers ? 0 : (terms + 2) * 1.1920929e-7 * test->magnitudes[index];
}

double test_case_bound(const test_case *test, uint64_t index)
{
    const upconv_problem *p = &test->problem;
    const double expected = test->expected[index], sum_error = oracle_of(p->op)->bound(test, index);
    const bool exact = sum_error == 0 && act_is_exact(p->act);
    if (exact && (result_type(p) == UPCONV_F32 || test_half_to(test_half_from(expected)) == expected))
        return 0;
    // No activation here is steeper than 1.2, except the leaky ones by their slope. exp and tanh of a GPU are good to a
    // few ulps of a larger argument.
    const double ulp = 1.1920929e-7, slope = fmax(1.2, fabs((double)p->act_param[0]));
    const double smooth = act_is_exact(p->act) ? 0 : 4e-6 * (1 + fabs(test->sums[index]));
    const double added = p->residual == UPCONV_RESIDUAL_AFTER_ACT ? fabs((double)test->residual[index]) : 0;
    const double bound = slope * sum_error + smooth + ulp * (fabs(expected) + added);
    // stored as f16: to nearest, or cut off
    return result_type(p) == UPCONV_F16 ? bound + test_half_ulp(fabs(expected) + bound) : bound;
}

int64_t test_case_compare(const test_case *test, const float *output)
{
    for (uint64_t i = 0; i < test->sizes.output_elements; i++) {
        const double bound = test_case_bound(test, i), error = fabs((double)output[i] - test->expected[i]);
        const bool beyond = result_type(&test->problem) == UPCONV_F16 && fabs(test->expected[i]) + bound > 65504;
        // the largest number, or infinity
        const bool ok = error <= bound || (beyond && fabs((double)output[i]) >= 65504 - bound);
        if (!ok) // also for NaN
            return (int64_t)i;
    }
    return -1;
}

upconv_problem test_problem(const char *notation)
{
    upconv_problem problem = {sizeof problem};
    upconv_sizes sizes = {sizeof sizes};
    size_t at = 0;
    if (upconv_problem_parse(notation, &problem, &at) || upconv_problem_sizes(&problem, &sizes)) {
        fprintf(stderr, "%s: at %zu: %s\n", notation, at, upconv_last_error());
        exit(2);
    }
    // complete: what the oracle reads has no zeros standing for defaults
    problem.groups = problem.groups ? problem.groups : 1;
    problem.dims = problem.dims ? problem.dims : 2;
    for (int a = 0; a < problem.dims; a++) {
        problem.stride[a] = problem.stride[a] ? problem.stride[a] : 1;
        problem.dilation[a] = problem.dilation[a] ? problem.dilation[a] : 1;
        problem.out[a] = sizes.out[a];
    }
    return problem;
}

int test_report(uint64_t passed, uint64_t failed, uint64_t skipped)
{
    printf("%" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64 " skipped\n", passed, failed, skipped);
    fflush(stdout);
    return failed ? 1 : 0;
}
