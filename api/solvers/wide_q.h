// Quantised stride phases for processors: what the choice of a kernel (wide_q.c), its recipe (wide_q_cook.c), the copy of the input
// (wide_q_strips.c) and the packing of weights (wide_q_pack.c) agree on.
#ifndef UPC_WIDE_Q_H
#define UPC_WIDE_Q_H

#include "gather_q.h"
#include "vectors.h"

typedef struct upc_wide_q {
    int64_t vec, tile, vectors; // of a vector: elements; of an item: positions (along: vectors of them), vectors of channels (along: channels)
    bool along;                 // vectors are of positions, not of output channels
    int order;
    bool stage;                 // items read a copy of the input in the workspace, else one that they make
    bool inner;                 // a copy's words of one position lie side by side
    bool quads;                 // words are of four channels, 8 bits each, and not of two
    int64_t per;                // channels of a word
    int64_t lines[3];           // of an item's own copy on each axis; along w: how many more positions than the item has
    uint32_t group;             // work-group
    bool spec;                  // the geometry is compiled in, a program per problem
    int64_t oc, span, words;    // channels of a block, positions of an item, words of input channels in a group
    int64_t rows;               // of a tap in packed weights
    uint64_t weights, factors_at, bytes; // packed: bytes of the weights, where the factors begin, all
} upc_wide_q;

// Whether weights of that type are signed bytes without their zero point, inputs are bytes, and sums of 32 bits.
bool upc_wide_q_bytes(const upc_problem *problem, upconv_type weights_type);
// Fills in what follows from what is asked for.
void upc_wide_q_fill(const upc_problem *problem, upc_wide_q *how);

// HOST_MEMORY only.
upconv_status upc_wide_q_pack(const upc_env *env, const upc_problem *problem, const upc_wide_q *how,
                              const upconv_plan_params *params, void *packed);

upconv_status upc_wide_q_cook(const upc_problem *problem, const upc_facts *facts, const upc_wide_q *how,
                              const upc_request *request, upc_recipe *recipe);

// Words of an item's own copy.
int64_t upc_wide_q_own(const upc_wide_q *how);
// How a source's elements lie: 1 positions side by side, 2 the channels of a position, 3 and positions too, in whole words of `per`
// channels, 0 neither.
int upc_wide_q_dense(const upc_problem *problem, int64_t per);

// ---------------------------------------------------------------------------------------------------- copies of the input

// The copy is made for as much at a time as fits the workspace that needs no asking.
typedef struct upc_strips_q {
    int axis;      // along which: -1 images
    int64_t count; // of a strip: images, or positions of that axis
    int64_t q0[3], qn[3]; // all positions
} upc_strips_q;

typedef struct upc_strip_q {
    int64_t n0, nn, q0[3], qn[3];
    int64_t front[3], back[3]; // of the copy, beyond the input; below 0: short of it
    upc_tensor tensor;
    int64_t origin;            // word of position (0, 0, 0) of the problem's first image
    uint64_t bytes;
} upc_strip_q;

// false: not even one line fits, or it would take too many strips.
bool upc_strips_q_plan(const upc_problem *problem, const upc_facts *facts, const upc_wide_q *how, upc_strips_q *strips);
// The strip that begins at image n0 (axis -1) or at position `at` of image n0.
void upc_strips_q_at(const upc_problem *problem, const upc_wide_q *how, const upc_strips_q *strips, int64_t n0,
                     int64_t at, upc_strip_q *strip);
// Adds the step that makes a strip's copy, in the workspace from byte `at` on, a multiple of 256.
upconv_status upc_strip_q_cook(const upc_problem *problem, const upc_facts *facts, const upc_wide_q *how,
                               const upc_strip_q *strip, uint64_t at, upc_recipe *recipe);

#endif
