// Random problems of max pooling and unpooling with their tensors, and what must come out by the words of upconv.h, in
// code that shares nothing with the library's.
#ifndef UPC_POOL_CASE_H
#define UPC_POOL_CASE_H

#include "testing.h"

typedef struct pool_case {
    upconv_problem problem; // complete
    upconv_sizes sizes;
    float *input, *expected; // dense NCHW
    int32_t *indices;        // dense, of the pooled tensor: what pooling must give, and what unpooling is given
} pool_case;

// Of up to `size` inputs and outputs. false: no memory, or the library refuses what it should take (a sentence is
// printed).
bool pool_case_init(pool_case *test, test_random *random, int size);
void pool_case_finish(pool_case *test);

// The problem whose input or output the indices lie like, in f32, so that tensors.h places int32.
upconv_problem pool_case_index_problem(const pool_case *test);

#endif
