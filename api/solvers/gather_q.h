// What phase_q and wide_q have in common: the stride phases of quantised types, with the same arguments, table, cuts and bindings. They
// differ in what an item makes and in how weights and factors are packed.
#ifndef UPC_GATHER_Q_H
#define UPC_GATHER_Q_H

#include "../quant.h"
#include "../split.h"
#include "gather.h"

typedef struct upc_gather_q {
    int64_t oc;              // output channels of a block
    int64_t inputs;          // elements that a group's weights have for each tap and output channel: input channels, or words of them
    int64_t more;            // further elements for each tap and output channel
    int64_t weight_unit;     // weights that the kernel counts as one
    bool block_factors;      // factors are padded to whole blocks, three rows of `oc` words for each; else four words a channel
    bool all_phases;         // an item makes the positions of all phases, one after the other: the grid has lines alone
    bool in_args;            // the input's distances change from dispatch to dispatch
    bool spec;               // the geometry is compiled in, a program per problem
    uint64_t factors_at;     // bytes within the packed weights
} upc_gather_q;

typedef struct upc_cooking_q {
    const upc_problem *problem;
    const upc_request *request;
    upc_gather_q how;
    upc_facts facts;         // with bindings that bytes can be counted in within 31 bits
    upc_taps taps;
    upc_recipe *recipe;
    upc_split split;
    int32_t taps_at[3];
    upc_program_desc program;
    bool copied;             // items read a copy of the input at the beginning of the workspace
    bool waits;              // the next step must wait for those before
} upc_cooking_q;

// Taps, and the split but for its tile and work-group. upc_cook_q_finish is due whatever this returns.
upconv_status upc_cook_q_begin(upc_cooking_q *c, const upc_problem *problem, const upc_facts *facts, const upc_request *request,
                               upc_recipe *recipe);
void upc_cook_q_finish(upc_cooking_q *c);
// The geometry, in the program's parameters and the table, and the names of the arguments. The program has been begun.
upconv_status upc_cook_q_params(upc_cooking_q *c);

// The least and the most that an output may be, with the activation, before the output's zero point.
void upc_q_clamp(const upc_problem *problem, int32_t clamp[2]);
// The largest power of two of products that cannot leave a sum that holds up to `most`; 0 where one product can.
int64_t upc_q_chunk(const upc_problem *problem, int64_t most);
// How a kernel stores elements of a type (Q_IN, Q_OUT).
int32_t upc_q_store(upconv_type type);

#endif
