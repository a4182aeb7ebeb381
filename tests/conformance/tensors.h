// A case's tensors as --type, --layout and --gaps ask for, and how far results may then be from those of f32.
#ifndef CONFORMANCE_TENSORS_H
#define CONFORMANCE_TENSORS_H

#include "execute.h"

typedef struct laid_case {
    upconv_problem problem; // complete
    upconv_sizes sizes;
    unsigned char *input, *output, *marks; // marks: which bytes of the output may be written
    void *weights;
    double *rounding;       // for each element of the output: what storing inputs and weights in the type may change
} laid_case;

// Pitches of the input or output that leave gaps everywhere.
void case_gaps(const upconv_problem *p, bool in, upconv_pitch *pitch);

// input: dense NCHW. weights: in the order that the plan is made with. iok: the same in UPCONV_FILTER_IOK. false:
// item->why; laid_finish is due in either case.
bool laid_init(laid_case *laid, corpus_case *item, const mapping *map, const case_runner *runner, const float *input,
               const float *weights, const float *iok);
void laid_finish(laid_case *laid);
// The output in dense NCHW; false: bytes between its elements or behind it have changed.
bool laid_read(const laid_case *laid, corpus_case *item, float *dense);
// How far an output stored in the type may be from `expected`, given how far it may be in f32.
double laid_bound(const laid_case *laid, size_t index, double expected, double f32_bound);

#endif
