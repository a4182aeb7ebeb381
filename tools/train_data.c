// Pictures to train on. What is learnt is the way back from a small picture to the large one that it was made of, so
// the large ones are made small here: each pixel is the mean of scale x scale of them, which is what a sensor with
// larger pixels would have seen.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

uint64_t train_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t train_below(uint64_t *state, uint32_t bound) { return (uint32_t)((train_random(state) >> 32) * bound >> 32); }

double train_unit(uint64_t *state) { return (double)(train_random(state) >> 11) / 9007199254740992.0; }

static bool picture_init(picture *made, uint32_t width, uint32_t height, int channels)
{
    *made = (picture){.width = width,
                      .height = height,
                      .channels = channels,
                      .depth = 8,
                      .row_bytes = (size_t)width * (size_t)channels};
    made->pixels = malloc(made->row_bytes * height);
    return made->pixels != NULL;
}

static uint32_t sample_at(const picture *image, uint32_t y, uint32_t x, int channel)
{
    const size_t at = (size_t)x * (size_t)image->channels + (size_t)channel;
    const uint8_t *row = image->pixels + y * image->row_bytes;
    return image->depth == 16 ? ((const uint16_t *)(const void *)row)[at] : row[at];
}

static bool opaque(const picture *image)
{
    const uint32_t most = image->depth == 16 ? 65535 : 255;
    for (uint32_t y = 0; y < image->height; y++)
        for (uint32_t x = 0; x < image->width; x++)
            if (sample_at(image, y, x, image->channels - 1) != most)
                return false;
    return true;
}

// The rows from `top` of an opaque picture, in 8 bits and without opacity, and the small picture made of them.
static bool pair_init(train_pair *pair, const picture *image, uint32_t top, uint32_t width, uint32_t height, int scale)
{
    const int channels = image->channels < 3 ? 1 : 3;
    const uint32_t s = (uint32_t)scale, area = s * s;
    *pair = (train_pair){0};
    if (!picture_init(&pair->high, width, height, channels) ||
        !picture_init(&pair->low, width / s, height / s, channels))
        return false;
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (int c = 0; c < channels; c++) {
                const uint32_t value = sample_at(image, top + y, x, c);
                pair->high.pixels[y * pair->high.row_bytes + x * (uint32_t)channels + (uint32_t)c] =
                    (uint8_t)(image->depth == 16 ? (value + 128) / 257 : value);
            }
    for (uint32_t y = 0; y < height / s; y++)
        for (uint32_t x = 0; x < width / s; x++)
            for (int c = 0; c < channels; c++) {
                uint32_t sum = area / 2;
                for (uint32_t i = 0; i < area; i++)
                    sum += sample_at(&pair->high, y * s + i / s, x * s + i % s, c);
                pair->low.pixels[y * pair->low.row_bytes + x * (uint32_t)channels + (uint32_t)c] =
                    (uint8_t)(sum / area);
            }
    return true;
}

static void pair_finish(train_pair *pair)
{
    image_finish(&pair->low);
    image_finish(&pair->high);
}

static bool grow(train_set *set)
{
    const size_t bytes = sizeof(train_pair) * ((size_t)set->count + 1);
    train_pair *train = realloc(set->train, bytes);
    set->train = train ? train : set->train;
    train_pair *held_out = train ? realloc(set->held_out, bytes) : NULL;
    set->held_out = held_out ? held_out : set->held_out;
    return held_out != NULL;
}

enum { MOST_WIDTH = 1024, MOST_HEIGHT = 512 }; // of a held-out part: all of it is enlarged at each report

static uint32_t smaller(uint32_t a, uint32_t b) { return a < b ? a : b; }

bool train_set_add(train_set *set, const picture *image, const char *name, int scale, int least, char *error,
                   size_t error_size)
{
    const uint32_t s = (uint32_t)scale, low_width = image->width / s, low_height = image->height / s;
    const uint32_t low_rest = low_height / 4, low_train = low_height - low_rest;
    const uint32_t seen_width = smaller(low_width, MOST_WIDTH / s), seen_height = smaller(low_rest, MOST_HEIGHT / s);
    const int channels = image->channels < 3 ? 1 : 3;
    if (image->channels % 2 == 0 && !opaque(image)) {
        snprintf(error, error_size, "%s is partly transparent; pictures to train on must be opaque", name);
        return false;
    }
    if (set->count && channels != set->channels) {
        snprintf(error, error_size, "%s is %s, the pictures before it are not; all must be grey, or all in colour",
                 name, image_kind(channels));
        return false;
    }
    if (low_width < (uint32_t)least || low_train < (uint32_t)least || low_rest < 1) {
        snprintf(
            error, error_size,
            "%s has %u x %u pixels, of which the upper three quarters are trained on; for --patch %d and --scale %d "
            "these must have %d x %d at least",
            name, image->width, image->height, least, scale, least * scale, least * scale);
        return false;
    }
    train_pair train, held_out;
    bool fine = grow(set);
    fine = pair_init(&train, image, 0, low_width * s, low_train * s, scale) && fine;
    fine = pair_init(&held_out, image, low_train * s, seen_width * s, seen_height * s, scale) && fine;
    if (!fine) {
        pair_finish(&train);
        pair_finish(&held_out);
        snprintf(error, error_size, "no memory for %s", name);
        return false;
    }
    set->train[set->count] = train;
    set->held_out[set->count++] = held_out;
    set->channels = channels;
    return true;
}

void train_set_finish(train_set *set)
{
    for (int i = 0; i < set->count; i++) {
        pair_finish(&set->train[i]);
        pair_finish(&set->held_out[i]);
    }
    free(set->train);
    free(set->held_out);
    *set = (train_set){0};
}

// A square of a picture's channel, `border` wider on every side, and times `factor`. Beyond its edges the picture
// goes on as its outermost pixels do. turn: a number from 0 to 7, one of the ways in which a square lies on itself.
typedef struct square {
    const picture *from;
    int64_t x, y;
    int channel, size, border;
    unsigned turn;
} square;

static int64_t within(int64_t at, uint32_t extent)
{
    return at < 0 ? 0 : at < (int64_t)extent ? at : (int64_t)extent - 1;
}

static void copy_square(const square *q, float factor, float *to)
{
    const int side = q->size + 2 * q->border;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            int u = q->turn & 4 ? y : x, v = q->turn & 4 ? x : y;
            u = q->turn & 1 ? side - 1 - u : u;
            v = q->turn & 2 ? side - 1 - v : v;
            const int64_t from_x = within(q->x + u - q->border, q->from->width);
            const int64_t from_y = within(q->y + v - q->border, q->from->height);
            to[(size_t)y * (size_t)side + (size_t)x] =
                factor * (float)sample_at(q->from, (uint32_t)from_y, (uint32_t)from_x, q->channel);
        }
}

void train_set_batch(const train_set *set, const train_shape *shape, int batch, int patch, uint64_t *state,
                     float *input, float *minus_target)
{
    const int side = patch + 2 * shape->radius, large = patch * shape->scale;
    for (int b = 0; b < batch; b++) {
        const train_pair *pair = &set->train[train_below(state, (uint32_t)set->count)];
        const uint32_t x = train_below(state, pair->low.width - (uint32_t)patch + 1);
        const uint32_t y = train_below(state, pair->low.height - (uint32_t)patch + 1);
        const unsigned turn = train_below(state, 8);
        const int first = shape->channels == 1 ? (int)train_below(state, (uint32_t)set->channels) : 0;
        for (int c = 0; c < shape->channels; c++) {
            const square low = {&pair->low, x, y, first + c, patch, shape->radius, turn};
            const square high = {&pair->high, (int64_t)x * shape->scale, (int64_t)y * shape->scale, first + c, large, 0,
                                 turn};
            copy_square(&low, 1.0f / 255, input);
            copy_square(&high, -1.0f / 255, minus_target);
            input += side * side;
            minus_target += large * large;
        }
    }
}
