// What the two solvers of max unpooling share (shaders/unpool.kernel): unpool takes the sources of a plane one after
// the other, owners lets all of them claim their outputs at once.
#ifndef UPC_UNPOOL_H
#define UPC_UNPOOL_H

#include "slabs.h"

// What shaders/cells.kernel is to know: each source's own outputs, a stride along each axis, are a cell.
typedef struct upc_cells {
    int64_t first[3], count[3]; // cells along d, h, w that have a source or outputs
    int32_t q;                  // channels of an item where that is fixed, else 0
    int64_t channels, groups;   // of an item, and how many of those an image has
    int64_t rows, parts;        // rows of cells of an item, and how many of those a plane has
    int64_t run;                // cells that an item makes before it goes on along w
} upc_cells;

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
    int64_t part; // lines of an item's part, outputs of a row of owners, or rows of cells
    const char *kernel; // NULL: unpool
    bool guarded;       // there are cells: their words say what is left to do
    upc_cells cells;
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

// NULL, or why the problem cannot be made in cells on this device; whether pooling would have left what is best made so.
const char *upc_cells_refuse(const upc_problem *problem, const upc_facts *facts, char *sentence);
bool upc_cells_expected(const upc_problem *problem, const upc_facts *facts);
upc_cells upc_cells_of(const upc_problem *problem, const upc_facts *facts);
// Of the workspace: a word for each item.
uint64_t upc_cells_bytes(const upc_problem *problem, const upc_cells *cells);
// The steps that make them and write those words.
upconv_status upc_cells_run(const upc_unpool *unpool);

upc_bind upc_unpool_bind(upc_place place, const upc_window *window, size_t element);

#endif
