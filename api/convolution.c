// Convolution as the transposed convolution that it is when it is read the other way round.
#include "ops.h"

int64_t upc_conv_out(const upconv_problem *given, int i, const upc_axis *axis)
{
    (void)given;
    (void)i;
    return upc_floor_div(axis->in + 2 * axis->pad - (axis->kernel - 1) * axis->dilation - 1, axis->stride) + 1;
}

// i = o * stride + k * dilation - pad, with the filter back to front, k = kernel - 1 - k':
// o * stride = i + k' * dilation - ((kernel - 1) * dilation - pad).
void upc_conv_turn(upc_problem *problem)
{
    for (int i = 0; i < 3; i++) {
        upc_axis *axis = &problem->axis[i];
        axis->step = axis->stride;
        axis->stride = 1;
        axis->pad = (axis->kernel - 1) * axis->dilation - axis->pad;
    }
}

void upc_conv_give(const upc_problem *problem, upconv_problem *given)
{
    for (int i = 0; i < problem->dims; i++) {
        const upc_axis *axis = &problem->axis[3 - problem->dims + i];
        given->stride[i] = (int32_t)axis->step;
        given->pad[i] = (int32_t)((axis->kernel - 1) * axis->dilation - axis->pad);
    }
}

upconv_status upconv_problem_grad_input(const upconv_problem *problem, upconv_filter_order order,
                                        upconv_problem *gradient, upconv_filter_order *gradient_order)
{
    static const upconv_filter_order turned[UPCONV_FILTER_COUNT] = {
        [UPCONV_FILTER_IOK] = UPCONV_FILTER_OIK, [UPCONV_FILTER_OIK] = UPCONV_FILTER_IOK,
        [UPCONV_FILTER_KOI] = UPCONV_FILTER_KIO, [UPCONV_FILTER_KIO] = UPCONV_FILTER_KOI,
        [UPCONV_FILTER_OKI] = UPCONV_FILTER_IKO, [UPCONV_FILTER_IKO] = UPCONV_FILTER_OKI,
    };
    if (!gradient)
        return upc_fail(UPCONV_ERROR_INVALID, "gradient is NULL; it is required");
    if ((int)order < 0 || order >= UPCONV_FILTER_COUNT)
        return upc_fail(UPCONV_ERROR_INVALID, "order is %d; it must be from 0 to %d", (int)order,
                        (int)UPCONV_FILTER_COUNT - 1);
    upc_problem checked;
    upconv_status status = upc_problem_from(problem, &checked);
    if (status)
        return status;
    if (checked.op != UPCONV_CONV_TRANSPOSE && checked.op != UPCONV_CONV)
        return upc_fail(UPCONV_ERROR_INVALID, "op is %d, %s; it must be a transposed convolution or a convolution",
                        (int)checked.op, upc_op_of(checked.op)->name);
    upconv_problem given, made;
    upc_problem_to(&checked, &given);
    made = given;
    made.op = given.op == UPCONV_CONV ? UPCONV_CONV_TRANSPOSE : UPCONV_CONV;
    made.in_channels = given.out_channels;
    made.out_channels = given.in_channels;
    for (int i = 0; i < 3; i++) {
        made.in[i] = given.out[i];
        made.out[i] = given.in[i];
    }
    made.in_layout = given.out_layout;
    made.out_layout = given.in_layout;
    made.in_pitch = given.out_pitch;
    made.out_pitch = given.in_pitch;
    made.act = UPCONV_ACT_NONE;
    made.act_param[0] = made.act_param[1] = 0;
    made.residual = UPCONV_RESIDUAL_NONE;
    if ((status = upc_problem_from(&made, &checked)))
        return status;
    upc_params_return(gradient, &made, sizeof made, sizeof made);
    if (gradient_order)
        *gradient_order = turned[order];
    return UPCONV_OK;
}
