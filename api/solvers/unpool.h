// What the two solvers of max unpooling share (shaders/unpool.kernel): unpool takes the sources of a plane one after
// the other, owners lets all of them claim their outputs at once.
#ifndef UPC_UNPOOL_H
#define UPC_UNPOOL_H

#include "slabs.h"

typedef struct upc_unpool {
    const upc_problem *problem;
    const upc_facts *facts;
    upc_recipe *recipe;
    uint32_t local[3];
    bool spec;
    bool linear; // indices count rows after rows, as the output's planes lie; then boxes of whole rows need no division
    // beside what every step has
    const upc_number *defines;
    size_t define_count;
    int64_t part; // lines of an item's part, or outputs of a row of owners
} upc_unpool;

void upc_unpool_init(upc_unpool *unpool, const upc_problem *problem, const upc_facts *facts, upc_recipe *recipe);
// Whether the outputs of a slab can be found without division.
bool upc_unpool_linear(const upc_unpool *unpool, const upc_slab *slab);

void upc_unpool_outputs(const upc_slab *slab, int64_t first[3], int64_t last[3]);
void upc_unpool_sources(const upc_slab *slab, int64_t first[3], int64_t last[3]);

// A step of the kernel with the arguments of a slab; *step lacks groups and bindings. The program has `bindings` of
// them, the table last.
upconv_status upc_unpool_step(const upc_unpool *unpool, const upc_slab *slab, int number, uint32_t bindings,
                              upc_step *step);

upc_bind upc_unpool_bind(upc_place place, const upc_window *window, size_t element);

#endif
