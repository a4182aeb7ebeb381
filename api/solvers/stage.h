// A copy of the input in the workspace, made by a step of its own before the others, for kernels that want another layout or type,
// or zeros around the positions so that no tap must be asked whether it is inside.
#ifndef UPC_STAGE_H
#define UPC_STAGE_H

#include "../split.h"
#include "taps.h"

typedef struct upc_stage {
    // asked for
    upconv_type type;
    int64_t pack;               // 1: [image][channel][d][h][w]; 4: [image][group][block of 4][d][h][w][4], zeros in the last block
    int64_t front[3], back[3];  // positions of zeros around those of the input
    // given by upc_stage_fill
    upc_tensor tensor;          // relative to the copy's first element
    int64_t icg;                // channels of a group in the copy
    int64_t origin;             // element of position (0, 0, 0) of the first image and channel
    uint64_t bytes;
} upc_stage;

// front and back so that every tap of every position that a gathering kernel makes is inside; `tile`: positions of an item along w,
// all of which it reads.
void upc_stage_surround(upc_stage *stage, const upc_problem *problem, const upc_taps *taps, int64_t tile);
// Fills in what follows from what is asked for. bytes is UINT64_MAX, and distances are 0, where they are beyond 64 bits.
void upc_stage_fill(upc_stage *stage, const upc_problem *problem);
// NULL: the copy can be made in one dispatch, and within the workspace that needs no asking. Else a sentence.
const char *upc_stage_refuse(const upc_stage *stage, const upc_problem *problem, const upc_facts *facts,
                             char *sentence);
// Adds the step, which writes the workspace from byte `at`. The next step needs a barrier.
upconv_status upc_stage_cook(const upc_stage *stage, const upc_problem *problem, const upc_facts *facts, uint64_t at,
                             upc_recipe *recipe);
// Has a split read the copy.
void upc_stage_split(const upc_stage *stage, upc_split *split);

#endif
