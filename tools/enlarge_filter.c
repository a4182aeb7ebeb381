#include "enlarge_filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "npy.h"

int enlarge_filter_radius(int taps, int scale)
{
    const int pad = (taps - scale) / 2;
    return (scale - 1 + pad) / scale; // the last output of pixel i, i * scale + scale - 1, takes input i + this at most
}

static bool fail(enlarge_filter *filter, char *error, size_t error_size)
{
    enlarge_filter_finish(filter);
    snprintf(error, error_size, "no memory for the filter");
    return false;
}

bool enlarge_filter_interpolation(enlarge_filter *filter, resample_kernel kernel, int scale, int channels, char *error,
                                  size_t error_size)
{
    resample_filter design;
    resample_filter_design(&design, kernel, scale);
    *filter = (enlarge_filter){.scale = scale,
                               .taps = design.taps,
                               .pad = design.pad,
                               .radius = design.radius,
                               .channels = channels,
                               .groups = channels};
    filter->weights = malloc(sizeof *filter->weights * (size_t)channels * (size_t)(design.taps * design.taps));
    if (!filter->weights)
        return fail(filter, error, error_size);
    resample_weights(&design, channels, filter->weights);
    return true;
}

// Whether the array is a filter for that many channels at that scale.
static bool suits(const char *path, const npy_array *array, int scale, int channels, char *error, size_t error_size)
{
    const int64_t *shape = array->shape;
    char text[64];
    npy_shape_text(array, text, sizeof text);
    if (array->rank != 4)
        snprintf(error, error_size, "%s: its shape is %s; a filter's is (in, out / groups, height, width)", path, text);
    else if (shape[2] != shape[3])
        snprintf(error, error_size, "%s: its shape is %s; the kernel must be square", path, text);
    else if (shape[2] < scale || (shape[2] - scale) % 2 || shape[2] > RESAMPLE_MAX_TAPS)
        snprintf(
            error, error_size,
            "%s: its kernel has %lld positions a side; for --scale %d it must have %d, or 2, 4, ... more, up to %d",
            path, (long long)shape[2], scale, scale, RESAMPLE_MAX_TAPS);
    else if (shape[1] != 1 && shape[1] != shape[0])
        snprintf(error, error_size, "%s: its shape is %s; the second extent must be 1 or the first", path, text);
    else if (shape[0] != 1 && shape[0] != channels)
        snprintf(error, error_size,
                 "%s: it is for %lld channels; the picture has %d (%s), for which it must have 1 or %d", path,
                 (long long)shape[0], channels, image_kind(channels), channels);
    else
        return true;
    return false;
}

static bool read_bias(enlarge_filter *filter, const char *path, char *error, size_t error_size)
{
    npy_array array;
    if (!npy_read(path, &array, error, error_size))
        return false;
    const bool fine = array.rank == 1 && (array.shape[0] == 1 || array.shape[0] == filter->channels);
    if (fine) {
        filter->bias = malloc(sizeof *filter->bias * (size_t)filter->channels);
        for (int c = 0; filter->bias && c < filter->channels; c++)
            filter->bias[c] = array.values[array.shape[0] == 1 ? 0 : c];
        if (!filter->bias)
            snprintf(error, error_size, "no memory for the bias");
    } else {
        char text[64];
        npy_shape_text(&array, text, sizeof text);
        snprintf(error, error_size, "%s: its shape is %s; a bias for this picture has (%d,) or (1,)", path, text,
                 filter->channels);
    }
    npy_finish(&array);
    return filter->bias != NULL;
}

bool enlarge_filter_read(enlarge_filter *filter, const char *path, const char *bias_path, int scale, int channels,
                         char *error, size_t error_size)
{
    npy_array array;
    *filter = (enlarge_filter){0};
    if (!npy_read(path, &array, error, error_size))
        return false;
    if (!suits(path, &array, scale, channels, error, error_size)) {
        npy_finish(&array);
        return false;
    }
    const int taps = (int)array.shape[2], copies = array.shape[0] == channels ? 1 : channels;
    *filter = (enlarge_filter){.scale = scale,
                               .taps = taps,
                               .pad = (taps - scale) / 2,
                               .radius = enlarge_filter_radius(taps, scale),
                               .channels = channels,
                               .groups = array.shape[1] == 1 ? channels : 1};
    filter->weights = malloc(sizeof *filter->weights * array.elements * (size_t)copies);
    for (int i = 0; filter->weights && i < copies; i++)
        memcpy(filter->weights + (size_t)i * array.elements, array.values, sizeof *array.values * array.elements);
    npy_finish(&array);
    if (!filter->weights)
        return fail(filter, error, error_size);
    if (bias_path && !read_bias(filter, bias_path, error, error_size)) {
        enlarge_filter_finish(filter);
        return false;
    }
    return true;
}

void enlarge_filter_finish(enlarge_filter *filter)
{
    free(filter->weights);
    free(filter->bias);
    *filter = (enlarge_filter){0};
}
