// The frameworks' ways to say where a transposed convolution's output begins and how large it is, each turned
// into the canonical pair: `pad` (cut off the front of the full result) and `out`. What a framework refuses
// is refused.
#include "problem.h"

#include <string.h>

// What every convention starts from and ends with; axes 0 .. dims - 1 are in tensor order.
typedef struct convention {
    int dims;
    upc_axis axis[3];
} convention;

static upconv_status convention_begin(const upconv_problem *problem, convention *it)
{
    if (!problem)
        return upc_fail(UPCONV_ERROR_INVALID, "problem is NULL; it is required");
    upconv_problem known;
    upconv_status status = upc_params_copy(&known, sizeof known, problem, sizeof known, "problem");
    upc_axis axis[3];
    if (status == UPCONV_OK)
        status = upc_axes_from(&known, &it->dims, axis);
    if (status == UPCONV_OK)
        memcpy(it->axis, axis + 3 - it->dims, sizeof axis[0] * (size_t)it->dims);
    return status;
}

// Nothing is written unless everything is right.
static upconv_status convention_end(const convention *it, upconv_problem *problem)
{
    for (int i = 0; i < it->dims; i++) {
        const upc_axis *axis = &it->axis[i];
        if (axis->out < 1 || axis->out > INT32_MAX)
            return upc_fail(
                UPCONV_ERROR_INVALID,
                "the output size of axis %d comes to %lld (in %d, kernel %d, stride %d, dilation %d); it "
                "must be from 1 to 2147483647",
                i, (long long)axis->out, (int)axis->in, (int)axis->kernel, (int)axis->stride,
                (int)axis->dilation);
        if (axis->pad < INT32_MIN || axis->pad > INT32_MAX)
            return upc_fail(UPCONV_ERROR_INVALID,
                            "the front padding of axis %d comes to %lld; it must fit 32 bits", i,
                            (long long)axis->pad);
    }
    for (int i = 0; i < it->dims; i++) {
        problem->pad[i] = (int32_t)it->axis[i].pad;
        problem->out[i] = (int32_t)it->axis[i].out;
    }
    return UPCONV_OK;
}

static int64_t at_or_zero(const int32_t *values, int i) { return values ? values[i] : 0; }

static int64_t effective_kernel(const upc_axis *axis) { return (axis->kernel - 1) * axis->dilation + 1; }

static upconv_status check_not_negative(const char *name, const int32_t *values, int count)
{
    for (int i = 0; values && i < count; i++)
        if (values[i] < 0)
            return upc_fail(UPCONV_ERROR_INVALID, "%s[%d] is %d; it must be 0 or above", name, i, values[i]);
    return UPCONV_OK;
}

static upconv_status check_positive(const char *name, const int32_t *values, int count)
{
    for (int i = 0; values && i < count; i++)
        if (values[i] <= 0)
            return upc_fail(UPCONV_ERROR_INVALID, "%s[%d] is %d; it must be above 0", name, i, values[i]);
    return UPCONV_OK;
}

// PyTorch's rule, and ONNX's.
static upconv_status check_output_padding(const convention *it, const int32_t *output_padding)
{
    for (int i = 0; output_padding && i < it->dims; i++) {
        const upc_axis *axis = &it->axis[i];
        if (output_padding[i] < 0 || output_padding[i] >= UPC_MAX(axis->stride, axis->dilation))
            return upc_fail(
                UPCONV_ERROR_INVALID,
                "output_padding[%d] is %d; it must be 0 or above, and below the larger of stride %d and "
                "dilation %d",
                i, output_padding[i], (int)axis->stride, (int)axis->dilation);
    }
    return UPCONV_OK;
}

// --------------------------------------------------------------------------------------------------- PyTorch

upconv_status upconv_problem_pytorch(upconv_problem *problem, const int32_t *padding,
                                     const int32_t *output_padding)
{
    convention it;
    upconv_status status = convention_begin(problem, &it);
    if (status == UPCONV_OK)
        status = check_not_negative("padding", padding, it.dims);
    if (status == UPCONV_OK)
        status = check_output_padding(&it, output_padding);
    if (status != UPCONV_OK)
        return status;
    for (int i = 0; i < it.dims; i++) {
        it.axis[i].pad = at_or_zero(padding, i);
        it.axis[i].out = upc_axis_full(&it.axis[i]) - 2 * it.axis[i].pad + at_or_zero(output_padding, i);
    }
    return convention_end(&it, problem);
}

upconv_status upconv_problem_pytorch_size(upconv_problem *problem, const int32_t *padding,
                                          const int32_t *output_size)
{
    if (!output_size)
        return upconv_problem_pytorch(problem, padding, NULL);
    convention it;
    upconv_status status = convention_begin(problem, &it);
    if (status == UPCONV_OK)
        status = check_not_negative("padding", padding, it.dims);
    if (status != UPCONV_OK)
        return status;
    for (int i = 0; i < it.dims; i++) {
        upc_axis *axis = &it.axis[i];
        axis->pad = at_or_zero(padding, i);
        axis->out = output_size[i];
        const int64_t least = upc_axis_full(axis) - 2 * axis->pad;
        if (axis->out < least || axis->out > least + axis->stride - 1)
            return upc_fail(UPCONV_ERROR_INVALID, "output_size[%d] is %d; it must be from %lld to %lld", i,
                            output_size[i], (long long)least, (long long)(least + axis->stride - 1));
    }
    return convention_end(&it, problem);
}

// ------------------------------------------------------------------------------------------------ TensorFlow

// The forward convolution would make `back` positions of the output, and must make as many as the input has.
static upconv_status check_maps_back(const upc_axis *axis, int i, const char *padding, int64_t back)
{
    if (back != axis->in)
        return upc_fail(
            UPCONV_ERROR_INVALID,
            "output_shape[%d] is %lld; with padding %s, stride %d and an effective kernel of %lld it belongs "
            "to an input of %lld, not %d",
            i, (long long)axis->out, padding, (int)axis->stride, (long long)effective_kernel(axis),
            (long long)back, (int)axis->in);
    return UPCONV_OK;
}

static upconv_status tensorflow_same(upc_axis *axis, int i, const int32_t *output_shape)
{
    axis->out = output_shape ? output_shape[i] : axis->in * axis->stride;
    axis->pad = UPC_MAX(upc_axis_full(axis) - axis->out, 0) / 2;
    return check_maps_back(axis, i, "SAME", upc_ceil_div(axis->out, axis->stride));
}

static upconv_status tensorflow_valid(upc_axis *axis, int i, const int32_t *output_shape)
{
    const int64_t kernel = effective_kernel(axis);
    axis->out =
        output_shape ? output_shape[i] : (axis->in - 1) * axis->stride + UPC_MAX(kernel, axis->stride);
    axis->pad = 0;
    return check_maps_back(axis, i, "VALID", upc_ceil_div(axis->out - kernel + 1, axis->stride));
}

static upconv_status tensorflow_explicit(upc_axis *axis, int i, const int32_t *output_shape, int64_t front,
                                         int64_t end)
{
    axis->out = output_shape[i];
    axis->pad = front;
    const int64_t room = axis->out + front + end - effective_kernel(axis);
    return check_maps_back(axis, i, "EXPLICIT", upc_floor_div(room, axis->stride) + 1);
}

static upconv_status tensorflow_check(const convention *it, const char *padding, const int32_t *explicit_pads,
                                      const int32_t *output_shape)
{
    const bool is_explicit = padding && !strcmp(padding, "EXPLICIT");
    if (!padding || (strcmp(padding, "SAME") && strcmp(padding, "VALID") && !is_explicit))
        return upc_fail(UPCONV_ERROR_INVALID, "padding is %s; it must be SAME, VALID or EXPLICIT",
                        padding ? padding : "NULL");
    if (is_explicit && !explicit_pads)
        return upc_fail(UPCONV_ERROR_INVALID, "explicit_pads is NULL; padding EXPLICIT needs it");
    if (is_explicit && !output_shape)
        return upc_fail(UPCONV_ERROR_INVALID, "output_shape is NULL; padding EXPLICIT needs it");
    if (!is_explicit && explicit_pads)
        return upc_fail(UPCONV_ERROR_INVALID,
                        "explicit_pads is given with padding %s; it goes with EXPLICIT only", padding);
    const upconv_status status = check_not_negative("explicit_pads", explicit_pads, 2 * it->dims);
    return status != UPCONV_OK ? status : check_positive("output_shape", output_shape, it->dims);
}

upconv_status upconv_problem_tensorflow(upconv_problem *problem, const char *padding,
                                        const int32_t *explicit_pads, const int32_t *output_shape)
{
    convention it;
    upconv_status status = convention_begin(problem, &it);
    if (status == UPCONV_OK)
        status = tensorflow_check(&it, padding, explicit_pads, output_shape);
    for (int i = 0; status == UPCONV_OK && i < it.dims; i++) {
        if (!strcmp(padding, "SAME"))
            status = tensorflow_same(&it.axis[i], i, output_shape);
        else if (!strcmp(padding, "VALID"))
            status = tensorflow_valid(&it.axis[i], i, output_shape);
        else
            status = tensorflow_explicit(&it.axis[i], i, output_shape, explicit_pads[i],
                                         explicit_pads[it.dims + i]);
    }
    return status != UPCONV_OK ? status : convention_end(&it, problem);
}

// ----------------------------------------------------------------------------------------------------- Keras

static upconv_status keras_check(const convention *it, const char *padding, const int32_t *output_padding)
{
    if (!padding || (strcmp(padding, "same") && strcmp(padding, "valid")))
        return upc_fail(UPCONV_ERROR_INVALID, "padding is %s; it must be same or valid",
                        padding ? padding : "NULL");
    int64_t stride = 1, dilation = 1;
    for (int i = 0; i < it->dims; i++) {
        const upc_axis *axis = &it->axis[i];
        stride = UPC_MAX(stride, axis->stride);
        dilation = UPC_MAX(dilation, axis->dilation);
        if (output_padding && (output_padding[i] < 0 || output_padding[i] >= axis->stride))
            return upc_fail(UPCONV_ERROR_INVALID,
                            "output_padding[%d] is %d; it must be 0 or above and below stride %d", i,
                            output_padding[i], (int)axis->stride);
    }
    if (stride > 1 && dilation > 1)
        return upc_fail(UPCONV_ERROR_INVALID,
                        "stride is %d and dilation is %d; Keras' layers allow only one of them to be above 1",
                        (int)stride, (int)dilation);
    return UPCONV_OK;
}

static void keras_axis(upc_axis *axis, bool same, const int32_t *output_padding, int i)
{
    const int64_t kernel = effective_kernel(axis), before_last = (axis->in - 1) * axis->stride;
    if (same && output_padding)
        axis->out = before_last + kernel % 2 + output_padding[i];
    else if (same)
        axis->out = axis->in * axis->stride;
    else if (output_padding)
        axis->out = before_last + kernel + output_padding[i];
    else
        axis->out = before_last + UPC_MAX(kernel, axis->stride);
    axis->pad = same ? UPC_MAX(upc_axis_full(axis) - axis->out, 0) / 2 : 0;
}

upconv_status upconv_problem_keras(upconv_problem *problem, const char *padding,
                                   const int32_t *output_padding)
{
    convention it;
    upconv_status status = convention_begin(problem, &it);
    if (status == UPCONV_OK)
        status = keras_check(&it, padding, output_padding);
    if (status != UPCONV_OK)
        return status;
    for (int i = 0; i < it.dims; i++)
        keras_axis(&it.axis[i], !strcmp(padding, "same"), output_padding, i);
    return convention_end(&it, problem);
}

// ------------------------------------------------------------------------------------------------------ ONNX

typedef enum auto_pad { NOTSET, SAME_UPPER, SAME_LOWER, VALID, AUTO_PAD_COUNT } auto_pad;

static upconv_status onnx_auto_pad(const char *text, auto_pad *mode)
{
    static const char *const names[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    *mode = NOTSET;
    for (int i = 0; text && i < AUTO_PAD_COUNT; i++)
        if (!strcmp(text, names[i])) {
            *mode = (auto_pad)i;
            return UPCONV_OK;
        }
    if (!text)
        return UPCONV_OK;
    return upc_fail(UPCONV_ERROR_INVALID,
                    "auto_pad is %s; it must be NOTSET, SAME_UPPER, SAME_LOWER or VALID", text);
}

static upconv_status onnx_check(const convention *it, auto_pad mode, const int32_t *pads,
                                const int32_t *output_padding, const int32_t *output_shape)
{
    upconv_status status = check_output_padding(it, output_padding);
    if (status == UPCONV_OK)
        status = check_positive("output_shape", output_shape, it->dims);
    if (status == UPCONV_OK)
        status = check_not_negative("pads", pads, 2 * it->dims);
    // output_shape overrides pads; auto_pad and pads contradict each other.
    for (int i = 0; status == UPCONV_OK && pads && !output_shape && mode != NOTSET && i < 2 * it->dims; i++)
        if (pads[i])
            status = upc_fail(UPCONV_ERROR_INVALID, "pads[%d] is %d; pads go with auto_pad NOTSET only", i,
                              pads[i]);
    return status;
}

upconv_status upconv_problem_onnx(upconv_problem *problem, const char *auto_pad_name, const int32_t *pads,
                                  const int32_t *output_padding, const int32_t *output_shape)
{
    convention it;
    auto_pad mode = NOTSET;
    upconv_status status = convention_begin(problem, &it);
    if (status == UPCONV_OK)
        status = onnx_auto_pad(auto_pad_name, &mode);
    if (status == UPCONV_OK)
        status = onnx_check(&it, mode, pads, output_padding, output_shape);
    if (status != UPCONV_OK)
        return status;
    const bool same = mode == SAME_UPPER || mode == SAME_LOWER;
    for (int i = 0; i < it.dims; i++) {
        upc_axis *axis = &it.axis[i];
        const int64_t full = upc_axis_full(axis) + at_or_zero(output_padding, i);
        if (output_shape || same) {
            axis->out = output_shape ? output_shape[i] : axis->in * axis->stride;
            // Where the full result is too short nothing is cut, and what is missing stays empty at the far
            // end.
            const int64_t cut = UPC_MAX(full - axis->out, 0);
            axis->pad = mode == SAME_UPPER ? cut / 2 : cut - cut / 2;
        } else {
            axis->pad = mode == VALID ? 0 : at_or_zero(pads, i);
            axis->out = full - axis->pad - (mode == VALID ? 0 : at_or_zero(pads, it.dims + i));
        }
    }
    return convention_end(&it, problem);
}
