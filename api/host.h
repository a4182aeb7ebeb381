// Host functions: steps that run on the processor, for backends whose memory is the host's.
#ifndef UPC_HOST_H
#define UPC_HOST_H

#include "solver.h"
#include "util/half.h"

// What launch.host_arg points to for every host function.
typedef struct upc_host_arg {
    const upc_problem *problem;
    upconv_filter_order order; // of the weights, where they come at execution
    upconv_type weights_type;  // the same
    bool bias_int64;           // of a quantised plan
    bool packed;               // the weights that are bound are what the solver's pack made
    int64_t oc;                // phase, direct: channels of a block
} upc_host_arg;

// An element of a tensor of either type, rounded to nearest.
static inline float upc_host_load(const void *data, upconv_type type, int64_t at)
{
    return type == UPCONV_F16 ? upc_half_to(((const uint16_t *)data)[at]) : ((const float *)data)[at];
}
static inline void upc_host_store(void *data, upconv_type type, int64_t at, float value)
{
    if (type == UPCONV_F16)
        ((uint16_t *)data)[at] = upc_half_from(value);
    else
        ((float *)data)[at] = value;
}

// Weights that come at execution, in f32: *f32 gets memory to upc_free where they are not, else NULL. HOST_MEMORY.
upconv_status upc_host_weights(const upc_env *env, const upc_host_arg *arg, const void *given, float **f32);

// The pointers that host functions get. Those that an operation or a problem does not have are NULL; slopes are the bias where there
// are none.
typedef enum upc_host_pointer {
    UPC_HOST_INPUT,
    UPC_HOST_WEIGHTS,
    UPC_HOST_BIAS,
    UPC_HOST_SLOPES,
    UPC_HOST_OUTPUT,
    UPC_HOST_RESIDUAL,
    UPC_HOST_INDICES,
    UPC_HOST_POINTERS,
    UPC_HOST_OUTPUT_GRAD = UPC_HOST_WEIGHTS, // gradients have no weights
    UPC_HOST_FACTORS = UPC_HOST_SLOPES       // quantised problems have no slopes, but what each channel's sums are multiplied by
} upc_host_pointer;
_Static_assert((int)UPC_HOST_POINTERS <= (int)UPC_MAX_BINDINGS, "a step binds them all");

upconv_status upc_host_reference(const upc_env *env, const void *arg, void *const *pointers);
// By definition, in integers. HOST_MEMORY, where weights come at execution, of which it makes a copy.
upconv_status upc_host_quantised(const upc_env *env, const void *arg, void *const *pointers);
// One output of it, whose weights are packed.
int32_t upc_quantised_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5]);
// What it reads is packed thus: the factors of all output channels, and from upc_quantised_factor_bytes on the weights; in all
// upc_quantised_packed_bytes.
uint64_t upc_quantised_factor_bytes(const upc_problem *problem);
uint64_t upc_quantised_packed_bytes(const upc_problem *problem);
void upc_quantised_pack(const upc_problem *problem, const upconv_plan_params *params, void *packed);
// The gathering solvers in plain C, with sums in f32 as in their kernels.
upconv_status upc_host_phase(const upc_env *env, const void *arg, void *const *pointers);
upconv_status upc_host_direct(const upc_env *env, const void *arg, void *const *pointers);

// Gradients (api/solvers/grad_host.c).
upconv_status upc_host_grad_filter(const upc_env *env, const void *arg, void *const *pointers);
upconv_status upc_host_grad_bias(const upc_env *env, const void *arg, void *const *pointers);
double upc_host_grad_filter_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5]);
double upc_host_grad_bias_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5]);

// The recipe of one host function: a step that binds the pointers above. packed_bytes: of weights that the plan keeps.
upconv_status upc_host_cook(const char *name, const upc_problem *problem, const upc_request *request,
                            uint64_t packed_bytes, upc_recipe *recipe);

// An activation in double precision; a is the channel's slope for PReLU.
double upc_activate(double x, upconv_act act, double a, double b);

// The output from a sum with its bias: activation and residual. slope: the channel's, for PReLU.
double upc_host_finish(const upc_problem *problem, double sum, double slope, double residual);

// Where an element of the output, or of the residual, lies. at: image, channel, and the position on each axis.
static inline int64_t upc_output_at(const upc_problem *problem, const int64_t at[5])
{
    return upc_tensor_at(&problem->out, at[0], at[1], at[2], at[3], at[4]);
}

// One output element of any operation by its definition, in double precision, from the pointers of a host function with weights in
// f32; and all of them.
double upc_reference_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5]);
upconv_status upc_reference_all(const upc_env *env, const upc_host_arg *arg, void *const *pointers);
// Of resizing, zero insertion and pixel shuffle.
upconv_status upc_host_sample(const upc_env *env, const void *arg, void *const *pointers);
double upc_host_sample_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5]);
// Transposed convolution's.
double upc_host_reference_point(const upc_host_arg *arg, const void *const *pointers, const int64_t at[5]);

// NULL for an unknown name.
upc_host_fn upc_host_find(const char *name);

// Calls work(data, index, thread) for every index below count, on up to `threads` threads (the caller's is one of them;
// thread counts from 0). When no thread can be started the caller does it all.
void upc_parallel(int threads, int64_t count, void (*work)(void *data, int64_t index, int thread), void *data);

#endif
