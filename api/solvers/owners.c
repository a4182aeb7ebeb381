// Max unpooling, all sources at once: each claims the output that its index leads to, the last one of the plane gets
// it, and then each output fetches its owner's value. Reads and writes lie side by side on a GPU; a number for each
// output is needed beside them.
#include "unpool.h"

#include "gather.h"

#include <stdio.h>
#include <string.h>

enum { GROUP_X, GROUP_Y, SPEC };

static const int32_t yes_no[] = {0, 1};

static const upc_knob knobs[] = {
    [GROUP_X] = {"x", upc_group_sizes, UPC_GROUP_SIZES}, // work-group
    [GROUP_Y] = {"y", upc_group_sizes, UPC_GROUP_SIZES},
    [SPEC] = {"spec", yes_no, UPC_COUNT(yes_no)}, // 1: the geometry is compiled in
};

static const char *refuse(const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    if (facts->info.backend != UPCONV_BACKEND_CPU)
        return upc_slab_refuse(problem, sentence);
    snprintf(sentence, UPC_SENTENCE, "it is for devices with work-groups");
    return sentence;
}

static void guess(const upc_problem *problem, const upc_facts *facts, upc_config *config)
{
    memset(config, 0, sizeof *config);
    const int64_t inner = upc_slab_inner(&problem->out) ? problem->icg : 1;
    const int64_t items[3] = {problem->axis[2].out * inner, problem->axis[0].out * problem->axis[1].out, 1};
    uint32_t local[2];
    upc_group_guess(facts, items, 64, local);
    config->value[GROUP_X] = (int32_t)local[0];
    config->value[GROUP_Y] = (int32_t)local[1];
    config->value[SPEC] = facts->info.kind != UPCONV_DEVICE_CPU;
}

static const char *legal(const upc_problem *problem, const upc_facts *facts, const upc_config *config, char *sentence)
{
    (void)problem;
    return upc_group_legal(facts, config->value[GROUP_X], config->value[GROUP_Y], sentence);
}

static double cost_us(const upc_problem *problem, const upc_facts *facts, const upc_config *config)
{
    (void)config;
    const double outputs = (double)upc_output_elements(problem), sources = (double)upc_input_elements(problem);
    const double rate = facts->info.kind == UPCONV_DEVICE_CPU ? 300 : 1e4;
    return (outputs * 3 + sources * 4) / rate / upc_gather_busy(facts, outputs) + 15;
}

typedef struct cooking {
    upc_unpool unpool;
    const upc_config *config;
    int64_t room;      // owners of a slab at most
    upc_slabs sources; // of the slab at hand
    int step;          // of them
} cooking;

static int64_t owners_of(const upc_slab *slab)
{
    const int64_t *n = slab->count;
    return n[UPC_SLAB_N] * n[UPC_SLAB_C] * n[UPC_SLAB_OUT] * n[UPC_SLAB_OUT + 1] * n[UPC_SLAB_OUT + 2];
}

// Of outputs (`by` UPC_SLAB_OUT) or sources.
static void grid(const upc_problem *problem, const upc_slab *slab, int by, int64_t items[3])
{
    const bool inner = upc_slab_inner(&problem->out);
    const int64_t *n = slab->count;
    items[0] = n[by + 2] * (inner ? n[UPC_SLAB_C] : 1);
    items[1] = n[by] * n[by + 1];
    items[2] = n[UPC_SLAB_N] * (inner ? 1 : n[UPC_SLAB_C]);
}

static int beyond_grid(const upc_slabs *slabs, const upc_slab *slab, const upc_config *config, int by)
{
    const int for_x[] = {by + 2, UPC_SLAB_C, UPC_SLAB_NEVER}, for_y[] = {by, by + 1, UPC_SLAB_NEVER};
    static const int for_z[] = {UPC_SLAB_N, UPC_SLAB_C, UPC_SLAB_NEVER};
    const uint32_t most = slabs->facts->info.limits.group_count;
    int64_t items[3];
    grid(slabs->problem, slab, by, items);
    if (upc_ceil_div(items[0], config->value[GROUP_X]) > most)
        return upc_slab_choose(slabs, slab, for_x);
    if (upc_ceil_div(items[1], config->value[GROUP_Y]) > most)
        return upc_slab_choose(slabs, slab, for_y);
    return items[2] > most ? upc_slab_choose(slabs, slab, for_z) : UPC_SLAB_FITS;
}

static int64_t in_bytes(const upc_problem *problem, const upc_slab *slab)
{
    int64_t first[3], last[3];
    upc_unpool_sources(slab, first, last);
    return upc_slab_window(&problem->in, slab, first, last).count * 4; // of the indices, which are never smaller
}

// Outputs, images and channels.
static int check_outputs(const upc_slabs *slabs, const upc_slab *slab, const char **why)
{
    enum { N = UPC_SLAB_N, C = UPC_SLAB_C, D = UPC_SLAB_OUT, H, W, NEVER = UPC_SLAB_NEVER };
    static const int outer[] = {N, C, D, H, W, NEVER}, inner[] = {N, D, H, W, C, NEVER}, planes[] = {N, C, NEVER};
    const cooking *c = slabs->user;
    const upc_problem *p = slabs->problem;
    const int64_t room = upc_slab_room(slabs->facts);
    int64_t first[3], last[3];
    *why = "the output's window";
    upc_unpool_outputs(slab, first, last);
    if (upc_slab_window(&p->out, slab, first, last).count * (int64_t)upc_type_bytes(p->type) > room ||
        owners_of(slab) > c->room)
        return upc_slab_choose(slabs, slab, upc_slab_inner(&p->out) ? inner : outer);
    *why = "the indices' window"; // of a single position of each plane: fewer positions will come later
    upc_slab least = *slab;
    for (int a = 0; a < 3; a++)
        least.count[UPC_SLAB_BY + a] = 1;
    if (in_bytes(p, &least) > room)
        return upc_slab_choose(slabs, slab, planes);
    *why = "the grid";
    int cut = beyond_grid(slabs, slab, c->config, UPC_SLAB_OUT);
    if (cut == UPC_SLAB_FITS)
        cut = beyond_grid(slabs, &least, c->config, UPC_SLAB_BY);
    if (cut != UPC_SLAB_FITS)
        return cut;
    const bool large = (double)owners_of(slab) > (double)slabs->facts->info.limits.dispatch_macs;
    cut = large ? upc_slab_choose(slabs, slab, outer) : NEVER;
    return cut == NEVER ? UPC_SLAB_FITS : cut;
}

static int check_sources(const upc_slabs *slabs, const upc_slab *slab, const char **why)
{
    static const int ins[] = {UPC_SLAB_BY, UPC_SLAB_BY + 1, UPC_SLAB_BY + 2, UPC_SLAB_NEVER};
    const cooking *c = slabs->user;
    *why = "the indices' window";
    if (in_bytes(slabs->problem, slab) > upc_slab_room(slabs->facts))
        return upc_slab_choose(slabs, slab, ins);
    *why = "the grid";
    return beyond_grid(slabs, slab, c->config, UPC_SLAB_BY);
}

static upconv_status add_step(cooking *c, const upc_slab *slab, int number, const int64_t items[3], upc_step *step)
{
    const upc_number inner = {"INNER", upc_slab_inner(&c->unpool.problem->out)};
    c->unpool.defines = &inner;
    c->unpool.define_count = 1;
    const uint32_t bindings = number == 1 ? 2 : number == 2 ? 3 : 4;
    const upconv_status status = upc_unpool_step(&c->unpool, slab, number, bindings, step);
    step->bind[bindings - 1] = (upc_bind){UPC_TABLE, 0, c->unpool.recipe->table_count * 4};
    step->barrier = true; // the workspace is read by what came before, here or in an earlier execution
    for (int i = 0; i < 3; i++)
        step->groups[i] = (uint32_t)upc_ceil_div(items[i], c->unpool.local[i]);
    return status ? status : upc_recipe_step(c->unpool.recipe, step);
}

static upconv_status emit_sources(upc_slabs *slabs, const upc_slab *slab)
{
    cooking *c = slabs->user;
    const upc_problem *p = slabs->problem;
    const size_t element = upc_type_bytes(p->type);
    const upc_bind owners = {UPC_WORKSPACE, 0, (uint64_t)owners_of(slab) * 4};
    int64_t first[3], last[3], items[3];
    upc_unpool_sources(slab, first, last);
    const upc_window in = upc_slab_window(&p->in, slab, first, last);
    upc_unpool_outputs(slab, first, last);
    const upc_window out = upc_slab_window(&p->out, slab, first, last);
    upc_step step = {.kind = UPC_STEP_KERNEL};
    grid(p, slab, c->step == 2 ? UPC_SLAB_BY : UPC_SLAB_OUT, items);
    step.bind[0] =
        c->step == 2 ? upc_unpool_bind(UPC_INDICES, &in, sizeof(int32_t)) : upc_unpool_bind(UPC_INPUT, &in, element);
    step.bind[1] = owners;
    if (c->step == 3)
        step.bind[2] = upc_unpool_bind(UPC_OUTPUT, &out, element);
    return add_step(c, slab, c->step, items, &step);
}

// The owners of a slab: nobody, claimed by all sources, asked for their values.
static upconv_status emit_outputs(upc_slabs *slabs, const upc_slab *slab)
{
    cooking *c = slabs->user;
    upc_recipe *recipe = c->unpool.recipe;
    const int64_t owners = owners_of(slab), most = slabs->facts->info.limits.group_count;
    const int64_t row = UPC_MIN(owners, (int64_t)c->unpool.local[0] * most),
                  items[3] = {row, upc_ceil_div(owners, row), 1};
    upc_step step = {.kind = UPC_STEP_KERNEL};
    step.bind[0] = (upc_bind){UPC_WORKSPACE, 0, (uint64_t)owners * 4};
    c->unpool.part = row;
    upconv_status status =
        upc_ceil_div(items[1], c->unpool.local[1]) > most
            ? upc_fail(UPCONV_ERROR_UNSUPPORTED, "%lld owners are beyond this device's %lld groups an axis",
                       (long long)owners, (long long)most)
            : add_step(c, slab, 1, items, &step);
    recipe->workspace_bytes = UPC_MAX(recipe->workspace_bytes, (uint64_t)owners * 4);
    for (c->step = 2; c->step <= 3 && !status; c->step++)
        status = upc_slabs_run(&c->sources, slab);
    return status;
}

static upconv_status cook(const upc_problem *problem, const upc_facts *facts, const upc_config *config,
                          const upc_request *request, upc_recipe *recipe)
{
    cooking c = {.config = config};
    upc_unpool_init(&c.unpool, problem, facts, recipe);
    c.unpool.spec = config->value[SPEC];
    c.unpool.local[0] = (uint32_t)config->value[GROUP_X];
    c.unpool.local[1] = (uint32_t)config->value[GROUP_Y];
    const uint64_t limit = request->workspace_limit ? request->workspace_limit : upc_workspace_default(problem);
    c.room = (int64_t)UPC_MIN(UPC_MIN(limit, facts->info.limits.alloc_bytes), (uint64_t)upc_slab_room(facts)) / 4;
    upc_slabs outputs = {
        .problem = problem, .facts = facts, .check = check_outputs, .emit = emit_outputs, .user = &c, .step = 1};
    c.sources = outputs;
    c.sources.check = check_sources;
    c.sources.emit = emit_sources;
    upc_slab whole = {.count = {problem->batch, problem->icg}};
    for (int a = 0; a < 3; a++) {
        whole.count[UPC_SLAB_OUT + a] = problem->axis[a].out;
        whole.count[UPC_SLAB_BY + a] = problem->axis[a].in;
    }
    return upc_slabs_run(&outputs, &whole);
}

const upc_solver upc_solver_owners = {
    .name = "owners",
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
