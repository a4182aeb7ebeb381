// Strips whose lines of inputs are blended along w once each and kept for all the output lines around
// (shaders/blend.kernel): resizing and zero insertion where nothing follows.
#ifndef UPC_BLEND_H
#define UPC_BLEND_H

#include "strips.h"

// Turns a planned *strips into such ones where the problem can be made so, or leaves it as it is. axis: the samples
// of d, h and w.
void upc_blend_plan(upc_strips *strips, const upc_problem *problem, const upc_sample_axis axis[3]);
// Lines of an item, of `lines` in each of `planes` planes of a strip's width.
int64_t upc_blend_rows(const upc_strips *strips, int64_t lines, int64_t planes);

#endif
