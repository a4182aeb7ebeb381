// Cases that give gradients of a transposed convolution: several outputs, each a plan of its own.
#ifndef CONFORMANCE_GRADIENTS_H
#define CONFORMANCE_GRADIENTS_H

#include "execute.h"

// Whether a case is one of them; then *verdict is what case_map returns. map->gradient is the gradient of the output, map->problem the
// transposed convolution.
bool gradient_map(corpus_case *item, mapping *map, case_verdict *verdict);
// false: item->why.
bool gradient_execute(corpus_case *item, const mapping *map, const case_runner *runner);

#endif
