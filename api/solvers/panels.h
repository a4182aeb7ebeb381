// How panels.c and squares.c lay out what they multiply, and what they have in common.
#ifndef UPC_PANELS_H
#define UPC_PANELS_H

#include "../solver.h"

enum { UPC_PANEL_OUT, UPC_PANEL_IN, UPC_PANEL_GROUPS }; // what lanes are: output channels, input channels, groups
enum { UPC_PANEL_SEGMENT = 1024, UPC_PANEL_RUN = 512 };  // positions of a piece of a line: as in the kernel; of an item that weaves

typedef struct upc_panel_shape {
    int64_t width, lanes, rows, columns, chunk; // chunk: inputs that are added up at a time
    bool all_taps;                              // an item makes all of them
    bool copy;                                  // the rows are woven, too
} upc_panel_shape;

// A tensor as the kernel reads it: woven, or, with no bytes, where it is.
typedef struct upc_woven {
    int64_t sets;                  // of VEC channels, of a group, or where lanes are groups, of VEC groups
    int64_t image, set, axis[3];   // distances, elements; set: a channel's where it is not woven
    uint64_t at, bytes;            // of the workspace
} upc_woven;

typedef struct upc_panel {
    upc_panel_shape shape;
    upc_woven row, column;
    int64_t outers;                      // groups, or where lanes are groups, vectors of them
    int64_t row_n, tiles, blocks, taps;  // rows of a group, items for them; items for its columns; of the kernel
    int64_t segments, units;             // pieces of a line, and of all lines of all images
    int64_t each, shares;                // units of a share
    uint64_t parts_at, bytes;            // of the workspace
} upc_panel;

// false: beyond 32-bit indices.
bool upc_panel_lay(const upc_problem *problem, const upc_panel_shape *shape, upc_panel *panel);

// The numbers that kernels of this kind know of a problem and its layout, to their program.
upconv_status upc_panel_numbers(const upc_problem *problem, const upc_panel *panel, const upc_filter_strides *filter,
                                upc_recipe *recipe, upc_program_desc *program);

// All steps: weaves the tensors into the workspace, adds up a grid of items of the program, and the shares.
upconv_status upc_panel_cook(const upc_problem *problem, const upc_facts *facts, const upc_panel *panel,
                             const upc_program_desc *program, const int64_t items[3], upc_recipe *recipe);

// NULL, or why the copies and shares do not fit the device's indices, bindings or free workspace.
const char *upc_panel_refuse_size(const upc_problem *problem, const upc_facts *facts, const upc_panel *panel,
                                  char *sentence);
// NULL, or why positions are beyond 32 bits.
const char *upc_panel_refuse_far(const upc_problem *problem, char *sentence);

#endif
