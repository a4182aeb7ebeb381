// Enlarging a picture on one device, tile by tile: one plan, two buffers.
#ifndef TOOL_ENLARGE_H
#define TOOL_ENLARGE_H

#include <upconv/upconv.h>

#include "enlarge_filter.h"
#include "image.h"
#include "tile.h"

// How a picture is cut. All tiles have one size, so that one plan does; the last ones overlap their
// neighbours.
typedef struct tile_grid {
    uint32_t width, height; // of a tile, in source pixels
    uint32_t across, down;  // their numbers
} tile_grid;

// The largest tiles whose tensors, in and out together, keep to `bytes`, and each alone to the device's
// largest buffer.
void tiling_choose(tile_grid *tiling, const picture *image, const enlarge_filter *filter, uint64_t bytes,
                   uint64_t buffer_bytes);
tile_area tiling_at(const tile_grid *tiling, const picture *image, uint32_t across, uint32_t down);

typedef struct enlarger {
    upconv_context *context;
    upconv_plan *plan;
    upconv_buffer *input, *output;
    const enlarge_filter *filter;
    double device_ms; // of all tiles so far
} enlarger;

// Context and filter stay the caller's, for as long as the enlarger lives. On failure upconv_last_error() has the
// sentence, and enlarger is to be finished.
upconv_status enlarger_init(enlarger *enlarger, upconv_context *context, const enlarge_filter *filter,
                            const tile_grid *tiling, int depth, const char *solver);
void enlarger_finish(enlarger *enlarger); // takes a zeroed one
// Writes the tile's pixels, enlarged, to the rows at `rows`.
upconv_status enlarger_run(enlarger *enlarger, const picture *image, const tile_area *tile, uint8_t *rows,
                           size_t row_bytes);

#endif
