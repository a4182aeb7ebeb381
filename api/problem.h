// The canonical problem: validated, defaults filled in, always three axes. Everything behind the front door sees this.
#ifndef UPC_PROBLEM_H
#define UPC_PROBLEM_H

#include "util/util.h"

// Outputs and inputs that meet: o * step = i * stride + k * dilation - pad. Transposed convolution has step 1. Convolution has
// stride 1: read back to front its filter is that of a transposed convolution whose outputs between the steps nobody asked for.
typedef struct upc_axis {
    int64_t in, out, kernel, stride, dilation, pad, step; // stride and step are not both above 1
} upc_axis;

// The input position that reaches output o with tap k, or -1.
static inline int64_t upc_axis_source(const upc_axis *axis, int64_t o, int64_t k)
{
    const int64_t at = o * axis->step + axis->pad - k * axis->dilation;
    return at < 0 || at % axis->stride || at / axis->stride >= axis->in ? -1 : at / axis->stride;
}

// Where the elements of a tensor lie. All distances are in elements.
typedef struct upc_tensor {
    int64_t image;    // between images
    int64_t channel;  // between channels, or blocks of `pack` channels
    int64_t axis[3];  // between positions of d, h, w
    int64_t pack;     // channels side by side in a block: 4 for NC4HW4, else 1
    int64_t elements; // from the first to the last, both counted
} upc_tensor;

// c counts over all groups.
static inline int64_t upc_tensor_at(const upc_tensor *tensor, int64_t n, int64_t c, int64_t d, int64_t h, int64_t w)
{
    return n * tensor->image + c / tensor->pack * tensor->channel + c % tensor->pack + d * tensor->axis[0] +
           h * tensor->axis[1] + w * tensor->axis[2];
}

static inline size_t upc_type_bytes(upconv_type type)
{
    return type == UPCONV_U8 || type == UPCONV_I8 ? 1 : type == UPCONV_F16 || type == UPCONV_I16 ? 2 : 4;
}
// Whether a problem of that type is quantised.
static inline bool upc_type_quantised(upconv_type type) { return type >= UPCONV_U8; }

// What api/tensor.c must know of one.
typedef struct upc_tensor_form {
    const char *name; // "in" or "out", for sentences
    int dims;
    int64_t batch, channels, extent[3]; // channels of all groups; d, h, w
    upconv_layout layout;
    size_t element_bytes;
} upc_tensor_form;

// Checks the pitches. Those of axes with one position are dropped, so that tensors that lie alike compare equal.
// INVALID.
upconv_status upc_tensor_from(const upc_tensor_form *form, const upconv_pitch *pitch, upc_tensor *tensor);
bool upc_tensor_dense(const upc_tensor_form *form, const upc_tensor *tensor); // as zero pitches make it
// The way back: zeros where it is dense, else complete.
void upc_tensor_pitch(const upc_tensor_form *form, const upc_tensor *tensor, upconv_pitch *pitch);
// Whether four channels lie side by side wherever four begin, at multiples of four elements: what vector accesses need.
bool upc_tensor_fours(const upc_tensor_form *form, const upc_tensor *tensor);
// Copies the elements between two tensors that lie alike; what lies between them stays as it is.
void upc_tensor_copy(const upc_tensor_form *form, const upc_tensor *tensor, void *to, const void *from);
// Zeros for the channels that fill up the last block of an NC4HW4 tensor.
void upc_tensor_clear_filling(const upc_tensor_form *form, const upc_tensor *tensor, void *to);

// What only UPCONV_RESIZE has. scale: 0 stands for out / in.
typedef struct upc_resize {
    upconv_resize_mode mode;
    upconv_coordinates coordinates;
    upconv_rounding rounding;
    float cubic;
    bool exclude_outside, f32_steps;
    double scale[3]; // of axis[0 .. 2]
} upc_resize;

// What only quantised problems have; zeros for the others.
typedef struct upc_quant {
    upconv_requant requant;
    int32_t in_zero, weights_zero, out_zero;
    int32_t range[2]; // complete; without what RELU makes of it
} upc_quant;

typedef struct upc_problem {
    upconv_op op;
    int dims;          // as given, for printing; axis[0 .. 2] are d, h, w, missing ones are unit axes
    int64_t batch, groups;
    int64_t icg, ocg;  // channels per group
    upc_axis axis[3];
    upconv_type type, sum_type;
    upconv_layout in_layout, out_layout;
    upc_tensor in, out; // from layouts and pitches; the residual lies like the output
    upconv_act act;
    float act_param[2];
    upconv_residual residual;
    upc_resize resize;                  // zeros for all other operations
    upconv_channel_order channel_order; // UPCONV_PIXEL_SHUFFLE
    upconv_index index;
    int64_t space[3]; // index_space, complete
    upc_quant quant;
} upc_problem;

// Checks every rule of upconv_problem. INVALID with a sentence that names the value and the rule.
upconv_status upc_problem_from(const upconv_problem *given, upc_problem *problem);
// The part of it that knows dims, in, kernel, stride and dilation only: pad and out of the axes are left zero. dims may
// be NULL.
upconv_status upc_axes_from(const upconv_problem *given, int *dims, upc_axis axis[3]);
// The extent of the full result, before padding cuts it. In 64 bits for any 32-bit values.
static inline int64_t upc_axis_full(const upc_axis *axis)
{
    return (axis->in - 1) * axis->stride + (axis->kernel - 1) * axis->dilation + 1;
}
// The way back: complete, no zeros standing for defaults.
void upc_problem_to(const upc_problem *problem, upconv_problem *given);

void upc_problem_form(const upc_problem *problem, bool in, upc_tensor_form *form); // of the input, or of the output

// How many elements there are, however they lie.
uint64_t upc_input_elements(const upc_problem *problem);
uint64_t upc_output_elements(const upc_problem *problem);
// From the first element to the last, with what lies between them.
static inline uint64_t upc_input_bytes(const upc_problem *problem)
{
    return (uint64_t)problem->in.elements * upc_type_bytes(problem->type);
}
static inline uint64_t upc_output_bytes(const upc_problem *problem)
{
    return (uint64_t)problem->out.elements * upc_type_bytes(problem->type);
}
uint64_t upc_weights_elements(const upc_problem *problem); // that a plan takes: 0 for operations without
uint64_t upc_filter_elements(const upc_problem *problem);  // of the filter that a plan takes, or writes
// Multiply-adds as GFLOPS counts them: batch * in extents * kernel * in_channels * out_channels / groups; of a convolution with its
// output's extents.
double upc_problem_macs(const upc_problem *problem);
// Of these, the ones that an output depends on: without those that meet padding, or what is cut off.
double upc_problem_needed_macs(const upc_problem *problem);

// The tensor that UPCONV_INDICES lies like: unpooling's input, pooling's output.
static inline bool upc_indices_in(const upc_problem *problem) { return problem->op == UPCONV_MAX_UNPOOL; }
static inline uint64_t upc_indices_bytes(const upc_problem *problem)
{
    return (uint64_t)(upc_indices_in(problem) ? problem->in.elements : problem->out.elements) * sizeof(int32_t);
}

// Whether the filter is read back to front: a convolution's, so that what is left is a transposed convolution (see upc_axis).
static inline bool upc_filter_flipped(const upc_problem *problem) { return problem->op == UPCONV_CONV; }

// Strides of a filter tensor in elements: index = first + (g's part) + ic * in + oc * out + kd * tap[0] + kh * tap[1] + kw *
// tap[2], with ic and oc counted within the group g.
//
// first: where the element of index 0 lies, which is not the tensor's first where taps are read back to front (convolution):
// distances between taps are negative then.
typedef struct upc_filter_strides {
    int64_t group, in, out, tap[3], first;
} upc_filter_strides;
void upc_filter_strides_get(const upc_problem *problem, upconv_filter_order order, upc_filter_strides *strides);

// The canonical notation of a canonical problem, into a bounded text.
void upc_problem_print(const upc_problem *problem, upc_text *text);
// Lines on how many taps meet in an output, one an axis (api/overlap.c).
void upc_overlap_explain(const upc_problem *problem, upc_text *text);
const char *upc_act_name(upconv_act act); // as in the notation

#endif
