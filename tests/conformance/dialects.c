#include "dialects.h"
#include "gradients.h"
#include "quantised.h"
#include "sampling.h"

#include <stdio.h>
#include <string.h>

typedef struct dialect_op dialect_op;
struct dialect_op {
    const char *dialect, *name;
    int dims;                   // 0: by the input's rank
    const char *data, *weights; // layouts where the case states none; * stands for the kernel's axes
    bool forward_filter;        // the filter's I and O are those of the forward convolution
    bool (*map)(corpus_case *item, const dialect_op *operation, mapping *map);
    const char *attributes; // all that `map` reads
};

static const char axis_letters[] = "DHW";

// The library's refusal, as the case's.
static bool refused(corpus_case *item) { return case_wrong(item, "refused: %s", upconv_last_error()); }

static bool given(const corpus_case *item, const char *name)
{
    const cJSON *value = attribute(item, name);
    return value && !(cJSON_IsArray(value) && cJSON_GetArraySize(value) == 0);
}

static void expand(const char *pattern, int dims, char *layout)
{
    for (; *pattern; pattern++) {
        if (*pattern != '*') {
            *layout++ = *pattern;
            continue;
        }
        memcpy(layout, axis_letters + 3 - dims, (size_t)dims);
        layout += dims;
    }
    *layout = 0;
}

int32_t extent_of(const corpus_tensor *tensor, const char *layout, char letter)
{
    const char *at = strchr(layout, letter);
    return at ? (int32_t)tensor->shape[at - layout] : 1;
}

// --------------------------------------------------------------------------------- lists in a dialect's form

// Spatial entries of a list that may also count the other axes, in the order of `layout`; those must be 1.
static bool spatial_ints(corpus_case *item, const mapping *map, const char *name, const char *layout,
                         int32_t *values)
{
    int32_t list[NPY_MAX_RANK] = {1};
    const int length = (int)strlen(layout);
    const int count = attribute_list(item, name, length, list);
    if (count < 0)
        return false;
    if (count <= 1 || count == map->dims) {
        for (int i = 0; i < map->dims; i++)
            values[i] = count > 1 ? list[i] : list[0];
        return true;
    }
    if (count != length)
        return case_wrong(item, "attribute %s has %d entries, not %d or %d", name, count, map->dims, length);
    for (int i = 0, axis = 0; i < length; i++) {
        if (strchr(axis_letters, layout[i]))
            values[axis++] = list[i];
        else if (list[i] != 1)
            return case_wrong(item, "attribute %s is %d for axis %c; it must be 1 there", name, list[i],
                              layout[i]);
    }
    return true;
}

static bool read_geometry(corpus_case *item, mapping *map, const char *stride, const char *dilation,
                          const char *layout)
{
    return spatial_ints(item, map, stride, layout, map->problem.stride) &&
           spatial_ints(item, map, dilation, layout, map->problem.dilation);
}

static int tensor_ints(corpus_case *item, corpus_tensor *tensor, int most, int32_t *values)
{
    if (!tensor_load(item, tensor))
        return -1;
    const bool narrow = !strcmp(tensor->dtype, "int32");
    if (tensor->array.elements > (size_t)most || (!narrow && strcmp(tensor->dtype, "int64"))) {
        case_wrong(item, "%s is no list of at most %d integers", tensor->name, most);
        return -1;
    }
    for (size_t i = 0; i < tensor->array.elements; i++)
        values[i] = narrow ? ((int32_t *)tensor->array.data)[i] : (int32_t)((int64_t *)tensor->array.data)[i];
    return (int)tensor->array.elements;
}

// The output's size, from an attribute or from an input: spatial sizes only, or of all axes. *spatial is set
// to NULL where neither is there, *channels to 0 where the channels are not said.
static bool output_size(corpus_case *item, mapping *map, const char *name, int32_t *sizes, int32_t **spatial,
                        int32_t *channels)
{
    int32_t list[NPY_MAX_RANK];
    const int length = (int)strlen(map->out_layout);
    corpus_tensor *input = case_input(item, "output_shape output_size input_sizes");
    const int count =
        input ? tensor_ints(item, input, length, list) : attribute_list(item, name, length, list);
    *channels = 0;
    *spatial = count ? sizes : NULL;
    if (count < 0)
        return false;
    if (count && count != map->dims && count != length)
        return case_wrong(item, "%s has %d entries, not %d or %d", name, count, map->dims, length);
    for (int i = 0, axis = 0; i < count; i++) {
        const char letter = count == length ? map->out_layout[i] : 'W';
        if (strchr(axis_letters, letter))
            sizes[axis++] = list[i];
        else if (letter == 'C')
            *channels = list[i];
        else if (list[i] != map->problem.batch)
            return case_wrong(item, "%s is %d for the batch, but the input has %d", name, list[i],
                              map->problem.batch);
    }
    return true;
}

// TensorFlow has no attribute for groups: they follow from the output's channels and the filter's.
static bool implied_groups(corpus_case *item, mapping *map, int32_t channels)
{
    map->problem.groups = channels ? channels / map->filter_channels : 1;
    return !channels || map->problem.groups * map->filter_channels == channels ||
           case_wrong(item, "the output has %d channels, no multiple of the filter's %d", channels,
                      map->filter_channels);
}

static bool known_activation(corpus_case *item, mapping *map, const char *name)
{
    static const struct {
        const char *names;
        upconv_act act;
        float a, b;
    } known[] = {
        {"NONE linear", UPCONV_ACT_NONE, 0, 0},
        {"RELU relu", UPCONV_ACT_RELU, 0, 0},
        {"RELU6 relu6", UPCONV_ACT_CLAMP, 0, 6},
        {"RELU_N1_TO_1", UPCONV_ACT_CLAMP, -1, 1},
        {"leaky_relu", UPCONV_ACT_LEAKY_RELU, 0.2f, 0}, // Keras' default slope
        {"sigmoid", UPCONV_ACT_SIGMOID, 0, 0},
        {"TANH tanh", UPCONV_ACT_TANH, 0, 0},
        {"hard_silu hard_swish", UPCONV_ACT_HARDSWISH, 0, 0},
        {"silu swish", UPCONV_ACT_SILU, 0, 0},
        {"gelu", UPCONV_ACT_GELU_ERF, 0, 0},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (name_among(name, known[i].names)) {
            map->problem.act = known[i].act;
            map->problem.act_param[0] = known[i].a;
            map->problem.act_param[1] = known[i].b;
            return true;
        }
    return case_wrong(item, "unknown activation %s", name);
}

// A list of kernel sizes, where a dialect states them beside the filter.
static bool kernel_agrees(corpus_case *item, const mapping *map, const char *name)
{
    int32_t sizes[3];
    if (!given(item, name))
        return true;
    if (!attribute_ints(item, name, map->dims, 1, sizes))
        return false;
    return !memcmp(sizes, map->problem.kernel, sizeof sizes[0] * (size_t)map->dims) ||
           case_wrong(item, "attribute %s is not the filter's size", name);
}

// -------------------------------------------------------------------------------------------------- dialects

static bool map_pytorch(corpus_case *item, const dialect_op *operation, mapping *map)
{
    (void)operation;
    int32_t padding[3], output_padding[3], sizes[3], *size, channels;
    if (!read_geometry(item, map, "stride", "dilation", map->in_layout) ||
        !attribute_ints(item, "padding", map->dims, 0, padding) ||
        !attribute_ints(item, "output_padding", map->dims, 0, output_padding) ||
        !attribute_int(item, "groups", 1, &map->problem.groups) ||
        !output_size(item, map, "output_size", sizes, &size, &channels))
        return false;
    const upconv_status status = size ? upconv_problem_pytorch_size(&map->problem, padding, size)
                                      : upconv_problem_pytorch(&map->problem, padding, output_padding);
    return status == UPCONV_OK || refused(item);
}

static bool map_onnx(corpus_case *item, const dialect_op *operation, mapping *map)
{
    (void)operation;
    const char *auto_pad;
    int32_t pads[6], output_padding[3], sizes[3], *size, channels;
    if (!read_geometry(item, map, "strides", "dilations", map->in_layout) ||
        !kernel_agrees(item, map, "kernel_shape") || !attribute_text(item, "auto_pad", NULL, &auto_pad) ||
        !attribute_ints(item, "pads", 2 * map->dims, 0, pads) ||
        !attribute_ints(item, "output_padding", map->dims, 0, output_padding) ||
        !attribute_int(item, "group", 1, &map->problem.groups) ||
        !output_size(item, map, "output_shape", sizes, &size, &channels))
        return false;
    return upconv_problem_onnx(&map->problem, auto_pad, given(item, "pads") ? pads : NULL,
                               given(item, "output_padding") ? output_padding : NULL, size) == UPCONV_OK ||
           refused(item);
}

// Numbers of a list of pairs or a flat list, in order; -1: something else is in it, or too many.
static int flatten(const cJSON *list, int most, int32_t *values, int count)
{
    const cJSON *entry;
    cJSON_ArrayForEach(entry, list)
    {
        if (cJSON_IsArray(entry))
            count = flatten(entry, most, values, count);
        else if (cJSON_IsNumber(entry) && count < most)
            values[count++] = entry->valueint;
        else
            return -1;
        if (count < 0)
            return -1;
    }
    return count;
}

// Explicit padding in TensorFlow's order (front and end of each axis) to ours (all fronts, then all ends).
static bool explicit_pads(corpus_case *item, const mapping *map, const cJSON *list, const char *layout,
                          int32_t *pads)
{
    int32_t flat[2 * NPY_MAX_RANK];
    const int length = (int)strlen(layout), count = flatten(list, 2 * length, flat, 0);
    if (count != 2 * length && count != 2 * map->dims)
        return case_wrong(item, "the explicit padding is no list of %d or %d numbers", 2 * length,
                          2 * map->dims);
    for (int i = 0, axis = 0; i < count / 2; i++) {
        if (count == 2 * map->dims || strchr(axis_letters, layout[i])) {
            pads[axis] = flat[2 * i];
            pads[map->dims + axis++] = flat[2 * i + 1];
        } else if (flat[2 * i] || flat[2 * i + 1]) {
            return case_wrong(item, "the explicit padding of axis %c is not 0", layout[i]);
        }
    }
    return true;
}

static bool map_tensorflow(corpus_case *item, const dialect_op *operation, mapping *map)
{
    char layout[NPY_MAX_RANK + 1];
    const char *format, *padding = "EXPLICIT";
    expand(operation->data, map->dims, layout);
    if (!attribute_text(item, "data_format", layout, &format))
        return false;
    if (strcmp(format, map->in_layout))
        return case_wrong(item, "data_format is %s, but the input is %s", format, map->in_layout);
    int32_t pads[6], sizes[3], *size, channels;
    const cJSON *list = attribute(item, "padding");
    if (!cJSON_IsArray(list)) {
        if (!attribute_text(item, "padding", operation->forward_filter ? NULL : "SAME", &padding))
            return false;
        list = attribute(item, "explicit_paddings");
    }
    const bool explicit = padding && !strcmp(padding, "EXPLICIT");
    if (explicit && !explicit_pads(item, map, list, format, pads))
        return false;
    const char *name = operation->forward_filter ? "input_sizes" : "output_shape";
    if (!read_geometry(item, map, "strides", "dilations", format) ||
        !output_size(item, map, name, sizes, &size, &channels) || !implied_groups(item, map, channels))
        return false;
    return upconv_problem_tensorflow(&map->problem, padding, explicit ? pads : NULL, size) == UPCONV_OK ||
           refused(item);
}

static bool map_keras(corpus_case *item, const dialect_op *operation, mapping *map)
{
    (void)operation;
    const char *format, *padding, *activation;
    int32_t output_padding[3], filters;
    if (!attribute_text(item, "data_format", "channels_last", &format) ||
        !attribute_text(item, "padding", "valid", &padding) ||
        !attribute_text(item, "activation", "linear", &activation) ||
        !known_activation(item, map, activation) ||
        !read_geometry(item, map, "strides", "dilation_rate", map->in_layout) ||
        !kernel_agrees(item, map, "kernel_size") ||
        !attribute_int(item, "filters", map->filter_channels, &filters) ||
        !attribute_int(item, "groups", 1, &map->problem.groups) ||
        !attribute_ints(item, "output_padding", map->dims, 0, output_padding))
        return false;
    const bool last = strchr(map->in_layout, 'C')[1] == 0;
    if (strcmp(format, last ? "channels_last" : "channels_first"))
        return case_wrong(item, "data_format is %s, but the input is %s", format, map->in_layout);
    if (filters != map->filter_channels * map->problem.groups)
        return case_wrong(item, "attribute filters is %d, but the kernel has %d", filters,
                          map->filter_channels);
    const cJSON *use_bias = attribute(item, "use_bias");
    if (use_bias && (!cJSON_IsBool(use_bias) || cJSON_IsTrue(use_bias) != (map->bias != NULL)))
        return case_wrong(item, "attribute use_bias does not agree with the inputs");
    return upconv_problem_keras(&map->problem, padding,
                                given(item, "output_padding") ? output_padding : NULL) == UPCONV_OK ||
           refused(item);
}

// TFLite pads as TensorFlow does, but takes output sizes that TensorFlow refuses because they belong to
// another input size.
static void tflite_pad(mapping *map, bool same, const int32_t *size)
{
    for (int i = 0; i < map->dims; i++) {
        const int32_t stride = map->problem.stride[i], last = (size[i] + stride - 1) / stride - 1;
        const int32_t kernel = (map->problem.kernel[i] - 1) * map->problem.dilation[i] + 1;
        const int32_t total = last * stride + kernel - size[i];
        map->problem.pad[i] = same && total > 0 ? total / 2 : 0;
        map->problem.out[i] = size[i];
    }
}

// TFLite spells its axes out: stride_h, dilation_w_factor.
static bool tflite_geometry(corpus_case *item, mapping *map)
{
    for (int i = 0; i < map->dims; i++) {
        char stride[16], dilation[32];
        const char letter = (char)(axis_letters[3 - map->dims + i] - 'A' + 'a');
        snprintf(stride, sizeof stride, "stride_%c", letter);
        snprintf(dilation, sizeof dilation, "dilation_%c_factor", letter);
        if (!attribute_int(item, stride, 1, &map->problem.stride[i]) ||
            !attribute_int(item, dilation, 1, &map->problem.dilation[i]))
            return false;
        if (map->problem.stride[i] < 1 || map->problem.dilation[i] < 1)
            return case_wrong(item, "a stride or dilation is below 1");
    }
    return true;
}

static bool map_tflite(corpus_case *item, const dialect_op *operation, mapping *map)
{
    (void)operation;
    const char *padding, *activation;
    int32_t sizes[3], *size, channels;
    if (!tflite_geometry(item, map) || !attribute_text(item, "padding", "SAME", &padding) ||
        !attribute_text(item, "fused_activation_function", "NONE", &activation) ||
        !known_activation(item, map, activation) ||
        !output_size(item, map, "output_shape", sizes, &size, &channels) ||
        !implied_groups(item, map, channels))
        return false;
    if (upconv_problem_tensorflow(&map->problem, padding, NULL, size) == UPCONV_OK)
        return true;
    const bool same = !strcmp(padding, "SAME");
    if (!size || (!same && strcmp(padding, "VALID")))
        return refused(item);
    tflite_pad(map, same, size);
    return true;
}

// TFLite's GPU delegate states everything, and takes any `adjacent`: no convention helper, the geometry
// itself.
static bool map_tflite_gpu(corpus_case *item, const dialect_op *operation, mapping *map)
{
    (void)operation;
    int32_t front[3], end[3], adjacent[3];
    if (!spatial_ints(item, map, "stride", map->in_layout, map->problem.stride) ||
        !attribute_ints(item, "padding_prepended", map->dims, 0, front) ||
        !attribute_ints(item, "padding_appended", map->dims, 0, end) ||
        !attribute_ints(item, "adjacent", map->dims, 0, adjacent))
        return false;
    for (int i = 0; i < map->dims; i++) {
        map->problem.pad[i] = front[i];
        map->problem.out[i] = (map->problem.in[i] - 1) * map->problem.stride[i] + map->problem.kernel[i] -
                              front[i] - end[i] + adjacent[i];
    }
    return true;
}

// CMSIS-NN states the front padding and the output's size.
static bool map_cmsis_nn(corpus_case *item, const dialect_op *operation, mapping *map)
{
    (void)operation;
    if (!read_geometry(item, map, "stride", "dilation", map->in_layout) ||
        !attribute_ints(item, "padding", map->dims, 0, map->problem.pad))
        return false;
    return attribute_ints(item, "output_size", map->dims, 0, map->problem.out);
}

#define PYTORCH    "stride padding output_padding dilation groups output_size"
#define ONNX       "auto_pad dilations group kernel_shape output_padding output_shape pads strides"
#define TENSORFLOW "output_shape input_sizes strides padding explicit_paddings data_format dilations"
#define KERAS                                                                                                \
    "filters kernel_size strides padding output_padding data_format dilation_rate groups activation "        \
    "use_bias"
#define TFLITE                                                                                               \
    "padding stride_d stride_h stride_w dilation_d_factor dilation_h_factor dilation_w_factor "              \
    "fused_activation_function"

static const dialect_op operations[] = {
    {"pytorch", "conv_transpose1d", 1, "NC*", "IO*", false, map_pytorch, PYTORCH},
    {"pytorch", "conv_transpose2d", 2, "NC*", "IO*", false, map_pytorch, PYTORCH},
    {"pytorch", "conv_transpose3d", 3, "NC*", "IO*", false, map_pytorch, PYTORCH},
    {"onnx", "ConvTranspose", 0, "NC*", "IO*", false, map_onnx, ONNX},
    {"tensorflow", "conv1d_transpose", 1, "N*C", "*OI", false, map_tensorflow, TENSORFLOW},
    {"tensorflow", "conv2d_transpose", 2, "N*C", "*OI", false, map_tensorflow, TENSORFLOW},
    {"tensorflow", "conv3d_transpose", 3, "N*C", "*OI", false, map_tensorflow, TENSORFLOW},
    {"tensorflow", "conv2d_backprop_input", 2, "N*C", "*IO", true, map_tensorflow, TENSORFLOW},
    {"tensorflow", "conv3d_backprop_input", 3, "N*C", "*IO", true, map_tensorflow, TENSORFLOW},
    {"keras", "Conv1DTranspose", 1, "N*C", "*OI", false, map_keras, KERAS},
    {"keras", "Conv2DTranspose", 2, "N*C", "*OI", false, map_keras, KERAS},
    {"keras", "Conv3DTranspose", 3, "N*C", "*OI", false, map_keras, KERAS},
    {"tflite", "TRANSPOSE_CONV", 2, "N*C", "O*I", false, map_tflite, TFLITE},
    {"tflite", "CONV_3D_TRANSPOSE", 3, "N*C", "*OI", false, map_tflite, TFLITE},
    {"tflite", "CONVOLUTION_TRANSPOSED", 0, "N*C", "O*I", false, map_tflite_gpu,
     "stride padding_prepended padding_appended adjacent"},
    {"cmsis-nn", "arm_transpose_conv", 2, "N*C", "O*I", false, map_cmsis_nn,
     "stride dilation padding output_size quantized_activation"},
};

// ---------------------------------------------------------------------------------------------------- a case

static const dialect_op *operation_find(const corpus_case *item)
{
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (!strcmp(operations[i].dialect, item->dialect) && !strcmp(operations[i].name, item->op))
            return &operations[i];
    return NULL;
}

#define INPUT_NAMES  "input inputs X out_backprop"
#define WEIGHT_NAMES "weight weights W kernel filter filters"
#define BIAS_NAMES   "bias B"
#define SCALE_NAMES  "multiplier shift"
#define SIZE_NAMES   "output_shape output_size input_sizes"

static bool find_tensors(corpus_case *item, mapping *map)
{
    map->input = case_input(item, INPUT_NAMES);
    map->weights = case_input(item, WEIGHT_NAMES);
    map->bias = case_input(item, BIAS_NAMES);
    map->output = &item->outputs[0];
    if (!map->input || !map->weights)
        return case_wrong(item, "the case has no %s", map->input ? "weights" : "input");
    return item->output_count == 1 || case_wrong(item, "the case has %d outputs, not 1", item->output_count);
}

// NULL, or the first type that is not float32.
static const char *other_type(const mapping *map)
{
    const corpus_tensor *const tensors[] = {map->input, map->weights, map->bias, map->output};
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++)
        if (tensors[i] && strcmp(tensors[i]->dtype, "float32"))
            return tensors[i]->dtype;
    return NULL;
}

static bool inputs_known(corpus_case *item)
{
    for (int i = 0; i < item->input_count; i++)
        if (!name_among(item->inputs[i].name,
                        INPUT_NAMES " " WEIGHT_NAMES " " BIAS_NAMES " " SIZE_NAMES " " SCALE_NAMES))
            return case_wrong(item, "unknown input %s", item->inputs[i].name);
    return true;
}

// The tensor's own layout, else the dialect's. A tensor of rank dims + 1 is one batch element. Every letter
// of the expected set must be there once.
static bool layout_of(corpus_case *item, const corpus_tensor *tensor, const char *pattern, int dims,
                      char *layout)
{
    char expected[NPY_MAX_RANK + 1];
    expand(pattern, dims, expected);
    const bool single = expected[0] == 'N' && tensor->rank == dims + 1;
    snprintf(layout, NPY_MAX_RANK + 1, "%s", tensor->layout[0] ? tensor->layout : expected + single);
    if (strlen(layout) != (size_t)tensor->rank || tensor->rank != dims + 2 - single)
        return case_wrong(item, "%s has %d axes, not %d", tensor->name, tensor->rank, dims + 2);
    for (const char *letter = expected + single; *letter; letter++)
        if (!strchr(layout, *letter))
            return case_wrong(item, "the layout of %s is %s; axis %c is not in it", tensor->name, layout,
                              *letter);
    return true;
}

static bool read_shapes(corpus_case *item, const dialect_op *operation, mapping *map)
{
    map->dims = operation->dims ? operation->dims : map->input->rank - 2;
    if (map->dims < 1 || map->dims > 3)
        return case_wrong(item, "the input has %d axes", map->input->rank);
    if (!layout_of(item, map->input, operation->data, map->dims, map->in_layout) ||
        !layout_of(item, map->output, operation->data, map->dims, map->out_layout) ||
        !layout_of(item, map->weights, operation->weights, map->dims, map->weights_layout))
        return false;
    if (operation->forward_filter) {
        char *in = strchr(map->weights_layout, 'I'), *out = strchr(map->weights_layout, 'O');
        *in = 'O';
        *out = 'I';
    }
    upconv_problem *problem = &map->problem;
    problem->struct_size = sizeof *problem;
    problem->dims = map->dims;
    problem->groups = 1; // for dialects that have none
    problem->batch = extent_of(map->input, map->in_layout, 'N');
    problem->in_channels = extent_of(map->input, map->in_layout, 'C');
    for (int i = 0; i < map->dims; i++) {
        const char letter = axis_letters[3 - map->dims + i];
        problem->in[i] = extent_of(map->input, map->in_layout, letter);
        problem->kernel[i] = extent_of(map->weights, map->weights_layout, letter);
    }
    map->filter_channels = extent_of(map->weights, map->weights_layout, 'O');
    const int32_t filter_inputs = extent_of(map->weights, map->weights_layout, 'I');
    if (map->filter_channels < 1 || filter_inputs != problem->in_channels)
        return case_wrong(item, "the filter is for %d input channels, the input has %d", filter_inputs,
                          problem->in_channels);
    return true;
}

case_verdict case_map(corpus_case *item, mapping *map)
{
    memset(map, 0, sizeof *map);
    case_verdict verdict;
    if (sampling_map(item, map, &verdict) || gradient_map(item, map, &verdict))
        return verdict;
    const dialect_op *operation = operation_find(item);
    if (!operation) {
        case_wrong(item, "%s %s", item->dialect, item->op);
        return CASE_SKIPPED;
    }
    if (!find_tensors(item, map))
        return CASE_WRONG;
    const char *type = other_type(map);
    if (type && !case_is_quantised(item)) {
        case_wrong(item, "%s %s in %s", item->dialect, item->op, type);
        return CASE_SKIPPED;
    }
    if (!inputs_known(item) || !attributes_known(item, operation->attributes) ||
        !read_shapes(item, operation, map) || !operation->map(item, operation, map))
        return CASE_WRONG;
    map->problem.out_channels = map->filter_channels * map->problem.groups;
    if (map->bias && (map->bias->rank != 1 || map->bias->shape[0] != map->problem.out_channels)) {
        case_wrong(item, "the bias is not one value for each of %d output channels",
                   map->problem.out_channels);
        return CASE_WRONG;
    }
    if (case_is_quantised(item) && !quantised_map(item, map))
        return CASE_WRONG;
    return CASE_RUNS;
}
