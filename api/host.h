// Host functions: steps that run on the processor, for backends whose memory is the host's.
#ifndef UPC_HOST_H
#define UPC_HOST_H

#include "solver.h"

// What launch.host_arg points to for every host function.
typedef struct upc_host_arg {
    const upc_problem *problem;
    upconv_filter_order order; // of the weights that are bound
} upc_host_arg;

// pointers: input, weights (in arg->order), bias, slopes (or bias), output.
upconv_status upc_host_reference(const upc_env *env, const void *arg, void *const *pointers);

// An activation in double precision; a is the channel's slope for PReLU.
double upc_activate(double x, upconv_act act, double a, double b);

// One output element by the definition, in double precision. at: image, channel, and the position on each axis.
double upc_reference_point(const upc_host_arg *arg, const float *input, const float *weights, const float *bias,
                           const float *slopes, const int64_t at[5]);

// NULL for an unknown name.
upc_host_fn upc_host_find(const char *name);

// Calls work(data, index, thread) for every index below count, on up to `threads` threads (the caller's is one of them; thread
// counts from 0). When no thread can be started the caller does it all.
void upc_parallel(int threads, int64_t count, void (*work)(void *data, int64_t index, int thread), void *data);

#endif
