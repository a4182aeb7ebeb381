// The shape of an item by family of GPU, found with the statistics of the mobile GPUs' own compilers
// (docs/performance.md): the largest tiles that spill nowhere, weights through the unit that has cycles to give away.
#include "phase.h"

#include <string.h>

enum { MAX_SHAPES = 10, ANY = -1 };

typedef struct style {
    upc_family family; // UNKNOWN: any
    int narrow, half, fours; // 0, 1 or ANY: facts.narrow_loads, f16, channels read as vectors of four
    bool texel;
    int8_t shape[MAX_SHAPES][2]; // tile, oc
} style;

#define SMALL {4, 4}, {2, 4}, {1, 8}, {1, 4}

static const style styles[] = {
    // halves of words are dear to take apart, so that each must serve many channels
    {UPC_FAMILY_ADRENO, 1, 1, 0, true, {{4, 16}, {2, 16}, {4, 8}, {2, 8}, SMALL}},
    // a texel is one instruction where a vector from a buffer is four
    {UPC_FAMILY_ADRENO, 1, ANY, ANY, true, {{4, 8}, {2, 8}, SMALL}},
    // texels of f16 arrive as f32, values from a buffer cost an instruction each
    {UPC_FAMILY_ADRENO, 0, 1, ANY, true, {{5, 8}, {4, 8}, {2, 8}, SMALL}},
    {UPC_FAMILY_ADRENO, 0, 0, ANY, false, {{7, 8}, {6, 8}, {5, 8}, {4, 8}, {2, 8}, {8, 4}, SMALL}},
    // texels come through a unit of their own; the other is where these GPUs wait
    {UPC_FAMILY_MALI, ANY, ANY, 1, true, {{2, 8}, {2, 4}, {1, 8}, {1, 4}}},
    {UPC_FAMILY_MALI, ANY, ANY, 0, true, {{2, 16}, {2, 8}, SMALL}},
    {UPC_FAMILY_V3D, ANY, ANY, 1, false, {{2, 4}, {1, 8}, {1, 4}}},
    {UPC_FAMILY_V3D, ANY, ANY, 0, false, {{2, 8}, SMALL}},
    {UPC_FAMILY_UNKNOWN, ANY, ANY, ANY, false, {{4, 8}, {8, 4}, {2, 8}, SMALL}},
};

static bool fits(int wanted, bool is) { return wanted == ANY || (wanted == 1) == is; }

static const style *style_of(const upc_facts *facts, bool half, bool fours)
{
    const style *at = styles;
    while ((at->family && at->family != facts->family) || !fits(at->narrow, facts->narrow_loads) ||
           !fits(at->half, half) || !fits(at->fours, fours))
        at++; // the last fits all
    return at;
}

// Positions of a row, over all phases.
static int64_t row_of(const upc_problem *problem)
{
    int64_t first, last;
    upc_taps_range(&problem->axis[2], &first, &last);
    return last - first + 1;
}

// The largest tiles come first. A smaller one is for rows that are shorter than the smallest of them, and four
// channels for where eight would be made in vain. Sixteen leave Mali no registers for borders, or for channels in
// blocks read one by one.
static bool considered(const upc_problem *problem, int64_t row, const style *manner, int i)
{
    const int64_t fours = upc_ceil_div(problem->ocg, 4), tile = manner->shape[i][0], oc = manner->shape[i][1];
    if (manner->family == UPC_FAMILY_MALI && oc == 16)
        return problem->in.pack == 1 && !upc_taps_overlap(problem);
    if (manner->family != UPC_FAMILY_ADRENO || manner->narrow)
        return true;
    return oc == 4 ? fours % 2 == 1 : tile >= 5 || row < 5;
}

// Multiply-adds with those that fall beyond rows and channels, and their loads, each as dear as two of them.
static double cost_of(const upc_problem *problem, int64_t row, bool fours, double tile, double oc)
{
    const double values = fours ? 4 : 1;
    const double positions = (double)upc_ceil_div(row, (int64_t)tile) * tile;
    const double made = positions * (double)upc_ceil_div(problem->ocg, (int64_t)oc) * oc;
    return made * (1 + 2 * (tile + values * oc / 4) / (values * tile * oc));
}

bool upc_phase_fours(const upc_problem *problem)
{
    upc_tensor_form form;
    upc_problem_form(problem, true, &form);
    return problem->icg % 4 == 0 && upc_tensor_fours(&form, &problem->in);
}

void upc_phase_stage_bound(const upc_problem *problem, int64_t pack, int64_t tile, upc_stage *stage)
{
    *stage = (upc_stage){.type = problem->type, .pack = pack};
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        const int64_t stride = upc_taps_stride(axis), step = upc_taps_stride(axis) == axis->stride ? axis->stride : 1;
        int64_t q0, q1;
        upc_taps_range(axis, &q0, &q1);
        const int64_t last = a == 2 ? q0 + upc_ceil_div(q1 - q0 + 1, tile) * tile - 1 : q1;
        if (axis->step > 1) {
            int64_t least, most;
            upc_taps_reach(axis, q0, last, &least, &most);
            stage->front[a] = UPC_MAX(-least, 0);
            stage->back[a] = UPC_MAX(most - (axis->in - 1), 0);
            continue;
        }
        const int64_t first = upc_floor_div(q0 * stride - (axis->kernel - 1) * axis->dilation, step);
        stage->front[a] = UPC_MAX(-first, 0);
        stage->back[a] = UPC_MAX(upc_floor_div((last + 1) * stride - 1, step) - (axis->in - 1), 0);
    }
    upc_stage_fill(stage, problem);
}

// A copy with zeros around it pays where each input is read often and for many multiply-adds, and none is made where
// no two taps of an output read different inputs, whose plans need no workspace.
static bool wants_stage(const upc_problem *problem, const upc_facts *facts, bool fours)
{
    double adds = (double)problem->ocg; // of one input value
    for (int a = 0; a < 3; a++)
        adds *= (double)problem->axis[a].kernel;
    if (facts->family == UPC_FAMILY_CPU || !upc_taps_overlap(problem) || problem->icg < 4 || adds < (fours ? 256 : 128))
        return false;
    upc_stage stage;
    char sentence[UPC_SENTENCE];
    upc_phase_stage_bound(problem, 4, 8, &stage);
    return !upc_stage_refuse(&stage, problem, facts, sentence);
}

void upc_phase_guess(const upc_problem *problem, const upc_facts *facts, upc_phase_shape *shape)
{
    const bool direct = upc_phase_fours(problem);
    const int64_t row = row_of(problem);
    double best = 0;
    *shape = (upc_phase_shape){1, 4, wants_stage(problem, facts, direct) ? 4 : 0, false};
    const bool fours = direct || shape->stage == 4;
    const style *manner = style_of(facts, problem->type == UPCONV_F16, fours);
    shape->texel = manner->texel && facts->texel_elements > 0;
    for (int i = 0; i < MAX_SHAPES && manner->shape[i][0]; i++) {
        if (!considered(problem, row, manner, i))
            continue;
        const int32_t tile = manner->shape[i][0], oc = manner->shape[i][1];
        const double cost = cost_of(problem, row, fours, tile, oc);
        const bool too_large = manner->family == UPC_FAMILY_UNKNOWN && tile * oc > (int32_t)facts->sum_scalars;
        if (too_large || (best > 0 && cost >= best))
            continue;
        best = cost;
        shape->tile = tile;
        shape->oc = oc;
    }
}
