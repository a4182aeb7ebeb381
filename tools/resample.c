#include "resample.h"

#include <math.h>
#include <string.h>

const char *const resample_choices[] = {"bilinear", "bicubic", "lanczos", NULL};

static double triangle(double x) { return x < 1 ? 1 - x : 0; }

// Keys' cubic convolution with a = -1/2, where it reproduces parabolas.
static double cubic(double x)
{
    const double a = -0.5;
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

static double sinc(double x) { return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x); }

static double lanczos(double x) { return x < 3 ? sinc(x) * sinc(x / 3) : 0; }

// Pixel centres lie at halves, so output o is at c = (o + 1/2) / scale - 1/2 between the source pixels, and
// source i reaches it with f(c - i). With t = o - i * scale that is f((t + (1 - scale) / 2) / scale): a
// kernel over t, of even length for even scales and odd for odd ones, symmetric in both cases.
void resample_filter_design(resample_filter *filter, resample_kernel kernel, int scale)
{
    static const struct {
        double (*value)(double x);
        int radius;
    } kernels[] = {{triangle, 1}, {cubic, 2}, {lanczos, 3}};
    int radius = kernels[kernel].radius;
    // f is 0 from radius on: the first t with 2t + 1 - scale > -2 * radius * scale, and the mirrored last
    // one.
    int last = (2 * radius * scale + scale - 2) / 2, first = scale - 1 - last;
    *filter = (resample_filter){.scale = scale, .taps = last - first + 1, .pad = -first, .radius = radius};
    double sum[RESAMPLE_MAX_SCALE] = {0};
    for (int k = 0; k < filter->taps; k++) {
        double x = fabs((k + first + (1 - scale) / 2.0) / scale);
        filter->weight[k] = kernels[kernel].value(x);
        sum[k % scale] += filter->weight[k];
    }
    // The taps that make one output are those of one phase. Where they do not add up to one by themselves
    // (lanczos), a flat picture would come out with a pattern of period `scale`.
    for (int k = 0; k < filter->taps; k++)
        filter->weight[k] /= sum[k % scale];
}

void resample_weights(const resample_filter *filter, int channels, float *weights)
{
    int taps = filter->taps;
    for (int y = 0; y < taps; y++)
        for (int x = 0; x < taps; x++)
            weights[y * taps + x] = (float)(filter->weight[y] * filter->weight[x]);
    for (int c = 1; c < channels; c++)
        memcpy(weights + c * taps * taps, weights, sizeof *weights * (size_t)(taps * taps));
}
