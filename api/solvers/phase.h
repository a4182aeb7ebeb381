// What `phase` takes on a device that it has no record of.
#ifndef UPC_PHASE_H
#define UPC_PHASE_H

#include "gather.h"

typedef struct upc_phase_shape {
    int32_t tile, oc; // positions and output channels of an item
    int32_t stage;    // channels of a block in a copy of the input; 0: no copy
    bool texel;       // weights through a texel buffer
} upc_phase_shape;

void upc_phase_guess(const upc_problem *problem, const upc_facts *facts, upc_phase_shape *shape);

// The same on processors under Vulkan, and what it costs there.
void upc_phase_processor_guess(const upc_problem *problem, upc_phase_shape *shape);
double upc_phase_processor_us(const upc_problem *problem, int64_t tile, int64_t oc);

// Whether the input, as it is, is read in vectors of four channels.
bool upc_phase_fours(const upc_problem *problem);

// Asks for a copy in blocks of `pack` channels that is at least as large as the one that will be made: what can be said without taps.
void upc_phase_stage_bound(const upc_problem *problem, int64_t pack, int64_t tile, upc_stage *stage);

#endif
