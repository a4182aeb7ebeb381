// Cases that take each output from a few inputs: interpolation, Resize, Upsample, DepthToSpace, pixel_shuffle.
#ifndef CONFORMANCE_SAMPLING_H
#define CONFORMANCE_SAMPLING_H

#include "dialects.h"

// false: none of these operations; else *verdict.
bool sampling_map(corpus_case *item, mapping *map, case_verdict *verdict);

#endif
