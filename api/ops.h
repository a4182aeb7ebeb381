// What the operations differ in: which fields of upconv_problem each one reads, what follows from what, and what it takes at
// execution. Everything that asks "which operation is it?" asks this table.
#ifndef UPC_OPS_H
#define UPC_OPS_H

#include "problem.h"

// Fields that not every operation reads. One that an operation does not read must be left zero (or all ones, for kernel, stride and
// dilation; or 1, for groups), so that equal problems compare equal.
typedef enum upc_field {
    UPC_FIELD_GROUPS = 1 << 0,
    UPC_FIELD_KERNEL = 1 << 1,
    UPC_FIELD_STRIDE = 1 << 2,
    UPC_FIELD_DILATION = 1 << 3,
    UPC_FIELD_PAD = 1 << 4,
    UPC_FIELD_ACT = 1 << 5,
    UPC_FIELD_RESIDUAL = 1 << 6,
    UPC_FIELD_SUM_TYPE = 1 << 7,
    UPC_FIELD_INDEX = 1 << 8, // and index_space
    UPC_FIELD_CHANNEL_ORDER = 1 << 14,
    UPC_FIELD_RESIZE = 1 << 15, // resize_mode to scale
} upc_field;

// How out_channels follows from in_channels; where it does, 0 stands for it.
typedef enum upc_channels {
    UPC_CHANNELS_FREE = 0, // it does not: required
    UPC_CHANNELS_SAME,
    UPC_CHANNELS_BLOCKS,   // in_channels over the product of the strides
} upc_channels;

// What is written in the role UPCONV_OUTPUT.
typedef enum upc_result {
    UPC_RESULT_TENSOR = 0, // batch x out_channels x out, as out_layout and out_pitch have it
    UPC_RESULT_FILTER,     // f32, in the order of the plan's params
    UPC_RESULT_BIAS,       // out_channels f32
} upc_result;

struct upc_host_arg;

typedef struct upc_op {
    const char *name;      // for sentences: "pixel shuffle"
    const char *word;      // in the notation, before a colon; NULL: none
    bool built;            // false: the operation is refused
    uint32_t fields;       // upc_field, or'ed
    uint32_t roles;        // 1u << upconv_role, or'ed: what a plan may take at execution, without the workspace
    uint32_t writes;       // of these, what an execution writes
    upc_channels channels;
    upc_result result;
    // Reads and checks the fields that only this operation has. The axes are known, but for pad and out. NULL: it has none.
    upconv_status (*read)(const upconv_problem *given, upc_problem *problem);
    // The extent that out[i] = 0 stands for; pad of the axis is known. What is not positive is refused.
    int64_t (*out)(const upconv_problem *given, int i, const upc_axis *axis);
    // Makes of the axes as the app gives them, complete, those that solvers see. NULL: they are the same.
    void (*turn)(upc_problem *problem);
    // What can be checked, and filled in, once all else is known. NULL: nothing.
    upconv_status (*check)(upc_problem *problem);
    // The way back of `read` and `turn`, and what it means in the notation: suffixes. NULL as above.
    void (*give)(const upc_problem *problem, upconv_problem *given);
    void (*print)(const upc_problem *problem, upc_text *text);
    // The definition, of all outputs and of one; pointers as in upc_host_pointer. (api/host.h) Of one that is no tensor, at[4] counts
    // elements, of a filter in the order IOK, and the others are 0.
    upconv_status (*reference)(const upc_env *env, const void *arg, void *const *pointers);
    double (*point)(const struct upc_host_arg *arg, const void *const *pointers, const int64_t at[5]);
} upc_op;

// NULL where there is no such operation.
const upc_op *upc_op_of(upconv_op op);

// A problem whose output is a tensor that lies as what plans of `problem` write: itself, unless that is a filter or a bias. Of the rest
// of it nothing is to be used.
void upc_result_shape(const upc_problem *problem, upc_problem *shape);

// Convolution's (api/convolution.c).
int64_t upc_conv_out(const upconv_problem *given, int i, const upc_axis *axis);
void upc_conv_turn(upc_problem *problem);
void upc_conv_give(const upc_problem *problem, upconv_problem *given);

static inline bool upc_op_has(upconv_op op, upc_field field) { return upc_op_of(op)->fields & field; }
static inline bool upc_op_takes(upconv_op op, upconv_role role) { return upc_op_of(op)->roles >> role & 1; }

#endif
