#include "gather_q.h"

#include <limits.h>
#include <string.h>

int64_t upc_q_chunk(const upc_problem *problem, int64_t most)
{
    const int64_t product = upc_quant_most_in(problem) * upc_quant_most_weight(problem);
    int64_t chunk = product <= most ? 1 : 0;
    while (chunk && chunk * 2 * product <= most && chunk < 1 << 15)
        chunk *= 2;
    return chunk;
}

int32_t upc_q_unsigned_zero(const upc_problem *problem) { return problem->quant.in_zero + (problem->type == UPCONV_I8 ? 128 : 0); }

int64_t upc_q_tiles(const upc_axis *axis, int64_t stride, int64_t q0, int64_t qn, int64_t span)
{
    const int64_t first = UPC_MAX(q0 * stride - axis->pad, 0), end = UPC_MIN((q0 + qn) * stride - axis->pad, axis->out);
    return UPC_MAX(upc_ceil_div(end - first, stride * span), 1);
}

int32_t upc_q_store(upconv_type type)
{
    static const int32_t stores[UPCONV_TYPE_COUNT] = {[UPCONV_U8] = 9, [UPCONV_I8] = 8, [UPCONV_I16] = 16};
    return stores[type];
}

void upc_q_clamp(const upc_problem *problem, int32_t clamp[2])
{
    upc_quant_range(problem, clamp);
    clamp[0] -= problem->quant.out_zero;
    clamp[1] -= problem->quant.out_zero;
}

// Strides between images and groups do not fit 32 bits for giant tensors, but then a window holds only one of each.
static int32_t clamp32(int64_t value) { return value > INT32_MAX ? 0 : (int32_t)value; }

typedef struct fixed {
    const char *name;
    int64_t value;
} fixed;

static upconv_status add_fixed(upc_cooking_q *c, const fixed *all, size_t count)
{
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < count && !status; i++) {
        upc_program_param(&c->program, all[i].name, c->how.spec ? UPC_PARAM_SPEC : UPC_PARAM_TABLE,
                          c->how.spec ? (int32_t)all[i].value : (int32_t)c->recipe->table_count);
        status = c->how.spec ? UPCONV_OK : upc_recipe_table(c->recipe, (int32_t)all[i].value);
    }
    return status;
}

// In the order of `values` in emit.
static const char *const arg_names[] = {"ROWS",  "BLOCKS", "PHASE_0", "QD_0",  "QD_N",  "QH_0", "QH_N",
                                        "QW_0",  "QW_END", "OB_0",    "OB_N",  "G_N",   "C_0",  "C_N",
                                        "SRC_0", "DST_0",  "W_0",     "IN_C0", "OUT_C0"};
static const char *const in_names[] = {"IN_N", "IN_C", "IN_D", "IN_H"}; // where they are arguments, after those

static upconv_status add_packing(upc_cooking_q *c)
{
    const bool quads = c->how.form == UPC_PACK_QUADS; // whose rows are words, whatever the kernel counts
    const upc_packing_q packing = {.oc = c->how.oc, .rows = quads ? c->how.rows * (int64_t)c->split.weight_bytes / 4 : c->how.rows,
                                   .form = c->how.form, .bits = c->how.weight_bits, .zero = c->how.zero, .in_zero = c->how.in_zero};
    c->waits = true;
    return upc_pack_q_cook(c->problem, &c->facts, &c->taps, c->taps_at, &packing, c->request, c->recipe);
}

// The geometry comes before the taps in the table, so that its place, and with it the program, is the same for every stride.
upconv_status upc_cook_q_params(upc_cooking_q *c)
{
    enum { BEFORE = 11, COUNT = 36 }; // BEFORE: those before the input's distances
    const upc_problem *p = c->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const upc_tap_axis *t = c->taps.axis;
    const upc_tensor *in = &c->split.in, *out = &c->split.out;
    int32_t clamp[2];
    upc_q_clamp(p, clamp);
    const size_t end_in = c->how.in_args ? BEFORE + UPC_COUNT(in_names) : BEFORE;
    c->taps_at[0] = (int32_t)c->recipe->table_count + (c->how.spec ? 0 : COUNT - (int32_t)(end_in - BEFORE)) +
                    (c->request->dynamic_weights ? UPC_PACK_Q_ENTRIES : 0);
    for (int a = 1; a < 3; a++)
        c->taps_at[a] = c->taps_at[a - 1] + 3 * (int32_t)t[a - 1].stride;
    const fixed all[COUNT] = {
        {"DI", d->in}, {"HI", h->in}, {"WI", w->in}, {"DO", d->out}, {"HO", h->out}, {"WO", w->out},
        {"PD", d->pad}, {"PH", h->pad}, {"PW", w->pad}, {"ICG", c->how.inputs}, {"OCG", p->ocg},
        {"IN_N", clamp32(in->image)}, {"IN_C", clamp32(in->channel)}, {"IN_D", in->axis[0]}, {"IN_H", in->axis[1]},
        {"IN_W", in->axis[2]}, {"OUT_N", clamp32(out->image)}, {"OUT_C", clamp32(out->channel)}, {"OUT_D", out->axis[0]},
        {"OUT_H", out->axis[1]}, {"OUT_W", out->axis[2]},
        {"OB_ALL", upc_ceil_div(p->ocg, c->how.oc)}, {"TAPS", d->kernel * h->kernel * w->kernel},
        {"SD", t[0].stride}, {"SH", t[1].stride}, {"SW", t[2].stride},
        {"DGD", t[0].input_step}, {"DGH", t[1].input_step}, {"DGW", t[2].input_step},
        {"TAPS_D", c->taps_at[0]}, {"TAPS_H", c->taps_at[1]}, {"TAPS_W", c->taps_at[2]},
        {"IN_ZERO", p->quant.in_zero}, {"OUT_ZERO", p->quant.out_zero}, {"LOW", clamp[0]}, {"HIGH", clamp[1]},
    };
    for (size_t i = 0; i < UPC_COUNT(arg_names); i++)
        upc_program_arg(&c->program, arg_names[i]);
    for (size_t i = 0; i < UPC_COUNT(in_names) && c->how.in_args; i++)
        upc_program_arg(&c->program, in_names[i]);
    upconv_status status = add_fixed(c, all, BEFORE);
    if (!status)
        status = add_fixed(c, all + end_in, COUNT - end_in);
    if (!status && c->request->dynamic_weights)
        status = add_packing(c);
    return status ? status : upc_table_taps(c->recipe, p, &c->taps, c->taps_at);
}

// Packed weights are ordered by group, block and phase, so a range of blocks is contiguous with all its phases, and a range of
// phases within one block.
static upc_window weights_of(const upc_cooking_q *c, const upc_box *box)
{
    const upc_problem *p = c->problem;
    const int64_t oc = c->how.oc, tap = c->how.rows * oc, blocks = upc_ceil_div(p->ocg, oc);
    const int64_t all = p->axis[0].kernel * p->axis[1].kernel * p->axis[2].kernel;
    const int64_t first = box->g0 * blocks + box->b0, last = (box->g0 + box->gn - 1) * blocks + box->b0 + box->bn - 1;
    upc_window window = {(first * all + upc_taps_before(&c->taps, p, box->p0)) * tap, 0};
    window.count = UPC_MAX((last * all + upc_taps_before(&c->taps, p, box->p0 + box->pn)) * tap - window.first, oc);
    const int64_t size = p->groups * blocks * all * tap;
    window.first = UPC_MIN(window.first, size - window.count); // a phase without taps at the very end
    return window;
}

static int64_t channels_of(const upc_cooking_q *c, const upc_box *box) { return (box->gn - 1) * c->problem->ocg + box->cn; }

// Bytes within the factors.
static upc_window factors_of(const upc_cooking_q *c, const upc_box *box)
{
    if (!c->how.block_factors)
        return (upc_window){(box->g0 * c->problem->ocg + box->c0) * (int64_t)sizeof(upc_factor),
                            channels_of(c, box) * (int64_t)sizeof(upc_factor)};
    const int64_t blocks = upc_ceil_div(c->problem->ocg, c->how.oc), block = 12 * c->how.oc;
    return (upc_window){(box->g0 * blocks + box->b0) * block, ((box->gn - 1) * blocks + box->bn) * block};
}

// What upc_split_run cuts by: factors take more bytes than what it knows of channels.
static void weights_window(const upc_split *split, const upc_box *box, upc_window *window)
{
    const upc_cooking_q *c = split->user;
    *window = weights_of(c, box);
    window->count = UPC_MAX(window->count, factors_of(c, box).count / (int64_t)split->weight_bytes);
}

static void bind(const upc_cooking_q *c, const upc_box *box, const upc_window *in, const upc_window *out,
                 upc_step *step)
{
    const upc_window weights = weights_of(c, box), factors = factors_of(c, box);
    const upc_split *split = &c->split;
    const uint64_t channel = (uint64_t)(box->g0 * c->problem->ocg + box->c0), count = (uint64_t)channels_of(c, box);
    const uint64_t bias = c->request->bias_int64 ? 8 : 4;
    const upc_bind all[] = {
        {c->copied ? UPC_WORKSPACE : UPC_INPUT, (c->copied ? c->copy_at : 0) + (uint64_t)in->first * split->in_bytes,
         (uint64_t)in->count * split->in_bytes},
        {c->request->dynamic_weights ? UPC_WORKSPACE : UPC_PACKED, (uint64_t)weights.first * split->weight_bytes,
         (uint64_t)weights.count * split->weight_bytes},
        {UPC_PACKED, c->factors_at + (uint64_t)factors.first, (uint64_t)factors.count},
        {UPC_BIAS, channel * bias, count * bias},
        {UPC_OUTPUT, (uint64_t)out->first * split->out_bytes, (uint64_t)out->count * split->out_bytes},
        {UPC_TABLE, 0, c->recipe->table_count * 4},
    };
    memcpy(step->bind, all, sizeof all);
    step->bind_count = UPC_COUNT(all);
}

static upconv_status emit(void *to, const upc_box *box, const upc_window *in, const upc_window *out,
                          const upc_window *seen)
{
    (void)seen;
    upc_cooking_q *c = to;
    const upc_problem *p = c->problem;
    const int64_t blocks = upc_ceil_div(p->ocg, c->how.oc),
                  taps = p->axis[0].kernel * p->axis[1].kernel * p->axis[2].kernel;
    const upc_window weights = weights_of(c, box);
    int64_t items[3];
    upc_split_grid(&c->split, box, items);
    if (c->how.all_phases)
        items[1] /= box->pn;
    if (c->how.by_rows)
        items[0] = upc_q_tiles(&p->axis[2], c->split.stride[2], box->q0[2], box->qn[2], c->split.tile);
    const int64_t values[UPC_COUNT(arg_names) + UPC_COUNT(in_names)] = {
        c->how.all_phases ? box->pn : items[1], items[2], box->p0, box->q0[0], box->qn[0], box->q0[1], box->qn[1], box->q0[2],
        box->q0[2] + box->qn[2], box->b0, box->bn, box->gn, box->c0, box->cn,
        upc_split_in_start(&c->split, box, in), upc_split_out_start(&c->split, box, out),
        // relative to the group's first, because the kernel counts groups from this dispatch's first
        (weights.first - box->g0 * blocks * taps * c->how.rows * c->how.oc) / c->how.weight_unit,
        box->g0 * p->icg % c->split.in.pack, (box->g0 * p->ocg + box->c0) % c->split.out.pack,
        clamp32(c->split.in.image), clamp32(c->split.in.channel), c->split.in.axis[0], c->split.in.axis[1],
    };
    const size_t count = UPC_COUNT(arg_names) + (c->how.in_args ? UPC_COUNT(in_names) : 0);
    upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = c->waits};
    c->waits = false; // what came before, the first waited for
    for (size_t i = 0; i < count; i++)
        step.args[i] = (int32_t)values[i];
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], c->split.local[i]);
    bind(c, box, in, out, &step);
    const upconv_status status = upc_recipe_program(c->recipe, &c->program, &step.program);
    return status ? status : upc_recipe_step(c->recipe, &step);
}

upconv_status upc_cook_q_begin(upc_cooking_q *c, const upc_problem *problem, const upc_facts *facts,
                               const upc_request *request, upc_recipe *recipe)
{
    c->problem = problem;
    c->request = request;
    c->facts = *facts;
    c->recipe = recipe;
    upconv_limits *limits = &c->facts.info.limits;
    limits->binding_bytes = UPC_MIN(limits->binding_bytes, (uint64_t)1 << 30);
    const upconv_status status = upc_taps_init(&c->taps, recipe->env, problem, true);
    if (status)
        return status;
    upc_split *split = &c->split;
    upc_split_init(split, problem, &c->facts);
    split->oc = c->how.oc;
    split->weights = weights_window;
    split->emit = emit;
    split->user = split->to = c;
    split->local[0] = split->local[1] = split->local[2] = 1;
    split->taps = split->rounds_per_channel = 1;
    split->rounds = 2;
    for (int a = 0; a < 3; a++) {
        split->stride[a] = c->taps.axis[a].stride;
        split->phases *= split->stride[a];
        split->taps *= (double)problem->axis[a].kernel;
        split->rounds_per_channel *= (double)upc_ceil_div(problem->axis[a].kernel, c->taps.axis[a].tap_step);
        split->rounds += 2 * split->rounds_per_channel; // of the loop over this axis, and to leave the one within
    }
    split->rounds += 2 * split->rounds_per_channel; // the loop over chunks
    split->taps /= (double)split->phases;
    c->factors_at = request->dynamic_weights ? 0 : upc_round_up(c->how.weights, 16);
    c->copy_at = request->dynamic_weights ? upc_round_up(c->how.weights, 256) : 0;
    recipe->packed_bytes = c->factors_at + c->how.factors;
    recipe->workspace_bytes = request->dynamic_weights ? c->how.weights : 0;
    return UPCONV_OK;
}

void upc_cook_q_finish(upc_cooking_q *c) { upc_taps_finish(&c->taps); }
