// Makes the picture of docs/checkerboard.md: what transposed convolutions with stride 2 and kernels 3, 4 and 5 do to a
// smooth input. Above: a shaded ball through a filter of equal numbers. Below: how strong the output of a layer with
// random filters is, the root of the mean square of its channels.
//
//     checkerboard OUT.png
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <upconv/upconv.h>

#include "image.h"

enum {
    IN = 28, // positions of the input, a side
    OUT = 2 * IN,
    EDGE = 4, // outputs not shown: there the border meets
    SHOWN = OUT - 2 * EDGE,
    ZOOM = 3,
    GAP = 6,
    PANEL = SHOWN * ZOOM + GAP,
    WIDTH = 3 * PANEL + GAP,
    HEIGHT = 2 * PANEL + GAP,
    CHANNELS = 256,
    MOST_TAPS = 25,
};

static upconv_problem layer(int32_t kernel, int32_t channels)
{
    return (upconv_problem){.struct_size = sizeof(upconv_problem),
                            .batch = 1,
                            .in_channels = channels,
                            .out_channels = channels,
                            .in = {IN, IN},
                            .kernel = {kernel, kernel},
                            .stride = {2, 2},
                            .pad = {(kernel - 1) / 2, (kernel - 1) / 2},
                            .out = {OUT, OUT}};
}

static upconv_status apply(upconv_context *context, const upconv_problem *problem, const float *filter,
                           const float *input, float *output)
{
    upconv_plan *plan = NULL;
    const upconv_plan_params params = {.struct_size = sizeof params, .weights = filter};
    upconv_status status = upconv_plan_create(context, problem, &params, &plan);
    if (status == UPCONV_OK)
        status = upconv_execute(plan, input, output);
    upconv_plan_destroy(plan);
    return status;
}

// From 0.25 (shadow, ground) to 1.
static float ball(int y, int x)
{
    const double v = (y - (IN - 1) / 2.) / 11, u = (x - (IN - 1) / 2.) / 11, z2 = 1 - u * u - v * v;
    return (float)(z2 > 0 ? .25 + .75 * fmax(0, (-.5 * u - .5 * v + sqrt(z2) * .7)) : .4 - .1 * v);
}

// The first panel of a kernel: values from 0 to 1.
static upconv_status even_filter(upconv_context *context, int32_t kernel, float *memory, double *shown)
{
    const upconv_problem problem = layer(kernel, 1);
    float filter[MOST_TAPS], *const output = memory + IN * IN;
    for (int i = 0; i < kernel * kernel; i++)
        filter[i] = 4.f / (float)(kernel * kernel);
    for (int i = 0; i < IN * IN; i++)
        memory[i] = ball(i / IN, i % IN);
    const upconv_status status = apply(context, &problem, filter, memory, output);
    for (int i = 0; i < OUT * OUT && status == UPCONV_OK; i++)
        shown[i] = (double)output[i] * .6;
    return status;
}

// The second: 0.5 is as strong as the layer is on average.
static upconv_status random_filter(upconv_context *context, int32_t kernel, float *memory, double *shown)
{
    const upconv_problem problem = layer(kernel, CHANNELS);
    float *const input = memory, *const output = input + CHANNELS * IN * IN,
                 *const filter = output + CHANNELS * OUT * OUT;
    upconv_status status = upconv_filter_he_normal(&problem, UPCONV_FILTER_IOK, UPCONV_FAN_LAYER, 1, 1, filter);
    for (int c = 0; c < CHANNELS; c++) // slow waves in all directions
        for (int i = 0; i < IN * IN; i++)
            input[c * IN * IN + i] = (float)(sqrt(2) * sin(c + .15 * (i / IN * cos(c * .7) + i % IN * sin(c * .7))));
    if (status == UPCONV_OK)
        status = apply(context, &problem, filter, input, output);
    for (int i = 0; i < OUT * OUT && status == UPCONV_OK; i++) {
        double squares = 0;
        for (int c = 0; c < CHANNELS; c++)
            squares += (double)output[c * OUT * OUT + i] * (double)output[c * OUT * OUT + i];
        shown[i] = sqrt(squares / CHANNELS) / 2;
    }
    return status;
}

static void draw(uint8_t *pixels, int row, int column, const double *shown)
{
    for (int y = 0; y < SHOWN * ZOOM; y++)
        for (int x = 0; x < SHOWN * ZOOM; x++) {
            const double value = shown[(y / ZOOM + EDGE) * OUT + x / ZOOM + EDGE];
            pixels[(row * PANEL + GAP + y) * WIDTH + column * PANEL + GAP + x] =
                (uint8_t)(fmin(fmax(value, 0), 1) * 255 + .5);
        }
}

static int save(const char *path, const uint8_t *pixels)
{
    char error[512];
    const image_colour colour = {0};
    image_writer *writer = image_writer_open(path, WIDTH, HEIGHT, 1, 8, &colour, error, sizeof error);
    bool fine = writer && image_writer_rows(writer, pixels, HEIGHT, error, sizeof error);
    if (writer && !fine)
        image_writer_abandon(writer);
    fine = fine && image_writer_close(writer, error, sizeof error);
    if (!fine)
        fprintf(stderr, "checkerboard: %s\n", error);
    return fine ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: checkerboard OUT.png\n");
        return 2;
    }
    static uint8_t pixels[WIDTH * HEIGHT];
    static double shown[OUT * OUT];
    const size_t floats =
        (size_t)CHANNELS * IN * IN + (size_t)CHANNELS * OUT * OUT + (size_t)CHANNELS * CHANNELS * MOST_TAPS;
    float *memory = malloc(floats * sizeof *memory);
    const upconv_context_params params = {.struct_size = sizeof params, .backend = UPCONV_BACKEND_CPU};
    upconv_context *context = NULL;
    upconv_status status = memory ? upconv_context_create(&params, &context) : UPCONV_ERROR_HOST_MEMORY;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = 255;
    for (int column = 0; column < 3 && status == UPCONV_OK; column++) {
        status = even_filter(context, 3 + column, memory, shown);
        if (status == UPCONV_OK) {
            draw(pixels, 0, column, shown);
            status = random_filter(context, 3 + column, memory, shown);
        }
        if (status == UPCONV_OK)
            draw(pixels, 1, column, shown);
    }
    upconv_context_destroy(context);
    free(memory);
    if (status != UPCONV_OK) {
        fprintf(stderr, "checkerboard: %s\n", status == UPCONV_ERROR_HOST_MEMORY ? "no memory" : upconv_last_error());
        return 1;
    }
    return save(argv[1], pixels);
}
