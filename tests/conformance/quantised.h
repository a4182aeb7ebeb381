// Quantised cases, to the bit.
#ifndef CONFORMANCE_QUANTISED_H
#define CONFORMANCE_QUANTISED_H

#include "execute.h"

// Whether a case is one; its dialect's `map` has then to be followed by quantised_map, which fills in what the problem has of it.
bool case_is_quantised(const corpus_case *item);
bool quantised_map(corpus_case *item, mapping *map);
bool quantised_execute(corpus_case *item, const mapping *map, const case_runner *runner);

#endif
