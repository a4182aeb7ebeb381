// A matrix product as plain data, for recipes and launches. On its own, so that neither has to know the other.
#ifndef UPC_GEMM_H
#define UPC_GEMM_H

#include <stdbool.h>
#include <stdint.h>

// c = a x b, or c + a x b; f32, rows one after the other, `ld` elements from one to the next. a is m x k (given as k x m where
// a_transposed), b is k x n (n x k), c is m x n. What lies between the rows of c is left alone.
typedef struct upc_gemm {
    uint32_t m, n, k; // above 0
    uint32_t lda, ldb, ldc;
    bool a_transposed, b_transposed;
    bool accumulate;  // onto what stands in c
} upc_gemm;

enum { UPC_GEMM_A, UPC_GEMM_B, UPC_GEMM_C, UPC_GEMM_BINDINGS }; // which binding is which

#endif
