// Reads arrays in NumPy's NPY format, versions 1.0 and 2.0, C order, little endian.
#ifndef CONFORMANCE_NPY_H
#define CONFORMANCE_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NPY_MAX_RANK = 8 };

typedef struct npy {
    const char *type; // "float32", "int64", "int32", "int16", "int8", "uint8"; a string constant
    size_t item;      // bytes of an element
    int rank;
    int64_t shape[NPY_MAX_RANK];
    size_t elements;
    void *data; // malloced
} npy;

// The array in `bytes`; its data is copied. false: `why` says what is wrong, and nothing needs to be freed.
bool npy_parse(const void *bytes, size_t size, npy *array, char *why, size_t why_size);
bool npy_read(const char *path, npy *array, char *why, size_t why_size);
void npy_finish(npy *array);

// A whole file, with a 0 after it that *size does not count; NULL: `why` says why not.
char *file_read(const char *path, size_t *size, char *why, size_t why_size);

#endif
