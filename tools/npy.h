// Arrays of f32 in NumPy's NPY format: what `upconv train` writes, `upconv upscale --filter` reads, and numpy.load and
// numpy.save know.
#ifndef TOOL_NPY_H
#define TOOL_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NPY_MAX_RANK = 4, NPY_MAX_ELEMENTS = 1 << 20 };

typedef struct npy_array {
    int rank;
    int64_t shape[NPY_MAX_RANK]; // above 0 each
    size_t elements;
    float *values; // the last axis varies fastest
} npy_array;

// Takes what numpy.save makes of a C-contiguous float32 array (versions 1 to 3 of the format, '<f4') whose numbers
// are all finite. false: a sentence that names the file, the value and the rule is in error, and array is empty.
bool npy_read(const char *path, npy_array *array, char *error, size_t error_size);
void npy_finish(npy_array *array); // takes a zeroed one

// Version 1.0. The file appears at its place, whole.
bool npy_write(const char *path, const npy_array *array, char *error, size_t error_size);

// "(3, 1, 4, 4)", cut to size.
void npy_shape_text(const npy_array *array, char *text, size_t size);

#endif
