// Weights that come at execution: the steps that bring them into the kernels' layout, in the workspace.
#include "solvers/gather.h"

// A range of weights: groups, channel blocks, taps (linear), input channels.
typedef struct weight_range {
    int64_t g0, gn, b0, bn, k0, kn, i0, in;
} weight_range;

typedef struct pack_cooking {
    const upc_problem *problem;
    const upc_facts *facts;
    const upc_taps *taps;
    upc_recipe *recipe;
    upc_filter_strides raw;
    int64_t raw_tap; // taps are equally far apart in every filter order
    int64_t oc, icg, blocks, all_taps; // icg: of the packed weights
    size_t raw_bytes, bytes;           // of an element
    uint64_t table_bytes;              // with the taps, which come last
    upc_program_desc program;
    int32_t steps;
} pack_cooking;

static upc_window raw_window(const pack_cooking *p, const weight_range *part)
{
    const int64_t c0 = part->b0 * p->oc, last_c = UPC_MIN((part->b0 + part->bn) * p->oc, p->problem->ocg) - 1;
    const int64_t tap_0 = part->k0 * p->raw_tap, tap_n = (part->k0 + part->kn - 1) * p->raw_tap; // either may be the first
    const int64_t first = p->raw.first + part->g0 * p->raw.group + c0 * p->raw.out + UPC_MIN(tap_0, tap_n) + part->i0 * p->raw.in;
    const int64_t last_i = UPC_MIN(part->i0 + part->in, p->problem->icg) - 1;
    const int64_t last = p->raw.first + (part->g0 + part->gn - 1) * p->raw.group + last_c * p->raw.out + UPC_MAX(tap_0, tap_n) +
                         UPC_MAX(last_i, part->i0) * p->raw.in;
    const int64_t start = first / 4 * 4; // whole words also where weights are f16
    return (upc_window){start, last - start + 1};
}

static upc_window packed_window(const pack_cooking *p, const weight_range *part)
{
    const int64_t tap = p->icg * p->oc, block = p->all_taps * tap;
    const int64_t first = part->g0 * p->blocks + part->b0;
    if (part->kn == 1) {
        const int64_t kh = p->problem->axis[1].kernel, kw = p->problem->axis[2].kernel;
        const int64_t at[3] = {part->k0 / (kh * kw), part->k0 / kw % kh, part->k0 % kw};
        const int64_t start = first * block + upc_taps_position(p->taps, p->problem, at) * tap + part->i0 * p->oc;
        return (upc_window){start, ((part->gn - 1) * p->blocks + part->bn - 1) * block + part->in * p->oc};
    }
    return (upc_window){first * block, ((part->gn - 1) * p->blocks + part->bn) * block};
}

static upconv_status emit(pack_cooking *p, const weight_range *part, const upc_window *raw, const upc_window *packed)
{
    const int32_t at_group = (int32_t)((packed->first - part->g0 * p->blocks * p->all_taps * p->icg * p->oc) / 4);
    // where the window begins, relative to the first weight of the part's first group, first tap and channel i = 0
    const int64_t raw_from = raw->first - p->raw.first - part->g0 * p->raw.group - part->k0 * p->raw_tap;
    upc_step step = {.kind = UPC_STEP_KERNEL, .bind_count = 3};
    const int64_t values[] = {part->in, part->kn, part->k0, part->gn, part->b0, part->bn,
                              UPC_MIN((part->b0 + part->bn) * p->oc, p->problem->ocg), raw_from, at_group, part->i0};
    for (size_t i = 0; i < UPC_COUNT(values); i++)
        step.args[i] = (int32_t)values[i];
    const int64_t items[3] = {part->in, part->kn, part->gn * part->bn};
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], p->program.local[i]);
    step.bind[0] = (upc_bind){UPC_WEIGHTS, (uint64_t)raw->first * p->raw_bytes, (uint64_t)raw->count * p->raw_bytes};
    step.bind[1] = (upc_bind){UPC_WORKSPACE, (uint64_t)packed->first * p->bytes, (uint64_t)packed->count * p->bytes};
    step.bind[2] = (upc_bind){UPC_TABLE, 0, p->table_bytes};
    // a workspace that the app lends may still be read by the submission before
    step.barrier = p->steps == 0;
    if (++p->steps > UPC_MAX_DISPATCHES)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "the limits would cut the packing of weights into more than %d dispatches",
                        UPC_MAX_DISPATCHES);
    const upconv_status status = upc_recipe_program(p->recipe, &p->program, &step.program);
    return status ? status : upc_recipe_step(p->recipe, &step);
}

static upconv_status run(pack_cooking *p, const weight_range *whole);

// first and count point into *half.
static upconv_status halves(pack_cooking *p, weight_range *half, int64_t *first, int64_t *count)
{
    const int64_t all = *count;
    *count = all / 2;
    const upconv_status status = run(p, half);
    if (status)
        return status;
    *first += all / 2;
    *count = all - all / 2;
    return run(p, half);
}

static upconv_status run(pack_cooking *p, const weight_range *whole)
{
    const upc_window raw = raw_window(p, whole), packed = packed_window(p, whole);
    const upconv_limits *limits = &p->facts->info.limits;
    const int64_t room = (int64_t)limits->binding_bytes - (int64_t)p->facts->info.offset_alignment;
    const int64_t most = limits->group_count;
    const bool large = raw.count > room / (int64_t)p->raw_bytes || packed.count > room / (int64_t)p->bytes;
    weight_range half = *whole;
    const int64_t z = upc_ceil_div(whole->gn * whole->bn, p->program.local[2]);
    if (whole->gn > 1 && (large || z > most))
        return halves(p, &half, &half.g0, &half.gn);
    if (whole->bn > 1 && (large || z > most))
        return halves(p, &half, &half.b0, &half.bn);
    if (whole->kn > 1 && (large || upc_ceil_div(whole->kn, p->program.local[1]) > most))
        return halves(p, &half, &half.k0, &half.kn);
    if (whole->in > 1 && (large || upc_ceil_div(whole->in, p->program.local[0]) > most))
        return halves(p, &half, &half.i0, &half.in);
    if (large)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "weights given at execution: %lld output channels lie %lld bytes "
                        "apart, beyond a binding of %llu bytes", (long long)p->oc, (long long)p->raw.out * (long long)p->raw_bytes,
                        (unsigned long long)limits->binding_bytes);
    return emit(p, whole, &raw, &packed);
}

upconv_status upc_pack_cook(const upc_problem *problem, const upc_facts *facts, const upc_taps *taps, const int32_t taps_at[3],
                            const upc_packing *packing, const upc_request *request, upc_recipe *recipe)
{
    const upc_axis *axis = problem->axis;
    pack_cooking p = {.problem = problem, .facts = facts, .taps = taps, .recipe = recipe, .oc = packing->oc, .icg = packing->icg,
                 .blocks = upc_ceil_div(problem->ocg, packing->oc), .raw_bytes = upc_type_bytes(request->weights_type),
                 .bytes = upc_type_bytes(packing->type), .all_taps = axis[0].kernel * axis[1].kernel * axis[2].kernel,
                 .table_bytes = (uint64_t)(taps_at[2] + 3 * taps->axis[2].stride) * 4};
    upc_filter_strides_get(problem, request->order, &p.raw);
    p.raw_tap = p.raw.tap[2];
    uint32_t local[3] = {1, 1, 1};
    const int64_t items[3] = {p.icg, p.all_taps, p.blocks};
    upc_group_guess(facts, items, 64, local);
    upc_program_desc_init(&p.program, "pack", local, 3);
    upc_program_param(&p.program, "IN_STORE", UPC_PARAM_DEFINE, (int32_t)upc_store_of(facts, request->weights_type));
    upc_program_param(&p.program, "W_STORE", UPC_PARAM_DEFINE, (int32_t)upc_store_of(facts, packing->type));
    upc_program_param(&p.program, "OC", UPC_PARAM_DEFINE, (int32_t)packing->oc);
    static const char *const args[] = {"IC_N", "K_N", "K_0", "G_N", "OB_0", "OB_N", "C_END", "SRC_0", "DST_0", "IC_0"};
    for (size_t i = 0; i < UPC_COUNT(args); i++)
        upc_program_arg(&p.program, args[i]);
    const struct {
        const char *name;
        int64_t value;
    } fixed[UPC_PACK_ENTRIES] = {
        {"TAPS_D", taps_at[0]}, {"TAPS_H", taps_at[1]}, {"TAPS_W", taps_at[2]},
        {"SD", taps->axis[0].stride}, {"SH", taps->axis[1].stride}, {"SW", taps->axis[2].stride},
        {"DD", axis[0].dilation}, {"DH", axis[1].dilation}, {"DW", axis[2].dilation},
        {"STEP_D", taps->axis[0].tap_step}, {"STEP_H", taps->axis[1].tap_step}, {"STEP_W", taps->axis[2].tap_step},
        {"KH", axis[1].kernel}, {"KW", axis[2].kernel}, {"OB_ALL", p.blocks}, {"TAPS", p.all_taps},
        {"ICG", p.icg}, {"RAW_ICG", problem->icg}, {"RAW_G", p.raw.group}, {"RAW_I", p.raw.in}, {"RAW_O", p.raw.out},
        {"RAW_K", p.raw_tap},
    };
    for (size_t i = 0; i < UPC_COUNT(fixed); i++) {
        upc_program_param(&p.program, fixed[i].name, UPC_PARAM_TABLE, (int32_t)recipe->table_count);
        const upconv_status status = upc_recipe_table(recipe, (int32_t)fixed[i].value);
        if (status)
            return status;
    }
    const weight_range whole = {.gn = problem->groups, .bn = p.blocks, .kn = p.all_taps, .in = p.icg};
    return run(&p, &whole);
}
