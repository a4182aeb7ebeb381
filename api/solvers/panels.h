// How panels.c lays out what it multiplies, and the step that weaves a tensor's channels together.
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

// Adds the step that weaves a tensor into the workspace: the gradient of the output, or the input.
upconv_status upc_weave_cook(const upc_problem *problem, const upc_facts *facts, const upc_panel *panel, const upc_woven *woven,
                             bool gradient, upc_recipe *recipe);

#endif
