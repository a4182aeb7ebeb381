#include "gather.h"

#include "../host.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static int64_t product(const upc_problem *problem, bool in)
{
    const upc_axis *a = problem->axis;
    return in ? a[0].in * a[1].in * a[2].in : a[0].out * a[1].out * a[2].out;
}

const char *upc_gather_refuse(const upc_problem *problem, bool phases, char *sentence)
{
    const int64_t most = INT32_MAX;
    int64_t all_phases = 1;
    for (int a = 0; a < 3 && phases; a++) {
        const int64_t stride = upc_taps_stride(&problem->axis[a]);
        if (stride > UPC_MAX_STRIDE || (all_phases *= stride) > UPC_MAX_PHASES) {
            snprintf(sentence, UPC_SENTENCE, "stride %lld makes too many phases (at most %d an axis, %d in all)",
                     (long long)stride, UPC_MAX_STRIDE, UPC_MAX_PHASES);
            return sentence;
        }
    }
    for (int in = 0; in < 2; in++)
        if (product(problem, in) > most / 4) {
            snprintf(sentence, UPC_SENTENCE, "an %s plane of %lld elements is beyond 32-bit byte offsets",
                     in ? "input" : "output", (long long)product(problem, in));
            return sentence;
        }
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        // items beyond the last position still count theirs, up to a work-group's tiles
        const int64_t reach = axis->out + UPC_MAX(axis->pad, -axis->pad) + axis->kernel * axis->dilation +
                              UPC_MAX(UPC_MAX(axis->stride, upc_taps_stride(axis)) * 66, 4096);
        if (reach > most || axis->in * axis->stride > most) {
            snprintf(sentence, UPC_SENTENCE, "positions up to %lld on an axis are beyond 32 bits",
                     (long long)UPC_MAX(reach, axis->in * axis->stride));
            return sentence;
        }
    }
    if (upc_taps_packed_bytes(problem, 16) / 16 > (uint64_t)most || upc_weights_elements(problem) > (uint64_t)most) {
        snprintf(sentence, UPC_SENTENCE, "%llu weights are beyond 32-bit indices",
                 (unsigned long long)upc_weights_elements(problem));
        return sentence;
    }
    return NULL;
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
    if ((int64_t)x * y <= facts->info.limits.group_size && (uint32_t)x <= facts->group_axis[0] &&
        (uint32_t)y <= facts->group_axis[1])
        return NULL;
    snprintf(sentence, UPC_SENTENCE, "a work-group of %d x %d is above the device's %u (%u x %u)", x, y,
             facts->info.limits.group_size, facts->group_axis[0], facts->group_axis[1]);
    return sentence;
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

static upconv_status static_params(cooking *c)
{
    const upc_problem *p = c->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const upc_tap_axis *t = c->taps->axis;
    const int64_t in = product(p, true), out = product(p, false);
    const upc_epilogue act = upc_epilogue_of(p);
    const struct {
        const char *name;
        int64_t value;
    } common[] = {
        {"DI", d->in}, {"HI", h->in}, {"WI", w->in}, {"DO", d->out}, {"HO", h->out}, {"WO", w->out},
        {"PD", d->pad}, {"PH", h->pad}, {"PW", w->pad}, {"ICG", p->icg}, {"OCG", p->ocg},
        {"IN_PLANE", in}, {"OUT_PLANE", out},
        {"IN_G", clamp32(p->icg * in)}, {"IN_N", clamp32(p->groups * p->icg * in)},
        {"OUT_G", clamp32(p->ocg * out)}, {"OUT_N", clamp32(p->groups * p->ocg * out)},
        {"OB_ALL", upc_ceil_div(p->ocg, c->gather->oc)}, {"TAPS", d->kernel * h->kernel * w->kernel},
        {"ACT_A", act.bits[0]}, {"ACT_LO", act.bits[1]}, {"ACT_HI", act.bits[2]},
    }, phase[] = {
        {"SD", t[0].stride}, {"SH", t[1].stride}, {"SW", t[2].stride},
        {"DGD", t[0].input_step}, {"DGH", t[1].input_step}, {"DGW", t[2].input_step},
        {"TAPS_D", c->taps_at[0]}, {"TAPS_H", c->taps_at[1]}, {"TAPS_W", c->taps_at[2]},
    }, direct[] = {
        {"SD", d->stride}, {"SH", h->stride}, {"SW", w->stride}, {"KD", d->kernel}, {"KH", h->kernel},
        {"KW", w->kernel}, {"DD", d->dilation}, {"DH", h->dilation}, {"DW", w->dilation},
    };
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < UPC_COUNT(common) && !status; i++)
        status = static_param(c, common[i].name, common[i].value);
    for (size_t i = 0; i < UPC_COUNT(phase) && !status; i++)
        status = c->gather->phases ? static_param(c, phase[i].name, phase[i].value)
                                   : static_param(c, direct[i].name, direct[i].value);
    return status;
}

// In the order of `values` in emit.
static const char *const arg_names[] = {
    "ROWS", "BLOCKS", "PHASE_0", "QD_0", "QD_N", "QH_0", "QH_N", "QW_0", "QW_END", "OB_0", "OB_N",
    "G_N", "IC_0", "IC_N", "C_0", "C_N", "SRC_0", "DST_0", "W_0", "FIRST", "LAST",
};

static upconv_status emit(void *to, const upc_box *box, const upc_window *in, const upc_window *out,
                          const upc_window *weights)
{
    cooking *c = to;
    const upc_problem *p = c->problem;
    const bool accumulate = box->in < p->icg;
    int64_t items[3];
    upc_split_grid(&c->split, box, items);
    const int64_t values[UPC_COUNT(arg_names)] = {
        items[1], items[2], box->p0, box->q0[0], box->qn[0], box->q0[1], box->qn[1], box->q0[2],
        box->q0[2] + box->qn[2], box->b0, box->bn, box->gn, box->i0, box->in, box->c0, box->cn,
        upc_split_in_start(&c->split, box), upc_split_out_start(&c->split, box),
        // relative to the group's first weights, because the kernel counts groups from this dispatch's first
        (weights->first - box->g0 * upc_ceil_div(p->ocg, c->gather->oc) * (p->axis[0].kernel * p->axis[1].kernel *
         p->axis[2].kernel) * p->icg * c->gather->oc) / 4,
        box->i0 == 0, box->i0 + box->in == p->icg,
    };
    upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = box->i0 > 0, .bind_count = UPC_MAX_BINDINGS};
    for (size_t i = 0; i < UPC_COUNT(values); i++)
        step.args[i] = (int32_t)values[i];
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], c->gather->local[i]);
    const uint64_t channel = (uint64_t)(box->g0 * p->ocg + box->c0) * 4;
    const uint64_t channels = (uint64_t)((box->gn - 1) * p->ocg + box->cn) * 4;
    const bool prelu = p->act == UPCONV_ACT_PRELU;
    step.bind[0] = (upc_bind){UPC_INPUT, (uint64_t)in->first * 4, (uint64_t)in->count * 4};
    step.bind[1] = (upc_bind){c->request->dynamic_weights ? UPC_WORKSPACE : UPC_PACKED, (uint64_t)weights->first * 4,
                              (uint64_t)weights->count * 4};
    step.bind[2] = (upc_bind){UPC_BIAS, channel, channels};
    step.bind[3] = (upc_bind){prelu ? UPC_SLOPES : UPC_BIAS, channel, channels};
    step.bind[4] = (upc_bind){UPC_OUTPUT, (uint64_t)out->first * 4, (uint64_t)out->count * 4};
    step.bind[5] = (upc_bind){UPC_TABLE, 0, c->recipe->table_count * 4};
    if (c->recipe->step_count > 0 && c->request->dynamic_weights &&
        c->recipe->steps[c->recipe->step_count - 1].bind_count != UPC_MAX_BINDINGS)
        step.barrier = true; // the first after the packing
    const upconv_status status = upc_recipe_program(c->recipe, &c->program[accumulate], &step.program);
    return status ? status : upc_recipe_step(c->recipe, &step);
}

// Packed weights are ordered by group, block and phase, so a range of blocks is contiguous with all its phases, and a range of
// phases within one block.
static void weights_window(const upc_split *split, const upc_box *box, upc_window *window)
{
    const cooking *c = split->user;
    const upc_problem *p = split->problem;
    const int64_t tap = p->icg * split->oc, blocks = upc_ceil_div(p->ocg, split->oc);
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

static void prepare(cooking *c, const upc_facts *facts)
{
    const upc_gather *gather = c->gather;
    upc_split *split = &c->split;
    *split = (upc_split){.problem = c->problem, .facts = facts, .oc = gather->oc, .tile = gather->tile,
                         .weights = weights_window, .user = c, .emit = emit, .to = c, .phases = 1};
    memcpy(split->local, gather->local, sizeof split->local);
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
    split->taps /= (double)split->phases;
    for (int i = 0; i < 2; i++) {
        upc_program_desc_init(&c->program[i], gather->kernel, gather->local, UPC_MAX_BINDINGS);
        upc_program_param(&c->program[i], "ACCUMULATE", UPC_PARAM_DEFINE, i);
        upc_program_param(&c->program[i], "ACT", UPC_PARAM_DEFINE, upc_epilogue_of(c->problem).act);
        if (gather->defines)
            gather->defines(gather, &c->program[i]);
        for (size_t j = 0; j < UPC_COUNT(arg_names); j++)
            upc_program_arg(&c->program[i], arg_names[j]);
    }
}

upconv_status upc_gather_cook(const upc_gather *gather, const upc_problem *problem, const upc_facts *facts,
                              const upc_request *request, upc_recipe *recipe)
{
    if (facts->info.backend == UPCONV_BACKEND_CPU)
        return upc_host_cook(gather->kernel, problem, request, upc_taps_packed_bytes(problem, gather->oc), recipe);
    upc_taps taps;
    upconv_status status = upc_taps_init(&taps, recipe->env, problem, gather->phases);
    if (status)
        return status;
    cooking c = {.gather = gather, .problem = problem, .request = request, .recipe = recipe, .taps = &taps};
    prepare(&c, facts);
    if ((status = upc_table_taps(recipe, problem, &taps, c.taps_at)) || (status = static_params(&c)))
        goto finish;
    if (request->dynamic_weights) {
        recipe->workspace_bytes = upc_taps_packed_bytes(problem, gather->oc);
        status = upc_pack_cook(problem, facts, &taps, c.taps_at, gather->oc, request->order, recipe);
    } else {
        recipe->packed_bytes = upc_taps_packed_bytes(problem, gather->oc);
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
