// The recipe of winograd: weights transformed first where they come at execution; then, for as many panels of tiles
// as the workspace holds at a time, a step that transforms inputs and one that multiplies and transforms back.
#include "winograd.h"

#include "gather.h"

#include <stdio.h>

enum {
    CHANNELS = 16,                // of an item that transforms inputs on a processor
    WORKSPACE_ALIGNMENT = 256,
    CACHED = 2 << 20,             // bytes of transformed inputs that a processor's caches keep until they are used
};

typedef struct cooking {
    const upc_winograd *w;
    const upc_problem *problem;
    const upc_facts *facts;
    const upc_request *request;
    upc_recipe *recipe;
    int64_t room;               // bytes of a binding
    int64_t rows;               // blocks and phases of a group
    uint64_t points_at;         // in the workspace
    int64_t width;              // tiles that an item transforms at once
    upc_program_desc input, product;
} cooking;

// Some of the panels and groups, which the workspace holds together, and of the rows.
typedef struct part {
    int64_t t0, tn, g0, gn, r0, rn;
} part;

typedef struct named {
    const char *name;
    int64_t value;
} named;

static void define(upc_program_desc *program, const named *defines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        upc_program_param(program, defines[i].name, UPC_PARAM_DEFINE, (int32_t)defines[i].value);
}

// Distances between images do not fit 32 bits for giant tensors only, which are refused; those of a lone image count
// for nothing.
static upconv_status tabulate(cooking *c, upc_program_desc *program, const named *values, size_t count)
{
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < count && !status; i++) {
        upc_program_param(program, values[i].name, UPC_PARAM_TABLE, (int32_t)c->recipe->table_count);
        status = upc_recipe_table(c->recipe, values[i].value > INT32_MAX ? 0 : (int32_t)values[i].value);
    }
    return status;
}

static uint32_t groups_of(int64_t items, uint32_t local) { return (uint32_t)upc_ceil_div(items, local); }

// ------------------------------------------------------------------------------------------------------------ programs

static upconv_status input_program(cooking *c)
{
    const upc_winograd *w = c->w;
    const upc_problem *p = c->problem;
    const upc_axis *axis = p->axis;
    const upc_tensor *in = &p->in;
    uint32_t local[3] = {1, 1, 1};
    const int64_t items[3] = {c->width > 1 ? w->panels : w->panels * w->tile, p->icg, p->groups};
    if (c->width == 1)
        upc_group_guess(c->facts, items, 64, local);
    upc_program_desc_init(&c->input, "winograd_input", local, 3);
    const named defines[] = {
        {"TILES", w->tile}, {"WIDTH", c->width}, {"NH", w->axis[1].points}, {"NW", w->axis[2].points},
        {"MH", w->axis[1].outputs}, {"MW", w->axis[2].outputs}, {"IN_STORE", upc_store_of(c->facts, p->type)},
        {"IN_PACK", in->pack}, {"IN_C0", 0},
    };
    const named values[] = {
        {"CHANNELS", c->width > 1 ? CHANNELS : 1},
        {"ICG", p->icg},
        {"DI", axis[0].in},
        {"HI", axis[1].in},
        {"WI", axis[2].in},
        {"IN_ALL", in->elements},
        {"IN_N", in->image},
        {"IN_C", in->channel},
        {"IN_D", in->axis[0]},
        {"IN_H", in->axis[1]},
        {"IN_W", in->axis[2]},
        {"TILES_D", w->axis[0].tiles},
        {"TILES_H", w->axis[1].tiles},
        {"TILES_W", w->axis[2].tiles},
        {"TILES_N", w->tiles},
        {"ID_0", w->axis[0].q0 - (w->axis[0].taps - 1)},
        {"IH_0", w->axis[1].q0 - (w->axis[1].taps - 1)},
        {"IW_0", w->axis[2].q0 - (w->axis[2].taps - 1)},
    };
    define(&c->input, defines, UPC_COUNT(defines));
    static const char *const args[] = {"PANELS", "PANEL_0", "G_N", "G_0"};
    for (size_t i = 0; i < UPC_COUNT(args); i++)
        upc_program_arg(&c->input, args[i]);
    return tabulate(c, &c->input, values, UPC_COUNT(values));
}

static upconv_status product_program(cooking *c)
{
    const upc_winograd *w = c->w;
    const upc_problem *p = c->problem;
    const upc_axis *axis = p->axis;
    const upc_tensor *out = &p->out;
    const upc_epilogue act = upc_epilogue_of(p);
    const uint32_t local[3] = {w->local[0], w->local[1], 1};
    upc_program_desc_init(&c->product, "winograd", local, p->residual ? 7 : 6);
    const named defines[] = {
        {"TILES", w->tile},
        {"NV", w->oc / w->vec},
        {"VEC", w->vec},
        {"NH", w->axis[1].points},
        {"NW", w->axis[2].points},
        {"MH", w->axis[1].outputs},
        {"MW", w->axis[2].outputs},
        {"ACT", act.act},
        {"RESIDUAL", p->residual},
        {"OUT_STORE", upc_store_of(c->facts, p->type)},
        {"OUT_PACK", out->pack},
        {"OUT_C0", 0},
        {"C_0", 0},
    };
    const named values[] = {
        {"ICG", p->icg},
        {"OCG", p->ocg},
        {"C_N", p->ocg},
        {"SD", axis[0].stride},
        {"SH", axis[1].stride},
        {"SW", axis[2].stride},
        {"PD", axis[0].pad},
        {"PH", axis[1].pad},
        {"PW", axis[2].pad},
        {"DO", axis[0].out},
        {"HO", axis[1].out},
        {"WO", axis[2].out},
        {"QD_0", w->axis[0].q0},
        {"QH_0", w->axis[1].q0},
        {"QW_0", w->axis[2].q0},
        {"TILES_D", w->axis[0].tiles},
        {"TILES_H", w->axis[1].tiles},
        {"TILES_W", w->axis[2].tiles},
        {"TILES_N", w->tiles},
        {"OUT_N", out->image},
        {"OUT_C", out->channel},
        {"OUT_D", out->axis[0]},
        {"OUT_H", out->axis[1]},
        {"OUT_W", out->axis[2]},
        {"ROWS_ALL", c->rows},
        {"ACT_A", act.bits[0]},
        {"ACT_LO", act.bits[1]},
        {"ACT_HI", act.bits[2]},
    };
    define(&c->product, defines, UPC_COUNT(defines));
    static const char *const args[] = {"PANELS", "PANEL_0", "ROWS", "ROW_0", "G_N", "G_0"};
    for (size_t i = 0; i < UPC_COUNT(args); i++)
        upc_program_arg(&c->product, args[i]);
    return tabulate(c, &c->product, values, UPC_COUNT(values));
}

// --------------------------------------------------------------------------------------------------------------- steps

static upconv_status add(cooking *c, const upc_program_desc *program, upc_step *step, const int64_t items[3])
{
    for (int i = 0; i < 3; i++)
        step->groups[i] = groups_of(items[i], program->local[i]);
    const upconv_status status = upc_recipe_program(c->recipe, program, &step->program);
    if (!status && c->recipe->step_count >= (size_t)1 << 16)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "the limits would cut this problem into more than %d dispatches",
                        1 << 16);
    return status ? status : upc_recipe_step(c->recipe, step);
}

static upc_bind points_bind(const cooking *c, const part *x)
{
    const uint64_t panel = (uint64_t)(c->w->points * c->problem->icg * c->w->tile) * 4;
    return (upc_bind){UPC_WORKSPACE, c->points_at, panel * (uint64_t)(x->tn * x->gn)};
}

static upconv_status input_step(cooking *c, const part *x)
{
    upc_step step = {
        .kind = UPC_STEP_KERNEL, .barrier = true, .bind_count = 3}; // the steps before still read the workspace
    const int64_t channels = c->width > 1 ? upc_ceil_div(c->problem->icg, CHANNELS) : c->problem->icg;
    const int64_t items[3] = {c->width > 1 ? x->tn : x->tn * c->w->tile, channels, x->gn};
    const int64_t args[] = {x->tn, x->t0, x->gn, x->g0};
    for (size_t i = 0; i < UPC_COUNT(args); i++)
        step.args[i] = (int32_t)args[i];
    step.bind[0] = (upc_bind){UPC_INPUT, 0, upc_input_bytes(c->problem)};
    step.bind[1] = points_bind(c, x);
    step.bind[2] = (upc_bind){UPC_TABLE, 0, c->recipe->table_count * 4};
    c->recipe->workspace_bytes = UPC_MAX(c->recipe->workspace_bytes, step.bind[1].offset + step.bind[1].range);
    return add(c, &c->input, &step, items);
}

static upconv_status product_step(cooking *c, const part *x)
{
    const upc_problem *p = c->problem;
    const uint64_t unit = (uint64_t)upc_winograd_unit(c->w, p) * 4;
    const upc_bind written = {UPC_OUTPUT, 0, upc_output_bytes(p)};
    const uint64_t channels = (uint64_t)(p->groups * p->ocg) * 4;
    upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = x->r0 == 0};
    const int64_t items[3] = {x->tn, x->rn, x->gn};
    const int64_t args[] = {x->tn, x->t0, x->rn, x->r0, x->gn, x->g0};
    for (size_t i = 0; i < UPC_COUNT(args); i++)
        step.args[i] = (int32_t)args[i];
    uint32_t n = 0;
    step.bind[n++] = points_bind(c, x);
    step.bind[n++] =
        (upc_bind){c->request->dynamic_weights ? UPC_WORKSPACE : UPC_PACKED, unit * (uint64_t)(x->g0 * c->rows + x->r0),
                   unit * (uint64_t)((x->gn - 1) * c->rows + x->rn)};
    step.bind[n++] = (upc_bind){UPC_BIAS, 0, channels};
    step.bind[n++] = (upc_bind){p->act == UPCONV_ACT_PRELU ? UPC_SLOPES : UPC_BIAS, 0, channels};
    step.bind[n++] = written;
    if (p->residual) {
        step.bind[n] = written;
        step.bind[n++].place = UPC_RESIDUAL;
    }
    step.bind[n++] = (upc_bind){UPC_TABLE, 0, c->recipe->table_count * 4};
    step.bind_count = n;
    return add(c, &c->product, &step, items);
}

// Weights that come at execution: each is read where it lies.
static upconv_status weights_steps(cooking *c)
{
    const upc_winograd *w = c->w;
    const upc_problem *p = c->problem;
    const upc_axis *axis = p->axis;
    const uint64_t unit = (uint64_t)upc_winograd_unit(w, p) * 4;
    const uint64_t raw_bytes = upc_weights_elements(p) * upc_type_bytes(c->request->weights_type);
    const uint32_t most = c->facts->info.limits.group_count;
    const int64_t items[3] = {w->oc, p->icg, p->groups * c->rows};
    uint32_t local[3] = {1, 1, 1};
    upc_filter_strides raw;
    upc_program_desc program;
    upc_filter_strides_get(p, c->request->order, &raw);
    upc_group_guess(c->facts, items, 64, local);
    upc_program_desc_init(&program, "winograd_weights", local, 3);
    const named defines[] = {
        {"OC", w->oc},
        {"NH", w->axis[1].points},
        {"NW", w->axis[2].points},
        {"RH", w->axis[1].taps},
        {"RW", w->axis[2].taps},
        {"IN_STORE", upc_store_of(c->facts, c->request->weights_type)},
    };
    const named values[] = {
        {"ICG", p->icg},        {"OCG", p->ocg},        {"OB_ALL", w->blocks},  {"SD", axis[0].stride},
        {"SH", axis[1].stride}, {"SW", axis[2].stride}, {"KD", axis[0].kernel}, {"KH", axis[1].kernel},
        {"KW", axis[2].kernel}, {"RAW_G", raw.group},   {"RAW_I", raw.in},      {"RAW_O", raw.out},
        {"RAW_D", raw.tap[0]},  {"RAW_H", raw.tap[1]},  {"RAW_W", raw.tap[2]},
    };
    define(&program, defines, UPC_COUNT(defines));
    upc_program_arg(&program, "Z_N");
    upc_program_arg(&program, "Z_0");
    const named first = {"RAW_FIRST", raw.first};
    upconv_status status = tabulate(c, &program, values, UPC_COUNT(values));
    if (!status && raw.first)
        status = tabulate(c, &program, &first, 1);
    if (!status &&
        ((int64_t)raw_bytes > c->room || groups_of(items[0], local[0]) > most || groups_of(items[1], local[1]) > most))
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "weights given at execution, %llu bytes, are transformed at once: beyond this "
                        "device's %lld bytes a binding or %u groups",
                        (unsigned long long)raw_bytes, (long long)c->room, most);
    const int64_t at_once = UPC_MIN(UPC_MIN((int64_t)(c->room / (int64_t)unit), (int64_t)most), items[2]);
    for (int64_t z = 0; z < items[2] && !status; z += at_once) {
        const int64_t now[3] = {items[0], items[1], UPC_MIN(at_once, items[2] - z)};
        upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = z == 0, .bind_count = 3};
        step.args[0] = (int32_t)now[2];
        step.args[1] = (int32_t)z;
        step.bind[0] = (upc_bind){UPC_WEIGHTS, 0, raw_bytes};
        step.bind[1] = (upc_bind){UPC_WORKSPACE, unit * (uint64_t)z, unit * (uint64_t)now[2]};
        step.bind[2] = (upc_bind){UPC_TABLE, 0, c->recipe->table_count * 4};
        status = add(c, &program, &step, now);
    }
    return status;
}

// ---------------------------------------------------------------------------------------------------------------- cuts

// Bytes that the transformed inputs may take.
static int64_t points_most(const cooking *c)
{
    uint64_t most = upc_workspace_default(c->problem);
    if (c->request->workspace_limit)
        most = UPC_MIN(most, c->request->workspace_limit - UPC_MIN(c->request->workspace_limit, c->points_at));
    most = UPC_MIN(most, c->facts->info.limits.alloc_bytes - UPC_MIN(c->facts->info.limits.alloc_bytes, c->points_at));
    if (c->facts->family == UPC_FAMILY_CPU)
        most = UPC_MIN(most, (uint64_t)CACHED);
    return UPC_MIN((int64_t)UPC_MIN(most, (uint64_t)INT64_MAX), c->room);
}

// How much of the whole fits the limits at a time; what one item takes is always done at once.
static upconv_status choose_part(const cooking *c, part *at_once)
{
    const upc_winograd *w = c->w;
    const upc_problem *p = c->problem;
    const upconv_limits *limits = &c->facts->info.limits;
    const int64_t most = limits->group_count, panel = w->points * p->icg * w->tile * 4,
                  unit = upc_winograd_unit(w, p) * 4;
    const int64_t panels = points_most(c) / panel;
    if (panels < 1)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "the transformed inputs of one item take %lld bytes of workspace; the limit leaves "
                        "%lld",
                        (long long)panel, (long long)points_most(c));
    if (most < w->tile || groups_of(p->icg, c->input.local[1]) > limits->group_count)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "transforming the inputs of an item takes more than the device's %u groups",
                        limits->group_count);
    const int64_t items = UPC_MAX((int64_t)(limits->dispatch_macs / (uint64_t)(panel / 4 * w->oc)), 1);
    const int64_t by_grid = UPC_MIN(most * w->local[0], most * c->input.local[0] / w->tile);
    at_once->tn = UPC_MIN(UPC_MIN(w->panels, UPC_MIN(panels, items)), by_grid);
    at_once->gn = UPC_MIN(UPC_MIN(p->groups, panels / at_once->tn), most);
    at_once->rn =
        UPC_MIN(UPC_MIN(c->rows, most * w->local[1]), UPC_MIN(c->room / unit, UPC_MAX(items / at_once->tn, 1)));
    if (at_once->rn < c->rows) // the weights of several groups lie apart
        at_once->gn = 1;
    at_once->gn = UPC_MIN(at_once->gn, UPC_MAX(items / (at_once->tn * at_once->rn), 1));
    while (at_once->gn > 1 && at_once->gn * c->rows > c->room / unit)
        at_once->gn--;
    return UPCONV_OK;
}

static upconv_status steps(cooking *c, const part *at_once)
{
    const upc_winograd *w = c->w;
    part x;
    upconv_status status = UPCONV_OK;
    for (x.g0 = 0; x.g0 < c->problem->groups && !status; x.g0 += at_once->gn)
        for (x.t0 = 0; x.t0 < w->panels && !status; x.t0 += at_once->tn) {
            x.gn = UPC_MIN(at_once->gn, c->problem->groups - x.g0);
            x.tn = UPC_MIN(at_once->tn, w->panels - x.t0);
            status = input_step(c, &x);
            for (x.r0 = 0; x.r0 < c->rows && !status; x.r0 += at_once->rn) {
                x.rn = UPC_MIN(at_once->rn, c->rows - x.r0);
                status = product_step(c, &x);
            }
        }
    return status;
}

upconv_status upc_winograd_cook(const upc_winograd *w, const upc_problem *problem, const upc_facts *facts,
                                const upc_request *request, upc_recipe *recipe)
{
    cooking c = {.w = w,
                 .problem = problem,
                 .facts = facts,
                 .request = request,
                 .recipe = recipe,
                 .rows = w->blocks * w->phases,
                 .room = (int64_t)facts->info.limits.binding_bytes - (int64_t)facts->info.offset_alignment};
    const bool vectors = facts->info.backend == UPCONV_BACKEND_OPENCL && facts->family == UPC_FAMILY_CPU;
    c.width = !vectors ? 1 : w->tile <= 4 ? 4 : w->tile <= 8 ? 8 : 16;
    const uint64_t packed = upc_winograd_packed_bytes(w, problem);
    part at_once = {0};
    upconv_status status = input_program(&c);
    if (!status)
        status = product_program(&c);
    if (!status && request->dynamic_weights) {
        recipe->workspace_bytes = packed;
        c.points_at = upc_round_up(packed, WORKSPACE_ALIGNMENT);
        status = weights_steps(&c);
    } else {
        recipe->packed_bytes = packed;
    }
    if (!status)
        status = choose_part(&c, &at_once);
    return status ? status : steps(&c, &at_once);
}
