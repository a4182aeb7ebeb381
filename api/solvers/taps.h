// Which taps make which outputs: the residues of a stride, with dilation (gcd rule). Shared by the solvers whose weights are
// ordered by phase, and by the packing of those weights.
#ifndef UPC_TAPS_H
#define UPC_TAPS_H

#include "../solver.h"

// Where positions begin to count, on an axis: the position q of an output is floor((o + origin) / stride). Outputs that are more than
// one step apart are positions themselves.
static inline int64_t upc_axis_origin(const upc_axis *axis) { return axis->step > 1 ? 0 : axis->pad; }

// One residue r of one axis: the outputs o with (o + origin) mod stride == r, at the position q = floor((o + origin) / stride).
typedef struct upc_residue {
    int32_t count;  // taps that land here
    int32_t input;  // tap t reads the input q * step + input - t * input_step
    int32_t before; // taps of the residues before this one
    int32_t tap;    // its first tap; tap t is tap + t * tap_step
} upc_residue;

typedef struct upc_tap_axis {
    int64_t stride;      // may differ from the problem's: see upc_taps_init
    int64_t tap_step;    // stride / gcd(stride, dilation)
    int64_t input_step;  // dilation / gcd(stride, dilation)
    upc_residue *residue; // `stride` of them
} upc_tap_axis;

typedef struct upc_taps {
    const upc_env *env;
    upc_tap_axis axis[3];
} upc_taps;

enum {
    UPC_MAX_STRIDE = 1 << 16,      // of a table of residues, per axis
    UPC_MAX_PHASES = 1 << 24,      // product over the axes
};

// The stride that the phases of an axis are made for. On an axis with a single input position the stride has no meaning, and
// kernel * dilation gives every output a phase of its own with one tap instead of one phase with every tap.
int64_t upc_taps_stride(const upc_axis *axis);
// The first and the last position that outputs have, over all phases.
void upc_taps_range(const upc_axis *axis, int64_t *first, int64_t *last);
// What all taps of the positions `first` to `last` read, and so from where to where an input would have to reach: the least is below 0
// where it lies before the input.
void upc_taps_reach(const upc_axis *axis, int64_t first, int64_t last, int64_t *least, int64_t *most);
// Whether any axis has a step above 1.
bool upc_taps_stepped(const upc_problem *problem);
// Whether two taps of an output read different inputs: not so where kernel = stride.
bool upc_taps_overlap(const upc_problem *problem);

// phases = false: one phase with all taps in order (all strides and dilations 1), for the direct solver.
upconv_status upc_taps_init(upc_taps *taps, const upc_env *env, const upc_problem *problem, bool phases);
void upc_taps_finish(upc_taps *taps);

// Position of a tap within [phase][tap]: phases in order of (rd, rh, rw), within a phase by (d, h, w).
int64_t upc_taps_position(const upc_taps *taps, const upc_problem *problem, const int64_t tap[3]);
// Taps of all phases before `phase` = (rd * stride_h + rh) * stride_w + rw, for phase 0 .. phases.
int64_t upc_taps_before(const upc_taps *taps, const upc_problem *problem, int64_t phase);
int64_t upc_taps_phases(const upc_taps *taps);

// How weights are packed: [group][block][phase][tap][input channel][oc], zeros beyond the last channels.
typedef struct upc_packing {
    int64_t oc;      // output channels of a block
    int64_t icg;     // input channels of a group: the problem's, or more
    upconv_type type;
} upc_packing;

// HOST_MEMORY only.
upconv_status upc_taps_pack(const upc_taps *taps, const upc_problem *problem, const upc_packing *packing,
                            const float *weights, upconv_filter_order order, void *packed);
uint64_t upc_taps_packed_bytes(const upc_problem *problem, const upc_packing *packing);

#endif
