// The quantised stride phases: what the choice of a kernel (phase_q.c) and the packing of its weights (phase_q_pack.c) agree on.
#ifndef UPC_PHASE_Q_H
#define UPC_PHASE_Q_H

#include "gather_q.h"

typedef struct upc_phase_q {
    int64_t oc;         // output channels of a block
    int weight_bits;    // of a packed weight, without its zero point: 8 or 16
    upc_dot dot;        // products of four bytes at once: four input channels lie side by side in a word, with a zero point
    int32_t x_flip;     // dot: 1: the upper bit of inputs is turned
    int32_t x_zero, w_zero; // dot: of inputs after that, and of packed weights
    int64_t more;       // dot: bytes for each tap and output channel beside the weights
    uint64_t weights;   // bytes; the factors of all output channels follow at factors_at
    uint64_t factors_at, bytes;
} upc_phase_q;

void upc_phase_q_fill(const upc_problem *problem, int64_t oc, upc_dot dot, upconv_type weights_type, upc_phase_q *how);

// Of these forms (1u << upc_dot, or'ed) the one that suits the problem's type best; NONE without any.
upc_dot upc_phase_q_dot(const upc_problem *problem, uint8_t forms);
// Whether the problem's layout and types let four bytes be multiplied at once.
bool upc_phase_q_can_dot(const upc_problem *problem);

extern const upc_solver upc_solver_phase_q;

// HOST_MEMORY only.
upconv_status upc_phase_q_pack(const upc_env *env, const upc_problem *problem, int64_t oc, upc_dot dot,
                               const upconv_plan_params *params, void *packed);

#endif
