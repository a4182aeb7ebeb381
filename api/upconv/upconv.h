// upconv: transposed convolution, planned, compiled and executed on GPUs through Vulkan and OpenCL, and on the CPU.
//
// Describe an operation (upconv_problem), get a plan compiled for a device (upconv_plan), execute it.
//
// Rules that hold everywhere in this header:
//  1. Zero is the default of every params struct. `struct_size` is sizeof the struct as the caller compiled it; 0 means
//     the struct as it was in the first release of this major version.
//  2. Params and strings passed in need to live only until the call returns.
//  3. You destroy what you create; NULL may be destroyed. Objects made from a context are destroyed before it.
//  4. A call writes its out-params only when it returns UPCONV_OK.
//  5. Every call is thread-safe, also on one and the same object, unless its comment says otherwise. Destroying an
//     object while another thread is inside a call on it is the one thing that is never allowed.
//  6. Nothing aborts, exits, prints or throws. A call that fails returns a status, and upconv_last_error() then says in
//     one sentence, for the calling thread, which value broke which rule.
//  7. Sizes are in elements, offsets and `_bytes` in bytes, times in nanoseconds (`_ns`) or microseconds (`_us`).
#ifndef UPCONV_H
#define UPCONV_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define UPCONV_API __declspec(dllexport)
#else
#define UPCONV_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define UPCONV_VERSION_MAJOR 0
#define UPCONV_VERSION_MINOR 1
#define UPCONV_VERSION_PATCH 0

typedef struct upconv_context upconv_context; // one device, its programs, its tuning records
typedef struct upconv_plan upconv_plan;       // one operation compiled for that device; immutable
typedef struct upconv_buffer upconv_buffer;   // device memory
typedef uint64_t upconv_ticket;               // counts up from 1 within a context, in order of completion

// ---------------------------------------------------------------------------------------------------------- statuses

typedef enum upconv_status {
    UPCONV_OK = 0,
    UPCONV_ERROR_INVALID = -1,     // a documented rule was broken
    UPCONV_ERROR_UNSUPPORTED = -2, // legal, but no algorithm of this build can do it on this device
    UPCONV_ERROR_NO_DEVICE = -3,   // no such device, or its driver could not be loaded
    UPCONV_ERROR_HOST_MEMORY = -4, // the allocator returned NULL
    UPCONV_ERROR_GPU_MEMORY = -5,  // the device has no memory left, or not in one piece
    UPCONV_ERROR_COMPILE = -6,     // the driver or glslang turned a kernel down
    UPCONV_ERROR_DEVICE_LOST = -7, // the device was lost; destroy the context and create another, in the same process
    UPCONV_ERROR_TIMEOUT = -8,     // a bounded wait ended first; see upconv_wait
    UPCONV_ERROR_DATA = -9,        // imported data is damaged or of another format version
} upconv_status;

// The name of a status ("UPCONV_ERROR_INVALID"), or "unknown status". Never NULL.
UPCONV_API const char *upconv_status_name(upconv_status status);

// One sentence on the last call of this thread that failed; "" when none has. Valid until the thread's next upconv call.
UPCONV_API const char *upconv_last_error(void);

// "0.1.0".
UPCONV_API const char *upconv_version(void);

// ----------------------------------------------------------------------------------------------------------- problem

typedef enum upconv_op {
    UPCONV_CONV_TRANSPOSE = 0, // y[o] = act(bias + sum x[i] * w[k]), o = i * stride + k * dilation - pad, on every axis
    UPCONV_CONV,               // y[o] = act(bias + sum x[i] * w[k]), i = o * stride + k * dilation - pad: the same geometry, read the
                               // other way
    UPCONV_RESIZE,        // y[o] = the input between its samples, at the place that o comes from; see upconv_resize_mode
    UPCONV_ZERO_INSERT,   // "bed of nails": y[i * stride - pad] = x[i], zeros elsewhere
    UPCONV_PIXEL_SHUFFLE, // depth to space: blocks of channels become blocks of positions; see upconv_channel_order
    UPCONV_MAX_POOL,      // the largest of each window, and where it was (role UPCONV_INDICES); see upconv_index
    UPCONV_MAX_UNPOOL,    // the way back
    UPCONV_GRAD_FILTER,   // dw[k] = sum x[i] * dy[o] over images and inputs, o = i * stride + k * dilation - pad
    UPCONV_GRAD_BIAS,     // db = sum dy[o] over images and outputs
    UPCONV_OP_COUNT // operations that this build lacks are refused with UPCONV_ERROR_INVALID
} upconv_op;

typedef enum upconv_type {
    UPCONV_F32 = 0,
    UPCONV_F16, // IEEE 754 binary16
    UPCONV_U8,  // integers of quantised problems (upconv_requant): unsigned of 8 bits
    UPCONV_I8,  // signed of 8 bits
    UPCONV_I16, // signed of 16 bits
    UPCONV_TYPE_COUNT
} upconv_type;

typedef enum upconv_layout {
    UPCONV_NCHW = 0, // batch, channels, then the axes, slowest first: NCW, NCHW, NCDHW
    UPCONV_NHWC,     // batch, the axes, then the channels of a position side by side: NWC, NHWC, NDHWC
    UPCONV_NC4HW4,   // batch, blocks of 4 channels, the axes, then the 4 channels of a block side by side; where the channels
                     // are no multiple of 4 the last block is filled up: read as anything, written as anything
    UPCONV_LAYOUT_COUNT
} upconv_layout;

// How far apart a tensor's parts lie, in elements. 0: as far as the parts within take, one after the other. So a tensor can be a
// slice of a larger one (concatenation without a copy); where it begins is the binding's offset. What lies between the elements is
// never written. Each is at least the elements from the first to the last of what it steps over, and for NC4HW4 a multiple of 4.
typedef struct upconv_pitch {
    int64_t image;   // from one image of the batch to the next
    int64_t channel; // NCHW: from one channel to the next; NC4HW4: from one block of 4; must be 0 for NHWC
    int64_t plane;   // 3-D: from one position of axis d to the next
    int64_t row;     // 2-D and 3-D: from one position of axis h to the next
    int64_t pixel;   // NHWC: from one position of axis w to the next; must be 0 for the others (1, and 4 for NC4HW4)
} upconv_pitch;

// An addition fused into the output: a tensor with the output's layout, type and pitches, in the role UPCONV_RESIDUAL.
typedef enum upconv_residual {
    UPCONV_RESIDUAL_NONE = 0,
    UPCONV_RESIDUAL_BEFORE_ACT, // y = act(sum + bias + residual)
    UPCONV_RESIDUAL_AFTER_ACT,  // y = act(sum + bias) + residual
    UPCONV_RESIDUAL_COUNT
} upconv_residual;

// How UPCONV_RESIZE makes an output from the inputs around the place x that it comes from, on each axis by itself. Inputs beyond the
// ends are the first and the last one (but see exclude_outside).
typedef enum upconv_resize_mode {
    UPCONV_RESIZE_NEAREST = 0, // the input at x, rounded as upconv_rounding says
    UPCONV_RESIZE_LINEAR,      // of floor(x) and the next: linear, bilinear, trilinear
    UPCONV_RESIZE_CUBIC,       // of the four around x, by Keys' convolution with cubic_coefficient a: with d the distance,
                               // (a + 2) d^3 - (a + 3) d^2 + 1 up to 1, then a d^3 - 5 a d^2 + 8 a d - 4 a
    UPCONV_RESIZE_MODE_COUNT
} upconv_resize_mode;

// Where output o comes from, as ONNX' Resize has it: x, with s = scale, or out / in where that is 0.
typedef enum upconv_coordinates {
    UPCONV_HALF_PIXEL = 0,       // (o + 0.5) / s - 0.5
    UPCONV_HALF_PIXEL_SYMMETRIC, // the same plus in / 2 * (1 - out / (s * in)): the middles coincide also where out is not s * in
    UPCONV_PYTORCH_HALF_PIXEL,   // half_pixel, but 0 where out is 1
    UPCONV_ALIGN_CORNERS,        // o * (in - 1) / (out - 1), with s * in for out where s is given and f32_steps is 0; 0 where
                                 // out is 1
    UPCONV_ASYMMETRIC,           // o / s
    UPCONV_COORDINATES_COUNT
} upconv_coordinates;

typedef enum upconv_rounding {
    UPCONV_ROUND_PREFER_FLOOR = 0, // to the nearest, down where x is halfway
    UPCONV_ROUND_PREFER_CEIL,      // to the nearest, up where x is halfway
    UPCONV_ROUND_FLOOR,
    UPCONV_ROUND_CEIL,
    UPCONV_ROUNDING_COUNT
} upconv_rounding;

// Which input channel UPCONV_PIXEL_SHUFFLE puts where. Output channel c at block * i + b (on every axis) is the input at i of
// channel, with B the product of the blocks and r = (b_d * block_h + b_h) * block_w + b_w:
typedef enum upconv_channel_order {
    UPCONV_CRD = 0, // c * B + r: PyTorch's pixel_shuffle, ONNX' DepthToSpace of mode CRD
    UPCONV_DCR,     // r * out_channels + c: TensorFlow, TFLite, ONNX' DepthToSpace by default
    UPCONV_CHANNEL_ORDER_COUNT
} upconv_channel_order;

// Quantised transposed convolution: of type U8, I8 or I16, with a filter of U8 or I8. A real number is scale * (q - zero point), so an
// output is, over the products that reach it and never over others,
//
//     sum = bias + sum (x[i] - in_zero) * (w[k] - weights_zero)
//     y   = min(max(out_zero + requantise(sum), low), high)        low, high: out_range, or the type's; RELU: low at least out_zero
//
// where requantise multiplies by in_scale * weight_scale / out_scale, which upconv_plan_params has for each output channel, or one for
// all: as a fixed-point multiplier * 2^(shift - 31), or as the real number that this is made from. The schemes, to the bit, in integers
// of 64 bits that round towards minus infinity where they are shifted:
typedef enum upconv_requant {
    UPCONV_REQUANT_DOUBLE = 0, // gemmlowp's, TFLite's and CMSIS-NN's: with left = max(shift, 0) and right = max(-shift, 0),
                               // p = ((sum << left) * multiplier + 2^30) >> 31, then p / 2^right to the nearest, halves away from
                               // zero. Sums, and sum << left, are of 32 bits, and wrap around
    UPCONV_REQUANT_SINGLE,     // TFLite's and CMSIS-NN's other: (sum * multiplier + 2^(30 - shift)) >> (31 - shift); sums as above
    UPCONV_REQUANT_REDUCED,    // TFLite's for int16: the multiplier rounded to 16 bits, m = min((multiplier + 2^15) >> 16, 2^15 - 1);
                               // (sum * m + 2^(14 - shift)) >> (15 - shift), of which the low 32 bits count. Sums are of 64 bits;
                               // TFLite has them within 2^47
    UPCONV_REQUANT_REAL,       // sum * scale without error, then to the nearest, halves away from zero. Sums are of 64 bits
    UPCONV_REQUANT_COUNT
} upconv_requant;

// Fused activations: y = act(sum). a and b are act_param[0] and act_param[1].
typedef enum upconv_act {
    UPCONV_ACT_NONE = 0,
    UPCONV_ACT_RELU,       // max(x, 0)
    UPCONV_ACT_LEAKY_RELU, // x >= 0 ? x : a * x
    UPCONV_ACT_PRELU,      // x >= 0 ? x : slopes[output channel] * x; role UPCONV_SLOPES
    UPCONV_ACT_CLAMP,      // min(max(x, a), b); a <= b
    UPCONV_ACT_SIGMOID,    // 1 / (1 + exp(-x))
    UPCONV_ACT_TANH,       // tanh(x)
    UPCONV_ACT_HARDSWISH,  // x * min(max(x + 3, 0), 6) / 6
    UPCONV_ACT_SILU,       // x / (1 + exp(-x))
    UPCONV_ACT_GELU_ERF,   // x / 2 * (1 + erf(x / sqrt(2))); erf to 1e-6 absolute on a GPU
    UPCONV_ACT_GELU_TANH,  // x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))
    UPCONV_ACT_COUNT
} upconv_act;

// What the indices of max pooling and unpooling are, int32 each: numbers of the position (d, h, w) in channel c of image n, or of the
// tap (kd, kh, kw) that leads there. D x H x W are problem.index_space where it is set; else the input's extents for pooling, the
// output's for unpooling. C: channels; K: kernel. Missing axes have the extent 1.
typedef enum upconv_index {
    UPCONV_INDEX_PLANE = 0,      // (d * H + h) * W + w: PyTorch
    UPCONV_INDEX_TENSOR,         // (((n * C + c) * D + d) * H + h) * W + w: ONNX
    UPCONV_INDEX_IMAGE,          // ((d * H + h) * W + w) * C + c: TFLite's MaxUnpooling2D, tf.nn.max_pool_with_argmax
    UPCONV_INDEX_WINDOW,         // (kd * KH + kh) * KW + kw: TFLite's GPU delegate
    UPCONV_INDEX_WINDOW_COLUMNS, // (kw * KH + kh) * KD + kd: XNNPACK
    UPCONV_INDEX_COUNT
} upconv_index;

// Max pooling, UPCONV_MAX_POOL: y[o] is the largest x[i] of its window, i = o * stride - pad + k * dilation and 0 <= i < in on every
// axis, and the index says which: the first of equal ones in raster order (kd, kh, kw). A NaN is larger than any number. A
// window that no input lies in gives minus infinity and the index -1. out: 0 means floor((in + 2 * pad - (kernel - 1) * dilation - 1)
// / stride) + 1.
//
// Max unpooling, UPCONV_MAX_UNPOOL: y is 0 but where an index leads: y[place of x[i]'s index] = x[i], in the same image and channel.
// The indices of a window count from i * stride - pad + k * dilation; the others lead anywhere in the channel, for which kernel, stride,
// dilation and pad give the default of out alone: (in - 1) * stride + (kernel - 1) * dilation + 1 - 2 * pad. Where several lead
// to one place (windows that overlap do that), the last in raster order (d, h, w) of the input wins, on every device. One that leads
// nowhere (below 0, beyond index_space, the window or the output, or into another image or channel) is passed over.
//
// Both read neither groups nor anything of activations, residuals and sums; out_channels is in_channels (0 stands for it). Values are
// copied and never computed with. Indices other than a window's must fit int32: batch * channels * index_space (TENSOR), channels *
// index_space (IMAGE), index_space (PLANE) and kernel are at most 2^31 - 1. ONNX's MaxUnpool with an output_shape larger than what
// kernel, strides and pads imply has two readings: its own tests count indices in the implied extents (index_space), ONNX Runtime's in
// output_shape.

// A transposed convolution. Axes are in tensor order, slowest first, as in every framework: {w}, {h, w} or {d, h, w}.
// Each axis is computed by itself:
//
//     out[o] += in[i] * w[k]   wherever   o = i * stride + k * dilation - pad   and   0 <= o < out
//
// An output that no product reaches is act(bias). There is no correlation flip: w[k] is PyTorch's weight[..., k].
// upconv_problem_pytorch and its sisters fill in `pad` and `out` as a framework would.
typedef struct upconv_problem {
    size_t struct_size;
    upconv_op op;
    int32_t dims;         // number of axes: 1, 2 or 3; 0 means 2
    int32_t batch;        // required, above 0
    int32_t in_channels;  // required, above 0, divisible by groups
    int32_t out_channels; // required, above 0, divisible by groups; where it follows from in_channels, 0 stands for it
    int32_t groups;       // 0 means 1; in_channels for depthwise
    int32_t in[3];        // required, above 0
    int32_t kernel[3];    // required, above 0
    int32_t stride[3];    // above 0; left wholly zero: ones
    int32_t dilation[3];  // above 0, 1 is dense; left wholly zero: ones
    int32_t pad[3];       // positions cut off the front of the full result; negative adds positions there
    int32_t out[3];       // each: 0 means (in-1)*stride + (kernel-1)*dilation + 1 - 2*pad; any positive size is legal
    upconv_type type;     // of input, output and residual; bias and slopes are f32, or integers for quantised types (upconv_plan_params)
    upconv_layout in_layout, out_layout;
    upconv_act act;
    float act_param[2];
    upconv_type sum_type; // in which products are added up. F32: always; F16 (type F16 only): needs a device with f16_math.
                          // A sum of n products is then off by up to n * 2^-10 * (the sum of their magnitudes), and infinite
                          // beyond 65504
    upconv_residual residual;
    upconv_pitch in_pitch, out_pitch; // zeros: dense
    // UPCONV_RESIZE, which has neither kernel, stride, dilation, pad nor groups
    upconv_resize_mode resize_mode;
    upconv_coordinates coordinates;
    upconv_rounding rounding;       // NEAREST only
    float cubic_coefficient;        // CUBIC only: a; 0 means -0.75, as everywhere but in TensorFlow's -0.5
    uint32_t exclude_outside;       // CUBIC only: 1: inputs beyond the ends have no weight, and the others' add up to 1 (unless there
                                    // is no other)
    uint32_t f32_steps;             // 1: x in f32, and with a step to multiply by (1 / scale, or in / out, or what align_corners has)
                                    // instead of dividing, as PyTorch and TFLite do; 0: in double precision, as ONNX
    double scale[3];                // outputs an input; each: 0 means out / in. out of 0 then means floor(in * scale)
    upconv_channel_order channel_order; // UPCONV_PIXEL_SHUFFLE, whose blocks are the strides
    upconv_index index;               // MAX_POOL, MAX_UNPOOL
    int32_t index_space[3];           // of unpooling: the extents that indices other than a window's count in, where these are
                                      // not the output's; each: 0 means out
    // Types U8, I8 and I16 only, with act NONE or RELU, and neither residual nor sum_type
    upconv_requant requant;
    int32_t in_zero, weights_zero, out_zero; // zero points. Of input and output: within the type; of weights: -128 to 255
    int32_t out_range[2];                    // what outputs are clamped to, low <= high, within the type; both 0: all of the type
} upconv_problem;

// What an operation does not read must be zero (or ones: kernel, stride, dilation; or 1: groups). The other operations and these fields:
//
// UPCONV_RESIZE reads neither kernel, stride, dilation, pad nor groups. out_channels is in_channels. out 0 means floor(in * scale).
//
// UPCONV_ZERO_INSERT reads stride and pad (in front; negative: zeros are added there). out_channels is in_channels. out 0 means
// in * stride - 2 * pad, as if stride - 1 zeros followed each input; any positive size is legal.
//
// UPCONV_PIXEL_SHUFFLE reads stride, the blocks' extents. out_channels is in_channels over their product, out is in * stride. (0 stands
// for both.) These three take activations, slopes and residuals like a transposed convolution; without, they copy what is not computed.
//
// UPCONV_CONV, convolution as networks have it (no correlation flip): w[k] meets x[o * stride + k * dilation - pad]. pad is what is
// added in front (negative: cut off); what is added behind follows from out, so padding need not be the same on both sides. out
// 0 means floor((in + 2*pad - (kernel-1)*dilation - 1) / stride) + 1; any positive size is legal, and beyond the input there are zeros.
//
// UPCONV_GRAD_FILTER and UPCONV_GRAD_BIAS, gradients of the UPCONV_CONV_TRANSPOSE whose fields are the same, without activation and
// residual. UPCONV_OUTPUT_GRAD is the gradient of its output (of what is before the activation), with the output's layout and pitches.
// UPCONV_GRAD_FILTER reads its input too, and writes the filter's gradient to UPCONV_OUTPUT: f32 (also where type is F16), in the order
// that the plan's params name. UPCONV_GRAD_BIAS writes out_channels f32. Sums over batch and positions are f32; long ones are cut into
// shares that are added up afterwards (workspace), always in the same order. The gradient of the input is a convolution:
// upconv_problem_grad_input.

// The most bytes a tensor may have, 2^40; larger products are UPCONV_ERROR_INVALID.
#define UPCONV_MAX_TENSOR_BYTES ((uint64_t)1 << 40)

// The order of a filter tensor's axes, slowest first. I: input channels, O: output channels, k: the kernel's axes. Of the two, the one
// that stands first or (behind k) last is counted over all groups, the other within one.
typedef enum upconv_filter_order {
    UPCONV_FILTER_IOK = 0, // PyTorch's and ONNX's transposed convolution: [in_channels][out_channels / groups][k...]
    UPCONV_FILTER_KOI,     // TensorFlow's and Keras' transposed convolution: [k...][out_channels / groups][in_channels]
    UPCONV_FILTER_OIK,     // PyTorch's and ONNX's convolution: [out_channels][in_channels / groups][k...]
    UPCONV_FILTER_KIO,     // TensorFlow's and Keras' convolution: [k...][in_channels / groups][out_channels]
    UPCONV_FILTER_OKI,     // TFLite: [out_channels][k...][in_channels / groups]
    UPCONV_FILTER_IKO,     // [in_channels][k...][out_channels / groups]
    UPCONV_FILTER_COUNT
} upconv_filter_order;

typedef struct upconv_sizes {
    size_t struct_size;
    int32_t out[3];                               // as in the problem, with zeros filled in
    uint64_t input_elements, output_elements;     // batch * channels * extents, however they lie
    uint64_t weights_elements, bias_elements;     // in_channels * out_channels / groups * kernel; out_channels
    uint64_t input_bytes, output_bytes;           // from the first element to the last, as layout, pitches and type have them
    uint64_t weights_bytes, bias_bytes;           // in f32; weights of type F16 take half. Of a quantised problem: of 8 bits; in
                                                  // int32, a bias of int64 takes twice
    double flops;                                 // 2 * batch * in extents * kernel * in_channels * out_channels / groups;
                                                  // of UPCONV_CONV with out extents; 0 for operations without a filter
    uint64_t indices_elements, indices_bytes;     // of MAX_POOL and MAX_UNPOOL; bytes from the first element to the last
} upconv_sizes;

// Checks a problem against every rule above and gives its sizes. Set sizes->struct_size (or zero) before the call.
// Errors: UPCONV_ERROR_INVALID.
UPCONV_API upconv_status upconv_problem_sizes(const upconv_problem *problem, upconv_sizes *sizes);

// The frameworks' conventions. Each reads dims, in, kernel, stride, dilation of `problem` and fills in `pad` and `out`,
// refusing what the framework refuses (UPCONV_ERROR_INVALID). Arrays have `dims` entries (pads: twice as many, all fronts
// and then all ends) in tensor order; NULL stands for the framework's default.

// PyTorch's ConvTransposeNd: padding >= 0, 0 <= output_padding < max(stride, dilation);
// out = (in-1)*stride - 2*padding + dilation*(kernel-1) + output_padding + 1.
UPCONV_API upconv_status upconv_problem_pytorch(upconv_problem *problem, const int32_t *padding,
                                                const int32_t *output_padding);

// PyTorch's output_size argument: from (in-1)*stride - 2*padding + dilation*(kernel-1) + 1 to that plus stride - 1.
UPCONV_API upconv_status upconv_problem_pytorch_size(upconv_problem *problem, const int32_t *padding,
                                                     const int32_t *output_size);

// tf.nn.convNd_transpose: padding "SAME", "VALID" or "EXPLICIT". output_shape gives the spatial sizes only and may be
// NULL for SAME (in*stride) and VALID ((in-1)*stride + max(effective kernel, stride)); explicit_pads is for EXPLICIT.
UPCONV_API upconv_status upconv_problem_tensorflow(upconv_problem *problem, const char *padding,
                                                   const int32_t *explicit_pads, const int32_t *output_shape);

// keras.layers.ConvNDTranspose: padding "same" or "valid"; output_padding NULL is Keras' None.
UPCONV_API upconv_status upconv_problem_keras(upconv_problem *problem, const char *padding,
                                              const int32_t *output_padding);

// ONNX ConvTranspose: auto_pad "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID" or NULL; output_shape has spatial sizes only.
UPCONV_API upconv_status upconv_problem_onnx(upconv_problem *problem, const char *auto_pad, const int32_t *pads,
                                             const int32_t *output_padding, const int32_t *output_shape);

// The gradient of the input: of a transposed convolution a convolution with the same numbers and the filter as it is, of a convolution
// a transposed convolution. Gives its problem in *gradient (set struct_size, or zero, before the call): UPCONV_INPUT is then the
// gradient of `problem`'s output, UPCONV_OUTPUT that of its input, in the layouts and pitches that `problem` has for those tensors, without
// activation and residual. The filter tensor stays what it is; what the plan's params call its order changes, because I and O change
// places: *gradient_order (may be NULL) gets what `order` becomes, IOK OIK, OIK IOK, KOI KIO, KIO KOI, OKI IKO, IKO OKI.
// Errors: INVALID (also where `problem` is neither).
UPCONV_API upconv_status upconv_problem_grad_input(const upconv_problem *problem, upconv_filter_order order,
                                                   upconv_problem *gradient, upconv_filter_order *gradient_order);

// How many products meet in an output. They are the same everywhere where every axis is even; where one is not, the
// layer tends to draw its pattern over what it makes ("checkerboard", docs/checkerboard.md). Of an input that goes on
// in all directions: at its edges fewer meet.
typedef struct upconv_overlap_axis {
    int32_t phases;         // stride: outputs o with the same o % phases have the same number of taps
    int32_t least, most;    // taps of the phases with the fewest and the most; least is 0 where no tap reaches some
    int32_t unreached;      // phases without a tap: at least those that a factor common to stride and dilation leaves out
    int32_t kernel_below, kernel_above; // the nearest smaller and larger kernel that would be even; 0: there is none
    uint32_t even;          // 0 or 1: every phase has as many taps, or the axis has one input position, so that none meet
} upconv_overlap_axis;

typedef struct upconv_overlap {
    size_t struct_size;
    uint32_t even;               // 0 or 1: every axis is
    upconv_overlap_axis axis[3]; // in tensor order; those beyond the problem's are zero
} upconv_overlap;

// Tap k of an axis reaches outputs of phase (k * dilation - pad) mod stride. With g = gcd(stride, dilation), one phase
// in g can be reached at all, and those have floor or ceil(kernel * g / stride) taps; so an axis is even where g is 1
// and the kernel a multiple of the stride. Set overlap->struct_size (or zero) before the call. Errors: INVALID, also for other operations.
UPCONV_API upconv_status upconv_problem_overlap(const upconv_problem *problem, upconv_overlap *overlap);

// The taps of one phase: how many k there are with o + pad - k * dilation divisible by the stride, for every output o
// with o % stride == phase. axis in tensor order, phase from 0 to stride - 1. Errors: INVALID.
UPCONV_API upconv_status upconv_problem_overlap_taps(const upconv_problem *problem, int32_t axis, int32_t phase,
                                                     int32_t *taps);

// Resizing as frameworks say it. Each reads dims, batch, in_channels and in of `problem`, sets op to UPCONV_RESIZE and what only that
// has, and `out`; all else is left alone. Arrays have `dims` entries in tensor order.

// PyTorch's interpolate: mode "nearest", "nearest-exact", "linear", "bilinear", "trilinear" or "bicubic". Of size and scale_factor one
// is NULL. recompute_scale_factor: the scale is that of the sizes. antialias is not there. Errors: INVALID.
UPCONV_API upconv_status upconv_problem_pytorch_resize(upconv_problem *problem, const char *mode, const int32_t *size,
                                                       const double *scale_factor, int align_corners,
                                                       int recompute_scale_factor);

typedef struct upconv_onnx_resize {
    size_t struct_size;
    const char *mode;                           // NULL: "nearest"; "linear", "cubic"
    const char *coordinate_transformation_mode; // NULL: "half_pixel"; all others but "tf_crop_and_resize"
    const char *nearest_mode;                   // NULL: "round_prefer_floor"
    const char *keep_aspect_ratio_policy;       // NULL: "stretch"; "not_larger" or "not_smaller", with sizes
    const float *scales;                        // of scales and sizes one is NULL; each 1 (or 0 for sizes) where an axis is not among
    const int32_t *sizes;                       // ONNX' `axes`
    float cubic_coeff_a;                        // 0 means -0.75
    int exclude_outside;
    int antialias;                              // nothing comes of it where no axis shrinks; an axis that does is INVALID
} upconv_onnx_resize;

// ONNX' Resize, of the spatial axes. (Upsample is Resize with "asymmetric" and "floor".) Errors: INVALID.
UPCONV_API upconv_status upconv_problem_onnx_resize(upconv_problem *problem, const upconv_onnx_resize *params);

// TFLite's RESIZE_NEAREST_NEIGHBOR (linear 0) and RESIZE_BILINEAR (linear 1). Errors: INVALID.
UPCONV_API upconv_status upconv_problem_tflite_resize(upconv_problem *problem, int linear, const int32_t *size,
                                                      int align_corners, int half_pixel_centers);

// Indices of 64 bits, as PyTorch and ONNX have them, to int32: those beyond int32 become -1, which leads nowhere. `to` may be
// `from`. Errors: INVALID.
UPCONV_API upconv_status upconv_indices_narrow(const int64_t *from, size_t count, int32_t *to);

// The problem notation: one line of text, oneDNN benchdnn's for deconvolution, with suffixes for what that has not:
//
//     [OP:][gG][mbN]icNocN_[idN][odN][kdN][sdN][pdN][ddN]_ihN ..._iwN ...[+ACT[:a[:b]]][+...]      e.g. ic64oc32_ih32oh64kh4sh2ph1
//
// OP names another operation than transposed convolution: conv, gradfilter, gradbias. g groups, mb batch, ic and oc channels; i input, o output, k kernel, s stride, p front padding (may be negative),
// d dilation minus one, each followed by d, h or w. Underscores may stand between any two fields. Where only h is given, w
// is the same; with id, ih and iw the problem is 3-D, with ih (and iw) 2-D, with iw alone 1-D. Left out: g1, mb1, s1, p0, d0, and o
// as in upconv_problem. ACT: relu leaky:a prelu clamp:a:b sigmoid tanh hardswish silu gelu gelu_tanh. After it, or in any order
// with it, each at most once: +f16, +u8, +i8 or +i16 (type), +sum16 (sum_type F16), +nhwc or +nc4hw4 (both layouts) or +in:LAYOUT and +out:LAYOUT,
// +residual or +residual_after, of quantised types +single, +reduced or +real (requant), +zero:in:weights:out (zero points; missing
// ones at the end are 0) and +range:low:high (out_range), +inpitch:image:channel:plane:row:pixel and +outpitch:... (missing ones at the end are 0).
// Numbers are read and written the same in every locale.
//
// Other operations than transposed convolution begin with a word and a colon, and have only the fields and suffixes that they read:
//     resize:mb1ic3_ih9oh20+linear    o, or +scale:S[:S[:S]]; +nearest +linear +cubic, +half_pixel +half_pixel_symmetric
//                                     +pytorch_half_pixel +align_corners +asymmetric, +prefer_floor +prefer_ceil +floor +ceil,
//                                     +coefficient:a +exclude_outside +f32_steps
//     zeros:ic3_ih9sh2ph0             zero insertion
//     shuffle:ic12_ih9sh2+dcr         pixel shuffle; +crd (or nothing) or +dcr
//     pool:ic8_ih9kh2sh2              max pooling; +index:plane (or nothing), +index:tensor, :image, :window or :window_columns
//     unpool:ic8_ih4oh9kh2sh2         max unpooling; +index as for pooling, +space:d:h:w (as many as there are axes): index_space
// oc may be left out where it follows from ic.
//
// upconv_problem_parse: set problem->struct_size (or zero) before the call. On UPCONV_ERROR_INVALID *error_at (may be NULL)
// is the offset of the offending character: the text's length where something is missing, 0 where it is the whole.
UPCONV_API upconv_status upconv_problem_parse(const char *text, upconv_problem *problem, size_t *error_at);

// Writes the canonical notation, always complete, so that parsing it gives the problem back. Writes at most size bytes
// with the final 0, and always the whole length without it to *length (may be NULL); text may be NULL when size is 0.
// Too small a size is no error: the text is cut.
UPCONV_API upconv_status upconv_problem_print(const upconv_problem *problem, char *text, size_t size, size_t *length);

// ---------------------------------------------------------------------------------------------- devices and contexts

typedef enum upconv_backend {
    UPCONV_BACKEND_ANY = 0, // the first that has a device: Vulkan, then OpenCL, then the CPU
    UPCONV_BACKEND_VULKAN,
    UPCONV_BACKEND_OPENCL,
    UPCONV_BACKEND_CPU,
    UPCONV_BACKEND_COUNT
} upconv_backend;

typedef enum upconv_device_kind {
    UPCONV_DEVICE_OTHER = 0,
    UPCONV_DEVICE_CPU,        // the processor itself, also behind Vulkan (lavapipe) or OpenCL (PoCL)
    UPCONV_DEVICE_INTEGRATED, // shares memory with the processor
    UPCONV_DEVICE_DISCRETE,
} upconv_device_kind;

// Upper bounds that the planner keeps to. In upconv_device_info: what the device reports, after known driver faults are
// taken off. In upconv_context_params: lowers the device's own (never raises them); 0 leaves one alone.
typedef struct upconv_limits {
    size_t struct_size;
    uint64_t binding_bytes;   // most bytes that a kernel sees of one buffer; larger tensors are bound in windows
    uint64_t alloc_bytes;     // most bytes of one buffer
    uint32_t group_count;     // most work-groups on an axis of one dispatch; larger grids are split
    uint32_t group_size;      // most invocations of a work-group
    uint32_t shared_bytes;    // shared (local) memory of a work-group
    uint64_t dispatch_macs;   // most multiply-adds of one dispatch, for the sake of watchdogs
} upconv_limits;

typedef struct upconv_device_info {
    size_t struct_size;
    upconv_backend backend;
    int32_t index;               // among the devices of its backend
    upconv_device_kind kind;
    uint32_t vendor_id;          // PCI or Khronos number, 0 where unknown
    uint32_t device_id;
    uint32_t subgroup_size;      // 0 where unknown
    uint32_t compute_units;      // 0 where unknown
    uint32_t offset_alignment;   // bytes; what the driver asks of a binding's offset (the library copes with any)
    uint32_t f16_storage, f16_math, int8_dot; // 0 or 1: what the driver says and no quirk takes back
    uint32_t timestamps;         // 0 or 1: whether times are the device's own
    uint32_t unified_memory;     // 0 or 1: whether mapping a buffer copies nothing
    uint64_t memory_bytes;
    upconv_limits limits;
    char name[128];
    char vendor[64];
    char driver[256];            // name and version
    char api[64];                // "Vulkan 1.3.230", "OpenCL 3.0 PoCL HSTR: ..."
    char quirks[256];            // names of the known driver faults that are worked around, separated by spaces
} upconv_device_info;

// The index-th device of this machine, counted from 0 over all backends in order of preference.
// UPCONV_ERROR_NO_DEVICE: index is past the last device. Loads the drivers anew at each call: milliseconds.
UPCONV_API upconv_status upconv_device_at(int32_t index, upconv_device_info *info);

typedef struct upconv_backend_info {
    size_t struct_size;
    upconv_backend backend;
    uint32_t built;        // 0 or 1: whether this build has it
    uint32_t loaded;       // 0 or 1: whether its loader (libvulkan, libOpenCL) could be opened
    int32_t devices;       // number of devices
    char name[16];         // "vulkan", "opencl", "cpu"
    char detail[256];      // loader and compiler versions, or one sentence on why there is no device
} upconv_backend_info;

// The index-th backend, from 0, also those that are not in this build. UPCONV_ERROR_INVALID: past the last.
UPCONV_API upconv_status upconv_backend_at(int32_t index, upconv_backend_info *info);

typedef enum upconv_log_level {
    UPCONV_LOG_ERROR = 1,
    UPCONV_LOG_WARNING,
    UPCONV_LOG_INFO,
    UPCONV_LOG_DEBUG,
} upconv_log_level;

// May be called from any thread that is inside an upconv call, also from several at once. Must not call upconv.
typedef void (*upconv_log_fn)(void *user, upconv_log_level level, const char *message);

// Host memory. alloc returns memory aligned for any type, or NULL; release takes NULL. Called from any thread.
typedef struct upconv_allocator {
    void *user;
    void *(*alloc)(void *user, size_t size);
    void (*release)(void *user, void *memory);
} upconv_allocator;

typedef struct upconv_context_params {
    size_t struct_size;
    upconv_backend backend;
    const char *device;              // a number: index among the backend's devices; else a part of its name; NULL: the first
    upconv_log_fn log;               // NULL: nothing is logged (but see UPCONV_LOG)
    void *log_user;
    const upconv_allocator *allocator; // NULL: malloc and free; copied
    int64_t timeout_ns;              // bound of every wait inside a call (execute, map, plan creation); 0: 60 s
    const upconv_limits *limits;     // NULL: the device's own
    uint32_t statistics;             // 1: have the driver keep compile statistics, for upconv_plan_statistics
    uint32_t own_records_only;       // 1: the tuning records that came with the library are not looked at
} upconv_context_params;

// Opens a device. Environment variables for people debugging, read here and logged when they act: UPCONV_BACKEND and
// UPCONV_DEVICE (as in the params, and stronger), UPCONV_LOG (1 to 4: also log to standard error up to that level),
// UPCONV_SOLVER (force a solver in every plan), UPCONV_SHADERS (load kernels from a folder, not the embedded copy),
// UPCONV_SHIPPED (0: as own_records_only).
// Errors: NO_DEVICE, INVALID, HOST_MEMORY.
UPCONV_API upconv_status upconv_context_create(const upconv_context_params *params, upconv_context **context);

// Waits (at most the context's timeout) for what is in flight; after a loss, a hang or a time-out it does not wait, leaves
// to the driver what cannot be released safely, and says so in the log.
UPCONV_API void upconv_context_destroy(upconv_context *context);

UPCONV_API upconv_status upconv_context_device(const upconv_context *context, upconv_device_info *info);

// What a context has done since it was created; for tests and reports.
typedef struct upconv_counters {
    size_t struct_size;
    uint64_t source_compiles;  // calls of glslang, or OpenCL builds from source; not CLBlast's own
    uint64_t binary_loads;     // programs made from cached SPIR-V or an OpenCL binary
    uint64_t programs_shared;  // programs found ready in the context
    uint64_t submissions, dispatches, host_steps; // through upconv_submit and upconv_execute; not what is recorded or enqueued
    uint64_t records_used;     // plans whose configuration came from a tuning record
    uint64_t skipped_blobs;    // cache entries or tuning records that were damaged or foreign, and skipped
} upconv_counters;
UPCONV_API upconv_status upconv_context_counters(const upconv_context *context, upconv_counters *counters);

// What a device can do at most, measured with kernels that do nothing else.
typedef struct upconv_peaks {
    size_t struct_size;
    double f32_gflops;  // multiply-adds of f32, each counted as two, in 10^9 a second
    double f16_gflops;  // the same of f16; 0 where info.f16_math is 0
    double copy_gbytes; // copying within the device's memory, what is read and what is written, in 10^9 bytes a second
} upconv_peaks;

// Measures them: takes up to two seconds and 128 MiB of device memory, and gives too little while anything else runs on the
// device. Set peaks->struct_size (or zero) before the call. Errors: UNSUPPORTED (the driver executes nothing: its clock stands
// still), COMPILE, GPU_MEMORY, HOST_MEMORY, DEVICE_LOST, TIMEOUT.
UPCONV_API upconv_status upconv_device_peaks(upconv_context *context, upconv_peaks *peaks);

// What plans with inputs of `type` (U8 or I8) make of products of four bytes at once on this device, in a sentence: whether it has them,
// what a probe has found of them, and whether they are used (docs/quantised.md). Where the driver says that there are instructions for
// them and nobody has looked, it looks: that compiles three small kernels and runs for about a tenth of a second. Cut to size like
// upconv_problem_print. Errors: INVALID, GPU_MEMORY, HOST_MEMORY, DEVICE_LOST, TIMEOUT.
UPCONV_API upconv_status upconv_int8_dot(upconv_context *context, upconv_type type, char *text, size_t size, size_t *length);

// -------------------------------------------------------------------------------------------------------------- plans

typedef enum upconv_effort {
    UPCONV_ESTIMATE = 0, // tuning records, else a cost model; runs nothing on the device, except that the record of another
                         // driver (UPCONV_TIER_DRIVER) is run once to see whether it is right under this one, and that products
                         // of four bytes, of whatever effort the first plan is that could have them, are looked at (upconv_int8_dot)
    UPCONV_MEASURE,      // times and verifies the likely candidates, and remembers the winner as a tuning record
    UPCONV_KNOWN,        // tuning records only: UPCONV_ERROR_UNSUPPORTED when none fits
} upconv_effort;

typedef struct upconv_plan_params {
    size_t struct_size;
    const void *weights;         // host memory, packed into the plan; NULL: given at each execution (UPCONV_WEIGHTS)
    const void *bias;            // host memory, out_channels f32; NULL: none, or given at execution (UPCONV_BIAS)
    const void *slopes;          // host memory, out_channels f32, for PRELU; NULL: given at execution (UPCONV_SLOPES)
    upconv_filter_order order;   // of weights, here or at execution; of UPCONV_GRAD_FILTER's output
    upconv_effort effort;
    int64_t time_limit_ns;       // of UPCONV_MEASURE, kept to between two candidates; 0: 2 s
    uint64_t workspace_limit;    // bytes; solvers that need more are passed over; 0: the largest of input, output and 4 MB (for
                                 // UPCONV_CONV a quarter more than the larger of input and output), and
                                 // beside it what weights given at execution need in packed form; where kernel = stride, only
                                 // the latter (unless `solver` is given). For UPCONV_GRAD_FILTER: twice input and output in f32,
                                 // the filter, and 16 MB
    const char *solver;          // NULL: any; "phase"; or with a configuration: "phase:tile=4,oc=8"
    upconv_type weights_type;    // of weights, here or at execution; F16 or F32 for a problem of either type; U8 or I8 for a quantised
                                 // one
    // Quantised problems only, whose plans need them also where weights come at execution. scale_count: 1, for all output channels alike, or
    // out_channels. Either multipliers and shifts (multiplier >= 0; shift -31 to 30, for REDUCED to 7), or scales (0 to below 2^30), of
    // which TFLite's multipliers are made (upconv_requant_multiplier). Host memory
    const int32_t *multipliers, *shifts;
    const double *scales;
    int32_t scale_count;
    uint32_t bias_int64;         // the bias, here or at execution, is 0: out_channels int32; 1: int64
} upconv_plan_params;

// TFLite's QuantizeMultiplier: scale = multiplier * 2^(shift - 31) as exactly as 31 bits can, multiplier at least 2^30 or 0. What is
// too small for a shift of -31 becomes 0. For UPCONV_REQUANT_REDUCED a scale of 128 or above is INVALID, as is one that is negative, no
// number, or 2^30 and above.
UPCONV_API upconv_status upconv_requant_multiplier(double scale, upconv_requant scheme, int32_t *multiplier, int32_t *shift);

// The clamp of a fused activation in integers, TFLite's CalculateActivationRangeQuantized: zero + round(bound / scale) in f32, halves
// away from zero, cut to the type. low, high: 0 and infinity for ReLU, 0 and 6 for ReLU6; infinite bounds are the type's. type U8, I8
// or I16; scale above 0. Errors: INVALID, also where both ends come to 0 (a step above twice the bound), which out_range cannot say.
UPCONV_API upconv_status upconv_requant_range(upconv_type type, float scale, int32_t zero, float low, float high, int32_t range[2]);

// Compiles a plan. Weights, bias and slopes are copied. Errors: INVALID, UNSUPPORTED, COMPILE, HOST_MEMORY, GPU_MEMORY,
// DEVICE_LOST, TIMEOUT.
UPCONV_API upconv_status upconv_plan_create(upconv_context *context, const upconv_problem *problem,
                                            const upconv_plan_params *params, upconv_plan **plan);

// One of the plans of upconv_plan_create_many.
typedef struct upconv_plan_item {
    const upconv_problem *problem;
    const upconv_plan_params *params; // NULL: defaults
    upconv_plan *plan;                // given back: the plan, yours to destroy, or NULL
    upconv_status status;             // given back: what upconv_plan_create would have returned
} upconv_plan_item;

// Makes `count` plans, all that a network needs, in less time than one by one: every distinct program is compiled once, on up to
// `threads` threads (this one included; 0: as many as the machine has processors), which have ended when the call returns.
// Plans with UPCONV_MEASURE are measured before that, one after the other. A plan that cannot be made stops none of the
// others: the call then returns the first such item's status, with upconv_last_error() naming that item, says all of them in the
// log, and has made all other plans. plan and status of every item are written whatever is returned, unless it is INVALID
// because context, items or an item's problem is NULL or threads is negative: then nothing is.
UPCONV_API upconv_status upconv_plan_create_many(upconv_context *context, upconv_plan_item *items, size_t count,
                                                 int32_t threads);

// A plan may be destroyed while submissions of it are in flight: what they need lives until they end.
UPCONV_API void upconv_plan_destroy(upconv_plan *plan);

// Where a plan's configuration came from.
typedef enum upconv_tier {
    UPCONV_TIER_MODEL = 0, // the cost model
    UPCONV_TIER_MEASURED,  // timed while this plan was made
    UPCONV_TIER_EXACT,     // a tuning record of this problem, device and driver
    UPCONV_TIER_DRIVER,    // a tuning record of this problem and device, under another driver; verified under this one
    UPCONV_TIER_NEAREST,   // a tuning record of the nearest problem of its class on this device that promises more than the model's
    UPCONV_TIER_FAMILY,    // a tuning record of the nearest problem of its class on a device of the same generation of one maker
    UPCONV_TIER_VENDOR,    // the same of any device of this maker
    UPCONV_TIER_FORCED,    // params or UPCONV_SOLVER named the solver
    UPCONV_TIER_COUNT
} upconv_tier;
UPCONV_API const char *upconv_tier_name(upconv_tier tier);

typedef struct upconv_plan_info {
    size_t struct_size;
    upconv_backend backend;
    upconv_tier tier;
    const char *device;         // these strings live as long as the plan
    const char *solver;         // the solver that runs
    const char *config;         // its configuration, "tile=4,oc=8"
    uint64_t workspace_bytes;   // per submission in flight
    uint64_t packed_bytes;      // weights, tables, bias and slopes that the plan keeps on the device
    uint32_t dispatches;        // steps of one execution
    double predicted_us;        // by the cost model, or as the tuning record has it
    double plan_ms, compile_ms; // time spent in upconv_plan_create, and in compilers within it
    uint32_t shipped_record;    // 0 or 1: whether the tuning record is one that came with the library
} upconv_plan_info;
UPCONV_API upconv_status upconv_plan_info_get(const upconv_plan *plan, upconv_plan_info *info);

// The source text of step `step` (from 0) as given to the compiler; cut to size like upconv_problem_print.
// INVALID: there is no such step, or it is not a kernel.
UPCONV_API upconv_status upconv_plan_source(const upconv_plan *plan, uint32_t step, char *text, size_t size,
                                            size_t *length);

// Calls `visit` with each statistic of the machine code of step `step`, where the driver gives any and the context was made
// with statistics = 1; names are the driver's ("Registers used", "Spill size"). INVALID: there is no such step, or it is
// not a kernel.
UPCONV_API upconv_status upconv_plan_statistics(const upconv_plan *plan, uint32_t step,
                                                void (*visit)(void *user, const char *name, double value), void *user);

// What every solver says of the problem on this device (taken with which configuration and predicted time, or refused
// with a sentence), which tuning record was found, what a plan would run, and how evenly taps overlap
// (upconv_problem_overlap). params may be NULL. Runs nothing on the device, but for the first problem of 8-bit integers on a device
// with instructions for products of four bytes: these are looked at as by upconv_plan_create (docs/quantised.md).
// Cut to size like upconv_problem_print.
UPCONV_API upconv_status upconv_explain(upconv_context *context, const upconv_problem *problem,
                                        const upconv_plan_params *params, char *text, size_t size, size_t *length);

// ----------------------------------------------------------------------------------------------------------- filters

// Filters to begin with, for networks to be trained and for enlarging. Each fills upconv_sizes.weights_elements f32 in
// the given order; it reads op, channels, groups, kernel, stride and dilation of the problem. Nothing is written unless
// all is right. Errors: INVALID. What computes interpolation is for transposed convolution, the rest also for
// convolution.
//
// Interpolation. On an axis with P = stride / gcd(stride, dilation) let x = (k - (kernel - 1) / 2) / P: how far tap k
// is from the kernel's middle, in input positions. w[k] = f(x), divided by the sum over the taps of its phase (k mod
// P), so that every output that is reached is a mean of inputs; the filter is the product over the axes. Output channel
// j of a group interpolates input channel j mod (in_channels / groups) of it; what connects others is 0. For factor s,
// kernel = 2 s - s % 2 (bilinear) or 4 s - s % 2 (bicubic), stride = s, pad = (kernel - s) / 2 and out = in * s are
// resizing with half-pixel centres, but for the border, where what would come from beyond it is missing.

// f(x) = max(0, 1 - |x|). (J. Long et al., Fully convolutional networks for semantic segmentation, 2015.)
UPCONV_API upconv_status upconv_filter_bilinear(const upconv_problem *problem, upconv_filter_order order, float *weights);

// R. Keys' cubic convolution (1981), reaching two positions: f(x) = (a + 2)|x|^3 - (a + 3)x^2 + 1 up to 1, and a|x|^3 -
// 5 a x^2 + 8 a |x| - 4 a up to 2. a: from -1 to 0; -0.5 is Catmull and Rom's, -0.75 that of PyTorch and OpenCV.
UPCONV_API upconv_status upconv_filter_bicubic(const upconv_problem *problem, upconv_filter_order order, double a,
                                               float *weights);

// The number of connections that random filters are scaled by.
typedef enum upconv_fan {
    UPCONV_FAN_LAYER = 0, // of the layer as it computes: in, the products that meet in an output that is reached, on average:
                          // in_channels / groups times, for each axis, max(1, kernel / P); out, the products that an
                          // input takes part in: out_channels / groups * kernel. Of convolution: in_channels / groups *
                          // kernel, and out_channels / groups times max(1, kernel / P) for each axis
    UPCONV_FAN_TENSOR,    // as PyTorch and Keras read them off the filter tensor, which they take for a convolution's: in,
                          // out_channels / groups * kernel; out, in_channels * kernel. Of convolution: in_channels /
                          // groups * kernel, and out_channels * kernel
    UPCONV_FAN_COUNT
} upconv_fan;
UPCONV_API upconv_status upconv_filter_fans(const upconv_problem *problem, upconv_fan fan, double *fan_in,
                                            double *fan_out);

// Random filters. Element e, counted in the order IOK whatever the order asked for, comes from bits(2 e) and bits(2 e +
// 1) of SplitMix64 (G. Steele et al., 2014): bits(n) = mix(seed + (n + 1) * 0x9e3779b97f4a7c15) modulo 2^64, where
// mix(z) is z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9, z = (z ^ z >> 27) * 0x94d049bb133111eb, z ^ z >> 31; and u(n) =
// floor(bits(n) / 2^11) / 2^53, from 0 to below 1. So a seed gives the same filter on every machine, but for the last
// bit where its mathematical functions differ.

// Normal with mean 0 and variance 2 / ((1 + slope^2) * fan_in), which keeps variances through a ReLU (slope 0) or a
// leaky one (K. He et al., Delving deep into rectifiers, 2015); slope 1 is for no activation. By Box and Muller:
// sqrt(-2 ln(1 - u(2 e))) * cos(2 pi u(2 e + 1)) times the standard deviation.
UPCONV_API upconv_status upconv_filter_he_normal(const upconv_problem *problem, upconv_filter_order order,
                                                 upconv_fan fan, double slope, uint64_t seed, float *weights);

// Uniform between -b and b, b = sqrt(6 / (fan_in + fan_out)): (2 u(2 e) - 1) * b. (X. Glorot and Y. Bengio, 2010;
// "Xavier".)
UPCONV_API upconv_status upconv_filter_glorot_uniform(const upconv_problem *problem, upconv_filter_order order,
                                                      upconv_fan fan, uint64_t seed, float *weights);

// A batch normalisation behind the sums, in inference: y = gamma * (x - mean) / sqrt(variance + epsilon) + beta for
// each channel.
typedef struct upconv_batch_norm {
    size_t struct_size;
    const float *gamma, *beta;    // out_channels each; NULL: ones, zeros
    const float *mean, *variance; // out_channels each; NULL: zeros, ones
    float epsilon;                // 0 or above; PyTorch's default is 1e-5, Keras' 1e-3
} upconv_batch_norm;

// Folds it into filter and bias, in place: w *= s and bias = (bias - mean) * s + beta with s = gamma / sqrt(variance +
// epsilon), computed in double. bias has out_channels f32: zeros for a layer without one. What the problem fuses
// (residual before the activation, activation) comes behind the normalisation. Nothing is written unless all is right.
// Errors: INVALID, also where variance + epsilon is not above 0.
UPCONV_API upconv_status upconv_fold_batch_norm(const upconv_problem *problem, upconv_filter_order order,
                                                const upconv_batch_norm *norm, float *weights, float *bias);

// ------------------------------------------------------------------------------------------------------------ buffers

// Device memory, for use by plans of the same context. bytes above 0. The contents start undefined.
// Errors: INVALID, GPU_MEMORY (also above limits.alloc_bytes), HOST_MEMORY.
UPCONV_API upconv_status upconv_buffer_create(upconv_context *context, uint64_t bytes, upconv_buffer **buffer);

// A buffer may be destroyed while submissions that use it are in flight: its memory lives until they end.
UPCONV_API void upconv_buffer_destroy(upconv_buffer *buffer);

typedef enum upconv_map_flags {
    UPCONV_MAP_READ = 1,  // the pointer shows the buffer's contents
    UPCONV_MAP_WRITE = 2, // what is written through the pointer becomes the buffer's contents at unmap; without READ the
                          // whole buffer must be written
} upconv_map_flags;

// Host access to the whole buffer. Waits for no submission: the caller has waited for those that write the buffer, and
// submits none that uses it before unmap. Copies nothing where info.unified_memory is 1. One mapping at a time.
// Errors: INVALID (already mapped, flags 0), GPU_MEMORY, HOST_MEMORY, DEVICE_LOST, TIMEOUT.
UPCONV_API upconv_status upconv_buffer_map(upconv_buffer *buffer, uint32_t flags, void **pointer);
UPCONV_API upconv_status upconv_buffer_unmap(upconv_buffer *buffer);

// ---------------------------------------------------------------------------------------------------------- execution

// What a plan reads and writes, by name.
typedef enum upconv_role {
    UPCONV_INPUT = 0,  // batch x in_channels x in; UPCONV_GRAD_BIAS has none
    UPCONV_OUTPUT,     // batch x out_channels x out (or a gradient, see upconv_problem); all elements are written; must not overlap anything else between its first
                       // byte and its last, but may be the residual itself (the same buffer and offset), unless the limits are
                       // so small that the sums of an output are cut over several dispatches, which are then written here
    UPCONV_WEIGHTS,    // only where the plan was made without; of weights_type, in the order of upconv_plan_params
    UPCONV_BIAS,       // out_channels f32 (of a quantised plan: int32 or int64); optional, only where the plan was made without
    UPCONV_SLOPES,     // out_channels f32; only for PRELU, where the plan was made without
    UPCONV_RESIDUAL,   // like the output; only where the problem has a residual
    UPCONV_INDICES,    // int32, an element for each of the pooled tensor (MAX_POOL's output, MAX_UNPOOL's input), whose layout and
                       // pitches (in elements) it has; MAX_POOL writes it, MAX_UNPOOL reads it
    UPCONV_WORKSPACE,  // plan_info.workspace_bytes of scratch, offset a multiple of 256; optional except where a call says so
    UPCONV_OUTPUT_GRAD, // for UPCONV_GRAD_FILTER and UPCONV_GRAD_BIAS: like the output of the transposed convolution
    UPCONV_ROLE_COUNT
} upconv_role;

// One of buffer and host is set, or none. offset: bytes into the buffer, a multiple of the element size, for elements of 8 bits of 4;
// of four elements for an NC4HW4 tensor, and for an NHWC one whose channels and pitches are all multiples of 4.
typedef struct upconv_binding {
    upconv_buffer *buffer;
    uint64_t offset;
    void *host; // only in upconv_execute_io; const for what is only read
} upconv_binding;

typedef struct upconv_io {
    size_t struct_size;
    upconv_binding at[UPCONV_ROLE_COUNT]; // by role: .at[UPCONV_INPUT] = {.buffer = b}
} upconv_io;

// Host memory in, host memory out; returns when the result is there. For plans that were made with their weights, of operations
// without indices.
UPCONV_API upconv_status upconv_execute(upconv_plan *plan, const void *input, void *output);

// The same for any roles, each in host memory or in a buffer. Returns when the results are there.
UPCONV_API upconv_status upconv_execute_io(upconv_plan *plan, const upconv_io *io);

// Starts an execution on device memory and returns. Any number may be in flight, of one plan or of several; each has its
// own workspace unless io names one.
// Submissions of one context run in order, and each sees what the ones before it wrote. On the CPU backend the
// work is done when the call returns. Errors: INVALID, GPU_MEMORY, HOST_MEMORY, DEVICE_LOST, TIMEOUT (after a hang).
UPCONV_API upconv_status upconv_submit(upconv_plan *plan, const upconv_io *io, upconv_ticket *ticket);

// Waits until a submission has ended, at most timeout_ns (above 0; 0 asks and does not wait; negative: the context's
// timeout). UPCONV_ERROR_TIMEOUT with timeout_ns 0 means only "not yet". After a longer wait it means that the device
// hangs: every further call that needs the device returns UPCONV_ERROR_TIMEOUT, and it can only be destroyed, which does not
// block (nor does destroying its plans and buffers).
UPCONV_API upconv_status upconv_wait(upconv_context *context, upconv_ticket ticket, int64_t timeout_ns);

// How long a submission that has ended took, by the device's own clock where info.timestamps is 1, else from submission to
// the first wait that saw its end. Known for the last 256 tickets. INVALID: not ended, or forgotten.
UPCONV_API upconv_status upconv_ticket_time(upconv_context *context, upconv_ticket ticket, uint64_t *time_ns);

// ------------------------------------------------------------------------------------------ programs, tuning records

// Receives data in order; returns 0 to go on, anything else to stop the export with UPCONV_ERROR_DATA.
typedef int (*upconv_write_fn)(void *user, const void *data, size_t size);

// Compiled programs of this context, as bytes to keep and import in a later process on the same device and driver. Export
// right after the plans are made: apps get killed.
UPCONV_API upconv_status upconv_cache_export(upconv_context *context, upconv_write_fn write, void *user);

// Damaged, truncated or foreign data never changes a result: what cannot be used is skipped with a log line and counted
// in counters.skipped_blobs. UPCONV_ERROR_DATA: nothing at all could be used.
UPCONV_API upconv_status upconv_cache_import(upconv_context *context, const void *data, size_t size);

// Tuning records, JSON Lines (docs/records.md), one self-contained record a line. Those that came with the library are not
// exported; imported ones are stronger.
UPCONV_API upconv_status upconv_tuning_export(upconv_context *context, upconv_write_fn write, void *user);
UPCONV_API upconv_status upconv_tuning_import(upconv_context *context, const char *text, size_t size);

// What one line of tuning records says, for programs that merge, count or compare them. The rest is JSON.
typedef struct upconv_record_info {
    size_t struct_size;
    uint64_t same[2];  // equal for two records of which a context keeps only the newer
    uint64_t device;   // equal for records of one device
    uint64_t driver;   // equal for records of one driver and version
    uint64_t problem;  // equal for records of one problem and type
    double time_us;    // 0 where it is not known
    uint32_t ok;       // 0 or 1: whether the verdict is "ok"
    uint32_t usable;   // 0 or 1: whether this build has the solver in that version, with such a configuration
    char date[12];     // "2026-11-21", or "" where it has none
} upconv_record_info;

// Reads one line, without its line feed. Set info->struct_size (or zero) before the call. UPCONV_ERROR_DATA: it is no tuning
// record of this format, and upconv_last_error() says why.
UPCONV_API upconv_status upconv_record_read(const char *line, size_t length, upconv_record_info *info);

#ifdef __cplusplus
}
#endif
#endif
