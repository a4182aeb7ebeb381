// Quantised transposed convolution where numbers are as large as they can be: extremes BACKEND. Inputs, weights and zero points at the
// ends of their types, sums across every multiple of what fits 32 bits exactly, sums that wrap around, biases at the ends of theirs.
// Solvers are asked for by name; an output must be what the rule gives for its sum, which is known without adding it up where there is
// one tap, and what the CPU backend's definition says.
#include "../api/solvers/phase_q.h"
#include "quantised.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What all inputs, or all weights, are: their type's least, its largest, or the two in turn.
typedef enum fill { LEAST, MOST, BOTH } fill;

// Of processors behind OpenCL: its choice, and beside it each trial has one of these, which takes turns.
static const char *const shapes[] = {
    "wide_q:along=0,stage=1,vectors=1,tile=3,order=0", "wide_q:along=1,stage=1,vectors=2,tile=1,order=1",
    "wide_q:along=0,stage=0,vectors=2,tile=2,order=1", "wide_q:along=1,stage=0,vectors=3,tile=1,order=0",
    "wide_q:along=0,stage=1,vectors=2,tile=2,order=1,bytes=1", "wide_q:along=1,stage=0,vectors=1,tile=2,order=0,spec=1",
    "wide_q:along=1,stage=1,vectors=2,tile=1,order=1,bytes=1", "wide_q:along=0,stage=0,vectors=1,tile=3,order=0,bytes=1,spec=1",
};

// Zero points are at the ends as the number says: 0 the type's 0, 1 its least, 2 its largest; of weights 3 and 4, the ends that the other
// type of weights has.
typedef struct trial {
    const char *geometry;
    upconv_type type, weights_type;
    upconv_requant requant;
    int in_zero, weights_zero;
    fill input, weights;
    int bias; // 0: none; 1, -1: the largest, the least of 32 bits; 2, -2: of 64
    double scale;
} trial;

static const trial trials[] = {
    // the largest product of each type, each way round: -128 by -128, 127 + 128 by 127 + 128, 255 by -383
    {"ic257oc19_iw9kw1", UPCONV_I8, UPCONV_I8, UPCONV_REQUANT_DOUBLE, 0, 0, LEAST, LEAST, 0, 1e-5},
    {"ic257oc19_iw9kw1", UPCONV_I8, UPCONV_I8, UPCONV_REQUANT_DOUBLE, 1, 1, MOST, MOST, 1, 2e-6},
    {"ic257oc19_iw9kw1", UPCONV_I8, UPCONV_I8, UPCONV_REQUANT_SINGLE, 2, 2, LEAST, LEAST, -1, 2e-6},
    {"ic257oc19_iw9kw1", UPCONV_I8, UPCONV_I8, UPCONV_REQUANT_REDUCED, 2, 4, LEAST, LEAST, 2, 4e-6},
    {"ic257oc19_iw9kw1", UPCONV_I8, UPCONV_I8, UPCONV_REQUANT_REAL, 1, 4, MOST, LEAST, -2, 4e-6},
    {"ic257oc19_iw9kw1", UPCONV_U8, UPCONV_U8, UPCONV_REQUANT_DOUBLE, 0, 0, MOST, MOST, 0, 2e-6},
    {"ic257oc19_iw9kw1", UPCONV_U8, UPCONV_U8, UPCONV_REQUANT_DOUBLE, 2, 3, LEAST, MOST, 1, 4e-6},
    {"ic257oc19_iw9kw1", UPCONV_U8, UPCONV_I8, UPCONV_REQUANT_REAL, 2, 4, LEAST, LEAST, 0, 4e-6},
    {"ic257oc19_iw9kw1", UPCONV_U8, UPCONV_U8, UPCONV_REQUANT_SINGLE, 2, 2, BOTH, BOTH, -1, 4e-5},
    // sums of 32 bits that wrap around: 255 * 383 * 30001 is above 2^31
    {"ic30001oc2_iw9kw1", UPCONV_U8, UPCONV_I8, UPCONV_REQUANT_DOUBLE, 2, 4, LEAST, LEAST, 0, 1e-8},
    {"ic30001oc2_iw9kw1", UPCONV_U8, UPCONV_I8, UPCONV_REQUANT_SINGLE, 0, 4, MOST, LEAST, -1, 1e-8},
    // and of 64 bits that must not, over several chunks
    {"ic30001oc2_iw9kw1", UPCONV_U8, UPCONV_I8, UPCONV_REQUANT_REAL, 2, 4, LEAST, LEAST, 0, 1e-8},
    {"ic30001oc2_iw9kw1", UPCONV_I8, UPCONV_U8, UPCONV_REQUANT_REDUCED, 1, 3, MOST, MOST, 0, 1e-8},
    // int16: a chunk is 256 products, 128 with the largest weights; whole ones, one product less and one more
    {"ic255oc17_iw9kw1", UPCONV_I16, UPCONV_I8, UPCONV_REQUANT_REDUCED, 0, 0, LEAST, LEAST, 0, 1e-5},
    {"ic256oc17_iw9kw1", UPCONV_I16, UPCONV_I8, UPCONV_REQUANT_REAL, 0, 0, LEAST, LEAST, 2, 1e-5},
    {"ic257oc17_iw9kw1", UPCONV_I16, UPCONV_U8, UPCONV_REQUANT_REDUCED, 0, 0, LEAST, MOST, 0, 1e-5},
    {"ic769oc17_iw9kw1", UPCONV_I16, UPCONV_I8, UPCONV_REQUANT_REAL, 0, 4, LEAST, LEAST, 0, 1e-6},
    {"ic768oc17_iw9kw1", UPCONV_I16, UPCONV_I8, UPCONV_REQUANT_REDUCED, 0, 4, LEAST, LEAST, -1, 3e-6},
    {"ic767oc17_iw9kw1", UPCONV_I16, UPCONV_U8, UPCONV_REQUANT_REAL, 0, 3, MOST, MOST, -2, 3e-6},
    {"ic513oc17_iw9kw1", UPCONV_I16, UPCONV_I8, UPCONV_REQUANT_DOUBLE, 0, 4, LEAST, LEAST, 0, 3e-6}, // wraps
    {"ic513oc17_iw9kw1", UPCONV_I16, UPCONV_I8, UPCONV_REQUANT_SINGLE, 0, 4, BOTH, BOTH, 1, 1e-4},
    {"ic513oc5_iw9kw1", UPCONV_I16, UPCONV_I8, UPCONV_REQUANT_REAL, 1, 4, MOST, LEAST, 0, 3e-6}, // of 17 bits: not wide_q's
    {"ic513oc5_iw9kw1", UPCONV_I16, UPCONV_I8, UPCONV_REQUANT_REDUCED, 2, 2, LEAST, LEAST, 0, 3e-6},
    // taps that overlap, borders, groups, images
    {"mb2_g3ic27oc15_ih5oh11kh5sh2ph2_iw7ow15kw5sw2pw2", UPCONV_I8, UPCONV_I8, UPCONV_REQUANT_DOUBLE, 1, 1, MOST, MOST, 1, 1e-5},
    {"mb2_g3ic27oc15_ih5oh14kh3sh2dh2ph-2_iw7ow20kw3sw2dw1pw-3", UPCONV_U8, UPCONV_U8, UPCONV_REQUANT_REAL, 2, 3, LEAST, MOST, 2, 1e-5},
    {"ic300oc16_ih4oh8kh4sh2ph1_iw8ow16kw4sw2pw1", UPCONV_I16, UPCONV_I8, UPCONV_REQUANT_REDUCED, 0, 4, LEAST, LEAST, -2, 3e-6},
    // words of four bytes, with what the zero point takes off; single channels, on rows that are long and short
    {"mb2_g2ic38oc34_ih5oh11kh5sh2ph2_iw9ow19kw5sw2pw2", UPCONV_I8, UPCONV_I8, UPCONV_REQUANT_DOUBLE, 1, 0, MOST, LEAST, 1, 1e-5},
    {"mb2_g2ic38oc34_ih5oh11kh5sh2ph2_iw9ow19kw5sw2pw2", UPCONV_U8, UPCONV_I8, UPCONV_REQUANT_SINGLE, 2, 0, LEAST, BOTH, -1, 1e-5},
    {"ic30001oc2_iw9kw1", UPCONV_U8, UPCONV_I8, UPCONV_REQUANT_DOUBLE, 0, 0, MOST, LEAST, 0, 1e-8},
    {"g3ic3oc3_ih5oh10kh4sh2ph1_iw40ow80kw4sw2pw1", UPCONV_I8, UPCONV_I8, UPCONV_REQUANT_DOUBLE, 1, 0, BOTH, BOTH, 1, 1e-3},
    {"g3ic3oc3_ih5oh9kh4sh2ph2_iw7ow13kw4sw2pw2", UPCONV_I16, UPCONV_I8, UPCONV_REQUANT_REDUCED, 0, 0, LEAST, LEAST, -1, 1e-6},
    {"ic64oc3_ih4oh8kh2sh2_iw33ow66kw2sw2", UPCONV_I8, UPCONV_U8, UPCONV_REQUANT_SINGLE, 1, 3, MOST, MOST, -1, 1e-5},
    {"ic64oc20_ih4oh12kh3sh3_iw9ow36kw4sw4", UPCONV_U8, UPCONV_I8, UPCONV_REQUANT_REDUCED, 1, 4, MOST, LEAST, 2, 1e-5},
    // products of four bytes at once, which NHWC has: with each type's zero point at the far end, and sums that wrap around
    {"ic256oc5_iw9kw1", UPCONV_I8, UPCONV_I8, UPCONV_REQUANT_DOUBLE, 2, 0, LEAST, LEAST, 0, 2e-6},
    {"ic256oc5_iw9kw1", UPCONV_U8, UPCONV_U8, UPCONV_REQUANT_SINGLE, 2, 3, LEAST, MOST, 1, 4e-6},
    {"ic256oc5_iw9kw1", UPCONV_I8, UPCONV_U8, UPCONV_REQUANT_REAL, 1, 4, MOST, LEAST, -2, 4e-6},
    {"ic30000oc2_iw9kw1", UPCONV_U8, UPCONV_I8, UPCONV_REQUANT_DOUBLE, 2, 4, LEAST, LEAST, 0, 1e-8},
};

typedef struct arrays {
    void *input, *weights, *bias, *found, *defined;
} arrays;

static void put(void *to, upconv_type type, uint64_t at, int64_t value)
{
    const int16_t half = (int16_t)value;
    if (type == UPCONV_I16)
        memcpy((int16_t *)to + at, &half, sizeof half);
    else
        ((unsigned char *)to)[at] = (unsigned char)value;
}

static int64_t get(const void *from, upconv_type type, uint64_t at)
{
    return type == UPCONV_I16 ? ((const int16_t *)from)[at]
           : type == UPCONV_I8 ? ((const int8_t *)from)[at] : ((const uint8_t *)from)[at];
}

static void fill_all(void *to, upconv_type type, uint64_t count, fill how)
{
    int64_t limits[2];
    quantised_type(type, limits);
    for (uint64_t i = 0; i < count; i++)
        put(to, type, i, limits[how == BOTH ? i * 7 / 3 % 2 : how == MOST]);
}

static int32_t zero_of(upconv_type type, int which)
{
    int64_t limits[2];
    quantised_type(type, limits);
    static const int32_t others[] = {INT8_MIN, UINT8_MAX};
    return which == 0 ? 0 : which < 3 ? (int32_t)limits[which - 1] : others[which - 3];
}

static int64_t bias_of(const trial *t)
{
    static const int64_t all[] = {INT64_MIN / 4, INT32_MIN, 0, INT32_MAX, INT64_MAX / 4};
    return all[t->bias + 2];
}

static bool wide_bias(const trial *t) { return t->bias == 2 || t->bias == -2; }

static bool run(upconv_context *context, const upconv_problem *problem, const trial *t, const arrays *a,
                const char *solver, void *output, upconv_status *status)
{
    upconv_plan *plan = NULL;
    const upconv_plan_params params = {.struct_size = sizeof params, .weights = a->weights, .weights_type = t->weights_type,
                                       .bias = t->bias ? a->bias : NULL, .bias_int64 = wide_bias(t), .scales = &t->scale,
                                       .scale_count = 1, .solver = solver};
    *status = upconv_plan_create(context, problem, &params, &plan);
    const bool ok = !*status && !(*status = upconv_execute(plan, a->input, output));
    upconv_plan_destroy(plan);
    return ok;
}

// Whether an output of one tap is what the rule makes of the sum that it must have; those of more are the definition's alone.
static bool by_rule(const upconv_problem *p, const trial *t, const arrays *a, int64_t defined)
{
    if (p->kernel[0] != 1 || p->groups != 1 || t->input == BOTH || t->weights == BOTH)
        return true;
    const int64_t x = get(a->input, p->type, 0) - p->in_zero, w = get(a->weights, t->weights_type, 0) - p->weights_zero;
    int64_t limits[2];
    int32_t multiplier, shift;
    quantised_type(p->type, limits);
    upconv_requant_multiplier(t->scale, p->requant, &multiplier, &shift);
    const int64_t y =
        quantised_back(p->requant, x * w * p->in_channels + bias_of(t), multiplier, shift, t->scale) + p->out_zero;
    return defined == (y < limits[0] ? limits[0] : y > limits[1] ? limits[1] : y);
}

static bool make(const trial *t, const upconv_problem *p, const upconv_sizes *sizes, arrays *a)
{
    *a = (arrays){malloc(sizes->input_bytes), malloc(sizes->weights_elements), malloc((size_t)p->out_channels * 8),
                  malloc(sizes->output_bytes), malloc(sizes->output_bytes)};
    if (!a->input || !a->weights || !a->bias || !a->found || !a->defined)
        return false;
    fill_all(a->input, p->type, sizes->input_elements, t->input);
    fill_all(a->weights, t->weights_type, sizes->weights_elements, t->weights);
    for (int c = 0; c < p->out_channels; c++)
        if (wide_bias(t))
            ((int64_t *)a->bias)[c] = bias_of(t);
        else
            ((int32_t *)a->bias)[c] = (int32_t)bias_of(t);
    return true;
}

static void finish(arrays *a)
{
    free(a->input);
    free(a->weights);
    free(a->bias);
    free(a->found);
    free(a->defined);
}

typedef struct counts {
    uint64_t passed, failed, refused, of_wide;
} counts;

static void compare(const trial *t, const upconv_problem *p, const upconv_sizes *sizes, const arrays *a,
                    const char *solver, counts *tally)
{
    for (uint64_t i = 0; i < sizes->output_elements; i++) {
        const int64_t found = get(a->found, p->type, i), defined = get(a->defined, p->type, i);
        if (found == defined && by_rule(p, t, a, defined))
            continue;
        printf("FAILED trial %d, %s: output %" PRIu64 " is %" PRId64 ", by the definition %" PRId64 "%s\n",
               (int)(t - trials), solver, i, found, defined,
               by_rule(p, t, a, defined) ? "" : ", which is not the rule's");
        tally->failed++;
        return;
    }
    tally->passed++;
    tally->of_wide += !strncmp(solver, "wide_q", 6);
}

static void try_solver(upconv_context *context, const upconv_problem *problem, const trial *t,
                       const upconv_sizes *sizes, const arrays *a, const char *solver, counts *tally)
{
    upconv_status status;
    memset(a->found, 0x5a, sizes->output_bytes);
    if (run(context, problem, t, a, solver, a->found, &status)) {
        compare(t, problem, sizes, a, solver, tally);
    } else if (status == UPCONV_ERROR_UNSUPPORTED) {
        printf("trial %d, %s: refused: %s\n", (int)(t - trials), solver, upconv_last_error());
        tally->refused++;
    } else {
        printf("FAILED trial %d, %s: %s\n", (int)(t - trials), solver, upconv_last_error());
        tally->failed++;
    }
}

// wide: the device has wide_q.
static void try(upconv_context *context, upconv_context *host, const trial *t, bool wide, int layout, counts *tally)
{
    upconv_problem problem = test_problem(t->geometry);
    upconv_sizes sizes = {.struct_size = sizeof sizes};
    upconv_status status;
    arrays a = {NULL};
    problem.type = t->type;
    problem.requant = t->requant;
    problem.in_zero = zero_of(t->type, t->in_zero);
    problem.weights_zero = zero_of(t->weights_type, t->weights_zero);
    problem.out_zero = 3;
    problem.out_range[0] = problem.out_range[1] = 0;
    problem.in_layout = problem.out_layout = layout ? UPCONV_NHWC : UPCONV_NCHW;
    if (upconv_problem_sizes(&problem, &sizes) || !make(t, &problem, &sizes, &a) ||
        !run(host, &problem, t, &a, NULL, a.defined, &status)) {
        printf("FAILED trial %d: %s\n", (int)(t - trials), upconv_last_error());
        tally->failed++;
        finish(&a);
        return;
    }
    const size_t i = (size_t)(t - trials);
    const char *const wides[] = {"wide_q", shapes[i % UPC_COUNT(shapes)]};
    for (size_t s = 0; wide && s < UPC_COUNT(wides); s++)
        try_solver(context, &problem, t, &sizes, &a, wides[s], tally);
    if (!wide || i % 3 == 0) // elsewhere it is all that there is
        try_solver(context, &problem, t, &sizes, &a, "phase_q", tally);
    upc_problem read;
    if (!upc_problem_from(&problem, &read) && upc_phase_q_can_dot(&read))
        for (int form = UPC_DOT_SIGNED; form < UPC_DOT_COUNT; form++) {
            char name[32];
            snprintf(name, sizeof name, "phase_q:dot=%d", form);
            if (context->facts.dot_takes >> form & 1)
                try_solver(context, &problem, t, &sizes, &a, name, tally);
        }
    finish(&a);
}

int main(int argc, char **argv)
{
    upconv_backend backend;
    upconv_context *context = NULL, *host = NULL;
    upconv_device_info info = {.struct_size = sizeof info};
    char why[512];
    counts tally = {0};
    if (argc < 2 || !test_backend_parse(argv[1], &backend)) {
        fprintf(stderr, "usage: extremes vulkan|opencl|cpu\n");
        return 2;
    }
    if (!test_backend_present(backend, why, sizeof why)) {
        printf("SKIPPED %s\n", why);
        return test_report(0, 0, 1);
    }
    if (test_context_create(backend, NULL, &context) || test_context_create(UPCONV_BACKEND_CPU, NULL, &host) ||
        upconv_context_device(context, &info)) {
        printf("FAILED to open a context: %s\n", upconv_last_error());
        return test_report(0, 1, 0);
    }
    const bool wide = backend == UPCONV_BACKEND_OPENCL && info.kind == UPCONV_DEVICE_CPU;
    for (size_t i = 0; i < UPC_COUNT(trials); i++)
        try(context, host, &trials[i], wide, (int)(i / UPC_COUNT(shapes) % 2), &tally);
    // who refuses everything has shown nothing
    printf("%" PRIu64 " refused, %" PRIu64 " passed with wide_q\n", tally.refused, tally.of_wide);
    if (tally.passed + tally.failed < UPC_COUNT(trials) || (wide && tally.of_wide < UPC_COUNT(trials) + 8)) {
        printf("FAILED too much was refused\n");
        tally.failed++;
    }
    upconv_context_destroy(context);
    upconv_context_destroy(host);
    return test_report(tally.passed, tally.failed, 0);
}
