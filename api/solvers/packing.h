// Weights from any order into a kernel's: a transposition whose columns may lie anywhere in the source. What all
// solvers' pack functions end in; a solver says where things are, this knows caches, vectors and threads.
#ifndef UPC_PACKING_H
#define UPC_PACKING_H

#include "../util/util.h"

// Where a tap is in the source (of group 0, inner 0), and where in the result; elements.
typedef struct upc_pack_tap {
    int64_t from, to;
} upc_pack_tap;

// A result is made of panels of columns side by side:
// result[group * to_group + panel * to_panel + tap[t].to + inner * to_inner + column] =
// source[group * from_group + column[panel * columns + column] + tap[t].from + inner * from_inner]
typedef struct upc_pack_map {
    int64_t groups, panels, taps, inner,
        columns;                          // how many of each; columns are those of one panel, for halves at most 4096
    int64_t from_group, from_inner;       // distances in the source, elements
    int64_t to_group, to_panel, to_inner; // and in the result; to_inner is at least `columns`
    const upc_pack_tap *tap;              // [taps], best in the order of the source
    const int64_t *column;                // [panels * columns]; below 0: the column is zeros, wherever it is
    const uint8_t *missing;               // [taps][panels * columns], 1: zeros; NULL: there are no such
    bool half;                            // the result is halves, else f32 like the source
} upc_pack_map;

// On several threads where there is enough to do. What no column covers of the result is left as it is.
void upc_pack_run(const upc_pack_map *map, const float *from, void *to);

#endif
