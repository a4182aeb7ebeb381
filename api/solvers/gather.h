// What phase and direct have in common: both gather, each output from the inputs that reach it, with the same arguments, the same
// table, the same cuts and the same packed weights. They differ in what a position is (a phase's, or an output itself).
#ifndef UPC_GATHER_H
#define UPC_GATHER_H

#include "../split.h"
#include "stage.h"
#include "taps.h"

// How a kernel stores elements of a type (IN_STORE and its sisters in shaders/shell.*).
typedef enum upc_store {
    UPC_STORE_F32 = 32,
    UPC_STORE_F16 = 16,
    UPC_STORE_F16_PAIRS = 17, // two in a word: the device has no 16-bit storage
} upc_store;
upc_store upc_store_of(const upc_facts *facts, upconv_type type);

typedef struct upc_gather {
    const char *kernel;
    bool phases;           // positions are per phase
    int64_t oc, tile;      // channels and positions of an item
    uint32_t local[3];
    const upc_stage *stage; // NULL: the kernel reads the input as it is; else filled in, and not refused
    int64_t beyond;         // elements that whole vectors read before and behind those that matter
    int unroll;            // steps of the loop over input channels that are written out
    bool f16_sums;         // products are added up in f16
    bool texel;            // weights are read as a texel buffer (facts.texel_elements)
    uint32_t lanes;        // 0: items make tiles of a row; else subgroups of so many items make tiles of all positions of a phase
    bool whole_groups;     // a work-group together makes what an item does otherwise
    bool spec;             // geometry as specialisation constants, not from the table
    // adds the kernel's own #defines
    void (*defines)(const struct upc_gather *gather, upc_program_desc *program);
    // and those that it takes from the problem; NULL: none
    void (*geometry)(const upc_problem *problem, upc_program_desc *program);
    const void *user;      // the solver's own
} upc_gather;

upc_packing upc_gather_packing(const upc_gather *gather, const upc_problem *problem, const upc_facts *facts);
// The pack of a gathering solver. HOST_MEMORY.
upconv_status upc_gather_pack(const upc_gather *gather, const upc_env *env, const upc_problem *problem,
                              const upc_facts *facts, const float *weights, upconv_filter_order order, void *packed);

// NULL, or why no gathering solver can do this problem (sizes beyond 32-bit indices).
const char *upc_gather_refuse(const upc_problem *problem, bool phases, char *sentence);

// NULL, or why no kernel can reach all positions of a channel of the input or the output.
const char *upc_reach_refuse(const upc_problem *problem, char *sentence);

upconv_status upc_gather_cook(const upc_gather *gather, const upc_problem *problem, const upc_facts *facts,
                              const upc_request *request, upc_recipe *recipe);

// Adds the steps that pack weights given at execution into the workspace, and their UPC_PACK_ENTRIES to the table (api/pack.c).
// taps_at: where upc_table_taps will put the axes: last, so that the program is the same for every stride.
enum { UPC_PACK_ENTRIES = 22 };
upconv_status upc_pack_cook(const upc_problem *problem, const upc_facts *facts, const upc_taps *taps,
                            const int32_t taps_at[3], const upc_packing *packing, const upc_request *request,
                            upc_recipe *recipe);

// Appends the residues of all axes to the table: for each, count, input and before (multiplied up, so that the place of a phase is
// TAPS_D.before + count_d * (TAPS_H.before + count_h * TAPS_W.before)); at[] gets where each axis begins.
upconv_status upc_table_taps(upc_recipe *recipe, const upc_problem *problem, const upc_taps *taps, int32_t at[3]);

// What shaders/common.part makes of an activation: its number there (ACT), and the slope and bounds of those made of straight pieces,
// as floats' bits (ACT_A, ACT_LO, ACT_HI).
typedef struct upc_epilogue {
    int32_t act, bits[3];
} upc_epilogue;
upc_epilogue upc_epilogue_of(const upc_problem *problem);

// Multiply-adds that count: those whose output is not cut off.
double upc_gather_macs(const upc_problem *problem);
// Whether the device is a processor that poses as a Vulkan device, whose costs are like no GPU's and no OpenCL compiler's.
bool upc_gather_processor(const upc_facts *facts);
// Share of a device's items that a dispatch of so many keeps busy, above 0 and at most 1. Rough: for cost models.
double upc_gather_busy(const upc_facts *facts, double items);

// The values of a knob that is one axis of a work-group.
enum { UPC_GROUP_SIZES = 9 };
extern const int32_t upc_group_sizes[UPC_GROUP_SIZES];

// Work-group of at most `most` invocations for a grid, wide along x first.
void upc_group_guess(const upc_facts *facts, const int64_t items[3], uint32_t most, uint32_t local[2]);
// NULL: a work-group of x by y fits the device.
const char *upc_group_legal(const upc_facts *facts, int32_t x, int32_t y, char *sentence);

#endif
