// Max unpooling, source after source: an item has lines of a plane (or of some planes) to itself, so that the last
// source to come to a place stays, and no memory is needed beside the output. For processors; and where a device has no
// room for owners.
#include "unpool.h"

#include "strips.h"
#include "vectors.h"

#include <stdio.h>
#include <string.h>

void upc_unpool_init(upc_unpool *unpool, const upc_problem *problem, const upc_facts *facts, upc_recipe *recipe)
{
    const upc_tensor *out = &problem->out;
    *unpool = (upc_unpool){.problem = problem, .facts = facts, .recipe = recipe, .local = {1, 1, 1}};
    unpool->linear = problem->index <= UPCONV_INDEX_IMAGE;
    for (int a = 0; a < 3; a++)
        unpool->linear = unpool->linear && problem->space[a] == problem->axis[a].out;
    // an axis with one position is no distance apart
    unpool->linear =
        unpool->linear && (problem->axis[1].out == 1 || out->axis[1] == problem->axis[2].out * out->axis[2]) &&
        (problem->axis[0].out == 1 || out->axis[0] == problem->axis[1].out * problem->axis[2].out * out->axis[2]);
}

bool upc_unpool_linear(const upc_unpool *unpool, const upc_slab *slab)
{
    const upc_axis *axis = unpool->problem->axis;
    const int64_t *n = &slab->count[UPC_SLAB_OUT];
    return unpool->linear && n[2] == axis[2].out && (n[0] == 1 || n[1] == axis[1].out);
}

static void range(const upc_slab *slab, int at, int64_t first[3], int64_t last[3])
{
    for (int a = 0; a < 3; a++) {
        first[a] = slab->first[at + a];
        last[a] = first[a] + slab->count[at + a] - 1;
    }
}

void upc_unpool_outputs(const upc_slab *slab, int64_t first[3], int64_t last[3])
{
    range(slab, UPC_SLAB_OUT, first, last);
}
void upc_unpool_sources(const upc_slab *slab, int64_t first[3], int64_t last[3])
{
    range(slab, UPC_SLAB_BY, first, last);
}

upc_bind upc_unpool_bind(upc_place place, const upc_window *window, size_t element)
{
    return (upc_bind){place, (uint64_t)window->first * element, (uint64_t)window->count * element};
}

// The numbers of a problem. Equal lists share their part of the table.
static upconv_status fixed_numbers(const upc_unpool *u, upc_program_desc *program)
{
    const upc_problem *p = u->problem;
    const upc_axis *d = &p->axis[0], *h = &p->axis[1], *w = &p->axis[2];
    const upc_tensor *in = &p->in, *out = &p->out;
    const upc_number fixed[] = {
        {"HI", h->in},           {"WI", w->in},           {"HO", h->out},          {"WO", w->out},
        {"KD", d->kernel},       {"KH", h->kernel},       {"KW", w->kernel},       {"SD", d->stride},
        {"SH", h->stride},       {"SW", w->stride},       {"DD", d->dilation},     {"DH", h->dilation},
        {"DW", w->dilation},     {"PD", d->pad},          {"PH", h->pad},          {"PW", w->pad},
        {"ED", p->space[0]},     {"EH", p->space[1]},     {"EW", p->space[2]},     {"IN_N", in->image},
        {"IN_C", in->channel},   {"IN_D", in->axis[0]},   {"IN_H", in->axis[1]},   {"IN_W", in->axis[2]},
        {"OUT_N", out->image},   {"OUT_C", out->channel}, {"OUT_D", out->axis[0]}, {"OUT_H", out->axis[1]},
        {"OUT_W", out->axis[2]}, {"CHANNELS", p->icg},
    };
    const upc_cells *c = &u->cells;
    const upc_number cells[] = {
        {"CELL_D", c->first[0]},  {"CELL_H", c->first[1]},  {"CELL_W", c->first[2]}, {"CELLS_D", c->count[0]},
        {"CELLS_H", c->count[1]}, {"CELLS_W", c->count[2]}, {"FLAG_C", c->channels}, {"FLAG_GROUPS", c->groups},
        {"FLAG_PARTS", c->parts}, {"RUN", c->run},
    };
    const bool there = u->recipe->table_count && !u->spec; // the list stands there already
    for (size_t i = 0; i < UPC_COUNT(fixed) && there; i++)
        upc_program_param(program, fixed[i].name, UPC_PARAM_TABLE, (int32_t)i);
    for (size_t i = 0; i < UPC_COUNT(cells) && there && u->guarded; i++)
        upc_program_param(program, cells[i].name, UPC_PARAM_TABLE, (int32_t)(UPC_COUNT(fixed) + i));
    if (there)
        return UPCONV_OK;
    const upconv_status status = upc_program_fixed(u->recipe, program, fixed, UPC_COUNT(fixed), u->spec);
    return status || !u->guarded ? status : upc_program_fixed(u->recipe, program, cells, UPC_COUNT(cells), u->spec);
}

static const char *const arg_names[] = {"N_N",   "C_N",   "N_0",   "C_0",   "OD_0",  "OH_0",   "OW_0",  "OD_N",
                                        "OH_N",  "OW_N",  "ID_0",  "IH_0",  "IW_0",  "ID_N",   "IH_N",  "IW_N",
                                        "LINES", "SLOTS", "FIRST", "SRC_0", "DST_0", "PART_N", "IN_C0", "OUT_C0"};

upconv_status upc_unpool_step(const upc_unpool *u, const upc_slab *slab, int number, uint32_t bindings, upc_step *step)
{
    const upc_problem *p = u->problem;
    const int64_t *f = slab->first, *n = slab->count;
    const int o = UPC_SLAB_OUT, i = UPC_SLAB_BY;
    int64_t first[3], last[3];
    upc_unpool_sources(slab, first, last);
    const upc_window in = upc_slab_window(&p->in, slab, first, last);
    upc_unpool_outputs(slab, first, last);
    const upc_window out = upc_slab_window(&p->out, slab, first, last);
    const int64_t values[] = {
        n[UPC_SLAB_N],
        n[UPC_SLAB_C],
        f[UPC_SLAB_N],
        f[UPC_SLAB_C],
        f[o],
        f[o + 1],
        f[o + 2],
        n[o],
        n[o + 1],
        n[o + 2],
        f[i],
        f[i + 1],
        f[i + 2],
        n[i],
        n[i + 1],
        n[i + 2],
        n[o] * n[o + 1],
        n[o] * n[o + 1] * n[o + 2],
        !f[i] && !f[i + 1] && !f[i + 2],
        upc_slab_start(&p->in, slab, &in),
        upc_slab_start(&p->out, slab, &out),
        u->part,
        f[UPC_SLAB_C] % p->in.pack,
        f[UPC_SLAB_C] % p->out.pack,
    };
    const upc_number defines[] = {
        {"STEP", number},
        {"IN_DENSE", p->in.axis[2] == 1},
        {"OUT_DENSE", p->out.axis[2] == 1},
        {"LINEAR", upc_unpool_linear(u, slab)},
        {"INDEX", (int)p->index},
        {"IN_STORE", upc_store_of(u->facts, p->type)},
        {"OUT_STORE", upc_store_of(u->facts, p->type)},
        {"IN_PACK", p->in.pack},
        {"OUT_PACK", p->out.pack},
    };
    upc_program_desc program;
    upc_program_desc_init(&program, u->kernel ? u->kernel : "unpool", u->local, bindings);
    upc_program_defines(&program, defines, UPC_COUNT(defines));
    upc_program_defines(&program, u->defines, u->define_count);
    upconv_status status = fixed_numbers(u, &program);
    if (!status && !u->recipe->table_count) // a binding must have something
        status = upc_recipe_table(u->recipe, 0);
    for (size_t j = 0; j < UPC_COUNT(arg_names); j++)
        upc_program_arg(&program, arg_names[j]);
    for (size_t j = 0; j < UPC_COUNT(values); j++)
        step->args[j] = (int32_t)values[j];
    step->kind = UPC_STEP_KERNEL;
    step->bind_count = bindings;
    return status ? status : upc_recipe_program(u->recipe, &program, &step->program);
}

// ------------------------------------------------------------------------------------------------- source after source

enum { GROUP_X, PARTS, CHANNELS, SPEC, RING, CELLS };

static const int32_t groups[] = {1, 2, 4, 8, 16, 32, 64}, parts[] = {1, 2, 4, 8, 16, 32, 64},
                     channels[] = {1, 4, 8, 16, 32, 64}, rings[] = {0, 1024, 2048, 4096, 8192, 16384, 32768, 65536},
                     yes_no[] = {0, 1};

static const upc_knob knobs[] = {
    [GROUP_X] = {"x", groups, UPC_COUNT(groups)},             // work-group
    [PARTS] = {"parts", parts, UPC_COUNT(parts)},             // of the lines of an output plane, an item each
    [CHANNELS] = {"channels", channels, UPC_COUNT(channels)}, // of an item
    [SPEC] = {"spec", yes_no, UPC_COUNT(yes_no)},             // 1: the geometry is compiled in
    [RING] = {"ring", rings, UPC_COUNT(rings)},               // outputs that an item keeps; 0: none
    [CELLS] = {"cells", yes_no, UPC_COUNT(yes_no)},           // 1: first each source into its own cell; then what that cannot do
};

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    if (facts->info.backend != UPCONV_BACKEND_CPU)
        return upc_slab_refuse(problem, sentence);
    snprintf(sentence, UPC_SENTENCE, "it is for devices with work-groups");
    return sentence;
}

// NULL, or why no item can keep lines.
static const char *refuse_ring(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                               char *sentence)
{
    const char *refusal = upc_strips_refuse(problem, facts, sentence);
    if (refusal)
        return refusal;
    const upc_strips_form form = upc_strips_form_of(problem);
    const int64_t q = config->value[CHANNELS];
    if ((form == UPC_STRIPS_PLANES && q != 1) || (form == UPC_STRIPS_BLOCKS && q != 4) || config->value[GROUP_X] != 1 ||
        config->value[RING] < 2 * q * problem->axis[2].out) {
        snprintf(sentence, UPC_SENTENCE,
                 "a ring is of two lines or more, of channels that lie side by side, for one item");
        return sentence;
    }
    return NULL;
}

// Two lines for each that a window reaches, so that sources in their order lead forward. false: there is no such ring.
static bool guess_ring(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    char sentence[UPC_SENTENCE];
    const upc_strips_form form = upc_strips_form_of(problem);
    const int64_t units = UPC_MAX(facts->info.compute_units, 1);
    for (int32_t q = form == UPC_STRIPS_PLANES ? 1 : form == UPC_STRIPS_BLOCKS ? 4 : 32; q; q = form == UPC_STRIPS_PIXELS && q > 4 ? q / 2 : 0) {
        // wide runs of channels, but each processor its own; far apart, they cost more than a ring saves
        if (form == UPC_STRIPS_PIXELS &&
            (2 * q < problem->icg || (q > 4 && problem->batch * upc_ceil_div(problem->icg, q) < units)))
            continue;
        const int64_t lines = UPC_MAX(problem->axis[1].kernel, 2), wanted = lines * q * problem->axis[2].out;
        config->value[CHANNELS] = q;
        config->value[GROUP_X] = 1;
        for (size_t i = 1; i < UPC_COUNT(rings); i++) {
            config->value[RING] = rings[i];
            if (rings[i] >= wanted && !refuse_ring(problem, facts, config, sentence))
                return true;
        }
    }
    config->value[RING] = 0;
    return false;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    const bool side_by_side = upc_slab_inner(&problem->out), processor = facts->info.kind == UPCONV_DEVICE_CPU;
    memset(config, 0, sizeof *config);
    if (!guess_ring(problem, facts, config))
        config->value[CHANNELS] = !side_by_side ? 1 : !processor ? 4 : 16;
    config->value[SPEC] = !processor;
    const int64_t planes = problem->batch * upc_ceil_div(problem->icg, config->value[CHANNELS]);
    const int64_t units = UPC_MAX(facts->info.compute_units, 1);
    const int64_t wanted = config->value[RING] ? units : processor ? 8 : 4096; // items
    config->value[PARTS] = 1;
    while (config->value[PARTS] < 64 && planes * config->value[PARTS] < wanted &&
           problem->axis[0].out * problem->axis[1].out > 2 * config->value[PARTS])
        config->value[PARTS] *= 2;
    config->value[GROUP_X] = 1;
    while (!processor && config->value[GROUP_X] < 32 &&
           config->value[GROUP_X] * 2 <= (int32_t)facts->info.limits.group_size &&
           config->value[GROUP_X] < problem->icg)
        config->value[GROUP_X] *= 2;
    config->value[CELLS] = upc_cells_expected(problem, facts);
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    const char *refusal = upc_group_legal(facts, config->value[GROUP_X], 1, sentence);
    if (!refusal && config->value[CELLS])
        refusal = upc_cells_refuse(problem, facts, sentence);
    return refusal || !config->value[RING] ? refusal : refuse_ring(problem, facts, config, sentence);
}

// Every item looks at all sources of its planes.
static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    const double outputs = (double)upc_output_elements(problem), sources = (double)upc_input_elements(problem);
    if (config->value[CELLS])
        return (outputs + 2 * sources) / 8e3 + 15;
    const double items =
        (double)problem->batch * (double)upc_ceil_div(problem->icg, config->value[CHANNELS]) * config->value[PARTS];
    const double rate = config->value[RING] ? 4e3 : facts->info.kind == UPCONV_DEVICE_CPU ? 1e3 : 500; // a GPU's items touch memory far apart
    return (outputs + sources * (3 + config->value[PARTS])) / rate / upc_gather_busy(facts, items) + 5;
}

typedef struct cooking {
    upc_unpool unpool;
    const upc_config *config;
} cooking;

static int64_t lines_of_part(const cooking *c, const upc_slab *slab)
{
    return upc_ceil_div(slab->count[UPC_SLAB_OUT] * slab->count[UPC_SLAB_OUT + 1], c->config->value[PARTS]);
}

static void grid(const cooking *c, const upc_slab *slab, int64_t items[3])
{
    items[0] = upc_ceil_div(slab->count[UPC_SLAB_C], c->config->value[CHANNELS]);
    items[1] = upc_ceil_div(slab->count[UPC_SLAB_OUT] * slab->count[UPC_SLAB_OUT + 1], lines_of_part(c, slab));
    items[2] = slab->count[UPC_SLAB_N];
}

static int check(const upc_slabs *slabs, const upc_slab *slab, const char **why)
{
    enum { N = UPC_SLAB_N, C = UPC_SLAB_C, D = UPC_SLAB_OUT, H, W, ID = UPC_SLAB_BY, IH, IW, NEVER = UPC_SLAB_NEVER };
    static const int outer[] = {N, C, D, H, W, NEVER}, inner[] = {N, D, H, W, C, NEVER};
    static const int in_outer[] = {N, C, ID, IH, IW, NEVER}, in_inner[] = {N, ID, IH, IW, C, NEVER};
    static const int for_x[] = {C, NEVER}, for_z[] = {N, NEVER}, outs[] = {D, H, W, NEVER}, ins[] = {ID, IH, IW, NEVER};
    const cooking *c = slabs->user;
    const upc_problem *p = slabs->problem;
    const upconv_limits *limits = &slabs->facts->info.limits;
    const int64_t room = upc_slab_room(slabs->facts), *n = slab->count;
    int64_t first[3], last[3], items[3];
    *why = "the output's window";
    upc_unpool_outputs(slab, first, last);
    if (upc_slab_window(&p->out, slab, first, last).count * (int64_t)upc_type_bytes(p->type) > room)
        return upc_slab_choose(slabs, slab, upc_slab_inner(&p->out) ? inner : outer);
    *why = "the indices' window";
    upc_unpool_sources(slab, first, last);
    if (upc_slab_window(&p->in, slab, first, last).count * 4 > room)
        return upc_slab_choose(slabs, slab, upc_slab_inner(&p->in) ? in_inner : in_outer);
    *why = "the grid";
    grid(c, slab, items);
    if (upc_ceil_div(items[0], c->config->value[GROUP_X]) > limits->group_count)
        return upc_slab_choose(slabs, slab, for_x);
    if (items[1] > limits->group_count)
        return upc_slab_choose(slabs, slab, outs);
    if (items[2] > limits->group_count)
        return upc_slab_choose(slabs, slab, for_z);
    *why = "the loops of an item";
    const double per = 1 + (double)UPC_MIN(c->config->value[CHANNELS], n[C]);
    const double zeros = (double)lines_of_part(c, slab) * (2 + (double)n[W] * per);
    const double sources = (double)(n[ID] * n[IH]) * (2 + (double)n[IW] * per);
    if (slabs->facts->loop_rounds && zeros + sources > slabs->facts->loop_rounds) {
        const int cut = upc_slab_choose(slabs, slab, zeros > sources ? outs : ins);
        return cut == NEVER ? upc_slab_choose(slabs, slab, zeros > sources ? ins : outs) : cut;
    }
    const double work = (zeros + sources) * (double)items[0] * (double)items[1] * (double)items[2];
    const int cut = work > (double)limits->dispatch_macs ? upc_slab_choose(slabs, slab, outer) : NEVER;
    return cut == NEVER ? UPC_SLAB_FITS : cut;
}

static upconv_status emit(upc_slabs *slabs, const upc_slab *slab)
{
    cooking *c = slabs->user;
    const upc_problem *p = slabs->problem;
    const size_t element = upc_type_bytes(p->type);
    const upc_number defines[] = {
        {"PER", c->config->value[CHANNELS]},
        {"SIDE_BY_SIDE", upc_slab_inner(&p->out)},
        {"GUARDED", c->unpool.guarded},
        {"RING", c->config->value[RING]},
        {"ACT", 0},
        {"VEC", upc_vector_guess(c->unpool.facts)}, // of rings only, and then last
    };
    int64_t first[3], last[3], items[3];
    upc_unpool_sources(slab, first, last);
    const upc_window in = upc_slab_window(&p->in, slab, first, last);
    upc_unpool_outputs(slab, first, last);
    const upc_window out = upc_slab_window(&p->out, slab, first, last);
    upc_step step = {.kind = UPC_STEP_KERNEL};
    c->unpool.defines = defines;
    c->unpool.define_count = c->config->value[RING] ? UPC_COUNT(defines) : 3;
    c->unpool.part = lines_of_part(c, slab);
    const uint32_t table = c->unpool.guarded ? 4 : 3;
    const upconv_status status = upc_unpool_step(&c->unpool, slab, 0, table + 1, &step);
    step.barrier =
        c->unpool.guarded || slab->first[UPC_SLAB_BY] || slab->first[UPC_SLAB_BY + 1] || slab->first[UPC_SLAB_BY + 2];
    grid(c, slab, items);
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], c->unpool.local[i]);
    step.bind[0] = upc_unpool_bind(UPC_INPUT, &in, element);
    step.bind[1] = upc_unpool_bind(UPC_INDICES, &in, sizeof(int32_t));
    step.bind[2] = upc_unpool_bind(UPC_OUTPUT, &out, element);
    if (c->unpool.guarded)
        step.bind[3] = (upc_bind){UPC_WORKSPACE, 0, upc_cells_bytes(p, &c->unpool.cells)};
    step.bind[table] = (upc_bind){UPC_TABLE, 0, c->unpool.recipe->table_count * 4};
    return status ? status : upc_recipe_step(c->unpool.recipe, &step);
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    (void)request;
    cooking c = {.config = config};
    upc_unpool_init(&c.unpool, problem, facts, recipe);
    c.unpool.spec = config->value[SPEC];
    c.unpool.local[0] = (uint32_t)config->value[GROUP_X];
    if (config->value[CELLS]) {
        c.unpool.guarded = true;
        c.unpool.cells = upc_cells_of(problem, facts);
        const upconv_status status = upc_cells_run(&c.unpool);
        if (status)
            return status;
    }
    upc_slabs slabs = {.problem = problem, .facts = facts, .check = check, .emit = emit, .user = &c, .step = 1};
    if (config->value[RING] && problem->out.pack == 4)
        slabs.step = 4;
    upc_slab whole = {.count = {problem->batch, problem->icg}};
    for (int a = 0; a < 3; a++) {
        whole.count[UPC_SLAB_OUT + a] = problem->axis[a].out;
        whole.count[UPC_SLAB_BY + a] = problem->axis[a].in;
    }
    return upc_slabs_run(&slabs, &whole);
}

const upc_solver upc_solver_unpool = {
    .name = "unpool",
    .version = 1,
    .ops = 1u << UPCONV_MAX_UNPOOL,
    .knobs = knobs,
    .knob_count = UPC_COUNT(knobs),
    .refuse = refuse,
    .guess = guess,
    .legal = legal,
    .cost_us = cost_us,
    .cook = cook,
};
