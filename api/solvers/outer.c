// The gradient of a filter from tensors as they are (shaders/outer.kernel): any parameters, any limits.
// Always there; panels.c is for processors.
#include "gather.h"
#include "grad.h"

#include <stdio.h>
#include <string.h>

enum { ROWS, GROUP_X, GROUP_Y };

static const int32_t rows[] = {1, 2, 4};

static const upc_knob knobs[] = {
    [ROWS] = {"rows", rows, UPC_COUNT(rows)},            // input channels of an item
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES}, // work-group
    [GROUP_Y] = {"y", upc_group_sizes, UPC_GROUP_SIZES},
};

enum { TILE = 4, SEGMENT = 256 }; // output channels of an item, positions of a piece of a line: as in the kernel

// What a dispatch adds up, and of which elements: images, groups, channels of a group, inputs and taps on the axes.
enum { N, G, I, O, Q, K = Q + 3, RANGES = K + 3 };

typedef struct box {
    int64_t first[RANGES], count[RANGES];
} box;

typedef struct cooking {
    const upc_problem *problem;
    const upc_facts *facts;
    upc_recipe *recipe;
    upc_filter_strides filter;
    int64_t rows, shares, elements; // of an item; of the filter
    upc_program_desc program;
    uint64_t table_bytes;
} cooking;

typedef struct window {
    int64_t first, count; // elements
} window;

// --------------------------------------------------------------------------------------------------------------- windows

static window of_input(const cooking *c, const box *b)
{
    const upc_problem *p = c->problem;
    const upc_tensor *in = &p->in;
    const int64_t *f = b->first, *n = b->count;
    const int64_t from = upc_tensor_at(in, f[N], f[G] * p->icg + f[I], f[Q], f[Q + 1], f[Q + 2]);
    const int64_t to = upc_tensor_at(in, f[N] + n[N] - 1, (f[G] + n[G] - 1) * p->icg + f[I] + n[I] - 1, f[Q] + n[Q] - 1,
                                     f[Q + 1] + n[Q + 1] - 1, f[Q + 2] + n[Q + 2] - 1);
    // channels of a block may count backwards: whole blocks
    const int64_t start = from / 4 * 4, end = to + (in->pack > 1 ? in->pack : 0);
    return (window){start, UPC_MIN(end + 1, in->elements) - start};
}

// Outputs that the inputs of a box reach with its taps, on an axis; one of them where there are none.
static void outputs_of(const upc_axis *axis, const box *b, int a, int64_t *first, int64_t *last)
{
    const int64_t *f = b->first, *n = b->count;
    *first = f[Q + a] * axis->stride + f[K + a] * axis->dilation - axis->pad;
    *last = *first + (n[Q + a] - 1) * axis->stride + (n[K + a] - 1) * axis->dilation;
    *first = UPC_MIN(UPC_MAX(*first, 0), axis->out - 1);
    *last = UPC_MAX(UPC_MIN(*last, axis->out - 1), *first);
}

static window of_gradient(const cooking *c, const box *b)
{
    const upc_problem *p = c->problem;
    const upc_tensor *out = &p->out;
    const int64_t *f = b->first, *n = b->count;
    int64_t first[3], last[3];
    for (int a = 0; a < 3; a++)
        outputs_of(&p->axis[a], b, a, &first[a], &last[a]);
    const int64_t from = upc_tensor_at(out, f[N], f[G] * p->ocg + f[O], first[0], first[1], first[2]);
    const int64_t to =
        upc_tensor_at(out, f[N] + n[N] - 1, (f[G] + n[G] - 1) * p->ocg + f[O] + n[O] - 1, last[0], last[1], last[2]);
    const int64_t start = from / 4 * 4, end = to + (out->pack > 1 ? out->pack : 0);
    return (window){start, UPC_MIN(end + 1, out->elements) - start};
}

static window of_filter(const cooking *c, const box *b)
{
    const int64_t step[RANGES] = {[G] = c->filter.group,  [I] = c->filter.in,         [O] = c->filter.out,
                                  [K] = c->filter.tap[0], [K + 1] = c->filter.tap[1], [K + 2] = c->filter.tap[2]};
    window w = {0, 1 + (c->shares - 1) * c->elements};
    for (int r = 0; r < RANGES; r++) {
        w.first += b->first[r] * step[r];
        w.count += (b->count[r] - 1) * step[r];
    }
    return w;
}

// ------------------------------------------------------------------------------------------------------------------ cuts

// Of the ranges of which there is more than one: the one that spans the most; -1: there is none.
static int widest(const box *b, const int64_t distance[RANGES])
{
    int found = -1;
    int64_t most = 0;
    for (int r = 0; r < RANGES; r++)
        if (b->count[r] > 1 && (b->count[r] - 1) * distance[r] > most) {
            most = (b->count[r] - 1) * distance[r];
            found = r;
        }
    return found;
}

static int cut_for_tensor(const cooking *c, const box *b, bool in)
{
    const upc_problem *p = c->problem;
    const upc_tensor *t = in ? &p->in : &p->out;
    const int64_t channel = UPC_MAX(t->channel / t->pack, 1);
    int64_t distance[RANGES] = {[N] = t->image, [G] = (in ? p->icg : p->ocg) * channel};
    distance[in ? I : O] = channel;
    for (int a = 0; a < 3; a++) {
        distance[Q + a] = (in ? 1 : p->axis[a].stride) * t->axis[a];
        distance[K + a] = in ? 0 : p->axis[a].dilation * t->axis[a];
    }
    return widest(b, distance);
}

static int cut_for_filter(const cooking *c, const box *b)
{
    const int64_t distance[RANGES] = {[G] = c->filter.group,  [I] = c->filter.in,         [O] = c->filter.out,
                                      [K] = c->filter.tap[0], [K + 1] = c->filter.tap[1], [K + 2] = c->filter.tap[2]};
    return widest(b, distance);
}

static double product(const box *b, int first, int last)
{
    double all = 1;
    for (int r = first; r <= last; r++)
        all *= (double)b->count[r];
    return all;
}

static void items_of(const cooking *c, const box *b, int64_t items[3])
{
    items[0] = b->count[K] * b->count[K + 1] * b->count[K + 2] * upc_ceil_div(b->count[O], TILE);
    items[1] = b->count[G] * upc_ceil_div(b->count[I], c->rows);
    items[2] = c->shares;
}

// Which range to halve so that a box fits the limits: -1 with *why NULL where it fits, -1 with *why where none helps.
static int choose_cut(const cooking *c, const box *b, const char **why)
{
    static const int64_t of_taps[RANGES] = {[O] = 1, [K] = 1, [K + 1] = 1, [K + 2] = 1},
                         of_groups[RANGES] = {[G] = 1, [I] = 1};
    static const int64_t of_rounds[RANGES] = {[N] = 1, [Q] = 1, [Q + 1] = 1, [Q + 2] = 1};
    static const int64_t any[RANGES] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    const upc_problem *p = c->problem;
    const int64_t room = upc_grad_room(c->facts), most = c->facts->info.limits.group_count;
    const int64_t bytes = (int64_t)upc_type_bytes(p->type);
    int64_t items[3];
    items_of(c, b, items);
    *why = "the input's window";
    if (of_input(c, b).count > room / bytes)
        return cut_for_tensor(c, b, true);
    *why = "the gradient's window";
    if (of_gradient(c, b).count > room / bytes)
        return cut_for_tensor(c, b, false);
    *why = "the filter's window";
    if (of_filter(c, b).count > room / 4)
        return cut_for_filter(c, b);
    *why = "the grid";
    if (upc_ceil_div(items[0], c->program.local[0]) > most)
        return widest(b, of_taps);
    if (upc_ceil_div(items[1], c->program.local[1]) > most)
        return widest(b, of_groups);
    *why = "the loops of an item";
    const double lines = product(b, N, N) * product(b, Q, Q + 1),
                 units = lines * (double)upc_ceil_div(b->count[Q + 2], SEGMENT);
    const double rounds = 2 + (units / (double)c->shares + 1) * (double)(UPC_MIN(b->count[Q + 2], SEGMENT) + 2);
    if ((c->facts->loop_rounds && rounds > c->facts->loop_rounds) || lines * (double)b->count[Q + 2] > INT32_MAX)
        return widest(b, of_rounds);
    *why = NULL;
    const double macs = product(b, N, N) * product(b, G, RANGES - 1);
    return macs > (double)c->facts->info.limits.dispatch_macs ? widest(b, any) : -1;
}

// ---------------------------------------------------------------------------------------------------------------- recipe

static int32_t clamp32(int64_t value) { return value > INT32_MAX ? 0 : (int32_t)value; } // then only one is in a window

static const char *const arg_names[] = {"NN",    "G_N",    "I_N",   "O_N",   "QD_0",   "QD_N", "QH_0", "QH_N",
                                        "QW_0",  "QW_N",   "KD_0",  "KD_N",  "KH_0",   "KH_N", "KW_0", "KW_N",
                                        "SRC_0", "GRAD_0", "DST_0", "IN_C0", "OUT_C0", "FIRST"};

static upconv_status tabulate(cooking *c)
{
    const upc_problem *p = c->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const upc_filter_strides *f = &c->filter;
    const struct {
        const char *name;
        int64_t value;
    } fixed[] = {
        {"DO", d->out},
        {"HO", h->out},
        {"WO", w->out},
        {"SD", d->stride},
        {"SH", h->stride},
        {"SW", w->stride},
        {"DD", d->dilation},
        {"DH", h->dilation},
        {"DW", w->dilation},
        {"PD", d->pad},
        {"PH", h->pad},
        {"PW", w->pad},
        {"ICG", p->icg},
        {"OCG", p->ocg},
        {"IN_N", p->in.image},
        {"IN_C", p->in.channel},
        {"IN_D", p->in.axis[0]},
        {"IN_H", p->in.axis[1]},
        {"IN_W", p->in.axis[2]},
        {"OUT_N", p->out.image},
        {"OUT_C", p->out.channel},
        {"OUT_D", p->out.axis[0]},
        {"OUT_H", p->out.axis[1]},
        {"OUT_W", p->out.axis[2]},
        {"F_G", f->group},
        {"F_I", f->in},
        {"F_O", f->out},
        {"F_KD", f->tap[0]},
        {"F_KH", f->tap[1]},
        {"F_KW", f->tap[2]},
        {"FILTER", c->elements},
        {"SHARES", c->shares},
    };
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < UPC_COUNT(fixed) && !status; i++) {
        upc_program_param(&c->program, fixed[i].name, UPC_PARAM_TABLE, (int32_t)i);
        status = upc_recipe_table(c->recipe, clamp32(fixed[i].value));
    }
    c->table_bytes = UPC_COUNT(fixed) * 4;
    return status;
}

static void describe(cooking *c, const upc_config *config)
{
    const upc_problem *p = c->problem;
    const uint32_t local[3] = {(uint32_t)config->value[GROUP_X], (uint32_t)config->value[GROUP_Y], 1};
    const struct {
        const char *name;
        int64_t value;
    } defines[] = {{"IN_STORE", upc_store_of(c->facts, p->type)},
                   {"IN_PACK", p->in.pack},
                   {"OUT_PACK", p->out.pack},
                   {"ROWS", c->rows}};
    upc_program_desc_init(&c->program, "outer", local, 4);
    for (size_t i = 0; i < UPC_COUNT(defines); i++)
        upc_program_param(&c->program, defines[i].name, UPC_PARAM_DEFINE, (int32_t)defines[i].value);
    for (size_t i = 0; i < UPC_COUNT(arg_names); i++)
        upc_program_arg(&c->program, arg_names[i]);
}

static upconv_status emit(cooking *c, const box *b)
{
    const upc_problem *p = c->problem;
    const window in = of_input(c, b), grad = of_gradient(c, b), filter = of_filter(c, b);
    const int64_t *f = b->first, *n = b->count;
    const int64_t in_c = f[G] * p->icg + f[I], out_c = f[G] * p->ocg + f[O];
    const bool first =
        f[N] + f[Q] + f[Q + 1] + f[Q + 2] == 0; // boxes come in order, so nothing has been added up here before
    const int64_t values[UPC_COUNT(arg_names)] = {
        n[N],
        n[G],
        n[I],
        n[O],
        f[Q],
        n[Q],
        f[Q + 1],
        n[Q + 1],
        f[Q + 2],
        n[Q + 2],
        f[K],
        n[K],
        f[K + 1],
        n[K + 1],
        f[K + 2],
        n[K + 2],
        in.first - upc_tensor_at(&p->in, f[N], in_c - in_c % p->in.pack, 0, 0, 0),
        grad.first - upc_tensor_at(&p->out, f[N], out_c - out_c % p->out.pack, 0, 0, 0),
        filter.first - f[G] * c->filter.group - f[I] * c->filter.in - f[O] * c->filter.out,
        in_c % p->in.pack,
        out_c % p->out.pack,
        first,
    };
    int64_t items[3];
    const uint64_t bytes = upc_type_bytes(p->type);
    upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = !first || c->recipe->step_count == 0, .bind_count = 4};
    items_of(c, b, items);
    for (size_t i = 0; i < UPC_COUNT(values); i++)
        step.args[i] = (int32_t)values[i];
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], c->program.local[i]);
    step.bind[0] = (upc_bind){UPC_INPUT, (uint64_t)in.first * bytes, (uint64_t)in.count * bytes};
    step.bind[1] = (upc_bind){UPC_OUTPUT_GRAD, (uint64_t)grad.first * bytes, (uint64_t)grad.count * bytes};
    step.bind[2] =
        (upc_bind){c->shares > 1 ? UPC_WORKSPACE : UPC_OUTPUT, (uint64_t)filter.first * 4, (uint64_t)filter.count * 4};
    step.bind[3] = (upc_bind){UPC_TABLE, 0, c->table_bytes};
    if (c->recipe->step_count >= UPC_MAX_DISPATCHES)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED, "the limits would cut this problem into more than %d dispatches",
                        UPC_MAX_DISPATCHES);
    const upconv_status status = upc_recipe_program(c->recipe, &c->program, &step.program);
    return status ? status : upc_recipe_step(c->recipe, &step);
}

static upconv_status run(cooking *c, const box *whole)
{
    const char *why;
    const int cut = choose_cut(c, whole, &why);
    if (cut < 0 && why)
        return upc_fail(UPCONV_ERROR_UNSUPPORTED,
                        "%s cannot be cut below this device's limit (%llu bytes a binding, %u groups)", why,
                        (unsigned long long)c->facts->info.limits.binding_bytes, c->facts->info.limits.group_count);
    if (cut < 0)
        return emit(c, whole);
    box half = *whole;
    const int64_t all = whole->count[cut], step = (cut == I || cut == O) && all > TILE ? TILE : 1;
    half.count[cut] = UPC_MAX(all / 2 / step, 1) * step;
    const upconv_status status = run(c, &half);
    half.first[cut] += half.count[cut];
    half.count[cut] = all - half.count[cut];
    return status ? status : run(c, &half);
}

// So many that the device is busy, each with a thousand positions at least.
static int64_t shares_of(const upc_problem *p, const upc_facts *facts, uint64_t limit)
{
    const int64_t wanted =
        facts->info.kind == UPCONV_DEVICE_CPU ? 64 : 512 * (int64_t)UPC_MAX(facts->info.compute_units, 4);
    const int64_t elements = (int64_t)upc_filter_elements(p);
    const double items = (double)elements / (TILE * TILE);
    const double positions = (double)p->batch * (double)p->axis[0].in * (double)p->axis[1].in * (double)p->axis[2].in;
    const double lines = positions / (double)UPC_MIN(p->axis[2].in, SEGMENT);
    double shares = UPC_MIN(UPC_MIN((double)wanted / items, positions / 1024), lines);
    shares = UPC_MIN(shares, (double)UPC_MIN((int64_t)UPC_MIN(limit, (uint64_t)INT64_MAX), upc_grad_room(facts)) / 8 /
                                 (double)elements);
    return shares < 2 ? 1 : UPC_MIN((int64_t)shares, UPC_MIN(1024, (int64_t)facts->info.limits.group_count));
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    cooking c = {.problem = problem,
                 .facts = facts,
                 .recipe = recipe,
                 .rows = config->value[ROWS],
                 .elements = (int64_t)upc_filter_elements(problem)};
    const uint64_t limit = request->workspace_limit ? request->workspace_limit : upc_workspace_default(problem);
    upc_filter_strides_get(problem, request->order, &c.filter);
    c.shares = shares_of(problem, facts, UPC_MIN(limit, facts->info.limits.alloc_bytes));
    box whole = {.count = {[N] = problem->batch, [G] = problem->groups, [I] = problem->icg, [O] = problem->ocg}};
    for (int a = 0; a < 3; a++) {
        whole.count[Q + a] = problem->axis[a].in;
        whole.count[K + a] = problem->axis[a].kernel;
    }
    describe(&c, config);
    upconv_status status = tabulate(&c);
    if (!status)
        status = run(&c, &whole);
    if (status || c.shares == 1)
        return status;
    recipe->workspace_bytes = (uint64_t)(c.shares * c.elements) * 4;
    return upc_total_cook(facts, 0, c.elements, c.shares, recipe);
}

// --------------------------------------------------------------------------------------------------------------- choices

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    if (facts->info.backend == UPCONV_BACKEND_CPU) {
        snprintf(sentence, UPC_SENTENCE, "it has no plain C version");
        return sentence;
    }
    // within an image; between images there is a window for each where they are far apart
    const int64_t reach = UPC_MAX(problem->in.elements - (problem->batch - 1) * problem->in.image,
                                  problem->out.elements - (problem->batch - 1) * problem->out.image);
    if (reach > INT32_MAX / 4 || upc_filter_elements(problem) > INT32_MAX / 4) {
        snprintf(sentence, UPC_SENTENCE, "images of %lld elements or %llu weights are beyond 32-bit indices",
                 (long long)reach, (unsigned long long)upc_filter_elements(problem));
        return sentence;
    }
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        const int64_t far =
            axis->in * axis->stride + axis->kernel * axis->dilation + UPC_MAX(axis->pad, -axis->pad) + axis->out;
        if (far > INT32_MAX) {
            snprintf(sentence, UPC_SENTENCE, "positions up to %lld on an axis are beyond 32 bits", (long long)far);
            return sentence;
        }
    }
    return NULL;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    const upc_axis *axis = problem->axis;
    // V3D has registers for few
    const int32_t rows_of = facts->family == UPC_FAMILY_V3D || problem->icg == 1 ? 1 : problem->icg == 2 ? 2 : 4;
    const int64_t items[3] = {axis[0].kernel * axis[1].kernel * axis[2].kernel * upc_ceil_div(problem->ocg, TILE),
                              problem->groups * upc_ceil_div(problem->icg, rows_of), 1};
    uint32_t local[2];
    memset(config, 0, sizeof *config);
    upc_group_guess(facts, items, 64, local);
    config->value[ROWS] = rows_of;
    config->value[GROUP_X] = (int32_t)local[0];
    config->value[GROUP_Y] = (int32_t)local[1];
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    (void)problem;
    return upc_group_legal(facts, config->value[GROUP_X], config->value[GROUP_Y], sentence);
}

// A load for two multiply-adds, one element at a time.
static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    const int64_t n = config->value[ROWS];
    const double waste = (double)(upc_ceil_div(problem->icg, n) * n) / (double)problem->icg *
                         (double)(upc_ceil_div(problem->ocg, TILE) * TILE) / (double)problem->ocg * (double)(TILE + n) /
                         (double)(2 * n);
    const double rate = upc_gather_processor(facts) ? 1e3 : facts->info.kind == UPCONV_DEVICE_CPU ? 2e3 : 1e4;
    return upc_gather_macs(problem) * waste / rate + 10;
}

const upc_solver upc_solver_outer = {
    .name = "outer",
    .version = 1,
    .ops = 1u << UPCONV_GRAD_FILTER,
    .knobs = knobs,
    .knob_count = UPC_COUNT(knobs),
    .refuse = refuse,
    .guess = guess,
    .legal = legal,
    .cost_us = cost_us,
    .cook = cook,
};
