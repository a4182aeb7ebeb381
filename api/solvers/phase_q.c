// Stride phases of quantised types (shaders/phase_q.kernel): no tap that is not needed, exact integers.
#include "phase_q.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { TILE, OC, GROUP_X, GROUP_Y, SPEC, FLOATS };

static const int32_t tiles[] = {1, 2, 4, 8}, channels[] = {4, 8}, yes_no[] = {0, 1};

static const upc_knob knobs[] = {
    [TILE] = {"tile", tiles, UPC_COUNT(tiles)},          // positions of an item along w
    [OC] = {"oc", channels, UPC_COUNT(channels)},        // output channels of an item
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES}, // work-group
    [GROUP_Y] = {"y", upc_group_sizes, UPC_GROUP_SIZES},
    [SPEC] = {"spec", yes_no, UPC_COUNT(yes_no)},        // 1: the geometry is compiled in, a program per problem
    [FLOATS] = {"float", yes_no, UPC_COUNT(yes_no)},     // 1: products are added up in f32, as many as are sure to be exact
};

// The largest power of two of products that cannot leave a sum that holds up to `most`; 0 where one product can.
static int64_t chunk_of(const upc_problem *problem, int64_t most)
{
    const int64_t product = upc_quant_most_in(problem) * upc_quant_most_weight(problem);
    int64_t chunk = product <= most ? 1 : 0;
    while (chunk && chunk * 2 * product <= most && chunk < 1 << 15)
        chunk *= 2;
    return chunk;
}

static int64_t float_chunk(const upc_problem *problem) { return chunk_of(problem, 1 << 24); }

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

// Sums that an item keeps for each of its own: in f32, in words, and the upper word of 64 bits.
static int copies(const upc_problem *problem, const upc_config *config)
{
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

// Registers for sums. Bringing a sum back takes more of them than multiplying, so GPUs with few of them keep half as many.
static uint32_t room(const upc_facts *facts)
{
    return facts->family == UPC_FAMILY_V3D || facts->family == UPC_FAMILY_MALI ? facts->sum_scalars / 2 : facts->sum_scalars;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    static const int8_t shapes[][2] = {{4, 8}, {4, 4}, {2, 4}, {1, 4}};
    int64_t items[3];
    uint32_t local[2];
    memset(config, 0, sizeof *config);
    grid(problem, 1, items);
    config->value[FLOATS] = float_chunk(problem) >= LEAST_CHUNK; // f32 is what every processor of any kind multiplies fastest
    config->value[SPEC] = facts->family != UPC_FAMILY_CPU;
    for (size_t i = 0; i < UPC_COUNT(shapes); i++) {
        config->value[TILE] = shapes[i][0];
        config->value[OC] = shapes[i][1];
        const bool vain = shapes[i][0] > items[0] || (shapes[i][1] == 8 && problem->ocg <= 4);
        if (!vain && (uint32_t)(shapes[i][0] * shapes[i][1] * copies(problem, config)) <= room(facts))
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
    return upc_group_legal(facts, config->value[GROUP_X], config->value[GROUP_Y], sentence);
}

static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    const double tile = config->value[TILE], oc = config->value[OC];
    const double loads = 4 * (tile + oc / 4) / (tile * oc);
    const double waste = (double)(upc_ceil_div(problem->ocg, (int64_t)oc) * (int64_t)oc) / (double)problem->ocg;
    const double rate = facts->info.kind == UPCONV_DEVICE_CPU ? 2e3 : 1e4;
    return upc_gather_macs(problem) * waste * (1 + loads) / 4 / rate + 5;
}

static int64_t block(const upc_config *config) { return config->value[OC]; }

// ---------------------------------------------------------------------------------------------------- the recipe

typedef struct cooking {
    const upc_problem *problem;
    const upc_config *config;
    const upc_request *request;
    upc_facts facts;     // with bindings that bytes can be counted in within 31 bits
    upc_phase_q how;
    upc_taps taps;
    upc_recipe *recipe;
    upc_split split;
    int32_t taps_at[3];
    upc_program_desc program;
} cooking;

// Strides between images and groups do not fit 32 bits for giant tensors, but then a window holds only one of each.
static int32_t clamp32(int64_t value) { return value > INT32_MAX ? 0 : (int32_t)value; }

typedef struct fixed {
    const char *name;
    int64_t value;
} fixed;

static upconv_status add_fixed(cooking *c, const fixed *all, size_t count)
{
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < count && !status; i++) {
        const bool spec = c->config->value[SPEC];
        upc_program_param(&c->program, all[i].name, spec ? UPC_PARAM_SPEC : UPC_PARAM_TABLE,
                          spec ? (int32_t)all[i].value : (int32_t)c->recipe->table_count);
        status = spec ? UPCONV_OK : upc_recipe_table(c->recipe, (int32_t)all[i].value);
    }
    return status;
}

// The geometry comes before the taps in the table, so that its place, and with it the program, is the same for every stride.
static upconv_status static_params(cooking *c)
{
    enum { COUNT = 36 };
    const upc_problem *p = c->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const upc_tap_axis *t = c->taps.axis;
    const upc_tensor *in = &c->split.in, *out = &c->split.out;
    const int32_t zero = p->quant.out_zero;
    int32_t range[2];
    upc_quant_range(p, range);
    c->taps_at[0] = (int32_t)c->recipe->table_count + (c->config->value[SPEC] ? 0 : COUNT);
    for (int a = 1; a < 3; a++)
        c->taps_at[a] = c->taps_at[a - 1] + 3 * (int32_t)t[a - 1].stride;
    const fixed all[COUNT] = {
        {"DI", d->in}, {"HI", h->in}, {"WI", w->in}, {"DO", d->out}, {"HO", h->out}, {"WO", w->out},
        {"PD", d->pad}, {"PH", h->pad}, {"PW", w->pad}, {"ICG", p->icg}, {"OCG", p->ocg},
        {"IN_N", clamp32(in->image)}, {"IN_C", clamp32(in->channel)}, {"IN_D", in->axis[0]}, {"IN_H", in->axis[1]},
        {"IN_W", in->axis[2]}, {"OUT_N", clamp32(out->image)}, {"OUT_C", clamp32(out->channel)}, {"OUT_D", out->axis[0]},
        {"OUT_H", out->axis[1]}, {"OUT_W", out->axis[2]},
        {"OB_ALL", upc_ceil_div(p->ocg, c->how.oc)}, {"TAPS", d->kernel * h->kernel * w->kernel},
        {"SD", t[0].stride}, {"SH", t[1].stride}, {"SW", t[2].stride},
        {"DGD", t[0].input_step}, {"DGH", t[1].input_step}, {"DGW", t[2].input_step},
        {"TAPS_D", c->taps_at[0]}, {"TAPS_H", c->taps_at[1]}, {"TAPS_W", c->taps_at[2]},
        {"IN_ZERO", p->quant.in_zero}, {"OUT_ZERO", zero}, {"LOW", range[0] - zero}, {"HIGH", range[1] - zero},
    };
    const upconv_status status = add_fixed(c, all, COUNT);
    return status ? status : upc_table_taps(c->recipe, p, &c->taps, c->taps_at);
}

// In the order of `values` in emit.
static const char *const arg_names[] = {"ROWS", "BLOCKS", "PHASE_0", "QD_0", "QD_N", "QH_0", "QH_N", "QW_0", "QW_END", "OB_0", "OB_N",
                                        "G_N", "C_0", "C_N", "SRC_0", "DST_0", "W_0", "IN_C0", "OUT_C0"};

// Packed weights are ordered by group, block and phase, so a range of blocks is contiguous with all its phases, and a range of
// phases within one block.
static upc_window weights_of(const cooking *c, const upc_box *box)
{
    const upc_problem *p = c->problem;
    const int64_t oc = c->how.oc, tap = p->icg * oc, blocks = upc_ceil_div(p->ocg, oc);
    const int64_t all = p->axis[0].kernel * p->axis[1].kernel * p->axis[2].kernel;
    const int64_t first = box->g0 * blocks + box->b0, last = (box->g0 + box->gn - 1) * blocks + box->b0 + box->bn - 1;
    upc_window window = {(first * all + upc_taps_before(&c->taps, p, box->p0)) * tap, 0};
    window.count = UPC_MAX((last * all + upc_taps_before(&c->taps, p, box->p0 + box->pn)) * tap - window.first, oc);
    const int64_t size = p->groups * blocks * all * tap;
    window.first = UPC_MIN(window.first, size - window.count); // a phase without taps at the very end
    return window;
}

static int64_t channels_of(const cooking *c, const upc_box *box) { return (box->gn - 1) * c->problem->ocg + box->cn; }

// What upc_split_run cuts by: factors take more bytes than what it knows of channels.
static void weights_window(const upc_split *split, const upc_box *box, upc_window *window)
{
    const cooking *c = split->user;
    *window = weights_of(c, box);
    window->count = UPC_MAX(window->count, channels_of(c, box) * (int64_t)(sizeof(upc_factor) / split->weight_bytes));
}

static void bind(const cooking *c, const upc_box *box, const upc_window *in, const upc_window *out, upc_step *step)
{
    const upc_window weights = weights_of(c, box);
    const upc_split *split = &c->split;
    const uint64_t channel = (uint64_t)(box->g0 * c->problem->ocg + box->c0), count = (uint64_t)channels_of(c, box);
    const uint64_t bias = c->request->bias_int64 ? 8 : 4;
    const upc_bind all[] = {
        {UPC_INPUT, (uint64_t)in->first * split->in_bytes, (uint64_t)in->count * split->in_bytes},
        {UPC_PACKED, (uint64_t)weights.first * split->weight_bytes, (uint64_t)weights.count * split->weight_bytes},
        {UPC_PACKED, c->how.factors_at + channel * sizeof(upc_factor), count * sizeof(upc_factor)},
        {UPC_BIAS, channel * bias, count * bias},
        {UPC_OUTPUT, (uint64_t)out->first * split->out_bytes, (uint64_t)out->count * split->out_bytes},
        {UPC_TABLE, 0, c->recipe->table_count * 4},
    };
    memcpy(step->bind, all, sizeof all);
    step->bind_count = UPC_COUNT(all);
}

static upconv_status emit(void *to, const upc_box *box, const upc_window *in, const upc_window *out, const upc_window *seen)
{
    (void)seen;
    cooking *c = to;
    const upc_problem *p = c->problem;
    const int64_t blocks = upc_ceil_div(p->ocg, c->how.oc), taps = p->axis[0].kernel * p->axis[1].kernel * p->axis[2].kernel;
    const upc_window weights = weights_of(c, box);
    int64_t items[3];
    upc_split_grid(&c->split, box, items);
    const int64_t values[UPC_COUNT(arg_names)] = {
        items[1], items[2], box->p0, box->q0[0], box->qn[0], box->q0[1], box->qn[1], box->q0[2],
        box->q0[2] + box->qn[2], box->b0, box->bn, box->gn, box->c0, box->cn,
        upc_split_in_start(&c->split, box, in), upc_split_out_start(&c->split, box, out),
        // relative to the group's first, because the kernel counts groups from this dispatch's first
        (weights.first - box->g0 * blocks * taps * p->icg * c->how.oc) / 4,
        box->g0 * p->icg % c->split.in.pack, (box->g0 * p->ocg + box->c0) % c->split.out.pack,
    };
    upc_step step = {.kind = UPC_STEP_KERNEL};
    for (size_t i = 0; i < UPC_COUNT(values); i++)
        step.args[i] = (int32_t)values[i];
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], c->split.local[i]);
    bind(c, box, in, out, &step);
    const upconv_status status = upc_recipe_program(c->recipe, &c->program, &step.program);
    return status ? status : upc_recipe_step(c->recipe, &step);
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

static void prepare_split(cooking *c)
{
    upc_split *split = &c->split;
    upc_split_init(split, c->problem, &c->facts);
    split->oc = c->how.oc;
    split->tile = c->config->value[TILE];
    split->weight_bytes = (size_t)c->how.weight_bits / 8;
    split->weights = weights_window;
    split->emit = emit;
    split->user = split->to = c;
    use_fours(c->problem, true, &split->in);
    use_fours(c->problem, false, &split->out);
    split->in_step = c->problem->icg; // sums that are not whole have no place to be kept
    split->out_step = split->out.pack;
    split->local[0] = (uint32_t)c->config->value[GROUP_X];
    split->local[1] = (uint32_t)c->config->value[GROUP_Y];
    split->local[2] = 1;
    split->taps = split->rounds_per_channel = 1;
    split->rounds = 2;
    for (int a = 0; a < 3; a++) {
        split->stride[a] = c->taps.axis[a].stride;
        split->phases *= split->stride[a];
        split->taps *= (double)c->problem->axis[a].kernel;
        split->rounds_per_channel *= (double)upc_ceil_div(c->problem->axis[a].kernel, c->taps.axis[a].tap_step);
        split->rounds += 2 * split->rounds_per_channel; // of the loop over this axis, and to leave the one within
    }
    split->rounds += 2 * split->rounds_per_channel; // the loop over chunks
    split->taps /= (double)split->phases;
    if (split->in.pack == 4 && c->problem->icg % 4 == 0)
        split->rounds_per_channel /= 4;
}

static void describe_program(cooking *c)
{
    static const int32_t stores[UPCONV_TYPE_COUNT] = {[UPCONV_U8] = 9, [UPCONV_I8] = 8, [UPCONV_I16] = 16};
    const upc_problem *p = c->problem;
    const bool wide = upc_quant_wide(p), floats = c->config->value[FLOATS];
    const fixed defines[] = {
        {"Q_IN", stores[p->type]}, {"Q_OUT", stores[p->type]}, {"Q_W", c->how.weight_bits}, {"TILE", c->split.tile}, {"OC", c->how.oc},
        {"IN_PACK", c->split.in.pack}, {"OUT_PACK", c->split.out.pack}, {"IN_VEC", c->split.in.pack == 4 && p->icg % 4 == 0},
        {"OUT_VEC", c->split.out.pack == 4 && p->ocg % 4 == 0}, {"REQUANT", p->quant.requant}, {"WIDE", wide}, {"FLOATS", floats},
        {"CHUNK", floats ? float_chunk(p) : wide ? chunk_of(p, INT32_MAX) : 0}, {"BIAS_WORDS", c->request->bias_int64 ? 2 : 1},
    };
    upc_program_desc_init(&c->program, "phase_q", c->split.local, 6);
    for (size_t i = 0; i < UPC_COUNT(defines); i++)
        upc_program_param(&c->program, defines[i].name, UPC_PARAM_DEFINE, (int32_t)defines[i].value);
    for (size_t i = 0; i < UPC_COUNT(arg_names); i++)
        upc_program_arg(&c->program, arg_names[i]);
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config, const upc_request *request,
                          upc_recipe *recipe)
{
    cooking c = {.problem = problem, .config = config, .request = request, .facts = *facts, .recipe = recipe};
    upconv_limits *limits = &c.facts.info.limits;
    limits->binding_bytes = UPC_MIN(limits->binding_bytes, (uint64_t)1 << 30);
    upc_phase_q_fill(problem, config->value[OC], request->weights_type, &c.how);
    upconv_status status = upc_taps_init(&c.taps, recipe->env, problem, true);
    if (status)
        return status;
    prepare_split(&c);
    describe_program(&c);
    recipe->packed_bytes = c.how.bytes;
    status = static_params(&c);
    if (!status && recipe->table_count * 4 > limits->binding_bytes)
        status = upc_fail(UPCONV_ERROR_UNSUPPORTED, "the table of taps has %zu bytes, a binding at most %llu",
                          recipe->table_count * 4, (unsigned long long)limits->binding_bytes);
    if (!status)
        status = upc_split_run(&c.split);
    upc_taps_finish(&c.taps);
    return status;
}

static upconv_status pack(const upc_env *env, const upc_problem *problem, const upc_config *config, const upconv_plan_params *params,
                          void *packed)
{
    return upc_phase_q_pack(env, problem, config->value[OC], params, packed);
}

const upc_solver upc_solver_phase_q = {
    .name = "phase_q", .version = 1, .quantised = true, .knobs = knobs, .knob_count = UPC_COUNT(knobs), .refuse = refuse, .guess = guess,
    .legal = legal, .cost_us = cost_us, .cook = cook, .block = block, .pack_quantised = pack,
};
