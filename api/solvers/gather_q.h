// What phase_q and wide_q have in common: the stride phases of quantised types, with the same arguments, table, cuts and bindings. They
// differ in what an item makes and in how weights and factors are packed.
#ifndef UPC_GATHER_Q_H
#define UPC_GATHER_Q_H

#include "../quant.h"
#include "../split.h"
#include "gather.h"

// What stands for input channels in packed weights: [group][block][phase][tap][row][oc], without their zero point, zeros beyond the last
// channels. QUADS have a row more, before the others: minus the sum of the tap's weights times the inputs' zero point.
typedef enum upc_pack_form {
    UPC_PACK_ELEMENTS, // one, of 8 or 16 bits
    UPC_PACK_PAIRS,    // two, in a word, 16 bits each, the first in the lower half
    UPC_PACK_QUADS,    // four, 8 bits each
} upc_pack_form;

typedef struct upc_gather_q {
    int64_t oc;              // output channels of a block
    int64_t inputs;          // elements that a group's weights have for each tap and output channel: input channels, or words of them
    int64_t weight_unit;     // weights that the kernel counts as one
    int32_t weight_bits;     // of a packed weight: 8 or 16
    upc_pack_form form;      // of the inputs above
    int64_t rows;            // of a tap: inputs, and what stands before them
    int32_t zero, in_zero;   // QUADS: the zero points of packed weights and of the inputs that they meet
    bool by_rows;            // items count their positions from a row's first output, not from its first position
    bool block_factors;      // factors are padded to whole blocks, three rows of `oc` words for each; else four words a channel
    bool all_phases;         // an item makes the positions of all phases, one after the other: the grid has lines alone
    bool in_args;            // the input's distances change from dispatch to dispatch
    bool spec;               // the geometry is compiled in, a program per problem
    uint64_t weights, factors; // bytes of both, packed
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
    uint64_t factors_at;     // bytes within what the plan keeps
    uint64_t copy_at;        // bytes within the workspace, behind weights that come at execution
    bool copied;             // items read a copy of the input there
    bool waits;              // the next step must wait for those before
} upc_cooking_q;

// Taps, the split but for its tile and work-group, and where weights and factors are: weights given at execution at the beginning of the
// workspace, and the factors by themselves in the plan. upc_cook_q_finish is due whatever this returns.
upconv_status upc_cook_q_begin(upc_cooking_q *c, const upc_problem *problem, const upc_facts *facts,
                               const upc_request *request, upc_recipe *recipe);
void upc_cook_q_finish(upc_cooking_q *c);
// The geometry, in the program's parameters and the table, the names of the arguments, and the steps that pack weights given at execution.
// The program has been begun.
upconv_status upc_cook_q_params(upc_cooking_q *c);

// How weights given at execution are packed (api/pack.c).
typedef struct upc_packing_q {
    int64_t oc, rows; // of a block; of a tap
    upc_pack_form form;
    int32_t bits;     // of ELEMENTS
    int32_t zero;     // of QUADS: the zero point that packed weights have
    int32_t in_zero;  // of QUADS: that of the inputs that they meet
} upc_packing_q;
// upc_pack_cook for quantised weights; its entries in the table are UPC_PACK_Q_ENTRIES.
enum { UPC_PACK_Q_ENTRIES = UPC_PACK_ENTRIES + 3 };
upconv_status upc_pack_q_cook(const upc_problem *problem, const upc_facts *facts, const upc_taps *taps,
                              const int32_t taps_at[3], const upc_packing_q *packing, const upc_request *request,
                              upc_recipe *recipe);

// The least and the most that an output may be, with the activation, before the output's zero point.
void upc_q_clamp(const upc_problem *problem, int32_t clamp[2]);
// The largest power of two of products that cannot leave a sum that holds up to `most`; 0 where one product can.
int64_t upc_q_chunk(const upc_problem *problem, int64_t most);
// The inputs' zero point where inputs have no sign: signed ones have 128 added to them.
int32_t upc_q_unsigned_zero(const upc_problem *problem);
// The tiles of `span` positions that the outputs of positions q0 to q0 + qn - 1 on a row take, 1 at least; a position has `stride` outputs.
int64_t upc_q_tiles(const upc_axis *axis, int64_t stride, int64_t q0, int64_t qn, int64_t span);
// How a kernel stores elements of a type (Q_IN, Q_OUT).
int32_t upc_q_store(upconv_type type);

#endif
