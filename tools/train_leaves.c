// Pictures to train on where none are given. "Dead leaves", opaque discs of random size and place over one another,
// have edges at all scales and the power spectrum of photographs if the density of radii falls as r^-3 (A. Lee, D.
// Mumford and J. Huang, Occlusion models for natural images, 2001). Some leaves are striped or shaded, as things are.
#include <math.h>
#include <stdlib.h>

#include "train.h"

enum { FINE = 2 }; // samples a pixel on each axis

typedef struct leaf {
    double x, y, radius; // in pixels
    double colour[3], slope_x, slope_y;
    double wave_x, wave_y, depth; // stripes
} leaf;

// Radii from 2.5 pixels to a third of the picture: with density r^-3 the distribution of r^-2 is even.
static leaf random_leaf(uint64_t *state, int size)
{
    const double least = 2.5, most = size / 3.0, a = 1 / (least * least), b = 1 / (most * most);
    leaf l = {.radius = 1 / sqrt(b + (a - b) * train_unit(state))};
    l.x = (size + 2 * l.radius) * train_unit(state) - l.radius;
    l.y = (size + 2 * l.radius) * train_unit(state) - l.radius;
    const double grey = 0.1 + 0.8 * train_unit(state);
    for (int c = 0; c < 3; c++)
        l.colour[c] = grey + 0.3 * (train_unit(state) - 0.5);
    l.slope_x = 0.3 * (train_unit(state) - 0.5) / l.radius;
    l.slope_y = 0.3 * (train_unit(state) - 0.5) / l.radius;
    const double period = 2.5 + l.radius * train_unit(state);
    // The direction from a point of the square, not from an angle: no sine depends on the machine so far.
    double u = train_unit(state) - 0.5, v = train_unit(state) - 0.5, norm = sqrt(u * u + v * v) + 1e-9;
    l.wave_x = u / norm / period;
    l.wave_y = v / norm / period;
    l.depth = train_unit(state) < 0.4 ? 0.25 * train_unit(state) : 0;
    return l;
}

// A wave of period 1 from -1 to 1, made of parabolas.
static double wave(double x)
{
    x -= floor(x);
    const double half = x < 0.5 ? x : x - 0.5, bow = 16 * half * (0.5 - half);
    return x < 0.5 ? bow : -bow;
}

static void draw(const leaf *l, int fine_size, float *samples)
{
    const double step = 1.0 / FINE;
    const int x0 = (int)fmax(0, (l->x - l->radius) * FINE), x1 = (int)fmin(fine_size, (l->x + l->radius) * FINE + 1);
    const int y0 = (int)fmax(0, (l->y - l->radius) * FINE), y1 = (int)fmin(fine_size, (l->y + l->radius) * FINE + 1);
    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++) {
            const double u = (x + 0.5) * step - l->x, v = (y + 0.5) * step - l->y;
            if (u * u + v * v > l->radius * l->radius)
                continue;
            double shade = u * l->slope_x + v * l->slope_y;
            if (l->depth > 0)
                shade += l->depth * wave(u * l->wave_x + v * l->wave_y);
            for (int c = 0; c < 3; c++)
                samples[((size_t)y * (size_t)fine_size + (size_t)x) * 3 + (size_t)c] = (float)(l->colour[c] + shade);
        }
}

static void average(const float *samples, int size, uint8_t *pixels)
{
    for (int y = 0; y < size; y++)
        for (int x = 0; x < size; x++)
            for (int c = 0; c < 3; c++) {
                float sum = 0;
                for (int i = 0; i < FINE * FINE; i++)
                    sum += samples[((size_t)(y * FINE + i / FINE) * (size_t)(size * FINE) +
                                    (size_t)(x * FINE + i % FINE)) *
                                       3 +
                                   (size_t)c];
                const float value = sum / (FINE * FINE) * 255;
                pixels[((size_t)y * (size_t)size + (size_t)x) * 3 + (size_t)c] =
                    (uint8_t)(value < 0     ? 0
                              : value > 255 ? 255
                                            : value + 0.5f);
            }
}

bool train_leaves(int size, uint64_t number, picture *image)
{
    const size_t fine = (size_t)size * FINE;
    uint64_t state = 0x9d2c5680u + number;
    *image = (picture){
        .width = (uint32_t)size, .height = (uint32_t)size, .channels = 3, .depth = 8, .row_bytes = (size_t)size * 3};
    float *samples = calloc(fine * fine * 3, sizeof *samples);
    image->pixels = malloc(image->row_bytes * (size_t)size);
    // As many that next to nothing of the ground is left.
    for (int i = 0; samples && image->pixels && i < size * 16; i++) {
        const leaf l = random_leaf(&state, size);
        draw(&l, (int)fine, samples);
    }
    if (samples && image->pixels)
        average(samples, size, image->pixels);
    const bool fine_memory = samples && image->pixels;
    free(samples);
    if (!fine_memory)
        image_finish(image);
    return fine_memory;
}
