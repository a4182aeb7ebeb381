// Weights that come at execution: the steps that bring them into the kernels' layout, in the workspace.
#include "solvers/gather_q.h"

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
    int64_t channels;                  // input channels of one of those
    int64_t before;                    // rows before those, which take all input channels: 0 or 1
    int64_t unit;                      // packed elements that the kernel counts as one
    size_t raw_bytes, bytes;           // of an element
    uint64_t table_bytes;              // with the taps, which come last
    upc_program_desc program;
    int32_t steps;
} pack_cooking;

static upc_window raw_window(const pack_cooking *p, const weight_range *part)
{
    const int64_t c0 = part->b0 * p->oc, last_c = UPC_MIN((part->b0 + part->bn) * p->oc, p->problem->ocg) - 1;
    const bool all = part->i0 < p->before;
    const int64_t first_i = all ? 0 : (part->i0 - p->before) * p->channels;
    const int64_t last_i = all ? p->problem->icg - 1
                               : UPC_MIN((part->i0 + part->in - p->before) * p->channels, p->problem->icg) - 1;
    const int64_t tap_0 = part->k0 * p->raw_tap, tap_n = (part->k0 + part->kn - 1) * p->raw_tap; // either may be the first
    const int64_t first =
        p->raw.first + part->g0 * p->raw.group + c0 * p->raw.out + UPC_MIN(tap_0, tap_n) + first_i * p->raw.in;
    const int64_t last = p->raw.first + (part->g0 + part->gn - 1) * p->raw.group + last_c * p->raw.out +
                         UPC_MAX(tap_0, tap_n) + UPC_MAX(last_i, first_i) * p->raw.in;
    const int64_t start = first / 4 * 4; // whole words also where weights are of 16 or 8 bits
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
    const int32_t at_group = (int32_t)((packed->first - part->g0 * p->blocks * p->all_taps * p->icg * p->oc) / p->unit);
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
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "the limits would cut the packing of weights into more than %d dispatches", UPC_MAX_DISPATCHES);
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
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "weights given at execution: %lld output channels lie %lld bytes "
                        "apart, beyond a binding of %llu bytes",
                        (long long)p->oc, (long long)p->raw.out * (long long)p->raw_bytes,
                        (unsigned long long)limits->binding_bytes);
    return emit(p, whole, &raw, &packed);
}

// The rest of the program, with the geometry in the table, and the steps.
static upconv_status cook(pack_cooking *p, const int32_t taps_at[3])
{
    static const char *const args[] = {"IC_N", "K_N", "K_0", "G_N", "OB_0", "OB_N", "C_END", "SRC_0", "DST_0", "IC_0"};
    const upc_axis *axis = p->problem->axis;
    const upc_tap_axis *taps = p->taps->axis;
    const struct {
        const char *name;
        int64_t value;
    } fixed[UPC_PACK_ENTRIES] = {
        {"TAPS_D", taps_at[0]}, {"TAPS_H", taps_at[1]}, {"TAPS_W", taps_at[2]},
        {"SD", taps[0].stride}, {"SH", taps[1].stride}, {"SW", taps[2].stride},
        {"DD", axis[0].dilation}, {"DH", axis[1].dilation}, {"DW", axis[2].dilation},
        {"STEP_D", taps[0].tap_step}, {"STEP_H", taps[1].tap_step}, {"STEP_W", taps[2].tap_step},
        {"KH", axis[1].kernel}, {"KW", axis[2].kernel}, {"OB_ALL", p->blocks}, {"TAPS", p->all_taps},
        {"ICG", p->icg}, {"RAW_ICG", p->problem->icg}, {"RAW_G", p->raw.group}, {"RAW_I", p->raw.in}, {"RAW_O", p->raw.out},
        {"RAW_K", p->raw_tap},
    };
    upc_program_param(&p->program, "OC", UPC_PARAM_DEFINE, (int32_t)p->oc);
    for (size_t i = 0; i < UPC_COUNT(args); i++)
        upc_program_arg(&p->program, args[i]);
    for (size_t i = 0; i < UPC_COUNT(fixed); i++) {
        upc_program_param(&p->program, fixed[i].name, UPC_PARAM_TABLE, (int32_t)p->recipe->table_count);
        const upconv_status status = upc_recipe_table(p->recipe, (int32_t)fixed[i].value);
        if (status)
            return status;
    }
    const weight_range whole = {.gn = p->problem->groups, .bn = p->blocks, .kn = p->all_taps, .in = p->icg};
    return run(p, &whole);
}

// What follows from the problem and from how the packed weights are to lie.
static void begin(pack_cooking *p, const char *kernel, const int32_t taps_at[3], const upc_request *request)
{
    const upc_axis *axis = p->problem->axis;
    uint32_t local[3] = {1, 1, 1};
    p->blocks = upc_ceil_div(p->problem->ocg, p->oc);
    p->all_taps = axis[0].kernel * axis[1].kernel * axis[2].kernel;
    p->table_bytes = (uint64_t)(taps_at[2] + 3 * p->taps->axis[2].stride) * 4;
    p->raw_bytes = upc_type_bytes(request->weights_type);
    upc_filter_strides_get(p->problem, request->order, &p->raw);
    p->raw_tap = p->raw.tap[2];
    const int64_t items[3] = {p->icg, p->all_taps, p->blocks};
    upc_group_guess(p->facts, items, 64, local);
    upc_program_desc_init(&p->program, kernel, local, 3);
}

upconv_status upc_pack_cook(const upc_problem *problem, const upc_facts *facts, const upc_taps *taps,
                            const int32_t taps_at[3], const upc_packing *packing, const upc_request *request,
                            upc_recipe *recipe)
{
    pack_cooking p = {.problem = problem, .facts = facts, .taps = taps, .recipe = recipe, .oc = packing->oc, .icg = packing->icg,
                      .channels = 1, .unit = 4, .bytes = upc_type_bytes(packing->type)};
    begin(&p, "pack", taps_at, request);
    upc_program_param(&p.program, "IN_STORE", UPC_PARAM_DEFINE, (int32_t)upc_store_of(facts, request->weights_type));
    upc_program_param(&p.program, "W_STORE", UPC_PARAM_DEFINE, (int32_t)upc_store_of(facts, packing->type));
    return cook(&p, taps_at);
}

upconv_status upc_pack_q_cook(const upc_problem *problem, const upc_facts *facts, const upc_taps *taps,
                              const int32_t taps_at[3], const upc_packing_q *packing, const upc_request *request,
                              upc_recipe *recipe)
{
    const bool words = packing->form != UPC_PACK_ELEMENTS, quads = packing->form == UPC_PACK_QUADS;
    pack_cooking p = {.problem = problem, .facts = facts, .taps = taps, .recipe = recipe, .oc = packing->oc, .icg = packing->rows,
                      .channels = quads ? 4 : words ? 2 : 1, .before = quads, .unit = words ? 1 : 4,
                      .bytes = words ? sizeof(int32_t) : (size_t)packing->bits / 8};
    const struct {
        const char *name;
        int32_t value;
    } defines[] = {{"Q_IN", upc_q_store(request->weights_type)}, {"Q_OUT", packing->bits}, {"Q_W", packing->bits},
                   {"PAIRS", words && !quads}, {"QUADS", quads}},
      entries[UPC_PACK_Q_ENTRIES - UPC_PACK_ENTRIES] = {{"W_ZERO", problem->quant.weights_zero}, {"IN_ZERO", packing->in_zero},
                                                              {"W_MADE_ZERO", packing->zero}};
    // one item adds up a whole tap of all the channels of a block
    if (quads && facts->loop_rounds && packing->oc * (problem->icg + 2) > facts->loop_rounds)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "weights given at execution: %lld sums of %lld of them take more than the %u "
                        "rounds that the device makes",
                        (long long)packing->oc, (long long)problem->icg, facts->loop_rounds);
    begin(&p, "pack_q", taps_at, request);
    for (size_t i = 0; i < UPC_COUNT(defines); i++)
        upc_program_param(&p.program, defines[i].name, UPC_PARAM_DEFINE, defines[i].value);
    for (size_t i = 0; i < UPC_COUNT(entries); i++) {
        upc_program_param(&p.program, entries[i].name, UPC_PARAM_TABLE, (int32_t)recipe->table_count);
        const upconv_status status = upc_recipe_table(recipe, entries[i].value);
        if (status)
            return status;
    }
    return cook(&p, taps_at);
}
