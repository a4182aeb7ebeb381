// The quantised stride phases: what the choice of a kernel (phase_q.c) and the packing of its weights (phase_q_pack.c) agree on.
#ifndef UPC_PHASE_Q_H
#define UPC_PHASE_Q_H

#include "gather_q.h"

typedef struct upc_phase_q {
    int64_t oc;         // output channels of a block
    int weight_bits;    // of a packed weight, without its zero point: 8 or 16
    uint64_t weights;   // bytes; the factors of all output channels follow at factors_at
    uint64_t factors_at, bytes;
} upc_phase_q;

void upc_phase_q_fill(const upc_problem *problem, int64_t oc, upconv_type weights_type, upc_phase_q *how);

// HOST_MEMORY only.
upconv_status upc_phase_q_pack(const upc_env *env, const upc_problem *problem, int64_t oc, const upconv_plan_params *params,
                               void *packed);

#endif
