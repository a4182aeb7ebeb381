// `upconv train`: an upsampling layer (a transposed convolution) trained on the device, from bilinear interpolation
// to what suits the pictures. An example of how the parts of upconv.h make a training loop; each part is a file of
// its own:
//
//     train_data.c     pictures, small and large; batches of random crops
//     train_leaves.c   pictures, where none are given
//     train_layer.c    the layer on the device: loss and gradients of a batch
//     train_adam.c     the optimiser
//     train_judge.c    the held-out parts: PSNR, and what interpolation gives
//     train_plot.c     curves
//     cmd_train.c      options, the loop, files
#ifndef TOOL_TRAIN_H
#define TOOL_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <upconv/upconv.h>

#include "image.h"

// ---- the layer's shape

// What a filter connects: all channels have one filter; each has its own; each output channel sees all.
typedef enum train_channels { TRAIN_ONE = 0, TRAIN_EACH, TRAIN_MIXED } train_channels;

typedef struct train_shape {
    int scale, kernel;    // kernel - scale is even and not below 0
    int pad, radius;      // front padding; pixels that an output reaches beyond its own, on either side
    int channels, groups; // of the layer: 1 with TRAIN_ONE, whose batches hold each channel as a picture of its own
    bool bias;
} train_shape;

// Transposed convolution of `height` x `width` pixels that have `radius` more around them, in and out of range 0 to 1.
upconv_problem train_problem(const train_shape *shape, int batch, int height, int width);
size_t train_filter_count(const train_shape *shape); // elements of [channels][channels / groups][kernel][kernel]

// ---- pictures

typedef struct train_pair {
    picture low, high; // 8 bits, 1 or 3 channels; high is `scale` times as large
} train_pair;

typedef struct train_set {
    train_pair *train, *held_out; // `count` each: the upper three quarters of each picture, and what is below
    int count, channels;
} train_set;

// Adds a picture (8 or 16 bits; opaque) under that name. The low-resolution picture is the mean of scale x scale
// pixels, rounded to 8 bits as a file would have it. `least`: extent that both sides of the training part must have
// at low resolution. false: a sentence is in error.
bool train_set_add(train_set *set, const picture *image, const char *name, int scale, int least, char *error,
                   size_t error_size);
void train_set_finish(train_set *set); // takes a zeroed one

// A batch of random crops, flipped and turned at random: input [batch][channels][patch + 2 radius]^2 and target
// [batch][channels][patch * scale]^2, the latter with the opposite sign (see train_layer.c). `state` is the random
// generator's.
void train_set_batch(const train_set *set, const train_shape *shape, int batch, int patch, uint64_t *state,
                     float *input, float *minus_target);

// SplitMix64 (G. Steele et al., 2014).
uint64_t train_random(uint64_t *state);
// The whole number from 0 to below `bound` (above 0, at most 2^32), and a real one from 0 to below 1.
uint32_t train_below(uint64_t *state, uint32_t bound);
double train_unit(uint64_t *state);

// An RGB picture of overlapping discs of random sizes, colours and textures: the same for the same number on every
// machine whose floating point is IEEE 754's. false: no memory.
bool train_leaves(int size, uint64_t number, picture *image);

// ---- the layer on the device

typedef enum train_loss { TRAIN_MSE = 0, TRAIN_CHARBONNIER } train_loss;

enum { TRAIN_PLANS = 4, TRAIN_BUFFERS = 8 };

typedef struct train_layer {
    train_shape shape;
    train_loss loss;
    int batch, patch;
    upconv_context *context;
    upconv_plan *plans[TRAIN_PLANS];
    upconv_buffer *buffers[TRAIN_BUFFERS];
    size_t bytes[TRAIN_BUFFERS];
} train_layer;

// On failure upconv_last_error() has the sentence, and the layer is to be finished.
upconv_status train_layer_init(train_layer *layer, upconv_context *context, const train_shape *shape, train_loss loss,
                               int batch, int patch);
void train_layer_finish(train_layer *layer); // takes a zeroed one
// The loss of a batch with these weights (filter, then bias if the shape has one), and its gradient with respect to
// them.
upconv_status train_layer_step(train_layer *layer, const float *input, const float *minus_target, const float *weights,
                               float *gradient, double *loss);
// How far the gradient of the last step is from what the CPU's reference solver makes of the same errors, as a part of
// what the rounding of f32 sums of that length may do: above 1 is wrong. cpu: a context of that backend.
upconv_status train_layer_verify(train_layer *layer, upconv_context *cpu, const float *input, const float *gradient,
                                 double *share);

// ---- the optimiser

// Adam (D. Kingma and J. Ba, 2015) with decoupled weight decay (I. Loshchilov and F. Hutter, 2019).
typedef struct train_adam {
    double beta1, beta2;
    double decay;          // a step takes rate * decay of the distance to `anchor` away
    const float *anchor;   // NULL: zeros
    double *mean, *square; // `count` each, zeros before the first step
    size_t count;
    long steps; // so far
} train_adam;

void train_adam_step(train_adam *adam, double rate, const float *gradient, float *weights);

// ---- the held-out parts

enum { JUDGE_BILINEAR = 0, JUDGE_BICUBIC, JUDGE_TRAINED, JUDGE_METHODS };

typedef struct train_part {
    const train_pair *pair;
    picture made[JUDGE_METHODS];
    upconv_plan *plan; // the layer at this size
    upconv_buffer *input, *output;
    float *planes; // of the output
} train_part;

typedef struct train_judge {
    const train_shape *shape;
    upconv_context *context;
    train_part *parts;
    int count;
    upconv_buffer *filter, *bias;
    double psnr[JUDGE_METHODS]; // of all parts together, in 8 bits as files would have them
} train_judge;

// Enlarges all parts with UPCONV_RESIZE, bilinear and bicubic (a = -0.5). On failure upconv_last_error() has the
// sentence.
upconv_status train_judge_init(train_judge *judge, upconv_context *context, const train_shape *shape,
                               const train_set *set);
void train_judge_finish(train_judge *judge); // takes a zeroed one
// Enlarges all parts with these weights, into made[JUDGE_TRAINED] and psnr[JUDGE_TRAINED].
upconv_status train_judge_run(train_judge *judge, const float *weights);
// The first part's pictures as files of the folder: low, bilinear, bicubic, trained and truth, and sides.png, where the
// square in which bilinear is furthest off is shown side by side: low, bilinear, bicubic, trained, truth.
bool train_judge_write(const train_judge *judge, const char *folder, char *error, size_t error_size);

// ---- curves

typedef struct train_point {
    int step;
    double loss, psnr; // loss: mean since the point before; NaN at step 0
} train_point;

// An SVG file: the loss, and the PSNR beside that of the interpolations.
bool train_plot(const char *path, const char *title, const train_point *points, size_t count, const double *psnr,
                char *error, size_t error_size);

#endif
