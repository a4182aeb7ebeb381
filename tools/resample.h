// Enlarging by a whole factor as a transposed convolution: the kernel that an interpolation filter turns
// into.
#ifndef TOOL_RESAMPLE_H
#define TOOL_RESAMPLE_H

typedef enum resample_kernel {
    RESAMPLE_BILINEAR,
    RESAMPLE_BICUBIC, // a = -1/2, Catmull-Rom
    RESAMPLE_LANCZOS, // three lobes
} resample_kernel;
extern const char *const resample_choices[]; // in that order

enum { RESAMPLE_MAX_SCALE = 4, RESAMPLE_MAX_TAPS = 24 };

// Along one axis: out[o] = sum of in[i] * weight[k] where o = i * scale + k - pad.
typedef struct resample_filter {
    int scale;
    int taps;   // the kernel's extent
    int pad;    // front padding
    int radius; // source pixels that an output reaches beyond its own, on either side
    double weight[RESAMPLE_MAX_TAPS];
} resample_filter;

void resample_filter_design(resample_filter *filter, resample_kernel kernel, int scale);
// The depthwise filter tensor, taps x taps for each channel.
void resample_weights(const resample_filter *filter, int channels, float *weights);

#endif
