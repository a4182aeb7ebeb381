// From a dialect's operation and attributes to a problem, through the library's own convention helpers.
#ifndef CONFORMANCE_DIALECTS_H
#define CONFORMANCE_DIALECTS_H

#include <upconv/upconv.h>

#include "corpus.h"

// What runs a case. Layouts are letters in the order stored; I and O are those of a transposed convolution.
typedef struct mapping {
    int dims;
    upconv_problem problem;
    corpus_tensor *input, *weights, *bias, *output; // weights (where the operation has none) and bias may be NULL
    corpus_tensor *gradient; // of the output; NULL where the case is none of gradients
    char in_layout[NPY_MAX_RANK + 1], out_layout[NPY_MAX_RANK + 1], weights_layout[NPY_MAX_RANK + 1];
    bool quantised;
    bool rounded; // integers that are run as floats: results are rounded before they are compared
    int32_t filter_channels; // O of the filter: output channels of one group
} mapping;

typedef enum case_verdict {
    CASE_RUNS,
    CASE_SKIPPED, // the library does not have the operation: item->why names it
    CASE_WRONG,   // item->why says what is wrong
} case_verdict;

case_verdict case_map(corpus_case *item, mapping *map);

// The extent of the axis of that letter, or 1 where the layout has none.
int32_t extent_of(const corpus_tensor *tensor, const char *layout, char letter);

#endif
