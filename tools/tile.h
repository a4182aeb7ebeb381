// Between the samples of a picture and the floats of a tensor, a rectangle at a time.
#ifndef TOOL_TILE_H
#define TOOL_TILE_H

#include "image.h"

typedef struct tile_area {
    uint32_t x, y, width, height; // in source pixels
} tile_area;

// Fills in planes [channels][height + 2 * border][width + 2 * border]. Beyond its edges the picture goes on
// as its outermost pixels do. Colours are multiplied by their opacity, so that what is invisible does not
// bleed into what is not.
void tile_load(const picture *image, const tile_area *tile, uint32_t border, float *planes);

// Writes planes [channels][height][width] as rows of samples, rounded to the nearest and kept in range, to
// the rows at `rows`; opacity is taken out of the colours again. Pixels that round to wholly transparent get
// black.
void tile_store(const float *planes, uint32_t width, uint32_t height, int channels, int depth, uint8_t *rows,
                size_t row_bytes);

// The largest difference of `count` pixels, in steps of the depth; colours weighed by the larger of the two
// opacities.
double tile_difference(const uint8_t *a, const uint8_t *b, size_t count, int channels, int depth);

#endif
