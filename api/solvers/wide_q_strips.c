// The copy of a quantised input in words (shaders/stage_q.kernel), a strip at a time where all of it is too much workspace.
#include "wide_q.h"

#include <limits.h>
#include <string.h>

enum { MAX_STRIPS = 4096 };

int upc_wide_q_dense(const upc_problem *problem, int64_t per)
{
    const upc_tensor *in = &problem->in;
    if (in->pack != 1)
        return 0;
    if (in->channel == 1 && problem->icg % per == 0 && in->axis[2] == problem->groups * problem->icg)
        return 3;
    return in->channel == 1 ? 2 : in->axis[2] == 1 ? 1 : 0;
}

// Exactly the lines and positions that the strip reads, which may be fewer than the input has. anywhere: an axis, of which as many as
// any strip of so many positions may read, counted from the input's first (far behind the input, where pads are negative, a strip reads
// next to nothing); or -1.
static void lay_out(const upc_problem *problem, const upc_wide_q *how, int anywhere, upc_strip_q *s)
{
    int64_t extent[3];
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        int64_t first, last, count = s->qn[a];
        if (a == 2) // a phase may begin one position later, and its last item with it
            count = upc_q_tiles(axis, upc_taps_stride(axis), s->q0[a], s->qn[a], how->span) * how->span + 1;
        upc_taps_reach(axis, s->q0[a], s->q0[a] + count - 1, &first, &last);
        if (a == anywhere && a < 2) {
            last = UPC_MIN(last - first, axis->in - 1);
            first = 0;
        } else if (a < 2) { // lines beyond the input are not read
            last = UPC_MAX(UPC_MIN(last, axis->in - 1), 0);
            first = UPC_MIN(UPC_MAX(first, 0), last);
        }
        s->front[a] = -first;
        s->back[a] = last - (axis->in - 1);
        extent[a] = last - first + 1;
    }
    upc_tensor *t = &s->tensor;
    const int64_t channels = problem->groups * how->words;
    t->pack = 1;
    t->axis[2] = how->inner ? channels : 1;
    t->axis[1] = t->axis[2] * extent[2];
    t->axis[0] = t->axis[1] * extent[1];
    t->channel = how->inner ? 1 : t->axis[0] * extent[0];
    t->image = t->axis[0] * extent[0] * (how->inner ? 1 : channels);
    t->elements = t->image * s->nn;
    s->origin = s->front[0] * t->axis[0] + s->front[1] * t->axis[1] + s->front[2] * t->axis[2] - s->n0 * t->image;
    const double words = (double)extent[0] * (double)extent[1] * (double)extent[2] * (double)channels * (double)s->nn;
    s->bytes = words > 0x1p40 ? UINT64_MAX : (uint64_t)t->elements * 4;
}

void upc_strips_q_at(const upc_problem *problem, const upc_wide_q *how, const upc_strips_q *strips, int64_t n0,
                     int64_t at, upc_strip_q *strip)
{
    *strip = (upc_strip_q){.n0 = n0, .nn = strips->axis < 0 ? UPC_MIN(strips->count, problem->batch - n0) : 1};
    memcpy(strip->q0, strips->q0, sizeof strip->q0);
    memcpy(strip->qn, strips->qn, sizeof strip->qn);
    if (strips->axis >= 0) {
        const int64_t end = strips->q0[strips->axis] + strips->qn[strips->axis];
        strip->q0[strips->axis] = at;
        strip->qn[strips->axis] = UPC_MIN(strips->count, end - at);
    }
    lay_out(problem, how, -1, strip);
}

static void grid(const upc_problem *problem, const upc_wide_q *how, const upc_strip_q *s, int64_t items[3])
{
    int64_t extent[3];
    for (int a = 0; a < 3; a++)
        extent[a] = s->front[a] + problem->axis[a].in + s->back[a];
    items[0] = 1;
    items[1] = extent[0] * extent[1];
    items[2] = s->nn * (how->inner ? 1 : problem->groups * how->words);
}

static bool fits(const upc_problem *problem, const upc_facts *facts, const upc_wide_q *how, const upc_strip_q *s)
{
    const upconv_limits *limits = &facts->info.limits;
    const uint64_t room =
        UPC_MIN(limits->binding_bytes - UPC_MIN(facts->info.offset_alignment, limits->binding_bytes), 1 << 30);
    int64_t items[3];
    if (s->bytes > upc_workspace_default(problem) || s->bytes > UPC_MIN(room, limits->alloc_bytes))
        return false;
    grid(problem, how, s, items);
    return items[1] <= UPC_MIN(limits->group_count, INT32_MAX / 64) &&
           items[2] <= UPC_MIN(limits->group_count, INT32_MAX / 64);
}

// The most that fits on the strips' axis, in steps of `step`; 0: nothing does.
static int64_t fitting(const upc_problem *problem, const upc_facts *facts, const upc_wide_q *how,
                       const upc_strips_q *strips, int64_t all, int64_t step)
{
    int64_t low = 0, high = upc_ceil_div(all, step);
    while (low < high) {
        const int64_t middle = low + (high - low + 1) / 2;
        upc_strip_q s = {.nn = strips->axis < 0 ? middle : 1};
        memcpy(s.q0, strips->q0, sizeof s.q0);
        memcpy(s.qn, strips->qn, sizeof s.qn);
        if (strips->axis >= 0)
            s.qn[strips->axis] = UPC_MIN(middle * step, all);
        lay_out(problem, how, strips->axis, &s);
        if (fits(problem, facts, how, &s))
            low = middle;
        else
            high = middle - 1;
    }
    return UPC_MIN(low * step, all);
}

bool upc_strips_q_plan(const upc_problem *problem, const upc_facts *facts, const upc_wide_q *how, upc_strips_q *strips)
{
    *strips = (upc_strips_q){.axis = -1};
    for (int a = 0; a < 3; a++) {
        int64_t last;
        upc_taps_range(&problem->axis[a], &strips->q0[a], &last);
        strips->qn[a] = last - strips->q0[a] + 1;
    }
    // what the copy is made from is bound whole
    const uint64_t bytes = upc_input_bytes(problem), most = UPC_MIN(facts->info.limits.binding_bytes, 1 << 30);
    if (bytes > most - UPC_MIN(facts->info.offset_alignment, most))
        return false;
    for (; strips->axis < 3; strips->axis++) {
        const int64_t all = strips->axis < 0 ? problem->batch : strips->qn[strips->axis];
        strips->count = fitting(problem, facts, how, strips, all, strips->axis == 2 ? how->span : 1);
        if (strips->count > 0)
            return upc_ceil_div(all, strips->count) <=
                   MAX_STRIPS / (strips->axis < 0 ? 1 : UPC_MIN(problem->batch, MAX_STRIPS));
    }
    return false;
}

upconv_status upc_strip_q_cook(const upc_problem *problem, const upc_facts *facts, const upc_wide_q *how,
                               const upc_strip_q *s, uint64_t at, upc_recipe *recipe)
{
    const upc_tensor *in = &problem->in;
    const upc_axis *axis = problem->axis;
    int64_t items[3];
    const uint32_t most = UPC_MIN(facts->group_axis[1], facts->info.limits.group_size);
    grid(problem, how, s, items);
    // few long rows keep all cores busy
    const uint32_t local[3] = {1, how->inner ? 1 : UPC_MIN(4, most), 1};
    const struct {
        const char *name;
        int64_t value;
    } defines[] = {
        {"Q_IN", upc_q_store(problem->type)}, {"Q_OUT", 8}, {"Q_W", 8}, {"IN_PACK", in->pack}, {"DENSE", upc_wide_q_dense(problem, how->per)},
        {"INNER", how->inner}, {"QUADS", how->quads},
    }, fixed[] = {
        {"WS", s->front[2] + axis[2].in + s->back[2]}, {"HS", s->front[1] + axis[1].in + s->back[1]}, {"LINES", items[1]},
        {"Z_N", items[2]}, {"WORDS", how->words}, {"G_N", problem->groups}, {"CHANNELS", problem->icg},
        {"FRONT_D", s->front[0]}, {"FRONT_H", s->front[1]}, {"FRONT_W", s->front[2]},
        {"DI", axis[0].in}, {"HI", axis[1].in}, {"WI", axis[2].in}, {"IN_C0", 0}, {"IN_ZERO", problem->quant.in_zero},
        {"IN_N", in->image > INT32_MAX ? 0 : in->image}, {"IN_C", in->channel > INT32_MAX ? 0 : in->channel}, {"IN_D", in->axis[0]},
        {"IN_H", in->axis[1]}, {"IN_W", in->axis[2]},
    };
    upc_program_desc program;
    upc_program_desc_init(&program, "stage_q", local, 2);
    for (size_t i = 0; i < UPC_COUNT(defines); i++)
        upc_program_param(&program, defines[i].name, UPC_PARAM_DEFINE, (int32_t)defines[i].value);
    upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = true, .bind_count = 2}; // earlier work may still read the workspace
    for (size_t i = 0; i < UPC_COUNT(fixed); i++)
        step.args[upc_program_arg(&program, fixed[i].name)] = (int32_t)fixed[i].value;
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], local[i]);
    const uint64_t size = upc_type_bytes(problem->type), before = (uint64_t)(s->n0 * in->image) * size;
    step.bind[0] = (upc_bind){UPC_INPUT, before, upc_input_bytes(problem) - before};
    step.bind[1] = (upc_bind){UPC_WORKSPACE, at, s->bytes};
    recipe->workspace_bytes = UPC_MAX(recipe->workspace_bytes, at + s->bytes);
    const upconv_status status = upc_recipe_program(recipe, &program, &step.program);
    return status ? status : upc_recipe_step(recipe, &step);
}
