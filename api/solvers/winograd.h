// Winograd over stride phases. At dilation 1 all phases of a position read the same inputs, so that an ordinary
// algorithm F(m, r) for correlations, r being the taps of a phase, transforms each window of inputs once for all phases
// and output channels.
//
// Axes h and w have r = ceil(kernel / stride) of 1, 2 or 3 taps: F(1, 1) (nothing to transform), F(2, 2), F(3, 2) or
// F(2, 3), on the points 0, 1, infinity and -1, whose matrices hold 0, 1, -1 and 1/2 only: small integers stay exact.
// Along d r is 1.
//
// Precision. With every |input| <= X and |weight| <= W, the terms that are added up for one output are at most g * W
// * X in all, where direct summation has (inputs) * r * W * X; g / (inputs * r) is 2 for F(2, 2), 3 for F(3, 2) and
// 8/3 for F(2, 3) an axis: up to 9 in two dimensions. The rounding errors grow by as much, and an infinity or a NaN
// in the input reaches all outputs of its tiles.
#ifndef UPC_WINOGRAD_H
#define UPC_WINOGRAD_H

#include "../solver.h"

enum { UPC_WINOGRAD_POINTS = 4 }; // most of an axis

// On one axis.
typedef struct upc_winograd_axis {
    int64_t taps, outputs, points; // of a tile: r, m, and m + r - 1 (1 where r is 1)
    int64_t q0, tiles;             // position of the first tile, and how many tiles there are
} upc_winograd_axis;

typedef struct upc_winograd {
    upc_winograd_axis axis[3];
    int64_t tile, oc, vec;  // tiles and output channels of an item; width of a vector
    uint32_t local[2];
    int64_t points;         // of a tile
    int64_t tiles, panels;  // of all images; a panel is an item's
    int64_t phases, blocks; // blocks of output channels of a group
} upc_winograd;

// outputs: m of axes with two taps.
void upc_winograd_fill(const upc_problem *problem, int64_t outputs, int64_t tile, int64_t oc, int64_t vec,
                       upc_winograd *made);
// Elements of the transformed weights of one block of one phase.
static inline int64_t upc_winograd_unit(const upc_winograd *w, const upc_problem *problem)
{
    return w->points * problem->icg * w->oc;
}
static inline uint64_t upc_winograd_packed_bytes(const upc_winograd *w, const upc_problem *problem)
{
    return (uint64_t)(problem->groups * w->blocks * w->phases * upc_winograd_unit(w, problem)) * 4;
}

upconv_status upc_winograd_cook(const upc_winograd *w, const upc_problem *problem, const upc_facts *facts,
                                const upc_request *request, upc_recipe *recipe);

// [group][block][phase][point][input channel][oc], zeros beyond the last channels and for taps that a phase lacks.
// HOST_MEMORY.
upconv_status upc_winograd_pack(const upc_winograd *w, const upc_env *env, const upc_problem *problem,
                                const float *weights, upconv_filter_order order, float *packed);

#endif
