// The numbers that one problem runs on, in host memory, and comparing two of its outputs.
#ifndef TOOL_TENSORS_H
#define TOOL_TENSORS_H

#include <stdbool.h>
#include <stddef.h>

#include <upconv/upconv.h>

typedef struct tensors {
    upconv_problem problem;
    upconv_sizes sizes;
    void *input, *residual; // of the problem's type; residual only where it has one
    void *gradient;         // of a transposed convolution's output, of the problem's type; only for gradients of filter and bias
    uint64_t gradient_bytes;
    float *weights, *bias, *slopes; // of a quantised problem: weights of 8 bits, a bias of 32
    int32_t *indices;               // of max unpooling, as pooling has made them; what pooling gives is nobody's. Else NULL
    double scale;                   // of a quantised problem: that its sums are multiplied by
} tensors;

static inline bool tensors_quantised(const upconv_problem *problem) { return problem->type >= UPCONV_U8; }
size_t tensors_element_bytes(const upconv_problem *problem);

// Made and filled: the same pseudo-random numbers on every machine. false: a sentence is in error.
bool tensors_init(tensors *t, const upconv_problem *problem, char *error, size_t error_size);
void tensors_finish(tensors *t);

// A plan for these tensors: weights, bias and, where the activation has them, slopes are part of it.
upconv_status tensors_plan(const tensors *t, upconv_context *context, const char *solver, upconv_effort effort,
                           upconv_plan **plan);

typedef struct difference {
    double largest; // as a part of one more than the largest expected number; a NaN counts as infinite
    uint64_t at;    // where: the position in memory
    double got, expected;
} difference;

// Compares two outputs of the problem, element by element: what lies between elements may be anything.
void tensors_compare(const tensors *t, const void *got, const void *expected, difference *result);
// The same of the indices of max pooling, which must be equal. false: the first other one is at *at in memory.
bool tensors_compare_indices(const tensors *t, const int32_t *got, const int32_t *expected, uint64_t *at);

#endif
