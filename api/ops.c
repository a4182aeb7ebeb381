#include "ops.h"

#include "host.h"
#include "pooling.h"
#include "sample.h"

// Roles as sets.
enum {
    TENSORS = 1 << UPCONV_INPUT | 1 << UPCONV_OUTPUT,
    WEIGHTS = 1 << UPCONV_WEIGHTS | 1 << UPCONV_BIAS,
    FINISH = 1 << UPCONV_SLOPES | 1 << UPCONV_RESIDUAL,
};

enum {
    GEOMETRY = UPC_FIELD_KERNEL | UPC_FIELD_STRIDE | UPC_FIELD_DILATION | UPC_FIELD_PAD,
    EPILOGUE = UPC_FIELD_ACT | UPC_FIELD_RESIDUAL,
};

// The full result without what padding cuts off.
static int64_t transposed_out(const upconv_problem *given, int i, const upc_axis *axis)
{
    (void)given;
    (void)i;
    return upc_axis_full(axis) - 2 * axis->pad;
}

static const upc_op ops[UPCONV_OP_COUNT] = {
    [UPCONV_CONV_TRANSPOSE] = {
        .name = "transposed convolution", .built = true,
        .fields = UPC_FIELD_GROUPS | GEOMETRY | EPILOGUE | UPC_FIELD_SUM_TYPE,
        .roles = TENSORS | WEIGHTS | FINISH, .writes = 1 << UPCONV_OUTPUT,
        .out = transposed_out, .reference = upc_host_reference, .point = upc_host_reference_point,
    },
    [UPCONV_CONV] = {
        .name = "convolution", .word = "conv", .built = true, .fields = UPC_FIELD_GROUPS | GEOMETRY | EPILOGUE | UPC_FIELD_SUM_TYPE,
        .roles = TENSORS | WEIGHTS | FINISH, .writes = 1 << UPCONV_OUTPUT,
        .out = upc_conv_out, .turn = upc_conv_turn, .give = upc_conv_give, .reference = upc_host_reference,
        .point = upc_host_reference_point,
    },
    [UPCONV_RESIZE] = {
        .name = "resizing", .word = "resize", .built = true, .fields = EPILOGUE | UPC_FIELD_RESIZE,
        .roles = TENSORS | FINISH, .writes = 1 << UPCONV_OUTPUT, .channels = UPC_CHANNELS_SAME,
        .read = upc_resize_read, .out = upc_resize_out, .give = upc_resize_give, .print = upc_resize_print,
        .reference = upc_host_sample, .point = upc_host_sample_point,
    },
    [UPCONV_ZERO_INSERT] = {
        .name = "zero insertion", .word = "zeros", .built = true, .fields = UPC_FIELD_STRIDE | UPC_FIELD_PAD | EPILOGUE,
        .roles = TENSORS | FINISH, .writes = 1 << UPCONV_OUTPUT, .channels = UPC_CHANNELS_SAME,
        .out = upc_zeros_out, .reference = upc_host_sample, .point = upc_host_sample_point,
    },
    [UPCONV_PIXEL_SHUFFLE] = {
        .name = "pixel shuffle", .word = "shuffle", .built = true,
        .fields = UPC_FIELD_STRIDE | UPC_FIELD_CHANNEL_ORDER | EPILOGUE,
        .roles = TENSORS | FINISH, .writes = 1 << UPCONV_OUTPUT, .channels = UPC_CHANNELS_BLOCKS,
        .read = upc_shuffle_read, .out = upc_shuffle_out, .give = upc_shuffle_give, .print = upc_shuffle_print,
        .reference = upc_host_sample, .point = upc_host_sample_point,
    },
    [UPCONV_GRAD_FILTER] = {
        .name = "gradient of a filter", .word = "gradfilter", .built = true, .fields = UPC_FIELD_GROUPS | GEOMETRY,
        .roles = TENSORS | 1 << UPCONV_OUTPUT_GRAD, .writes = 1 << UPCONV_OUTPUT, .result = UPC_RESULT_FILTER,
        .out = transposed_out, .reference = upc_host_grad_filter, .point = upc_host_grad_filter_point,
    },
    [UPCONV_GRAD_BIAS] = {
        .name = "gradient of a bias", .word = "gradbias", .built = true, .fields = UPC_FIELD_GROUPS | GEOMETRY,
        .roles = 1 << UPCONV_OUTPUT | 1 << UPCONV_OUTPUT_GRAD, .writes = 1 << UPCONV_OUTPUT, .result = UPC_RESULT_BIAS,
        .out = transposed_out, .reference = upc_host_grad_bias, .point = upc_host_grad_bias_point,
    },
    [UPCONV_MAX_POOL] = {
        .name = "max pooling", .word = "pool", .built = true,
        .fields = GEOMETRY | UPC_FIELD_INDEX,
        .roles = TENSORS | 1 << UPCONV_INDICES, .writes = 1 << UPCONV_OUTPUT | 1 << UPCONV_INDICES,
        .channels = UPC_CHANNELS_SAME,
        .read = upc_pool_read, .out = upc_pool_out, .check = upc_pool_check, .give = upc_pool_give,
        .print = upc_pool_print, .reference = upc_host_pool, .point = upc_host_pool_point,
    },
    [UPCONV_MAX_UNPOOL] = {
        .name = "max unpooling", .word = "unpool", .built = true,
        .fields = GEOMETRY | UPC_FIELD_INDEX,
        .roles = TENSORS | 1 << UPCONV_INDICES, .writes = 1 << UPCONV_OUTPUT,
        .channels = UPC_CHANNELS_SAME,
        .read = upc_pool_read, .out = transposed_out, .check = upc_pool_check, .give = upc_pool_give,
        .print = upc_pool_print, .reference = upc_host_unpool, .point = upc_host_unpool_point,
    },
};

void upc_result_shape(const upc_problem *problem, upc_problem *shape)
{
    const upc_result result = upc_op_of(problem->op)->result;
    if (result == UPC_RESULT_TENSOR) {
        *shape = *problem;
        return;
    }
    const int64_t count =
        result == UPC_RESULT_BIAS ? problem->groups * problem->ocg : (int64_t)upc_filter_elements(problem);
    const upc_axis one = {1, 1, 1, 1, 1, 0, 1}, all = {count, count, 1, 1, 1, 0, 1};
    *shape = (upc_problem){.dims = 1, .batch = 1, .groups = 1, .icg = 1, .ocg = 1, .axis = {one, one, all},
                           .out = {count, count, {count, count, 1}, 1, count}};
    shape->in = shape->out;
}

const upc_op *upc_op_of(upconv_op op) { return (int)op >= 0 && op < UPCONV_OP_COUNT ? &ops[op] : NULL; }
