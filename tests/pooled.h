// Max pooling and the unpooling that undoes it, with what the CPU makes of them: for tests in which an app owns the tensors, indices
// among them.
#ifndef UPC_POOLED_H
#define UPC_POOLED_H

#include "testing.h"

typedef struct pooled {
    upconv_problem pool, unpool;
    upconv_sizes pool_sizes, unpool_sizes; // of both in f32, dense: output_bytes and indices_bytes are what the app's buffers hold
    float *input, *pooled, *unpooled;
    int32_t *indices;
} pooled;

// false: something fails, and a sentence is printed.
bool pooled_init(pooled *p, const char *pool, const char *unpool);
void pooled_finish(pooled *p);

#endif
