// Where the elements of a tensor lie, and half precision: by the rules of upconv.h and IEEE 754, and by no code of the
// library.
#ifndef UPC_TENSORS_H
#define UPC_TENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <upconv/upconv.h>

// `problem` is complete: no zeros standing for defaults, except in pitches.
// For every element of the input or output, in dense NCHW order: where it lies.
void test_each_place(const upconv_problem *problem, bool in, void (*visit)(void *user, int64_t at, uint64_t logical),
                     void *user);
// Bytes that the input's or output's offset is a multiple of.
size_t test_alignment(const upconv_problem *problem, bool in);
// Counts an index array up through `extent`, fastest axis last; false after the last.
bool test_next(int index[3], const int32_t extent[3], int dims);
// Between dense and tensors as they lie, of type F16 or F32. What lies between the elements is left alone.
void test_lay(const upconv_problem *problem, bool in, const float *dense, void *memory);
void test_unlay(const upconv_problem *problem, bool in, const void *memory, float *dense);
// A 1 for every byte of the output that may be written.
void test_mark(const upconv_problem *problem, unsigned char *marks);

uint16_t test_half_from(double value); // not of NaN; ties to even
double test_half_to(uint16_t half);
double test_half_ulp(double value);

#endif
