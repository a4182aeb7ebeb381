// Stride phases of quantised types (shaders/phase_q.kernel): no tap that is not needed, exact integers.
#include "phase_q.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { TILE, OC, GROUP_X, GROUP_Y, SPEC, FLOATS, DOT };

static const int32_t tiles[] = {1, 2, 4, 8}, channels[] = {4, 8}, yes_no[] = {0, 1};
static const int32_t dots[] = {UPC_DOT_NONE, UPC_DOT_SIGNED, UPC_DOT_UNSIGNED, UPC_DOT_MIXED};

static const upc_knob knobs[] = {
    [TILE] = {"tile", tiles, UPC_COUNT(tiles)},          // positions of an item along w
    [OC] = {"oc", channels, UPC_COUNT(channels)},        // output channels of an item
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES}, // work-group
    [GROUP_Y] = {"y", upc_group_sizes, UPC_GROUP_SIZES},
    [SPEC] = {"spec", yes_no, UPC_COUNT(yes_no)},        // 1: the geometry is compiled in, a program per problem
    [FLOATS] = {"float", yes_no, UPC_COUNT(yes_no)},     // 1: products are added up in f32, as many as are sure to be exact
    [DOT] = {"dot", dots, UPC_COUNT(dots)},              // products of four bytes at once: 1 both signed, 2 neither, 3 the weights alone;
                                                         // `float` has no meaning then
};

static int64_t float_chunk(const upc_problem *problem) { return upc_q_chunk(problem, 1 << 24); }

enum { LEAST_CHUNK = 16 }; // fewer in f32 are not worth it

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    const char *beyond = upc_gather_refuse(problem, true, sentence);
    if (facts->info.backend == UPCONV_BACKEND_CPU)
        return "it is a kernel, and this backend runs host functions";
    if (beyond || !upc_quant_wide(problem))
        return beyond;
    const double terms = (double)problem->icg * (double)problem->axis[0].kernel * (double)problem->axis[1].kernel *
                         (double)problem->axis[2].kernel;
    if (terms * (double)(upc_quant_most_in(problem) * upc_quant_most_weight(problem)) < 0x1p46)
        return NULL;
    snprintf(sentence, UPC_SENTENCE, "sums of %.0f products may be beyond 2^46, and it adds them up in 48 bits", terms);
    return sentence;
}

// Where four channels lie side by side everywhere, the tensor has blocks of four, whatever its layout is called.
static void use_fours(const upc_problem *problem, bool in, upc_tensor *tensor)
{
    upc_tensor_form form;
    upc_problem_form(problem, in, &form);
    if (tensor->pack == 1 && upc_tensor_fours(&form, tensor)) {
        tensor->pack = 4;
        tensor->channel = 4;
    }
}

upc_dot upc_phase_q_dot(const upc_problem *problem, uint8_t forms)
{
    // that which takes inputs as they are and weights with a sign; a turned bit of inputs; weights without a sign, which have a zero point
    static const upc_dot of_signed[] = {UPC_DOT_SIGNED, UPC_DOT_MIXED, UPC_DOT_UNSIGNED};
    static const upc_dot of_unsigned[] = {UPC_DOT_MIXED, UPC_DOT_SIGNED, UPC_DOT_UNSIGNED};
    const upc_dot *order = problem->type == UPCONV_I8 ? of_signed : of_unsigned;
    for (int i = 0; i < UPC_DOT_COUNT - 1; i++)
        if (forms >> order[i] & 1)
            return order[i];
    return UPC_DOT_NONE;
}

// NULL: products of four bytes can be had of the problem, whatever the device is.
static const char *refuse_dot(const upc_problem *problem)
{
    upc_tensor in = problem->in;
    if (problem->type == UPCONV_I16)
        return "inputs of 16 bits have no products of four bytes";
    use_fours(problem, true, &in);
    if (in.pack != 4 || problem->icg % 4)
        return "four input channels of a group do not lie side by side";
    const double terms = (double)problem->icg * (double)problem->axis[0].kernel * (double)problem->axis[1].kernel *
                         (double)problem->axis[2].kernel;
    if (upc_quant_wide(problem) &&
        terms * (double)(upc_quant_most_in(problem) * upc_quant_most_weight(problem)) >= 0x1p31)
        return "sums of 64 bits may be beyond the 32 bits in which products of four bytes are added up";
    return NULL;
}

bool upc_phase_q_can_dot(const upc_problem *problem) { return !refuse_dot(problem); }

// Sums that an item keeps for each of its own: in f32, in words, and the upper word of 64 bits.
static int copies(const upc_problem *problem, const upc_config *config)
{
    if (config->value[DOT])
        return 1;
    return upc_quant_wide(problem) ? 3 : config->value[FLOATS] ? 2 : 1;
}

static void grid(const upc_problem *problem, int64_t tile, int64_t items[3])
{
    int64_t q[3], phases = 1;
    for (int a = 0; a < 3; a++) {
        const int64_t stride = upc_taps_stride(&problem->axis[a]);
        q[a] = upc_ceil_div(problem->axis[a].out, stride);
        phases *= stride;
    }
    items[0] = upc_ceil_div(q[2], tile);
    items[1] = q[0] * q[1] * phases;
    items[2] = 1;
}

// Registers for sums. Bringing a sum back takes more of them than multiplying, so GPUs with few of them keep half as many. Inputs and
// weights for products of four bytes take a quarter of what others do, which on Adreno leaves room for more sums.
static uint32_t room(const upc_facts *facts, const upc_config *config)
{
    if (config->value[DOT] && facts->family == UPC_FAMILY_ADRENO)
        return facts->sum_scalars * 2;
    return facts->family == UPC_FAMILY_V3D || facts->family == UPC_FAMILY_MALI ? facts->sum_scalars / 2
                                                                               : facts->sum_scalars;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    static const int8_t shapes[][2] = {{4, 8}, {4, 4}, {2, 4}, {1, 4}};
    int64_t items[3];
    uint32_t local[2];
    memset(config, 0, sizeof *config);
    grid(problem, 1, items);
    if (!refuse_dot(problem))
        config->value[DOT] = (int32_t)upc_phase_q_dot(problem, facts->dot_used);
    config->value[FLOATS] = float_chunk(problem) >= LEAST_CHUNK; // f32 is what every processor of any kind multiplies fastest
    config->value[SPEC] = facts->family != UPC_FAMILY_CPU;
    for (size_t i = 0; i < UPC_COUNT(shapes); i++) {
        config->value[TILE] = shapes[i][0];
        config->value[OC] = shapes[i][1];
        const bool vain = shapes[i][0] > items[0] || (shapes[i][1] == 8 && problem->ocg <= 4);
        if (!vain && (uint32_t)(shapes[i][0] * shapes[i][1] * copies(problem, config)) <= room(facts, config))
            break;
    }
    grid(problem, config->value[TILE], items);
    upc_group_guess(facts, items, 64, local);
    config->value[GROUP_X] = (int32_t)local[0];
    config->value[GROUP_Y] = (int32_t)local[1];
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    if (config->value[FLOATS] && float_chunk(problem) < LEAST_CHUNK)
        return "products of these types are too large to be added up in f32";
    if (config->value[DOT] && !(facts->dot_takes >> config->value[DOT] & 1))
        return "the device has no such products of four bytes, or gets them wrong";
    const char *refusal = config->value[DOT] ? refuse_dot(problem) : NULL;
    if (refusal)
        return refusal;
    return upc_group_legal(facts, config->value[GROUP_X], config->value[GROUP_Y], sentence);
}

static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    const double tile = config->value[TILE], oc = config->value[OC];
    const double loads = 4 * (tile + oc / 4) / (tile * oc);
    const double waste = (double)(upc_ceil_div(problem->ocg, (int64_t)oc) * (int64_t)oc) / (double)problem->ocg;
    const double rate = facts->info.kind == UPCONV_DEVICE_CPU ? 2e3 : 1e4;
    const double each = config->value[DOT] && facts->dot_used >> config->value[DOT] & 1 ? 0.5 : 1;
    return upc_gather_macs(problem) * waste * (1 + loads) * each / 4 / rate + 5;
}

static int64_t block(const upc_config *config) { return config->value[OC]; }

// ---------------------------------------------------------------------------------------------------- the recipe

static void prepare_split(upc_cooking_q *c, const upc_phase_q *how, const upc_config *config)
{
    upc_split *split = &c->split;
    split->tile = config->value[TILE];
    split->weight_bytes = (size_t)how->weight_bits / 8;
    use_fours(c->problem, true, &split->in);
    use_fours(c->problem, false, &split->out);
    split->in_step = c->problem->icg; // sums that are not whole have no place to be kept
    split->out_step = split->out.pack;
    split->local[0] = (uint32_t)config->value[GROUP_X];
    split->local[1] = (uint32_t)config->value[GROUP_Y];
    if (split->in.pack == 4 && c->problem->icg % 4 == 0)
        split->rounds_per_channel /= 4;
}

static void describe_program(upc_cooking_q *c, const upc_phase_q *how, const upc_config *config)
{
    const upc_problem *p = c->problem;
    const bool wide = upc_quant_wide(p), floats = config->value[FLOATS] && !how->dot;
    const struct {
        const char *name;
        int64_t value;
    } defines[] = {
        {"Q_IN", upc_q_store(p->type)}, {"Q_OUT", upc_q_store(p->type)}, {"Q_W", how->weight_bits}, {"TILE", c->split.tile},
        {"OC", how->oc}, {"IN_PACK", c->split.in.pack}, {"OUT_PACK", c->split.out.pack},
        {"IN_VEC", c->split.in.pack == 4 && p->icg % 4 == 0}, {"OUT_VEC", c->split.out.pack == 4 && p->ocg % 4 == 0},
        {"REQUANT", p->quant.requant}, {"WIDE", wide}, {"FLOATS", floats},
        {"CHUNK", floats ? float_chunk(p) : wide ? upc_q_chunk(p, INT32_MAX) : 0}, {"BIAS_WORDS", c->request->bias_int64 ? 2 : 1},
    };
    upc_program_desc_init(&c->program, "phase_q", c->split.local, 6);
    for (size_t i = 0; i < UPC_COUNT(defines); i++)
        upc_program_param(&c->program, defines[i].name, UPC_PARAM_DEFINE, (int32_t)defines[i].value);
    if (!how->dot)
        return;
    upc_program_param(&c->program, "DOT", UPC_PARAM_DEFINE, (int32_t)how->dot);
    upc_program_param(&c->program, "X_FLIP", UPC_PARAM_DEFINE, how->x_flip);
    upc_program_param(&c->program, "W_ZERO", UPC_PARAM_DEFINE, how->w_zero);
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    upc_phase_q how;
    upc_phase_q_fill(problem, config->value[OC], (upc_dot)config->value[DOT], request->weights_type, &how);
    upc_cooking_q c = {.how = {.oc = how.oc, .inputs = problem->icg, .rows = problem->icg + how.more, .weight_unit = how.dot ? 16 : 4,
                               .spec = config->value[SPEC], .weight_bits = how.weight_bits,
                               .form = how.dot ? UPC_PACK_QUADS : UPC_PACK_ELEMENTS, .zero = how.w_zero, .in_zero = how.x_zero,
                               .weights = how.weights, .factors = how.bytes - how.factors_at}};
    const upconv_limits *limits = &c.facts.info.limits;
    upconv_status status = upc_cook_q_begin(&c, problem, facts, request, recipe);
    if (status)
        return status;
    prepare_split(&c, &how, config);
    describe_program(&c, &how, config);
    status = upc_cook_q_params(&c);
    if (!status && recipe->table_count * 4 > limits->binding_bytes)
        status = upc_fail(UPCONV_ERROR_UNSUPPORTED, "the table of taps has %zu bytes, a binding at most %llu",
                          recipe->table_count * 4, (unsigned long long)limits->binding_bytes);
    if (!status)
        status = upc_split_run(&c.split);
    upc_cook_q_finish(&c);
    return status;
}

static upconv_status pack(const upc_env *env, const upc_problem *problem, const upc_config *config,
                          const upconv_plan_params *params, void *packed)
{
    return upc_phase_q_pack(env, problem, config->value[OC], (upc_dot)config->value[DOT], params, packed);
}

const upc_solver upc_solver_phase_q = {
    .name = "phase_q", .version = 1, .quantised = true, .knobs = knobs, .knob_count = UPC_COUNT(knobs), .refuse = refuse, .guess = guess,
    .legal = legal, .cost_us = cost_us, .cook = cook, .block = block, .pack_quantised = pack,
};
