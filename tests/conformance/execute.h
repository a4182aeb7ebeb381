// Runs a mapped case through the library and compares.
#ifndef CONFORMANCE_EXECUTE_H
#define CONFORMANCE_EXECUTE_H

#include "dialects.h"

typedef struct case_runner {
    upconv_context *context;
    upconv_backend backend; // that must have run
    const char *solver;     // NULL, or as in upconv_plan_params.solver: must have run, where it is a transposed convolution
    upconv_type type;       // as which the case is run, weights included
    upconv_layout layout;   // of input and output
    bool gaps;              // between rows, channels and all else
} case_runner;

// false: item->why.
bool case_execute(corpus_case *item, const mapping *map, const case_runner *runner);

#endif
