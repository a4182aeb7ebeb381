// Cuts an operation that copies rather than computes into dispatches that a device takes: a slab is ranges of images,
// channels, output positions, and of something that goes by for each of them (taps, or sources). api/split.h is the
// same for sums of products.
#ifndef UPC_SLABS_H
#define UPC_SLABS_H

#include "../split.h"

enum {
    UPC_SLAB_N,      // images
    UPC_SLAB_C,      // channels
    UPC_SLAB_OUT,    // d, h, w of outputs
    UPC_SLAB_BY = 5, // d, h, w of what goes by
    UPC_SLAB_RANGES = 8,
    UPC_SLAB_FITS = -1,
    UPC_SLAB_NEVER = -2,
};

typedef struct upc_slab {
    int64_t first[UPC_SLAB_RANGES], count[UPC_SLAB_RANGES];
} upc_slab;

typedef struct upc_slabs {
    const upc_problem *problem;
    const upc_facts *facts;
    int64_t step; // channels are cut at multiples of this
    // The range to halve next, FITS, or NEVER with *why: nothing helps.
    int (*check)(const struct upc_slabs *slabs, const upc_slab *slab, const char **why);
    // One dispatch (or several) for a slab that fits. What goes by comes in raster order if `check` halves its axes in
    // that order.
    upconv_status (*emit)(struct upc_slabs *slabs, const upc_slab *slab);
    void *user;
    int64_t emitted;
} upc_slabs;

// UNSUPPORTED where nothing helps.
upconv_status upc_slabs_run(upc_slabs *slabs, const upc_slab *whole);

// The first range of the list, which NEVER ends, that can be halved; NEVER.
int upc_slab_choose(const upc_slabs *slabs, const upc_slab *slab, const int *list);

// What a dispatch sees of a tensor: the slab's images and channels, positions from first to last.
upc_window upc_slab_window(const upc_tensor *tensor, const upc_slab *slab, const int64_t first[3],
                           const int64_t last[3]);
// Where it begins, counted from position (0, 0, 0) of the slab's first image, and of the block that holds its first
// channel.
int64_t upc_slab_start(const upc_tensor *tensor, const upc_slab *slab, const upc_window *window);
// Bytes that a window may have.
int64_t upc_slab_room(const upc_facts *facts);

// Whether positions are further apart than the channels of one position.
static inline bool upc_slab_inner(const upc_tensor *tensor) { return tensor->channel < tensor->axis[2]; }

// NULL, or why 32 bits are not enough for places within a channel, or for positions.
const char *upc_slab_refuse(const upc_problem *problem, char *sentence);

// A kernel's numbers. Those that are `fixed` become specialisation constants where `spec`, else entries of the recipe's
// table.
typedef struct upc_number {
    const char *name;
    int64_t value;
} upc_number;
void upc_program_defines(upc_program_desc *program, const upc_number *defines, size_t count);
upconv_status upc_program_fixed(upc_recipe *recipe, upc_program_desc *program, const upc_number *fixed, size_t count,
                                bool spec);

#endif
