#include "sampling.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct sampling sampling;
struct sampling {
    const char *dialect, *name, *attributes;
    bool channels_last;
    bool integers; // integers may be run as floats: values are moved, or between others and rounded afterwards
    bool (*map)(corpus_case *item, const sampling *operation, mapping *map);
};

static bool refused(corpus_case *item) { return case_wrong(item, "refused: %s", upconv_last_error()); }

static bool is_true(const corpus_case *item, const char *name)
{
    const cJSON *value = attribute(item, name);
    return value && (cJSON_IsTrue(value) || (cJSON_IsNumber(value) && value->valuedouble != 0));
}

// Numbers of any kind, one standing for all axes. Returns how many, 0 where it is absent.
static int numbers(const corpus_case *item, const char *name, int dims, double *values)
{
    const cJSON *value = attribute(item, name);
    if (!value)
        return 0;
    for (int i = 0; i < dims; i++) {
        const cJSON *one = cJSON_IsArray(value) ? cJSON_GetArrayItem(value, i) : value;
        values[i] = one ? one->valuedouble : 0;
    }
    return dims;
}

// The last `dims` entries (or as many as there are) of an input's array, as doubles. Returns the entries of the array.
static int input_numbers(corpus_case *item, const char *names, int most, double *values)
{
    corpus_tensor *tensor = case_input(item, names);
    if (!tensor || !tensor_load(item, tensor) || tensor->array.elements > (size_t)most)
        return 0;
    for (size_t i = 0; i < tensor->array.elements; i++) {
        const void *data = tensor->array.data;
        values[i] = !strcmp(tensor->dtype, "int64")   ? (double)((const int64_t *)data)[i]
                    : !strcmp(tensor->dtype, "int32") ? ((const int32_t *)data)[i]
                                                      : (double)((const float *)data)[i];
    }
    return (int)tensor->array.elements;
}

static bool map_pytorch(corpus_case *item, const sampling *operation, mapping *map)
{
    (void)operation;
    const char *mode;
    double scale[3], size[3];
    int32_t sizes[3];
    if (!attribute_text(item, "mode", "nearest", &mode))
        return false;
    const int sized = numbers(item, "size", map->dims, size);
    const int scaled = numbers(item, "scale_factor", map->dims, scale);
    for (int i = 0; i < sized; i++)
        sizes[i] = (int32_t)size[i];
    return upconv_problem_pytorch_resize(&map->problem, mode, sized ? sizes : NULL, scaled ? scale : NULL,
                                         is_true(item, "align_corners"),
                                         is_true(item, "recompute_scale_factor")) == UPCONV_OK ||
           refused(item);
}

// Spatial entries of a list that ONNX gives for all axes, or for those in `axes`; otherwise: for the others.
static bool onnx_list(corpus_case *item, const mapping *map, const char *input, double otherwise, double values[3],
                      bool *there)
{
    double list[8];
    int32_t axes[8];
    const int count = input_numbers(item, input, 8, list), axis_count = attribute_list(item, "axes", 8, axes);
    const int rank = map->dims + 2;
    *there = count > 0;
    for (int i = 0; i < map->dims; i++)
        values[i] = otherwise;
    if (count != 0 && count != (axis_count ? axis_count : rank))
        return case_wrong(item, "%s has %d entries for %d axes", input, count, axis_count ? axis_count : rank);
    for (int i = 0; i < count; i++) {
        const int axis = axis_count ? (axes[i] + rank) % rank : i;
        if (axis >= 2)
            values[axis - 2] = list[i];
    }
    return true;
}

static bool map_onnx(corpus_case *item, const sampling *operation, mapping *map)
{
    upconv_onnx_resize params = {.struct_size = sizeof params};
    double scales[3], sizes[3], a[1], exclude[1];
    float scale[3];
    int32_t size[3];
    bool scaled, sized;
    if (!onnx_list(item, map, "scales", 1, scales, &scaled) || !onnx_list(item, map, "sizes", 0, sizes, &sized) ||
        !attribute_text(item, "mode", NULL, &params.mode) ||
        !attribute_text(item, "coordinate_transformation_mode", NULL, &params.coordinate_transformation_mode) ||
        !attribute_text(item, "nearest_mode", NULL, &params.nearest_mode) ||
        !attribute_text(item, "keep_aspect_ratio_policy", NULL, &params.keep_aspect_ratio_policy))
        return false;
    for (int i = 0; i < map->dims; i++) {
        scale[i] = (float)scales[i];
        size[i] = (int32_t)sizes[i];
    }
    params.scales = scaled ? scale : NULL;
    params.sizes = sized ? size : NULL;
    params.cubic_coeff_a = numbers(item, "cubic_coeff_a", 1, a) ? (float)a[0] : 0;
    params.antialias = is_true(item, "antialias");
    params.exclude_outside = numbers(item, "exclude_outside", 1, exclude) && exclude[0] != 0;
    if (!strcmp(operation->name, "Upsample")) {
        params.coordinate_transformation_mode = "asymmetric";
        params.nearest_mode = "floor";
    }
    return upconv_problem_onnx_resize(&map->problem, &params) == UPCONV_OK || refused(item);
}

static bool map_tflite(corpus_case *item, const sampling *operation, mapping *map)
{
    double size[3];
    int32_t sizes[3];
    if (input_numbers(item, "size", 3, size) != map->dims)
        return case_wrong(item, "the size is not that of %d axes", map->dims);
    for (int i = 0; i < map->dims; i++)
        sizes[i] = (int32_t)size[i];
    return upconv_problem_tflite_resize(&map->problem, !strcmp(operation->name, "RESIZE_BILINEAR"), sizes,
                                        is_true(item, "align_corners"),
                                        is_true(item, "half_pixel_centers")) == UPCONV_OK ||
           refused(item);
}

static bool map_shuffle(corpus_case *item, const sampling *operation, mapping *map)
{
    const char *mode;
    double block[3];
    if (!attribute_text(item, "mode", operation->channels_last || !strcmp(operation->dialect, "onnx") ? "DCR" : "CRD",
                        &mode))
        return false;
    if (!numbers(item, "blocksize", map->dims, block) && !numbers(item, "block_size", map->dims, block) &&
        !numbers(item, "upscale_factor", map->dims, block))
        return case_wrong(item, "the case has no size of blocks");
    map->problem.op = UPCONV_PIXEL_SHUFFLE;
    map->problem.channel_order = !strcmp(mode, "DCR") ? UPCONV_DCR : UPCONV_CRD;
    for (int i = 0; i < map->dims; i++)
        map->problem.stride[i] = (int32_t)block[i];
    return true;
}

#define ONNX                                                                                                 \
    "mode coordinate_transformation_mode nearest_mode cubic_coeff_a exclude_outside axes "                   \
    "keep_aspect_ratio_policy antialias extrapolation_value" // the last is of tf_crop_and_resize, which is refused

static const sampling operations[] = {
    {"pytorch", "interpolate", "mode size scale_factor align_corners recompute_scale_factor antialias", false, false,
     map_pytorch},
    {"onnx", "Resize", ONNX, false, false, map_onnx},
    {"onnx", "Upsample", "mode", false, false, map_onnx},
    {"tflite", "RESIZE_BILINEAR", "align_corners half_pixel_centers", true, true, map_tflite},
    {"tflite", "RESIZE_NEAREST_NEIGHBOR", "align_corners half_pixel_centers", true, true, map_tflite},
    {"pytorch", "pixel_shuffle", "upscale_factor", false, true, map_shuffle},
    {"onnx", "DepthToSpace", "blocksize mode", false, true, map_shuffle},
    {"tflite", "DEPTH_TO_SPACE", "block_size", true, true, map_shuffle},
};

// What an array of integers holds, as floats, where these hold every one of them.
static bool as_floats(corpus_case *item, corpus_tensor *tensor)
{
    if (!tensor_load(item, tensor))
        return false;
    const npy *array = &tensor->array;
    float *values = malloc((array->elements + 1) * sizeof *values);
    if (!values)
        return case_wrong(item, "no memory for %s", tensor->name);
    for (size_t i = 0; i < array->elements; i++) {
        const double value = !strcmp(array->type, "int64")   ? (double)((int64_t *)array->data)[i]
                             : !strcmp(array->type, "int32") ? ((int32_t *)array->data)[i]
                             : !strcmp(array->type, "int16") ? ((int16_t *)array->data)[i]
                             : !strcmp(array->type, "int8")  ? ((int8_t *)array->data)[i]
                             : !strcmp(array->type, "uint8") ? ((uint8_t *)array->data)[i]
                                                             : NAN;
        values[i] = (float)value;
        if (!(fabs(value) <= 16777216)) {
            free(values);
            return case_wrong(item, "%s has values that no float is", tensor->name);
        }
    }
    free(tensor->array.data);
    tensor->array.data = values;
    tensor->array.type = tensor->dtype = "float32";
    tensor->array.item = sizeof(float);
    return true;
}

static bool as_run(corpus_case *item, const sampling *operation, mapping *map, case_verdict *verdict)
{
    corpus_tensor *const tensors[] = {map->input, map->output};
    for (size_t i = 0; i < sizeof tensors / sizeof tensors[0]; i++) {
        if (!strcmp(tensors[i]->dtype, "float32"))
            continue;
        if (!operation->integers) {
            case_wrong(item, "%s %s in %s", item->dialect, item->op, tensors[i]->dtype);
            *verdict = CASE_SKIPPED;
            return false;
        }
        if (!as_floats(item, tensors[i]))
            return false;
        map->rounded = true;
    }
    return true;
}

static bool read_shapes(corpus_case *item, const sampling *operation, mapping *map)
{
    static const char *const layouts[2][3] = {{"NCW", "NCHW", "NCDHW"}, {"NWC", "NHWC", "NDHWC"}};
    map->dims = map->input->rank - 2;
    if (map->dims < 1 || map->dims > 3 || map->output->rank != map->input->rank)
        return case_wrong(item, "the input has %d axes, the output %d", map->input->rank, map->output->rank);
    snprintf(map->in_layout, sizeof map->in_layout, "%s", layouts[operation->channels_last][map->dims - 1]);
    snprintf(map->out_layout, sizeof map->out_layout, "%s", map->in_layout);
    const char *stated[] = {map->input->layout, map->output->layout};
    for (int i = 0; i < 2; i++)
        if (*stated[i] && strcmp(stated[i], map->in_layout))
            return case_wrong(item, "the layout is %s, not %s", stated[i], map->in_layout);
    upconv_problem *p = &map->problem;
    p->struct_size = sizeof *p;
    p->dims = map->dims;
    p->batch = extent_of(map->input, map->in_layout, 'N');
    p->in_channels = extent_of(map->input, map->in_layout, 'C');
    p->out_channels = extent_of(map->output, map->out_layout, 'C');
    for (int i = 0; i < map->dims; i++)
        p->in[i] = extent_of(map->input, map->in_layout, "DHW"[3 - map->dims + i]);
    return true;
}

bool sampling_map(corpus_case *item, mapping *map, case_verdict *verdict)
{
    const sampling *operation = NULL;
    for (size_t i = 0; i < sizeof operations / sizeof operations[0] && !operation; i++)
        if (!strcmp(operations[i].dialect, item->dialect) && !strcmp(operations[i].name, item->op))
            operation = &operations[i];
    if (!operation)
        return false;
    *verdict = CASE_WRONG;
    map->input = case_input(item, "input X");
    map->output = &item->outputs[0];
    if (!map->input || item->output_count != 1) {
        case_wrong(item, "the case has no input, or %d outputs", item->output_count);
        return true;
    }
    if (is_true(item, "antialias") && strcmp(item->dialect, "onnx"))
        case_wrong(item, "antialias is not there");
    else if (attributes_known(item, operation->attributes) && as_run(item, operation, map, verdict) &&
        read_shapes(item, operation, map) && operation->map(item, operation, map))
        *verdict = CASE_RUNS;
    return true;
}
