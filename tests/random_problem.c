#include "../api/ops.h"
#include "random.h"

#include <stdio.h>
#include <string.h>

static const int kernels[] = {1, 1, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5, 6, 7, 8, 9, 16};
static const int strides[] = {1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 8};
static const int dilations[] = {1, 1, 1, 1, 1, 1, 2, 2, 3, 4, 6};
static const int channels[] = {1, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 21, 32, 33};

#define PICK(random, values) test_pick(random, values, (int)UPC_COUNT(values))

static void draw_axis(test_random *random, upconv_problem *p, int a)
{
    const int longest = p->dims == 1 ? 60 : p->dims == 2 ? 17 : 7;
    p->in[a] = test_between(random, 1, longest);
    p->kernel[a] = PICK(random, kernels);
    p->stride[a] = PICK(random, strides);
    p->dilation[a] = PICK(random, dilations);
    if (test_chance(random, 30)) // the common case: kernel and stride as networks have them
        p->dilation[a] = 1;
    const int reach = (p->kernel[a] - 1) * p->dilation[a] + 1;
    if (test_chance(random, 60))
        p->pad[a] = test_between(random, 0, reach / 2);
    else
        p->pad[a] = test_between(random, -4, reach + 3);

    const int natural = p->op == UPCONV_CONV ? (p->in[a] + 2 * p->pad[a] - reach) / p->stride[a] + 1
                                             : (p->in[a] - 1) * p->stride[a] + reach - 2 * p->pad[a];
    const int kind = test_between(random, 0, 9);
    if (kind < 4)
        p->out[a] = natural;
    else if (kind < 6)
        p->out[a] = natural + test_between(random, 0, p->stride[a]);
    else if (kind < 8)
        p->out[a] = test_between(random, 1, UPC_MAX(natural, 2));
    else
        p->out[a] = natural + test_between(random, 0, 2 * reach + 3);
    if (p->out[a] < 1)
        p->out[a] = test_between(random, 1, 9);
}

static void draw_channels(test_random *random, upconv_problem *p)
{
    const int kind = test_between(random, 0, 9);
    if (kind < 5) {
        p->groups = 1;
        p->in_channels = PICK(random, channels);
        p->out_channels = PICK(random, channels);
    } else if (kind < 8) {
        p->groups = test_between(random, 2, 5);
        p->in_channels = p->groups * test_between(random, 1, 9);
        p->out_channels = p->groups * test_between(random, 1, 9);
    } else { // depthwise, at times with a multiplier
        p->groups = PICK(random, channels);
        p->in_channels = p->groups;
        p->out_channels = p->groups * (kind == 8 ? 1 : test_between(random, 2, 5));
    }
}

static void draw_activation(test_random *random, random_draw *draw)
{
    static const int exact[] = {UPCONV_ACT_NONE, UPCONV_ACT_NONE, UPCONV_ACT_RELU,
                                UPCONV_ACT_LEAKY_RELU, UPCONV_ACT_PRELU, UPCONV_ACT_CLAMP};
    upconv_problem *p = &draw->problem;
    if (test_chance(random, 75)) {
        p->act = (upconv_act)PICK(random, exact);
        draw->integers = test_chance(random, 85);
    } else {
        p->act = (upconv_act)test_between(random, UPCONV_ACT_SIGMOID, UPCONV_ACT_COUNT - 1);
        draw->integers = test_chance(random, 40);
    }
    if (p->act == UPCONV_ACT_LEAKY_RELU)
        p->act_param[0] = (float)test_between(random, -8, 8) / 8;
    if (p->act == UPCONV_ACT_CLAMP) {
        p->act_param[0] = (float)test_between(random, -9, 3);
        p->act_param[1] = p->act_param[0] + (float)test_between(random, 0, 12);
    }
}

static bool small_enough(const upconv_problem *p, int size)
{
    double outputs = (double)p->batch * p->out_channels, inputs = (double)p->batch * p->in_channels;
    double macs =
        upc_op_takes(p->op, UPCONV_WEIGHTS) || p->op == UPCONV_GRAD_FILTER ? inputs * p->out_channels / p->groups : 0;
    const bool conv = p->op == UPCONV_CONV;
    for (int a = 0; a < p->dims; a++) {
        outputs *= p->out[a];
        inputs *= p->in[a];
        macs *= (double)(conv ? p->out[a] : p->in[a]) * UPC_MAX(p->kernel[a], 1);
    }
    return outputs <= size && inputs <= size && macs <= 20.0 * size;
}

// Gaps of up to a quarter of what lies within, at times at one level only.
static void draw_pitch(test_random *random, const upconv_problem *p, bool in, upconv_pitch *pitch)
{
    const upconv_layout layout = in ? p->in_layout : p->out_layout;
    const int32_t *extent = in ? p->in : p->out;
    const int count = in ? p->in_channels : p->out_channels, unit = layout == UPCONV_NC4HW4 ? 4 : 1;
    const bool often = test_chance(random, 50);
    int64_t *const axes[3] = {layout == UPCONV_NHWC ? &pitch->pixel : NULL, &pitch->row, &pitch->plane};
    int64_t dense = layout == UPCONV_NHWC ? count : unit;
#define GAP(at)                                                                                              \
    do {                                                                                                     \
        if (test_chance(random, often ? 60 : 20))                                                            \
            *(at) = dense += unit * test_between(random, 1, 1 + (int)UPC_MIN(dense / unit / 4, 50));        \
    } while (0)
    for (int a = p->dims - 1; a >= 0; a--) {
        if (axes[p->dims - 1 - a])
            GAP(axes[p->dims - 1 - a]);
        dense *= extent[a];
    }
    if (layout != UPCONV_NHWC) {
        GAP(&pitch->channel);
        dense *= (count + unit - 1) / unit;
    }
    GAP(&pitch->image);
#undef GAP
}

// What decides which programs a problem needs, beside its activation (NHWC needs the same as NCHW). Each pair of values
// of two columns is in a row.
static const struct combination {
    upconv_type type;
    bool in_blocks, out_blocks;
    upconv_residual residual;
} combinations[RANDOM_COMBINATIONS] = {
    {UPCONV_F32, false, false, UPCONV_RESIDUAL_NONE},      {UPCONV_F16, false, false, UPCONV_RESIDUAL_NONE},
    {UPCONV_F16, true, true, UPCONV_RESIDUAL_NONE},        {UPCONV_F32, true, false, UPCONV_RESIDUAL_BEFORE_ACT},
    {UPCONV_F16, false, true, UPCONV_RESIDUAL_BEFORE_ACT}, {UPCONV_F32, false, true, UPCONV_RESIDUAL_AFTER_ACT},
    {UPCONV_F16, true, false, UPCONV_RESIDUAL_AFTER_ACT},  {UPCONV_F32, true, true, UPCONV_RESIDUAL_NONE},
};

// The row of a problem's combination, or -1.
static int combination_of(const upc_problem *p)
{
    for (int i = 0; i < RANDOM_COMBINATIONS; i++)
        if (combinations[i].type == p->type && combinations[i].in_blocks == (p->in.pack == 4) &&
            combinations[i].out_blocks == (p->out.pack == 4) && combinations[i].residual == p->residual)
            return i;
    return -1;
}

static void draw_combination(test_random *random, random_draw *draw)
{
    static const int rows[] = {UPCONV_NCHW, UPCONV_NCHW, UPCONV_NHWC};
    upconv_problem *p = &draw->problem;
    const int index = test_between(random, 0, RANDOM_COMBINATIONS - 1);
    const struct combination *chosen = &combinations[index];
    p->type = chosen->type;
    p->in_layout = chosen->in_blocks ? UPCONV_NC4HW4 : (upconv_layout)PICK(random, rows);
    p->out_layout = chosen->out_blocks ? UPCONV_NC4HW4 : (upconv_layout)PICK(random, rows);
    p->residual = chosen->residual;
    // one formula each: every one of them with every combination would be too many programs
    const bool formula = p->act >= UPCONV_ACT_SIGMOID || p->act == UPCONV_ACT_PRELU;
    const int formulas = UPCONV_ACT_COUNT - UPCONV_ACT_SIGMOID;
    const int own = index == 0 ? UPCONV_ACT_PRELU : UPCONV_ACT_SIGMOID + index % formulas;
    if (formula)
        p->act = (upconv_act)own;
}

// How the tensors are stored, and what is added to the output.
static void draw_tensors(test_random *random, random_variety variety, random_draw *draw)
{
    static const int layouts[] = {UPCONV_NCHW, UPCONV_NCHW, UPCONV_NHWC, UPCONV_NC4HW4};
    upconv_problem *p = &draw->problem;
    if (test_chance(random, 35))
        return; // as most problems are
    if (variety == RANDOM_FEW) {
        draw_combination(random, draw);
    } else {
        p->type = (upconv_type)test_between(random, UPCONV_F32, UPCONV_F16);
        p->in_layout = (upconv_layout)PICK(random, layouts);
        p->out_layout = test_chance(random, 50) ? p->in_layout : (upconv_layout)PICK(random, layouts);
        if (test_chance(random, 40))
            p->residual = (upconv_residual)test_between(random, UPCONV_RESIDUAL_BEFORE_ACT, UPCONV_RESIDUAL_AFTER_ACT);
    }
    if (test_chance(random, 40))
        draw_pitch(random, p, true, &p->in_pitch);
    if (test_chance(random, 40))
        draw_pitch(random, p, false, &p->out_pitch);
    if (test_chance(random, p->type == UPCONV_F16 ? 60 : 15) && upc_op_takes(p->op, UPCONV_WEIGHTS))
        draw->weights_type = UPCONV_F16;
}

// Geometry and channels of a convolution, transposed or not.
static void draw_transposed(test_random *random, upconv_problem *p)
{
    draw_channels(random, p);
    for (int a = 0; a < p->dims; a++)
        draw_axis(random, p, a);
}

void random_draw_problem(test_random *random, int size, random_variety variety, upconv_op op, random_draw *draw)
{
    static void (*const draws[UPCONV_OP_COUNT])(test_random *random, upconv_problem *problem) = {
        [UPCONV_CONV_TRANSPOSE] = draw_transposed,
        [UPCONV_CONV] = draw_transposed,
        [UPCONV_GRAD_FILTER] = draw_transposed,
        [UPCONV_GRAD_BIAS] = draw_transposed,
        [UPCONV_RESIZE] = random_draw_sample,
        [UPCONV_ZERO_INSERT] = random_draw_sample,
        [UPCONV_PIXEL_SHUFFLE] = random_draw_sample,
    };

    static const int dims[] = {1, 1, 1, 2, 2, 2, 2, 2, 3, 3};
    upconv_problem *p = &draw->problem;
    do {
        *draw = (random_draw){.problem = {.struct_size = sizeof draw->problem, .op = op}};
        p->dims = PICK(random, dims);
        p->batch = test_chance(random, 60) ? 1 : test_between(random, 2, 4);
        draws[op](random, p);
    } while (!small_enough(p, size));
    draw_activation(random, draw);
    draw->order = (upconv_filter_order)test_between(random, UPCONV_FILTER_IOK, UPCONV_FILTER_COUNT - 1);
    draw->has_bias = test_chance(random, 60) && upc_op_takes(op, UPCONV_BIAS);
    if (variety != RANDOM_PLAIN)
        draw_tensors(random, variety, draw);
    if (p->op == UPCONV_GRAD_FILTER || p->op == UPCONV_GRAD_BIAS) { // which have nothing of all this
        p->act = UPCONV_ACT_NONE;
        p->act_param[0] = p->act_param[1] = 0;
        p->residual = UPCONV_RESIDUAL_NONE;
        draw->has_bias = false;
    }
}

static void draw_config(const upc_solver *solver, bool sharing, test_random *random, upc_config *config)
{
    memset(config, 0, sizeof *config);
    for (int k = 0; k < solver->knob_count; k++) {
        const upc_knob *knob = &solver->knobs[k];
        config->value[k] = knob->values[test_between(random, 0, knob->count - 1)];
        if (sharing && strcmp(knob->name, "spec") == 0)
            config->value[k] = 0; // see specialise
    }
}

// A program with the geometry compiled in is shared with no other problem: few get one.
static void specialise(const upc_solver *solver, upc_config *config)
{
    for (int k = 0; k < solver->knob_count; k++) {
        if (strcmp(solver->knobs[k].name, "spec") == 0)
            config->value[k] = 1;
    }
}

void random_pool_choose(random_pool *pool, const upc_problem *problem, const upc_facts *facts, test_random *random,
                        char *text, size_t size)
{
    char sentence[UPC_SENTENCE];
    const upc_solver *solver = pool->solver;
    const int combination = combination_of(problem);
    const int of = combination > 0 ? UPCONV_ACT_COUNT + combination : (int)problem->act;
    upc_config config, *configs = pool->configs[of];
    int *count = &pool->count[of];
    bool found = false;
    snprintf(text, size, "%s", solver->name);
    const bool shared = pool->limit > 0, common = combination <= 0;
    if (solver->knob_count == 0 || test_chance(random, !shared ? 40 : common ? 6 : 0))
        return; // its own guess, which is a program of its own
    const bool full = pool->limit > 0 && *count >= UPC_MIN(pool->limit, RANDOM_POOL);
    // what a pool holds does not depend on the seed, so that runs with other seeds find their programs in a driver's cache
    test_random pooled = {(uint64_t)of * 1000 + (uint64_t)*count};
    for (int attempt = 0; attempt < 60 && !found; attempt++) {
        if (full)
            config = configs[test_between(random, 0, *count - 1)];
        else
            draw_config(solver, pool->limit > 0, pool->limit > 0 ? &pooled : random, &config);
        found = !solver->legal(problem, facts, &config, sentence);
    }
    if (!found)
        return;
    if (!full && pool->limit > 0)
        configs[(*count)++] = config;
    if (shared && test_chance(random, common ? 5 : 1))
        specialise(solver, &config);
    upc_text out = {text, size, strlen(text)};
    upc_text_add(&out, ":");
    upc_config_print(solver, &config, &out);
}
