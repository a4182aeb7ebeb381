// The processor's own share of api/peaks.c: what plain host functions reach, for the backend that runs nothing else.
#ifndef UPC_PEAKS_H
#define UPC_PEAKS_H

#include "host.h"

typedef struct upc_peak_work {
    int threads;
    int64_t rounds; // fma: rounds of the loop for each thread
    uint64_t bytes; // copy
} upc_peak_work;

// arg: upc_peak_work. No pointers.
upconv_status upc_peak_host_fma(const upc_env *env, const void *arg, void *const *pointers);
// pointers: source, destination.
upconv_status upc_peak_host_copy(const upc_env *env, const void *arg, void *const *pointers);
// Multiply-adds of one thread in one round of upc_peak_host_fma.
int64_t upc_peak_host_fmas(void);

#endif
