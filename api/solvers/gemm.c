// By matrix product: the weights of a group, as a matrix of [output channel and tap] x [input channel], times
// an image, give what every tap adds to every output; then shaders/col2im.kernel gathers. The product is
// another library's (facts.gemm: CLBlast), fast where that is tuned for the device, at the price of a
// workspace that holds all products before they are added up.
//
// What is in the workspace at a time is one image and group, cut into ranges of output channels, and then of
// outputs, with the inputs that reach them: both halves of the work stay independent of all other ranges.
#include "gather.h"
#include "packing.h"

#include <stdio.h>
#include <string.h>

enum { GROUP_X, GROUP_Y, SPEC };
enum { MAX_STEPS = 1 << 16, COL_ALIGNMENT = 256 };

static const int32_t yes_no[] = {0, 1};

static const upc_knob knobs[] = {
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES}, // work-group of col2im
    [GROUP_Y] = {"y", upc_group_sizes, UPC_GROUP_SIZES},
    [SPEC] = {"spec", yes_no, UPC_COUNT(yes_no)}, // 1: the geometry is compiled in, a program per problem
};

static int64_t taps_of(const upc_problem *problem)
{
    return problem->axis[0].kernel * problem->axis[1].kernel * problem->axis[2].kernel;
}

static int64_t plane(const upc_problem *problem, bool in)
{
    const upc_axis *a = problem->axis;
    return in ? a[0].in * a[1].in * a[2].in : a[0].out * a[1].out * a[2].out;
}

// Elements of a window; its beginning is rounded down to the device's alignment.
static int64_t room_of(const upc_facts *facts)
{
    return ((int64_t)facts->info.limits.binding_bytes - (int64_t)facts->info.offset_alignment) / 4;
}

// NCHW without gaps within an image.
static bool is_dense(const upc_problem *problem, bool in)
{
    const upc_tensor *tensor = in ? &problem->in : &problem->out;
    const upc_axis *a = problem->axis;
    const int64_t w = in ? a[2].in : a[2].out, h = in ? a[1].in : a[1].out;
    const int64_t channels = problem->groups * (in ? problem->icg : problem->ocg);
    return tensor->pack == 1 && tensor->axis[2] == 1 && tensor->axis[1] == w && tensor->axis[0] == w * h &&
           tensor->channel == plane(problem, in) && tensor->image == channels * tensor->channel;
}

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    if (!facts->gemm) {
        snprintf(sentence, UPC_SENTENCE,
                 "there is no CLBlast here (OpenCL only; opened at run time, and through the same libOpenCL)");
        return sentence;
    }
    if (upc_gather_refuse(problem, true, sentence))
        return sentence;
    if (problem->type != UPCONV_F32 || problem->residual || !is_dense(problem, true) || !is_dense(problem, false)) {
        snprintf(sentence, UPC_SENTENCE, "products are made of dense NCHW tensors of f32, without a residual");
        return sentence;
    }
    const struct {
        const char *what;
        int64_t elements;
    } whole[] = {
        {"a group's input channels", problem->icg * plane(problem, true)},
        {"a group's weights", problem->icg * problem->ocg * taps_of(problem)},
    };
    for (size_t i = 0; i < UPC_COUNT(whole); i++)
        if (whole[i].elements > room_of(facts)) {
            snprintf(sentence, UPC_SENTENCE, "%s have %lld bytes, beyond a binding of %llu, and are not cut",
                     whole[i].what, (long long)whole[i].elements * 4,
                     (unsigned long long)facts->info.limits.binding_bytes);
            return sentence;
        }
    return NULL;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    memset(config, 0, sizeof *config);
    const int64_t items[3] = {problem->axis[2].out, problem->axis[0].out * problem->axis[1].out, 1};
    uint32_t local[2];
    upc_group_guess(facts, items, 64, local);
    config->value[GROUP_X] = (int32_t)local[0];
    config->value[GROUP_Y] = (int32_t)local[1];
    config->value[SPEC] = facts->family != UPC_FAMILY_CPU; // as with phase
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    (void)problem;
    return upc_group_legal(facts, config->value[GROUP_X], config->value[GROUP_Y], sentence);
}

// Multiply-adds (CLBlast fills up the positions to a multiple), the products that go through memory twice,
// and what each call costs. Rates are such that phase comes first: on PoCL it is 1 to 10 times as fast
// (docs/performance.md), and no GPU has been measured. Where gemm is faster, measuring finds out and a tuning
// record says so.
static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    (void)config;
    const double calls = (double)(problem->batch * problem->groups);
    const double rows = calls * (double)(problem->ocg * taps_of(problem)), positions = (double)plane(problem, true);
    const double macs = rows * (double)problem->icg * (double)upc_round_up((uint64_t)plane(problem, true), 16);
    const bool cpu = facts->info.kind == UPCONV_DEVICE_CPU;
    return macs / (cpu ? 6e2 : 3e3) + rows * positions / (cpu ? 30 : 1e3) + calls * 100 + 5;
}

// ---------------------------------------------------------------------------------------------------- the recipe

// What one product and one col2im make: of an image and group, a range of channels and of outputs.
typedef struct box {
    int64_t n, g, c0, cn, o0[3], on[3];
} box;

typedef struct cooking {
    const upc_problem *problem;
    const upc_facts *facts;
    upc_recipe *recipe;
    upc_program_desc col2im;
    upc_place weights; // where the matrices are
    uint64_t col_at;   // where in the workspace the products are
    int64_t col_most;  // elements that they may have
    int64_t room, taps, col_used;
} cooking;

// The inputs that the outputs of a box may read; all counts are 0 where there are none.
static void region_of(const cooking *c, const box *b, int64_t first[3], int64_t count[3])
{
    bool empty = false;
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &c->problem->axis[a];
        const int64_t from = b->o0[a] + axis->pad, to = from + b->on[a] - 1;
        first[a] = UPC_MAX(upc_ceil_div(from - (axis->kernel - 1) * axis->dilation, axis->stride), 0);
        count[a] = UPC_MIN(upc_floor_div(to, axis->stride), axis->in - 1) - first[a] + 1;
        empty = empty || count[a] <= 0;
    }
    for (int a = 0; a < 3 && empty; a++)
        first[a] = count[a] = 0;
}

// Appends the product for a contiguous range of a channel's input positions; `column`: where it is in the
// region.
static upconv_status product_add(cooking *c, const box *b, int64_t start, int64_t length, int64_t column, int64_t area,
                                 bool barrier)
{
    const upc_problem *p = c->problem;
    const int64_t in = plane(p, true), row = p->ocg * c->taps, m = b->cn * c->taps;
    const upc_gemm gemm = {.m = (uint32_t)m, .n = (uint32_t)length, .k = (uint32_t)p->icg, .lda = (uint32_t)row,
                           .ldb = (uint32_t)in, .ldc = (uint32_t)area, .a_transposed = true};
    upc_step step = {.kind = UPC_STEP_GEMM, .barrier = barrier, .gemm = gemm, .bind_count = UPC_GEMM_BINDINGS};
    const int64_t a_at = b->g * p->icg * row + b->c0 * c->taps, b_at = (b->n * p->groups + b->g) * p->icg * in + start;
    step.bind[UPC_GEMM_A] = (upc_bind){c->weights, (uint64_t)a_at * 4, (uint64_t)((p->icg - 1) * row + m) * 4};
    step.bind[UPC_GEMM_B] = (upc_bind){UPC_INPUT, (uint64_t)b_at * 4, (uint64_t)((p->icg - 1) * in + length) * 4};
    step.bind[UPC_GEMM_C] = (upc_bind){UPC_WORKSPACE, c->col_at + (uint64_t)column * 4,
                                       (uint64_t)((m - 1) * area + length) * 4};
    return upc_recipe_step(c->recipe, &step);
}

// The region is contiguous as a whole, plane by plane, or line by line.
static upconv_status products_add(cooking *c, const box *b, const int64_t first[3], const int64_t count[3])
{
    const upc_axis *h = &c->problem->axis[1], *w = &c->problem->axis[2];
    const bool lines = count[2] == w->in, planes = lines && count[1] == h->in;
    const int64_t area = count[0] * count[1] * count[2];
    const int64_t all_d = planes ? 1 : count[0], all_h = lines ? 1 : count[1];
    const int64_t length = area / UPC_MAX(all_d * all_h, 1);
    upconv_status status = UPCONV_OK;
    for (int64_t run = 0; area && run < all_d * all_h && !status; run++) {
        const int64_t start = ((first[0] + run / all_h) * h->in + first[1] + run % all_h) * w->in + first[2];
        // the first waits for col2im to have read what stands there, be it of the submission before
        status = product_add(c, b, start, length, run * length, area, run == 0);
    }
    return status;
}

static int64_t out_index(const upc_problem *p, int64_t d, int64_t h, int64_t w)
{
    return (d * p->axis[1].out + h) * p->axis[2].out + w;
}

static upc_window out_window(const upc_problem *p, const box *b)
{
    const int64_t start = out_index(p, b->o0[0], b->o0[1], b->o0[2]);
    const int64_t end = out_index(p, b->o0[0] + b->on[0] - 1, b->o0[1] + b->on[1] - 1, b->o0[2] + b->on[2] - 1);
    const int64_t channel = (b->n * p->groups + b->g) * p->ocg + b->c0, out = plane(p, false);
    return (upc_window){channel * out + start, (b->cn - 1) * out + end - start + 1};
}

// In the order of `values` in gather_add.
static const char *const arg_names[] = {"OW_0", "OW_N", "ROWS", "OH_0", "OH_N", "OD_0", "C_0",  "C_N",
                                        "ID_0", "ID_N", "IH_0", "IH_N", "IW_0", "IW_N", "DST_0"};

static upconv_status gather_add(cooking *c, const box *b, const int64_t first[3], const int64_t count[3])
{
    const upc_problem *p = c->problem;
    const upc_window out = out_window(p, b);
    const int64_t values[UPC_COUNT(arg_names)] = {
        b->o0[2], b->on[2], b->on[0] * b->on[1], b->o0[1], b->on[1], b->o0[0], b->c0, b->cn, first[0], count[0],
        first[1], count[1], first[2], count[2], out_index(p, b->o0[0], b->o0[1], b->o0[2]),
    };
    const int64_t items[3] = {b->on[2], b->on[0] * b->on[1], b->cn};
    const int64_t col = UPC_MAX(b->cn * c->taps * count[0] * count[1] * count[2], 1);
    const uint64_t channel = (uint64_t)(b->g * p->ocg + b->c0) * 4, channels = (uint64_t)b->cn * 4;
    upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = true, .bind_count = 5};
    for (size_t i = 0; i < UPC_COUNT(values); i++)
        step.args[i] = (int32_t)values[i];
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], c->col2im.local[i]);
    step.bind[0] = (upc_bind){UPC_WORKSPACE, c->col_at, (uint64_t)col * 4};
    step.bind[1] = (upc_bind){UPC_OUTPUT, (uint64_t)out.first * 4, (uint64_t)out.count * 4};
    step.bind[2] = (upc_bind){UPC_BIAS, channel, channels};
    step.bind[3] = (upc_bind){p->act == UPCONV_ACT_PRELU ? UPC_SLOPES : UPC_BIAS, channel, channels};
    step.bind[4] = (upc_bind){UPC_TABLE, 0, c->recipe->table_count * 4};
    c->col_used = UPC_MAX(c->col_used, col);
    const upconv_status status = upc_recipe_program(c->recipe, &c->col2im, &step.program);
    return status ? status : upc_recipe_step(c->recipe, &step);
}

// The longest of the ranges that may be halved: channels, because no product is then made twice; else the
// slowest axis, whose inputs stay contiguous the longest. NULL: there is none left.
static int64_t *cut_of(box *b, const bool may[4], int64_t **first)
{
    if (may[0] && b->cn > 1) {
        *first = &b->c0;
        return &b->cn;
    }
    for (int a = 0; a < 3; a++)
        if (may[a + 1] && b->on[a] > 1) {
            *first = &b->o0[a];
            return &b->on[a];
        }
    return NULL;
}

// Why a box has to be cut, or NULL; `may` gets along which ranges (channels, d, h, w), *must whether it
// cannot stay whole.
static const char *too_large(const cooking *c, const box *b, const int64_t count[3], bool may[4], bool *must)
{
    const upconv_limits *limits = &c->facts->info.limits;
    const int64_t area = count[0] * count[1] * count[2], most = limits->group_count;
    memcpy(may, (const bool[4]){true, true, true, true}, 4 * sizeof *may);
    *must = true;
    if (b->cn * c->taps * area > c->col_most)
        return "the products' workspace";
    if (out_window(c->problem, b).count > c->room)
        return "the output's window";
    if (upc_ceil_div(b->on[2], c->col2im.local[0]) > most) {
        may[0] = may[1] = may[2] = false;
        return "the grid";
    }
    if (upc_ceil_div(b->on[0] * b->on[1], c->col2im.local[1]) > most) {
        may[0] = may[3] = false;
        return "the grid";
    }
    if (b->cn > most) {
        may[1] = may[2] = may[3] = false;
        return "the grid";
    }
    *must = false;
    return (double)(b->cn * c->taps) * (double)area * (double)c->problem->icg > (double)limits->dispatch_macs ? "time"
                                                                                                              : NULL;
}

static upconv_status run(cooking *c, const box *whole)
{
    int64_t region[3], count[3], *first;
    bool may[4], must;
    box half = *whole;
    region_of(c, whole, region, count);
    const char *why = too_large(c, whole, count, may, &must);
    int64_t *range = why ? cut_of(&half, may, &first) : NULL;
    if (range) {
        const int64_t all = *range, lower = all / 2;
        *range = lower;
        const upconv_status status = run(c, &half);
        *first += lower;
        *range = all - lower;
        return status ? status : run(c, &half);
    }
    if (why && must)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "%s cannot be cut below the limits (%lld bytes of products, %llu a binding, "
                        "%u groups)",
                        why, (long long)c->col_most * 4, (unsigned long long)c->facts->info.limits.binding_bytes,
                        c->facts->info.limits.group_count);
    if (c->recipe->step_count > MAX_STEPS)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "the limits would cut this problem into more than %d steps",
                        MAX_STEPS);
    const upconv_status status = products_add(c, whole, region, count);
    return status ? status : gather_add(c, whole, region, count);
}

// ------------------------------------------------------------------------------------------------------- parameters

// Residues of all axes; shift: strides by which an axis' padding is raised so that no position is negative.
static upconv_status table_add(upc_recipe *recipe, const upc_taps *taps, const int64_t shift[3])
{
    for (int a = 0; a < 3; a++)
        for (int64_t r = 0; r < taps->axis[a].stride; r++) {
            const upc_residue *residue = &taps->axis[a].residue[r];
            const int64_t values[3] = {residue->count, residue->input - shift[a], residue->tap};
            for (int i = 0; i < 3; i++) {
                const upconv_status status = upc_recipe_table(recipe, (int32_t)values[i]);
                if (status)
                    return status;
            }
        }
    return UPCONV_OK;
}

// The table begins with what every problem has, so that a program which reads it fits all strides; then come the residues.
static upconv_status params_add(cooking *c, const upc_taps *taps, bool spec)
{
    const upc_axis *a = c->problem->axis;
    const upc_tap_axis *t = taps->axis;
    const upc_epilogue act = upc_epilogue_of(c->problem);
    int64_t shift[3];
    for (int i = 0; i < 3; i++)
        shift[i] = a[i].pad < 0 ? upc_ceil_div(-a[i].pad, t[i].stride) : 0;
    upconv_status status = UPCONV_OK;
    const struct {
        const char *name;
        int64_t value;
        bool residues; // counts from where they begin
    } fixed[] = {
        {"HO", a[1].out}, {"WO", a[2].out}, {"OUT_C", plane(c->problem, false)}, {"OCG", c->problem->ocg},
        {"PD", a[0].pad + shift[0] * t[0].stride}, {"PH", a[1].pad + shift[1] * t[1].stride},
        {"PW", a[2].pad + shift[2] * t[2].stride}, {"SD", t[0].stride}, {"SH", t[1].stride}, {"SW", t[2].stride},
        {"DGD", t[0].input_step}, {"DGH", t[1].input_step}, {"DGW", t[2].input_step},
        {"STEP_D", t[0].tap_step}, {"STEP_H", t[1].tap_step}, {"STEP_W", t[2].tap_step},
        {"KD", a[0].kernel}, {"KH", a[1].kernel}, {"KW", a[2].kernel},
        {"TAPS_D", 0, true}, {"TAPS_H", 3 * t[0].stride, true}, {"TAPS_W", 3 * (t[0].stride + t[1].stride), true},
        {"ACT_A", act.bits[0]}, {"ACT_LO", act.bits[1]}, {"ACT_HI", act.bits[2]},
    };
    const int64_t residues = (int64_t)c->recipe->table_count + (spec ? 0 : (int64_t)UPC_COUNT(fixed));
    upc_program_param(&c->col2im, "ACCUMULATE", UPC_PARAM_DEFINE, 0);
    upc_program_param(&c->col2im, "ACT", UPC_PARAM_DEFINE, act.act);
    for (size_t i = 0; i < UPC_COUNT(fixed) && !status; i++) {
        const int64_t value = fixed[i].value + (fixed[i].residues ? residues : 0);
        upc_program_param(&c->col2im, fixed[i].name, spec ? UPC_PARAM_SPEC : UPC_PARAM_TABLE,
                          (int32_t)(spec ? value : (int64_t)c->recipe->table_count));
        if (!spec)
            status = upc_recipe_table(c->recipe, (int32_t)value);
    }
    if (!status)
        status = table_add(c->recipe, taps, shift);
    for (size_t i = 0; i < UPC_COUNT(arg_names); i++)
        upc_program_arg(&c->col2im, arg_names[i]);
    if (!status && (int64_t)c->recipe->table_count > c->room)
        status = upc_fail(UPCONV_ERROR_UNSUPPORTED, "the table of taps has %zu bytes, a binding at most %llu",
                          c->recipe->table_count * 4, (unsigned long long)c->facts->info.limits.binding_bytes);
    return status;
}

// Weights that come at execution in f16, or in an order whose groups are no matrices: a step that makes matrices of them, in the
// workspace.
static upconv_status reorder_add(cooking *c, const upc_request *request)
{
    const upc_problem *p = c->problem;
    const uint64_t bytes = upc_weights_elements(p) * 4;
    const int64_t items[3] = {p->ocg * c->taps, p->icg, p->groups};
    uint32_t local[3] = {1, 1, 1};
    upc_group_guess(c->facts, items, 64, local);
    upc_filter_strides raw;
    upc_filter_strides_get(p, request->order, &raw);
    const struct {
        const char *name;
        int64_t value;
    } args[] = {{"ROW_N", items[0]}, {"ICG", p->icg},   {"GROUPS", p->groups}, {"TAPS", c->taps},
                {"RAW_G", raw.group}, {"RAW_I", raw.in}, {"RAW_O", raw.out},    {"RAW_K", raw.tap[2]}};
    upc_program_desc program;
    upc_program_desc_init(&program, "reorder", local, 2);
    upc_program_param(&program, "IN_STORE", UPC_PARAM_DEFINE, (int32_t)upc_store_of(c->facts, request->weights_type));
    upc_program_param(&program, "ACCUMULATE", UPC_PARAM_DEFINE, 0); // the epilogue's, which this kernel does not use
    upc_program_param(&program, "ACT", UPC_PARAM_DEFINE, 0);
    upc_step step = {.kind = UPC_STEP_KERNEL, .bind_count = 2, .barrier = true};
    for (size_t i = 0; i < UPC_COUNT(args); i++)
        step.args[upc_program_arg(&program, args[i].name)] = (int32_t)args[i].value;
    step.bind[0] = (upc_bind){UPC_WEIGHTS, 0, upc_weights_elements(p) * upc_type_bytes(request->weights_type)};
    step.bind[1] = (upc_bind){UPC_WORKSPACE, 0, bytes};
    for (int i = 0; i < 3; i++) {
        const int64_t all = upc_ceil_div(items[i], local[i]);
        if (all > c->facts->info.limits.group_count || (int64_t)(bytes / 4) > c->room)
            return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                            "weights given at execution, %llu bytes, are reordered at once: beyond "
                            "this device's %llu bytes a binding or %u groups",
                            (unsigned long long)bytes, (unsigned long long)c->facts->info.limits.binding_bytes,
                            c->facts->info.limits.group_count);
        step.groups[i] = (uint32_t)all;
    }
    const upconv_status status = upc_recipe_program(c->recipe, &program, &step.program);
    return status ? status : upc_recipe_step(c->recipe, &step);
}

// ------------------------------------------------------------------------------------------------------------- cook

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    const uint32_t local[3] = {(uint32_t)config->value[GROUP_X], (uint32_t)config->value[GROUP_Y], 1};
    const uint64_t weights = upc_weights_elements(problem) * 4;
    const bool reorder = request->dynamic_weights &&
                         (request->order != UPCONV_FILTER_IOK || request->weights_type != UPCONV_F32);
    cooking c = {.problem = problem, .facts = facts, .recipe = recipe, .room = room_of(facts), .taps = taps_of(problem),
                 .weights = reorder ? UPC_WORKSPACE : request->dynamic_weights ? UPC_WEIGHTS : UPC_PACKED};
    c.col_at = reorder ? upc_round_up(weights, COL_ALIGNMENT) : 0;
    uint64_t most = upc_workspace_default(problem);
    if (request->workspace_limit)
        most = UPC_MIN(most, request->workspace_limit - UPC_MIN(request->workspace_limit, c.col_at));
    c.col_most = (int64_t)UPC_MIN(most / 4, (uint64_t)UPC_MAX(c.room, 0));
    recipe->packed_bytes = request->dynamic_weights ? 0 : weights;
    upc_program_desc_init(&c.col2im, "col2im", local, 5);
    upc_taps taps;
    upconv_status status = upc_taps_init(&taps, recipe->env, problem, true);
    if (status)
        return status;
    status = params_add(&c, &taps, config->value[SPEC] != 0);
    upc_taps_finish(&taps);
    if (!status && reorder)
        status = reorder_add(&c, request);
    for (int64_t i = 0; i < problem->batch * problem->groups && !status; i++) {
        box whole = {.n = i / problem->groups, .g = i % problem->groups, .cn = problem->ocg};
        for (int a = 0; a < 3; a++)
            whole.on[a] = problem->axis[a].out;
        status = run(&c, &whole);
    }
    recipe->workspace_bytes = c.col_at + (uint64_t)c.col_used * 4;
    return status;
}

static upconv_status pack(const upc_env *env, const upc_problem *problem, const upc_facts *facts,
                          const upc_config *config, const float *weights, upconv_filter_order order, void *packed)
{
    (void)facts;
    (void)config;
    upc_filter_strides from;
    upc_filter_strides_get(problem, order, &from);
    const int64_t taps = taps_of(problem), row = problem->ocg * taps;
    if (order == UPCONV_FILTER_IOK) {
        memcpy(packed, weights, upc_weights_elements(problem) * sizeof(float));
        return UPCONV_OK;
    }
    int64_t *column = upc_alloc_array(env, (size_t)row, sizeof *column);
    if (!column)
        return upc_no_memory((size_t)row * sizeof *column);
    for (int64_t i = 0; i < row; i++) // taps are equally far apart in every order
        column[i] = i / taps * from.out + i % taps * from.tap[2];
    const upc_pack_tap all = {0, 0};
    const upc_pack_map map = {
        .groups = problem->groups, .panels = problem->ocg, .taps = 1, .inner = problem->icg, .columns = taps,
        .from_group = from.group, .from_inner = from.in, .to_group = problem->icg * row, .to_panel = taps, .to_inner = row,
        .tap = &all, .column = column,
    };
    upc_pack_run(&map, weights, packed);
    upc_free(env, column);
    return UPCONV_OK;
}

const upc_solver upc_solver_gemm = {
    .name = "gemm", .version = 1, .knobs = knobs, .knob_count = UPC_COUNT(knobs), .refuse = refuse, .guess = guess,
    .legal = legal, .cost_us = cost_us, .cook = cook, .pack = pack,
};
