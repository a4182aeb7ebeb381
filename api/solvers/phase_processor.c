// What `phase` costs on processors that pose as Vulkan devices, where a load is a loop over the lanes of a subgroup,
// and the tile that follows. Fitted to measurements on llvmpipe with subgroups of 8 and two cores, within 30 % on
// average; it ranks tiles within 8 %.
#include "phase.h"

enum { LANES = 8 };

double upc_phase_processor_us(const upc_problem *problem, int64_t tile, int64_t oc)
{
    double rows = 1, phases = 1, taps = 1;
    int64_t width = 1;
    bool borders = false;
    for (int a = 0; a < 3; a++) {
        const upc_axis *axis = &problem->axis[a];
        const int64_t stride = upc_taps_stride(axis);
        int64_t first, last;
        upc_taps_range(axis, &first, &last);
        width = last - first + 1;
        rows *= a < 2 ? (double)width : 1;
        phases *= (double)stride;
        taps *= (double)axis->kernel;
        borders |= (axis->kernel - 1) * axis->dilation + 1 > stride || axis->pad != 0;
    }
    const double groups = (double)upc_ceil_div(upc_ceil_div(width, tile), LANES) * rows *
                          (double)(problem->batch * problem->groups * upc_ceil_div(problem->ocg, oc));
    const double vectors = (double)oc / 4, positions = (double)tile;
    const double item = 700 + 31 * positions * (double)oc;
    const double channel = positions * (borders ? 6.3 : 5.8) + 13 * vectors + 0.7 * positions * vectors;
    return groups * (phases * item + taps * (190 + (double)problem->icg * channel)) / 2e3 + 75;
}

void upc_phase_processor_guess(const upc_problem *problem, upc_phase_shape *shape)
{
    static const int32_t shapes[][2] = {{4, 8}, {8, 8}, {8, 4}, {4, 4}, {2, 8}, {1, 8}, {1, 4}}; // {tile, oc}
    double best = 0;
    *shape = (upc_phase_shape){.tile = 0};
    for (size_t i = 0; i < UPC_COUNT(shapes); i++) {
        const double cost = upc_phase_processor_us(problem, shapes[i][0], shapes[i][1]);
        if (shape->tile && cost >= best)
            continue;
        best = cost;
        shape->tile = shapes[i][0];
        shape->oc = shapes[i][1];
    }
}
