// Cuts an execution into dispatches that a device takes: each sees at most binding_bytes of every buffer, has a grid within
// limits, and no more multiply-adds than the watchdog's bound.
#ifndef UPC_SPLIT_H
#define UPC_SPLIT_H

#include "solver.h"

enum { UPC_MAX_DISPATCHES = 1 << 18 }; // of a cut problem: a recipe has an end

// What one dispatch computes. Ranges are first and count.
typedef struct upc_box {
    int64_t n0, nn;       // images
    int64_t g0, gn;       // groups
    int64_t b0, bn;       // output channel blocks of a group
    int64_t c0, cn;       // output channels of a group; all of the blocks' unless bn is 1
    int64_t p0, pn;       // phases
    int64_t q0[3], qn[3]; // positions on each axis
    int64_t i0, in;       // input channels of a group; fewer than all: sums are accumulated over several dispatches
} upc_box;

// A contiguous range of a tensor. It begins at a multiple of 4 elements, so that vectors stay vectors and f16 begins at a whole word.
typedef struct upc_window {
    int64_t first, count; // elements
} upc_window;

typedef struct upc_split {
    const upc_problem *problem;
    const upc_facts *facts;
    upc_tensor in, out;    // where input and output are; positions of the input may lie before or behind (see front)
    int64_t in_origin;     // element of the input's position (0, 0, 0) of the first image and channel
    bool padded;           // nothing is clipped: items also read what lies around the input's positions, which the tensor has
    int64_t front[3], back[3]; // positions before the first and behind the last that the input's tensor has too
    bool around;           // items read whatever any outputs of their positions, and of one more along w, could, as far as the tensor goes
    int64_t beyond;        // elements that whole vectors read before and behind those that matter, where there are any
    int64_t icg;           // input channels of a group, as the input's tensor has them
    size_t in_bytes, out_bytes, weight_bytes; // of an element
    int64_t weight_most;   // elements of weights that a dispatch may see beside the limit of bindings; 0: any number
    int64_t in_step, out_step; // channels are cut at multiples of this
    int64_t oc;            // channels of a block
    int64_t stride[3];     // outputs of a position q: q * stride - pad up to the next position's first
    int64_t phases;        // 1, or the product of the strides
    int64_t tile;          // positions along w of one item
    int64_t lanes;         // 0; or items that make a tile of positions together, on whichever lines of a phase these lie
    uint32_t local[3];     // work-group size
    double taps;           // multiply-adds of one output, per input channel, on average over the phases
    double rounds, rounds_per_channel; // of an item's loops at most: by itself, and for each input channel
    // Range of the packed weights that a box reads.
    void (*weights)(const struct upc_split *split, const upc_box *box, upc_window *window);
    const void *user;
    upconv_status (*emit)(void *to, const upc_box *box, const upc_window *in, const upc_window *out,
                          const upc_window *weights);
    void *to;
    int64_t emitted;
} upc_split;

// Calls emit for each dispatch, those that accumulate on the same outputs in order of i0. UNSUPPORTED when the limits are too
// small for any cut.
upconv_status upc_split_run(upc_split *split);
// The same of some images and positions alone.
upconv_status upc_split_run_part(upc_split *split, int64_t n0, int64_t nn, const int64_t q0[3], const int64_t qn[3]);

// Sets tensors, channels, types and steps from the problem: the input as the app gives it.
void upc_split_init(upc_split *split, const upc_problem *problem, const upc_facts *facts);

// Where a window begins relative to what its kernel counts from: position (0, 0, 0) of the box's first image, and of the block of
// channels that holds the box's first channel.
int64_t upc_split_in_start(const upc_split *split, const upc_box *box, const upc_window *in);
int64_t upc_split_out_start(const upc_split *split, const upc_box *box, const upc_window *out);

// Grid of a box in items: x tiles, y phases * planes * lines, z images * groups * blocks. With lanes: x the lanes of all tiles of a
// phase, y phases.
void upc_split_grid(const upc_split *split, const upc_box *box, int64_t items[3]);

#endif
