#include "stage.h"

#include "gather.h"

#include <stdio.h>

void upc_stage_surround(upc_stage *stage, const upc_problem *problem, const upc_taps *taps, int64_t tile)
{
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        const upc_tap_axis *tap = &taps->axis[a];
        int64_t q0, q1;
        upc_taps_range(axis, &q0, &q1);
        const int64_t last = a == 2 ? q0 + upc_ceil_div(q1 - q0 + 1, tile) * tile - 1 : q1;
        stage->front[a] = stage->back[a] = 0;
        for (int64_t r = 0; r < tap->stride; r++) {
            const upc_residue *residue = &tap->residue[r];
            if (!residue->count)
                continue;
            const int64_t least = q0 * axis->step + residue->input - (residue->count - 1) * tap->input_step;
            const int64_t most = last * axis->step + residue->input;
            stage->front[a] = UPC_MAX(stage->front[a], -least);
            stage->back[a] = UPC_MAX(stage->back[a], most - (axis->in - 1));
        }
    }
}

static int64_t extent(const upc_stage *stage, const upc_problem *problem, int a)
{
    return stage->front[a] + problem->axis[a].in + stage->back[a];
}

void upc_stage_fill(upc_stage *stage, const upc_problem *problem)
{
    const int64_t pack = stage->pack;
    upc_tensor *tensor = &stage->tensor;
    stage->icg = upc_ceil_div(problem->icg, pack) * pack;
    uint64_t elements = (uint64_t)stage->icg;
    bool fits = upc_mul_u64(&elements, elements, (uint64_t)(problem->groups * problem->batch));
    for (int a = 0; a < 3 && fits; a++)
        fits = upc_mul_u64(&elements, elements, (uint64_t)extent(stage, problem, a));
    if (!fits || elements > INT64_MAX / 4) { // wide dilations on every axis: distances that nobody uses
        *tensor = (upc_tensor){.pack = pack};
        stage->origin = 0;
        stage->bytes = UINT64_MAX;
        return;
    }
    tensor->pack = pack;
    tensor->axis[2] = pack;
    tensor->axis[1] = tensor->axis[2] * extent(stage, problem, 2);
    tensor->axis[0] = tensor->axis[1] * extent(stage, problem, 1);
    tensor->channel = tensor->axis[0] * extent(stage, problem, 0);
    tensor->image = tensor->channel * (problem->groups * stage->icg / pack);
    tensor->elements = tensor->image * problem->batch;
    stage->origin =
        stage->front[0] * tensor->axis[0] + stage->front[1] * tensor->axis[1] + stage->front[2] * tensor->axis[2];
    stage->bytes = (uint64_t)tensor->elements * upc_type_bytes(stage->type);
}

void upc_stage_split(const upc_stage *stage, upc_split *split)
{
    split->in = stage->tensor;
    split->in_origin = stage->origin;
    split->icg = stage->icg;
    split->in_bytes = upc_type_bytes(stage->type);
    split->padded = true;
    for (int a = 0; a < 3; a++) {
        split->front[a] = stage->front[a];
        split->back[a] = stage->back[a];
    }
}

// Positions that one item copies: on a processor a whole row, which it can do in a stream.
static int64_t run_of(const upc_stage *stage, const upc_problem *problem, const upc_facts *facts)
{
    return facts->family == UPC_FAMILY_CPU ? extent(stage, problem, 2) : 1;
}

static void grid(const upc_stage *stage, const upc_problem *problem, const upc_facts *facts, int64_t items[3],
                 uint32_t local[3])
{
    items[0] = upc_ceil_div(extent(stage, problem, 2), run_of(stage, problem, facts));
    items[1] = extent(stage, problem, 0) * extent(stage, problem, 1);
    items[2] = problem->batch * problem->groups * (stage->icg / stage->pack);
    local[0] = local[1] = local[2] = 1;
    if (facts->family == UPC_FAMILY_CPU)
        local[1] = UPC_MIN(4, UPC_MIN(facts->group_axis[1], facts->info.limits.group_size)); // long rows: few keep all cores busy
    else
        upc_group_guess(facts, items, 64, local);
}

const char *upc_stage_refuse(const upc_stage *stage, const upc_problem *problem, const upc_facts *facts, char *sentence)
{
    const upconv_limits *limits = &facts->info.limits;
    const int64_t room = (int64_t)limits->binding_bytes - (int64_t)facts->info.offset_alignment;
    const int64_t in = problem->in.elements * (int64_t)upc_type_bytes(problem->type);
    int64_t items[3];
    uint32_t local[3];
    grid(stage, problem, facts, items, local);
    if (stage->bytes > upc_workspace_default(problem)) {
        snprintf(sentence, UPC_SENTENCE,
                 "a copy of the input would take %llu bytes of workspace; %llu are free for use",
                 (unsigned long long)stage->bytes, (unsigned long long)upc_workspace_default(problem));
        return sentence;
    }
    if ((int64_t)stage->bytes > room || in > room || stage->bytes > limits->alloc_bytes ||
        problem->in.elements > INT32_MAX) {
        snprintf(sentence, UPC_SENTENCE,
                 "the input (%lld bytes) and its copy (%llu) must each fit a binding of %lld bytes", (long long)in,
                 (unsigned long long)stage->bytes, (long long)room);
        return sentence;
    }
    for (int i = 0; i < 3; i++)
        if (upc_ceil_div(items[i], local[i]) > limits->group_count || items[i] > INT32_MAX / 64) {
            snprintf(sentence, UPC_SENTENCE,
                     "copying the input takes %lld items on one axis of a dispatch; the device has %u groups",
                     (long long)items[i], limits->group_count);
            return sentence;
        }
    if (stage->type == UPCONV_F16 && stage->pack == 1 && upc_store_of(facts, UPCONV_F16) != UPC_STORE_F16) {
        snprintf(sentence, UPC_SENTENCE, "the device stores f16 only two at a time");
        return sentence;
    }
    return NULL;
}

upconv_status upc_stage_cook(const upc_stage *stage, const upc_problem *problem, const upc_facts *facts, uint64_t at,
                             upc_recipe *recipe)
{
    int64_t items[3];
    uint32_t local[3];
    grid(stage, problem, facts, items, local);
    upc_program_desc program;
    upc_program_desc_init(&program, "stage", local, 3);
    const upc_axis *axis = problem->axis;
    const upc_tensor *in = &problem->in;
    const bool is_dense = in->axis[2] == 1;
    const struct {
        const char *name;
        int64_t value;
    } defines[] = {
        {"IN_STORE", upc_store_of(facts, problem->type)}, {"OUT_STORE", upc_store_of(facts, stage->type)},
        {"IN_PACK", in->pack}, {"PACK", stage->pack}, {"DENSE", is_dense},
    }, fixed[] = {
        {"RUN", run_of(stage, problem, facts)}, {"WS", extent(stage, problem, 2)}, {"HS", extent(stage, problem, 1)},
        {"LINES", items[1]}, {"Z_N", items[2]}, {"BLOCKS", stage->icg / stage->pack}, {"G_N", problem->groups},
        {"FRONT_D", stage->front[0]}, {"FRONT_H", stage->front[1]}, {"FRONT_W", stage->front[2]},
        {"DI", axis[0].in}, {"HI", axis[1].in}, {"WI", axis[2].in}, {"ICG", problem->icg}, {"IN_C0", 0},
        {"IN_N", in->image}, {"IN_C", in->channel}, {"IN_D", in->axis[0]}, {"IN_H", in->axis[1]}, {"IN_W", in->axis[2]},
    };
    for (size_t i = 0; i < UPC_COUNT(defines); i++)
        upc_program_param(&program, defines[i].name, UPC_PARAM_DEFINE, (int32_t)defines[i].value);
    upc_step step = {.kind = UPC_STEP_KERNEL, .barrier = true, .bind_count = 2}; // the workspace may still be read by earlier work
    program.binding_count = 2;
    for (size_t i = 0; i < UPC_COUNT(fixed); i++)
        step.args[upc_program_arg(&program, fixed[i].name)] = (int32_t)fixed[i].value;
    for (int i = 0; i < 3; i++)
        step.groups[i] = (uint32_t)upc_ceil_div(items[i], local[i]);
    step.bind[0] = (upc_bind){UPC_INPUT, 0, (uint64_t)in->elements * upc_type_bytes(problem->type)};
    step.bind[1] = (upc_bind){UPC_WORKSPACE, at, stage->bytes};
    recipe->workspace_bytes = UPC_MAX(recipe->workspace_bytes, at + stage->bytes);
    const upconv_status status = upc_recipe_program(recipe, &program, &step.program);
    return status ? status : upc_recipe_step(recipe, &step);
}
