#include "gather.h"

#include "../host.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

// From the first position of a channel to the last.
static int64_t reach_of(const upc_problem *problem, bool in)
{
    const upc_tensor *tensor = in ? &problem->in : &problem->out;
    int64_t reach = 1;
    for (int a = 0; a < 3; a++)
        reach += ((in ? problem->axis[a].in : problem->axis[a].out) - 1) * tensor->axis[a];
    return reach;
}

upc_store upc_store_of(const upc_facts *facts, upconv_type type)
{
    return type != UPCONV_F16 ? UPC_STORE_F32 : facts->info.f16_storage ? UPC_STORE_F16 : UPC_STORE_F16_PAIRS;
}

upc_packing upc_gather_packing(const upc_gather *gather, const upc_problem *problem, const upc_facts *facts)
{
    if (facts->info.backend == UPCONV_BACKEND_CPU) // host functions read the input where it is, and f32
        return (upc_packing){gather->oc, problem->icg, UPCONV_F32};
    return (upc_packing){gather->oc, gather->stage ? gather->stage->icg : problem->icg, problem->type};
}

upconv_status upc_gather_pack(const upc_gather *gather, const upc_env *env, const upc_problem *problem,
                              const upc_facts *facts, const float *weights, upconv_filter_order order, void *packed)
{
    upc_taps taps;
    const upc_packing packing = upc_gather_packing(gather, problem, facts);
    upconv_status status = upc_taps_init(&taps, env, problem, gather->phases);
    if (status)
        return status;
    status = upc_taps_pack(&taps, problem, &packing, weights, order, packed);
    upc_taps_finish(&taps);
    return status;
}

const char *upc_reach_refuse(const upc_problem *problem, char *sentence)
{
    for (int in = 0; in < 2; in++)
        if (reach_of(problem, in) > INT32_MAX / 4) {
            snprintf(sentence, UPC_SENTENCE,
                     "an %s whose positions lie up to %lld elements apart is beyond 32-bit byte offsets",
                     in ? "input" : "output", (long long)reach_of(problem, in));
            return sentence;
        }
    return NULL;
}

const char *upc_gather_refuse(const upc_problem *problem, bool phases, char *sentence)
{
    const int64_t most = INT32_MAX;
    int64_t all_phases = 1;
    if (problem->sum_type != UPCONV_F32) {
        snprintf(sentence, UPC_SENTENCE, "its sums are f32");
        return sentence;
    }
    for (int a = 0; a < 3 && phases; a++) {
        const int64_t stride = upc_taps_stride(&problem->axis[a]);
        if (stride > UPC_MAX_STRIDE || (all_phases *= stride) > UPC_MAX_PHASES) {
            snprintf(sentence, UPC_SENTENCE, "stride %lld makes too many phases (at most %d an axis, %d in all)",
                     (long long)stride, UPC_MAX_STRIDE, UPC_MAX_PHASES);
            return sentence;
        }
    }
    if (upc_reach_refuse(problem, sentence))
        return sentence;
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        // items beyond the last position still count theirs, up to a work-group's tiles
        const int64_t reach = (axis->out + (axis->step > 1 ? 66 : 0)) * axis->step + UPC_MAX(axis->pad, -axis->pad) +
                              axis->kernel * axis->dilation +
                              UPC_MAX(UPC_MAX(axis->stride, upc_taps_stride(axis)) * 66, 4096);
        if (reach > most || axis->in * axis->stride > most) {
            snprintf(sentence, UPC_SENTENCE, "positions up to %lld on an axis are beyond 32 bits",
                     (long long)UPC_MAX(reach, axis->in * axis->stride));
            return sentence;
        }
    }
    if (upc_taps_packed_bytes(problem, &(upc_packing){16, problem->icg + 3, UPCONV_F32}) / 16 > (uint64_t)most ||
        upc_weights_elements(problem) > (uint64_t)most) {
        snprintf(sentence, UPC_SENTENCE, "%llu weights are beyond 32-bit indices",
                 (unsigned long long)upc_weights_elements(problem));
        return sentence;
    }
    return NULL;
}

bool upc_gather_processor(const upc_facts *facts)
{
    return facts->family == UPC_FAMILY_CPU && facts->info.backend == UPCONV_BACKEND_VULKAN;
}

const int32_t upc_group_sizes[UPC_GROUP_SIZES] = {1, 2, 4, 8, 16, 32, 64, 128, 256};

void upc_group_guess(const upc_facts *facts, const int64_t items[3], uint32_t most, uint32_t local[2])
{
    if (facts->family == UPC_FAMILY_CPU && facts->info.limits.group_size >= 16) {
        local[0] = 8; // a row of lanes; one shape for all, because programs of their own cost more than items that return at once
        local[1] = 2;
        return;
    }
    most = UPC_MIN(most, facts->info.limits.group_size);
    local[0] = local[1] = 1;
    while (local[0] * 2 <= most && local[0] * 2 <= facts->group_axis[0] && (int64_t)local[0] < items[0])
        local[0] *= 2;
    while (local[0] * local[1] * 2 <= most && local[1] * 2 <= facts->group_axis[1] && (int64_t)local[1] < items[1])
        local[1] *= 2;
}

const char *upc_group_legal(const upc_facts *facts, int32_t x, int32_t y, char *sentence)
{
    // There one thread runs a whole group, and may keep the sums of all its items on its stack: groups of thousands overflow it.
    enum { ON_A_STACK = 256 };
    if (facts->family == UPC_FAMILY_CPU && facts->info.backend == UPCONV_BACKEND_OPENCL &&
        (int64_t)x * y > ON_A_STACK) {
        snprintf(sentence, UPC_SENTENCE,
                 "a work-group of %d x %d is above %d, what a processor's stack is sure to hold", x, y, ON_A_STACK);
        return sentence;
    }
    if ((int64_t)x * y <= facts->info.limits.group_size && (uint32_t)x <= facts->group_axis[0] &&
        (uint32_t)y <= facts->group_axis[1])
        return NULL;
    snprintf(sentence, UPC_SENTENCE, "a work-group of %d x %d is above the device's %u (%u x %u)", x, y,
             facts->info.limits.group_size, facts->group_axis[0], facts->group_axis[1]);
    return sentence;
}

double upc_gather_macs(const upc_problem *problem)
{
    double pairs = 1; // of input positions and taps, on all axes
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        int64_t count = 0;
        for (int64_t k = 0; k < axis->kernel; k++) {
            const int64_t shift = k * axis->dilation - axis->pad;
            // inputs that make an output; where there is a step, outputs that have an input
            const bool out = axis->step > 1;
            const int64_t first =
                UPC_MAX(out ? upc_ceil_div(shift, axis->step) : upc_ceil_div(-shift, axis->stride), 0);
            const int64_t last = out ? UPC_MIN(upc_floor_div(axis->in - 1 + shift, axis->step), axis->out - 1)
                                     : UPC_MIN(upc_floor_div(axis->out - 1 - shift, axis->stride), axis->in - 1);
            count += UPC_MAX(last - first + 1, 0);
        }
        pairs *= (double)count;
    }
    return pairs * (double)(problem->batch * problem->groups) * (double)problem->icg * (double)problem->ocg;
}

double upc_gather_busy(const upc_facts *facts, double items)
{
    // two cores of a processor are busy with anything; a GPU hides its latencies with some hundred items a compute unit, and small
    // ones have one or two units
    const double all = facts->info.kind == UPCONV_DEVICE_CPU ? 16 : 512 * (double)UPC_MAX(facts->info.compute_units, 4);
    return items >= all ? 1 : UPC_MAX(items, 1) / all;
}

upconv_status upc_table_taps(upc_recipe *recipe, const upc_problem *problem, const upc_taps *taps, int32_t at[3])
{
    const int64_t kh = problem->axis[1].kernel, kw = problem->axis[2].kernel;
    const int64_t scale[3] = {kh * kw, kw, 1};
    for (int a = 0; a < 3; a++) {
        at[a] = (int32_t)recipe->table_count;
        for (int64_t r = 0; r < taps->axis[a].stride; r++) {
            const upc_residue *residue = &taps->axis[a].residue[r];
            const int32_t values[3] = {residue->count, residue->input, (int32_t)(residue->before * scale[a])};
            for (int i = 0; i < 3; i++) {
                const upconv_status status = upc_recipe_table(recipe, values[i]);
                if (status)
                    return status;
            }
        }
    }
    return UPCONV_OK;
}

// ---------------------------------------------------------------------------------------------------- the recipe

typedef struct cooking {
    const upc_gather *gather;
    const upc_problem *problem;
    const upc_request *request;
    upc_recipe *recipe;
    const upc_taps *taps;
    upc_split split;
    int32_t taps_at[3];
    uint64_t stage_at;           // in the workspace
    bool prepared;               // steps that the next must wait for have been added
    bool stepped;                // outputs are more than one input position apart, on some axis
    upc_program_desc program[2]; // [1]: accumulates
} cooking;

upc_epilogue upc_epilogue_of(const upc_problem *problem)
{
    static const int32_t number[UPCONV_ACT_COUNT] = {
        [UPCONV_ACT_PRELU] = 1,     [UPCONV_ACT_SIGMOID] = 2, [UPCONV_ACT_TANH] = 3,     [UPCONV_ACT_HARDSWISH] = 4,
        [UPCONV_ACT_SILU] = 5,      [UPCONV_ACT_GELU_ERF] = 6, [UPCONV_ACT_GELU_TANH] = 7,
    };
    upc_epilogue made = {.act = number[problem->act]};
    float slope = 1, low = -INFINITY, high = INFINITY;
    if (problem->act == UPCONV_ACT_RELU)
        low = 0;
    if (problem->act == UPCONV_ACT_LEAKY_RELU)
        slope = problem->act_param[0];
    if (problem->act == UPCONV_ACT_CLAMP) {
        low = problem->act_param[0];
        high = problem->act_param[1];
    }
    memcpy(made.bits, (const float[3]){slope, low, high}, sizeof made.bits);
    return made;
}

// Strides between images and groups do not fit 32 bits for giant tensors, but then a window holds only one of each.
static int32_t clamp32(int64_t value) { return value > INT32_MAX ? 0 : (int32_t)value; }

static upconv_status static_param(cooking *c, const char *name, int64_t value)
{
    const upc_param_kind kind = c->gather->spec ? UPC_PARAM_SPEC : UPC_PARAM_TABLE;
    for (int i = 0; i < 2; i++)
        upc_program_param(&c->program[i], name, kind,
                          kind == UPC_PARAM_SPEC ? (int32_t)value : (int32_t)c->recipe->table_count);
    return kind == UPC_PARAM_TABLE ? upc_recipe_table(c->recipe, (int32_t)value) : UPCONV_OK;
}

// The geometry comes before the taps, so that its place, and with it the program, is the same for every stride.
enum { COMMON = 26, OF_PHASES = 9, OF_DIRECT = 9, OF_STEPS = 6 };

static void place_taps(cooking *c)
{
    c->taps_at[0] = (int32_t)c->recipe->table_count;
    if (!c->gather->spec)
        c->taps_at[0] += COMMON + (c->gather->phases ? OF_PHASES : OF_DIRECT) + (c->stepped ? OF_STEPS : 0);
    if (c->request->dynamic_weights)
        c->taps_at[0] += UPC_PACK_ENTRIES;
    for (int a = 1; a < 3; a++)
        c->taps_at[a] = c->taps_at[a - 1] + 3 * (int32_t)c->taps->axis[a - 1].stride;
}

static upconv_status static_params(cooking *c)
{
    const upc_problem *p = c->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const upc_tap_axis *t = c->taps->axis;
    const upc_tensor *in = &c->split.in, *out = &c->split.out;
    const upc_epilogue act = upc_epilogue_of(p);
    const struct {
        const char *name;
        int64_t value;
    } common[COMMON] = {
        {"DI", d->in}, {"HI", h->in}, {"WI", w->in}, {"DO", d->out}, {"HO", h->out}, {"WO", w->out},
        {"PD", upc_axis_origin(d)}, {"PH", upc_axis_origin(h)}, {"PW", upc_axis_origin(w)}, {"ICG", c->split.icg},
        {"OCG", p->ocg},
        {"IN_N", clamp32(in->image)}, {"IN_C", clamp32(in->channel)}, {"IN_D", in->axis[0]}, {"IN_H", in->axis[1]},
        {"IN_W", in->axis[2]}, {"OUT_N", clamp32(out->image)}, {"OUT_C", clamp32(out->channel)}, {"OUT_D", out->axis[0]},
        {"OUT_H", out->axis[1]}, {"OUT_W", out->axis[2]},
        {"OB_ALL", upc_ceil_div(p->ocg, c->gather->oc)}, {"TAPS", d->kernel * h->kernel * w->kernel},
        {"ACT_A", act.bits[0]}, {"ACT_LO", act.bits[1]}, {"ACT_HI", act.bits[2]},
    }, phase[OF_PHASES] = {
        {"SD", t[0].stride}, {"SH", t[1].stride}, {"SW", t[2].stride},
        {"DGD", t[0].input_step}, {"DGH", t[1].input_step}, {"DGW", t[2].input_step},
        {"TAPS_D", c->taps_at[0]}, {"TAPS_H", c->taps_at[1]}, {"TAPS_W", c->taps_at[2]},
    }, direct[OF_DIRECT] = {
        {"SD", d->stride}, {"SH", h->stride}, {"SW", w->stride}, {"KD", d->kernel}, {"KH", h->kernel},
        {"KW", w->kernel}, {"DD", d->dilation}, {"DH", h->dilation}, {"DW", w->dilation},
    }, steps[OF_STEPS] = {
        {"XD", d->step}, {"XH", h->step}, {"XW", w->step}, {"AD", d->pad - upc_axis_origin(d)},
        {"AH", h->pad - upc_axis_origin(h)}, {"AW", w->pad - upc_axis_origin(w)},
    };
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < UPC_COUNT(common) && !status; i++)
        status = static_param(c, common[i].name, common[i].value);
    const size_t own = c->gather->phases ? OF_PHASES : OF_DIRECT;
    for (size_t i = 0; i < own && !status; i++)
        status = c->gather->phases ? static_param(c, phase[i].name, phase[i].value)
                                   : static_param(c, direct[i].name, direct[i].value);
    for (size_t i = 0; i < OF_STEPS && c->stepped && !status; i++)
        status = static_param(c, steps[i].name, steps[i].value);
    return status;
}

// In the order of `values` in emit.
static const char *const arg_names[] = {
    "ROWS", "BLOCKS", "PHASE_0", "QD_0", "QD_N", "QH_0", "QH_N", "QW_0", "QW_END", "OB_0", "OB_N",
    "G_N", "IC_0", "IC_N", "C_0", "C_N", "SRC_0", "DST_0", "W_0", "FIRST", "LAST", "IN_C0", "OUT_C0",
};

// Of the weights that a box reads, the first, relative to the group's first, because the kernel counts groups from this dispatch's
// first.
static int64_t weights_start(const cooking *c, const upc_box *box, const upc_window *weights)
{
    const upc_problem *p = c->problem;
    const int64_t taps = p->axis[0].kernel * p->axis[1].kernel * p->axis[2].kernel;
    const int64_t group = upc_ceil_div(p->ocg, c->gather->oc) * taps * c->split.icg * c->gather->oc;
    return (weights->first - box->g0 * group) / 4;
}

static void bind(const cooking *c, const upc_box *box, const upc_window *in, const upc_window *out,
                 const upc_window *weights, upc_step *step)
{
    const upc_problem *p = c->problem;
    const upc_split *split = &c->split;
    const uint64_t channel = (uint64_t)(box->g0 * p->ocg + box->c0) * 4;
    const uint64_t channels = (uint64_t)((box->gn - 1) * p->ocg + box->cn) * 4;
    const bool prelu = p->act == UPCONV_ACT_PRELU;
    const upc_bind written = {UPC_OUTPUT, (uint64_t)out->first * split->out_bytes,
                              (uint64_t)out->count * split->out_bytes};
    uint32_t n = 0;
    step->bind[n++] =
        (upc_bind){c->gather->stage ? UPC_WORKSPACE : UPC_INPUT, c->stage_at + (uint64_t)in->first * split->in_bytes,
                   (uint64_t)in->count * split->in_bytes};
    step->bind[n++] =
        (upc_bind){c->request->dynamic_weights ? UPC_WORKSPACE : UPC_PACKED,
                   (uint64_t)weights->first * split->weight_bytes, (uint64_t)weights->count * split->weight_bytes};
    step->bind[n++] = (upc_bind){UPC_BIAS, channel, channels};
    step->bind[n++] = (upc_bind){prelu ? UPC_SLOPES : UPC_BIAS, channel, channels};
    step->bind[n++] = written;
    if (p->residual) {
        step->bind[n] = written;
        step->bind[n++].place = UPC_RESIDUAL;
    }
    step->bind[n++] = (upc_bind){UPC_TABLE, 0, c->recipe->table_count * 4};
    step->bind_count = n;
}

static upconv_status emit(void *to, const upc_box *box, const upc_window *in, const upc_window *out,
                          const upc_window *weights)
{
    cooking *c = to;
    const upc_problem *p = c->problem;
    const bool accumulate = box->in < c->split.icg;
    int64_t items[3];
    upc_split_grid(&c->split, box, items);
    const int64_t values[UPC_COUNT(arg_names)] = {
        items[1], items[2], box->p0, box->q0[0], box->qn[0], box->q0[1], box->qn[1], box->q0[2],
        box->q0[2] + box->qn[2], box->b0, box->bn, box->gn, box->i0, box->in, box->c0, box->cn,
        upc_split_in_start(&c->split, box, in), upc_split_out_start(&c->split, box, out), weights_start(c, box, weights),
        box->i0 == 0, box->i0 + box->in == c->split.icg, (box->g0 * c->split.icg + box->i0) % c->split.in.pack,
        (box->g0 * p->ocg + box->c0) % c->split.out.pack,
    };
    // where the output is the residual itself, windows of dispatches that follow one another overlap, though their elements do not
    const bool in_place = p->residual && c->split.emitted > 1;
    upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = box->i0 > 0 || c->prepared || in_place};
    c->prepared = false; // what came before, the first waited for
    for (size_t i = 0; i < UPC_COUNT(values); i++)
        step.args[i] = (int32_t)values[i];
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], c->split.local[i]);
    bind(c, box, in, out, weights, &step);
    const upconv_status status = upc_recipe_program(c->recipe, &c->program[accumulate], &step.program);
    return status ? status : upc_recipe_step(c->recipe, &step);
}

// Packed weights are ordered by group, block and phase, so a range of blocks is contiguous with all its phases, and a range of
// phases within one block.
static void weights_window(const upc_split *split, const upc_box *box, upc_window *window)
{
    const cooking *c = split->user;
    const upc_problem *p = split->problem;
    const int64_t tap = split->icg * split->oc, blocks = upc_ceil_div(p->ocg, split->oc);
    const int64_t all = p->axis[0].kernel * p->axis[1].kernel * p->axis[2].kernel;
    const int64_t first = box->g0 * blocks + box->b0;
    const int64_t last = (box->g0 + box->gn - 1) * blocks + box->b0 + box->bn - 1;
    window->first = (first * all + upc_taps_before(c->taps, p, box->p0)) * tap;
    const int64_t end = (last * all + upc_taps_before(c->taps, p, box->p0 + box->pn)) * tap;
    window->count = UPC_MAX(end - window->first, split->oc);
    const int64_t size = p->groups * blocks * all * tap;
    if (window->first + window->count > size) // a phase without taps at the very end
        window->first = size - window->count;
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

// How far an item reads along w (REACH in shaders/phase.kernel).
static int reach(const cooking *c)
{
    const upc_axis *axis = &c->problem->axis[2];
    const upc_tap_axis *taps = &c->taps->axis[2];
    upc_stage around = {.pack = 1};
    if (c->gather->stage)
        return 0;
    if (!c->gather->spec) // one program for all of them
        return 2;
    upc_stage_surround(&around, c->problem, c->taps, c->gather->tile);
    if (around.front[2] == 0 && around.back[2] == 0)
        return 0;
    for (int64_t r = 0; r < taps->stride; r++) {
        const upc_residue *residue = &taps->residue[r];
        const int64_t first = upc_ceil_div(upc_axis_origin(axis) - r, taps->stride) * axis->step;
        const int64_t last = upc_floor_div(axis->out - 1 + upc_axis_origin(axis) - r, taps->stride) * axis->step;
        if (residue->count && (first + residue->input - (residue->count - 1) * taps->input_step < 0 ||
                               last + residue->input >= axis->in))
            return 2;
    }
    return 1;
}

static void prepare(cooking *c, const upc_facts *facts)
{
    const upc_gather *gather = c->gather;
    upc_split *split = &c->split;
    upc_split_init(split, c->problem, facts);
    split->oc = gather->oc;
    split->tile = gather->tile;
    split->lanes = gather->lanes;
    split->beyond = gather->beyond;
    split->weights = weights_window;
    split->emit = emit;
    split->user = split->to = c;
    use_fours(c->problem, false, &split->out);
    if (gather->stage)
        upc_stage_split(gather->stage, split);
    else
        use_fours(c->problem, true, &split->in);
    if (gather->texel)
        split->weight_most = (int64_t)facts->texel_elements * 4 - (int64_t)facts->info.offset_alignment;
    if (split->in.pack > 1)
        split->in_step = split->in.pack;
    if (split->out.pack > 1)
        split->out_step = split->out.pack;
    for (int i = 0; i < 3; i++)
        split->local[i] = gather->whole_groups ? 1 : gather->local[i];
    split->taps = split->rounds_per_channel = 1;
    split->rounds = 2;
    for (int a = 0; a < 3; a++) {
        split->stride[a] = gather->phases ? c->taps->axis[a].stride : 1;
        split->phases *= split->stride[a];
        split->taps *= (double)c->problem->axis[a].kernel;
        // direct: items that run in step make a round wherever one of them has a tap, so all taps count
        split->rounds_per_channel *= (double)upc_ceil_div(c->problem->axis[a].kernel, c->taps->axis[a].tap_step);
        split->rounds += 2 * split->rounds_per_channel; // of the loop over this axis, and to leave the one within
    }
    if (gather->lanes) // there are two loops over channels to leave
        split->rounds += split->rounds_per_channel;
    split->taps /= (double)split->phases;
    for (int i = 0; i < 2; i++) {
        const struct {
            const char *name;
            int64_t value;
        } defines[] = {
            {"ACCUMULATE", i}, {"ACT", upc_epilogue_of(c->problem).act}, {"RESIDUAL", c->problem->residual},
            {"IN_STORE", upc_store_of(facts, gather->stage ? gather->stage->type : c->problem->type)},
            {"OUT_STORE", upc_store_of(facts, c->problem->type)}, {"W_STORE", upc_store_of(facts, c->problem->type)},
            {"IN_PACK", split->in.pack}, {"OUT_PACK", split->out.pack}, {"PADDED", gather->stage != NULL},
            {"IN_VEC", split->in.pack == 4 && split->icg % 4 == 0}, {"OUT_VEC", split->out.pack == 4 && c->problem->ocg % 4 == 0},
            {"REACH", reach(c)}, {"STEPS", gather->unroll}, {"W_TEXEL", gather->texel},
        };
        upc_program_desc_init(&c->program[i], gather->kernel, gather->local, c->problem->residual ? 7 : 6);
        if (gather->texel)
            c->program[i].kind[1] = c->problem->type == UPCONV_F16 ? UPC_BIND_TEXEL4_F16 : UPC_BIND_TEXEL4_F32;
        for (size_t j = 0; j < UPC_COUNT(defines); j++)
            upc_program_param(&c->program[i], defines[j].name, UPC_PARAM_DEFINE, (int32_t)defines[j].value);
        if (c->stepped)
            upc_program_param(&c->program[i], "STEPPED", UPC_PARAM_DEFINE, 1);
        if (gather->defines)
            gather->defines(gather, &c->program[i]);
        if (gather->geometry)
            gather->geometry(c->problem, &c->program[i]);
        for (size_t j = 0; j < UPC_COUNT(arg_names); j++)
            upc_program_arg(&c->program[i], arg_names[j]);
    }
}

upconv_status upc_gather_cook(const upc_gather *gather, const upc_problem *problem, const upc_facts *facts,
                              const upc_request *request, upc_recipe *recipe)
{
    const upc_packing packing = upc_gather_packing(gather, problem, facts);
    const uint64_t packed = upc_taps_packed_bytes(problem, &packing);
    if (facts->info.backend == UPCONV_BACKEND_CPU)
        return upc_host_cook(gather->kernel, problem, request, packed, recipe);
    upc_taps taps;
    upconv_status status = upc_taps_init(&taps, recipe->env, problem, gather->phases);
    if (status)
        return status;
    cooking c = {.gather = gather, .problem = problem, .request = request, .recipe = recipe, .taps = &taps,
                 .stepped = upc_taps_stepped(problem)};
    prepare(&c, facts);
    place_taps(&c);
    if ((status = static_params(&c)))
        goto finish;
    if (request->dynamic_weights) {
        recipe->workspace_bytes = packed;
        status = upc_pack_cook(problem, facts, &taps, c.taps_at, &packing, request, recipe);
        c.prepared = true;
    } else {
        recipe->packed_bytes = packed;
    }
    if (!status)
        status = upc_table_taps(recipe, problem, &taps, c.taps_at);
    if (!status && gather->stage) {
        c.stage_at = upc_round_up(recipe->workspace_bytes, 256);
        status = upc_stage_cook(gather->stage, problem, facts, c.stage_at, recipe);
        c.prepared = true;
    }
    if (!status && recipe->table_count * 4 > facts->info.limits.binding_bytes)
        status = upc_fail(UPCONV_ERROR_UNSUPPORTED, "the table of taps has %zu bytes, a binding at most %llu",
                          recipe->table_count * 4, (unsigned long long)facts->info.limits.binding_bytes);
    if (!status)
        status = upc_split_run(&c.split);
finish:
    upc_taps_finish(&taps);
    return status;
}
