// Host functions: steps that run on the processor, for backends whose memory is the host's.
#ifndef UPC_HOST_H
#define UPC_HOST_H

#include "solver.h"

// What launch.host_arg points to for every host function.
typedef struct upc_host_arg {
    const upc_problem *problem;
    upconv_filter_order order; // of the weights, where they come at execution
    bool packed;               // the weights that are bound are what the solver's pack made
    int64_t oc;                // phase, direct: channels of a block
} upc_host_arg;

// pointers: input, weights, bias, slopes (or bias), output.
upconv_status upc_host_reference(const upc_env *env, const void *arg, void *const *pointers);
// The gathering solvers in plain C and f32, as their kernels have it.
upconv_status upc_host_phase(const upc_env *env, const void *arg, void *const *pointers);
upconv_status upc_host_direct(const upc_env *env, const void *arg, void *const *pointers);

// The recipe of one host function: a step that binds the pointers above.
upconv_status upc_host_cook(const char *name, const upc_problem *problem, const upc_request *request,
                            uint64_t packed_bytes, upc_recipe *recipe);

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
