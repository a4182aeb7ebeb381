// The rules of upconv_problem, each checked once, here: behind this file there are only legal problems.
#include "ops.h"
#include "quant.h"

#include <string.h>

// ------------------------------------------------------------------------------------------------------ axes

static upconv_status check_required(const char *name, const int32_t *values, int dims)
{
    for (int i = 0; i < dims; i++)
        if (values[i] <= 0)
            return upc_fail(UPCONV_ERROR_INVALID, "%s[%d] is %d; it must be above 0", name, i, values[i]);
    return UPCONV_OK;
}

// For stride and dilation. A single 0 among other values is a mistake in a computation, not a wish for the
// default.
static upconv_status check_or_ones(const char *name, const int32_t *values, int dims, bool *ones)
{
    int zero = -1, set = -1;
    for (int i = 0; i < dims; i++) {
        if (values[i] < 0)
            return upc_fail(UPCONV_ERROR_INVALID, "%s[%d] is %d; it must be above 0", name, i, values[i]);
        if (values[i] == 0)
            zero = i;
        else
            set = i;
    }
    if (zero >= 0 && set >= 0)
        return upc_fail(
            UPCONV_ERROR_INVALID,
            "%s[%d] is 0 while %s[%d] is %d; a %s is above 0 on every axis, or left wholly zero for ones",
            name, zero, name, set, values[set], name);
    *ones = zero >= 0;
    return UPCONV_OK;
}

// What an operation does not read: wholly zero, or wholly what it would be if it did.
static upconv_status check_unused(const upc_op *op, const char *name, const int32_t *values, int dims, int32_t neutral)
{
    for (int i = 0; i < dims; i++)
        if (values[i] != 0 && values[i] != neutral)
            return upc_fail(UPCONV_ERROR_INVALID, "%s[%d] is %d; %s has none, leave it zero", name, i, values[i],
                            op->name);
    return UPCONV_OK;
}

// The arrays as the operation reads them: those that it does not read are zero.
typedef struct arrays {
    const int32_t *kernel, *stride, *dilation;
} arrays;

static const int32_t unread[3];

static upconv_status read_arrays(const upc_op *op, const upconv_problem *given, int dims, arrays *read)
{
    const struct {
        const char *name;
        upc_field field;
        const int32_t *values;
        const int32_t **read;
        int32_t neutral;
    } all[] = {
        {"kernel", UPC_FIELD_KERNEL, given->kernel, &read->kernel, 1},
        {"stride", UPC_FIELD_STRIDE, given->stride, &read->stride, 1},
        {"dilation", UPC_FIELD_DILATION, given->dilation, &read->dilation, 1},
        {"pad", UPC_FIELD_PAD, given->pad, NULL, 0},
        {"index_space", UPC_FIELD_INDEX, given->index_space, NULL, 0},
    };
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < UPC_COUNT(all) && status == UPCONV_OK; i++) {
        const bool used = op->fields & all[i].field;
        if (all[i].read)
            *all[i].read = used ? all[i].values : unread;
        if (!used)
            status = check_unused(op, all[i].name, all[i].values, dims, all[i].neutral);
    }
    return status;
}

// Entries of the arrays beyond `dims` are ignored, so that callers may fill whole arrays with one value.
upconv_status upc_axes_from(const upconv_problem *given, int *dims, upc_axis axis[3])
{
    const int count = given->dims ? given->dims : 2;
    if (count < 1 || count > 3)
        return upc_fail(UPCONV_ERROR_INVALID, "dims is %d; it must be 1, 2 or 3 (0 means 2)", given->dims);
    const upc_op *op = upc_op_of(given->op);
    if (!op)
        return upc_fail(UPCONV_ERROR_INVALID, "op is %d; it must be from 0 to %d", (int)given->op, UPCONV_OP_COUNT - 1);
    bool unit_stride = false, unit_dilation = false;
    arrays read;
    upconv_status status = check_required("in", given->in, count);
    if (status == UPCONV_OK)
        status = read_arrays(op, given, count, &read);
    if (status == UPCONV_OK && op->fields & UPC_FIELD_KERNEL)
        status = check_required("kernel", read.kernel, count);
    if (status == UPCONV_OK)
        status = check_or_ones("stride", read.stride, count, &unit_stride);
    if (status == UPCONV_OK)
        status = check_or_ones("dilation", read.dilation, count, &unit_dilation);
    if (status != UPCONV_OK)
        return status;
    for (int i = 0; i < 3; i++) {
        const int from = i - (3 - count); // missing axes are the slowest
        axis[i] = (upc_axis){.in = 1, .out = 0, .kernel = 1, .stride = 1, .dilation = 1, .pad = 0, .step = 1};
        if (from < 0)
            continue;
        axis[i].in = given->in[from];
        axis[i].kernel = read.kernel == unread ? 1 : read.kernel[from];
        axis[i].stride = unit_stride ? 1 : read.stride[from];
        axis[i].dilation = unit_dilation ? 1 : read.dilation[from];
    }
    if (dims)
        *dims = count;
    return UPCONV_OK;
}

static upconv_status fill_in_out(const upconv_problem *given, upc_problem *problem)
{
    const int missing = 3 - problem->dims;
    const upc_op *op = upc_op_of(problem->op);
    for (int i = 0; i < missing; i++)
        problem->axis[i].out = 1;
    for (int i = 0; i < problem->dims; i++) {
        upc_axis *axis = &problem->axis[missing + i];
        axis->pad = given->pad[i];
        axis->out = given->out[i];
        if (axis->out < 0)
            return upc_fail(UPCONV_ERROR_INVALID, "out[%d] is %d; it must be above 0 (0 has it computed)", i,
                            given->out[i]);
        if (axis->out > 0)
            continue;
        axis->out = op->out(given, i, axis);
        if (axis->out < 1 || axis->out > INT32_MAX)
            return upc_fail(UPCONV_ERROR_INVALID,
                            "out[%d] comes to %lld (in %d, kernel %d, stride %d, dilation %d, pad %d); "
                            "it must be from 1 to 2147483647",
                            i, (long long)axis->out, (int)axis->in, (int)axis->kernel, (int)axis->stride,
                            (int)axis->dilation, (int)axis->pad);
    }
    if (op->turn)
        op->turn(problem);
    return UPCONV_OK;
}

// ------------------------------------------------------------------------------------------- the other rules

// How many output channels there must be, or 0 where that is the caller's choice.
static upconv_status count_channels(const upconv_problem *given, const upc_problem *problem, int64_t *channels)
{
    const upc_op *op = upc_op_of(problem->op);
    const upc_axis *axis = problem->axis;
    int64_t blocks = 1;
    for (int i = 0; i < 3 && op->channels == UPC_CHANNELS_BLOCKS && blocks <= given->in_channels; i++)
        blocks *= axis[i].stride;
    *channels = op->channels == UPC_CHANNELS_FREE ? 0 : given->in_channels / blocks;
    if (given->in_channels % blocks)
        return upc_fail(UPCONV_ERROR_INVALID,
                        "in_channels is %d; it must be divisible by the product of the strides, %lld",
                        given->in_channels, (long long)blocks);
    if (*channels && given->out_channels && given->out_channels != *channels)
        return upc_fail(UPCONV_ERROR_INVALID, "out_channels is %d; %s of %d channels gives %lld (0 has it computed)",
                        given->out_channels, op->name, given->in_channels, (long long)*channels);
    return UPCONV_OK;
}

// The axes are known.
static upconv_status check_channels(const upconv_problem *given, upc_problem *problem)
{
    const upc_op *op = upc_op_of(problem->op);
    const struct {
        const char *name;
        int32_t value;
    } required[] = {
        {"batch", given->batch}, {"in_channels", given->in_channels}, {"out_channels", given->out_channels}};
    for (size_t i = 0; i < UPC_COUNT(required); i++)
        if (required[i].value < 0 || (required[i].value == 0 && (i < 2 || op->channels == UPC_CHANNELS_FREE)))
            return upc_fail(UPCONV_ERROR_INVALID, "%s is %d; it must be above 0", required[i].name,
                            required[i].value);
    if (given->groups < 0)
        return upc_fail(UPCONV_ERROR_INVALID, "groups is %d; it must be above 0 (0 means 1)", given->groups);
    if (given->groups > 1 && !(op->fields & UPC_FIELD_GROUPS))
        return upc_fail(UPCONV_ERROR_INVALID, "groups is %d; %s has none, leave it zero", given->groups, op->name);
    const int32_t groups = given->groups ? given->groups : 1;
    for (size_t i = 1; i < UPC_COUNT(required); i++)
        if (required[i].value % groups)
            return upc_fail(UPCONV_ERROR_INVALID, "%s is %d; it must be divisible by groups, %d",
                            required[i].name, required[i].value, groups);
    int64_t out;
    const upconv_status status = count_channels(given, problem, &out);
    problem->batch = given->batch;
    problem->groups = groups;
    problem->icg = given->in_channels / groups;
    problem->ocg = (out ? out : given->out_channels) / groups;
    return status;
}

static upconv_status check_enum(const char *name, int value, int count)
{
    if (value < 0 || value >= count)
        return upc_fail(UPCONV_ERROR_INVALID, "%s is %d; it must be from 0 to %d", name, value, count - 1);
    return UPCONV_OK;
}

// Parameters that the activation does not use are dropped, so that equal problems compare equal.
static upconv_status check_act(const upconv_problem *given, upc_problem *problem)
{
    const upconv_status status = check_enum("act", (int)given->act, UPCONV_ACT_COUNT);
    if (status != UPCONV_OK)
        return status;
    problem->act = given->act;
    const float a = given->act_param[0], b = given->act_param[1];
    if (given->act == UPCONV_ACT_LEAKY_RELU) {
        if (a != a)
            return upc_fail(UPCONV_ERROR_INVALID,
                            "act_param[0] is not a number; leaky relu needs its slope there");
        problem->act_param[0] = a;
    }
    if (given->act == UPCONV_ACT_CLAMP) {
        char low[32], high[32];
        upc_print_float(low, sizeof low, a);
        upc_print_float(high, sizeof high, b);
        if (!(a <= b))
            return upc_fail(UPCONV_ERROR_INVALID,
                            "act_param is {%s, %s}; a clamp needs the first to be at most the second", low,
                            high);
        problem->act_param[0] = a;
        problem->act_param[1] = b;
    }
    return UPCONV_OK;
}

static upconv_status check_bytes(const char *name, size_t element, int64_t outer, int64_t channels,
                                 const int64_t extents[3])
{
    const int64_t factors[] = {outer, channels, extents[0], extents[1], extents[2]};
    uint64_t bytes = element;
    for (size_t i = 0; i < UPC_COUNT(factors); i++)
        if (!upc_mul_u64(&bytes, bytes, (uint64_t)factors[i]) || bytes > UPCONV_MAX_TENSOR_BYTES)
            return upc_fail(
                UPCONV_ERROR_INVALID,
                "the %s would have %lld x %lld x %lld x %lld x %lld elements of %zu bytes; a tensor has at "
                "most 2^40 bytes",
                name, (long long)outer, (long long)channels, (long long)extents[0], (long long)extents[1],
                (long long)extents[2], element);
    return UPCONV_OK;
}

void upc_problem_form(const upc_problem *problem, bool in, upc_tensor_form *form)
{
    const upc_axis *a = problem->axis;
    *form = (upc_tensor_form){.name = in ? "in" : "out", .dims = problem->dims, .batch = problem->batch,
                              .channels = problem->groups * (in ? problem->icg : problem->ocg),
                              .layout = in ? problem->in_layout : problem->out_layout,
                              .element_bytes = upc_type_bytes(problem->type)};
    for (int i = 0; i < 3; i++)
        form->extent[i] = in ? a[i].in : a[i].out;
}

// type and layouts are known to be good.
static upconv_status check_tensors(const upconv_problem *given, upc_problem *problem)
{
    const int64_t kernel[] = {problem->axis[0].kernel, problem->axis[1].kernel, problem->axis[2].kernel};
    upc_tensor_form in, out;
    upc_problem_form(problem, true, &in);
    upc_problem_form(problem, false, &out);
    upconv_status status = check_bytes("input", in.element_bytes, in.batch, in.channels, in.extent);
    if (status == UPCONV_OK)
        status = check_bytes("output", out.element_bytes, out.batch, out.channels, out.extent);
    const bool filter =
        upc_op_takes(problem->op, UPCONV_WEIGHTS) || upc_op_of(problem->op)->result == UPC_RESULT_FILTER;
    if (status == UPCONV_OK && filter) // they may be f32 with tensors of f16
        status = check_bytes("filter", sizeof(float), in.channels, problem->ocg, kernel);
    if (status == UPCONV_OK)
        status = upc_tensor_from(&in, &given->in_pitch, &problem->in);
    return status ? status : upc_tensor_from(&out, &given->out_pitch, &problem->out);
}

// Those that stand for themselves; `problem` gets them all, also where one is wrong.
static upconv_status check_enums(const upconv_problem *given, upc_problem *problem)
{
    const struct {
        const char *name;
        int value, count;
    } enums[] = {
        {"op", (int)given->op, UPCONV_OP_COUNT},
        {"type", (int)given->type, UPCONV_TYPE_COUNT},
        {"sum_type", (int)given->sum_type, UPCONV_F16 + 1},
        {"in_layout", (int)given->in_layout, UPCONV_LAYOUT_COUNT},
        {"out_layout", (int)given->out_layout, UPCONV_LAYOUT_COUNT},
        {"residual", (int)given->residual, UPCONV_RESIDUAL_COUNT},
        {"index", (int)given->index, UPCONV_INDEX_COUNT},
    };
    upconv_status status = UPCONV_OK;
    for (size_t i = 0; i < UPC_COUNT(enums) && status == UPCONV_OK; i++)
        status = check_enum(enums[i].name, enums[i].value, enums[i].count);
    problem->op = given->op;
    problem->type = given->type;
    problem->sum_type = given->sum_type;
    problem->in_layout = given->in_layout;
    problem->out_layout = given->out_layout;
    problem->residual = given->residual;
    if (status == UPCONV_OK && given->sum_type == UPCONV_F16 && given->type != UPCONV_F16)
        status = upc_fail(UPCONV_ERROR_INVALID,
                          "sum_type is F16 while type is %s; sums in F16 are for problems of type F16",
                          given->type == UPCONV_F32 ? "F32" : "quantised");
    return status;
}

// Whether there is such an operation, and what only some have: nothing is known of the rest yet.
static upconv_status check_op(const upconv_problem *given)
{
    const upc_op *op = upc_op_of(given->op);
    const struct {
        const char *name;
        upc_field field;
        int value;
    } fields[] = {
        {"act", UPC_FIELD_ACT, (int)given->act},
        {"residual", UPC_FIELD_RESIDUAL, (int)given->residual},
        {"sum_type", UPC_FIELD_SUM_TYPE, (int)given->sum_type},
        {"index", UPC_FIELD_INDEX, (int)given->index},
        {"channel_order", UPC_FIELD_CHANNEL_ORDER, (int)given->channel_order},
        {"resize_mode", UPC_FIELD_RESIZE, (int)given->resize_mode},
        {"coordinates", UPC_FIELD_RESIZE, (int)given->coordinates},
        {"rounding", UPC_FIELD_RESIZE, (int)given->rounding},
        {"exclude_outside", UPC_FIELD_RESIZE, (int)given->exclude_outside},
        {"f32_steps", UPC_FIELD_RESIZE, (int)given->f32_steps},
    };
    const double numbers[] = {(double)given->cubic_coefficient, given->scale[0], given->scale[1], given->scale[2]};
    if (!op->built)
        return upc_fail(UPCONV_ERROR_INVALID, "op is %d, %s, which this version does not have", (int)given->op,
                        op->name);
    for (size_t i = 0; i < UPC_COUNT(fields); i++)
        if (fields[i].value && !(op->fields & fields[i].field))
            return upc_fail(UPCONV_ERROR_INVALID, "%s is %d; %s has none, leave it zero", fields[i].name,
                            fields[i].value, op->name);
    for (size_t i = 0; i < UPC_COUNT(numbers) && !(op->fields & UPC_FIELD_RESIZE); i++)
        if (!(numbers[i] == 0)) {
            char number[32];
            upc_print_double(number, sizeof number, numbers[i]);
            return upc_fail(UPCONV_ERROR_INVALID, "%s is %s; %s has none, leave it zero",
                            i ? "a scale" : "cubic_coefficient", number, op->name);
        }
    return UPCONV_OK;
}

static upconv_status check_all(const upconv_problem *given, upc_problem *problem)
{
    upconv_status status = check_enums(given, problem);
    if (status == UPCONV_OK)
        status = check_op(given);
    if (status == UPCONV_OK)
        status = upc_axes_from(given, &problem->dims, problem->axis);
    if (status == UPCONV_OK)
        status = check_channels(given, problem);
    if (status == UPCONV_OK && upc_op_of(given->op)->read)
        status = upc_op_of(given->op)->read(given, problem);
    if (status == UPCONV_OK)
        status = fill_in_out(given, problem);
    if (status == UPCONV_OK)
        status = check_act(given, problem);
    if (status == UPCONV_OK)
        status = upc_quant_read(given, problem);
    if (status == UPCONV_OK)
        status = check_tensors(given, problem);
    return status || !upc_op_of(given->op)->check ? status : upc_op_of(given->op)->check(problem);
}

upconv_status upc_problem_from(const upconv_problem *given, upc_problem *problem)
{
    if (!given)
        return upc_fail(UPCONV_ERROR_INVALID, "problem is NULL; it is required");
    upconv_problem known;
    upconv_status status = upc_params_copy(&known, sizeof known, given, sizeof known, "problem");
    if (status != UPCONV_OK)
        return status;
    upc_problem checked;
    memset(&checked, 0, sizeof checked);
    status = check_all(&known, &checked);
    if (status == UPCONV_OK)
        *problem = checked;
    return status;
}

void upc_problem_to(const upc_problem *problem, upconv_problem *given)
{
    const upc_op *op = upc_op_of(problem->op);
    memset(given, 0, sizeof *given);
    given->struct_size = sizeof *given;
    given->op = problem->op;
    given->dims = problem->dims;
    given->batch = (int32_t)problem->batch;
    given->in_channels = (int32_t)(problem->groups * problem->icg);
    given->out_channels = (int32_t)(problem->groups * problem->ocg);
    given->groups = op->fields & UPC_FIELD_GROUPS ? (int32_t)problem->groups : 0;
    for (int i = 0; i < problem->dims; i++) {
        const upc_axis *axis = &problem->axis[3 - problem->dims + i];
        given->in[i] = (int32_t)axis->in;
        given->kernel[i] = op->fields & UPC_FIELD_KERNEL ? (int32_t)axis->kernel : 0;
        given->stride[i] = op->fields & UPC_FIELD_STRIDE ? (int32_t)axis->stride : 0;
        given->dilation[i] = op->fields & UPC_FIELD_DILATION ? (int32_t)axis->dilation : 0;
        given->pad[i] = (int32_t)axis->pad;
        given->out[i] = (int32_t)axis->out;
    }
    given->type = problem->type;
    given->sum_type = problem->sum_type;
    given->in_layout = problem->in_layout;
    given->out_layout = problem->out_layout;
    given->act = problem->act;
    given->act_param[0] = problem->act_param[0];
    given->act_param[1] = problem->act_param[1];
    given->residual = problem->residual;
    upc_quant_give(problem, given);
    upc_tensor_form form;
    upc_problem_form(problem, true, &form);
    upc_tensor_pitch(&form, &problem->in, &given->in_pitch);
    upc_problem_form(problem, false, &form);
    upc_tensor_pitch(&form, &problem->out, &given->out_pitch);
    if (op->give)
        op->give(problem, given);
}

// ----------------------------------------------------------------------------------------------------- sizes

// None of these can overflow: upc_problem_from has bounded the bytes.
uint64_t upc_input_elements(const upc_problem *problem)
{
    const upc_axis *axis = problem->axis;
    return (uint64_t)(problem->batch * problem->groups * problem->icg * axis[0].in * axis[1].in * axis[2].in);
}

uint64_t upc_output_elements(const upc_problem *problem)
{
    const upc_axis *axis = problem->axis;
    return (uint64_t)(problem->batch * problem->groups * problem->ocg * axis[0].out * axis[1].out *
                      axis[2].out);
}

uint64_t upc_weights_elements(const upc_problem *problem)
{
    return upc_op_takes(problem->op, UPCONV_WEIGHTS) ? upc_filter_elements(problem) : 0;
}

uint64_t upc_filter_elements(const upc_problem *problem)
{
    const upc_axis *axis = problem->axis;
    return (uint64_t)(problem->groups * problem->icg * problem->ocg * axis[0].kernel * axis[1].kernel *
                      axis[2].kernel);
}

double upc_problem_macs(const upc_problem *problem)
{
    const upc_axis *axis = problem->axis;
    if (!upc_op_takes(problem->op, UPCONV_WEIGHTS) && upc_op_of(problem->op)->result != UPC_RESULT_FILTER)
        return 0;
    const double kernel = (double)axis[0].kernel * (double)axis[1].kernel * (double)axis[2].kernel;
    if (problem->op == UPCONV_CONV)
        return (double)upc_output_elements(problem) * (double)problem->icg * kernel;
    return (double)upc_input_elements(problem) * (double)problem->ocg * kernel;
}

// How many triples of output, input and tap there are on an axis.
static double meetings(const upc_axis *axis)
{
    const bool by_input = axis->stride > 1; // then step is 1, and the other way round
    const int64_t by = by_input ? axis->stride : axis->step, count = by_input ? axis->in : axis->out;
    const int64_t most = by_input ? axis->out : axis->in;
    double sum = 0;
    for (int64_t k = 0; k < axis->kernel; k++) {
        const int64_t away = k * axis->dilation - axis->pad, shift = by_input ? away : -away;
        // positions p of 0 .. count - 1 for which p * by + shift is one of 0 .. most - 1
        const int64_t first = shift >= 0 ? 0 : upc_ceil_div(-shift, by);
        const int64_t behind = shift >= most ? 0 : upc_ceil_div(most - shift, by);
        sum += (double)UPC_MAX(UPC_MIN(behind, count) - UPC_MIN(first, count), 0);
    }
    return sum;
}

double upc_problem_needed_macs(const upc_problem *problem)
{
    double macs = upc_problem_macs(problem);
    for (int a = 0; a < 3 && macs > 0; a++) {
        const upc_axis *axis = &problem->axis[a];
        macs *= meetings(axis) / ((double)(problem->op == UPCONV_CONV ? axis->out : axis->in) * (double)axis->kernel);
    }
    return macs;
}

upconv_status upconv_problem_sizes(const upconv_problem *problem, upconv_sizes *sizes)
{
    if (!sizes)
        return upc_fail(UPCONV_ERROR_INVALID, "sizes is NULL; it is required");
    upc_problem checked;
    const upconv_status status = upc_problem_from(problem, &checked);
    if (status != UPCONV_OK)
        return status;
    upconv_sizes ours;
    memset(&ours, 0, sizeof ours);
    for (int i = 0; i < checked.dims; i++)
        ours.out[i] = (int32_t)checked.axis[3 - checked.dims + i].out;
    ours.input_elements = upc_input_elements(&checked);
    upc_problem shape;
    upc_result_shape(&checked, &shape);
    ours.output_elements = upc_output_elements(&shape);
    ours.weights_elements = upc_weights_elements(&checked);
    ours.bias_elements = upc_op_takes(checked.op, UPCONV_BIAS) ? (uint64_t)(checked.groups * checked.ocg) : 0;
    ours.input_bytes = upc_input_bytes(&checked);
    ours.output_bytes = upc_output_bytes(&shape);
    ours.weights_bytes = ours.weights_elements * (upc_type_quantised(checked.type) ? 1 : sizeof(float));
    ours.bias_bytes = ours.bias_elements * sizeof(float);
    ours.flops = 2 * upc_problem_macs(&checked);
    if (upc_op_takes(checked.op, UPCONV_INDICES)) {
        ours.indices_elements = upc_indices_in(&checked) ? ours.input_elements : ours.output_elements;
        ours.indices_bytes = upc_indices_bytes(&checked);
    }
    upc_params_return(sizes, &ours, sizeof ours, sizeof ours);
    return UPCONV_OK;
}

// ---------------------------------------------------------------------------------------------------- filter

void upc_filter_strides_get(const upc_problem *problem, upconv_filter_order order,
                            upc_filter_strides *strides)
{
    static const char *const letters[UPCONV_FILTER_COUNT] = {"IOK", "KOI", "OIK", "KIO", "OKI", "IKO"};
    const upc_axis *axis = problem->axis;
    const char *text = letters[order], *all = text[0] == 'K' ? text + 2 : text; // counted over all groups
    int64_t at = 1; // elements from one of the letter at hand to the next
    for (int n = 2; n >= 0; n--) {
        const bool in = text[n] == 'I';
        if (text[n] == 'K') {
            for (int i = 2; i >= 0; i--) {
                strides->tap[i] = at;
                at *= axis[i].kernel;
            }
            continue;
        }
        const int64_t count = in ? problem->icg : problem->ocg;
        *(in ? &strides->in : &strides->out) = at;
        if (text + n == all)
            strides->group = at * count;
        at *= count * (text + n == all ? problem->groups : 1);
    }
    strides->first = 0;
    for (int i = 0; i < 3 && upc_filter_flipped(problem); i++) {
        strides->first += (axis[i].kernel - 1) * strides->tap[i];
        strides->tap[i] = -strides->tap[i];
    }
}
