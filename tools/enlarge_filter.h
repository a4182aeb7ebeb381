// The filter that a picture is enlarged with: an interpolation, or one from a file (`upconv train`).
#ifndef TOOL_ENLARGE_FILTER_H
#define TOOL_ENLARGE_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "resample.h"

// A transposed convolution of stride `scale` whose kernel has taps x taps positions, front padding (taps - scale) / 2:
// output pixels have their centres where those of a picture `scale` times as large have them.
typedef struct enlarge_filter {
    int scale, taps, pad;
    int radius;           // source pixels that an output reaches beyond its own, on either side
    int channels, groups; // groups = channels: each channel by itself
    float *weights;       // [channels][channels / groups][taps][taps], order IOK
    float *bias;          // [channels] of pictures from 0 to 1; NULL: none
} enlarge_filter;

// How far the outputs of a pixel reach beyond it, for taps - scale even and not below 0.
int enlarge_filter_radius(int taps, int scale);

// All three: false, with a sentence in error and filter empty.
bool enlarge_filter_interpolation(enlarge_filter *filter, resample_kernel kernel, int scale, int channels, char *error,
                                  size_t error_size);
// A float32 array of shape [channels][1 or channels][taps][taps], for `channels` channels, or [1][1][taps][taps], which
// then serves each of them; and one of shape [channels] (or [1]). bias_path may be NULL.
bool enlarge_filter_read(enlarge_filter *filter, const char *path, const char *bias_path, int scale, int channels,
                         char *error, size_t error_size);
void enlarge_filter_finish(enlarge_filter *filter); // takes a zeroed one

#endif
